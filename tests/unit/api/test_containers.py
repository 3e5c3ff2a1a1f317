from __future__ import annotations

from typing import Any

import pytest
import requests
import responses
from responses.matchers import json_params_matcher, query_param_matcher

from stacks_pulumi import errors
from stacks_pulumi._identifiers import as_time
from stacks_pulumi.api import StacksClient, models
from stacks_pulumi.api.containers import ContainersApi
from stacks_pulumi.api.wait import CREATED as CREATED_WAIT
from stacks_pulumi.api.wait import GONE, Wait
from tests.support.clock import FakeClock
from tests.support.guide import CREATED
from tests.unit.api.scripted_api import URL, Script, chain, containers, data, listed, ok, refusal

PEM = "-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n"


def test_list(client: StacksClient, http: responses.RequestsMock) -> None:
    http.get(f"{URL}/containers", json={"success": True, "count": 1, "data": [{"id": "a", "type": "redis"}]})

    assert client.containers.list() == (models.Container(id="a", template="redis"),)


def test_status(client: StacksClient, http: responses.RequestsMock) -> None:
    http.get(
        f"{URL}/containers/status/usr-1-web", json={"success": True, "id": "usr-1-web", "rawStatus": "Up"}
    )

    assert client.containers.status("usr-1-web") == models.Container(id="usr-1-web", raw_status="Up")


def test_credentials(client: StacksClient, http: responses.RequestsMock) -> None:
    http.get(f"{URL}/containers/a/credentials", json={"data": {"mainCredentials": {"username": "admin"}}})

    assert client.containers.credentials("a").username == "admin"


def test_logs(client: StacksClient, http: responses.RequestsMock) -> None:
    http.get(f"{URL}/containers/a/logs", json={"logs": "x\ny"}, match=[query_param_matcher({"lines": "5"})])

    assert client.containers.logs("a", lines=5) == "x\ny"


@pytest.mark.parametrize("wait", [CREATED_WAIT, GONE])
def test_an_unknown_status_is_named_and_what_is_waited_for(clock: FakeClock, wait: Wait) -> None:
    script = Script(containers__list=listed(web="archived"))
    said: list[str] = []

    with pytest.raises(errors.WaitTimeoutError, match="check it in the STACKS dashboard"):
        containers(script, clock).feed.wait(wait, "usr-1-web", deadline=clock.now() + 5, warn=said.append)

    (text,) = said
    assert text.startswith('the status "archived" is not in the API guide')
    assert f"whether the container is {wait.name}: " in text


def test_metrics(client: StacksClient, http: responses.RequestsMock) -> None:
    http.get(f"{URL}/containers/a/metrics", json={"data": {"cpu": [{"timestamp": "t", "value": 1}]}})

    assert client.containers.metrics("a").cpu == (models.Point(timestamp="t", value=1.0),)


def test_templates(client: StacksClient, http: responses.RequestsMock) -> None:
    http.get(f"{URL}/containers/templates", json={"data": [{"id": "redis"}]})

    assert [template.id for template in client.containers.templates()] == ["redis"]


def test_certificate(client: StacksClient, http: responses.RequestsMock) -> None:
    http.get(f"{URL}/containers/a/certificate", body=PEM, content_type="application/x-pem-file")

    assert client.containers.certificate("a") == PEM


def test_regenerate_certificate(client: StacksClient, http: responses.RequestsMock) -> None:
    http.post(f"{URL}/containers/a/certificate/regenerate", json={"data": {"privateKey": PEM}})

    assert client.containers.regenerate_certificate("a") == PEM


def test_a_certificate_whose_answer_was_lost_is_made_again(
    client: StacksClient, http: responses.RequestsMock
) -> None:
    url = f"{URL}/containers/a/certificate/regenerate"
    http.post(url, body=requests.ConnectionError("reset"))
    http.post(url, json={"data": {"privateKey": PEM}})

    assert client.containers.regenerate_certificate("a") == PEM


def test_a_new_certificate_that_the_answer_does_not_hold_is_downloaded(
    client: StacksClient, http: responses.RequestsMock
) -> None:
    http.post(f"{URL}/containers/a/certificate/regenerate", json={"success": True, "message": "New key made"})
    http.get(f"{URL}/containers/a/certificate", body=PEM)

    assert client.containers.regenerate_certificate("a") == PEM


