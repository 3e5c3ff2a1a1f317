"""
Child resources whose container was deleted and recreated under the same name, so it has the same id.

Another stack may manage the new container and an equal child in it, so the child is not changed or deleted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from stacks_pulumi.emulator import Emulator
from tests.support.contents import contents, writes
from tests.support.host import UNKNOWN, CallFailedError, Host, HostedResource

Inputs = dict[str, Any]

INPUTS: dict[str, Callable[[dict[str, str]], Inputs]] = {
    "AllowedIp": lambda ids: {"container": ids["web"], "ip_address": "198.51.100.7"},
    "Connection": lambda ids: {
        "source": ids["web"],
        "target": ids["sql"],
        "name": "link",
        "restart_source": False,
    },
    "PinnedBackup": lambda ids: {"container": ids["web"], "on_delete": "delete"},
    "SshCertificate": lambda ids: {"container": ids["web"]},
    "VpnClient": lambda ids: {"container": ids["vpn"], "name": "laptop"},
}
CHANGES: dict[str, Inputs] = {
    "AllowedIp": {"description": "changed"},
    "SshCertificate": {"rotate_triggers": ["2"]},
    "VpnClient": {"store_config": False},
}


@pytest.fixture
def ids(host: Host, emulator: Emulator) -> dict[str, str]:
    """Create containers that the host's stack manages; return them by name."""
    found = {}
    for name, template in (("web", "nodejs"), ("sql", "postgresql"), ("vpn", "stacks-vpn")):
        container = host.resource("Container", name)
        container.up(name=name, template=template, external_access=True if name == "web" else None)
        found[name] = container.id
    return found


def recreate(emulator: Emulator, kind: str) -> None:
    """Recreate the container outside, with an equal child."""
    name = "vpn" if kind == "VpnClient" else "web"
    emulator.advance(60)
    emulator.drift.start(emulator.drift.recreate(name).id)
    emulator.advance(60)
    if kind == "AllowedIp":
        emulator.drift.set_external_access("web", enabled=True)
        emulator.drift.allow_ip("web", "198.51.100.7")
    elif kind == "Connection":
        emulator.drift.connect("web", "sql", "link")
    elif kind == "VpnClient":
        emulator.drift.add_vpn_client("vpn", "laptop")


@pytest.fixture(params=INPUTS)
def child(
    request: pytest.FixtureRequest,
    host: Host,
    emulator: Emulator,
    ids: dict[str, str],
    make_host: Callable[..., Host],
) -> HostedResource:
    """Return a child whose container was then recreated outside, in the host of the next operation."""
    resource = host.resource(request.param, "child")
    resource.up(**INPUTS[request.param](ids))
    recreate(emulator, request.param)
    resource.host = make_host(host.config)
    return resource


@pytest.mark.hosts("dynamic", "native")
def test_no_operation_touches_the_child_of_a_recreated_container(
    child: HostedResource, emulator: Emulator, ids: dict[str, str], make_host: Callable[..., Host]
) -> None:
    standing, calls = contents(emulator), len(emulator.requests)
    serial = [one.certificate_serial for one in emulator.state.containers.values()]
    updated, refreshed = (replace(child, host=make_host(child.host.config)) for _ in range(2))
    if child.kind in CHANGES:
        with pytest.raises(CallFailedError):
            updated.update(updated.checked(**INPUTS[child.kind](ids), **CHANGES[child.kind]))

    assert refreshed.read() is False, "it is reported as deleted"
    assert writes(emulator, calls) == []
    child.delete()

    assert contents(emulator) == standing
    assert [one.certificate_serial for one in emulator.state.containers.values()] == serial
    # A random id is never reused, so the deletion of a connection or an address may be requested.
    by_id = {"Connection": {"connections.delete"}, "AllowedIp": {"allowed_ips.remove"}}
    assert set(writes(emulator, calls)) <= by_id.get(child.kind, set())
    kept = [line for line in child.lines() if line.endswith("it is left alone")]
    assert all("a different object" in line for line in kept)
    assert len(kept) == 1 or child.kind not in {"AllowedIp", "VpnClient"}


@pytest.mark.parametrize(
    ("child", "change"),
    [("AllowedIp", {"ip_address": "198.51.100.8"}), ("VpnClient", {"rotate_triggers": ["2"]})],
    indirect=["child"],
)
def test_no_replacement_is_made_in_a_recreated_container(
    child: HostedResource, emulator: Emulator, ids: dict[str, str], change: dict[str, Any]
) -> None:
    """With `--target`, the provider does not see the program's container, only the child's state."""
    standing = contents(emulator)

    with pytest.raises(CallFailedError, match="may be another stack's container"):
        child.up(**{**INPUTS[child.kind](ids), **change})

    assert contents(emulator) == standing


@pytest.mark.hosts("dynamic", "native")
@pytest.mark.parametrize("kind", ["AllowedIp", "VpnClient"])
def test_a_child_with_another_provider_follows_a_replacement_of_its_container(
    host: Host,
    make_host: Callable[..., Host],
    emulator: Emulator,
    ids: dict[str, str],
    kind: str,
) -> None:
    """Each explicit provider has its own process, so the child's process does not see the container's creation."""
    child, inputs = host.resource(kind, "child"), INPUTS[kind](ids)
    child.up(**inputs)
    child.host = make_host(host.config)
    # Before the engine deletes and creates the container, it compares the children with an unknown id to find further
    # deletions.
    assert child.diff(child.checked(**{**inputs, "container": UNKNOWN})).replaces == ["container"]
    name = "vpn" if kind == "VpnClient" else "web"
    emulator.advance(60)
    emulator.drift.start(emulator.drift.recreate(name).id)
    if kind == "AllowedIp":
        emulator.drift.set_external_access("web", enabled=True)
    child.id, child.outs = "", {}

    assert child.up(**inputs) == ["create"]
