from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal

import pytest

from stacks_pulumi._pulumi_cli import DEEPEST, InputError
from stacks_pulumi.account.backend import read_export
from stacks_pulumi.cost.build import changes_of, report_of
from stacks_pulumi.cost.report import Line, Report, item
from stacks_pulumi.cost.result import CostLimit, judge
from stacks_pulumi.pricing.money import Change, Price
from tests.support import previews
from tests.support.previews import (
    BUCKET,
    CONNECTION,
    SECRET,
    UNKNOWN,
    events,
    export,
    preview,
    state,
    step,
    web,
)

CHANGES = (
    step("create", "new", None, web("standard")),
    step("update", "grown", web("basic"), web("premium")),
    step("replace", "swapped", web("basic", "mysql"), web("basic", "postgresql")),
    step("delete", "gone", web("premium")),
    step("same", "kept", web("micro"), web("micro")),
)


def line(report: Report, name: str) -> Line:
    [found] = [line for line in report.lines if line.name == name]
    return found


def dollars(low: int, high: int | None = None) -> Price:
    return Price(Decimal(low), Decimal(low if high is None else high))


@pytest.mark.parametrize("write", [preview, events])
def test_a_preview_has_past_planned_and_difference(write: Callable[..., bytes]) -> None:
    report = report_of(write(*CHANGES))

    assert [(one.name, one.action) for one in report.lines] == [
        ("new", "create"),
        ("swapped", "replace"),
        ("grown", "update"),
        ("gone", "delete"),
        ("kept", "same"),
    ]
    assert (report.past, report.planned) == (dollars(4 + 4 + 10 + 1), dollars(5 + 10 + 4 + 1))
    assert report.difference == Change(Decimal(1), Decimal(1))
    assert line(report, "gone").difference == Change(Decimal(-10), Decimal(-10))
    assert not report.incomplete
    assert not report.blocked


def test_a_refresh_costs_what_it_finds() -> None:
    steps = [
        step("refresh", "shop-dev", {}, {}, previews.STACK),
        step("refresh", "kept", web("micro"), web("standard")),
        step("delete", "gone", web("premium")),
    ]

    report = report_of(events(*steps, root=False))

    assert [(one.name, one.action, one.planned) for one in report.lines] == [
        ("gone", "delete", dollars(0)),
        ("kept", "same", dollars(5)),
    ]
    assert not report.incomplete
    # The plain JSON shows the recorded state on both sides of a refresh.
    assert "the recorded state, not its result" in report_of(json.dumps({"steps": steps}).encode()).incomplete


@pytest.mark.parametrize("write", [preview, events])
def test_what_is_taken_over_is_billed_already(write: Callable[..., bytes]) -> None:
    seen = {**web("premium"), "adopt": "if_matching", "adopts": "usr-1-seen"}
    steps = (
        step("create", "seen", None, seen),
        step("import", "imported", None, web("standard")),
        # The provider has seen no such container, so it may be a new one.
        step("create", "new", None, {**web(), "adopt": "if_matching"}),
        step("create", "later", None, {**web(), "adopt": "if_matching", "adopts": UNKNOWN}),
        # In a replacement, the name becomes free.
        step("replace", "changed", web("basic"), {**seen, **web("standard")}),
    )

    report = report_of(write(*steps))

    assert [(one.name, one.action, one.past, one.planned) for one in report.lines] == [
        ("later", "create", dollars(0), dollars(4)),
        ("new", "create", dollars(0), dollars(4)),
        ("imported", "adopt", dollars(5), dollars(5)),
        ("seen", "adopt", dollars(10), dollars(10)),
        ("changed", "replace", dollars(4), dollars(5)),
    ]
    assert report.difference == Change(Decimal(9), Decimal(9))
    assert "adopted, so already billed: 2 containers, $15.00 a month" in report.notes


