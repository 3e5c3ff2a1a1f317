"""
Watches the processor time and memory of an engine command's processes, and moves the clock on which they wait.

The clock runs fast (`FASTEST`) while a thread waits for a boot, a poll or a window of the rate limit, and no process
works. It runs at normal speed while any process computes or waits for a processor or a disk, and while no thread waits.
So a wait takes a fraction of its time, but the work of the engine and the providers takes the same time as on a real
clock.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from pathlib import Path
from typing import Final

from stacks_pulumi.emulator import DrivenClock
from tests.support.hurried import hurry
from tests.support.hurried.shared_clock import FASTEST, SharedClock

_ROOT: Final = Path(__file__).parents[2]
_TICK: Final = 0.002
_SCAN: Final = 0.02
_PROVIDERS: Final = ("pulumi.dynamic", "pulumi-resource-stacks")


class BenchClock(DrivenClock):
    """
    The clock of the emulator and of the stacks on it.

    Args:
        file: A new file that the processes share; without a file, the clock runs at normal speed.
    """

    def __init__(self, file: Path | None) -> None:
        super().__init__(speed=FASTEST if file else 1.0)
        self._began = time.time()
        self._shared = None if file is None else SharedClock(file, new=True)
        # The other providers are in this repository and not installed.
        self.environment = {"PYTHONPATH": str(_ROOT)}
        if file is not None:
            self.environment = {
                "PYTHONPATH": os.pathsep.join([str(_ROOT), hurry.FOLDER]),
                "TIME_FILE": str(file),
                "TIME_BEGAN": str(self._began),
                "TIME_CONSTANTS": "{}",
            }

    def now(self) -> float:
        """Return the emulated platform's time."""
        return self._began + self._shared.now() if self._shared else super().now()

    def wall(self) -> float:
        """Return the same time: no test advances this clock."""
        return self.now()

    def passed(self, seconds: float, worked: float) -> None:
        """
        Move the clock after some real time.

        Args:
            seconds: The seconds of real time.
            worked: The part of these seconds in which a process worked.
        """
        if self._shared is not None:
            fast = FASTEST if self._shared.is_waited_for() else 1.0
            at_work = min(seconds, worked)
            self._shared.move(at_work + (seconds - at_work) * fast)

    def begin(self) -> None:
        """Reset the numbers of waiting threads."""
        if self._shared is not None:
            self._shared.forget()


class Watch:
    """
    Observes the processes of a session until `stop`.

    Args:
        session: Its id.
        clock: The clock to move.

    Attributes:
        provider_cpu: Seconds of processor time of the providers' processes.
        all_cpu: Seconds of processor time of all processes: the engine, the program and the providers.
        peak_kb: The peak memory of a provider's process.
    """

    def __init__(self, session: int, clock: BenchClock) -> None:
        self.peak_kb = 0
        self._session = session
        self._clock = clock
        self._cpu: dict[int, float] = {}
        self._providers: set[int] = set()
        self._others: set[int] = set()
        # Some kernels do not count these values.
        files = (f"/proc/pressure/{name}" for name in ("cpu", "io"))
        self._pressure = [os.open(file, os.O_RDONLY) for file in files if os.access(file, os.R_OK)]
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop observing."""
        self._ended.set()
        self._thread.join()
        for file in self._pressure:
            os.close(file)

    @property
    def provider_cpu(self) -> float:
        return sum(seconds for pid, seconds in self._cpu.items() if pid in self._providers)

    @property
    def all_cpu(self) -> float:
        return sum(self._cpu.values())

    def _look(self) -> None:
        scanned, before, used = 0.0, time.monotonic(), self._used()
        while not self._ended.wait(_TICK):
            if time.monotonic() - scanned > _SCAN:
                self._scan()
                scanned = time.monotonic()
            for pid in self._cpu:
                # An ended process keeps its last value.
                with contextlib.suppress(OSError):
                    # The kernel's clock id for all threads of another process.
                    self._cpu[pid] = time.clock_gettime(~pid << 3 | 2)
            now, used_now = time.monotonic(), self._used()
            self._clock.passed(now - before, used_now - used)
            before, used = now, used_now

    def _used(self) -> float:
        """Return the seconds so far in which the processes worked, or the emulator in this process."""
        return self.all_cpu + time.process_time() - time.thread_time() + self._held_up()

    def _held_up(self) -> float:
        """Return the seconds so far in which any process of the machine waited for a processor or a disk."""
        lines = [os.pread(file, 200, 0).split(b"\n", 1)[0] for file in self._pressure]
        return sum(int(line.rpartition(b"=")[2]) for line in lines) / 1e6

    def _scan(self) -> None:
        for name in os.listdir("/proc"):  # noqa: PTH208  (fifty times a second)
            if not name.isdecimal() or (pid := int(name)) in self._others:
                continue
            # A process may end during this check.
            with contextlib.suppress(OSError):
                if os.getsid(pid) != self._session:
                    self._others.add(pid)
                    continue
                self._cpu.setdefault(pid, 0.0)
                folder = Path("/proc", name)
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                if any(provider in command for provider in _PROVIDERS):
                    self._providers.add(pid)
                    for line in (folder / "status").read_text(encoding="ascii").splitlines():
                        if line.startswith("VmHWM:"):
                            self.peak_kb = max(self.peak_kb, int(line.split()[1]))
