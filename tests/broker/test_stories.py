"""
A stack's life, in which each `up` uses a grant from its own preview.

The table of permits is complete if nothing is refused. A request that is not in the preview is not in the grant.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec
import pytest

from stacks_pulumi.api import StacksClient
from stacks_pulumi.config import AccountSettings
from stacks_pulumi.emulator import Emulator
from stacks_pulumi.gate import permits, preview
from tests.broker.conftest import Bench
from tests.support import emulators
from tests.support.accounts import addresses
from tests.support.stack import Result, Stack
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


emulator = emulators.for_stacks


class Story:
    """A stack in which each `up` has a grant for its preview, signed by ann."""

    def __init__(self, bench: Bench, folder: Path, host: str) -> None:
        self.bench, self.host = bench, host
        self.stack = Stack(folder, ensure().bin, {})
        self.stack.env["STACKS_BASE_URL"] = bench.url
        self._reader = bench.reader(secrets=["certificate"]).token
        if host == "native":
            self.stack.native()

    def planned(self, program: str) -> permits.Needed:
        """Return the permits that the preview of a program needs."""
        self.stack.env["STACKS_API_KEY"] = self._reader
        self.stack.program(program, host=self.host)
        said = self.stack.cli(*preview.OPTIONS)
        with StacksClient.of(AccountSettings(api_key=self._reader, base_url=self.bench.url)) as client:
            rows = client.containers.list()
        return permits.needed(preview.read(said.encode(), None).changes, rows)

    def grant(self, needed: permits.Needed) -> None:
        """Hand in only the needed permits."""
        parts = msgspec.to_builtins(needed._asdict())
        change = {**self.bench.change(), **parts}
        answer = self.bench.hand_in(change, "ann")
        assert answer.status_code == 201, answer.text
        self.stack.env["STACKS_API_KEY"] = answer.json()["token"]

    def up(self, program: str) -> Result:
        """Plan, sign and apply a program; no request may be refused."""
        needed = self.planned(program)
        self.grant(needed)
        result = self.stack.up(quiet_afterwards=False)
        # A request that waits for a request of another grant, such as that of the previous `up`, is not refused.
        refused = [row for row in self.bench.journal("refused") if row["decision"] != "refused: grant-busy"]
        assert [(row["method"], row["path"], row["body"]) for row in refused] == []
        return result


@pytest.mark.parametrize("host", HOSTS)
def test_the_life_of_a_stack_of_every_kind(
    bench: Bench, tmp_path: Path, emulator: Emulator, host: str
) -> None:
    story = Story(bench, tmp_path / "stack", host)
    emulator.load([{"name": "old", "template": "nodejs", "plan": "basic", "status": "stopped"}])
    story.up(FAMILY.format_map(FIRST) + RESTORE.format(1))
    assert bench.names == ["data", "old", "vpn", "web"]

    # Each kind is updated, or replaced without its container; the restore happens again.
    changed = {**FIRST, **UPDATES}
    result = story.up(FAMILY.format_map(changed) + RESTORE.format(2))
    assert {name for _, name in result.order()} == {
        *("web", "data", "link", "office", "key", "pin", "laptop", "restore"),
    }
    assert [one.name for one in emulator.state.connections.values()] == ["secondary"]

    # A replacement that keeps the name, with children of all possible kinds.
    before = bench.listed(f"{emulator.account}-web")
    changed |= {"web": ', plan="standard"', "address": "198.51.100.10"}
    result = story.up(FAMILY.format_map(changed) + RESTORE.format(2))
    assert {("delete-replaced", "web"), ("create-replacement", "web")} <= {*result.order()}
    after = bench.listed(before["id"])
    assert (before["plan"], after["plan"], before["created_at"] == after["created_at"]) == (
        "basic",
        "standard",
        False,
    )
    assert addresses(emulator, "web").keys() == {"198.51.100.10"}
    client = bench.client(story.stack.env["STACKS_API_KEY"])

    # The live container of that name is adopted, and no create is permitted.
    adopts = (
        'stacks.Container("web", template="nodejs", external_access=False, desired_status="stopped", plan="standard")\n'
        'stacks.Container("old", template="nodejs", desired_status="running", adopt="if_matching")\n'
    )
    needed = story.planned(adopts)
    assert not [one for one in needed.permits if one.endpoint == "containers.create"]
    story.grant(needed)
    # The engine also treats objects that were deleted outside in the meantime as gone.
    emulator.drift.disconnect("web", "secondary")
    emulator.drift.delete("vpn")
    story.stack.up(quiet_afterwards=False)
    assert bench.names == ["old", "web"]
    assert bench.listed(f"{emulator.account}-old")["status"] == "running"
    assert (bench.listed(after["id"])["status"], addresses(emulator, "web")) == ("stopped", {})
    # The logs would show whether a missing container is only hidden, but a grant cannot read them.
    assert {row["path"].rpartition("/")[2] for row in bench.journal("grant-refused")} <= {"logs"}

    # The grant owns the new container, and the old container is not deleted twice.
    deletions = emulator.calls("containers.delete")
    assert client("DELETE", f"/containers/{before['id']}").status_code == 200
    assert client("DELETE", f"/containers/{before['id']}").headers["x-broker"] == "replay"
    assert emulator.calls("containers.delete") == deletions + 1
