"""
Which prices does the platform list for its templates, and which of them are believed?

The guide does not say in which field, unit and period a template has its price. A bare number may be dollars or cents,
for a month or an hour. So a price is believed only if nothing says that it is anything but US dollars a month, and if
the prices of the same answer that are in the catalogue too are within a factor of five of it. A new plan can then be
believed, and a discount. Every other price is unknown: the catalogue's does not replace it.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Final

from stacks_pulumi import catalog
from stacks_pulumi._identifiers import snake_case
from stacks_pulumi.platform_file import Prices
from stacks_pulumi.pricing.money import usd


def _these(words: str) -> frozenset[str]:
    return frozenset(words.split())


_FACTOR: Final = 5
"""How far a price may be from the catalogue's: more than a discount, less than another unit or period."""
_HOURS: Final = 730
"""The hours of a month, where the platform file says that prices are per hour."""
_CENT: Final = Decimal("0.01")
_DEEPEST: Final = 4
_SHOWN: Final = 5

_PRICE: Final = frozenset({"price", "prices", "pricing", "cost", "costs", "fee", "monthly", "hourly", "usd"})
"""Words in the name of a field that is a price, or has the parts of one."""
_NEUTRAL: Final = _PRICE | {
    "amount",
    "value",
    "list",
    "base",
    "plan",
    "rate",
    "per",
    "billing",
    "total",
}
_DOLLARS: Final = frozenset({"usd", "us", "dollar", "dollars", "$", "us$"})
_CENTS: Final = frozenset({"cent", "cents", "¢"})
_MONTH: Final = frozenset({"month", "months", "monthly", "mo"})
_HOUR: Final = frozenset({"hour", "hours", "hourly", "hr", "h"})
_CURRENCY: Final = frozenset({"currency", "currencies", "ccy", "symbol"})
"""Words in the name of a field that says the currency of the prices beside it."""
_SIZES: Final = frozenset(
    {*catalog.PLANS, "plans", "tiers", "tier", "storage", "disk", "additional", "extra"}
)
"""Words on the way to the price of another plan, or of additional storage."""
_MEASURE: Final = frozenset({"unit", "period", "interval", "cycle", "frequency", "quantity"}) | {
    "term",
    "duration",
    "recurrence",
    "recurring",
    "every",
    "billed",
}
"""
Words in the name of a field that says the unit or the period of the prices beside it, if its other words are about
payment too: `billing_cycle`, but not `trial_period` or `storage_unit`.
"""
_BILLING: Final = frozenset({"billing", "payment", "charge", "subscription", "renewal", "invoice"})
_OF_PAYMENT: Final = _NEUTRAL | _MONTH | _HOUR | _BILLING | {"meta", "data", "info", "default", "count"}
_ADJUSTS: Final = frozenset({"tax", "taxes", "vat", "gst", "discount", "discounted", "sale", "coupon"}) | {
    "promo",
    "promotion",
    "promotional",
    "rebate",
    "surcharge",
}
"""Words in the name of a field by which what is paid differs from the price beside it."""
_PERIODS: Final = _HOUR | _these(
    "day days daily week weeks weekly quarter quarterly year years yearly yr annual annually"
)
_CURRENCIES: Final = _these(
    "eur gbp chf jpy inr cad aud nzd sgd hkd brl mxn sek nok dkk pln czk huf zar cny krw ils aed uah "
    "euro euros pounds sterling francs yen rupees € £ ¥ ₹ ₩ ₪ ₴"
)
_CURRENCY_ALONE: Final = re.compile(rf"{'|'.join(_CURRENCIES)}|(?!us)[a-z]{{1,3}}\$", re.IGNORECASE)
_ELSE: Final = _SIZES.union(
    _PERIODS,
    _CURRENCIES,
    _these("id ids code key ref sku version count decimals precision setup once onetime"),
    _these("gb mb tb overage traffic bandwidth transfer backup backups snapshot snapshots limit limits"),
    _these("addon addons option options extras support domain domains"),
)
"""Words in the name of a price that is not of a month of this plan in dollars."""
_LATER: Final = frozenset(
    {"renewal", "renews", "regular", "normal", "full", "after", "next", "later", "future"}
)
"""Words in the name of a price that is paid at another time, however high it is."""
_EACH: Final = re.compile(r"\b(an?|each|every)(?=[\s/]+(month|hour)s?\b)")
"""In `4 USD a month`. A single letter before a sign is part of a currency: `A$4`."""
_WORD: Final = re.compile(r"[^\W\d_]+|[^\w\s.,/()-]+")
_NUMBER: Final = re.compile(r"-?\d[\d.,]*")
_LINE: Final = "prices: {field: price, unit: cents, per: month}"


