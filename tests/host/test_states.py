"""The next version of the package reads the state of each kind: its id, its inputs and its outputs."""

from __future__ import annotations

from typing import Any

from stacks_pulumi.emulator import Emulator, backups
from stacks_pulumi.resources.handlers import HANDLERS
from tests.support.accounts import running
from tests.support.golden import Golden
from tests.support.host import SECRET, Host


def test_the_state_of_each_kind_is_as_recorded(host: Host, emulator: Emulator, golden: Golden) -> None:
    app, sql = running(emulator, "app"), running(emulator, "sql", "postgresql")
    emulator.drift.set_external_access("sql", enabled=True)
    vpn = running(emulator, "vpn", "stacks-vpn")
    backup = backups.trigger(emulator.platform, emulator.state.container("sql")).id
    emulator.advance(60)
    given: dict[str, dict[str, Any]] = {
        "AllowedIp": {"container": sql, "ip_address": "203.0.113.7", "description": "office"},
        "BackupRestore": {"backup_id": backup},
        "Connection": {"source": app, "target": sql, "name": "db"},
        "Container": {"name": "web", "template": "nodejs", "plan": "standard"},
        "PinnedBackup": {"container": sql},
        "SshCertificate": {"container": app},
        "VpnClient": {"container": vpn, "name": "laptop"},
    }
    states: dict[str, dict[str, Any]] = {}
    for kind in sorted(HANDLERS):
        resource = host.resource(kind, kind.lower())
        resource.up(**given[kind])
        # `test_ssh_certificate.py` tests the forms of this id.
        states[kind] = {"id": resource.id.removesuffix("/ssh"), "inputs": resource.inputs}
        states[kind]["outputs"] = {name: _masked(value) for name, value in resource.raw.items()}

    golden.json("states.json", states, {emulator.account: "ACCOUNT"})


def _masked(value: Any) -> Any:
    """Return a secret value without its random content."""
    return "SECRET" if isinstance(value, dict) and SECRET.items() <= value.items() else value