def test_enable_access_returns_the_url(client: StacksClient, http: responses.RequestsMock) -> None:
    http.put(
        f"{URL}/containers/a/external-access",
        json={
            "success": True,
            "message": "x",
            "url": "a-1.example",
            "subdomain": "1",
            "your_ip": "203.0.113.45",
        },
        match=[json_params_matcher({"enabled": True})],
    )

    assert client.containers.external_access("a", enabled=True) == models.ExternalAccess(
        enabled=True, url="a-1.example", subdomain="1", your_ip="203.0.113.45"
    )


@pytest.mark.parametrize(
    "answer", [{"json": {"success": True}}, {"body": "Access disabled"}, {"body": "", "status": 204}]
)
def test_disable_access_accepts_any_answer(
    client: StacksClient, http: responses.RequestsMock, answer: dict[str, object]
) -> None:
    http.put(f"{URL}/containers/a/external-access", match=[json_params_matcher({"enabled": False})], **answer)

    assert client.containers.external_access("a", enabled=False) == models.ExternalAccess(enabled=False)


@pytest.mark.parametrize("status", ["running", "stopped", "restart"])
def test_set_status(client: StacksClient, http: responses.RequestsMock, status: Any) -> None:
    http.put(
        f"{URL}/containers/a/status", json={"success": True}, match=[json_params_matcher({"status": status})]
    )

    client.containers.set_status("a", status)


def test_a_status_that_is_reached_already_is_success(clock: FakeClock) -> None:
    script = Script(
        containers__set_status=refusal(400, "Container is already stopped"),
        containers__status=ok({"id": "a", "status": "stopped"}),
    )

    containers(script, clock).set_status("a", "stopped")

    assert script.operations == ["containers.set_status", "containers.status"]


@pytest.mark.parametrize(
    ("status", "seen"), [("running", "stopped"), ("restart", "stopped"), ("stopped", "stopping")]
)
def test_a_refused_status_that_is_not_reached_is_an_error(clock: FakeClock, status: Any, seen: str) -> None:
    script = Script(
        containers__set_status=refusal(409, "busy"), containers__status=ok({"id": "a", "status": seen})
    )

    with pytest.raises(errors.ConflictError, match="busy"):
        containers(script, clock).set_status("a", status)
    assert script.operations == ["containers.set_status", "containers.status"]


@pytest.mark.parametrize(
    ("status", "seen"), [("restart", "restarting"), ("running", "starting"), ("stopped", "stopping")]
)
def test_a_refusal_due_to_the_lost_attempt_is_success(clock: FakeClock, status: Any, seen: str) -> None:
    script = Script(
        containers__set_status=[errors.UnreadableAnswerError("x", status=200), refusal(400, f"it is {seen}")],
        containers__status=ok({"id": "a", "status": seen}),
    )

    containers(script, clock).set_status("a", status)

    assert script.operations == ["containers.set_status", "containers.set_status", "containers.status"]


def test_a_restart_refused_by_an_ended_restart_succeeds(clock: FakeClock) -> None:
    script = Script(
        containers__set_status=[
            errors.ConnectionFailedError("x", sent=True),
            refusal(400, "it is restarting"),
            ok(),
        ],
        containers__status=ok({"id": "a", "status": "running"}),
    )

    containers(script, clock).set_status("a", "restart")

    assert script.operations.count("containers.set_status") == 3


def test_a_restart_is_not_repeated_after_lost_responses(clock: FakeClock) -> None:
    script = Script(
        containers__set_status=errors.ConnectionFailedError("x", sent=True),
        containers__status=ok({"id": "a", "status": "running"}),
    )

    with pytest.raises(errors.ConnectionFailedError):
        containers(script, clock).set_status("a", "restart")
    assert script.operations.count("containers.set_status") == 5


@pytest.mark.parametrize(
    ("status", "seen"), [("restart", "stopped"), ("restart", "error"), ("stopped", "running")]
)
def test_a_refusal_with_no_operation_in_progress_is_an_error(
    clock: FakeClock, status: Any, seen: str
) -> None:
    script = Script(
        containers__set_status=[errors.ConnectionFailedError("x", sent=True), refusal(409, "it cannot be")],
        containers__status=ok({"id": "a", "status": seen}),
    )

    with pytest.raises(errors.ConflictError, match="it cannot be"):
        containers(script, clock).set_status("a", status)


