"""What it costs a program to import this package, over what Pulumi costs it anyway."""

from __future__ import annotations

import os
import subprocess
import sys

STATEMENTS = {
    "pulumi": "import pulumi",
    "ours": "import pulumi, stacks_pulumi",
    "a resource": "import pulumi, stacks_pulumi; stacks_pulumi.Container",
    "pulumi.dynamic": "import pulumi, pulumi.dynamic",
}
ROUNDS = 9
COMPILED = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
"""An installed package is compiled; in an environment with this variable, each start would compile it again."""


def milliseconds(rounds: int = ROUNDS) -> dict[str, float]:
    """
    The processor time of each statement in a fresh interpreter: the least of several rounds, taken in turn, so that
    what else the machine is busy with falls on all alike.
    """
    least: dict[str, float] = {}
    for _ in range(rounds):
        for name, statement in STATEMENTS.items():
            program = (
                f"import time; t = time.process_time(); {statement}; print((time.process_time() - t) * 1000)"
            )
            done = subprocess.run(
                [sys.executable, "-c", program], env=COMPILED, capture_output=True, text=True, check=True
            )
            least[name] = min(least.get(name, float("inf")), float(done.stdout))
    return least
