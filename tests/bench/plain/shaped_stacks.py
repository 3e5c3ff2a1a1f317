"""
A provider that does nothing, for resources with as many properties as ours, to measure only the engine and the SDK.

The SDK creates an output for each property, and the engine writes each property into the state.
"""

from __future__ import annotations

from typing import Any

from pulumi.dynamic import CreateResult, Resource, ResourceProvider

TEXTS = (
    *(
        "monthly_price_usd",
        "plan",
        "status",
        "internal_host",
        "ip_address",
        "vpc_network",
        "version",
        "image_tag",
    ),
    *("ssh_user", "ssh_host", "version_major", "created_at", "url", "subdomain", "origin", "stacks_kind"),
)
NUMBERS = ("cpu", "memory_mb", "storage_mb", "port", "ssh_port")
FLAGS = ("has_ssh_access", "has_web_ui")
OF_A_CONTAINER: dict[str, Any] = {
    **dict.fromkeys(TEXTS, "198.51.100.1 or another text"),
    **dict.fromkeys(NUMBERS, 30000),
    **dict.fromkeys(FLAGS, True),
}
OF_A_CHILD: dict[str, Any] = dict.fromkeys(
    ("created_at", "container_created_at", "origin", "stacks_kind"), "2026-02-25T10:30:00.000Z"
)


class Shaped(ResourceProvider):
    """Return immediately, with a value for each property."""

    def create(self, props: dict[str, Any]) -> CreateResult:
        values = OF_A_CONTAINER if "template" in props else OF_A_CHILD
        return CreateResult("idle", {**values, **props})


class Container(Resource):
    def __init__(self, resource_name: str, **inputs: Any) -> None:
        named = {"name": resource_name, **inputs}
        super().__init__(Shaped(), resource_name, {**dict.fromkeys(OF_A_CONTAINER), **named})


class Connection(Resource):
    def __init__(self, resource_name: str, source: Container, target: Container) -> None:
        inputs = {"source": source.id, "target": target.id, "name": resource_name, "restart_source": True}
        super().__init__(Shaped(), resource_name, {**dict.fromkeys(OF_A_CHILD), **inputs})


class AllowedIp(Resource):
    def __init__(self, resource_name: str, container: Container, ip_address: str) -> None:
        inputs = {"container": container.id, "ip_address": ip_address, "service_type": "tcp"}
        super().__init__(Shaped(), resource_name, {**dict.fromkeys(OF_A_CHILD), **inputs})
