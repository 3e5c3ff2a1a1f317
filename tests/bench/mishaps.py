"""
The time that a fault or a change in the dashboard adds to a command, compared with the same command without it.

A stack has eight containers, with or without four pairs of children. A fault hits a request of its `up` once or twice.
Changes in the dashboard precede its `refresh`.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from stacks_pulumi.emulator import Emulator
from tests.bench.cases import HOSTS, OTHERS, Case
from tests.bench.run import command, stack_of
from tests.bench.watch import BenchClock
from tests.support.stack import Stack

PROVIDERS: Final = (*HOSTS, *OTHERS)
COUNT: Final = 8
BOOT: Final = 10.0
"""Seconds for which a container is pending: the minimum in the guide."""
ACTION: Final = 1.0
RETRY_AFTER: Final = 7.0
TRICKLE: Final = 10.0
LAG: Final = 5.0
LIMITS: Final = {
    "one fault": 3.0,
    "two faults": 6.0,
    "an outage": 15.0,
    "drift": 3.0,
    "late lists": LAG + 3.0,
}
"""The highest number of seconds that a mishap of each kind may add."""
_NEAR: Final = 0.5
"""The usual difference in seconds between two runs of the same command."""


@dataclass(frozen=True)
class Mishap:
    """
    A fault or a change that one command meets.

    Attributes:
        what: Its name in the table; empty for a command without a mishap.
        verb: `up` or `refresh`.
        children: Whether the stack has children.
        faults: The operation, the kind and the options of each fault.
        times: How often each fault hits; `None` for always.
        drift: The changes in the dashboard, before the command.
        own: Seconds of the fault itself: the requested wait, or the duration of its answer.
        kind: One of `LIMITS`.
        real: Whether it runs in real time, as sockets do.
        lag: The age of the lists in seconds.
    """

    what: str
    verb: str
    children: bool
    faults: tuple[tuple[str, str, dict[str, Any]], ...] = ()
    times: int | None = 1
    drift: Callable[[Emulator], None] | None = None
    own: float = 0.0
    kind: str = ""
    real: bool = False
    lag: float = 0.0

    @property
    def stack(self) -> str:
        """A description of the stack."""
        return f"{COUNT} + {COUNT}" if self.children else str(COUNT)


@dataclass(frozen=True)
class Ended:
    """
    The result of the command.

    Attributes:
        seconds: Its time.
        succeeded: Whether it succeeded.
        lost: The number of the account's containers that are not in the state.
        is_met: Whether the provider sent the request that the fault hits.
    """

    seconds: float
    succeeded: bool = True
    lost: int = 0
    is_met: bool = True


@dataclass(frozen=True)
class MishapRow:
    """
    One line of the table.

    Attributes:
        mishap: The mishap.
        ends: The result of the command, by provider.
        calm: The seconds without a mishap, by provider.
    """

    mishap: Mishap
    ends: dict[str, Ended]
    calm: dict[str, float] = field(default_factory=dict)

    def added(self, provider: str) -> float:
        """Return the seconds that the mishap added, without the fault's own time; in an outage, all of them."""
        calm = 0.0 if self.mishap.times is None else self.calm[provider]
        return self.ends[provider].seconds - calm - self.mishap.own

    def is_reached(self, provider: str) -> bool:
        """Return whether the target was reached: no container was lost, and the time is within the limit."""
        ended = self.ends[provider]
        is_outage = self.mishap.times is None
        return (
            ended.succeeded != is_outage
            and not ended.lost
            and self.added(provider) <= LIMITS[self.mishap.kind] + _NEAR
        )


def all_mishaps() -> Iterator[Mishap]:
    """Yield each mishap; for each verb and stack, the command without a mishap comes first."""
    for children in (False, True):
        yield Mishap("", "up", children)
        yield Mishap("", "refresh", children)
    yield Mishap("", "up", children=False, real=True)
    for times, often, kind in ((1, "", "one fault"), (2, ", twice", "two faults")):
        for what, operation, fault_kind, options, own in _FAULTS:
            children = not operation.startswith("containers.")
            fault = (operation, fault_kind, options)
            yield Mishap(
                f"{what}{often}",
                "up",
                children,
                (fault,),
                times,
                own=own * times,
                kind=kind,
                real=fault_kind == "trickle",
            )
    yield Mishap(
        "502 to every request",
        "up",
        children=False,
        faults=(("*", "status", {"code": 502}),),
        times=None,
        kind="an outage",
    )
    yield Mishap(f"lists {LAG:.0f} s behind", "up", children=True, kind="late lists", lag=LAG)
    yield Mishap(
        f"1 container deleted, lists {LAG:.0f} s behind",
        "refresh",
        children=False,
        drift=_deleted(1),
        kind="late lists",
        lag=LAG,
    )
    for what, children, drift in _DRIFTS:
        yield Mishap(what, "refresh", children, drift=drift, kind="drift")


