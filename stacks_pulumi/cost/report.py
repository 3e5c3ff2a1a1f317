"""
What does a report on costs contain, and what do resources of other providers cost?

An unknown value is treated as the worst case. STACKS bills by the minute, up to the monthly price (guide, "Container
Plans"); the guide does not give the price of a minute. This module divides the monthly price by the minutes of the
month, so the price of the rest of a month is an estimate.
"""

from __future__ import annotations

import calendar
import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_UP, Decimal
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import msgspec

from stacks_pulumi import catalog
from stacks_pulumi._pulumi_cli import read_file, utf8
from stacks_pulumi._settings_file import Reader, Scalars
from stacks_pulumi.pricing.money import (
    FREE,
    Change,
    MonthlyPrice,
    Price,
    billed,
    describe,
    number,
    shown_plan,
    total,
)
from stacks_pulumi.pricing.recognition import UNKNOWN, known, snake_case, text, whole
from stacks_pulumi.reports import Action, PolicyViolation

Reason: TypeAlias = Literal["free", "listed", "elsewhere", "read"]
Source: TypeAlias = Literal["preview", "stack", "account", "comparison"]

FOOTER: Final = "Prices for full months in US dollars, before discount codes."
"""The note in every report about its figures."""

_NOTHING: Final = Change.between(FREE, FREE)

_UNLISTED: Final = Price(Decimal(0), None, ("price",))
_ANY: Final = "*"
"""The key in a price file for all values that are not listed."""

UNSEEN: Final = Price(Decimal(0), None)
"""The price of the containers that are missing from an incomplete list: zero or more."""


@dataclass(frozen=True)
class Item:
    """
    A container at one point in time.

    Attributes:
        kind: Template, plan and storage, in words of the catalogue.
        price: Its monthly price.
    """

    kind: str
    price: Price


def item(
    inputs: Mapping[str, Any],
    monthly: MonthlyPrice = catalog.monthly_price,
    outputs: Mapping[str, Any] | None = None,
) -> Item:
    """Return the item for a container, with the price of the declared or of the stored values, whichever is higher."""
    inputs, shown = snake_case(inputs), snake_case(outputs or {})
    template, size = text(inputs, "template"), whole(shown, "storage_mb")
    plan = shown_plan(template, text(inputs, "plan"), text(shown, "plan"), size)
    tier = whole(inputs, "additional_storage_tier")
    price, tier = billed(template, plan, tier, size, monthly)
    return Item(describe(template, plan, tier), price)


def higher(one: Item, other: Item) -> Item:
    """Return the more expensive of two items for a container; each bound of its price is the higher of the two."""
    first, second = one.price.high, other.price.high
    is_first = first is None or (second is not None and first >= second)
    return Item((one if is_first else other).kind, one.price.or_higher(other.price))


def bounds(value: Price | Change) -> dict[str, str | None]:
    """Return the bounds of a price or a difference as strings for programs; an unknown bound is `None`."""
    return {
        "low": None if value.low is None else f"{value.low:.2f}",
        "high": None if value.high is None else f"{value.high:.2f}",
    }


@dataclass(frozen=True)
class Line:
    """
    A container before and after a change.

    Attributes:
        name: The resource's name in the program, or the container's name in the account.
        id: URN, or the container's id in the account.
        action: What happens to it.
        before: The container now; `None` if it does not exist.
        after: The container after the change; `None` if it will not exist.
    """

    name: str
    id: str
    action: Action
    before: Item | None
    after: Item | None

    @property
    def kind(self) -> str:
        """Its kind. If the kind changes, the text also contains the previous kind."""
        after = "" if self.after is None else self.after.kind
        before = "" if self.before is None else self.before.kind
        return f"{before} → {after}" if before and after and before != after else after or before

    @property
    def past(self) -> Price:
        """Its monthly price now."""
        return FREE if self.before is None else self.before.price

    @property
    def planned(self) -> Price:
        """Its monthly price after the change."""
        return FREE if self.after is None else self.after.price

    @property
    def difference(self) -> Change:
        return (
            _NOTHING if self.action in {"same", "keep", "adopt"} else Change.between(self.past, self.planned)
        )

    @property
    def unknown(self) -> tuple[str, ...]:
        """The unknown properties that prevent an exact price."""
        return tuple(dict.fromkeys(self.past.unknown + self.planned.unknown))


