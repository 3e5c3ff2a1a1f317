"""
Which data does the platform have, how long do its transitions take, and which file contains which part of the data?

All data can be written to a file and read again, so it consists of numbers, text and lists. A moment is a number of
seconds since the Unix epoch on the driven clock. No data is secret: only the digest of an API key is stored, and
passwords and private keys are derived at each request.

The file is a snapshot. The journal next to it has one line for each later change, written before the response is sent.
A new snapshot replaces the journal when the journal is large, and when the emulator stops.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import tempfile
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from stacks_pulumi import catalog
from stacks_pulumi._structs import decode


@dataclass
class Account:
    """
    An account.

    Attributes:
        id: `usr-` and eight characters; the ids of its containers begin with it.
        payment_method: Whether the account has a payment method. Without one, a create request receives a 402.
        waitlisted: The number of times that it was put on the waitlist for capacity.
    """

    id: str
    payment_method: bool = True
    waitlisted: int = 0


@dataclass
class ApiKey:
    """
    The record of a key, without the key itself.

    Attributes:
        label: The name that is shown instead of the key.
        sha256: The digest that a request's key is compared with.
        account: Id of the account.
        scopes: The scopes (guide, "Permissions").
        spending_cap: US dollars a calendar month; `None` for no cap.
        rate_limit: Requests in a window; `None` for no limit.
        spent: US dollars by month (`2026-05`).
        revoked: Whether it was revoked in the dashboard.
    """

    label: str
    sha256: str
    account: str
    scopes: list[str]
    spending_cap: Decimal | None = None
    rate_limit: int | None = None
    spent: dict[str, Decimal] = field(default_factory=dict)
    revoked: bool = False


@dataclass
class AllowedIp:
    """An address that may connect."""

    id: str
    ip_address: str
    description: str
    service_type: str
    added_at: float


@dataclass
class VpnClient:
    """A device that may use a VPN. Its keys are derived from its serial; every new client receives a new serial."""

    name: str
    created_at: float
    serial: int


@dataclass
class Transition:
    """
    A container's next change of status.

    It is due at a moment of the driven clock or after a number of reads; the emulator's settings decide. So a test
    can wait, advance the clock, or count polls.

    Attributes:
        to: The next status; `gone` removes the container.
        due: The time on the driven clock; `None` if reads are counted instead.
        reads: The number of further reads that still show the current status.
    """

    to: str
    due: float | None = None
    reads: int | None = None

    def is_due(self, now: float) -> bool:
        """Return whether the transition is due."""
        return self.due is not None and now >= self.due

    def read(self) -> bool:
        """Count one read; return whether this read must show the next status."""
        if self.reads is None:
            return False
        self.reads -= 1
        return self.reads < 0


@dataclass
class Pace:
    """
    The durations of operations, in seconds of the driven clock.

    Attributes:
        boot_seconds: The time from `pending` to `running` (guide, "Create Container": 10 to 30 seconds).
        boot_reads: The number of reads that a boot lasts; `None` to use `boot_seconds`.
        action_seconds: A stop, start or restart.
        delete_seconds: From an accepted deletion until the container is removed.
        backup_seconds: A backup.
    """

    boot_seconds: float = 0.05
    boot_reads: int | None = None
    action_seconds: float = 0.02
    delete_seconds: float = 0.02
    backup_seconds: float = 0.05

    def boot(self, now: float) -> Transition:
        """Return the transition that ends a boot which begins now."""
        if self.boot_reads is not None:
            return Transition("running", reads=self.boot_reads)
        return Transition("running", due=now + self.boot_seconds)


@dataclass
class Container:
    """
    A container.

    Attributes:
        id: The account's prefix and the name.
        plan: A plan of the catalogue, or `vpn` for the tier of `stacks-vpn`.
        port: The port of the public host that is forwarded to it.
        running_since: When it last started, if it is running.
        stopped_at: When it last stopped, if it is not running.
        next: Its next transition, if any.
        boots: The number of boots that have begun.
        booting: Whether `next` ends a boot, which can fail.
        env_pending: Whether connections have changed since its last (re)start, so that it runs with old variables.
        certificate_serial: A counter that increases with every new key pair.
        error: Why the last boot failed; `None` after a successful boot.
        restored: The backups restored into it, oldest first.
        created_by: Label of the key that created it.
    """

    id: str
    account: str
    name: str
    template: str
    plan: str
    port: int
    ip_address: str
    created_at: float
    updated_at: float
    status: str = "pending"
    storage_tier: int | None = None
    discount_code: str | None = None
    running_since: float | None = None
    stopped_at: float | None = None
    next: Transition | None = None
    boots: int = 0
    booting: bool = False
    env_pending: bool = False
    certificate_serial: int = 1
    error: str | None = None
    external_access: bool = False
    subdomain: str | None = None
    exposures: int = 0
    allowed_ips: list[AllowedIp] = field(default_factory=list)
    vpn_clients: list[VpnClient] = field(default_factory=list)
    restored: list[int] = field(default_factory=list)
    created_by: str = ""

    @property
    def size(self) -> catalog.Plan:
        """The size of the plan."""
        return _size_of(self.plan)

    @property
    def storage_mb(self) -> int:
        """The sum of the plan's storage and the additional storage."""
        extra = catalog.STORAGE_TIERS[self.storage_tier].storage_mb if self.storage_tier is not None else 0
        return self.size.storage_mb + extra

    @property
    def price(self) -> Decimal:
        """The monthly price in US dollars."""
        return price_of(self.plan, self.storage_tier)

    @property
    def url(self) -> str | None:
        """Its public host name while external access is on."""
        return None if self.subdomain is None else f"{self.name}-{self.subdomain}.stackshosting.cloud"


