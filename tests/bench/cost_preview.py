"""
How long `stacks-pulumi cost` takes for a preview of 5,000 resources: reading, pricing, writing, the process included.

    python tests/bench/cost_preview.py
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.support.previews import BUCKET, UNKNOWN, events, preview, step, web  # noqa: E402  (after the path)

RESOURCES = 5_000
ROUNDS = 3

# As much beside the inputs as a real step carries.
BULK: dict[str, Any] = {
    "stackTrace": [{"sourcePosition": f"project:///__main__.py#{line}"} for line in range(12)],
    "propertyDependencies": {name: [] for name in ("name", "template", "plan", "additional_storage_tier")},
    "outputs": {f"output_{number}": "x" * 40 for number in range(20)},
}


def one(number: int) -> dict[str, Any]:
    """One fifth of each: created, changed, removed, unchanged, and another cloud's."""
    name, plan = f"container-{number}", ("micro", "basic", "standard", "premium", UNKNOWN)[number // 5 % 5]
    match number % 5:
        case 0:
            return step("create", name, None, web(plan), **BULK)
        case 1:
            return step("update", name, web("basic"), web(plan), **BULK)
        case 2:
            return step("delete", name, web(plan), **BULK)
        case 3:
            return step("same", name, web(plan), web(plan), **BULK)
        case _:
            return step("create", name, None, {}, BUCKET, **BULK)


def main() -> None:
    """Print one line for each input and format: the best of some rounds."""
    steps = [one(number) for number in range(RESOURCES)]
    with tempfile.TemporaryDirectory() as folder:
        for kind, data in (("preview", preview(*steps)), ("events", events(*steps))):
            file = Path(folder) / kind
            file.write_bytes(data)
            for output in ("table", "json", "markdown", "junit"):
                best = min(seconds(file, output) for _ in range(ROUNDS))
                print(f"{RESOURCES} resources, {kind} of {len(data) / 1e6:.0f} MB, as {output}: {best:.2f} s")  # noqa: T201  (it talks to a person)


def seconds(file: Path, output: str) -> float:
    """How long one run takes."""
    started = time.perf_counter()
    command = [
        sys.executable,
        "-m",
        "stacks_pulumi",
        "cost",
        str(file),
        "--format",
        output,
        "--max-total",
        "1000000",
    ]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
