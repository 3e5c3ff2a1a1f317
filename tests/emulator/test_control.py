"""The control endpoints and the page, for other processes."""

from __future__ import annotations

import json
import re
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import requests
from openapi_spec_validator import OpenAPIV31SpecValidator

from stacks_pulumi.emulator import Emulator, page_data
from stacks_pulumi.emulator.drift import Drift

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.emulator.conftest import Caller


class Control:
    """Asks the control endpoints."""

    def __init__(self, emulator: Emulator) -> None:
        self._root = emulator.page_url

    def __call__(self, method: str, name: str, body: Any = None, status: int = 200, **headers: str) -> Any:
        answer = requests.request(
            method, f"{self._root}_emulator/{name}", json=body, headers=headers, timeout=10
        )
        assert answer.status_code == status, answer.text
        return answer.json()


@pytest.fixture
def control(emulator: Emulator) -> Control:
    return Control(emulator)


def test_the_description_is_valid_and_lists_every_call(emulator: Emulator, control: Control) -> None:
    described = control("GET", "openapi.json")
    OpenAPIV31SpecValidator(described).validate()
    summaries = [it["summary"] for methods in described["paths"].values() for it in methods.values()]

    drifts = {name for name in vars(Drift) if not name.startswith("_")}
    assert {
        path.removeprefix("/drift/") for path in described["paths"] if path.startswith("/drift/")
    } == drifts
    assert all(summaries)
    assert described["paths"]["/advance"]["post"]["requestBody"]["content"]["application/json"]["schema"] == {
        "type": "object",
        "properties": {"seconds": {"type": "number"}},
        "required": ["seconds"],
        "additionalProperties": False,
    }
    for path, methods in described["paths"].items():
        if "get" in methods and not any(it["required"] for it in methods["get"]["parameters"]):
            control("GET", path.removeprefix("/"))


def test_every_call_is_a_method_of_the_same_name_in_python(emulator: Emulator, control: Control) -> None:
    for path, methods in control("GET", "openapi.json")["paths"].items():
        if "post" in methods:
            assert callable(attrgetter(path.removeprefix("/").replace("/", "."))(emulator)), path


def test_faults_are_added_listed_and_cleared(emulator: Emulator, control: Control, call: Caller) -> None:
    control("POST", "faults/add", {"operation": "containers.list", "kind": 503})
    control("POST", "faults/add", {"operation": "*", "kind": "slow", "seconds": 0})
    last = {"operation": "containers.create", "kind": "html", "times": None, "match": "web"}
    assert len(control("POST", "faults/add", last)["left"]) == 3
    assert call("GET", "/containers").status_code == 503

    seen = control("GET", "faults")
    assert [fault["kind"] for fault in seen["left"]] == ["slow", "html"]
    assert seen["fired"] == [{"operation": "containers.list", "kind": "status", "path": "/api/v1/containers"}]
    assert control("POST", "faults/clear") == {"all": [], "left": [], "fired": []}
    assert emulator.faults.all() == []


def test_the_clock_is_advanced_frozen_and_resumed(emulator: Emulator, control: Control, call: Caller) -> None:
    call("POST", "/containers", {"name": "myapp", "template": "nodejs"})
    assert control("GET", "clock")["iso"] == "2026-05-17T06:40:00.000Z"
    assert control("POST", "advance", {"seconds": 20})["iso"] == "2026-05-17T06:40:20.000Z"
    assert emulator.state.container("myapp").status == "running"

    assert control("POST", "resume")["frozen"] is False
    frozen = control("POST", "freeze")
    assert frozen["now"] >= 1_779_000_020
    assert (frozen["frozen"], control("GET", "clock")) == (True, frozen)


def test_requests_are_told_with_the_label_of_the_key(
    emulator: Emulator, control: Control, call: Caller
) -> None:
    call("GET", "/containers")
    call("GET", "/containers/templates")
    found = control("GET", "requests?operation=containers.templates")

    (record,) = found["requests"]
    assert (record["method"], record["path"], record["status"], record["key"]) == (
        "GET",
        "/api/v1/containers/templates",
        200,
        "default",
    )
    assert found["calls"] == {"containers.list": 1, "containers.templates": 1}
    assert [one["number"] for one in control("GET", "requests?after=1")["requests"]] == [2]


