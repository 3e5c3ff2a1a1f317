"""Facts that are missing in a preview, a state or a price list count as the worst case."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from stacks_pulumi.cli import main
from stacks_pulumi.cost.build import Pricer, report_of
from stacks_pulumi.cost.report import read_prices
from stacks_pulumi.errors import ConfigError
from stacks_pulumi.pricing.money import FREE
from tests.support.previews import BUCKET, UNKNOWN, events, export, preview, state, step, web

GB = 1024
HIDDEN = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "x"}


def shown(data: Any, **outputs: Any) -> Any:
    """Put outputs into the state of each step, as after a refresh or an adoption."""
    for key in ("oldState", "newState"):
        if key in data:
            data[key]["outputs"] = outputs if key == "oldState" or data["op"] == "same" else None
    return data


@pytest.mark.parametrize("form", [preview, events])
@pytest.mark.parametrize("op", ["same", "update"])
@pytest.mark.parametrize(
    ("outputs", "high"),
    [
        # `unit/pricing/test_money.py` has the other sizes and plans.
        ({"storageMb": 138 * GB}, "9"),
        ({"plan": "premium", "storage_mb": 168 * GB}, "15"),
        ({"plan": "micro"}, "4"),
        ({"plan": HIDDEN}, None),
        ({"storage_mb": HIDDEN}, None),
    ],
)
def test_what_a_state_shows_counts_if_it_is_more_than_what_is_declared(
    form: Any, op: str, outputs: dict[str, Any], high: str | None
) -> None:
    expected = None if high is None else Decimal(high)
    report = report_of(form(shown(step(op, "web", web(), web()), **outputs)))

    assert report.planned.high == expected
    assert report_of(export(state("web", web(), id="x", outputs=outputs))).planned.high == expected


def test_a_replaced_container_costs_what_is_declared() -> None:
    report = report_of(preview(shown(step("replace", "web", web(), web()), plan="premium")))

    assert (report.past.high, report.planned.high) == (Decimal(10), Decimal(4))


def test_a_new_container_has_no_size_yet_whatever_a_preview_has_for_its_outputs() -> None:
    for op in ("create", "replace"):
        made = step(op, "web", None if op == "create" else web(), web())
        made["newState"]["outputs"] = {"plan": UNKNOWN, "storage_mb": UNKNOWN}

        assert report_of(preview(made)).planned.high == Decimal(4)


# --- a deletion that the engine does not perform ---


def deletions(*deleted: str, with_: str = "") -> list[dict[str, Any]]:
    return [step("delete", name, web("premium"), None) for name in deleted]


def test_events_do_not_say_what_is_deleted_with_another_resource() -> None:
    alone = report_of(events(*deletions("web")))
    assert (alone.planned, alone.notes) == (FREE, ())

    two = report_of(events(*deletions("web"), step("delete", "bucket", {}, None, BUCKET)))

    assert [str(two.planned), str(two.difference)] == ["$0.00\N{EN DASH}$10.00", "-$10.00 to $0.00"]
    assert [line.action for line in two.lines] == ["delete"]
    assert "--state FILE" in two.notes[0]


@pytest.mark.parametrize(("with_", "planned"), [("bucket", 10), ("other", 0), ("", 0)])
def test_the_state_says_what_is_deleted_with_another_resource(with_: str, planned: int) -> None:
    bucket = step("delete", "bucket", {}, None, BUCKET)
    urn = "" if not with_ else bucket["urn"].replace("::bucket", f"::{with_}")
    saved = export(state("web", web("premium"), id="id-web", deletedWith=urn))

    report = report_of(events(*deletions("web"), bucket), state=saved)

    assert report.planned.high == report.planned.low == planned


def test_a_state_that_lacks_the_container_says_nothing() -> None:
    bucket = step("delete", "bucket", {}, None, BUCKET)

    assert report_of(events(*deletions("web"), bucket), state=export()).planned.high == 10


def test_the_command_reads_the_state(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bucket = step("delete", "bucket", {}, None, BUCKET)
    (tmp_path / "preview").write_bytes(events(*deletions("web"), bucket))
    (tmp_path / "state").write_bytes(export(state("web", web("premium"), id="id-web", deletedWith="")))

    assert main(["cost", str(tmp_path / "preview"), "--strict"]) == 3
    assert main(["cost", str(tmp_path / "preview"), "--strict", "--state", str(tmp_path / "state")]) == 0
    assert main(["cost", "--account", "--state", str(tmp_path / "state")]) == 1
    assert "--state works only with a file" in capsys.readouterr().err


# --- an incomplete preview ---


@pytest.mark.parametrize("form", ["json", "events"])
@pytest.mark.parametrize(
    ("summary", "problem"),
    [
        ({"create": 2, "same": 2}, "missing (1 \N{MULTIPLICATION SIGN} create)"),
        (
            {"replace": 3, "update": 1},
            "missing (3 \N{MULTIPLICATION SIGN} replace, 1 \N{MULTIPLICATION SIGN} update)",
        ),
        ({"create": 1, "same": 9}, "omits unchanged resources (7 resources)"),
        ({"create": 1, "same": 2}, ""),
        ({}, ""),
    ],
)
def test_a_summary_with_more_than_the_steps_is_incomplete(
    form: str, summary: dict[str, int], problem: str
) -> None:
    steps = step("create", "new", None, web()), step("same", "old", web(), web())
    if form == "json":
        data = json.dumps({**json.loads(preview(*steps)), "changeSummary": summary}).encode()
    else:
        data = events(*steps).replace(
            b'"resourceChanges": {}', b'"resourceChanges": ' + json.dumps(summary).encode()
        )

    incomplete = report_of(data).incomplete

    assert problem in incomplete
    assert bool(incomplete) == bool(problem)


# --- limits and snapshots ---


@pytest.mark.parametrize("option", ["--max-increase=5%", "--max-total=5%", "--warn-increase-pct=$5"])
def test_a_limit_in_another_unit_is_refused(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match=r"^1$"):
        main(["cost", option])

    assert ", the unit of this limit" in capsys.readouterr().err


@pytest.mark.parametrize("changed", [{"currency": "EUR"}, {"per": "year"}, {"currency": None}])
def test_a_snapshot_in_another_unit_is_refused(changed: dict[str, Any], tmp_path: Path) -> None:
    from stacks_pulumi.cost.live import Snapshot, read_snapshot
    from stacks_pulumi.errors import StacksError

    document = {**Snapshot("2026-01-01T00:00:00Z", "https://x", ()).describe(), **changed}
    (tmp_path / "then").write_text(json.dumps(document), encoding="utf-8")

    with pytest.raises(StacksError, match=r"prices in|not a snapshot"):
        read_snapshot(tmp_path / "then")


# --- resources of other providers ---

PRICES = """
prices:
  - {type: aws:ec2/instance:Instance, property: instanceType, prices: {t3.micro: 7.60, t3.small: 15.20}}
  - {type: aws:rds/instance:Instance, property: size.class, prices: {"3": 10, "true": 20-30, "*": 40}}
  - {type: "aws:*", price: 20-90}
  - {type: "*:ec2/*", price: 100}
  - {type: "cloudflare:*", price: free}
