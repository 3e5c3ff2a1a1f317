"""What is done to a container, step by step: one object for one operation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from stacks_pulumi import catalog
from stacks_pulumi.api import in_doubt, models
from stacks_pulumi.api._words import scrub
from stacks_pulumi.api.wait import CREATED, GONE, SETTLED, STARTED, STOPPED, Wait
from stacks_pulumi.errors import (
    BadRequestError,
    ConflictError,
    ExistsError,
    NotFoundError,
    SpendingCapError,
    StacksError,
    UnexpectedStateError,
    VanishedError,
    WaitCancelledError,
    WaitError,
    WaitTimeoutError,
)
from stacks_pulumi.resources._adoption import adopts, how_to_adopt, refuse_if_owned
from stacks_pulumi.resources._base import HalfDone
from stacks_pulumi.resources._container_view import (
    STATUS_DELETING,
    STATUS_ERROR,
    STATUS_RUNNING,
    STATUS_STOPPED,
    differences_to,
    observed,
    outputs,
)
from stacks_pulumi.resources._operation import Operation
from stacks_pulumi.resources._session import Session

__all__ = ["Lifecycle", "find_container"]

_LOG_LINES: Final = 5
_LOG_WIDTH: Final = 200
_USUALLY: Final = "usually 10-30 s"
_PATIENCE: Final = 120.0
"""Seconds for which a deletion that is refused is asked for again: longer than a boot takes."""
_PAUSE: Final = 2.0


@dataclass(frozen=True)
class Lifecycle:
    """
    The life of a container, as far as one operation of the engine goes.

    Attributes:
        session: The account.
        op: The operation.
    """

    session: Session
    op: Operation

    def create(self, inputs: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """
        Make the container and wait until it is as the inputs say.

        Raises:
            HalfDone: It exists and does not run, or not as asked; the state keeps its id.
            StacksError: Nothing was made (or what was made has been deleted again).
        """
        container, adopted = self._obtain(inputs)
        try:
            return container.id, self._bring_up(container, inputs, adopted=adopted)
        except WaitCancelledError:
            if not adopted:
                # Nobody is left to tell the id to, and what nobody knows must not go on costing money.
                with self.op.undoing():
                    self._take_back(container.id)
            raise

    def _bring_up(
        self, container: models.Container, inputs: Mapping[str, Any], *, adopted: bool
    ) -> dict[str, Any]:
        try:
            if not adopted or not container.settled:
                container = self._wait(CREATED, container).merge(container)
            outs = self._settle(container, {}, inputs, new=not adopted)
            self.op.check_active()
        except (VanishedError, WaitCancelledError):
            # There is nothing to keep, or nobody to keep it.
            raise
        except StacksError as error:
            raise self._half_done(error, container, inputs, adopted=adopted) from None
        return outs

    def read(self, id_: str, olds: Mapping[str, Any]) -> dict[str, Any] | None:
        """
        The outputs as the API has them now; `None` if the container is certainly gone.

        Refresh of any number of containers costs one list call, and one more for each whose external access
        this program decides.
        """
        container = find_container(self.session, id_)
        if container is None:
            return None
        access = None
        if olds.get("external_access") is not None:
            access = self.session.reads.get(
                "allowed_ips", id_, ask=lambda: self.session.client.allowed_ips.list(id_)
            )
        return outputs(container, olds, observed(container, olds, access), access)

    def update(self, id_: str, olds: dict[str, Any], inputs: dict[str, Any]) -> dict[str, Any]:
        """Bring the container to what the inputs say; also the one of which the creation was done half way."""
        container = find_container(self.session, id_, fresh=True)
        if container is None:
            msg = (
                f"container {id_} is gone: it was deleted outside of this program. Run `pulumi refresh` and then "
                "`pulumi up`, which makes it anew"
            )
            raise VanishedError(msg, subject=f"container {id_}")
        try:
            if not container.settled:
                container = self._wait(SETTLED, container).merge(container)
            return self._settle(container, olds, inputs, new=False)
        except (UnexpectedStateError, WaitTimeoutError) as error:
            # The state keeps the old inputs, so that the next `up` does all of it again.
            msg = (
                f'container "{inputs["name"]}" ({id_}) is not ready: {_reason(error)}. {self._last_log_lines(id_)}'
                "`pulumi up` tries again"
            )
            raise StacksError(msg) from None

    def delete(self, id_: str) -> None:
        """Delete the container and wait until its name is free."""
        self.op.progress("deleting")
        try:
            self.session.client.containers.delete(id_)
        except NotFoundError:
            return
        except StacksError as error:
            if not (in_doubt(error) and self._is_going(id_)):
                raise
        self.session.client.feed.wait(
            GONE,
            id_,
            deadline=self.op.deadline,
            on_tick=lambda _container, elapsed: self.op.progress(f"deleting ({elapsed:.0f} s)"),
            cancelled=self.op.cancelled,
        )

    def _take_back(self, id_: str) -> None:
        """Delete what was just created; the API may refuse that while the container boots."""
        until = self.session.clock.now() + _PATIENCE
        while True:
            try:
                self.session.client.containers.delete(id_)
            except (BadRequestError, ConflictError):
                if self.session.clock.now() >= until:
                    raise
                self.session.clock.sleep(_PAUSE)
            else:
                return

    def _is_going(self, id_: str) -> bool:
        """Whether a deletion of which nobody knows what became is under way all the same."""
        try:
            found = find_container(self.session, id_, fresh=True)
        except StacksError:
            return False
        return found is None or found.status == STATUS_DELETING

    # --- creation ---

    def _obtain(self, inputs: Mapping[str, Any]) -> tuple[models.Container, bool]:
        """The new container, or the one that was taken over; and which of the two."""
        name = inputs["name"]
        price = catalog.monthly_price(
            inputs["template"], inputs.get("plan"), inputs.get("additional_storage_tier")
        )
        # A promotional code may make it cheaper, so only the API knows whether it fits.
        self.session.spending.admit(name, None if inputs.get("discount_code") else price)
        self.op.progress("creating" if price is None else f"creating (${price:.2f} a month)")
        try:
            created = self.session.client.containers.create(
                name=name,
                template=inputs["template"],
                plan=inputs.get("plan"),
                additional_storage_tier=inputs.get("additional_storage_tier"),
                discount_code=inputs.get("discount_code"),
            )
        except ExistsError as error:
            return self._adopt(error.existing, inputs), True
        except SpendingCapError as error:
            raise self.session.spending.learn(name, price, error) from None
        return created, False

    def _adopt(self, found: models.Container, inputs: Mapping[str, Any]) -> models.Container:
        refuse_if_owned(self.op, "Container", found.id)
        taken = f'the name "{inputs["name"]}" is taken by {found.id}, which'
        differences = differences_to(inputs, found)
        if differences:
            msg = (
                f"{taken} is not what the program asks for: {'; '.join(differences)}. Change the program to match, or "
                "give this container another name"
            )
            raise ExistsError(msg, existing=found)
        if not adopts(self.session, inputs):
            msg = f"{taken} no resource of this name made. {how_to_adopt('Container', self.op, inputs)}"
            raise ExistsError(msg, existing=found)
        self.op.inform(f"took over the existing container {found.id}; from now on this program deletes it")
        return found

    def _half_done(
        self, error: StacksError, container: models.Container, inputs: Mapping[str, Any], *, adopted: bool
    ) -> HalfDone:
        status = (error.last_state if isinstance(error, WaitError) else None) or container.status
        msg = (
            f'container "{inputs["name"]}" ({container.id}) was {"taken over" if adopted else "made"} but is not '
            f"ready: {_reason(error)}. {self._last_log_lines(container.id)}It is in the state and it is billed: "
            "`pulumi up` tries to start it again, `pulumi destroy` deletes it"
        )
        return HalfDone(msg, id=container.id, outs={**outputs(container, {}, inputs, None), "status": status})

    def _last_log_lines(self, id_: str) -> str:
        try:
            logs = self.session.client.containers.logs(id_, lines=_LOG_LINES)
        except WaitCancelledError:
            raise
        except StacksError:
            # The reason of the failure is what matters; its logs are an extra.
            return ""
        lines = [scrub(line.strip(), _LOG_WIDTH) for line in logs.strip().splitlines()[-_LOG_LINES:]]
        return f"Its last log lines: {' | '.join(lines)}. " if lines else ""

    # --- from what is to what should be ---

    def _settle(
        self, container: models.Container, olds: Mapping[str, Any], inputs: Mapping[str, Any], *, new: bool
    ) -> dict[str, Any]:
        """Start, external access, restart, stop: in the order in which each can work."""
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
            self.op.progress("turning external access on" if wanted else "turning external access off")
            access = self.session.client.containers.external_access(container.id, enabled=wanted)
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

    def _wait(self, wait: Wait, container: models.Container) -> models.Container:
        def on_tick(seen: models.Container | None, elapsed: float) -> None:
            status = container.status if seen is None else seen.status
            held = self.session.client.feed.held_back()
            until = f"the rate limit allows the next look in {held:.0f} s" if held >= 1 else _USUALLY
            self.op.progress(f"{status} ({elapsed:.0f} s), {until}")

        found = self.session.client.feed.wait(
            wait, container.id, deadline=self.op.deadline, on_tick=on_tick, cancelled=self.op.cancelled
        )
        if found is None:
            msg = f"container {container.id} vanished"
            raise VanishedError(msg, subject=f"container {container.id}")
        return found


def _reason(error: StacksError) -> str:
    if isinstance(error, WaitTimeoutError) and error.last_state is not None:
        return (
            f'it is still "{error.last_state}" after {error.elapsed:.0f} s, which is all the time that it had '
            "(custom_timeouts gives it more)"
        )
    if isinstance(error, UnexpectedStateError):
        return f'its status is "{error.last_state}" after {error.elapsed:.0f} s'
    return str(error)


def find_container(session: Session, id_: str, *, fresh: bool = False) -> models.Container | None:
    """
    A container, from a list that the reads of this moment share; `None` only if it is certainly gone.

    Whoever is about to act on what it sees asks for a fresh list.

    A list that comes back empty by mistake must not make the engine forget what is billed, so an absence is
    confirmed by asking for the container itself.
    """
    snapshot = session.client.feed.snapshot
    listed = snapshot() if fresh else session.reads.get("containers", ask=snapshot)
    found = next((container for container in listed if container.id == id_), None)
    if found is not None:
        return found
    try:
        return session.client.containers.status(id_)
    except NotFoundError:
        return None
