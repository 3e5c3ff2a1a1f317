"""
What does the account cost now, and what has changed since a snapshot?

Only this part of the cost command calls the API. `cost --account` and `account` save and compare snapshots. A snapshot
is a JSON document; the output of `stacks-pulumi account --json` is one with more fields, which are ignored.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from stacks_pulumi import catalog, config
from stacks_pulumi._identifiers import account_of, same_instant
from stacks_pulumi._pulumi_cli import InputError, read_file, utf8
from stacks_pulumi.cost.report import Item, Line, Report, bounds
from stacks_pulumi.errors import ConfigError
from stacks_pulumi.pricing.money import MonthlyPrice, Price, count, describe, price, usd
from stacks_pulumi.pricing.recognition import UNKNOWN, Unknown
from stacks_pulumi.reports import Action
from stacks_pulumi.reports.writers import as_json

if TYPE_CHECKING:
    from stacks_pulumi.api import StacksClient
    from stacks_pulumi.api._limiter import OnLimit
    from stacks_pulumi.api.models import Container, Template


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

    @property
    def price(self) -> Price:
        """Its monthly price."""
        return self.item.price

    def describe(self) -> dict[str, Any]:
        """Return the fields that every snapshot has for a container."""
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
    """

    taken_at: str
    base_url: str
    containers: tuple[Entry, ...]

    def header(self) -> dict[str, Any]:
        """Return the fields before the containers."""
        return {
            "version": VERSION,
            "taken_at": self.taken_at,
            "base_url": self.base_url,
            "currency": "USD",
            "per": "month",
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
    containers: list[_Container]


def now() -> str:
    """Return the current time in the format of a snapshot."""
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def priced(price: Price) -> dict[str, Any]:
    """Return a price: one number, or null if it is not exactly known, and its bounds as texts."""
    exact = price.low if price.exact else None
    return {
        "monthly_price_usd": None if exact is None else float(exact),
        "price": bounds(price),
    }


def write_snapshot(path: Path, document: Mapping[str, Any]) -> None:
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
        beside.write_bytes(as_json(document).encode())
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
        entries = tuple(_entry_of_row(container) for container in document.containers)
    except (msgspec.DecodeError, InvalidOperation, ValueError, RecursionError) as error:
        raise InputError(f"{path} is not a snapshot ({error}): {_HELP}") from None
    if document.version != VERSION:
        raise InputError(
            f"{path} is a snapshot of format {document.version}, and this program reads format {VERSION}: make a new "
            "one with --save, or use the stacks-pulumi that wrote it"
        )
    return Snapshot(document.taken_at, document.base_url, entries)


def _entry_of_row(container: _Container) -> Entry:
    low, high = Decimal(container.price.low), container.price.high
    price = Price(low, None if high is None else Decimal(high))
    if not low.is_finite() or (price.high is not None and not price.high.is_finite()):
        raise ValueError(f"the price of {container.id!r} is not a number")
    stacks = None if container.stacks is None else tuple(container.stacks)
    return Entry(container.id, container.name, container.created_at, Item(container.kind, price), stacks)


def report_on(containers: Iterable[Entry]) -> Report:
    """Return the report on the containers of an account, without a comparison."""
    lines = (Line(entry.name, entry.id, "same", entry.item, entry.item) for entry in containers)
    return Report("account", tuple(sorted(lines, key=lambda line: line.name)))


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
    accounts = ((account_of(entry.id), entry) for entry in snapshot.containers)
    return {account for account, entry in accounts if entry.id == f"{account}-{entry.name}"}


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


def connect(on_limit: OnLimit | None = None) -> StacksClient:
    """
    Return a client for the account in the environment (`STACKS_API_KEY`, `STACKS_BASE_URL`).

    Args:
        on_limit: Called in a thread that waits for the rate limit. If it raises, the request is not sent.

    Raises:
        ConfigError: There is no key, or a value is malformed.
    """
    from stacks_pulumi.api import StacksClient  # noqa: PLC0415  (pricing a file needs no HTTP)

    settings = config.load()
    if settings.api_key is None:
        msg = "no STACKS API key: set the environment variable STACKS_API_KEY; a stack's configuration is not read here"
        raise ConfigError(msg, code="missing-api-key")
    return StacksClient.of(settings, on_limit)


def account(client: StacksClient, monthly: MonthlyPrice = catalog.monthly_price) -> Report:
    """
    Return the report on all containers of the account.

    Raises:
        StacksError: The account cannot be read.
    """
    return report_on(_entry(container, monthly) for container in listed(client))


def snapshot_of(containers: Iterable[Container], monthly: MonthlyPrice, base_url: str) -> Snapshot:
    """Return the snapshot of these containers of the account."""
    return Snapshot(now(), base_url, tuple(_entry(container, monthly) for container in containers))


def prices(client: StacksClient) -> tuple[MonthlyPrice, tuple[str, ...]]:
    """
    Return the account's price list, and notes on its differences from the catalogue.

    The API lists one price for each template, which is that of the listed plan. For other prices the catalogue is
    used.

    Raises:
        StacksError: The templates cannot be read.
    """
    templates = {template.id: template for template in client.containers.templates()}
    notes = [
        f"live prices: {template.id} costs {usd(live)} a month, the catalogue says {_catalogue_price(template)}"
        for template in templates.values()
        if (live := _live(template)) is not None
        and live != catalog.monthly_price(template.id, _listed_plan(template))
    ]
    silent = sum(_live(template) is None for template in templates.values())
    if silent:
        notes.append(f"live prices: {count(silent, 'template')} without one; there the catalogue's is used")

    def monthly(template: str, plan: str | None, tier: int | None) -> Decimal | None:
        live = _live(templates[template]) if template in templates else None
        if live is None or plan not in (None, _listed_plan(templates[template])):
            return catalog.monthly_price(template, plan, tier)
        if tier is None:
            return live
        storage = catalog.STORAGE_TIERS.get(tier)
        return None if storage is None else live + storage.usd

    return monthly, tuple(notes)


def _live(template: Template) -> Decimal | None:
    return None if template.monthly_usd is None else Decimal(str(template.monthly_usd))


def _listed_plan(template: Template) -> str | None:
    return template.plan if template.plan in catalog.PLANS else catalog.default_plan(template.id)


def _catalogue_price(template: Template) -> str:
    known = (
        catalog.monthly_price(template.id, _listed_plan(template))
        if template.id in catalog.TEMPLATES
        else None
    )
    return "nothing of it" if known is None else usd(known)


def containers(timeout_s: float) -> list[Entry]:
    """
    Return the account's containers, for the policy `account-headroom`.

    Args:
        timeout_s: How long to wait at most, in seconds.

    Raises:
        StacksError: The account cannot be read.
        TimeoutError: It took too long.
    """
    from concurrent import futures  # noqa: PLC0415  (only this policy needs it)

    pool = futures.ThreadPoolExecutor(max_workers=1)
    try:
        return pool.submit(_list).result(timeout_s)
    except futures.TimeoutError:
        raise TimeoutError(f"the account did not answer within {timeout_s:g} s") from None
    finally:
        # A request that hangs must not delay the answer; it ends with its own timeout.
        pool.shutdown(wait=False)


def listed(client: StacksClient) -> tuple[Container, ...]:
    """
    Return all containers, each once. An incomplete list is an error, because it may omit containers that cost money.

    Raises:
        StacksError: The list cannot be read, or is incomplete.
    """
    containers = client.containers.list()
    containers.require_complete()
    # A container that is listed twice is billed once.
    return tuple({(container.id, container.created_at): container for container in containers}.values())


def _list() -> list[Entry]:
    with connect() as client:
        return [_entry(container) for container in listed(client)]


def _entry(container: Container, monthly: MonthlyPrice = catalog.monthly_price) -> Entry:
    name, item = container.name or container.id, item_of(container, monthly)
    return Entry(container.id, name, container.created_at, item)


def item_of(container: Container, monthly: MonthlyPrice = catalog.monthly_price) -> Item:
    """Return the kind and the price of a container of the account."""
    template = UNKNOWN if container.template is None else container.template
    plan: str | Unknown | None = UNKNOWN if container.plan is None else container.plan
    # The VPN template has several names in the API, and one price.
    if template == catalog.VPN_TEMPLATE:
        plan = None
    tier = _tier(container)
    return Item(describe(template, plan, tier), price(template, plan, tier, monthly))


def _tier(container: Container) -> int | Unknown | None:
    """Return the additional storage tier; the API lists only the sum of the plan's storage and the additional one."""
    size = (
        catalog.VPN_PLAN
        if container.template == catalog.VPN_TEMPLATE
        else catalog.PLANS.get(container.plan or "")
    )
    tier = catalog.added_tier(size, container.storage_mb)
    return UNKNOWN if tier is None else tier or None
