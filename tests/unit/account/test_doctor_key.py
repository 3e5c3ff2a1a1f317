"""The doctor on the API key: its scopes, its spending cap, its rate limit, and answers that are not from the API."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from stacks_pulumi.account.doctor_api import _USES
from tests.support.machine import resource
from tests.unit.account.conftest import CheckedMachine, only


def test_a_key_that_may_not_read_shows_all_its_scopes(machine: CheckedMachine) -> None:
    machine.set("stacks:apiKey", machine.emulator.new_key(scopes=["containers:create"]), secret=True)

    report = machine.doctor()

    lines = report.of("scopes")
    assert [line["level"] for line in lines] == ["problem", "warning", "warning"]
    assert "lacks containers:read, which is needed for every operation" in lines[0]["text"]
    assert report.code == 1
    assert only(report, "account")["level"] == "ok"


def test_the_stack_decides_whether_a_missing_scope_prevents_an_up(machine: CheckedMachine) -> None:
    key = machine.emulator.new_key(scopes=["containers:read", "containers:create", "containers:delete"])
    machine.set("stacks:apiKey", key, secret=True)
    account = machine.emulator.account
    machine.emulator.load([{"name": "web", "template": "nodejs"}])

    plain = [resource("Container", f"{account}-web")]
    machine.state(plain)
    assert machine.doctor("--probe-scopes").code == 0

    machine.state([*plain, resource("Connection", f"{account}-web/0")])
    report = machine.doctor("--probe-scopes")
    assert report.code == 1
    assert "needed for the stack's Connection resources" in only(report, "scopes")["text"]

    machine.state([resource("Container", f"{account}-web", external_access=True)])
    assert machine.doctor("--probe-scopes").code == 1


def test_probing_finds_every_scope_and_changes_nothing(machine: CheckedMachine) -> None:
    machine.emulator.load([{"name": "web", "template": "nodejs"}])
    before = copy.deepcopy(machine.emulator.state.containers)

    report = machine.doctor("--probe-scopes")

    assert only(report, "scopes")["level"] == "ok"
    assert [(request.operation, request.status) for request in machine.emulator.requests] == [
        ("containers.list", 200),
        ("containers.create", 400),
        ("connections.delete", 404),
        ("containers.delete", 404),
    ]
    assert machine.emulator.state.containers == before


def test_probing_ends_with_the_answer_that_lists_the_scopes(machine: CheckedMachine) -> None:
    machine.set("stacks:apiKey", machine.emulator.new_key(scopes=["containers:read"]), secret=True)

    report = machine.doctor("--probe-scopes")

    assert [request.operation for request in machine.emulator.requests] == [
        "containers.list",
        "containers.create",
    ]
    assert [line["text"] for line in report.of("scopes")] == [
        "the key lacks containers:create, which is needed for new containers",
        f"the key lacks containers:manage, which is needed for {_USES['containers:manage']}",
        "the key lacks containers:delete, which is needed for `pulumi destroy` and replacements",
    ]


def test_a_failed_probe_shows_no_scope(machine: CheckedMachine) -> None:
    for operation in ("containers.create", "connections.delete", "containers.delete"):
        machine.emulator.faults.add(operation, 503)

    line = only(machine.doctor("--probe-scopes"), "scopes")

    assert line["level"] == "unknown"
    assert "containers:create, containers:manage, containers:delete" in line["text"]


def test_a_cap_that_a_probe_shows_prevents_an_up(machine: CheckedMachine) -> None:
    body = {"error": "Monthly spending cap reached", "spending_cap": 10, "amount_spent": 10}
    machine.emulator.faults.add("containers.create", 402, body=body)

    report = machine.doctor("--probe-scopes")

    assert (
        only(report, "cap")["text"] == "the key's spending cap is reached: $10.00 of $10.00 a month are spent"
    )
    assert (only(report, "cap")["level"], report.code) == ("problem", 1)


def test_a_used_up_rate_limit_is_a_warning(machine: CheckedMachine) -> None:
    machine.set("stacks:apiKey", machine.emulator.new_key(rate_limit=1), secret=True)
    first, second = machine.doctor(), machine.doctor()

    for report in (first, second):
        assert only(report, "rate-limit")["level"] == "warning"
        assert "of 1 requests a minute is used up; it is reset in" in only(report, "rate-limit")["text"]
        assert report.code == 0
    assert only(first, "scopes")["text"].startswith("the key has containers:read;")
    assert only(second, "api")["level"] == "ok"
    assert only(second, "scopes")["text"].startswith(
        "the containers could not be listed, so these scopes are unknown"
    )


@pytest.mark.parametrize(
    ("fault", "options", "text"),
    [
        ("html", {"code": 200}, "the API is not at"),
        ("redirect", {}, "the API is not at"),
        (500, {}, "the API failed"),
        ("drop_before", {}, "no answer from"),
    ],
)
def test_an_answer_that_is_not_the_apis_prevents_an_up(
    machine: CheckedMachine, fault: str | int, options: dict[str, Any], text: str
) -> None:
    machine.emulator.faults.add("containers.list", fault, **options)

    report = machine.doctor()

    line = only(report, "api")
    assert (line["level"], report.code) == ("problem", 1)
    assert text in line["text"]
    assert line["fix"]
    assert machine.emulator.calls("containers.list") == 1
