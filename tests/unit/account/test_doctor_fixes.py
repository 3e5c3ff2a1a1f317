"""Each fix of the doctor fixes its problem, for the checked stack and in the file with the setting."""

from __future__ import annotations

import json
import os

import pytest

from stacks_pulumi import config
from stacks_pulumi.cli import main
from tests.support.hostile import ALL, faults
from tests.support.machine import Machine, resource
from tests.unit.account.conftest import CheckedMachine, Report, only


def fix(report: Report, check: str) -> str:
    """Return the fix in the first line of a check."""
    return report.of(check)[0]["fix"]


def project(machine: Machine, *config: str, runtime: str = "python", more: str = "") -> None:
    """Write a project file with these settings of the project."""
    section = "".join(f"  {line}\n" for line in config)
    machine.project_file.write_text(
        f"name: tests\nruntime: {runtime}\n{more}" + (f"config:\n{section}" if config else ""),
        encoding="utf-8",
    )


def test_a_command_is_for_the_stack_that_was_checked(
    machine: CheckedMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.set("stacks:adopt", "if_matching")

    assert fix(machine.doctor("-s", "prod"), "adopt").endswith(f" --stack prod --cwd {machine.project}")

    monkeypatch.chdir(machine.project)
    assert fix(machine.doctor("-s", "prod"), "adopt") == "pulumi config rm stacks:adopt --stack prod"
    assert fix(machine.doctor(), "adopt") == "pulumi config rm stacks:adopt"


@pytest.mark.parametrize(
    ("setting", "check", "expected"),
    [
        ("stacks:adopt: if_matching", "adopt", "delete stacks:adopt from the section `config` of "),
        ("stacks:colour: red", "settings", "delete stacks:colour from the section `config` of "),
    ],
)
def test_a_setting_of_the_project_is_not_removed_from_the_stack(
    machine: CheckedMachine, setting: str, check: str, expected: str
) -> None:
    project(machine, setting)
    machine.set(*setting.split(": "))

    assert fix(machine.doctor(), check).startswith(expected)


def test_a_setting_of_the_stack_that_hides_that_of_the_project_is_removed(machine: CheckedMachine) -> None:
    project(machine, "stacks:adopt: never")
    machine.set("stacks:adopt", "if_matching")

    assert fix(machine.doctor(), "adopt").startswith("pulumi config rm stacks:adopt")


def test_a_key_in_plain_text_in_the_project_file_is_found_beside_an_encrypted_one(
    machine: CheckedMachine,
) -> None:
    project(machine, f"stacks:apiKey: {machine.emulator.key}")

    report = machine.doctor()

    (line,) = report.of("key-storage")
    assert line["level"] == "warning"
    assert f"in plain text in {machine.project_file}" in line["text"]
    assert line["fix"].startswith("delete stacks:apiKey from the section `config` of ")
    assert machine.emulator.key not in str(report.checks)


def test_an_empty_key_in_the_configuration_hides_that_of_the_environment(machine: CheckedMachine) -> None:
    machine.set("stacks:apiKey", "")
    machine.variable("STACKS_API_KEY", machine.emulator.key)

    report = machine.doctor()

    (line,) = report.of("key")
    assert (line["level"], report.code) == ("problem", 1)
    assert line["text"] == "stacks:apiKey is empty, and it takes precedence over STACKS_API_KEY"
    assert line["fix"].startswith("pulumi config rm stacks:apiKey")


def test_a_missing_key_may_be_a_variable_too(machine: CheckedMachine) -> None:
    machine.set("stacks:apiKey", None)

    assert "STACKS_API_KEY is not set" in only(machine.doctor(), "key")["text"]


@pytest.mark.parametrize(
    "setting", ["adopt", "baseUrl", "namePattern", "requestsPerMinute", "allowHttp", "apiKEY"]
)
def test_a_key_in_a_wrong_setting_is_not_shown(machine: CheckedMachine, setting: str) -> None:
    machine.set(f"stacks:{setting}", machine.emulator.key)

    report = machine.doctor()

    assert report.levels("problem") | report.levels("warning")
    assert machine.emulator.key not in str(report.checks)


@pytest.mark.parametrize(
    ("given", "better"),
    [
        ("{host}", "set stacks:baseUrl {host}/api/v1"),
        ("{host}/api", "set stacks:baseUrl {host}/api/v1"),
        ("{host}/api/v1/containers", "set stacks:baseUrl {host}/api/v1"),
        ("http://me:secret@stacks.test/api/v1", "set stacks:baseUrl https://stacks.test/api/v1"),
        ("https://stacks.test/api/v1?page=1", "set stacks:baseUrl https://stacks.test/api/v1"),
        ("stacks.test/api/v1", "rm stacks:baseUrl"),
    ],
)
def test_the_suggested_base_url_is_valid(machine: CheckedMachine, given: str, better: str) -> None:
    host = machine.emulator.url.removesuffix("/api/v1")
    machine.set("stacks:baseUrl", given.format(host=host))

    report = machine.doctor()

    (check,) = report.levels("problem")
    assert fix(report, check).startswith(f"pulumi config {better.format(host=host)} --cwd ")
    assert "secret" not in str(report.checks)


def test_a_proxy_that_does_not_answer_is_named(machine: CheckedMachine) -> None:
    machine.set("stacks:baseUrl", None)
    machine.variable("https_proxy", "http://me:secret@127.0.0.1:1")

    report = machine.doctor()

    (line,) = report.of("api")
    assert "through the proxy in https_proxy" in line["text"]
    assert line["fix"].endswith("unset https_proxy")
    assert "secret" not in str(report.checks)


def test_a_certificate_that_is_not_known_leads_to_its_variable(machine: CheckedMachine) -> None:
    machine.set("stacks:baseUrl", None)
    machine.variable("https_proxy", "http://127.0.0.1:1")
    machine.variable("REQUESTS_CA_BUNDLE", "/nope.pem")

    (line,) = machine.doctor().of("api")

    assert line["fix"].startswith("if a proxy has its own certificates, set REQUESTS_CA_BUNDLE")


def test_an_answer_of_a_firewall_is_not_a_missing_scope(machine: CheckedMachine) -> None:
    machine.emulator.faults.add("containers.list", "html", code=403)

    report = machine.doctor()

    (line,) = report.of("api")
    assert "it is not in the API's error format" in line["text"]
    assert line["fix"].startswith("pulumi config rm stacks:baseUrl")


def test_a_stack_whose_resources_have_their_own_providers_needs_no_key(machine: CheckedMachine) -> None:
    machine.set("stacks:apiKey", None)
    machine.state([resource("Container", "usr-other-web", provider="team-b")])

    report = machine.doctor()

    assert (report.of("key")[0]["level"], report.code) == ("warning", 0)


def test_a_malformed_setting_does_not_skip_the_checks_of_the_api(machine: CheckedMachine) -> None:
    machine.set("stacks:maxConcurrency", "none")
    machine.set("stacks:apiKey", f"sk_stacks_{'a' * 64}")

    assert machine.doctor().levels("problem") == {"settings", "api"}


def test_a_file_that_is_not_yaml_is_named(machine: CheckedMachine) -> None:
    machine.lock("invalid YAML file: yaml: line 2: did not find expected node content")
    machine.break_config()
    file = machine.project / "Pulumi.dev.yaml"
    file.write_text("config:\n  a: [\n", encoding="utf-8")

    report = machine.doctor()

    assert fix(report, "stack") == f"correct {file}"
    assert report.code == 1


@pytest.mark.parametrize("special", ["/dev/zero", "pipe"])
def test_a_file_without_an_end_is_not_read(machine: CheckedMachine, special: str) -> None:
    machine.lock("invalid YAML file: yaml: line 2: did not find expected node content")
    machine.break_config()
    os.mkfifo(machine.project / "pipe")
    (machine.project / "Pulumi.dev.yaml").symlink_to(special)

    assert "no stack selected" in only(machine.doctor(), "stack")["text"]


# The message of engine 3.274.1, slightly shortened.
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            "the stack 'dev' is newer than what this understands. Please update your version of the Pulumi CLI",
            "the stack needs a newer engine",
        ),
        (
            "the stack 'dev' uses features that are not supported: x. Please update your version of the Pulumi CLI",
            "the stack needs a newer engine",
        ),
        (
            'Pulumi CLI version 3.259.0 does not satisfy the version range ">=3.300.0"',
            "the stack needs a newer",
        ),
        (
            "state store unsupported: 'meta.yaml' version (2) is not supported by this version of the Pulumi CLI",
            "the stack needs a newer engine",
        ),
        (
            "Legacy DIY state is deprecated, please upgrade your state to project mode using: 'pulumi state upgrade'",
            "PULUMI_DIY_BACKEND_IGNORE_DEPRECATION_ERROR=1 pulumi state upgrade",
        ),
    ],
)
def test_a_stack_that_does_not_fit_the_engine_says_which_of_both_is_too_old(
    machine: CheckedMachine, words: str, expected: str
) -> None:
    machine.preview(error=f"error: {words}\n")
    assert expected in fix(machine.doctor(), "preview")

    machine.break_config()
    machine.lock(words)
    assert expected in fix(machine.doctor(), "stack")


