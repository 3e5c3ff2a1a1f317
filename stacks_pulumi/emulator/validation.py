"""Checks of a create request (guide, "Create Container")."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stacks_pulumi import catalog
from stacks_pulumi.emulator.refusals import bad_request

__all__ = ["Wanted", "name_problem", "refuse_null", "validated"]


@dataclass(frozen=True)
class Wanted:
    """A valid create request; `plan` is the plan that applies, after defaults."""

    name: str
    template: str
    plan: str
    storage_tier: int | None
    discount_code: str | None


def validated(body: dict[str, Any], *, strict: bool = True) -> Wanted:
    """
    Validate a create request field by field.

    Args:
        body: The request.
        strict: Also refuse requests that the guide does not exclude, but the platform may refuse.

    Raises:
        Refusal: 400 with the first field that is wrong.
    """
    if strict:
        refuse_null(body, "plan", "additional_storage_tier", "discount_code")
    name, template = body.get("name"), body.get("template")
    plan, tier, discount = body.get("plan"), body.get("additional_storage_tier"), body.get("discount_code")
    problem = name_problem(name)
    if problem is not None or not isinstance(name, str):
        raise bad_request(problem or "Container name must be text", "name")
    if template is None or template == "":
        raise bad_request("Container template is required", "template")
    if not isinstance(template, str) or template not in catalog.TEMPLATES:
        raise bad_request("Unknown container template", "template")
    if plan is not None and (not isinstance(plan, str) or plan not in catalog.PLANS):
        raise bad_request(f"Plan must be one of: {', '.join(catalog.PLANS)}", "plan")
    if discount is not None and not isinstance(discount, str):
        raise bad_request("Discount code must be text", "discount_code")
    if strict:
        _check_plan(plan, template)
    # The guide's default applies to a micro template too, which then costs as much as a basic plan.
    # assumed: stacks-vpn is a separate tier; if a plan is accepted for it (not strict), it has no effect.
    plan = catalog.VPN_PLAN.name if template == catalog.VPN_TEMPLATE else plan or catalog.DEFAULT_PLAN
    if tier is not None:
        _check_tier(tier, template, plan, strict=strict)
    return Wanted(name, template, plan, tier, discount)


def refuse_null(body: dict[str, Any], *fields: str) -> None:
    """
    Refuse an optional field that was sent as null instead of being left out.

    Raises:
        Refusal: 400 with the field.
    """
    for field in fields:
        if field in body and body[field] is None:
            # assumed: refused; if it is accepted (not strict), it has the same effect as leaving it out.
            raise bad_request(f"The field {field} must not be null", field)


def _check_plan(plan: str | None, template: str) -> None:
    # The guide states a default, so sending it is the same as leaving the plan out, for every template.
    if plan in {None, catalog.DEFAULT_PLAN}:
        return
    tier = catalog.TEMPLATES[template].plan
    # assumed: a template accepts only the plans of its tier. The guide only lists templates by tier.
    if tier is None:
        raise bad_request(f"The template {template} has its own plan; leave plan out", "plan")
    if (tier.name == "micro") != (plan == "micro"):
        raise bad_request(f"The plan {plan} is not available for the template {template}", "plan")


def _check_tier(tier: Any, template: str, plan: str, *, strict: bool) -> None:
    field = "additional_storage_tier"
    if isinstance(tier, bool) or not isinstance(tier, int) or tier not in catalog.STORAGE_TIERS:
        tiers = ", ".join(map(str, catalog.STORAGE_TIERS))
        raise bad_request(f"Additional storage tier must be one of: {tiers}", field)
    if catalog.is_micro(template, plan) or template.endswith("-micro"):
        raise bad_request("Additional storage is not available for micro containers", field)
    if strict and template == catalog.VPN_TEMPLATE:
        # assumed: a separate tier takes no additional storage.
        raise bad_request("Additional storage is not available for VPN containers", field)
    if catalog.is_database(template):
        raise bad_request("Additional storage is not available for database containers", field)


def name_problem(name: Any) -> str | None:
    """Return the problem with a container's name, or `None` (guide, "Create Container")."""
    if name is None or name == "":
        return "Container name is required"
    if not isinstance(name, str):
        return "Container name must be text"
    texts: dict[catalog.NameFault, str] = {
        "too short": "must be at least 3 characters",
        "too long": "must be no more than 32 characters",
        "characters": "may contain only letters, numbers, and hyphens",
        "ends": "must start and end with a letter or number",
        "hyphens": "must not contain consecutive hyphens",
    }
    return next((f"Container name {texts[fault]}" for fault in catalog.name_faults(name)), None)
