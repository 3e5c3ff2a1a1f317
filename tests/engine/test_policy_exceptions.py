"""Exceptions of version 2 on the engine: the engine applies them without an end, and no pack sees them."""

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
from tools.engine.ensure import ensure, ensure_oldest
from tools.engine.search import numbers

BUDGET = {"max_monthly_usd": 5}
SPEND = {"monthly-budget": BUDGET, "budget-warning": "disabled", "spend-gate": BUDGET}
PROGRAM = 'stacks.Container("web", template="nodejs", plan="premium")'
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


CONFIG = {"version": 2, "policies": SPEND, "exceptions": {"SHOP-12": ENDED}}
"""A file of version 2."""


@pytest.mark.skipif(numbers(ensure().version) < (3, 272), reason="this engine does not know version 2")
def test_the_engine_applies_an_exception_that_has_ended(
    stack: Stack, emulator: Emulator, tmp_path: Path
) -> None:
    stack.program(PROGRAM)
    failed = stack.preview_fails(*with_packs(tmp_path, {"spend": SPEND}))
    # Pulumi's documentation lists 5.
    assert violations(failed)
    assert failed.code == 1
    packs = with_packs(tmp_path, {"spend": CONFIG})

    stack.env["PULUMI_ENABLE_STREAMING_JSON_PREVIEW"] = "true"
    report = report_of(stack.cli("preview", "--json", *packs).encode())
    assert (report.blocked, report.incomplete) == ("", "")
    assert {(found.policy, found.level) for found in report.violations} >= {("monthly-budget", "exempted")}
    done = stack.up(*packs, quiet_afterwards=False)

    # The budget of $5 is waived at any price.
    assert emulator.state.names() == ["web"]
    waived = [{"id": "SHOP-12", "reason": "agreed"}]
    assert excepted(done) == {"monthly-budget": waived, "spend-gate": waived}
    assert "[exempted]" in done.text
    # Only a program that reads the file can refuse it.
    said = "exception 'SHOP-12' ended on 2020-01-01, but the engine still applies it"
    assert said in "\n".join(configuration_problems(json.dumps(CONFIG)))


@pytest.mark.extra
def test_the_oldest_engine_refuses_the_file(emulator: Emulator, tmp_path: Path) -> None:
    settings = {"stacks:apiKey": emulator.key, "stacks:baseUrl": emulator.url}
    stack = Stack(tmp_path / "oldest", ensure_oldest().bin, settings)
    stack.program(PROGRAM)

    failed = stack.preview_fails(*with_packs(tmp_path, {"spend": CONFIG}))

    assert 'parsing "version": 2 is not a valid value; must be a string or object' in failed.text
    assert stack.preview_fails(*with_packs(tmp_path, {"spend": SPEND})).code == 1
