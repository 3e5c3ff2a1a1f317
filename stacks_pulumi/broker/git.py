"""
What does git record about a folder, and which files does a ref contain?

Neither the environment nor the author of a change can choose the repository that is read or the programs that git runs.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from stacks_pulumi._environment import OF_NETWORK, OF_SSH, without_secrets
from stacks_pulumi.errors import ConfigError

_SECONDS: Final = 60.0


def said(folder: Path, *words: str) -> str:
    """Return the output of git for a folder; empty outside of a repository, or if git is not installed."""
    root = folder.resolve()
    top = _top(root)
    if top is None:
        return ""
    try:
        done = _run(top, root, words)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode(errors="surrogateescape") if done.returncode == 0 else ""


def author(folder: Path) -> str:
    """Return the author of the last commit as `Name <address>`; empty if there is no commit."""
    return said(folder, "log", "-1", "--format=%an <%ae>").strip()


def commit_of(folder: Path, ref: str) -> str:
    """
    Return the commit of a git ref.

    Raises:
        ConfigError: There is no such ref, the ref is ambiguous, or a change could replace the repository.
    """
    top, folder = _repository(folder, ref)
    _check_own(top, folder)
    name = _full_name(top, ref)
    return _read(top, "rev-parse", "--verify", "--end-of-options", f"{name}^{{commit}}").decode().strip()


def extract(folder: Path, commit: str, into: Path) -> None:
    """
    Write the files of a folder at a commit (see `commit_of`) into another folder.

    Raises:
        ConfigError: The folder is not in the commit, or contains a link.
    """
    top, folder = _repository(folder, commit)
    inside = folder.relative_to(top).as_posix()
    tree = commit if inside == "." else f"{commit}:{inside}"
    archive = _read(top, "archive", "--format=tar", tree)
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        for member in files:
            content = files.extractfile(member) if member.isfile() else None
            if content is not None:
                target = into / member.name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content.read())
                # The digest of a pack includes the executable bit.
                target.chmod(0o700 if member.mode & 0o100 else 0o600)
            elif not member.isdir():
                raise ConfigError(
                    f"{folder} of {commit[:12]} contains {member.name}, which is neither a file nor a folder: "
                    "replace it with a copy",
                    code="invalid-file",
                )


def _repository(folder: Path, ref: str) -> tuple[Path, Path]:
    """Return the folder of the repository that contains a folder, and the folder's absolute path."""
    # Links in the working tree are not followed: the author of a change could create a link to another gate.
    folder = Path(os.path.abspath(folder))  # noqa: PTH100  (`resolve` follows links)
    top = _top(folder)
    if top is None:
        raise ConfigError(
            f"{folder} is not in a git repository, so there is no ref {ref}", code="invalid-argument"
        )
    return top, folder


def _check_own(top: Path, folder: Path) -> None:
    """
    Refuse a repository that a change can contain: a submodule, even behind a link.

    The author of the change chooses the submodule's address, and with it the content of its `origin/main`.

    Raises:
        ConfigError: The repository is a submodule.
    """
    outer = _top(top.parent)
    if outer is None:
        return
    inside = top.relative_to(outer)
    between = [top, *top.parents][: len(inside.parts)]
    # A clone made by another step of the pipeline is no submodule: the outer repository does not track it.
    if any(one.is_symlink() for one in between) or _read(
        outer, "ls-files", "--", f":(literal){inside.as_posix()}"
    ):
        raise ConfigError(
            f"{folder} is in {top}, a submodule of {outer}. The author of a change can choose its content: use a "
            "folder of that repository, or a clone that the pipeline makes",
            code="invalid-argument",
        )


def _full_name(top: Path, ref: str) -> str:
    """Return the full, unambiguous name of a ref."""
    # For `origin/main`, git prefers a tag or a branch of that name, and the author of a change could push such a tag or
    # branch.
    is_remotes = ref.partition("/")[0] in _read(top, "remote").decode().split()
    name = f"refs/remotes/{ref}" if is_remotes else ref
    base = re.split(r"[~^:]|@\{", name)[0]
    if base.startswith("refs/"):
        # If this ref is missing, git would accept a tag with this full name.
        if base not in _known(top, base):
            raise ConfigError(f"{top} has no {base}: fetch it", code="file-access")
        return name
    names = [f"{folder}/{base}" for folder in ("refs", "refs/tags", "refs/heads", "refs/remotes")]
    known = _known(top, *names)
    found = [one for one in names if one in known]
    if (
        found
        and re.fullmatch("[0-9a-fA-F]{4,39}", base)
        and _read(top, "rev-parse", f"--disambiguate={base}")
    ):
        found.append("a commit")
    if len(found) > 1 and base != "HEAD":
        raise ConfigError(
            f"{ref} is {' and '.join(found)}: write the full name of one of them", code="invalid-argument"
        )
    return name


def _known(top: Path, *names: str) -> list[str]:
    """Return the existing refs whose full name is one of these or begins with one of these and a slash."""
    return _read(top, "for-each-ref", "--format=%(refname)", *names).decode().split()


def _read(top: Path, *words: str) -> bytes:
    try:
        done = _run(top, top, words)
    except OSError as error:
        raise ConfigError(f"git cannot be started: {error.strerror}", code="file-access") from None
    except subprocess.TimeoutExpired:
        # A partial clone may lack files, which git then fetches from a server.
        raise ConfigError(
            f"git did not end in {_SECONDS:.0f} s: run `git fetch` in {top}", code="timed-out"
        ) from None
    if done.returncode:
        reason = " ".join(done.stderr.decode(errors="replace").split())
        name = words[-1].removesuffix("^{commit}")
        if "Needed a single revision" in reason:
            reason = "no commit has this name: fetch it or commit first"
        raise ConfigError(f"the gate cannot be read from git: {reason} ({name})", code="file-access")
    return done.stdout


def _top(folder: Path) -> Path | None:
    """
    Return the folder of the repository that contains a folder; `None` if there is none.

    The author of a change could make a folder look like a bare repository, with settings that run commands, and git
    would accept it. But nobody can commit an entry `.git`, so the search for this entry is safe.
    """
    return next((one for one in (folder, *folder.parents) if (one / ".git").exists()), None)


def _run(top: Path, here: Path, words: Sequence[str]) -> subprocess.CompletedProcess[bytes]:
    named = [f"--git-dir={top / '.git'}", f"--work-tree={top}", "-c", "core.fsmonitor=false"]
    return subprocess.run(  # noqa: S603  (no shell, and the arguments after an option are no options)
        ["git", "--no-replace-objects", *named, *words],  # noqa: S607  (found on PATH, as the user finds it)
        cwd=here,
        # A partial clone may lack files, which git then fetches.
        env=without_secrets("XDG_*", *OF_SSH, *OF_NETWORK),
        capture_output=True,
        check=False,
        timeout=_SECONDS,
    )
