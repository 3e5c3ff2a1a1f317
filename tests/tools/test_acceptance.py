"""The acceptance run on the emulator: it refutes exactly the assumptions that the emulator's settings break."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stacks_pulumi.emulator import OPERATIONS, Emulator, containers, keys
from stacks_pulumi.emulator import backups as emulated_backups
from stacks_pulumi.emulator.answers import OPEN
from tests.support.acceptance import (
    EVERYTHING,
    PREFIX,
    emulated,
    killed_and_swept,
    left_on,
    played,
    run_on,
)
from tests.support.platforms import READINGS
from tools.acceptance import reading
from tools.acceptance.api import Api
from tools.acceptance.contract import contract
from tools.acceptance.findings import Findings, Verdict, find
from tools.acceptance.perform import perform
from tools.acceptance.record import Record
from tools.acceptance.report import report
from tools.acceptance.run import Run
from tools.acceptance.statements import NEVER, statements

KNOWN = Path("known.yaml")

# The content of each open operation's answer; `render` converts it to each shape.
TEXT = {"containers.logs", "containers.certificate", "vpn_clients.config"}
LISTS = {"containers.logs", "containers.templates", "vpn_clients.list"}
ONLY_DONE = {
    "containers.delete",
    "containers.regenerate_certificate",
    "containers.external_access",
    "allowed_ips.remove",
    "connections.delete",
    "backups.restore",
    "backups.pin",
    "backups.unpin",
    "backups.delete",
    "vpn_clients.remove",
}
CHANGES = ONLY_DONE | {"containers.set_status", "allowed_ips.add", "vpn_clients.add"}
SWITCHED: dict[str, set[str]] = {
    "bare": set(OPEN),
    "wrapped": set(OPEN),
    "text": TEXT | ONLY_DONE,
    "strings": TEXT | LISTS,
    "terse": CHANGES,
    "empty": CHANGES,
}


def performed(api: Emulator, max_usd: float = EVERYTHING) -> Run:
    """Do a complete run, which must leave nothing and have no problem."""
    run = run_on(api, max_usd)

    assert perform(run, lambda _: None) == []

    assert run.problems == []
    assert api.state.containers == {}
    return run


def form_of(operation: str) -> str:
    """Return the statement about the form of an open answer."""
    begin = (
        "The answer to disabling." if operation == "containers.external_access" else "The form of the answer"
    )
    return str(find(operation, begin))


def names(run: Run, verdict: Verdict) -> set[str]:
    return {str(it.statement) for it in run.findings.all() if it.verdict is verdict}


def test_every_mark_of_the_contract_is_a_statement() -> None:
    marked = {
        (subject, text) for mark in ("x-assumed", "x-strict") for subject, text in contract().marks(mark)
    }

    listed = [(it.subject, it.text) for it in statements()]

    assert len(marked) > 90
    assert marked <= set(listed)
    assert len(listed) == len(set(listed))


def test_the_default_shape_confirms_every_observable_statement() -> None:
    with emulated() as api:
        run = performed(api)

        assert {record.operation for record in api.requests} >= set(OPERATIONS), "it uses every endpoint"

    assert run.findings.refuted() == []
    assert run.learned.lines() == [], "what is as the guide says is not in the file"
    # The run cannot observe a part of each: other templates, prices, units, and errors that it does not cause.
    partly = {
        ("containers.create", "A discount code"),
        ("containers.create", "Compute templates are"),
        ("containers.create", "The texts of all messages"),
        ("containers.credentials", "The user of every managed service"),
        ("containers.metrics", "The form of a point"),
        ("connections.create", "The variables of everything"),
        ("rate limit", "A 429 has"),
        ("every RateLimited answer", "The body."),
    }
    assert names(run, Verdict.NOT_OBSERVABLE) == {str(find(*key)) for key in {*NEVER, *partly}}
    assert not any("did not get that far" in it.evidence for it in run.findings.all())


@pytest.mark.parametrize("shape", sorted(SWITCHED))
def test_another_shape_refutes_exactly_its_answers(shape: str) -> None:
    with emulated(shapes=shape) as api:
        refuted = performed(api).findings.refuted()

    assert set(refuted) == {form_of(operation) for operation in SWITCHED[shape]}


def test_the_shape_of_one_answer_refutes_only_that_answer() -> None:
    with emulated(shapes={"backups.pin": "terse"}) as api:
        assert performed(api).findings.refuted() == ["backups.pin: The form of the answer."]


def test_the_lenient_emulator_refutes_the_default_refusals() -> None:
    with emulated(strict=False) as api:
        refuted = performed(api).findings.refuted()

    assert refuted == [str(it) for it in statements() if it.source == "strict"]


@pytest.mark.parametrize(
    ("settings", "refuted"),
    [
        ({"lower_case_names": True}, "containers.create: Letters keep their case in the id."),
        ({"duplicate_ips": True}, "allowed_ips.add: A second entry for one address"),
        ({"refuse_repeated_delete": True}, "containers.delete: A second request meanwhile is a no-op."),
    ],
)
def test_a_switch_of_the_emulator_refutes_one_statement(settings: dict[str, Any], refuted: str) -> None:
    with emulated(**settings) as api:
        (found,) = performed(api).findings.refuted()

    assert found.startswith(refuted)


def changing(original: Callable[..., Any]) -> Callable[..., Any]:
    """Return the emulator's function, changed so that the container has another creation time afterwards."""

    def changed(platform: Any, subject: Any, *rest: Any) -> Any:
        result = original(platform, subject, *rest)
        container = platform.state.containers.get(getattr(subject, "container_id", None)) or subject
        container.created_at += 60
        return result

    return changed


