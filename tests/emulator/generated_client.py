"""Call every operation with the client that openapi-generator makes: generated_client.py URL KEY."""

from __future__ import annotations

import importlib
import sys
from typing import Any


def main(url: str, key: str) -> None:
    """Call every operation once."""
    made: Any = importlib.import_module("stacks_generated")
    client = made.ApiClient(made.Configuration(host=url, access_token=key))
    containers, addresses = made.ContainersApi(client), made.AllowedIpsApi(client)
    connections, backups, vpn = (
        made.ConnectionsApi(client),
        made.BackupsApi(client),
        made.VpnClientsApi(client),
    )

    def create(name: str, template: str) -> str:
        wanted = made.ContainerRequest(name=name, template=template)
        return str(containers.containers_create(wanted).data.id)

    app, data, gate = create("myapp", "nodejs"), create("mydb", "postgresql"), create("gate", "stacks-vpn")
    assert containers.containers_list().count == 3
    assert containers.containers_status(app).status == "running"
    assert containers.containers_credentials(data).data.connection_info.port == 5432
    assert containers.containers_logs(app, lines=5).data.lines
    assert len(containers.containers_metrics(app).data.cpu) == 10
    containers.containers_certificate(app)
    containers.containers_regenerate_certificate(app)
    assert containers.containers_templates().count == 27
    containers.containers_external_access(app, made.ExternalAccessRequest(enabled=True))
    entry = addresses.allowed_ips_add(app, made.AllowedIpRequest(ip_address="198.51.100.0/24"))
    assert len(addresses.allowed_ips_list(app).data.allowed_ips) == 2
    addresses.allowed_ips_remove(app, entry.data.id)
    assert connections.connections_targets(app).data.databases[0].name == "mydb"
    wanted = made.ConnectionRequest(connectionName="primary")
    connection = connections.connections_create(app, data, wanted).data
    assert connections.connections_list(app).data.outgoing[0].target_name == "mydb"
    assert connections.connections_list(data).data.incoming[0].source_name == "myapp"
    connections.connections_delete(connection.id)
    backups.backups_trigger(data)
    backup = backups.backups_list(data).data[0].id
    for act in ("pin", "restore", "unpin"):
        getattr(backups, f"backups_{act}")(backup)
    assert backups.backups_stats().data.completed_backups == "1"
    backups.backups_delete(backup)
    vpn.vpn_clients_add(gate, made.VpnClientRequest(name="phone"))
    assert vpn.vpn_clients_list(gate).count == 2
    assert "Interface" in vpn.vpn_clients_config(gate, client="phone").data.config
    vpn.vpn_clients_remove(gate, "phone")
    containers.containers_set_status(app, made.StatusRequest(status="stopped"))
    containers.containers_delete(app)


if __name__ == "__main__":
    main(*sys.argv[1:])
