"""
Which files has a broker's folder, and who may read them?

It is the gate's folder: `gate.yaml`, `allowed_signers`, and the ledger. One server at a time has its lock.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

from stacks_pulumi._clock import Clock
from stacks_pulumi.broker.kernel import Budget
from stacks_pulumi.broker.ledger import FILE as LEDGER
from stacks_pulumi.broker.ledger import Ledger
from stacks_pulumi.broker.settings import FILE, GateFile, read_file
from stacks_pulumi.errors import ConfigError

ADDRESS: Final = "broker.json"
"""Where a server writes its address and its process, while it runs."""
_LOCK: Final = "broker.lock"
_ACCOUNT: Final = "broker.account"
"""The number of the broker, for a ledger that is new: it may be kept with the settings where no ledger lasts."""
_USE: Final = "broker.use"
"""What a command has open, with a shared lock, as long as it and what it has started use a server for one run."""

_NUMBER: Final = re.compile(r"[0-9a-f]{16}")

_SETTINGS: Final = """\
# The rules of this broker, and what it may do without a person. docs/broker.md explains each setting.
version: 1

# The stacks that it is for, as PROJECT/STACK. Left out: all.
# stacks: ["shop/*"]

# The API key, in a file that only the broker's user can read. Left out: the variable STACKS_API_KEY.
# key: {file: /etc/stacks/key}

# US dollars a month, for the whole account, at every create.
# account: {max_total: 40}

# approve: a change needs an approval. refuse: it is refused.
rules:
  destroys-data: approve
  restores-data: approve
  opens-access: approve
  unpriced: refuse

# What `broker grant budget --policy agents` may do without a person.
# policies:
#   agents: {increase_per_day: 5, max_total: 15, templates: [nodejs, redis], plans: [micro, basic],
#            free: [start, restart, connect-own, backup, pin-own, undo], undo: 15m}
"""
_SIGNERS: Final = """\
# One line for each person who may approve, with their public key of SSH:
# ann namespaces="stacks-pulumi-gate" ssh-ed25519 AAAA...
"""
_UNIT: Final = """\
# Copy it to /etc/systemd/system/stacks-broker.service. The key is in the file {key}, which only root can read.
[Unit]
Description=The broker of a STACKS account
After=network-online.target

[Service]
User=stacks-broker
LoadCredential=stacks-key:{key}
ExecStart={command} broker serve {folder}
Restart=on-failure
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ReadWritePaths={folder}
KillSignal=SIGTERM
TimeoutStopSec=60

