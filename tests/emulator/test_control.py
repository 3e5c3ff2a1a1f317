"""The control endpoints and the page, for other processes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import requests

if TYPE_CHECKING:
    from stacks_pulumi.emulator import Emulator
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


def test_the_index_lists_what_there_is(control: Control) -> None:
    endpoints = control("GET", "")["endpoints"]

    assert "POST /_emulator/faults" in endpoints
    for endpoint in endpoints:
        method, path = endpoint.split()
        if method == "GET":
            control("GET", path.removeprefix("/_emulator/"))


def test_faults_are_added_listed_and_cleared(emulator: Emulator, control: Control, call: Caller) -> None:
    control("POST", "faults", {"operation": "containers.list", "kind": 503})
    both = {
        "faults": [
            {"operation": "*", "kind": "slow", "seconds": 0},
            {"operation": "containers.create", "kind": "html", "times": None},
        ]
    }
    assert len(control("POST", "faults", both)["left"]) == 3
    assert call("GET", "/containers").status_code == 503

    seen = control("GET", "faults")
    assert [fault["kind"] for fault in seen["left"]] == ["slow", "html"]
    assert seen["fired"] == [{"operation": "containers.list", "kind": "status", "path": "/api/v1/containers"}]
    assert control("DELETE", "faults") == {"faults": [], "left": [], "fired": []}
    assert emulator.faults.all() == []


def test_the_clock_is_driven(emulator: Emulator, control: Control, call: Caller) -> None:
    call("POST", "/containers", {"name": "myapp", "template": "nodejs"})
    assert control("GET", "clock")["iso"] == "2026-05-17T06:40:00.000Z"
    assert control("POST", "clock", {"advance": 20})["iso"] == "2026-05-17T06:40:20.000Z"
    assert emulator.state.container("myapp").status == "running"


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
    account = control("POST", "accounts")["account"]
    key = control(
        "POST", "keys", {"account": account, "scopes": ["containers:read"], "spending_cap": 5, "label": "ci"}
    )
    stranger = type(call)(emulator, key["key"])

    assert stranger("GET", "/containers").status_code == 200
    assert stranger("POST", "/containers", {}).status_code == 403
    assert control("GET", "state")["keys"][1]["spending_cap"] == 5


def test_drift_and_failures_happen(emulator: Emulator, control: Control, call: Caller) -> None:
    control("POST", "failures", {"boot": "broken", "times": None})
    control("POST", "failures", {"backup": "myapp", "message": "no space"})
    call.create("myapp")
    call.create("broken")
    call("POST", f"/containers/{emulator.account}-myapp/backup")
    emulator.advance(10)
    assert emulator.state.backups[1].error_message == "no space"
    assert emulator.state.container("broken").status == "error"

    assert control("POST", "drift", {"action": "resize", "container": "myapp", "plan": "premium"}) == {
        "done": True
    }
    assert emulator.state.container("myapp").plan == "premium"
    control("POST", "drift", {"action": "delete", "container": "nobody"}, status=404)
    control("POST", "drift", {"action": "explode"}, status=400)
    control(
        "POST", "drift", {"action": "set_external_access", "container": "myapp", "enabled": "yes"}, status=400
    )


def test_shapes_are_set(emulator: Emulator, control: Control) -> None:
    assert control("POST", "shapes", {"containers.logs": "text"})["containers.logs"] == "text"
    assert emulator.shapes.of("containers.logs") == "text"
    control("POST", "shapes", {"containers.logs": "round"}, status=400)


def test_everything_is_reset(emulator: Emulator, control: Control, call: Caller) -> None:
    call.create("myapp")
    control("POST", "reset")

    assert emulator.state.names() == []


@pytest.mark.parametrize(
    ("method", "name", "body", "status"),
    [
        ("GET", "nothing", None, 404),
        ("PATCH", "faults", None, 404),
        ("POST", "faults", {"operation": "containers.list", "kind": "explode"}, 400),
        ("POST", "faults", {"operation": "containers.list"}, 400),
        ("POST", "faults", {"faults": [1]}, 400),
        ("POST", "faults", [], 400),
        ("POST", "clock", {}, 404),
        ("POST", "clock", {"advance": -1}, 400),
        ("POST", "clock", {"advance": "long"}, 400),
        ("POST", "keys", {"scopes": ["all"]}, 400),
        ("POST", "keys", {"spending_cap": "much"}, 400),
        ("POST", "keys", {"colour": "red"}, 400),
        ("GET", "requests?after=x", None, 400),
    ],
)
def test_what_cannot_be_is_refused_in_json(
    control: Control, method: str, name: str, body: Any, status: int
) -> None:
    assert control(method, name, body, status)["error"]


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ({"to": "keys", "rate_limit": "x"}, "rate_limit must be a whole number from 1 on, not 'x'"),
        ({"to": "keys", "rate_limit": True}, "rate_limit must be a whole number from 1 on, not True"),
        ({"to": "keys", "rate_limit": 0}, "rate_limit must be a whole number from 1 on, not 0"),
        (
            {"to": "keys", "spending_cap": "NaN"},
            "spending_cap must be an amount of US dollars from 0 on, not 'NaN'",
        ),
        ({"to": "keys", "spending_cap": "1e400"}, "spending_cap must be"),
        ({"to": "keys", "spending_cap": -1}, "spending_cap must be"),
        ({"to": "keys", "label": ["ci"]}, "label must be text, not ['ci']"),
        ({"to": "failures", "boot": "myapp", "times": "a"}, "times must be a whole number from 1 on"),
        ({"to": "failures", "boot": {}}, "boot must be text, not {}"),
        ({"to": "failures", "backup": "myapp", "message": 5}, "message must be text, not 5"),
        ({"to": "clock", "advance": 1e12}, "the clock can be advanced to the year 9998"),
        ({"to": "faults", "operation": "*", "kind": []}, "a kind of fault is text or a status code, not []"),
        ({"to": "faults", "operation": "*", "kind": 503, "match": 5}, "match must be text, not 5"),
        ({"to": "faults", "operation": "*", "kind": 503, "times": "a"}, "times must be a whole number"),
        ({"to": "faults", "operation": "*", "kind": "slow", "seconds": 1e300}, "seconds must be a number"),
        ({"to": "drift", "action": "set_capacity", "containers_left": "x"}, "containers_left must be"),
        (
            {"to": "drift", "action": "set_payment_method", "account": "the first", "present": "yes"},
            "present must be true or false",
        ),
        ({"to": "drift", "action": "fail", "container": "myapp", "error": {}}, "error must be text, not {}"),
        (
            {
                "to": "drift",
                "action": "resize",
                "container": "myapp",
                "plan": "basic",
                "additional_storage_tier": True,
            },
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
    before = msgspec.json.encode(emulator.state.world)

    assert control("POST", body["to"], sent, status=400)["error"].startswith(complaint)
    assert msgspec.json.encode(emulator.state.world) == before
    assert control("GET", "faults")["faults"] == []
    assert control("GET", "state")["now"] == "2026-05-17T06:40:20.000Z"
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
    control("GET", "state", status=403, **headers)
    assert requests.get(emulator.page_url, headers=headers, timeout=10).status_code == 403


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
    state = control("GET", "state")
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
    now = emulator.snapshot()
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
    assert "/_emulator/state" in answer.text
    # Nothing that a name may hold is ever taken for markup.
    assert "innerHTML" not in answer.text
    assert emulator.key not in answer.text


def test_the_page_reads_what_the_state_tells(emulator: Emulator, call: Caller) -> None:
    call.create("gate", "stacks-vpn")
    page = requests.get(emulator.page_url, timeout=10).text
    state = emulator.snapshot()

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
