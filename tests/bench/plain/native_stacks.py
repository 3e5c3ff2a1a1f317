"""The native types of this package, as a generated SDK registers them: the same program runs on the other host."""

from __future__ import annotations

import pulumi


class Container(pulumi.CustomResource):
    def __init__(self, resource_name: str, template: str, external_access: bool | None = None) -> None:
        inputs = {"template": template, "externalAccess": external_access}
        super().__init__("stacks:index:Container", resource_name, inputs)


class Connection(pulumi.CustomResource):
    def __init__(self, resource_name: str, source: Container, target: Container) -> None:
        super().__init__("stacks:index:Connection", resource_name, {"source": source.id, "target": target.id})


class AllowedIp(pulumi.CustomResource):
    def __init__(self, resource_name: str, container: Container, ip_address: str) -> None:
        inputs = {"container": container.id, "ipAddress": ip_address}
        super().__init__("stacks:index:AllowedIp", resource_name, inputs)
