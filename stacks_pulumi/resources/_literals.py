"""
The literal values that a type checker accepts for an input.

The types `Template` and `Plan` accept any string, and `StorageTier` any integer, because the platform may add values.
The other types are closed: the type checker reports a wrong literal. If a string is known only at run time, pass it as
an output (`pulumi.Output.from_input(text)`). `tests/typing` compares the types with the catalogue and with `check`.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Literal

import pulumi

_Later = Awaitable[str] | pulumi.Output[str]

AdoptMode = Literal["never", "if_matching"] | _Later

DesiredStatus = Literal["running", "stopped"] | _Later

OnDelete = Literal["unpin", "delete", "keep"] | _Later

ServiceType = Literal["http", "tcp", "both"] | _Later

Plan = Literal["micro", "basic", "standard", "premium"] | pulumi.Input[str]

StorageTier = Literal[1, 3, 5] | pulumi.Input[int]

Template = (
    Literal[
        "forgejo",
        "forgejo-micro",
        "ghost",
        "loadbalancer-micro",
        "minio",
        "mongodb",
        "mysql",
        "nginx",
        "nginx-micro",
        "nodejs",
        "php-apache",
        "picoclaw",
        "picoclaw-micro",
        "pocketbase",
        "pocketbase-micro",
        "postgresql",
        "python",
        "redis",
        "redis-micro",
        "rqlite-micro",
        "secrets-micro",
        "stacks-loadbalancer",
        "stacks-vpn",
        "storage-micro",
        "ubuntu",
        "ubuntu-micro",
        "wordpress",
    ]
    | pulumi.Input[str]
)
