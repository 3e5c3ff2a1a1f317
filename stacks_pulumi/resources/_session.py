"""
The objects that all operations on one account share: the client, the responses that many resources read, the spending
cap and the new containers.

The client contains the rate limiter, the connections and the shared polling, so all waits share one poll. Each provider
has its own settings. A host process serves one run of the engine, and each explicit provider has a separate process.
"""

from __future__ import annotations

import contextlib
import datetime
import math
import threading
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, Final, TypeVar

import msgspec
import pulumi

from stacks_pulumi._clock import SYSTEM_CLOCK, Clock, Pulse, Turns, wait_while
from stacks_pulumi.api import StacksClient, models
from stacks_pulumi.api.allowed_ips import canonical
from stacks_pulumi.api.wait import CREATED, Wait
from stacks_pulumi.config import AccountSettings
from stacks_pulumi.errors import (
    BadRequestError,
    ConflictError,
    ExistsError,
    NoCapacityError,
    SpendingCapError,
)
from stacks_pulumi.resources._operation import Operation, current_operation, limit_text
from stacks_pulumi.resources._restarts import EXPECTED, Restarts

_T = TypeVar("_T")
_Key = tuple[str, ...]

MAX_AGE: Final = 600.0
"""
Seconds for which a response is reused. The responses during a refresh are never from the same moment anyway.

This time is longer than a large refresh takes under the rate limit: a response that expires during the refresh would
be requested again.
"""


class _Answer(msgspec.Struct, frozen=True):
    value: Any
    requested_at: float
    changes: int


class Reads:
    """
    The responses that many resources of one account share.

    Without this class, a refresh of two hundred containers would send two hundred requests for data that one list
    contains. The engine starts only a few reads at a time, so sharing only the requests in flight would not be
    enough. A response is used again while it is recent and this process has changed nothing since the request.
    """

    def __init__(self, clock: Clock, pulse: Pulse | None = None) -> None:
        self._clock = clock
        self._pulse = pulse
        self._changed = threading.Condition()
        self._requested: set[_Key] = set()
        self._answers: dict[_Key, tuple[_Answer, ...]] = {}
        self._changes = 0

    @contextlib.contextmanager
    def changing(self) -> Iterator[None]:
        """Enclose a change. A response that was requested before the end of the change is not reused afterwards."""
        try:
            yield
        finally:
            with self._changed:
                self._changes += 1

    def get(self, *key: str, ask: Callable[[], _T], max_age: float = MAX_AGE, since: float = -math.inf) -> _T:
        """
        Return the response for a key; request it again if it is too old, or was requested before `since`.

        Callers that arrive while a request is in progress share its response, however long it takes. An exception from
        `ask` is raised only in the caller that sent the request. The next caller sends it again.
        """
        return self.dated(*key, ask=ask, max_age=max_age, since=since)[0]

    def dated(
        self, *key: str, ask: Callable[[], _T], max_age: float = MAX_AGE, since: float = -math.inf
    ) -> tuple[_T, float]:
        """Return the response for a key, and the time of its request."""
        came = self._clock.now()
        with self._changed:
            wait_while(lambda: key in self._requested, self._changed, self._clock, self._pulse)
            for known in self._answers.get(key, ()):
                is_new = came - known.requested_at < max_age and known.requested_at >= since
                if is_new and known.changes == self._changes:
                    return known.value, known.requested_at
            self._requested.add(key)
            requested_at, changes = self._clock.now(), self._changes
        try:
            answer = ask()
        except BaseException:
            self._done(key, None)
            raise
        self._done(key, _Answer(answer, requested_at, changes))
        return answer, requested_at

    def _done(self, key: _Key, answer: _Answer | None) -> None:
        with self._changed:
            self._requested.discard(key)
            if answer is not None:
                # Keep the oldest usable answer: together with the newest answer, it serves every caller that needs
                # two looks.
                oldest = [
                    one
                    for one in self._answers.get(key, ())
                    if one.changes == self._changes and self._clock.now() - one.requested_at < MAX_AGE
                ]
                self._answers[key] = (*oldest[:1], answer)
            self._changed.notify_all()


