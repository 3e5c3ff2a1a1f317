"""The acceptance run on the emulator: it refutes exactly the assumptions that the emulator's settings break."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from stacks_pulumi.emulator import OPERATIONS, Emulator, containers, keys
from stacks_pulumi.emulator import backups as emulated_backups
from stacks_pulumi.emulator.answers import OPEN
from tools.acceptance.api import Api
from tools.acceptance.budget import Budget
from tools.acceptance.contract import contract
from tools.acceptance.findings import Findings, Verdict, find
from tools.acceptance.perform import perform
from tools.acceptance.record import Record
from tools.acceptance.report import report
from tools.acceptance.run import Run
from tools.acceptance.statements import NEVER, statements

PREFIX = "acc-0123abcd"
EVERYTHING = 100
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


@contextmanager
def emulated(**settings: Any) -> Iterator[Emulator]:
    """An emulator whose clock only advances while the run waits, so that the run sees every status."""
    pace: dict[str, Any] = {"boot_seconds": 2, "action_seconds": 1, "delete_seconds": 2, "backup_seconds": 2}
    with Emulator(**pace, **settings) as api:
        api.freeze()
        yield api


def run_on(api: Emulator, max_usd: float = EVERYTHING) -> Run:
    return Run(
        Api(api.url, api.key, sleep=api.advance),
        PREFIX,
        Budget(Decimal(str(max_usd))),
        Record(PREFIX),
        patience=150,
        interval=1,
        sleep=api.advance,
        now=api.platform.clock.now,
    )


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
