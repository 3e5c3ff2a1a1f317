"""Checks whether a child resource's container is running, and whether it belongs to this stack."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeVar

from stacks_pulumi._clock import sleep_with_pulse
from stacks_pulumi.api import models
from stacks_pulumi.api.wait import CREATED
from stacks_pulumi.errors import (
    BadRequestError,
    ConflictError,
    StacksError,
    UnexpectedStateError,
    VanishedError,
    WaitCancelledError,
)
from stacks_pulumi.pricing.recognition import is_unknown
from stacks_pulumi.resources._container_lifecycle import STATUS_RUNNING
from stacks_pulumi.resources._identity import (
    CONTAINER_CREATED_AT,
    IDENTITY_CONFLICT,
    RECENT,
    find_container,
    may_be_another,
    uncertain,
)
from stacks_pulumi.resources._operation import EngineCall, Operation
from stacks_pulumi.resources._owners import BACKUPS, OWNERS, PARENT_TIMES
from stacks_pulumi.resources._resource import ParentInProgram
from stacks_pulumi.resources._session import Session
from stacks_pulumi.resources._stored import shown_time

R = TypeVar("R")
_PAUSE: Final = 2.0


def runs(
    parent: ParentInProgram, olds: Mapping[str, Any], inputs: Mapping[str, Any], name: str, purpose: str
) -> Iterable[tuple[str, str]]:
    """
    Return the violation if a new child resource needs a running container but the program keeps that container stopped.

    With `adopt="if_matching"`, the child may already exist, and then it does not need a running container.
    """
    if not olds and parent.is_stopped and inputs.get("adopt") != "if_matching":
        yield (
            name,
            f'{purpose} needs a running container, but the program sets desired_status="stopped" on this one',
        )


def lost_with_its_container(olds: Mapping[str, Any], inputs: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """
    Return the violation if this change would first destroy the backup that it needs (`backup_id`) with its container.
    """
    named, now = inputs.get("backup_id"), inputs.get("container")
    # When a container is replaced, the engine passes only the new inputs of its children.
    container = olds.get("container") or BACKUPS.get(str(named))
    owner = OWNERS.owner("Container", container) if isinstance(container, str) else None
    if named is None or owner is None or not owner.replacing or not (is_unknown(now) or now == container):
        return
    why = (
        f"this change replaces the container {owner.name!r}, which destroys its backups, including this one. To keep "
        "it, keep the container; to replace the container and lose its backups, remove this resource from the program"
    )
    yield "backup_id", why


def is_own_container(session: Session, id_: str) -> bool:
    """
    Return whether this stack may have created a child in the container without recording it in the state.

    This is possible if this stack owns the container, unless this operation has created the container.
    """
    if session.fresh.created_at(id_) is not None:
        return False
    owner = OWNERS.owner("Container", id_)
    if owner is None:
        return False
    now = creation_time(session, id_)
    return not may_be_another(session, owner.created_at, now)


def creation_time(session: Session, id_: str) -> str | None:
    """
    Return a container's creation time from a recent list, or from its status; `None` if neither shows it.

    For a container that this operation has created, the list need not be recent. An unreadable list causes no error,
    because the outputs of an existing object must not be lost.
    """
    created_at = session.fresh.created_at(id_)
    if created_at is not None:
        return created_at
    feed, client = session.client.feed, session.client
    try:
        # After a creation this sends no request: the wait for the new container has just read a list.
        container = feed.find(id_, max_age=60.0) or feed.find(id_, max_age=RECENT)
        if container is not None and container.created_at is None:
            container = session.reads.get("status", id_, ask=lambda: client.containers.find(id_))
    except WaitCancelledError:
        raise
    except StacksError:
        return None
    return None if container is None else container.created_at


def check_not_recreated(session: Session, id_: str, created_at: str | None) -> None:
    """
    Refuse to create a child in a different container that has the same id as this program's container.

    Raises:
        StacksError: In the state, the container with that id has a different creation time.
    """
    owner = OWNERS.owner("Container", id_)
    known = PARENT_TIMES.of(id_)
    if owner is None and known is None:
        return
    if created_at is None and known is not None:
        # A missing time or an unreadable list proves nothing.
        found = find_container(session, id_)
        created_at = None if found is None else found.created_at
    if may_be_another(session, known, created_at):
        msg = (
            f"{uncertain(id_, {'created_at': known}, created_at)}. Nothing was created in it: run `pulumi refresh`, "
            "which shows what to do"
        )
        raise StacksError(msg, code="identity-unclear")


def rebinds(call: EngineCall, id_: str, olds: Mapping[str, Any], news: Mapping[str, Any]) -> bool:
    """
    Return whether an update adopts the object that now has the id; if so, warn, because the preview shows only an
    update.
    """
    now = olds.get(IDENTITY_CONFLICT)
    if now is None or news.get("adopt") != "if_matching":
        return False
    known = olds.get(CONTAINER_CREATED_AT) or olds.get("created_at")
    call.warn(
        f'`up` adopts {id_} again, because of adopt="if_matching". Its container was created at {shown_time(now)}; '
        f"the creation time in the state is {shown_time(known)}: it may belong to another stack. If it does, run "
        f"`pulumi state delete {shlex.quote(call.urn)}` before `up`"
    )
    return True


def wait_until_running(session: Session, op: Operation, purpose: str, *containers: str) -> None:
    """
    Wait until the containers are running. If they already are, one list request is enough.

    Raises:
        StacksError: A container has been recreated outside of this program.
        UnexpectedStateError: A container is stopped or has failed, and will not start by itself.
        VanishedError: A container does not exist.
        WaitTimeoutError: A container was not running in time.
    """
    # During the wait for one container, another may have been restarted, so only a check of all containers together is
    # valid.
    while (waiting := _not_running(session, purpose, containers)) is not None:
        status = waiting.status
        started = session.fresh.is_starting(waiting.id)
        # A container that this operation has started may pass through other statuses, and a list may still show the
        # failed state from before the start.
        if started or status not in CREATED.failed:
            try:
                session.wait(op, CREATED, waiting.id)
                op.check(f"{waiting.id}, which lists show alternately as running and not running")
                continue
            except UnexpectedStateError as error:
                status = error.last_state
        msg = (
            f"{purpose} needs a running container, but {waiting.id} is {status}: start it "
            '(desired_status="running")'
        )
        raise UnexpectedStateError(
            msg, code="container-not-running", subject=waiting.id, last_state=status, elapsed=op.elapsed()
        )


def once_running(
    session: Session, op: Operation, purpose: str, containers: tuple[str, ...], act: Callable[[], R]
) -> R:
    """
    Wait until the containers are running, and return the result of `act`.

    The API may refuse `act` although a list shows the containers as running, because lists lag behind, and a container
    may have been restarted. So `act` is repeated for as long as a list may lag behind.
    """
    clock, until = session.clock, None
    while True:
        wait_until_running(session, op, purpose, *containers)
        try:
            return act()
        except (BadRequestError, ConflictError):
            if are_running(session, *containers):
                until = clock.now() + session.client.platform.lag if until is None else until
                if clock.now() >= until:
                    raise
        op.progress(f"{purpose} was refused: trying again")
        sleep_with_pulse(_PAUSE, clock, op.check_active)


def are_running(session: Session, *containers: str) -> bool:
    """
    Return whether a new list shows all of these containers as running. A container that is missing in the list is
    treated as running.
    """
    listed = session.client.feed.snapshot()
    return all(one.status == STATUS_RUNNING for one in listed if one.id in containers)


def _not_running(session: Session, purpose: str, containers: tuple[str, ...]) -> models.Container | None:
    listed = {container.id: container for container in session.client.feed.snapshot()}
    waiting = None
    for id_ in containers:
        row = listed.get(id_)
        container = _alone(session, purpose, id_) if row is None or row.status is None else row
        check_not_recreated(session, id_, container.created_at)
        if waiting is None and container.status != STATUS_RUNNING:
            waiting = container
    return waiting


def _alone(session: Session, purpose: str, id_: str) -> models.Container:
    """Request a container that the list does not contain, and return it: the list may be wrong or lag behind."""
    found = find_container(session, id_)
    if found is None:
        msg = (
            f"{purpose} needs the container {id_}, but the account has no container with that id. If it was deleted "
            "outside of this program, run `pulumi refresh`, or remove the resources that need it from the program; if "
            "it is in another account, use the key of that account; if this is a name, pass the Container or its id"
        )
        raise VanishedError(msg, code="not-found", subject=id_)
    return found


def patiently(
    session: Session,
    op: Operation,
    what: str,
    ask: Callable[[], R],
    not_yet: tuple[type[StacksError], ...],
    *,
    seconds: float | None = None,
) -> R:
    """
    Return the response to a request. While the request fails with one of the given errors, it is repeated, for
    `seconds` or for as long as the platform needs to settle.
    """

    def look() -> R | StacksError:
        try:
            return ask()
        except not_yet as error:
            return error

    seen = op.look_until(
        lambda seen: not isinstance(seen, StacksError),
        look,
        seconds=session.client.platform.settle if seconds is None else seconds,
        waiting=f"waiting for {what}",
    )
    if isinstance(seen, StacksError):
        raise seen
    return seen
