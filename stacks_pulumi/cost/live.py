"""
What does the account cost now, and what has changed since a snapshot?

Only this part of the cost command calls the API. `cost --account` and `account` save and compare snapshots. A snapshot
is a JSON document; the output of `stacks-pulumi account --json` is a snapshot too, and its additional fields are
ignored.
"""

from __future__ import annotations

import contextlib
import datetime
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from stacks_pulumi import catalog, config
from stacks_pulumi._clock import SYSTEM_CLOCK
from stacks_pulumi._identifiers import account_of, compare_instants
from stacks_pulumi._pulumi_cli import InputError, read_file, utf8
from stacks_pulumi._structs import decode
from stacks_pulumi.cost.report import Item, Line, Report, bounds
from stacks_pulumi.errors import ConfigError, NotFoundError
from stacks_pulumi.pricing.money import MonthlyPrice, Price, billed, describe, listed_tier
from stacks_pulumi.pricing.price_list import PriceList, price_list
from stacks_pulumi.pricing.recognition import UNKNOWN, Unknown
from stacks_pulumi.reports import Action
from stacks_pulumi.reports.writers import as_json

if TYPE_CHECKING:
    from stacks_pulumi.api import StacksClient
    from stacks_pulumi.api.models import Container, Listing


VERSION: Final = 1
_CURRENCY: Final = "USD"
_PER: Final = "month"
_CONFIRMED: Final = 3
"""The maximum number of apparently missing containers that are requested one by one."""
_HIGHEST: Final = 1_000_000_000
"""The highest accepted price in a snapshot, in dollars."""
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
        created_at: When it was created. The id and the creation time together identify it.
        item: Its kind and price.
        stacks: The stacks that own it; `None` if the snapshot does not contain them.
    """

    id: str
    name: str
    created_at: str | None
    item: Item
    stacks: tuple[str, ...] | None = None

    @property
    def price(self) -> Price:
        return self.item.price

    def describe(self) -> dict[str, Any]:
        """Return the fields that every snapshot contains for a container."""
        return {
            "id": self.id,
            "name": self.name,
            "created_at": self.created_at,
            "kind": self.item.kind,
            **priced(self.price),
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
        gap: Why there may be more containers; empty if the list is complete.
    """

    taken_at: str
    base_url: str
    containers: tuple[Entry, ...]
    gap: str = ""

    def header(self) -> dict[str, Any]:
        """Return the fields before the containers."""
        return {
            "version": VERSION,
            "taken_at": self.taken_at,
            "base_url": self.base_url,
            "currency": _CURRENCY,
            "per": _PER,
        }

    def describe(self) -> dict[str, Any]:
        """Return the document that is saved."""
        return {**self.header(), "containers": [entry.describe() for entry in self.containers]}


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
    currency: str
    per: str
    containers: list[_Container]
    complete: bool = True


def now() -> str:
    """Return the current time in the format of a snapshot."""
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def priced(price: Price) -> dict[str, Any]:
    """Return a price as one number, which is null if the price is not exact, and its bounds as strings."""
    exact = price.low if price.exact else None
    return {
        "monthly_price_usd": None if exact is None else float(exact),
        "price": bounds(price),
    }


def write_snapshot(path: Path, document: Mapping[str, Any]) -> None:
    """
    Save a snapshot. An existing file of this name is replaced atomically.

    Raises:
        InputError: The file cannot be written.
    """
    if path.is_dir() or not path.name:
        raise InputError(f"{path} is a folder: choose a file for the snapshot", code="file-access")
    # A crash must not leave a partly written file, and two concurrent commands must not write into the same file.
    # Because the name is random, a project cannot put a link to another file in its place.
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with beside.open("xb") as file:
            file.write(as_json(document).encode())
        beside.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise InputError(f"{path} cannot be written: {error.strerror}", code="file-access") from None


