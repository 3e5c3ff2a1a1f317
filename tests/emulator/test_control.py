"""The control endpoints for other processes: every call and its effect."""

from __future__ import annotations

import json
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import pytest

from stacks_pulumi.emulator import Emulator
from stacks_pulumi.emulator.controls import snapshot
from stacks_pulumi.emulator.drift import Drift

if TYPE_CHECKING:
    from tests.emulator.conftest import Caller, Control


def test_the_description_is_valid_and_lists_every_call(emulator: Emulator, control: Control) -> None:
    described = control("GET", "openapi.json")
    # Imported here, because the import takes a quarter of a second, even in a worker that only collects these tests.
    from openapi_spec_validator import OpenAPIV31SpecValidator

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


def test_requests_are_recorded_with_the_label_of_the_key(
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


def test_keys_and_accounts_are_created(emulator: Emulator, control: Control, call: Caller) -> None:
    account = control("POST", "new_account")["account"]
    key = control(
        "POST",
        "new_key",
        {"account": account, "scopes": ["containers:read"], "spending_cap": 5, "label": "ci"},
    )
    assert key["label"] == "ci"
    assert control("POST", "new_key")["label"] == "key-3"
    stranger = type(call)(emulator, key["key"])

    assert stranger("GET", "/containers").status_code == 200
    assert stranger("POST", "/containers", {}).status_code == 403
    assert control("GET", "snapshot")["keys"][1]["spending_cap"] == 5

    control("POST", "set_spending_cap", {"spending_cap": 0, "label": control("GET", "key")["label"]})
    assert call("POST", "/containers", {"name": "myapp", "template": "nodejs"}).status_code == 402
    control("POST", "set_rate_limit", {"rate_limit": 1})
    assert emulator.state.keys[0].rate_limit == 1


def test_drift_and_failures_are_applied(emulator: Emulator, control: Control, call: Caller) -> None:
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


def test_a_new_pace_applies_to_later_operations(emulator: Emulator, control: Control, call: Caller) -> None:
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
    state = snapshot(emulator.api)
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
def test_data_is_loaded_completely_or_not_at_all(
    emulator: Emulator, control: Control, change: dict[str, Any], outcome: tuple[int, str, str | None]
) -> None:
    data = {"containers": [{"name": "myapp", "template": "nodejs"}], **change}
    error = control("POST", "load", data, status=outcome[0])

    assert (error["code"], error.get("field")) == outcome[1:]
    assert emulator.state.names() == []


def test_requests_are_recorded_with_bodies_and_without_keys(
    emulator: Emulator, control: Control, call: Caller
) -> None:
    app = call.create("myapp")
    seen = control("GET", "request_detail?number=1")
    assert (json.loads(seen["request"])["name"], json.loads(seen["response"])["data"]["id"]) == ("myapp", app)
    assert seen["headers"]["X-RateLimit-Limit"]

    # An invented password is shown like all other data; the key of the request is not.
    answer = call("GET", f"/containers/{app}/credentials")
    last = control("GET", "requests")["requests"][-1]["number"]
    shown = control("GET", f"request_detail?number={last}")
    assert json.loads(shown["response"]) == answer.json()
    assert emulator.key not in json.dumps(shown)
    control("GET", "request_detail?number=999", status=404)


def test_shapes_are_set(emulator: Emulator, control: Control) -> None:
    assert control("POST", "shapes/set", {"operation": "containers.logs", "shape": "text"})[
        "containers.logs"
    ] == ("text")
    assert emulator.shapes.of("containers.logs") == "text"
    control("POST", "shapes/set", {"operation": "containers.logs", "shape": "round"}, status=400)


def test_reset_clears_everything(emulator: Emulator, control: Control, call: Caller) -> None:
    call.create("myapp")
    control("POST", "reset")

    assert emulator.state.names() == []
