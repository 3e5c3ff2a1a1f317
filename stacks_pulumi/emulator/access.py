"""
External access, and the addresses that may connect: rules and endpoints (guide, "External Access & IP Restrictions").
"""

from __future__ import annotations

import ipaddress
from typing import Any, TypeAlias

from stacks_pulumi.emulator import containers
from stacks_pulumi.emulator.answers import (
    Open,
    Reply,
    Request,
    bad_request,
    not_found,
    reject_null,
    route,
)
from stacks_pulumi.emulator.keys import MANAGE, READ
from stacks_pulumi.emulator.platform import Platform, iso
from stacks_pulumi.emulator.state import AllowedIp, Container

AUTO_ADDED = "Your IP (Auto-added)"
_SERVICE_TYPES = ("http", "tcp", "both")

_Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


@route("containers.external_access", "PUT", "/containers/<container_id>/external-access", MANAGE, "enabled")
def _put_external_access(request: Request) -> Reply | Open:
    container = containers.in_path(request)
    set_access(request.platform, container, request.body.get("enabled"))
    if not container.external_access:
        return Open("result", message="External access disabled")
    return Reply(
        {
            "success": True,
            "message": f"External access enabled. Your container is available at: {container.url}",
            "your_ip": request.platform.your_ip,
            "subdomain": container.subdomain,
            "url": container.url,
        }
    )


@route("allowed_ips.list", "GET", "/containers/<container_id>/allowed-ips", READ)
def _get_allowed_ips(request: Request) -> Reply:
    container = containers.in_path(request)
    return Reply(
        {
            "success": True,
            "data": {
                "external_access_enabled": container.external_access,
                "subdomain": container.subdomain,
                "url": container.url,
                "allowed_ips": [_entry(ip) for ip in container.allowed_ips],
                "your_current_ip": request.platform.your_ip,
            },
        }
    )


@route(
    "allowed_ips.add",
    "POST",
    "/containers/<container_id>/allowed-ips",
    MANAGE,
    "ip_address",
    "description",
    "service_type",
)
def _post_allowed_ip(request: Request) -> Open:
    entry = add_ip(request.platform, containers.in_path(request), request.body)
    return Open("allowed_ip", _entry(entry), "IP address added")


@route("allowed_ips.remove", "DELETE", "/containers/<container_id>/allowed-ips/<ip_id>", MANAGE)
def _delete_allowed_ip(request: Request) -> Open:
    remove_ip(containers.in_path(request), request.args["ip_id"])
    return Open("result", message="IP address removed")


def _entry(ip: AllowedIp) -> dict[str, Any]:
    return {
        "id": ip.id,
        "ip_address": ip.ip_address,
        "description": ip.description,
        "service_type": ip.service_type,
        "added_at": iso(ip.added_at),
    }


def set_access(platform: Platform, container: Container, enabled: Any) -> None:
    """
    Enable or disable public access.

    Enabling gives the container a subdomain and allows the caller's address; disabling removes both.

    Raises:
        Refusal: 400 if `enabled` is not a boolean.
    """
    if not isinstance(enabled, bool):
        raise bad_request("The field enabled must be true or false", "enabled")
    container.updated_at = platform.clock.now()
    container.external_access = enabled
    if not enabled:
        container.subdomain = None
        container.allowed_ips.clear()
        return
    # assumed: enabling again keeps the subdomain, and works in any status.
    if container.subdomain is None:
        container.exposures += 1
        container.subdomain = platform.state.derive("subdomain", container.id, container.exposures)[:6]
    if not _is_allowed(container, platform.your_ip):
        _append(platform, container, platform.your_ip, AUTO_ADDED, "both")


def add_ip(platform: Platform, container: Container, body: dict[str, Any]) -> AllowedIp:
    """
    Allow an address.

    Raises:
        Refusal: 400 for a wrong field, for an address that is allowed already, and while external access is off.
    """
    if platform.strict:
        reject_null(body, "description", "service_type")
    address, service = body.get("ip_address"), body.get("service_type")
    description = body.get("description")
    if address is None or address == "":
        raise bad_request("IP address is required", "ip_address")
    if not isinstance(address, str) or _network(address) is None:
        raise bad_request("Invalid IPv4 or IPv6 address, or CIDR range", "ip_address")
    if platform.strict and _network(address, exact=True) is None:
        # assumed: a range with host bits is refused. An emulator that is not strict stores it unchanged.
        raise bad_request("The CIDR range has host bits set", "ip_address")
    if service is not None and service not in _SERVICE_TYPES:
        raise bad_request(f"Service type must be one of: {', '.join(_SERVICE_TYPES)}", "service_type")
    if description is not None and not isinstance(description, str):
        raise bad_request("Description must be text", "description")
    if not container.external_access:
        # assumed: the address is refused and not stored for later, because disabling clears the list.
        raise bad_request("External access is not enabled for this container")
    if not platform.duplicate_ips and _is_allowed(container, address):
        # assumed: an address can be in the list only once, even with different service types.
        raise bad_request("IP address is already allowed", "ip_address")
    return _append(platform, container, address, description or "Custom IP", service or "both")


def remove_ip(container: Container, ip_id: str, *, force: bool = False) -> None:
    """
    Remove an address from the list.

    Args:
        container: The container.
        ip_id: The entry's id.
        force: Remove the entry even if it is the last one; the API refuses this.

    Raises:
        Refusal: 404 if the entry does not exist; 400 for the last address (guide, "Remove Allowed IP").
    """
    entry = next((ip for ip in container.allowed_ips if ip.id == ip_id), None)
    if entry is None:
        raise not_found("IP address")
    if len(container.allowed_ips) == 1 and not force:
        raise bad_request("Cannot remove the last IP address")
    container.allowed_ips.remove(entry)


def _append(
    platform: Platform, container: Container, address: str, description: str, service: str
) -> AllowedIp:
    number = platform.state.count(f"ip:{container.id}")
    entry_id = platform.state.derive_uuid("ip", container.id, number)
    entry = AllowedIp(entry_id, address, description, service, platform.clock.now())
    container.allowed_ips.append(entry)
    container.updated_at = entry.added_at
    return entry


def _is_allowed(container: Container, address: str) -> bool:
    network = _network(address)
    return any(_network(ip.ip_address) == network for ip in container.allowed_ips)


def _network(address: str, *, exact: bool = False) -> _Network | None:
    """Return an address or range as a network; `None` for other text. With `exact`, host bits must not be set."""
    if "%" in address:
        # An address with a zone has a meaning only on one machine.
        return None
    try:
        return ipaddress.ip_network(address, strict=exact)
    except ValueError:
        return None