[Install]
WantedBy=multi-user.target
"""


def init(folder: Path, *, command: str = "stacks-pulumi", systemd: bool = False) -> list[str]:
    """
    Write what a broker's folder lacks, and return the names of the new files.

    Args:
        folder: The folder.
        command: How the program is called, for the unit.
        systemd: Whether to write a unit of systemd.

    Raises:
        ConfigError: It cannot be written.
    """
    files = {FILE: _SETTINGS, "allowed_signers": _SIGNERS, _ACCOUNT: f"{secrets.token_hex(8)}\n"}
    if systemd:
        files["stacks-broker.service"] = _UNIT.format(
            key="/etc/stacks/key", command=command, folder=folder.resolve()
        )
    made = []
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, text in files.items():
            with contextlib.suppress(FileExistsError):
                descriptor = os.open(folder / name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
                with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                    file.write(text)
                made.append(name)
        if not (folder / LEDGER).exists():
            os.close(os.open(folder / LEDGER, os.O_CREAT | os.O_RDWR, 0o600))
            made.append(LEDGER)
    except OSError as error:
        raise ConfigError(f"{folder} cannot be written: {error.strerror}", code="file-access") from None
    return made


class Folder:
    """
    A broker's folder.

    Args:
        path: Its path.
        clock: The clock.

    Raises:
        ConfigError: It has no settings, or other users can read or change what is in it.
        LedgerError: The ledger cannot be used.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path = path.resolve()
        self._given = path
        self._read: tuple[tuple[int, int], GateFile] | None = None
        self._read_budgets: tuple[tuple[int, int], Sequence[Budget]] | None = None
        self.settings()
        self._check_modes()
        self.ledger = Ledger(self.path / LEDGER, clock, _account(self.path / _ACCOUNT))

    def close(self) -> None:
        """Close the ledger."""
        self.ledger.close()

    @property
    def signers(self) -> Path:
        """The file with the keys of the approvers."""
        return self.path / self.settings().approvers

    def settings(self) -> GateFile:
        """Return the settings as they are now."""
        at = _version(self.path / FILE)
        if self._read is None or self._read[0] != at:
            self._read = at, read_file(self.path, str(self._given))[0]
        return self._read[1]

    def budgets(self) -> Sequence[Budget]:
        """
        Return the budgets over several stacks as they are now.

        Raises:
            ConfigError: One chooses its stacks by tags, which a broker does not see.
        """
        name = self.settings().budgets
        if name is None:
            return ()
        at = _version(self.path / name)
        if self._read_budgets is None or self._read_budgets[0] != at:
            self._read_budgets = at, tuple(_budgets(self.path / name))
        return self._read_budgets[1]

    def _check_modes(self) -> None:
        for path, mask in ((self.path, 0o022), (self.path / FILE, 0o022), (self.path / LEDGER, 0o077)):
            if path.exists() and path.stat().st_mode & mask:
                does = "read" if mask & 0o044 else "change"
                mode = 700 if path == self.path else 600
                raise ConfigError(
                    f"other users can {does} {path}: run `chmod {mode} {path}`", code="file-access"
                )

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """
        Enclose the run of a server.

        Raises:
            ConfigError: Another server has this folder.
        """
        with (self.path / _LOCK).open("w", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise ConfigError(f"a broker serves {self._given} already", code="file-access") from None
            try:
                yield
            finally:
                with contextlib.suppress(OSError):
                    (self.path / ADDRESS).unlink()

    def announce(self, url: str, *, while_used: bool = False) -> None:
        """Write where a server listens, which process it is, and whether it ends when it is not used."""
        said = {"url": url, "pid": os.getpid(), "uid": os.getuid(), "while_used": while_used}
        text = json.dumps(said)
        new = self.path / f"{ADDRESS}.new"
        new.write_text(f"{text}\n", encoding="utf-8")
        new.replace(self.path / ADDRESS)


def announced(folder: Path) -> dict[str, Any]:
    """Return the address and the process of the server of a folder; nothing if none runs."""
    try:
        said: dict[str, Any] = json.loads((folder / ADDRESS).read_text(encoding="utf-8"))
        with (folder / _LOCK).open("r", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return said
    except (OSError, ValueError):
        pass
    return {}


@contextlib.contextmanager
def in_use(folder: Path) -> Iterator[int]:
    """Yield a file descriptor for a process to inherit: a server for one run lasts as long as one has it open."""
    with (folder / _USE).open("a", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield file.fileno()


def is_used(folder: Path) -> bool:
    """Return whether a process that has inherited what `in_use` yields runs."""
    with (folder / _USE).open("a", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def _version(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return (0, 0)
    return found.st_mtime_ns, found.st_size


def _account(path: Path) -> str | None:
    """Return the number of a broker that a file says; `None` without one."""
    try:
        said = path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        said = ""
    if not _NUMBER.fullmatch(said):
        raise ConfigError(f"{path} has not the 16 digits of a broker", code="invalid-file")
    return said


def _budgets(path: Path) -> Iterator[Budget]:
    from stacks_pulumi.account.budgets import read_budgets  # noqa: PLC0415  (few folders have budgets)

    for budget in read_budgets(path).budgets:
        if budget.tags:
            raise ConfigError(
                f"{path.name}: the budget {budget.name} chooses stacks by tags, which a broker does not see: name the "
                "stacks or projects",
                code="invalid-setting",
            )
        most = [limit.most for limit in budget.limits if limit.measure == "total" and limit.block]
        if most:
            yield Budget(budget.title, min(most), _chooser(budget.stacks, budget.projects))


def _chooser(stacks: Sequence[str], projects: Sequence[str]) -> Any:
    def chooses(stack: str) -> bool:
        project, _, _ = stack.partition("/")
        in_stacks = not stacks or any(fnmatchcase(stack, one) for one in stacks)
        return in_stacks and (not projects or any(fnmatchcase(project, one) for one in projects))

    return chooses
