"""
Which prices does the platform list for its templates, and which of them are plausible?

The guide does not state the field, the unit or the period of a template's price. So a price is read only if exactly one
field of the template is named like a price, and it is read as US dollars a month. The price is plausible under two
conditions. First, no other field contradicts it. Second, the prices in the same answer are within a factor of five of
the catalogue's prices, if the catalogue has them. So the price of a new plan, or a discounted price, can still be
accepted as plausible. Every other price is unknown; it is not replaced by the catalogue's price.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from stacks_pulumi import catalog
from stacks_pulumi._identifiers import snake_case
from stacks_pulumi.platform_file import Prices
from stacks_pulumi.pricing.money import some, usd


def _these(words: str) -> frozenset[str]:
    return frozenset(words.split())


_FACTOR: Final = 5
"""
The largest plausible factor between a price and the catalogue's price: enough for a discount, too little for a
different unit.
"""
_SHOWN: Final = 5

_PRICE: Final = _these("price prices pricing cost costs fee monthly hourly usd")
"""Words in the name of a field that is a price, or that contains parts of a price."""
_PLAIN: Final = (_PRICE - {"hourly"}) | _these("us dollar dollars $ month mo per amount value list base plan")
"""Words in the name or text of a price in US dollars a month."""
_TERMS: Final = _these(
    "currency currencies ccy symbol unit period interval cycle frequency quantity term duration recurring billing "
    "billed tax taxes vat gst discount discounted sale coupon promo promotion rebate surcharge"
)
"""Words in the name of a field which may show that the price next to it is not the paid price in dollars a month."""
_OTHERWISE: Final = _these("trial storage backup codes")
"""Words which show that a field of `_TERMS` does not describe the price."""
_SAME: Final = frozenset(
    {"", "0", "0.0", "1", "usd", "us", "$", "us$", "dollar", "dollars", "month", "monthly"}
)
"""The values of a field of `_TERMS` that do not contradict a price."""
_CURRENCY: Final = re.compile(
    r"eur|gbp|chf|jpy|inr|cad|aud|nzd|sgd|hkd|brl|mxn|sek|nok|dkk|pln|zar|cny|krw|euros?|[€£¥₹₩₪₴]"
    r"|(?!us)[a-z]{1,3}\$",
    re.IGNORECASE,
)
_WORD: Final = re.compile(r"[^\W\d_]+|[^\w\s.,/()-]+")
_NUMBER: Final = re.compile(r"\$?\s*(\d{1,9}(?:\.\d{1,9})?)\s*([^\d]{0,40})")
_LINE: Final = "prices: {field: price, unit: cents}"


@dataclass(frozen=True)
class _Row:
    """
    A template in an answer of the platform, with its plan in lower case.

    Attributes:
        path: The field that has its price, or the fields that may have it; empty if there is none.
        monthly: Its price in US dollars a month; `None` if it is not clear.
        doubt: Why the price is not clear.
    """

    template: str
    plan: str | None
    path: str
    monthly: Decimal | None
    doubt: str

    @property
    def listed(self) -> str | None:
        """The plan of the catalogue to which the price belongs."""
        return self.plan if self.plan in catalog.PLANS else catalog.default_plan(self.template)

    @property
    def catalogue(self) -> Decimal | None:
        """The catalogue's price; `None` if the catalogue contains no such template."""
        return catalog.monthly_price(self.template, self.listed)

    @property
    def agrees(self) -> bool | None:
        """Whether its price is near the catalogue's price; `None` if they cannot be compared."""
        if self.monthly is None or self.catalogue is None:
            return None
        if self.plan in {None, self.listed} or self.template == catalog.VPN_TEMPLATE:
            return self.catalogue / _FACTOR <= self.monthly <= self.catalogue * _FACTOR
        # The plan is new, or the platform uses a different word for it, so it may be any plan of the catalogue.
        plans = [plan.usd for plan in catalog.PLANS.values()]
        return True if min(plans) <= self.monthly <= max(plans) else None


