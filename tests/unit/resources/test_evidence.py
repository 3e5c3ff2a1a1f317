"""Evidence that a container is gone, not visible yet, or still the container in the state."""

from __future__ import annotations

import functools
from types import SimpleNamespace
from typing import Any, cast

import pytest

from stacks_pulumi import platform_file
from stacks_pulumi._identifiers import as_time
from stacks_pulumi.api import StacksClient, models
from stacks_pulumi.api.allowed_ips import AllowedIpsApi
from stacks_pulumi.api.backups import BackupsApi
from stacks_pulumi.api.connections import ConnectionsApi
from stacks_pulumi.api.containers import ContainersApi
from stacks_pulumi.config import AccountSettings
from stacks_pulumi.errors import ExistsError, NotFoundError, StacksError
from stacks_pulumi.resources._container_changes import differences_to
from stacks_pulumi.resources._container_lifecycle import (
    Lifecycle,
    observed,
    outputs,
)
from stacks_pulumi.resources._identity import (
    IDENTITY_CONFLICT,
    REQUESTED_AT,
    Identity,
    UnseenError,
    find_container,
    identify,
)
from stacks_pulumi.resources._operation import EngineCall, Operation
from stacks_pulumi.resources._owners import forget
from stacks_pulumi.resources._restarts import Restarts
from stacks_pulumi.resources._running import (
    creation_time,
    patiently,
)
from stacks_pulumi.resources._session import FreshContainers, Reads, Session, SpendGuard
from stacks_pulumi.resources.container import ContainerCreation
from tests.support.clock import FakeClock
from tests.unit.api.scripted_api import Reply, Script, chain, data, ok, refusal
from tests.unit.resources.scripted_account import Call

ID = "usr-1-web"
NOW = 1_800_000_000.0


@pytest.fixture(autouse=True)
def _fresh() -> None:
    forget()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW)


def session(clock: FakeClock, facts: str = "", **replies: Reply | list[Reply]) -> tuple[Session, Script]:
    """Return the parts of a session that an operation needs, with prepared replies."""
    nothing: dict[str, Any] = {
        "connections__list": data({"outgoing": []}),
        "allowed_ips__list": data({"allowed_ips": []}),
        "backups__list": data([]),
    }
    script = Script(**{**nothing, **replies})
    send = chain(script, clock)
    known = platform_file.PlatformFile(platform_file.parse(f"version: 1\n{facts}", "platform.yaml"))
    containers = ContainersApi(send, clock, lambda: 0.0, platform=known, server_now=clock.wall)
    client = SimpleNamespace(
        platform=known,
        containers=containers,
        feed=containers.feed,
        allowed_ips=AllowedIpsApi(send, clock),
        connections=ConnectionsApi(send, clock, containers.feed),
        backups=BackupsApi(send, clock, lambda: 0.0, known),
    )
    made = Session(
        AccountSettings(),
        cast("StacksClient", client),
        clock,
        SpendGuard(clock),
        Reads(clock),
        Restarts(clock),
        FreshContainers(containers.feed.seen),
        "0123456789abcdef",
    )
    return made, script


def row(created: float | None = NOW - 1000, **more: Any) -> dict[str, Any]:
    at = None if created is None else as_time(created)
    return {"id": ID, "name": "web", "type": "nodejs", "status": "running", "created_at": at, **more}


def found(created: float | None) -> models.Container:
    return models.Container(
        id=ID, name="web", template="nodejs", created_at=None if created is None else as_time(created)
    )


STORED = {"name": "web", "template": "nodejs", "created_at": as_time(NOW - 1000)}


# --- gone ---


def test_a_container_is_gone_at_once_if_list_and_status_say_so(clock: FakeClock) -> None:
    made, script = session(clock, containers__list=data([]), containers__status=refusal(404))

    assert find_container(made, ID, shared=True) is None
    assert (script.operations, clock.now()) == (["containers.list", "containers.status"], 1000)


def test_in_a_list_with_a_gap_two_404_are_needed(clock: FakeClock) -> None:
    partial = ok({"success": True, "data": [], "total": 5})
    made, script = session(clock, containers__list=partial, containers__status=refusal(404))

    assert find_container(made, ID, shared=True) is None
    assert script.operations.count("containers.status") == 2
    assert clock.now() - 1000 == pytest.approx(2, abs=0.1)


def test_a_container_that_only_the_list_shows_is_unknown_after_the_lag(clock: FakeClock) -> None:
    made, _ = session(clock, containers__list=data([row()]), containers__status=refusal(404))

    with pytest.raises(UnseenError, match="is listed, but a request for it gets a 404"):
        find_container(made, ID, stored=STORED, is_changed=lambda _row: True)

    assert clock.now() - 1000 == pytest.approx(10, abs=0.5)


