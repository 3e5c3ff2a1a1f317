"""
The type tokens of our resources, as an engine, a state file and a policy see them.

They are a state format and never change. They are written out here, because judging a preview or a stack needs
neither the resources nor Pulumi.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "ALLOWED_IP",
    "BACKUP_RESTORE",
    "CONNECTION",
    "CONTAINER",
    "PINNED_BACKUP",
    "PREFIX",
    "SSH_CERTIFICATE",
    "STACK",
    "VPN_CLIENT",
]

PREFIX: Final = "pulumi-python:dynamic/stacks:"
"""What the tokens of all our resources begin with."""

ALLOWED_IP: Final = f"{PREFIX}AllowedIp"
BACKUP_RESTORE: Final = f"{PREFIX}BackupRestore"
CONNECTION: Final = f"{PREFIX}Connection"
CONTAINER: Final = f"{PREFIX}Container"
PINNED_BACKUP: Final = f"{PREFIX}PinnedBackup"
SSH_CERTIFICATE: Final = f"{PREFIX}SshCertificate"
VPN_CLIENT: Final = f"{PREFIX}VpnClient"

STACK: Final = "pulumi:pulumi:Stack"
"""The root of every stack: what a policy of resources sees first."""
