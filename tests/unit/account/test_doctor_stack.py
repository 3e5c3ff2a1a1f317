"""The doctor on the account and the stack's state, on policy packs and on the virtual environment."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

from stacks_pulumi.config import AccountSettings
from stacks_pulumi.emulator import Emulator
from tests.support.machine import Machine, resource
from tests.tools.fake_executables import executable
from tests.unit.account.conftest import Report, only

Doctor = Callable[..., Report]


class TestAccount:
    """The account of the containers in the state."""

    def test_a_stack_without_resources_fits_every_account(self, doctor: Doctor) -> None:
        assert only(doctor(), "account")["level"] == "ok"

    def test_resources_of_another_provider_are_not_of_the_stacks_key(
        self, machine: Machine, emulator: Emulator, doctor: Doctor
    ) -> None:
        emulator.load([{"name": "web", "template": "nodejs"}])
        machine.state([resource("Container", "usr-other-web", provider="team-b")])

        assert (
            only(doctor(), "account")["text"]
            == "the stack has no resources in the account of its key: any account will do"
        )

    def test_an_empty_account_with_another_key_is_a_problem(self, machine: Machine, doctor: Doctor) -> None:
        machine.state([resource("Container", "usr-gone-web", origin="0123456789abcdef-01")])

        report = doctor()

        assert report.code == 1
        assert "the account of this key is empty" in only(report, "account")["text"]

    def test_an_empty_account_with_the_key_of_the_last_change_is_fine(
        self, machine: Machine, emulator: Emulator, doctor: Doctor
    ) -> None:
        mine = AccountSettings(emulator.key, emulator.url).fingerprint
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

    def test_a_missing_folder_is_named(self, machine: Machine, doctor: Doctor) -> None:
        report = doctor("--policy-pack", str(machine.project))

        assert "is no policy pack: it has no PulumiPolicy.yaml" in only(report, "packs")["text"]
        assert report.code == 1

    def test_another_runtime_is_reported(self, machine: Machine, doctor: Doctor) -> None:
        folder = machine.pack("mine", "")
        (folder / "PulumiPolicy.yaml").write_text("runtime: nodejs\n", encoding="utf-8")

        assert only(doctor(), "packs")["level"] == "unknown"

    def test_a_file_that_is_not_yaml_is_named(self, machine: Machine, doctor: Doctor) -> None:
        folder = machine.pack("mine", "")
        (folder / "PulumiPolicy.yaml").write_text("runtime: [\n", encoding="utf-8")

        assert "cannot be read" in only(doctor(), "packs")["text"]


class TestVirtualEnvironment:
    """The doctor checks the virtual environment that Pulumi.yaml names."""

    def name(self, machine: Machine, folder: str) -> None:
        text = f"name: tests\nruntime:\n  name: python\n  options:\n    virtualenv: {folder}\n"
        machine.project_file.write_text(text, encoding="utf-8")

    def python(self, machine: Machine, text: str) -> None:
        self.name(machine, "venv")
        executable(machine.project / "venv/bin/python", f"#!/bin/sh\n{text}\n")

    def test_a_missing_environment_prevents_an_up(self, machine: Machine, doctor: Doctor) -> None:
        self.name(machine, "venv")

        report = doctor()

        assert only(report, "python")["fix"].startswith("pulumi install")
        assert (report.levels("problem"), report.code) == ({"python"}, 1)
        assert {"sdk", "extras"} <= report.levels("unknown")

    def test_its_versions_are_checked(self, machine: Machine, doctor: Doctor) -> None:
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