def read_snapshot(path: Path) -> Snapshot:
    """
    Read a snapshot.

    Raises:
        InputError: The file cannot be read, is not a snapshot, or has a later version.
    """
    try:
        document = decode(utf8(read_file(path)), _Document)
        entries = tuple(
            _entry_of_row(container, complete=document.complete) for container in document.containers
        )
    except (msgspec.DecodeError, InvalidOperation, ValueError, RecursionError) as error:
        raise InputError(f"{path} is not a snapshot ({error}): {_HELP}") from None
    if document.version != VERSION:
        raise InputError(
            f"{path} is a snapshot of format {document.version}, but this program reads format {VERSION}: make a new "
            "snapshot with --save, or use the version of stacks-pulumi that wrote it"
        )
    if (document.currency, document.per) != (_CURRENCY, _PER):
        raise InputError(
            f"{path} has prices in {document.currency} a {document.per}, not in {_CURRENCY} a {_PER}: {_HELP}"
        )
    return Snapshot(document.taken_at, document.base_url, entries)


def _entry_of_row(container: _Container, *, complete: bool) -> Entry:
    low, high = Decimal(container.price.low), container.price.high
    price = Price(low, None if high is None else Decimal(high))
    # Check the range, because an amount with a million digits is finite, but cannot be added or printed.
    if not all(it.is_finite() and 0 <= it <= _HIGHEST for it in (low, price.high) if it is not None):
        raise ValueError(f"the price of {container.id!r} is not a number from 0 to {_HIGHEST}")
    # In an incomplete report, a container without an owner may belong to a stack that could not be read.
    is_unknown = container.stacks is None or not (container.stacks or complete)
    stacks = None if is_unknown else tuple(container.stacks or ())
    return Entry(container.id, container.name, container.created_at, Item(container.kind, price), stacks)


def report_on(snapshot: Snapshot) -> Report:
    """Return the report on the containers of an account, without a comparison."""
    lines = (Line(entry.name, entry.id, "same", entry.item, entry.item) for entry in snapshot.containers)
    return Report("account", tuple(sorted(lines, key=lambda line: line.name)), incomplete=snapshot.gap)


def compare(before: Snapshot, after: Snapshot) -> Report:
    """
    Return the report on the changes of an account since a snapshot.

    Raises:
        InputError: The snapshot is from a different API or a different account.
    """
    if before.base_url.rstrip("/") != after.base_url.rstrip("/"):
        raise InputError(
            f"the snapshot was made at {before.base_url}, but this account is at {after.base_url}: compare it with a "
            "snapshot of the same account",
            code="other-account",
        )
    earlier, current = _owners(before), _owners(after)
    if earlier and current and earlier.isdisjoint(current):
        raise InputError(
            f"the snapshot belongs to the account {min(earlier)}, but this account is {min(current)}: compare it with "
            "a snapshot of the same account",
            code="other-account",
        )
    lines = sorted(_lines(before, after), key=lambda line: (line.action == "same", line.name))
    notes = [f"compared with the snapshot from {before.taken_at}"]
    earlier_times = {entry.id: entry.created_at for entry in before.containers}
    unsure = [
        entry.name
        for entry in after.containers
        if entry.id in earlier_times and compare_instants(earlier_times[entry.id], entry.created_at) is None
    ]
    if unsure:
        notes.append(
            "a creation time is missing, now or in the snapshot, so these may be different containers with the "
            f"same names: {', '.join(unsure)}"
        )
    return Report("comparison", tuple(lines), notes=tuple(notes), incomplete=after.gap)


def _owners(snapshot: Snapshot) -> set[str]:
    """Return the accounts that the containers' ids contain; ids that do not have the guide's form are ignored."""
    accounts = ((account_of(entry.id), entry) for entry in snapshot.containers)
    return {account for account, entry in accounts if entry.id == f"{account}-{entry.name}"}