"""


@pytest.mark.parametrize(
    ("type_", "inputs", "low", "high"),
    [
        ("aws:ec2/instance:Instance", {"instanceType": "t3.small"}, "15.20", "15.20"),
        ("aws:ec2/instance:Instance", {"instanceType": "t3.huge"}, "0", None),
        ("aws:ec2/instance:Instance", {"instanceType": UNKNOWN}, "0", None),
        ("aws:ec2/instance:Instance", {"instanceType": "[secret]"}, "0", None),
        ("aws:ec2/instance:Instance", {}, "0", None),
        ("aws:rds/instance:Instance", {"size": {"class": 3.0}}, "10", "10"),
        ("aws:rds/instance:Instance", {"size": {"class": True}}, "20", "30"),
        ("aws:rds/instance:Instance", {"size": {"class": "x"}}, "40", "40"),
        ("aws:rds/instance:Instance", {"size": []}, "40", "40"),
        ("aws:rds/instance:Instance", {"size": {"class": UNKNOWN}}, "10", "40"),
        ("aws:rds/instance:Instance", {"size": {"class": ["3"]}}, "10", "40"),
        ("aws:s3/bucket:Bucket", {}, "20", "90"),
        ("aws:ec2/vpc:Vpc", {}, "100", "100"),
        ("cloudflare:index/record:Record", {}, "0", "0"),
        ("gcp:storage/bucket:Bucket", {}, "0", None),
        ("pulumi:providers:aws", {}, "0", "0"),
        ("pulumi-python:dynamic/stacks:Connection", {}, "0", "0"),
    ],
)
def test_a_price_file_prices_other_resources(
    type_: str, inputs: dict[str, Any], low: str, high: str | None, tmp_path: Path
) -> None:
    (tmp_path / "prices.yaml").write_text(PRICES, encoding="utf-8")
    pricer = Pricer(others=read_prices(tmp_path / "prices.yaml"))

    for data in (preview(step("create", "x", None, inputs, type_)), export(state("x", inputs, type_))):
        report = report_of(data, pricer)
        assert (report.planned.low, report.planned.high) == (
            Decimal(low),
            None if high is None else Decimal(high),
        )


def test_a_price_that_is_a_list_is_not_written_out(tmp_path: Path) -> None:
    lists = "".join(f"    - &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 7))
    text = f"prices:\n- type: a\n  price:\n    - &a0 [x]\n{lists}"
    (tmp_path / "prices.yaml").write_text(text, encoding="utf-8")

    with pytest.raises(ConfigError) as caught:
        read_prices(tmp_path / "prices.yaml")

    assert len(caught.value.message) < 500


def test_what_is_listed_as_free_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "prices.yaml").write_text(PRICES, encoding="utf-8")
    steps = step("create", "x", None, {}, "cloudflare:a:B"), step("create", "y", None, {}, "gcp:a:B")
    (tmp_path / "preview").write_bytes(preview(*steps))
    command = ["cost", str(tmp_path / "preview"), "--max-total", "1000"]

    assert main(command) == 0
    assert main([*command, "--prices", str(tmp_path / "prices.yaml")]) == 2

    out = capsys.readouterr().out
    assert "cloudflare:a:B (listed as free)" in out
    assert "'y' (price)" in out


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("prices: []", "line 1: prices is empty"),
        (
            "prices: [{type: a, price: 1}]\nprice: 2",
            "line 2: there is no setting price; did you mean prices?",
        ),
        ("prices:\n- {type: a}", "line 2: it needs `type` and `price`"),
        ("prices: [{type: a, price: 1, property: b}]", "line 1: it needs `type` and `price`"),
        ("prices: [5]", "line 1: prices[0] is '5', and must be settings (type, price, property, prices)"),
        ("prices: [{type: a, price: none}]", "price is 'none', and must be `free`, a number, or a range"),
        ("prices: [{type: a, price: 9-5}]", "price is '9-5', and must be"),
        ("prices: [{type: a, price: 5%}]", "price is '5%', and must be"),
        ("prices: [{type: a, price: -5}]", "price is '-5', and must be"),
        ("prices: [{type: a, price: [5]}]", "line 1: price must be `free`, a number"),
        ("prices: [{type: a, property: b, prices: {}}]", "line 1: prices is empty"),
        ("prices:\n- {type: a, price: 1}\n- {type: a, price: free}", "line 3: the type 'a' occurs twice"),
        ("prices: [{type: a, property: b, prices: {x: 1, x: 2}}]", "prices.yaml, line 1: x occurs twice"),
    ],
)
def test_a_price_file_that_is_misread_is_an_error_of_one_line(
    text: str, problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "prices.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "preview").write_bytes(preview())

    assert main(["cost", str(tmp_path / "preview"), "--prices", str(tmp_path / "prices.yaml")]) == 1

    error = capsys.readouterr().err
    assert problem in error
    assert error.count("\n") == 1
