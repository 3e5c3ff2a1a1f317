"""
VPN clients, which are the devices that may use a VPN: rules and endpoints (guide, "VPN Management").

Their configurations look real but give no access. They are derived from the seed and never stored.
"""

from __future__ import annotations

import base64
from typing import Any

from stacks_pulumi import catalog
from stacks_pulumi.emulator import containers
from stacks_pulumi.emulator.answers import Open, Request, bad_request, not_found, route
from stacks_pulumi.emulator.keys import MANAGE, READ
from stacks_pulumi.emulator.platform import Platform, iso
from stacks_pulumi.emulator.state import Container, State, VpnClient

# assumed: everything about clients except the four endpoints and the field `name`; the scopes are assumed too.


@route("vpn_clients.list", "GET", "/containers/<vpn_container_id>/vpn-clients", READ)
def _get_clients(request: Request) -> Open:
    container = _in_path(request)
    _check_vpn(container)
    clients = container.vpn_clients
    return Open("clients", [_entry(client) for client in clients], names=[client.name for client in clients])


@route("vpn_clients.add", "POST", "/containers/<vpn_container_id>/vpn-clients", MANAGE, "name")
def _post_client(request: Request) -> Open:
    client = add(request.platform, _in_path(request), request.body.get("name"))
    return Open("client", _entry(client), "VPN client added")


@route("vpn_clients.config", "GET", "/containers/<vpn_container_id>/vpn-config", READ)
def _get_config(request: Request) -> Open:
    container = _in_path(request)
    client = find(container, request.query.get("client", "default"))
    text = wireguard(request.platform.state, container, client)
    return Open("config", {"client": client.name, "config": text}, text=text)


@route("vpn_clients.remove", "DELETE", "/containers/<vpn_container_id>/vpn-clients/<client_name>", MANAGE)
def _delete_client(request: Request) -> Open:
    remove(_in_path(request), request.args["client_name"])
    return Open("result", message="VPN client removed")


def _in_path(request: Request) -> Container:
    return containers.in_path(request, "vpn_container_id")


def _entry(client: VpnClient) -> dict[str, Any]:
    return {"name": client.name, "created_at": iso(client.created_at)}


def _check_vpn(container: Container) -> None:
    if container.template != catalog.VPN_TEMPLATE:
        raise bad_request("This container is not a STACKS VPN container")


def add(platform: Platform, container: Container, name: Any) -> VpnClient:
    """
    Add a device.

    Raises:
        Refusal: 400 for an invalid or taken name, or if the container is not running or is not a VPN.
    """
    _check_vpn(container)
    if (
        not isinstance(name, str)
        or not 1 <= len(name) <= 64
        or not name.isprintable()
        or name != name.strip()
    ):
        raise bad_request("VPN client name must be 1 to 64 printable characters", "name")
    if container.status != "running":
        raise bad_request("Container must be running to add a VPN client")
    if any(client.name == name for client in container.vpn_clients):
        raise bad_request(f"A VPN client named {name} already exists", "name")
    client = VpnClient(name, platform.clock.now(), platform.state.count("vpn_client"))
    container.vpn_clients.append(client)
    return client


def find(container: Container, name: str) -> VpnClient:
    """
    Return a device by its name.

    Raises:
        Refusal: 404 if it does not exist; 400 if the container is not a VPN.
    """
    _check_vpn(container)
    for client in container.vpn_clients:
        if client.name == name:
            return client
    raise not_found("VPN client")


def remove(container: Container, name: str) -> None:
    """
    Remove a device; the default device can be removed too.

    Raises:
        Refusal: 404 if it does not exist; 400 if the container is not a VPN.
    """
    container.vpn_clients.remove(find(container, name))


def wireguard(state: State, container: Container, client: VpnClient) -> str:
    """Return a WireGuard configuration file for one device."""
    return "\n".join(
        (
            "[Interface]",
            f"PrivateKey = {_key(state, 'private', container, client)}",
            f"Address = 10.13.13.{client.serial % 250 + 2}/32",
            "DNS = 10.13.13.1",
            "",
            "[Peer]",
            f"PublicKey = {_key(state, 'server', container)}",
            f"PresharedKey = {_key(state, 'shared', container, client)}",
            f"Endpoint = stacks.hosting:{container.port}",
            "AllowedIPs = 10.52.0.0/16",
            "PersistentKeepalive = 25",
            "",
        )
    )


def _key(state: State, kind: str, container: Container, client: VpnClient | None = None) -> str:
    parts = (client.name, client.serial) if client is not None else ()
    return base64.b64encode(bytes.fromhex(state.derive("vpn", kind, container.id, *parts))).decode()
