"""A record is whole or none, and each of its files is the one that its digest names."""

from __future__ import annotations

import datetime
import os
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from stacks_pulumi import catalog
from stacks_pulumi._pulumi_cli import InputError
from stacks_pulumi.gate import record
from stacks_pulumi.gate.record import Content, Digests, LivePrices
from stacks_pulumi.pricing.price_list import PriceList

NOW = datetime.datetime(2026, 11, 27, 12, 0, tzinfo=datetime.timezone.utc)
PLAN, STATE, EVENTS = b"{}", b'{"deployment": null}', b"\n"


def content(prices: LivePrices | None = None) -> Content:
    files = {"plan": PLAN, "export": STATE, "events": EVENTS}
    named = {name: record.digest_of(data) for name, data in files.items()}
    others = dict.fromkeys(("program", "configuration", "gate", "state"), "00")
    return Content(
        "organization/shop/prod",
        NOW,
        NOW + datetime.timedelta(hours=24),
        "s3://bucket",
        "gate of origin/main",
        "yaml",
        "",
        "Ann <ann@example.com>",
        Digests(**named, **others),
        {"pulumi": "v3.259.0"},
        "v1:sealed",
        prices,
    )


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = record.write(tmp_path / "record", content(), PLAN, STATE, EVENTS)

    assert record.read(tmp_path / "record") == written
    assert written.stack_name == "shop/prod"
    assert written.monthly is catalog.monthly_price
    assert not (tmp_path / "record" / "record.json").stat().st_mode & 0o077


@pytest.mark.parametrize("name", ["plan.json", "state.json", "events.jsonl"])
def test_a_file_that_was_changed_is_named(tmp_path: Path, name: str) -> None:
    record.write(tmp_path, content(), PLAN, STATE, EVENTS)
    (tmp_path / name).write_bytes(b"{ }")

    with pytest.raises(InputError, match=f"{name} is not the file that the record names"):
        record.read(tmp_path)


@pytest.mark.parametrize("name", ["stack", "made_at", "expires_at", "digests", "sealed_key"])
def test_whatever_changes_in_the_record_changes_what_is_signed(tmp_path: Path, name: str) -> None:
    written = record.write(tmp_path, content(), PLAN, STATE, EVENTS)
    file = tmp_path / "record.json"
    document = msgspec.json.decode(file.read_bytes())
    document[name] = (
        {**document[name], "state": "11"}
        if name == "digests"
        else document[name].replace("2026", "2027") + ""
        if "at" in name
        else "another"
    )
    file.write_bytes(msgspec.json.encode(document))

    assert record.read(tmp_path).digest != written.digest


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"", "is not readable"),
        (b'{"version": 1}', "is not readable"),
        (msgspec.json.encode({**msgspec.to_builtins(content()), "more": 1}), "is not readable"),
        (msgspec.json.encode(msgspec.structs.replace(content(), version=2)), "has version 2"),
        (
            msgspec.json.encode(msgspec.structs.replace(content(), made_at=NOW.replace(tzinfo=None))),
            "a time zone",
        ),
    ],
)
def test_what_is_no_record_is_an_error(tmp_path: Path, text: bytes, problem: str) -> None:
    record.write(tmp_path, content(), PLAN, STATE, EVENTS)
    (tmp_path / "record.json").write_bytes(text)

    with pytest.raises(InputError, match=problem):
        record.read(tmp_path)


def test_a_new_record_takes_the_place_of_the_one_before_with_its_approvals(tmp_path: Path) -> None:
    record.write(tmp_path, content(), PLAN, STATE, EVENTS)
    (tmp_path / "approvals").mkdir()
    (tmp_path / "approvals" / "ann.txt").write_text("signed", encoding="utf-8")
    record.put(tmp_path, record.STARTED, b"{}")
    (tmp_path / ".plan.json.4242").write_text("half of it", encoding="utf-8")
    assert record.read(tmp_path).plan == PLAN

    record.write(tmp_path, content(), PLAN, STATE, EVENTS)

    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "events.jsonl",
        "plan.json",
        "record.json",
        "state.json",
    ]
    record.clear(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.yaml").write_text("name: shop\n", encoding="utf-8")

    with pytest.raises(InputError, match=r"has files that are no record's \(Pulumi.yaml\)"):
        record.clear(tmp_path)

    assert (tmp_path / "Pulumi.yaml").exists()


def test_a_record_has_no_other_files(tmp_path: Path) -> None:
    record.write(tmp_path, content(), PLAN, STATE, EVENTS)
    (tmp_path / "evil.py").write_text("x = 1\n", encoding="utf-8")

    with pytest.raises(InputError, match=r"has files that are no record's \(evil.py\): remove them"):
        record.read(tmp_path)


def test_a_link_that_an_author_prepared_is_not_written_to(tmp_path: Path) -> None:
    """`apply` writes that it began into a record that another job has handed over."""
    other = tmp_path / "other"
    other.write_text("kept", encoding="utf-8")
    (tmp_path / f".{record.STARTED}.{os.getpid()}").symlink_to(other)
    record.put(tmp_path, record.STARTED, b"{}")
    assert other.read_text(encoding="utf-8") == "kept"
    assert not (tmp_path / record.STARTED).is_symlink()


def test_approvals_that_are_a_link_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("", encoding="utf-8")
    folder = tmp_path / "record"
    folder.mkdir()
    (folder / "approvals").symlink_to(outside)

    record.clear(folder)

    assert (outside / "kept").exists()
    assert list(folder.iterdir()) == []


def test_a_record_keeps_the_prices_of_the_platform(tmp_path: Path) -> None:
    prices = PriceList(
        {("nodejs", None): Decimal("4.50"), ("nodejs", "premium"): Decimal(12)},
        {"redis": "it has no unit"},
        {"nodejs": (Decimal("4.50"), Decimal(4))},
        "a page is missing",
    )
    record.write(tmp_path, content(LivePrices.of(prices)), PLAN, STATE, EVENTS)

    read = record.read(tmp_path)

    assert LivePrices.of(read.monthly) == LivePrices.of(prices)  # type: ignore[arg-type]  # it is a list here
    assert read.monthly("nodejs", "premium", None) == Decimal(12)
