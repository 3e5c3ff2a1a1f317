"""
The 30 endpoints of the API, each with its name, its path, the scope that it needs, and the form of its response.

This is the client's interpretation of the API guide, https://docs.stackshosting.cloud. The emulator has its own
interpretation, in `emulator/openapi.yaml`, so that a mistake in one is not repeated in the other;
`tests/meta/test_endpoints.py` compares them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple


class Scope:
    """The permissions of a key (guide, "Permissions (Scopes)")."""

    READ: Final = "containers:read"
    CREATE: Final = "containers:create"
    MANAGE: Final = "containers:manage"
    DELETE: Final = "containers:delete"


SCOPES: Final = (Scope.READ, Scope.CREATE, Scope.MANAGE, Scope.DELETE)
"""Every scope, in the guide's order."""


class Endpoint(NamedTuple):
    """
    One endpoint.

    Attributes:
        name: The client's method, for instance `containers.create`. Logs, errors and the emulator use the same name.
        method: The HTTP method.
        path: The path below the base URL, with `{name}` for a variable.
        scope: The permission that the key needs.
        answer: The form of a successful response. "json" is a JSON document. "text" is a string, either plain or inside
            JSON. "any" may be anything or empty, because only the success of the request matters.
        section: Its section in the guide.
        what: A description of the request, for the beginning of error messages. It contains the variables of the path,
            and other variables that the client's method supplies.
    """

    name: str
    method: Literal["GET", "POST", "PUT", "DELETE"]
    path: str
    scope: str
    answer: Literal["json", "text", "any"]
    section: str
    what: str

    @property
    def is_fixed(self) -> bool:
        """Whether its path exists in every account. If so, a 404 can only mean a wrong base URL."""
        return "{" not in self.path


