"""Fixtures for the tests of Container."""

from __future__ import annotations

import pytest

from stacks_pulumi.api import StacksClient
from stacks_pulumi.emulator import Emulator
from tests.support.host import Host, HostedResource


@pytest.fixture
def web(host: Host) -> HostedResource:
    """Return the resource of a container that does not exist yet."""
    return host.resource("Container", "web")


@pytest.fixture
def there(emulator: Emulator) -> str:
    """Return the id of a container that another client has created."""
    with StacksClient(emulator.key, base_url=emulator.url) as client:
        return client.containers.create(name="web", template="nodejs", plan="basic").id
