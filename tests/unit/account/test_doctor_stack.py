"""The doctor on the account of the resources in the stack's state."""

from __future__ import annotations

from stacks_pulumi.cli import main
from stacks_pulumi.config import AccountSettings
from tests.support.machine import resource
from tests.unit.account.conftest import CheckedMachine, only


def test_resources_of_another_provider_are_not_of_the_stacks_key(machine: CheckedMachine) -> None:
    machine.emulator.load([{"name": "web", "template": "nodejs"}])
    machine.state([resource("Container", "usr-other-web", provider="team-b")])

    assert (
        only(machine.doctor(), "account")["text"]
        == "the stack has no resources in the account of its key: any account will do"
    )


def test_an_empty_account_with_another_key_is_a_problem(machine: CheckedMachine) -> None:
    machine.state([resource("Container", "usr-gone-web", origin="0123456789abcdef-01")])

    report = machine.doctor()

    assert report.code == 1
    assert "the account of this key is empty" in only(report, "account")["text"]


def test_an_empty_account_with_the_key_of_the_last_change_is_fine(machine: CheckedMachine) -> None:
    mine = AccountSettings(machine.emulator.key, machine.emulator.url).fingerprint
    machine.state([resource("Container", "usr-gone-web", origin=f"{mine}-01")])

    assert only(machine.doctor(), "account")["level"] == "ok"


def test_an_old_state_and_an_empty_account_cannot_be_compared(machine: CheckedMachine) -> None:
    machine.state([resource("Container", "usr-gone-web")])

    assert only(machine.doctor(), "account")["level"] == "unknown"


def test_a_setting_that_is_nested_too_deeply_is_a_problem_for_every_command(machine: CheckedMachine) -> None:
    deep = "[" * 5000 + "]" * 5000
    machine.deepen(deep)
    (machine.project / "Pulumi.dev.yaml").write_text(f"config:\n  tests:deep: {deep}\n", encoding="utf-8")

    report = machine.doctor()
    assert (report.code, only(report, "stack")["level"]) == (1, "problem")
    assert only(report, "stack")["text"].endswith("Pulumi.dev.yaml is no valid YAML: it is nested too deeply")

    assert main(["logs", "web", "-C", str(machine.project)]) == 1
    assert "a setting in the stack's configuration is nested too deeply" in machine.capsys.readouterr().err