def _lines(before: Snapshot, after: Snapshot) -> Iterable[Line]:
    left = {entry.id: entry for entry in before.containers}
    for entry in after.containers:
        old = left.get(entry.id)
        is_same = None if old is None else compare_instants(old.created_at, entry.created_at)
        if is_same is False:
            # A different container now has the name. The old container is gone, so it stays in `left`.
            old = None
        else:
            left.pop(entry.id, None)
        if old is None:
            yield Line(entry.name, entry.id, "create", None, entry.item)
        else:
            # If the container may be a different one, two equal ranges may be different prices.
            stays = _same(old.item, entry.item) and (is_same is True or entry.price.exact)
            action: Action = "same" if stays else "update"
            yield Line(entry.name, entry.id, action, old.item, entry.item)
    for old in left.values():
        if after.gap:
            rest = Item(f"{old.item.kind}, if it still exists", Price(Decimal(0), old.price.high))
            yield Line(old.name, old.id, "update", old.item, rest)
        else:
            yield Line(old.name, old.id, "delete", old.item, None)


def _same(one: Item, other: Item) -> bool:
    # A snapshot does not record why a price is a range.
    bounds = [(item.price.low, item.price.high) for item in (one, other)]
    return one.kind == other.kind and bounds[0] == bounds[1]


def account(client: StacksClient, monthly: MonthlyPrice = catalog.monthly_price) -> Report:
    """
    Return the report on all containers of the account.

    Raises:
        StacksError: The account cannot be read.
    """
    return report_on(snapshot_of(described(client, listed(client)), monthly, ""))


def snapshot_of(containers: Listing[Container], monthly: MonthlyPrice, base_url: str) -> Snapshot:
    """Return the snapshot of these containers of the account."""
    entries = tuple(_entry(container, monthly) for container in containers)
    return Snapshot(now(), base_url, entries, gap_of(containers))


def prices(client: StacksClient) -> PriceList:
    """
    Return the plausible prices that the platform lists.

    Raises:
        StacksError: The templates cannot be read.
    """
    templates = client.containers.templates()
    rows = ((template.id, template.plan, template.raw) for template in templates)
    beside = next((template.beside for template in templates), None)
    found = price_list(rows, client.platform.facts.prices, beside)
    return replace(found, gap=templates.gap)


def gap_of(containers: Listing[Container]) -> str:
    """Return why an account may have more containers than this list; empty if the list is complete."""
    gap = containers.gap
    return (
        ""
        if gap is None
        else f"the list of containers is incomplete, so the account may have more containers: {gap}"
    )


def containers(timeout_s: float) -> list[Entry]:
    """
    Return the account's containers, for the policy `account-headroom`.

    Args:
        timeout_s: The timeout in seconds.

    Raises:
        StacksError: The account cannot be read.
        TimeoutError: The request took too long.
    """
    from concurrent import futures  # noqa: PLC0415  (only this policy needs it)

    pool = futures.ThreadPoolExecutor(max_workers=1)
    try:
        return pool.submit(_list).result(timeout_s)
    except futures.TimeoutError:
        raise TimeoutError(f"the account did not answer within {timeout_s:g} s") from None
    finally:
        # Do not wait for a request that hangs; it ends with its own timeout.
        pool.shutdown(wait=False)


def listed(client: StacksClient) -> Listing[Container]:
    """
    Return the existing containers, without duplicates. The list is incomplete if it may omit containers that are
    billed.

    Raises:
        StacksError: The list cannot be read.
    """
    from stacks_pulumi.api.models import Listing  # noqa: PLC0415  (pricing a file needs no HTTP)

    rows = client.containers.list()
    # A container that is listed twice is billed once. A deleted container that is still listed does not exist.
    distinct = {(row.id, row.created_at): row for row in rows if row.status != "deleted"}
    return Listing(distinct.values(), gap=rows.gap, damaged=rows.damaged)


def described(client: StacksClient, containers: Listing[Container]) -> Listing[Container]:
    """
    Return the containers with all details. If a container's row lacks a detail, the container is requested.

    A row may lack the creation time, which distinguishes a container from an earlier one with the same name. It may
    lack the size, which shows the additional storage. Or it may have a category instead of the template.

    Raises:
        StacksError: A container cannot be read.
    """
    from stacks_pulumi.api.models import Listing  # noqa: PLC0415  (as above)

    rows = [row for row in (_described(client, one) for one in containers) if row.status != "deleted"]
    return Listing(rows, gap=containers.gap, damaged=containers.damaged)


