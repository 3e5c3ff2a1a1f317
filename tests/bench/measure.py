"""Run one verb of the engine, and watch what it takes: seconds, calls, the provider's memory and processor."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from stacks_pulumi.emulator import Emulator
from tests.support.stack import Stack

_HERTZ = os.sysconf("SC_CLK_TCK")
_LOOK_SECONDS = 0.1
_HOSTS = (b"pulumi.dynamic", b"pulumi-resource-stacks")


@dataclass(frozen=True)
class Measured:
    """
    What one verb took.

    Attributes:
        seconds: Wall time.
        calls: Requests that reached the API.
        refused: Those that were answered with 429.
        cpu: Processor seconds of the provider's process.
        peak_kb: Its peak memory.
        operations: Calls by operation.
    """

    seconds: float
    calls: int
    refused: int
    cpu: float
    peak_kb: int
    operations: dict[str, int] = field(default_factory=dict)


class TookTooLongError(Exception):
    """The verb did not end in its time, or ended with an error."""


def measure(stack: Stack, emulator: Emulator, verb: str, *, at_once: int, timeout: float) -> Measured:
    """
    Run a verb.

    Raises:
        TookTooLongError: It did not end in `timeout` seconds, or it failed.
    """
    # Each verb finds a fresh window of the rate limit: what it takes must not depend on what ran before it.
    emulator.api.limiter.forget()
    emulator.api.log.clear()
    began = time.monotonic()
    process = stack.start(verb, "--yes", "--skip-preview", "--parallel", str(at_once))
    watch = _Watch(process.pid)
    try:
        text, _ = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.terminate()
        text, _ = process.communicate()
        raise TookTooLongError(f"{verb} took more than {timeout:.0f} s:\n{text[-2000:]}") from None
    finally:
        watch.stop()
    seconds = time.monotonic() - began
    if process.returncode != 0:
        raise TookTooLongError(f"{verb} failed:\n{text[-2000:]}")
    records = emulator.requests
    return Measured(
        seconds=seconds,
        calls=len(records),
        refused=sum(record.status == 429 for record in records),
        cpu=watch.cpu,
        peak_kb=watch.peak_kb,
        operations=emulator.api.log.counts(),
    )


class _Watch:
    """Looks at the providers' processes of one session every tenth of a second."""

    def __init__(self, session: int) -> None:
        self.peak_kb = 0
        self.cpu = 0.0
        self._session = session
        self._cpu: dict[str, float] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._ended.set()
        self._thread.join()
        self.cpu = sum(self._cpu.values())

    def _look(self) -> None:
        while not self._ended.wait(_LOOK_SECONDS):
            for folder in Path("/proc").glob("[0-9]*"):
                # A process may end while it is looked at.
                with contextlib.suppress(OSError, ValueError, IndexError):
                    self._look_at(folder)

    def _look_at(self, folder: Path) -> None:
        # After the name, which is in brackets and may hold anything: state, parent, group, session ...
        stat = (folder / "stat").read_text().rpartition(")")[2].split()
        command = (folder / "cmdline").read_bytes()
        if int(stat[3]) != self._session or not any(host in command for host in _HOSTS):
            return
        self._cpu[folder.name] = (int(stat[11]) + int(stat[12])) / _HERTZ
        for line in (folder / "status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                self.peak_kb = max(self.peak_kb, int(line.split()[1]))
