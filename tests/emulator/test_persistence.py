"""The state in a file."""

from __future__ import annotations

import json
import random
import stat
from typing import TYPE_CHECKING

import msgspec
import pytest

from stacks_pulumi.emulator import Emulator, StateFileError, access, backups, connections, containers, vpn
from stacks_pulumi.emulator import state as persistence
from stacks_pulumi.emulator.state import Journal, load, save

if TYPE_CHECKING:
    from pathlib import Path

    from tests.emulator.conftest import OneAccount


def full(platform: OneAccount) -> None:
    """Create one object of each kind, some still in progress."""
    app = platform.running("app", additional_storage_tier=1)
    database = platform.running("mydb", "postgresql")
    platform.running("gate", "stacks-vpn")
    access.set_access(platform, app, enabled=True)
    connections.create(platform, app, database, "primary")
    backups.pin(backups.trigger(platform, database), pinned=True)
    platform.create("late")
    platform.state.boot_failures["late"] = None


def test_load_restores_everything(platform: OneAccount, tmp_path: Path) -> None:
    full(platform)
    save(tmp_path / "state.json", platform.state)

    assert load(tmp_path / "state.json") == platform.state


def test_the_file_contains_no_key(platform: OneAccount, tmp_path: Path) -> None:
    full(platform)
    save(tmp_path / "state.json", platform.state)
    content = (tmp_path / "state.json").read_text()

    assert platform.secret not in content
    assert "sk_stacks_" not in content


def test_only_the_owner_may_read_the_snapshot_and_the_journal(platform: OneAccount, tmp_path: Path) -> None:
    full(platform)
    (tmp_path / "state.json.journal").touch(0o644)
    Journal(tmp_path / "state.json").save(platform.state)

    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}


def test_save_leaves_no_other_file(platform: OneAccount, tmp_path: Path) -> None:
    for _ in range(3):
        save(tmp_path / "state.json", platform.state)

    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]


@pytest.mark.parametrize("content", ["", "  \n"])
def test_a_missing_or_empty_file_starts_a_new_state(tmp_path: Path, content: str) -> None:
    assert load(tmp_path / "none.json") is None
    (tmp_path / "empty.json").write_text(content)
    assert load(tmp_path / "empty.json") is None


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"version": 1}', '{"version": 1, "world": {"seed": "x"}}', "\x00"]
)
def test_a_foreign_file_is_refused_in_one_line(tmp_path: Path, content: str) -> None:
    (tmp_path / "state.json").write_text(content)

    with pytest.raises(StateFileError, match="not an emulator's") as caught:
        load(tmp_path / "state.json")

    assert "\n" not in str(caught.value)


def test_a_file_of_another_version_is_refused(platform: OneAccount, tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    save(path, platform.state)
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": 3}))

    with pytest.raises(StateFileError, match="version 3"):
        load(path)


def test_an_unwritable_file_is_reported_in_one_line(platform: OneAccount, tmp_path: Path) -> None:
    with pytest.raises(StateFileError, match=r"nowhere/state\.json cannot be written"):
        save(tmp_path / "nowhere" / "state.json", platform.state)


def test_a_failed_write_keeps_the_old_file(platform: OneAccount, tmp_path: Path) -> None:
    (tmp_path / "state.json").mkdir()

    with pytest.raises(StateFileError, match="cannot be written"):
        save(tmp_path / "state.json", platform.state)

    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]


def test_an_unreadable_file_is_reported_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(StateFileError, match="cannot be read"):
        load(tmp_path)


