"""
What exactly was approved?

Every digest is a SHA-256. Those of the state and of the configuration, which have secrets, are keyed with the record's
key, so that no secret can be guessed from them.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import stat
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from stacks_pulumi._pulumi_cli import InputError, readable
from stacks_pulumi.broker import git
from stacks_pulumi.pricing.recognition import SIGNATURE

_LEFT_OUT: Final = frozenset({".git", ".pulumi", "node_modules", "__pycache__"})
"""
Folders that are no part of a program: history, the engine's files, packages, and what Python compiled. A file in one of
them is a part of it if git has it, because it then comes with the change.
"""

_ENVIRONMENT: Final = "pyvenv.cfg"
"""The file that shows that a folder is a virtual environment."""

_VOLATILE: Final = frozenset(
    {
        "dependencies",
        "propertyDependencies",
        "created",
        "modified",
        "sourcePosition",
        "stackTrace",
    }
)
"""
What is in a resource's state but says nothing of the resource. A refresh, or an `up` without changes, changes it. Every
other field counts, also one that a later engine adds.
"""

_APART: Final = frozenset({"manifest", "secrets_providers", "resources", "pending_operations"})
"""What is in a state and is not compared as it is: an update without changes writes other times and ciphertexts."""

_BLOCK: Final = 1 << 20


def of_folder(
    folder: Path, apart: Collection[Path] = (), copies: Mapping[Path, Path] = MappingProxyType({})
) -> str:
    """
    Return the digest of the files of a program or of a gate, with their paths from the folder.

    Args:
        folder: The folder.
        apart: Folders that are no part of it: the record's, and the engine's own.
        copies: Copies of files of it, which are read in their place.

    Raises:
        InputError: A file cannot be read, or is neither a file nor a link within the folder.
    """
    root = folder.resolve()
    left_out = frozenset(path.resolve() for path in apart)
    total = hashlib.sha256()
    left = {path.parent.resolve() / path.name: copy for path, copy in copies.items()}
    try:
        files = dict(_files(root, root, left_out))
        tracked = _tracked(root)
        files |= {
            path.relative_to(root).as_posix(): path for path in tracked if path.is_file() or path.is_symlink()
        }
        for name, path in sorted(files.items()):
            # A link is no file whose copy could be meant.
            source = path if path.is_symlink() else left.pop(path, path)
            total.update(json.dumps([name, *_content(source, root)]).encode())
    except OSError as error:
        raise InputError(
            f"{error.filename or root} cannot be read: {error.strerror}", code="file-access"
        ) from None
    if left:
        raise InputError(f"{next(iter(left))} is no part of the program, or is a link: replace it by a copy")
    return total.hexdigest()


def compiled_files(folder: Path) -> list[Path]:
    """Return the files that Python has compiled of a program, without those that git has: they are a part of it."""
    root = folder.resolve()
    tracked = _tracked(root)
    found = []
    for here, folders, files in os.walk(root):
        compiled = Path(here) / "__pycache__"
        # What a link leads to is deleted otherwise: files of another project.
        if "__pycache__" in folders and not compiled.is_symlink():
            found += [one for one in compiled.rglob("*") if not one.is_dir() and one not in tracked]
        is_environment = _ENVIRONMENT in files and Path(here) != root
        folders[:] = [] if is_environment else [name for name in folders if name not in _LEFT_OUT]
    return found


def _tracked(root: Path) -> set[Path]:
    names = [name for name in git.said(root, "ls-files", "-z").split("\0") if name]
    return {file for name in names for file in _files_at(root / name)}


def _files_at(path: Path) -> Iterator[Path]:
    """Yield what git has at a path: the file, or the files of a submodule, which comes with the change too."""
    if path.is_symlink() or not path.is_dir():
        yield path
        return
    for here, folders, names in os.walk(path):
        folders[:] = [name for name in folders if name != ".git"]
        links = [name for name in folders if (Path(here) / name).is_symlink()]
        yield from (Path(here) / name for name in (*names, *links) if name != ".git")


def of_state(export: bytes, key: bytes) -> str:
    """
    Return the keyed digest of a state.

    Args:
        export: The export of the stack, with its secrets decrypted.
        key: The record's key.

    Raises:
        InputError: It is not an export.
    """
    deployment = _deployment(export)
    resources = [_lasting(one) for one in deployment.get("resources") or ()]
    pending = [
        {**one, "resource": _lasting(one.get("resource") or {})}
        for one in deployment.get("pending_operations") or ()
    ]
    # Not only resources and pending operations: the engine also runs programs that a state has (`snippets`).
    others = {name: value for name, value in deployment.items() if value and name not in _APART}
    return _keyed({"resources": _sorted(resources), "pending": _sorted(pending), "others": others}, key)


def encryption_of(export: bytes) -> dict[str, Any] | None:
    """
    Return the settings of a stack with which its state is encrypted; `None` for a stack that was never updated.

    Each update writes them. A state with resources and without them was edited, so that any setting would fit.

    Args:
        export: The export of the stack.

    Raises:
        InputError: It is not an export.
    """
    deployment = _deployment(export)
    made = deployment.get("secrets_providers") or {}
    state = made.get("state") or {}
    settings = {
        "passphrase": {"encryptionsalt": state.get("salt")},
        "cloud": {"secretsprovider": state.get("url"), "encryptedkey": state.get("encryptedkey")},
    }
    if not made.get("type"):
        return {} if deployment.get("resources") else None
    return settings.get(made["type"], {})


def of_configuration(values: Mapping[str, Any], key: bytes) -> str:
    """Return the keyed digest of a stack's configuration, with its secrets."""
    return _keyed(values, key)


