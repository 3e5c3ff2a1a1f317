"""What the program does, on a real engine and the emulated API: what is created, and what a lost response leaves."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pulumi import automation
from shop import declare

from stacks_pulumi.emulator import Emulator
from stacks_pulumi.testing import stacks_emulator, stacks_environment

__all__ = ["stacks_emulator", "stacks_environment"]


@pytest.fixture
def stack(stacks_environment: Emulator, tmp_path: Path) -> Iterator[automation.Stack]:
    """The program as a stack of its own, whose state is in a temporary folder."""
    options = automation.LocalWorkspaceOptions(
        env_vars={
            "PULUMI_BACKEND_URL": f"file://{tmp_path}",
            "PULUMI_CONFIG_PASSPHRASE": "test",
            "STACKS_API_KEY": stacks_environment.key,
            "STACKS_BASE_URL": stacks_environment.url,
        },
    )
    stack = automation.create_stack("test", project_name="shop", program=declare, opts=options)
    yield stack
    stack.destroy()
    assert stacks_environment.state.containers == {}


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
