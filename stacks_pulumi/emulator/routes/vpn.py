"""The four operations on VPN clients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stacks_pulumi.emulator import fakes, vpn
from stacks_pulumi.emulator.clock import iso
from stacks_pulumi.emulator.shapes import Open

if TYPE_CHECKING:
    from stacks_pulumi.emulator.routes._ask import Ask
    from stacks_pulumi.emulator.world import VpnClient


def list_(ask: Ask) -> Open:
    """`GET /containers/{vpn_container_id}/vpn-clients`."""
    container = ask.container("vpn_container_id")
    vpn.check(container)
    clients = container.vpn_clients
    return Open("clients", [_entry(client) for client in clients], names=[client.name for client in clients])


def add(ask: Ask) -> Open:
    """`POST /containers/{vpn_container_id}/vpn-clients`."""
    client = vpn.add(ask.state, ask.container("vpn_container_id"), ask.body.get("name"))
    return Open("client", _entry(client), "VPN client added")


def config(ask: Ask) -> Open:
    """`GET /containers/{vpn_container_id}/vpn-config`."""
    container = ask.container("vpn_container_id")
    client = vpn.find(container, ask.query.get("client", "default"))
    text = fakes.wireguard(ask.state.world, container, client)
    return Open("config", {"client": client.name, "config": text}, text=text)


def remove(ask: Ask) -> Open:
    """`DELETE /containers/{vpn_container_id}/vpn-clients/{client_name}`."""
    vpn.remove(ask.container("vpn_container_id"), ask.args["client_name"])
    return Open("result", message="VPN client removed")


def _entry(client: VpnClient) -> dict[str, Any]:
    return {"name": client.name, "created_at": iso(client.created_at)}


HANDLERS: dict[str, Any] = {
    "vpn_clients.list": list_,
    "vpn_clients.add": add,
    "vpn_clients.config": config,
    "vpn_clients.remove": remove,
}