@pytest.mark.parametrize("write", [preview, events])
def test_what_the_stack_takes_over_from_itself_counts_once(write: Callable[..., bytes]) -> None:
    renamed = step(
        "create", "new-name", None, {**web("premium"), "adopt": "if_matching", "adopts": "id-old-name"}
    )
    steps = (
        step("same", "stays", web("micro"), web("micro")),
        step("delete", "old-name", web("premium")),
        step("create", "one-more", None, web("premium")),
    )

    without, report = report_of(write(*steps)), report_of(write(renamed, *steps))

    # The engine deletes the old resource, but the provider keeps its container: the additional container is an
    # increase.
    assert (report.past, line(report, "new-name").action) == (without.past, "create")
    assert without.difference.high is not None
    assert report.difference.high == without.difference.high + 10
    assert not any("adopted" in note for note in report.notes)
    assert {one.name: one.action for _, one in changes_of(write(renamed, *steps))[1]}["new-name"] == "create"


def test_a_replacement_counts_again_in_the_cap() -> None:
    def note(*plans: str) -> str:
        steps = [step("replace", f"web{n}", web(plan), web(plan)) for n, plan in enumerate(plans)]
        [found] = report_of(preview(*steps)).notes
        return found

    assert note("premium") == (
        "replaced and charged to the key's spending cap again: 'web0' +$10.00; a deletion refunds nothing"
    )
    assert "again: 'web0' +$1.00 or more;" in note(UNKNOWN)
    assert "'web4' +$4.00 and 2 more, +$28.00 in all;" in note(*["basic"] * 7)
    assert report_of(preview(step("update", "web", web(), web("premium")))).notes == ()


def test_an_unknown_plan_has_no_upper_bound_and_is_not_free() -> None:
    report = report_of(preview(step("create", "new", None, web(UNKNOWN))))

    assert (report.planned.low, report.planned.high) == (Decimal(1), None)
    assert line(report, "new").unknown == ("plan",)
    assert report.unknown == report.lines


def test_a_secret_plan_is_unknown_unless_it_stays_what_it_was() -> None:
    created = report_of(preview(step("create", "new", None, web(SECRET))))
    same = report_of(preview(step("same", "kept", web("basic"), web(SECRET))))

    assert not created.planned.exact
    assert same.planned == dollars(4)


def test_what_stays_unknown_makes_no_difference() -> None:
    report = report_of(preview(step("same", "kept", web(SECRET), web(SECRET))))

    assert not report.planned.exact
    assert report.difference.none


def test_totals_without_unchanged_resources_are_not_the_whole() -> None:
    report = report_of(preview(step("create", "new", None, web()), same=9))

    assert "8 resources" in report.incomplete
    assert "pulumi preview --json --show-sames" in report.incomplete


def test_other_clouds_are_listed_and_not_priced() -> None:
    report = report_of(
        preview(
            step("create", "bucket", None, {}, BUCKET),
            step("create", "other", None, {}, BUCKET),
            step("create", "link", None, {}, CONNECTION),
            step("same", "default", {}, {}, "pulumi:providers:aws"),
            step("create", "new", None, web()),
        )
    )

    assert [(other.type, other.count, other.reason) for other in report.not_priced] == [
        (BUCKET, 2, "elsewhere"),
        (CONNECTION, 1, "free"),
    ]
    assert report.planned == dollars(4)


def test_a_container_that_is_only_looked_up_is_not_priced() -> None:
    report = report_of(preview(step("read", "shared", None, web(), external=True)))

    assert report.lines == ()
    assert [other.reason for other in report.not_priced] == ["read"]


@pytest.mark.parametrize("write", [preview, events])
def test_a_new_container_outside_of_the_target_is_noted(write: Callable[..., bytes]) -> None:
    outside = {**step("same", "later", {}, {}), "oldState": state("later", {}, id="")}

    report = report_of(write(outside, step("create", "new", None, web())))

    assert report.planned == dollars(4)
    assert "'later' is new and not in --target" in report.notes[0]