def test_keys_and_accounts_are_made(emulator: Emulator, control: Control, call: Caller) -> None:
    account = control("POST", "new_account")["account"]
    key = control(
        "POST",
        "new_key",
        {"account": account, "scopes": ["containers:read"], "spending_cap": 5, "label": "ci"},
    )
    stranger = type(call)(emulator, key["key"])

    assert stranger("GET", "/containers").status_code == 200
    assert stranger("POST", "/containers", {}).status_code == 403
    assert control("GET", "snapshot")["keys"][1]["spending_cap"] == 5

    control("POST", "set_spending_cap", {"spending_cap": 0, "label": "default"})
    assert call("POST", "/containers", {"name": "myapp", "template": "nodejs"}).status_code == 402
    control("POST", "set_rate_limit", {"rate_limit": 1})
    assert emulator.state.keys[0].rate_limit == 1


def test_drift_and_failures_happen(emulator: Emulator, control: Control, call: Caller) -> None:
    control("POST", "fail_boot", {"name_or_template": "broken", "times": None})
    control("POST", "fail_backup", {"name": "myapp", "message": "no space"})
    call.create("myapp")
    call.create("broken")
    call("POST", f"/containers/{emulator.account}-myapp/backup")
    emulator.advance(10)
    assert emulator.state.backups[1].error_message == "no space"
    assert emulator.state.container("broken").status == "error"

    assert control("POST", "drift/resize", {"container": "myapp", "plan": "premium"}) == {"done": True}
    assert emulator.state.container("myapp").plan == "premium"
    control("POST", "drift/delete", {"container": "nobody"}, status=404)
    control("POST", "drift/explode", status=404)
    control("POST", "drift/_enter", {"container": "myapp", "status": "x"}, status=404)


def test_the_pace_is_set_for_what_begins_later(emulator: Emulator, control: Control, call: Caller) -> None:
    assert control("POST", "set_pace", {"boot_seconds": 1})["boot_seconds"] == 1
    assert control("GET", "pace")["action_seconds"] == 5
    call("POST", "/containers", {"name": "myapp", "template": "nodejs"})
    emulator.advance(1)

    assert emulator.state.container("myapp").status == "running"
    assert control("POST", "set_pace", {"boot_seconds": -1}, status=400)["code"] == "invalid_value"


def test_data_is_loaded_without_waiting_and_without_a_cap(
    emulator: Emulator, control: Control, call: Caller
) -> None:
    emulator.set_spending_cap(0)
    data = {
        "containers": [
            {"name": "myapp", "template": "nodejs", "allowed_ips": ["198.51.100.0/24"]},
            {"name": "mydb", "template": "postgresql", "plan": "premium", "backups": 2},
            {"name": "gate", "template": "stacks-vpn", "vpn_clients": ["phone"]},
            {"name": "old", "template": "redis", "status": "stopped"},
        ],
        "connections": [{"source": "myapp", "target": "mydb", "name": "primary"}],
    }

    assert control("POST", "load", data)["ids"][0] == f"{emulator.account}-myapp"
    state = page_data.snapshot(emulator.api)
    assert [found["status"] for found in state["containers"]] == ["running", "running", "running", "stopped"]
    assert [backup["status"] for backup in state["backups"]] == ["completed", "completed"]
    assert [entry["ip_address"] for entry in state["containers"][0]["allowed_ips"]][-1] == "198.51.100.0/24"
    assert (state["connections"][0]["name"], state["containers"][0]["env_pending"]) == ("primary", False)
    assert state["containers"][2]["vpn_clients"] == ["default", "phone"]
    assert state["keys"][0]["spent"] == 0


@pytest.mark.parametrize(
    ("change", "outcome"),
    [
        ({"connections": [{"source": "myapp", "target": "none", "name": "x"}]}, (404, "not_found", None)),
        (
            {"containers": [{"name": "fine", "template": "nodejs"}, {"name": "-", "template": "nodejs"}]},
            (400, "refused", "name"),
        ),
        ({"containers": [{"name": "fine", "template": 5}]}, (400, "invalid_type", "containers[0].template")),
        ({"containers": [{"name": "fine"}]}, (400, "missing_field", "containers[0].template")),
    ],
)
def test_data_is_loaded_whole_or_not_at_all(
    emulator: Emulator, control: Control, change: dict[str, Any], outcome: tuple[int, str, str | None]
) -> None:
    data = {"containers": [{"name": "myapp", "template": "nodejs"}], **change}
    error = control("POST", "load", data, status=outcome[0])

    assert (error["code"], error.get("field")) == outcome[1:]
    assert emulator.state.names() == []


