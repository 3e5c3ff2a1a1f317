"""
How does a repository install this package?

A path that exists on only one machine is useless in a repository. So a repository installs this package from an address
with a commit or a hash, or from a wheel. The wheel is copied into the repository with its checksum.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterator, Mapping
from importlib import metadata, util
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import unquote, urlsplit

from stacks_pulumi import __version__
from stacks_pulumi._environment import OF_NETWORK, OF_PYTHON, without_secrets
from stacks_pulumi.commands._lock import FILE as PACKAGES
from stacks_pulumi.commands._lock import NAME as LOCK
from stacks_pulumi.commands._lock import extras_in, locked

INDEX: Final = ""
"""The package index that contains this package; empty if there is none. A release sets it after the upload."""

PLACE_UNKNOWN: Final = """\
# Write the source of stacks-pulumi here: a commit of its repository, or a wheel next to this file, such as
#   stacks-pulumi @ git+https://HOST/REPOSITORY@COMMIT
#   ./stacks_pulumi-VERSION-py3-none-any.whl
# Never write only its name, because anyone may register that name at an index.
"""
"""A `requirements.txt` for a package with an unknown source; `pip install -r` installs nothing from it."""

_PATH: Final = re.compile(r"[\w./-]+")
"""A path that pip and a shell read as one word."""


class Place(NamedTuple):
    """
    The source that this package was installed from.

    Attributes:
        address: The address of a wheel or of a commit, as an installer accepts it; for a folder, its path.
        file: The wheel or the folder; `None` if there is no such file or folder on this machine.
        digest: The SHA-256 of the wheel, if the installer noted it.
        editable: Whether the folder is an editable installation.
    """

    address: str
    file: Path | None = None
    digest: str = ""
    editable: bool = False

    @property
    def is_local(self) -> bool:
        """Whether the source exists only on this machine."""
        return self.file is not None or self.address.partition("+")[2].startswith("file:")


class Requirements(NamedTuple):
    """
    The files that install this package in a repository.

    Attributes:
        files: The content of each file that is written, by its name.
        lock: The path of the lock, relative to the folder; empty if the source is not known.
        problem: Why the source is not known; empty if it is known.
    """

    files: dict[str, str | bytes]
    lock: str = ""
    problem: str = ""


IN_FOLDER: Final = Place(f"./stacks_pulumi-{__version__}-py3-none-any.whl")
"""
The source in the pages' install commands: this version's wheel in the reader's folder. No index contains this wheel
yet.
"""


def place() -> Place | None:
    """
    Return the source that this package was installed from; `None` if it is not known, for instance after an
    installation by name.
    """
    try:
        origin = json.loads(metadata.distribution("stacks-pulumi").read_text("direct_url.json") or "{}")
    except (metadata.PackageNotFoundError, ValueError):
        return None
    url, repository, folder = origin.get("url"), origin.get("vcs_info"), origin.get("dir_info")
    if url is None:
        return None
    parts = urlsplit(url)
    if parts.scheme in {"http", "https"}:
        # Remove the password that an installer may have recorded, because the address is written to files and shown.
        url = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    if repository is not None:
        return Place(f"{repository['vcs']}+{url}@{repository['commit_id']}")
    file = Path(unquote(parts.path)) if parts.scheme == "file" else None
    if file is not None and folder is not None:
        return Place(str(file), file, editable=bool(folder.get("editable")))
    digest = origin.get("archive_info", {}).get("hashes", {}).get("sha256", "")
    return Place(url if file or not digest else f"{url}#sha256={digest}", file, digest)


def install_words(extras: str = "", known: Place | None = None) -> list[str]:
    """Return pip's arguments that install this package on this machine; empty if its source is not known."""
    known = known or place()
    if INDEX and known in {None, IN_FOLDER}:
        return [f"stacks-pulumi{extras}=={__version__}"]
    if known is None:
        return []
    if "://" not in known.address:
        return [*["-e"] * known.editable, f"{known.address}{extras}"]
    return [f"stacks-pulumi{extras} @ {known.address}"]


