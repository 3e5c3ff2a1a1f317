"""One story of every kind on the oldest supported engine; all other tests run on the newest engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from stacks_pulumi.emulator import Emulator
from tests.support.children import DELETIONS, fails_and_is_given_up, replaced
from tests.support.contents import contents, managed
from tests.support.packs import violations, with_packs
from tests.support.stack import Stack
from tools.engine import pins
from tools.engine.ensure import ensure_oldest

_LEFT = pytest.mark.beyond_a_grant(
    "the preview of this engine shows that a child stays, and its `up` deletes it"
)
FAMILY = """
web = stacks.Container("web", name="{name}", template="nodejs", external_access=True, replace_on_change=True)
sql = stacks.Container("sql", template="postgresql")
vpn = stacks.Container("vpn", template="stacks-vpn")
stacks.AllowedIp("office", container=web, ip_address="198.51.100.7", revoke_auto_added=True)
stacks.Connection("link", source=web, target=sql, name="{link}")
stacks.PinnedBackup("backup", container=sql, triggers=["v1"])
laptop = stacks.VpnClient("laptop", container=vpn)
stacks.SshCertificate("key", container=web)
pulumi.export("wireguard", laptop.config)
"""
MEMBERS = {"web", "sql", "vpn", "office", "link", "backup", "laptop", "key"}
OF_WEB = {"office", "link", "key"}


@pytest.fixture(scope="session")
def oldest_engine() -> Path:
    """Return the folder of the oldest engine's binaries."""
    return ensure_oldest().bin


@pytest.fixture(scope="session")
def engine(oldest_engine: Path) -> Path:
    """Make all stacks of this file use it."""
    return oldest_engine


@pytest.fixture(params=["dynamic", "native"])
def host(request: pytest.FixtureRequest, stack: Stack) -> Iterator[str]:
    """Return the host of the programs."""
    if request.param == "native":
        stack.native()
    yield request.param
    assert stack.cli("version").strip() == f"v{pins.OLDEST}"


def test_every_kind_lives_is_replaced_and_ends(stack: Stack, emulator: Emulator, host: str) -> None:
    program = FAMILY.format(name="web", link="primary")
    stack.program(program, host=host)
    assert "$13.00 a month" in stack.preview().text
    assert stack.up().changes == {"create": len(MEMBERS) + 1}
    assert stack.resources().keys() == MEMBERS
    assert stack.ids() == managed(emulator)

    emulator.drift.set_external_access("web", enabled=False)
    assert stack.refresh(drift=True).changes == {"update": 1, "delete": 1}
    assert stack.up(quiet_afterwards=False).changes == {"update": 1, "create": 1}

    stack.program(program.replace('"web", name="web"', '"web", name="shop"'), host=host)
    made = [name for op, name in stack.up().order() if op == "create-replacement"]
    assert set(made) == {"web", *OF_WEB}
    assert stack.ids() == managed(emulator)

    stack.destroy()
    assert not any(contents(emulator).values())


@_LEFT
def test_children_that_are_left_to_a_replaced_container_delete_themselves(
    stack: Stack, emulator: Emulator
) -> None:
    assert replaced(stack, emulator, "web") == DELETIONS


@_LEFT
def test_a_replacement_that_fails_has_deleted_the_children(stack: Stack, emulator: Emulator) -> None:
    assert fails_and_is_given_up(stack, emulator) == set()


def test_the_waitlist_is_an_error(stack: Stack, emulator: Emulator) -> None:
    stack.program('stacks.Container("web", template="nodejs")')
    emulator.faults.add("containers.create", 503)

    failed = stack.up_fails()

    assert failed.code not in {0, 10}
    (said,) = [text for text in failed.errors if "no-capacity" in text]
    assert "the account is on the waitlist now" in said
    assert stack.resources() == {}


def test_a_policy_pack_refuses(stack: Stack, emulator: Emulator) -> None:
    config = {"allowed-plans": {"allowed": ["basic"]}}
    stack.program('stacks.Container("web", template="nodejs", plan="premium")')

    failed = stack.preview_fails(*with_packs(stack.folder, {"plans": config}, ensure_oldest()))

    assert "web" in violations(failed)["allowed-plans"]
    assert emulator.calls() == 0
