"""
The platform: the data that the rules read and change, its clock, and the events that happen when time passes.

The rules and endpoints of each kind of object are in a separate module (`containers`, `access`, `connections`,
`backups`, `vpn`). Before a rule reads the state, `Platform.settle` carries out all due events: boots and deletions end,
backups are started, completed and cleaned up.
"""

from __future__ import annotations

import copy
import datetime as dt
import threading
import time

from stacks_pulumi.emulator.state import Backup, Container, Pace, State, Transition

DAY = 86400.0
"""The number of seconds in a day."""

_END = 253_370_764_800.0
"""
The start of the year 9999, the last year that a date supports. The clock cannot reach it, so that the events that
follow still have valid dates.
"""

_RETENTION = 7 * DAY
"""The time for which an unpinned backup is kept."""

_SCHEDULE = 2 * 3600.0
"""The time of the nightly backups, in seconds after midnight UTC."""

UNHEALTHY = "the service did not become healthy in time"
"""The reason for a failed boot."""


class Platform:
    """
    The data that the rules read and change.

    Hold `lock` to read more than one value while requests may be in progress.

    Args:
        state: The state at the start; by default empty.
        clock: The driven clock.
        pace: The durations.

    Attributes:
        state: The state after the last `settle`.
        lock: Held while a request reads or changes anything.
        your_ip: The address that is used as the caller's address, because the real one is a loopback address.
        duplicate_ips: Whether an address may be allowed twice.
        refuse_repeated_delete: Whether deleting a container that is being deleted is refused.
        lower_case_names: Whether names and ids are stored in lower case.
        strict: Whether to refuse requests that the guide does not exclude but the platform may refuse.
    """

    def __init__(
        self,
        state: State | None = None,
        clock: DrivenClock | None = None,
        pace: Pace | None = None,
        *,
        your_ip: str = "203.0.113.45",
        duplicate_ips: bool = False,
        refuse_repeated_delete: bool = False,
        lower_case_names: bool = False,
        strict: bool = True,
    ) -> None:
        self.clock = clock or DrivenClock()
        self.state = state or State()
        self.pace = pace or Pace()
        self.lock = threading.RLock()
        self.your_ip = your_ip
        self.duplicate_ips = duplicate_ips
        self.refuse_repeated_delete = refuse_repeated_delete
        self.lower_case_names = lower_case_names
        self.strict = strict
        if not self.state.scheduled_until:
            self.state.scheduled_until = self.clock.now()

    def settle(self) -> float:
        """
        Carry out all events that are due.

        Returns:
            The current time, up to which the events were carried out.
        """
        with self.lock:
            now = self.clock.now()
            _settle(self.state, self.pace, now)
            return now

    def view(self, state: State, at: float) -> Platform:
        """Return a platform with the same settings, a different state, and a clock that is stopped at the time `at`."""
        view = copy.copy(self)
        view.state, view.clock = state, DrivenClock(at, running=False)
        view.settle()
        return view

    def empty(self) -> None:
        """Remove everything except accounts and keys, and set the spending to zero."""
        with self.lock:
            fresh = State(seed=self.state.seed, accounts=self.state.accounts, keys=self.state.keys)
            fresh.counters = {
                kind: n for kind, n in self.state.counters.items() if kind in {"account", "key"}
            }
            fresh.scheduled_until = self.clock.now()
            for account in fresh.accounts.values():
                account.payment_method, account.waitlisted = True, 0
            for key in fresh.keys:
                key.spent.clear()
            self.state = fresh


def _settle(state: State, pace: Pace, now: float) -> None:
    """Carry out all events that are due at the time `now`."""
    for container in list(state.containers.values()):
        while container.next is not None and container.next.is_due(now):
            move_on(state, container, container.next, container.next.due or now)
    _make_nightly_backups(state, pace, now)
    for backup in list(state.backups.values()):
        if backup.status == "in_progress" and now >= backup.due:
            _complete(state, backup)
        # assumed: manual and failed backups are kept as long as scheduled ones.
        elif backup.status != "in_progress" and not backup.pinned and now - backup.created_at > _RETENTION:
            del state.backups[backup.id]


def move_on(state: State, container: Container, transition: Transition, at: float) -> None:
    """Carry out a container's next transition."""
    container.next = None
    if transition.to == "gone":
        remove_container(state, container)
        return
    status = transition.to
    if container.booting:
        container.booting, container.error = False, None
        if _boot_fails(state, container):
            container.error = UNHEALTHY
            status = "error"
    change_status(container, status, at)


def change_status(container: Container, status: str, at: float) -> None:
    """Set a container's status."""
    container.status = status
    container.updated_at = at
    if status == "running":
        container.running_since, container.stopped_at = at, None
    elif status in {"stopped", "error"}:
        container.running_since, container.stopped_at = None, at


def remove_container(state: State, container: Container) -> None:
    """Remove a container with all its data and backups."""
    state.containers.pop(container.id, None)
    container.next = None
    for backup in list(state.backups.values()):
        if backup.container_id == container.id:
            del state.backups[backup.id]
    if state.capacity is not None:
        state.capacity += 1


