"""The three operations on allowed addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stacks_pulumi.emulator import access
from stacks_pulumi.emulator.answers import Open
from stacks_pulumi.emulator.platform import iso
from stacks_pulumi.emulator.routes.handler_types import Reply, Request

if TYPE_CHECKING:
    from stacks_pulumi.emulator.state import AllowedIp


def list_(request: Request) -> Reply:
    """`GET /containers/{container_id}/allowed-ips`."""
    container = request.container()
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


def add(request: Request) -> Open:
    """`POST /containers/{container_id}/allowed-ips`."""
    entry = access.add_ip(request.platform, request.container(), request.body)
    return Open("allowed_ip", _entry(entry), "IP address added")


def remove(request: Request) -> Open:
    """`DELETE /containers/{container_id}/allowed-ips/{ip_id}`."""
    access.remove_ip(request.container(), request.args["ip_id"])
    return Open("result", message="IP address removed")


def _entry(ip: AllowedIp) -> dict[str, Any]:
    return {
        "id": ip.id,
        "ip_address": ip.ip_address,
        "description": ip.description,
        "service_type": ip.service_type,
        "added_at": iso(ip.added_at),
    }


HANDLERS: dict[str, Any] = {
    "allowed_ips.list": list_,
    "allowed_ips.add": add,
    "allowed_ips.remove": remove,
}
