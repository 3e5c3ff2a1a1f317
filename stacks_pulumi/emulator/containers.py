"""Containers: the rules of creating, starting, stopping and deleting them (guide, "Create Container" and on)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from stacks_pulumi import catalog
from stacks_pulumi.emulator import keys
from stacks_pulumi.emulator.refusals import Refusal, bad_request, not_found
from stacks_pulumi.emulator.transitions import Transition
from stacks_pulumi.emulator.world import ApiKey, Container, VpnClient

if TYPE_CHECKING:
    from stacks_pulumi.emulator.state import State

__all__ = [
    "create",
    "delete",
    "enter",
    "find",
    "of_account",
    "remove",
    "seen",
    "set_status",
    "settle",
    "start",
    "stop",
]

_ACTIONS = ("running", "stopped", "restart")
_STILL = frozenset({"running", "stopped", "error"})
"""Where a container stays until somebody does something; every other status ends by itself."""


def create(state: State, key: ApiKey, body: dict[str, Any]) -> Container:
    """
    Begin to make a container.

    Raises:
        Refusal: 400 with the field, 402 for the cap or a missing payment method, 503 for no capacity.
    """
    now = state.settle()
    name, template, plan, tier, discount = _validated(state, key.account, body)
    number = state.world.count("container")
    fresh = Container(
        # assumed: letters keep their case in the id.
        id=f"{key.account}-{name}",
        account=key.account,
        name=name,
        template=template,
        plan=plan,
        storage_tier=tier,
        discount_code=discount,
        port=8000 + number,
        ip_address=f"10.52.{number // 250 % 256}.{number % 250 + 4}",
        created_at=now,
        updated_at=now,
        created_by=key.label,
    )
    account = state.accounts[key.account]
    # assumed: the order of the checks, that a discount code changes no price here, and the wording.
    if not account.payment_method:
        raise Refusal(
            402,
            {
                "error": "Payment required",
                "message": "Add a payment method in the dashboard before creating containers.",
            },
        )
    keys.check_cap(key, fresh.price, now)
    if state.world.capacity is not None:
        if state.world.capacity <= 0:
            account.waitlisted += 1
            raise Refusal(
                503,
                {
                    "success": False,
                    "error": "No capacity available",
                    "message": "You've been added to the waitlist.",
                },
            )
        state.world.capacity -= 1
    keys.charge(key, fresh.price, now)
    if template == catalog.VPN_TEMPLATE:
        # assumed: a VPN begins with the one client that the guide's download example asks for.
        fresh.vpn_clients.append(VpnClient("default", now, state.world.count("vpn_client")))
    state.world.containers[fresh.id] = fresh
    _boot(state, fresh, now, "pending")
    return fresh


def find(state: State, account: str, container_id: str) -> Container:
    """
    A container of an account.

    Raises:
        Refusal: 404.
    """
    state.settle()
    found = state.world.containers.get(container_id)
    if found is None or found.account != account:
        raise not_found("Container")
    return found


def of_account(state: State, account: str) -> list[Container]:
    """All containers of an account, oldest first."""
    state.settle()
    return [found for found in state.world.containers.values() if found.account == account]


def seen(state: State, container: Container) -> None:
    """Count a read of a container's status, for transitions that go by reads."""
    if container.next is not None and container.next.read():
        _apply(state, container, container.next, state.clock.now())


def set_status(state: State, container: Container, wanted: Any) -> None:
    """
    Start, stop or restart (guide, "Start / Stop / Restart Container").

    Raises:
        Refusal: 400 for another word, or for a container that is busy with something else.
    """
    if wanted not in _ACTIONS:
        raise bad_request(f"Status must be one of: {', '.join(_ACTIONS)}", "status")
    if container.status not in _STILL:
        # assumed: the code and the wording.
        raise bad_request(f"Container is {container.status}; wait until that is done")
    # assumed: asking for the state that it is in already is fine and does nothing, a restart starts a stopped
    # container, and starting one whose boot failed boots it again.
    if wanted == "stopped":
        stop(state, container)
    elif wanted == "restart" or container.status != "running":
        start(state, container, "restarting" if container.status == "running" else "starting")


def start(state: State, container: Container, through: str = "starting") -> None:
    """Begin to run; a container whose boot failed takes the time of a boot."""
    now = state.clock.now()
    container.env_pending = False
    if container.error is not None:
        _boot(state, container, now, through)
        return
    enter(container, through, now)
    container.next = Transition("running", due=now + state.pace.action_seconds)


def stop(state: State, container: Container) -> None:
    """Begin to stop; nothing if it is stopped."""
    if container.status == "stopped":
        return
    now = state.clock.now()
    # assumed: the statuses between two lasting ones; the guide names pending, running and error only.
    enter(container, "stopping", now)
    container.next = Transition("stopped", due=now + state.pace.action_seconds)