@dataclass(frozen=True)
class _Told:
    """A price in an answer: where it is, its number, the words of its name and beside it, and those in its text."""

    path: str
    number: Decimal | None
    name: frozenset[str] = frozenset()
    text: frozenset[str] = frozenset()

    @property
    def words(self) -> frozenset[str]:
        return self.name | self.text

    def monthly(self, facts: Prices) -> Decimal | None:
        """Return US dollars a month; `None` if something says that it is not that, or may not be that."""
        per = facts.per or ("hour" if self.words & _HOUR else "month")
        if self.number is None or self.words - _NEUTRAL - _DOLLARS - _CENTS - _MONTH - _HOUR:
            return None
        if per == "hour" and facts.per is None:
            # For how many hours of a month the platform bills is not known.
            return None
        cents = self.words & _CENTS if facts.unit is None else facts.unit == "cents"
        amount = self.number / 100 if cents else self.number
        return (amount * _HOURS).quantize(_CENT) if per == "hour" else amount


@dataclass(frozen=True)
class _Row:
    """
    A template of an answer, with its plan in lower case, and its price in US dollars a month if that is clear.

    `adjusted_by` is the field beside it by which what is paid differs.
    """

    template: str
    plan: str | None
    told: _Told | None
    monthly: Decimal | None
    adjusted_by: str | None = None

    @property
    def listed(self) -> str | None:
        """The plan of the catalogue that its price is for."""
        return self.plan if self.plan in catalog.PLANS else catalog.default_plan(self.template)

    @property
    def catalogue(self) -> Decimal | None:
        """The catalogue's price; `None` if it has no such template."""
        return catalog.monthly_price(self.template, self.listed)

    @property
    def agrees(self) -> bool | None:
        """Whether its price is near the catalogue's; `None` if that cannot be told."""
        if self.monthly is None or self.catalogue is None:
            return None
        if self.plan in {None, self.listed} or self.template == catalog.VPN_TEMPLATE:
            return self.catalogue / _FACTOR <= self.monthly <= self.catalogue * _FACTOR
        # A plan that is new, or has another word here: it may be any of the catalogue's.
        plans = [plan.usd for plan in catalog.PLANS.values()]
        return True if min(plans) <= self.monthly <= max(plans) else None


