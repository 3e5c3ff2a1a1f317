"""
In a process with `TIME_SPEED`, the package's clock runs like the clock of an emulator with the same speed.

So boots, polls, pauses and windows take a fraction of their time, without a change in the package. A started Python
imports this module through `sitecustomize.py`; a fork imports it directly.
"""

from __future__ import annotations

import importlib.machinery
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Final

Constants = Mapping[str, Mapping[str, float | str]]
"""Values by module and name."""

CLOCK: Final = "stacks_pulumi._clock"
FOLDER: Final = str(Path(__file__).parent)


def environment(
    speed: float,
    *,
    wall: float | None = None,
    python_path: str | Path | None = None,
    constants: Constants | None = None,
) -> dict[str, str]:
    """
    Return the environment of processes whose clock runs as fast as an emulator's.

    Args:
        speed: The speed of the clock, in seconds per second.
        wall: The time of the emulator's clock in seconds since the Unix epoch; by default the present time.
        python_path: The first entry of the module path.
        constants: Different values for constants of the package outside its clock.
    """
    now = time.time()
    return {
        "TIME_SPEED": f"{speed} {now} {now if wall is None else wall}",
        "TIME_CONSTANTS": json.dumps(constants or {}),
        "PYTHONPATH": os.pathsep.join([*([] if python_path is None else [str(python_path)]), FOLDER]),
    }


def _change(module: Any) -> None:
    """Change a module that was just imported."""
    for name, value in _constants.get(module.__name__, {}).items():
        assert hasattr(module, name), f"{module.__name__} has no {name} any more"
        setattr(module, name, value)
    clock = getattr(module, "SystemClock", None) if module.__name__ == CLOCK else None
    if clock is not None and "TIME_FILE" in os.environ:
        # The clock of a benchmark, which `tests/bench/watch.py` moves.
        shared = importlib.import_module("shared_clock").SharedClock(Path(os.environ["TIME_FILE"]))
        wall = float(os.environ["TIME_BEGAN"])
        clock.now = lambda _self: shared.now()
        clock.wall = lambda _self: wall + shared.now()
        clock.sleep = lambda _self, seconds: shared.sleep(seconds)
        clock.wait = lambda _self, condition, seconds: shared.wait(condition, seconds)
    elif clock is not None:
        speed, then, wall = map(float, os.environ["TIME_SPEED"].split())
        clock.now = lambda _self: time.monotonic() * speed
        clock.wall = lambda _self: wall + (time.time() - then) * speed
        clock.sleep = lambda _self, seconds: time.sleep(max(seconds, 0.0) / speed)
        clock.wait = lambda _self, condition, seconds: seconds > 0 and condition.wait(seconds / speed)


class _Finder:
    """Changes a module at its import. Most processes of an engine import none of the modules."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        spec = importlib.machinery.PathFinder.find_spec(name, path) if name in _changed else None
        loader: Any = spec and spec.loader
        if loader is not None:
            load = loader.exec_module

            def execute(module: ModuleType) -> None:
                load(module)
                _change(module)

            loader.exec_module = execute
        return spec


if "TIME_CONSTANTS" in os.environ:
    _constants: Final[Constants] = json.loads(os.environ["TIME_CONSTANTS"])
    _changed: Final = {CLOCK, *_constants}
    for imported in _changed & sys.modules.keys():
        _change(sys.modules[imported])
    sys.meta_path.insert(0, _Finder)
