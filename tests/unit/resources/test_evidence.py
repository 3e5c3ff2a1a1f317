"""What shows that a container is gone, not visible yet, or still the one in the state."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from stacks_pulumi import platform_file
from stacks_pulumi._identifiers import as_time
from stacks_pulumi.api import models
from stacks_pulumi.api.allowed_ips import AllowedIpsApi
from stacks_pulumi.api.backups import BackupsApi
from stacks_pulumi.api.connections import ConnectionsApi
from stacks_pulumi.api.containers import ContainersApi
from stacks_pulumi.errors import ExistsError, NotFoundError, StacksError
from stacks_pulumi.resources._container_lifecycle import (
    Lifecycle,
    observed,
    outputs,
)
from stacks_pulumi.resources._fields import differences_to, spelling_of
from stacks_pulumi.resources._identity import (
    FORMER_TIMES,
    IDENTITY_CONFLICT,
    OWNERSHIP,
    REQUESTED_AT,
    SPELLING,
    Identity,
    Owner,
    UnseenError,
    find_container,
    identify,
    is_still,
    same_container,
    still_same_container,
)
from stacks_pulumi.resources._operation import EngineCall, Operation
from stacks_pulumi.resources._running import (
    check_not_recreated,
    creation_time,
    patiently,
    same_time,
)
from stacks_pulumi.resources._session import CreatedContainers, Reads, Session
from stacks_pulumi.resources.container import ContainerCreation
from tests.support.clock import FakeClock
from tests.unit.api.scripted_api import Reply, Script, chain, data, ok, refusal

ID = "usr-1-web"
NOW = 1_800_000_000.0


@pytest.fixture(autouse=True)
def _fresh() -> None:
    OWNERSHIP.clear()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW)


def session(clock: FakeClock, facts: str = "", **replies: Reply | list[Reply]) -> tuple[Session, Script]:
    """Return what an operation needs of a session, over prepared replies."""
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
    made = SimpleNamespace(
        client=client, clock=clock, reads=Reads(clock), created=CreatedContainers(containers.feed.seen)
    )
    return cast("Session", made), script


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

    with pytest.raises(UnseenError, match="is listed, and its own address says that it does not exist"):
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
    assert identify(STORED, seen) is Identity.UNCERTAIN


# --- not visible yet ---


def test_a_container_that_was_never_seen_is_waited_for(clock: FakeClock) -> None:
    shows = clock.now() + 60
    stored = {"name": "web", "template": "nodejs", REQUESTED_AT: as_time(NOW - 50)}
    made, _ = session(
        clock,
        containers__list=lambda _call: data([row(NOW - 49)] if clock.now() >= shows else []),
        containers__status=refusal(404),
    )

    assert find_container(made, ID, stored=stored) is not None


def test_a_container_that_was_never_seen_is_gone_when_its_time_has_passed(clock: FakeClock) -> None:
    stored = {"name": "web", "template": "nodejs", REQUESTED_AT: as_time(NOW - 50)}
    made, _ = session(clock, containers__list=data([]), containers__status=refusal(404))

    assert find_container(made, ID, stored=stored) is None
    assert 70 <= clock.now() - 1000 <= 80


@pytest.mark.parametrize(("created", "is_ours"), [(NOW - 49, True), (NOW - 90, False)])
def test_a_container_that_was_never_seen_is_found_by_its_name(
    clock: FakeClock, created: float, is_ours: bool
) -> None:
    stored = {"name": "web", "template": "nodejs", REQUESTED_AT: as_time(NOW - 50)}
    made, _ = session(clock, containers__list=data([row(created)]), containers__status=refusal(404))

    assert (find_container(made, "job-7", stored=stored) is not None) is is_ours


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
    inputs = {"name": "web", "template": "nodejs"}

    seen = Lifecycle(made, operation(clock)).wait_until_created(found(None), inputs, NOW)

    assert seen.created_at == as_time(NOW + 1)


def test_a_time_in_the_answer_counts_more_than_one_of_another_clock(clock: FakeClock) -> None:
    made, _ = session(clock, containers__list=data([row(NOW - 30)]))
    inputs = {"name": "web", "template": "nodejs"}

    assert Lifecycle(made, operation(clock)).wait_until_created(found(NOW), inputs, NOW).id == ID


def test_a_container_that_is_older_than_the_request_is_not_ours(clock: FakeClock) -> None:
    made, _ = session(clock, containers__list=data([row(NOW - 9000)]))

    with pytest.raises(ExistsError, match="existed before the request"):
        Lifecycle(made, operation(clock)).wait_until_created(
            found(None), {"name": "web", "template": "nodejs"}, NOW
        )


def test_a_container_that_stays_hidden_and_stopped_is_kept_by_an_update(clock: FakeClock) -> None:
    made, _ = session(clock, containers__list=data([]), containers__status=refusal(404))
    stored = {**STORED, "status": "stopped", "stop_unseen": True}

    outs = Lifecycle(made, operation(clock)).update(
        ID, stored, {"name": "web", "template": "nodejs", "desired_status": "stopped"}
    )

    assert (outs["status"], outs["stop_unseen"]) == ("stopped", True)


# --- the same ---


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (NOW, NOW, Identity.SAME),
        (NOW, NOW + 60, Identity.UNCERTAIN),
        (None, NOW, Identity.UNKNOWN),
        (NOW, None, Identity.UNKNOWN),
        (None, None, Identity.UNKNOWN),
    ],
)
def test_the_same_needs_two_times(one: float | None, other: float | None, expected: Identity) -> None:
    texts = [None if seconds is None else as_time(seconds) for seconds in (one, other)]

    assert same_container(*texts) is expected


def test_a_time_that_the_list_lacks_is_read_from_the_status_once(clock: FakeClock) -> None:
    made, script = session(
        clock,
        containers__list=data([row(None)]),
        containers__status=ok({"id": ID, "createdAt": as_time(NOW - 1000)}),
    )

    for _ in range(2):
        seen = find_container(made, ID, shared=True, stored=STORED)
        assert seen is not None
        assert identify(STORED, seen) is Identity.SAME
        assert creation_time(made, ID) == as_time(NOW - 1000)
    assert script.operations.count("containers.status") == 1


@pytest.mark.parametrize(("after", "expected"), [(2.0, True), (40.0, False), (-60.0, False)])
def test_a_start_of_ours_explains_a_creation_time_shortly_after_it(
    clock: FakeClock, after: float, expected: bool
) -> None:
    made, _ = session(clock)
    OWNERSHIP.start(made, "restart", ID)

    assert (is_still(made, ID, STORED, found(NOW + after)) is not None) is expected


def test_a_start_explains_nothing_if_the_platform_keeps_the_time(clock: FakeClock) -> None:
    made, _ = session(
        clock,
        "containers: {created_at_changes: [restore]}",
    )
    OWNERSHIP.start(made, "restart", ID)

    assert is_still(made, ID, STORED, found(NOW + 2)) is None


@pytest.mark.parametrize(
    ("made_at", "expected"),
    # A restart follows a connection within a second.
    [(NOW - 500, True), (NOW - 110.3, True), (NOW - 110, False), (NOW - 50, False), (NOW - 5000, False)],
)
def test_a_connection_that_is_older_than_the_container_shows_that_it_is_the_same(
    clock: FakeClock, made_at: float, expected: bool
) -> None:
    link = {"id": "c", "connection_name": "db", "created_at": as_time(made_at)}
    made, _ = session(
        clock, connections__list=data({"outgoing": [link]}), allowed_ips__list=data({"allowed_ips": []})
    )

    assert (is_still(made, ID, STORED, found(NOW - 110)) is not None) is expected


def test_while_it_is_not_known_whose_a_container_is_the_state_keeps_its_address() -> None:
    theirs = models.Container(id=ID, ip_address="10.52.0.6", created_at=as_time(NOW), status="running")
    olds = {**STORED, "ip_address": "10.52.0.5"}

    kept = outputs(theirs, olds, {**STORED, IDENTITY_CONFLICT: as_time(NOW)}, None)

    assert (kept["ip_address"], kept["created_at"]) == ("10.52.0.5", as_time(NOW - 1000))


def test_a_container_with_another_address_in_the_network_is_not_the_same(clock: FakeClock) -> None:
    """Another client may have created it again, connected it, and started it, after which its time is later."""
    link = {"id": "c", "connection_name": "db", "created_at": as_time(NOW - 500)}
    made, _ = session(clock, connections__list=data({"outgoing": [link]}))
    stored = {**STORED, "ip_address": "10.52.0.5"}

    def is_ours(ip_address: str | None) -> bool:
        now = models.Container(id=ID, created_at=as_time(NOW - 110), ip_address=ip_address)
        return is_still(made, ID, stored, now) is not None

    assert [is_ours("10.52.0.5"), is_ours(None), is_ours("10.52.0.6")] == [True, True, False]


def test_a_clock_that_moved_is_no_conflict_unless_another_container_did_not_move(clock: FakeClock) -> None:
    made, _ = session(clock)

    assert is_still(made, ID, STORED, found(NOW - 1000 + 3600)) is not None
    assert is_still(made, "usr-1-db", STORED, found(NOW - 1000 + 77)) is None
    assert is_still(made, ID, STORED, found(NOW - 1000 + 3600)) is None


def test_a_day_is_no_clock_that_moved(clock: FakeClock) -> None:
    """A job that runs every day creates its container at the same time of the day."""
    made, _ = session(clock)

    assert is_still(made, ID, STORED, found(NOW - 1000 + 86400)) is None
    assert not same_time(as_time(NOW), as_time(NOW + 86400), beside=(as_time(NOW), as_time(NOW + 86400)))


def test_a_child_is_created_in_a_container_that_this_operation_has_started(clock: FakeClock) -> None:
    made, _ = session(clock)
    OWNERSHIP.claim("Container", ID, Owner("urn", None, as_time(NOW - 1000)))
    with pytest.raises(StacksError, match="may be another stack's container"):
        check_not_recreated(made, ID, as_time(NOW + 2))

    OWNERSHIP.start(made, "connect", ID)

    check_not_recreated(made, ID, as_time(NOW + 2))


def test_a_restore_may_have_started_any_container(clock: FakeClock) -> None:
    made, _ = session(clock)
    OWNERSHIP.start(made, "restore")

    assert is_still(made, ID, STORED, found(NOW + 2)) is not None


def test_a_child_of_a_container_whose_time_has_changed_before_is_kept(clock: FakeClock) -> None:
    made, _ = session(clock)
    times = [as_time(NOW - 1000), as_time(NOW - 500), as_time(NOW)]
    before = {**STORED, FORMER_TIMES: times[:1], "created_at": times[1]}

    assert still_same_container(made, ID, times[0], times[2]) is Identity.UNCERTAIN
    OWNERSHIP.know_times(ID, outputs(found(NOW), before, {}, None))
    assert still_same_container(made, ID, times[0], times[2]) is Identity.SAME
    assert still_same_container(made, ID, times[0], as_time(NOW + 50)) is Identity.UNCERTAIN


def test_the_random_subdomain_explains_a_new_time(clock: FakeClock) -> None:
    stored = {**STORED, "subdomain": "ab1c2d"}

    def opened(subdomain: str, *, enabled: bool = True) -> Any:
        return data({"external_access_enabled": enabled, "subdomain": subdomain, "allowed_ips": []})

    def is_ours(answer: Any, state: dict[str, Any]) -> bool:
        made, _ = session(
            clock,
            allowed_ips__list=answer,
            connections__list=data({"outgoing": [], "incoming": []}),
            backups__list=data([]),
        )
        return is_still(made, ID, state, found(NOW - 50)) is not None

    assert is_ours(opened("ab1c2d"), stored)
    assert not is_ours(opened("ffffff"), stored)
    assert not is_ours(opened("ab1c2d", enabled=False), stored)
    assert not is_ours(opened("ab1c2d"), STORED)


# --- the platform's words ---


@pytest.mark.parametrize(
    ("told", "proven", "expected"),
    [
        ({"template": "node", "plan": "Basic Plan"}, False, {"template": "node", "plan": "Basic Plan"}),
        ({"template": "redis", "plan": "premium"}, False, None),
        ({"template": "redis", "plan": "premium"}, True, {"template": "redis", "plan": "premium"}),
        ({"template": "NodeJS", "plan": "BASIC"}, True, None),
    ],
)
def test_an_unknown_word_is_a_spelling_and_a_known_one_only_of_what_we_made(
    told: dict[str, Any], proven: bool, expected: dict[str, str] | None
) -> None:
    inputs = {"name": "web", "template": "nodejs", "plan": "basic"}

    assert spelling_of(models.Container(id=ID, name="web", **told), inputs, proven=proven) == expected


def test_a_container_whose_template_is_unknown_is_not_adopted() -> None:
    unknown = models.Container(id=ID, name="web", template="Runtime")

    assert differences_to({"template": "nodejs"}, unknown) == ["its template is 'Runtime', not 'nodejs'"]


@pytest.mark.parametrize(
    ("tier", "storage_mb", "difference"),
    [
        (None, 138 * 1024, ["it has 128 GB of additional storage: write additional_storage_tier=5"]),
        (5, 138 * 1024, []),
        (None, 10 * 1024, []),
        # A size in another unit, or one that fits no tier, shows nothing.
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


def test_the_spelling_in_the_state_identifies_the_template() -> None:
    now = models.Container(id=ID, template="redis", created_at=as_time(NOW))

    assert identify(STORED, now) is Identity.OTHER
    assert identify({**STORED, SPELLING: {"template": "redis"}}, now) is Identity.UNCERTAIN
    assert differences_to({"template": "nodejs"}, now, {"template": "redis"}) == []


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


# --- a rollback ---


def rollback(made: Session) -> ContainerCreation:
    creation = ContainerCreation(
        made, cast("Operation", None), {"name": "web", "template": "nodejs", "plan": None}
    )
    creation.roll_back(models.Container(id="job-7", name="web"))
    return creation


def test_a_rollback_finds_the_container_by_its_name(clock: FakeClock) -> None:
    made, script = session(
        clock, containers__list=[data([]), data([row(NOW)])], containers__delete=[*[refusal(404)] * 2, ok({})]
    )

    creation = rollback(made)

    assert creation.id_of(models.Container(id="job-7")) == ID
    assert [call.path for call in script.calls][-1].endswith(ID)


def test_a_rollback_gives_up_when_the_container_would_be_visible(clock: FakeClock) -> None:
    made, _ = session(clock, containers__list=data([]), containers__delete=refusal(404))

    with pytest.raises(NotFoundError):
        rollback(made)
    assert clock.now() - 1000 >= 120


# --- not ready yet ---


def test_a_late_refusal_says_nothing_about_the_end_of_the_time_in_which_changes_take_effect(
    clock: FakeClock,
) -> None:
    made, _ = session(clock, "access: {settle_seconds: 5}")
    op = SimpleNamespace(deadline=float("inf"), check_active=lambda: None, progress=lambda _text: None)
    asked: list[float] = []

    def ask() -> str:
        asked.append(clock.now())
        if len(asked) == 1:
            clock.advance(30)
            raise NotFoundError("not found", code="not-found")
        return "the key"

    assert patiently(made, cast("Operation", op), "the key", ask, (NotFoundError,)) == "the key"
    assert len(asked) == 2


# --- the platform's spelling ---


def test_the_spelling_of_the_platform_is_kept_and_no_drift() -> None:
    inputs = {"name": "web", "template": "nodejs", "plan": "basic"}
    container = models.Container(id=ID, name="acme-web", template="nodejs", plan="Basic Plan")
    spelling = spelling_of(container, inputs, proven=True)

    outs = {**outputs(container, {}, inputs, None), "spelling": spelling}

    assert spelling == {"name": "acme-web", "plan": "Basic Plan"}
    seen = observed(container, outs, None)
    assert (seen["name"], seen["plan"]) == ("web", "basic")
    assert outputs(container, outs, seen, None)["spelling"] == spelling


def test_access_that_the_api_does_not_show_is_no_drift() -> None:
    outs = {"name": "web", "template": "nodejs", "plan": "basic", "external_access": True}
    container = models.Container(id=ID, name="web", template="nodejs", plan="basic")

    assert observed(container, outs, models.ExternalAccess())["external_access"] is True
    assert observed(container, outs, models.ExternalAccess(enabled=False))["external_access"] is False


def test_another_spelling_than_the_known_one_is_drift() -> None:
    outs = {"name": "web", "template": "nodejs", "plan": "basic", "spelling": {"plan": "Basic Plan"}}

    seen = observed(models.Container(id=ID, name="web", plan="Premium Plan"), outs, None)

    assert seen["plan"] == "Premium Plan"


def test_what_differs_only_in_case_is_no_other_spelling() -> None:
    container = models.Container(id=ID, name="Web", template="nodejs", plan="BASIC")

    assert spelling_of(container, {"name": "web", "template": "nodejs", "plan": "basic"}, proven=True) is None
    assert (
        observed(container, {"name": "web", "template": "nodejs", "plan": "basic"}, None)["plan"] == "basic"
    )
