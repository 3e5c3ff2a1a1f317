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
        (
            "allowed-plans is misconfigured, so it blocks every resource",
            "'premum'",
            "did you mean 'premium'?",
        ),
        act=preview_with_pack("policies/plans", {"allowed-plans": {"allowed": ["premum"]}}),
    ),
    Scenario(
        "policy-crashed",
        ("short-names crashed on", "AttributeError", "line 5"),
        files={
            "our-rules/PulumiPolicy.yaml": "runtime: python\n",
            "our-rules/__main__.py": _FAULTY_RULE,
        },
        act=preview_with_pack("our-rules", {}),
    ),
)
