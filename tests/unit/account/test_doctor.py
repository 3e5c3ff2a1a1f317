"""The doctor on what is between healthy and broken, and what it says where a check cannot be made."""

from __future__ import annotations

import copy
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stacks_pulumi import _cap_record
from stacks_pulumi.account import doctor as package
from stacks_pulumi.account.doctor._api import _USES
from stacks_pulumi.cli import main
from stacks_pulumi.emulator import Emulator
from stacks_pulumi.emulator.clock import iso
from tests.support.machine import Machine, resource
from tests.tools.fakes import executable
from tests.unit.account.conftest import Report

Doctor = Callable[..., Report]


def only(report: Report, check: str) -> dict[str, str]:
    """The one line of a check."""
    (line,) = report.of(check)
    return line


def test_each_line_has_its_level_its_check_and_its_fix(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.set("stacks:adopt", "if_matching")
    machine.set("stacks:apiKey", None)

    assert main(["doctor", "-C", str(machine.project)]) == 1

    *lines, empty, summary = capsys.readouterr().out.splitlines()
    assert {line.split()[0] for line in lines} <= {"ok", "problem", "warning", "unknown"}
    assert {line.split()[1] for line in lines} == set(package.CHECKS)
    (adopt,) = (line for line in lines if line.startswith("warning  adopt"))
    assert adopt.endswith(" | fix: pulumi config rm stacks:adopt, once the stack has adopted what it should")
    assert empty == ""
    assert summary == "1 problem, 1 warning, 5 checks that could not be made. An `up` fails."


def test_outside_of_a_project_the_environment_is_checked(
    machine: Machine, emulator: Emulator, doctor: Doctor
) -> None:
    machine.project_file.unlink()
    machine.variable("STACKS_API_KEY", emulator.key)
    machine.variable("STACKS_BASE_URL", emulator.url)

    report = doctor()

    assert report.code == 0
    assert only(report, "stack")["level"] == "unknown"
    assert only(report, "key")["text"] == "from the variable STACKS_API_KEY"
    assert only(report, "api")["level"] == "ok"


@pytest.mark.parametrize(
    ("error", "fix"),
    [
        ("passphrase must be set with PULUMI_CONFIG_PASSPHRASE", "set PULUMI_CONFIG_PASSPHRASE"),
        ("incorrect passphrase", "set PULUMI_CONFIG_PASSPHRASE"),
        ("failed to decrypt: 500", "correct what the message names"),
    ],
)
def test_secrets_that_cannot_be_decrypted_prevent_an_up(
    machine: Machine, emulator: Emulator, doctor: Doctor, error: str, fix: str
) -> None:
    machine.lock(error)
    machine.variable("STACKS_API_KEY", emulator.key)

    report = doctor()

    line = only(report, "stack")
    assert (line["level"], report.code) == ("problem", 1)
    assert error in line["text"]
    assert line["fix"].startswith(fix)
    # Not even a key in the environment is used instead: the provider would not use it.
    assert emulator.calls() == 0
    # Settings that are not secret are checked anyway. Checks that need the key are not reported as ok.
    assert only(report, "base-url")["level"] == "ok"
    assert {"key", "api", "scopes", "cap", "rate-limit", "clock"} <= report.levels("unknown")


def test_a_stack_that_is_not_selected_prevents_an_up(machine: Machine, doctor: Doctor) -> None:
    machine.break_config()

    report = doctor()

    assert only(report, "stack")["fix"] == "`pulumi stack select NAME`, or name it with --stack"
    assert report.code == 1
    assert {"settings", "key", "adopt", "autonaming"} <= report.levels("unknown")


@pytest.mark.parametrize(
    ("break_it", "text"),
    [
        (lambda machine: (machine.bin / "pulumi").unlink(), "is not on PATH"),
        (
            lambda machine: executable(machine.bin / "pulumi", "#!/bin/sh\nexit 3\n"),
            "it failed without a message",
        ),
        (lambda machine: executable(machine.bin / "pulumi", "#!/bin/sh\necho hello\n"), "prints no version"),
        (
            lambda machine: (machine.bin / "pulumi-language-python").unlink(),
            "has no pulumi-language-python, which runs Python programs",
        ),
    ],
)
def test_an_engine_that_does_not_work_prevents_an_up(
    machine: Machine, doctor: Doctor, break_it: Callable[[Machine], None], text: str
) -> None:
    break_it(machine)

    report = doctor()

    line = only(report, "engine")
    assert (line["level"], report.code) == ("problem", 1)
    assert text in line["text"]
    assert line["fix"]


def test_without_an_engine_the_stack_is_not_blamed(machine: Machine, doctor: Doctor) -> None:
    (machine.bin / "pulumi").unlink()

    report = doctor()

    assert report.levels("problem") == {"engine"}
    assert {"stack", "settings", "key", "api", "account"} <= report.levels("unknown")


@pytest.mark.parametrize(
    ("version", "level"),
    [
        ("3.258.9", "problem"),
        ("3.259.0-alpha.1+dirty", "ok"),
        ("3.259.0", "ok"),
        ("3.400.2", "ok"),
        ("4.0.0", "ok"),
    ],
)
def test_the_oldest_supported_engine_is_the_limit(
    machine: Machine, doctor: Doctor, version: str, level: str
) -> None:
    machine.engine(version)

    assert only(doctor(), "engine")["level"] == level


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
    setting: tuple[str, str], level: str, meant: str, machine: Machine, doctor: Doctor
) -> None:
    machine.set(*setting)

    report = doctor()

    (line,) = report.of("settings")
    assert line["level"] == level
    assert setting[0] in line["text"]
    assert meant in line["fix"]
    assert report.code == (level == "problem")


