"""
Rules, their findings, and the resources that are exempt from them.

A rule contains a plain function that checks resources, and a description for users and the engine. Its messages never
contain a property's value.
"""

from __future__ import annotations

import datetime
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Literal, TypeAlias, TypeVar

import pulumi_policy

from stacks_pulumi.errors import clean, clean_lines, with_code
from stacks_pulumi.policy._analyzer import UNKNOWN_STRING_VALUE, UnknownValueError
from stacks_pulumi.policy.options import Option, OptionError, Settings, new_names, reason_and_end, too_late
from stacks_pulumi.pricing.recognition import UNRECOGNISED
from stacks_pulumi.pricing.views import ChildView, ResourceView, StackView


@dataclass(frozen=True)
class Violation:
    """
    A violation of the rule.

    Attributes:
        message: The problem, the price, the limit and the fix, in one line that can be understood alone. It may contain
            names, words from the catalogue, numbers, and words from the configuration, but never a property's value.
        urn: The resource with the violation, if the rule checks several resources.
    """

    message: str
    urn: str | None = None


@dataclass(frozen=True)
class Deferred:
    """
    The rule cannot decide at preview, because a value is unknown. The same rule decides in the update, before the
    resource is created.

    The engine shows it as a separate warning. Only rules for single resources may use it: in an update, a rule for the
    whole stack runs after all resources have been created.

    Attributes:
        property: The property whose value is not known yet.
    """

    property: str


@dataclass(frozen=True)
class Notice:
    """
    A message that is not a violation, and therefore does not block at any level.

    At the level `mandatory`, it is written to standard error, which the engine prints. At other levels, it is shown
    like a violation.

    Attributes:
        message: The text, which may have several lines. Its content follows the same rules as the message of a
            violation.
    """

    message: str


@dataclass(frozen=True)
class NotApplicable:
    """
    The rule checked nothing, for instance because no limit is set.

    Attributes:
        reason: The reason, which the summary of the policy pack shows.
    """

    reason: str


Finding: TypeAlias = Violation | Deferred | Notice | NotApplicable


_KEYS: Final = ("urn", "name", "reason", "expires")


@dataclass(frozen=True)
class Exemption:
    """
    A resource that a rule does not check.

    Attributes:
        name: The resource's name in the program, or `None` if `urn` is given.
        urn: The resource's URN, or `None` if `name` is given.
        reason: The reason. It is required so that a later reader can review the exemption.
        expires: The last day on which it is valid, in UTC. It is required, because an exemption without an end disables
            the rule permanently.
    """

    name: str | None
    urn: str | None
    reason: str
    expires: datetime.date

    def covers(self, urn: str, name: str) -> bool:
        """Return whether the exemption applies to this resource."""
        return self.urn == urn if self.urn is not None else self.name == name


def _parse(raw: Any) -> tuple[Exemption, ...]:
    if not isinstance(raw, list | tuple):
        raise OptionError("is not a list")
    return tuple(_one(number, item) for number, item in enumerate(raw, 1))


def _one(number: int, raw: Any) -> Exemption:
    if not isinstance(raw, Mapping) or not all(isinstance(value, str) for value in raw.values()):
        raise OptionError(f"entry {number} is not an object with text values ({', '.join(_KEYS)})")
    unknown = [key for key in raw if key not in _KEYS]
    if unknown:
        raise OptionError(
            f"entry {number} has the unknown key {unknown[0]!r}; the keys are {', '.join(_KEYS)}"
        )
    if ("urn" in raw) == ("name" in raw):
        raise OptionError(f"entry {number} needs either urn or name, not both")
    try:
        return Exemption(raw.get("name"), raw.get("urn"), *reason_and_end(raw))
    except OptionError as error:
        raise OptionError(f"entry {number} {error}") from None


EXEMPT: Final = Option(
    "exempt",
    {
        "type": "array",
        "description": "resources that the rule does not check, each with a reason and an expiry date (UTC)",
        "items": {
            "type": "object",
            "properties": {key: {"type": "string"} for key in _KEYS},
            "required": ["reason", "expires"],
            "additionalProperties": False,
        },
    },
    _parse,
)
"""The option that every rule has."""


def covering(
    exemptions: tuple[Exemption, ...], urn: str, name: str, today: datetime.date
) -> tuple[Exemption | None, Exemption | None]:
    """Return a resource's valid exemption and its expired exemption; each is `None` if there is none."""
    ours = [exemption for exemption in exemptions if exemption.covers(urn, name)]
    live = [exemption for exemption in ours if exemption.expires >= today]
    ended = [exemption for exemption in ours if exemption.expires < today]
    return (live[0] if live else None), (ended[-1] if ended else None)


LONGEST_EXEMPTION: Final = 366
"""The default maximum number of days from today for which an exemption may be valid."""


def too_long(exemptions: tuple[Exemption, ...], today: datetime.date, days: int) -> list[str]:
    """Return an error for each exemption whose end date is too far in the future."""
    return [
        f"'exempt' entry {number} {late}"
        for number, exemption in enumerate(exemptions, 1)
        if (late := too_late(exemption.expires, today, days))
    ]


Level: TypeAlias = Literal["advisory", "mandatory", "remediate", "disabled"]
Severity: TypeAlias = Literal["low", "medium", "high", "critical"]

V = TypeVar("V", bound=ResourceView)


