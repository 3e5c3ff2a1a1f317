"""
Manage STACKS, the container host, from Pulumi programs in Python.

    import stacks_pulumi as stacks

    app = stacks.Container("orders", template="nodejs", external_access=True)
    pulumi.export("url", app.url)

`(guide, "Create Container")` in a docstring names a section of the API guide, https://docs.stackshosting.cloud.

Each public name is imported on its first use. So importing the emulator, the policies or the client does not import
Pulumi, and a Pulumi program does not import these three.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from stacks_pulumi.functions import (
        get_backup_stats,
        get_backup_stats_output,
        get_container,
        get_container_output,
        get_credentials,
        get_credentials_output,
        get_logs,
        get_logs_output,
        get_metrics,
        get_metrics_output,
        get_ssh_certificate,
        get_ssh_certificate_output,
        get_vpn_config,
        get_vpn_config_output,
        list_allowed_ips,
        list_allowed_ips_output,
        list_available_targets,
        list_available_targets_output,
        list_backups,
        list_backups_output,
        list_connections,
        list_connections_output,
        list_containers,
        list_containers_output,
        list_templates,
        list_templates_output,
        list_vpn_clients,
        list_vpn_clients_output,
    )
    from stacks_pulumi.hosts.dynamic import provider_for
    from stacks_pulumi.resources.allowed_ip import AllowedIp
    from stacks_pulumi.resources.backup_restore import BackupRestore
    from stacks_pulumi.resources.connection import Connection
    from stacks_pulumi.resources.container import Container
    from stacks_pulumi.resources.pinned_backup import PinnedBackup
    from stacks_pulumi.resources.provider import Provider
    from stacks_pulumi.resources.ssh_certificate import SshCertificate
    from stacks_pulumi.resources.vpn_client import VpnClient

__all__ = [
    "AllowedIp",
    "BackupRestore",
    "Connection",
    "Container",
    "PinnedBackup",
    "Provider",
    "SshCertificate",
    "VpnClient",
    "get_backup_stats",
    "get_backup_stats_output",
    "get_container",
    "get_container_output",
    "get_credentials",
    "get_credentials_output",
    "get_logs",
    "get_logs_output",
    "get_metrics",
    "get_metrics_output",
    "get_ssh_certificate",
    "get_ssh_certificate_output",
    "get_vpn_config",
    "get_vpn_config_output",
    "list_allowed_ips",
    "list_allowed_ips_output",
    "list_available_targets",
    "list_available_targets_output",
    "list_backups",
    "list_backups_output",
    "list_connections",
    "list_connections_output",
    "list_containers",
    "list_containers_output",
    "list_templates",
    "list_templates_output",
    "list_vpn_clients",
    "list_vpn_clients_output",
    "provider_for",
]

__version__ = "0.4.0"

_FUNCTIONS: Final = "stacks_pulumi.functions"
_MODULES: Final = {
    **{name: _FUNCTIONS for name in __all__ if name.startswith(("get_", "list_"))},
    "AllowedIp": "stacks_pulumi.resources.allowed_ip",
    "BackupRestore": "stacks_pulumi.resources.backup_restore",
    "Connection": "stacks_pulumi.resources.connection",
    "Container": "stacks_pulumi.resources.container",
    "PinnedBackup": "stacks_pulumi.resources.pinned_backup",
    "Provider": "stacks_pulumi.resources.provider",
    "SshCertificate": "stacks_pulumi.resources.ssh_certificate",
    "VpnClient": "stacks_pulumi.resources.vpn_client",
    "provider_for": "stacks_pulumi.hosts.dynamic",
}


if not TYPE_CHECKING:
    # Hidden from type checkers: with `__getattr__`, they would accept every misspelt name.

    def __getattr__(name: str) -> Any:
        """Import a public name on its first use."""
        if name not in _MODULES:
            msg = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(msg)
        value = getattr(importlib.import_module(_MODULES[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    """Return all public names, even those that have not been imported yet."""
    return sorted(__all__)
