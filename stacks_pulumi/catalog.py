"""
Plans, templates, storage tiers and prices, in one place.

`check`, the policies, the cost report and the emulator all use this module, so a new price changes only one line. The
figures are those of the API guide ("Available Templates", "Container Plans", "Additional Storage").

The platform may add names between two releases of this package. So a name that is not in the catalogue is *unknown*,
but not invalid. Its price is `None`, which does not mean free.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal, TypeAlias


class Category(enum.Enum):
    """The purpose of a template, as in the guide's column "Type"."""

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
        name: The value of the field `plan` in a create request.
        cpu: Virtual CPUs.
        memory_mb: Memory in MB.
        storage_mb: Storage in MB, before an additional tier.
        usd: Price for a full month in US dollars. Billing is by the minute, up to this amount.
    """

    name: str
    cpu: Decimal
    memory_mb: int
    storage_mb: int
    usd: Decimal

    def __str__(self) -> str:
        """Return the name, the resources and the price together, so that a reader does not confuse two plans."""
        memory = f"{self.memory_mb} MB" if self.memory_mb < _GB else f"{self.memory_mb // _GB} GB"
        return f"{self.name} ({self.cpu} vCPU, {memory} RAM, {self.storage_mb // _GB} GB, ${self.usd}/month)"


@dataclass(frozen=True)
class Template:
    """
    A kind of container.

    Attributes:
        id: The value of the field `template` in a create request.
        title: The human-readable name.
        category: What the template is for.
        plan: The plan under which the guide lists it; `None` if the template has a separate price tier.
        description: One line.
        compute: Whether users can log in by SSH; `None` if the guide does not state it.
        port: The port of the service, if it is well known.
    """

    id: str
    title: str
    category: Category
    plan: Plan | None
    description: str
    compute: bool | None = False
    port: int | None = None

    @property
    def data(self) -> str:
        """
        A description of the data that exists only in the container and is lost with it; empty if there is no such data.
        """
        return _DATA.get(self.id, "")


@dataclass(frozen=True)
class StorageTier:
    """
    Storage in addition to that of the plan; not available for micro containers and databases.

    Attributes:
        tier: The value of the field `additional_storage_tier` in a create request.
        storage_mb: Size in MB.
        usd: Price of a full month in US dollars.
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
"""Every plan that a create request may contain, cheapest first."""

DEFAULT_PLAN: Final = _BASIC.name
"""The API's default for a create request without a plan."""

STORAGE_TIERS: Final[dict[int, StorageTier]] = {
    tier.tier: tier
    for tier in (
        StorageTier(1, 32 * _GB, Decimal(1)),
        StorageTier(3, 64 * _GB, Decimal(3)),
        StorageTier(5, 128 * _GB, Decimal(5)),
    )
}
"""Every additional storage tier. The number of a tier is equal to its price."""

_DATA: Final = {
    **dict.fromkeys(("postgresql", "mysql", "rqlite-micro"), "its tables"),
    "mongodb": "its documents",
    **dict.fromkeys(("redis", "redis-micro"), "its keys and values"),
    **dict.fromkeys(("pocketbase", "pocketbase-micro"), "its records and files"),
    **dict.fromkeys(("minio", "storage-micro"), "its objects"),
    "secrets-micro": "its secrets",
    **dict.fromkeys(("forgejo", "forgejo-micro"), "its repositories and issues"),
    **dict.fromkeys(("wordpress", "ghost"), "its posts and uploads"),
    **dict.fromkeys(("picoclaw", "picoclaw-micro"), "what the agent remembers"),
}
"""Template -> the data that its containers store. Containers from other templates contain only deployed code."""

VPN_TEMPLATE: Final = "stacks-vpn"
"""The template whose containers have VPN clients."""

VPN_PLAN: Final = Plan("vpn", Decimal(1), 2 * _GB, 20 * _GB, Decimal(5))
"""The VPN tier, which is the size and price of a `stacks-vpn` container. It is not a valid plan in a create request."""


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
        # The guide lists it neither as "compute" nor as "managed service", so we do not refuse a certificate for it.
        Template("php-apache", "PHP + Apache", application, _BASIC, "PHP 8.5, Apache", compute=None, port=80),
        Template("nginx", "Nginx", web, _BASIC, "Web server", port=80),
        Template("minio", "MinIO", storage, _BASIC, "S3-compatible objects", port=9000),
        Template("stacks-loadbalancer", "STACKS LoadBalancer", infrastructure, _BASIC, "Spreads traffic"),
        Template("picoclaw", "PicoClaw Agent", agent, _BASIC, "AI agent with memory and skills"),
        Template(VPN_TEMPLATE, "STACKS VPN", Category.VPN, None, "Private access to your network"),
    )


