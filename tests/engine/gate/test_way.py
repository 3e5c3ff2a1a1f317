"""The way of a change: planned, approved, applied, and in the history."""

from __future__ import annotations

import dataclasses
import json
from decimal import Decimal
from pathlib import Path

import pytest

from stacks_pulumi._pulumi_cli import InputError, PulumiError
from stacks_pulumi.cost import live
from stacks_pulumi.emulator import Emulator
from stacks_pulumi.gate import flow, record
from stacks_pulumi.gate.flow import RefusedError
from stacks_pulumi.pricing.price_list import PriceList
from tests.support.gate import Gated
from tests.support.stack import Stack

WEB = 'stacks.Container("web", template="nodejs")\n'


def test_a_change_is_planned_approved_and_applied_once(
    gated: Gated, emulator: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    gated.stack.program(WEB)

    # The stack that is selected.
    planned = gated.plan(stack=None)
    assert planned.verdict.result == "needs_approval"
    assert emulator.calls("containers.create") == 0
    assert "it needs an approval" in gated.refused()
    gated.approve()
    copy = gated.copy("copy")

    assert gated.apply() == 0
    assert emulator.state.names() == ["web"]
    # Neither the record nor a copy of it from before can be used again.
    assert "this record was applied before" in gated.refused()
    assert "the state was changed after the plan was made" in gated.refused(copy)

    entry = gated.log()[0]
    assert (entry.result, entry.approvers, entry.doubt) == ("succeeded", ("ann",), "")
    assert entry.message.startswith("gate: $0.00 -> $4.00 a month, approved by ann (record ")
    # A refresh, and an update without changes, leave the state as it is for the gate.
    before = gated.state()
    gated.stack.refresh()
    assert gated.state() == before

    # No secret is in the record, and nothing is left to do.
    written = "".join(file.read_text(encoding="utf-8") for file in copy.iterdir() if file.is_file())
    assert emulator.key not in written
    assert "ciphertext" not in (copy / record.STATE).read_text(encoding="utf-8").replace(
        '"ciphertext": ""', ""
    )
    assert gated.plan().verdict.result == "nothing"
    assert not (gated.record / record.APPROVALS).exists()
    # The program could run its own code, with a key that no person has let it have.
    assert gated.apply() == 0
    assert "the program was not run" in capsys.readouterr().out


_YAML = """\
name: tests
runtime: {runtime}
resources:
  web:
    type: stacks:index:Container
    properties: {{template: nodejs, plan: {plan}}}
"""


def test_a_program_in_yaml_runs_no_code_and_is_updated_in_place(
    stack: Stack, emulator: Emulator, tmp_path: Path, yaml_language_host: Path
) -> None:
    gated = Gated(stack, tmp_path / "gated", {"free": {"increase_per_day": 5}})
    stack.yaml(_YAML.format(runtime="yaml", plan="basic"), yaml_language_host)

    planned = gated.plan()
    assert isinstance(planned.record, record.Record)
    assert planned.record.content.code == ""
    assert "plugin stacks" in planned.record.content.versions
    assert planned.verdict.result == "free", planned.verdict.reasons
    assert gated.apply() == 0
    assert emulator.state.names() == ["web"]
    # Without a change the update is made, because it runs no code; then the same record is void.
    assert gated.plan().verdict.result == "nothing"
    assert gated.apply() == 0

    stack.yaml(
        _YAML.format(runtime="{name: yaml, options: {compiler: touch ran}}", plan="basic"), yaml_language_host
    )
    with pytest.raises(RefusedError, match="sets `options`"):
        gated.plan()
    assert not (stack.folder / "ran").exists()
    # The engine was not started, and the comment is that of the same stack.
    comment = (gated.record / record.COMMENT).read_text(encoding="utf-8")
    assert "The change of tests/dev: it could not be planned" in comment.splitlines()[1]


def test_a_policy_refuses_in_plan_and_in_apply(stack: Stack, emulator: Emulator, tmp_path: Path) -> None:
    gated = Gated(stack, tmp_path / "gated", packs={"plans": {"allowed-plans": {"allowed": ["basic"]}}})
    stack.program('stacks.Container("web", template="nodejs", plan="premium")')

    planned = gated.plan()

    assert planned.record == "tests/dev"
    assert planned.verdict.result == "refused"
    comment = (gated.record / record.COMMENT).read_text(encoding="utf-8")
    assert "refused, so the monthly cost after it is not known" in comment.splitlines()[1]
    assert "allowed-plans" in comment
    assert "is not a record" in gated.refused()

    # An earlier comment would show an earlier price, and the error may have a secret.
    stack.program("raise ValueError('hunter2')")
    with pytest.raises(PulumiError, match="hunter2"):
        gated.plan()
    comment = (gated.record / record.COMMENT).read_text(encoding="utf-8")
    assert "The change of tests/dev: it could not be planned" in comment.splitlines()[1]
    assert "hunter2" not in comment
    assert "is not a record" in gated.refused()

    # What is not known at the preview is judged by the same packs in the update.
    gated.add(rules={"unpriced": "approve"})
    plan = 'web.status.apply(lambda _: "premium")'
    stack.program(f"web = {WEB}stacks.Container('later', template='nodejs', plan={plan})\n")
    assert gated.plan().verdict.result == "needs_approval"
    gated.approve()
    assert gated.apply() == flow.REFUSED
    assert "later" not in emulator.state.names()


def test_nothing_of_the_environment_or_the_project_chooses_how_the_engine_works(
    gated: Gated, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    gated.stack.program(
        'stacks.Container("web", template="nodejs", opts=pulumi.ResourceOptions(protect=True))'
    )
    gated.stack.up(quiet_afterwards=False)
    gated.stack.program("")
    gated.stack.env["PULUMI_OPTION_IGNORE_PROTECT"] = "true"
    gated.stack.env["PULUMI_CONTINUE_ON_ERROR"] = "true"

    with pytest.raises(PulumiError, match="protected"):
        gated.plan()

    project = gated.stack.folder / "Pulumi.yaml"
    text = project.read_text(encoding="utf-8")
    for name in ("backend: {url: file:///tmp}", "Plugins: {}", "options: {refresh: always}", "main: other"):
        project.write_text(f"{text}{name}\n", encoding="utf-8")
        with pytest.raises(RefusedError, match="can run other code or move the stack"):
            gated.plan()
    assert emulator.state.names() == ["web"]


def test_a_program_that_changes_itself_has_no_plan(gated: Gated) -> None:
    gated.stack.program('open("extra.txt", "w").write("x")')

    with pytest.raises(InputError, match="the program changed its own files"):
        gated.plan()

    assert not (gated.record / record.RECORD).exists()


def test_a_gate_that_protects_less_than_it_says_makes_no_plan(gated: Gated) -> None:
    gated.stack.program(WEB)
    gated.add(approver_limits={"Ann": {"ceiling": 1}}, two_approvals=["destroy-data"])

    with pytest.raises(
        RefusedError, match=r"no rule destroy-data; did you .*: Ann is not in allowed_signers"
    ):
        gated.plan()


def test_a_stack_without_the_salt_of_its_secrets_has_no_plan(gated: Gated) -> None:
    (gated.stack.folder / "Pulumi.dev.yaml").unlink()

    with pytest.raises(InputError, match="have no encryptionsalt: put the Pulumi"):
        gated.plan()


def test_an_address_of_the_author_gets_no_request_of_the_gate(gated: Gated, emulator: Emulator) -> None:
    gated.add(free={"increase_per_day": 9})
    gated.stack.program(WEB)
    with Emulator(boot_seconds=1) as other:
        gated.stack.set("stacks:baseUrl", other.url)
        with pytest.raises(RefusedError, match="has another address of the API than the gate"):
            gated.plan()
        assert other.calls() == 0
    assert emulator.calls() == 0


def test_a_change_within_what_is_free_needs_no_approval(
    stack: Stack, emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gated = Gated(
        stack, tmp_path / "gated", {"free": {"increase_per_day": 9, "code": True}, "live_prices": True}
    )
    stack.program(WEB)

    planned = gated.plan()
    assert planned.verdict.result == "free", planned.verdict.reasons
    # The platform changes a price after the plan.
    with monkeypatch.context() as patch:
        real = live.prices
        patch.setattr(live, "prices", lambda client: _with_another_price(real(client)))
        assert "the platform's prices are not those that it was planned with" in gated.refused()
    assert emulator.calls("containers.create") == 0
    assert gated.apply() == 0
    assert emulator.state.names() == ["web"]
    assert gated.log()[0].doubt == "without a signature"

    stack.program(
        WEB + "".join(f'stacks.Container("{name}", template="nodejs")\n' for name in ("one", "two"))
    )
    reasons = json.dumps([str(reason) for reason in gated.plan().verdict.reasons])
    assert "after $4.00 in the last 24 hours, is over the $9.00 that are free in a day" in reasons


def _with_another_price(prices: PriceList) -> PriceList:
    known = {**prices.known, ("nodejs", "premium"): Decimal(1)}
    return dataclasses.replace(prices, known=known)
