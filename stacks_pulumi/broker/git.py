"""
What does git know about a folder, and which files does a ref have?

Neither the environment nor the author of a change chooses which repository is read, or what git runs.
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
    """Return what git prints for a folder; empty if it is in no repository, or git is not installed."""
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
    """Return the author of the last commit, as git says it; empty without one."""
    return said(folder, "log", "-1", "--format=%an <%ae>").strip()


def commit_of(folder: Path, ref: str) -> str:
    """
    Return the commit of a git ref.

    Args:
        folder: A folder in a working tree.
        ref: A branch, tag or commit.

    Raises:
        ConfigError: There is no such ref, it names two things, or the repository is a part of a change.
    """
    top, folder = _repository(folder, ref)
    _check_own(top, folder)
    name = _full_name(top, ref)
    return _read(top, "rev-parse", "--verify", "--end-of-options", f"{name}^{{commit}}").decode().strip()


def extract(folder: Path, commit: str, into: Path) -> None:
    """
    Write the files that a folder has in a commit.

    Args:
        folder: The folder, in a working tree.
        commit: What `commit_of` has returned.
        into: Where to write.

    Raises:
        ConfigError: The folder is not in the commit, or has a link there.
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
                # It is in the digest too.
                target.chmod(0o700 if member.mode & 0o100 else 0o600)
            elif not member.isdir():
                raise ConfigError(
                    f"{folder} of {commit[:12]} has {member.name}, which is neither a file nor a folder: use a copy",
                    code="invalid-file",
                )


def _repository(folder: Path, ref: str) -> tuple[Path, Path]:
    """Return the folder of the repository that a folder is in, and the folder in full."""
    # Links of the working tree are not followed: the author of a change can make one that leads to another gate.
    folder = Path(os.path.abspath(folder))  # noqa: PTH100  (`resolve` follows links)
    top = _top(folder)
    if top is None:
        raise ConfigError(
            f"{folder} is not in a git repository, so it has no ref {ref}", code="invalid-argument"
        )
    return top, folder


def _check_own(top: Path, folder: Path) -> None:
    """
    Refuse a repository that a change can bring with it: a submodule, also behind a link.

    The author chooses its address, and so what `origin/main` is in it.

    Raises:
        ConfigError: It is one.
    """
    outer = _top(top.parent)
    if outer is None:
        return
    inside = top.relative_to(outer)
    between = [top, *top.parents][: len(inside.parts)]
    # A clone that another step of the pipeline made is no file of the outer repository.
    if any(one.is_symlink() for one in between) or _read(
        outer, "ls-files", "--", f":(literal){inside.as_posix()}"
    ):
        raise ConfigError(
            f"{folder} is in {top}, which is a submodule of {outer}, and its author chooses what it has: "
            "use a folder of that repository, or a clone that the pipeline makes",
            code="invalid-argument",
        )


def _full_name(top: Path, ref: str) -> str:
    """Return a ref so that it names one thing."""
    # For `origin/main` git takes a tag or a branch of that name first, which the author of a change can push.
    is_remotes = ref.partition("/")[0] in _read(top, "remote").decode().split()
    name = f"refs/remotes/{ref}" if is_remotes else ref
    base = re.split(r"[~^:]|@\{", name)[0]
    if base.startswith("refs/"):
        # Without this ref, git would take a tag of that whole name.
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
            f"{ref} is {' and '.join(found)}: name one of them in full", code="invalid-argument"
        )
    return name


def _known(top: Path, *names: str) -> list[str]:
    """Return the existing refs that have these full names, or are below them."""
    return _read(top, "for-each-ref", "--format=%(refname)", *names).decode().split()


def _read(top: Path, *words: str) -> bytes:
    try:
        done = _run(top, top, words)
    except OSError as error:
        raise ConfigError(f"git cannot be started: {error.strerror}", code="file-access") from None
    except subprocess.TimeoutExpired:
        # A clone may lack files, which git then asks a server for.
        raise ConfigError(
            f"git did not end in {_SECONDS:.0f} s: run `git fetch` in {top}", code="timed-out"
        ) from None
    if done.returncode:
        reason = " ".join(done.stderr.decode(errors="replace").split())
        name = words[-1].removesuffix("^{commit}")
        if "Needed a single revision" in reason:
            reason = "no commit has this name: fetch it, or commit first"
        raise ConfigError(f"the gate cannot be read from git: {reason} ({name})", code="file-access")
    return done.stdout


def _top(folder: Path) -> Path | None:
    """
    Return the folder of the repository that a folder is in; `None` if it is in none.

    Git would also take a folder for a repository that the author of a change made to look like one, with settings that
    run commands. An entry `.git` cannot be committed.
    """
    return next((one for one in (folder, *folder.parents) if (one / ".git").exists()), None)


def _run(top: Path, here: Path, words: Sequence[str]) -> subprocess.CompletedProcess[bytes]:
    named = [f"--git-dir={top / '.git'}", f"--work-tree={top}", "-c", "core.fsmonitor=false"]
    return subprocess.run(  # noqa: S603  (no shell, and the arguments after an option are no options)
        ["git", "--no-replace-objects", *named, *words],  # noqa: S607  (found on PATH, as the user finds it)
        cwd=here,
        # A clone may lack files, which git then fetches.
        env=without_secrets("XDG_*", *OF_SSH, *OF_NETWORK),
        capture_output=True,
        check=False,
        timeout=_SECONDS,
    )