TEMPLATES: Final[dict[str, Template]] = {template.id: template for template in _templates()}
"""Every template that the guide lists, by id."""


NameFault: TypeAlias = Literal["too short", "too long", "characters", "ends", "hyphens"]
LONGEST_NAME: Final = 32
"""The maximum length of a container's name (guide, "Create Container")."""
_SHORTEST_NAME: Final = 3


def name_faults(name: str) -> tuple[NameFault, ...]:
    """
    Return what is wrong with a container's name (guide, "Create Container"); empty if the name is valid.

    A valid name has 3 to 32 letters, digits and hyphens, a letter or digit at both ends, and no two hyphens in a row.
    """
    rules: tuple[tuple[NameFault, bool], ...] = (
        ("too short", len(name) < _SHORTEST_NAME),
        ("too long", len(name) > LONGEST_NAME),
        ("characters", re.fullmatch(r"[A-Za-z0-9-]+", name) is None),
        ("ends", name.startswith("-") or name.endswith("-")),
        ("hyphens", "--" in name),
    )
    return tuple(fault for fault, broken in rules if broken)


def is_micro(template: str, plan: str | None) -> bool:
    """
    Return whether a container with this template and plan is a micro container, which cannot have additional storage.
    """
    known = TEMPLATES.get(template)
    by_template = template.endswith("-micro") if known is None else known.plan is _MICRO
    return plan == _MICRO.name if plan is not None else by_template


def of_other_tier(template: str, plan: str) -> bool:
    """
    Return whether a plan belongs to a different tier than the template. The API's default plan is valid for every
    template.
    """
    known = TEMPLATES.get(template)
    if known is None or known.plan is None or plan not in PLANS or plan == DEFAULT_PLAN:
        return False
    return (known.plan is _MICRO) != (plan == _MICRO.name)


def is_database(template: str) -> bool:
    """Return whether a template is a database; false for a template that is not in the catalogue."""
    known = TEMPLATES.get(template)
    return known is not None and known.category is Category.DATABASE


def is_site(template: str) -> bool:
    """
    Return whether a template is an application that people use over HTTP; false for a template that is not in the
    catalogue.
    """
    known = TEMPLATES.get(template)
    return known is not None and known.category is Category.APPLICATION


def default_plan(template: str) -> str | None:
    """
    Return the plan of a container for which the program sets no plan.

    The API's own default is `basic`, even for a `-micro` template, which would then cost four times its price in the
    guide. So the plan is always sent, except for `stacks-vpn`, which has a separate price tier.
    """
    if template == VPN_TEMPLATE:
        return None
    return _MICRO.name if is_micro(template, None) else DEFAULT_PLAN


def monthly_price(
    template: str, plan: str | None, additional_storage_tier: int | None = None
) -> Decimal | None:
    """
    Return the price of a container for a full month.

    Args:
        template: Template id.
        plan: Plan name; `None` means the template's default.
        additional_storage_tier: Tier number; `None` for none.

    Returns:
        US dollars, before any discount code. `None` if the catalogue does not know the template, the plan or the tier.
    """
    if template == VPN_TEMPLATE:
        size: Plan | None = VPN_PLAN
    elif template not in TEMPLATES:
        # The template may have a separate price tier, like `stacks-vpn`; then the plan does not matter.
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
    Return the additional storage tier of a container, derived from its total storage.

    Args:
        size: Its plan; `None` if it is not known.
        storage_mb: Its total storage in MB, as the API reports it.

    Returns:
        The tier's number. 0 if the container has only the storage of its plan; `None` if the tier cannot be derived.
    """
    if size is None or storage_mb is None:
        return None
    tiers = {0: 0, **{tier.storage_mb: tier.tier for tier in STORAGE_TIERS.values()}}
    return tiers.get(storage_mb - size.storage_mb)