def test_a_request_is_told_with_its_bodies_and_without_secrets(
    emulator: Emulator, control: Control, call: Caller
) -> None:
    app, gate = call.create("myapp"), call.create("gate", "stacks-vpn")
    seen = control("GET", "request_detail?number=1")
    assert (json.loads(seen["request"])["name"], json.loads(seen["response"])["data"]["id"]) == ("myapp", app)
    assert seen["headers"]["X-RateLimit-Limit"]

    for shape in ("guide", "bare", "wrapped", "text", "strings"):
        emulator.shapes.set("*", shape)
        answers = [
            call("GET", f"/containers/{app}/credentials").text,
            call("GET", f"/containers/{app}/certificate").text,
            call("GET", f"/containers/{gate}/vpn-config").text,
        ]
        last = control("GET", "requests")["requests"][-1]["number"]
        told = [control("GET", f"request_detail?number={last - back}") for back in (2, 1, 0)]
        assert all("****" in it["response"] for it in told), shape
        secrets = [word for answer in answers for word in re.findall(r"[0-9A-Za-z+/]{20,}", answer)]
        assert len(secrets) > 3
        assert [word for word in secrets if word in json.dumps(told) and not word.startswith("usr")] == []
        assert emulator.key not in json.dumps(told)
    control("GET", "request_detail?number=999", status=404)


def test_shapes_are_set(emulator: Emulator, control: Control) -> None:
    assert control("POST", "shapes/set", {"operation": "containers.logs", "shape": "text"})[
        "containers.logs"
    ] == ("text")
    assert emulator.shapes.of("containers.logs") == "text"
    control("POST", "shapes/set", {"operation": "containers.logs", "shape": "round"}, status=400)


def test_everything_is_reset(emulator: Emulator, control: Control, call: Caller) -> None:
    call.create("myapp")
    control("POST", "reset")

    assert emulator.state.names() == []


@pytest.mark.parametrize(
    ("method", "name", "body", "outcome"),
    [
        ("GET", "nothing", None, (404, "not_found", None)),
        ("PATCH", "faults", None, (405, "method_not_allowed", None)),
        ("GET", "reset", None, (405, "method_not_allowed", None)),
        ("POST", "faults/add", {"operation": "*", "kind": "explode"}, (400, "invalid_value", None)),
        ("POST", "faults/add", {"operation": "containers.list"}, (400, "missing_field", "kind")),
        (
            "POST",
            "faults/add",
            {"operation": "*", "kind": 503, "colour": 1},
            (400, "unknown_field", "colour"),
        ),
        ("POST", "faults/add", [], (400, "invalid_type", None)),
        ("POST", "advance", {}, (400, "missing_field", "seconds")),
        ("POST", "advance", {"seconds": -1}, (400, "invalid_value", None)),
        ("POST", "advance", {"seconds": "long"}, (400, "invalid_type", "seconds")),
        ("POST", "new_key", {"scopes": ["all"]}, (400, "invalid_value", None)),
        ("POST", "new_key", {"spending_cap": "much"}, (400, "invalid_type", "spending_cap")),
        ("POST", "new_key", {"colour": "red"}, (400, "unknown_field", "colour")),
        ("POST", "reset", {"colour": "red"}, (400, "unknown_field", "colour")),
        ("GET", "requests?after=x", None, (400, "invalid_type", "after")),
    ],
)
def test_what_cannot_be_is_refused_with_a_code_and_a_field(
    control: Control, method: str, name: str, body: Any, outcome: tuple[int, str, str | None]
) -> None:
    error = control(method, name, body, outcome[0])

    assert error["error"]
    assert (error["code"], error.get("field")) == outcome[1:]


