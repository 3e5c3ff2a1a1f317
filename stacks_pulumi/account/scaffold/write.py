"""Writing the files of a program: all of them or none, and never over one that exists."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from stacks_pulumi.errors import StacksError

__all__ = ["project_name", "refuse_to_overwrite", "write"]


def project_name(folder: Path) -> str:
    """Return a project name that Pulumi takes, made from the name of a folder."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", folder.resolve().name).strip("-.")
    return name[:100] or "stacks-account"


def refuse_to_overwrite(folder: Path, names: Iterable[str]) -> None:
    """
    Check that none of the files exists.

    Raises:
        StacksError: One does.
    """
    there = [name for name in names if (folder / name).exists() or (folder / name).is_symlink()]
    if there:
        raise StacksError(
            f"{folder} has {', '.join(there)} already, and no file is written over: name another folder with --out"
        )


def write(folder: Path, files: Mapping[str, str]) -> None:
    """
    Write the files into a folder, which is made if it does not exist.

    Raises:
        StacksError: One of them exists.
        OSError: One cannot be written.
    """
    refuse_to_overwrite(folder, files)
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    try:
        for name, text in files.items():
            # "x": even a file that was made a moment ago is not written over.
            with (folder / name).open("x", encoding="utf-8", newline="\n") as file:
                written.append(folder / name)
                file.write(text)
    except BaseException:
        for path in written:
            with contextlib.suppress(OSError):
                path.unlink()
        raise
