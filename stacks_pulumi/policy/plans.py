"""
Rules about the containers that are allowed: their plans, templates, storage and names. Unknown kinds of resources are
refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from stacks_pulumi import catalog
from stacks_pulumi.policy.options import Settings, choice, money, names, names_by_tag, pattern
from stacks_pulumi.policy.rule import Deferred, Finding, NotApplicable, Remediation, ResourceRule, Violation
from stacks_pulumi.pricing.money import usd
from stacks_pulumi.pricing.recognition import UNKNOWN, Unknown
from stacks_pulumi.pricing.views import ContainerView, UnrecognisedView

KNOWN_RESOURCES = "known-resources"


_ALLOWED = names(
    "allowed",
    f"plans that a container may have; a {catalog.VPN_TEMPLATE} container ({usd(catalog.VPN_PLAN.usd)} a month) has "
    "no plan, but allowed-templates can deny it",
    tuple(catalog.PLANS),
    catalogue=catalog.PLANS,
)
_WHEN_UNKNOWN = choice(
    "unknown",
    "what to do if the value is not known at preview: defer (warn; the update decides) or deny",
    "defer",
    "deny",
)


def _not_known(container: ContainerView, value: str, settings: Settings) -> Finding:
    if settings["unknown"] == "defer":
        return Deferred(value)
    return Violation(
        f"container {container.name!r}: the {value} is not known at preview, and this policy denies unknown values. "
        f"Write the {value} as a plain value, or set the option `unknown` to `defer`."
    )


def _listed(words: tuple[str, ...]) -> str:
    return ", ".join(words) if words else "none"


def plans_for(settings: Settings) -> tuple[str, ...]:
    """
    Return the plans that the stack's tags allow. If several tags match, only plans that all of them allow are returned.
    """
    matching = [plans for tag, plans in (settings["by_tag"] or {}).items() if settings.tagged(tag)]
    if not matching:
        return settings.names("allowed")
    return tuple(plan for plan in matching[0] if all(plan in plans for plans in matching))


def allowed_plans(container: ContainerView, settings: Settings) -> Iterator[Finding]:
    """
    Report a container whose plan is not allowed. A `stacks-vpn` container has no plan; `allowed-templates` checks it.
    """
    if container.template == catalog.VPN_TEMPLATE:
        return
    if container.plan is UNKNOWN:
        yield _not_known(container, "plan", settings)
        return
    allowed, plan = plans_for(settings), container.plan
    if plan is None:
        if container.template is UNKNOWN:
            yield _not_known(container, "template", settings)
            return
        plan = catalog.default_plan(container.template or "")
    if plan not in allowed:
        known = catalog.PLANS.get(plan or "")
        what = "a plan that is not in the catalogue" if known is None else f"plan {known}"
        yield Violation(
            f"container {container.name!r} has {what}; allowed: {_listed(allowed)}. Choose one of them."
        )


def allowed_templates(container: ContainerView, settings: Settings) -> Iterator[Finding]:
    """Report a container whose template is denied, or is not in the list of allowed templates."""
    allowed, denied = settings["allowed"], settings.names("denied")
    if allowed is None and not denied:
        yield NotApplicable("neither allowed nor denied is set")
    elif container.template is None or isinstance(container.template, Unknown):
        yield _not_known(container, "template", settings)
    elif _letters(container.template) in map(_letters, denied) or (
        allowed is not None and container.template not in allowed
    ):
        known = container.template in catalog.TEMPLATES
        what = f"template {container.template}" if known else "a template that is not in the catalogue"
        rest = f"allowed: {_listed(allowed)}" if allowed is not None else f"denied: {_listed(denied)}"
        yield Violation(f"container {container.name!r} has {what}; {rest}. Choose a different template.")


def _letters(name: str) -> str:
    # A platform may accept a template's name in any letter case, so a denied name is denied in every letter case.
    return name.strip().casefold()


def allowed_storage(container: ContainerView, settings: Settings) -> Iterator[Finding]:
    """Report a container whose additional storage costs more than the limit."""
    limit, tier = settings.money("max_usd"), container.tier
    if limit is None:
        yield NotApplicable("max_usd is not set")
    elif isinstance(tier, Unknown):
        # If every tier is within the limit, the value is not needed.
        if limit < max(known.usd for known in catalog.STORAGE_TIERS.values()):
            yield _not_known(container, "additional_storage_tier", settings)
    elif tier is not None:
        known = catalog.STORAGE_TIERS.get(tier)
        if known is None:
            yield Violation(
                f"container {container.name!r} has a storage tier that is not in the catalogue, so its price is "
                f"unknown; the limit is {usd(limit)} a month. "
                f"Choose one of {', '.join(map(str, catalog.STORAGE_TIERS))}."
            )
        elif known.usd > limit:
            yield Violation(
                f"container {container.name!r} has {known.storage_mb // 1024} GB of additional storage for "
                f"{usd(known.usd)} a month; the limit is {usd(limit)}. Choose a smaller tier, or none."
            )


def naming(container: ContainerView, settings: Settings) -> Iterator[Finding]:
    """Report a container whose name in the account does not match the pattern."""
    expression, name = settings["pattern"], container.container_name
    if expression is None:
        yield NotApplicable("pattern is not set")
    elif isinstance(name, Unknown):
        yield _not_known(container, "name", settings)
    elif expression.fullmatch(name or "") is None:
        yield Violation(
            f"container {container.name!r}: its name does not match {expression.pattern!r}. Choose a name that "
            "matches."
        )


def clamp_plan(container: ContainerView, settings: Settings) -> dict[str, Any]:
    """
    Return the plan to set instead of one that is not allowed: `to`, or else the next lower allowed plan. Return nothing
    if that plan is not cheaper, or if the API would refuse it.

    `allowed-plans` checks unknown plans.
    """
    most = catalog.PLANS[settings["to"]].usd
    allowed = [catalog.PLANS[name] for name in settings.names("allowed") if name in catalog.PLANS]
    wanted = max((one for one in allowed if one.usd <= most), key=lambda one: one.usd, default=None)
    plan = container.plan if isinstance(container.plan, str) else None
    present = catalog.PLANS.get(plan or "")
    if wanted is None or present is None or plan in settings.names("allowed") or wanted.usd >= present.usd:
        return {}
    if container.template == catalog.VPN_TEMPLATE or isinstance(container.template, Unknown):
        return {}
    # A micro container cannot have additional storage, so the API would refuse the result.
    if container.tier is not None and catalog.is_micro(container.template or "", wanted.name):
        return {}
    return {"plan": wanted.name}


def known_resources(resource: UnrecognisedView, settings: Settings) -> Iterator[Finding]:
    """Report a resource that has the type, the marker or the inputs of a STACKS resource, but is of an unknown kind."""
    del settings
    yield Violation(
        f"resource {resource.name!r} has the type prefix or the inputs of a STACKS resource, but this version of "
        "stacks-pulumi does not know its kind, so the policies cannot check it, and its price is not known. Upgrade "
        "stacks-pulumi where the program and the policies run. If it is not a STACKS resource, give it a type with a "
        "different prefix, or exempt it in each policy that reports it."
    )


RULES = (
    ResourceRule(
        "allowed-plans",
        "Containers must have one of the allowed plans.",
        "mandatory",
        "high",
        "Choose one of the allowed plans, or add the plan to `allowed`.",
        options=(
            _ALLOWED,
            names_by_tag(
                "by_tag",
                'allowed plans for stacks with a tag, such as {"env=prod": ["standard"]}; replaces allowed',
                catalogue=catalog.PLANS,
            ),
            _WHEN_UNKNOWN,
        ),
        view=ContainerView,
        check=allowed_plans,
    ),
    ResourceRule(
        "allowed-templates",
        "Containers must have one of the allowed templates.",
        "mandatory",
        "medium",
        "Choose a different template, or add it to `allowed`.",
        options=(
            names(
                "allowed", "templates that a container may have; unset: no limit", catalogue=catalog.TEMPLATES
            ),
            names("denied", "templates that no container may have", catalogue=catalog.TEMPLATES),
            _WHEN_UNKNOWN,
        ),
        view=ContainerView,
        check=allowed_templates,
    ),
    ResourceRule(
        "allowed-storage",
        "Additional storage must stay within its price limit.",
        "mandatory",
        "medium",
        "Choose a smaller storage tier, or none.",
        options=(
            money(
                "max_usd",
                "the maximum monthly price of one container's additional storage; unset: no limit",
            ),
            _WHEN_UNKNOWN,
        ),
        view=ContainerView,
        check=allowed_storage,
    ),
    ResourceRule(
        "naming",
        "Container names must match a pattern.",
        "advisory",
        "low",
        "Give the container a name that matches the pattern.",
        options=(
            pattern(
                "pattern",
                "a regular expression that the entire name in the account must match; unset: no limit",
            ),
            _WHEN_UNKNOWN,
        ),
        view=ContainerView,
        check=naming,
    ),
    Remediation(
        "clamp-plan",
        "A plan that is not allowed is replaced with a cheaper, allowed plan.",
        "disabled",
        "medium",
        "Write the cheaper plan into the program.",
        options=(
            _ALLOWED,
            choice("to", "the plan to use instead, if it is cheaper", "basic", "micro", "standard"),
        ),
        view=ContainerView,
        changes=clamp_plan,
    ),
    ResourceRule(
        KNOWN_RESOURCES,
        "Every STACKS resource must be of a kind that the policies know.",
        "mandatory",
        "critical",
        "Upgrade stacks-pulumi where the policies run.",
        view=UnrecognisedView,
        check=known_resources,
    ),
)
"""The rules in this module."""
