"""Every kind of resource, by its name."""

from __future__ import annotations

from typing import Final

from stacks_pulumi.resources._handler import Provider
from stacks_pulumi.resources.allowed_ip import AllowedIpProvider
from stacks_pulumi.resources.backup_restore import BackupRestoreProvider
from stacks_pulumi.resources.connection import ConnectionProvider
from stacks_pulumi.resources.container import ContainerProvider
from stacks_pulumi.resources.pinned_backup import PinnedBackupProvider
from stacks_pulumi.resources.ssh_certificate import SshCertificateProvider
from stacks_pulumi.resources.vpn_client import VpnClientProvider

__all__ = ["KINDS"]

KINDS: Final[dict[str, type[Provider]]] = {
    provider.kind: provider
    for provider in (
        AllowedIpProvider,
        BackupRestoreProvider,
        ConnectionProvider,
        ContainerProvider,
        PinnedBackupProvider,
        SshCertificateProvider,
        VpnClientProvider,
    )
}
"""Every kind, by the name that `stacks_pulumi.provider_for` takes."""
