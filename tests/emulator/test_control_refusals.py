"""The refusals of the control endpoints: invalid values, other origins, and callers without the token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import requests

from stacks_pulumi.emulator import Emulator
from stacks_pulumi.emulator.emulator import HostNames

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.emulator.conftest import Caller, Control


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
        ("GET", "requests?operation=container.list", None, (400, "invalid_value", None)),
    ],
)
def test_invalid_values_are_refused_with_a_code_and_a_field(
    control: Control, method: str, name: str, body: Any, outcome: tuple[int, str, str | None]
) -> None:
    error = control(method, name, body, outcome[0])

    assert error["error"]
    assert (error["code"], error.get("field")) == outcome[1:]


def test_an_unknown_field_is_answered_with_those_that_there_are(control: Control) -> None:
    assert control("POST", "fail_boot", {"name": "web"}, 400)["error"] == (
        "Unknown field name; there are: name_or_template, times"
    )
    assert (
        control("POST", "reset", {"name": "web"}, 400)["error"] == "Unknown field name; there are: no fields"
    )


@pytest.mark.parametrize("payload", [b"{", b"\xff", b"[" * 100_000, b'{"x": "\\ud800"}'])
def test_a_body_that_is_not_json_is_refused(emulator: Emulator, payload: bytes) -> None:
    answer = requests.post(f"{emulator.page_url}_emulator/reset", payload, timeout=60)

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_json")


def test_no_call_makes_a_state_that_cannot_be_stored(tmp_path: Path) -> None:
    with Emulator(state_file=tmp_path / "state.json") as emulator:
        page = f"{emulator.page_url}_emulator"
        poison = requests.post(f"{page}/fail_boot", b'{"name_or_template": "\\ud800"}', timeout=60)
        after = requests.post(
            f"{page}/load", b'{"containers": [{"name": "web", "template": "nginx"}]}', timeout=60
        )

    assert (poison.status_code, after.status_code) == (400, 200)
    assert Emulator(state_file=tmp_path / "state.json").state.names() == ["web"]


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ({"to": "new_key", "rate_limit": 0}, "rate_limit must be a whole number of at least 1, not 0"),
        ({"to": "set_rate_limit", "rate_limit": 5, "label": "cii"}, "there is no 'cii'"),
        ({"to": "set_spending_cap", "spending_cap": 5, "label": "cii"}, "there is no 'cii'"),
        ({"to": "faults/add", "operation": "*", "kind": 50}, "a status code is a number from 200 to 599"),
        (
            {"to": "faults/add", "operation": "*", "kind": "answer", "code": 1000},
            "a status code is a number from 200 to 599",
        ),
        ({"to": "new_key", "rate_limit": True}, "rate_limit: Expected"),
        ({"to": "new_key", "spending_cap": "NaN"}, "spending_cap must be an amount of US dollars"),
        ({"to": "new_key", "spending_cap": "1e400"}, "spending_cap must be"),
        ({"to": "new_key", "spending_cap": -1}, "spending_cap must be"),
        ({"to": "new_key", "label": ["ci"]}, "label: Expected `str | null`, got `array`"),
        (
            {"to": "fail_boot", "name_or_template": "myapp", "times": 0},
            "times must be a whole number of at least 1",
        ),
        ({"to": "fail_boot", "name_or_template": ""}, "name_or_template must be text, not ''"),
        ({"to": "advance", "seconds": 1e12}, "the clock cannot be advanced by 1000000000000.0"),
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
def test_values_that_would_fail_later_are_refused_immediately(
    emulator: Emulator, control: Control, call: Caller, body: dict[str, Any], complaint: str
) -> None:
    call.create("myapp")
    sent = {
        key: emulator.account if key == "account" else value for key, value in body.items() if key != "to"
    }
    before = msgspec.json.encode(emulator.platform.state)

    status = 404 if complaint.startswith("there is no") else 400
    assert control("POST", body["to"], sent, status=status)["error"].startswith(complaint)
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
def test_pages_of_other_origins_are_refused(
    emulator: Emulator, control: Control, headers: dict[str, str]
) -> None:
    control("POST", "reset", status=403, **headers)
    control("GET", "snapshot", status=403, **headers)
    assert requests.get(emulator.page_url, headers=headers, timeout=60).status_code == 403


@pytest.mark.parametrize(
    ("bound", "names", "host", "status"),
    [
        # A page whose own host name resolves to this machine.
        ("127.0.0.1", [], "evil.example:7822", 403),
        ("127.0.0.1", [], "localhost.evil.example", 403),
        ("127.0.0.1", [], "192.0.2.1", 403),
        ("127.0.0.1", [], "", 403),
        ("127.0.0.1", [], "[::1", 403),
        ("0.0.0.0", [], "evil.example", 403),
        ("0.0.0.0", ["emulator"], "emulator.evil.example", 403),
        ("127.0.0.1", [], "LOCALHOST:7822", 200),
        ("127.0.0.1", [], "[::1]:7822", 200),
        ("127.0.0.1", ["Stacks.test"], "stacks.test:7822", 200),
        ("0.0.0.0", ["emulator"], "emulator:7822", 200),
        # An attacker can make a name resolve to a different address, but not an address.
        ("0.0.0.0", [], "192.0.2.1:7822", 200),
    ],
)
def test_the_api_answers_only_for_its_own_host_names(
    bound: str, names: list[str], host: str, status: int
) -> None:
    with Emulator(host=bound, allow_hosts=names) as emulator:
        headers = {"Host": host, "Authorization": f"Bearer {emulator.key}"}
        answer = requests.get(f"{emulator.url}/containers", headers=headers, timeout=60)
        created = requests.post(
            f"{emulator.url}/containers",
            json={"name": "web", "template": "nodejs"},
            headers=headers,
            timeout=60,
        )

        assert answer.status_code == status
        assert (created.status_code == 403) is (status == 403)
        assert len(emulator.platform.state.containers) == int(status == 200)


def test_the_address_that_it_listens_on_is_one_of_its_names() -> None:
    assert HostNames("127.0.0.2").has("127.0.0.2:7822")
    assert not HostNames("127.0.0.2").has("127.0.0.3:7822")


@pytest.fixture
def exposed() -> Iterator[Emulator]:
    """An emulator that listens on every address."""
    with Emulator(host="0.0.0.0") as emulator:
        yield emulator


def test_the_control_api_needs_a_token_on_every_address(exposed: Emulator) -> None:
    def ask(path: str, **headers: str) -> requests.Response:
        return requests.get(exposed.page_url + path, headers=headers, timeout=60)

    token = exposed.control_token or ""
    assert len(token) > 20
    for authorization in ("", "Bearer ", f"Bearer {token}x", f"Bearer {exposed.key}", f"Basic {token}"):
        refused = ask("_emulator/snapshot", Authorization=authorization)
        assert (refused.status_code, refused.json()["code"]) == (401, "unauthorized")
    # Any host name that other machines use for it is accepted.
    assert ask("_emulator/snapshot", Authorization=f"Bearer {token}", Host="emulator:7822").status_code == 200
    for public in ("", "openapi.yaml", "_emulator/health", "_emulator/openapi.json"):
        answer = ask(public, Host="emulator:7822")
        assert answer.status_code == 200
        assert token not in answer.text
    assert ask("openapi.yaml").headers["Content-Type"] == "application/yaml"
    assert ask("_emulator/openapi.json").json()["security"] == [{"token": []}]
    assert ask("api/v1/containers", Authorization=f"Bearer {exposed.key}").status_code == 200


def test_by_default_loopback_needs_no_token(emulator: Emulator) -> None:
    assert emulator.control_token is None
    assert Emulator(host="127.0.0.2").control_token is None
    assert Emulator(control_token="mine").control_token == "mine"
    with Emulator(host="::1") as other:
        assert other.page_url == f"http://[::1]:{other.port}/"
        assert requests.get(f"{other.page_url}_emulator/health", timeout=60).json()["url"] == other.url


def test_web_pages_of_allowed_origins_may_call() -> None:
    mine, evil = "https://app.example", "https://evil.example"
    with Emulator(cors_origins=[mine]) as emulator:
        preflight = {"Origin": mine, "Access-Control-Request-Method": "PUT"}
        asked = requests.options(f"{emulator.url}/containers", headers=preflight, timeout=60)
        assert (asked.status_code, asked.headers["Access-Control-Allow-Origin"]) == (204, mine)
        for path in ("api/v1/containers", "_emulator/clock"):
            answer = requests.get(emulator.page_url + path, headers={"Origin": mine}, timeout=60)
            assert answer.headers["Access-Control-Allow-Origin"] == mine
            assert "Retry-After" in answer.headers["Access-Control-Expose-Headers"]
            other = requests.get(emulator.page_url + path, headers={"Origin": evil}, timeout=60)
            assert "Access-Control-Allow-Origin" not in other.headers
        refused = {**preflight, "Origin": evil}
        assert requests.options(f"{emulator.url}/containers", headers=refused, timeout=60).status_code == 401
        assert (
            requests.get(
                f"{emulator.page_url}_emulator/clock", headers={"Origin": evil}, timeout=60
            ).status_code
            == 403
        )