def test_a_key_in_a_misspelt_setting_is_set_as_a_secret(machine: Machine, doctor: Doctor) -> None:
    machine.set("stacks:apiKEY", "x")

    assert "pulumi config set stacks:apiKey --secret" in only(doctor(), "settings")["fix"]


def test_autonaming_is_warned_of(machine: Machine, doctor: Doctor) -> None:
    machine.set("pulumi:autonaming", '{"mode":"verbatim"}')

    report = doctor()

    assert only(report, "autonaming")["level"] == "warning"
    assert report.code == 0


def test_a_name_pattern_is_shown(machine: Machine, doctor: Doctor) -> None:
    machine.set("stacks:namePattern", "${name}-${stack}")

    finding = only(doctor(), "autonaming")

    assert finding["level"] == "ok"
    assert finding["text"].endswith("shaped by stacks:namePattern (${name}-${stack})")


def test_a_key_in_the_environment_is_named_by_its_variable(
    machine: Machine, emulator: Emulator, doctor: Doctor
) -> None:
    machine.set("stacks:apiKey", None)
    machine.set("stacks:baseUrl", None)
    machine.variable("STACKS_API_KEY", "sk_wrong")
    machine.variable("STACKS_BASE_URL", f"{emulator.url}?x")

    report = doctor()

    assert only(report, "key")["fix"] == "correct the variable STACKS_API_KEY"
    assert "correct the variable STACKS_BASE_URL" in only(report, "base-url")["fix"]
    assert "sk_wrong" not in str(report.checks)
    assert report.of("key-storage") == []


def test_the_configuration_takes_precedence_over_the_environment(
    machine: Machine, emulator: Emulator, doctor: Doctor
) -> None:
    machine.variable("STACKS_API_KEY", "sk_wrong")

    report = doctor()

    assert only(report, "key")["text"].endswith("which takes precedence over STACKS_API_KEY")
    assert only(report, "api")["level"] == "ok"


def test_http_to_another_host_may_be_allowed(machine: Machine, emulator: Emulator, doctor: Doctor) -> None:
    machine.set("stacks:allowHttp", "true")
    machine.set("stacks:baseUrl", "http://stacks.invalid/api/v1")

    report = doctor()

    assert only(report, "base-url")["level"] == "ok"
    assert only(report, "api")["level"] == "problem"


def test_a_key_that_may_not_read_shows_all_its_scopes(
    machine: Machine, emulator: Emulator, doctor: Doctor
) -> None:
    machine.set("stacks:apiKey", emulator.new_key(scopes=["containers:create"]), secret=True)

    report = doctor()

    lines = report.of("scopes")
    assert [line["level"] for line in lines] == ["problem", "warning", "warning"]
    assert "lacks containers:read, which is needed for every operation" in lines[0]["text"]
    assert report.code == 1
    assert only(report, "account")["level"] == "ok"


def test_the_stack_at_hand_decides_whether_a_missing_scope_prevents_an_up(
    machine: Machine, emulator: Emulator, doctor: Doctor
) -> None:
    key = emulator.new_key(scopes=["containers:read", "containers:create", "containers:delete"])
    machine.set("stacks:apiKey", key, secret=True)
    account = emulator.account
    emulator.load([{"name": "web", "template": "nodejs"}])

    plain = [resource("Container", f"{account}-web")]
    machine.state(plain)
    assert doctor("--probe-scopes").code == 0

    machine.state([*plain, resource("Connection", f"{account}-web/0")])
    report = doctor("--probe-scopes")
    assert report.code == 1
    assert "needed for the stack's Connection resources" in only(report, "scopes")["text"]

    machine.state([resource("Container", f"{account}-web", external_access=True)])
    assert doctor("--probe-scopes").code == 1