@dataclass(frozen=True)
class Rule:
    """
    The base class of all rules.

    Attributes:
        name: Its name in a pack's configuration.
        description: A line that the engine prints above every violation.
        level: The default enforcement level.
        severity: The severity of a violation.
        fix: How to fix a violation.
        options: The rule's options, except `exempt`, which every rule has.
    """

    name: str
    description: str
    level: Level
    severity: Severity
    fix: str
    options: tuple[Option, ...] = field(default=(), kw_only=True)

    @property
    def all_options(self) -> tuple[Option, ...]:
        """All options, including `exempt`."""
        listed = any(option.catalogue for option in self.options)
        return (*self.options, *((new_names(),) if listed else ()), EXEMPT)


@dataclass(frozen=True)
class ResourceRule(Rule, Generic[V]):
    """
    A rule for a single resource. It runs in previews, and in updates before the resource is created.

    Attributes:
        view: The type of the resources that it checks.
        check: Yields the findings for one resource.
    """

    view: type[V] = field(kw_only=True)
    check: Callable[[V, Settings], Iterable[Finding]] = field(kw_only=True)


@dataclass(frozen=True)
class StackRule(Rule):
    """
    A rule that checks all resources of a stack together.

    It runs at the end of a preview, and at the end of an update, when all resources have already been created. So it
    must find violations at preview, and assume the worst case for unknown values.

    Attributes:
        check: Yields the findings for a stack.
        elsewhere: Yields the findings for a resource that gives access to a container outside of the stack; `None` if
            the rule has no such findings. If the container's id shows that the container is not in the stack, the
            function runs before the resource is created.
        subjects: The kinds of resources that can be exempt. If resources of several kinds have the same name, the one
            whose kind is listed first is exempt.
    """

    check: Callable[[StackView, Settings], Iterable[Finding]] = field(kw_only=True)
    elsewhere: Callable[[ChildView, Settings], Iterable[Finding]] | None = field(default=None, kw_only=True)
    subjects: tuple[str, ...] = field(default=("Container", UNRECOGNISED), kw_only=True)


@dataclass(frozen=True)
class Remediation(Rule, Generic[V]):
    """
    A rule that corrects a resource instead of refusing it.

    Attributes:
        view: The type of the resources that it checks.
        changes: Returns the input properties to set, by name; empty if the resource is correct.
    """

    view: type[V] = field(kw_only=True)
    changes: Callable[[V, Settings], dict[str, Any]] = field(kw_only=True)


class _DeferredError(UnknownValueError):
    """Raised so that the SDK shows its warning about an unknown value, followed by our explanation."""

    def __init__(self, name: str, value: str) -> None:
        super().__init__(UNKNOWN_STRING_VALUE, [value])
        self.message = (
            f"the {value} of {name!r} is not known yet; the update checks it before the resource is created"
        )


def misconfigured(rule: Rule, settings: Settings) -> str:
    """Return the message about an invalid configuration."""
    problems = "; ".join(settings.problems)
    text = f"{rule.name} is misconfigured, so it blocks every resource: {problems}. Correct its options."
    return with_code(text, "policy-settings")


def crashed(rule: Rule, subject: str, error: Exception) -> str:
    """Return the message about a rule that crashed, with the place in the code."""
    # The error's own text may contain a property's value.
    place = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{place.filename.rsplit('/', 1)[-1]}, line {place.lineno}"
    text = (
        f"{rule.name} crashed on {subject} ({type(error).__name__} in {where}), so its check is incomplete. Correct "
        "the rule, or report the error if the rule is in this package; until then, set the rule to disabled."
    )
    return with_code(text, "policy-crashed")


def not_enforced(rule: Rule, name: str, exemption: Exemption) -> None:
    """Report on standard error that an exemption was used."""
    text = f"{rule.name}: {name!r} is exempt until {exemption.expires}: {exemption.reason}"
    sys.stderr.write(f"{clean(text)}\n")


def ended_note(exemption: Exemption | None) -> str:
    """Return the text that is added to a violation whose exemption has ended."""
    if exemption is None:
        return ""
    return f" (Its exemption ended on {exemption.expires}: {exemption.reason}.)"


def ambiguous(rule: Rule, exemption: Exemption) -> str:
    """Return the message about an exemption whose name belongs to several resources."""
    text = (
        f"{rule.name} has an exemption for the name {exemption.name!r}, but several resources have this name. "
        "Write the urn of the resource to exempt instead."
    )
    return with_code(text, "policy-settings")


def limit_missing(rule: Rule, option: str, other: str) -> str:
    """Return the message about a limit that is set for another policy of the pack, but not for this policy."""
    text = (
        f"{rule.name} has no {option}, but {other} has one. Set {option} for {rule.name} too, or set {rule.name} to "
        "disabled."
    )
    return with_code(text, "policy-settings")


def show(rule: Rule, message: str) -> None:
    """Print a notice on standard error. The engine then shows it in the operation's output without blocking."""
    sys.stderr.write(f"{rule.name}:\n{clean_lines(message)}\n")


def tell_sdk(
    args: pulumi_policy.ResourceValidationArgs | pulumi_policy.StackValidationArgs,
    findings: list[Finding],
    name: str,
) -> None:
    """Tell the SDK whether the rule deferred its check, or did not apply."""
    for finding in findings:
        if isinstance(finding, Deferred):
            raise _DeferredError(name, finding.property)
    for finding in findings:
        if isinstance(finding, NotApplicable):
            args.not_applicable(finding.reason)
