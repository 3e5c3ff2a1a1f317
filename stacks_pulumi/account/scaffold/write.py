"""Writes the files of a program: all of them or none, without overwriting existing files."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from stacks_pulumi.errors import StacksError

__all__ = ["project_name", "refuse_to_overwrite", "write"]


def project_name(folder: Path) -> str:
    """Return a valid Pulumi project name, made from the name of a folder."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", folder.resolve().name).strip("-.")
    return name[:100] or "stacks-account"


def refuse_to_overwrite(folder: Path, names: Iterable[str]) -> None:
    """
    Check that the files can be created in the folder, and that none of them exists.

    Raises:
        StacksError: A file exists, or the files cannot be created.
    """
    nearest = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    if not nearest.is_dir():
        raise StacksError(
            f"{nearest} is a file and not a folder: name another folder with --out", code="file-access"
        )
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise StacksError(
            f"no file can be written in {nearest}: name another folder with --out", code="file-access"
        )
    there = [name for name in names if (folder / name).exists() or (folder / name).is_symlink()]
    if there:
        raise StacksError(
            f"{folder} already has {', '.join(there)}, and existing files are not overwritten: "
            "name another folder with --out",
            code="file-access",
        )


def write(folder: Path, files: Mapping[str, str]) -> None:
    """
    Write the files into a folder, which is created if it does not exist.

    Raises:
        StacksError: One of them exists, or cannot be written.
    """
    refuse_to_overwrite(folder, files)
    written: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            # Mode "x": a file that another process has just created is not overwritten either.
            with (folder / name).open("x", encoding="utf-8", newline="\n") as file:
                written.append(folder / name)
                file.write(text)
    except BaseException as error:
        for path in written:
            with contextlib.suppress(OSError):
                path.unlink()
        if isinstance(error, OSError):
            msg = f"{error.filename or folder} cannot be written: {error.strerror}"
            raise StacksError(msg, code="file-access") from None
        raise
