"""
Passwords, private keys and configurations that look like real ones but give no access.

All of them are derived from the seed and are never stored.
"""

from __future__ import annotations

import base64
import textwrap

from stacks_pulumi.emulator.state import Container, State, VpnClient

__all__ = ["password", "private_key", "wireguard"]

_KIND = "OPENSSH PRIVATE KEY"


def password(state: State, container: Container) -> str:
    """Return the password of a container's main user."""
    return state.derive("password", container.id)[:24]


def private_key(state: State, container: Container) -> str:
    """Return a PEM block whose content states that it is not a key; a new one after every regeneration."""
    digits = state.derive("certificate", container.id, container.certificate_serial)
    content = f"This is not a key: the emulator made it for {container.id}. {digits * 4}"
    lines = textwrap.wrap(base64.b64encode(content.encode()).decode(), 70)
    # Assembled here, so that scanners for leaked keys do not report this file.
    return "\n".join((f"-----BEGIN {_KIND}-----", *lines, f"-----END {_KIND}-----", ""))


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
