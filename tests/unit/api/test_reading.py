"""
The client reads answers in the guide's form and spellings. Any other answer is one error that names the problem.

A refused answer changes nothing, and the client concludes nothing from it. `test_any_answer.py` tests this for creates,
and `tests/host/test_odd_answers.py` for a refresh.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stacks_pulumi import catalog, errors
from stacks_pulumi.api import _bodies, _unshaped, models
from stacks_pulumi.api._bodies import ShapeError, done, item, items, record, snake
from stacks_pulumi.api._call import Answer, Call
from stacks_pulumi.api._decode import Decode
from stacks_pulumi.api._words import BACKUP_STATUSES, STATUSES, is_known_status
from stacks_pulumi.api.models import AllowedIp, Backup, Connection, Container, Listing, Model, VpnClient
from tests.support.guide import CREATED, LISTED, STATUS
from tests.unit.api.scripted_api import a_call, ok, refusal, text

PEM = "-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n-----END OPENSSH PRIVATE KEY-----\n"
WIREGUARD = "[Interface]\nPrivateKey = abc\n"
ENTRY = {"id": "u", "ip_address": "203.0.113.45", "service_type": "both", "added_at": "t"}
CONNECTION = {
    "id": "c",
    "sourceContainer": "usr-1-app",
    "targetContainer": "usr-1-db",
    "connectionName": "primary-db",
    "connectionType": "postgresql",
    "environmentVariables": {"POSTGRES_PORT": 5432, "POSTGRES_PASSWORD": "hunter2"},
    "connectionString": "postgresql://postgres:hunter2@usr-1-db:5432/postgres",
}
BACKUP = {"id": 178, "backup_type": "scheduled", "status": "completed", "size_bytes": 746862, "pinned": 0}


def camel(value: Any) -> Any:
    """Return a value with all names in camelCase."""
    if isinstance(value, list):
        return [camel(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    return {
        name.split("_")[0] + "".join(part.title() for part in name.split("_")[1:]): camel(entry)
        for name, entry in value.items()
    }


def snakes(value: Any) -> Any:
    """Return a value with all names in snake_case."""
    if isinstance(value, list):
        return [snakes(entry) for entry in value]
    return {snake(k): snakes(v) for k, v in value.items()} if isinstance(value, dict) else value


# --- answers in the guide ---

EXAMPLES: dict[str, tuple[Callable[[Any], Any], Any, Any]] = {
    "a list": (
        lambda body: items(Container, body)[0],
        [LISTED],
        {"id": "usr-abc12345-myapp", "template": "nodejs", "memory_mb": 1024, "version": "22"},
    ),
    "a status": (
        lambda body: item(Container, body),
        STATUS,
        {"cpu": 1.0, "storage_mb": 10240, "external_access": False, "raw_status": "Up 2 hours (healthy)"},
    ),
    "a create": (
        lambda body: _bodies.created_container(body, "my-api"),
        CREATED["data"],
        {"id": "usr-abc12345-my-api", "port": 8005, "ssh_host": "stacks.hosting", "has_web_ui": False},
    ),
    "who may connect": (
        _bodies.allowed_ips,
        {
            "external_access_enabled": True,
            "url": "x.example",
            "your_current_ip": "203.0.113.45",
            "allowed_ips": [ENTRY],
        },
        {"enabled": True, "url": "x.example", "your_ip": "203.0.113.45"},
    ),
    "a connection": (
        _bodies.created_connection,
        CONNECTION,
        {"source_id": "usr-1-app", "target_id": "usr-1-db", "name": "primary-db"},
    ),
    "backups": (lambda body: items(Backup, body)[0], [BACKUP], {"id": 178, "pinned": False}),
    "statistics": (
        lambda body: item(models.BackupStats, body),
        {"total_backups": 32, "completed_backups": "32"},
        {"total_backups": 32, "completed_backups": 32},
    ),
}


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("spelt", [lambda body: body, camel, snakes], ids=["as shown", "camel", "snake"])
@pytest.mark.parametrize(
    "wrapped", [lambda body: {"success": True, "data": body}, lambda body: body], ids=["data", "bare"]
)
def test_the_guides_examples_are_read_in_each_spelling(
    name: str, spelt: Callable[[Any], Any], wrapped: Callable[[Any], Any]
) -> None:
    read, body, expected = EXAMPLES[name]

    found = read(wrapped(spelt(body)))

    assert {field: getattr(found, field) for field in expected} == expected


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"id": "a", "port": None, "type": None, "unknown": {"x": [1]}}, Container(id="a")),
        ({"id": "a", "version": 22, "port": "8005"}, Container(id="a", version="22", port=8005)),
        (
            {"id": "a", "status": "RUNNING", "plan": " Basic", "type": "NodeJS"},
            Container(id="a", status="running", plan="basic", template="nodejs"),
        ),
        ({"id": "a", "type": "vpn", "template": "stacks-vpn"}, Container(id="a", template="stacks-vpn")),
        ({"template": None, "type": "vpn", "id": "a"}, Container(id="a", template="vpn")),
        ({"id": "a", "port": "s3cret", "cpu": "nan", "hasWebUI": "maybe"}, Container(id="a")),
    ],
)
def test_a_field_may_be_missing_null_unknown_a_number_as_text_or_in_another_case(
    row: dict[str, Any], expected: Container
) -> None:
    assert record(Container, row) == expected
    assert record(Backup, {"id": "178", "pinned": "1"}) == Backup(id=178, pinned=True)
    assert record(AllowedIp, {"id": "a", "serviceType": "HTTP"}).service_type == "http"


@pytest.mark.parametrize("word", ["active", "Up 2 hours", "STATE_RUNNING", "terminated", "exited", "ok"])
def test_a_word_that_is_not_in_the_guide_stays_as_it_came_and_is_unknown(word: str) -> None:
    assert record(Container, {"id": "a", "status": word}).status == word
    assert not is_known_status(word)
    assert record(Backup, {"id": 1, "status": word, "backup_type": word}).backup_type == word
    assert not is_known_status(word, "backup")
    assert all(map(is_known_status, STATUSES))
    assert all(is_known_status(status, "backup") for status in BACKUP_STATUSES)


@pytest.mark.parametrize(
    ("seen", "wanted", "expected"),
    [
        ("nodejs", "nodejs", True),
        ("NodeJS", "nodejs", True),
        ("nginx", "nginx-micro", True),
        ("vpn", "stacks-vpn", True),
        ("bun", "bun", True),
        ("nodejs", "postgresql", False),
        ("Database", "postgresql", None),
        ("valkey", "nodejs", None),
        (None, "nodejs", None),
    ],
)
def test_another_template_is_a_no_and_any_other_word_shows_nothing(
    seen: str | None, wanted: str, expected: bool | None
) -> None:
    assert record(Container, {"id": "a", "type": seen}).is_from(wanted) is expected
    assert all(record(Container, {"id": "a", "type": word}).is_from(word) for word in catalog.TEMPLATES)


def test_a_list_reads_what_it_can_and_has_a_gap() -> None:
    bad: list[Any] = [
        {},
        {"id": ""},
        {"id": []},
        {"id": ".."},
        {"id": "usr-1-web\n"},
        {"id": "a/b"},
        {"id": "a\nb"},
        {"id": 7},
        "b",
        None,
        7,
        [],
    ]

    for row in bad:
        read = items(Container, {"data": [{"id": "a"}, row, {"id": "c", "port": []}]})

        assert [container.id for container in read] == ["a", "c"]
        assert (read.gap or "").startswith("data[1]")
        assert read.damaged == {"c"}


def test_an_absence_from_an_incomplete_list_is_unknown() -> None:
    whole, part = Listing("ab"), Listing("ab", gap="data[2]")

    assert whole.find(lambda row: row == "b") == part.find(lambda row: row == "b") == "b"
    assert whole.find(lambda row: row == "c") is None
    with pytest.raises(errors.UnreadableAnswerError, match=r"incomplete \(data\[2\]\)"):
        part.find(lambda row: row == "c")
    assert pickle.loads(pickle.dumps(part)).gap == "data[2]"


def test_one_direction_that_is_missing_is_a_gap_and_no_addresses_are_none_without_access() -> None:
    entry = {"id": "c", "connection_name": "primary-db", "target_name": "mydb", "target_status": "running"}

    read = _bodies.connections({"data": {"outgoing": [entry], "incoming": None}})

    assert [(one.id, one.name, one.target_name) for one in read.outgoing] == [("c", "primary-db", "mydb")]
    assert (read.outgoing.gap, read.incoming.gap) == (None, "data.incoming is missing")
    assert _bodies.allowed_ips({"data": {"external_access_enabled": False}}).allowed_ips.gap is None


@pytest.mark.parametrize("address", [None, 7, [], "", "..", "somewhere"])
def test_an_entry_without_an_address_is_a_gap_in_the_list_of_addresses(address: Any) -> None:
    """The row may be any entry, so the list cannot prove that an entry is absent."""
    entries = [{"id": "a", "ip_address": "198.51.100.8"}, {"id": "b", "ip_address": address}]

    read = _bodies.allowed_ips({"data": {"allowed_ips": entries}}).allowed_ips

    assert [row.id for row in read] == ["a", "b"]
    assert read.gap == "data.allowed_ips: an address was expected in each entry"


def test_secrets_of_a_connection_are_not_shown() -> None:
    read = _bodies.created_connection({"data": CONNECTION})

    assert read.environment_variables == {"POSTGRES_PORT": "5432", "POSTGRES_PASSWORD": "hunter2"}
    assert "hunter2" not in repr(read)
    assert "primary-db" in repr(read)


def test_targets_are_read_by_kind() -> None:
    db = {"id": "usr-1-db", "name": "db", "type": "postgresql", "suggested": True}

    read = _bodies.targets({"data": {"databases": [db], "caches": [], "loadBalancers": [db], "all": [db]}})

    assert [len(read.databases), len(read.load_balancers), len(read.caches), len(read.all)] == [1, 1, 0, 1]
    assert read.databases[0].suggested is True


# --- forms that the guide leaves open ---


def test_credentials_of_the_guide_and_a_list_of_logins() -> None:
    body = {
        "success": True,
        "credentials": [{"type": "web", "username": "web-admin", "password": "w"}],
        "data": {
            "containerName": "mydb",
            "type": "postgresql",
            "mainCredentials": {"username": "admin", "password": "p"},
            "connectionInfo": {"host": "10.52.0.5", "port": 5432, "internalHost": "usr-1-mydb"},
        },
    }

    read = _unshaped.credentials(body)

    assert (read.username, read.password) == ("admin", "p")
    assert (read.host, read.port, read.internal_host) == ("10.52.0.5", 5432, "usr-1-mydb")
    assert read.raw == {"credentials": body["credentials"], **body["data"]}  # type: ignore[dict-item]  # JSON
    assert _unshaped.credentials({"credentials": [{"username": "u", "password": "p"}]}).password == "p"


OPEN: list[tuple[Callable[[Any], Any], Any, Any]] = [
    (_unshaped.text_of, "a\nb", "a\nb"),
    (_unshaped.text_of, {"data": {"logs": "a\nb"}}, "a\nb"),
    (_unshaped.text_of, {"logs": ["a\n", "b\n"]}, "a\nb"),
    (_unshaped.text_of, {"data": {"lines": []}}, ""),
    (_unshaped.private_key, PEM, PEM),
    (_unshaped.private_key, {"data": {"public_key": "ssh-rsa AAAA", "private_key": PEM}}, PEM),
    (_unshaped.private_key_if_any, {"message": "New key made"}, None),
    (_unshaped.configuration, {"data": {"qr": "AAAA", "config": WIREGUARD}}, WIREGUARD),
    (_unshaped.vpn_clients, {"data": {"clients": [{"name": "a"}]}}, (VpnClient(name="a"),)),
    (_unshaped.vpn_clients, ["a"], (VpnClient(name="a"),)),
    (lambda body: [row.id for row in _unshaped.templates(body)], {"data": ["nginx"]}, ["nginx"]),
    (lambda body: _unshaped.metrics(body).cpu[0].value, {"cpu": [{"timestamp": 1, "value": "2"}]}, 2.0),
    (lambda body: _unshaped.metrics(body).cpu[0].timestamp, {"data": {"cpu": [[1, 2]]}}, "1"),
]


@pytest.mark.parametrize(("read", "body", "expected"), OPEN)
def test_what_the_guide_leaves_open_is_read(read: Callable[[Any], Any], body: Any, expected: Any) -> None:
    assert read(body) == expected


def test_a_template_keeps_the_whole_entry_and_what_is_said_beside_the_list() -> None:
    body = {
        "currency": "EUR",
        "meta": {"tax": {"rate": 19}},
        "data": {"templates": [{"id": "nginx", "price": 4}], "per": "week"},
    }

    (read,) = _unshaped.templates(body)

    assert (read.monthly_usd, read.raw) == (4.0, {"id": "nginx", "price": 4})
    assert read.beside == {"currency": "EUR", "meta.tax.rate": 19, "data.per": "week"}


# --- any other form is one error ---


REFUSED: dict[str, tuple[Callable[[Any], Any], Any, str]] = {
    "rows under another name": (
        lambda body: items(Container, body),
        {"items": [{"id": "a"}]},
        "body: a list was expected, but an object was received",
    ),
    "rows deeper": (
        lambda body: items(Container, body),
        {"data": {"containers": [{"id": "a"}]}},
        "data: a list was expected, but an object was received",
    ),
    "rows by name": (
        lambda body: items(Container, body),
        {"data": {"a": {"id": "a"}}},
        "a list was expected",
    ),
    "no list": (lambda body: items(Container, body), None, "body: a list was expected, but nothing was"),
    "null": (lambda body: items(Backup, body), {"success": True, "data": None}, "a list was expected"),
    "no object": (lambda body: item(Container, body), [], "body: an object was expected, but a list was"),
    "no id": (lambda body: item(Container, body), {"name": "a"}, "missing required field `id`"),
    "a nested row": (lambda body: item(Container, body), {"node": {"id": "a"}}, "missing required field"),
    "a job's id": (
        lambda body: _bodies.created_container(body, "web"),
        {"data": {"id": "job-18", "name": "web", "status": "pending"}},
        "data.id: an id that ends with -web was expected",
    ),
    "a number as an id": (
        lambda body: _bodies.created_container(body, "web"),
        {"data": {"id": 18}},
        "data.id: Expected `str`, got `int`",
    ),
    **{
        f"{value} as a connection's id": (
            _bodies.created_connection,
            {"data": {"id": value}},
            f"data.id: Expected `str`, got `{came}`",
        )
        for value, came in ((7, "int"), (7.5, "float"), (True, "bool"), ([], "array"))
    },
    "no addresses": (
        _bodies.allowed_ips,
        {"data": {"external_access_enabled": True}},
        "data.allowed_ips: a list was expected, but nothing was received",
    ),
    "only addresses": (_bodies.allowed_ips, ["10.0.0.1"], "body: an object was expected"),
    "one list of connections": (_bodies.connections, [{"id": "a"}], "body: an object was expected"),
    "no connections": (_bodies.connections, {"data": {}}, "outgoing and incoming were expected"),
    "connections by name": (_bodies.connections, {"data": {"outgoing": {}}}, "outgoing: a list was expected"),
    "no targets": (_bodies.targets, {"data": {"odd": []}}, "none was received"),
    "no credentials": (_unshaped.credentials, {"data": "text"}, "data: an object was expected, but a text"),
    "no log": (_unshaped.text_of, {"stdout": "a"}, "body: a text was expected, but an object was received"),
    "lines that are no text": (
        _unshaped.text_of,
        {"logs": [7]},
        "body.logs: a text was expected, but a list was received",
    ),
    "a page": (_unshaped.text_of, "<!DOCTYPE html><p>", "a text was expected"),
    "a public key": (_unshaped.private_key, "-----BEGIN PUBLIC KEY-----", "a private key"),
    "a key in base64": (_unshaped.private_key, "LS0tLS1CRUdJTiBQUklWQVRF", "a private key"),
    "no configuration": (_unshaped.configuration, {"status": "pending"}, "WireGuard configuration"),
    "templates by category": (_unshaped.templates, {"data": {"Web": ["nginx"]}}, "a list was expected"),
    "no series": (_unshaped.metrics, {"data": {"resultType": "matrix"}}, "one of cpu, memory, disk"),
    "points without a number": (_unshaped.metrics, {"cpu": ["a"]}, "numbers with timestamps"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_answer_of_another_shape_is_refused_by_name(name: str) -> None:
    parse, body, expected = REFUSED[name]

    with pytest.raises(errors.UnreadableAnswerError) as caught:
        decode(ok(body), parse)
    assert expected in caught.value.message
    assert caught.value.message.startswith("do anything: the API's answer (200) cannot be understood: its ")


@pytest.mark.parametrize("time", ["created", "createdOn", "creation_time", "deleted_at", "pinned_at"])
def test_a_name_of_another_api_means_nothing(time: str) -> None:
    told = "2026-05-17T02:00:14.000Z"

    assert items(Container, [{"id": "a", "status": "running", time: told}]) == (
        Container(id="a", status="running"),
    )
    assert record(Backup, {"id": 1, time: told, "pinned": told}).pinned is None


# --- status and form of an answer ---


def decode(
    answer: Answer, parse: Callable[[Any], Any] = lambda body: body, method: str = "GET", **more: Any
) -> Any:
    return Decode(lambda call: answer)(a_call(method, parse, **more))


@pytest.mark.parametrize("status", [200, 201, 202, 299])
def test_any_success_is_read(status: int) -> None:
    assert decode(ok({"a": 1}, status), lambda body: body["a"]) == 1


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "not a complete JSON document (0 bytes)"),
        (b'{"success": true, "da', "not a complete JSON document (21 bytes)"),
        (b"<html></html>", "not a complete JSON document"),
        (b"\xff\xfe", "not a complete JSON document"),
        (b'\xef\xbb\xbf{"a": 1}', "not a complete JSON document"),
        (b"NaN", "not a complete JSON document"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' + b"1" * 5000 + b"}", "not a complete JSON document"),
    ],
)
def test_a_body_that_is_not_json_is_named_and_not_shown(body: bytes, why: str) -> None:
    with pytest.raises(errors.UnreadableAnswerError) as caught:
        decode(Answer(200, {}, body))

    assert why in str(caught.value)
    assert (caught.value.operation, caught.value.status) == ("tests.any", 200)
    assert "html" not in str(caught.value)


def test_no_content_is_no_list_and_no_object() -> None:
    for parse in (lambda body: item(Container, body), lambda body: items(Container, body)):
        with pytest.raises(errors.UnreadableAnswerError):
            decode(Answer(204), parse)


def test_an_id_that_cannot_be_read_is_named_and_its_value_is_not() -> None:
    with pytest.raises(errors.UnreadableAnswerError) as caught:
        decode(ok({"data": {"id": ["s3cret"]}}), lambda body: item(Container, body))
    assert "data.id: Expected `str`, got `array`" in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("body", [{"success": False, "error": "no"}, {"success": False}, {"error": "no"}])
def test_a_success_code_with_an_error_body_is_an_error(body: Any) -> None:
    with pytest.raises(errors.ApiError) as caught:
        decode(ok(body), done)
    assert caught.value.status == 200


@pytest.mark.parametrize(
    "body", [{"success": True, "error": "old"}, {"id": "a", "error": "x"}, {"data": {}, "error": "x"}]
)
def test_a_field_named_error_is_not_always_an_error(body: Any) -> None:
    assert decode(ok(body)) == body


@pytest.mark.parametrize("body", [b"", b"<html>", b"[" * 100_000, b"\xff", b"[1, 2]", b'"text"', b"{}"])
@pytest.mark.parametrize("status", [400, 401, 402, 403, 409, 410, 422, 429, 500, 503])
def test_an_error_stays_that_error_whatever_its_body(status: int, body: bytes) -> None:
    with pytest.raises(errors.ApiError) as caught:
        decode(Answer(status, {}, body))
    assert caught.value.status == status


def test_only_a_404_of_the_api_means_that_nothing_is_there() -> None:
    with pytest.raises(errors.NotFoundError):
        decode(ok({"error": "Container not found"}, 404))
    for body in (b"<html>nginx</html>", b"", b"404 page not found"):
        with pytest.raises(errors.UnreadableAnswerError, match="it is not in the API's error format"):
            decode(Answer(404, {}, body))
    for status in (403, 410):
        with pytest.raises(errors.ApiError) as caught:
            decode(refusal(status, "Container not found"))
        assert not isinstance(caught.value, errors.NotFoundError)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("https://user:pw@evil.example/login?token=1", "redirect to evil.example, which is not followed"),
        ("https://[bad", "is a redirect, which"),
        ("/relative", "is a redirect, which"),
    ],
)
def test_a_redirect_is_reported_with_only_its_host(status: int, location: str, shown: str) -> None:
    with pytest.raises(errors.UnreadableAnswerError, match=shown) as caught:
        decode(Answer(status, {"location": location}))
    assert "pw" not in str(caught.value)


def test_an_unreadable_answer_to_a_write_warns_that_it_may_have_happened() -> None:
    with pytest.raises(errors.UnreadableAnswerError, match="the request may have been carried out"):
        decode(Answer(200, {}, b"?"), method="PUT")


@pytest.mark.parametrize("page", [b"<!DOCTYPE html><p>Please wait", b"\n<html>"])
def test_a_page_of_a_proxy_is_not_an_empty_answer(page: bytes) -> None:
    with pytest.raises(errors.UnreadableAnswerError, match="it is a web page"):
        decode(Answer(200, {"content-type": "text/html"}, page), method="DELETE", text=True)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (text("a\nb"), "a\nb"),
        (text("", "application/json"), ""),
        (text('{"level": "info", "msg": "x"}'), '{"level": "info", "msg": "x"}'),
        (text('{"success": true, "logs": "a"}'), {"success": True, "logs": "a"}),
        (text('{"logs": "a"}', "text/html"), {"logs": "a"}),
        (text("{not json", "text/html"), "{not json"),
        (text('"a\\nb"', "application/json; charset=utf-8"), "a\nb"),
        (Answer(200, {}, b"caf\xe9"), "caf\ufffd"),
    ],
)
def test_a_text_may_come_bare_or_wrapped(answer: Answer, expected: Any) -> None:
    assert decode(answer, text=True) == expected


def test_a_truncated_json_text_is_unreadable() -> None:
    with pytest.raises(errors.UnreadableAnswerError):
        decode(text('{"logs": "a', "application/json"), text=True)


# --- 404: a deleted resource, or a wrong base URL ---


def not_found(probe: int, base_url: str, *, fixed: bool = False) -> tuple[errors.ApiError, list[str]]:
    """Return the error of a 404 if the list of containers has a given status, and the requests."""
    asked: list[str] = []

    def send(call: Call[Any]) -> Answer:
        asked.append(call.endpoint.name)
        return ok({"error": "Not found"}, 404 if call.endpoint.name == "tests.any" else probe)

    chain = Decode(send, base_url)
    for _ in range(2):
        with pytest.raises(errors.ApiError) as caught:
            chain(a_call("DELETE", done, fixed=fixed))
    return caught.value, asked


def test_a_404_on_an_id_is_about_the_resource() -> None:
    error, asked = not_found(200, "https://api.example/api/v1")

    assert type(error) is errors.NotFoundError
    assert asked == ["tests.any", "tests.any"]


@pytest.mark.parametrize("base_url", ["https://api.example/api/v1", "https://api.example"])
def test_a_404_on_a_path_that_every_account_has_is_about_the_base_url(base_url: str) -> None:
    error, _ = not_found(200, base_url, fixed=True)

    assert (type(error), error.code, error.status) == (errors.ApiError, "wrong-base-url", 404)
    assert error.message == (
        f"do anything: the API is not at {base_url} (404: Not found); the base URL is probably wrong: it should look "
        "like https://api.stackshosting.cloud/api/v1"
    )


@pytest.mark.parametrize(
    ("probe", "kind"),
    [
        (404, errors.ApiError),
        (200, errors.NotFoundError),
        (401, errors.NotFoundError),
        (500, errors.NotFoundError),
    ],
)
def test_a_404_at_an_address_of_another_form_needs_a_list_that_is_none(
    probe: int, kind: type[errors.ApiError]
) -> None:
    error, asked = not_found(probe, "https://gateway.example/stacks")

    assert type(error) is kind
    assert asked.count("containers.list") == (2 if probe == 404 else 1), "a proven address is checked once"


# --- any answer ---

NAMES = [
    *("success", "error", "message", "field", "data", "count", "credentials", "mainCredentials", "logs"),
    *("outgoing", "incoming", "all", "databases", "allowed_ips", "templates", "metrics", "cpu", "clients"),
    *("timestamp", "value", "environmentVariables", "required_scope", "spending_cap", "config", "code"),
    *models.Container.__struct_fields__,
    *models.Backup.__struct_fields__,
]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=8) | st.sampled_from(NAMES), inner, max_size=6)
    ),
    max_leaves=25,
)
PARSERS: list[Callable[[Any], Any]] = [
    *(read for read, _, _ in EXAMPLES.values()),
    lambda body: item(AllowedIp, body),
    lambda body: item(models.ExternalAccess, body),
    _bodies.connections,
    _bodies.targets,
    _unshaped.credentials,
    _unshaped.private_key,
    _unshaped.private_key_if_any,
    _unshaped.vpn_clients,
    _unshaped.templates,
    _unshaped.metrics,
    _unshaped.text_of,
    done,
]


@given(
    body=json_values.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=64),
    status=st.sampled_from([200, 202, 400, 402, 403, 404, 429, 500, 503]),
    kind=st.sampled_from(["", "text/plain", "application/json"]),
    parse=st.sampled_from(PARSERS),
    as_text=st.booleans(),
)
@settings(max_examples=400)
def test_any_answer_is_a_value_or_one_of_our_errors(
    body: bytes, status: int, kind: str, parse: Callable[[Any], Any], *, as_text: bool
) -> None:
    answer = Answer(status, {"content-type": kind}, body)
    try:
        # For an empty list, the test adds the first row.
        Decode(lambda call: answer)(a_call("GET", lambda it: _first(parse, it), text=as_text))
    except (errors.ApiError, errors.UnreadableAnswerError) as error:
        message = str(error)
        assert message.isprintable()


def _first(parse: Callable[[Any], Any], body: Any) -> Any:
    try:
        return parse(body)
    except IndexError:
        return None


KINDS: tuple[type[Model], ...] = (AllowedIp, Backup, Connection, Container, VpnClient)
values = st.sampled_from(
    (None, True, 7, -1, 2.5, float("nan"), "7", "", "failed", "RUNNING", "x\ny", [], ["a"], {}, {"a": 1})
)
ids: st.SearchStrategy[Any] = st.sampled_from((1, 178, "ab", "", "..", None, [], 2.5))


def _spellings(kind: type[Model]) -> list[str]:
    """Every accepted name of a field, in snake_case and camelCase, and an unknown name."""
    names = [spelling for name in kind.__struct_fields__ for spelling in (name, *kind.ALIASES.get(name, ()))]
    return sorted({*names, *camel(dict.fromkeys(names)), "unknown"} - {"id"})


@st.composite
def listed(draw: st.DrawFn) -> tuple[type[Model], list[Any]]:
    """Rows of one kind. Many have the same names in the same order, as in a real list."""
    kind = draw(st.sampled_from(KINDS))
    layout = st.lists(st.sampled_from(_spellings(kind)), unique=True, max_size=8)
    layouts = draw(st.lists(layout, min_size=1, max_size=3))
    rows: list[Any] = []
    for _ in range(draw(st.integers(0, 6))):
        names = draw(st.sampled_from(layouts))
        odd = draw(st.booleans())
        found: Mapping[str, Any] = {
            name: draw(values) if odd else str(index) for index, name in enumerate(names)
        }
        rows.append(draw(st.sampled_from(({"id": draw(ids), **found}, found, "text", 3, None, []))))
    return kind, rows


@given(listed())
@settings(max_examples=400, deadline=None)
def test_rows_are_equal_when_read_together_and_separately(case: tuple[type[Model], list[Any]]) -> None:
    kind, rows = case
    alone = []
    for row in rows:
        try:
            alone.append(record(kind, row))
        except ShapeError:
            continue

    found = items(kind, rows)

    assert list(found) == alone
    assert (found.gap is None) is (len(alone) == len(rows))
