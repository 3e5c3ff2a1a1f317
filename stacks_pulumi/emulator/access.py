"""External access and the addresses that may connect (guide, "External Access & IP Restrictions")."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

from stacks_pulumi.emulator.answers import bad_request, not_found
from stacks_pulumi.emulator.state import AllowedIp, Container, digest
from stacks_pulumi.emulator.validation import refuse_null

if TYPE_CHECKING:
    from stacks_pulumi.emulator.platform import Platform

__all__ = ["add_ip", "remove_ip", "set_access"]

AUTO_ADDED = "Your IP (Auto-added)"
SERVICE_TYPES = ("http", "tcp", "both")


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
        container.subdomain = _subdomain(
            platform.state.derive("subdomain", container.id, container.exposures)
        )
    if not _known(container, platform.your_ip):
        _append(platform, container, platform.your_ip, AUTO_ADDED, "both")


def add_ip(platform: Platform, container: Container, body: dict[str, Any]) -> AllowedIp:
    """
    Allow an address.

    Raises:
        Refusal: 400 for a wrong field, for an address that is allowed already, and while external access is off.
    """
    if platform.strict:
        refuse_null(body, "description", "service_type")
    address, service = body.get("ip_address"), body.get("service_type")
    description = body.get("description")
    if address is None or address == "":
        raise bad_request("IP address is required", "ip_address")
    if not isinstance(address, str) or canonical(address) is None:
        raise bad_request("Invalid IPv4 or IPv6 address, or CIDR range", "ip_address")
    if platform.strict and not _is_exact(address):
        # assumed: refused; if it is accepted (not strict), it is stored as it was sent.
        raise bad_request("The CIDR range has host bits set", "ip_address")
    if service is not None and service not in SERVICE_TYPES:
        raise bad_request(f"Service type must be one of: {', '.join(SERVICE_TYPES)}", "service_type")
    if description is not None and not isinstance(description, str):
        raise bad_request("Description must be text", "description")
    if not container.external_access:
        # assumed: refused and not stored for later, because disabling clears the list.
        raise bad_request("External access is not enabled for this container")
    if not platform.duplicate_ips and _known(container, address):
        # assumed: one address can be in the list once, whatever its service type.
        raise bad_request("IP address is already allowed", "ip_address")
    return _append(platform, container, address, description or "Custom IP", service or "both")


def remove_ip(container: Container, ip_id: str, *, force: bool = False) -> None:
    """
    Remove an address from the list.

    Args:
        container: The container.
        ip_id: The entry's id.
        force: Remove even the last entry, which the API never does.

    Raises:
        Refusal: 404, or 400 for the last address (guide, "Remove Allowed IP").
    """
    entry = next((ip for ip in container.allowed_ips if ip.id == ip_id), None)
    if entry is None:
        raise not_found("IP address")
    if len(container.allowed_ips) == 1 and not force:
        raise bad_request("Cannot remove the last IP address")
    container.allowed_ips.remove(entry)


def canonical(address: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """Return the network for an address or a range; `None` if the text is neither."""
    if "%" in address:
        # A zone has a meaning on one machine only.
        return None
    try:
        return ipaddress.ip_network(address, strict=False)
    except ValueError:
        return None


def _is_exact(address: str) -> bool:
    try:
        return bool(ipaddress.ip_network(address))
    except ValueError:
        return False


def _known(container: Container, address: str) -> bool:
    wanted = canonical(address)
    return any(canonical(ip.ip_address) == wanted for ip in container.allowed_ips)


def _append(
    platform: Platform, container: Container, address: str, description: str, service: str
) -> AllowedIp:
    number = platform.state.count(f"ip:{container.id}")
    raw = digest(platform.state.seed, "ip", container.id, number)
    entry = AllowedIp(as_uuid(raw), address, description, service, platform.clock.now())
    container.allowed_ips.append(entry)
    container.updated_at = entry.added_at
    return entry


def as_uuid(digits: str) -> str:
    """Return hexadecimal digits in the form of a UUID."""
    return "-".join((digits[:8], digits[8:12], f"4{digits[13:16]}", f"a{digits[17:20]}", digits[20:32]))


def _subdomain(digits: str) -> str:
    return digits[:6]
