"""Credentials, keys, templates and metrics, for which the guide gives no shape."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from stacks_pulumi.api import _unshaped
from stacks_pulumi.api._bodies import ShapeError
from stacks_pulumi.api._unshaped import metrics
from stacks_pulumi.api.models import Point

PEM = "-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n-----END OPENSSH PRIVATE KEY-----\n"


def test_the_credentials_of_the_guide_are_read_and_kept() -> None:
    body = {
        "success": True,
        "credentials": [{"type": "web", "username": "web-admin", "password": "w"}],
        "data": {
            "containerName": "mydb",
            "type": "postgresql",
            "mainCredentials": {"username": "admin", "password": "p"},
            "connectionInfo": {"host": "10.52.0.5", "port": 5432, "internalHost": "usr-abc12345-mydb"},
        },
    }

    read = _unshaped.credentials(body)

    assert (read.username, read.password) == ("admin", "p")
    assert (read.host, read.port, read.internal_host) == ("10.52.0.5", 5432, "usr-abc12345-mydb")
    assert (read.container_name, read.type) == ("mydb", "postgresql")
    assert read.raw == {"credentials": body["credentials"], **body["data"]}  # type: ignore[dict-item]  # JSON


@pytest.mark.parametrize(
    "body",
    [
        {"data": {"sshCredentials": {"username": "u", "password": "p"}, "host": "h", "port": "22"}},
        {"data": [{"user": "u", "password": "p", "host": "h", "port": 22}]},
        {"credentials": [{"username": "u", "password": "p"}], "host": "h", "port": 22},
        {"credentials": {"username": "u", "password": "p", "host": "h", "port": 22}},
        {"username": "u", "password": "p", "host": "h", "port": 22},
        [{"sshUser": "u", "sshPassword": "p", "sshHost": "h", "sshPort": 22}],
    ],
)
def test_credentials_of_other_shapes_are_found(body: Any) -> None:
    read = _unshaped.credentials(body)

    assert (read.username, read.password, read.host, read.port) == ("u", "p", "h", 22)
    assert read.raw


@pytest.mark.parametrize("body", ["text", 7, None, {"data": "text"}])
def test_a_value_without_credentials_is_an_error(body: Any) -> None:
    with pytest.raises(ShapeError):
        _unshaped.credentials(body)


@pytest.mark.parametrize(
    "body",
    [
        {"data": [{"id": "nodejs", "category": "Runtime", "price": 4}]},
        {"templates": [{"template": "nodejs", "type": "Runtime", "monthlyPrice": "4.00"}]},
        {"data": {"nodejs": {"category": "Runtime", "price": 4}}},
        {"data": {"Runtime": [{"id": "nodejs", "price_monthly": 4}]}},
        [{"id": "nodejs", "category": "Runtime", "monthly_usd": 4}],
    ],
)
def test_templates_come_in_any_shape(body: Any) -> None:
    (read,) = _unshaped.templates(body)

    assert (read.id, read.category, read.monthly_usd) == ("nodejs", "Runtime", 4.0)
    assert read.raw


WIREGUARD = "[Interface]\nPrivateKey = abc\n"


@pytest.mark.parametrize("text", [PEM, base64.b64encode(PEM.encode()).decode()])
@pytest.mark.parametrize(
    "wrap",
    [
        lambda text: text,
        lambda text: {"certificate": "ssh-rsa-cert AAAA", "public_key": "ssh-rsa AAAA", "private_key": text},
        lambda text: {
            "data": {"certificate": "-----BEGIN CERTIFICATE-----\nx", "files": [{"name": "k", "pem": text}]}
        },
    ],
)
def test_a_private_key_is_found_beside_a_public_one_and_in_base64(text: str, wrap: Any) -> None:
    assert _unshaped.private_key(wrap(text)) == PEM


@pytest.mark.parametrize(
    "body",
    ["-----BEGIN CERTIFICATE-----\nx", "-----BEGIN PUBLIC KEY-----\nx", {"key": "https://example/k"}, None],
)
def test_what_is_no_private_key_is_not_taken_for_one(body: Any) -> None:
    with pytest.raises(ShapeError, match="a private key"):
        _unshaped.private_key(body)


def test_a_configuration_is_found_in_any_field_as_lines_or_in_base64() -> None:
    encoded = base64.b64encode(WIREGUARD.encode()).decode()

    assert (
        _unshaped.configuration({"data": {"qr": "data:image/png;base64,AAAA", "conf": WIREGUARD}})
        == WIREGUARD
    )
    assert _unshaped.configuration({"data": {"config": encoded}}) == WIREGUARD
    assert _unshaped.configuration(WIREGUARD.splitlines()) == WIREGUARD.rstrip("\n")


@pytest.mark.parametrize("body", ["Configuration is being generated", {"status": "pending"}, None, ""])
def test_another_text_is_no_configuration(body: Any) -> None:
    with pytest.raises(ShapeError, match="WireGuard"):
        _unshaped.configuration(body)


def test_what_is_said_beside_the_templates_is_kept_with_each() -> None:
    body = {
        "currency": "EUR",
        "meta": {"tax": {"rate": 19}},
        "data": {"templates": [{"id": "nginx"}], "per": "week"},
    }

    (read,) = _unshaped.templates(body)

    assert read.beside == {"currency": "EUR", "meta.tax.rate": 19, "data.per": "week"}


def test_templates_may_be_only_names() -> None:
    assert [(t.id, t.category) for t in _unshaped.templates({"data": {"Web": ["nginx"]}})] == [
        ("nginx", "Web")
    ]
    assert [t.id for t in _unshaped.templates(["nginx"])] == ["nginx"]


@pytest.mark.parametrize("row", [7, {"price": 4}])
def test_a_template_without_a_readable_id_leaves_the_others(row: Any) -> None:
    read = _unshaped.templates([{"id": "a"}, row, "b"])

    assert [(template.id, template.raw) for template in read] == [("a", {"id": "a"}), ("b", {"id": "b"})]
    assert read.gap is not None


@pytest.mark.parametrize(
    "body",
    [
        {
            "data": {
                "cpu": [{"timestamp": "t1", "value": 1.5}],
                "networkIn": [{"timestamp": "t1", "value": 2}],
            }
        },
        {"success": True, "cpu": [["t1", 1.5]], "network_in": [["t1", "2"]]},
        {"metrics": {"timestamps": ["t1"], "cpu": [1.5], "network_in": [2]}},
        {"data": [{"timestamp": "t1", "cpu": 1.5, "networkIn": 2}]},
        [{"time": "t1", "cpu": "1.5", "network_in": 2, "disk": None}],
    ],
)
def test_measurements_come_in_any_shape(body: Any) -> None:
    read = metrics(body)

    assert read.cpu == (Point(timestamp="t1", value=1.5),)
    assert read.network_in == (Point(timestamp="t1", value=2.0),)
    assert read.disk == ()


def test_a_time_in_numbers_stays_what_it_was() -> None:
    assert metrics({"cpu": [{"ts": 1700000000, "v": 1}]}).cpu == (Point(timestamp="1700000000", value=1.0),)


def test_a_point_may_have_no_time() -> None:
    assert metrics({"cpu": [1, 2]}).cpu == (Point(value=1.0), Point(value=2.0))


@pytest.mark.parametrize(
    "body",
    [7, None, "a", [7], {"cpu": 7}, {"cpu": ["a"]}, {"cpu": [{"timestamp": "t"}]}, {"cpu": [[1, 2, 3]]}],
)
def test_a_value_that_is_no_measurement_is_an_error(body: Any) -> None:
    with pytest.raises(ShapeError):
        metrics(body)


@pytest.mark.parametrize("body", [{}, {"data": {}}, [], {"data": {"cpu": []}}])
def test_no_measurements_are_none(body: Any) -> None:
    assert metrics(body).cpu == ()


@pytest.mark.parametrize(
    "body", [PEM, {"data": PEM}, {"data": {"privateKey": PEM}}, {"success": True, "certificate": PEM}]
)
def test_a_private_key_comes_bare_or_wrapped(body: Any) -> None:
    assert _unshaped.private_key(body) == _unshaped.private_key_if_any(body) == PEM


@pytest.mark.parametrize(
    "body", ["", "not a key", {"message": "New key made"}, {"data": {"key": "sk"}}, None]
)
def test_a_value_without_a_private_key_is_an_error_or_none(body: Any) -> None:
    with pytest.raises(ShapeError):
        _unshaped.private_key(body)
    assert _unshaped.private_key_if_any(body) is None


@pytest.mark.parametrize(
    "body",
    [
        {"data": {"cpu": {"unit": "%", "points": [{"t": 1, "v": 2}]}}},
        {"data": {"cpuUsage": [{"t": 1, "v": 2}]}},
        {"data": {"cpu": [{"t": 0, "v": None}, {"t": 1, "v": 2}]}},
        {"data": [{"t": 1, "cpu_percent": 2}]},
    ],
)
def test_a_series_of_another_name_or_shape_is_read(body: Any) -> None:
    assert metrics(body).cpu == (Point(timestamp="1", value=2),)


def test_the_directions_of_a_network_may_be_in_one_object() -> None:
    read = metrics({"network": {"in": [{"t": 1, "v": 2}], "tx": [{"t": 1, "v": 3}]}})

    assert (read.network_in[0].value, read.network_out[0].value) == (2, 3)


def test_metrics_without_any_known_series_are_not_empty() -> None:
    with pytest.raises(ShapeError, match="cpu, memory, disk"):
        metrics({"data": {"resultType": "matrix", "result": [{"values": []}]}})


def test_logs_that_are_null_are_empty_and_entries_are_lines() -> None:
    assert _unshaped.text_of({"success": True, "data": None}) == ""
    assert _unshaped.text_of({"data": {"entries": [{"timestamp": "t", "msg": "a"}]}}) == "t a"
    with pytest.raises(ShapeError):
        _unshaped.text_of({"stdout": "a", "stderr": "b"})


def test_credentials_may_be_under_a_name_of_their_own() -> None:
    assert _unshaped.credentials({"data": {"database": {"user": "u", "pass": "p"}}}).password == "p"
