"""
Policy packs for STACKS: which containers are allowed, how much they may cost, and who may connect.

`stacks-pulumi policies` writes the three ready packs `plans`, `spend` and `exposure`. `StacksGuard` builds your own
pack in three lines. `stacks_pulumi.policy.testing` tests ready packs and your own on plain data. `docs/policies.md`
lists all policies.

This package needs the extra `policy` (`docs/install.md`).

- `guard`: Which rules does a pack have, and what do its arguments set?
- `rule`: What does a rule contain, what can it report, and which resources are exempt?
- `options`: How is a rule configured, what does a pack's configuration file contain, and which problems can it have?
- `plans`: Which containers are allowed?
- `spend`: How much may they cost?
- `exposure`: Who may connect, and which containers must be protected?
- `adapter`: How does a rule become a policy of Pulumi's SDK?
- `testing`: How is a pack tested on plain data?
- `_analyzer`: How does a pack run without an engine, and which private parts of the SDK are used?
"""

from __future__ import annotations

from stacks_pulumi.policy.guard import EXPOSURE, PLANS, SPEND, StacksGuard
from stacks_pulumi.policy.options import Settings
from stacks_pulumi.policy.rule import Deferred, NotApplicable, Notice, ResourceRule, StackRule, Violation
from stacks_pulumi.pricing.recognition import (
    ALLOWED_IP,
    BACKUP_RESTORE,
    CONNECTION,
    CONTAINER,
    PINNED_BACKUP,
    SSH_CERTIFICATE,
    UNKNOWN,
    VPN_CLIENT,
)
from stacks_pulumi.pricing.views import (
    AllowedIpView,
    ContainerView,
    PinnedBackupView,
    StackView,
    UnrecognisedView,
    VpnClientView,
)

__all__ = [
    "ALLOWED_IP",
    "BACKUP_RESTORE",
    "CONNECTION",
    "CONTAINER",
    "EXPOSURE",
    "PINNED_BACKUP",
    "PLANS",
    "SPEND",
    "SSH_CERTIFICATE",
    "UNKNOWN",
    "VPN_CLIENT",
    "AllowedIpView",
    "ContainerView",
    "Deferred",
    "NotApplicable",
    "Notice",
    "PinnedBackupView",
    "ResourceRule",
    "Settings",
    "StackRule",
    "StackView",
    "StacksGuard",
    "UnrecognisedView",
    "Violation",
    "VpnClientView",
]
