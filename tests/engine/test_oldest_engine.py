"""One story of every kind on the oldest engine that is supported, while all other tests run on the newest."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from stacks_pulumi.emulator import Emulator
from tests.support.contents import contents, managed
from tests.support.stack import Stack
from tools.engine import pins
from tools.engine.ensure import ensure_oldest

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
    """Let all stacks of this file use it."""
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
    assert "3 containers in this preview: $" in stack.preview().text
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