@dataclass(frozen=True)
class NotPriced:
    """
    Resources of one type without a known price.

    Attributes:
        type: Their type token.
        count: How many there are after the change.
        reason: Why they have no price.
    """

    type: str
    count: int
    reason: Reason


@dataclass(frozen=True)
class Report:
    """
    The cost of all resources in the input.

    Attributes:
        source: The type of the input. Only a preview, and the comparison of an account with a snapshot, contain
            changes. For the other types, before and after are the same.
        lines: The containers, changed ones first.
        not_priced: The other resources.
        violations: The policy violations, mandatory ones first.
        notes: Facts that a reader needs to interpret the figures.
        blocked: Why the preview failed, if policies made it fail; otherwise empty.
        incomplete: Why the figures are incomplete; empty if they are complete. Incomplete sums have no upper bound.
        borrowed: The items that have the catalogue's price, although live prices were requested.
    """

    source: Source
    lines: tuple[Line, ...] = ()
    not_priced: tuple[NotPriced, ...] = ()
    violations: tuple[PolicyViolation, ...] = ()
    notes: tuple[str, ...] = ()
    blocked: str = ""
    incomplete: str = ""
    borrowed: tuple[str, ...] = ()

    @property
    def compares(self) -> bool:
        """Whether the report compares two states, before and after."""
        return self.source in {"preview", "comparison"}

    @property
    def past(self) -> Price:
        """The monthly price of everything now."""
        seen = total(line.past for line in self.lines)
        return seen if self.source == "comparison" else seen + self._unseen

    @property
    def planned(self) -> Price:
        """The monthly price of everything after the change."""
        return total(line.planned for line in self.lines) + self._unseen

    @property
    def difference(self) -> Change:
        """The planned total minus the past total."""
        if self.incomplete and self.source == "preview":
            # An unlisted container may exist already, or be new.
            return Change(None, None)
        result = Change.between(FREE, self._unseen) if self.source == "comparison" else _NOTHING
        for line in self.lines:
            result += line.difference
        return result

    @property
    def _unseen(self) -> Price:
        return UNSEEN if self.incomplete else FREE

    @property
    def unknown(self) -> tuple[Line, ...]:
        """The lines without an exact price."""
        return tuple(line for line in self.lines if not (line.past.exact and line.planned.exact))


class _Entry(msgspec.Struct, kw_only=True, frozen=True):
    """An entry of a price file: one price for all resources of a type, or one price for each value of a property."""

    type: str
    price: Price | None = None
    property: str = ""
    prices: dict[str, Price] = {}

    def item(self, inputs: Mapping[str, Any]) -> Item:
        if self.price is not None:
            return Item("", self.price)
        value: Any = inputs
        for name in self.property.split("."):
            value = value.get(name) if isinstance(value, Mapping) else None
        written = _written(value)
        if written is not None:
            found = self.prices.get(written, self.prices.get(_ANY))
            return Item(written if written in self.prices else "", found or _UNLISTED)
        if _ANY not in self.prices:
            return Item("", _UNLISTED)
        lows, highs = zip(
            *((price.low, price.high or price.low) for price in self.prices.values()), strict=True
        )
        return Item("", Price(min(lows), max(highs), (self.property,)))


