"""Test the program on a real engine and the emulated API: the containers of a deploy, and a lost response."""

from pathlib import Path

import pytest
from pulumi import automation
from shop import declare

from stacks_pulumi.emulator import Emulator
from stacks_pulumi.testing import stacks_emulator, stacks_environment

__all__ = ["stacks_emulator", "stacks_environment"]


@pytest.fixture
def stack(stacks_environment: Emulator, tmp_path: Path) -> automation.Stack:
    """
    A separate stack of the program, with its state in a temporary folder.

    Nothing is destroyed at the end, because account and state are thrown away: `protect=True` is no obstacle.
    """
    options = automation.LocalWorkspaceOptions(
        env_vars={
            "PULUMI_BACKEND_URL": f"file://{tmp_path}",
            "PULUMI_CONFIG_PASSPHRASE": "test",
            "STACKS_API_KEY": stacks_environment.key,
            "STACKS_BASE_URL": stacks_environment.url,
        },
    )
    return automation.create_stack("test", project_name="shop", program=declare, opts=options)


def test_a_lost_response_creates_no_second_container(
    stack: automation.Stack, stacks_environment: Emulator
) -> None:
    stacks_environment.faults.add("containers.create", "drop_after")

    result = stack.up()

    assert sorted(found.name for found in stacks_environment.state.containers.values()) == [
        "shop",
        "shop-db",
    ]
    assert result.outputs["database"].secret
    assert result.outputs["url"].value

    stack.destroy()

    assert stacks_environment.state.containers == {}