@dataclass
class Connection:
    """A connection from a source container to a target container."""

    id: str
    account: str
    source: str
    target: str
    name: str
    created_at: float


@dataclass
class Backup:
    """A backup of a container; `due` is the time when it is completed."""

    id: int
    account: str
    container_id: str
    container_name: str
    backup_type: str
    created_at: float
    due: float
    status: str = "in_progress"
    snapshot_id: str | None = None
    size_bytes: int = 0
    completed_at: float | None = None
    error_message: str | None = None
    pinned: bool = False


@dataclass
class State:
    """
    The complete state of the platform.

    Each attribute is the data itself, not a copy.

    Attributes:
        seed: The text from which ids, passwords and the first key are derived.
        accounts: By id.
        keys: Oldest first.
        containers: By id, oldest first, of every account.
        connections: By id, oldest first.
        backups: By id, oldest first.
        counters: The number of assigned ids of each kind.
        driven: The seconds by which the clock was advanced.
        scheduled_until: The time up to which the nightly backups were created.
        boot_failures: Container name or template -> the number of its next boots that fail; `None` for all.
        backup_failures: Container name -> the messages of its next backups, which fail.
        capacity: The number of further containers that can be created; `None` for any number.
        seeded: Whether it was filled from a seed file.
    """

    seed: int = 0
    accounts: dict[str, Account] = field(default_factory=dict)
    keys: list[ApiKey] = field(default_factory=list)
    containers: dict[str, Container] = field(default_factory=dict)
    connections: dict[str, Connection] = field(default_factory=dict)
    backups: dict[int, Backup] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)
    driven: float = 0.0
    scheduled_until: float = 0.0
    boot_failures: dict[str, int | None] = field(default_factory=dict)
    backup_failures: dict[str, list[str]] = field(default_factory=dict)
    capacity: int | None = None
    seeded: bool = False

    def count(self, kind: str) -> int:
        """Return the next number of a kind; the first is 1."""
        self.counters[kind] = self.counters.get(kind, 0) + 1
        return self.counters[kind]

    def container(self, name_or_id: str) -> Container:
        """
        Return a container by its id or by its name in any account.

        Raises:
            KeyError: No container has this id or name.
        """
        for container in list(self.containers.values()):
            if name_or_id in {container.id, container.name}:
                return container
        raise KeyError(name_or_id)

    def names(self) -> list[str]:
        """Return the sorted names of all containers, including those that are being deleted."""
        return sorted(container.name for container in list(self.containers.values()))

    def key(self, label: str) -> ApiKey:
        """
        Return a key by its label.

        Raises:
            KeyError: No key has this label.
        """
        for key in list(self.keys):
            if key.label == label:
                return key
        raise KeyError(label)

    def derive(self, *parts: object) -> str:
        """Return 64 hexadecimal digits that depend only on the seed and the parts."""
        return hashlib.sha256(":".join(map(str, (self.seed, *parts))).encode()).hexdigest()

    def derive_uuid(self, *parts: object) -> str:
        """Return a UUID that depends only on the seed and the parts."""
        digits = self.derive(*parts)
        return "-".join((digits[:8], digits[8:12], f"4{digits[13:16]}", f"a{digits[17:20]}", digits[20:32]))


