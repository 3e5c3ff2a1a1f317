"""Backups on a platform with different words, different ids, and outdated lists: each new backup is named."""

from __future__ import annotations

from typing import Any

import pytest

from stacks_pulumi.api.backups import NotListedError
from stacks_pulumi.platform_file import Backups, Lists, PlatformFacts
from stacks_pulumi.resources._creation import InitFailedError
from stacks_pulumi.resources._identity import UnseenError
from stacks_pulumi.resources.pinned_backup import PinnedBackupHandler
from tests.unit.api.scripted_api import Reply, data, ok, refusal
from tests.unit.resources.scripted_account import ScriptedAccount

UUID = "0b7c8a52-3a0e-4b6f-9a53-6f1d2c3b4a5e"
MADE = "2027-01-15T08:00:05.000Z"
INPUTS: dict[str, Any] = {"container": "usr-1-db", "on_delete": "unpin"}


def row(id_: Any = 8, **more: Any) -> dict[str, Any]:
    return {
        "id": id_,
        "backup_type": "manual",
        "status": "completed",
        "created_at": MADE,
        "pinned": 0,
        **more,
    }


OLD = row(7, created_at="2026-05-16T18:00:00.000Z")


def rows(*given: dict[str, Any]) -> Reply:
    return data(list(given))


def account(*looks: Reply, facts: PlatformFacts | None = None, **more: Any) -> ScriptedAccount:
    replies: dict[str, Any] = {
        "backups__list": list(looks),
        "backups__trigger": data({"container_id": "usr-1-db", "status": "in_progress"}, 202),
        "backups__pin": ok({"success": True}),
        **more,
    }
    return ScriptedAccount(facts, **replies)


def create(on: ScriptedAccount, **inputs: Any) -> tuple[str, dict[str, Any]]:
    return PinnedBackupHandler().creation(on.session, on.op, {**INPUTS, **inputs}).run()


def update(on: ScriptedAccount, id_: str, olds: dict[str, Any]) -> dict[str, Any]:
    return PinnedBackupHandler().on_update(on.session, on.op, id_, olds, dict(INPUTS))


def init_failed(on: ScriptedAccount) -> InitFailedError:
    with pytest.raises(InitFailedError) as failure:
        create(on)
    return failure.value


# --- ids, pins, lag ---


def test_a_named_backup_that_is_older_than_the_list_is_pinned_without_a_look_at_it() -> None:
    on = account(rows(*(row(number) for number in range(101, 201))))

    id_, outs = create(on, backup_id=7)

    assert (id_, outs["pinned"], on.sent("backups.pin")) == ("usr-1-db/7", True, 1)
    assert "not among the newest 100" in on.call.warnings[-1]


def test_a_text_is_an_id() -> None:
    on = account(rows(row(UUID[::-1])), rows(row(UUID[::-1]), row(UUID)), rows(row(UUID, pinned=1)))

    id_, outs = create(on)

    assert (id_, outs["backup_id"], outs["pinned"]) == (f"usr-1-db/{UUID}", UUID, True)
    found = PinnedBackupHandler().on_read(on.session, on.op, id_, dict(outs))
    assert found is not None
    assert found["backup_id"] == UUID


def test_of_two_new_backups_the_earlier_is_taken_whatever_the_form_of_their_ids() -> None:
    earlier, later = row(8), row("by-hand-1", created_at="2027-01-15T08:00:07.000Z")
    on = account(rows(OLD), rows(OLD, later, earlier), rows(row(8, pinned=1)))

    assert create(on)[0] == "usr-1-db/8"


@pytest.mark.parametrize("shown", [{"pinned": "0"}, {"pinned": False}])
def test_no_pin_is_a_flag(shown: dict[str, Any]) -> None:
    unpinned = {name: value for name, value in row().items() if name != "pinned"} | shown
    on = account(rows(unpinned))

    outs = PinnedBackupHandler().on_read(
        on.session, on.op, "usr-1-db/8", {"created_at": MADE, "backup_id": 8}
    )

    assert outs is not None
    assert outs["pinned"] is False


def test_a_list_that_does_not_say_what_is_pinned_takes_no_pin_away() -> None:
    silent = {name: value for name, value in row().items() if name != "pinned"}
    on = account(rows(), rows(silent), rows(silent))

    id_, outs = create(on)

    assert outs["pinned"] is True
    found = PinnedBackupHandler().on_read(on.session, on.op, id_, dict(outs))
    assert found is not None
    assert found["pinned"] is True