@dataclass(frozen=True, eq=False)
class PriceList:
    """
    The prices of a platform. It is called like `catalog.monthly_price`, and returns `None` for an unknown price.

    For what the platform does not list, which is another plan of a template or additional storage, the catalogue is
    used only if the platform's price of that template is the catalogue's.

    Attributes:
        known: Template and plan -> US dollars a month.
        doubts: Template -> why its price is not known.
        differing: Template -> its price and the catalogue's, if they differ.
        gap: Why the platform's list is incomplete; `None` if it is complete.
        more: The templates for which the platform has prices of plans or storage that are not read here.
        borrowed: What is priced by the catalogue, because the platform does not list it.
    """

    known: Mapping[tuple[str, str | None], Decimal]
    doubts: Mapping[str, str]
    differing: Mapping[str, tuple[Decimal, Decimal | None]]
    gap: str | None = None
    more: frozenset[str] = frozenset()
    borrowed: dict[str, None] = field(default_factory=dict)

    def listed(self, template: str, plan: str | None) -> Decimal | None:
        """Return the price that is listed for a template under a plan, in any case; `None` if it is not known."""
        return self.known.get((template, plan.lower() if plan else catalog.default_plan(template)))

    def __call__(self, template: str, plan: str | None, tier: int | None) -> Decimal | None:
        """Return the price of a container for a whole month, in US dollars; `None` if it is not known."""
        told = self.listed(template, plan)
        if told is not None and tier is None:
            return told
        if (
            template in self.differing
            or template in self.more
            or not any(listed == template for listed, _ in self.known)
        ):
            return None
        price = catalog.monthly_price(template, plan, tier)
        if price is not None:
            words = [template, plan, None if tier is None else "with additional storage"]
            self.borrowed[" ".join(filter(None, words))] = None
        return price

    @property
    def incomplete(self) -> str:
        """Why there may be more prices; empty if these are all."""
        return "" if self.gap is None else f"the list of templates is incomplete: {self.gap}"

    def notes(self, advice: Callable[[str], str]) -> tuple[str, ...]:
        """
        Return what a reader has to know of the prices. What the catalogue was used for is known after their use.

        Args:
            advice: Returns where a line of a platform file is written.
        """
        notes = [
            f"live prices: {template} costs {usd(price)} a month, the catalogue says "
            f"{'nothing of it' if known is None else usd(known)}"
            for template, (price, known) in self.differing.items()
        ]
        by_reason: dict[str, list[str]] = defaultdict(list)
        for template, reason in self.doubts.items():
            by_reason[reason].append(template)
        notes += [
            f"live prices: the price of {_some(templates)} is not known: {reason}. If you know the field, its unit and "
            f"its period, {advice(_LINE)}"
            for reason, templates in by_reason.items()
        ]
        if self.more:
            notes.append(
                "live prices: the API has prices for plans or storage that are not read here, so only the listed plan "
                f"is priced: {_some(sorted(self.more))}"
            )
        if self.borrowed:
            notes.append(
                f"live prices: the API does not list, so the catalogue's is used: {_some([*self.borrowed])}"
            )
        return tuple(notes)


