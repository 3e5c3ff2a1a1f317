"""
Which files does a broker's folder contain, and who may read them?

It is the gate's folder, with `gate.yaml`, `allowed_signers` and the ledger. With `rules_ref`, the rules come from a git
ref, so write access to the working tree is not enough to change them. A server locks the folder, so no second server
can run.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, TypeVar

import msgspec

from stacks_pulumi._clock import Clock
from stacks_pulumi.broker import git
from stacks_pulumi.broker.change import LONGEST
from stacks_pulumi.broker.ledger import FILE as LEDGER
from stacks_pulumi.broker.ledger import Ledger
from stacks_pulumi.broker.limits import Budget
from stacks_pulumi.broker.reader import Inside, opened
from stacks_pulumi.broker.settings import FILE, GateFile, read_file
from stacks_pulumi.errors import ConfigError

if TYPE_CHECKING:
    from stacks_pulumi.account.budgets import BudgetFile

T = TypeVar("T")

ADDRESS: Final = "broker.json"
"""The file in which a running server writes its address and its process id."""
_LOCK: Final = "broker.lock"
ACCOUNT: Final = "broker.account"
"""
The file with the broker's number for a new ledger. It can be stored with the settings, for instance in a pipeline that
keeps no ledger.
"""
_USE: Final = "broker.use"
"""The file that a command and its child processes keep open and locked while they use a server for one run."""

_ASKS: Final = 10.0
"""Seconds after which the commit of `rules_ref` is read again."""
_NUMBER: Final = re.compile(r"[0-9a-f]{16}")


class Folder:
    """
    A broker's folder.

    Raises:
        ConfigError: The folder contains no settings, or other users can read or change its files.
        LedgerError: The ledger cannot be used.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path = path.resolve()
        self._given, self._clock = path, clock
        self._kept: dict[Path, tuple[tuple[int, int], Any]] = {}
        self._one = threading.Lock()
        self._asked: tuple[float, Path] | None = None
        self._ending = contextlib.ExitStack()
        try:
            self.settings()
            check_modes(self.path, self._settings(self.path))
            self.ledger = Ledger(self.path / LEDGER, clock, account_in(self.path / ACCOUNT))
        except BaseException:
            self._ending.close()
            raise
        self._ending.callback(self.ledger.close)

    def close(self) -> None:
        self._ending.close()

    @property
    def rules(self) -> Path:
        """The folder with the current rules, packs and approvers: this folder, or its copy from `rules_ref`."""
        ref = self._settings(self.path).rules_ref
        if ref is None:
            return self.path
        with self._one:
            now = self._clock.now()
            if self._asked is None or now - self._asked[0] >= _ASKS:
                self._asked = now, self._of_ref(ref)
            return self._asked[1]

    def _of_ref(self, ref: str) -> Path:
        commit = git.commit_of(self._given, ref)
        if self._asked is not None and self._asked[1].name == commit:
            return self._asked[1]
        # A request in progress may still read the previous copy, so that copy is kept.
        scratch = self._ending.enter_context(tempfile.TemporaryDirectory(prefix="stacks-rules-"))
        folder = Path(scratch) / commit
        folder.mkdir()
        git.extract(self._given, commit, folder)
        return folder

    @property
    def signers(self) -> Path:
        """The file with the keys of the approvers."""
        rules = self.rules
        return rules / self._settings(rules).approvers

    def settings(self) -> GateFile:
        own, rules = self._settings(self.path), self.rules
        if rules == self.path:
            return own
        return msgspec.structs.replace(
            self._settings(rules),
            # The author of the rules must not choose the location of the key or the address to which it is sent.
            key=own.key,
            keys=own.keys,
            base_url=own.base_url,
            listen=own.listen,
            rules_ref=own.rules_ref,
        )

    @property
    def files(self) -> list[Path]:
        """The files that control the broker, and the files of its keys."""
        return [*_settings_files(self.path, self._settings(self.path)), self.path / LEDGER, *self._keys]

    @property
    def _keys(self) -> list[Path]:
        file = self._settings(self.path)
        sources = (file.key, *(() if file.keys is None else (file.keys.read, file.keys.change)))
        return [one.path for one in sources if one is not None]

    def rule_files(self) -> dict[str, bytes]:
        """
        Return the rules, packs and prices by their names in the folder, but not the key or the budgets of other stacks.

        Raises:
            ConfigError: The files are too large for an answer, or a pack is the folder itself.
        """
        rules = self.rules
        file, root = self._settings(rules), rules.resolve()
        document, reader = opened(rules / FILE, FILE)
        said = {name: value for name, value in document.items() if name not in {"key", "keys", "budgets"}}
        configured = (pack.config for pack in file.packs)
        others = (*file.own_rules, file.approvers, file.prices, *configured)
        paths = [rules / name for name in others if name is not None]
        for index, pack in enumerate(file.packs):
            # The folder itself contains the ledger.
            Inside(root, reader).folder(pack.path, f".packs[{index}].path")
            # A link may point to the key.
            paths += [one for one in sorted((rules / pack.path).rglob("*")) if not one.is_symlink()]
        found, size = {FILE: json.dumps(said).encode()}, 0
        keys = {one.resolve() for one in (self.path / LEDGER, *self._keys)}
        for path in paths:
            is_inside = path.resolve().is_relative_to(root) and path.resolve() not in keys
            if path.is_file() and is_inside and "__pycache__" not in path.parts:
                size += path.stat().st_size
                if size > LONGEST:
                    raise ConfigError(
                        f"the packs in {self._given} have more than {LONGEST} bytes, so the broker does not send "
                        "them: move the files that `pulumi install` created out of the folder",
                        code="invalid-file",
                    )
                found[path.relative_to(rules).as_posix()] = path.read_bytes()
        return found

    def budgets(self) -> Sequence[Budget]:
        """
        Return the current budgets over several stacks.

        Raises:
            ConfigError: The file contains a setting that a broker does not enforce.
        """
        rules = self.rules
        name = self._settings(rules).budgets
        return () if name is None else self._read(rules / name, lambda path: tuple(budgets_in(path)))

    def _settings(self, folder: Path) -> GateFile:
        source = None if folder == self.path else f"{self._given}, commit {folder.name[:12]}"
        return self._read(folder / FILE, lambda _: read_file(folder, str(self._given), source)[0])

    def _read(self, path: Path, read: Callable[[Path], T]) -> T:
        """Return the content of a file, which is read again only if it has changed."""
        try:
            found = path.stat()
            at = found.st_mtime_ns, found.st_size
        except OSError:
            at = (0, 0)
        kept = self._kept.get(path)
        if kept is None or kept[0] != at:
            kept = self._kept[path] = at, read(path)
        said: T = kept[1]
        return said

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """
        Lock the folder for the run of a server.

        Raises:
            ConfigError: Another server serves this folder.
        """
        with _opened(self.path / _LOCK) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise ConfigError(
                    f"another broker already serves {self._given}: stop it first", code="file-access"
                ) from None
            try:
                yield
            finally:
                with contextlib.suppress(OSError):
                    (self.path / ADDRESS).unlink()

    def announce(self, url: str, *, while_used: bool = False) -> None:
        """Write the address and the process id of a server, and whether the server ends when no process uses it."""
        said = {"url": url, "pid": os.getpid(), "uid": os.getuid(), "while_used": while_used}
        text = json.dumps(said)
        new = self.path / f"{ADDRESS}.new"
        new.write_text(f"{text}\n", encoding="utf-8")
        new.replace(self.path / ADDRESS)