@pytest.mark.parametrize("pinned", [True, False])
def test_a_list_that_does_not_say_what_is_pinned_shows_no_difference(pinned: bool) -> None:
    on = account(rows({name: value for name, value in row().items() if name != "pinned"}))
    olds = {"created_at": MADE, "backup_id": 8, "pinned": pinned}

    outs = PinnedBackupHandler().on_read(on.session, on.op, "usr-1-db/8", olds)

    assert outs is not None
    assert outs["pinned"] is pinned


def test_a_backup_that_cannot_be_pinned_yet_is_pinned_later() -> None:
    busy = refusal(409)
    looks = [rows(), *([rows(row())] * 3), rows(row(pinned=1))]
    on = account(*looks, backups__pin=[busy, busy, ok({"success": True})])

    assert create(on)[1]["pinned"] is True
    assert on.sent("backups.pin") == 3


def test_a_pin_that_is_listed_later_is_awaited() -> None:
    on = account(rows(), rows(row()), rows(row()), rows(row()), rows(row(pinned=1)))

    assert create(on)[1]["pinned"] is True
    assert on.sent("backups.pin") == 1


def test_a_backup_that_is_listed_later_is_awaited() -> None:
    on = account(rows(OLD), *[rows(OLD)] * 8, rows(OLD, row()), rows(OLD, row(pinned=1)))

    assert create(on)[0] == "usr-1-db/8"
    assert on.sent("backups.trigger") == 1


# --- each backup that was made is named, and no other one is made ---


def test_a_backup_that_no_list_shows_is_named_and_nothing_is_kept() -> None:
    on = account(rows(OLD))

    with pytest.raises(NotListedError, match="no list has shown a new backup after 6") as caught:
        create(on)

    assert 60.0 <= on.seconds < 75.0
    assert caught.value.code == "outcome-unknown"
    assert on.sent("backups.trigger") == 1


def test_an_unknown_type_is_named_at_once_and_the_backup_kept() -> None:
    on = account(rows(OLD), rows(OLD, row(backup_type="whim")))

    failure = init_failed(on)

    assert failure.id == "usr-1-db/8"
    assert 'its type "whim" is not in the API guide' in failure.message
    assert on.seconds < 10.0
    later = account(rows(OLD, row()), rows(OLD, row(pinned=1)))
    assert update(later, failure.id, dict(failure.outs))["pinned"] is True
    assert later.sent("backups.trigger") == 0


def test_a_lost_response_gets_the_time_to_appear_before_another_request() -> None:
    lost: list[Reply] = [refusal(504), data({"status": "in_progress"}, 202)]
    on = account(rows(OLD), *[rows(OLD)] * 8, rows(OLD, row()), rows(row(pinned=1)), backups__trigger=lost)

    assert create(on)[0] == "usr-1-db/8"
    assert on.sent("backups.trigger") == 1


# --- words ---


def test_an_unknown_status_is_named_at_once_and_the_backup_is_kept() -> None:
    odd = row(status="archived", completed_at="2027-01-15T08:00:09.000Z")
    on = account(rows(OLD), rows(OLD, odd))

    failure = init_failed(on)

    assert failure.id == "usr-1-db/8"
    assert 'still "archived"' in failure.message
    assert 'the status "archived" is not in the API guide' in on.call.warnings[0]
    assert len(on.call.warnings) == 1


def test_facts_shorten_the_waits() -> None:
    on = account(rows(OLD), facts=PlatformFacts(backups=Backups(listed_seconds=5)))

    with pytest.raises(NotListedError):
        create(on)

    assert on.seconds < 20.0


def test_what_is_listed_late_is_even_later_if_lists_are_behind() -> None:
    facts = PlatformFacts(backups=Backups(listed_seconds=5), lists=Lists(lag_seconds=20))
    on = account(rows(OLD), facts=facts)

    with pytest.raises(NotListedError):
        create(on)

    assert on.seconds >= 25.0


# --- lists that may lack a backup ---


@pytest.mark.parametrize("looks", [rows(*(row(number) for number in range(9, 109))), rows(OLD, {"id": []})])
def test_absence_from_a_partial_list_proves_nothing(looks: Reply) -> None:
    olds = {**INPUTS, "backup_id": 8, "pinned": True, "status": "completed", "created_at": MADE}
    on = account(looks, backups__unpin=ok({"success": True}))

    with pytest.raises(UnseenError):
        PinnedBackupHandler().on_read(on.session, on.op, "usr-1-db/8", olds)

    PinnedBackupHandler().on_delete(on.session, on.op, "usr-1-db/8", olds)
    assert on.sent("backups.unpin") == 0
    assert "left alone" in on.call.warnings[-1]
