"""Slow or unusual answers, through the real host: the wait ends in time, and the state keeps its resources."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from stacks_pulumi.emulator import Emulator
from tests.support.accounts import running
from tests.support.host import CallFailedError, Host, HostedResource


@pytest.mark.parametrize("part", ["headers", "body"])
def test_a_slow_answer_does_not_exceed_the_timeout(host: Host, emulator: Emulator, part: str) -> None:
    emulator.freeze()
    web = host.resource("Container", "web")
    web.timeout = 5
    checked = web.checked(name="web", template="nodejs")
    emulator.faults.add("containers.list", "pass")
    emulator.faults.add("containers.list", "trickle", times=None, seconds=3600, part=part)

    with pytest.raises(CallFailedError) as caught:
        web.create(checked)

    assert caught.value.kept_id == f"{emulator.account}-web"


READ_BY: dict[str, tuple[str, dict[str, Any], tuple[str, ...]]] = {
    "containers.list": (
        "Container",
        {"name": "own", "template": "nodejs"},
        ("id", "status", "plan", "created_at"),
    ),
    "allowed_ips.list": (
        "AllowedIp",
        {"container": "web", "ip_address": "198.51.100.8"},
        ("id", "ip_address", "description", "service_type", "added_at"),
    ),
    "connections.list": (
        "Connection",
        {"source": "web", "target": "data", "name": "to-db"},
        ("id", "connection_name", "connection_type", "target_name", "created_at"),
    ),
    "backups.list": ("PinnedBackup", {"container": "data"}, ("id", "status", "pinned", "created_at")),
    "vpn_clients.list": ("VpnClient", {"container": "vpn", "name": "laptop"}, ("name", "created_at")),
    "containers.certificate": ("SshCertificate", {"container": "web"}, ("private_key",)),
}
"""The operations of a refresh: an example resource, and the fields, with the identifying fields first."""


@pytest.mark.parametrize("operation", READ_BY)
def test_a_refresh_forgets_nothing_where_values_have_wrong_types(
    host: Host, emulator: Emulator, operation: str
) -> None:
    templates = {"web": "nodejs", "data": "postgresql", "vpn": "stacks-vpn"}
    ids = {name: running(emulator, name, template) for name, template in templates.items()}
    emulator.drift.set_external_access("web", enabled=True)
    kind, inputs, fields = READ_BY[operation]
    resource = host.resource(kind)
    resource.up(**{name: ids.get(value, value) for name, value in inputs.items()})
    id_, before = resource.id, len(emulator.state.containers)

    for field in fields:
        # Reads share an answer until something changes, and this deletion counts as a change.
        HostedResource(host, "BackupRestore", "nothing", id="1").delete()
        emulator.faults.clear()
        fault = emulator.faults.add(operation, "wrong_types", times=None, field=field)
        with contextlib.suppress(CallFailedError):
            resource.read()
        assert (field, resource.id, len(emulator.state.containers)) == (field, id_, before)
        assert fault.fired