def _size_of(plan: str) -> catalog.Plan:
    """Return the size of a plan, or of the VPN tier."""
    return catalog.VPN_PLAN if plan == catalog.VPN_PLAN.name else catalog.PLANS[plan]


def price_of(plan: str, storage_tier: int | None) -> Decimal:
    """Return the monthly price of a plan with an additional storage tier."""
    extra = catalog.STORAGE_TIERS[storage_tier].usd if storage_tier is not None else Decimal(0)
    return _size_of(plan).usd + extra


_VERSION = 2
_READS = (1, 2)
"""The versions that can be read. Version 1 differs only in that it has no journal and no generation."""

_FOLD_AFTER = 4_000_000
"""The size of the journal in bytes at which a new snapshot is written."""

_COLLECTIONS = ("containers", "connections", "backups")
"""Fields of the state that map ids to objects; the journal contains each object that changed."""


class StateFileError(Exception):
    """The state file cannot be used; `str` states why in one line."""


class _File(msgspec.Struct):
    version: int
    state: State = msgspec.field(name="world")
    generation: int = 0
    """The generation of the journal that belongs to this snapshot."""


class _Line(msgspec.Struct, omit_defaults=True):
    """
    One change.

    Attributes:
        generation: The generation of the snapshot that it follows.
        rest: The fields of the state that are not collections, if one of them changed.
        put: Collection -> id -> the changed object.
        gone: Collection -> ids of removed objects.
    """

    generation: int
    rest: Any = None
    put: dict[str, dict[str, Any]] = {}
    gone: dict[str, list[str]] = {}


