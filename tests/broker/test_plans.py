"""What does a plan derive, and what does it only report? Each change is applied with the permits of its own plan."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from stacks_pulumi.emulator import Emulator
from tests.broker.conftest import Bench
from tests.broker.test_workflow import Machine
from tests.support.clock import fast_clock
from tests.support.stack import Stack
from tools.engine.ensure import ensure

pytestmark = pytest.mark.engine

ALL: Final = """
web = stacks.Container("web", template="nodejs", external_access=True)
data = stacks.Container("data", template="postgresql")
vpn = stacks.Container("vpn", template="stacks-vpn")
stacks.Connection("primary", source=web, target=data)
stacks.AllowedIp("office", container=web, ip_address="198.51.100.9", description="office", revoke_auto_added=True)
pin = stacks.PinnedBackup("pin", container=data)
stacks.SshCertificate("shell", container=web)
stacks.VpnClient("laptop", container=vpn)
"""
UPDATED: Final = """
web = stacks.Container("web", template="nodejs", external_access=True, restart_triggers=["1"])
data = stacks.Container("data", template="postgresql", desired_status="running")
vpn = stacks.Container("vpn", template="stacks-vpn")
stacks.Connection("primary", source=web, target=data, restart_source=False)
stacks.AllowedIp("office", container=web, ip_address="198.51.100.9", description="the office", service_type="http")
pin = stacks.PinnedBackup("pin", container=data, on_delete="delete")
stacks.SshCertificate("shell", container=web, rotate_triggers=["1"])
stacks.VpnClient("laptop", container=vpn, store_config=False)
"""
REPLACED: Final = """
web = stacks.Container("web", template="nodejs", external_access=True, restart_triggers=["1"])
data = stacks.Container("data", template="postgresql", desired_status="running")
vpn = stacks.Container("vpn", template="stacks-vpn")
stacks.Connection("primary", source=web, target=data, name="second")
stacks.AllowedIp("office", container=web, ip_address="198.51.100.10", description="the office")
pin = stacks.PinnedBackup("pin", container=data, triggers=["1"])
stacks.SshCertificate("shell", container=web, rotate_triggers=["1"])
stacks.VpnClient("laptop", container=vpn, rotate_triggers=["1"])
stacks.BackupRestore("restore", backup_id=pin.backup_id)
"""
RESIZED: Final = """
web = stacks.Container("web", template="nodejs", plan="standard", external_access=True, replace_on_change=True)
data = stacks.Container("data", template="postgresql", desired_status="running")
vpn = stacks.Container("vpn2", template="stacks-vpn", replace_on_change=True)
stacks.Connection("primary", source=web, target=data, name="second")
stacks.AllowedIp("office", container=web, ip_address="198.51.100.10", description="the office")
stacks.SshCertificate("shell", container=web)
stacks.VpnClient("laptop", container=vpn)
"""
CLOSED: Final = """
web = stacks.Container("web", template="nodejs", plan="standard", external_access=False, desired_status="stopped")
data = stacks.Container("data", template="postgresql", desired_status="running")
there = stacks.Container("there", template="redis", adopt="if_matching")
"""


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator(boot_seconds=1, clock=fast_clock()) as api:
        yield api


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    return Stack(tmp_path / "stack", ensure().bin, {})


@pytest.mark.parametrize("host", ["dynamic", "native"])
def test_every_input_of_every_kind_changes_with_the_permits_of_its_own_plan(
    bench: Bench, stack: Stack, host: str
) -> None:
    """Cases 4 to 11: nothing that a plan derived is missing when its change is applied."""
    if host == "native":
        stack.native()
    bench.made("there", template="redis", backups=1)
    (other,) = bench.emulator.state.backups
    planner = Machine("planner", stack, bench.url, bench.reader(secrets=("certificate", "vpn-config")).token)
    change = stack.folder.parent / "change.json"
    for number, program in enumerate((ALL, UPDATED, REPLACED, RESIZED, CLOSED, "")):
        stack.program(program, host=host)
        planner.checkout()
        said = planner.gate("plan", "--gate", bench.url, "--out", str(change), "-s", "dev", code=3)
        answer = bench.hand_in(change.read_text(encoding="utf-8"), "ann")
        assert answer.status_code == 201, answer.text
        account = {"STACKS_BASE_URL": bench.url, "STACKS_API_KEY": answer.json()["token"]}
        stack.env.update(account)

        stack.up(quiet_afterwards=False)

        refused = [line for line in bench.journal() if line["status"] in {401, 402, 403}][2 * number :]
        assert not refused, (number, refused, said)
        # Case 9: the backup of another container is neither restored nor pinned, whatever backups the change has.
        token = bench.client(answer.json()["token"])
        assert {token("POST", f"/backups/{other}/{what}").status_code for what in ("restore", "pin")} == {403}
    assert bench.names == []
