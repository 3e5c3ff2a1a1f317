"""Snapshots: saved, read and compared, by `cost --account` and by `account`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from stacks_pulumi._pulumi_cli import InputError
from stacks_pulumi.cli import main
from stacks_pulumi.cost.live import Entry, Snapshot, compare, read_snapshot, write_snapshot
from stacks_pulumi.cost.report import Item
from stacks_pulumi.emulator import Emulator
from stacks_pulumi.pricing.money import Price

PRICED = (
    b'{"version": 1, "taken_at": "", "base_url": "", "containers": '
    b'[{"id": "x", "name": "x", "kind": "", "price": {"low": "%s"}}]}'
)
URL = "https://api.example/api/v1"


def entry(name: str, dollars: int = 4, created_at: str = "2026-01-01T00:00:00Z") -> Entry:
    item = Item("nodejs, basic", Price(Decimal(dollars), Decimal(dollars)))
    return Entry(f"usr-1-{name}", name, created_at, item)


def snapshot(*entries: Entry, url: str = URL) -> Snapshot:
    return Snapshot("2026-01-02T00:00:00Z", url, entries)


def changes(before: Snapshot, after: Snapshot) -> list[tuple[str, str, str]]:
    return [(line.name, line.action, str(line.difference)) for line in compare(before, after).lines]


def test_a_snapshot_that_was_saved_is_read_as_it_was(tmp_path: Path) -> None:
    unbounded = Entry("usr-1-new", "new", None, Item("x", Price(Decimal(1), None)), ("shop/dev",))
    taken = snapshot(entry("web"), unbounded)
    write_snapshot(tmp_path / "a.json", taken.describe())

    assert read_snapshot(tmp_path / "a.json") == taken
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]


def test_a_link_that_lies_there_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine", encoding="utf-8")
    (tmp_path / "a.json").symlink_to("precious")

    write_snapshot(tmp_path / "a.json", snapshot(entry("web")).describe())

    assert (tmp_path / "precious").read_text(encoding="utf-8") == "mine"
    assert read_snapshot(tmp_path / "a.json") == snapshot(entry("web"))


def test_two_commands_at_once_do_not_write_into_one_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, other = (snapshot(entry(name)) for name in ("mine", "other"))
    file = tmp_path / "a.json"
    replace_ = Path.replace

    def late(self: Path, target: Path) -> Path:
        monkeypatch.undo()
        write_snapshot(file, other.describe())
        assert read_snapshot(file) == other
        return replace_(self, target)

    monkeypatch.setattr(Path, "replace", late)

    write_snapshot(file, mine.describe())

    assert read_snapshot(file) == mine
    assert [one.name for one in tmp_path.iterdir()] == ["a.json"]


def test_a_comparison_shows_new_deleted_changed_and_unchanged() -> None:
    before = snapshot(entry("old"), entry("web"), entry("api", 4))
    after = snapshot(entry("web"), entry("api", 10), entry("fresh", 5))

    assert changes(before, after) == [
        ("api", "update", "+$6.00"),
        ("fresh", "create", "+$5.00"),
        ("old", "delete", "-$4.00"),
        ("web", "same", "$0.00"),
    ]


def test_a_container_with_the_same_id_and_another_creation_time_is_another_one() -> None:
    before, after = snapshot(entry("web")), snapshot(entry("web", created_at="2026-01-01T05:00:00Z"))

    assert changes(before, after) == [("web", "create", "+$4.00"), ("web", "delete", "-$4.00")]


def test_a_snapshot_of_another_api_is_refused() -> None:
    with pytest.raises(InputError, match="a snapshot of the same account") as caught:
        compare(snapshot(url="https://other.example/api/v1"), snapshot())

    assert caught.value.code == "other-account"


def test_a_snapshot_of_another_account_at_the_same_api_is_refused() -> None:
    other = replace(entry("web"), id="usr-2-web")

    with pytest.raises(InputError, match="to the account usr-2, but this account is usr-1"):
        compare(snapshot(other), snapshot(entry("api")))
    assert changes(snapshot(), snapshot(entry("web"))) == [("web", "create", "+$4.00")]
    # An id in a form outside the guide shows nothing about the account.
    unknown = replace(entry("web"), id="c-17")
    assert changes(snapshot(unknown), snapshot(unknown)) == [("web", "same", "$0.00")]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b'{"deployment": {}}',
        b'{"version": 2, "taken_at": "", "base_url": "", "containers": []}',
        PRICED % b"nan",
        PRICED % b"-1",
        PRICED % b"1e999999",
        PRICED % b"much",
        b"[" * 100_000,
    ],
)
def test_an_invalid_snapshot_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(content)

    with pytest.raises(InputError, match=r"a\.json is (not )?a snapshot"):
        read_snapshot(tmp_path / "a.json")


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Emulator]:
    # This folder and its parents contain no project.
    monkeypatch.chdir(tmp_path)
    with Emulator(boot_seconds=0) as emulator:
        monkeypatch.setenv("STACKS_API_KEY", emulator.key)
        monkeypatch.setenv("STACKS_BASE_URL", emulator.url)
        emulator.load([{"name": "web", "template": "nodejs"}])
        yield emulator


def cost(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> dict[str, Any]:
    assert main(["cost", "--account", "--format", "json", *arguments]) == code
    data: dict[str, Any] = json.loads(capsys.readouterr().out)
    return data


def test_the_cost_of_an_account_is_compared_with_a_snapshot_and_limited(
    account: Emulator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(tmp_path / "then.json")
    cost(capsys, "--save", file)
    account.load([{"name": "data", "template": "postgresql"}])

    data = cost(capsys, "--compare-to", file, "--max-increase", "3", code=2)
    assert (data["source"], data["past"]["low"], data["planned"]["low"]) == ("comparison", "4.00", "8.00")
    assert {one["name"]: one["action"] for one in data["resources"]} == {"data": "create", "web": "same"}

    cost(capsys, "--compare-to", file, "--max-increase", "4")
    assert main(["cost", "--account", "--compare-to", file]) == 0
    assert "Snapshot" in capsys.readouterr().out


def test_saving_needs_the_account(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["cost", "--save", str(tmp_path / "x")]) == 1
    assert "--save and --compare-to work only with --account" in capsys.readouterr().err
