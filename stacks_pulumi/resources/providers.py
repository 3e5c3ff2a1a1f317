"""
The one name by which a stack's state refers to our providers.

Frozen: every state that was ever written says `stacks_pulumi.provider_for("<kind>")`. A kind may get another
class, and never another name.
"""

from __future__ import annotations

from typing import Final

from stacks_pulumi.resources._base import Provider
from stacks_pulumi.resources.allowed_ip import AllowedIpProvider
from stacks_pulumi.resources.backup_restore import BackupRestoreProvider
from stacks_pulumi.resources.connection import ConnectionProvider
from stacks_pulumi.resources.container import ContainerProvider
from stacks_pulumi.resources.pinned_backup import PinnedBackupProvider
from stacks_pulumi.resources.ssh_certificate import SshCertificateProvider
from stacks_pulumi.resources.vpn_client import VpnClientProvider

__all__ = ["KINDS", "provider_for"]

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
"""Every kind of resource, by its name."""


def provider_for(kind: str) -> Provider:
    """
    The provider of a kind of resource.

    Args:
        kind: The resource's name, for instance `Container`.

    Raises:
        LookupError: The kind is unknown. A newer version of this package wrote the state.
    """
    try:
        return KINDS[kind]()
    except KeyError:
        msg = f"this version of stacks-pulumi knows no resource {kind!r}: a newer one wrote the state, install that"
        raise LookupError(msg) from None


# A state says `stacks_pulumi.provider_for`, wherever the function is defined.
provider_for.__module__ = "stacks_pulumi"