def test_a_truncated_preview_is_incomplete() -> None:
    for document in (
        preview(step("create", "new", None, web()), errors=("Program failed:\nTraceback",)),
        events(step("create", "new", None, web()), errors=("Program failed:\nTraceback",)),
    ):
        assert "is incomplete (Program failed:)" in report_of(document).incomplete


def test_sums_of_a_part_have_no_upper_bound() -> None:
    # A missing resource may be new, or may already be billed.
    report = report_of(preview(step("create", "new", None, web()), errors=("Program failed:\nTraceback",)))

    assert (report.past, report.planned) == (Price(Decimal(0), None), Price(Decimal(4), None))
    assert (report.difference.low, report.difference.high) == (None, None)
    limits = tuple(CostLimit(measure, Decimal(100), block=True) for measure in ("total", "increase"))
    assert not any(verdict.passed for verdict in judge(report, limits))


def test_truncated_events_are_incomplete() -> None:
    assert "end before" in report_of(events(step("create", "new", None, web()), finished=False)).incomplete


def test_a_preview_that_policies_stopped_is_the_whole_and_blocked() -> None:
    plain = report_of(preview(step("create", "new", None, web()), errors=("preview failed",)))

    assert not plain.incomplete
    assert "PULUMI_ENABLE_STREAMING_JSON_PREVIEW" in plain.blocked


def test_events_bring_policy_violations_mandatory_ones_first() -> None:
    soft = previews.violation("naming", "new", "Names.\nwrong name\n", "advisory")
    hard = previews.violation("allowed-plans", "new", "Plans.\ntoo large\n")

    report = report_of(
        events(step("create", "new", None, web()), policies=(soft, hard, hard), errors=("preview failed",))
    )

    assert [(found.policy, found.level, found.resource) for found in report.violations] == [
        ("allowed-plans", "mandatory", "new"),
        ("naming", "advisory", "new"),
    ]
    assert report.violations[0].message == "Plans.\ntoo large"
    assert report.blocked == "1 violation of mandatory policies"
    assert not report.incomplete


def test_a_failure_that_no_policy_explains_is_not_the_whole() -> None:
    failed = b'{"sequence":0,"summaryEvent":{"result":"failed"}}'
    soft = previews.violation("naming", "new", "wrong name", "advisory")

    assert "do not show why" in report_of(failed).incomplete
    assert "do not show why" in report_of(events(policies=(soft,), errors=("preview failed",))).incomplete
    assert not report_of(b'{"sequence":0,"summaryEvent":{"isPreview":true}}').incomplete


def test_a_preview_that_failed_before_its_first_step_is_not_the_whole() -> None:
    said = '"diagnostics":[{"message":"error: Program failed","severity":"error"}]'

    for document in (f'{{{said},"changeSummary":{{"same":8}}}}', f"{{{said}}}", f'{{"duration":1,{said}}}'):
        assert "is incomplete (Program failed)" in report_of(document.encode()).incomplete
    assert "--show-sames" in report_of(b'{"changeSummary":{"same":8}}').incomplete


def test_a_violation_that_an_exception_lets_pass_blocks_nothing_and_is_shown() -> None:
    waived = previews.violation("monthly-budget", "new", "Budget.\ntoo much\n") | {
        "exceptions": [{"id": "EXC-7", "reason": "agreed"}]
    }
    hard = previews.violation("allowed-plans", "new", "Plans.\ntoo large\n")
    new = step("create", "new", None, web())

    report = report_of(events(new, policies=(waived,)))
    assert (report.blocked, report.incomplete) == ("", "")
    [found] = report.violations
    assert (found.level, found.weight) == ("exempted", "warning")
    assert found.message == "Exempted by EXC-7: agreed\nBudget.\ntoo much"

    report = report_of(events(new, policies=(waived, hard), errors=("preview failed",)))
    assert report.blocked == "1 violation of mandatory policies"