@dataclass(frozen=True, eq=False)
class PriceList:
    """
    The prices of a platform. An instance is called like `catalog.monthly_price`, and returns `None` for an unknown
    price.

    Perhaps the platform does not list every plan of a template, or does not list additional storage. For these, the
    catalogue's prices are used, but only if the catalogue agrees with the prices that the platform lists for the
    template.

    Attributes:
        known: Template and plan -> US dollars a month.
        doubts: Template -> why its price is not known.
        differing: Template -> its price and the catalogue's price, if they differ.
        gap: Why the platform's list is incomplete; `None` if it is complete.
        borrowed: The items that have the catalogue's price, because the platform does not list them.
    """

    known: Mapping[tuple[str, str | None], Decimal]
    doubts: Mapping[str, str]
    differing: Mapping[str, tuple[Decimal, Decimal | None]]
    gap: str | None = None
    borrowed: dict[str, None] = field(default_factory=dict)

    def listed(self, template: str, plan: str | None) -> Decimal | None:
        """Return the listed price of a template with a plan, ignoring case; `None` if it is not known."""
        return self.known.get((template, plan.lower() if plan else catalog.default_plan(template)))

    def __call__(self, template: str, plan: str | None, tier: int | None) -> Decimal | None:
        """Return the price of a container for a full month, in US dollars; `None` if it is not known."""
        told = self.listed(template, plan)
        if told is not None and tier is None:
            return told
        if template in self.differing or not any(listed == template for listed, _ in self.known):
            return None
        price = catalog.monthly_price(template, plan, tier)
        if price is not None:
            words = [template, plan, None if tier is None else "with additional storage"]
            self.borrowed[" ".join(filter(None, words))] = None
        return price

    @property
    def incomplete(self) -> str:
        """Why there may be more prices; empty if the list is complete."""
        return "" if self.gap is None else f"the list of templates is incomplete: {self.gap}"

    def notes(self, advice: Callable[[str], str]) -> tuple[str, ...]:
        """
        Return notes on the prices, for the user. Call this after the prices were used: only then is it known which
        prices came from the catalogue.
        """
        notes = [
            f"live prices: {template} costs {usd(price)} a month, but the catalogue shows "
            f"{'no price' if known is None else usd(known)}"
            for template, (price, known) in self.differing.items()
        ]
        by_reason: dict[str, list[str]] = defaultdict(list)
        for template, reason in self.doubts.items():
            by_reason[reason].append(template)
        notes += [
            f"live prices: the price of {some(templates, _SHOWN)} is not known: {reason}. If you know the field and "
            f"its unit, {advice(_LINE)}"
            for reason, templates in by_reason.items()
        ]
        if self.borrowed:
            notes.append(
                f"live prices: the API does not list {some([*self.borrowed], _SHOWN)}, so the catalogue's prices apply"
            )
        return tuple(notes)


def price_list(
    rows: Iterable[tuple[str, str | None, Mapping[str, Any] | None]],
    facts: Prices,
    beside: Mapping[str, Any] | None = None,
) -> PriceList:
    """Return the plausible prices in an answer of the platform."""
    said = list(_terms(beside or {}))
    read = [_row(template, plan, entry or {}, facts, said) for template, plan, entry in rows]
    doubt_of_all = _doubt_of_all(read, facts)
    times = Counter(row.template for row in read)
    known: dict[tuple[str, str | None], Decimal] = {}
    doubts: dict[str, str] = {}
    differing: dict[str, tuple[Decimal, Decimal | None]] = {}
    for row in read:
        # A template that is listed once has one price, and the platform's word for its plan may differ from the
        # catalogue's word.
        keys = {(row.template, row.plan or row.listed)} | (
            {(row.template, row.listed)} if times[row.template] == 1 else set()
        )
        if row.monthly is None or doubt_of_all:
            doubts[row.template] = row.doubt or doubt_of_all
        elif any(known.setdefault(key, row.monthly) != row.monthly for key in keys):
            doubts[row.template] = "it is listed with two prices"
        elif row.monthly != row.catalogue:
            differing[row.template] = (row.monthly, row.catalogue)
    believed = {key: price for key, price in known.items() if key[0] not in doubts}
    return PriceList(believed, doubts, differing)