def test_an_emulator_resumes_from_the_file(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    first = Emulator(state_file=path, spending_cap=50)
    first.advance(10 * 86400)
    with first.platform.lock:
        first.fail_boot("app")
    second = Emulator(state_file=path, spending_cap=20)

    assert second.key == first.key
    assert second.account == first.account
    assert second.state.boot_failures == {"app": 1}
    # The saved time includes the advanced part of the clock, so no timestamp is in the future.
    assert second.clock.now() - first.clock.now() == pytest.approx(0, abs=5)
    assert second.state.keys[0].spending_cap == 20


def test_a_change_is_written_to_the_journal_alone(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    emulator = Emulator(state_file=path)
    snapshot = path.read_bytes()

    emulator.fail_boot("app")

    assert path.read_bytes() == snapshot
    assert b'"app"' in (tmp_path / "state.json.journal").read_bytes()


def test_every_change_is_in_the_journal(platform: OneAccount, tmp_path: Path) -> None:
    """After every change, the two files together contain the complete state of the platform."""
    path, state = tmp_path / "state.json", platform.state
    journal = Journal(path)
    journal.save(state)
    snapshot = path.read_bytes()
    randomly = random.Random(7)

    def change() -> None:
        found = list(state.containers.values())
        one = randomly.choice(found) if found else platform.running("first")
        act = randomly.randrange(9)
        if act < 3:
            platform.running(f"box-{state.counters.get('container', 0)}", "stacks-vpn")
        elif act == 3:
            access.set_access(platform, one, not one.external_access)
        elif act == 4 and one.status == "running":
            backups.trigger(platform, one)
        elif act == 5 and one.vpn_clients:
            vpn.remove(one, one.vpn_clients[0].name)
        elif act == 6 and len(found) > 1 and {it.status for it in found[:2]} == {"running"}:
            connections.create(platform, found[0], found[1], f"link-{len(state.connections)}")
        elif act == 7:
            containers.delete(platform, one)
        else:
            platform.pass_time(randomly.choice((1, 3600, 86400)))

    for _ in range(150):
        change()
        journal.save(state)
        assert load(path) == state
    assert path.read_bytes() == snapshot

    journal.fold(state)
    assert (tmp_path / "state.json.journal").read_bytes() == b""
    assert load(path) == state


def test_a_journal_that_is_a_link_is_not_followed(platform: OneAccount, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine", encoding="utf-8")
    (tmp_path / "state.json.journal").symlink_to("precious")

    with pytest.raises(StateFileError, match=r"state\.json\.journal cannot be written"):
        Journal(tmp_path / "state.json").save(platform.state)

    assert (tmp_path / "precious").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("name", ["state.json", "state.json.journal"])
def test_a_file_that_is_nested_too_deeply_is_refused(name: str, platform: OneAccount, tmp_path: Path) -> None:
    save(tmp_path / "state.json", platform.state)
    (tmp_path / name).write_text(f'{{"generation": 0, "x": {"[" * 9999}{"]" * 9999}}}\n', encoding="utf-8")

    with pytest.raises(StateFileError, match=r"state\.json.* is (not an emulator's state file|damaged) \("):
        load(tmp_path / "state.json")


def test_a_save_without_changes_writes_nothing(platform: OneAccount, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "state.json")
    journal.save(platform.state)
    platform.create("app")
    journal.save(platform.state)
    size = (tmp_path / "state.json.journal").stat().st_size
    journal.save(platform.state)

    assert 0 < size == (tmp_path / "state.json.journal").stat().st_size < 2000


def test_a_cut_line_or_a_foreign_journal_is_ignored(platform: OneAccount, tmp_path: Path) -> None:
    path, log = tmp_path / "state.json", tmp_path / "state.json.journal"
    journal = Journal(path)
    journal.save(platform.state)
    platform.create("one")
    journal.save(platform.state)
    one = log.read_bytes()
    platform.create("two")
    journal.save(platform.state)

    log.write_bytes(log.read_bytes()[:-5])
    held = load(path)
    assert held is not None
    assert [found.name for found in held.containers.values()] == ["one"]
    # The files after a kill between the new snapshot and its new journal.
    journal.fold(platform.state)
    log.write_bytes(one)
    assert load(path) == platform.state


def test_a_long_journal_becomes_a_snapshot(
    platform: OneAccount, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(persistence, "_FOLD_AFTER", 3000)
    path, log = tmp_path / "state.json", tmp_path / "state.json.journal"
    journal = Journal(path)
    snapshots = set()
    for number in range(20):
        platform.create(f"box-{number}")
        journal.save(platform.state)
        snapshots.add(path.read_bytes())
        assert log.stat().st_size < 5000
        assert load(path) == platform.state
    assert 1 < len(snapshots) < 10, "the journal is begun again, and not at each change"


def test_a_damaged_or_missing_journal_is_reported_in_one_line(platform: OneAccount, tmp_path: Path) -> None:
    path, log = tmp_path / "state.json", tmp_path / "state.json.journal"
    journal = Journal(path)
    journal.save(platform.state)
    log.write_bytes(b"{}\n")
    with pytest.raises(StateFileError, match="is damaged") as caught:
        load(path)
    assert "\n" not in str(caught.value)

    log.unlink()
    platform.create("app")
    with pytest.raises(StateFileError, match="cannot be written"):
        journal.save(platform.state)
    # The next save writes everything.
    journal.save(platform.state)
    assert load(path) == platform.state


def test_a_file_of_the_first_version_is_read(platform: OneAccount, tmp_path: Path) -> None:
    full(platform)
    path = tmp_path / "state.json"
    path.write_bytes(msgspec.json.encode({"version": 1, "world": platform.state}))

    assert load(path) == platform.state
