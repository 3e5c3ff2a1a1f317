"""
The emulated platform: its state, clock, durations, and which rules are strict.

The rules of each noun are functions in their own module (`containers`, `access`, `connections`, `backups`, `vpn`).
Their first argument is the platform, and they do not depend on HTTP.
"""

from __future__ import annotations

import threading

from stacks_pulumi.emulator import settling
from stacks_pulumi.emulator.clock import DrivenClock
from stacks_pulumi.emulator.state import State
from stacks_pulumi.emulator.transitions import Pace

__all__ = ["Platform"]


class Platform:
    """
    The data that the rules read and change.

    Take `lock` around code that reads more than one value while requests are in progress.

    Args:
        state: The state at the start; empty unless given.
        clock: The driven clock.
        pace: The durations.

    Attributes:
        state: The state after the last `settle`.
        lock: Held while a request reads or changes anything.
        your_ip: The address that is used as the caller's, because the real one is a loopback address.
        duplicate_ips: Whether an address may be allowed twice.
        refuse_repeated_delete: Whether deleting a container that is being deleted is refused.
        lower_case_names: Whether names and ids are stored in lower case.
        strict: Whether to refuse requests that the guide does not exclude, but the platform may refuse.
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
            The current time, for which that was done.
        """
        with self.lock:
            now = self.clock.now()
            settling.settle(self.state, self.pace, now)
            return now

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
