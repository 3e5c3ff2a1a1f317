"""
Which prices does the platform list for its templates, and which of them are believed?

The guide does not state in which field, unit and period a template has its price. So one field is read, in one unit:
the only field of a template that is named like a price, in US dollars a month. It is believed if no other field
contradicts it, and if prices of the same answer that are in the catalogue too are within a factor of five of it. So a
new plan or a discount can be believed. Every other price is unknown: the catalogue's does not replace it.
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
from stacks_pulumi.pricing.money import usd


def _these(words: str) -> frozenset[str]:
    return frozenset(words.split())


_FACTOR: Final = 5
"""The largest factor between a price and the catalogue's: enough for a discount, too little for a different unit."""
_SHOWN: Final = 5

_PRICE: Final = _these("price prices pricing cost costs fee monthly hourly usd")
"""Words in the name of a field that is a price, or has the parts of one."""
_PLAIN: Final = (_PRICE - {"hourly"}) | _these("us dollar dollars $ month mo per amount value list base plan")
"""Words in the name or text of a price in US dollars a month."""
_TERMS: Final = _these(
    "currency currencies ccy symbol unit period interval cycle frequency quantity term duration recurring billing "
    "billed tax taxes vat gst discount discounted sale coupon promo promotion rebate surcharge"
)
"""Words in the name of a field that may say that the price next to it is not what is paid, in dollars a month."""
_OTHERWISE: Final = _these("trial storage backup codes")
"""Words in the name of a field with such a word that is about something else."""
_SAME: Final = frozenset(
    {"", "0", "0.0", "1", "usd", "us", "$", "us$", "dollar", "dollars", "month", "monthly"}
)
"""The values that such a field may have."""
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
    A template of an answer, with its plan in lower case.

    Attributes:
        path: The field that has its price, or the fields that may have it; empty if there is none.
        monthly: Its price in US dollars a month; `None` if it is not clear.
        doubt: Why it is not clear.
    """

    template: str
    plan: str | None
    path: str
    monthly: Decimal | None
    doubt: str

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
        # The plan is new, or has a different word here: it may be any plan of the catalogue.
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
        borrowed: What is priced by the catalogue, because the platform does not list it.
    """

    known: Mapping[tuple[str, str | None], Decimal]
    doubts: Mapping[str, str]
    differing: Mapping[str, tuple[Decimal, Decimal | None]]
    gap: str | None = None
    borrowed: dict[str, None] = field(default_factory=dict)

    def listed(self, template: str, plan: str | None) -> Decimal | None:
        """Return the price that is listed for a template under a plan, in any case; `None` if it is not known."""
        return self.known.get((template, plan.lower() if plan else catalog.default_plan(template)))

    def __call__(self, template: str, plan: str | None, tier: int | None) -> Decimal | None:
        """Return the price of a container for a whole month, in US dollars; `None` if it is not known."""
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
        """Why there may be more prices; empty if these are all."""
        return "" if self.gap is None else f"the list of templates is incomplete: {self.gap}"

    def notes(self, advice: Callable[[str], str]) -> tuple[str, ...]:
        """
        Return what a reader has to know of the prices. What the catalogue was used for is known after their use.
        """
        notes = [
            f"live prices: {template} costs {usd(price)} a month, the catalogue shows "
            f"{'nothing of it' if known is None else usd(known)}"
            for template, (price, known) in self.differing.items()
        ]
        by_reason: dict[str, list[str]] = defaultdict(list)
        for template, reason in self.doubts.items():
            by_reason[reason].append(template)
        notes += [
            f"live prices: the price of {_some(templates)} is not known: {reason}. If you know the field and its "
            f"unit, {advice(_LINE)}"
            for reason, templates in by_reason.items()
        ]
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
    """Return the prices of an answer that are believed."""
    said = list(_terms(beside or {}))
    read = [_row(template, plan, entry or {}, facts, said) for template, plan, entry in rows]
    doubt_of_all = _doubt_of_all(read, facts)
    times = Counter(row.template for row in read)
    known: dict[tuple[str, str | None], Decimal] = {}
    doubts: dict[str, str] = {}
    differing: dict[str, tuple[Decimal, Decimal | None]] = {}
    for row in read:
        # A template that is listed once has one price, and the word for its plan may differ from the one here.
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
    """Return why no price of the answer is believed; empty if the known ones agree with the catalogue."""
    odd = next((row for row in rows if row.agrees is False), None)
    if odd is not None and odd.monthly is not None and odd.catalogue is not None:
        return (
            f"if {odd.path} were in US dollars a month, {odd.template} would cost {usd(odd.monthly)}, and the "
            f"catalogue says {usd(odd.catalogue)}"
        )
    if any(row.agrees for row in rows) or facts.unit is not None:
        return ""
    return "no template of the catalogue is listed, whose price would show the unit"


def _row(
    template: str, plan: str | None, entry: Mapping[str, Any], facts: Prices, beside: Sequence[str]
) -> _Row:
    """Return what an entry shows of its price."""
    plan = None if plan is None else plan.lower()
    found = list(_prices(entry))
    if facts.field is not None:
        # The author of the platform file, who names the field, knows what is paid.
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
                f"{path} is not clearly the price that is paid: {others[0]} is next to it",
            )
        if monthly is not None and facts.unit == "cents":
            monthly /= 100
    doubt = "it has no price" if not found else f"{path} is not clearly in US dollars a month"
    return _Row(template, plan, path, monthly, "" if monthly is not None else doubt)


def _prices(entry: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Return the path and value of each field that is named like a price, or is inside of something that is."""
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
    """Return the path of each field that says something else of a price than US dollars a month."""
    for name, value in entry.items():
        where, words = f"{path}{name}", _words_of(f"{path}{name}")
        if isinstance(value, Mapping):
            yield from _terms(value, f"{where}.")
        elif _says_otherwise(words, value):
            yield where


def _says_otherwise(words: frozenset[str], value: Any) -> bool:
    """Whether a field with these words in its name says that a price is not in US dollars a month, or not all."""
    if value is None or isinstance(value, bool):
        return value is False and "included" in words
    text = str(value).strip().lower()
    is_about_payment = bool(words & _TERMS) and not words & _OTHERWISE
    return _CURRENCY.fullmatch(text) is not None or (is_about_payment and text not in _SAME)


def _dollars(value: Any, name: frozenset[str]) -> Decimal | None:
    """Return a number, or that of a text such as `$4.00`; `None` if a word says anything but US dollars a month."""
    found = _NUMBER.fullmatch(str(value).strip()) if isinstance(value, (int, float, str)) else None
    if found is None or (name | _words_of(found[2])) - _PLAIN:
        return None
    return Decimal(found[1])


def _words_of(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(snake_case(text).lower().replace("_", " ")))