def _some(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def price_list(
    rows: Iterable[tuple[str, str | None, Mapping[str, Any] | None]],
    facts: Prices,
    beside: Mapping[str, Any] | None = None,
) -> PriceList:
    """
    Return the prices of an answer that are believed.

    Args:
        rows: The templates of the answer: id, plan, and the whole entry.
        facts: The platform file's settings for prices.
        beside: What the answer says of all templates, by path.
    """
    rows = list(rows)
    read = [_row(template, plan, entry or {}, facts, beside or {}) for template, plan, entry in rows]
    doubt = _doubt_of_all(read, facts)
    times = Counter(row.template for row in read)
    known: dict[tuple[str, str | None], Decimal] = {}
    doubts: dict[str, str] = {}
    differing: dict[str, tuple[Decimal, Decimal | None]] = {}
    for row in read:
        # A template that is listed once has one price, and the word for its plan may be another one than here.
        keys = {(row.template, row.plan or row.listed)} | (
            {(row.template, row.listed)} if times[row.template] == 1 else set()
        )
        if row.told is None:
            doubts[row.template] = "it has no price"
        elif row.adjusted_by is not None:
            doubts[row.template] = (
                f"{row.told.path} is not clearly what is paid: {row.adjusted_by} is beside it"
            )
        elif row.monthly is None:
            doubts[row.template] = f"{row.told.path} is not clearly in US dollars a month"
        elif doubt:
            doubts[row.template] = doubt
        elif any(known.setdefault(key, row.monthly) != row.monthly for key in keys):
            doubts[row.template] = "it is listed with two prices"
        elif row.monthly != row.catalogue:
            differing[row.template] = (row.monthly, row.catalogue)
    believed = {key: price for key, price in known.items() if key[0] not in doubts}
    listed = {template for template, _ in believed}
    more = frozenset(
        template for template, _, entry in rows if template in listed and _prices_more(entry or {})
    )
    return PriceList(believed, doubts, differing, more=more)


def _doubt_of_all(rows: Iterable[_Row], facts: Prices) -> str:
    """Return why no price of the answer is believed; empty if the known ones agree with the catalogue."""
    odd = next((row for row in rows if row.agrees is False), None)
    if odd is not None and odd.monthly is not None and odd.catalogue is not None and odd.told is not None:
        return (
            f"if {odd.told.path} were in US dollars a month, {odd.template} would cost {usd(odd.monthly)}, and the "
            f"catalogue says {usd(odd.catalogue)}"
        )
    if any(row.agrees for row in rows) or (facts.unit is not None and facts.per is not None):
        return ""
    return "no template of the catalogue is listed, whose price would show the unit"


def _row(
    template: str, plan: str | None, entry: Mapping[str, Any], facts: Prices, beside: Mapping[str, Any]
) -> _Row:
    around = _beside(beside)
    if facts.field is None:
        told = _highest(list(_prices(entry, around=around)), facts)
        # Who names the field in the platform file knows what is paid.
        adjusted_by = next(_adjusting({**beside, **entry}, told), None)
    else:
        told, adjusted_by = _at(entry, facts.field, around), None
    monthly = None if told is None or adjusted_by else told.monthly(facts)
    return _Row(template, None if plan is None else plan.lower(), told, monthly, adjusted_by)


def _adjusting(entry: Mapping[str, Any], told: _Told | None, path: str = "") -> Iterator[str]:
    """Return the path of each field by which what is paid differs from a price: a tax, a discount."""
    for name, value in entry.items():
        words, where = _name_words(name), f"{path}{name}"
        if isinstance(value, Mapping):
            yield from _adjusting(value, told, f"{where}.")
        elif not _name_words(where) & _ADJUSTS:
            continue
        elif isinstance(value, bool):
            if not value and words & {"included", "inclusive"}:
                yield where
        elif isinstance(value, (int, float, str)):
            number = _told(where, value, words).number
            if value != "" and (number is None or number not in {0, told.number if told else 0}):
                yield where


def _highest(prices: Sequence[_Told], facts: Prices) -> _Told | None:
    """
    Return the price that is clearest, or a higher one that may be what is paid at another time, or by others.

    `renewal_price` counts beside `price`, and so does any name that is not known to be of something else. What is far
    higher is a number of another kind. If such a price is in another unit or currency, it is not known which is higher.
    """
    chosen = _chosen(prices, facts)
    least = None if chosen is None else chosen.monthly(facts)
    if chosen is None or least is None:
        return chosen
    highest = least, chosen
    for price in prices:
        if price.number is None or price.name & _ELSE:
            continue
        bare = replace(price, name=price.name & _CENTS)
        amount = bare.monthly(facts)
        is_other = amount is not None and amount > least * _FACTOR
        if amount is None or (is_other and price.words & _LATER):
            return replace(chosen, path=f"{chosen.path} or {price.path}", number=None)
        if amount > highest[0] and not is_other:
            highest = amount, bare
    return highest[1]


def _chosen(prices: Sequence[_Told], facts: Prices) -> _Told | None:
    """Return the price that is clearest; one without a number if several are equally clear and differ."""
    clear = [price for price in prices if price.monthly(facts) is not None]
    best = [price for price in clear if price.words & _MONTH] or clear or prices
    if len({price.monthly(facts) for price in best}) > 1:
        return _Told(" or ".join(price.path for price in best), None)
    return best[0] if best else None


def _prices(
    entry: Mapping[str, Any], path: str = "", around: frozenset[str] = frozenset(), depth: int = 0
) -> Iterator[_Told]:
    """Return everything in an entry that is named like a price, or is inside of something that is."""
    said = around | _beside(entry)
    for name, value in entry.items():
        words = _name_words(name)
        if _is_said(name) or value is None or isinstance(value, bool):
            continue
        # In a list of prices each has another plan or period.
        inner = value if isinstance(value, list) else [value]
        inside = [one for one in inner if isinstance(one, Mapping)] if depth < _DEEPEST else []
        if inside:
            for one in inside:
                plan = _words(" ".join(text for text in one.values() if isinstance(text, str))) & _SIZES
                yield from _prices(one, f"{path}{name}.", said | words | plan, depth + 1)
        elif _name_words(f"{path}{name}") & _PRICE:
            yield _told(f"{path}{name}", value, said | words)


def _at(entry: Mapping[str, Any], path: str, around: frozenset[str]) -> _Told | None:
    """Return the price in a field that the platform file names: the words of its name say nothing more."""
    value: Any = entry
    for name in path.split("."):
        if not isinstance(value, Mapping):
            return None
        around |= _beside(value)
        value = value.get(name)
    return None if value is None else _told(path, value, around)


def _beside(entry: Mapping[str, Any], *, measures: bool = True) -> frozenset[str]:
    """
    Return the words of the fields beside a price: its currency, its unit, its period.

    In a field that is about something else than payment only a currency counts, because other things have units too.
    """
    said: frozenset[str] = frozenset()
    for name, value in entry.items():
        if _is_said(name) if measures else _name_words(name) & _CURRENCY:
            said |= _meaning(value)
        elif isinstance(value, str):
            # Whatever the field is called, `EUR` alone is a currency. `billing` may be `weekly`, or `prepaid`.
            said |= _words(value) if _CURRENCY_ALONE.fullmatch(value.strip()) else frozenset()
            said |= _words(value) & _PERIODS if _name_words(name) <= _BILLING else frozenset()
        elif isinstance(value, Mapping):
            said |= _beside(value, measures=measures and _name_words(name) <= _BILLING)
    return said


def _prices_more(value: Any, path: frozenset[str] = frozenset()) -> bool:
    """Whether an entry itself has prices for plans or for storage."""
    if isinstance(value, Mapping):
        return any(_prices_more(inner, path | _name_words(name)) for name, inner in value.items())
    if isinstance(value, list):
        return any(_prices_more(inner, path) for inner in value)
    return bool(path & _PRICE and path & _SIZES) and isinstance(value, (int, float, str)) and value != ""


def _is_said(name: str) -> bool:
    """Whether a field of this name says what the prices beside it are."""
    words = _name_words(name)
    return name == "per" or bool(words & _CURRENCY or (words & _MEASURE and words <= _MEASURE | _OF_PAYMENT))


def _meaning(value: Any) -> frozenset[str]:
    """Return the words in a text, or in the texts of an object, and each number but 1, which is `3` in `3 months`."""
    if isinstance(value, (Mapping, list)):
        return frozenset().union(*map(_meaning, value.values() if isinstance(value, Mapping) else value))
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return frozenset()
    text = str(value)
    return _words(text) | {number for number in _NUMBER.findall(text) if _number(number) != 1}


def _name_words(name: str) -> frozenset[str]:
    return _words(snake_case(name).replace("_", " "))


def _told(path: str, value: Any, words: frozenset[str]) -> _Told:
    if isinstance(value, (int, float)):
        value = str(value)
    if not isinstance(value, str):
        return _Told(path, None, words)
    numbers = _NUMBER.findall(value)
    rest = _words(_NUMBER.sub(" ", value))
    return _Told(path, _number(numbers[0]) if len(numbers) == 1 else None, words, rest)


def _number(text: str) -> Decimal | None:
    """Return the number of `4`, `4.00`, `4,00` or `1,234.50`; `None` if it is not clear which mark is the point."""
    text = text.rstrip(".,")
    if re.fullmatch(r"\d+,\d{1,2}", text):
        return Decimal(text.replace(",", "."))
    return Decimal(text.replace(",", "")) if re.fullmatch(r"\d+(,\d{3})*(\.\d+)?", text) else None


def _words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(_EACH.sub(" ", text.lower())))
