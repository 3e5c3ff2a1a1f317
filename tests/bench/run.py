"""Run one case after the other, each with its own emulator and stack."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from stacks_pulumi.emulator import Emulator
from tests.bench.cases import VERBS, Case
from tests.bench.measure import Measured, measure
from tests.support.stack import Stack

OTHERS = Path(__file__).parent / "plain"


@dataclass(frozen=True)
class Row:
    """
    One line of the table.

    Attributes:
        case: The measured case.
        verb: The command: `up`, `refresh` or `destroy`.
        measured: The time and calls of the verb.
        bound: The smallest possible number of seconds.
    """

    case: Case
    verb: str
    measured: Measured
    bound: float

    @property
    def ratio(self) -> float:
        """The time as a multiple of the bound."""
        return self.measured.seconds / self.bound


def run(case: Case, engine: Path, empty_up: float, idle: Mapping[str, float] | None = None) -> Iterator[Row]:
    """
    Measure every verb of a case, in order.

    Args:
        case: The case.
        engine: Folder of the engine's binaries.
        empty_up: Seconds of an `up` of nothing.
        idle: Seconds of each verb with a provider that does nothing.
    """
    emulator = Emulator(
        boot_seconds=case.boot,
        action_seconds=case.action,
        delete_seconds=case.action,
        rate_limit=case.per_minute,
    )
    with tempfile.TemporaryDirectory(prefix="stacks-bench-") as folder, emulator:
        stack = stack_of(case, Path(folder) / "stack", engine, emulator)
        for verb in VERBS:
            bound = case.seconds_at_least(verb, empty_up, (idle or {}).get(verb, 0.0))
            # A plain provider takes a multiple of the bound; this limit ends only a run that hangs.
            timeout = 120 + 12 * bound + 12 * case.containers
            yield Row(
                case,
                verb,
                measure(stack, emulator, verb.split()[-1], at_once=case.at_once, timeout=timeout),
                bound,
            )
        left = [found.id for found in emulator.state.containers.values() if found.status != "deleting"]
        if left:
            raise AssertionError(f"left behind: {left}")


def stack_of(case: Case, folder: Path, engine: Path, emulator: Emulator) -> Stack:
    """Return the stack of a case in a new folder, with its program."""
    stack = _stack(folder, engine, emulator)
    if case.provider == "native":
        stack.native()
    stack.set("stacks:maxConcurrency", str(case.at_once))
    if case.with_container:
        stack.set("stacks:deleteChildrenWithContainer", "true")
    for module in OTHERS.glob("*_stacks.py"):
        shutil.copy(module, folder)
    stack.program(case.program(), host="native" if case.provider == "native" else "dynamic")
    return stack


def empty_up(engine: Path, rounds: int = 3) -> float:
    """Seconds of an `up` of nothing: the least of several."""
    with tempfile.TemporaryDirectory(prefix="stacks-bench-") as folder, Emulator() as emulator:
        stack = _stack(Path(folder) / "stack", engine, emulator)
        least = float("inf")
        for _ in range(rounds):
            began = time.monotonic()
            stack.engine("up", "--yes", "--skip-preview")
            least = min(least, time.monotonic() - began)
    return least


def _stack(folder: Path, engine: Path, emulator: Emulator) -> Stack:
    config = {"stacks:apiKey": emulator.key, "stacks:baseUrl": emulator.url}
    return Stack(folder, engine, config, passphrase=True, hurried=False)
