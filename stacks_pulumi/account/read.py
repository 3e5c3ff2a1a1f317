"""Reads the account: one list, single requests for containers that seem to be missing, and the child objects."""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from stacks_pulumi.account.children import Belongings, ask, calls_for
from stacks_pulumi.account.reconcile import Reconciliation
from stacks_pulumi.api.models import ENDING_STATUSES, Container
from stacks_pulumi.cost import live
from stacks_pulumi.errors import NotFoundError, UnreadableAnswerError, WaitCancelledError
from stacks_pulumi.pricing.money import count

if TYPE_CHECKING:
    from stacks_pulumi.api import StacksClient

__all__ = ["Progress", "belongings", "confirm_missing", "connected"]

_CONFIRMED: Final = 3
"""How many missing containers are requested one by one: with the list that is at most five calls."""
_FEW: Final = 60
"""Up to this number, calls take only seconds, so no progress is shown."""
_STEP: Final = 0.1
_PATIENCE: Final = 15.0


@contextmanager
def connected() -> Iterator[tuple[StacksClient, threading.Event]]:
    """
    Connect to the account in the environment.

    Yields:
        The client, and an event that ends every wait for the rate limit once it is set.

    Raises:
        ConfigError: There is no key, or a value is malformed.
    """
    stop = threading.Event()

    def on_limit(_seconds: float, _queued: int) -> None:
        if stop.is_set():
            raise WaitCancelledError("interrupted", subject="the rate limit")

    with live.connect(on_limit) as client:
        yield client, stop


def confirm_missing(client: StacksClient, account: Reconciliation) -> None:
    """
    Request some of the containers that are in a state but not in the list.

    Raises:
        UnreadableAnswerError: One of them exists, so the list cannot be trusted.
    """
    listed = {one.container.id for one in account.found}
    absent = dict.fromkeys(
        missing.resource.id for missing in account.missing if missing.resource.id not in listed
    )
    for id_ in list(absent)[:_CONFIRMED]:
        try:
            seen = client.containers.status(id_)
        except NotFoundError:
            continue
        if seen.status not in ENDING_STATUSES:
            msg = f"the API's list leaves out {id_}, which exists (it may be new): run the command again"
            raise UnreadableAnswerError(msg, status=200)


def belongings(
    client: StacksClient,
    containers: Sequence[Container],
    stop: threading.Event,
    write: Callable[[str], object] | None = None,
) -> dict[str, Belongings]:
    """
    Read the child objects of the containers. Before that, print how long it will take.

    Args:
        client: The API.
        containers: The containers.
        stop: Ends every wait for the rate limit once it is set.
        write: Prints the progress; by default to standard error.

    Raises:
        StacksError: A list cannot be read completely.
    """
    if not containers:
        return {}
    # In an account without backups, this one call saves one call per container.
    has_backups = client.backups.stats().total_backups != 0
    calls = sum(len(calls_for(container, backups=has_backups)) for container in containers)
    progress = Progress(calls, client.requests_per_minute, write or sys.stderr.write)
    progress.announce(len(containers))
    return ask(client, containers, backups=has_backups, progress=progress.done, stop=stop)


class Progress:
    """
    Prints lines with the progress.

    Args:
        calls: The total number of calls.
        per_minute: How many calls per minute the rate limit allows.
        write: Prints a line.
        now: Returns the time in seconds.
    """

    def __init__(
        self,
        calls: int,
        per_minute: int,
        write: Callable[[str], object],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._calls = calls
        self._per_minute = max(per_minute, 1)
        self._write = write
        self._now = now
        self._next = _STEP
        self._last = now()

    def announce(self, containers: int) -> None:
        """Print how many calls there will be and how long they will take."""
        # The calls of the first minute are sent immediately.
        minutes = math.ceil(self._calls / self._per_minute) - 1
        takes = "seconds" if minutes < 1 else f"about {count(minutes, 'minute')}"
        self._write(
            f"reading what belongs to {count(containers, 'container')}: {count(self._calls, 'call')}, {takes} at "
            f"{self._per_minute} calls a minute\n"
        )

    def done(self, calls: int) -> None:
        """Print how many calls are done: after each tenth of them, and every 15 seconds."""
        if self._calls <= _FEW:
            return
        share, now = calls / self._calls, self._now()
        if calls < self._calls and share < self._next and now - self._last < _PATIENCE:
            return
        self._next = max(self._next, (math.floor(share / _STEP) + 1) * _STEP)
        self._last = now
        self._write(f"{calls} of {count(self._calls, 'call')} done\n")
