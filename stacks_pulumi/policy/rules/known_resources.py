"""Which resources the other rules can judge."""

from __future__ import annotations

from collections.abc import Iterator

from stacks_pulumi.policy.findings import Finding, Violation
from stacks_pulumi.policy.options import Settings
from stacks_pulumi.policy.rule import ResourceRule
from stacks_pulumi.pricing.views import UnrecognisedView

__all__ = ["KNOWN_RESOURCES", "RULES"]

KNOWN_RESOURCES = "known-resources"


def known_resources(resource: UnrecognisedView, settings: Settings) -> Iterator[Finding]:
    """A resource with the type prefix of STACKS is of a kind that this version knows."""
    del settings
    yield Violation(
        f"resource {resource.name!r} has the type prefix of STACKS and is of a kind that this version of stacks-pulumi "
        "does not know, so no policy can judge it and it has no price. Upgrade stacks-pulumi where the policies run; "
        "give a component of your own a type with another prefix."
    )


RULES = (
    ResourceRule(
        KNOWN_RESOURCES,
        "Every resource of STACKS is of a kind that the policies know.",
        "mandatory",
        "critical",
        "Upgrade stacks-pulumi where the policies run.",
        view=UnrecognisedView,
        check=known_resources,
    ),
)
"""The rules of this file."""
