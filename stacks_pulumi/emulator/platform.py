"""
The platform: what it holds, the time it lives by, and what happens by itself.

The rules of each noun are functions beside this file (`containers`, `access`, `connections`, `backups`, `vpn`);
they take the state first and know nothing of HTTP.
"""

from __future__ import annotations

import threading

from stacks_pulumi.emulator import backups, containers
from stacks_pulumi.emulator.clock import DrivenClock
from stacks_pulumi.emulator.state import Account, ApiKey, Backup, Connection, Container, State
from stacks_pulumi.emulator.transitions import Pace

__all__ = ["Platform"]


class Platform:
    """
    Direct access to what the emulator holds.

    Every attribute is the real thing, not a copy: take `lock` around whatever reads more than one value while
    requests are under way. Looking things up through the methods takes it for you.

    Args:
        state: What it holds at the start; empty unless given.
        clock: The driven clock.
        pace: How long things take.

    Attributes:
        lock: Held while a request reads or changes anything.
        your_ip: The address that callers seem to come from; every real one is a loopback address here.
        duplicate_ips: Whether an address may be allowed twice.
        refuse_repeated_delete: Whether deleting a container that is being deleted is refused.
        lower_case_names: Whether names and ids are stored in lower case.
        strict: Whether to refuse what the guide leaves open and the platform may refuse.
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

    @property
    def accounts(self) -> dict[str, Account]:
        """Accounts by id."""
        return self.state.accounts

    @property
    def keys(self) -> list[ApiKey]:
        """Keys, oldest first."""
        return self.state.keys

    @property
    def containers(self) -> dict[str, Container]:
        """Containers by id, oldest first, of every account."""
        self.settle()
        return self.state.containers

    @property
    def connections(self) -> dict[str, Connection]:
        """Connections by id, oldest first."""
        return self.state.connections

    @property
    def backups(self) -> dict[int, Backup]:
        """Backups by id, oldest first."""
        self.settle()
        return self.state.backups

    def key(self, label: str) -> ApiKey:
        """
        A key by its label.

        Raises:
            KeyError: There is none.
        """
        with self.lock:
            for key in self.state.keys:
                if key.label == label:
                    return key
        raise KeyError(label)

    def container(self, name_or_id: str) -> Container:
        """
        A container by its id or by its name in any account.

        Raises:
            KeyError: There is none.
        """
        with self.lock:
            self.settle()
            for found in self.state.containers.values():
                if name_or_id in {found.id, found.name}:
                    return found
        raise KeyError(name_or_id)

    def names(self) -> list[str]:
        """The names of all containers, sorted; those that are being deleted count until they are gone."""
        with self.lock:
            self.settle()
            return sorted(found.name for found in self.state.containers.values())

    def settle(self) -> float:
        """
        Let everything happen that was due by now.

        Returns:
            The time that it was settled for.
        """
        with self.lock:
            now = self.clock.now()
            containers.settle(self, now)
            backups.settle(self, now)
            return now

    def empty(self) -> None:
        """Take away everything but accounts and keys, and forgive what was spent."""
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