def test_probing_finds_every_scope_and_changes_nothing(emulator: Emulator, doctor: Doctor) -> None:
    emulator.load([{"name": "web", "template": "nodejs"}])
    before = copy.deepcopy(emulator.state.containers)

    report = doctor("--probe-scopes")

    assert only(report, "scopes")["level"] == "ok"
    assert [(request.operation, request.status) for request in emulator.requests] == [
        ("containers.list", 200),
        ("containers.create", 400),
        ("connections.delete", 404),
        ("containers.delete", 404),
    ]
    assert emulator.state.containers == before


def test_probing_ends_with_the_answer_that_lists_the_scopes(
    machine: Machine, emulator: Emulator, doctor: Doctor
) -> None:
    machine.set("stacks:apiKey", emulator.new_key(scopes=["containers:read"]), secret=True)

    report = doctor("--probe-scopes")

    assert [request.operation for request in emulator.requests] == ["containers.list", "containers.create"]
    assert [line["text"] for line in report.of("scopes")] == [
        "the key lacks containers:create, which is needed for new containers",
        f"the key lacks containers:manage, which is for {_USES['containers:manage']}",
        "the key lacks containers:delete, which is for `pulumi destroy` and replacements",
    ]


def test_a_probe_that_fails_teaches_nothing(emulator: Emulator, doctor: Doctor) -> None:
    for operation in ("containers.create", "connections.delete", "containers.delete"):
        emulator.faults.add(operation, 503)

    line = only(doctor("--probe-scopes"), "scopes")

    assert line["level"] == "unknown"
    assert "containers:create, containers:manage, containers:delete" in line["text"]


def test_a_cap_that_a_probe_shows_prevents_an_up(emulator: Emulator, doctor: Doctor) -> None:
    body = {"error": "Monthly spending cap reached", "spending_cap": 10, "amount_spent": 10}
    emulator.faults.add("containers.create", 402, body=body)

    report = doctor("--probe-scopes")

    assert (
        only(report, "cap")["text"] == "the key's spending cap is reached: $10.00 of $10.00 a month are spent"
    )
    assert (only(report, "cap")["level"], report.code) == ("problem", 1)


def test_a_cap_of_an_earlier_month_or_another_key_is_not_told(
    machine: Machine, emulator: Emulator, doctor: Doctor
) -> None:
    mine = _cap_record.fingerprint(emulator.url, emulator.key)
    _cap_record.remember(mine, 10, 10, time.time() - 40 * 86400)
    _cap_record.remember(_cap_record.fingerprint(emulator.url, "another"), 10, 10, time.time())

    assert only(doctor(), "cap")["level"] == "unknown"

    _cap_record.remember(mine, 10, 9.5, time.time())
    assert "$9.50 of $10.00 a month are spent" in only(doctor(), "cap")["text"]


def test_without_a_refusal_the_price_of_this_months_containers_is_what_is_known(
    machine: Machine, emulator: Emulator, doctor: Doctor
) -> None:
    now = time.time()
    rows = [
        {"id": "usr-1-a", "name": "a", "type": "postgresql", "plan": "basic", "storage_allocated": 10240},
        {
            "id": "usr-1-b",
            "name": "b",
            "type": "nodejs",
            "plan": "premium",
            "storage_allocated": 40960 + 65536,
        },
        {"id": "usr-1-c", "name": "c", "type": "nodejs", "plan": "basic", "storage_allocated": 10240},
    ]
    for row, age in zip(rows, (0.0, 0.0, 40 * 86400), strict=True):
        row["created_at"] = iso(now - age)
    emulator.faults.add("containers.list", "answer", body={"success": True, "count": 3, "data": rows})

    line = only(doctor(), "cap")

    assert line["level"] == "unknown"
    assert line["text"].endswith(
        "The 2 containers that any key has created since the first cost $17.00 a month"
    )


def test_a_used_up_rate_limit_is_a_warning(machine: Machine, emulator: Emulator, doctor: Doctor) -> None:
    machine.set("stacks:apiKey", emulator.new_key(rate_limit=1), secret=True)
    first, second = doctor(), doctor()

    for report in (first, second):
        assert only(report, "rate-limit")["level"] == "warning"
        assert "of 1 requests a minute is used up; it opens in" in only(report, "rate-limit")["text"]
        assert report.code == 0
    assert only(first, "scopes")["text"].startswith("the key has containers:read;")
    assert only(second, "api")["level"] == "ok"
    assert only(second, "scopes")["text"].startswith("unknown, as the containers could not be listed")


