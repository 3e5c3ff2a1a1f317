"""The native plugin's `List`: it returns ids for `pulumi import` in pages, and never an incomplete list."""

from __future__ import annotations

import re
from typing import Any

import grpc
import pytest
from pulumi.runtime.proto import provider_pb2

from stacks_pulumi.emulator import Emulator
from tests.support.host import SECRET, UNKNOWN, Host, HostedResource, _to_struct

pytestmark = pytest.mark.hosts("native")

SEED: list[dict[str, Any]] = [
    {"name": "web", "template": "nodejs", "allowed_ips": ["198.51.100.0/24", "2001:DB8::1"]},
    {"name": "office", "template": "stacks-vpn", "vpn_clients": ["laptop", "a/b"]},
    {"name": "orders-db", "template": "postgresql", "backups": 2},
]


@pytest.fixture
def account(emulator: Emulator) -> str:
    """An account with objects of each kind; returns the first part of their ids."""
    emulator.load(SEED, [{"source": "web", "target": "orders-db", "name": "primary-db"}])
    emulator.state.backups[max(emulator.state.backups)].pinned = True
    return emulator.account


def listed(host: Host, kind: str, **options: Any) -> list[provider_pb2.ListResponse]:
    """Return the answer to a `List`; arguments that are not options of the request are its query."""
    fields = provider_pb2.ListRequest.DESCRIPTOR.fields_by_name
    own = {name: options.pop(name) for name in list(options) if name in fields}
    return list(
        host.stub.List(
            provider_pb2.ListRequest(token=f"stacks:index:{kind}", query=_to_struct(options), **own)
        )
    )


def ids(host: Host, kind: str, **options: Any) -> list[str]:
    """Return the ids in an answer with one page."""
    answers = listed(host, kind, **options)
    assert all(it.HasField("result") for it in answers)
    return [it.result.id for it in answers]


def error(host: Host, kind: str, **options: Any) -> str:
    """Return the message of a refused list."""
    with pytest.raises(grpc.RpcError) as failure:
        listed(host, kind, **options)
    return str(failure.value.details())


def test_containers_have_their_ids_and_names(host: Host, account: str) -> None:
    rows = [(it.result.id, it.result.name) for it in listed(host, "Container")]

    assert rows == [(f"{account}-{name}", name) for name in ("office", "orders-db", "web")]
    assert ids(host, "Container", container=f"{account}-web") == [f"{account}-web"]


@pytest.mark.parametrize(
    ("kind", "container", "own"),
    [
        ("AllowedIp", "web", ["198.51.100.0/24", "2001:db8::1", "203.0.113.45"]),
        ("VpnClient", "office", ["a/b", "default", "laptop"]),
        ("PinnedBackup", "orders-db", [r"\d+"]),
        ("Connection", "web", [r".+"]),
    ],
)
def test_children_have_the_ids_that_an_import_takes(
    host: Host, account: str, kind: str, container: str, own: list[str]
) -> None:
    found = ids(host, kind, container=f"{account}-{container}")

    assert len(found) == len(own)
    for id_, form in zip(found, own, strict=True):
        assert re.fullmatch(f"{account}-{container}/{form}", id_)
        imported = host.stub.Read(provider_pb2.ReadRequest(id=id_, urn=HostedResource(host, kind, "it").urn))
        assert imported.id == id_
    assert [it for it in ids(host, kind) if it.startswith(f"{account}-{container}/")] == found


@pytest.mark.parametrize("kind", ["Container", "AllowedIp"])
def test_an_empty_account_has_an_empty_list(host: Host, kind: str) -> None:
    assert ids(host, kind) == []


def test_a_container_without_such_children_has_an_empty_list(host: Host, account: str) -> None:
    for kind, container in (("VpnClient", "web"), ("Connection", "office"), ("AllowedIp", "orders-db")):
        assert ids(host, kind, container=f"{account}-{container}") == []
    assert ids(host, "Connection", container=f"{account}-orders-db") == [], "it is that of its source"


def test_one_container_takes_one_call_for_its_kind(host: Host, emulator: Emulator, account: str) -> None:
    ids(host, "VpnClient", container=f"{account}-office")

    assert [it.operation for it in emulator.requests] == ["containers.list", "vpn_clients.list"]


def test_pages(host: Host, account: str) -> None:
    first = listed(host, "Container", page_size=2)
    assert [it.result.id for it in first[:2]] == [f"{account}-office", f"{account}-orders-db"]
    token = first[2].continuation.continuation_token

    assert ids(host, "Container", page_size=2, continuation_token=token) == [f"{account}-web"]
    assert [it.HasField("result") for it in listed(host, "Container", limit=1)] == [True, False]
    assert [it.HasField("result") for it in listed(host, "Container", page_size=3)] == [True] * 3
    assert ids(host, "Container", page_size=2, limit=2, continuation_token="1") == [
        f"{account}-orders-db",
        f"{account}-web",
    ]


@pytest.mark.parametrize("unknown", [UNKNOWN, {**SECRET, "value": UNKNOWN}])
def test_a_list_for_a_container_that_is_not_known_yet_is_computed(
    host: Host, emulator: Emulator, unknown: Any
) -> None:
    (answer,) = listed(host, "VpnClient", container=unknown)

    assert answer.HasField("computed")
    assert emulator.calls() == 0


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("BackupRestore", "BackupRestore cannot be listed: list Container, AllowedIp, "),
        ("Cluster", "Cluster cannot be listed: "),
    ],
)
def test_a_kind_that_the_api_does_not_list_is_named(host: Host, kind: str, expected: str) -> None:
    assert error(host, kind).startswith(expected)


def test_a_container_that_is_not_in_the_account_is_named(host: Host, account: str) -> None:
    message = error(host, "AllowedIp", container=f"{account}-none")

    assert (
        message
        == f"the account's list has no container {account}-none: check the argument container [not-found]"
    )


def test_a_list_that_may_lack_one_is_an_error(host: Host, emulator: Emulator, account: str) -> None:
    template = emulator.state.backups[max(emulator.state.backups)]
    for number in range(1000, 1098):
        emulator.state.backups[number] = type(template)(**{**vars(template), "id": number})

    message = error(host, "PinnedBackup", container=f"{account}-orders-db")

    assert message.startswith(f"PinnedBackup of {account}-orders-db cannot be listed completely: ")
    assert "older ones may be pinned" in message
