"""Platforms that a platform file describes: what a request shows of each setting."""

from __future__ import annotations

import contextlib
import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import pytest
import requests

from stacks_pulumi.emulator import DrivenClock, Emulator
from stacks_pulumi.emulator.server import Incoming
from stacks_pulumi.errors import ConfigError
from stacks_pulumi.platform_file import PlatformFacts, parse
from tests.emulator.conftest import MORNING, Caller, Control
from tests.support.platforms import READINGS, platform, random_platform
from tools.docs.readings import readings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PACE: dict[str, Any] = {"boot_seconds": 20, "action_seconds": 5, "delete_seconds": 3, "backup_seconds": 10}


class Played(Caller):
    """A caller of an emulator that plays a platform; its clock only moves when it is driven."""

    def advance(self, seconds: float) -> None:
        """Advance the clock."""
        self.emulator.advance(seconds)

    def body(
        self, method: str, path: str, sent: Any = None, status: int | None = None, **options: Any
    ) -> Any:
        """Return the JSON body of the answer to a request."""
        answer = self(method, path, sent, **options)
        assert status is None or answer.status_code == status, answer.text
        return answer.json()

    def rows(self, path: str = "/containers") -> list[Any]:
        """Return the rows of a list that has the form of the guide."""
        rows: list[Any] = self.body("GET", path, status=200)["data"]
        return rows

    def names(self) -> list[str]:
        """Return the names in the list of containers."""
        return [row["name"] for row in self.rows()]

    def status(self, container_id: str) -> int:
        """Return the status code for one container's status."""
        return self("GET", f"/containers/status/{container_id}").status_code

    def pending(self, name: str = "web", template: str = "nodejs") -> str:
        """Create a container and return its id."""
        return str(self.body("POST", "/containers", {"name": name, "template": template}, 202)["data"]["id"])


@pytest.fixture
def play() -> Iterator[Callable[..., Played]]:
    """Start an emulator that plays a platform with these sections of a platform file."""
    with contextlib.ExitStack() as stack:

        def started(facts: PlatformFacts | None = None, **sections: Any) -> Played:
            clock = DrivenClock(MORNING, running=False)
            emulator = Emulator(clock=clock, platform=facts or platform(**sections), **PACE)
            caller = Played(stack.enter_context(emulator))
            stack.callback(caller.session.close)
            return caller

        yield started


def life(
    facts: PlatformFacts, *, before: PlatformFacts | None = None
) -> list[tuple[int, bytes, dict[str, str]]]:
    """Return all answers in a long life of an account: some setting of every platform shows in one of them."""
    clock = DrivenClock(MORNING, running=False)
    emulator = Emulator(clock=clock, platform=before or facts, **PACE)
    emulator.set_platform(facts)
    said: list[tuple[int, bytes, dict[str, str]]] = []

    def ask(method: str, path: str, sent: Any = None) -> None:
        path, _, query = path.partition("?")
        payload = b"" if sent is None else json.dumps(sent).encode()
        asked = Incoming(
            method, f"/api/v1{path}", dict(parse_qsl(query)), f"Bearer {emulator.key}", payload, "localhost"
        )
        answer = emulator.api.respond(asked)
        shown = {name: value for name, value in answer.headers.items() if name not in _MOVING}
        said.append(
            (answer.status, answer.payload, shown | dict.fromkeys(_MOVING & answer.headers.keys(), ""))
        )

    def id_of(own: str) -> str:
        return str(_ids(emulator).get(own, own))

    def look() -> None:
        ask("GET", "/containers")
        ask("GET", "/containers/templates")
        for path in ("containers/status/{}", "containers/{}/allowed-ips", "containers/{}/backups"):
            ask("GET", "/" + path.format(id_of(web)))
        for container in (web, db):
            ask("GET", f"/containers/{id_of(container)}/connections")

    web, db, vpn = (f"{emulator.account}-{name}" for name in ("Web", "data", "vpn"))
    look()
    for name, template in (
        ("Web", "nodejs"),
        ("data", "postgresql"),
        ("vpn", "stacks-vpn"),
        ("Web", "nodejs"),
    ):
        ask("POST", "/containers", {"name": name, "template": template})
    if emulator.state.containers:
        web, db, vpn = list(emulator.state.containers)[:3]
    for _ in range(3):
        look()
        emulator.advance(10)
    ask("PUT", f"/containers/{id_of(web)}/external-access", {"enabled": True})
    ask("POST", f"/containers/{id_of(web)}/connect/{id_of(db)}", {"connectionName": "Main"})
    ask("POST", f"/containers/{id_of(vpn)}/vpn-clients", {"name": "phone"})
    for _ in range(2):
        ask("GET", f"/containers/{id_of(vpn)}/vpn-config?client=phone")
    look()
    ask("POST", f"/containers/{id_of(web)}/allowed-ips", {"ip_address": "198.51.100.0/24"})
    emulator.advance(10)
    ask("POST", f"/containers/{id_of(web)}/backup")
    look()
    emulator.advance(20)
    ask("POST", f"/backups/{id_of('1')}/pin")
    look()
    emulator.advance(20)
    ask("POST", f"/backups/{id_of('1')}/restore")
    look()
    for connection in list(emulator.state.connections):
        ask("DELETE", f"/containers/connections/{connection}")
    ask("PUT", f"/containers/{id_of(web)}/status", {"status": "stopped"})
    look()
    emulator.advance(10)
    look()
    ask("DELETE", f"/containers/{id_of(web)}")
    emulator.advance(4)
    look()
    ask("POST", "/containers", {"name": "Web", "template": "nodejs"})
    emulator.drift.set_capacity(0)
    ask("POST", "/containers", {"name": "Other", "template": "nodejs"})
    look()
    emulator.advance(30)
    look()
    return said


