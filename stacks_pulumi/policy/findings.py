"""What a rule has to say about what it looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

__all__ = ["Deferred", "Finding", "NotApplicable", "Notice", "Violation"]


@dataclass(frozen=True)
class Violation:
    """
    Something that is not allowed.

    Attributes:
        message: What, its price, the limit and the fix, in one line that stands alone. It holds names, words of
            the catalogue, figures and the configuration's own words; never a property's value.
        urn: The resource it is about, where a rule looks at more than one.
    """

    message: str
    urn: str | None = None


@dataclass(frozen=True)
class Deferred:
    """
    A preview cannot tell yet; the same rule decides during the update, before the resource is made.

    The engine shows it as a warning of its own. Only rules of single resources may use it: a rule of the whole
    stack runs in an update when everything has been made already.

    Attributes:
        property: The property whose value is not known yet.
    """

    property: str


@dataclass(frozen=True)
class Notice:
    """
    Something to read, with which nothing is wrong: it blocks at no level.

    At `mandatory` it goes to standard error, which the engine prints; otherwise it is shown as a violation is.

    Attributes:
        message: What there is to read; it may have several lines. Of its contents the same holds.
    """

    message: str


@dataclass(frozen=True)
class NotApplicable:
    """
    The rule has nothing to judge by.

    Attributes:
        reason: Why, for the policy pack's summary.
    """

    reason: str


Finding: TypeAlias = Violation | Deferred | Notice | NotApplicable
