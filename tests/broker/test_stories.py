"""
A stack's life, in which each `up` uses a grant from its own preview.

The table of permits is complete if nothing is refused. A request that is not in the preview is not in the grant.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from stacks_pulumi.emulator import Emulator
from tests.support import emulators
from tests.support.accounts import addresses
from tests.support.granted import Brokers, GrantedStack
from tests.support.stack import Result
from tools.engine.ensure import ensure

pytestmark = pytest.mark.engine

# The native program uses the same Python, so its preview differs only in names.
HOSTS: Final = ["dynamic", pytest.param("native", marks=pytest.mark.extra)]
FAMILY: Final = """
web = stacks.Container("web", template="nodejs", external_access=True, replace_on_change=True{web})
data = stacks.Container("data", template="redis"{data})
vpn = stacks.Container("vpn", template="stacks-vpn")
stacks.Connection("link", source=web, target=data, name="{link}"{restart})
stacks.AllowedIp("office", container=web, ip_address="{address}", description="{office}"{revoke})
stacks.SshCertificate("key", container=web{key})
pin = stacks.PinnedBackup("pin", container=data{pin})
stacks.VpnClient("laptop", container=vpn, name="{laptop}"{client})
"""
FIRST: Final = {
    **dict.fromkeys(("web", "data", "restart", "revoke", "key", "pin", "client"), ""),
    "link": "primary",
    "address": "198.51.100.9",
    "office": "office",
    "laptop": "laptop",
}
RESTORE: Final = 'stacks.BackupRestore("restore", backup_id=pin.backup_id, triggers=["{}"])\n'
UPDATES: Final = {
    "web": ', restart_triggers=["1"]',
    "data": ', desired_status="running"',
    "link": "secondary",
    "office": "the office",
    "revoke": ', service_type="http", revoke_auto_added=True',
    "key": ', rotate_triggers=["1"]',
    "pin": ', on_delete="delete"',
    "laptop": "phone",
    "client": ", store_config=False",
}
"""For each kind, an input that can change without a replacement of the container."""
ADOPTS: Final = """
stacks.Container("web", template="nodejs", external_access=False, desired_status="stopped", plan="standard")
stacks.Container("old", template="nodejs", desired_status="running", adopt="if_matching")
"""


emulator = emulators.for_stacks


@pytest.mark.parametrize("host", HOSTS)
def test_the_life_of_a_stack_of_every_kind(tmp_path: Path, emulator: Emulator, host: str) -> None:
    with Brokers(tmp_path) as brokers:
        stack = GrantedStack(brokers, emulator, emulator.key, tmp_path / "stack", ensure().bin, host=host)
        bench = stack.bench

        def up(program: str) -> Result:
            stack.program(program)
            return stack.up(quiet_afterwards=False)

        emulator.load([{"name": "old", "template": "nodejs", "plan": "basic", "status": "stopped"}])
        up(FAMILY.format_map(FIRST) + RESTORE.format(1))
        assert bench.names == ["data", "old", "vpn", "web"]

        # Each kind is updated, or replaced without its container; the restore happens again.
        changed = {**FIRST, **UPDATES}
        result = up(FAMILY.format_map(changed) + RESTORE.format(2))
        assert {name for _, name in result.order()} == {
            *("web", "data", "link", "office", "key", "pin", "laptop", "restore"),
        }
        assert [one.name for one in emulator.state.connections.values()] == ["secondary"]

        # A replacement that keeps the name, with children of all possible kinds.
        before = bench.listed(f"{emulator.account}-web")
        changed |= {"web": ', plan="standard"', "address": "198.51.100.10"}
        stack.program(FAMILY.format_map(changed) + RESTORE.format(2))
        with stack.granted(stack.planned()) as token:
            result = stack.up(quiet_afterwards=False)
        assert {("delete-replaced", "web"), ("create-replacement", "web")} <= {*result.order()}
        after = bench.listed(before["id"])
        assert (before["plan"], after["plan"], before["created_at"] == after["created_at"]) == (
            "basic",
            "standard",
            False,
        )
        assert addresses(emulator, "web").keys() == {"198.51.100.10"}

        # The live container of that name is adopted, and no create is permitted.
        stack.program(ADOPTS)
        needed = stack.planned()
        assert needed is not None
        assert not [one for one in needed.permits if one.endpoint == "containers.create"]
        with stack.granted(needed):
            # The engine also treats objects that were deleted outside in the meantime as gone.
            emulator.drift.disconnect("web", "secondary")
            emulator.drift.delete("vpn")
            stack.up(quiet_afterwards=False)
        assert bench.names == ["old", "web"]
        assert bench.listed(f"{emulator.account}-old")["status"] == "running"
        assert (bench.listed(after["id"])["status"], addresses(emulator, "web")) == ("stopped", {})

        # The grant owns the new container, and the old container is not deleted twice.
        client, deletions = bench.client(token), emulator.calls("containers.delete")
        assert client("DELETE", f"/containers/{before['id']}").status_code == 200
        assert client("DELETE", f"/containers/{before['id']}").headers["x-broker"] == "replay"
        assert emulator.calls("containers.delete") == deletions + 1
