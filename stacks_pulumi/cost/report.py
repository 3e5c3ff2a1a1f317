"""What a stack costs before and after a change: plain data, before anybody renders or judges it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from stacks_pulumi import catalog
from stacks_pulumi.pricing.money import FREE, Change, Price, total
from stacks_pulumi.pricing.prices import MonthlyPrice, describe, price
from stacks_pulumi.pricing.recognition import snake_case
from stacks_pulumi.pricing.values import text, whole

__all__ = ["Action", "Item", "Line", "NotPriced", "PolicyViolation", "Reason", "Report", "Source", "item"]

Action: TypeAlias = Literal["create", "update", "replace", "delete", "keep", "same"]
Reason: TypeAlias = Literal["free", "elsewhere", "read"]
Source: TypeAlias = Literal["preview", "stack", "account", "comparison"]

_NOTHING: Final = Change.between(FREE, FREE)


@dataclass(frozen=True)
class Item:
    """
    A container at one point in time.

    Attributes:
        kind: Template, plan and storage, in words of the catalogue.
        price: What it costs in a month.
    """

    kind: str
    price: Price


def item(inputs: Mapping[str, Any], monthly: MonthlyPrice = catalog.monthly_price) -> Item:
    """A container with these inputs, in either spelling."""
    inputs = snake_case(inputs)
    template, plan = text(inputs, "template"), text(inputs, "plan")
    tier = whole(inputs, "additional_storage_tier")
    return Item(describe(template, plan, tier), price(template, plan, tier, monthly))


@dataclass(frozen=True)
class Line:
    """
    A container before and after.

    Attributes:
        name: The resource's name in the program, or the container's in the account.
        id: URN, or the container's id in the account.
        action: What happens to it.
        before: What it is now; `None` if it is not there.
        after: What it will be; `None` if it will not be there.
    """

    name: str
    id: str
    action: Action
    before: Item | None
    after: Item | None

    @property
    def past(self) -> Price:
        """What it costs now."""
        return FREE if self.before is None else self.before.price

    @property
    def planned(self) -> Price:
        """What it will cost."""
        return FREE if self.after is None else self.after.price

    @property
    def difference(self) -> Change:
        """What it will cost more."""
        return _NOTHING if self.action in {"same", "keep"} else Change.between(self.past, self.planned)

    @property
    def unknown(self) -> tuple[str, ...]:
        """The properties that keep its price from being exact."""
        return tuple(dict.fromkeys(self.past.unknown + self.planned.unknown))


@dataclass(frozen=True)
class NotPriced:
    """
    Resources that no price is known for.

    Attributes:
        type: Their type token.
        count: How many there are after the change.
        reason: Why.
    """

    type: str
    count: int
    reason: Reason


@dataclass(frozen=True)
class PolicyViolation:
    """
    A policy violation that came with a preview.

    Attributes:
        policy: The policy's name.
        pack: The pack's name.
        level: `mandatory` or `advisory`.
        resource: The name of the resource it is about.
        message: What the policy says.
    """

    policy: str
    pack: str
    level: str
    resource: str
    message: str


@dataclass(frozen=True)
class Report:
    """
    What was read.

    Attributes:
        source: Where it came from. A preview has a before and an after, and so has the comparison of an account with a
            snapshot; of the others, both are what is there.
        lines: The containers, changes first.
        not_priced: What else there is.
        violations: The policy violations, mandatory ones first.
        notes: What a reader has to know to trust the figures.
        blocked: Why the preview failed, if policies made it fail; else empty.
        incomplete: Why the figures are not the whole, if they are not; else empty.
    """

    source: Source
    lines: tuple[Line, ...] = ()
    not_priced: tuple[NotPriced, ...] = ()
    violations: tuple[PolicyViolation, ...] = ()
    notes: tuple[str, ...] = ()
    blocked: str = ""
    incomplete: str = ""

    @property
    def compares(self) -> bool:
        """Whether it has a before and an after."""
        return self.source in {"preview", "comparison"}

    @property
    def past(self) -> Price:
        """What everything costs now."""
        return total(line.past for line in self.lines)

    @property
    def planned(self) -> Price:
        """What everything will cost."""
        return total(line.planned for line in self.lines)

    @property
    def difference(self) -> Change:
        """What everything will cost more."""
        result = _NOTHING
        for line in self.lines:
            result += line.difference
        return result

    @property
    def unknown(self) -> tuple[Line, ...]:
        """The lines without an exact price."""
        return tuple(line for line in self.lines if not (line.past.exact and line.planned.exact))
