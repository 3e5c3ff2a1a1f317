"""The API's answers to successful requests: the examples of the guide, field by field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from stacks_pulumi.emulator import Emulator
from tests.support.golden import Golden
from tests.support.guide import CREATED, LISTED, STATUS

if TYPE_CHECKING:
    from tests.emulator.conftest import Caller


def test_create_answers_as_in_the_guide(emulator: Emulator, call: Caller) -> None:
    answer = call("POST", "/containers", {"name": "my-api", "template": "nodejs", "plan": "basic"})
    account = emulator.account

    assert answer.status_code == 202
    of_this_account = {
        "id": f"{account}-my-api",
        "port": 8001,
        "createdAt": "2026-05-17T06:40:00.000Z",
        "sshUser": account,
        "sshPort": 8001,
        "vpcNetwork": f"vpc-{account}",
    }
    assert answer.json() == {**CREATED, "data": {**CREATED["data"], **of_this_account}}


def test_list_and_status_answer_as_in_the_guide(emulator: Emulator, call: Caller) -> None:
    container = call.create("myapp")
    emulator.advance(7200 - 20)
    emulator.advance(20)

    made, booted = "2026-05-17T06:40:00.000Z", "2026-05-17T06:40:20.000Z"
    listed = {**LISTED, "id": container, "created_at": made}
    assert call("GET", "/containers").json() == {"success": True, "count": 1, "data": [listed]}
    status = {**STATUS, "id": container, "createdAt": made, "updatedAt": booted}
    assert call("GET", f"/containers/status/{container}").json() == status


def test_a_micro_container_shows_its_fractions(call: Caller) -> None:
    container = call.create("small", "ubuntu-micro", plan="micro")
    status = call("GET", f"/containers/status/{container}").json()

    assert (status["ram"], status["cpuAllocated"]) == (0.5, "0.10")
    assert call("GET", "/containers").json()["data"][0]["cpu_allocated"] == 0.1


def test_the_answers_are_as_recorded(emulator: Emulator, call: Caller, golden: Golden) -> None:
    """The recorded answers were compared with the guide's examples, field by field."""
    app, database = call.create("myapp"), call.create("mydb", "postgresql")
    answers: dict[str, Any] = {}

    def ask(method: str, path: str, body: Any = None) -> Any:
        answer = call(method, path.format(app=app, database=database), body)
        answers[f"{len(answers):02} {method} {path}"] = [answer.status_code, answer.json()]
        return answer.json().get("data")

    for path in ("/containers/{database}/credentials", "/containers/{app}/credentials"):
        ask("GET", path)
    ask("PUT", "/containers/{app}/external-access", {"enabled": True})
    (entry,) = ask("GET", "/containers/{app}/allowed-ips")["allowed_ips"]
    ask("DELETE", f"/containers/{{app}}/allowed-ips/{entry['id']}")
    ask("PUT", "/containers/{app}/external-access", {"enabled": False})
    ask("GET", "/containers/{app}/allowed-ips")
    ask("GET", "/containers/{app}/available-targets")
    made = ask("POST", "/containers/{app}/connect/{database}", {"connectionName": "primary-db"})
    for path in ("/containers/{app}/connections", "/containers/{database}/connections"):
        ask("GET", path)
    for _ in range(2):
        ask("DELETE", f"/containers/connections/{made['id']}")
    ask("POST", "/containers/{database}/backup")
    emulator.advance(10)
    ask("GET", "/containers/{database}/backups")
    ask("GET", "/backups/stats")
    ask("GET", "/containers/{app}/metrics")

    golden.json("guide-answers.json", answers, {emulator.account: "ACCOUNT"})


def test_a_connection_needs_no_body(call: Caller) -> None:
    app, database = call.create("myapp"), call.create("mydb", "postgresql")

    assert call("POST", f"/containers/{app}/connect/{database}").json()["data"]["connectionName"] == "mydb"


def test_a_backup_is_pinned_restored_unpinned_and_deleted(emulator: Emulator, call: Caller) -> None:
    database = call.create("mydb", "postgresql")
    call("POST", f"/containers/{database}/backup")
    emulator.advance(10)
    pins = []
    for verb in ("pin", "restore", "unpin"):
        assert call("POST", f"/backups/1/{verb}").status_code == 200
        pins.append(call("GET", f"/containers/{database}/backups").json()["data"][0]["pinned"])

    assert pins == [1, 1, 0]
    assert emulator.state.container("mydb").restored == [1]
    assert call("DELETE", "/backups/1").status_code == 200
    assert call("DELETE", "/backups/1").status_code == 404


@pytest.mark.parametrize(
    ("path", "good", "bad"),
    [
        ("backups?limit=", ["1", "100"], ["0", "101", "x", "-1", "1.5", ""]),
        ("logs?lines=", ["1", "500"], ["0", "501", "all"]),
    ],
)
def test_a_number_out_of_range_is_refused_with_its_name(
    call: Caller, path: str, good: list[str], bad: list[str]
) -> None:
    container = call.create("myapp")
    answers = [call("GET", f"/containers/{container}/{path}{number}") for number in good + bad]

    assert [answer.status_code for answer in answers] == [200] * len(good) + [400] * len(bad)
    assert {answer.json()["field"] for answer in answers[len(good) :]} == {path.split("?")[1].rstrip("=")}