_MOVING = {"Date", "X-RateLimit-Reset", "RateLimit-Reset"}
"""Headers whose values depend on the time of the test."""


def _ids(emulator: Emulator) -> dict[str, Any]:
    """Return the ids that the platform shows, where they are not those of the rules."""
    return {} if emulator.api.other is None else emulator.api.other.ids(emulator.state)


@pytest.fixture(scope="module")
def ordinary() -> list[tuple[int, bytes, dict[str, str]]]:
    return life(PlatformFacts())


@pytest.mark.parametrize("reading", [name for name in READINGS if name != "rate headers in milliseconds"])
def test_each_reading_shows_in_some_answer(reading: str, ordinary: list[Any]) -> None:
    assert life(READINGS[reading]) != ordinary


def test_after_another_platform_everything_is_ordinary_again(ordinary: list[Any]) -> None:
    before = platform(lists={"lag_seconds": 20}, containers={"tombstone": "deleted"}, errors={"form": "text"})

    assert life(PlatformFacts(), before=before) == ordinary


@pytest.mark.parametrize("seed", range(40))
def test_a_random_platform_answers_every_request(seed: int) -> None:
    drawn = random_platform(seed)

    assert drawn == random_platform(seed) != PlatformFacts()
    assert {code for code, _, _ in life(drawn)} <= {200, 201, 202, 204, 206, 400, 403, 404, 409, 410, 503}


def test_there_is_a_reading_for_each_setting() -> None:
    read = {
        (section, setting)
        for facts in READINGS.values()
        for section, known in facts.as_json().items()
        if section != "version"
        for setting in known
    }
    sections = {
        name: getattr(PlatformFacts(), name) for name in PlatformFacts.__struct_fields__ if name != "version"
    }

    assert read == {
        (name, setting) for name, section in sections.items() for setting in type(section).__struct_fields__
    }


@pytest.mark.parametrize("reading", READINGS)
def test_the_documentation_has_each_reading_as_a_platform_file(reading: str) -> None:
    (row,) = [row for row in readings().splitlines() if row.startswith(f"| {reading} |")]
    lines = re.findall(r"`(.*?)`", row)

    assert parse("\n".join(["version: 1", *lines]), reading) == READINGS[reading]


# How a platform is chosen.


def test_a_platform_is_set_by_a_file_and_over_http(
    emulator: Emulator, call: Caller, control: Control, tmp_path: Path
) -> None:
    file = tmp_path / "platform.yaml"
    file.write_text("version: 1\nlists: {rows: items}\n", encoding="utf-8")
    emulator.set_platform(file)
    assert call("GET", "/containers").json() == {"success": True, "count": 0, "items": []}
    assert control("GET", "platform") == {"version": 1, "lists": {"rows": "items"}}

    said = control("POST", "set_platform", {"platform": {"lists": {"rows": "results"}}})
    assert said == {"version": 1, "lists": {"rows": "results"}}
    assert call("GET", "/containers").json() == {"success": True, "count": 0, "results": []}

    control("POST", "set_platform", {"platform": None})
    assert call("GET", "/containers").json() == {"success": True, "count": 0, "data": []}


