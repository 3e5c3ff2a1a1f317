"""`stacks-pulumi cost` on the output of a real engine, in every format."""

from __future__ import annotations

import json
import subprocess
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from stacks_pulumi.cli import main
from stacks_pulumi.cost.build import report_of
from stacks_pulumi.cost.report import Report
from stacks_pulumi.emulator import Emulator
from stacks_pulumi.pricing.money import Change, Price
from tests.support import beyond_a_grant
from tests.support.packs import violations, with_packs
from tests.support.stack import Stack

BEFORE = """
    data = stacks.Container("data", template="postgresql")
    stacks.Container("old", template="nodejs", plan="premium")
    stacks.Container("kept", template="nginx-micro")
"""
AFTER = """
    data = stacks.Container("data", template="postgresql")
    stacks.Container("kept", template="nginx-micro")
    site = stacks.Container("site", template="nodejs", additional_storage_tier=3)
    stacks.Container("later", template="nodejs", plan=site.status.apply(lambda _: "standard"))
    stacks.Connection("link", source=site, target=data)
    stacks.Container("hidden", template="nodejs", plan=pulumi.Output.secret("basic"))
"""


def written(stack: Stack, *arguments: str, **environment: str) -> bytes:
    """Return the output of an engine command."""
    done = subprocess.run(
        ["pulumi", *arguments, "--non-interactive"],
        cwd=stack.folder,
        env={**stack.env, **environment},
        capture_output=True,
        check=True,
    )
    return done.stdout


def test_a_size_that_only_the_state_shows_is_priced_and_passes_no_budget(
    stack: Stack, tmp_path: Path
) -> None:
    stack.program('stacks.Container("web", template="nodejs")')
    stack.up(quiet_afterwards=False)
    # This was the state after an adoption, until the next refresh.
    state = json.loads(stack.export())
    for resource in state["deployment"]["resources"]:
        if resource["type"].endswith(":Container"):
            resource["outputs"]["storage_mb"] = 138 * 1024
    (tmp_path / "state.json").write_text(json.dumps(state), encoding="utf-8")
    stack.cli("stack", "import", "--file", str(tmp_path / "state.json"))

    nine = Price(Decimal(9), Decimal(9))
    assert report_of(written(stack, "preview", "--json", "--show-sames")).planned == nine
    streamed = written(stack, "preview", "--json", PULUMI_ENABLE_STREAMING_JSON_PREVIEW="true")
    assert report_of(streamed).planned == nine
    limit = {key: {"max_monthly_usd": 8} for key in ("monthly-budget", "budget-warning", "spend-gate")}
    refused = violations(stack.preview_fails(*with_packs(tmp_path, {"spend": limit})))
    assert "the stack costs $9.00 a month; the limit is $8.00" in refused["monthly-budget"]


def figures(report: Report) -> dict[str, tuple[str, str, str]]:
    return {line.name: (line.action, str(line.past), str(line.planned)) for line in report.lines}


@beyond_a_grant.KEY
def test_every_format_of_a_preview_costs_the_same(
    stack: Stack, emulator: Emulator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    nothing = report_of(written(stack, "destroy", "--preview-only", "--json"))
    assert (nothing.planned, nothing.incomplete) == (Price(Decimal(0), Decimal(0)), "")

    stack.program(BEFORE)
    stack.up(quiet_afterwards=False)
    export = report_of(stack.export().encode())
    assert export.planned == Price(Decimal(15), Decimal(15))

    stack.program(AFTER)
    document = report_of(written(stack, "preview", "--json", "--show-sames"))
    streamed = report_of(written(stack, "preview", "--json", PULUMI_ENABLE_STREAMING_JSON_PREVIEW="true"))

    assert figures(document) == {
        "hidden": ("create", "$0.00", "$1.00 or more"),
        "later": ("create", "$0.00", "$1.00 or more"),
        "site": ("create", "$0.00", "$7.00"),
        "old": ("delete", "$10.00", "$0.00"),
        "data": ("same", "$4.00", "$4.00"),
        "kept": ("same", "$1.00", "$1.00"),
    }
    assert figures(streamed) == figures(document)
    assert document.past == export.planned
    assert document.difference == Change(Decimal(-1), None)
    assert [(other.count, other.reason) for other in document.not_priced] == [(1, "free")]
    assert not document.incomplete
    assert not streamed.incomplete

    assert "--show-sames" in report_of(written(stack, "preview", "--json")).incomplete

    stack.up(quiet_afterwards=False)
    # The account of the stack's own key and address.
    for name, value in stack.env.items():
        if name.startswith(("PULUMI_", "VAULT_")) or name == "PATH":
            monkeypatch.setenv(name, value)
    assert main(["cost", "--account", "-C", str(stack.folder), "--format", "json", "--strict"]) == 0
    account: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert account["planned"] == {"low": "21.00", "high": "21.00"}
