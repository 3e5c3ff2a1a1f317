"""The stored state of a spending cap."""

from __future__ import annotations

import os
from decimal import Decimal
from pathlib import Path

import pytest

from stacks_pulumi import _cap_record
from stacks_pulumi.errors import SpendingCapError
from stacks_pulumi.resources._session import SpendGuard
from tests.support.clock import FakeClock

# 2026-12-15 12:00 UTC: the next month is in the next year.
DECEMBER = 1797336000.0


@pytest.fixture
def guard() -> SpendGuard:
    """Return a guard without a known cap."""
    return SpendGuard(FakeClock(DECEMBER))


def refusal(cap: float | None, spent: float | None) -> SpendingCapError:
    """What the API said."""
    return SpendingCapError("said", status=402, spending_cap=cap, amount_spent=spent)


def test_without_a_known_cap_nothing_is_refused(guard: SpendGuard) -> None:
    guard.admit("web", Decimal(1000))


def test_a_402_is_explained_with_all_its_numbers(guard: SpendGuard) -> None:
    error = guard.learn("web", Decimal(4), refusal(10.0, 7.5))

    for words in (
        "$10.00 a month",
        "$7.50 is spent",
        'create container "web"',
        "it costs $4.00",
        "$1.50 more",
        "2027-01-01",
    ):
        assert words in str(error)


def test_what_does_not_fit_is_refused_and_what_fits_is_not(guard: SpendGuard) -> None:
    guard.learn("web", Decimal(4), refusal(10.0, 7.5))

    guard.admit("small", Decimal("2.5"))
    guard.admit("of unknown price", None)
    with pytest.raises(SpendingCapError, match="the API was not asked again"):
        guard.admit("large", Decimal("2.51"))


def test_a_402_without_numbers_is_not_stored(guard: SpendGuard) -> None:
    error = refusal(None, None)

    assert guard.learn("web", Decimal(4), error) is error
    guard.admit("web", Decimal(4))


def test_a_402_is_kept_for_later_processes_until_a_create_is_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path))
    guard = SpendGuard(FakeClock(DECEMBER), "abc")

    guard.learn("web", Decimal(4), refusal(10.0, 7.5))
    kept = _cap_record.recall("abc", DECEMBER + 3600)
    assert kept is not None
    assert (kept.cap, kept.spent, kept.seen.timestamp()) == (10, 7.5, DECEMBER)
    assert _cap_record.recall("another", DECEMBER) is None
    assert _cap_record.recall("abc", DECEMBER + 20 * 86400) is None

    # Of two creates that were sent together one was accepted.
    guard.created()
    assert _cap_record.recall("abc", DECEMBER) is not None

    SpendGuard(FakeClock(DECEMBER), "abc").created()
    assert _cap_record.recall("abc", DECEMBER) is None


def test_a_refusal_of_an_earlier_month_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path))
    _cap_record.remember("old", 1, 1, DECEMBER)
    _cap_record.remember("young", 1, 1, DECEMBER)
    folder = tmp_path / "stacks-spending-caps"
    os.utime(folder / "old.json", (DECEMBER - 32 * 86400, DECEMBER - 32 * 86400))
    os.utime(folder / "young.json", (DECEMBER - 86400, DECEMBER - 86400))

    _cap_record.remember("new", 1, 1, DECEMBER)

    assert {file.name for file in folder.iterdir()} == {"young.json", "new.json"}


def test_an_unwritable_folder_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "file"))
    guard = SpendGuard(FakeClock(DECEMBER), "abc")

    guard.learn("web", Decimal(4), refusal(10.0, 7.5))
    guard.created()

    assert _cap_record.recall("abc", DECEMBER) is None


@pytest.mark.parametrize(
    "text", ["", "{}", "[1]", '{"cap": "x", "spent": 1, "seen": 1}', '{"cap": 1, "spent": 1, "seen": 1e99}']
)
def test_a_damaged_file_is_ignored(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path))
    _cap_record.remember("abc", 1, 1, DECEMBER)
    (file,) = (tmp_path / "stacks-spending-caps").iterdir()
    file.write_text(text, encoding="utf-8")

    assert _cap_record.recall("abc", DECEMBER) is None
