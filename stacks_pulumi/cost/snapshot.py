"""
A snapshot: the containers of an account at one moment, as `cost --account` and `account` save and compare them.

It is a JSON document. The output of `stacks-pulumi account --json` is a snapshot with more fields, which are ignored.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final

import msgspec

from stacks_pulumi._identifiers import account_of, same_instant
from stacks_pulumi._pulumi_output import InputError, read_file, utf8
from stacks_pulumi.cost.report import Action, Item, Line, Report
from stacks_pulumi.pricing.money import Price

__all__ = [
    "Entry",
    "Snapshot",
    "compare",
    "encoded",
    "header",
    "now",
    "priced",
    "read_snapshot",
    "write_snapshot",
]

VERSION: Final = 1
_HELP: Final = (
    "pass the output of `stacks-pulumi account --save FILE` or `stacks-pulumi cost --account --save FILE`"
)


@dataclass(frozen=True)
class Entry:
    """
    A container in a snapshot.

    Attributes:
        id: Its id.
        name: Its name.
        created_at: When it was created. Id and creation time together are its identity.
        item: Its kind and price.
        stacks: The stacks that own it; `None` if the snapshot does not say.
    """

    id: str
    name: str
    created_at: str | None
    item: Item
    stacks: tuple[str, ...] | None = None

    def describe(self) -> dict[str, Any]:
        """Return the fields that every snapshot has for a container."""
        return {
            "id": self.id,
            "name": self.name,
            "created_at": self.created_at,
            "kind": self.item.kind,
            **priced(self.item.price),
            "stacks": None if self.stacks is None else list(self.stacks),
        }


@dataclass(frozen=True)
class Snapshot:
    """
    An account at one moment.

    Attributes:
        taken_at: When it was read, ISO 8601.
        base_url: The address of the API.
        containers: The containers.
    """

    taken_at: str
    base_url: str
    containers: tuple[Entry, ...]

    def describe(self) -> dict[str, Any]:
        """Return the document that is saved."""
        return {
            **header(self.taken_at, self.base_url),
            "containers": [entry.describe() for entry in self.containers],
        }


class _Price(msgspec.Struct):
    low: str
    high: str | None = None


class _Container(msgspec.Struct):
    id: str
    name: str
    kind: str
    price: _Price
    created_at: str | None = None
    stacks: list[str] | None = None


class _Document(msgspec.Struct):
    version: int
    taken_at: str
    base_url: str
    containers: list[_Container]


def now() -> str:
    """Return the current time in the format of a snapshot."""
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def header(taken_at: str, base_url: str) -> dict[str, Any]:
    """Return the fields that begin every snapshot."""
    return {
        "version": VERSION,
        "taken_at": taken_at,
        "base_url": base_url,
        "currency": "USD",
        "per": "month",
    }


def priced(price: Price) -> dict[str, Any]:
    """Return a price: one number, or null if it is not exactly known, and its bounds as texts."""
    exact = price.low if price.exact else None
    return {
        "monthly_price_usd": None if exact is None else float(exact),
        "price": {
            "low": f"{price.low:.2f}",
            "high": None if price.high is None else f"{price.high:.2f}",
        },
    }


def encoded(document: dict[str, Any]) -> bytes:
    """Return a document as JSON for people and programs."""
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def write_snapshot(path: Path, document: dict[str, Any]) -> None:
    """
    Save a snapshot. An existing file of this name is replaced atomically.

    Raises:
        InputError: It cannot be written.
    """
    if path.is_dir() or not path.name:
        raise InputError(f"{path} is a folder: name a file for the snapshot", code="file-access")
    # A crash must not leave a partly written file.
    beside = path.with_name(f".{path.name}.new")
    try:
        beside.write_bytes(encoded(document))
        beside.replace(path)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}", code="file-access") from None


def read_snapshot(path: Path) -> Snapshot:
    """
    Read a snapshot.

    Raises:
        InputError: The file cannot be read, is not a snapshot, or has a later version.
    """
    try:
        document = msgspec.json.decode(utf8(read_file(path)), type=_Document)
        entries = tuple(_entry(container) for container in document.containers)
    except (msgspec.DecodeError, InvalidOperation, ValueError, RecursionError) as error:
        raise InputError(f"{path} is not a snapshot ({error}): {_HELP}") from None
    if document.version != VERSION:
        raise InputError(
            f"{path} is a snapshot of format {document.version}, and this program reads format {VERSION}: make a new "
            "one with --save, or use the stacks-pulumi that wrote it"
        )
    return Snapshot(document.taken_at, document.base_url, entries)


def _entry(container: _Container) -> Entry:
    low, high = Decimal(container.price.low), container.price.high
    price = Price(low, None if high is None else Decimal(high))
    if not low.is_finite() or (price.high is not None and not price.high.is_finite()):
        raise ValueError(f"the price of {container.id!r} is not a number")
    stacks = None if container.stacks is None else tuple(container.stacks)
    return Entry(container.id, container.name, container.created_at, Item(container.kind, price), stacks)


def compare(before: Snapshot, after: Snapshot) -> Report:
    """
    Return the report on the changes of an account since a snapshot.

    Raises:
        InputError: The snapshot is of another API or another account.
    """
    if before.base_url.rstrip("/") != after.base_url.rstrip("/"):
        raise InputError(
            f"the snapshot was made at {before.base_url}, and this account is at {after.base_url}: compare it with a "
            "snapshot of the same account",
            code="other-account",
        )
    earlier, current = _owners(before), _owners(after)
    if earlier and current and earlier.isdisjoint(current):
        raise InputError(
            f"the snapshot is of the account {min(earlier)} and this account is {min(current)}: compare it with a "
            "snapshot of the same account",
            code="other-account",
        )
    lines = sorted(
        _lines(before.containers, after.containers), key=lambda line: (line.action == "same", line.name)
    )
    return Report("comparison", tuple(lines), notes=(f"compared with the snapshot of {before.taken_at}",))


def _owners(snapshot: Snapshot) -> set[str]:
    """Return the accounts in the ids of containers; an id in another form than the guide's says nothing."""
    found = ((account_of(entry.id), entry) for entry in snapshot.containers)
    return {account for account, entry in found if entry.id == f"{account}-{entry.name}"}


def _lines(before: Iterable[Entry], after: Iterable[Entry]) -> Iterable[Line]:
    left = {entry.id: entry for entry in before}
    for entry in after:
        old = left.get(entry.id)
        if old is not None and not same_instant(old.created_at, entry.created_at):
            # Another container now has the name. The old one stays in `left`, because it is gone.
            old = None
        else:
            left.pop(entry.id, None)
        if old is None:
            yield Line(entry.name, entry.id, "create", None, entry.item)
        else:
            action: Action = "same" if _same(old.item, entry.item) else "update"
            yield Line(entry.name, entry.id, action, old.item, entry.item)
    for old in left.values():
        yield Line(old.name, old.id, "delete", old.item, None)


def _same(one: Item, other: Item) -> bool:
    # A snapshot does not record why a price is a range.
    bounds = [(item.price.low, item.price.high) for item in (one, other)]
    return one.kind == other.kind and bounds[0] == bounds[1]