def delete(state: State, container: Container) -> None:
    """
    Begin to delete (guide, "Delete Container").

    Its connections end at once; it is listed as `deleting`, and its name is taken, until it is gone.
    """
    # assumed: that deletion takes time, and the status that shows it. A second request changes nothing.
    if container.status == "deleting":
        return
    now = state.clock.now()
    container.booting = False
    enter(container, "deleting", now)
    container.next = Transition("gone", due=now + state.pace.delete_seconds)
    for connection in list(state.world.connections.values()):
        if container.id in {connection.source, connection.target}:
            del state.world.connections[connection.id]
            source = state.world.containers.get(connection.source)
            if source is not None:
                source.env_pending = True


def remove(state: State, container: Container) -> None:
    """End a container with all its data and backups."""
    state.world.containers.pop(container.id, None)
    for backup in list(state.world.backups.values()):
        if backup.container_id == container.id:
            del state.world.backups[backup.id]
    if state.world.capacity is not None:
        state.world.capacity += 1


def settle(state: State, now: float) -> None:
    """Let every container move on that was due by now."""
    for container in list(state.world.containers.values()):
        while container.next is not None and container.next.is_due(now):
            _apply(state, container, container.next, container.next.due or now)


def _boot(state: State, container: Container, now: float, through: str) -> None:
    container.boots += 1
    container.booting = True
    enter(container, through, now)
    container.next = state.pace.boot(now)


def _apply(state: State, container: Container, transition: Transition, at: float) -> None:
    container.next = None
    if transition.to == "gone":
        remove(state, container)
        return
    status = transition.to
    if container.booting:
        container.booting, container.error = False, None
        if _boot_fails(state, container):
            container.error = "the service did not become healthy in time"
            status = "error"
    enter(container, status, at)


def enter(container: Container, status: str, at: float) -> None:
    """Put a container into a status."""
    container.status = status
    container.updated_at = at
    if status == "running":
        container.running_since, container.stopped_at = at, None
    elif status in {"stopped", "error"}:
        container.running_since, container.stopped_at = None, at


def _boot_fails(state: State, container: Container) -> bool:
    failures = state.world.boot_failures
    for subject in (container.name, container.template):
        if subject not in failures:
            continue
        left = failures[subject]
        if left is None:
            return True
        if left <= 1:
            del failures[subject]
        else:
            failures[subject] = left - 1
        return True
    return False


def _validated(
    state: State, account: str, body: dict[str, Any]
) -> tuple[str, str, str, int | None, str | None]:
    name, template = body.get("name"), body.get("template")
    plan, tier, discount = body.get("plan"), body.get("additional_storage_tier"), body.get("discount_code")
    problem = name_problem(name)
    if problem is not None or not isinstance(name, str):
        raise bad_request(problem or "Container name must be text", "name")
    if template is None or template == "":
        raise bad_request("Container template is required", "template")
    if not isinstance(template, str) or template not in catalog.TEMPLATES:
        raise bad_request("Unknown container template", "template")
    if plan is not None and (not isinstance(plan, str) or plan not in catalog.PLANS):
        raise bad_request(f"Plan must be one of: {', '.join(catalog.PLANS)}", "plan")
    if discount is not None and not isinstance(discount, str):
        raise bad_request("Discount code must be text", "discount_code")
    # The default is what the guide says, also for a micro template, which then costs a basic plan.
    # assumed: stacks-vpn is a tier of its own, whatever plan is asked for.
    plan = catalog.VPN_PLAN.name if template == catalog.VPN_TEMPLATE else plan or catalog.DEFAULT_PLAN
    if tier is not None:
        _check_tier(tier, template, plan)
    if f"{account}-{name}" in state.world.containers:
        # assumed: the code and the wording; the guide shows that the id is made of the name.
        raise bad_request(f"A container named {name} already exists", "name")
    return name, template, plan, tier, discount


def _check_tier(tier: Any, template: str, plan: str) -> None:
    field = "additional_storage_tier"
    if isinstance(tier, bool) or not isinstance(tier, int) or tier not in catalog.STORAGE_TIERS:
        tiers = ", ".join(map(str, catalog.STORAGE_TIERS))
        raise bad_request(f"Additional storage tier must be one of: {tiers}", field)
    if catalog.is_micro(template, plan) or template.endswith("-micro"):
        raise bad_request("Additional storage is not available for micro containers", field)
    if catalog.is_database(template):
        raise bad_request("Additional storage is not available for database containers", field)


def name_problem(name: Any) -> str | None:
    """What is wrong with a container's name, or `None` (guide, "Create Container")."""
    if name is None or name == "":
        return "Container name is required"
    if not isinstance(name, str):
        return "Container name must be text"
    if len(name) < 3:
        return "Container name must be at least 3 characters"
    if len(name) > 32:
        return "Container name must be no more than 32 characters"
    if not re.fullmatch(r"[A-Za-z0-9-]+", name):
        return "Container name may contain only letters, numbers, and hyphens"
    if name.startswith("-") or name.endswith("-"):
        return "Container name must start and end with a letter or number"
    if "--" in name:
        return "Container name must not contain consecutive hyphens"
    return None
