"""The package's fixtures for users' tests."""

from __future__ import annotations

from stacks_pulumi import config
from stacks_pulumi.api import StacksClient
from stacks_pulumi.emulator import Emulator
from stacks_pulumi.testing import stacks_emulator, stacks_environment

__all__ = ["stacks_emulator", "stacks_environment"]


def test_the_environment_points_a_client_to_the_emulator(stacks_environment: Emulator) -> None:
    settings = config.load()

    with StacksClient(settings.require_key(), base_url=settings.base_url) as client:
        client.containers.create(name="web", template="nodejs")

    assert stacks_environment.calls("containers.create") == 1
