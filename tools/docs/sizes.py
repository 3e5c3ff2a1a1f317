"""The catalogue as tables: plans, storage and templates, with their prices."""

from __future__ import annotations

from stacks_pulumi import catalog
from tools.docs.marks import table

__all__ = ["plans", "storage", "templates"]

_GB = 1024


def plans() -> str:
    """Return a row for every plan, and for the VPN tier, which is not a plan."""
    return table(
        ("Plan", "CPU", "Memory", "Storage", "Price a month"),
        [
            (
                f"`{plan.name}`" if plan.name in catalog.PLANS else f"(`{catalog.VPN_TEMPLATE}`)",
                f"{plan.cpu} vCPU",
                f"{plan.memory_mb} MB",
                f"{plan.storage_mb // _GB} GB",
                f"${plan.usd}",
            )
            for plan in (*catalog.PLANS.values(), catalog.VPN_PLAN)
        ],
    )


def storage() -> str:
    """Return a row for every additional storage tier."""
    return table(
        ("Tier", "Size", "Price a month"),
        [
            (f"`{it.tier}`", f"{it.storage_mb // _GB} GB", f"${it.usd}")
            for it in catalog.STORAGE_TIERS.values()
        ],
    )


def templates() -> str:
    """Return a row for every template, with its default plan."""
    rows = []
    for template in catalog.TEMPLATES.values():
        plan = catalog.default_plan(template.id)
        price = catalog.monthly_price(template.id, plan)
        rows.append(
            (f"`{template.id}`", template.description, "none" if plan is None else f"`{plan}`", f"${price}")
        )
    return table(("Template", "Meaning", "Default plan", "Price a month"), rows)
