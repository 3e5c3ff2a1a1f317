"""Containers: the rules of creating, starting, stopping and deleting them (guide, "Create Container" and on)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stacks_pulumi import catalog
from stacks_pulumi.emulator import keys
from stacks_pulumi.emulator import platform as settling
from stacks_pulumi.emulator.answers import Refusal, bad_request, not_found
from stacks_pulumi.emulator.state import ApiKey, Container, Transition, VpnClient, price_of
from stacks_pulumi.emulator.validation import Wanted, validated

if TYPE_CHECKING:
    from decimal import Decimal

    from stacks_pulumi.emulator.platform import Platform

__all__ = [
    "create",
    "delete",
    "find",
    "make",
    "of_account",
    "seen",
    "set_status",
    "start",
    "stop",
]

_ACTIONS = ("running", "stopped", "restart")
_STILL = frozenset({"running", "stopped", "error"})
"""The lasting statuses; every other status changes without a request."""


def create(platform: Platform, key: ApiKey, body: dict[str, Any]) -> Container:
    """
    Begin to create a container.

    Raises:
        Refusal: 400 with the field, 402 for the cap or a missing payment method, 503 for no capacity.
    """
    now = platform.settle()
    wanted = validated(body, strict=platform.strict)
    name = _stored(platform, wanted.name)
    container_id = f"{key.account}-{name}"
    if container_id in platform.state.containers:
        # assumed: the code and the wording; the guide shows that the id contains the name.
        raise bad_request(f"A container named {name} already exists", "name")
    price = price_of(wanted.plan, wanted.storage_tier)
    _check_account(platform, key, price, now)
    keys.charge(key, price, now)
    return make(platform, key.account, wanted, created_by=key.label)


def make(platform: Platform, account: str, wanted: Wanted, *, created_by: str) -> Container:
    """Add a container that begins to boot, without a check of key, cap and capacity."""
    now, name = platform.clock.now(), _stored(platform, wanted.name)
    number = platform.state.count("container")
    fresh = Container(
        id=f"{account}-{name}",
        account=account,
        name=name,
        template=wanted.template,
        plan=wanted.plan,
        storage_tier=wanted.storage_tier,
        discount_code=wanted.discount_code,
        port=8000 + number,
        ip_address=f"10.52.{number // 250 % 256}.{number % 250 + 4}",
        created_at=now,
        updated_at=now,
        created_by=created_by,
    )
    if wanted.template == catalog.VPN_TEMPLATE:
        # assumed: a new VPN has one client: the one in the guide's download example.
        fresh.vpn_clients.append(VpnClient("default", now, platform.state.count("vpn_client")))
    platform.state.containers[fresh.id] = fresh
    _boot(platform, fresh, now, "pending")
    return fresh


def find(platform: Platform, account: str, container_id: str) -> Container:
    """
    Return a container of an account.

    Raises:
        Refusal: 404 if it does not exist.
    """
    platform.settle()
    found = platform.state.containers.get(container_id)
    if found is None or found.account != account:
        raise not_found("Container")
    return found


def of_account(platform: Platform, account: str) -> list[Container]:
    """Return all containers of an account, oldest first."""
    platform.settle()
    return [found for found in platform.state.containers.values() if found.account == account]


def seen(platform: Platform, container: Container) -> None:
    """Count a read of a container's status, for transitions that depend on reads."""
    if container.next is not None and container.next.read():
        settling.move_on(platform.state, container, container.next, platform.clock.now())


def set_status(platform: Platform, container: Container, wanted: Any) -> None:
    """
    Start, stop or restart (guide, "Start / Stop / Restart Container").

    Raises:
        Refusal: 400 for another word, or during another operation of the container.
    """
    if wanted not in _ACTIONS:
        raise bad_request(f"Status must be one of: {', '.join(_ACTIONS)}", "status")
    if container.status not in _STILL:
        # assumed: the code and the wording.
        raise bad_request(f"Container is {container.status}; wait until that is done")
    # assumed: a request for the present status is a no-op, a restart starts a stopped container, and a start
    # boots a container again whose boot failed.
    if wanted == "stopped":
        stop(platform, container)
    elif wanted == "restart" or container.status != "running":
        start(platform, container, "restarting" if container.status == "running" else "starting")


def start(platform: Platform, container: Container, through: str = "starting") -> None:
    """Begin to start; a container whose boot failed takes as long as a boot."""
    now = platform.clock.now()
    container.env_pending = False
    if container.error is not None:
        _boot(platform, container, now, through)
        return
    settling.enter(container, through, now)
    container.next = Transition("running", due=now + platform.pace.action_seconds)


def stop(platform: Platform, container: Container) -> None:
    """Begin to stop; no-op if it is stopped."""
    if container.status == "stopped":
        return
    now = platform.clock.now()
    # assumed: the temporary statuses; the guide names only pending, running and error.
    settling.enter(container, "stopping", now)
    container.next = Transition("stopped", due=now + platform.pace.action_seconds)


def delete(platform: Platform, container: Container) -> None:
    """
    Begin to delete (guide, "Delete Container").

    Its connections are deleted immediately. Until it is removed, it is listed as `deleting` and its name is taken.

    Raises:
        Refusal: 400 if it is being deleted and `refuse_repeated_delete` is set.
    """
    # assumed: deletion takes time, and the status shows it. A second request is a no-op, or is refused.
    if container.status == "deleting":
        if platform.refuse_repeated_delete:
            raise bad_request("Container is already being deleted")
        return
    now = platform.clock.now()
    container.booting = False
    settling.enter(container, "deleting", now)
    container.next = Transition("gone", due=now + platform.pace.delete_seconds)
    for connection in list(platform.state.connections.values()):
        if container.id in {connection.source, connection.target}:
            del platform.state.connections[connection.id]
            source = platform.state.containers.get(connection.source)
            if source is not None:
                source.env_pending = True


def _stored(platform: Platform, name: str) -> str:
    # assumed: letters keep their case in the name and the id, unless `lower_case_names` is set.
    return name.lower() if platform.lower_case_names else name


def _check_account(platform: Platform, key: ApiKey, price: Decimal, now: float) -> None:
    """Check that the account can pay and that there is capacity, and use the capacity."""
    account = platform.state.accounts[key.account]
    # assumed: the order of the checks, and the bodies of both refusals.
    if not account.payment_method:
        raise Refusal(
            402,
            {
                "error": "Payment required",
                "message": "Add a payment method in the dashboard before creating containers.",
            },
        )
    keys.check_cap(key, price, now)
    if platform.state.capacity is None:
        return
    if platform.state.capacity <= 0:
        account.waitlisted += 1
        raise Refusal(
            503,
            {
                "success": False,
                "error": "No capacity available",
                "message": "You've been added to the waitlist.",
            },
        )
    platform.state.capacity -= 1


def _boot(platform: Platform, container: Container, now: float, through: str) -> None:
    container.boots += 1
    container.booting = True
    settling.enter(container, through, now)
    container.next = platform.pace.boot(now)