@pytest.mark.parametrize(
    ("module", "function", "refuted"),
    [
        (
            containers,
            "_start",
            {"It stays the same over a restart.", "It stays the same over a stop and a start."},
        ),
        (containers, "_stop", {"It stays the same over a stop and a start."}),
        (emulated_backups, "trigger", {"It stays the same over a backup."}),
        (emulated_backups, "restore", {"It stays the same over a restore."}),
    ],
)
def test_a_creation_time_that_changes_is_noticed(
    monkeypatch: pytest.MonkeyPatch, module: Any, function: str, refuted: set[str]
) -> None:
    monkeypatch.setattr(module, function, changing(getattr(module, function)))

    with emulated() as api:
        run = run_on(api, 1)
        perform(run, lambda _: None)

    found = {it.statement.text for it in run.findings.all() if it.verdict is Verdict.REFUTED}
    assert refuted <= found
    assert found <= {it.text for it in statements() if it.source == "identity"}


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("max_usd", [0, 1, 2, 6, 12])
def test_the_limit_on_cost_holds_if_the_api_accepts_more(*, max_usd: int, strict: bool) -> None:
    with emulated(strict=strict) as api:
        run = run_on(api, max_usd)

        assert perform(run, lambda _: None) == []

        charged = keys.spent(api.state.keys[0], api.clock.now())
        assert charged <= run.budget.spent <= max_usd
        assert charged > 0 or max_usd == 0
        created = [
            record
            for record in api.requests
            if record.status == 202 and record.operation == "containers.create"
        ]
        assert all(record.subject.lower().startswith(PREFIX) for record in created)


def test_a_statement_over_the_limit_says_how_much_it_needs() -> None:
    with emulated() as api:
        run = performed(api, 1)

    evidence = {str(it.statement): it.evidence for it in run.findings.all()}
    assert "needs --max-usd 2.00" in evidence["connections.delete: The form of the answer."]


def test_objects_outside_the_run_are_not_changed() -> None:
    with emulated() as api:
        api.load(
            [{"name": "orders", "template": "nodejs"}, {"name": "acc-0123abce-Main", "template": "nodejs"}]
        )
        run = run_on(api)

        assert perform(run, lambda _: None) == []

        assert {it.name for it in api.state.containers.values()} == {
            "orders",
            "acc-0123abce-Main",
        }
        # The targets and the list show them, but the report must not.
        assert "orders" not in report(run, [], "now", KNOWN)
    assert run.findings.refuted() == []


