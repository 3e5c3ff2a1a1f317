"""The readers of one endpoint's answer: every shape that the guide shows or leaves open."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from stacks_pulumi.api import _bodies, models
from stacks_pulumi.api._bodies import ShapeError

PEM = "-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n-----END OPENSSH PRIVATE KEY-----\n"


@pytest.mark.parametrize("read", [_bodies.created_container, _bodies.created_connection])
@pytest.mark.parametrize("id_", [18, 1.5, True, ["usr-1-web"]])
def test_created_object_has_an_id_that_is_text(read: Callable[[Any], Any], id_: Any) -> None:
    named = {"name": "web", "status": "pending"}

    assert read({"success": True, "data": {"id": "usr-1-web", **named}}).id == "usr-1-web"
    with pytest.raises(ShapeError, match=r"data\.id"):
        read({"success": True, "data": {"id": id_, **named}})


@pytest.mark.parametrize(
    "body", [PEM, {"data": PEM}, {"data": {"privateKey": PEM}}, {"success": True, "certificate": PEM}]
)
def test_a_private_key_comes_bare_or_wrapped(body: Any) -> None:
    assert _bodies.private_key(body) == _bodies.private_key_if_any(body) == PEM


@pytest.mark.parametrize(
    "body", ["", "not a key", {"message": "New key made"}, {"data": {"key": "sk"}}, None]
)
def test_a_value_without_a_private_key_is_an_error_or_none(body: Any) -> None:
    with pytest.raises(ShapeError):
        _bodies.private_key(body)
    assert _bodies.private_key_if_any(body) is None


def test_the_allowed_ips_of_the_guide_are_read() -> None:
    read = _bodies.allowed_ips(
        {
            "success": True,
            "data": {
                "external_access_enabled": True,
                "subdomain": "ab1c2d",
                "url": "myapp-ab1c2d.example",
                "allowed_ips": [
                    {"id": "u", "ip_address": "203.0.113.45", "service_type": "both", "added_at": "t"}
                ],
                "your_current_ip": "203.0.113.45",
            },
        }
    )

    assert (read.enabled, read.subdomain, read.url) == (True, "ab1c2d", "myapp-ab1c2d.example")
    assert read.your_ip == "203.0.113.45"
    assert [(ip.id, ip.ip_address, ip.service_type, ip.added_at) for ip in read.allowed_ips] == [
        ("u", "203.0.113.45", "both", "t")
    ]


@pytest.mark.parametrize(
    ("body", "ids"),
    [
        ([{"id": "u", "ip": "10.0.0.1"}], ["u"]),
        ({"data": ["10.0.0.1"]}, ["10.0.0.1"]),
        ({"data": {"allowedIps": []}}, []),
        ({"data": {"external_access_enabled": False, "allowed_ips": None}}, []),
        ({"data": {"external_access_enabled": False}}, []),
    ],
)
def test_allowed_ips_of_other_shapes_are_found(body: Any, ids: list[str]) -> None:
    assert [ip.id for ip in _bodies.allowed_ips(body).allowed_ips] == ids


@pytest.mark.parametrize(
    "body",
    [
        {"data": {}},
        {"data": {"external_access_enabled": True, "allowed_ips": {}}},
    ],
)
def test_missing_allowed_addresses_are_an_error(body: Any) -> None:
    with pytest.raises(ShapeError, match="a list was expected"):
        _bodies.allowed_ips(body)


def test_a_connection_of_the_guide_is_read_and_its_secrets_are_not_shown() -> None:
    read = _bodies.created_connection(
        {
            "success": True,
            "data": {
                "id": "c",
                "sourceContainer": "usr-1-app",
                "targetContainer": "usr-1-db",
                "connectionName": "primary-db",
                "connectionType": "postgresql",
                "environmentVariables": {"POSTGRES_PORT": 5432, "POSTGRES_PASSWORD": "hunter2"},
                "connectionString": "postgresql://postgres:hunter2@usr-1-db:5432/postgres",
            },
        }
    )

    assert (read.id, read.name, read.connection_type) == ("c", "primary-db", "postgresql")
    assert (read.source_id, read.target_id) == ("usr-1-app", "usr-1-db")
    assert read.environment_variables == {"POSTGRES_PORT": "5432", "POSTGRES_PASSWORD": "hunter2"}
    assert read.connection_string is not None
    assert "hunter2" not in repr(read)
    assert "primary-db" in repr(read)


def test_the_connections_of_the_guide_are_read() -> None:
    entry = {"id": "c", "connection_name": "primary-db", "target_name": "mydb", "target_status": "running"}

    read = _bodies.connections({"success": True, "data": {"outgoing": [entry], "incoming": []}})

    assert [(c.id, c.name, c.target_name, c.target_status) for c in read.outgoing] == [
        ("c", "primary-db", "mydb", "running")
    ]
    assert read.incoming == ()
    assert _bodies.connections([entry]) == _bodies.connections({"connections": [entry]}) == read


@pytest.mark.parametrize(
    "body",
    [
        7,
        {"data": {"incoming": []}},
        {"data": {"outgoing": {}}},
    ],
)
def test_a_value_without_connections_is_an_error(body: Any) -> None:
    with pytest.raises(ShapeError):
        _bodies.connections(body)


def test_null_is_an_empty_list() -> None:
    for body in (None, {"success": True, "data": None}):
        assert _bodies.connections(body) == models.Connections()
        assert _bodies.allowed_ips(body) == models.ExternalAccess()
        assert _bodies.targets(body) == models.Targets()
    assert _bodies.connections({"data": {"outgoing": None, "incoming": []}}) == models.Connections()
    assert (
        _bodies.allowed_ips({"data": {"external_access_enabled": True, "allowed_ips": None}}).allowed_ips
        == ()
    )


def test_targets_are_read_by_kind() -> None:
    db = {"id": "usr-1-db", "name": "db", "type": "postgresql", "suggested": True}

    read = _bodies.targets({"data": {"databases": [db], "caches": [], "loadBalancers": [db], "all": [db]}})

    assert [target.id for target in read.databases] == ["usr-1-db"]
    assert read.databases[0].suggested is True
    assert (len(read.load_balancers), len(read.caches), len(read.applications), len(read.all)) == (1, 0, 0, 1)
    assert _bodies.targets({"data": [db]}).all == read.all
    assert _bodies.targets(["usr-1-db"]).all[0].id == "usr-1-db"


@pytest.mark.parametrize("row", ["c", {}, {"id": ".."}, None])
def test_a_connection_without_a_readable_id_makes_the_list_incomplete(row: Any) -> None:
    read = _bodies.connections({"data": {"outgoing": [{"id": "a"}, row, {"id": "b"}]}}).outgoing

    assert [connection.id for connection in read] == ["a", "b"]
    assert (read.gap or "").startswith("data.outgoing[1]")


@pytest.mark.parametrize("body", ["a", {"data": {"all": {}}}])
def test_a_value_without_targets_is_an_error(body: Any) -> None:
    with pytest.raises(ShapeError):
        _bodies.targets(body)
