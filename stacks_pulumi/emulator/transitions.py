"""
Transitions of a container from one status to the next.

A transition is due at a moment of the driven clock, or after a number of reads, depending on the emulator's settings.
So a test can wait, advance the clock, or count polls.
"""

from __future__ import annotations

from dataclasses import dataclass

from stacks_pulumi.emulator import argument_checks

__all__ = ["Pace", "Transition"]


@dataclass
class Transition:
    """
    A container's next change of status.

    Attributes:
        to: The next status; `gone` removes the container.
        due: When, on the driven clock; `None` if reads are counted instead.
        reads: How many more reads still show the present status.
    """

    to: str
    due: float | None = None
    reads: int | None = None

    def is_due(self, now: float) -> bool:
        """Return whether it is due."""
        return self.due is not None and now >= self.due

    def read(self) -> bool:
        """Count one read; return whether this read must show the next status."""
        if self.reads is None:
            return False
        self.reads -= 1
        return self.reads < 0


@dataclass
class Pace:
    """
    The durations of operations, in seconds of the driven clock.

    Attributes:
        boot_seconds: From `pending` to `running` (guide, "Create Container": 10 to 30 seconds).
        boot_reads: Count this many reads of a booting container instead of seconds; `None` for seconds.
        action_seconds: A stop, start or restart.
        delete_seconds: From an accepted deletion until the container is gone.
        backup_seconds: A backup.
    """

    boot_seconds: float = 0.05
    boot_reads: int | None = None
    action_seconds: float = 0.02
    delete_seconds: float = 0.02
    backup_seconds: float = 0.05

    def change(self, **wanted: float | None) -> None:
        """
        Change the given durations; `None` leaves a duration unchanged.

        Raises:
            ValueError: One of them is not a valid duration; then none is changed.
        """
        checked = {name: argument_checks.seconds(name, it) for name, it in wanted.items() if it is not None}
        for name, value in checked.items():
            setattr(self, name, value)
        if "boot_seconds" in checked:
            self.boot_reads = None

    def boot(self, now: float) -> Transition:
        """Return the transition that ends a boot beginning now."""
        if self.boot_reads is not None:
            return Transition("running", reads=self.boot_reads)
        return Transition("running", due=now + self.boot_seconds)