def required(
    folder: Path, needs: Mapping[str, str], known: Place | None = None, extras: Collection[str] = ()
) -> Requirements:
    """
    Return the files that install this package in a folder of a repository.

    If the repository already has the wheel, it is not written again. Each requirements file has a lock next to it,
    with the hashes of this package and of all its dependencies.

    Args:
        folder: The folder.
        needs: The extras that each requirements file needs, in brackets, by the file's name in the folder.
        known: The source of this package; by default, the source from which this package was installed.
        extras: Additional extras for the lock.
    """
    known = known or place()
    locked_extras = set(extras).union(*map(extras_in, needs.values()))
    if known is None or not known.is_local:
        words = {name: install_words(extras, known) for name, extras in needs.items()}
        files = {name: f"{found[0]}\n" if found else PLACE_UNKNOWN for name, found in words.items()}
        if known is None:
            return Requirements({**files}, problem="" if all(words.values()) else _BY_NAME)
        # The lock leaves out a commit, because pip cannot check the hash of a commit.
        own = install_words(_in_brackets(locked_extras), known)[0] if known.digest else ""
        return Requirements({**files, LOCK: locked(own, locked_extras, needs)}, LOCK)
    checkout = known.file
    if checkout is not None and checkout.is_dir() and folder.resolve().is_relative_to(checkout.resolve()):
        lines = {name: _path(checkout, folder, name) + extras for name, extras in needs.items()}
        return Requirements(
            {name: f"{line}\n" for name, line in lines.items()}, _path(PACKAGES, folder, LOCK)
        )
    try:
        wheel, content = _wheel(known)
    except _NoWheelError as error:
        return Requirements(dict.fromkeys(needs, PLACE_UNKNOWN), problem=str(error))
    return _with_wheel(folder, needs, locked_extras, wheel, content)


def _in_brackets(extras: Collection[str]) -> str:
    return f"[{','.join(sorted(extras))}]" if extras else ""


_BY_NAME: Final = "it was installed by its name"


def _with_wheel(
    folder: Path, needs: Mapping[str, str], extras: Collection[str], wheel: Path, content: bytes
) -> Requirements:
    """Return the files that install a wheel, without those that the repository already has."""
    name, digest = wheel.name, hashlib.sha256(content).hexdigest()
    there = next((one for one in _places(folder, wheel) if _read(one / name) == content), folder)
    checksum = there / f"{name}.sha256"
    files: dict[str, str | bytes] = {
        one: f"# {checksum.name} contains its SHA-256.\n{_path(there / name, folder, one)}{its}\n"
        for one, its in needs.items()
    }
    own = f"{_path(there / name, folder, LOCK)}{_in_brackets(extras)} --hash=sha256:{digest}"
    files[LOCK] = locked(own, extras, needs)
    if _read(there / name) != content:
        files[name] = content
    if _read(checksum).split()[:1] != [digest.encode()]:
        files[os.path.relpath(checksum, folder)] = f"{digest}  {name}\n"
    return Requirements(files, LOCK)


def repository_of(folder: Path) -> Path | None:
    """Return the top folder of the git repository that contains a folder; `None` outside of a repository."""
    here = folder.resolve()
    return next((one for one in (here, *here.parents) if (one / ".git").exists()), None)


def _places(folder: Path, wheel: Path) -> Iterator[Path]:
    """Yield the folders of the repository that may contain the wheel."""
    top, here = repository_of(folder), folder.resolve()
    yield folder
    while top is not None and here != top:
        here = here.parent
        yield here
    if top is not None and wheel.is_absolute() and wheel.resolve().is_relative_to(top):
        path = os.path.relpath(wheel.resolve().parent, folder.resolve())
        if _PATH.fullmatch(path):
            yield folder / path


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""


def _path(target: Path, folder: Path, name: str) -> str:
    """Return the path from the folder of a requirements file, where pip is run, to a wheel or a checkout."""
    path = os.path.relpath(target.resolve(), (folder / name).resolve().parent)
    return path if path.startswith("..") else f"./{path}"


class _NoWheelError(Exception):
    """There is no wheel; the message states why."""


def _wheel(known: Place) -> tuple[Path, bytes]:
    """
    Return the name and content of the wheel that this package was installed from; if there was no wheel, build one.
    """
    file = known.file
    if file is None or file.suffix != ".whl":
        return _built(known.address)
    try:
        content = file.read_bytes()
    except OSError as error:
        raise _NoWheelError(f"{file} cannot be read any more: {error.strerror}") from None
    if known.digest and hashlib.sha256(content).hexdigest() != known.digest:
        raise _NoWheelError(f"{file} has changed since it was installed")
    return file, content


@functools.cache
def _built(source: str) -> tuple[Path, bytes]:
    """Build a wheel from a folder, an archive or a local repository, and return its name and content."""
    words = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--disable-pip-version-check", source]
    if util.find_spec("hatchling") is not None:
        # With this option, pip downloads nothing.
        words.append("--no-build-isolation")
    with tempfile.TemporaryDirectory(prefix="stacks-wheel-") as scratch:
        done = subprocess.run(  # noqa: S603  (pip of this Python)
            [*words, "--wheel-dir", scratch],
            # With `-m`, Python first looks for modules in the working directory, so that directory is empty.
            cwd=scratch,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            # pip runs the build backend and its plugins, so it gets no secrets.
            env=without_secrets("PIP_*", "XDG_*", *OF_PYTHON, *OF_NETWORK),
        )
        found = sorted(Path(scratch).glob("*.whl"))
        if done.returncode or not found:
            reason = (done.stderr.strip().splitlines() or ["it printed nothing"])[-1]
            raise _NoWheelError(f"no wheel can be built from {source}: {reason}")
        return Path(found[0].name), found[0].read_bytes()
