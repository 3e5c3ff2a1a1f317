"""The handlers of all kinds of resources."""

from __future__ import annotations

from typing import Final

from stacks_pulumi.resources._handler import ResourceHandler
from stacks_pulumi.resources.allowed_ip import AllowedIpHandler
from stacks_pulumi.resources.backup_restore import BackupRestoreHandler
from stacks_pulumi.resources.connection import ConnectionHandler
from stacks_pulumi.resources.container import ContainerHandler
from stacks_pulumi.resources.pinned_backup import PinnedBackupHandler
from stacks_pulumi.resources.ssh_certificate import SshCertificateHandler
from stacks_pulumi.resources.vpn_client import VpnClientHandler

HANDLERS: Final[dict[str, type[ResourceHandler]]] = {
    handler.kind: handler
    for handler in (
        AllowedIpHandler,
        BackupRestoreHandler,
        ConnectionHandler,
        ContainerHandler,
        PinnedBackupHandler,
        SshCertificateHandler,
        VpnClientHandler,
    )
}
"""The handler class of each kind, by the name that `stacks_pulumi.provider_for` takes."""
