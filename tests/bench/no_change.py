"""
Measure an `up` and a preview that change nothing: processor time and processes, beside a provider that does nothing.

    python tests/bench/no_change.py
    python tests/bench/no_change.py --containers 24 --rounds 2 --only ours
    python tests/bench/no_change.py --before CHECKOUT       the package of another checkout, in the same run

Seconds of a clock would show what else the machine does, so these are seconds of processor time: the least of some
rounds, in which the providers take turns.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[0] = str(ROOT)

from stacks_pulumi.emulator import Emulator  # noqa: E402  (after the path)
from tests.bench.cases import Case  # noqa: E402
from tests.bench.run import stack_of  # noqa: E402
from tests.support.forked import commands  # noqa: E402
from tests.support.stack import Stack  # noqa: E402
from tools.engine.ensure import ensure  # noqa: E402

PROVIDERS = ("idle", "shaped", "ours", "native")
BOUNDS = PROVIDERS[:2]
"""Those that do nothing: with three properties of a resource, and with as many as ours."""
VERBS: Mapping[str, tuple[str, ...]] = {
    "no-op up": ("up", "--yes", "--skip-preview"),
    "preview": ("preview",),
}
_ROLES = {
    "pulumi-language-python-exec": "program",
    "pulumi.dynamic": "provider",
    "pulumi-resource-stacks": "provider",
    "stack export": "export",
    "pip list": "pip",
}
"""What the command of each counted process has in it. All others are `engine`: its commands and their shells."""
_HERTZ = os.sysconf("SC_CLK_TCK")
_LOOK_SECONDS = 0.01


@dataclass
class Took:
    """
    What one verb took.

    Attributes:
        seconds: Processor time by role.
        started: Processes by role.
    """

    seconds: dict[str, float]
    started: Counter[str]

    @property
    def total(self) -> float:
        """The processor time of all processes."""
        return sum(self.seconds.values())


def main() -> None:
    """Print one line for each verb and provider."""
    arguments = _arguments()
    commands.Mode.real = True
    with contextlib.ExitStack() as stacks:
        made = {name: stacks.enter_context(_made(name, arguments)) for name in arguments.only or PROVIDERS}
        ready = dict(_versions(made, arguments.before))
        for verb, options in VERBS.items():
            rounds = [
                {name: _run(*version, options) for name, version in ready.items()}
                for _ in range(arguments.rounds)
            ]
            least = {name: min((took[name] for took in rounds), key=lambda it: it.total) for name in ready}
            provider = {name: min(took[name].seconds["provider"] for took in rounds) for name in ready}
            for name, took in least.items():
                _say(f"{verb}, {name}: {_figures(took, provider[name])}{_beside(name, provider, least)}")


def _versions(made: Mapping[str, Stack], before: Path | None) -> Iterator[tuple[str, tuple[Stack, str]]]:
    """Yield each stack with the module path of the package; the same stack serves two versions of it."""
    for name, stack in made.items():
        if before is not None and name not in BOUNDS:
            yield f"{name}, before", (stack, str(before.resolve()))
        yield name, (stack, "")


def _figures(took: Took, provider: float) -> str:
    others = ", ".join(f"{role} {took.seconds[role]:.2f} s" for role in took.seconds if role != "provider")
    started = ", ".join(f"{count} {role}" for role, count in sorted(took.started.items()) if role != "engine")
    return f"provider {provider:.2f} s, {others}; all {took.total:.2f} s; started: {started}"


def _beside(name: str, provider: Mapping[str, float], least: Mapping[str, Took]) -> str:
    found = ""
    for bound in BOUNDS if name not in BOUNDS else ():
        if bound in least:
            alone, all_ = provider[name] / provider[bound], least[name].total / least[bound].total
            found += f"; x {bound}: provider {alone:.2f}, all {all_:.2f}"
    return found


@contextlib.contextmanager
def _made(provider: str, arguments: argparse.Namespace) -> Iterator[Stack]:
    """Make a stack whose program has been applied."""
    case = Case(provider, arguments.containers, arguments.children, per_minute=None)
    emulator = Emulator(boot_seconds=0.1, action_seconds=0.1, rate_limit=None)
    with tempfile.TemporaryDirectory(prefix="stacks-bench-") as folder, emulator:
        stack = stack_of(case, Path(folder) / "stack", ensure().bin, emulator)
        # The first `up` is not measured, and most of its time would go into the state.
        stack.env |= {"PULUMI_EXPERIMENTAL": "true", "PULUMI_SKIP_CHECKPOINTS": "true"}
        stack.up("--parallel", str(case.at_once), quiet_afterwards=False)
        del stack.env["PULUMI_SKIP_CHECKPOINTS"], stack.env["PULUMI_EXPERIMENTAL"]
        yield stack


def _run(stack: Stack, package: str, options: tuple[str, ...]) -> Took:
    verb, *more = options
    stack.env["PYTHONPATH"] = package
    process = stack.start(verb, *more, "--parallel", "64")
    watch = _Watch(process.pid)
    text, _ = process.communicate()
    took = watch.stop()
    assert process.returncode == 0, text
    assert "unchanged" in text, text
    return took


class _Watch:
    """Looks at the processes of one session a hundred times a second."""

    def __init__(self, session: int) -> None:
        self._session = session
        self._seconds: dict[str, float] = {}
        self._commands: dict[str, str] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def stop(self) -> Took:
        """Look no more."""
        self._ended.set()
        self._thread.join()
        seconds, started = dict.fromkeys(("provider", "program", "engine"), 0.0), Counter[str]()
        for pid, command in self._commands.items():
            role = next((role for part, role in _ROLES.items() if part in command), "engine")
            seconds[role] = seconds.get(role, 0.0) + self._seconds[pid]
            started[role] += 1
        return Took(seconds, started)

    def _look(self) -> None:
        while not self._ended.wait(_LOOK_SECONDS):
            for folder in Path("/proc").glob("[0-9]*"):
                # A process may end while it is looked at.
                with contextlib.suppress(OSError, ValueError, IndexError):
                    self._look_at(folder)

    def _look_at(self, folder: Path) -> None:
        # After the name, which is in brackets and may hold anything: state, parent, group, session ...
        stat = (folder / "stat").read_text().rpartition(")")[2].split()
        if int(stat[3]) != self._session:
            return
        command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        if command:
            self._commands[folder.name] = command
            self._seconds[folder.name] = (int(stat[11]) + int(stat[12])) / _HERTZ


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().splitlines()[0])
    parser.add_argument("--containers", type=int, default=200)
    parser.add_argument("--children", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--before", type=Path, help="a checkout whose package is measured too")
    parser.add_argument("--only", action="append", choices=PROVIDERS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
