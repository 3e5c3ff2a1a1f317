"""The cost of a stack before and after a change, as plain data for the renderings and the limits."""

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
        price: Its monthly price.
    """

    kind: str
    price: Price


def item(inputs: Mapping[str, Any], monthly: MonthlyPrice = catalog.monthly_price) -> Item:
    """Return the item for a container with these inputs, in camelCase or snake_case."""
    inputs = snake_case(inputs)
    template, plan = text(inputs, "template"), text(inputs, "plan")
    tier = whole(inputs, "additional_storage_tier")
    return Item(describe(template, plan, tier), price(template, plan, tier, monthly))


@dataclass(frozen=True)
class Line:
    """
    A container before and after a change.

    Attributes:
        name: The resource's name in the program, or the container's in the account.
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
    def past(self) -> Price:
        """Its monthly price now."""
        return FREE if self.before is None else self.before.price

    @property
    def planned(self) -> Price:
        """Its monthly price after the change."""
        return FREE if self.after is None else self.after.price

    @property
    def difference(self) -> Change:
        """The difference of its monthly price."""
        return _NOTHING if self.action in {"same", "keep"} else Change.between(self.past, self.planned)

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
class PolicyViolation:
    """
    A policy violation in a preview.

    Attributes:
        policy: The policy's name.
        pack: The pack's name.
        level: `mandatory` or `advisory`.
        resource: The name of the resource that violates it.
        message: The policy's message.
    """

    policy: str
    pack: str
    level: str
    resource: str
    message: str


@dataclass(frozen=True)
class Report:
    """
    The cost of everything that was read.

    Attributes:
        source: The type of the input. A preview, and the comparison of an account with a snapshot, have a before and an
            after. For the other types, before and after are the same.
        lines: The containers, changes first.
        not_priced: The other resources.
        violations: The policy violations, mandatory ones first.
        notes: Facts that a reader needs to interpret the figures.
        blocked: Why the preview failed, if policies made it fail; otherwise empty.
        incomplete: Why the figures are incomplete; empty if they are complete.
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
        """Whether the report compares a before with an after."""
        return self.source in {"preview", "comparison"}

    @property
    def past(self) -> Price:
        """The monthly price of everything now."""
        return total(line.past for line in self.lines)

    @property
    def planned(self) -> Price:
        """The monthly price of everything after the change."""
        return total(line.planned for line in self.lines)

    @property
    def difference(self) -> Change:
        """The difference of the monthly price of everything."""
        result = _NOTHING
        for line in self.lines:
            result += line.difference
        return result

    @property
    def unknown(self) -> tuple[Line, ...]:
        """The lines without an exact price."""
        return tuple(line for line in self.lines if not (line.past.exact and line.planned.exact))