def test_nothing_is_gone_while_the_platform_says_that_it_does_not_show_everything(clock: FakeClock) -> None:
    partial = ok({"success": True, "data": [], "warnings": ["the host cluster1host2 is unreachable"]})
    made, _ = session(clock, containers__list=partial, containers__status=refusal(404))

    with pytest.raises(StacksError, match="cluster1host2"):
        find_container(made, ID, shared=True)


def test_a_container_that_is_listed_needs_one_call(clock: FakeClock) -> None:
    made, script = session(clock, containers__list=data([row()]))

    assert find_container(made, ID, stored=STORED) is not None
    assert (script.operations, clock.now()) == (["containers.list"], 1000)


def test_a_status_that_the_list_lacks_is_asked_for(clock: FakeClock) -> None:
    alone = ok({**row(), "status": "stopped"})
    made, _ = session(clock, containers__list=data([{**row(), "status": None}]), containers__status=alone)

    seen = find_container(made, ID, stored=STORED)

    assert seen is not None
    assert seen.status == "stopped"


def test_a_row_that_is_older_than_the_state_is_looked_at_again(clock: FakeClock) -> None:
    new = row()
    made, _ = session(
        clock, containers__list=[data([row(NOW - 9000)]), data([new])], containers__status=refusal(404)
    )

    seen = find_container(made, ID, stored=STORED)

    assert seen is not None
    assert seen.created_at == new["created_at"]


def test_a_list_that_stays_behind_is_no_evidence_against_the_status(clock: FakeClock) -> None:
    former = {**row(NOW - 9000), "type": "redis"}
    made, script = session(clock, containers__list=data([former]), containers__status=ok(row()))

    outs = Lifecycle(made, operation(clock)).read(ID, STORED)

    assert outs is not None
    assert (outs["template"], outs["created_at"]) == ("nodejs", STORED["created_at"])
    assert script.operations == ["containers.list", "containers.status"]


def test_a_row_that_stays_older_is_returned_as_it_is(clock: FakeClock) -> None:
    older = row(NOW - 9000)
    made, _ = session(clock, containers__list=data([older]), containers__status=ok(older))

    seen = find_container(made, ID, stored=STORED)

    assert seen is not None
    assert identify(made, STORED, seen) is Identity.UNCERTAIN


# --- not visible yet ---


def test_a_container_that_was_never_seen_stays_until_its_create_would_have_ended(clock: FakeClock) -> None:
    def look(seconds_ago: float) -> models.Container | None:
        stored = {"name": "web", "template": "nodejs", REQUESTED_AT: as_time(NOW - seconds_ago)}
        made, _ = session(clock, containers__list=data([]), containers__status=refusal(404))
        return find_container(made, ID, stored=stored, shared=True)

    with pytest.raises(UnseenError, match=r"is not visible yet.*It may be billed"):
        look(590)
    assert look(610) is None
    assert clock.now() == 1000


@pytest.mark.parametrize(("deletes", "is_gone"), [(ok({}), True), (refusal(404), False)])
def test_what_was_never_seen_is_deleted_only_by_a_request_that_the_api_acknowledges(
    clock: FakeClock, deletes: Reply, is_gone: bool
) -> None:
    made, script = session(
        clock, containers__list=data([]), containers__status=refusal(404), containers__delete=deletes
    )
    stored = {"name": "web", "template": "nodejs", REQUESTED_AT: as_time(NOW - 50)}
    delete = functools.partial(Lifecycle(made, operation(clock)).delete, ID, stored)

    if is_gone:
        delete()
    else:
        with pytest.raises(UnseenError, match="is not visible yet"):
            delete()
    assert script.operations.count("containers.delete") == 1


def test_the_name_of_a_deleted_container_is_that_of_the_list(clock: FakeClock) -> None:
    made, _ = session(
        clock,
        containers__delete=ok({}),
        containers__list=[data([row()]), data([])],
        containers__status=refusal(404),
    )

    Lifecycle(made, operation(clock)).delete(ID, {**STORED, "name": "other"})

    assert {name for name in ("web", "other") if made.client.containers.has_deleted(name)} == {"web"}


def test_what_only_the_list_shows_is_not_deleted(clock: FakeClock) -> None:
    made, script = session(
        clock, containers__list=data([{**row(), "status": None}]), containers__status=refusal(404)
    )

    with pytest.raises(UnseenError, match="is listed, but a request for it gets a 404"):
        Lifecycle(made, operation(clock)).delete(ID, STORED)

    assert "containers.delete" not in script.operations