def test_delete(client: StacksClient, http: responses.RequestsMock) -> None:
    http.delete(f"{URL}/containers/a", status=204)

    client.containers.delete("a")


def test_delete_of_a_missing_container_is_an_error(clock: FakeClock) -> None:
    with pytest.raises(errors.NotFoundError, match="delete container a: not found"):
        containers(Script(containers__delete=refusal(404)), clock).delete("a")


def test_delete_after_a_lost_first_attempt_is_not_acknowledged(clock: FakeClock) -> None:
    script = Script(
        containers__delete=[errors.ConnectionFailedError("x", sent=True), refusal(404)],
        containers__status=refusal(404),
    )

    assert not containers(script, clock).delete("a")
    assert script.operations == ["containers.delete"] * 2 + ["containers.status"]


def test_create(client: StacksClient, http: responses.RequestsMock) -> None:
    http.get(f"{URL}/containers", json={"count": 0, "data": []})
    http.post(
        f"{URL}/containers",
        status=202,
        json=CREATED,
        match=[json_params_matcher({"name": "my-api", "template": "nodejs", "additional_storage_tier": 3})],
    )

    made = client.containers.create(name="my-api", template="nodejs", additional_storage_tier=3)

    assert made == models.Container(
        id="usr-abc12345-my-api",
        name="my-api",
        status="pending",
        template="nodejs",
        plan="basic",
        cpu=1.0,
        memory_mb=1024,
        storage_mb=10240,
        port=8005,
        ssh_user="usr-abc12345",
        ssh_host="stacks.hosting",
        ssh_port=8005,
        has_ssh_access=True,
        has_web_ui=False,
        vpc_network="vpc-usr-abc12345",
        version="22",
        version_major="22",
        image_tag="stackshosting/nodejs:latest",
        created_at="2026-05-17T16:33:23.116Z",
    )


def create(script: Script, clock: FakeClock) -> models.Container:
    return containers(script, clock).create(name="web", template="nodejs", plan="micro", discount_code="c")


def test_missing_fields_of_the_answer_come_from_the_request(clock: FakeClock) -> None:
    script = Script(containers__list=listed(), containers__create=data({"id": "usr-1-web"}, 202))

    assert create(script, clock) == models.Container(
        id="usr-1-web", name="web", template="nodejs", plan="micro"
    )


def test_a_taken_name_sends_no_create(clock: FakeClock) -> None:
    script = Script(containers__list=listed(web="running"))

    with pytest.raises(
        errors.ExistsError, match=r'create container "web": it already exists \(id usr-1-web\)'
    ) as caught:
        create(script, clock)
    assert caught.value.existing.status == "running"


def test_a_new_container_of_another_template_is_not_the_result(clock: FakeClock) -> None:
    theirs = ok([{"id": "usr-1-web", "name": "web", "type": "redis"}])
    script = Script(
        containers__list=[listed(), theirs],
        containers__create=[refusal(502), refusal(400, "Name taken", field="name")],
    )

    with pytest.raises(errors.ExistsError) as caught:
        create(script, clock)
    assert caught.value.existing.template == "redis"


def test_many_creates_share_their_looks(clock: FakeClock) -> None:
    def slow_list(call: Any) -> Any:
        clock.sleep(0.2)
        return listed()

    script = Script(
        containers__list=slow_list,
        containers__create=lambda call: data({"id": f"usr-1-{call.json['name']}"}, 202),
    )
    nouns = containers(script, clock)

    made = clock.run(*[lambda n=n: nouns.create(name=f"web{n}", template="nodejs") for n in range(24)])

    assert sorted(container.id for container in made) == sorted(f"usr-1-web{n}" for n in range(24))
    assert script.operations.count("containers.list") <= 2
    assert script.operations.count("containers.create") == 24


def test_successive_creates_share_a_look(clock: FakeClock) -> None:
    script = Script(
        containers__list=[listed(web="running"), listed()],
        containers__create=lambda call: data({"id": f"usr-1-{call.json['name']}"}, 202),
    )
    nouns = containers(script, clock)

    nouns.create(name="other", template="nodejs")
    nouns.create(name="more", template="nodejs")
    assert script.operations.count("containers.list") == 1
    nouns.create(name="web", template="nodejs")
    assert script.operations.count("containers.list") == 2