def _doubt_of_all(rows: Iterable[_Row], facts: Prices) -> str:
    """Return why no price of the answer is plausible; empty if the known prices agree with the catalogue."""
    odd = next((row for row in rows if row.agrees is False), None)
    if odd is not None and odd.monthly is not None and odd.catalogue is not None:
        return (
            f"if {odd.path} were in US dollars a month, {odd.template} would cost {usd(odd.monthly)}, but "
            f"costs {usd(odd.catalogue)} in the catalogue"
        )
    if any(row.agrees for row in rows) or facts.unit is not None:
        return ""
    return "no listed template is in the catalogue, so no price shows the unit"


def _row(
    template: str, plan: str | None, entry: Mapping[str, Any], facts: Prices, beside: Sequence[str]
) -> _Row:
    """Return a template with the price in its entry, or with the reason why the price is not clear."""
    plan = None if plan is None else plan.lower()
    found = list(_prices(entry))
    if facts.field is not None:
        # The platform file sets the field, and its author knows which price is paid.
        value: Any = entry
        for name in facts.field.split("."):
            value = value.get(name) if isinstance(value, Mapping) else None
        found = [] if value is None else [(facts.field, value)]
    path, monthly = " or ".join(path for path, _ in found), None
    if len(found) == 1:
        is_named = facts.field is not None
        monthly = _dollars(found[0][1], frozenset() if is_named else _words_of(path))
        others = [] if is_named else [*_terms(entry), *beside]
        if monthly is not None and others:
            return _Row(
                template,
                plan,
                path,
                None,
                f"{path} may not be the paid price, because {others[0]} is next to it",
            )
        if monthly is not None and facts.unit == "cents":
            monthly /= 100
    doubt = "it has no price" if not found else f"{path} is not clearly in US dollars a month"
    return _Row(template, plan, path, monthly, "" if monthly is not None else doubt)


def _prices(entry: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Return the path and value of each field that is named like a price, or is inside such a field."""
    for name, value in entry.items():
        where = f"{path}{name}"
        if isinstance(value, Mapping):
            yield from _prices(value, f"{where}.")
        elif value is not None and not isinstance(value, bool) and _words_of(where) & _PRICE:
            if not _words_of(name) & _TERMS:
                yield where, value
        elif isinstance(value, list):
            for one in value:
                yield from _prices(one, f"{where}.") if isinstance(one, Mapping) else ()


def _terms(entry: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Return the path of each field which shows that a price is not in US dollars a month."""
    for name, value in entry.items():
        where, words = f"{path}{name}", _words_of(f"{path}{name}")
        if isinstance(value, Mapping):
            yield from _terms(value, f"{where}.")
        elif _says_otherwise(words, value):
            yield where


def _says_otherwise(words: frozenset[str], value: Any) -> bool:
    """
    Return whether a field with these words in its name shows that a price is only partial, or is not in dollars a
    month.
    """
    if value is None or isinstance(value, bool):
        return value is False and "included" in words
    text = str(value).strip().lower()
    is_about_payment = bool(words & _TERMS) and not words & _OTHERWISE
    return _CURRENCY.fullmatch(text) is not None or (is_about_payment and text not in _SAME)


def _dollars(value: Any, name: frozenset[str]) -> Decimal | None:
    """
    Return a number, or the number in a text such as `$4.00`; `None` if a word in it does not fit US dollars a month.
    """
    found = _NUMBER.fullmatch(str(value).strip()) if isinstance(value, (int, float, str)) else None
    if found is None or (name | _words_of(found[2])) - _PLAIN:
        return None
    return Decimal(found[1])


def _words_of(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(snake_case(text).lower().replace("_", " ")))
