"""All manageable objects in an account, by kind, in a form for comparisons in tests."""

from __future__ import annotations

from stacks_pulumi.emulator import Emulator
from tests.chaos.account import holdings

__all__ = ["contents", "managed", "writes"]

AUTO_ADDED = "Your IP (Auto-added)"


def contents(emulator: Emulator) -> dict[str, list[str]]:
    """
    Return the containers, allowed addresses, VPN clients, connections and pinned backups.

    Objects that the platform adds by itself are left out: the caller's own address and a VPN's first client.
    """
    with emulator.platform.lock:
        state = emulator.state
        found = [one for one in state.containers.values() if one.status != "deleting"]
        names = {one.id: one.name for one in found}
        return {
            "containers": sorted(names.values()),
            "addresses": sorted(
                f"{one.name} {entry.ip_address}"
                for one in found
                for entry in one.allowed_ips
                if entry.description != AUTO_ADDED
            ),
            "clients": sorted(
                f"{one.name} {client.name}"
                for one in found
                for client in one.vpn_clients
                if client.name != "default"
            ),
            "connections": sorted(
                f"{names.get(made.source)} {made.name}" for made in state.connections.values()
            ),
            "pinned": sorted(
                f"{backup.container_name} {backup.id}" for backup in state.backups.values() if backup.pinned
            ),
        }


def managed(emulator: Emulator) -> set[str]:
    """Return the ids of the objects in `contents`, which are the ids in a complete state."""
    with emulator.platform.lock:
        backups = list(emulator.state.backups.values())
    return holdings(emulator) - {f"{one.container_id}/{one.id}" for one in backups if not one.pinned}


def writes(emulator: Emulator, after: int = 0) -> list[str]:
    """Return the operations of the changing requests, in order, after the given number of requests."""
    return [str(request.operation) for request in emulator.requests[after:] if request.method != "GET"]