class SpendGuard:
    """
    The spending cap and the amount spent, as a 402 response reported them in this operation.

    Before the first 402, the guard refuses nothing. The values do not become stale, because a process exists for only
    one run of the engine.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: tuple[Decimal, Decimal] | None = None

    def admit(self, name: str, price: Decimal | None) -> None:
        """
        Check that the cap allows a create, without a request to the API.

        Raises:
            SpendingCapError: A 402 has reported the cap, and the price is more than is left of the cap.
        """
        if self._known is not None and price is not None:
            cap, spent = self._known
            if price > cap - spent:
                raise self._error(
                    name, price, cap, spent, " (known from an earlier answer; no request was sent)"
                )

    def learn(self, name: str, price: Decimal | None, error: SpendingCapError) -> SpendingCapError:
        """Store the values from a 402, and return an error that explains them for this container."""
        if error.spending_cap is None or error.amount_spent is None:
            return error
        self._known = cap, spent = Decimal(str(error.spending_cap)), Decimal(str(error.amount_spent))
        return self._error(name, price, cap, spent)

    def _error(
        self, name: str, price: Decimal | None, cap: Decimal, spent: Decimal, end: str = ""
    ) -> SpendingCapError:
        """
        Return the error with the cap, the amount spent, the price, the missing amount, the reset date and the remedy.
        """
        left = cap - spent
        if price is None:
            cost = "its price is unknown"
        elif price > left:
            cost = f"it costs ${price:.2f} a month, ${price - left:.2f} more than is left of the cap"
        else:
            cost = f"it costs ${price:.2f} a month"
        msg = (
            f'create container "{name}": 402 spending cap: the key may spend ${cap:.2f} a month and ${spent:.2f} is '
            f"spent; {cost}. The cap resets on {self._next_month():%Y-%m-%d} (UTC). Raise it in the dashboard, or "
            f"choose a cheaper plan{end}"
        )
        return SpendingCapError(msg, status=402, spending_cap=float(cap), amount_spent=float(spent))

    def _next_month(self) -> datetime.date:
        today = datetime.datetime.fromtimestamp(self._clock.wall(), datetime.timezone.utc).date()
        return (today.replace(day=1) + datetime.timedelta(days=32)).replace(day=1)


REFUSALS: Final = (BadRequestError, ConflictError, ExistsError)
"""
Errors that show that the API did not carry out a request. After such an error, list the children and send the request
again.
"""


class Waitlist:
    """
    The containers that wait for capacity in this run of the engine.

    A hook in a program can make the engine repeat a create up to a hundred times, and each request would add the
    account to the waitlist.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, NoCapacityError] = {}

    def admit(self, name: str) -> None:
        """
        Check that the container is not already waiting.

        Raises:
            NoCapacityError: The container is waiting already. No request was sent.
        """
        error = self._waiting.get(name.casefold())
        if error is not None:
            raise error.but()

    def join(self, name: str, error: NoCapacityError) -> NoCapacityError:
        """Record that the container is waiting, and return an error that states what happens next."""
        msg = (
            f"{error.message}. If STACKS creates it later from the waitlist, the next `pulumi up` reports that "
            'the name is taken: then adopt it (adopt="if_matching")'
        )
        return self._waiting.setdefault(name.casefold(), error.but(message=msg))


