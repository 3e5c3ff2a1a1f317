"""
Which steps an operation on a container takes; one object for each operation.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final, Literal

from stacks_pulumi import catalog
from stacks_pulumi._identifiers import same_instant
from stacks_pulumi.api import models
from stacks_pulumi.api._bodies import scrub
from stacks_pulumi.api.wait import CREATED, GONE, SETTLED, STARTED, STOPPED, Wait
from stacks_pulumi.errors import (
    BadRequestError,
    ConflictError,
    NoCapacityError,
    NotFoundError,
    SpendingCapError,
    StacksError,
    UnexpectedStateError,
    VanishedError,
    WaitCancelledError,
    WaitError,
    WaitTimeoutError,
)
from stacks_pulumi.resources._creation import Creation
from stacks_pulumi.resources._fields import changed_outside, found_changed
from stacks_pulumi.resources._identity import (
    IDENTITY_CONFLICT,
    RECENT,
    Identity,
    find_container,
    identify,
    other_container,
    uncertain,
)
from stacks_pulumi.resources._naming import NAME_PATTERN, how_to_rename
from stacks_pulumi.resources._operation import Operation
from stacks_pulumi.resources._restarts import EXPECTED
from stacks_pulumi.resources._session import Session

STATUS_RUNNING: Final = "running"
STATUS_STOPPED: Final = "stopped"
STATUS_ERROR: Final = "error"

ANSWERED: Final = (
    "status",
    "internal_host",
    "ip_address",
    "cpu",
    "memory_mb",
    "storage_mb",
    "port",
    "ssh_user",
    "ssh_host",
    "ssh_port",
    "has_ssh_access",
    "has_web_ui",
    "vpc_network",
    "version",
    "version_major",
    "image_tag",
    "created_at",
)
"""Outputs with the same name as the model's attribute. The uptime is not one: it would change in every read."""


def outputs(
    container: models.Container,
    olds: Mapping[str, Any],
    inputs: Mapping[str, Any],
    access: models.ExternalAccess | None,
) -> dict[str, Any]:
    """
    Return all outputs of a container.

    Args:
        container: The container as the API returns it now.
        olds: The previous outputs, for the values that only the create response has (the SSH login).
        inputs: The inputs, which are outputs as well.
        access: Its external access, if that was read.
    """
    answered = {name: getattr(container, name) for name in ANSWERED}
    if inputs.get(IDENTITY_CONFLICT) is not None:
        # Until the user decides who owns the container, the state keeps the identity of the earlier one.
        answered["created_at"] = None
    outs = {name: olds.get(name) if value is None else value for name, value in answered.items()}
    outs.update(inputs)
    if access is not None and access.enabled:
        outs.update(url=access.url, subdomain=access.subdomain)
    return {name: value for name, value in outs.items() if value is not None}


def observed(
    container: models.Container, olds: Mapping[str, Any], access: models.ExternalAccess | None
) -> dict[str, Any]:
    """
    Return the inputs with the API's values, if the API returns them; a difference from the program is drift.

    Args:
        container: The container as the API returns it now.
        olds: The previous outputs; empty for a look-up.
        access: Its external access, if this program manages that.
    """
    not_inputs = {*ANSWERED, "url", "subdomain", IDENTITY_CONFLICT}
    inputs = {name: value for name, value in olds.items() if name not in not_inputs}
    inputs["name"] = _as_spelt(inputs.get("name"), container.name)
    template = inputs["template"] = inputs.get("template") or container.template or ""
    if template != catalog.VPN_TEMPLATE:
        inputs["plan"] = container.plan or inputs.get("plan")
        added = catalog.added_tier(catalog.PLANS.get(inputs["plan"]), container.storage_mb)
        # A missing tier does not mean no tier: the guide leaves open whether `storage` includes it.
        inputs["additional_storage_tier"] = added or inputs.get("additional_storage_tier")
    watched = ("name", "plan", "additional_storage_tier")
    differing = [name for name in watched if inputs.get(name) != olds.get(name)]
    if differing and olds.get("name"):
        inputs.update(found_changed([*changed_outside(olds), *differing]))
    tier = inputs.get("additional_storage_tier")
    price = catalog.monthly_price(template, inputs.get("plan"), None if tier is None else int(tier))
    inputs["monthly_price_usd"] = None if price is None else float(price)
    if inputs.get("desired_status") is not None and container.settled:
        # A temporary status (pending, restarting) is not drift; only a lasting one is.
        inputs["desired_status"] = container.status
    if access is not None:
        inputs["external_access"] = access.enabled
    return inputs


