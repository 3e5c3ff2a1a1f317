"""Fake engines that only print their version, and a fake build."""

from __future__ import annotations

from pathlib import Path

from tools.engine import pins


def executable(path: Path, text: str = "#!/bin/sh\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)
    return path


def engine_in(folder: Path, version: str = "3.270.1", companions: tuple[str, ...] = pins.COMPANIONS) -> Path:
    for name in companions:
        executable(folder / name)
    executable(folder / pins.CLI, f"#!/bin/sh\necho v{version}\n")
    return folder


def make_engine(root: Path, version: str, _log: Path) -> None:
    """Stand in for `build`."""
    engine_in(root / "bin", version)
