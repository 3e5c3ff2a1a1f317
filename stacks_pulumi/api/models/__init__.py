"""
The API's data as types: frozen, with fields in snake_case. A field that an answer does not contain is `None`.

`(guide, "List Containers")` in a docstring names a section of the API guide, https://docs.stackshosting.cloud.
"""

from __future__ import annotations

from stacks_pulumi.api.models._listing import Listing
from stacks_pulumi.api.models.access import AllowedIp, ExternalAccess
from stacks_pulumi.api.models.backup import Backup, BackupStats
from stacks_pulumi.api.models.connection import Connection, Connections, Target, Targets
from stacks_pulumi.api.models.container import Container, Template
from stacks_pulumi.api.models.credentials import Credentials
from stacks_pulumi.api.models.metrics import Metrics, Point
from stacks_pulumi.api.models.vpn import VpnClient

__all__ = [
    "AllowedIp",
    "Backup",
    "BackupStats",
    "Connection",
    "Connections",
    "Container",
    "Credentials",
    "ExternalAccess",
    "Listing",
    "Metrics",
    "Point",
    "Target",
    "Targets",
    "Template",
    "VpnClient",
]
