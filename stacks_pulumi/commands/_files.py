"""How does a command write new files without overwriting any?"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from stacks_pulumi.errors import StacksError


def check_overwrites_nothing(folder: Path, names: Iterable[str]) -> None:
    """
    Check that the files can be created in the folder, and that none of them exists.

    Raises:
        StacksError: A file exists, or the files cannot be created.
    """
    nearest = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    if not nearest.is_dir():
        raise StacksError(f"{nearest} is a file, not a folder: choose a different folder", code="file-access")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise StacksError(
            f"no file can be written in {nearest}: choose a different folder", code="file-access"
        )
    there = [name for name in names if (folder / name).exists() or (folder / name).is_symlink()]
    if there:
        raise StacksError(
            f"{folder} already has {', '.join(there)}, and no file is overwritten: choose a different place, and copy "
            "the parts that you need",
            code="file-access",
        )


def write(folder: Path, files: Mapping[str, str | bytes], mode: int = 0o666) -> None:
    """
    Write all files into a folder, or none of them. The folder is created if it does not exist.

    Args:
        folder: The folder.
        files: The content of each file, by its name.
        mode: The permissions of each file, before the process's umask is applied.

    Raises:
        StacksError: A file exists, or cannot be written.
    """
    check_overwrites_nothing(folder, files)
    written: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            # Use mode "x", so that a file that another process has just created is not overwritten either.
            with open(folder / name, "xb", opener=lambda path, flags: os.open(path, flags, mode)) as file:
                written.append(folder / name)
                file.write(content.encode() if isinstance(content, str) else content)
    except BaseException as error:
        for path in written:
            with contextlib.suppress(OSError):
                path.unlink()
        if isinstance(error, OSError):
            msg = f"{error.filename or folder} cannot be written: {error.strerror}"
            raise StacksError(msg, code="file-access") from None
        raise
