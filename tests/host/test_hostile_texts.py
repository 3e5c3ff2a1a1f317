"""Whatever text an answer has, no message to the engine has a control character or a command."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

from stacks_pulumi.emulator import Emulator
from tests.chaos.wrong_types import Wrong, altered, texts
from tests.support.accounts import running
from tests.support.host import CallFailedError, Host, HostedResource
from tests.support.hostile import ALL, faults

pytestmark = [pytest.mark.host, pytest.mark.slow, pytest.mark.extra]

READ_BY: Final = {
    "containers.list": "Container",
    "containers.status": "Container",
    "allowed_ips.list": "AllowedIp",
    "connections.list": "Connection",
    "backups.list": "PinnedBackup",
    "vpn_clients.list": "VpnClient",
}
"""The operations that a refresh calls, and a resource that it is called for."""
MADE_BY: Final = {
    "containers.create": ("Container", {"template": "nodejs"}),
    "containers.list": ("Container", {"template": "nodejs"}),
    "containers.certificate": ("SshCertificate", {"container": "web"}),
    "connections.create": ("Connection", {"source": "web", "target": "data"}),
    "allowed_ips.add": ("AllowedIp", {"container": "web"}),
    "vpn_clients.add": ("VpnClient", {"container": "vpn"}),
    "vpn_clients.config": ("VpnClient", {"container": "vpn"}),
}


@pytest.fixture
def host(make_host: Callable[..., Host], emulator: Emulator) -> Host:
    return make_host({"stacks:apiKey": emulator.key, "stacks:baseUrl": emulator.url})


@pytest.fixture
def account(host: Host, emulator: Emulator) -> dict[str, str]:
    """Return the ids of an account's containers."""
    web = host.resource("Container", "web")
    web.up(name="web", template="nodejs", external_access=True)
    others = {"data": "postgresql", "vpn": "stacks-vpn"}
    return {"web": web.id, **{name: running(emulator, name, template) for name, template in others.items()}}


@pytest.fixture
def healthy(host: Host, account: dict[str, str]) -> dict[str, HostedResource]:
    """Return a resource of each kind that a refresh reads."""
    inputs: dict[str, dict[str, Any]] = {
        "Container": {"name": "own", "template": "nodejs", "external_access": True},
        "AllowedIp": {"container": account["web"], "ip_address": "198.51.100.8"},
        "Connection": {"source": account["web"], "target": account["data"], "name": "to-db"},
        "PinnedBackup": {"container": account["data"]},
        "VpnClient": {"container": account["vpn"], "name": "laptop"},
    }
    found = {kind: host.resource(kind, f"the-{kind.lower()}") for kind in inputs}
    for kind, resource in found.items():
        resource.up(**inputs[kind])
    return found


@pytest.fixture(autouse=True)
def shown(host: Host) -> Iterator[list[str]]:
    """Collect the messages of failed calls, and check them and all lines in the end."""
    messages: list[str] = []
    yield messages
    told = [*messages, *(line.text for line in host.engine.lines)]
    assert [fault for text in told for fault in faults(text.replace("\n", "\0"))] == []


@pytest.mark.parametrize("operation", READ_BY)
def test_a_refresh_shows_no_hostile_text(
    operation: str, healthy: dict[str, HostedResource], emulator: Emulator, shown: list[str]
) -> None:
    resource = healthy[READ_BY[operation]]
    before = dict(resource.raw), dict(resource.outs), resource.id
    given = 0
    for path in texts(operation):
        with altered(emulator, Wrong(operation, path, ALL)) as answers, failing(shown):
            resource.read()
        given += len(answers)
        resource.raw, resource.outs, resource.id = dict(before[0]), dict(before[1]), before[2]

    assert given or operation == "containers.status"


@pytest.mark.parametrize("operation", MADE_BY)
def test_a_create_shows_no_hostile_text(
    operation: str, host: Host, account: dict[str, str], emulator: Emulator, shown: list[str]
) -> None:
    kind, inputs = MADE_BY[operation]
    ids = {name: account.get(value, value) for name, value in inputs.items()}
    for number, path in enumerate(texts(operation)):
        resource = host.resource(kind, f"new{number}")
        resource.timeout = 3
        named = {"AllowedIp": {"ip_address": f"198.51.100.{number + 20}"}, "SshCertificate": {}}.get(
            kind, {"name": f"new{number}"}
        )
        with altered(emulator, Wrong(operation, path, ALL)), failing(shown):
            resource.up(**ids, **named)
        with failing(shown):
            resource.delete()


@pytest.mark.hosts("dynamic", "native")
@pytest.mark.parametrize("code", [400, 401, 402, 403])
def test_an_error_shows_no_hostile_text(code: int, host: Host, emulator: Emulator, shown: list[str]) -> None:
    fields = ("error", "field", "required_scope", "hint", "spending_cap")
    for field in fields:
        body = {"error": ALL, field: ALL, "key_scopes": [ALL]}
        emulator.faults.add("containers.create", "answer", code=code, body=body)
        resource = host.resource("Container", f"new-{field}")
        resource.timeout = 3
        with failing(shown):
            resource.up(name=f"new-{field}".replace("_", "-"), template="nodejs")

    assert len(shown) == len(fields)


@pytest.mark.hosts("dynamic", "native")
@pytest.mark.parametrize(
    "inputs",
    [
        {"name": ALL, "template": "nodejs"},
        {"name": "new", "template": ALL},
        {"name": "new", "template": "nodejs", "plan": ALL, "adopt": ALL},
    ],
)
def test_a_check_shows_no_hostile_text(inputs: dict[str, str], host: Host, shown: list[str]) -> None:
    resource = host.resource("Container", "a")

    shown += resource.check(**inputs).values()
    shown += resource.lines()

    assert shown


@contextlib.contextmanager
def failing(shown: list[str]) -> Iterator[None]:
    try:
        yield
    except CallFailedError as error:
        shown.append(error.message)
