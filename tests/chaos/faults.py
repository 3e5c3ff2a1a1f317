"""The faults that chaos draws: of any kind, on any operation (reads too), a few times in a row."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

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
    # Not in ids and names: a list with wrong ids or names looks like a list of other objects.
    # `tests/host/test_hostile_answers.py` alters every field of every answer.
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


def drawn() -> st.SearchStrategy[list[Drawn]]:
    """
    Draw up to three faults, on any request of an operation or only on those of one endpoint.

    An operation sends few requests, most of them early; a no-op sends none. So a fault that is set on
    one endpoint, or on a late request, rarely fires.
    """
    kinds, times = st.sampled_from(KINDS), st.sampled_from((1, 1, 1, 2, 3, 6))
    early = st.sampled_from((0, 0, 1, 1, 2, 2, 3, 4, 6, 9))
    anywhere = st.builds(
        lambda kind, times, skip: Drawn("*", kind[0], times, skip, kind[1]), kinds, times, early
    )
    somewhere = st.builds(
        lambda operation, kind, times, skip: Drawn(operation, kind[0], times, skip, kind[1]),
        st.sampled_from(OPERATIONS),
        kinds,
        st.one_of(times, st.just(20)),
        st.integers(0, 1),
    )
    return st.lists(st.one_of(anywhere, anywhere, somewhere), max_size=3)
