from __future__ import annotations

import pytest
import responses
from responses.matchers import json_params_matcher

from stacks_pulumi import errors
from stacks_pulumi._identifiers import as_time
from stacks_pulumi.api import StacksClient, models
from stacks_pulumi.api._call import Answer, Call
from stacks_pulumi.api.connections import ConnectionsApi
from stacks_pulumi.api.containers import ContainersApi
from tests.support.clock import FakeClock
from tests.unit.api.scripted_api import URL, Script, chain, data, listed, ok, refusal

MADE = {"id": "c", "connectionName": "main", "sourceContainer": "usr-1-app", "targetContainer": "usr-1-db"}


def entry(id: str, name: str, target_name: str) -> dict[str, str]:
    return {"id": id, "connection_name": name, "target_name": target_name, "connection_type": "postgresql"}


def outgoing(*entries: dict[str, str]) -> Answer:
    return data({"outgoing": list(entries), "incoming": []})


def connections(script: Script, clock: FakeClock) -> ConnectionsApi:
    send = chain(script, clock)
    return ConnectionsApi(send, clock, ContainersApi(send, clock, lambda: 0.0).feed, server_now=clock.wall)


def test_targets(client: StacksClient, http: responses.RequestsMock) -> None:
    http.get(
        f"{URL}/containers/a/available-targets", json={"data": {"caches": [{"id": "r", "name": "redis"}]}}
    )

    assert client.connections.targets("a").caches == (models.Target(id="r", name="redis"),)


def test_list(client: StacksClient, http: responses.RequestsMock) -> None:
    http.get(f"{URL}/containers/a/connections", json={"data": {"outgoing": [entry("c", "main", "db")]}})

    (found,) = client.connections.list("a").outgoing

    assert (found.id, found.name, found.target_name, found.connection_type) == (
        "c",
        "main",
        "db",
        "postgresql",
    )


def test_create(client: StacksClient, http: responses.RequestsMock) -> None:
    http.get(f"{URL}/containers/usr-1-app/connections", json={"data": {"outgoing": []}})
    http.post(
        f"{URL}/containers/usr-1-app/connect/usr-1-db",
        json={"success": True, "data": MADE},
        match=[json_params_matcher({"connectionName": "main"})],
    )

    made = client.connections.create("usr-1-app", "usr-1-db", name="main")

    assert (made.id, made.name, made.source_id, made.target_id) == ("c", "main", "usr-1-app", "usr-1-db")


def test_delete(client: StacksClient, http: responses.RequestsMock) -> None:
    http.delete(f"{URL}/containers/connections/c", json={"success": True})

    client.connections.delete("c")


def test_an_equal_connection_exists_already(clock: FakeClock) -> None:
    script = Script(
        connections__list=outgoing(entry("c", "main", "db")),
        containers__list=listed(app="running", db="running"),
    )

    with pytest.raises(errors.ExistsError) as caught:
        connections(script, clock).create("usr-1-app", "usr-1-db", name="main")
    assert caught.value.existing.id == "c"


@pytest.mark.parametrize(
    "there", [entry("c", "other", "db"), entry("c", "main", "cache"), {"id": "c", "connection_name": "main"}]
)
def test_another_name_or_target_is_no_conflict(clock: FakeClock, there: dict[str, str]) -> None:
    script = Script(connections__list=outgoing(there), connections__create=data(MADE))

    assert connections(script, clock).create("usr-1-app", "usr-1-db", name="main").id == "c"
    assert "containers.list" not in script.operations


@pytest.mark.parametrize(
    ("name", "target", "found"),
    [("MAIN", "usr-1-db", "c"), ("other", "usr-1-db", None), ("main", "usr-1-x", None)],
)
def test_an_equal_connection_is_found_by_name_and_target(
    clock: FakeClock, name: str, target: str, found: str | None
) -> None:
    script = Script(
        connections__list=outgoing(entry("c", "main", "db")),
        containers__list=listed(app="running", db="running"),
    )

    equal = connections(script, clock).find_equal("usr-1-app", target, name)

    assert (None if equal is None else equal.id) == found


def test_a_lost_response_is_recognised_by_names_if_ids_have_none(clock: FakeClock) -> None:
    app, db = "513bdd2e-05ad-4b70-a8bc-1b645f2e5737", "48003"
    made = {"id": "c", "connection_name": "main", "target_name": "db"}
    script = Script(
        connections__list=[outgoing(), outgoing(made)],
        connections__create=errors.ConnectionFailedError("x", sent=True),
        containers__list=data([{"id": app, "name": "app"}, {"id": db, "name": "db"}]),
    )

    assert connections(script, clock).create(app, db, name="main").id == "c"
    assert script.operations.count("connections.create") == 1


