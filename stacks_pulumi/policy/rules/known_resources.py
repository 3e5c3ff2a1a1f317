"""The rule that refuses resources which the other rules cannot check."""

from __future__ import annotations

from collections.abc import Iterator

from stacks_pulumi.policy.findings import Finding, Violation
from stacks_pulumi.policy.options import Settings
from stacks_pulumi.policy.rule import ResourceRule
from stacks_pulumi.pricing.views import UnrecognisedView

__all__ = ["KNOWN_RESOURCES", "RULES"]

KNOWN_RESOURCES = "known-resources"


def known_resources(resource: UnrecognisedView, settings: Settings) -> Iterator[Finding]:
    """This version knows the kind of every resource with the type prefix of STACKS."""
    del settings
    yield Violation(
        f"resource {resource.name!r} has the type prefix of STACKS, but this version of stacks-pulumi does not know "
        "its kind: the policies cannot check it, and it has no price. Upgrade stacks-pulumi where the policies run; if "
        "it is your own component, give it a type with another prefix."
    )


RULES = (
    ResourceRule(
        KNOWN_RESOURCES,
        "The policies know the kind of every STACKS resource.",
        "mandatory",
        "critical",
        "Upgrade stacks-pulumi where the policies run.",
        view=UnrecognisedView,
        check=known_resources,
    ),
)
"""The rules of this file."""
