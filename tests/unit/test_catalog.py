"""The catalogue agrees with the guide's tables."""

from __future__ import annotations

from decimal import Decimal

import pytest

from stacks_pulumi import catalog
from tests.support.golden import Golden

MICRO = [
    *("ubuntu-micro", "nginx-micro", "redis-micro", "pocketbase-micro", "rqlite-micro", "storage-micro"),
    *("secrets-micro", "loadbalancer-micro", "forgejo-micro", "picoclaw-micro"),
]
BASIC = [
    *(
        "ubuntu",
        "nodejs",
        "python",
        "postgresql",
        "mongodb",
        "mysql",
        "redis",
        "pocketbase",
        "wordpress",
        "ghost",
    ),
    *("forgejo", "php-apache", "nginx", "minio", "stacks-loadbalancer", "picoclaw"),
]


def test_the_templates_are_those_of_the_guide(golden: Golden) -> None:
    """The file has the guide's columns of ids, names and types."""
    assert catalog.TEMPLATES.keys() == {*MICRO, *BASIC, "stacks-vpn"}
    rows = [f"{one.id} | {one.title} | {one.category.value}" for one in catalog.TEMPLATES.values()]
    golden.text("templates.txt", "\n".join(rows))


@pytest.mark.parametrize(("templates", "plan", "usd"), [(MICRO, "micro", 1), (BASIC, "basic", 4)])
def test_a_template_costs_what_its_tier_costs(templates: list[str], plan: str, usd: int) -> None:
    for template in templates:
        assert catalog.default_plan(template) == plan
        assert catalog.monthly_price(template, None) == usd


@pytest.mark.parametrize(
    ("name", "cpu", "memory_mb", "storage_mb", "usd"),
    [
        ("micro", "0.1", 512, 5 * 1024, 1),
        ("basic", "1", 1024, 10 * 1024, 4),
        ("standard", "1", 2048, 20 * 1024, 5),
        ("premium", "2", 4096, 40 * 1024, 10),
    ],
)
def test_plans(name: str, cpu: str, memory_mb: int, storage_mb: int, usd: int) -> None:
    plan = catalog.PLANS[name]

    assert (Decimal(cpu), memory_mb, storage_mb, Decimal(usd)) == (
        plan.cpu,
        plan.memory_mb,
        plan.storage_mb,
        plan.usd,
    )


def test_a_plan_shows_name_resources_and_price() -> None:
    assert str(catalog.PLANS["micro"]) == "micro (0.1 vCPU, 512 MB RAM, 5 GB, $1/month)"
    assert str(catalog.PLANS["premium"]) == "premium (2 vCPU, 4 GB RAM, 40 GB, $10/month)"


@pytest.mark.parametrize(
    ("tier", "storage_mb", "usd"), [(1, 32 * 1024, 1), (3, 64 * 1024, 3), (5, 128 * 1024, 5)]
)
def test_storage_tiers(tier: int, storage_mb: int, usd: int) -> None:
    assert catalog.STORAGE_TIERS[tier] == catalog.StorageTier(tier, storage_mb, Decimal(usd))
    assert catalog.monthly_price("nodejs", "basic", tier) == 4 + usd


@pytest.mark.parametrize(
    ("template", "plan", "tier"),
    [
        ("nodejs", "giant", None),
        ("nodejs", "basic", 2),
        ("brand-new", None, None),
        ("brand-new", "basic", None),
    ],
)
def test_unknown_values_have_no_price(template: str, plan: str | None, tier: int | None) -> None:
    assert catalog.monthly_price(template, plan, tier) is None


def test_the_vpn_is_a_separate_tier() -> None:
    assert catalog.default_plan("stacks-vpn") is None
    assert catalog.monthly_price("stacks-vpn", None) == 5
    assert catalog.VPN_PLAN.name not in catalog.PLANS


def test_databases_and_micro_containers_are_known_by_the_catalogue() -> None:
    databases = {template for template in catalog.TEMPLATES if catalog.is_database(template)}

    assert databases == {
        *("redis-micro", "pocketbase-micro", "rqlite-micro"),
        *("postgresql", "mongodb", "mysql", "redis", "pocketbase"),
    }
    assert catalog.is_micro("nginx-micro", None)
    assert not catalog.is_micro("nginx-micro", "basic")
    assert catalog.is_micro("nodejs", "micro")
    assert catalog.is_micro("brand-new-micro", None)


@pytest.mark.parametrize(
    ("plan", "storage_mb", "tier"),
    [
        ("basic", 10240, 0),
        ("basic", 10240 + 32 * 1024, 1),
        ("premium", 40960 + 128 * 1024, 5),
        ("basic", 10241, None),
        ("basic", None, None),
        ("huge", 10240, None),
        (None, 10240, None),
    ],
)
def test_the_tier_is_what_makes_up_the_storage(
    plan: str | None, storage_mb: int | None, tier: int | None
) -> None:
    assert catalog.added_tier(catalog.PLANS.get(plan or ""), storage_mb) == tier
