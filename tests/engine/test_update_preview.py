"""The preview of updates on the real engine: `up` follows a plan of each kind of update, and no plan contains a key."""

from __future__ import annotations

from pathlib import Path

import pytest

from stacks_pulumi.emulator import Emulator
from tests.support.stack import Result, Stack

EVERY_UPDATE = """
first = {first}
pick = lambda before, after: before if first else after
app = stacks.Container("app", template="nodejs", external_access=True, restart_triggers=[pick("1", "2")])
web = stacks.Container("web", template="nodejs", external_access=pick(True, False))
sql = stacks.Container("sql", template="postgresql", external_access=pick(False, True))
idle = stacks.Container("idle", template="redis", desired_status=pick("running", "stopped"))
vpn = stacks.Container("vpn", template="stacks-vpn")
stacks.Connection("orders", source=app.id, target=sql.id, name=pick("orders", "sales"))
stacks.AllowedIp("office", container=app.id, ip_address="198.51.100.0/24", description=pick("office", "new office"))
stacks.AllowedIp("home", container=app.id, ip_address="203.0.113.9", service_type=pick("http", "tcp"))
stacks.AllowedIp("cafe", container=app.id, ip_address="203.0.113.8", revoke_auto_added=pick(False, True))
key = stacks.SshCertificate("key", container=app.id, rotate_triggers=[pick("1", "2")])
kept = stacks.PinnedBackup("kept", container=sql.id, on_delete=pick("unpin", "keep"))
made = stacks.PinnedBackup("made", container=sql.id, triggers=[pick("1", "2")])
stacks.BackupRestore("restored", backup_id=made.backup_id)
stacks.BackupRestore("again", backup_id=kept.backup_id, triggers=[pick("1", "2")])
laptop = stacks.VpnClient("laptop", container=vpn.id, rotate_triggers=[key.private_key, "each key"])
phone = stacks.VpnClient("phone", container=vpn.id, store_config=pick(False, True))
watch = stacks.VpnClient("watch", container=vpn.id, rotate_triggers=[idle.status])
tablet = stacks.VpnClient("tablet", container=vpn.id, store_config=pick(True, False))
stacks.SshCertificate("other", container=web.id, rotate_triggers=[phone.config, laptop.config])
pulumi.export("keys", [key.private_key, phone.config])
pulumi.export("places", {{"app": app.url, "sql": sql.url, "status": idle.status, "backup": made.backup_id}})
"""

UPDATED = {
    "app",
    "web",
    "sql",
    "idle",
    "office",
    "home",
    "cafe",
    "key",
    "kept",
    "restored",
    "again",
    "phone",
    "tablet",
}
REPLACED = {"orders", "made", "laptop", "watch"}


@pytest.fixture
def planned(stack: Stack, host: str) -> Stack:
    """A stack on a host, whose previews can be saved as plans and followed."""
    stack.env["PULUMI_EXPERIMENTAL"] = "1"
    if host == "native":
        stack.native()
    return stack


def plan(stack: Stack) -> tuple[Result, Path]:
    """Run a preview and return it with its plan."""
    path = stack.folder / "plan.json"
    path.unlink(missing_ok=True)
    return stack.preview("--save-plan", str(path)), path


@pytest.mark.parametrize("host", [pytest.param("dynamic", marks=pytest.mark.extra), "native"])
def test_up_follows_the_plan_of_every_kind_of_update_and_no_plan_has_a_key(
    planned: Stack, host: str, emulator: Emulator
) -> None:
    planned.program(EVERY_UPDATE.format(first=True), host=host)
    _, path = plan(planned)
    planned.up("--plan", str(path), quiet_afterwards=False)
    planned.program(EVERY_UPDATE.format(first=False), host=host)

    preview, path = plan(planned)
    text = path.read_text(encoding="utf-8")
    result = planned.up("--plan", str(path), quiet_afterwards=False)

    assert {name for op, name in result.order() if op == "update"} >= UPDATED
    assert {name for op, name in result.order() if op == "replace"} == REPLACED
    assert set(result.order()) <= set(preview.order())
    assert planned.up(quiet_afterwards=False).changes == {}
    for key in ("PRIVATE KEY", "PrivateKey", emulator.key):
        assert key not in text + planned.said()


FOLLOWER = """
vpn = stacks.Container("vpn", template="stacks-vpn"{more})
stacks.VpnClient("laptop", container=vpn.id, rotate_triggers=[vpn.status])
"""


@pytest.mark.parametrize("host", ["native"])
def test_a_replacement_that_proves_to_be_needless_ends_a_plan_with_an_error(
    planned: Stack, host: str
) -> None:
    """The engine accepts a no-op instead of an update, but not instead of a replacement."""
    planned.program(FOLLOWER.format(more=""), host=host)
    planned.up(quiet_afterwards=False)
    planned.program(FOLLOWER.format(more=', restart_triggers=["1"]'), host=host)

    preview, path = plan(planned)
    result = planned.up_fails("--plan", str(path))

    assert preview.steps("laptop") == ["delete-replaced", "replace", "create-replacement"]
    assert result.steps("vpn") == ["update"]
    assert result.steps("laptop") == []
    assert "expected resource operations for" in result.text
    # Everything was done, so a run without the plan changes nothing.
    assert planned.up(quiet_afterwards=False).changes == {}
