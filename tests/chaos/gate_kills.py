"""
The proof about a killed `apply` of the gate: its approval is void, and the next plan has every container.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import ClassVar, Final

from stacks_pulumi.emulator import Emulator
from stacks_pulumi.gate import record
from tests.prove.proof import Case, Proof, Seen
from tests.support.clock import fast_clock
from tests.support.gate import Gated
from tests.support.stack import Stack
from tests.support.waiting import until

__all__ = ["GateKillsProof"]

MOMENTS: Final = ("begun", "locked", "request 1", "request 2", "request 3", "request 5", "write 1", "write 3")
"""When it is killed: at a file of the gate or of the engine, a request to the API, or a write of the state."""

MORE: Final = ("request 8", "write 5", "write 7", "history")
_QUIET: Final = 20.0
"""Seconds of the platform's clock without a request, after which a provider has nothing left to do."""
WHOM: Final = ("gate", "group", "all")
"""What is killed: the gate's own process, the engine too, or every process below them."""

_PROGRAM: Final = """
web = stacks.Container("web", template="nodejs", external_access=True, adopt="if_matching")
stacks.AllowedIp("office", container=web, ip_address="203.0.113.7", adopt="if_matching")
stacks.Container("second", template="redis", adopt="if_matching")
"""


class GateKillsProof(Proof):
    """A case is a moment, and which processes are killed."""

    about = "after a killed `gate apply` the approval is void, and the next plan has every container"
    cases = 36
    searches = False
    new_process = True
    least: ClassVar[Mapping[str, int]] = {"killed": 1, "applied afterwards": 1}

    @classmethod
    def short(cls) -> Iterable[Sequence[str]]:
        return [("--cases", "1", "--seed", "5")]

    def draw(self, chance: Random) -> Iterator[Case]:
        every = [{"moment": moment, "whom": whom} for moment in (*MOMENTS, *MORE) for whom in WHOM]
        while True:
            yield from chance.sample(every, len(every))

    def run(self, case: Case, seen: Seen) -> None:
        seen.note = f"{case['moment']}, {case['whom']}"
        with (
            tempfile.TemporaryDirectory() as folder,
            Emulator(boot_seconds=1, clock=fast_clock()) as emulator,
        ):
            stack = Stack.of(emulator, Path(folder) / "stack")
            _Story(Gated(stack, Path(folder) / "gated"), emulator, seen).tell(case["moment"], case["whom"])


class _Story:
    def __init__(self, gated: Gated, emulator: Emulator, seen: Seen) -> None:
        self.gated = gated
        self.stack = gated.stack
        self.emulator = emulator
        self.seen = seen

    def tell(self, moment: str, whom: str) -> None:
        gated = self.gated
        self.stack.program(_PROGRAM)
        assert gated.plan().verdict.result == "needs_approval"
        gated.approve()
        with self.stack.real_processes():
            self._apply_and_kill(moment, whom)

        # What was begun is void, and a copy of it is void too unless nothing at all was changed.
        assert "this record was applied before" in gated.refused()
        with contextlib.suppress(subprocess.CalledProcessError):
            self.stack.cli("cancel", "--yes")

        planned = gated.plan()
        assert isinstance(planned.record, record.Record)
        assert planned.verdict.result != "refused", planned.verdict.reasons
        known = {resource["id"] for resource in self.stack.resources().values()}
        pending = {urn.rpartition("::")[2] for urn in self._pending()}
        for container in self.emulator.state.containers.values():
            assert container.id in known or container.name in pending, f"{container.name} is in no state"
        if planned.verdict.result == "needs_approval":
            gated.approve()
        code = gated.apply()
        assert code == 0, planned.verdict
        self.seen.counts["applied afterwards"] += 1
        assert self.emulator.state.names() == ["second", "web"]
        assert self.stack.ids() >= set(self.emulator.state.containers)
        assert gated.plan().verdict.result == "nothing"

    def _apply_and_kill(self, moment: str, whom: str) -> None:
        gated = self.gated
        words = [
            "gate",
            "apply",
            str(gated.record),
            "--gate",
            str(gated.folder),
            "-C",
            str(self.stack.folder),
        ]
        process = subprocess.Popen(
            [sys.executable, "-m", "stacks_pulumi", *words],
            env=self.stack.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        reached = self._condition(moment)
        tick = threading.Event()
        while process.poll() is None and not reached():
            # A moment may be shorter than the steps of `until`.
            tick.wait(0.001)
        below = _session(process.pid)
        if process.poll() is None:
            self.seen.counts["killed"] += 1
            self.seen.counts[f"killed: {whom}"] += 1
        else:
            # The moment did not come.
            assert process.returncode == 0
        victims = {"gate": [process.pid], "group": [process.pid, *_named(below, "pulumi")], "all": below}[
            whom
        ]
        for pid in victims:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()
        # The engine goes on without the gate, and a provider ends what it was doing; an idle one may stay.
        until(lambda: not _alive(_named(below, "pulumi")))
        asked, since = -1, self.emulator.clock.now()

        def is_quiet() -> bool:
            nonlocal asked, since
            if asked != len(self.emulator.requests):
                asked, since = len(self.emulator.requests), self.emulator.clock.now()
            return self.emulator.clock.now() - since > _QUIET or not _alive(below)

        until(is_quiet)
        for pid in below:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _condition(self, moment: str) -> Callable[[], bool]:
        kind, _, number = moment.partition(" ")
        if kind == "begun":
            return (self.gated.record / record.STARTED).exists
        pulumi = self.stack.folder / "state" / ".pulumi"
        if kind in {"locked", "history"}:
            folder = pulumi / {"locked": "locks", "history": "history"}[kind]
            before = set(folder.rglob("*.json"))
            return lambda: bool(set(folder.rglob("*.json")) - before)
        if kind == "request":
            first = len(self.emulator.requests)
            return lambda: len(self.emulator.requests) >= first + int(number)
        file = pulumi / "stacks" / "tests" / "dev.json"
        seen = {file.stat().st_mtime_ns}

        def written() -> bool:
            with contextlib.suppress(OSError):
                seen.add(file.stat().st_mtime_ns)
            return len(seen) > int(number)

        return written

    def _pending(self) -> list[str]:
        deployment = json.loads(self.stack.export())["deployment"]
        return [one["resource"]["urn"] for one in deployment.get("pending_operations") or ()]


def _session(leader: int) -> list[int]:
    """Return all processes below a process; plugins have their own groups, and the session of the engine."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                fields = (folder / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
                if int(fields[3]) == leader:
                    found.append(int(folder.name))
    return found


def _named(pids: Iterable[int], name: str) -> list[int]:
    found = []
    for pid in pids:
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip() == name:
                found.append(pid)
    return found


def _alive(pids: Iterable[int]) -> bool:
    def runs(pid: int) -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
        except OSError:
            return False

    return any(runs(pid) for pid in pids)
