"""
One client for each account in this process, for all resources and provider classes.

The rate limiter, the connections and the shared polling are in the client, so one poll serves every wait. Each provider
has its own settings.
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import pulumi

from stacks_pulumi import _cap_record
from stacks_pulumi._clock import SYSTEM_CLOCK, Clock, wait_while
from stacks_pulumi.api import StacksClient
from stacks_pulumi.config import AccountSettings
from stacks_pulumi.resources._created_containers import CreatedContainers
from stacks_pulumi.resources._expected_connections import EXPECTED
from stacks_pulumi.resources._operation import current_operation
from stacks_pulumi.resources._ownership import OWNERSHIP
from stacks_pulumi.resources._reads import Reads
from stacks_pulumi.resources._restarts import Restarts
from stacks_pulumi.resources._spending import SpendGuard

__all__ = ["Session", "end_operation", "fingerprint_of", "session_for"]


@dataclass(frozen=True)
class Session:
    """
    The objects that the operations of one provider use. All providers of an account share them, except the settings.

    Attributes:
        settings: The provider's settings.
        client: The client.
        clock: The clock to wait with.
        spending: The key's spending cap, known after a 402.
        reads: Responses that many resources share.
        restarts: Restarts that many connections share.
        created: The containers that this operation of the engine has created.
        fingerprint: Part of a digest of base URL and key, from which the key cannot be recovered.
    """

    settings: AccountSettings
    client: StacksClient
    clock: Clock
    spending: SpendGuard
    reads: Reads
    restarts: Restarts
    created: CreatedContainers
    fingerprint: str
    _busy: set[str] = field(default_factory=set, repr=False)
    _changed: threading.Condition = field(default_factory=threading.Condition, repr=False)

    @contextlib.contextmanager
    def turn(self, subject: str) -> Iterator[None]:
        """Let one operation at a time work on a subject, for operations that read before they change it."""
        with self._changed:
            wait_while(lambda: subject in self._busy, self._changed, self.clock, _check_operation)
            self._busy.add(subject)
        try:
            yield
        finally:
            with self._changed:
                self._busy.discard(subject)
                self._changed.notify_all()


_sessions: Final[dict[tuple[str, int], Session]] = {}
_lock: Final = threading.Lock()


def fingerprint_of(settings: AccountSettings) -> str:
    """Return a digest that identifies this base URL and key."""
    return _cap_record.fingerprint(settings.base_url, settings.api_key)


def session_for(settings: AccountSettings) -> Session:
    """
    Return the session of a provider; the client of its account is created on first use.

    Raises:
        ConfigError: No API key is configured.
    """
    api_key, fingerprint = settings.require_key(), fingerprint_of(settings)
    # The request limit is a setting too, and the client applies it, so it is part of the client's key.
    account = (fingerprint, settings.requests_per_minute)
    with _lock:
        session = _sessions.get(account)
        if session is None:
            client = StacksClient(
                api_key,
                base_url=settings.base_url,
                allow_http=settings.allow_http,
                requests_per_minute=settings.requests_per_minute,
                on_limit=_report_limit,
            )
            session = _sessions[account] = Session(
                settings,
                client,
                SYSTEM_CLOCK,
                spending=SpendGuard(SYSTEM_CLOCK, fingerprint),
                reads=Reads(SYSTEM_CLOCK, _check_operation),
                restarts=Restarts(SYSTEM_CLOCK, EXPECTED),
                created=CreatedContainers(client.feed.seen),
                fingerprint=fingerprint,
            )
    return dataclasses.replace(session, settings=settings)


def end_operation() -> None:
    """
    Discard the data of an operation of the engine that has ended, because another one follows in this process.

    That happens in a plugin that serves one engine after another.
    """
    with _lock:
        sessions = list(_sessions.values())
        _sessions.clear()
    for session in sessions:
        session.client.close()
    OWNERSHIP.clear()
    EXPECTED.clear()


def _check_operation() -> None:
    """End a wait for another operation if this thread's operation was cancelled or has timed out."""
    operation = current_operation()
    if operation is not None:
        operation.check_active()
        operation.check_time("another operation on the same account")


class _Sometimes:
    """An action that all callers together do at most once in a number of seconds."""

    def __init__(self, seconds: float, clock: Clock) -> None:
        self._seconds = seconds
        self._clock = clock
        self._next = -seconds
        self._lock = threading.Lock()

    def due(self) -> bool:
        """Return whether the action is due; true for only one caller."""
        with self._lock:
            if self._clock.now() < self._next:
                return False
            self._next = self._clock.now() + self._seconds
            return True


_program_said: Final = _Sometimes(5.0, SYSTEM_CLOCK)


def _report_limit(seconds: float, queued: int) -> None:
    text = f"rate limit: {seconds:.0f} s, {queued} queued"
    operation = current_operation()
    if operation is None:
        # A data function: the program calls it, perhaps in many threads.
        if seconds >= 1 and _program_said.due():
            pulumi.log.info(text, ephemeral=True)
        return
    operation.check_active()
    operation.check_time("the rate limit")
    if seconds >= 1:
        # A shorter wait would only make the line flicker.
        operation.progress(text)
