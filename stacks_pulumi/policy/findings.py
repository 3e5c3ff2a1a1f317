"""The results of a rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

__all__ = ["Deferred", "Finding", "NotApplicable", "Notice", "Violation"]


@dataclass(frozen=True)
class Violation:
    """
    Something that is not allowed.

    Attributes:
        message: The problem, the price, the limit and the fix, in one line that can be understood alone. It contains
            names, words of the catalogue, numbers and words of the configuration; never a property's value.
        urn: The resource with the violation, if the rule checks more than one.
    """

    message: str
    urn: str | None = None


@dataclass(frozen=True)
class Deferred:
    """
    A preview cannot decide, because a value is unknown. The same rule decides in the update, before the resource is
    created.

    The engine shows it as a separate warning. Only rules for single resources may use it: in an update, a rule for the
    whole stack runs after all resources have been created.

    Attributes:
        property: The property whose value is not known yet.
    """

    property: str


@dataclass(frozen=True)
class Notice:
    """
    A message that is not a violation: it does not block at any level.

    At `mandatory` it is written to standard error, which the engine prints; otherwise it is shown like a violation.

    Attributes:
        message: The text; it may have several lines. It may contain the same as the message of a violation.
    """

    message: str


@dataclass(frozen=True)
class NotApplicable:
    """
    The rule checked nothing, for instance because no limit is set.

    Attributes:
        reason: The reason, for the policy pack's summary.
    """

    reason: str


Finding: TypeAlias = Violation | Deferred | Notice | NotApplicable
