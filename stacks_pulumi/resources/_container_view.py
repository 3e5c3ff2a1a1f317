"""A container as properties in the state, and its differences from what a program asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from stacks_pulumi import catalog
from stacks_pulumi.api import models
from stacks_pulumi.resources._changed_outside import changed_outside, found_changed
from stacks_pulumi.resources._identity import IDENTITY_CONFLICT

__all__ = [
    "ANSWERED",
    "STATUS_ERROR",
    "STATUS_RUNNING",
    "STATUS_STOPPED",
    "differences_to",
    "observed",
    "outputs",
]

STATUS_RUNNING: Final = "running"
STATUS_STOPPED: Final = "stopped"
STATUS_ERROR: Final = "error"

ANSWERED: Final = (
    "status",
    "internal_host",
    "ip_address",
    "cpu",
    "memory_mb",
    "storage_mb",
    "port",
    "ssh_user",
    "ssh_host",
    "ssh_port",
    "has_ssh_access",
    "has_web_ui",
    "vpc_network",
    "version",
    "version_major",
    "image_tag",
    "created_at",
)
"""Outputs with the same name as the model's attribute. The uptime is not one: it would change in every read."""


def outputs(
    container: models.Container,
    olds: Mapping[str, Any],
    inputs: Mapping[str, Any],
    access: models.ExternalAccess | None,
) -> dict[str, Any]:
    """
    Return all outputs of a container.

    Args:
        container: The container as the API returns it now.
        olds: The previous outputs, for the values that only the create response has (the SSH login).
        inputs: The inputs, which are outputs as well.
        access: Its external access, if that was read.
    """
    answered = {name: getattr(container, name) for name in ANSWERED}
    if inputs.get(IDENTITY_CONFLICT) is not None:
        # Until the user decides who owns the container, the state keeps the identity of the earlier one.
        answered["created_at"] = None
    outs = {name: olds.get(name) if value is None else value for name, value in answered.items()}
    outs.update(inputs)
    if access is not None and access.enabled:
        outs.update(url=access.url, subdomain=access.subdomain)
    return {name: value for name, value in outs.items() if value is not None}


def observed(
    container: models.Container, olds: Mapping[str, Any], access: models.ExternalAccess | None
) -> dict[str, Any]:
    """
    Return the inputs with the API's values, if the API returns them; a difference from the program is drift.

    Args:
        container: The container as the API returns it now.
        olds: The previous outputs; empty for a look-up.
        access: Its external access, if this program manages that.
    """
    not_inputs = {*ANSWERED, "url", "subdomain", IDENTITY_CONFLICT}
    inputs = {name: value for name, value in olds.items() if name not in not_inputs}
    inputs["name"] = _as_spelt(inputs.get("name"), container.name)
    template = inputs["template"] = inputs.get("template") or container.template or ""
    if template != catalog.VPN_TEMPLATE:
        inputs["plan"] = container.plan or inputs.get("plan")
        added = catalog.added_tier(catalog.PLANS.get(inputs["plan"]), container.storage_mb)
        # A missing tier does not mean no tier: the guide leaves open whether `storage` includes it.
        inputs["additional_storage_tier"] = added or inputs.get("additional_storage_tier")
    watched = ("name", "plan", "additional_storage_tier")
    differing = [name for name in watched if inputs.get(name) != olds.get(name)]
    if differing and olds.get("name"):
        inputs.update(found_changed([*changed_outside(olds), *differing]))
    tier = inputs.get("additional_storage_tier")
    price = catalog.monthly_price(template, inputs.get("plan"), None if tier is None else int(tier))
    inputs["monthly_price_usd"] = None if price is None else float(price)
    if inputs.get("desired_status") is not None and container.settled:
        # A temporary status (pending, restarting) is not drift; only a lasting one is.
        inputs["desired_status"] = container.status
    if access is not None:
        inputs["external_access"] = access.enabled
    return inputs


def _as_spelt(stored: str | None, told: str | None) -> str | None:
    """Return the API's name; in the program's spelling if the two differ only in case."""
    if stored is not None and told is not None and stored.lower() == told.lower():
        return stored
    return told or stored


def differences_to(inputs: Mapping[str, Any], found: models.Container) -> list[str]:
    """Return the differences that prevent an adoption; only inputs that the program sets are compared."""
    differences = []
    template, plan, tier = inputs["template"], inputs.get("plan"), inputs.get("additional_storage_tier")
    if not found.made_from(template):
        differences.append(f"its template is {found.template!r}, not {template!r}")
    if plan is not None and found.plan is not None and found.plan != plan:
        differences.append(f"its plan is {found.plan!r}, not {plan!r}")
    if tier is not None and plan in catalog.PLANS and found.storage_mb is not None:
        wanted = catalog.PLANS[plan].storage_mb + catalog.STORAGE_TIERS[tier].storage_mb
        if found.storage_mb != wanted:
            differences.append(f"it has {found.storage_mb} MB of storage, not {wanted} MB")
    return differences