def operation(clock: FakeClock) -> Operation:
    call = SimpleNamespace(
        name="web", urn="urn", is_active=lambda: True, status=lambda _text: None, warn=lambda _text: None
    )
    return Operation(cast("EngineCall", call), clock, clock.now(), clock.now() + 600)


def test_the_old_container_of_a_replacement_is_not_taken_for_the_new_one(clock: FakeClock) -> None:
    made, _ = session(
        clock,
        containers__delete=ok({}),
        containers__list=[data([row(NOW - 9000)]), data([row(NOW - 9000)]), data([row(NOW + 1)])],
    )
    made.client.containers.delete(ID, "web")

    seen = Lifecycle(made, operation(clock)).wait_until_created(found(None), NOW)

    assert seen.created_at == as_time(NOW + 1)


def test_the_container_in_the_answer_is_ours_although_its_time_is_of_a_clock_that_is_behind(
    clock: FakeClock,
) -> None:
    made, _ = session(clock, containers__list=data([row(NOW - 30)]))

    assert Lifecycle(made, operation(clock)).wait_until_created(found(NOW - 30), NOW).id == ID


def test_a_container_that_is_older_than_the_request_is_not_ours(clock: FakeClock) -> None:
    made, _ = session(clock, containers__list=data([row(NOW - 9000)]))

    with pytest.raises(ExistsError, match="existed before the request"):
        Lifecycle(made, operation(clock)).wait_until_created(found(None), NOW)


# --- the same ---


def test_a_time_that_the_list_lacks_is_read_from_the_status_once(clock: FakeClock) -> None:
    made, script = session(
        clock,
        containers__list=data([row(None)]),
        containers__status=ok({"id": ID, "createdAt": as_time(NOW - 1000)}),
    )

    for _ in range(2):
        seen = find_container(made, ID, shared=True, stored=STORED)
        assert seen is not None
        assert identify(made, STORED, seen) is Identity.SAME
        assert creation_time(made, ID) == as_time(NOW - 1000)
        alone = find_container(made, ID, shared=True)
        assert alone is not None
        assert alone.created_at == STORED["created_at"]
    assert script.operations.count("containers.status") == 1


def test_while_it_is_not_known_whose_a_container_is_the_state_keeps_its_address() -> None:
    theirs = models.Container(id=ID, ip_address="10.52.0.6", created_at=as_time(NOW), status="running")
    olds = {**STORED, "ip_address": "10.52.0.5"}

    kept = outputs(theirs, olds, {**STORED, IDENTITY_CONFLICT: as_time(NOW)}, None)

    assert (kept["ip_address"], kept["created_at"]) == ("10.52.0.5", as_time(NOW - 1000))


# --- the platform's words ---


@pytest.mark.parametrize(
    ("tier", "storage_mb", "difference"),
    [
        (None, 138 * 1024, ["it has 128 GB of additional storage: write additional_storage_tier=5"]),
        (5, 138 * 1024, []),
        (None, 10 * 1024, []),
        # A size in a different unit, or a size that fits no tier, shows nothing.
        (None, 10_737, []),
        (None, None, []),
    ],
)
def test_a_container_with_storage_that_the_program_does_not_declare_is_not_adopted(
    tier: int | None, storage_mb: int | None, difference: list[str]
) -> None:
    inputs = {"template": "nodejs", "plan": "basic", "additional_storage_tier": tier}
    container = models.Container(id=ID, template="nodejs", plan="basic", storage_mb=storage_mb)

    assert differences_to(inputs, container) == difference


# --- a template that is a category ---


@pytest.mark.parametrize("category", ["Runtime", "Database"])
def test_a_category_does_not_show_that_the_template_is_the_same(category: str) -> None:
    container = models.Container(id=ID, name="web", template=category)

    assert differences_to({"template": "nodejs"}, container) == [
        f"its template is {category!r}, not 'nodejs'"
    ]


@pytest.mark.parametrize(("listed", "calls"), [("Runtime", 1), ("nodejs", 0)])
def test_the_status_tells_the_template_of_a_category(clock: FakeClock, listed: str, calls: int) -> None:
    made, script = session(clock, containers__status=ok({"id": ID, "template": "nodejs", "type": "Runtime"}))
    lifecycle = Lifecycle(made, cast("Operation", None))

    seen = lifecycle.with_template(models.Container(id=ID, template=listed, plan="basic"))

    assert (seen.template, seen.plan, len(script.calls)) == ("nodejs", "basic", calls)


