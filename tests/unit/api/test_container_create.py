"""
A create request for a container that ends in a 503, or with an incomplete list.
"""

from __future__ import annotations

from typing import Any

import pytest

from stacks_pulumi import errors
from stacks_pulumi._identifiers import as_time
from stacks_pulumi.api import models
from stacks_pulumi.api._call import Answer
from stacks_pulumi.api.containers import ContainersApi
from tests.support.clock import FakeClock
from tests.unit.api.scripted_api import Reply, Script, chain, containers, data, listed, ok, refusal

FULL = refusal(503, "No capacity available", message="You've been added to the waitlist.")
PROXY = Answer(503, {"content-type": "text/html"}, b"<html>Service Unavailable</html>")
LOST = errors.ConnectionFailedError("x", sent=True)
ODD = {"id": [], "name": "odd"}


def create(script: Script, clock: FakeClock, name: str = "web") -> models.Container:
    nouns = ContainersApi(chain(script, clock), clock, lambda: 0.0, server_now=clock.wall)
    return nouns.create(name=name, template="nodejs")


def rows(*entries: Any) -> Answer:
    return data(list(entries))


def entry(name: str, **more: Any) -> dict[str, Any]:
    return {"id": f"usr-1-{name}", "name": name, "type": "nodejs", "status": "pending", **more}


@pytest.mark.parametrize("answer", [FULL, PROXY])
@pytest.mark.parametrize("empty", [0, 1])
def test_a_container_that_a_503_hides_is_found(clock: FakeClock, answer: Answer, empty: int) -> None:
    looks: list[Reply] = [listed(), *[listed()] * empty, rows(entry("web", created_at=as_time(clock.wall())))]
    script = Script(containers__list=looks, containers__create=answer)

    assert create(script, clock).id == "usr-1-web"
    assert script.operations.count("containers.create") == 1


def test_a_503_and_three_lists_without_it_mean_the_waitlist(clock: FakeClock) -> None:
    script = Script(containers__list=listed(), containers__create=FULL)

    with pytest.raises(errors.NoCapacityError) as caught:
        create(script, clock)

    assert caught.value.message == (
        'create container "web": no capacity (503: No capacity available: You\'ve been added to the waitlist.): the '
        "account is on the waitlist now, and no container was created; the request was not sent again, because each "
        "request adds the account to the waitlist: wait until STACKS has capacity"
    )
    assert (caught.value.code, caught.value.status, caught.value.operation) == (
        "no-capacity",
        503,
        "containers.create",
    )
    assert script.operations.count("containers.create") == 1
    assert script.operations.count("containers.list") == 4
    assert clock.now() == 1005.0


def test_a_503_of_a_proxy_is_reported_as_such(clock: FakeClock) -> None:
    with pytest.raises(errors.NoCapacityError, match="check the proxy as well"):
        create(Script(containers__list=listed(), containers__create=PROXY), clock)


@pytest.mark.parametrize(
    "looks",
    [
        [refusal(500)],
        [listed(), refusal(403)],
        [rows(ODD)],
        [data([]), ok({"count": 3, "data": []})],
        [rows(entry("web", type=[]))],
    ],
    ids=["fails", "one look", "row without id", "count", "damaged row"],
)
def test_a_503_whose_looks_fail_is_an_unknown_outcome(clock: FakeClock, looks: list[Reply]) -> None:
    script = Script(containers__list=[listed(), *looks], containers__create=FULL)

    with pytest.raises(
        errors.ServerError, match="the outcome of the request is unknown: check the STACKS dashboard"
    ) as caught:
        create(script, clock)

    assert type(caught.value) is errors.ServerError
    assert caught.value.status == 503
    assert script.operations.count("containers.create") == 1


def test_a_503_after_a_lost_response_is_not_sent_again_either(clock: FakeClock) -> None:
    script = Script(containers__list=listed(), containers__create=[LOST, FULL])

    with pytest.raises(errors.NoCapacityError):
        create(script, clock)
    assert script.operations.count("containers.create") == 2


def test_a_name_that_the_api_stores_in_lower_case_is_found_after_a_lost_response(clock: FakeClock) -> None:
    made_now = rows(entry("web", created_at=as_time(clock.wall())))
    script = Script(containers__list=[listed(), made_now], containers__create=LOST)

    made = create(script, clock, "Web")

    assert (made.id, made.name) == ("usr-1-web", "web")
    assert script.operations.count("containers.create") == 1


def test_a_name_that_differs_only_in_case_is_taken(clock: FakeClock) -> None:
    with pytest.raises(errors.ExistsError) as caught:
        create(Script(containers__list=listed(web="running")), clock, "WEB")
    assert caught.value.existing.id == "usr-1-web"


def test_a_row_that_cannot_be_read_does_not_prevent_a_creation(clock: FakeClock) -> None:
    script = Script(containers__list=rows(ODD), containers__create=data({"id": "usr-1-web"}, 202))

    assert create(script, clock).id == "usr-1-web"


def test_an_earlier_unreadable_row_is_not_the_new_container(clock: FakeClock) -> None:
    looks: list[Reply] = [rows({"id": [], "name": "web"}), rows(entry("web"))]
    script = Script(containers__list=looks, containers__create=LOST)

    with pytest.raises(errors.ConnectionFailedError, match="the outcome of the request is unknown"):
        create(script, clock)
    assert script.operations.count("containers.create") == 1


def test_the_pulse_ends_a_creation_before_it_is_sent(clock: FakeClock) -> None:
    script = Script(containers__list=[refusal(502), listed()])

    def pulse() -> None:
        raise errors.WaitCancelledError("enough")

    with pytest.raises(errors.WaitCancelledError):
        containers(script, clock).create(name="web", template="nodejs", pulse=pulse)
    assert script.operations == ["containers.list"]
