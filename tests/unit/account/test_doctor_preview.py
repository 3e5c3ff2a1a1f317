"""The doctor's preview of the stack's own project."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from stacks_pulumi import _pulumi_cli
from stacks_pulumi.cli import main
from stacks_pulumi.config import GRANT
from tests.support.waiting import until
from tests.unit.account.conftest import CheckedMachine, only


def is_running(pid: int) -> bool:
    """Return whether a process exists and is not a zombie."""
    listed = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return listed.stdout.strip()[:1] not in {"", "Z"}


TRACEBACK = """Program failed with an unhandled exception:
Traceback (most recent call last):
  File "/shop/__main__.py", line 1, in <module>
    import no_such_module
ModuleNotFoundError: No module named 'no_such_module'

"""


def said(message: str, severity: str = "error") -> dict[str, Any]:
    return {"diagnosticEvent": {"message": message, "severity": severity}}


def test_a_preview_that_succeeds_is_in_order(machine: CheckedMachine) -> None:
    report = machine.doctor("--stack", "prod")

    assert only(report, "preview")["text"] == "`pulumi preview` runs the program, and succeeds"
    assert (only(report, "preview")["level"], report.code) == ("ok", 0)
    assert machine.previewed() == "preview --json --stack prod --non-interactive"


def test_the_preview_has_no_variable_of_stacks(machine: CheckedMachine) -> None:
    machine.variable("STACKS_API_KEY", machine.emulator.key)
    machine.variable("STACKS_WHATEVER", "1")
    machine.variable("SHOP", "open")
    before = dict(os.environ)

    text = only(machine.doctor(), "preview")["text"]

    environment = machine.preview_environment()
    assert [name for name in environment if name.startswith("STACKS_")] == []
    assert environment["SHOP"] == "open"
    assert text.startswith("`pulumi preview` runs the program, without STACKS_API_KEY, STACKS_WHATEVER, and")
    assert dict(os.environ) == before


def test_a_grant_of_the_environment_is_for_the_program(machine: CheckedMachine) -> None:
    for name in ("stacks:apiKey", "stacks:baseUrl"):
        machine.set(name, None)
    machine.variable("STACKS_API_KEY", f"{GRANT}{'0' * 56}")
    machine.variable("STACKS_BASE_URL", machine.emulator.url)

    assert only(machine.doctor(), "preview")["text"] == "`pulumi preview` runs the program, and succeeds"
    assert machine.preview_environment()["STACKS_API_KEY"].startswith(GRANT)


def test_a_process_that_the_engine_leaves_behind_is_not_waited_for(machine: CheckedMachine) -> None:
    child = machine.project / "child"
    machine.preview(before=f"sleep 3600 & echo $! >'{child}'")

    assert only(machine.doctor(), "preview")["level"] == "ok"

    os.kill(int(child.read_text(encoding="utf-8")), signal.SIGKILL)


def test_no_command_gets_the_key_and_no_pack_is_started_that_was_not_named(machine: CheckedMachine) -> None:
    pack = machine.project / "policy"
    pack.mkdir()
    for folder in (machine.project, pack):
        folder.joinpath("PulumiPolicy.yaml").write_text("runtime: python\n", encoding="utf-8")
    machine.variable("STACKS_API_KEY", machine.emulator.key)

    machine.doctor()

    assert machine.leaked() == ""
    assert "policy" not in (machine.previewed() or "")
    machine.doctor("--policy-pack", str(pack))
    assert machine.leaked() == ""
    assert f"--policy-pack {pack}" in (machine.previewed() or "")


@pytest.mark.parametrize(
    ("events", "error", "words"),
    [
        (
            [said(TRACEBACK)],
            "",
            "Program failed with an unhandled exception: ModuleNotFoundError: No module named ",
        ),
        ([said("no credentials"), said("debugging", "debug")], "", "fails: no credentials"),
        ([], "warning: old\nerror: no language plugin 'x' found\n", "fails: no language plugin 'x' found"),
        ([said("a\x1b[2J\u202eb")], "", "fails: a [2J b"),
        (
            [said("  File 'x'\n", "info#err"), said("ModuleNotFoundError: no_such_module\n", "info#err")],
            "error: policy pack 'mine' failed to start: exit status 1\n",
            "policy pack 'mine' failed to start: exit status 1; ModuleNotFoundError: no_such_module",
        ),
        (
            [
                said("\x1b[31mError\x1b[0m: Property tmplate does not exist\n\n", "info#err"),
                said("   6:     type: \x1b[1;4mstacks:index:Container\x1b[0m\n\n", "info#err"),
            ],
            "",
            "fails: Error: Property tmplate does not exist",
        ),
        (
            [
                said("error: The SDK is not installed. Have you run npm install?\n\n", "info#err"),
                said("error reading from server: EOF\n"),
            ],
            "",
            "error reading from server: EOF; error: The SDK is not installed. Have you run npm install?",
        ),
        ([said("debugging", "debug")], "", "fails: it failed without a message"),
        (
            [
                said("error: program exited with non-zero exit code: 1\n"),
                said("Traceback\n  File x\nKeyError: 'size'\nhelp\n", "info#err"),
            ],
            "",
            "non-zero exit code: 1; KeyError: 'size'",
        ),
        (
            [
                {"policyEvent": {"policyName": "plans", "enforcementLevel": "advisory"}},
                {
                    "policyEvent": {
                        "policyName": "budget",
                        "enforcementLevel": "mandatory",
                        "exceptions": [{"id": "a", "reason": "agreed"}],
                    }
                },
                {
                    "policyEvent": {
                        "policyName": "allowed-plans",
                        "message": "Plans are small.\nerror: not premium",
                        "enforcementLevel": "mandatory",
                    }
                },
                said("preview failed\n"),
            ],
            "",
            "fails: allowed-plans: Plans are small. error: not premium",
        ),
    ],
)
def test_a_preview_that_fails_is_a_problem_in_the_engines_words(
    machine: CheckedMachine, events: list[dict[str, Any]], error: str, words: str
) -> None:
    machine.preview(*events, error=error)

    report = machine.doctor()

    line = only(report, "preview")
    assert (line["level"], report.code) == ("problem", 1)
    assert words in line["text"]
    assert line["fix"] == (
        f"correct the problem in the message; `pulumi preview --cwd {machine.project}` shows the full message"
    )


@pytest.mark.parametrize(
    "error",
    [
        "Error: could not find latest version for provider stacks: no such host",
        "ModuleNotFoundError: No module named 'stacks_pulumi'",
        "/usr/bin/python3: No module named pulumi",
    ],
)
def test_a_program_whose_environment_is_not_active_is_told_so(machine: CheckedMachine, error: str) -> None:
    machine.variable("STACKS_API_KEY", "x")
    machine.preview(said(f"{error}\n", "info#err"))

    line = only(machine.doctor(), "preview")

    assert line["level"] == "problem"
    assert line["fix"].startswith("activate the environment with stacks-pulumi")


def test_a_stack_without_secrets_needs_its_passphrase_too(machine: CheckedMachine) -> None:
    machine.preview(said("get stack secrets manager: passphrase must be set with PULUMI_CONFIG_PASSPHRASE\n"))

    assert only(machine.doctor(), "preview")["fix"] == "export PULUMI_CONFIG_PASSPHRASE=..."


@pytest.mark.parametrize("name", ["pulumi_aws", "pulumi.no_such_part"])
def test_another_package_is_not_missing_because_of_the_environment(
    machine: CheckedMachine, name: str
) -> None:
    machine.preview(said(f"ModuleNotFoundError: No module named '{name}'\n", "info#err"))

    assert only(machine.doctor(), "preview")["fix"].startswith("correct the problem in the message")


def test_the_engines_words_are_short_and_have_no_key(machine: CheckedMachine) -> None:
    machine.variable("STACKS_API_KEY", "x")
    machine.preview(said(f"the key {machine.emulator.key}\nis wrong {'and long ' * 200}"))

    line = only(machine.doctor(), "preview")

    assert "fails: the key sk_stacks_... is wrong and long" in line["text"]
    assert len(line["text"]) < 500
    assert line["fix"].endswith("one of STACKS_API_KEY, set its value in the stack's configuration")
    main(["doctor", "-C", str(machine.project)])
    assert machine.emulator.key not in machine.capsys.readouterr().out


def test_a_preview_that_takes_too_long_is_ended(machine: CheckedMachine) -> None:
    machine.preview(before="exec sleep 3600")

    report = machine.doctor("--timeout", "1", "--policy-pack", "mine")

    line = only(report, "preview")
    # A preview that was not seen to succeed is not reported as ok.
    assert (line["level"], report.code) == ("unknown", 1)
    assert line["text"] == "`pulumi preview` runs the program, and did not end within 1 s"
    pack = f"--policy-pack {Path.cwd() / 'mine'} --cwd {machine.project}"
    assert line["fix"] == (
        f"allow more time: stacks-pulumi doctor --timeout 5 {pack}; check the reason in a terminal: "
        f"pulumi preview {pack}"
    )


def test_a_preview_that_does_not_end_when_it_is_asked_to_is_killed(
    machine: CheckedMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_pulumi_cli, "_SECONDS_TO_END", 0.2)
    child = machine.project / "child"
    machine.preview(
        before=f"trap '' TERM; sleep 3600 & echo $! >'{child}'; while true; do wait; sleep 1; done"
    )

    assert only(machine.doctor("--timeout", "1"), "preview")["level"] == "unknown"
    until(lambda: not is_running(int(child.read_text(encoding="utf-8"))))


def test_a_preview_is_killed_on_a_machine_without_ps(
    machine: CheckedMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_pulumi_cli, "_SECONDS_TO_END", 0.2)
    machine.preview(before="trap '' TERM; while true; do sleep 1; done")

    def no_ps(*_arguments: Any, **_options: Any) -> None:
        raise FileNotFoundError("ps")

    monkeypatch.setattr(subprocess, "run", no_ps)

    assert only(machine.doctor("--timeout", "1"), "preview")["level"] == "unknown"


def test_packs_are_given_to_the_preview_and_none_is_looked_for(machine: CheckedMachine) -> None:
    folder = machine.project / "policies" / "mine"
    folder.mkdir(parents=True)
    (folder / "PulumiPolicy.yaml").write_text("runtime: python\n", encoding="utf-8")

    assert only(machine.doctor(), "preview")["level"] == "ok"
    assert machine.previewed() == "preview --json --non-interactive"

    text = only(machine.doctor("--policy-pack", str(folder), "--policy-pack", "/other"), "preview")["text"]

    assert (
        machine.previewed() == f"preview --json --policy-pack {folder} --policy-pack /other --non-interactive"
    )
    assert text.endswith(", and starts 2 policy packs, and succeeds")


@pytest.mark.parametrize("given", ["0", "-1", "many", "3601"])
def test_a_wrong_time_limit_is_a_wrong_option(given: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["doctor", f"--timeout={given}"])

    assert ended.value.code == 1
    assert "is not a number of seconds from 1 to 3600" in capsys.readouterr().err


def test_the_stacks_key_is_not_sent_to_another_address_than_the_shells(machine: CheckedMachine) -> None:
    machine.set("stacks:baseUrl", None)
    machine.variable("STACKS_BASE_URL", machine.emulator.url)

    line = only(machine.doctor(), "preview")

    assert line["level"] == "unknown"
    assert "would be sent to the default address" in line["text"]
    assert machine.previewed() is None


def test_a_failure_for_want_of_a_removed_variable_is_a_warning(machine: CheckedMachine) -> None:
    machine.variable("STACKS_API_KEY", machine.emulator.key)
    machine.preview(said("KeyError: 'STACKS_API_KEY'"))

    assert only(machine.doctor(), "preview")["level"] == "warning"

    machine.preview(said("the plan is not known"))
    assert only(machine.doctor(), "preview")["level"] == "problem"
