"""
The type tokens of the STACKS resources, as the engine, a state file and a policy see them.

They are part of the state format and never change. They are repeated here, so that code that reads a preview or a
stack need not import the resources or Pulumi.
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
"""The names of the STACKS resources."""

MARKER: Final = "stacks_kind"
"""The input in which `check` stores the kind of a resource, because a program can give it any type."""

DYNAMIC: Final = "pulumi-python:dynamic/stacks:"
"""The type prefix of the dynamic STACKS resources."""

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
"""The type of the root resource of every stack, the first one that a policy sees."""
