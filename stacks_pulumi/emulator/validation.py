"""
Which values are accepted: in a create request (guide, "Create Container"), and from a test or another process.

A request with a wrong value gets the platform's answer. A wrong argument of a control is a `ValueError`: a control
request can contain any JSON, and a value of the wrong type would break a later request, the page, or the state file,
whose types are checked when it is read. The origin of the value would then be hard to find.
"""

from __future__ import annotations

import ipaddress
import math
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from stacks_pulumi import catalog
from stacks_pulumi.emulator.answers import bad_request

__all__ = [
    "CreateRequest",
    "address",
    "count",
    "dollars",
    "flag",
    "name_problem",
    "reject_null",
    "seconds",
    "text",
    "valid_create",
]


@dataclass(frozen=True)
class CreateRequest:
    """A valid create request; `plan` is the plan that applies, after defaults."""

    name: str
    template: str
    plan: str
    storage_tier: int | None
    discount_code: str | None


def valid_create(body: dict[str, Any], *, strict: bool = True) -> CreateRequest:
    """
    Return a create request after a check of each field.

    Args:
        body: The request.
        strict: Also refuse requests that the guide does not exclude, but the platform may refuse.

    Raises:
        Refusal: 400 with the first field that is wrong.
    """
    if strict:
        reject_null(body, "plan", "additional_storage_tier", "discount_code")
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
    return CreateRequest(name, template, plan, tier, discount)


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


def reject_null(body: dict[str, Any], *fields: str) -> None:
    """
    Check that no optional field was sent as null instead of being left out.

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


def count(what: str, value: Any, *, least: int = 1) -> int | None:
    """
    Return a whole number, or `None` for no limit.

    Raises:
        ValueError: The value is neither, or less than `least`.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{what} must be a whole number from {least} on, not {value!r}")
    return value


def dollars(what: str, value: Any) -> Decimal | None:
    """
    Return an amount of US dollars, which may be given as text, or `None` for no limit.

    Raises:
        ValueError: The value is neither.
    """
    if value is None:
        return None
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        amount = Decimal("NaN")
    # In JSON it becomes a float, which has a smaller range than a Decimal.
    if not amount.is_finite() or amount < 0 or math.isinf(float(amount)):
        raise ValueError(f"{what} must be an amount of US dollars from 0 on, not {value!r}")
    return amount


def seconds(what: str, value: Any) -> float:
    """
    Return a duration of at most a day.

    Raises:
        ValueError: The value is more than a day, negative, or not a number.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 86400:
        raise ValueError(f"{what} must be a number of seconds from 0 to 86400, not {value!r}")
    return value


def text(what: str, value: Any) -> str:
    """
    Return a text that is not empty.

    Raises:
        ValueError: The value is not text, or empty.
    """
    if not isinstance(value, str) or not value:
        raise ValueError(f"{what} must be text, not {value!r}")
    return value


def flag(what: str, value: Any) -> bool:
    """
    Return true or false.

    Raises:
        ValueError: The value is neither.
    """
    if not isinstance(value, bool):
        raise ValueError(f"{what} must be true or false, not {value!r}")  # noqa: TRY004  (one type of error for all checks)
    return value


def address(what: str, value: Any) -> str:
    """
    Return an IPv4 or IPv6 address.

    Raises:
        ValueError: The value is not an address, or is a range.
    """
    try:
        # `ipaddress` accepts a number as well, and a zone, which has a meaning on one machine only.
        known = isinstance(value, str) and bool(ipaddress.ip_address(value)) and "%" not in value
    except ValueError:
        known = False
    if not known:
        raise ValueError(f"{what} must be an IPv4 or IPv6 address, not {value!r}")
    return str(value)