def _as_spelt(stored: str | None, told: str | None) -> str | None:
    """Return the API's name; in the program's spelling if the two differ only in case."""
    if stored is not None and told is not None and stored.lower() == told.lower():
        return stored
    return told or stored


def differences_to(inputs: Mapping[str, Any], container: models.Container) -> list[str]:
    """Return the differences that prevent an adoption; only inputs that the program sets are compared."""
    differences = []
    template, plan, tier = inputs["template"], inputs.get("plan"), inputs.get("additional_storage_tier")
    if not container.made_from(template):
        differences.append(f"its template is {container.template!r}, not {template!r}")
    if plan is not None and container.plan is not None and container.plan != plan:
        differences.append(f"its plan is {container.plan!r}, not {plan!r}")
    if tier is not None and plan in catalog.PLANS and container.storage_mb is not None:
        wanted = catalog.PLANS[plan].storage_mb + catalog.STORAGE_TIERS[tier].storage_mb
        if container.storage_mb != wanted:
            differences.append(f"it has {container.storage_mb} MB of storage, not {wanted} MB")
    return differences


_LOG_LINES: Final = 5
_LOG_WIDTH: Final = 200
_SHOWN: Final[dict[str | None, str]] = {"pending": "pending, 10 to 30 s"}
"""Status -> the text to show, for a status that needs an explanation."""
_PATIENCE: Final = 120.0
"""Seconds for which a refused rollback is retried: longer than a boot takes."""
_PAUSE: Final = 2.0