# Two lines for each endpoint: first its request and the form of its answer, then its names.
# assumed: the scopes of the VPN endpoints; the guide does not state them.
# fmt: off
_ENDPOINTS: Final = (
    Endpoint("containers.list", "GET", "/containers", Scope.READ, "json",
             "List Containers", "list containers"),
    Endpoint("containers.status", "GET", "/containers/status/{container_id}", Scope.READ, "json",
             "Get Container Status", "read the status of container {container_id}"),
    Endpoint("containers.credentials", "GET", "/containers/{container_id}/credentials", Scope.READ, "json",
             "Get Container Credentials", "read the credentials of container {container_id}"),
    Endpoint("containers.logs", "GET", "/containers/{container_id}/logs", Scope.READ, "text",
             "Get Container Logs", "read the logs of container {container_id}"),
    Endpoint("containers.metrics", "GET", "/containers/{container_id}/metrics", Scope.READ, "json",
             "Get Container Metrics", "read the metrics of container {container_id}"),
    Endpoint("containers.create", "POST", "/containers", Scope.CREATE, "json",
             "Create Container", 'create container "{name}"'),
    Endpoint("containers.set_status", "PUT", "/containers/{container_id}/status", Scope.MANAGE, "any",
             "Start / Stop / Restart Container", "{verb} container {container_id}"),
    Endpoint("containers.delete", "DELETE", "/containers/{container_id}", Scope.DELETE, "any",
             "Delete Container", "delete container {container_id}"),
    Endpoint("containers.certificate", "GET", "/containers/{container_id}/certificate", Scope.READ, "text",
             "Download SSH Certificate", "download the SSH key of container {container_id}"),
    Endpoint("containers.regenerate_certificate", "POST", "/containers/{container_id}/certificate/regenerate",
             Scope.MANAGE, "any",
             "Regenerate SSH Certificate", "create a new SSH key for container {container_id}"),
    Endpoint("containers.templates", "GET", "/containers/templates", Scope.READ, "json",
             "List Available Templates", "list templates"),
    # The guide shows only the answer to a request that enables access, and no answer to a request that disables it.
    Endpoint("containers.external_access", "PUT", "/containers/{container_id}/external-access", Scope.MANAGE, "any",
             "Toggle External Access", "{verb} external access to container {container_id}"),
    Endpoint("allowed_ips.list", "GET", "/containers/{container_id}/allowed-ips", Scope.READ, "json",
             "List Allowed IPs", "list the allowed IPs of container {container_id}"),
    Endpoint("allowed_ips.add", "POST", "/containers/{container_id}/allowed-ips", Scope.MANAGE, "json",
             "Add Allowed IP", "allow {ip_address} to reach container {container_id}"),
    Endpoint("allowed_ips.remove", "DELETE", "/containers/{container_id}/allowed-ips/{ip_id}", Scope.MANAGE, "any",
             "Remove Allowed IP", "remove the allowed IP {ip_id} of container {container_id}"),
    Endpoint("connections.targets", "GET", "/containers/{container_id}/available-targets", Scope.READ, "json",
             "List Available Targets", "list the possible targets of container {container_id}"),
    Endpoint("connections.create", "POST", "/containers/{source_id}/connect/{target_id}", Scope.MANAGE, "json",
             "Create Connection", "connect container {source_id} to {target_id}{as_name}"),
    Endpoint("connections.list", "GET", "/containers/{container_id}/connections", Scope.READ, "json",
             "List Connections", "list the connections of container {container_id}"),
    Endpoint("connections.delete", "DELETE", "/containers/connections/{connection_id}", Scope.MANAGE, "any",
             "Delete Connection", "delete connection {connection_id}"),
    Endpoint("backups.list", "GET", "/containers/{container_id}/backups", Scope.READ, "json",
             "List Backups", "list the backups of container {container_id}"),
    Endpoint("backups.trigger", "POST", "/containers/{container_id}/backup", Scope.MANAGE, "any",
             "Trigger Manual Backup", "start a backup of container {container_id}"),
    Endpoint("backups.stats", "GET", "/backups/stats", Scope.READ, "json",
             "Backup Statistics", "read the backup statistics"),
    Endpoint("backups.restore", "POST", "/backups/{backup_id}/restore", Scope.MANAGE, "any",
             "Restore Backup", "restore backup {backup_id}"),
    Endpoint("backups.pin", "POST", "/backups/{backup_id}/pin", Scope.MANAGE, "any",
             "Pin Backup", "pin backup {backup_id}"),
    Endpoint("backups.unpin", "POST", "/backups/{backup_id}/unpin", Scope.MANAGE, "any",
             "Unpin Backup", "unpin backup {backup_id}"),
    Endpoint("backups.delete", "DELETE", "/backups/{backup_id}", Scope.DELETE, "any",
             "Delete Backup", "delete backup {backup_id}"),
    Endpoint("vpn_clients.list", "GET", "/containers/{vpn_container_id}/vpn-clients", Scope.READ, "json",
             "List VPN Clients", "list the VPN clients of container {vpn_container_id}"),
    Endpoint("vpn_clients.add", "POST", "/containers/{vpn_container_id}/vpn-clients", Scope.MANAGE, "any",
             "Add VPN Client", 'add the VPN client "{name}" to container {vpn_container_id}'),
    Endpoint("vpn_clients.config", "GET", "/containers/{vpn_container_id}/vpn-config", Scope.READ, "text",
             "Download VPN Config",
             'download the configuration of the VPN client "{name}" of container {vpn_container_id}'),
    Endpoint("vpn_clients.remove", "DELETE", "/containers/{vpn_container_id}/vpn-clients/{client_name}",
             Scope.MANAGE, "any",
             "Remove VPN Client", 'remove the VPN client "{client_name}" of container {vpn_container_id}'),
)
# fmt: on

ENDPOINTS: Final[Mapping[str, Endpoint]] = {endpoint.name: endpoint for endpoint in _ENDPOINTS}
"""The endpoints by name, in the guide's order."""