def test_a_target_whose_name_only_ends_the_same_is_another_one(clock: FakeClock) -> None:
    script = Script(
        connections__list=outgoing(entry("c", "main", "db")),
        containers__list=listed(**{"db": "running", "other-db": "running"}),
        connections__create=data({**MADE, "id": "new"}),
    )

    assert connections(script, clock).create("usr-1-app", "usr-1-other-db", name="main").id == "new"


def test_the_targets_id_in_the_list_is_used(clock: FakeClock) -> None:
    there = {**entry("c", "main", "db"), "target_container": "usr-1-db"}
    script = Script(connections__list=outgoing(there))

    with pytest.raises(errors.ExistsError):
        connections(script, clock).create("usr-1-app", "usr-1-db", name="main")
    assert script.operations == ["connections.list"]


def test_without_a_name_any_connection_to_the_target_is_equal(clock: FakeClock) -> None:
    script = Script(
        connections__list=outgoing(entry("c", "made-up", "db")), containers__list=listed(db="running")
    )

    with pytest.raises(errors.ExistsError):
        connections(script, clock).create("usr-1-app", "usr-1-db")


def test_names_are_compared_without_case(clock: FakeClock) -> None:
    script = Script(
        connections__list=[outgoing(), outgoing(entry("c", "main", "db"))],
        containers__list=listed(app="running", db="running"),
        connections__create=errors.ConnectionFailedError("x", sent=True),
    )

    made = connections(script, clock).create("usr-1-app", "usr-1-DB", name="Main")

    assert (made.id, made.name) == ("c", "main")
    assert script.operations.count("connections.create") == 1


def incoming(*entries: dict[str, str]) -> Answer:
    return data({"outgoing": [], "incoming": list(entries)})


def test_find_asks_the_target_if_the_source_does_not_list_the_connection(clock: FakeClock) -> None:
    script = Script(connections__list=[outgoing(), incoming(entry("c", "main", "db"))])

    found = connections(script, clock).find("c", "usr-1-app", "usr-1-db")

    assert found is not None
    assert found.id == "c"


def test_find_raises_if_a_list_that_lacks_the_connection_is_incomplete(clock: FakeClock) -> None:
    script = Script(connections__list=[outgoing(entry("", "main", "db")), incoming()])

    with pytest.raises(errors.UnreadableAnswerError, match="incomplete"):
        connections(script, clock).find("c", "usr-1-app", "usr-1-db")


def test_two_looks_come_before_a_repeat_and_a_late_twin_of_ours_is_removed(clock: FakeClock) -> None:
    """The list lags by five seconds, so the repeat creates a second connection; both have times of our requests."""
    began, now = clock.now(), as_time(clock.wall())
    twins = [{**entry(id, "main", "db"), "created_at": now} for id in "cd"]
    repeated: list[object] = []

    def repeat(call: Call[object]) -> Answer:
        repeated.append(call)
        return data({**MADE, "id": "d"})

    script = Script(
        connections__list=lambda _call: outgoing(*(twins if repeated else [])),
        connections__create=[errors.ConnectionFailedError("x", sent=True), repeat],
        connections__delete=ok({"success": True}),
        containers__list=listed(app="running", db="running"),
    )

    made = connections(script, clock).create("usr-1-app", "usr-1-db", name="main")

    assert made.id == "d"
    assert script.operations.count("connections.create") == 2
    assert [call.path for call in script.calls if call.endpoint.name == "connections.delete"] == [
        "/containers/connections/c"
    ]
    assert clock.now() - began <= 3


def test_a_name_that_a_deleted_connection_still_has_is_tried_again(clock: FakeClock) -> None:
    old = entry("b", "main", "db")
    script = Script(
        connections__list=outgoing(old),
        connections__delete=ok({"success": True}),
        connections__create=[refusal(409, "name taken"), refusal(409, "name taken"), data(MADE)],
        containers__list=listed(app="running", db="running"),
    )
    nouns = connections(script, clock)
    nouns.delete("b", source_id="usr-1-app")

    assert nouns.list("usr-1-app").outgoing == ()
    assert nouns.create("usr-1-app", "usr-1-db", name="main").id == "c"


def test_a_name_that_another_connection_has_is_not_tried_again(clock: FakeClock) -> None:
    script = Script(connections__list=outgoing(), connections__create=refusal(409, "name taken"))

    with pytest.raises(errors.ConflictError):
        connections(script, clock).create("usr-1-app", "usr-1-db", name="main")
    assert clock.now() == 1000.0


def test_an_equal_connection_is_not_waited_for_after_another_one_was_deleted(clock: FakeClock) -> None:
    script = Script(
        connections__list=outgoing(entry("b", "old", "db"), entry("c", "main", "db")),
        connections__delete=ok({"success": True}),
        containers__list=listed(app="running", db="running"),
    )
    nouns = connections(script, clock)
    nouns.delete("b", source_id="usr-1-app")

    with pytest.raises(errors.ExistsError) as caught:
        nouns.create("usr-1-app", "usr-1-db", name="main")
    assert caught.value.existing.id == "c"
    assert clock.now() == 1000.0