def _described(client: StacksClient, container: Container) -> Container:
    is_known = container.template in catalog.TEMPLATES
    has_plan = container.plan is not None or container.template == catalog.VPN_TEMPLATE
    has_size = container.storage_mb is not None or item_of(container).price.exact
    if is_known and has_plan and has_size and container.name and container.status and container.created_at:
        return container
    try:
        told = client.containers.status(container.id)
    except NotFoundError:
        # The container is listed, but perhaps the API does not find it yet.
        return container
    template = told.template if told.template in catalog.TEMPLATES else container.template or told.template
    return msgspec.structs.replace(container.merge(told), template=template)


def confirmed(client: StacksClient, containers: Listing[Container], ids: Iterable[str]) -> Listing[Container]:
    """
    Return the list, marked as incomplete (`gap`) if a container with one of the ids exists but is not in the list.

    If the result is complete, the missing containers do not exist: two reads did not find them, and the pause between
    the reads was longer than the platform's lag.

    Raises:
        StacksError: The API cannot be read.
    """
    from stacks_pulumi.api._words import ENDING_STATUSES  # noqa: PLC0415  (as above)
    from stacks_pulumi.api.models import Listing  # noqa: PLC0415  (as above)
    from stacks_pulumi.api.once import look_twice  # noqa: PLC0415  (as above)

    missing = set(ids) - {container.id for container in containers}
    if not missing or containers.gap is not None:
        return containers
    first = [containers]

    def look() -> str | None:
        rows = first.pop() if first else listed(client)
        seen = next((row.id for row in rows if row.id in missing), None)
        for id_ in sorted(missing)[:_CONFIRMED]:
            if seen is not None or rows.gap is not None:
                break
            try:
                seen = None if client.containers.status(id_).status in ENDING_STATUSES else id_
            except NotFoundError:
                continue
        return rows.gap if seen is None else f"it lacks {seen}, which exists (the container may be new)"

    gap = look_twice(look, SYSTEM_CLOCK, client.platform.pause)
    return containers if gap is None else Listing(tuple(containers), gap=gap, damaged=containers.damaged)


def connect() -> StacksClient:
    """
    Return a client for the account whose key is in the environment.

    Raises:
        ConfigError: There is no key, or a value is malformed.
    """
    from stacks_pulumi.api import StacksClient  # noqa: PLC0415  (pricing a file needs no HTTP)

    settings = config.load()
    if settings.api_key is None:
        msg = "no STACKS API key: set the environment variable STACKS_API_KEY; a stack's configuration is not read here"
        raise ConfigError(msg, code="missing-api-key")
    return StacksClient.of(settings)


def _list() -> list[Entry]:
    with connect() as client:
        containers = listed(client)
        containers.require_complete()
        return [_entry(container) for container in described(client, containers)]


def _entry(container: Container, monthly: MonthlyPrice = catalog.monthly_price) -> Entry:
    name, item = container.name or container.id, item_of(container, monthly)
    return Entry(container.id, name, container.created_at, item)


def item_of(container: Container, monthly: MonthlyPrice = catalog.monthly_price) -> Item:
    """Return the kind and the price of a container of the account."""
    template = UNKNOWN if container.template is None else container.template
    plan: str | Unknown | None = UNKNOWN if container.plan is None else container.plan
    # The API has several words for the plan of a VPN container, but there is only one price.
    if template == catalog.VPN_TEMPLATE:
        plan = None
    # The API lists only the sum of the plan's storage and the additional storage.
    declared = listed_tier(template, plan, container.storage_mb)
    price, tier = billed(template, plan, declared, container.storage_mb, monthly)
    return Item(describe(template, plan, tier), price)
