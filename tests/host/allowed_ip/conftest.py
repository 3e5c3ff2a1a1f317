"""What the tests of AllowedIp start from."""

from __future__ import annotations

from typing import Any

import pytest

from stacks_pulumi.emulator import Emulator
from tests.support.accounts import running
from tests.support.host import Host, HostedResource

CALLER = "203.0.113.45"
OFFICE = "198.51.100.0/24"
AUTO_ADDED = ("Your IP (Auto-added)", "both")


@pytest.fixture
def web(emulator: Emulator) -> str:
    """Id of a container that can be reached from outside, by its maker so far."""
    id_ = running(emulator, "web")
    emulator.drift.set_external_access("web", enabled=True)
    return id_


@pytest.fixture
def office(host: Host, web: str) -> HostedResource:
    """An address that is not in the list yet."""
    return host.resource("AllowedIp", "office")


def inputs(web: str, **more: Any) -> dict[str, Any]:
    """What most tests ask for."""
    return {"container": web, "ip_address": OFFICE, **more}