def check_modes(folder: Path, file: GateFile) -> None:
    """
    Check that no other user can change the settings and approvers of a folder, or read its ledger.

    Raises:
        ConfigError: Another user can change or read them.
    """
    files = _settings_files(folder, file)
    # A user who can write to a folder can replace its files.
    settings = dict.fromkeys([folder, *(one for path in files for one in (path.parent, path))], 0o022)
    for path, mask in (settings | {folder / LEDGER: 0o077}).items():
        if path.exists() and path.stat().st_mode & mask:
            does = "read" if mask & 0o044 else "change"
            mode = 700 if path.is_dir() else 600
            raise ConfigError(f"other users can {does} {path}: run `chmod {mode} {path}`", code="file-access")


def _opened(path: Path) -> BinaryIO:
    """Open a file that only its owner can open: otherwise, another user could hold the file's lock."""
    file = os.fdopen(os.open(path, os.O_CREAT | os.O_RDWR, 0o600), "rb+")
    os.fchmod(file.fileno(), 0o600)
    return file


def _settings_files(folder: Path, file: GateFile) -> list[Path]:
    # With `rules_ref`, the other files come from git.
    others = (file.approvers, file.budgets, file.prices) if file.rules_ref is None else ()
    return [folder / name for name in (FILE, *others) if name is not None]