def test_a_wrong_platform_is_refused(emulator: Emulator, control: Control, tmp_path: Path) -> None:
    file = tmp_path / "platform.yaml"
    file.write_text("version: 1\nlists: {row: items}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="did you mean rows"):
        emulator.set_platform(file)
    said = control("POST", "set_platform", {"platform": {"lists": {"row": "items"}}}, status=400)
    assert said["code"] == "unknown_field"


def test_what_was_there_before_is_visible_at_once(play: Callable[..., Played]) -> None:
    call = play(containers={"visible_seconds": 20}, lists={"lag_seconds": 20})
    (loaded,) = call.emulator.load([{"name": "old", "template": "nodejs"}])

    assert call.names() == ["old"]
    assert call.status(loaded) == 200


def test_what_a_platform_remembers_is_in_the_state_file(tmp_path: Path) -> None:
    facts = platform(containers={"tombstone": "gone", "name_held_seconds": 60})
    settings: dict[str, Any] = {"state_file": tmp_path / "state.json", "platform": facts, "delete_seconds": 0}
    with Emulator(**settings) as emulator:
        (loaded,) = emulator.load([{"name": "old", "template": "nodejs"}])
        Played(emulator)("DELETE", f"/containers/{loaded}")
        assert emulator.state.containers == {}

    with Emulator(**settings) as emulator:
        call = Played(emulator)
        assert [row["status"] for row in call.rows()] == ["gone"]
        assert call("POST", "/containers", {"name": "old", "template": "nodejs"}).status_code == 400


# Containers: when they are seen.


def test_a_new_container_is_invisible_for_a_while(play: Callable[..., Played]) -> None:
    call = play(containers={"visible_seconds": 20})
    web = call.pending()

    call.advance(19)
    assert (call.names(), call.status(web)) == ([], 404)
    assert call("DELETE", f"/containers/{web}").status_code == 404
    assert call("POST", "/containers", {"name": "web", "template": "nodejs"}).status_code == 400
    call.advance(1)
    assert (call.names(), call.status(web)) == (["web"], 200)


def test_list_and_status_can_be_late_apart(play: Callable[..., Played]) -> None:
    listed, found = play(containers={"listed_seconds": 20}), play(containers={"found_seconds": 20})

    web = listed.pending()
    assert (listed.names(), listed.status(web)) == ([], 200)
    web = found.pending()
    assert (found.names(), found.status(web)) == (["web"], 404)


def test_a_container_can_be_hidden_until_it_runs(play: Callable[..., Played]) -> None:
    call = play(containers={"listed_while_pending": False})
    web = call.pending()

    assert (call.names(), call.status(web)) == ([], 200)
    call.advance(20)
    assert call.names() == ["web"]


def test_a_stopped_container_can_be_hidden(play: Callable[..., Played]) -> None:
    call = play(containers={"listed_while_stopped": False})
    web = call.create("web")
    call("PUT", f"/containers/{web}/status", {"status": "stopped"})
    call.advance(5)

    assert (call.names(), call.status(web)) == ([], 404)
    assert call("PUT", f"/containers/{web}/status", {"status": "running"}).status_code == 200
    assert call.names() == ["web"]


def test_a_deleted_container_stays_for_ever_or_for_a_while(play: Callable[..., Played]) -> None:
    ever, brief = (
        play(containers={"tombstone": "deleted", **more}) for more in ({}, {"tombstone_seconds": 30})
    )
    for call, last in ((ever, ["deleted"]), (brief, [])):
        web = call.create("web")
        call("DELETE", f"/containers/{web}")
        call.advance(3)
        assert [row["status"] for row in call.rows()] == ["deleted"]
        assert call.body("GET", f"/containers/status/{web}")["status"] == "deleted"
        assert call("DELETE", f"/containers/{web}").status_code == 404
        call.advance(30)
        assert [row["status"] for row in call.rows()] == last
        assert call.status(web) == (200 if last else 404)


def test_a_name_can_be_used_again_beside_the_deleted_container(play: Callable[..., Played]) -> None:
    call = play(containers={"tombstone": "deleted", "id_form": "uuid"})
    old = call.create("web")
    call("DELETE", f"/containers/{old}")
    call.advance(3)
    new = call.create("web")

    assert {row["id"]: row["status"] for row in call.rows()} == {old: "deleted", new: "running"}
    assert call.body("GET", f"/containers/status/{old}")["status"] == "deleted"


def test_a_name_is_held_after_a_deletion(play: Callable[..., Played]) -> None:
    call = play(containers={"name_held_seconds": 10}, errors={"conflict_code": 409})
    web = call.create("web")
    call("DELETE", f"/containers/{web}")
    call.advance(3)

    refused = call("POST", "/containers", {"name": "web", "template": "nodejs"})
    assert refused.status_code == 409
    assert "already exists" in refused.json()["error"]
    call.advance(10)
    assert call.pending() == web


def test_a_list_shows_the_account_as_it_was(play: Callable[..., Played]) -> None:
    call = play(lists={"lag_seconds": 10})
    first = call.create("first")
    assert [(row["name"], row["status"]) for row in call.rows()] == [("first", "pending")]
    call.pending("second")
    call("DELETE", f"/containers/{first}")
    call.advance(9)

    assert call.names() == ["first"]
    assert call.status(first) == 404
    call.advance(1)
    assert [(row["name"], row["status"]) for row in call.rows()] == [
        ("first", "deleting"),
        ("second", "pending"),
    ]
    call.advance(3)
    assert call.names() == ["second"]
    call.advance(17)
    assert [row["status"] for row in call.rows()] == ["running"]


def test_lists_of_what_belongs_to_a_container_lag_too(play: Callable[..., Played]) -> None:
    call = play(lists={"lag_seconds": 10})
    web, db, vpn = call.create("web"), call.create("data", "postgresql"), call.create("vpn", "stacks-vpn")
    call("PUT", f"/containers/{web}/external-access", {"enabled": True})
    call("POST", f"/containers/{web}/connect/{db}")
    call("POST", f"/containers/{web}/backup")
    call("POST", f"/containers/{vpn}/vpn-clients", {"name": "phone"})

    def lengths() -> list[int]:
        access = call.body("GET", f"/containers/{web}/allowed-ips")["data"]["allowed_ips"]
        connections = call.body("GET", f"/containers/{web}/connections")["data"]["outgoing"]
        backups, clients = (
            call.rows(f"/containers/{path}") for path in (f"{web}/backups", f"{vpn}/vpn-clients")
        )
        return [len(access), len(connections), len(backups), len(clients)]

    call.advance(9)
    assert lengths() == [0, 0, 0, 1]
    call.advance(1)
    assert lengths() == [1, 1, 1, 2]


def test_every_second_list_can_be_behind(play: Callable[..., Played]) -> None:
    call = play(lists={"lag_seconds": 10, "lag_in": "every_second"})
    web = call.pending()

    assert [call.names() for _ in range(3)] == [["web"], [], ["web"]]
    assert [call.status(web) for _ in range(3)] == [200, 200, 200]


def test_a_status_can_be_behind(play: Callable[..., Played]) -> None:
    call = play(containers={"status_lag_seconds": 10}, access={"settle_seconds": 5})
    web = call.pending()
    call.advance(9)
    assert (call.status(web), call.names()) == (404, ["web"])
    call.advance(20)

    def status() -> str:
        return str(call.body("GET", f"/containers/status/{web}")["status"])

    assert (status(), call.rows()[0]["status"]) == ("pending", "running")
    call("PUT", f"/containers/{web}/external-access", {"enabled": True})
    call.advance(9)
    assert status() == "running"
    assert call.body("GET", f"/containers/status/{web}")["externalAccessEnabled"] is False
    call.advance(1)
    assert call.body("GET", f"/containers/status/{web}")["externalAccessEnabled"] is True


def test_a_lagging_list_counts_reads_of_the_present(play: Callable[..., Played]) -> None:
    call = play(lists={"lag_seconds": 10})
    call.emulator.platform.pace.boot_reads = 1
    web = call.pending()

    assert [call.body("GET", f"/containers/status/{web}")["status"] for _ in range(2)] == [
        "pending",
        "running",
    ]


def test_get_requests_are_cached(play: Callable[..., Played]) -> None:
    call = play(lists={"cache_seconds": 5})
    assert call.names() == []
    call.pending()

    call.advance(4)
    assert call.names() == []
    fresh = call.body("GET", "/containers", headers={"Cache-Control": "no-cache"})
    assert fresh["count"] == 1
    call("DELETE", f"/containers/{fresh['data'][0]['id']}")
    call.advance(4)
    assert call.names() == ["web"]
    call.advance(1)
    assert call.names() == []


# Containers: how they are described.


def test_statuses_have_other_words(play: Callable[..., Played]) -> None:
    call = play(containers={"statuses": {"Active": "running", "UP": "running", "Provisioning": "pending"}})
    web = call.pending()
    assert [row["status"] for row in call.rows()] == ["Provisioning"]
    call.advance(20)

    assert call.body("GET", f"/containers/status/{web}")["status"] == "Active"


@pytest.mark.parametrize(
    ("form", "statuses", "shown"),
    [("number", {"7": "running"}, 7), ("object", {"up": "running"}, {"state": "up", "reason": None})],
)
def test_statuses_have_other_forms(
    form: str, statuses: dict[str, str], shown: Any, play: Callable[..., Played]
) -> None:
    call = play(containers={"statuses": statuses, "status_form": form})
    web = call.create("web")

    assert call.rows()[0]["status"] == shown
    assert call.body("GET", f"/containers/status/{web}")["status"] == shown


def test_a_boot_passes_through_other_statuses(play: Callable[..., Played]) -> None:
    call = play(containers={"boot_statuses": ["created", "exited"]})
    web = call.pending()
    seen = []
    for _ in range(4):
        seen.append(call.body("GET", f"/containers/status/{web}")["status"])
        call.advance(7)

    assert seen == ["created", "created", "exited", "running"]


def test_a_boot_that_is_counted_in_reads_passes_through_other_statuses(play: Callable[..., Played]) -> None:
    call = play(containers={"boot_statuses": ["created", "exited"]})
    call.emulator.platform.pace.boot_reads = 4
    web = call.pending()

    seen = [call.body("GET", f"/containers/status/{web}")["status"] for _ in range(5)]
    assert seen == ["created", "created", "exited", "exited", "running"]


def test_plans_and_templates_have_other_words(play: Callable[..., Played]) -> None:
    call = play(containers={"plans": {"Basic Plan": "basic"}, "templates": {"node": "nodejs"}})
    for name, template, plan in (("a-1", "node", "Basic Plan"), ("b-2", "nodejs", "basic")):
        sent = {"name": name, "template": template, "plan": plan}
        told = call.body("POST", "/containers", sent, 202)["data"]
        assert (told["template"], told["plan"]) == ("node", "Basic Plan")

    assert {(row["type"], row["plan"]) for row in call.rows()} == {("node", "Basic Plan")}
    assert "node" in {row["id"] for row in call.rows("/containers/templates")}


def test_the_type_can_be_a_category(play: Callable[..., Played]) -> None:
    call = play(containers={"type_is": "category"})
    db = call.create("data", "postgresql")

    assert call.rows()[0]["type"] == "Database"
    assert call.body("GET", f"/containers/status/{db}")["template"] == "postgresql"


def test_names_get_a_prefix_and_lower_case(play: Callable[..., Played]) -> None:
    call = play(containers={"name_prefix": "acme-", "name_case": "lower"})

    assert call.pending("Web").endswith("-acme-web")
    assert call.names() == ["acme-web"]
    assert call("POST", "/containers", {"name": "WEB", "template": "nodejs"}).status_code == 400


def test_the_answer_to_a_create_has_another_id_or_none(play: Callable[..., Played]) -> None:
    call, silent = play(containers={"create_id": "request"}), play(containers={"create_id": "none"})

    request = call.pending()
    assert request.startswith("req-")
    assert call.status(request) == 404
    assert call.status(call.rows()[0]["id"]) == 200
    assert "id" not in silent.body("POST", "/containers", {"name": "web", "template": "nodejs"}, 202)["data"]


def test_a_create_can_be_answered_with_another_code_or_an_old_container(play: Callable[..., Played]) -> None:
    call = play(containers={"create_code": 201, "name_taken": "answered"})
    sent = {"name": "web", "template": "nodejs"}
    first = call.body("POST", "/containers", sent, 201)["data"]
    call.advance(60)

    assert call.body("POST", "/containers", sent, 201)["data"]["createdAt"] == first["createdAt"]
    assert call.names() == ["web"]


@pytest.mark.parametrize(("form", "kind"), [("number", int), ("uuid", str)])
def test_ids_have_other_forms(form: str, kind: type, play: Callable[..., Played]) -> None:
    call = play(containers={"id_form": form}, backups={"id_form": "uuid"})
    web, db = call.create("web"), call.create("data", "postgresql")
    told = call.body("POST", f"/containers/{web}/connect/{db}", status=200)["data"]
    call("POST", f"/containers/{web}/backup")
    (backup,) = call.rows(f"/containers/{web}/backups")

    assert [type(row["id"]) for row in call.rows()] == [kind, kind]
    assert [str(told["sourceContainer"]), str(told["targetContainer"])] == [web, db]
    assert str(backup["container_id"]) == web
    assert call("POST", f"/backups/{backup['id']}/pin").status_code == 200
    assert call.rows(f"/containers/{web}/backups")[0]["pinned"] == 1
    assert call.status(f"{call.emulator.account}-web") == 404
    assert call("POST", "/backups/1/pin").status_code == 404


def test_the_creation_time_can_be_in_one_answer_only(play: Callable[..., Played]) -> None:
    for place in ("list", "status"):
        call = play(containers={"created_at_in": place})
        web = call.create("web")
        assert ("created_at" in call.rows()[0]) == (place == "list")
        assert ("createdAt" in call.body("GET", f"/containers/status/{web}")) == (place == "status")


@pytest.mark.parametrize("operation", ["start", "restart", "connect", "external_access", "restore"])
def test_the_creation_time_changes_with_an_operation(operation: str, play: Callable[..., Played]) -> None:
    call = play(containers={"created_at_changes": [operation]})
    web, db = call.create("web"), call.create("data", "postgresql")
    call("POST", f"/containers/{web}/backup")
    call.advance(10)
    if operation == "start":
        call.emulator.drift.stop("web")

    def times() -> list[str]:
        return [call.body("GET", f"/containers/status/{it}")["createdAt"] for it in (web, db)]

    before = times()
    assert [row["created_at"] for row in call.rows()] == before
    path, sent = {
        "start": (f"/containers/{web}/status", {"status": "running"}),
        "restart": (f"/containers/{web}/status", {"status": "restart"}),
        "connect": (f"/containers/{web}/connect/{db}", None),
        "external_access": (f"/containers/{web}/external-access", {"enabled": True}),
        "restore": ("/backups/1/restore", None),
    }[operation]
    assert call("PUT" if "status" in path or "access" in path else "POST", path, sent).status_code == 200

    after = times()
    assert (after[0] > before[0], after[1]) == (True, before[1])
    assert [row["created_at"] for row in call.rows()] == after


def test_storage_is_in_gigabytes(play: Callable[..., Played]) -> None:
    call = play(containers={"storage_unit": "GB"})
    web = call.create("web")

    assert call.rows()[0]["storage_allocated"] == 10
    assert call.body("GET", f"/containers/status/{web}")["storageAllocated"] == 10


# Lists.


def test_rows_are_under_another_path(play: Callable[..., Played]) -> None:
    call = play(lists={"rows": "result.entries"})
    web = call.create("web")

    assert [row["id"] for row in call.body("GET", "/containers")["result"]["entries"]] == [web]
    assert call.body("GET", f"/containers/{web}/backups")["result"] == {"entries": []}
    assert play(lists={"rows": ""}).body("GET", "/containers") == []


def test_an_empty_list_is_answered_in_other_ways(play: Callable[..., Played]) -> None:
    assert play(lists={"empty": "nothing"}).body("GET", "/containers", status=200)["data"] is None
    play(lists={"empty": "missing"}).body("GET", "/containers", status=404)


def test_the_count_is_above_the_rows(play: Callable[..., Played]) -> None:
    call = play(lists={"count_is_rows": False})
    call.create("web")

    assert call.body("GET", "/containers")["count"] == 2


PAGES: dict[str, dict[str, Any]] = {
    "address": {"next": "meta.next"},
    "cursor": {"next": "meta.next", "parameter": "after"},
    "page": {"next": "next", "next_form": "page", "parameter": "page"},
    "offset": {"next": "next", "next_form": "page", "parameter": "offset"},
    "flag": {"next": "has_more", "next_form": "flag", "parameter": "pageNumber"},
    "total": {"next": "total", "next_form": "total", "parameter": "page"},
    "last_page": {"next": "last_page", "next_form": "last_page", "parameter": "page"},
    "Link": {"next": "Link"},
    "X-Total-Count": {"next": "X-Total-Count", "next_form": "total"},
    "silent": {"next": "none", "parameter": "page"},
}


def follow(call: Played, answer: requests.Response, page: int) -> requests.Response | None:
    """Return the next page as a client of this platform finds it."""
    facts = call.emulator.platform.facts.lists
    body, parameter = answer.json(), facts.parameter or "page"
    if facts.next == "Link":
        found = re.fullmatch(r'<(.*)>; rel="next"', answer.headers.get("Link", ""))
        return call.session.get(found[1], timeout=10) if found else None
    told: Any = body
    for step in (facts.next or "").split("."):
        told = answer.headers.get(step) if step.startswith("X-") else told.get(step)
    if facts.next_form == "total":
        told = page + 1 if int(told) > page * 2 else None
    elif facts.next == "none":
        told = page + 1 if len(body["data"]) == 2 else None
    elif facts.next_form == "flag":
        told = page + 1 if told else None
    elif facts.next_form == "last_page":
        told = page + 1 if page < told else None
    if told is None:
        return None
    if str(told).startswith("http"):
        return call.session.get(told, timeout=10)
    return call("GET", f"/containers?{parameter}={told}")


@pytest.mark.parametrize("form", PAGES)
def test_lists_have_pages(form: str, play: Callable[..., Played]) -> None:
    call = play(lists={"page_size": 2, **PAGES[form]})
    for name in ("a-1", "b-2", "c-3", "d-4", "e-5"):
        call.pending(name)
    answer: requests.Response | None = call("GET", "/containers")
    pages = []
    while answer is not None:
        pages.append([row["name"] for row in answer.json()["data"]])
        assert answer.json()["count"] == len(pages[-1])
        answer = follow(call, answer, len(pages))

    assert pages == [["a-1", "b-2"], ["c-3", "d-4"], ["e-5"]]


def test_a_part_of_the_rows_can_have_another_code(play: Callable[..., Played]) -> None:
    call = play(lists={"page_size": 1, "page_code": 206})
    call.pending("a-1")
    assert call("GET", "/containers").status_code == 200
    call.pending("b-2")

    assert call("GET", "/containers").status_code == 206


def test_pages_of_allowed_addresses(play: Callable[..., Played]) -> None:
    call = play(lists={"page_size": 1, "next": "data.next", "parameter": "cursor"})
    web = call.create("web")
    call("PUT", f"/containers/{web}/external-access", {"enabled": True})
    call("POST", f"/containers/{web}/allowed-ips", {"ip_address": "198.51.100.7"})
    first = call.body("GET", f"/containers/{web}/allowed-ips")["data"]
    second = call.body("GET", f"/containers/{web}/allowed-ips?cursor={first['next']}")["data"]

    assert [ip["ip_address"] for ip in first["allowed_ips"]] == ["203.0.113.45"]
    assert [ip["ip_address"] for ip in second["allowed_ips"]] == ["198.51.100.7"]
    assert second["next"] is None


def test_silent_pages_can_show_the_number_of_all_rows(play: Callable[..., Played]) -> None:
    call = play(lists={"page_size": 2, "next": "none", "count_is_rows": False})
    for name in ("a-1", "b-2", "c-3"):
        call.pending(name)

    body = call.body("GET", "/containers")
    assert (len(body["data"]), body["count"]) == (2, 3)


# What belongs to a container.


def test_external_access_settles_late(play: Callable[..., Played]) -> None:
    call = play(access={"settle_seconds": 5, "url_in_answer": False})
    web = call.create("web")
    told = call.body("PUT", f"/containers/{web}/external-access", {"enabled": True}, 200)
    assert "stackshosting.cloud" not in str(told)

    def shown() -> tuple[bool, bool, int, bool]:
        access = call.body("GET", f"/containers/{web}/allowed-ips")["data"]
        status = call.body("GET", f"/containers/status/{web}")
        enabled = access["external_access_enabled"]
        return enabled, bool(access["url"]), len(access["allowed_ips"]), status["externalAccessEnabled"]

    call.advance(4)
    sent = {"ip_address": "198.51.100.0/24"}
    assert shown() == (False, False, 0, False)
    assert call("POST", f"/containers/{web}/allowed-ips", sent).status_code == 400
    call.advance(1)
    assert shown() == (True, True, 1, True)
    assert call("POST", f"/containers/{web}/allowed-ips", sent).status_code == 200
    call.advance(5)
    assert shown() == (True, True, 2, True)


def test_the_address_of_the_caller_is_late_and_has_another_description(play: Callable[..., Played]) -> None:
    call = play(
        access={"own_address_seconds": 3, "own_address_description": "auto", "address_form": "network"}
    )
    web = call.create("web")
    call("PUT", f"/containers/{web}/external-access", {"enabled": True})

    def addresses() -> list[tuple[str, str]]:
        rows = call.body("GET", f"/containers/{web}/allowed-ips")["data"]["allowed_ips"]
        return [(ip["ip_address"], ip["description"]) for ip in rows]

    assert addresses() == []
    call.advance(3)
    assert addresses() == [("203.0.113.45/32", "auto")]


@pytest.mark.parametrize(("place", "sides"), [("source", (1, 0)), ("target", (0, 1)), ("both", (1, 1))])
def test_a_connection_is_listed_at_one_end(
    place: str, sides: tuple[int, int], play: Callable[..., Played]
) -> None:
    call = play(connections={"listed_at": place})
    web, db = call.create("web"), call.create("data", "postgresql")
    call("POST", f"/containers/{web}/connect/{db}")
    at_source, at_target = (call.body("GET", f"/containers/{it}/connections")["data"] for it in (web, db))

    assert (len(at_source["outgoing"]), len(at_target["incoming"])) == sides


def test_a_connection_appears_and_disappears_late(play: Callable[..., Played]) -> None:
    call = play(connections={"listed_seconds": 5, "removal_seconds": 7})
    web, db = call.create("web"), call.create("data", "postgresql")
    made = call.body("POST", f"/containers/{web}/connect/{db}")["data"]["id"]

    def listed() -> int:
        return len(call.body("GET", f"/containers/{web}/connections")["data"]["outgoing"])

    call.advance(4)
    assert listed() == 0
    call.advance(1)
    assert listed() == 1
    assert call("DELETE", f"/containers/connections/{made}").status_code == 200
    assert call("DELETE", f"/containers/connections/{made}").status_code == 404
    call.advance(6)
    assert listed() == 1
    call.advance(1)
    assert listed() == 0


def test_connection_names_are_spelt_in_another_way(play: Callable[..., Played]) -> None:
    lower, unique = play(connections={"name_form": "lower"}), play(connections={"name_form": "unique"})
    told = []
    for call in (lower, unique):
        web, db = call.create("web"), call.create("data", "postgresql")
        for _ in range(2):
            answer = call("POST", f"/containers/{web}/connect/{db}", {"connectionName": "Main"})
            told.append((answer.status_code, answer.json().get("data", {}).get("connectionName")))
        rows = call.body("GET", f"/containers/{web}/connections")["data"]["outgoing"]
        assert [row["connection_name"] for row in rows] == [name for _, name in told[-2:] if name]

    assert told[:2] == [(200, "main"), (400, None)]
    assert all(re.fullmatch("Main-[0-9a-f]{4}", name) for _, name in told[2:])
    assert told[2] != told[3]


def test_a_connection_restarts_both_containers(play: Callable[..., Played]) -> None:
    call = play(connections={"restarts_both": True})
    web, db = call.create("web"), call.create("data", "postgresql")
    call("POST", f"/containers/{web}/connect/{db}")

    assert [row["status"] for row in call.rows()] == ["restarting", "restarting"]
    call.advance(5)
    assert [row["status"] for row in call.rows()] == ["running", "running"]


def test_backups_have_other_words_and_are_late(play: Callable[..., Played]) -> None:
    call = play(
        backups={
            "statuses": {"done": "completed", "busy": "in_progress"},
            "types": {"on-demand": "manual"},
            "listed_seconds": 5,
            "pinned_seconds": 4,
            "pinned_form": "time",
        }
    )
    web = call.create("web")
    call("POST", f"/containers/{web}/backup")

    def listed() -> list[tuple[str, str, Any]]:
        rows = call.rows(f"/containers/{web}/backups")
        return [(row["backup_type"], row["status"], row["pinned"]) for row in rows]

    assert listed() == []
    call.advance(5)
    assert listed() == [("on-demand", "busy", None)]
    call.advance(5)
    call("POST", "/backups/1/pin")
    call.advance(3)
    assert listed() == [("on-demand", "done", None)]
    call.advance(1)
    assert listed() == [("on-demand", "done", "2026-05-17T06:40:30.000Z")]
    call("POST", "/backups/1/unpin")
    call.advance(4)
    assert listed() == [("on-demand", "done", None)]


def test_a_vpn_configuration_is_given_once(play: Callable[..., Played]) -> None:
    for config_in, answers in (("once", (200, 404)), ("create", (404, 404))):
        call = play(vpn_clients={"config_in": config_in})
        vpn = call.create("vpn", "stacks-vpn")
        told = call.body("POST", f"/containers/{vpn}/vpn-clients", {"name": "phone"}, 200)["data"]
        path = f"/containers/{vpn}/vpn-config?client=phone"

        assert ("[Interface]" in told.get("config", "")) == (config_in == "create")
        assert (call("GET", path).status_code, call("GET", path).status_code) == answers


@pytest.mark.parametrize(
    ("prices", "path", "shown"),
    [
        ({"unit": "cents"}, ["price"], 400),
        ({"field": "pricing.hourly", "per": "hour"}, ["pricing", "hourly"], 0.005479),
        ({"form": "text"}, ["price"], "4.00"),
        ({"field": "cost", "form": "currency"}, ["cost"], "$4.00"),
    ],
)
def test_prices_are_in_another_field_unit_and_form(
    prices: dict[str, str], path: list[str], shown: Any, play: Callable[..., Played]
) -> None:
    rows = {row["id"]: row for row in play(prices=prices).rows("/containers/templates")}
    value = rows["nodejs"]
    for step in path:
        value = value[step]

    assert value == shown
    assert ("price" in rows["nodejs"]) == (path == ["price"])


# Errors, and the form of any answer.


def test_an_outage_ends(play: Callable[..., Played]) -> None:
    call = play(errors={"unavailable": "outage", "outage_seconds": 5})
    call.emulator.drift.set_capacity(0)
    sent = {"name": "web", "template": "nodejs"}

    assert "Maintenance" in call.body("POST", "/containers", sent, 503)["message"]
    assert "Maintenance" in call.body("GET", "/containers", status=503)["message"]
    call.advance(5)
    assert call.names() == []
    assert call("POST", "/containers", sent).status_code == 202


def test_a_waitlist_creates_the_container_later(play: Callable[..., Played]) -> None:
    call = play(errors={"unavailable": "waitlist", "waitlist_seconds": 3})
    call.emulator.drift.set_capacity(0)

    said = call.body("POST", "/containers", {"name": "web", "template": "nodejs"}, 503)
    assert "waitlist" in said["message"]
    call.advance(2)
    assert call.names() == []
    call.advance(1)
    assert call.names() == ["web"]
    call.advance(20)
    assert [row["status"] for row in call.rows()] == ["running"]


def test_errors_have_other_codes(play: Callable[..., Played]) -> None:
    call = play(errors={"missing_code": 410, "conflict_code": 409})
    web = call.pending()

    assert call.status("usr-other") == 410
    assert call("PUT", f"/containers/{web}/status", {"status": "stopped"}).status_code == 409
    assert call("PUT", f"/containers/{web}/status", {"status": "odd"}).status_code == 400


@pytest.mark.parametrize(
    ("form", "body"),
    [
        ("nested", {"error": {"code": "E400", "message": "Unknown container template", "field": "template"}}),
        ("detail", {"detail": "Unknown container template"}),
        ("list", {"errors": [{"message": "Unknown container template", "field": "template"}]}),
        (
            "problem",
            {
                "type": "about:blank",
                "title": "Error",
                "status": 400,
                "detail": "Unknown container template",
                "field": "template",
            },
        ),
    ],
)
def test_errors_have_other_forms(form: str, body: Any, play: Callable[..., Played]) -> None:
    call = play(errors={"form": form})

    assert call.body("POST", "/containers", {"name": "web", "template": "odd"}, 400) == body


@pytest.mark.parametrize(("form", "content"), [("text", "text/plain"), ("html", "text/html")])
def test_errors_can_be_something_else_than_json(form: str, content: str, play: Callable[..., Played]) -> None:
    answer = play(errors={"form": form})("GET", "/containers/status/none")

    assert answer.headers["Content-Type"] == f"{content}; charset=utf-8"
    assert "Container not found" in answer.text


def test_rate_headers_have_other_names_and_units(play: Callable[..., Played]) -> None:
    draft, late, none = (
        play(errors={"rate_headers": form})("GET", "/containers").headers
        for form in ("draft", "milliseconds", "none")
    )

    assert {name for name in draft if "Rate" in name} == {
        "RateLimit-Limit",
        "RateLimit-Remaining",
        "RateLimit-Reset",
    }
    assert int(draft["RateLimit-Reset"]) <= 60
    assert int(late["X-RateLimit-Reset"]) > 1_000_000_000_000
    assert not [name for name in none if "Rate" in name]


@pytest.mark.parametrize(
    ("form", "listed", "status"),
    [
        ("offset", "2026-05-17T08:40:00.000+02:00", "2026-05-17T08:40:00.000+02:00"),
        ("zoneless", "2026-05-17 06:40:00", "2026-05-17 06:40:00"),
        ("micro", "2026-05-17T06:40:00.000000Z", "2026-05-17T06:40:00.000000Z"),
        ("epoch", 1_779_000_000, 1_779_000_000),
        ("epoch_ms", 1_779_000_000_000, 1_779_000_000_000),
        ("http", "Sun, 17 May 2026 06:40:00 GMT", "Sun, 17 May 2026 06:40:00 GMT"),
        ("mixed", "2026-05-17T06:40:00.000Z", 1_779_000_000),
    ],
)
def test_times_have_other_forms(form: str, listed: Any, status: Any, play: Callable[..., Played]) -> None:
    call = play(answers={"times": form})
    web = call.create("web")

    assert call.rows()[0]["created_at"] == listed
    assert call.body("GET", f"/containers/status/{web}")["createdAt"] == status


def test_the_clock_of_the_platform_is_ahead(play: Callable[..., Played]) -> None:
    ahead, right = play(answers={"clock_ahead_seconds": 600}), play(lists={"rows": "data"})
    for call in (ahead, right):
        call.create("web")
    dates = [call("GET", "/containers").headers["Date"] for call in (right, ahead)]

    assert ahead.rows()[0]["created_at"] == "2026-05-17T06:50:00.000Z"
    assert right.rows()[0]["created_at"] == "2026-05-17T06:40:00.000Z"
    assert dates[0][:-12] != dates[1][:-12] or dates[0][-12:-7] != dates[1][-12:-7]


def test_objects_have_other_names_and_places(play: Callable[..., Played]) -> None:
    camel, snake = play(answers={"keys": "camel"}), play(answers={"keys": "snake"})
    for call, listed, status in (
        (camel, "createdAt", "memoryAllocated"),
        (snake, "created_at", "memory_allocated"),
    ):
        web = call.create("web")
        assert listed in call.rows()[0]
        assert status in call.body("GET", f"/containers/status/{web}")

    wrapped, flat = play(answers={"wrapped": "data"}), play(answers={"wrapped": "flat"})
    web = wrapped.create("web")
    assert wrapped.body("GET", f"/containers/status/{web}")["data"]["id"] == web
    told = flat.body("POST", "/containers", {"name": "web", "template": "nodejs"}, 202)
    assert (told["id"], "data" in told) == (web, False)


def test_paths_in_a_platform_file_are_spelt_as_they_are_there(play: Callable[..., Played]) -> None:
    call = play(
        lists={"page_size": 1, "rows": "all_rows", "next": "the_meta.next_page", "parameter": "page"},
        containers={"boot_statuses": ["stopped"], "statuses": {"Halted": "stopped"}},
        answers={"keys": "camel", "wrapped": "data"},
    )
    call.pending("a-1")
    call.pending("b-2")
    body = call.body("GET", "/containers")

    assert [(row["status"], "createdAt" in row) for row in body["all_rows"]] == [("stopped", True)]
    assert body["the_meta"] == {"next_page": "2"}


def test_a_shape_of_an_answer_that_is_not_open_is_refused(emulator: Emulator) -> None:
    with pytest.raises(ValueError, match="is not open"):
        emulator.set_platform(
            platform(lists={"rows": "items"}, answers={"shapes": {"containers.list": "bare"}})
        )

    assert emulator.platform.facts == PlatformFacts()


def test_objects_have_unknown_fields(play: Callable[..., Played]) -> None:
    call = play(answers={"unknown_fields": True})
    call.create("web")

    assert call.rows()[0]["region"] is None


def test_the_names_of_variables_are_no_names_of_fields(play: Callable[..., Played]) -> None:
    call = play(answers={"keys": "camel", "unknown_fields": True})
    web, db = call.create("web"), call.create("data", "postgresql")
    told = call.body("POST", f"/containers/{web}/connect/{db}")["data"]["environmentVariables"]

    assert sorted(told) == [
        "POSTGRES_DB",
        "POSTGRES_HOST",
        "POSTGRES_PASSWORD",
        "POSTGRES_PORT",
        "POSTGRES_USER",
    ]


def test_a_platform_sets_the_shapes_of_open_answers(play: Callable[..., Played]) -> None:
    call = play(answers={"shapes": {"containers.templates": "bare", "*": "empty"}})
    web = call.create("web")

    assert isinstance(call.body("GET", "/containers/templates"), list)
    assert call("DELETE", f"/containers/{web}").status_code == 204