_CREATE: Final = "containers.create"
_FAULTS: Final[tuple[tuple[str, str, str, dict[str, Any], float], ...]] = (
    ("500 to a create", _CREATE, "status", {"code": 500}, 0),
    ("502 to a create", _CREATE, "status", {"code": 502}, 0),
    ("reset before a create", _CREATE, "drop_before", {"reset": True}, 0),
    ("reset after a create", _CREATE, "drop_after", {"reset": True}, 0),
    (f"answer to a create that takes {TRICKLE:.0f} s", _CREATE, "trickle", {"seconds": TRICKLE}, 0),
    ("half an answer to a create", _CREATE, "truncated", {}, 0),
    (f"429 to a create, for {RETRY_AFTER:.0f} s", _CREATE, "rate_limited", {"retry_after": RETRY_AFTER}, RETRY_AFTER),
    ("503 of a proxy to a list", "containers.list", "status", {"code": 503}, 0),
    ("503 of a proxy to a poll", "containers.status", "status", {"code": 503}, 0),
    ("502 to a connection", "connections.create", "status", {"code": 502}, 0),
    ("reset after a connection", "connections.create", "drop_after", {"reset": True}, 0),
    ("503 of a proxy to an address", "allowed_ips.add", "status", {"code": 503}, 0),
    ("reset after an address", "allowed_ips.add", "drop_after", {"reset": True}, 0),
)  # fmt: skip


def _resized(count: int) -> Callable[[Emulator], None]:
    def change(api: Emulator) -> None:
        for number in range(count):
            api.drift.resize(f"c-{number:04}", "standard")

    return change


def _deleted(count: int) -> Callable[[Emulator], None]:
    def change(api: Emulator) -> None:
        for number in range(count):
            api.drift.delete(f"c-{number:04}")

    return change


def _removed(count: int) -> Callable[[Emulator], None]:
    def change(api: Emulator) -> None:
        for number in range(1, 2 * count, 2):
            api.drift.disconnect(f"c-{number:04}", f"to-{number:04}")

    return change


_DRIFTS: Final[tuple[tuple[str, bool, Callable[[Emulator], None]], ...]] = (
    ("1 plan changed", False, _resized(1)),
    (f"{COUNT} plans changed", False, _resized(COUNT)),
    ("1 container deleted", False, _deleted(1)),
    (f"{COUNT} containers deleted", False, _deleted(COUNT)),
    ("1 connection removed", True, _removed(1)),
    (f"{COUNT // 2} connections removed", True, _removed(COUNT // 2)),
    ("the container of a target deleted", True, _deleted(1)),
)


def run(engine: Path, said: Callable[[MishapRow], None], providers: tuple[str, ...]) -> list[MishapRow]:
    """
    Measure each mishap with each provider.

    Args:
        engine: Folder of the engine's binaries.
        said: Called with each new line.
        providers: The providers.
    """
    rows: list[MishapRow] = []
    calm: dict[tuple[str, bool, bool], dict[str, float]] = {}
    for mishap in all_mishaps():
        ends = {name: _measure(mishap, name, engine) for name in providers}
        same = mishap.verb, mishap.children, mishap.real
        if not mishap.what:
            calm[same] = {name: it.seconds for name, it in ends.items()}
        rows.append(MishapRow(mishap, ends, calm[same]))
        said(rows[-1])
    return rows


def _measure(mishap: Mishap, provider: str, engine: Path) -> Ended:
    case = Case(provider, COUNT, mishap.children, per_minute=None, boot=BOOT, action=ACTION)
    with tempfile.TemporaryDirectory(prefix="stacks-bench-") as folder:
        clock = BenchClock(None if mishap.real else Path(folder) / "clock")
        with Emulator(
            boot_seconds=BOOT, action_seconds=ACTION, delete_seconds=ACTION, list_lag=mishap.lag, clock=clock
        ) as api:
            stack = stack_of(case, Path(folder) / "stack", engine, api)
            stack.env |= clock.environment
            if mishap.verb == "refresh":
                command(stack, clock, "up", "--parallel", str(case.at_once))
            for operation, kind, options in mishap.faults:
                api.faults.add(operation, kind, mishap.times, match=_hit(operation), **options)
            if mishap.drift is not None:
                mishap.drift(api)
            done = command(stack, clock, mishap.verb, "--parallel", str(case.at_once))
            # A provider may not send this request, or may fail after the first fault and meet no second fault.
            is_met = all(fault.fired for fault in api.faults.all())
            left = [it.id for it in api.state.containers.values() if it.status != "deleting"]
            lost = len(set(left) - _known(stack))
            return Ended(done.seconds, succeeded=done.code == 0, lost=lost, is_met=is_met)


def _hit(operation: str) -> str | None:
    """Return the container whose requests a fault hits, so that a second fault hits the repetition; `None` for any."""
    return None if operation in {"*", "containers.list"} else "c-0001"


def _known(stack: Stack) -> set[str]:
    """Return the ids in the state."""
    return {it.get("id", "") for it in json.loads(stack.export())["deployment"].get("resources") or []}
