"""`stacks-pulumi scaffold` with real stacks: both hosts adopt an account that was created by hand, without a change."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import requests

from stacks_pulumi.cli import main
from stacks_pulumi.emulator import Emulator
from tests.support import beyond_a_grant
from tests.support.stack import Stack
from tests.support.waiting import until

DESCRIPTION = 'the "office"\n${x}'


@pytest.fixture
def by_hand(emulator: Emulator) -> Emulator:
    """An account whose objects were created over HTTP, without this package."""
    call = Caller(emulator)
    web, data, vpn, idle = (
        call("POST", "containers", name=name, template=template, plan=plan)["data"]["id"]
        for name, template, plan in (
            ("web", "nodejs", "standard"),
            ("data", "postgresql", "basic"),
            ("vpn", "stacks-vpn", None),
            ("idle-micro", "nginx-micro", "micro"),
        )
    )
    until(lambda: all(one["status"] == "running" for one in call("GET", "containers")["data"]))
    call("PUT", f"containers/{web}/external-access", enabled=True)
    call(
        "POST",
        f"containers/{web}/allowed-ips",
        ip_address="198.51.100.0/24",
        description=DESCRIPTION,
    )
    call("POST", f"containers/{web}/allowed-ips", ip_address="2001:DB8::7", service_type="tcp")
    call("POST", f"containers/{web}/connect/{data}", connectionName="primary-db")
    call("POST", f"containers/{vpn}/vpn-clients", name="laptop")
    call("POST", f"containers/{data}/backup")
    until(lambda: call("GET", f"containers/{data}/backups")["data"][0]["status"] == "completed")
    call("POST", f"backups/{call('GET', f'containers/{data}/backups')['data'][0]['id']}/pin")
    call("PUT", f"containers/{idle}/status", status="stopped")
    until(lambda: emulator.state.container(idle).status == "stopped")
    return emulator


class Caller:
    """An HTTP client without code of this package."""

    def __init__(self, emulator: Emulator) -> None:
        self._url = emulator.url
        self._headers = {"Authorization": f"Bearer {emulator.key}"}

    def __call__(self, method: str, path: str, **body: Any) -> dict[str, Any]:
        given = {name: value for name, value in body.items() if value is not None}
        answer = requests.request(
            method, f"{self._url}/{path}", json=given or None, headers=self._headers, timeout=60
        )
        assert answer.ok, answer.text
        data: dict[str, Any] = answer.json()
        return data


@pytest.fixture
def key_in_environment(emulator: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # This folder and its parents contain no project.
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STACKS_API_KEY", emulator.key)
    monkeypatch.setenv("STACKS_BASE_URL", emulator.url)


def changes(emulator: Emulator, since: int) -> list[tuple[str, str]]:
    """Return the changing requests."""
    return [(one.method, one.path) for one in emulator.requests[since:] if one.method != "GET"]


@pytest.mark.slow
@pytest.mark.usefixtures("key_in_environment")
@beyond_a_grant.ADDRESS
def test_an_account_made_by_hand_is_adopted_without_a_change(
    by_hand: Emulator, stack: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = len(by_hand.requests)
    arguments = ["--out", str(tmp_path / "taken"), "--project", "tests"]
    assert main(["scaffold", "--owned", *arguments]) == 0
    for name in ("__main__.py", "Pulumi.yaml"):
        shutil.copy(tmp_path / "taken" / name, stack.folder / name)

    shown = stack.preview().text
    assert "adopts usr-5e953f3b-data, billed already: $" in shown
    assert "4 containers: $15.00 a month (no change); 4 adopted" in shown
    assert "another stack" not in shown
    result = stack.up(quiet_afterwards=False)

    kinds = [one["type"].rpartition(":")[2] for one in stack.resources().values()]
    assert {kind: kinds.count(kind) for kind in kinds} == KINDS
    assert result.changes["create"] == 1 + sum(KINDS.values())
    assert "adopted usr-" in result.text
    stack.refresh()
    assert "adopted" not in stack.preview().text
    assert changes(by_hand, before) == []

    # Now `account` shows every object as owned.
    (tmp_path / "export.json").write_text(stack.export(), encoding="utf-8")
    arguments = [
        "--state",
        str(tmp_path / "export.json"),
        "--children",
        "--fail-on",
        "orphans,double,missing",
    ]
    assert main(["account", *arguments]) == 0
    taken = ["--state", str(tmp_path / "export.json"), "--out", str(tmp_path / "again")]
    assert main(["scaffold", *taken]) == 1
    assert "container data: a stack owns it: 'data' of tests/" in capsys.readouterr().err

    error = stack.destroy_fails().text
    assert "protected" in error
    assert {one.name for one in by_hand.state.containers.values()} == {"data"}


KINDS = {"Container": 4, "Connection": 1, "AllowedIp": 2, "VpnClient": 1, "PinnedBackup": 1}


@pytest.mark.slow
@pytest.mark.usefixtures("key_in_environment")
@beyond_a_grant.ADDRESS
def test_a_yaml_program_adopts_with_the_native_plugin(
    by_hand: Emulator, stack: Stack, tmp_path: Path, yaml_language_host: Path
) -> None:
    before = len(by_hand.requests)
    arguments = ["--out", str(tmp_path / "taken"), "--project", "tests", "--language", "yaml"]
    assert main(["scaffold", "--owned", *arguments]) == 0
    program = (tmp_path / "taken" / "Pulumi.yaml").read_text(encoding="utf-8")
    stack.yaml(program, yaml_language_host)

    result = stack.up(quiet_afterwards=False)

    assert result.changes["create"] == 1 + sum(KINDS.values())
    stack.refresh()
    assert changes(by_hand, before) == []
    rule = next(one for one in stack.resources().values() if one["id"].endswith("/198.51.100.0/24"))
    assert rule["inputs"]["description"] == DESCRIPTION
    assert "protected" in stack.destroy_fails().text
    assert {one.name for one in by_hand.state.containers.values()} == {"data"}


@pytest.mark.slow
@pytest.mark.usefixtures("key_in_environment")
def test_the_import_file_imports_every_resource(by_hand: Emulator, stack: Stack, tmp_path: Path) -> None:
    before = len(by_hand.requests)
    assert main(["scaffold", "--owned", "--out", str(tmp_path / "taken")]) == 0
    file = tmp_path / "taken" / "import.json"
    stack.native()

    stack.cli("import", "--file", str(file), "--yes", "--skip-preview", "--generate-code=false")

    wanted = {(one["type"], one["id"]) for one in json.loads(file.read_text(encoding="utf-8"))["resources"]}
    assert {(one["type"], one["id"]) for one in stack.resources().values()} == wanted
    assert len(wanted) == sum(KINDS.values())
    assert changes(by_hand, before) == []