def without_secrets(export: bytes) -> bytes:
    """
    Return an export without its secrets, neither decrypted nor encrypted, and without the key to them.

    Args:
        export: The export of the stack, with its secrets decrypted.

    Raises:
        InputError: It is not an export.
    """
    document = json.loads(export) if _deployment(export) is not None else {}
    (document.get("deployment") or {}).pop("secrets_providers", None)
    return json.dumps(_hidden(document), indent=1, sort_keys=True).encode() + b"\n"


def _hidden(value: Any) -> Any:
    if isinstance(value, list):
        return [_hidden(one) for one in value]
    if not isinstance(value, dict):
        return value
    if SIGNATURE in value and ("plaintext" in value or "ciphertext" in value):
        return {SIGNATURE: value[SIGNATURE], "ciphertext": ""}
    return {name: _hidden(one) for name, one in value.items()}


def _deployment(export: bytes) -> dict[str, Any]:
    try:
        document = json.loads(readable(export))
    except ValueError as error:
        raise InputError(f"this is not an export of a stack ({error})") from None
    if not isinstance(document, dict) or "deployment" not in document:
        raise InputError("this is not an export of a stack: it has no deployment")
    deployment = document["deployment"]
    if deployment is not None and not isinstance(deployment, dict):
        raise InputError("this is not an export of a stack: its deployment is not readable")
    return deployment or {}


def _lasting(resource: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in resource.items() if name not in _VOLATILE}


def _sorted(rows: list[dict[str, Any]]) -> list[str]:
    return sorted(json.dumps(row, sort_keys=True) for row in rows)


def _keyed(value: Any, key: bytes) -> str:
    return hmac.new(key, json.dumps(value, sort_keys=True).encode(), hashlib.sha256).hexdigest()


def _files(folder: Path, root: Path, apart: Collection[Path]) -> Iterator[tuple[str, Path]]:
    """Yield each file of a program, with its path from the root. A link is a file."""
    with os.scandir(folder) as entries:
        found = list(entries)
    if folder != root and any(entry.name == _ENVIRONMENT for entry in found):
        return
    for entry in found:
        path = Path(entry.path)
        if entry.is_dir(follow_symlinks=False):
            if entry.name not in _LEFT_OUT and path not in apart:
                yield from _files(path, root, apart)
        else:
            yield path.relative_to(root).as_posix(), path


def _content(path: Path, root: Path) -> tuple[str, str]:
    """Return what kind of file it is, and its digest."""
    facts = path.lstat()
    if stat.S_ISLNK(facts.st_mode):
        if not path.resolve().is_relative_to(root):
            raise InputError(
                f"{path} is a link out of {root}, and what it leads to would not be approved: replace it by a copy"
            )
        return "link", path.readlink().as_posix()
    if not stat.S_ISREG(facts.st_mode):
        raise InputError(f"{path} is neither a file nor a folder: remove it")
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return ("program" if facts.st_mode & stat.S_IXUSR else "file"), digest.hexdigest()