class FreshContainers:
    """
    The containers that this run of the engine has created, and the known facts about their children.

    Before the provider creates a child, it lists the container's children, to find a child that exists already. A
    container that was created a moment ago has only the children that the API itself adds, so this list request is
    skipped. A container is identified by its id and creation time. The request is sent as usual if the newest list does
    not contain the container, or if the child and the container have different providers.

    There is no lock, because each method reads or changes single entries, and none depends on two of them.
    """

    def __init__(self, seen: Callable[[str], models.Container | None]) -> None:
        self._seen = seen
        self._created: dict[str, str] = {}
        self._started: set[str] = set()
        self._opened: dict[str, models.ExternalAccess] = {}
        self._revoked: set[str] = set()

    def add(self, id_: str) -> None:
        """
        Record that this operation has created the container. A container without a listed creation time is not
        recorded.
        """
        container = self._seen(id_)
        self.remove(id_)
        if container is not None and container.created_at is not None:
            self._created[id_] = container.created_at

    def start(self, id_: str) -> None:
        """Record that this operation starts the container, which may have other statuses until it is running."""
        self._started.add(id_)

    def is_starting(self, id_: str) -> bool:
        """Return whether this operation has created or started the container."""
        return id_ in self._started or self.created_at(id_) is not None

    def add_access(self, id_: str, access: models.ExternalAccess) -> None:
        """
        Record the response to the request that turned external access on. The API then adds the caller's address to the
        list.
        """
        if access.enabled:
            self._revoked.discard(id_)
            self._opened[id_] = access

    def revoke(self, id_: str) -> None:
        """Record that the entry that the API added was removed from the list, or did not appear in time."""
        self._revoked.add(id_)

    def remove(self, id_: str) -> None:
        """Forget a deleted container."""
        self._created.pop(id_, None)
        self._opened.pop(id_, None)

    def opened_for(self, id_: str) -> str | None:
        """
        Return the caller's address, if this operation has turned the container's external access on.

        The result is an empty string if the API did not return the address, and `None` if external access was already
        on, or is off.
        """
        access = self._opened.get(id_)
        return None if access is None else canonical(access.your_ip)

    def was_revoked(self, id_: str) -> bool:
        """
        Return whether the caller's address was removed, or did not appear in time, after external access was turned on.
        """
        return id_ in self._revoked

    def created_at(self, id_: str) -> str | None:
        """Return the container's creation time; `None` unless this operation has created it."""
        row = self._row(id_)
        return None if row is None else row.created_at

    def are_running(self, *ids: str) -> bool:
        """
        Return whether this operation has created all of these containers, and the newest list shows them as running.
        """
        rows = [self._row(id_) for id_ in ids]
        return all(row is not None and row.status in CREATED.target for row in rows)

    def lacks_address(self, id_: str, address: str, *, revoke: bool) -> bool:
        """Return whether an address can be added without reading the list of allowed addresses first."""
        access = self._opened.get(id_)
        # If the outcome was unknown, `access` is from a list, whose entries another client may have added.
        if self.created_at(id_) is None or access is None or not access.your_ip or access.allowed_ips:
            return False
        return id_ in self._revoked or (not revoke and canonical(access.your_ip) != canonical(address))

    def _row(self, id_: str) -> models.Container | None:
        """Return a container that this operation has created, as the newest list shows it."""
        created_at = self._created.get(id_)
        row = None if created_at is None else self._seen(id_)
        # Both times are from lists, so they have the same format.
        return row if row is not None and row.created_at == created_at else None


class Session(msgspec.Struct, frozen=True):
    """
    The objects that the operations of one provider use. All providers of an account share them, except the settings.

    Attributes:
        settings: The provider's settings.
        client: The client.
        clock: The clock to wait with.
        spending: The key's spending cap, known after a 402.
        waitlist: The containers that wait for capacity.
        reads: Responses that many resources share.
        restarts: Restarts that many connections share.
        fresh: The containers that this run of the engine has created or started.
        fingerprint: A partial digest of base URL and key, from which the key cannot be recovered.
        begun: The time, by the clock, when this run of the engine first used the account.
    """

    settings: AccountSettings
    client: StacksClient
    clock: Clock
    spending: SpendGuard
    reads: Reads
    restarts: Restarts
    fresh: FreshContainers
    fingerprint: str
    waitlist: Waitlist = msgspec.field(default_factory=Waitlist)
    begun: float = 0.0
    _turns: Turns = msgspec.field(default_factory=Turns)
    _warned: dict[str, object] = msgspec.field(default_factory=dict)

    def wait(
        self,
        op: Operation,
        wait: Wait,
        id_: str,
        *,
        shown: Callable[[models.Container | None], str] | None = None,
        is_new: bool = False,
        is_it: Callable[[models.Container], bool] | None = None,
    ) -> models.Container | None:
        """
        Show a container's status until it reaches the given state, or until the operation's deadline. See `Feed.wait`.
        """

        def named(seen: models.Container | None) -> str:
            return f"{id_}: not listed yet" if seen is None else f"{seen.name}: {seen.status}"

        text = shown or named
        return self.client.feed.wait(
            wait,
            id_,
            deadline=op.deadline,
            on_tick=lambda seen, _elapsed: op.progress(text(seen)),
            cancelled=op.cancelled,
            is_new=is_new,
            is_it=is_it,
            warn=lambda warning: op.warn(f"{id_}: {warning}"),
        )

    def turn(self, container: str) -> contextlib.AbstractContextManager[None]:
        """Return a context that keeps other operations from reading and changing the addresses of a container."""
        return self._turns.of(container, self.clock, check_operation)

    def first(self, text: str) -> bool:
        """Return whether this is the first call with this text, so that a shared warning is shown only once."""
        # `setdefault` is atomic, so only one thread gets its own object back.
        mine = object()
        return self._warned.setdefault(text, mine) is mine