def test_without_strict_a_limit_is_capped_at_the_maximum(emulator: Emulator, call: Caller) -> None:
    emulator.platform.strict = False
    container = call.create("myapp")
    for path in ("backups?limit=101", "logs?lines=501"):
        assert call("GET", f"/containers/{container}/{path}").status_code == 200
    assert call("GET", f"/containers/{container}/logs?lines=0").status_code == 400


def test_a_misspelt_field_is_refused_and_not_ignored(emulator: Emulator, call: Caller) -> None:
    source, target = call.create("myapp"), call.create("mydb")
    asked = f"/containers/{source}/connect/{target}"
    refused = call("POST", asked, {"connection_name": "primary"})

    assert (refused.status_code, refused.json()["field"]) == (400, "connection_name")
    assert refused.json()["error"] == "Unknown field connection_name; there are: connectionName"
    refused = call("POST", f"/containers/{source}/backup", {"note": "nightly"})
    assert (refused.status_code, refused.json()["error"]) == (400, "Unknown field note; it has no fields")
    emulator.platform.strict = False
    assert call("POST", f"/containers/{source}/backup", {"note": "nightly"}).status_code == 202
    assert call("POST", asked, {"connection_name": "primary"}).json()["data"]["connectionName"] == "mydb"


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 202),
        ("application/json; charset=utf-8", 202),
        ("application/vnd.api+json", 202),
        # The content type that curl sends with only -d.
        ("application/x-www-form-urlencoded", 400),
        ("text/plain", 400),
        ("", 400),
    ],
)
def test_a_body_needs_the_header_that_the_guide_sends(
    emulator: Emulator, call: Caller, content_type: str, status: int
) -> None:
    body, headers = b'{"name": "myapp", "template": "nodejs"}', {"Content-Type": content_type}

    assert call("POST", "/containers", data=body, headers=headers).status_code == status
    emulator.platform.strict = False
    assert (
        call("POST", "/containers", data=body.replace(b"myapp", b"other"), headers=headers).status_code == 202
    )


def test_a_limit_returns_the_newest(emulator: Emulator, call: Caller) -> None:
    container = call.create("myapp")
    for _ in range(3):
        call("POST", f"/containers/{container}/backup")
        emulator.advance(1)

    assert [one["id"] for one in call("GET", f"/containers/{container}/backups?limit=2").json()["data"]] == [
        3,
        2,
    ]
    (line,) = call("GET", f"/containers/{container}/logs?lines=1").json()["data"]["lines"]
    assert line.endswith("ready to accept connections")


def test_the_log_of_a_failed_boot_has_the_reason(emulator: Emulator, call: Caller) -> None:
    emulator.fail_boot("myapp")
    container = call.create("myapp")

    assert (
        "ERROR the service did not become healthy in time"
        in call("GET", f"/containers/{container}/logs").text
    )


def test_a_certificate_is_for_compute_containers_and_changes_when_regenerated(call: Caller) -> None:
    app, database = call.create("myapp"), call.create("mydb", "postgresql")
    first = call("GET", f"/containers/{app}/certificate").json()["data"]["private_key"]
    assert call("GET", f"/containers/{app}/certificate").json()["data"]["private_key"] == first
    assert call("POST", f"/containers/{app}/certificate/regenerate").status_code == 200
    second = call("GET", f"/containers/{app}/certificate").json()["data"]["private_key"]

    assert first != second
    assert first.splitlines()[0] == "-----BEGIN OPENSSH " + "PRIVATE KEY-----"
    assert call("GET", f"/containers/{database}/certificate").status_code == 400
    assert call("POST", f"/containers/{database}/certificate/regenerate").status_code == 400


def test_templates_have_the_guides_prices(call: Caller) -> None:
    found = {one["id"]: one for one in call("GET", "/containers/templates").json()["data"]}

    assert len(found) == 27
    assert {name: found[name]["price"] for name in ("redis-micro", "nodejs", "stacks-vpn")} == {
        "redis-micro": 1,
        "nodejs": 4,
        "stacks-vpn": 5,
    }


def test_names_with_spaces_and_slashes_are_one_path_segment(call: Caller) -> None:
    gateway = call.create("gate", "stacks-vpn")
    call("POST", f"/containers/{gateway}/vpn-clients", {"name": "home / laptop ü?"})
    config = call("GET", f"/containers/{gateway}/vpn-config", params={"client": "home / laptop ü?"})
    assert config.json()["data"]["client"] == "home / laptop ü?"

    gone = call("DELETE", f"/containers/{gateway}/vpn-clients/home%20%2F%20laptop%20%C3%BC%3F")

    assert gone.status_code == 200
    listed = call("GET", f"/containers/{gateway}/vpn-clients").json()["data"]
    assert [client["name"] for client in listed] == ["default"]
    assert call("GET", f"/containers/{gateway}/vpn-config?client=nobody").status_code == 404


@pytest.mark.parametrize("shape", ["guide", "bare", "wrapped", "text", "strings", "terse", "empty"])
def test_open_answers_have_the_configured_shape(emulator: Emulator, call: Caller, shape: str) -> None:
    emulator.shapes.set_all(shape)
    gateway = call.create("gate", "stacks-vpn")
    added = call("POST", f"/containers/{gateway}/vpn-clients", {"name": "phone"})
    config = call("GET", f"/containers/{gateway}/vpn-config")

    assert added.status_code == (204 if shape == "empty" else 200)
    assert ("phone" in added.text) == (shape not in {"terse", "empty"})
    assert config.headers["Content-Type"].startswith("text/plain" if shape == "text" else "application/json")
    assert "[Interface]" in config.text
