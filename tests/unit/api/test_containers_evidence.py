"""Which container is ours, which container is gone, and what does an error of a create request mean?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from stacks_pulumi import errors, platform_file
from stacks_pulumi._identifiers import as_time
from stacks_pulumi.api import CREATED, GONE
from stacks_pulumi.api._call import Answer
from stacks_pulumi.api.containers import ContainersApi, is_older
from stacks_pulumi.api.models import Container
from tests.support.clock import FakeClock
from tests.unit.api.scripted_api import Script, chain, data, ok, refusal

LOST = errors.ConnectionFailedError("x", sent=True)
NOW = 1_800_000_000.0


def api(script: Script, clock: FakeClock, facts: str = "", **more: Any) -> ContainersApi:
    known = platform_file.PlatformFile(
        platform_file.parse(f"version: 1\n{facts}", "platform.yaml"), "platform.yaml"
    )
    send = chain(script, clock)
    return ContainersApi(send, clock, lambda: 0.0, platform=known, server_now=clock.wall, **more)


def row(name: str = "web", **more: Any) -> dict[str, Any]:
    return {"id": f"usr-1-{name}", "name": name, "type": "nodejs", "status": "pending", **more}


def later(clock: FakeClock, seconds: float, *rows: dict[str, Any]) -> Callable[[Any], Answer]:
    """Return a list that shows the rows only after some seconds."""
    shows = clock.now() + seconds
    return lambda _call: data(list(rows) if clock.now() >= shows else [])


@pytest.mark.parametrize("behind", [0.5, 5, 20, 60, 110])
def test_a_lost_create_is_recognised_although_the_list_is_behind(clock: FakeClock, behind: float) -> None:
    """The request is repeated. Names are unique, so a refusal proves that the first request took effect."""
    created = as_time(clock.wall())
    script = Script(
        containers__create=[LOST, refusal(409, "Name already in use")],
        containers__list=later(clock, behind, row(type="Runtime", created_at=created)),
    )
    told: list[str] = []

    made = api(script, clock, on_wait=told.append).create(
        name="web", template="nodejs", deadline=clock.now() + 600
    )
    assert made.id == "usr-1-web"
    assert set(told) == {"outcome unknown: searching"}
    assert script.operations.count("containers.create") <= 2
    assert clock.now() - 1000 <= behind + 13


@pytest.mark.parametrize("name", ["acme-web", "web-x7f3", "we", None])
def test_a_platform_that_changes_names_is_refused_by_name(clock: FakeClock, name: str | None) -> None:
    """The repeated request is refused, and no list shows the name: no container is bound or deleted."""
    appears = {**row(created_at=as_time(clock.wall())), "id": "usr-1-other", "name": name}
    script = Script(
        containers__create=[LOST, refusal(409, "Name already in use")],
        containers__list=later(clock, 1, appears),
        containers__status=refusal(404),
    )

    with pytest.raises(errors.ConnectionFailedError, match="but no list shows the object") as caught:
        api(script, clock).create(name="web", template="nodejs", deadline=clock.now() + 60)
    assert caught.value.code == "outcome-unknown"


@pytest.mark.parametrize(("seconds", "expected"), [(-30, False), (4, False), (59, False), (61, True)])
def test_a_creation_time_may_be_cut_to_the_minute(seconds: float, expected: bool) -> None:
    seen = Container(id="usr-1-web", name="web", template="nodejs", created_at=as_time(NOW))

    assert is_older(seen.created_at, NOW + seconds) is expected


def test_a_list_without_statuses_is_no_reason_to_wait(clock: FakeClock) -> None:
    script = Script(
        containers__list=data([row(status=None)]),
        containers__status=ok({"id": "usr-1-web", "status": "running"}),
    )

    found = api(script, clock).feed.wait(CREATED, "usr-1-web", deadline=clock.now() + 600)

    assert found is not None
    assert found.status == "running"
    assert clock.now() - 1000 < 5


@pytest.mark.parametrize(
    ("answer", "listed"),
    [
        ({"status": "running"}, []),  # it has had enough time to boot
        ({}, [{**row(), "name": "other"}]),
    ],
)
def test_a_container_that_may_have_existed_is_no_proof_of_another_clock(
    clock: FakeClock, answer: dict[str, Any], listed: list[dict[str, Any]]
) -> None:
    made = {**row(createdAt=as_time(NOW - 3600)), **answer}
    script = Script(containers__create=data(made, 202), containers__list=data(listed))
    containers = api(script, clock)

    with pytest.raises(errors.ExistsError):
        containers.create(name="web", template="nodejs")


def test_a_name_that_is_held_after_our_deletion_is_tried_again(clock: FakeClock) -> None:
    told: list[float] = []
    frees = clock.now() + 40
    script = Script(
        containers__list=data([]),
        containers__delete=ok({"success": True}),
        containers__create=lambda _call: (
            data(row(), 202) if clock.now() >= frees else refusal(409, "Name already in use")
        ),
    )
    containers = api(script, clock)
    assert containers.delete("usr-1-web", "Web")
    assert containers.has_deleted("web")

    assert containers.create(name="web", template="nodejs", on_held=told.append).id == "usr-1-web"
    assert told[0] > told[-1] > 0


def test_a_name_that_we_did_not_delete_is_not_tried_again(clock: FakeClock) -> None:
    script = Script(
        containers__list=data([]),
        containers__delete=ok({"success": True}),
        containers__create=refusal(409, "Name already in use"),
    )
    containers = api(script, clock)
    containers.delete("usr-1-shop", "shop")

    with pytest.raises(errors.ConflictError):
        containers.create(name="web", template="nodejs")
    assert script.operations.count("containers.create") == 1


def test_a_deletion_is_acknowledged_by_success_or_by_a_status(clock: FakeClock) -> None:
    script = Script(
        containers__delete=[ok({}), refusal(400), refusal(400), refusal(404)],
        containers__status=[ok({"id": "a", "status": "deleting"}), refusal(404)],
    )
    containers = api(script, clock)

    assert containers.delete("a") is True
    assert containers.delete("a") is True
    assert containers.delete("a") is False
    with pytest.raises(errors.NotFoundError):
        containers.delete("a")


@pytest.mark.parametrize(
    "answer",
    [refusal(404), ok({"id": "a", "status": "Deleted"})],
    ids=["404", "deleted"],
)
def test_an_address_that_shows_no_container(clock: FakeClock, answer: Answer) -> None:
    containers = api(Script(containers__status=answer), clock)

    assert containers.find("a") is None


def test_a_container_that_is_deleted_and_still_listed_does_not_exist(clock: FakeClock) -> None:
    rows = data([row(status="deleted"), row("shop", status="running")])
    script = Script(containers__list=rows, containers__create=data(row(), 202))
    containers = api(script, clock)

    assert [container.name for container in containers.list()] == ["shop"]
    assert containers.feed.wait(GONE, "usr-1-web", deadline=clock.now() + 60) is None
    assert containers.create(name="web", template="nodejs").id == "usr-1-web"


@pytest.mark.parametrize("created_at", [as_time(NOW), None])
@pytest.mark.parametrize(
    "words",
    [{"template": "node"}, {"template": "redis", "plan": "premium"}, {"name": "acme-web"}, {"plan": "BASIC"}],
)
def test_what_our_request_has_made_is_ours_under_any_words(
    clock: FakeClock, words: dict[str, str], created_at: str | None
) -> None:
    answer = {**row(createdAt=created_at), **words}
    script = Script(containers__create=data(answer, 202), containers__list=data([]))

    made = api(script, clock).create(name="web", template="nodejs", plan="basic")

    assert (made.id, made.template) == ("usr-1-web", words.get("template", "nodejs"))


def test_a_name_that_is_taken_by_what_no_list_shows_may_be_a_container_that_is_not_visible_yet(
    clock: FakeClock,
) -> None:
    script = Script(containers__create=refusal(400, "Name exists", field="name"), containers__list=data([]))

    with pytest.raises(errors.BadRequestError, match="the container may not be visible yet"):
        api(script, clock).create(name="web", template="nodejs")


def test_a_new_container_that_its_address_does_not_have_is_refused_by_name(clock: FakeClock) -> None:
    """The container is in the state, and no request is repeated: the next `up` continues."""
    script = Script(
        containers__create=data({"id": "usr-1-web", "createdAt": as_time(NOW)}, 202),
        containers__list=[data([]), data([row()])],
        containers__external_access=refusal(404),
    )
    containers = api(script, clock)
    containers.create(name="web", template="nodejs")

    with pytest.raises(errors.NotFoundError, match="enable external access to container usr-1-web"):
        containers.external_access("usr-1-web", enabled=True)
    assert script.operations.count("containers.external_access") == 1
