"""Messages for the SDK and for users; they never contain a property's value."""

from __future__ import annotations

import sys
import traceback

import pulumi_policy

from stacks_pulumi.error_codes import with_code
from stacks_pulumi.policy._sdk import UNKNOWN_STRING_VALUE, UnknownValueError
from stacks_pulumi.policy.exemptions import Exemption
from stacks_pulumi.policy.findings import Deferred, Finding, NotApplicable
from stacks_pulumi.policy.options import Settings
from stacks_pulumi.policy.rule import Rule

__all__ = [
    "ambiguous",
    "crashed",
    "ended_note",
    "limit_missing",
    "misconfigured",
    "not_enforced",
    "show",
    "tell_sdk",
]


class _DeferredError(UnknownValueError):
    """Makes the SDK show its warning for an unknown value, followed by our explanation."""

    def __init__(self, name: str, value: str) -> None:
        super().__init__(UNKNOWN_STRING_VALUE, [value])
        self.message = (
            f"the {value} of {name!r} is not known yet; the update checks it before the resource is created"
        )


def misconfigured(rule: Rule, settings: Settings) -> str:
    """Return the text for a wrong configuration."""
    problems = "; ".join(settings.problems)
    text = f"{rule.name} is misconfigured, so it blocks every resource: {problems}. Correct its options."
    return with_code(text, "policy-settings")


def crashed(rule: Rule, subject: str, error: Exception) -> str:
    """Return the text for a rule that crashed, with the place."""
    # The error's own text may contain a property's value.
    place = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{place.filename.rsplit('/', 1)[-1]}, line {place.lineno}"
    text = (
        f"{rule.name} crashed on {subject} ({type(error).__name__} in {where}), so it is not known whether this is "
        f"allowed. Correct the rule, or report it if it is one of this package's; until then, set it to disabled."
    )
    return with_code(text, "policy-crashed")


def not_enforced(rule: Rule, name: str, exemption: Exemption) -> None:
    """Report an exemption that was used, on standard error."""
    sys.stderr.write(f"{rule.name}: {name!r} is exempt until {exemption.expires}: {exemption.reason}\n")


def ended_note(exemption: Exemption | None) -> str:
    """Return the text that is added to a violation whose exemption has ended."""
    if exemption is None:
        return ""
    return f" (Its exemption ended on {exemption.expires}: {exemption.reason}.)"


def ambiguous(rule: Rule, exemption: Exemption) -> str:
    """Return the text for an exemption whose name several resources have."""
    text = (
        f"{rule.name} has an exemption by the name {exemption.name!r}, which more than one resource has. "
        "A name exempts one resource: give the urn of the resource that you mean."
    )
    return with_code(text, "policy-settings")


def limit_missing(rule: Rule, option: str, other: str) -> str:
    """Return the text for a limit that is set for another policy of the pack, but not for this one."""
    text = (
        f"{rule.name} has no {option}, and {other} has one. "
        f"Set {option} for {rule.name} too, or set {rule.name} to disabled."
    )
    return with_code(text, "policy-settings")


def show(rule: Rule, message: str) -> None:
    """Print a notice on standard error: the engine shows it in the operation's output, and it does not block."""
    sys.stderr.write(f"{rule.name}:\n{message}\n")


def tell_sdk(
    args: pulumi_policy.ResourceValidationArgs | pulumi_policy.StackValidationArgs,
    findings: list[Finding],
    name: str,
) -> None:
    """Report the findings to the SDK that are not violations."""
    for finding in findings:
        if isinstance(finding, Deferred):
            raise _DeferredError(name, finding.property)
    for finding in findings:
        if isinstance(finding, NotApplicable):
            args.not_applicable(finding.reason)