@pytest.mark.parametrize(
    ("fault", "options", "text"),
    [
        ("html", {"code": 200}, "the API is not at"),
        ("redirect", {}, "the API is not at"),
        (500, {}, "the API failed"),
        ("drop_before", {}, "no answer from"),
    ],
)
def test_an_answer_that_is_not_the_apis_prevents_an_up(
    emulator: Emulator, doctor: Doctor, fault: str | int, options: dict[str, Any], text: str
) -> None:
    emulator.faults.add("containers.list", fault, **options)

    report = doctor()

    line = only(report, "api")
    assert (line["level"], report.code) == ("problem", 1)
    assert text in line["text"]
    assert line["fix"]
    assert emulator.calls("containers.list") == 1


class TestAccount:
    """Whose containers the state holds."""

    def test_a_stack_without_resources_fits_every_account(self, doctor: Doctor) -> None:
        assert only(doctor(), "account")["level"] == "ok"

    def test_resources_of_another_provider_are_not_of_the_stacks_key(
        self, machine: Machine, emulator: Emulator, doctor: Doctor
    ) -> None:
        emulator.load([{"name": "web", "template": "nodejs"}])
        machine.state([resource("Container", "usr-other-web", provider="team-b")])

        assert only(doctor(), "account")["text"] == "the stack has no resources yet: any account will do"

    def test_an_empty_account_with_another_key_is_a_problem(self, machine: Machine, doctor: Doctor) -> None:
        machine.state([resource("Container", "usr-gone-web", origin="0123456789abcdef-01")])

        report = doctor()

        assert report.code == 1
        assert "the account of this key is empty" in only(report, "account")["text"]

    def test_an_empty_account_with_the_key_of_the_last_change_is_fine(
        self, machine: Machine, emulator: Emulator, doctor: Doctor
    ) -> None:
        mine = _cap_record.fingerprint(emulator.url, emulator.key)
        machine.state([resource("Container", "usr-gone-web", origin=f"{mine}-01")])

        assert only(doctor(), "account")["level"] == "ok"

    def test_an_old_state_and_an_empty_account_cannot_be_compared(
        self, machine: Machine, doctor: Doctor
    ) -> None:
        machine.state([resource("Container", "usr-gone-web")])

        assert only(doctor(), "account")["level"] == "unknown"


class TestPacks:
    """Policy packs of a project."""

    def test_one_that_is_only_found_is_a_warning(self, machine: Machine, doctor: Doctor) -> None:
        machine.pack("mine", "import no_such_module\n")

        report = doctor()

        assert only(report, "packs")["level"] == "warning"
        assert "No module named 'no_such_module'" in only(report, "packs")["text"]
        assert report.code == 0

    def test_ours_load(self, doctor: Doctor) -> None:
        packs = sorted((Path(__file__).parents[3] / "policies").glob("*/PulumiPolicy.yaml"))

        report = doctor(*(word for pack in packs for word in ("--policy-pack", str(pack.parent))))

        assert [line["level"] for line in report.of("packs")] == ["ok", "ok", "ok"]

    def test_a_pack_that_ends_without_a_pack_does_not_load(self, machine: Machine, doctor: Doctor) -> None:
        report = doctor("--policy-pack", str(machine.pack("mine", "print('hello')\n")))

        assert "does not load" in only(report, "packs")["text"]
        assert report.code == 1

    def test_a_folder_that_is_none_is_named(self, machine: Machine, doctor: Doctor) -> None:
        report = doctor("--policy-pack", str(machine.project))

        assert "is no policy pack: it has no PulumiPolicy.yaml" in only(report, "packs")["text"]
        assert report.code == 1

    def test_another_runtime_is_not_called_fine(self, machine: Machine, doctor: Doctor) -> None:
        folder = machine.pack("mine", "")
        (folder / "PulumiPolicy.yaml").write_text("runtime: nodejs\n", encoding="utf-8")

        assert only(doctor(), "packs")["level"] == "unknown"

    def test_a_file_that_is_no_yaml_is_named(self, machine: Machine, doctor: Doctor) -> None:
        folder = machine.pack("mine", "")
        (folder / "PulumiPolicy.yaml").write_text("runtime: [\n", encoding="utf-8")

        assert "cannot be read" in only(doctor(), "packs")["text"]


