"""How long the native plugin takes from its start until the engine can connect to it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

ROUNDS = 9


def milliseconds(rounds: int = ROUNDS) -> float:
    """From the start of the process to the port on its standard output: the least of several rounds."""
    return min(_once() for _ in range(rounds))


def _once() -> float:
    began = time.perf_counter()
    with subprocess.Popen(
        [Path(sys.prefix) / "bin" / "pulumi-resource-stacks"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        port = process.stdout.readline()
        took = (time.perf_counter() - began) * 1000
        process.stdin.close()
    assert port.strip().isdigit(), f"the plugin did not report a port: {port!r}"
    return took