def begin_backup(state: State, container: Container, kind: str, at: float, seconds: float) -> Backup:
    """Add a backup that is in progress for a number of seconds."""
    backup = Backup(
        id=state.count("backup"),
        account=container.account,
        container_id=container.id,
        container_name=container.name,
        backup_type=kind,
        created_at=at,
        due=at + seconds,
    )
    state.backups[backup.id] = backup
    return backup


def _boot_fails(state: State, container: Container) -> bool:
    failures = state.boot_failures
    for subject in (container.name, container.template):
        if subject not in failures:
            continue
        left = failures[subject]
        if left is None:
            return True
        if left <= 1:
            del failures[subject]
        else:
            failures[subject] = left - 1
        return True
    return False


def _make_nightly_backups(state: State, pace: Pace, now: float) -> None:
    for moment in _nights(state.scheduled_until, now):
        for container in state.containers.values():
            since = container.running_since
            if container.status == "running" and since is not None and since <= moment:
                begin_backup(state, container, "scheduled", moment, pace.backup_seconds)
    state.scheduled_until = max(now, state.scheduled_until)


def _nights(since: float, until: float) -> list[float]:
    """Return the times of those nightly backups in an interval that would still exist at its end."""
    since = max(since, until - _RETENTION)
    first = (since - _SCHEDULE) // DAY + 1
    last = (until - _SCHEDULE) // DAY
    return [day * DAY + _SCHEDULE for day in range(int(first), int(last) + 1)]


def _complete(state: State, backup: Backup) -> None:
    backup.completed_at = backup.due
    messages = state.backup_failures.get(backup.container_name)
    if messages and backup.backup_type == "manual":
        backup.status, backup.error_message = "failed", messages.pop(0)
        return
    digits = state.derive("snapshot", backup.container_id, backup.id)
    backup.status, backup.snapshot_id = "completed", digits[:8]
    backup.size_bytes = 500_000 + int(digits[8:13], 16) % 500_000


class DrivenClock:
    """
    A wall clock that can be advanced, frozen and resumed.

    Args:
        start: Seconds since the Unix epoch to begin at; by default now.
        running: Whether the clock runs by itself. If not, only `advance` moves it.
        speed: How many emulated seconds pass in one real second.

    Attributes:
        speed: How many emulated seconds pass in one real second.
    """

    def __init__(self, start: float | None = None, *, running: bool = True, speed: float = 1.0) -> None:
        self.speed = speed
        self._lock = threading.Lock()
        self._running = running
        self._begun = time.time(), time.monotonic()
        self._origin = self._begun[1]
        self._start = self._begun[0] if start is None else start
        self._driven = 0.0

    def now(self) -> float:
        """Return the emulated platform's time in seconds since the Unix epoch."""
        with self._lock:
            return self._moment()

    def wall(self) -> float:
        """Return the real time, sped up by `speed`; `advance`, `freeze` and `resume` do not change it."""
        start, origin = self._begun
        return start + (time.monotonic() - origin) * self.speed

    @property
    def driven(self) -> float:
        """The seconds that `advance` has added."""
        with self._lock:
            return self._driven

    def advance(self, seconds: float) -> float:
        """
        Advance the clock.

        Returns:
            The new time.

        Raises:
            ValueError: `seconds` is negative or not a number, or the new time is too late for a date.
        """
        if not 0 <= seconds < float("inf"):
            raise ValueError(f"the clock can be advanced by 0 seconds or more, not by {seconds}")
        with self._lock:
            moment = self._moment() + seconds
            if moment >= _END:
                raise ValueError(f"the clock cannot be advanced by {seconds} seconds: the last year is 9998")
            self._driven += seconds
            return moment

    @property
    def frozen(self) -> bool:
        """Whether only `advance` moves it."""
        with self._lock:
            return not self._running

    def freeze(self) -> None:
        """Stop the clock, so that only `advance` moves it. No-op if it is frozen."""
        with self._lock:
            self._start = self._moment() - self._driven
            self._running = False

    def resume(self) -> None:
        """Make the clock run again from its current time. No-op if it is running."""
        with self._lock:
            self._start = self._moment() - self._driven
            self._origin = time.monotonic()
            self._running = True

    def _moment(self) -> float:
        passed = (time.monotonic() - self._origin) * self.speed if self._running else 0.0
        return self._start + self._driven + passed


def iso(moment: float | None) -> str | None:
    """Return a moment in the API's format: UTC, milliseconds, `Z`. `None` is returned unchanged."""
    if moment is None:
        return None
    text = dt.datetime.fromtimestamp(moment, dt.timezone.utc).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def month(moment: float) -> str:
    """Return the calendar month of a moment in UTC, as `2026-05`; spending is counted by month."""
    return dt.datetime.fromtimestamp(moment, dt.timezone.utc).strftime("%Y-%m")
