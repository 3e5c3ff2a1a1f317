"""Exceptions of version 2 on the engine: it applies them for ever, and no pack sees them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stacks_pulumi.cost.build import report_of
from stacks_pulumi.emulator import Emulator
from stacks_pulumi.policy.testing import configuration_problems
from tests.support.packs import violations, with_packs
from tests.support.stack import Result, Stack
from tools.engine.ensure import ensure
from tools.engine.search import numbers

BUDGET = {"max_monthly_usd": 5}
SPEND = {"monthly-budget": BUDGET, "budget-warning": "disabled", "spend-gate": BUDGET}
STACK = "urn:pulumi:dev::tests::pulumi:pulumi:Stack::tests-dev"
WEB = "urn:pulumi:dev::tests::pulumi-python:dynamic/stacks:Container::web"
ENDED = {
    "reason": "agreed",
    "expires": "2020-01-01",
    "match": [
        {"policies": ["monthly-budget"], "targets": [STACK]},
        {"policies": ["spend-gate"], "targets": [WEB]},
    ],
}


def excepted(result: Result) -> dict[str, Any]:
    """Return the exceptions that let violations pass, by policy."""
    events = [event["policyEvent"] for event in result.events if "policyEvent" in event]
    return {event["policyName"]: event["exceptions"] for event in events if "exceptions" in event}


def refused(config: dict[str, Any]) -> str:
    """Return what `stacks-pulumi policy check` says of a file."""
    return "\n".join(configuration_problems(json.dumps(config)))


@pytest.mark.parametrize("key", ["exceptions", "EXCEPTIONS"])
def test_the_engine_applies_an_exception_that_has_ended(
    stack: Stack, emulator: Emulator, tmp_path: Path, key: str
) -> None:
    stack.program('stacks.Container("web", template="nodejs", plan="premium")')
    config = {"version": 2, "policies": SPEND, key: {"SHOP-12": ENDED}}

    plain = with_packs(tmp_path, {"spend": SPEND})
    # The engine interrupts the program of an update that a policy stops, which may print a traceback.
    for failed in (stack.preview_fails(*plain), stack.engine("up", "--yes", "--skip-preview", *plain)):
        # Pulumi's documentation lists 5 for a violation.
        assert failed.code == 1
        assert violations(failed)
    packs = with_packs(tmp_path, {"spend": config})
    if numbers(ensure().version) < (3, 272):
        assert 'parsing "version": 2 is not a valid value' in stack.preview_fails(*packs).text
        assert emulator.state.names() == []
        return

    stack.env["PULUMI_ENABLE_STREAMING_JSON_PREVIEW"] = "true"
    report = report_of(stack.cli("preview", "--json", *packs).encode())
    assert (report.blocked, report.incomplete) == ("", "")
    assert {(found.policy, found.level) for found in report.violations} >= {("monthly-budget", "exempted")}
    done = stack.up(*packs, quiet_afterwards=False)

    # The budget of $5 is waived, and would be at any price.
    assert emulator.state.names() == ["web"]
    waived = [{"id": "SHOP-12", "reason": "agreed"}]
    assert excepted(done) == {"monthly-budget": waived, "spend-gate": waived}
    assert "[exempted]" in done.text
    # Only what reads the file can refuse it.
    said = (
        "ended on 2020-01-01, and the engine still applies it"
        if key == "exceptions"
        else "'EXCEPTIONS' is not"
    )
    assert said in refused(config)
