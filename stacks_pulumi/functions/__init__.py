"""
Data functions: what a program can look up without managing it.

Each comes twice. `get_container(id)` answers at once and needs a plain id; `get_container_output(id)` takes an
output, such as the id of a container that does not exist yet, and answers with an output: at preview of a new
stack it asks nothing. A question is asked once in five seconds, however often it is put. What is secret comes as a
secret output from the `_output` function; from the other one it is the caller's to keep. An error is of the types in
`stacks_pulumi.errors`, and a program that does not catch it ends with its one line and no traceback.
"""

from __future__ import annotations

from stacks_pulumi.functions.access import (
    list_allowed_ips,
    list_allowed_ips_output,
)
from stacks_pulumi.functions.backups import (
    get_backup_stats,
    get_backup_stats_output,
    list_backups,
    list_backups_output,
)
from stacks_pulumi.functions.connections import (
    list_available_targets,
    list_available_targets_output,
    list_connections,
    list_connections_output,
)
from stacks_pulumi.functions.containers import (
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
    list_containers,
    list_containers_output,
    list_templates,
    list_templates_output,
)
from stacks_pulumi.functions.vpn import (
    get_vpn_config,
    get_vpn_config_output,
    list_vpn_clients,
    list_vpn_clients_output,
)

__all__ = [
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
]