@pytest.mark.parametrize("payload", [b"{", b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_json_is_refused(emulator: Emulator, payload: bytes) -> None:
    answer = requests.post(f"{emulator.page_url}_emulator/reset", payload, timeout=10)

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_json")


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ({"to": "new_key", "rate_limit": 0}, "rate_limit must be a whole number from 1 on, not 0"),
        ({"to": "new_key", "rate_limit": True}, "rate_limit: Expected"),
        ({"to": "new_key", "spending_cap": "NaN"}, "spending_cap must be an amount of US dollars"),
        ({"to": "new_key", "spending_cap": "1e400"}, "spending_cap must be"),
        ({"to": "new_key", "spending_cap": -1}, "spending_cap must be"),
        ({"to": "new_key", "label": ["ci"]}, "label: Expected `str | null`, got `array`"),
        (
            {"to": "fail_boot", "name_or_template": "myapp", "times": 0},
            "times must be a whole number from 1 on",
        ),
        ({"to": "fail_boot", "name_or_template": ""}, "name_or_template must be text, not ''"),
        ({"to": "advance", "seconds": 1e12}, "the clock can be advanced to the year 9998"),
        ({"to": "faults/add", "operation": "*", "kind": []}, "kind: Expected `int | str`, got `array`"),
        ({"to": "faults/add", "operation": "*", "kind": 503, "match": ""}, "match must be text, not ''"),
        ({"to": "faults/add", "operation": "*", "kind": 503, "times": 0}, "times must be a whole number"),
        (
            {"to": "faults/add", "operation": "*", "kind": "slow", "seconds": 1e300},
            "seconds must be a number",
        ),
        ({"to": "faults/add", "operation": "*", "kind": "status", "done": 5}, "done: Expected `bool | null`"),
        ({"to": "drift/set_capacity", "containers_left": -1}, "containers_left must be"),
        (
            {"to": "drift/set_payment_method", "account": "the first", "present": "yes"},
            "present: Expected `bool`",
        ),
        ({"to": "drift/fail", "container": "myapp", "error": ""}, "error must be text, not ''"),
        (
            {"to": "drift/resize", "container": "myapp", "plan": "basic", "additional_storage_tier": 0},
            "additional_storage_tier must be a whole number",
        ),
    ],
)
def test_what_would_break_it_later_is_refused_at_once(
    emulator: Emulator, control: Control, call: Caller, body: dict[str, Any], complaint: str
) -> None:
    call.create("myapp")
    sent = {
        key: emulator.account if key == "account" else value for key, value in body.items() if key != "to"
    }
    before = msgspec.json.encode(emulator.platform.state)

    assert control("POST", body["to"], sent, status=400)["error"].startswith(complaint)
    assert msgspec.json.encode(emulator.platform.state) == before
    assert control("GET", "faults")["all"] == []
    assert control("GET", "snapshot")["now"] == "2026-05-17T06:40:20.000Z"
    assert call("GET", "/containers").json()["count"] == 1


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:80"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Host": ""},
    ],
)
def test_pages_of_other_origins_are_not_answered(
    emulator: Emulator, control: Control, headers: dict[str, str]
) -> None:
    control("POST", "reset", status=403, **headers)
    control("GET", "snapshot", status=403, **headers)
    assert requests.get(emulator.page_url, headers=headers, timeout=10).status_code == 403


@pytest.fixture
def exposed() -> Iterator[Emulator]:
    """Listens on every address."""
    with Emulator(host="0.0.0.0") as emulator:
        yield emulator


def test_on_every_address_the_control_api_needs_its_token(exposed: Emulator) -> None:
    def ask(path: str, **headers: str) -> requests.Response:
        return requests.get(exposed.page_url + path, headers=headers, timeout=10)

    token = exposed.control_token or ""
    assert len(token) > 20
    for authorization in ("", "Bearer ", f"Bearer {token}x", f"Bearer {exposed.key}", f"Basic {token}"):
        refused = ask("_emulator/snapshot", Authorization=authorization)
        assert (refused.status_code, refused.json()["code"]) == (401, "unauthorized")
    # The name that other machines know it by is as good as any.
    assert ask("_emulator/snapshot", Authorization=f"Bearer {token}", Host="emulator:7822").status_code == 200
    for public in ("", "openapi.yaml", "_emulator/health", "_emulator/openapi.json"):
        answer = ask(public, Host="emulator:7822")
        assert answer.status_code == 200
        assert token not in answer.text
    assert ask("_emulator/openapi.json").json()["security"] == [{"token": []}]
    assert ask("api/v1/containers", Authorization=f"Bearer {exposed.key}").status_code == 200


def test_a_loopback_address_needs_no_token_unless_asked_for(emulator: Emulator) -> None:
    assert emulator.control_token is None
    assert Emulator(host="127.0.0.2").control_token is None
    assert Emulator(control_token="mine").control_token == "mine"
    with Emulator(host="::1") as other:
        assert other.page_url == f"http://[::1]:{other.port}/"
        assert requests.get(f"{other.page_url}_emulator/health", timeout=10).json()["url"] == other.url