def announced(folder: Path) -> dict[str, Any]:
    """Return the address and the process id of a folder's server; empty if no server runs."""
    try:
        said: dict[str, Any] = json.loads((folder / ADDRESS).read_text(encoding="utf-8"))
        with _opened(folder / _LOCK) as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return said
    except (OSError, ValueError):
        pass
    return {}


@contextlib.contextmanager
def in_use(folder: Path) -> Iterator[int]:
    """Yield a file descriptor for child processes: while one of them has it open, a server for one run continues."""
    with _opened(folder / _USE) as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield file.fileno()


def is_used(folder: Path) -> bool:
    """Return whether a process still has the file descriptor of `in_use` open."""
    with _opened(folder / _USE) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def account_in(path: Path) -> str | None:
    """
    Return the broker's number that a file contains; `None` if the file does not exist.

    Raises:
        ConfigError: The file contains no such number.
    """
    try:
        said = path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        said = ""
    if not _NUMBER.fullmatch(said):
        raise ConfigError(f"{path} does not contain the 16 digits of a broker's number", code="invalid-file")
    return said


def budgets_in(path: Path) -> Iterator[Budget]:
    """
    Yield the budgets that a file sets for several stacks.

    Raises:
        ConfigError: The file cannot be read, or contains settings that a broker does not enforce: tags, increases,
            `covers: all`.
    """
    from stacks_pulumi.account.budgets import read_budgets  # noqa: PLC0415  (few folders have budgets)

    file = read_budgets(path)
    for problem in _not_enforced(file):
        raise ConfigError(f"{path.name}: {problem}", code="invalid-setting")
    for budget in file.budgets:
        most = [limit.most for limit in budget.limits if limit.measure == "total" and limit.block]
        if most:
            yield Budget(budget.title, min(most), _chooser(budget.stacks, budget.projects))


def _not_enforced(file: BudgetFile) -> Iterator[str]:
    """Yield messages about settings that no broker enforces, in a file of budgets."""
    if file.covers_all:
        yield "a broker does not know all stacks, so it does not enforce `covers: all`: remove it"
    for budget in file.budgets:
        if budget.tags:
            yield (
                f"the budget {budget.name} selects stacks by tags, which a broker does not know: select them by "
                "`stacks` or `projects`"
            )
        if any(limit.block and limit.measure != "total" for limit in budget.limits):
            yield (
                f"the budget {budget.name} limits an increase, but a broker enforces only totals: write `max_total`, "
                "and in gate.yaml `limits: {max_increase: USD}`"
            )


def _chooser(stacks: Sequence[str], projects: Sequence[str]) -> Any:
    def chooses(stack: str) -> bool:
        project, _, _ = stack.partition("/")
        in_stacks = not stacks or any(fnmatchcase(stack, one) for one in stacks)
        return in_stacks and (not projects or any(fnmatchcase(project, one) for one in projects))

    return chooses