_sessions: Final[dict[tuple[str, str, int, str | None], Session]] = {}
_lock: Final = threading.Lock()


def session_for(settings: AccountSettings) -> Session:
    """
    Return the session of a provider; the client of its account is created on first use.

    Raises:
        ConfigError: No API key is configured.
    """
    key, fingerprint = settings.require_key(), settings.fingerprint
    # The request limit and the platform file are settings of the client, so they identify a session too. So does the
    # key, because two grants of one account may allow different requests.
    file = None if settings.platform is None else settings.platform.path
    account = (settings.base_url, key, settings.requests_per_minute, file)
    with _lock:
        session = _sessions.get(account)
        if session is None:
            client = StacksClient.of(settings, _report_limit, _report_wait, _check_awaited)
            session = _sessions[account] = Session(
                settings,
                client,
                SYSTEM_CLOCK,
                spending=SpendGuard(SYSTEM_CLOCK),
                reads=Reads(SYSTEM_CLOCK, check_operation),
                restarts=Restarts(SYSTEM_CLOCK, EXPECTED),
                fresh=FreshContainers(client.feed.seen),
                fingerprint=fingerprint,
                begun=SYSTEM_CLOCK.now(),
            )
    return msgspec.structs.replace(session, settings=settings)


def close_sessions() -> None:
    """Close the clients of all accounts, and forget the data of the run of the engine that has ended."""
    with _lock:
        sessions = list(_sessions.values())
        _sessions.clear()
    for session in sessions:
        session.client.close()


def check_operation() -> None:
    """End a wait for a different operation if this thread's own operation was cancelled or has timed out."""
    _checked("another operation on the same account")


def _checked(waiting_for: str) -> Operation | None:
    """Return this thread's operation, if any; raise an error if the operation was cancelled or has timed out."""
    operation = current_operation()
    if operation is not None:
        operation.check(waiting_for)
    return operation


_next_line: Final = [0.0]
"""The time at which data functions may show their next line about the rate limit."""


def _report_wait(text: str) -> None:
    operation = _checked(text)
    if operation is not None:
        operation.progress(text)


def _check_awaited() -> None:
    """
    End a call if no engine waits for its operation any more. Otherwise the call could change or delete an object of the
    next run.
    """
    operation = current_operation()
    if operation is not None:
        operation.check_active()


def _report_limit(seconds: float, queued: int) -> None:
    text, operation = f"{limit_text(seconds)}, {queued} queued", _checked("the rate limit")
    if seconds < 1:
        # Show no short wait: it would only make the line flicker.
        return
    if operation is not None:
        operation.progress(text)
    elif SYSTEM_CLOCK.now() >= _next_line[0]:
        # There is no operation in a data function, which the program may call in many threads: one line serves all.
        _next_line[0] = SYSTEM_CLOCK.now() + 5.0
        pulumi.log.info(text, ephemeral=True)
