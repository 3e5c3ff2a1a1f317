"""The rows of the matrix: for each policy, resources that pass, that violate it, and that have unknown values."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Literal

from stacks_pulumi.policy import UNKNOWN
from stacks_pulumi.policy.testing import Resource, allowed_ip, container, pinned_backup, resource, vpn_client
from stacks_pulumi.pricing.money import price

SOON = str(datetime.datetime.now(datetime.timezone.utc).date() + datetime.timedelta(60))
"""A day on which an exemption may end."""

Unknown = Literal["deferred", "violates"]


@dataclass(frozen=True)
class Case:
    """
    A policy and its expected results.

    Attributes:
        policy: Its name.
        config: Its configuration.
        passes: Resources that pass.
        violates: Resources; the one named in `culprit` violates it.
        culprit: The resource whose exemption makes the policy pass.
        says: A part of the message.
        unknown: Resources with unknown values in the preview.
        then: The policy's result for these resources in the preview.
        misspelt: A configuration that the policy must refuse.
        stack: Whether it judges the complete stack, in an update after all creates.
    """

    policy: str
    config: Mapping[str, Any]
    passes: tuple[Resource, ...]
    violates: tuple[Resource, ...]
    culprit: str
    says: tuple[str, ...]
    unknown: tuple[Resource, ...]
    then: Unknown
    misspelt: Mapping[str, Any]
    stack: bool = False


def account(_timeout_s: float) -> list[Any]:
    """Create an account with a container of $4 that is not in the stack."""
    return [SimpleNamespace(id="usr-1-elsewhere", name="elsewhere", price=price("nodejs", "basic", None))]


PREMIUM = container("big", plan="premium")
SMALL = container("small", plan="micro")

CASES = (
    Case(
        "allowed-plans",
        {"allowed": ["micro", "basic"]},
        (SMALL, container("vpn", "stacks-vpn")),
        (SMALL, PREMIUM),
        "big",
        ("container 'big'", "$10/month", "allowed: micro, basic", "Choose one of them"),
        (container("big", plan=UNKNOWN),),
        "deferred",
        {"alowed": ["micro"]},
    ),
    Case(
        "allowed-templates",
        {"denied": ["wordpress"]},
        (SMALL,),
        (SMALL, container("blog", "wordpress")),
        "blog",
        ("container 'blog'", "template wordpress", "denied: wordpress", "Choose a different"),
        (container("blog", UNKNOWN, plan="basic"),),
        "deferred",
        {"denied": "wordpress"},
    ),
    Case(
        "allowed-storage",
        {"max_usd": 1},
        (SMALL, container("some", additional_storage_tier=1)),
        (SMALL, container("much", additional_storage_tier=3)),
        "much",
        ("container 'much'", "64 GB", "$3.00 a month", "limit is $1.00", "smaller tier"),
        (container("much", additional_storage_tier=UNKNOWN),),
        "deferred",
        {"max_usd": "much"},
    ),
    Case(
        "naming",
        {"pattern": "[a-z]+-(dev|prod)"},
        (container("x", name="shop-dev"),),
        (container("shop"),),
        "shop",
        ("container 'shop'", "does not match '[a-z]+-(dev|prod)'"),
        (container("x", name=UNKNOWN),),
        "deferred",
        {"pattern": "[a-z"},
    ),
    Case(
        "resource-price-cap",
        {"max_usd": 9.99},
        (SMALL,),
        (SMALL, PREMIUM),
        "big",
        (
            "container 'big' (nodejs, premium) costs $10.00 a month",
            "limit for one container is $9.99",
            "smaller plan",
        ),
        (container("big", plan=UNKNOWN),),
        "violates",
        {"max_usd": -1},
    ),
    Case(
        "monthly-budget",
        {"max_monthly_usd": 10.5},
        (SMALL, container("two", plan="standard")),
        (SMALL, PREMIUM),
        "big",
        (
            "costs $11.00 a month",
            "limit is $10.50",
            "'big' $10.00 (nodejs, premium)",
            "'small' $1.00",
            "smaller plans",
        ),
        (SMALL, container("big", plan=UNKNOWN)),
        "violates",
        {"max_montly_usd": 10},
        stack=True,
    ),
    Case(
        "budget-warning",
        {"max_monthly_usd": 11, "pct": 90},
        (SMALL,),
        (SMALL, PREMIUM),
        "big",
        ("costs $11.00 a month, 100 % of its limit of $11.00", "begins at 90 %"),
        (SMALL, container("big", plan=UNKNOWN)),
        "violates",
        {"pct": 101},
        stack=True,
    ),
    Case(
        "spend-gate",
        {"max_monthly_usd": 10.5},
        (SMALL, container("two", plan="standard")),
        (SMALL, PREMIUM),
        "big",
        (
            "container 'big' (nodejs, premium) costs $10.00 a month",
            "$1.00 declared before it",
            "limit of $10.50",
        ),
        (SMALL, container("big", plan=UNKNOWN)),
        "deferred",
        {"max_monthly_usd": True},
    ),
    Case(
        "max-resources",
        {"containers": 1, "vpn_clients": 0},
        (SMALL,),
        (SMALL, PREMIUM),
        "big",
        ("has 2 containers", "the limit is 1"),
        (container("one", plan=UNKNOWN), container("two", UNKNOWN), vpn_client("laptop")),
        "violates",
        {"containers": 1.5},
        stack=True,
    ),
    Case(
        "open-allowed-ip",
        {"min_prefix": 24},
        (allowed_ip("office", "198.51.100.0/24"), allowed_ip("home", "2001:db8:1::/48")),
        (allowed_ip("office", "198.51.100.7"), allowed_ip("all", "0.0.0.0/0")),
        "all",
        ("'all' allows the whole internet", "/24", "VpnClient"),
        (allowed_ip("all", UNKNOWN),),
        "deferred",
        {"min_prefix": 33},
    ),
    Case(
        "protect-paid",
        {"min_usd": 5},
        (SMALL, container("big", plan="premium", protect=True)),
        (SMALL, PREMIUM),
        "big",
        ("container 'big'", "$10.00 a month", "costs $5.00 or more", "protect=True"),
        (container("big", plan=UNKNOWN),),
        "violates",
        {"tag": "prod"},
    ),
    Case(
        "protect-data",
        {},
        (SMALL, container("db", "mysql", protect=True)),
        (SMALL, container("db", "mysql")),
        "db",
        (
            "container 'db' holds data: its tables (mysql, basic)",
            "its volumes and all its backups",
            "protect=True",
        ),
        (container("db", UNKNOWN, plan="basic"),),
        "deferred",
        {"templates": [5]},
    ),
    Case(
        "backup-required",
        {},
        (SMALL, container("db", "mysql"), pinned_backup("safe", of="db", container=UNKNOWN)),
        (SMALL, container("db", "mysql"), container("two", "mysql"), pinned_backup("safe", of="two")),
        "db",
        ("container 'db' holds data: its tables (mysql, basic)", "no pinned backup", "PinnedBackup"),
        (container("db", UNKNOWN, plan="basic"),),
        "violates",
        {"tag": ""},
        stack=True,
    ),
    Case(
        "no-public-database",
        {"min_prefix": 30},
        (
            container("web", external_access=True),
            container("db", "mysql", external_access=True),
            allowed_ip("office", "198.51.100.4/30", of="db"),
            container("closed", "postgresql"),
        ),
        (
            SMALL,
            container("db", "mysql", external_access=True),
            allowed_ip("office", "198.51.100.0/24", of="db"),
        ),
        "db",
        (
            "container 'db' holds data: its tables (mysql, basic), and has external access",
            "'office' is wider than /30",
        ),
        (container("db", UNKNOWN, plan="basic", external_access=True),),
        "violates",
        {"min_prefix": 33},
        stack=True,
    ),
    Case(
        "no-unmanaged-access",
        {},
        (
            SMALL,
            container("web", external_access=True),
            allowed_ip("office", "198.51.100.4", of="web", revoke_auto_added=True),
        ),
        (SMALL, container("web", external_access=True)),
        "web",
        ("container 'web' has external access", "it has no AllowedIp", "revoke_auto_added=True"),
        (container("web", external_access=UNKNOWN),),
        "violates",
        {"tag": ""},
        stack=True,
    ),
    Case(
        "no-restore-over-data",
        {},
        (SMALL,),
        (SMALL, resource("BackupRestore", "back", backup_id=7)),
        "back",
        ("restore 'back' replaces all data", "which container it belongs to", "If this restore is intended"),
        (resource("BackupRestore", "back", backup_id=UNKNOWN),),
        "violates",
        {"tag": ""},
    ),
    Case(
        "unmanaged-target",
        {},
        (SMALL, allowed_ip("office", "198.51.100.4", of="small")),
        (SMALL, allowed_ip("office", "198.51.100.4")),
        "office",
        ("address 'office' gives access to a container that is not known to be in this stack", "exempt it"),
        (vpn_client("laptop", container=UNKNOWN),),
        "violates",
        {"tag": ""},
        stack=True,
    ),
    Case(
        "known-resources",
        {},
        (SMALL,),
        (SMALL, resource("stacks:index:Gpu", "gpu", size="large")),
        "gpu",
        ("resource 'gpu'", "does not know", "Upgrade stacks-pulumi"),
        (resource("stacks:index:Gpu", "gpu", size=UNKNOWN),),
        "violates",
        {"tag": "env=prod"},
    ),
    Case(
        "account-headroom",
        {"cap_usd": 10},
        (SMALL, container("elsewhere", plan="standard")),
        (SMALL, container("big", plan="standard"), container("two", plan="micro")),
        "big",
        ("would cost $11.00 a month", "this stack $7.00", "1 other container $4.00", "cap is $10.00"),
        (container("big", plan=UNKNOWN),),
        "violates",
        {"cap_usd": [10]},
        stack=True,
    ),
)
