"""A rule: a plain function on a view, with the data about it that users and the engine need."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeAlias, TypeVar

from stacks_pulumi.policy.exemptions import EXEMPT
from stacks_pulumi.policy.findings import Finding
from stacks_pulumi.policy.options import Option, Settings, new_names
from stacks_pulumi.pricing.views import ResourceView, StackView

__all__ = ["Level", "Remediation", "ResourceRule", "Rule", "StackRule"]

Level: TypeAlias = Literal["advisory", "mandatory", "remediate", "disabled"]
Severity: TypeAlias = Literal["low", "medium", "high", "critical"]

V = TypeVar("V", bound=ResourceView)


@dataclass(frozen=True)
class Rule:
    """
    The base class of all rules.

    Attributes:
        name: Its name in a pack's configuration.
        description: One line; the engine prints it above every violation.
        level: The default enforcement level.
        severity: The severity of a violation.
        fix: How to fix a violation.
        options: Its options, without `exempt`, which every rule has.
    """

    name: str
    description: str
    level: Level
    severity: Severity
    fix: str
    options: tuple[Option, ...] = field(default=(), kw_only=True)

    @property
    def all_options(self) -> tuple[Option, ...]:
        """All options, with `exempt`."""
        listed = any(option.catalogue for option in self.options)
        return (*self.options, *((new_names(),) if listed else ()), EXEMPT)


@dataclass(frozen=True)
class ResourceRule(Rule, Generic[V]):
    """
    A rule for one resource: it runs in previews, and in updates before the resource is created.

    Attributes:
        view: The type of the resources that it checks.
        check: Yields the findings for one resource.
    """

    view: type[V] = field(kw_only=True)
    check: Callable[[V, Settings], Iterable[Finding]] = field(kw_only=True)


@dataclass(frozen=True)
class StackRule(Rule):
    """
    A rule for all resources together.

    It runs at the end of a preview and at the end of an update. At the end of an update, all resources have been
    created. So it must find a violation in the preview, and it must assume the worst case for unknown values.

    Attributes:
        check: Yields the findings for a stack.
    """

    check: Callable[[StackView, Settings], Iterable[Finding]] = field(kw_only=True)


@dataclass(frozen=True)
class Remediation(Rule, Generic[V]):
    """
    A rule that corrects a resource instead of refusing it.

    Attributes:
        view: The type of the resources that it checks.
        changes: Returns the input properties to set, by name; empty for a correct resource.
    """

    view: type[V] = field(kw_only=True)
    changes: Callable[[V, Settings], dict[str, Any]] = field(kw_only=True)
