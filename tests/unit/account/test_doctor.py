"""The doctor on the set-up: the stack, its configuration, and checks that are not possible."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stacks_pulumi.account import doctor_checks as module
from stacks_pulumi.cli import main
from tests.support.golden import Golden
from tests.tools.fake_executables import executable
from tests.unit.account.conftest import CheckedMachine, only


def test_each_line_has_its_level_its_check_and_its_fix(machine: CheckedMachine) -> None:
    machine.set("stacks:adopt", "if_matching")
    machine.set("stacks:apiKey", None)

    assert main(["doctor", "-C", str(machine.project)]) == 1

    *lines, empty, summary = machine.capsys.readouterr().out.splitlines()
    assert {line.split()[0] for line in lines} <= {"ok", "problem", "warning", "unknown"}
    assert {line.split()[1] for line in lines} == set(module.CHECKS) - {"grant", "key-storage"}
    (adopt,) = (line for line in lines if line.startswith("warning  adopt"))
    assert adopt.endswith(f" | fix: pulumi config rm stacks:adopt --cwd {machine.project}")
    assert empty == ""
    assert summary == "1 problem, 1 warning, 5 checks that could not be made. An `up` fails."


def test_the_json_is_as_recorded(machine: CheckedMachine, golden: Golden) -> None:
    machine.set("stacks:adopt", "if_matching")

    main(["doctor", "--json", "-C", str(machine.project)])

    document = json.loads(machine.capsys.readouterr().out)
    golden.json(
        "doctor.json", document, {str(machine.project): "FOLDER", machine.emulator.account: "ACCOUNT"}
    )


def test_outside_of_a_project_the_environment_is_checked(machine: CheckedMachine) -> None:
    machine.project_file.unlink()
    machine.variable("STACKS_API_KEY", machine.emulator.key)
    machine.variable("STACKS_BASE_URL", machine.emulator.url)

    report = machine.doctor()

    # No Pulumi command works here.
    assert report.code == 1
    assert only(report, "stack")["level"] == "problem"
    assert only(report, "key")["text"] == "from the variable STACKS_API_KEY"
    assert only(report, "api")["level"] == "ok"
    assert only(report, "preview")["level"] == "unknown"
    assert machine.previewed() is None


@pytest.mark.parametrize(
    ("error", "fix"),
    [
        ("passphrase must be set with PULUMI_CONFIG_PASSPHRASE", "export PULUMI_CONFIG_PASSPHRASE="),
        ("incorrect passphrase", "export PULUMI_CONFIG_PASSPHRASE="),
        ("failed to decrypt: 500", "correct the problem in the message"),
    ],
)
def test_secrets_that_cannot_be_decrypted_prevent_an_up(
    machine: CheckedMachine, error: str, fix: str
) -> None:
    machine.lock(error)
    machine.variable("STACKS_API_KEY", machine.emulator.key)

    report = machine.doctor()

    line = only(report, "stack")
    assert (line["level"], report.code) == ("problem", 1)
    assert error in line["text"]
    assert line["fix"].startswith(fix)
    # The doctor does not use a key in the environment instead, because the provider would not use it.
    assert machine.emulator.calls() == 0
    # Plain settings are checked anyway. Checks that need the key are not reported as ok.
    assert only(report, "base-url")["level"] == "ok"
    assert {"key", "api", "scopes", "cap", "rate-limit", "clock", "preview"} <= report.levels("unknown")


def test_a_stack_that_is_not_selected_prevents_an_up(machine: CheckedMachine) -> None:
    machine.break_config()

    report = machine.doctor()

    select, init = only(report, "stack")["fix"].split("; if the project has no stack: ")
    assert select == f"pulumi stack select --cwd {machine.project}"
    assert init == f"pulumi stack init dev --cwd {machine.project}"
    assert report.code == 1
    assert {"settings", "key", "adopt", "autonaming", "preview"} <= report.levels("unknown")
    assert machine.previewed() is None


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        ("no stack named 'dev' found", "pulumi stack ls --cwd "),
        ("could not query backend: dial tcp: lookup api.example.com", "check the network, and the URL"),
        ("PULUMI_ACCESS_TOKEN must be set for login", "pulumi login"),
    ],
)
def test_a_backend_that_does_not_show_the_stack_has_a_remedy(
    machine: CheckedMachine, error: str, remedy: str
) -> None:
    machine.break_config()
    machine.lock(error)

    assert only(machine.doctor(), "stack")["fix"].startswith(remedy)


def test_without_an_engine_nothing_is_green_that_needs_it(machine: CheckedMachine) -> None:
    (machine.bin / "pulumi").unlink()

    report = machine.doctor()

    assert (report.levels("problem"), report.code) == ({"stack"}, 1)
    assert "the command `pulumi` is not on PATH" in only(report, "stack")["text"]
    assert only(report, "stack")["fix"].startswith("install Pulumi: ")
    assert {"settings", "key", "api", "account", "preview"} <= report.levels("unknown")


@pytest.mark.parametrize(
    ("script", "text"),
    [
        ("#!/bin/sh\nexit 3\n", "it failed without a message"),
        ("#!/bin/sh\necho hello\n", "printed no JSON object"),
    ],
)
def test_an_engine_that_does_not_work_prevents_an_up(machine: CheckedMachine, script: str, text: str) -> None:
    executable(machine.bin / "pulumi", script)

    report = machine.doctor()

    assert report.code == 1
    assert text in only(report, "stack")["text"]
    assert only(report, "preview")["level"] == "unknown"


@pytest.mark.parametrize(
    ("setting", "level", "meant"),
    [
        (("stacks:baseURL", "x"), "problem", "stacks:baseUrl"),
        (("stacks:apikey", "x"), "problem", "stacks:apiKey"),
        (("stacks:requestPerMinute", "60"), "warning", "stacks:requestsPerMinute"),
        (("stacks:adoption", "never"), "warning", "stacks:adopt"),
        (("stacks:colour", "red"), "warning", "pulumi config rm stacks:colour"),
        (("stacks:account", "dev"), "warning", "pulumi config rm stacks:account"),
        (("stacks:adopt", "always"), "problem", "pulumi config rm stacks:adopt"),
        (("stacks:requestsPerMinute", "many"), "problem", "pulumi config rm stacks:requestsPerMinute"),
        (("stacks:allowHttp", "yes"), "problem", "pulumi config rm stacks:allowHttp"),
    ],
)
def test_a_setting_without_effect_or_with_a_wrong_value_is_named(
    machine: CheckedMachine, setting: tuple[str, str], level: str, meant: str
) -> None:
    machine.set(*setting)

    report = machine.doctor()

    (line,) = report.of("settings")
    assert line["level"] == level
    assert setting[0] in line["text"]
    assert meant in line["fix"]
    assert report.code == (level == "problem")


def test_a_key_in_a_misspelt_setting_is_set_as_a_secret(machine: CheckedMachine) -> None:
    machine.set("stacks:apiKEY", "x")

    assert "pulumi config set stacks:apiKey --secret" in only(machine.doctor(), "settings")["fix"]


def test_autonaming_is_warned_of(machine: CheckedMachine) -> None:
    machine.set("pulumi:autonaming", '{"mode":"verbatim"}')

    report = machine.doctor()

    assert only(report, "autonaming")["level"] == "warning"
    assert report.code == 0


def test_a_name_pattern_is_shown(machine: CheckedMachine) -> None:
    machine.set("stacks:namePattern", "${name}-${stack}")

    finding = only(machine.doctor(), "autonaming")

    assert finding["level"] == "ok"
    assert finding["text"].endswith("shaped by stacks:namePattern (${name}-${stack})")


def test_a_key_in_the_environment_is_named_by_its_variable(machine: CheckedMachine) -> None:
    machine.set("stacks:apiKey", None)
    machine.set("stacks:baseUrl", None)
    machine.variable("STACKS_API_KEY", "sk_wrong")
    machine.variable("STACKS_BASE_URL", f"{machine.emulator.url}?x")

    report = machine.doctor()

    assert only(report, "key")["fix"] == "export STACKS_API_KEY=sk_stacks_..."
    assert only(report, "base-url")["fix"] == f"export STACKS_BASE_URL=https{machine.emulator.url[4:]}"
    assert "sk_wrong" not in str(report.checks)
    assert report.of("key-storage") == []


@pytest.mark.parametrize("scheme", ["https", "http"])
def test_the_environments_key_is_not_sent_to_an_address_of_the_project(
    machine: CheckedMachine, scheme: str
) -> None:
    url = f"{scheme}://collector.test/api/v1"
    machine.set("stacks:apiKey", None)
    machine.set("stacks:baseUrl", url)
    machine.set("stacks:allowHttp", "true")
    machine.variable("STACKS_API_KEY", machine.emulator.key)

    report = machine.doctor()

    address = only(report, "base-url")
    assert (address["level"], only(report, "api")["level"]) == ("problem", "unknown")
    assert "STACKS_API_KEY is not sent" in address["text"]
    assert address["fix"] == f"if you trust the address: export STACKS_BASE_URL={url}"


def test_the_stacks_key_is_not_sent_to_an_address_of_the_environment(machine: CheckedMachine) -> None:
    machine.set("stacks:baseUrl", None)
    machine.variable("STACKS_BASE_URL", "https://collector.test/api/v1")

    report = machine.doctor()

    address = only(report, "base-url")
    assert (address["level"], only(report, "api")["level"]) == ("problem", "unknown")
    assert address["fix"] == "unset STACKS_BASE_URL"


def test_a_stack_that_requires_a_secret_key_makes_a_plain_one_a_problem(machine: CheckedMachine) -> None:
    machine.set("stacks:apiKey", machine.emulator.key)
    assert only(machine.doctor(), "key-storage")["level"] == "warning"
    machine.set("stacks:requireSecretKey", "true")

    line = only(machine.doctor(), "key-storage")

    assert line["level"] == "problem"
    assert line["fix"].startswith("pulumi config set stacks:apiKey --secret")


SECRET = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270"}


@pytest.mark.parametrize(
    ("kind", "prefix"), [("pulumi-python", "stacks:"), ("stacks", "")], ids=["dynamic", "native"]
)
@pytest.mark.parametrize("revoked", [True, False])
def test_a_revoked_key_in_the_state_makes_a_refresh_fail(
    machine: CheckedMachine, kind: str, prefix: str, *, revoked: bool
) -> None:
    old = machine.emulator.new_key(label="old")
    if revoked:
        machine.emulator.drift.revoke_key("old")
    inputs = {
        f"{prefix}apiKey": {**SECRET, "plaintext": json.dumps(old)},
        f"{prefix}baseUrl": machine.emulator.url,
    }
    type_ = f"pulumi:providers:{kind}"
    urn = f"urn:pulumi:dev::tests::{type_}::default"
    machine.state([{"type": type_, "urn": urn, "id": "1", "inputs": inputs}])

    report = machine.doctor()

    line = only(report, "state-keys")
    assert (line["level"], report.code) == (("problem", 1) if revoked else ("ok", 0))
    assert ("`pulumi refresh` and `pulumi destroy`" in line["text"]) is revoked
    assert old not in str(report.checks)


@pytest.mark.parametrize("problem", ["locked", "gone"])
def test_a_key_in_the_state_that_cannot_be_tried_is_unknown(machine: CheckedMachine, problem: str) -> None:
    key = {**SECRET, "ciphertext": "v1:x"} if problem == "locked" else f"sk_stacks_{'b' * 64}"
    inputs = {"apiKey": key, "baseUrl": "http://127.0.0.1:9/api/v1"}
    type_ = "pulumi:providers:stacks"
    machine.state(
        [{"type": type_, "urn": f"urn:pulumi:dev::tests::{type_}::mine", "id": "1", "inputs": inputs}]
    )

    report = machine.doctor()

    # A check that may fail is not reported as ok.
    assert (only(report, "state-keys")["level"], report.code) == ("unknown", 1)


@pytest.mark.parametrize(
    ("kind", "name"), [("pulumi-python", "stacks:apiKey"), ("stacks", "apiKey")], ids=["dynamic", "native"]
)
def test_a_key_in_plain_text_in_the_state_is_found(machine: CheckedMachine, kind: str, name: str) -> None:
    secret = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "v1:x"}

    def state(key: object) -> None:
        type_ = f"pulumi:providers:{kind}"
        urn = f"urn:pulumi:dev::tests::{type_}::default"
        machine.state([{"type": type_, "urn": urn, "id": "1", "inputs": {name: key}}])

    state(secret)
    assert only(machine.doctor(), "key-storage")["level"] == "ok"
    state(machine.emulator.key)

    report = machine.doctor()

    assert only(report, "state-keys")["text"] == "the state has no key that differs from the settings"
    found = [line for line in report.of("key-storage") if line["level"] == "warning"]
    assert [("state" in line["text"], "pulumi up" in line["fix"]) for line in found] == [(True, True)]
    assert machine.emulator.key not in str(report.checks)


def test_the_configuration_takes_precedence_over_the_environment(machine: CheckedMachine) -> None:
    machine.variable("STACKS_API_KEY", "sk_wrong")

    report = machine.doctor()

    assert only(report, "key")["text"].endswith("which takes precedence over STACKS_API_KEY")
    assert only(report, "api")["level"] == "ok"


def test_http_to_another_host_may_be_allowed(machine: CheckedMachine) -> None:
    machine.set("stacks:allowHttp", "true")
    machine.set("stacks:baseUrl", "http://stacks.invalid/api/v1")

    report = machine.doctor()

    assert only(report, "base-url")["level"] == "ok"
    assert only(report, "api")["level"] == "problem"


def test_a_check_that_crashes_is_reported_and_hides_no_other(
    machine: CheckedMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(facts: object) -> None:
        raise ZeroDivisionError("ouch")

    monkeypatch.setitem(module.CHECKS, "stack", broken)

    report = machine.doctor()

    assert only(report, "stack")["text"] == "the check failed (ZeroDivisionError: ouch): please report it"
    assert only(report, "stack")["level"] == "unknown"
    assert only(report, "preview")["level"] == "ok"


def test_a_missing_folder_is_a_wrong_option(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "-C", str(tmp_path / "none")]) == 1

    assert capsys.readouterr().err.endswith(
        "none is not a folder: pass the project's folder with -C [file-access]\n"
    )


def test_a_line_of_another_server_stays_one_line(machine: CheckedMachine) -> None:
    machine.emulator.faults.add("containers.list", 418, body={"error": "a\nb\x1b[2J"})

    main(["doctor", "-C", str(machine.project)])

    out = machine.capsys.readouterr().out
    assert (
        len(out.splitlines()) == len(module.CHECKS) + 1
    )  # no line about a grant, but an empty line and the summary
    assert "\x1b" not in out
