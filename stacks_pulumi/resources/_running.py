"""What most things need of their container: that it runs."""

from __future__ import annotations

from stacks_pulumi.api import models
from stacks_pulumi.api.wait import CREATED, Wait
from stacks_pulumi.errors import UnexpectedStateError
from stacks_pulumi.resources._container_view import STATUS_RUNNING
from stacks_pulumi.resources._operation import Operation
from stacks_pulumi.resources._session import Session

__all__ = ["wait_for", "wait_until_running"]


def wait_until_running(session: Session, op: Operation, container: str, purpose: str) -> None:
    """
    Go on once the container runs; at once, if it does.

    Args:
        session: The account.
        op: The operation.
        container: Its id.
        purpose: What it is needed for, to complete "... needs a container that runs".

    Raises:
        UnexpectedStateError: It is stopped or failed, and will not run by itself.
        WaitError: It did not run in time, or is not there.
    """
    found = session.client.feed.find(container)
    if found is not None and found.status == STATUS_RUNNING:
        return
    try:
        wait_for(session, op, CREATED, container, "waiting for")
    except UnexpectedStateError as error:
        msg = (
            f"{purpose} needs a container that runs, and {container} is {error.last_state!r}: "
            'start it (desired_status="running")'
        )
        raise UnexpectedStateError(
            msg, subject=error.subject, last_state=error.last_state, elapsed=error.elapsed
        ) from None


def wait_for(
    session: Session, op: Operation, wait: Wait, container: str, doing: str
) -> models.Container | None:
    """Wait for a state of a container, for as long as the operation may take, and show what is seen."""

    def on_tick(seen: models.Container | None, elapsed: float) -> None:
        op.progress(
            f"{doing} {container}: {'not listed yet' if seen is None else seen.status} ({elapsed:.0f} s)"
        )

    return session.client.feed.wait(
        wait, container, deadline=op.deadline, on_tick=on_tick, cancelled=op.cancelled
    )
