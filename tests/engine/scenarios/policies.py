"""Errors of policy packs. A violation has the policy's name instead of a code."""

from __future__ import annotations

from tests.engine.scenarios.scenario import Scenario, preview_with_pack

__all__ = ["POLICIES"]

_FAULTY_RULE = """\
from stacks_pulumi.policy import ContainerView, ResourceRule, StacksGuard, Violation


def short_name(container, settings):
    if len(container.title) > 10:
        yield Violation(f"{container.name} is too long.")


rule = ResourceRule(
    "short-names",
    "Names are short.",
    "mandatory",
    "low",
    "Choose a shorter one.",
    view=ContainerView,
    check=short_name,
)
StacksGuard("our-rules", only=[], extra=[rule]).run()
"""

POLICIES = (
    Scenario(
        "policy-settings",
        "A policy pack has a wrong setting",
        "With a misspelt name a policy would have no effect, so nothing passes until it is corrected.",
        "Correct the option that the message names ([policies](policies.md)).",
        (
            "allowed-plans is misconfigured, so it blocks every resource",
            "'premum'",
            "did you mean 'premium'?",
        ),
        act=preview_with_pack("policies/plans", {"allowed-plans": {"allowed": ["premum"]}}),
    ),
    Scenario(
        "policy-crashed",
        "A policy failed with an exception",
        "It is not known whether the policy would allow the resource, so it does not pass. The message has the type of "
        "the exception and its place, and none of the resource's values.",
        "Correct the rule, or report it if it is one of this package's. Until then, set the policy to `disabled`.",
        ("short-names crashed on", "AttributeError", "line 5"),
        files={
            "our-rules/PulumiPolicy.yaml": "runtime: python\n",
            "our-rules/__main__.py": _FAULTY_RULE,
        },
        act=preview_with_pack("our-rules", {}),
    ),
)
