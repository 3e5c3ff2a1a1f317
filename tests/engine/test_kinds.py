"""All objects of a container on the real engine: order, secrets, drift, changes and deletion."""

from __future__ import annotations

import json

from stacks_pulumi.emulator import Emulator
from stacks_pulumi.emulator.contents import private_key
from tests.support.accounts import addresses, fewest_addresses
from tests.support.contents import contents, managed
from tests.support.stack import Stack

CONTAINERS = """
app = stacks.Container("app", template="nodejs", external_access=True)
sql = stacks.Container("sql", template="postgresql")
cache = stacks.Container("cache", template="redis")
vpn = stacks.Container("vpn", template="stacks-vpn")
"""
ODD = "Ann's laptop / home"
CHILDREN = f"""
stacks.AllowedIp("office", container=app, ip_address="{{address}}", revoke_auto_added=True)
both = pulumi.ResourceOptions(depends_on=[sql, cache])
link = stacks.Connection("link", both, source=app, target={{target}}, name="primary db")
stacks.Connection("cache-link", both, source=app, target=cache)
device = stacks.VpnClient("laptop", container=vpn, name={json.dumps(ODD)}, rotate_triggers=["{{turn}}"])
stacks.VpnClient("phone", container=vpn, store_config=False)
backup = stacks.PinnedBackup("backup", container=sql, triggers=["{{turn}}"])
stacks.PinnedBackup("other", container=sql, on_delete="delete")
stacks.BackupRestore("restore", backup_id=backup.backup_id)
key = stacks.SshCertificate("key", container=app, rotate_triggers=["{{turn}}"])
pulumi.export("address", link.connection_string)
pulumi.export("config", device.config)
pulumi.export("key", key.private_key)
"""
FIRST = {"address": "198.51.100.0/24", "target": "sql", "turn": 1}
SECOND = {"address": "2001:DB8::/48", "target": "cache", "turn": 2}
DELETIONS = (
    *("containers.external_access", "connections.delete", "vpn_clients.remove"),
    *("backups.unpin", "backups.delete"),
)


def secret_lines(emulator: Emulator, stack: Stack) -> list[str]:
    """Return lines of the current secrets, which the outputs must contain."""
    key = private_key(emulator.state, emulator.state.container("app"))
    told = stack.outputs(secrets=True)
    assert told["key"] == key
    return [*key.splitlines()[1:-1], told["config"].partition("PrivateKey = ")[2].partition("\n")[0]]


def test_the_life_of_every_child(stack: Stack, emulator: Emulator) -> None:
    stack.program(CONTAINERS + CHILDREN.format(**FIRST))
    assert "all data that its container has written since that backup is lost" in stack.preview().text

    made = [name for op, name in stack.up().order() if op == "create"]

    assert made.index("link") > max(map(made.index, ("app", "sql", "cache")))
    assert made.index("restore") > made.index("backup") > made.index("sql")
    assert stack.ids() == managed(emulator)
    assert addresses(emulator, "app").keys() == {"198.51.100.0/24"}
    # Two connections of one container restart it once; two backups of one container are two backups.
    assert emulator.calls("containers.set_status") == 1
    assert set(emulator.state.backups) == {1, 2}
    (restored,) = emulator.state.container("sql").restored
    assert restored == stack.resources()["backup"]["outputs"]["backup_id"]
    # Only stored secrets are downloaded.
    assert emulator.calls("vpn_clients.config") == 1

    # A value that may contain a password is encrypted in the state, and so are values computed from it.
    assert set(stack.outputs().values()) == {"[secret]"}
    assert stack.outputs(secrets=True)["address"].startswith("postgresql://")
    state = {name: found["outputs"] for name, found in stack.resources().items()}
    encrypted = {"link": "environment_variables", "laptop": "config", "key": "private_key"}
    assert all("ciphertext" in state[name][output] for name, output in encrypted.items())
    assert "config" not in state["phone"]
    secrets = secret_lines(emulator, stack)
    assert not any(text in stack.export() for text in (*secrets, "postgresql://", "POSTGRES_"))

    # After a change outside, a refresh finds it, and the next `up` corrects it.
    emulator.drift.allow_ip("app", "192.0.2.7")
    emulator.drift.remove_ip("app", "198.51.100.0/24")
    emulator.drift.disconnect("app", "cache-link")
    emulator.drift.remove_vpn_client("vpn", "phone")
    emulator.drift.unpin(restored)
    emulator.drift.delete_backup(3 - restored)
    emulator.state.container("app").certificate_serial += 1
    stack.refresh(drift=True)
    corrected = set(stack.up(quiet_afterwards=False).order())
    assert corrected == {
        ("update", "backup"),
        *(("create", name) for name in ("office", "cache-link", "phone", "other")),
    }
    secrets += secret_lines(emulator, stack)
    emulator.drift.remove_ip("app", "192.0.2.7")

    # An object that can exist twice is created before the old one is deleted; an object with a unique name is created
    # afterwards.
    stack.program(CONTAINERS + CHILDREN.format(**SECOND))
    changed = stack.up(quiet_afterwards=False)
    for name in ("office", "backup"):
        assert changed.steps(name) == ["create-replacement", "replace", "delete-replaced"]
    for name in ("link", "laptop"):
        assert changed.steps(name) == ["delete-replaced", "replace", "create-replacement"]
    assert (changed.steps("key"), changed.steps("restore")) == (["update"], ["update"])
    assert addresses(emulator, "app").keys() == {"2001:db8::/48"}
    assert fewest_addresses(emulator, 1) == 1
    assert emulator.state.container("sql").restored == [restored, 4]
    secrets += secret_lines(emulator, stack)

    # After their removal from the program, each is deleted, and the last address closes the access that the program
    # wants open.
    before = {name: emulator.calls(name) for name in DELETIONS}
    stack.program(CONTAINERS)
    removed = stack.up(quiet_afterwards=False)
    assert "external access was turned off instead" in removed.text
    assert {name: emulator.calls(name) - calls for name, calls in before.items()} == {
        "containers.external_access": 1,
        "connections.delete": 2,
        "vpn_clients.remove": 2,
        "backups.unpin": 1,
        "backups.delete": 1,
    }
    stack.refresh(drift=True)
    assert stack.up(quiet_afterwards=False).order() == [("update", "app")]

    stack.destroy()
    assert contents(emulator)["containers"] == []
    assert not any(text in stack.said() for text in (*secrets, "PrivateKey", "postgresql://"))