def test_advisory_violations_block_nothing() -> None:
    soft = previews.violation("naming", "new", "wrong name", "advisory")

    assert not report_of(events(step("create", "new", None, web()), policies=(soft,))).blocked


def test_a_stack_costs_what_it_holds() -> None:
    report = report_of(
        export(
            state("web", web("basic"), id="usr-web"),
            state("db", web("premium", "postgresql"), id="usr-db"),
            state("old", web("micro"), id="usr-old", delete=True),
            state("shared", web("premium"), id="usr-shared", external=True),
            state("bucket", {}, BUCKET, id="b"),
        )
    )

    assert report.source == "stack"
    assert report.planned == dollars(15)
    assert [one.name for one in report.lines] == ["db", "old (left over from a replacement)", "web"]


def test_a_secret_of_a_stack_is_a_range() -> None:
    ciphertext = {
        "4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270",
        "ciphertext": "v1:x",
    }

    assert not report_of(export(state("web", web(ciphertext)))).planned.exact


def test_an_empty_stack_costs_nothing() -> None:
    for document in (
        b'{"changeSummary": {"same": 0}}',
        b'{"duration": 299430}',
        b'{"config": {}, "duration": 299430}',
        export(),
        b'{"version":3,"deployment":{}}',
        b'{"version":3,"deployment":null}',
    ):
        assert report_of(document).planned == dollars(0)
        assert not report_of(document).incomplete


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"  \n",
        b"Previewing update (dev):",
        b"[]",
        b"{}",
        b'{"duration": "long"}',
        b'{"duration": 5, "name": "a film"}',
        b'{"steps": 5}',
        b'{"sequence": "x"}',
        b"\xff\xfe",
        b'{"a":',
    ],
)
def test_anything_else_is_refused_with_what_to_hand_in(data: bytes) -> None:
    with pytest.raises(InputError, match="pulumi preview --json --show-sames"):
        report_of(data)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("write", [preview, events])
def test_a_powershell_redirect_is_read(write: Callable[..., bytes], encoding: str) -> None:
    data = write(step("create", "web", None, web()))

    assert report_of(data.decode().encode(encoding)).planned == dollars(4)


def test_json_that_is_nested_too_deeply_is_refused_with_what_to_do() -> None:
    for data in (b"[" * 100_000, b'{"steps":' + b'{"a":' * 100_000, export_with(DEEPEST - 4)):
        with pytest.raises(InputError, match=f"more than {DEEPEST} levels deep.*the state, remove it there"):
            report_of(data)
    # Five values contain the value.
    assert report_of(export_with(DEEPEST - 5)).planned == dollars(4)


def test_the_state_of_another_stack_is_read_without_what_is_nested_too_deeply() -> None:
    for depth in (DEEPEST - 5, DEEPEST - 4, 9_000):
        (web,) = read_export(export_with(depth)).managed

        assert (web.id, web.created_at, web.item and str(web.item.price)) == ("usr-1-web", "today", "$4.00")


def export_with(depth: int) -> bytes:
    """Return the export of a stack with a container and a value of a given nesting depth."""
    web = {
        "urn": "urn:pulumi:dev::shop::stacks:index:Container::web",
        "type": "stacks:index:Container",
        "custom": True,
        "id": "usr-1-web",
        "inputs": {"name": "web", "template": "nodejs", "plan": "basic", "x": "DEEP", "y": '"]}\\"[{'},
        "outputs": {"createdAt": "today"},
    }
    deep = '{"[": ' * depth + '"}"' + "}" * depth
    return json.dumps({"deployment": {"resources": [web]}}).replace('"DEEP"', deep).encode()


def test_a_container_costs_the_same_in_either_spelling() -> None:
    container = {"template": "nodejs", "plan": "basic"}

    assert item({**container, "additionalStorageTier": 3}) == item(
        {**container, "additional_storage_tier": 3}
    )
    assert str(item({**container, "additionalStorageTier": 3}).price) == "$7.00"
