"""Fixtures for the tests of AllowedIp."""

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
    """Return the id of a container with external access; only its creator's address is allowed."""
    id_ = running(emulator, "web")
    emulator.drift.set_external_access("web", enabled=True)
    return id_


@pytest.fixture
def office(host: Host, web: str) -> HostedResource:
    """Return the resource of an address that is not in the list yet."""
    return host.resource("AllowedIp", "office")


def inputs(web: str, **more: Any) -> dict[str, Any]:
    """Return the inputs that most tests use."""
    return {"container": web, "ip_address": OFFICE, **more}
