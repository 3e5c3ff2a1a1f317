"""
With a state from an earlier version, an `up` of the current version changes nothing.

`recorded/<version>.json` contains the state of one program with one resource of each kind. A new version adds its own
with `make test ARGS="tests/engine/test_recorded_states.py --write-docs"`; existing records are never rewritten.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stacks_pulumi import __version__
from stacks_pulumi.emulator import Emulator, backups
from stacks_pulumi.pricing.recognition import CONTAINER, MARKER
from tests.support import beyond_a_grant
from tests.support.accounts import running
from tests.support.recording import play, recorded
from tests.support.stack import Stack

FOLDER = Path(__file__).parent / "recorded"
_RECORDED = sorted(file.stem for file in FOLDER.glob("*.json"))
# `make test` has the oldest version, which differs the most; each second `up` of a test is one of this version.
VERSIONS = [pytest.param(one, marks=() if one == _RECORDED[0] else pytest.mark.extra) for one in _RECORDED]
PROGRAM = """
app = stacks.Container("app", template="nodejs", external_access=True, restart_triggers=["v1", 2])
sql = stacks.Container("sql", template="postgresql", plan="standard")
vpn = stacks.Container("vpn", template="stacks-vpn")
stacks.AllowedIp("office", container=app, ip_address="198.51.100.0/24", service_type="http", revoke_auto_added=True)
stacks.Connection("link", source=app, target=sql, name="primary-db")
backup = stacks.PinnedBackup("backup", container=sql, triggers=["v1"])
stacks.BackupRestore("restore", backup_id=backup.backup_id)
stacks.SshCertificate("key", container=app, rotate_triggers=["2026"])
stacks.VpnClient("laptop", container=vpn)
"""
"""A program with one resource of each kind. Its states are recorded, so it never changes; new kinds need another."""


def furnish(api: Emulator) -> None:
    """Create the objects of the program without the program."""
    running(api, "app")
    running(api, "sql", "postgresql", plan="standard")
    running(api, "vpn", "stacks-vpn")
    api.drift.set_external_access("app", enabled=True)
    api.drift.allow_ip("app", "198.51.100.0/24", service_type="http")
    api.drift.remove_ip("app", api.platform.your_ip)
    api.drift.connect("app", "sql", "primary-db")
    backup = backups.trigger(api.platform, api.state.container("sql"))
    api.advance(60)
    backups.pin(backup, pinned=True)
    api.drift.add_vpn_client("vpn", "laptop")


@beyond_a_grant.KEY
def test_the_state_of_this_version_is_recorded(
    stack: Stack, emulator: Emulator, pytestconfig: pytest.Config
) -> None:
    stack.program(PROGRAM)
    stack.up(quiet_afterwards=False)
    found, file = recorded(stack, emulator), FOLDER / f"{__version__}.json"

    if pytestconfig.getoption("--write-docs") and not file.exists():
        file.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")

    known, shape = _shape(json.loads(file.read_text(encoding="utf-8"))), _shape(found)
    for urn, resource in known.items():
        # An output that is added after a release is in the record of the next release.
        shape[urn]["outputs"] = [name for name in shape[urn]["outputs"] if name in resource["outputs"]]
    assert known == shape


def _shape(state: dict[str, object]) -> dict[str, dict[str, Any]]:
    """Return the property names of each resource in a state."""
    resources = state["deployment"]["resources"]  # type: ignore[index]  # JSON
    return {
        resource["urn"]: {
            "id": None if "providers" in resource["type"] else resource.get("id"),
            "provider": resource.get("provider"),
            "pickle": resource.get("inputs", {}).get("__provider"),
            # Version 0.2.0 had no marker, and its record is not rewritten.
            "inputs": sorted(resource.get("inputs", {}).keys() - {MARKER}),
            "outputs": sorted(resource.get("outputs", {}).keys() - {MARKER}),
            "deletedWith": resource.get("deletedWith"),
            "secrets": resource.get("additionalSecretOutputs"),
        }
        for resource in resources
    }


@beyond_a_grant.KEY
@pytest.mark.parametrize("version", VERSIONS)
def test_an_old_state_needs_no_change(version: str, stack: Stack, emulator: Emulator) -> None:
    furnish(emulator)
    state = json.loads((FOLDER / f"{version}.json").read_text(encoding="utf-8"))
    stack.program(PROGRAM)
    play(state, stack, emulator)

    preview = stack.preview()
    assert preview.changes == {}, preview.text
    assert emulator.calls() == 0

    # An up adds the marker. A refresh finds every resource, and the next up still changes nothing.
    stack.up(quiet_afterwards=False)
    marked = {name: found["inputs"].get(MARKER) for name, found in stack.resources().items()}
    stack.refresh()
    found = stack.resources()
    assert marked == {name: one["type"].rpartition(":")[2] for name, one in found.items()}
    assert marked == {name: one["inputs"].get(MARKER) for name, one in found.items()}
    assert len(marked) == 9

    stack.destroy()
    assert emulator.state.containers == {}


SUBCLASSES = """
class Db(stacks.Container, module="acme", name="Db"):
    pass


class Big(Db):
    pass


db = Db("orders-db", template="postgresql", opts=pulumi.ResourceOptions(protect=True))
app = Big("orders", template="nodejs", external_access=True)
stacks.AllowedIp("office", container=app, ip_address="198.51.100.0/24", opts=pulumi.ResourceOptions(parent=app))
"""
"""Subclasses that set their type. Up to version 0.2, the state contained this type."""


def test_subclass_of_an_old_state_takes_its_parents_type_without_a_replacement(
    stack: Stack, emulator: Emulator
) -> None:
    running(emulator, "orders-db", "postgresql")
    running(emulator, "orders")
    emulator.drift.set_external_access("orders", enabled=True)
    emulator.drift.allow_ip("orders", "198.51.100.0/24", service_type="both")
    state = json.loads((FOLDER / "subclasses" / "0.2.0.json").read_text(encoding="utf-8"))
    stack.program(SUBCLASSES)
    play(state, stack, emulator)
    assert "pulumi-python:dynamic/acme:Db" in stack.export()
    ids = set(emulator.state.containers)

    preview = stack.preview()
    assert preview.changes == {}, preview.text
    stack.up()
    stack.refresh()

    found = stack.resources()
    assert {found[name]["type"] for name in ("orders-db", "orders")} == {CONTAINER}
    assert found["orders-db"]["protect"] is True
    assert set(emulator.state.containers) == ids
    assert emulator.calls("containers.create") == emulator.calls("containers.delete") == 0
    # A program that no longer sets a type finds the same resources.
    stack.program(SUBCLASSES.replace(', module="acme", name="Db"', ""))
    assert stack.preview().changes == {}