def test_web_pages_of_allowed_origins_may_call() -> None:
    mine, evil = "https://app.example", "https://evil.example"
    with Emulator(cors_origins=[mine]) as emulator:
        preflight = {"Origin": mine, "Access-Control-Request-Method": "PUT"}
        asked = requests.options(f"{emulator.url}/containers", headers=preflight, timeout=10)
        assert (asked.status_code, asked.headers["Access-Control-Allow-Origin"]) == (204, mine)
        for path in ("api/v1/containers", "_emulator/clock"):
            answer = requests.get(emulator.page_url + path, headers={"Origin": mine}, timeout=10)
            assert answer.headers["Access-Control-Allow-Origin"] == mine
            other = requests.get(emulator.page_url + path, headers={"Origin": evil}, timeout=10)
            assert "Access-Control-Allow-Origin" not in other.headers
        refused = {**preflight, "Origin": evil}
        assert requests.options(f"{emulator.url}/containers", headers=refused, timeout=10).status_code == 401
        assert (
            requests.get(
                f"{emulator.page_url}_emulator/clock", headers={"Origin": evil}, timeout=10
            ).status_code
            == 403
        )


def test_the_state_holds_everything_and_nothing_secret(
    emulator: Emulator, control: Control, call: Caller
) -> None:
    app, database = call.create("myapp"), call.create("mydb", "postgresql")
    gateway = call.create("gate", "stacks-vpn")
    call("PUT", f"/containers/{app}/external-access", {"enabled": True})
    call("POST", f"/containers/{app}/connect/{database}", {"connectionName": "primary-db"})
    call("POST", f"/containers/{database}/backup")
    secrets = {
        emulator.key,
        call("GET", f"/containers/{database}/credentials").json()["data"]["mainCredentials"]["password"],
        call("GET", f"/containers/{app}/certificate").json()["data"]["private_key"].splitlines()[1],
        call("GET", f"/containers/{gateway}/vpn-config").json()["data"]["config"].splitlines()[1],
    }
    state = control("GET", "snapshot")
    told = json.dumps([state, control("GET", "requests"), control("GET", "faults")])

    assert not [secret for secret in secrets if secret in told]
    assert state["monthly_usd"] == 13
    assert [found["name"] for found in state["containers"]] == ["myapp", "mydb", "gate"]
    assert state["containers"][0]["env_pending"] is True
    assert state["containers"][0]["allowed_ips"][0]["ip_address"] == "203.0.113.45"
    assert state["containers"][2]["vpn_clients"] == ["default"]
    assert (state["connections"][0]["source"], state["connections"][0]["target"]) == ("myapp", "mydb")
    assert state["backups"][0]["status"] == "in_progress"
    assert state["keys"][0]["spent"] == 13
    now = page_data.snapshot(emulator.api)
    for told_now in (state, now):
        # It runs down while the test runs.
        del told_now["keys"][0]["window_ends_in"]
    assert state == now | {"requests": state["requests"]}


@pytest.mark.parametrize("path", ["favicon.ico", "api/v2/containers", "page.html", "..%2fapp.py"])
def test_there_is_no_other_page(emulator: Emulator, path: str) -> None:
    answer = requests.get(emulator.page_url + path, timeout=10)

    assert answer.status_code == 404
    assert "/api/v1" in answer.json()["error"]


def test_the_page_brings_everything_with_it(emulator: Emulator) -> None:
    answer = requests.get(emulator.page_url, timeout=10)

    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "http://" not in answer.text
    assert "https://" not in answer.text
    assert "/_emulator/" in answer.text
    # Nothing that a name may hold is ever taken for markup.
    assert "innerHTML" not in answer.text
    assert emulator.key not in answer.text


def test_the_page_reads_what_the_state_tells(emulator: Emulator, call: Caller) -> None:
    call.create("gate", "stacks-vpn")
    page = requests.get(emulator.page_url, timeout=10).text
    state = page_data.snapshot(emulator.api)

    unread = [key for key in state if f"state.{key}" not in page]
    assert unread == ["accounts"]
    for key in ("container", "key"):
        (part,) = [part for part in page.split("\nfunction ") if part.startswith(f"{key}(")]
        names = {
            word.split(".", 1)[1]
            for word in part.replace("(", " ").replace(")", " ").replace(",", " ").split()
            if word.startswith("found.")
        }
        known = set(state[f"{key}s"][0])
        assert {name.split(".")[0].rstrip(";") for name in names} <= known
