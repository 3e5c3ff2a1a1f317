"""
The type tokens of our resources, as an engine, a state file and a policy see them.

They are a state format and never change. They are repeated here, because judging a preview or a stack needs
neither the resources nor Pulumi.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "ALLOWED_IP",
    "BACKUP_RESTORE",
    "CONNECTION",
    "CONTAINER",
    "DYNAMIC",
    "KINDS",
    "MARKER",
    "NATIVE",
    "PACKAGE",
    "PINNED_BACKUP",
    "SSH_CERTIFICATE",
    "STACK",
    "VPN_CLIENT",
]

KINDS: Final = (
    "AllowedIp",
    "BackupRestore",
    "Connection",
    "Container",
    "PinnedBackup",
    "SshCertificate",
    "VpnClient",
)
"""The names of our resources."""

MARKER: Final = "stacks_kind"
"""The input in which `check` writes the kind of a resource, whatever type its program gave it."""

DYNAMIC: Final = "pulumi-python:dynamic/stacks:"
"""The type prefix of our dynamic resources."""

PACKAGE: Final = "stacks:"
"""The type prefix of the native plugin's package."""

NATIVE: Final = f"{PACKAGE}index:"
"""The type prefix of the native plugin's resources."""

ALLOWED_IP: Final = f"{DYNAMIC}AllowedIp"
BACKUP_RESTORE: Final = f"{DYNAMIC}BackupRestore"
CONNECTION: Final = f"{DYNAMIC}Connection"
CONTAINER: Final = f"{DYNAMIC}Container"
PINNED_BACKUP: Final = f"{DYNAMIC}PinnedBackup"
SSH_CERTIFICATE: Final = f"{DYNAMIC}SshCertificate"
VPN_CLIENT: Final = f"{DYNAMIC}VpnClient"

STACK: Final = "pulumi:pulumi:Stack"
"""The root of every stack: the first resource that a policy sees."""