class TestVirtualEnvironment:
    """The environment that Pulumi.yaml names is the one that counts."""

    def name(self, machine: Machine, folder: str) -> None:
        text = f"name: tests\nruntime:\n  name: python\n  options:\n    virtualenv: {folder}\n"
        machine.project_file.write_text(text, encoding="utf-8")

    def python(self, machine: Machine, text: str) -> None:
        self.name(machine, "venv")
        executable(machine.project / "venv/bin/python", f"#!/bin/sh\n{text}\n")

    def test_one_that_is_not_there_prevents_an_up(self, machine: Machine, doctor: Doctor) -> None:
        self.name(machine, "venv")

        report = doctor()

        assert only(report, "python")["fix"].endswith("`pulumi install`")
        assert (report.levels("problem"), report.code) == ({"python"}, 1)
        assert {"sdk", "extras"} <= report.levels("unknown")

    def test_its_versions_are_looked_at(self, machine: Machine, doctor: Doctor) -> None:
        said = {"python": "3.9.1", "packages": {"pulumi": "3.300.0", "stacks-pulumi": "0.1.0"}}
        self.python(machine, f"echo '{json.dumps(said)}'")

        report = doctor()

        assert only(report, "python")["text"] == "Python 3.9.1 is not supported"
        newer, other = report.of("sdk")
        assert "3.300.0 is newer than the tested" in newer["text"]
        assert "the program uses stacks-pulumi 0.1.0" in other["text"]
        assert other["fix"].endswith("venv/bin/stacks-pulumi")

    def test_one_without_this_package_prevents_an_up(self, machine: Machine, doctor: Doctor) -> None:
        said = {"python": "3.14.0", "packages": {"pulumi": "3.272.0", "stacks-pulumi": None}}
        self.python(machine, f"echo '{json.dumps(said)}'")

        report = doctor()

        assert only(report, "python")["level"] == "warning"
        assert "stacks-pulumi is not installed in" in only(report, "sdk")["text"]
        assert report.code == 1

    def test_one_whose_python_does_not_run_is_named(self, machine: Machine, doctor: Doctor) -> None:
        self.python(machine, "exit 1")

        assert "its Python does not run" in only(doctor(), "python")["text"]

    def test_the_real_python_answers(self, machine: Machine, doctor: Doctor) -> None:
        self.name(machine, sys.prefix)

        report = doctor()

        assert only(report, "python")["level"] == "ok"
        assert only(report, "sdk")["level"] == "ok"


def test_a_check_that_fails_itself_is_not_fine_and_hides_nothing(
    monkeypatch: pytest.MonkeyPatch, doctor: Doctor
) -> None:
    def broken(facts: object) -> None:
        raise ZeroDivisionError("ouch")

    monkeypatch.setitem(package.CHECKS, "engine", broken)

    report = doctor()

    assert only(report, "engine")["text"] == "the check failed (ZeroDivisionError: ouch): please report it"
    assert only(report, "engine")["level"] == "unknown"
    assert only(report, "packs")["level"] == "ok"


def test_a_folder_that_is_none_is_a_wrong_option(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "-C", str(tmp_path / "none")]) == 2

    assert capsys.readouterr().err.endswith("none is no folder: name the project's folder with -C\n")


def test_a_line_of_another_server_stays_one_line(
    emulator: Emulator, machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    emulator.faults.add("containers.list", 418, body={"error": "a\nb\x1b[2J"})

    main(["doctor", "-C", str(machine.project)])

    out = capsys.readouterr().out
    assert len(out.splitlines()) == len(package.CHECKS) + 3
    assert "\x1b" not in out


def test_the_provider_process_that_cannot_be_tried_is_not_called_fine(
    monkeypatch: pytest.MonkeyPatch, doctor: Doctor
) -> None:
    from stacks_pulumi.account.doctor import _host_probe

    def fail() -> list[str]:
        raise _host_probe.ProbeError("it does not start")

    monkeypatch.setattr(_host_probe, "warnings", fail)
    assert only(doctor(), "host")["level"] == "unknown"

    monkeypatch.setattr(_host_probe, "warnings", lambda: ["only 4 operations run concurrently"])
    assert only(doctor(), "host")["level"] == "warning"


def test_the_environment_is_not_changed_by_a_pack(machine: Machine, doctor: Doctor) -> None:
    before = dict(os.environ)

    doctor("--policy-pack", str(machine.pack("mine", "import os; os.environ['X'] = '1'\n")))

    assert dict(os.environ) == before