@dataclass(frozen=True)
class Lifecycle:
    """
    The steps of one run of the engine on a container.

    Attributes:
        session: The account.
        op: The operation.
    """

    session: Session
    op: Operation

    def read(self, id_: str, olds: Mapping[str, Any]) -> dict[str, Any] | None:
        """
        Return the current outputs; `None` if the container certainly no longer exists.

        A refresh sends one list request for all containers, and one more request for each container whose external
        access this program manages.
        """
        container = find_container(self.session, id_, shared=True)
        if container is None:
            return None
        identity = identify(olds, container)
        if identity is Identity.OTHER:
            self.op.warn(
                f"{other_container(id_, container)}: it is left alone, and {self.op.label!r} is reported as deleted"
            )
            return None
        access = None
        if olds.get("external_access") is not None:
            access = self.session.reads.get(
                "allowed_ips", id_, ask=functools.partial(self.session.client.allowed_ips.list, id_)
            )
        inputs = observed(container, olds, access)
        if identity is Identity.UNCERTAIN:
            self.op.warn(f"{uncertain(id_, olds, container)}. It stays in the state. {self._remedies()}")
            inputs[IDENTITY_CONFLICT] = container.created_at
        return outputs(container, olds, inputs, access)

    def update(self, id_: str, olds: dict[str, Any], inputs: dict[str, Any]) -> dict[str, Any]:
        """Update the container to match the inputs, also a container whose creation was not completed."""
        container = find_container(self.session, id_)
        identity = Identity.OTHER if container is None else identify(olds, container)
        if container is None or identity is Identity.OTHER:
            gone = f"container {id_} is gone: it was deleted outside of this program"
            msg = (
                f"{gone}. Run `pulumi refresh` and then `pulumi up`, which creates it again"
                if container is None
                else f"{gone}, and {other_container(id_, container)}, which is left alone. Run `pulumi refresh`, and "
                "give this resource another name, because the other container has this one"
            )
            raise VanishedError(msg, subject=f"container {id_}")
        if identity is Identity.UNCERTAIN:
            self._bind(id_, olds, inputs, container)
        try:
            if not container.settled:
                container = self._wait(SETTLED, container).merge(container)
            return self.settle(container, olds, inputs, new=False)
        except (UnexpectedStateError, WaitTimeoutError) as error:
            # The state keeps the old inputs, so that the next `up` repeats all steps.
            msg = (
                f'container "{inputs["name"]}" ({id_}) is not ready: {_reason(error, "update")}. '
                f"{self.last_log_lines(id_)}`pulumi up` tries again"
            )
            raise StacksError(msg, code=error.code) from None

    def delete(self, id_: str, olds: Mapping[str, Any]) -> None:
        """Delete the container and wait until its name is free."""
        self.op.progress("deleting")
        found = find_container(self.session, id_, max_age=RECENT)
        if found is None:
            return
        identity = identify(olds, found)
        if identity is Identity.OTHER:
            self.op.warn(f"{other_container(id_, found)}: it is left alone")
            return
        if identity is Identity.UNCERTAIN:
            msg = f"{uncertain(id_, olds, found)}. It was not deleted. {self._remedies()}"
            raise StacksError(msg, code="identity-unclear")
        self.session.created.remove(id_)
        try:
            self.session.client.containers.delete(id_)
        except NotFoundError:
            return
        self.session.client.feed.wait(
            GONE,
            id_,
            deadline=self.op.deadline,
            on_tick=lambda _container, _elapsed: self.op.progress("still listed"),
            cancelled=self.op.cancelled,
            # Another container may take the name as soon as it is free, before a list has shown the name as free.
            is_it=lambda container: same_instant(found.created_at, container.created_at),
        )

    # --- identity ---

    def _bind(
        self, id_: str, olds: Mapping[str, Any], inputs: Mapping[str, Any], container: models.Container
    ) -> None:
        """Adopt the container that has the id now, if the program asks for that and it matches."""
        differences = differences_to(inputs, container)
        if inputs.get("adopt") != "if_matching" or differences:
            hint = f" It differs from the program: {'; '.join(differences)}." if differences else ""
            msg = f"{uncertain(id_, olds, container)}. It was not changed.{hint} {self._remedies()}"
            raise StacksError(msg, code="identity-unclear")
        self.op.inform(
            f"adopted {id_}, created at {container.created_at}: from now on this stack changes and deletes it"
        )

    def _remedies(self) -> str:
        return (
            f'If it is this stack\'s (resized or restored), write adopt="if_matching" on {self.op.label!r} and run '
            "`pulumi up --refresh`, which binds it again. If it is not, remove the resource from the state with "
            f"`pulumi state delete '{self.op.call.urn}'`"
        )

    # --- bring the container to its desired state ---

    def settle(
        self, container: models.Container, olds: Mapping[str, Any], inputs: Mapping[str, Any], *, new: bool
    ) -> dict[str, Any]:
        """Start, set external access, restart, stop: in the order in which each step is possible."""
        desired = inputs.get("desired_status")
        fresh = new
        if container.status == STATUS_ERROR or (
            container.status == STATUS_STOPPED and desired == STATUS_RUNNING
        ):
            container = self._set_status(container, STATUS_RUNNING, STARTED)
            fresh = True
        access = self._settle_access(container, inputs.get("external_access"), new=new)
        if olds and not fresh and inputs.get("restart_triggers") != olds.get("restart_triggers"):
            container = self._restart(container, desired)
        if desired == STATUS_STOPPED and container.status != STATUS_STOPPED:
            container = self._set_status(container, STATUS_STOPPED, STOPPED)
        return outputs(container, olds, inputs, access)

    def _settle_access(
        self, container: models.Container, wanted: bool | None, *, new: bool
    ) -> models.ExternalAccess | None:
        if wanted is None or (new and not wanted):
            return None
        access = None if new else self.session.client.allowed_ips.list(container.id)
        if access is None or access.enabled is not wanted:
            self.op.progress(f"external access: {'on' if wanted else 'off'}")
            access = self.session.client.containers.external_access(container.id, enabled=wanted)
            self.session.created.add_access(container.id, access)
        return access

    def _restart(self, container: models.Container, desired: str | None) -> models.Container:
        if desired == STATUS_STOPPED:
            return container
        if container.status == STATUS_STOPPED:
            self.op.warn(
                "restart_triggers changed, but the container is stopped: it takes effect when it is started"
            )
            return container
        return self._set_status(container, "restart", STARTED)

    def _set_status(
        self, container: models.Container, status: Literal["running", "stopped", "restart"], wait: Wait
    ) -> models.Container:
        self.op.progress({"running": "starting", "stopped": "stopping", "restart": "restarting"}[status])
        self.session.client.containers.set_status(container.id, status)
        return self._wait(wait, container).merge(container)

    # --- looking and waiting ---

    def wait_until_created(self, container: models.Container) -> models.Container:
        """Wait until a new container runs; keep the values that only the create response has."""
        return self._wait(CREATED, container).merge(container)

    def last_log_lines(self, id_: str) -> str:
        """Return the end of the container's log as a sentence; empty if it has no log."""
        try:
            logs = self.session.client.containers.logs(id_, lines=_LOG_LINES)
        except WaitCancelledError:
            raise
        except StacksError:
            # The message must show the failure itself; the log is optional.
            return ""
        lines = [scrub(line.strip(), _LOG_WIDTH) for line in logs.strip().splitlines()[-_LOG_LINES:]]
        return f"Its last log lines: {' | '.join(lines)}. " if lines else ""

    def _wait(self, wait: Wait, container: models.Container) -> models.Container:
        def on_tick(seen: models.Container | None, _elapsed: float) -> None:
            status = container.status if seen is None else seen.status
            held = self.session.client.feed.held_back()
            self.op.progress(
                f"rate limit: {held:.0f} s" if held >= 1 else _SHOWN.get(status, status or "no status yet")
            )

        found = self.session.client.feed.wait(
            wait, container.id, deadline=self.op.deadline, on_tick=on_tick, cancelled=self.op.cancelled
        )
        if found is None:
            msg = f"container {container.id} was deleted during the wait for it: run `pulumi refresh`, then `pulumi up`"
            raise VanishedError(msg, subject=f"container {container.id}")
        return found


