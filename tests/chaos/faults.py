"""The faults that chaos draws: of any kind, on any operation (reads too), a few times in a row."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any

from stacks_pulumi.emulator import Emulator
from stacks_pulumi.emulator.faults import Fault

__all__ = ["Drawn", "drawn"]

OPERATIONS = (
    "containers.list",
    "containers.status",
    "containers.create",
    "containers.set_status",
    "containers.delete",
    "containers.external_access",
    "containers.certificate",
    "containers.regenerate_certificate",
    "allowed_ips.list",
    "allowed_ips.add",
    "allowed_ips.remove",
    "connections.list",
    "connections.create",
    "connections.delete",
    "backups.list",
    "backups.trigger",
    "backups.pin",
    "backups.unpin",
    "backups.delete",
    "vpn_clients.list",
    "vpn_clients.add",
    "vpn_clients.config",
    "vpn_clients.remove",
)

KINDS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("drop_before", {}),
    ("drop_before", {"reset": True}),
    ("drop_after", {}),
    ("drop_after", {"reset": True}),
    ("hang_up", {}),
    ("rate_limited", {"retry_after": 1}),
    ("status", {"code": 500}),
    ("status", {"code": 502, "done": True}),
    ("status", {"code": 503}),
    ("status", {"code": 503, "done": True}),
    ("truncated", {}),
    ("cut", {}),
    ("html", {}),
    ("empty", {}),
    ("wrong_code", {}),
    ("wrong_types", {}),
    ("wrong_types", {"row": 0}),
    ("wrong_types", {"field": "status"}),
    ("redirect", {}),
)


@dataclass(frozen=True)
class Drawn:
    """One fault that is not set yet."""

    operation: str
    kind: str
    times: int
    skip: int = 0
    options: dict[str, Any] = field(default_factory=dict)

    def set(self, emulator: Emulator) -> Fault:
        """Set the fault in the emulator; the first requests, as many as drawn, do not meet it."""
        if self.skip:
            emulator.faults.add(self.operation, "pass", self.skip)
        return emulator.faults.add(self.operation, self.kind, self.times, **self.options)


def drawn(chance: Random) -> list[Drawn]:
    """
    Draw up to three faults, on any request of an operation or only on those of one endpoint.

    An operation sends few requests, most of them early; a no-op sends none. So a fault that is set on
    one endpoint, or on a late request, rarely fires.
    """
    return [_one(chance) for _ in range(chance.randint(0, 3))]


def _one(chance: Random) -> Drawn:
    kind, options = chance.choice(KINDS)
    times = chance.choice((1, 1, 1, 2, 3, 6))
    if chance.randrange(3):
        return Drawn("*", kind, times, chance.choice((0, 0, 1, 1, 2, 2, 3, 4, 6, 9)), options)
    return Drawn(chance.choice(OPERATIONS), kind, chance.choice((times, 20)), chance.randint(0, 1), options)
