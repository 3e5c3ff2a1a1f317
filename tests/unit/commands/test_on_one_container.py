"""logs, backups, credentials and vpn-config: their output, their hidden values, and their errors."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stacks_pulumi.cli import main
from stacks_pulumi.emulator import Emulator
from tests.support.machine import Machine

Said = Callable[..., str]
Document = Callable[..., dict[str, Any]]


@pytest.mark.parametrize("name", ["data", "DATA", "id"])
def test_a_container_is_named_by_its_name_or_its_id(
    document: Document, emulator: Emulator, name: str
) -> None:
    wanted = f"{emulator.account}-data"

    assert document("logs", wanted if name == "id" else name)["container"] == wanted


@pytest.mark.parametrize(
    "command", [["logs"], ["backups"], ["credentials"], ["vpn-config", "--show-secrets"]]
)
def test_a_container_that_is_not_there_is_answered_with_those_that_are(
    failed: Callable[..., str], command: list[str]
) -> None:
    line = failed(command[0], "dota", *command[1:])

    assert line.endswith("the account has no container 'dota'; it has: app, data, net [not-found]\n")


def test_a_container_that_an_incomplete_list_may_hide_is_not_called_missing(
    failed: Callable[..., str], emulator: Emulator
) -> None:
    rows = [{"id": f"{emulator.account}-app", "name": "app"}, {"id": {"odd": 1}, "name": "data"}]
    emulator.faults.add("containers.list", "answer", body={"success": True, "data": rows})

    assert "the API's list is incomplete" in failed("logs", "data")


class TestBackups:
    def test_the_table_has_a_row_for_each(self, said: Said) -> None:
        head, *rows = said("backups", "data").splitlines()

        assert head.split() == ["Id", "Kind", "Status", "Created", "Size", "Pinned"]
        assert [row.split()[1:3] for row in rows] == [["manual", "completed"]] * 2

    def test_no_more_than_the_limit(self, document: Document) -> None:
        assert len(document("backups", "data", "--limit", "1")["backups"]) == 1

    def test_the_json_has_every_field(self, document: Document) -> None:
        first = document("backups", "data")["backups"][0]

        assert {"id", "backup_type", "status", "created_at", "size_bytes", "pinned"} <= first.keys()

    def test_an_empty_list_is_a_sentence(self, said: Said) -> None:
        assert said("backups", "app").startswith("There are no backups.")

    def test_a_failed_one_shows_why(self, said: Said, emulator: Emulator) -> None:
        emulator.fail_backup("app", "no space\x1b[2J left")
        with emulator.platform.lock:
            from stacks_pulumi.emulator import backups, containers

            app = containers.find(emulator.platform, emulator.account, f"{emulator.account}-app")
            backups.trigger(emulator.platform, app)
            emulator.platform.settle()

        out = said("backups", "app")

        assert r"failed (no space\x1b[2J left)" in out

    def test_without_a_container_the_figures_of_the_account(self, said: Said, document: Document) -> None:
        assert said("backups").splitlines()[0].split() == ["backups", "2"]
        assert document("backups")["total_backups"] == 2

    @pytest.mark.parametrize(
        ("size", "shown"),
        [
            (None, "?"),
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (1_000_000, "1.0 MB"),
            (1_540_000_000, "1.5 GB"),
            (1_000_000 * 10**12, "1000000.0 TB"),
        ],
    )
    def test_a_size_is_shown_in_the_largest_unit_that_it_fills(
        self, said: Said, emulator: Emulator, size: int | None, shown: str
    ) -> None:
        emulator.faults.add(
            "backups.list", "answer", body={"success": True, "data": [{"id": 1, "size_bytes": size}]}
        )

        head, row = said("backups", "data").splitlines()

        assert row[head.index("Size") : head.index("Pinned")].strip() == shown

    def test_an_incomplete_list_is_reported(
        self, emulator: Emulator, capsys: pytest.CaptureFixture[str]
    ) -> None:
        emulator.faults.add("backups.list", "wrong_types", field="id", row=0)

        assert main(["backups", "data"]) == 1

        told = capsys.readouterr()
        assert "the list is incomplete" in told.err
        assert told.out.startswith("Incomplete: ")
        assert "completed" in told.out

    def test_as_many_backups_as_were_asked_for_are_complete(
        self, emulator: Emulator, document: Callable[..., dict[str, Any]]
    ) -> None:
        rows = [{"id": number, "status": "completed"} for number in (1, 2)]
        emulator.faults.add("backups.list", "answer", body={"data": rows, "count": 9})

        assert document("backups", "data", "--limit", "2")["complete"] is True

    def test_an_incomplete_list_is_not_an_empty_one(
        self, emulator: Emulator, capsys: pytest.CaptureFixture[str]
    ) -> None:
        emulator.faults.add("backups.list", "answer", body={"data": [{"status": "completed"}]})

        assert main(["backups", "data"]) == 1

        [line] = capsys.readouterr().out.splitlines()
        assert line.startswith("Incomplete: ")


class TestCredentials:
    def test_escape_codes_of_the_api_are_removed(self, said: Said, emulator: Emulator) -> None:
        data = {"mainCredentials": {"username": "\x1b[2Jroot\nhost  evil"}}
        emulator.faults.add("containers.credentials", "answer", body={"data": data})

        assert r"username       \x1b[2Jroot\nhost  evil" in said("credentials", "data").splitlines()

    def test_a_password_is_hidden_unless_it_is_asked_for(self, said: Said, document: Document) -> None:
        secret = document("credentials", "data", "--show-secrets")
        password = secret["password"]

        assert len(password) > 8
        assert secret["raw"]["mainCredentials"]["password"] == password
        assert password in said("credentials", "data", "--show-secrets")
        for shown in (said("credentials", "data"), str(document("credentials", "data"))):
            assert password not in shown
            assert "[secret]" in shown
            assert "raw" not in shown


class TestVpnConfig:
    def test_it_is_written_to_a_file_that_only_the_owner_reads(self, said: Said, tmp_path: Path) -> None:
        file = tmp_path / "wg.conf"

        assert said("vpn-config", "net", "--client", "laptop", "--out", str(file)) == f"wrote {file}\n"

        assert file.read_text(encoding="utf-8").startswith("[Interface]\nPrivateKey = ")
        assert stat.S_IMODE(file.stat().st_mode) == 0o600

    def test_a_file_is_never_overwritten(self, failed: Callable[..., str], tmp_path: Path) -> None:
        file = tmp_path / "wg.conf"
        file.write_text("mine", encoding="utf-8")

        assert "already has wg.conf, and no file is overwritten" in failed(
            "vpn-config", "net", "--out", str(file)
        )
        assert file.read_text(encoding="utf-8") == "mine"

    def test_a_folder_that_is_a_file_is_one_line(self, failed: Callable[..., str], tmp_path: Path) -> None:
        (tmp_path / "file").touch()

        where = str(tmp_path / "file" / "wg.conf")

        assert "is a file, not a folder" in failed("vpn-config", "net", "--out", where)

    def test_it_is_printed_only_if_that_is_asked_for(
        self, said: Said, document: Document, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit, match=r"^1$"):
            main(["vpn-config", "net"])

        assert "one of the arguments -o/--out --show-secrets is required" in capsys.readouterr().err
        text = said("vpn-config", "net", "--show-secrets")
        assert text.startswith("[Interface]\n")
        assert document("vpn-config", "net", "--show-secrets")["config"].strip() == text.strip()

    def test_the_json_names_the_file_and_not_the_key(self, document: Document, tmp_path: Path) -> None:
        file = str(tmp_path / "wg.conf")

        told = document("vpn-config", "net", "--out", file)

        said = {name: told[name] for name in told if name not in {"version", "incomplete", "errors"}}
        assert said == {"container": told["container"], "client": "default", "file": file}

    def test_commands_are_not_written_unless_that_is_allowed(
        self,
        emulator: Emulator,
        failed: Callable[..., str],
        capsys: pytest.CaptureFixture[str],
        tmp_path: Path,
    ) -> None:
        config = "[Interface]\nPrivateKey = a\nPostUp = id\x1b[2J > /tmp/x\n"
        emulator.faults.add("vpn_clients.config", "answer", 3, body={"data": {"config": config}})
        file = tmp_path / "wg.conf"

        line = failed("vpn-config", "net", "--out", str(file))

        assert "as root: line 3 has control characters" in line
        assert not file.exists()
        assert main(["vpn-config", "net", "--show-secrets"]) == 0
        shown = capsys.readouterr()
        assert shown.out.splitlines()[2] == r"PostUp = id\x1b[2J > /tmp/x"
        assert "warning: wg-quick may run commands" in shown.err
        assert main(["vpn-config", "net", "--out", str(file), "--allow-commands"]) == 0
        assert file.read_text(encoding="utf-8") == config
        assert "warning: wg-quick may run commands" in capsys.readouterr().err

    def test_another_client_is_answered_with_those_that_are(self, failed: Callable[..., str]) -> None:
        line = failed("vpn-config", "net", "--client", "phone", "--show-secrets")

        assert line.endswith("has no VPN client 'phone'; it has: default, laptop [not-found]\n")


class TestLogs:
    def test_the_last_lines(self, said: Said, document: Document) -> None:
        lines = document("logs", "app")["lines"]

        assert len(lines) > 1
        assert said("logs", "app", "-n", "1").splitlines() == lines[-1:]

    @pytest.mark.parametrize("arguments", [["-n", "0"], ["-n", "501"], ["--interval", "0.5"]])
    def test_a_wrong_option_is_refused(
        self, arguments: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit, match=r"^1$"):
            main(["logs", "app", *arguments])

        assert "error: argument" in capsys.readouterr().err

    def test_a_log_that_is_followed_is_no_json(
        self, emulator: Emulator, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["logs", "app", "-f", "--json"]) == 1

        assert "--follow and JSON cannot be combined" in capsys.readouterr().err
        assert emulator.calls() == 0


class TestWhoseAccount:
    """The commands use the provider's settings: first from the stack, then from the environment."""

    @pytest.fixture
    def machine(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, emulator: Emulator) -> Machine:
        made = Machine(tmp_path / "machine", monkeypatch)
        monkeypatch.chdir(made.project)
        return made

    def test_a_stack_without_a_key_leaves_it_to_the_environment(
        self, machine: Machine, emulator: Emulator, said: Said
    ) -> None:
        machine.variable("STACKS_API_KEY", emulator.key)
        machine.variable("STACKS_BASE_URL", emulator.url)

        assert said("backups").startswith("backups")

    def test_the_stacks_key_is_not_sent_to_an_address_of_the_environment(
        self, machine: Machine, emulator: Emulator, failed: Callable[..., str]
    ) -> None:
        machine.set("stacks:apiKey", emulator.key, secret=True)
        machine.variable("STACKS_BASE_URL", "https://collector.test/api/v1")

        assert "the environment sets this address (STACKS_BASE_URL)" in failed("backups")

    def test_a_project_without_a_stack_uses_the_environment_with_a_note(
        self, machine: Machine, emulator: Emulator, capsys: pytest.CaptureFixture[str]
    ) -> None:
        machine.break_config()
        machine.variable("STACKS_API_KEY", emulator.key)
        machine.variable("STACKS_BASE_URL", emulator.url)

        assert main(["backups"]) == 0

        assert "the stack's settings are not used: no stack selected" in capsys.readouterr().err

    def test_a_stack_that_is_named_and_cannot_be_read_is_an_error(
        self, machine: Machine, emulator: Emulator, failed: Callable[..., str]
    ) -> None:
        machine.break_config()
        machine.variable("STACKS_API_KEY", emulator.key)

        assert "no stack selected" in failed("backups", "--stack", "dev")

    def test_a_key_that_cannot_be_decrypted_is_an_error(
        self, machine: Machine, emulator: Emulator, failed: Callable[..., str]
    ) -> None:
        machine.set("stacks:apiKey", emulator.key, secret=True)
        machine.lock("incorrect passphrase")

        assert "the stack's key cannot be decrypted: incorrect passphrase" in failed("backups")

    def test_a_misspelt_setting_is_an_error(
        self, machine: Machine, emulator: Emulator, failed: Callable[..., str]
    ) -> None:
        machine.set("stacks:baseURL", emulator.url)
        machine.variable("STACKS_API_KEY", emulator.key)

        assert "did you mean stacks:baseUrl?" in failed("backups")
