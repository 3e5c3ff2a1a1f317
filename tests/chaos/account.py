"""What an account really holds, what a state says that it holds, and which secrets no text may contain."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from stacks_pulumi.emulator import Emulator
from tests.support.host import HostedResource

__all__ = ["answer_was_read", "claims", "connected", "failures", "holdings", "secrets"]

AUTO_ADDED = "Your IP (Auto-added)"


def answer_was_read(emulator: Emulator, operation: str) -> bool:
    """Return whether a provider has read the answer to a request: its next request is sent after that."""
    return operation in [record.operation for record in emulator.requests][:-1]


def holdings(emulator: Emulator, among: str = "") -> set[str]:
    """
    Return the ids of everything in the account that a resource can manage.

    A manual backup counts whether it is pinned or not. What the platform adds by itself does not count: the caller's
    own address, a VPN's first client, and nightly backups.

    Args:
        emulator: The emulator that has the account.
        among: Only containers whose name begins with this text, and their children.
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
                if entry.description != AUTO_ADDED and entry.ip_address != emulator.platform.your_ip
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
    """Return the target of every connection, by the id that its resource has."""
    with emulator.platform.lock:
        made = list(emulator.state.connections.values())
    return {f"{one.source}/{one.id}": one.target for one in made}


def failures(emulator: Emulator) -> set[str]:
    """Return the ids of failed backups: the account lists them, but they are empty."""
    with emulator.platform.lock:
        backups = list(emulator.state.backups.values())
    return {f"{backup.container_id}/{backup.id}" for backup in backups if backup.status == "failed"}


def claims(resources: Iterable[HostedResource]) -> set[str]:
    """Return the ids of everything that the state says exists."""
    return {resource.id for resource in resources if resource.kind not in {"SshCertificate", "BackupRestore"}}


def secrets(emulator: Emulator, resources: Iterable[HostedResource]) -> Iterator[str]:
    """Return the secrets that no text may contain: the key, and the secret outputs."""
    yield emulator.key
    for resource in resources:
        for name in ("config", "private_key"):
            text = resource.outs.get(name)
            if isinstance(text, str):
                # One line of a secret is as bad as all of it.
                yield from (line for line in text.splitlines() if len(line) > 40)
