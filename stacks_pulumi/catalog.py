"""
Plans, templates, storage tiers and prices: the one place that states them.

`check`, the policies, the cost report and the emulator all read them here, so a price changes in one line.
The figures are those of the API guide ("Available Templates", "Container Plans", "Additional Storage").

The platform grows faster than a release of this package: a name that is not in the catalogue is *unknown*,
not wrong. Its price is `None`, which is never the same as free.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

__all__ = [
    "DEFAULT_PLAN",
    "PLANS",
    "STORAGE_TIERS",
    "TEMPLATES",
    "VPN_TEMPLATE",
    "Category",
    "Plan",
    "StorageTier",
    "Template",
    "added_tier",
    "default_plan",
    "is_database",
    "is_micro",
    "monthly_price",
]


class Category(enum.Enum):
    """What a template is for: the guide's column "Type"."""

    SYSTEM = "System"
    RUNTIME = "Runtime"
    DATABASE = "Database"
    APPLICATION = "Application"
    WEB_SERVER = "Web Server"
    STORAGE = "Storage"
    INFRASTRUCTURE = "Infrastructure"
    AGENT = "Agent"
    VPN = "VPN"


@dataclass(frozen=True)
class Plan:
    """
    A size and its price.

    Attributes:
        name: What goes into the `plan` field of a create request.
        cpu: Virtual CPUs.
        memory_mb: Memory in MB.
        storage_mb: Storage in MB, before an additional tier.
        usd: Price of a whole month in US dollars. Billing is by the minute and stops at this sum.
    """

    name: str
    cpu: Decimal
    memory_mb: int
    storage_mb: int
    usd: Decimal

    def __str__(self) -> str:
        """Name, resources and price together, so that nobody mistakes one size for another."""
        memory = f"{self.memory_mb} MB" if self.memory_mb < _GB else f"{self.memory_mb // _GB} GB"
        return f"{self.name} ({self.cpu} vCPU, {memory} RAM, {self.storage_mb // _GB} GB, ${self.usd}/month)"


@dataclass(frozen=True)
class Template:
    """
    A kind of container.

    Attributes:
        id: What goes into the `template` field of a create request.
        title: The name that people read.
        category: What it is for.
        plan: The plan that the guide lists it under; `None` for a tier of its own.
        description: One line.
        compute: Whether people log in by SSH. `None` where the guide does not say.
        port: The port of the service, where it is a well-known one.
    """

    id: str
    title: str
    category: Category
    plan: Plan | None
    description: str
    compute: bool | None = False
    port: int | None = None


@dataclass(frozen=True)
class StorageTier:
    """
    Storage beside what the plan holds; for containers that are neither micro nor a database.

    Attributes:
        tier: What goes into the `additional_storage_tier` field of a create request.
        storage_mb: Size in MB.
        usd: Price of a whole month in US dollars.
    """

    tier: int
    storage_mb: int
    usd: Decimal


_GB: Final = 1024

_MICRO = Plan("micro", Decimal("0.1"), 512, 5 * _GB, Decimal(1))
_BASIC = Plan("basic", Decimal(1), 1 * _GB, 10 * _GB, Decimal(4))
_STANDARD = Plan("standard", Decimal(1), 2 * _GB, 20 * _GB, Decimal(5))
_PREMIUM = Plan("premium", Decimal(2), 4 * _GB, 40 * _GB, Decimal(10))

PLANS: Final[dict[str, Plan]] = {plan.name: plan for plan in (_MICRO, _BASIC, _STANDARD, _PREMIUM)}
"""Every plan that a create request may name, cheapest first."""

DEFAULT_PLAN: Final = _BASIC.name
"""What the API takes when a create request names no plan."""

STORAGE_TIERS: Final[dict[int, StorageTier]] = {
    tier.tier: tier
    for tier in (
        StorageTier(1, 32 * _GB, Decimal(1)),
        StorageTier(3, 64 * _GB, Decimal(3)),
        StorageTier(5, 128 * _GB, Decimal(5)),
    )
}
"""Every additional storage tier; the tier's number happens to be its price."""

VPN_TEMPLATE: Final = "stacks-vpn"
"""The template whose containers hold VPN clients."""

VPN_PLAN: Final = Plan("vpn", Decimal(1), 2 * _GB, 20 * _GB, Decimal(5))
"""The VPN tier: what a `stacks-vpn` container has and costs. A create request cannot name it."""