def _written(value: Any) -> str | None:
    """Return a property as a price file would contain it; `None` if it is unknown, or is not a single value."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value == value // 1:
        value = int(value)
    is_single = isinstance(value, (str, int, float)) and known(value) is not UNKNOWN
    return str(value) if is_single else None


@dataclass(frozen=True)
class PriceTable:
    """
    The prices of resources of other providers, from a price file.

    Attributes:
        entries: The prices by type.
    """

    entries: tuple[_Entry, ...]

    def item(self, type_: str, inputs: Mapping[str, Any]) -> Item | None:
        """
        Return the price of a resource; `None` if it is listed as free. The price of a resource that is not listed has
        no upper bound.
        """
        fits = [one for one in self.entries if one.type == type_]
        fits = fits or [one for one in self.entries if fnmatchcase(type_, one.type)]
        if not fits:
            return Item(type_, _UNLISTED)
        item = fits[0].item(inputs)
        for one in fits[1:]:
            item = higher(item, one.item(inputs))
        return (
            None if item.price == FREE else Item(f"{type_}, {item.kind}" if item.kind else type_, item.price)
        )


class _PriceFile(msgspec.Struct):
    """A price file."""

    prices: list[_Entry]


def read_prices(path: Path) -> PriceTable:
    """
    Read a price file, YAML or JSON.

    Raises:
        StacksError: The file cannot be read, or is not a price file. The message contains the line number.
    """
    document, reader = read_yaml(
        path, "price file", {Price: (_range, "`free`, a number, or a range such as 20-90")}
    )
    file: _PriceFile = reader.read(document, _PriceFile, "")
    types: set[str] = set()
    for index, entry in enumerate(file.prices):
        # The reader refuses an empty value, so an empty value here means that the key is missing.
        where, both = f".prices[{index}]", (not entry.property, not entry.prices)
        if both != ((entry.price is not None),) * 2:
            raise reader.error(where, "it needs `type` and `price`, or `type`, `property` and `prices`")
        if entry.type in types:
            raise reader.error(where, f"the type {entry.type!r} occurs twice")
        types.add(entry.type)
    return PriceTable(tuple(file.prices))


def _range(told: str) -> Price:
    """Return a price that is written as `free`, as a number, or as a range (`20-90`)."""
    if told == "free":
        return FREE
    low, _, high = told.partition("-")
    bounds = number(low.strip()), number((high or low).strip())
    if bounds[0] > bounds[1]:
        raise ValueError(f"the upper end of the range {told!r} is below its lower end")
    return Price(*bounds, ("price",) if bounds[0] != bounds[1] else ())


def read_yaml(path: Path, what: str, scalars: Scalars) -> tuple[Any, Reader]:
    """
    Return the content of a YAML or JSON file, and the reader that converts it.

    Raises:
        StacksError: The file cannot be read, is not YAML, or contains no settings.
    """
    document, reader = Reader.of(
        utf8(read_file(path)).decode("utf-8", "replace"), f"the {what} {path}", scalars
    )
    if not isinstance(document, dict):
        raise reader.error("", "settings are needed")
    return document, reader


@dataclass(frozen=True)
class Rest:
    """
    The rest of a calendar month, in UTC.

    Attributes:
        minutes: The remaining minutes.
        of: The minutes of the full month.
    """

    minutes: int
    of: int

    def share(self, amount: Decimal) -> Decimal:
        """Return the part of a monthly sum for the rest of the month, rounded up to the next cent."""
        return (amount * self.minutes / self.of).quantize(Decimal("0.01"), ROUND_UP)

    def price(self, price: Price) -> Price:
        """Return the part of a price for the rest of the month."""
        return Price(self.share(price.low), None if price.high is None else self.share(price.high))

    def change(self, change: Change) -> Change:
        """Return the part of a change for the rest of the month."""
        low, high = change.low, change.high
        return Change(None if low is None else self.share(low), None if high is None else self.share(high))

    def __str__(self) -> str:
        days, minutes = divmod(self.minutes, 24 * 60)
        return f"{days} days {minutes // 60} hours of {self.of // (24 * 60)} days"


def rest_of_month(now: datetime.datetime) -> Rest:
    now = now.astimezone(datetime.timezone.utc)
    days = calendar.monthrange(now.year, now.month)[1]
    gone = (now.day - 1) * 24 * 60 + now.hour * 60 + now.minute
    return Rest(days * 24 * 60 - gone, days * 24 * 60)