def test_a_name_taken_after_the_shared_look_is_an_error(clock: FakeClock) -> None:
    script = Script(
        containers__list=[listed(), listed(web="running")],
        containers__create=refusal(400, "Name taken", field="name"),
    )

    with pytest.raises(errors.ExistsError) as caught:
        create(script, clock)
    assert caught.value.existing.id == "usr-1-web"


def dated(script: Script, clock: FakeClock) -> ContainersApi:
    """Return the containers' client; the Date headers of answers are correct."""
    return ContainersApi(chain(script, clock), clock, lambda: 0.0, server_now=clock.wall)


def booting(created: float | None, **more: Any) -> dict[str, Any]:
    time = {} if created is None else {"created_at": as_time(created)}
    return {"id": "usr-1-web", "name": "web", "type": "nodejs", "status": "pending", **time, **more}


@pytest.mark.parametrize("behind", [8, 30, 110, 600, 26 * 3600])
@pytest.mark.parametrize("count", [0, 9], ids=["whole", "partial"])
def test_a_container_that_boots_and_was_not_listed_is_new_although_its_time_is_of_another_clock(
    *, clock: FakeClock, behind: int, count: int
) -> None:
    partial = ok({"success": True, "count": count, "data": []})
    made = booting(clock.wall() - behind)
    script = Script(containers__list=partial, containers__create=data(made, 202))
    nouns = dated(script, clock)

    assert nouns.create(name="web", template="nodejs").id == "usr-1-web"
    assert script.operations[-1] == "containers.create"


def test_an_answer_without_an_id_is_resolved_by_a_creation_time_of_our_request(clock: FakeClock) -> None:
    row = booting(clock.wall())
    script = Script(containers__list=[listed(), data([row])], containers__create=data({**row, "id": 7}, 202))

    assert dated(script, clock).create(name="web", template="nodejs").id == "usr-1-web"


@pytest.mark.parametrize("created", [None, 30, -30])
def test_what_no_time_shows_as_ours_is_refused_by_name_and_not_sent_again(
    clock: FakeClock, created: int | None
) -> None:
    """The creation time is missing or from a different clock, so the container may belong to another stack."""
    row = booting(None if created is None else clock.wall() + created)
    script = Script(containers__list=[listed(), data([row])], containers__create=refusal(502))

    with pytest.raises(errors.StacksError, match="usr-1-web") as caught:
        dated(script, clock).create(name="web", template="nodejs")
    assert caught.value.code in {"outcome-unknown", "already-exists"}
    assert script.operations.count("containers.create") == 1


@pytest.mark.parametrize(("status", "is_lost"), [("pending", True), ("running", True), ("running", False)])
def test_a_container_that_is_older_than_the_request_is_not_its_result(
    *, clock: FakeClock, status: str, is_lost: bool
) -> None:
    """Another client created it some seconds earlier, and the list before the request was outdated."""
    row = booting(clock.wall() - 30, status=status)
    script = Script(
        containers__list=[listed(), data([row])],
        containers__create=[refusal(502), refusal(400, "Name taken", field="name")]
        if is_lost
        else data(row, 202),
    )

    with pytest.raises(errors.ExistsError):
        dated(script, clock).create(name="web", template="nodejs")


def test_a_time_that_is_not_before_the_request_costs_no_call(clock: FakeClock) -> None:
    script = Script(containers__list=listed(), containers__create=data(booting(clock.wall() - 2), 202))

    dated(script, clock).create(name="web", template="nodejs")

    assert script.operations == ["containers.list", "containers.create"]


def test_an_unlisted_container_is_looked_up_by_its_id(clock: FakeClock) -> None:
    from stacks_pulumi.api import CREATED as RUNS

    script = Script(
        containers__list=listed(), containers__status=[ok({"id": "a", "status": "pending"}), refusal(404)]
    )

    with pytest.raises(errors.VanishedError):
        containers(script, clock).feed.wait(RUNS, "a", deadline=clock.now() + 60)
    # One read that finds it, and two reads, further apart than the lag, that do not find it.
    assert script.operations.count("containers.status") == 3


@pytest.mark.parametrize("container_id", ["", "..", "."])
def test_an_invalid_id_is_not_sent(clock: FakeClock, container_id: str) -> None:
    with pytest.raises(ValueError, match="not a valid id or name"):
        containers(Script(), clock).delete(container_id)
