"""A rule: a plain function on a view, with everything that people and the engine have to know about it."""

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
    What all rules have.

    Attributes:
        name: Its name in a pack's configuration.
        description: One line; the engine prints it above every violation.
        level: The enforcement level that it has unless it is configured.
        severity: How bad a violation is.
        fix: How to put a violation right.
        options: What can be set, beside `exempt`, which every rule has.
    """

    name: str
    description: str
    level: Level
    severity: Severity
    fix: str
    options: tuple[Option, ...] = field(default=(), kw_only=True)

    @property
    def all_options(self) -> tuple[Option, ...]:
        """Everything that can be set."""
        listed = any(option.catalogue for option in self.options)
        return (*self.options, *((new_names(),) if listed else ()), EXEMPT)


@dataclass(frozen=True)
class ResourceRule(Rule, Generic[V]):
    """
    A rule about one resource: runs in previews, and in updates before the resource is made.

    Attributes:
        view: Which resources it looks at.
        check: Says what is wrong with one.
    """

    view: type[V] = field(kw_only=True)
    check: Callable[[V, Settings], Iterable[Finding]] = field(kw_only=True)


@dataclass(frozen=True)
class StackRule(Rule):
    """
    A rule about all resources together.

    It runs at the end of a preview, and of an update: then everything has been made already. So what must be
    stopped has to be found by it in the preview, with what is not known counted at its worst.

    Attributes:
        check: Says what is wrong with a stack.
    """

    check: Callable[[StackView, Settings], Iterable[Finding]] = field(kw_only=True)


@dataclass(frozen=True)
class Remediation(Rule, Generic[V]):
    """
    A rule that puts a resource right instead of refusing it.

    Attributes:
        view: Which resources it looks at.
        changes: The input properties to set, by name; empty for a resource that is right.
    """

    view: type[V] = field(kw_only=True)
    changes: Callable[[V, Settings], dict[str, Any]] = field(kw_only=True)