def test_a_stopped_container_that_is_not_shown_any_more_is_named(clock: FakeClock) -> None:
    made, _ = session(clock, containers__list=data([]), containers__status=refusal(404))
    op, warned = operation(clock), list[str]()
    cast("Any", op.call).warn = warned.append

    assert Lifecycle(made, op).read(ID, {**STORED, "status": "stopped"}) is None
    assert "If STACKS hides stopped containers, it may be billed" in warned[0]
    assert Lifecycle(made, op).read(ID, {**STORED, "status": "running"}) is None
    assert len(warned) == 1


def test_without_creation_times_one_warning_in_a_run_says_what_is_not_recognised(clock: FakeClock) -> None:
    made, _ = session(
        clock, containers__list=data([row(None), {**row(None), "id": "usr-1-db", "name": "db"}])
    )
    op, warned = operation(clock), list[str]()
    cast("Any", op.call).warn = warned.append
    stored = {"name": "web", "template": "nodejs"}

    for id_, name in ((ID, "web"), ("usr-1-db", "db"), (ID, "web")):
        assert Lifecycle(made, op).read(id_, {**stored, "name": name}) is not None

    assert ["returns no creation time" in text for text in warned] == [True]


def test_a_container_that_gives_no_time_any_more_is_kept_and_not_deleted(clock: FakeClock) -> None:
    made, script = session(
        clock, containers__list=data([row(None)]), containers__status=ok({"id": ID, "template": "nodejs"})
    )
    op = operation(clock)

    outs = Lifecycle(made, op).read(ID, STORED)

    assert outs is not None
    assert (outs[IDENTITY_CONFLICT], outs["created_at"]) == ("no time", STORED["created_at"])
    with pytest.raises(
        StacksError, match=r"nothing shows that it is the same container\. It was not deleted"
    ):
        Lifecycle(made, op).delete(ID, STORED)
    assert "containers.delete" not in script.operations


# --- a rollback ---


def rollback(made: Session, reports: list[str]) -> None:
    op = SimpleNamespace(report=lambda text, _code: reports.append(text))
    inputs = {"name": "web", "template": "nodejs", "plan": None}
    creation = ContainerCreation(made, cast("Operation", op), inputs)
    creation.roll_back(models.Container(id=ID, name="web", created_at=as_time(NOW)))


@pytest.mark.parametrize(
    ("after", "twins"),
    [
        ([], []),
        ([row(NOW + 1)], []),
        ([row(NOW + 60)], [ID]),
        ([{**row(NOW), "id": "usr-2-web"}], ["usr-2-web"]),
        ([{**row(NOW + 60), "id": "usr-1-db", "name": "db"}], []),
    ],
    ids=["gone", "still listed", "created later", "another id", "another name"],
)
def test_a_rollback_names_a_late_twin(
    clock: FakeClock, after: list[dict[str, Any]], twins: list[str]
) -> None:
    made, _ = session(
        clock,
        containers__list=data(after),
        containers__delete=[refusal(404), ok({})],
        containers__status=refusal(404),
    )
    reports: list[str] = []

    rollback(made, reports)

    assert [f'"web" ({twin}' in text for twin, text in zip(twins, reports, strict=True)] == [True] * len(
        twins
    )


def test_a_rollback_gives_up_when_the_container_would_be_visible(clock: FakeClock) -> None:
    made, _ = session(clock, containers__list=data([]), containers__delete=refusal(404))

    with pytest.raises(StacksError, match="it was neither listed nor found by its id"):
        rollback(made, [])
    assert clock.now() - 1000 >= 120


# --- not ready yet ---


def test_a_late_refusal_says_nothing_about_the_end_of_the_time_in_which_changes_take_effect(
    clock: FakeClock,
) -> None:
    made, _ = session(clock, "access: {settle_seconds: 5}")
    op = Operation(Call(), clock, clock.now(), float("inf"))
    asked: list[float] = []

    def ask() -> str:
        asked.append(clock.now())
        if len(asked) == 1:
            clock.advance(30)
            raise NotFoundError("not found", code="not-found")
        return "the key"

    assert patiently(made, op, "the key", ask, (NotFoundError,)) == "the key"
    assert len(asked) == 2


# --- the platform's spelling ---


def test_access_that_the_api_does_not_show_is_no_drift() -> None:
    outs = {"name": "web", "template": "nodejs", "plan": "basic", "external_access": True}
    container = models.Container(id=ID, name="web", template="nodejs", plan="basic")

    assert observed(container, outs, models.ExternalAccess())["external_access"] is True
    assert observed(container, outs, models.ExternalAccess(enabled=False))["external_access"] is False
