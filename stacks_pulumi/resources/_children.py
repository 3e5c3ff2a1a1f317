"""
The search, comparison, removal and fast creation of a resource that belongs to a container.

The API has no path for a single child. A child is treated as deleted if its container is deleted, or if two searches
with a pause between them do not find it.
"""

from __future__ import annotations

import contextlib
import functools
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from stacks_pulumi._clock import sleep_with_pulse
from stacks_pulumi._identifiers import is_unique, seconds_between
from stacks_pulumi.errors import NotFoundError, UnreadableAnswerError
from stacks_pulumi.resources._handler import ResourceHandler
from stacks_pulumi.resources._identity import RECENT, find_container
from stacks_pulumi.resources._operation import Operation
from stacks_pulumi.resources._resource import own_name, parent_id
from stacks_pulumi.resources._running import once_running
from stacks_pulumi.resources._session import MAX_AGE, REFUSALS, Session
from stacks_pulumi.resources._stored import shown_time

T = TypeVar("T")
_T = TypeVar("_T")


class ContainerGoneError(Exception):
    """The container and its children are certainly deleted."""


class Ask(Protocol):
    """
    A function that sends a request during the search for a child and returns the response. A key identifies the
    request.
    """

    def __call__(self, *key: str, ask: Callable[[], _T]) -> _T:
        """Return the response; send the request only if there is no recent response that the search may use."""


class ChildHandler(ResourceHandler, Generic[T]):
    """
    The base class of the kinds whose objects belong to a container. Each kind implements one search, the comparison
    with the state, and the removal.
    """

    @abstractmethod
    def look(self, session: Session, id_: str, olds: Mapping[str, Any], get: Ask) -> T | None:
        """Return the object as lists show it; `None` if no list contains it. See `find_child`."""

    @abstractmethod
    def is_ours(self, id_: str, olds: Mapping[str, Any], found: T) -> bool:
        """Return whether the object is the one in the state, not a later object with the same id."""

    @abstractmethod
    def remove(self, session: Session, id_: str, olds: Mapping[str, Any]) -> None:
        """Remove the object by its id."""

    @abstractmethod
    def describe(self, id_: str, found: T) -> str:
        """Return a description of the object for a message."""

    time: ClassVar = "created_at"
    """The name of the output that contains the object's creation time."""

    has_own_id: ClassVar[bool] = True
    """Whether the platform has assigned the object's id; if not, the program chose the id and may use it again."""

    def check_container(
        self, session: Session, op: Operation, id_: str, olds: Mapping[str, Any], found: T | None
    ) -> None:
        """Check that the container is ours before changing an object that does not show its owner."""

    def find(
        self,
        session: Session,
        op: Operation,
        id_: str,
        olds: Mapping[str, Any],
        *,
        max_age: float = MAX_AGE,
        reads: bool = False,
    ) -> T | None:
        """
        Return the object in the state; `None` if it is certainly gone, or if a different object now has its id.

        A different object is left alone, with a warning. `max_age` is the maximum age of the responses for the first
        search.
        """
        look = functools.partial(self.look, session, id_, olds)
        found = find_child(session, op, id_, look, max_age=max_age)
        if found is None:
            return None
        if self.is_ours(id_, olds, found):
            if not reads:
                self.check_container(session, op, id_, olds, found)
            return found
        made, now = olds.get(self.time), getattr(found, "created_at", None)
        leave_alone(op, self.describe(id_, found), made, now, refresh=reads)
        return None

    def on_delete(self, session: Session, op: Operation, id_: str, olds: dict[str, Any]) -> None:
        """Remove the object, if it is the one in the state. If its id is never reused, no search is needed."""
        if not (self.has_own_id and is_unique(own_name(id_))):
            try:
                if self.find(session, op, id_, olds, max_age=RECENT) is None:
                    return
            except UnreadableAnswerError:
                # An incomplete list may lack the object, but its own id is enough for our request.
                self.check_container(session, op, id_, olds, None)
        try:
            self.remove(session, id_, olds)
        except NotFoundError:
            # A 404 proves nothing: the object may still be in a list.
            if self.find(session, op, id_, olds, max_age=0.0) is not None:
                self.remove(session, id_, olds)


def fast_or_once_running(
    session: Session,
    op: Operation,
    purpose: str,
    containers: tuple[str, ...],
    create: Callable[[tuple[()] | None], T],
) -> T:
    """
    Call `create` as soon as the containers run, and return its result.

    `create` receives the existing objects, or `None` if it must list them itself. A container that this operation has
    created is still empty, so for this container `create` receives an empty list. If the API then refuses the creation,
    `create` is called again with `None`.
    """
    if session.fresh.are_running(*containers):
        with contextlib.suppress(*REFUSALS):
            return create(())
    return once_running(session, op, purpose, containers, lambda: create(None))


def find_child(
    session: Session, op: Operation, id_: str, look: Callable[[Ask], T | None], *, max_age: float = MAX_AGE
) -> T | None:
    """
    Return a child; `None` only if it is certainly gone.

    It is gone if its container is gone, or if two searches with a pause between them do not find it. Searches for
    several children share their responses, and therefore also the pause.

    Raises:
        StacksError: A list is incomplete.
    """
    clock, reads, looked = session.clock, session.reads, list[float]()

    def asked(*key: str, ask: Callable[[], _T]) -> _T:
        answer, requested_at = reads.dated(*key, ask=ask, max_age=max_age)
        looked.append(requested_at)
        return answer

    def seen(get: Ask, *, shared: bool) -> T | None:
        try:
            return look(get)
        except NotFoundError:
            # The API does not find the child's list. `find_container` decides whether the container still exists.
            if find_container(session, parent_id(id_), shared=shared) is None:
                raise ContainerGoneError from None
            return None

    began = clock.now()
    try:
        found = seen(asked, shared=True)
        if found is None:
            since = max(looked, default=began) + session.client.platform.pause
            sleep_with_pulse(since - clock.now(), clock, op.second_look(id_, "is not listed"))
            found = seen(functools.partial(reads.get, since=since), shared=False)
    except ContainerGoneError:
        return None
    return found


def same_time(stored: str | None, listed: str | None, *, slack: float = 1.0) -> bool | None:
    """
    Return whether two times of an object are the same; `None` if one is missing or unreadable.

    They may differ by `slack` seconds, because the time in a create response is provisional.
    """
    seconds = seconds_between(stored, listed)
    return None if seconds is None else abs(seconds) <= slack


def same_content(stored: Mapping[str, Any], listed: Mapping[str, Any]) -> bool:
    """Return whether the state and the list have equal values for each field that both contain."""
    return all(stored.get(name) in {None, "", value} for name, value in listed.items() if value is not None)


def leave_alone(
    op: Operation, what: str, stored: str | None, listed: str | None, *, refresh: bool = False
) -> None:
    """Warn that an object is not the one in the state, although it has the same id."""
    times = (
        f" (it was created at {listed}; the time in the state is {shown_time(stored)})"
        if stored or listed
        else ""
    )
    end = f", and {op.label!r} is reported as deleted" if refresh else ""
    op.warn(f"{what} is now a different object{times}: it is left alone{end}")