class Journal:
    """Stores a state in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._generation: int | None = None
        self._size = 0
        self._encoder = msgspec.json.Encoder()
        self._known: dict[str, dict[str, bytes]] = {}
        self._rest = b""

    def save(self, state: State) -> None:
        """
        Write the changes since the last call.

        Raises:
            StateFileError: The file cannot be written.
        """
        if self._generation is None or self._size > _FOLD_AFTER:
            self.fold(state)
            return
        line = self._changes(state, self._generation)
        if line is not None:
            # Do not use O_CREAT: if the journal was removed, a new journal would lack the first changes.
            self._write(self._encoder.encode(line) + b"\n", os.O_APPEND)

    def fold(self, state: State) -> None:
        """
        Write a snapshot, and begin a new journal.

        Raises:
            StateFileError: The file cannot be written.
        """
        generation = save(self._path, state)
        self._changes(state, generation)
        self._size = 0
        self._write(b"", os.O_CREAT | os.O_TRUNC)
        self._generation = generation

    def _write(self, content: bytes, flags: int) -> None:
        path = _beside(self._path)
        try:
            # Write unbuffered and in one call, so that a line is complete unless the disk is full. Do not follow a
            # link: a project may have a link with this name to another file. As with the snapshot, only the owner may
            # read the journal.
            descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | flags, 0o600)
            os.fchmod(descriptor, 0o600)
            with open(descriptor, "wb", buffering=0) as file:  # noqa: PTH123  (of a descriptor)
                written = file.write(content)
        except OSError as exc:
            # The file lacks the remembered changes, so write everything in the next call.
            self._generation = None
            raise StateFileError(f"the state file {path} cannot be written: {exc.strerror}") from None
        if written < len(content):
            self._generation = None
            raise StateFileError(f"the state file {path} cannot be written: {os.strerror(errno.ENOSPC)}")
        self._size += len(content)

    def _changes(self, state: State, generation: int) -> _Line | None:
        """Return the differences from the remembered state, and remember the current one."""
        line = _Line(generation)
        encode = self._encoder.encode
        for name in _COLLECTIONS:
            known = self._known.setdefault(name, {})
            now = {str(key): encode(value) for key, value in getattr(state, name).items()}
            put = {key: msgspec.Raw(value) for key, value in now.items() if known.get(key) != value}
            gone = [key for key in known if key not in now] if len(known) + len(put) > len(now) else []
            if put:
                line.put[name] = put
            if gone:
                line.gone[name] = gone
            self._known[name] = now
        rest = encode(_rest(state))
        if rest != self._rest:
            line.rest, self._rest = msgspec.Raw(rest), rest
        return line if line.put or line.gone or line.rest is not None else None


def load(path: Path) -> State | None:
    """
    Return the state from a file and its journal.

    Returns:
        `None` if the file does not exist or is empty.

    Raises:
        StateFileError: The file cannot be read, or is not a state file of an emulator.
    """
    content = _read(path)
    if not content.strip():
        return None
    try:
        snapshot = decode(content, _File)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        hint = "choose a different --state, or remove the file to start again"
        raise StateFileError(f"{path} is not an emulator's state file ({exc}): {hint}") from None
    if snapshot.version not in _READS:
        raise StateFileError(
            f"the state file {path} has version {snapshot.version}, but this emulator reads {_VERSION}: choose a "
            "different --state, or remove the file to start again"
        )
    try:
        return _replayed(snapshot, _read(_beside(path)))
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError, RecursionError) as exc:
        hint = "choose a different --state, or remove both files to start again"
        raise StateFileError(f"the journal {_beside(path)} is damaged ({exc}): {hint}") from None


def save(path: Path, state: State) -> int:
    """
    Write the complete state to a file atomically.

    Returns:
        The generation of the snapshot; a journal with a different generation does not belong to it.

    Raises:
        StateFileError: The file cannot be written.
    """
    generation = int.from_bytes(os.urandom(6), "big")
    content = msgspec.json.format(msgspec.json.encode(_File(_VERSION, state, generation)), indent=1)
    temporary: str | None = None
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(temporary).replace(path)
    except OSError as exc:
        if temporary is not None:
            with contextlib.suppress(OSError):
                Path(temporary).unlink()
        raise StateFileError(f"the state file {path} cannot be written: {exc.strerror}") from None
    return generation


def _replayed(snapshot: _File, journal: bytes) -> State:
    """Return the state of a snapshot with the changes of its journal."""
    fields: dict[str, Any] = msgspec.to_builtins(snapshot.state)
    # A crash may have cut the last line; the response to that request was never sent.
    for text in journal.split(b"\n")[:-1]:
        line = decode(text, _Line)
        if line.generation != snapshot.generation:
            continue
        if line.rest is not None:
            fields.update(line.rest)
        for name, objects in line.put.items():
            fields[name].update(objects)
        for name, keys in line.gone.items():
            for key in keys:
                fields[name].pop(key, None)
    return decode(msgspec.json.encode(fields), State)


def _rest(state: State) -> dict[str, Any]:
    return {name: value for name, value in vars(state).items() if name not in _COLLECTIONS}


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.journal")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as exc:
        raise StateFileError(f"the state file {path} cannot be read: {exc.strerror}") from None
