"""A usable engine, and its origin."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from tools.engine import pins

if TYPE_CHECKING:
    from pathlib import Path

Origin = Literal["path", "installer", "built"]

MARKER = "engine.json"


class EngineUnavailableError(Exception):
    """No engine was found, installed or built; the text is one sentence with the next step."""


@dataclass(frozen=True)
class Engine:
    """
    A usable engine.

    A built engine has the last Python language host that is available as a Go module, which is older than the engine.
    The two properties return the limits of that host.
    """

    bin: Path
    version: str
    origin: Origin

    @property
    def honours_runtime_options(self) -> bool:
        """Whether `runtime.options` in `Pulumi.yaml` (`virtualenv`, `toolchain`) has an effect."""
        return self.origin != "built"

    @property
    def starts_policy_folders(self) -> bool:
        """Whether `--policy-pack` may name a pack's folder; otherwise it must name an executable."""
        return self.origin != "built"

    def environment(self, base: dict[str, str] | None = None) -> dict[str, str]:
        """Return `base` (default: this process's environment) with the engine first on PATH."""
        env = dict(os.environ if base is None else base)
        env["PATH"] = os.pathsep.join(filter(None, [str(self.bin), env.get("PATH", "")]))
        return env


def is_executable(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


def record(home: Path, version: str, origin: Origin) -> None:
    """Write the marker. It is written last, so a folder without a marker is not an engine."""
    text = json.dumps({"version": version, "origin": origin}) + "\n"
    (home / MARKER).write_text(text, encoding="utf-8")


def load(home: Path) -> Engine | None:
    """Return the engine in `home`, or None if it is missing or incomplete."""
    try:
        marker = json.loads((home / MARKER).read_text(encoding="utf-8"))
        version, origin = marker["version"], marker["origin"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    folder = home / "bin"
    if origin not in get_args(Origin) or not isinstance(version, str):
        return None
    if not all(is_executable(folder / name) for name in (pins.CLI, *pins.COMPANIONS)):
        return None
    return Engine(folder, version, origin)
