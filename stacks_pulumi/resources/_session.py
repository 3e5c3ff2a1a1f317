"""
One client for an account in this process, whatever the number of resources and provider classes.

The limiter, the connections and the shared feed are in the client, so sharing the client is what makes one poll
serve every waiter.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import pulumi

from stacks_pulumi._clock import SYSTEM_CLOCK, Clock
from stacks_pulumi.api import StacksClient
from stacks_pulumi.config import Settings
from stacks_pulumi.resources._operation import current_operation
from stacks_pulumi.resources._reads import Reads
from stacks_pulumi.resources._restarts import Restarts
from stacks_pulumi.resources._spending import SpendGuard

__all__ = ["Session", "session_for"]


@dataclass(frozen=True)
class Session:
    """
    What all operations on one account share.

    Attributes:
        settings: Whose account it is, and how it is used.
        client: The client.
        clock: Time.
        spending: What is known of the key's spending cap.
        reads: Answers that many resources share.
        restarts: Restarts that many connections share.
        fingerprint: What tells this address and key from others, and tells nothing of the key.
    """

    settings: Settings
    client: StacksClient
    clock: Clock
    spending: SpendGuard
    reads: Reads
    restarts: Restarts
    fingerprint: str
    _turns: dict[str, threading.Lock] = field(default_factory=dict, repr=False)

    @contextlib.contextmanager
    def turn(self, subject: str) -> Iterator[None]:
        """One operation at a time on a subject: for what has to look before it acts."""
        with _lock:
            lock = self._turns.setdefault(subject, threading.Lock())
        with lock:
            yield


_sessions: Final[dict[str, Session]] = {}
_lock: Final = threading.Lock()


def session_for(settings: Settings) -> Session:
    """
    The session of an account, made on first use.

    Raises:
        ConfigError: No API key is configured.
    """
    api_key = settings.require_key()
    fingerprint = hashlib.sha256(f"{settings.base_url} {api_key}".encode()).hexdigest()[:16]
    with _lock:
        session = _sessions.get(fingerprint)
        if session is None:
            client = StacksClient(
                api_key,
                base_url=settings.base_url,
                allow_http=settings.allow_http,
                requests_per_minute=settings.requests_per_minute,
                on_limit=_report_limit,
            )
            session = _sessions[fingerprint] = Session(
                settings,
                client,
                SYSTEM_CLOCK,
                spending=SpendGuard(SYSTEM_CLOCK),
                reads=Reads(SYSTEM_CLOCK),
                restarts=Restarts(SYSTEM_CLOCK),
                fingerprint=fingerprint,
            )
    return session


class _Sometimes:
    """Not more often than every few seconds, whoever asks."""

    def __init__(self, seconds: float, clock: Clock) -> None:
        self._seconds = seconds
        self._clock = clock
        self._next = -seconds
        self._lock = threading.Lock()

    def due(self) -> bool:
        """Whether it is time again; whoever is told so has it."""
        with self._lock:
            if self._clock.now() < self._next:
                return False
            self._next = self._clock.now() + self._seconds
            return True


_program_said: Final = _Sometimes(5.0, SYSTEM_CLOCK)


def _report_limit(seconds: float, queued: int) -> None:
    requests = "1 request" if queued == 1 else f"{queued} requests"
    text = f"waiting {seconds:.0f} s for the rate limit, {requests} queued"
    operation = current_operation()
    if operation is None:
        # A data function, which is called by the program itself, perhaps by many threads of it.
        if seconds >= 1 and _program_said.due():
            pulumi.log.info(text, ephemeral=True)
        return
    operation.check_active()
    operation.check_time("the rate limit")
    if seconds >= 1:
        # Less is only for a turn; a line about it would flicker.
        operation.progress(text)
