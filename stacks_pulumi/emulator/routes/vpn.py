"""The four operations on VPN clients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stacks_pulumi.emulator import fake_secrets, vpn
from stacks_pulumi.emulator.answers import Open
from stacks_pulumi.emulator.platform import iso

if TYPE_CHECKING:
    from stacks_pulumi.emulator.routes.handler_types import Request
    from stacks_pulumi.emulator.state import VpnClient


def list_(request: Request) -> Open:
    """`GET /containers/{vpn_container_id}/vpn-clients`."""
    container = request.container("vpn_container_id")
    vpn.check(container)
    clients = container.vpn_clients
    return Open("clients", [_entry(client) for client in clients], names=[client.name for client in clients])


def add(request: Request) -> Open:
    """`POST /containers/{vpn_container_id}/vpn-clients`."""
    client = vpn.add(request.platform, request.container("vpn_container_id"), request.body.get("name"))
    return Open("client", _entry(client), "VPN client added")


def config(request: Request) -> Open:
    """`GET /containers/{vpn_container_id}/vpn-config`."""
    container = request.container("vpn_container_id")
    client = vpn.find(container, request.query.get("client", "default"))
    text = fake_secrets.wireguard(request.platform.state, container, client)
    return Open("config", {"client": client.name, "config": text}, text=text)


def remove(request: Request) -> Open:
    """`DELETE /containers/{vpn_container_id}/vpn-clients/{client_name}`."""
    vpn.remove(request.container("vpn_container_id"), request.args["client_name"])
    return Open("result", message="VPN client removed")


def _entry(client: VpnClient) -> dict[str, Any]:
    return {"name": client.name, "created_at": iso(client.created_at)}


HANDLERS: dict[str, Any] = {
    "vpn_clients.list": list_,
    "vpn_clients.add": add,
    "vpn_clients.config": config,
    "vpn_clients.remove": remove,
}