def test_the_value_of_a_misspelt_setting_is_no_option_of_the_command(machine: CheckedMachine) -> None:
    machine.set("stacks:hideLogz", "--tracing=https://evil.example")

    assert " set stacks:hideLogs ..." in fix(machine.doctor(), "settings")


@pytest.mark.parametrize(
    "named", ["config", "runtime", "plugins", "stackConfigDir", "error", "state", "preview"]
)
@pytest.mark.parametrize("as_json", [False, True], ids=["plain", "json"])
def test_no_text_of_a_project_is_carried_out(machine: CheckedMachine, named: str, as_json: bool) -> None:
    attack = f"{ALL} sk_stacks_{'a' * 64}"
    settings = {f"stacks:{key}": attack for key in (*config.OF_A_STACK, "hideLogz", attack)}
    document = {"name": attack, "description": attack, "runtime": "python", "config": settings}
    if named == "config":
        for name in settings:
            machine.set(name, attack)
    elif named == "error":
        machine.lock(attack)
    elif named == "state":
        machine.state([resource("Container", f"usr-{attack}", origin=attack, provider=attack)])
    elif named == "preview":
        machine.preview(
            {"policyEvent": {"policyName": attack, "message": attack, "enforcementLevel": "mandatory"}}
        )
    else:
        document[named] = {"name": attack, "options": attack, "providers": [{"name": attack, "path": attack}]}
    machine.project_file.write_text(json.dumps(document), encoding="utf-8")

    main(["doctor", "-C", str(machine.project), *(["--json"] if as_json else [])])

    shown = machine.capsys.readouterr()
    # The engine does not read this package's JSON document.
    assert faults(shown.out.replace("<{%", "") if as_json else shown.out) + faults(shown.err) == []
    assert "a" * 64 not in shown.out + shown.err
    assert "check failed" not in shown.out


def test_a_project_without_a_runtime_runs_no_program(machine: CheckedMachine) -> None:
    machine.project_file.write_text("name: tests\n", encoding="utf-8")

    report = machine.doctor()

    assert "sets no runtime" in report.of("stack")[0]["text"]
    assert report.code == 1


@pytest.mark.parametrize(
    ("runtime", "more"),
    [("yaml", ""), ("python", "plugins:\n  providers: [{name: stacks, path: tools}]\n")],
)
def test_autonaming_names_the_containers_of_the_native_plugin(
    machine: CheckedMachine, runtime: str, more: str
) -> None:
    project(machine, runtime=runtime, more=more)
    machine.set("pulumi:autonaming", '{"mode":"verbatim"}')

    assert machine.doctor().of("autonaming")[0]["level"] == "ok"
