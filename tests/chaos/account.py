"""What an account really holds, what a state says that it holds, and what no text may hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from stacks_pulumi.emulator import Emulator
from tests.support.host import HostedResource

__all__ = ["claims", "connected", "failures", "holdings", "secrets"]

AUTO_ADDED = "Your IP (Auto-added)"


def holdings(emulator: Emulator, among: str = "") -> set[str]:
    """
    Everything in the account that a resource can stand for, as the ids that resources have.

    A manual backup counts whether it is pinned or not. What the platform puts in by itself does not count: the caller's
    own address, a VPN's first client, and nightly backups.

    Args:
        emulator: Whose account.
        among: Only containers whose name begins like this, and what belongs to them.
    """
    with emulator.platform.lock:
        state = emulator.state
        found = set()
        for container in state.containers.values():
            if container.status == "deleting" or not container.name.startswith(among):
                continue
            found.add(container.id)
            found |= {
                f"{container.id}/{entry.ip_address}"
                for entry in container.allowed_ips
                if entry.description != AUTO_ADDED
            }
            found |= {
                f"{container.id}/{client.name}"
                for client in container.vpn_clients
                if client.name != "default"
            }
            found |= {
                f"{container.id}/{made.id}"
                for made in state.connections.values()
                if made.source == container.id
            }
            found |= {
                f"{container.id}/{backup.id}"
                for backup in state.backups.values()
                if backup.container_id == container.id and backup.backup_type == "manual"
            }
        return found


def connected(emulator: Emulator) -> dict[str, str]:
    """The target of every connection, by the id that its resource has."""
    with emulator.platform.lock:
        made = list(emulator.state.connections.values())
    return {f"{one.source}/{one.id}": one.target for one in made}


def failures(emulator: Emulator) -> set[str]:
    """Backups that failed: the account lists them, and there is nothing in them."""
    with emulator.platform.lock:
        backups = list(emulator.state.backups.values())
    return {f"{backup.container_id}/{backup.id}" for backup in backups if backup.status == "failed"}


def claims(resources: Iterable[HostedResource]) -> set[str]:
    """The ids of everything that the state says there is."""
    return {resource.id for resource in resources if resource.kind not in {"SshCertificate", "BackupRestore"}}


def secrets(emulator: Emulator, resources: Iterable[HostedResource]) -> Iterator[str]:
    """What must be in no text: the key, and the secret outputs."""
    yield emulator.key
    for resource in resources:
        for name in ("config", "private_key"):
            text = resource.outs.get(name)
            if isinstance(text, str):
                # A line of it is as bad as all of it.
                yield from (line for line in text.splitlines() if len(line) > 40)
