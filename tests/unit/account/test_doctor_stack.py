"""The doctor on the account of the resources in the stack's state."""

from __future__ import annotations

from pathlib import Path

import pytest

from stacks_pulumi.cli import main
from stacks_pulumi.config import AccountSettings
from tests.support.machine import resource
from tests.unit.account.conftest import CheckedMachine, only


def test_resources_of_another_provider_are_not_of_the_stacks_key(machine: CheckedMachine) -> None:
    machine.emulator.load([{"name": "web", "template": "nodejs"}])
    machine.state([resource("Container", "usr-other-web", provider="team-b")])

    assert (
        only(machine.doctor(), "account")["text"]
        == "the stack has no resources in the account of its key, so the key may belong to any account"
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
    assert only(report, "stack")["text"].endswith("dev.yaml is not valid YAML: it is nested too deeply")

    assert main(["logs", "web", "-C", str(machine.project)]) == 1
    assert "a setting in the stack's configuration is nested too deeply" in machine.capsys.readouterr().err


def test_a_running_update_that_the_backend_lists_is_a_problem(machine: CheckedMachine) -> None:
    machine.running(is_running=True)

    report = machine.doctor()

    assert report.code == 1
    found = only(report, "lock")
    assert found["level"] == "problem"
    assert "locked by an update that the backend lists as running, so an `up` fails" in found["text"]
    assert (
        found["fix"] == f"wait until the update ends; if it was killed: pulumi cancel --cwd {machine.project}"
    )


@pytest.mark.parametrize("selected", [True, False])
def test_a_lock_in_a_backend_of_ones_own_is_a_problem_for_its_stack(
    machine: CheckedMachine, tmp_path: Path, selected: bool
) -> None:
    root = tmp_path / "states" / ".pulumi"
    lock = root / "locks/organization/tests/dev/5d1e.json"
    lock.parent.mkdir(parents=True)
    lock.write_text(
        '{"pid": 12, "username": "ann", "hostname": "laptop", "timestamp": "2026-11-30T12:00:00Z"}'
    )
    root.joinpath("meta.yaml").write_text("version: 1\n")
    machine.variable("PULUMI_BACKEND_URL", f"file://{tmp_path / 'states'}")

    found = only(machine.doctor(*(() if selected else ("--stack", "organization/tests/prod"))), "lock")

    if selected:
        assert found["level"] == "problem"
        assert "ann@laptop (process 12) since 2026-11-30T12:00:00" in found["text"]
    else:
        assert found["level"] == "ok"


def test_unfinished_creates_are_a_warning(machine: CheckedMachine) -> None:
    machine.state([], creating=[resource("Container", "web")])

    report = machine.doctor()

    assert report.code == 0
    found = only(report, "lock")
    assert found["level"] == "warning"
    assert "the state has 1 unfinished create (web)" in found["text"]


def test_without_a_look_at_the_lock_nothing_is_certain(machine: CheckedMachine, tmp_path: Path) -> None:
    machine.variable("PULUMI_BACKEND_URL", f"file://{tmp_path / 'none'}")
    machine.state([], creating=[resource("Container", "web")])

    unsure, found = machine.doctor().of("lock")

    assert unsure["level"] == "unknown"
    assert "it is not known whether the stack is locked: it has no .pulumi/meta.yaml" in unsure["text"]
    assert found["text"].startswith(
        "an update was interrupted, or is running: the state has 1 unfinished create"
    )
