"""The live account, through the real client and the emulator."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from stacks_pulumi.api import StacksClient
from stacks_pulumi.cli import main
from stacks_pulumi.cost import live
from stacks_pulumi.emulator import Emulator
from stacks_pulumi.errors import StacksError
from tests.support.previews import preview, step, web


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Emulator]:
    # No project is here or above.
    monkeypatch.chdir(tmp_path)
    with Emulator(boot_seconds=0) as emulator:
        monkeypatch.setenv("STACKS_API_KEY", emulator.key)
        monkeypatch.setenv("STACKS_BASE_URL", emulator.url)
        with StacksClient(emulator.key, base_url=emulator.url) as client:
            client.containers.create(name="web", template="nodejs", plan="premium", additional_storage_tier=3)
            client.containers.create(name="data", template="postgresql", plan="basic")
            client.containers.create(name="vpn", template="stacks-vpn")
        yield emulator


def test_everything_in_the_account_is_priced(account: Emulator, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cost", "--account", "--format", "json", "--max-total", "21"]) == 2

    data = json.loads(capsys.readouterr().out)
    assert data["planned"] == {"low": "22.00", "high": "22.00"}
    assert [(one["name"], one["planned"]["kind"]) for one in data["resources"]] == [
        ("data", "postgresql, basic"),
        ("vpn", "stacks-vpn"),
        ("web", "nodejs, premium, 64 GB more"),
    ]


def test_live_prices_confirm_the_catalogue(
    account: Emulator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "preview.json"
    file.write_bytes(preview(step("create", "new", None, web())))

    assert main(["cost", str(file), "--live-prices"]) == 0

    assert account.calls("containers.templates") == 1
    assert "live prices:" not in capsys.readouterr().out


def test_a_price_that_the_platform_does_not_list_is_not_exact(
    account: Emulator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "preview.json"
    file.write_bytes(preview(step("create", "new", None, web("premium"))))

    assert main(["cost", str(file), "--live-prices"]) == 0
    assert main(["cost", str(file), "--live-prices", "--strict"]) == 3
    assert "error: the API does not list nodejs premium, so the catalogue's" in capsys.readouterr().out
    file.write_bytes(preview(step("create", "new", None, web())))
    assert main(["cost", str(file), "--live-prices", "--strict"]) == 0


def test_a_policy_reads_the_account(account: Emulator) -> None:
    assert sorted((one.name, str(one.price)) for one in live.containers(10)) == [
        ("data", "$4.00"),
        ("vpn", "$5.00"),
        ("web", "$13.00"),
    ]


def test_a_key_that_is_refused_is_one_line(
    account: Emulator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = f"sk_stacks_{'0' * 64}"
    monkeypatch.setenv("STACKS_API_KEY", wrong)

    assert main(["cost", "--account"]) == 1

    error = capsys.readouterr().err
    assert error.startswith("stacks-pulumi cost: ")
    assert error.count("\n") == 1
    assert wrong not in error
    with pytest.raises(StacksError):
        live.containers(10)
