"""Rules of VPN clients: the devices that may use a VPN (guide, "VPN Management")."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stacks_pulumi import catalog
from stacks_pulumi.emulator.answers import bad_request, not_found
from stacks_pulumi.emulator.state import Container, VpnClient

if TYPE_CHECKING:
    from stacks_pulumi.emulator.platform import Platform

__all__ = ["add", "check", "find", "remove"]

# assumed: everything about clients except the four endpoints and the field `name`.


def check(container: Container) -> None:
    """
    Check that a container is a VPN.

    Raises:
        Refusal: 400 if it is not.
    """
    if container.template != catalog.VPN_TEMPLATE:
        raise bad_request("This container is not a STACKS VPN container")


def add(platform: Platform, container: Container, name: Any) -> VpnClient:
    """
    Add a device.

    Raises:
        Refusal: 400 for an invalid or taken name, or if the container does not run.
    """
    check(container)
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
    check(container)
    for client in container.vpn_clients:
        if client.name == name:
            return client
    raise not_found("VPN client")


def remove(container: Container, name: str) -> None:
    """
    Remove a device; the default one can be removed too.

    Raises:
        Refusal: 404 if it does not exist; 400 if the container is not a VPN.
    """
    container.vpn_clients.remove(find(container, name))
