"""Runs a case with its own emulator and stack."""

from __future__ import annotations

import statistics
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from stacks_pulumi.emulator import Emulator
from tests.bench.cases import QUIET, VERBS, Case
from tests.bench.watch import BenchClock, Watch
from tests.support.stack import Stack

_HANGS = 900.0
"""The timeout of a verb in seconds."""


class FailedError(Exception):
    """Raised if a verb timed out or ended with an error."""


@dataclass(frozen=True)
class Measured:
    """
    The measurements of one verb.

    Attributes:
        seconds: The time on the case's clock.
        calls: Requests that reached the API.
        refused: Requests that were answered with 429.
        provider_cpu: Processor seconds of the provider's process.
        all_cpu: Processor seconds of all processes: the engine, the program and the provider.
        peak_kb: The peak memory of the provider's process.
    """

    seconds: float
    calls: int
    refused: int
    provider_cpu: float
    all_cpu: float
    peak_kb: int


@dataclass(frozen=True)
class Done:
    """A completed command: its seconds on the case's clock, its exit code, its output and its processes."""

    seconds: float
    code: int
    text: str
    watch: Watch


@dataclass(frozen=True)
class Row:
    """
    One line of the table.

    Attributes:
        case: The measured case.
        verb: One of `VERBS`.
        runs: The measurements of each repetition.
        bound: The smallest possible number of seconds.
    """

    case: Case
    verb: str
    runs: tuple[Measured, ...]
    bound: float

    def median(self, of: Callable[[Measured], float]) -> float:
        """Return the median of a figure."""
        return statistics.median(map(of, self.runs))

    @property
    def seconds(self) -> float:
        """The median of the seconds."""
        return self.median(lambda it: it.seconds)

    @property
    def ratio(self) -> float:
        """The time as a multiple of the bound."""
        return self.seconds / self.bound

    @property
    def calls(self) -> int:
        """The most calls of any repetition."""
        return max(it.calls for it in self.runs)

    @property
    def refused(self) -> int:
        """The most refused requests of any repetition."""
        return max(it.refused for it in self.runs)

    @property
    def provider_cpu(self) -> float:
        """The median processor time of the provider."""
        return self.median(lambda it: it.provider_cpu)

    @property
    def all_cpu(self) -> float:
        """The median processor time of all processes."""
        return self.median(lambda it: it.all_cpu)

    @property
    def peak_kb(self) -> int:
        """The peak memory of the provider in any repetition."""
        return max(it.peak_kb for it in self.runs)


def run(case: Case, engine: Path, bound: Callable[[Case, str], float]) -> Iterator[Row]:
    """
    Measure every verb of a case.

    Args:
        case: The case.
        engine: Folder of the engine's binaries.
        bound: Returns the smallest possible seconds of a verb.

    Raises:
        FailedError: A verb failed or left a container.
    """
    runs: dict[str, list[Measured]] = defaultdict(list)
    for _ in range(case.rounds):
        with tempfile.TemporaryDirectory(prefix="stacks-bench-") as folder:
            clock = BenchClock(None if case.real else Path(folder) / "clock")
            emulator = Emulator(
                boot_seconds=case.boot,
                action_seconds=case.action,
                delete_seconds=case.action,
                rate_limit=case.per_minute,
                clock=clock,
            )
            with emulator:
                stack = stack_of(case, Path(folder) / "stack", engine, emulator)
                stack.env |= clock.environment
                for verb in VERBS:
                    for _ in range(case.quiet_rounds() if verb in QUIET else 1):
                        runs[verb].append(_measure(stack, emulator, clock, verb, case.at_once))
                left = [it.id for it in emulator.state.containers.values() if it.status != "deleting"]
                if left:
                    raise FailedError(f"left behind: {left}")
    for verb in VERBS:
        yield Row(case, verb, tuple(runs[verb]), bound(case, verb))


def empty_up(engine: Path) -> float:
    """Return the seconds of an `up` of an empty program: the median of several runs."""
    case = Case("ours", 0)
    with tempfile.TemporaryDirectory(prefix="stacks-bench-") as folder, Emulator() as emulator:
        stack = stack_of(case, Path(folder) / "stack", engine, emulator)
        clock = BenchClock(None)
        return statistics.median(
            _measure(stack, emulator, clock, "up", case.at_once).seconds for _ in range(5)
        )


def _measure(stack: Stack, emulator: Emulator, clock: BenchClock, verb: str, at_once: int) -> Measured:
    # Each verb begins with a new window of the rate limit, so that earlier commands do not affect its time.
    emulator.api.limiter.forget()
    emulator.api.log.clear()
    done = command(stack, clock, verb, "--parallel", str(at_once))
    if done.code != 0:
        raise FailedError(f"{verb} failed:\n{done.text[-2000:]}")
    records, watch = emulator.requests, done.watch
    return Measured(
        seconds=done.seconds,
        calls=len(records),
        refused=sum(record.status == 429 for record in records),
        provider_cpu=watch.provider_cpu,
        all_cpu=watch.all_cpu,
        peak_kb=watch.peak_kb,
    )


def command(stack: Stack, clock: BenchClock, verb: str, *arguments: str) -> Done:
    """
    Run and watch an engine command, which may succeed or fail.

    Args:
        stack: The stack.
        clock: Its clock.
        verb: One of `VERBS`.
        *arguments: Further arguments of the command.

    Raises:
        FailedError: The command did not end.
    """
    name = verb.rsplit(maxsplit=1)[-1]
    options = () if name == "preview" else ("--yes", "--skip-preview")
    clock.begin()
    began = clock.now()
    process = stack.start(name, *options, *arguments)
    watch = Watch(process.pid, clock)
    try:
        text, _ = process.communicate(timeout=_HANGS)
    except subprocess.TimeoutExpired:
        process.terminate()
        text, _ = process.communicate()
        raise FailedError(f"{verb} took more than {_HANGS:.0f} s:\n{text[-2000:]}") from None
    finally:
        watch.stop()
    return Done(clock.now() - began, process.returncode, text, watch)


def stack_of(case: Case, folder: Path, engine: Path, emulator: Emulator) -> Stack:
    """Return the stack of a case in a new folder, with its program."""
    config = {"stacks:apiKey": emulator.key, "stacks:baseUrl": emulator.url}
    stack = Stack(folder, engine, config, passphrase=True, hurried=False)
    if case.provider == "native":
        stack.native()
    stack.set("stacks:maxConcurrency", str(case.at_once))
    if case.with_container:
        stack.set("stacks:deleteChildrenWithContainer", "true")
    if not case.checkpoints:
        stack.env |= {"PULUMI_EXPERIMENTAL": "true", "PULUMI_SKIP_CHECKPOINTS": "true"}
    stack.program(case.program(), host="native" if case.provider == "native" else "dynamic")
    return stack