def test_a_failed_scene_is_a_problem_and_the_others_run() -> None:
    with emulated() as api:
        api.faults.add("backups.list", "status", code=500, times=None)
        run = run_on(api)

        assert perform(run, lambda _: None) == []

        fired = next(iter(api.faults.left()), None)
        assert fired is None or fired.fired > 0
    (problem,) = run.problems
    assert problem.startswith("backups: ")
    confirmed = names(run, Verdict.CONFIRMED)
    assert "containers.delete: The form of the answer." in confirmed
    assert "backups.pin: The form of the answer." not in confirmed


def test_a_creation_on_the_waitlist_does_not_end_the_run() -> None:
    with emulated() as api:
        api.faults.add("containers.create", 503, match="Main")
        run = run_on(api)

        perform(run, lambda _: None)

        api.faults.assert_none_left()
        assert api.state.containers == {}
    assert run.unsettled
    assert any("its container may appear later" in problem for problem in run.problems)
    # A second container took the place of the first.
    assert "backups.pin: The form of the answer." in names(run, Verdict.CONFIRMED)


def test_a_rate_limited_request_is_retried_and_its_form_recorded() -> None:
    with emulated() as api:
        api.faults.add("backups.stats", "rate_limited", retry_after=3)
        run = performed(api, 1)
        api.faults.assert_none_left()

    confirmed = names(run, Verdict.CONFIRMED)
    assert {"rate limit: A 429 has Retry-After.", "every RateLimited answer: The body."} <= confirmed


def test_the_run_waits_for_the_rate_limit_only_if_needed() -> None:
    waits: list[float] = []
    with Emulator(rate_limit=5, rate_window=40) as emulator:
        api = Api(emulator.url, emulator.key, sleep=waits.append)
        api.make_room(9)
        api.call("containers.list")

        api.make_room(4)
        assert waits == []
        api.make_room(5)

    (wait,) = waits
    assert 30 < wait < 45


def test_the_report_has_no_secret_and_every_statement_once() -> None:
    with emulated() as api:
        run = performed(api)
        text = report(
            dataclasses.replace(run, problems=[f"odd: {api.key} {api.account}-x | y"]), ["left"], "now", KNOWN
        )
        account = api.account
        bodies = [record.describe() for record in api.requests]

    assert bodies
    assert api.key not in text
    assert account not in text
    assert "PRIVATE KEY" not in text
    assert "sk_stacks_[hidden] usr-[account]-x" in text
    for statement in statements():
        assert text.count(f"| {statement.subject} | {statement.text} |") == 1


def test_a_refutation_takes_precedence_and_the_first_evidence_is_kept() -> None:
    findings = Findings()
    key = ("backups.pin", "Any backup can be pinned")

    for holds, evidence in ((True, "first"), (True, "second"), (False, "third"), (True, "fourth")):
        findings.judge(*key, holds, evidence)
    findings.skip(*key, "a reason")

    (found,) = [it for it in findings.all() if it.statement == find(*key)]
    assert (found.verdict, found.evidence) == (Verdict.REFUTED, "third")


def test_a_statement_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(LookupError, match=r"0 statements about backups\.pin begin with 'Nonsense'"):
        find("backups.pin", "Nonsense")


@pytest.mark.parametrize(
    ("body", "location", "ids"),
    [
        ({"data": {"id": "a"}}, None, ["a"]),
        ({"id": 5}, None, ["5"]),
        ({"container_id": "a", "request_id": "r"}, None, ["a"]),
        ({"result": {"container": {"uuid": "u"}}}, None, ["u"]),
        ({}, "/api/v1/containers/status/a?x=1", ["a"]),
        (7, None, ["7"]),
        ("usr-1-web", None, ["usr-1-web"]),
        ("a page of text", None, []),
        ({"data": [{"id": "another's"}]}, None, []),
        (None, None, []),
    ],
)
def test_every_shape_of_an_id_is_found(body: Any, location: str | None, ids: list[str]) -> None:
    assert reading.ids_in(body, location) == ids


