"""How long the native plugin takes from its start until the engine can connect to it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.bench.imports import COMPILED

ROUNDS = 9


def milliseconds(rounds: int = ROUNDS) -> float:
    """Processor time from the start of the process to the port on its standard output: the least of several rounds."""
    return min(_once() for _ in range(rounds))


def _once() -> float:
    with subprocess.Popen(
        [Path(sys.prefix) / "bin" / "pulumi-resource-stacks"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=COMPILED,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        port = process.stdout.readline()
        stat = Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        took = (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK") * 1000
        process.stdin.close()
    assert port.strip().isdigit(), f"the plugin did not report a port: {port!r}"
    return took
