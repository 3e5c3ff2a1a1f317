"""What a create request may say (guide, "Create Container")."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from stacks_pulumi import catalog
from stacks_pulumi.emulator.refusals import bad_request

__all__ = ["Wanted", "name_problem", "validated"]


@dataclass(frozen=True)
class Wanted:
    """A create request that fits the guide; `plan` is what it comes down to."""

    name: str
    template: str
    plan: str
    storage_tier: int | None
    discount_code: str | None


def validated(body: dict[str, Any]) -> Wanted:
    """
    The request, field by field.

    Raises:
        Refusal: 400 with the first field that is wrong.
    """
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
    # The default is what the guide says, also for a micro template, which then costs a basic plan.
    # assumed: stacks-vpn is a tier of its own, whatever plan is asked for.
    plan = catalog.VPN_PLAN.name if template == catalog.VPN_TEMPLATE else plan or catalog.DEFAULT_PLAN
    if tier is not None:
        _check_tier(tier, template, plan)
    return Wanted(name, template, plan, tier, discount)


def _check_tier(tier: Any, template: str, plan: str) -> None:
    field = "additional_storage_tier"
    if isinstance(tier, bool) or not isinstance(tier, int) or tier not in catalog.STORAGE_TIERS:
        tiers = ", ".join(map(str, catalog.STORAGE_TIERS))
        raise bad_request(f"Additional storage tier must be one of: {tiers}", field)
    if catalog.is_micro(template, plan) or template.endswith("-micro"):
        raise bad_request("Additional storage is not available for micro containers", field)
    if catalog.is_database(template):
        raise bad_request("Additional storage is not available for database containers", field)


def name_problem(name: Any) -> str | None:
    """What is wrong with a container's name, or `None` (guide, "Create Container")."""
    if name is None or name == "":
        return "Container name is required"
    if not isinstance(name, str):
        return "Container name must be text"
    if len(name) < 3:
        return "Container name must be at least 3 characters"
    if len(name) > 32:
        return "Container name must be no more than 32 characters"
    if not re.fullmatch(r"[A-Za-z0-9-]+", name):
        return "Container name may contain only letters, numbers, and hyphens"
    if name.startswith("-") or name.endswith("-"):
        return "Container name must start and end with a letter or number"
    if "--" in name:
        return "Container name must not contain consecutive hyphens"
    return None