def test_a_name_and_an_id_are_on_the_disk_before_the_run_goes_on(tmp_path: Path) -> None:
    file = tmp_path / f"{PREFIX}.json"
    with emulated() as api:
        api.faults.add("containers.create", "drop_after", match="-Main")
        run = run_on(api, record=Record(PREFIX, file, api.url))

        lost = run.create("-Main", run.price("ubuntu-micro", "micro"), template="ubuntu-micro")
        run.create("-data", run.price("redis-micro", "micro"), template="redis-micro")

        api.faults.assert_none_left()
        assert lost is not None
        assert lost.answer.status == 0
        ids = {it.name: it.id for it in api.state.containers.values()}
    noted = {it.name: it.ids for it in Record.read(file).asked}
    assert noted == {f"{PREFIX}-Main": [], f"{PREFIX}-data": [ids[f"{PREFIX}-data"]]}


@pytest.mark.parametrize(
    ("name", "at", "sent"),
    [
        (None, 25, True),
        ("no id in the 202", 27, True),
        ("the id of the request, and invisible for 20 s", 27, True),
        ("silent pages", 60, False),
        ("lists lag 20 s", 45, True),
        ("tombstones and UUIDs", 330, False),
        ("stopped containers are hidden", 75, True),
    ],
)
def test_a_run_that_is_killed_is_swept(name: str | None, at: int, sent: bool, tmp_path: Path) -> None:
    with played(*([] if name is None else [READINGS[name]])) as api:
        left, _ = killed_and_swept(api, tmp_path / f"{PREFIX}.json", at, sent=sent)

        assert left == []
        assert left_on(api) == []
        assert any(record.operation == "containers.create" for record in api.requests)


def test_an_id_that_shows_another_name_is_not_deleted() -> None:
    with emulated() as api:
        api.load([{"name": "orders", "template": "nodejs"}])
        (foreign,) = api.state.containers
        body = {"success": True, "data": {"id": foreign}}
        api.faults.add("containers.create", "answer", code=202, body=body, match="-Main")
        run = run_on(api, 1)

        perform(run, lambda _: None)

        api.faults.assert_none_left()
        assert list(api.state.containers) == [foreign]
    assert any("belongs to another container" in problem for problem in run.problems)


@pytest.mark.parametrize("body", [None, "text", [1], {"data": 5}, {"data": {"id": []}}])
def test_any_json_is_a_finding_and_no_exception(body: Any) -> None:
    with emulated() as api:
        run = run_on(api, 2)
        for operation in set(OPERATIONS) - {"containers.create", "containers.list", "containers.status"}:
            api.faults.add(operation, "answer", code=200, body=body, times=None)

        left = perform(run, lambda _: None)

        assert left == []
        assert "allowed_ips.list" not in {it.operation for it in api.faults.left()}
    allowed = ("LookupError", "OutOfTimeError")
    assert [it for it in run.problems if "Error: " in it and not any(name in it for name in allowed)] == []


@pytest.mark.parametrize("operation", ["containers.create", "containers.list", "containers.status"])
@pytest.mark.parametrize("body", [None, "text", {"data": [1, {}]}, {"data": {"id": []}}])
def test_any_json_about_containers_is_a_finding(operation: str, body: Any) -> None:
    with emulated() as api:
        run = run_on(api, 1)
        api.faults.add(operation, "answer", code=200, body=body, times=None)

        perform(run, lambda _: None)

    allowed = ("LookupError", "OutOfTimeError")
    assert [it for it in run.problems if "Error: " in it and not any(name in it for name in allowed)] == []


def test_the_time_of_a_run_is_limited_whatever_does_not_end() -> None:
    with emulated(boot_seconds=1e6) as api:
        began, run = api.clock.now(), run_on(api)

        assert perform(run, lambda _: None) == []

        assert api.clock.now() - began <= run.minutes * 60
        assert left_on(api) == []
    assert any("the status" in problem or "the arrival" in problem for problem in run.problems)
