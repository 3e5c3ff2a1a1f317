"""
A provider that does nothing, to measure only the engine.

The engine writes the state before and after each step, which takes time with any provider.
"""

from __future__ import annotations

from typing import Any

from pulumi.dynamic import CreateResult, Resource, ResourceProvider


class Idle(ResourceProvider):
    """Return immediately from every operation."""

    def create(self, props: dict[str, Any]) -> CreateResult:
        return CreateResult("idle", props)


class Container(Resource):
    def __init__(self, resource_name: str, **inputs: Any) -> None:
        super().__init__(Idle(), resource_name, inputs)


class Connection(Resource):
    def __init__(self, resource_name: str, source: Container, target: Container) -> None:
        super().__init__(Idle(), resource_name, {"source": source.id, "target": target.id})


class AllowedIp(Resource):
    def __init__(self, resource_name: str, container: Container, ip_address: str) -> None:
        super().__init__(Idle(), resource_name, {"container": container.id, "ip_address": ip_address})