def _templates() -> tuple[Template, ...]:
    system, runtime, database = Category.SYSTEM, Category.RUNTIME, Category.DATABASE
    application, web, storage = Category.APPLICATION, Category.WEB_SERVER, Category.STORAGE
    infrastructure, agent = Category.INFRASTRUCTURE, Category.AGENT
    return (
        Template("ubuntu-micro", "Ubuntu Micro", system, _MICRO, "A small Ubuntu 24.04", compute=True),
        Template("nginx-micro", "Nginx Micro", web, _MICRO, "A small web server for static sites", port=80),
        Template("redis-micro", "Redis Micro", database, _MICRO, "Redis 8.4 cache", port=6379),
        Template("pocketbase-micro", "PocketBase Micro", database, _MICRO, "PocketBase 0.37", port=8090),
        Template("rqlite-micro", "RQLite Micro SQL", database, _MICRO, "SQLite over HTTP", port=4001),
        Template("storage-micro", "MinIO Micro", storage, _MICRO, "S3-compatible objects", port=9000),
        Template("secrets-micro", "STACKS Secrets", infrastructure, _MICRO, "Encrypted secrets"),
        Template("loadbalancer-micro", "Load Balancer Micro", infrastructure, _MICRO, "For 2 or 3 backends"),
        Template("forgejo-micro", "Forgejo Micro", application, _MICRO, "Git server", port=3000),
        Template("picoclaw-micro", "PicoClaw Agent Micro", agent, _MICRO, "AI agent with memory"),
        Template("ubuntu", "Ubuntu", system, _BASIC, "Ubuntu 24.04 LTS with SSH", compute=True),
        Template("nodejs", "Node.js", runtime, _BASIC, "Node.js 22 LTS with PM2", compute=True),
        Template("python", "Python", runtime, _BASIC, "Python 3.14 with Flask and SSH", compute=True),
        Template("postgresql", "PostgreSQL", database, _BASIC, "PostgreSQL 18", port=5432),
        Template("mongodb", "MongoDB", database, _BASIC, "MongoDB 7.0", port=27017),
        Template("mysql", "MySQL", database, _BASIC, "MySQL 8.4", port=3306),
        Template("redis", "Redis", database, _BASIC, "Redis 8.4 in-memory store", port=6379),
        Template("pocketbase", "PocketBase", database, _BASIC, "Realtime backend", port=8090),
        Template("wordpress", "WordPress", application, _BASIC, "WordPress 6.9, PHP 8.3", port=80),
        Template("ghost", "Ghost", application, _BASIC, "Publishing and blogs", port=2368),
        Template("forgejo", "Forgejo", application, _BASIC, "Git server with issues and CI", port=3000),
        # Neither "compute" nor "managed service" is said of it: nobody is refused a certificate for it here.
        Template("php-apache", "PHP + Apache", application, _BASIC, "PHP 8.5, Apache", compute=None, port=80),
        Template("nginx", "Nginx", web, _BASIC, "Web server", port=80),
        Template("minio", "MinIO", storage, _BASIC, "S3-compatible objects", port=9000),
        Template("stacks-loadbalancer", "STACKS LoadBalancer", infrastructure, _BASIC, "Spreads traffic"),
        Template("picoclaw", "PicoClaw Agent", agent, _BASIC, "AI agent with memory and skills"),
        Template(VPN_TEMPLATE, "STACKS VPN", Category.VPN, None, "Private access to your network"),
    )


TEMPLATES: Final[dict[str, Template]] = {template.id: template for template in _templates()}
"""Every template that the guide lists, by id."""


def is_micro(template: str, plan: str | None) -> bool:
    """Whether a container of this template and plan is a micro one (which takes no additional storage)."""
    known = TEMPLATES.get(template)
    by_template = template.endswith("-micro") if known is None else known.plan is _MICRO
    return plan == _MICRO.name if plan is not None else by_template


def is_database(template: str) -> bool:
    """Whether a template holds a database. False for a template that the catalogue does not know."""
    known = TEMPLATES.get(template)
    return known is not None and known.category is Category.DATABASE


def default_plan(template: str) -> str | None:
    """
    The plan that a container gets when its program names none.

    The API's own default is `basic`, also for a `-micro` template, which would cost four times what the guide
    lists it at. So the plan is always sent, except for `stacks-vpn`, which is a tier of its own.
    """
    if template == VPN_TEMPLATE:
        return None
    return _MICRO.name if is_micro(template, None) else DEFAULT_PLAN


def monthly_price(
    template: str, plan: str | None, additional_storage_tier: int | None = None
) -> Decimal | None:
    """
    What a container costs for a whole month.

    Args:
        template: Template id.
        plan: Plan name; `None` takes the template's default.
        additional_storage_tier: Tier number; `None` for none.

    Returns:
        US dollars, before any discount code. `None` if the catalogue does not know the template, the plan or the tier.
    """
    if template == VPN_TEMPLATE:
        size: Plan | None = VPN_PLAN
    elif template not in TEMPLATES:
        # It may be a tier of its own, as `stacks-vpn` is, whatever plan it was given.
        size = None
    else:
        size = PLANS.get(plan or default_plan(template) or DEFAULT_PLAN)
    if size is None:
        return None
    if additional_storage_tier is None:
        return size.usd
    tier = STORAGE_TIERS.get(additional_storage_tier)
    return None if tier is None else size.usd + tier.usd


def added_tier(size: Plan | None, storage_mb: int | None) -> int | None:
    """
    The additional tier that makes up a container's storage beside its plan's.

    Args:
        size: Its plan; `None` if it is not known.
        storage_mb: All of its storage in MB, as the API tells it.

    Returns:
        The tier's number, 0 if there is nothing beside the plan's, and `None` if that cannot be said.
    """
    if size is None or storage_mb is None:
        return None
    tiers = {0: 0, **{tier.storage_mb: tier.tier for tier in STORAGE_TIERS.values()}}
    return tiers.get(storage_mb - size.storage_mb)