class ContainerCreation(Creation[models.Container]):
    """The creation of a container: POST, wait until it runs, then status and external access."""

    kind: ClassVar = "Container"

    def under_way(self) -> contextlib.AbstractContextManager[None]:
        """Record that connections to the container may follow."""
        return EXPECTED.creating(self.op.label)

    @property
    def _lifecycle(self) -> Lifecycle:
        return Lifecycle(self.session, self.op)

    def create(self) -> models.Container:
        """
        Create the container, unless its price would exceed the key's spending cap.

        Raises:
            ExistsError: The account has a container of that name.
            SpendingCapError: The price would exceed the cap.
            NoCapacityError: The account is on the waitlist.
        """
        inputs = self.inputs
        name, tier = inputs["name"], inputs.get("additional_storage_tier")
        price = catalog.monthly_price(inputs["template"], inputs.get("plan"), tier)
        # A promotional code may lower the price, so only the API can decide.
        self.session.spending.admit(name, None if inputs.get("discount_code") else price)
        self.op.progress("creating" if price is None else f"${price:.2f} a month")
        try:
            made = self.session.client.containers.create(
                name=name,
                template=inputs["template"],
                plan=inputs.get("plan"),
                additional_storage_tier=tier,
                discount_code=inputs.get("discount_code"),
            )
        except SpendingCapError as error:
            raise self.session.spending.learn(name, price, error) from None
        except NoCapacityError as error:
            msg = (
                f"{error.message}. If STACKS creates it later from the waitlist, the next `pulumi up` reports that "
                'the name is taken: then adopt it (adopt="if_matching")'
            )
            raise replace(error, message=msg) from None
        return made

    def id_of(self, thing: models.Container) -> str:
        """Return the container's id."""
        return thing.id

    def finish(self, thing: models.Container) -> dict[str, Any]:
        """Wait until it runs, then set the status and the external access that the program wants."""
        if not self.adopted or not thing.settled:
            thing = self._lifecycle.wait_until_created(thing)
        if not self.adopted:
            self.session.created.add(thing.id)
        return self._lifecycle.settle(thing, {}, self.inputs, new=not self.adopted)

    def known(self, thing: models.Container, error: Exception | None) -> dict[str, Any]:
        """Return the outputs from the create response, with the status and creation time from a list."""
        outs = outputs(thing, {}, self.inputs, None)
        if not self.adopted:
            # The time in the response is provisional. Without one in the state, the first refresh or update stores it.
            outs.pop("created_at", None)
            outs.update(self._listed_created_at(thing.id))
        if isinstance(error, WaitError) and error.last_state is not None:
            outs["status"] = error.last_state
        return outs

    def _listed_created_at(self, id_: str) -> dict[str, Any]:
        # No request here: the creation may have failed because the API does not answer list requests.
        seen = self.session.client.feed.seen(id_)
        return {"created_at": seen.created_at} if seen is not None and seen.created_at else {}

    def describe_failure(self, thing: models.Container, error: StacksError) -> str:
        """Return the message: why the container is not ready, with the end of its log."""
        done = "adopted" if self.adopted else "created"
        again = "waits for it again" if isinstance(error, WaitTimeoutError) else "tries to start it again"
        return (
            f'container "{self.inputs["name"]}" ({thing.id}) was {done} but is not ready: {_reason(error, "create")}. '
            f"{self._lifecycle.last_log_lines(thing.id)}It is in the state and it is billed: `pulumi up` "
            f"{again}. To delete only this container, remove it from the program"
        )

    def describe(self, thing: models.Container) -> str:
        """Return name, id, template and creation time, which help the user to find the owner."""
        made = f", created at {thing.created_at}" if thing.created_at else ""
        return f'the container "{thing.name or self.inputs["name"]}" ({thing.id}, {thing.template}{made})'

    def differences(self, thing: models.Container) -> Sequence[str]:
        """Return the differences from the program in template, plan and storage."""
        return differences_to(self.inputs, thing)

    def what_to_do(self) -> str:
        """Return how to find the owner, how to choose another name, and what an adoption means."""
        pattern = self.inputs.get(NAME_PATTERN)
        by_default = pattern is not None or self.inputs["name"] == self.op.label
        avoid = how_to_rename(pattern, self.session.settings.account, by_default=by_default)
        return (
            f"`stacks-pulumi account` shows which stack owns it. If it is another stack's, {avoid}. If it is no "
            "stack's (an interrupted or waitlisted `up` of this stack, or created by hand), adopt it: write "
            f"{self.adopting()}. This stack then changes it, and `pulumi destroy` deletes it with its data, even if "
            "another stack manages it too."
        )

    def roll_back(self, thing: models.Container) -> None:
        """Delete the container again; the API may refuse that while it boots."""
        clock = self.session.clock
        until = clock.now() + _PATIENCE
        while True:
            try:
                self.session.client.containers.delete(thing.id)
            except (BadRequestError, ConflictError):
                if clock.now() >= until:
                    raise
                clock.sleep(_PAUSE)
            else:
                return


def _reason(error: StacksError, timeout: Literal["create", "update"]) -> str:
    if isinstance(error, WaitTimeoutError) and error.last_state is not None:
        return (
            f'it is still "{error.last_state}" after {error.elapsed:.0f} s (timed out; '
            f'custom_timeouts=pulumi.CustomTimeouts({timeout}="30m") allows more time)'
        )
    if isinstance(error, UnexpectedStateError):
        return f'its status is "{error.last_state}" after {error.elapsed:.0f} s'
    return error.message
