"""
A prototype for decision 18: this package's classes as a thin layer on the generated SDK for Python.

A child accepts a `Container` instead of a container's id. From the object, it gets the container's provider and, with
`stacks:deleteChildrenWithContainer`, the option `deleted_with`. The plugin applies the name pattern. Tests copy this
file next to a program, which imports it as `stacks`.
"""

from __future__ import annotations

from typing import Any

import pulumi
import pulumi_stacks as generated  # type: ignore[import-not-found]  # a test generates it

Container = generated.Container
Provider = generated.Provider


def _child(kind: Any, parent: str) -> Any:
    def __init__(  # noqa: N807  (a method of the class that is created below)
        self: Any, resource_name: str, opts: pulumi.ResourceOptions | None = None, **inputs: Any
    ) -> None:
        container = inputs.get(parent)
        if isinstance(container, Container):
            own = pulumi.ResourceOptions(provider=container.get_provider("stacks:index:Container"))
            if pulumi.Config("stacks").get_bool("deleteChildrenWithContainer"):
                own.deleted_with = container
            opts = pulumi.ResourceOptions.merge(own, opts)
        ids = {name: it.id if isinstance(it, Container) else it for name, it in inputs.items()}
        kind.__init__(self, resource_name, opts, **ids)

    return type(kind.__name__, (kind,), {"__init__": __init__})


AllowedIp = _child(generated.AllowedIp, "container")
Connection = _child(generated.Connection, "source")
PinnedBackup = _child(generated.PinnedBackup, "container")
SshCertificate = _child(generated.SshCertificate, "container")
VpnClient = _child(generated.VpnClient, "container")
BackupRestore = generated.BackupRestore
