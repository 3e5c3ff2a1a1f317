"""
The price before and after each engine operation, in every format of a preview.

The documents in `recorded` are from a real engine, reduced to the parts that are read here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest

from stacks_pulumi.cost.build import report_of
from stacks_pulumi.cost.result import CostLimit, Measure, judge
from tests.support.previews import events, preview, state, step, web

FOLDER = Path(__file__).parent / "recorded"
KEPT = " (leaves the stack, still billed)"
LEFT_OVER = " (left over from a replacement)"
FORMS = ("sames", "steps", "events")

Figures = dict[str, tuple[str, int, int]]


@dataclass(frozen=True)
class Row:
    """
    A step of the engine with the expected prices.

    Attributes:
        title: The description of the step.
        document: The recorded document.
        expected: For each line, its action and its prices before and after, in US dollars.
        sames: The same for the JSON with only `--show-sames`, if it shows less.
    """

    title: str
    document: str
    expected: Figures
    sames: Figures | None = None


BASIC = {
    "web": ("same", 4, 4),
    "upd": ("update", 4, 4),
    "new": ("create", 0, 4),
    "gone": ("delete", 4, 0),
    "host": ("delete", 4, 0),
    f"keep{KEPT}": ("keep", 4, 4),
}
ROWS = (
    Row(
        "`same`, `update`, `create`, `delete`",
        "basic",
        {**BASIC, f"with{KEPT}": ("keep", 4, 4)},
    ),
    Row("`replace`, deleted first", "dbr", {"web": ("replace", 4, 10)}),
    Row("`replace`, created first", "cbd", {"web": ("replace", 4, 10)}),
    Row(
        "`replace` with `retain_on_delete`",
        "retained",
        {
            "web": ("create", 0, 10),
            f"web{KEPT}": ("keep", 4, 4),
            "dbx": ("create", 0, 10),
            f"dbx{KEPT}": ("keep", 4, 4),
        },
    ),
    Row(
        "`delete-replaced` of a leftover",
        "leftover",
        {"web": ("same", 10, 10), f"web{LEFT_OVER}": ("delete", 4, 0)},
        sames={"web": ("same", 10, 10)},
    ),
    Row(
        "`replace` next to a leftover",
        "leftover_again",
        {"web": ("replace", 10, 5), f"web{LEFT_OVER}": ("delete", 4, 0)},
        sames={"web": ("replace", 10, 5)},
    ),
    Row(
        "`replace` that was interrupted after its deletion",
        "pending_replacement",
        {"web": ("create", 0, 10)},
        sames={"web": ("replace", 4, 10)},
    ),
    Row("`read` of a container that was managed before", "managed_to_get", {f"web{KEPT}": ("keep", 4, 4)}),
    Row("`replace` of a look-up by a container", "get_to_managed", {"web": ("create", 0, 4)}),
    Row("`discard` of a look-up", "get_gone", {}),
    Row(
        "`refresh` before the steps",
        "refresh",
        {"web": ("same", 4, 4), "gone": ("create", 0, 4), "grown": ("update", 5, 5)},
    ),
    Row("`create` after an interrupted one", "pending", {"web": ("create", 0, 4)}),
)


def written(document: str, form: str) -> bytes:
    recorded = json.loads((FOLDER / f"{document}.json").read_text(encoding="utf-8"))[form]
    if form == "events":
        return "".join(json.dumps(line) + "\n" for line in recorded).encode()
    return json.dumps(recorded).encode()


def figures(data: bytes, state: bytes | None = None) -> Figures:
    report = report_of(data, state=state)
    assert not report.incomplete, report.incomplete
    assert not report.unknown
    return {line.name: (line.action, int(line.past.low), int(line.planned.low)) for line in report.lines}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.title)
def test_an_operation_has_the_expected_price_in_each_form(row: Row, form: str) -> None:
    less = row.sames if form == "sames" else None
    # The events alone do not show which containers are deleted with another resource.
    state = written(row.document, "export") if form == "events" else None

    assert figures(written(row.document, form), state) == (row.expected if less is None else less)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ("dbr", {"web": 4}),
        ("leftover", {"web": 10, f"web{LEFT_OVER}": 4}),
        ("pending_replacement", {}),
        ("pending", {"web (creation interrupted, may exist)": 4}),
        ("get_gone", {}),
    ],
)
def test_an_export_counts_billed_containers(document: str, expected: dict[str, int]) -> None:
    found = figures(written(document, "export"))

    assert {name: planned for name, (_, _, planned) in found.items()} == expected


@pytest.mark.parametrize("write", [preview, events])
def test_imported_container_was_not_in_the_stack_and_is_billed_already(write: object) -> None:
    """The document follows the engine's source, because no provider here can import a resource."""
    imported = step("import", "web", web("premium"), web("premium"))
    replaced = [
        step("import-replacement", "two", web("basic"), web("premium")),
        step("delete-replaced", "two", web("basic")),
    ]

    found = figures(write(imported, *replaced))  # type: ignore[operator]  # (one of the two writers)

    assert found == {"web": ("adopt", 10, 10), "two": ("replace", 4, 10)}


def test_container_that_goes_with_another_is_kept_only_if_that_one_goes() -> None:
    host = step("delete", "host", web())
    guest = step("delete", "guest", web(), deletedWith=host["urn"])

    assert figures(preview(host, guest))[f"guest{KEPT}"] == ("keep", 4, 4)
    assert figures(preview(guest))["guest"] == ("delete", 4, 0)


def test_kept_container_passes_no_limit_unseen() -> None:
    swapped = report_of(
        preview(
            step("delete", "old", web("premium"), retainOnDelete=True),
            step("create", "new", None, web("premium")),
        )
    )

    assert (int(swapped.past.low), int(swapped.planned.low)) == (10, 20)
    assert swapped.difference.high == 10


def test_unrecognised_resource_has_no_price() -> None:
    new = {**step("create", "gpu", None, {}), "newState": state("gpu", {}, "stacks:index:Gpu")}

    report = report_of(preview(new))

    assert report.planned.high is None
    assert report.unknown


@pytest.mark.parametrize("measure", ["total", "increase", "increase-pct"])
def test_unrecognised_resource_is_within_no_limit_of_a_new_stack(measure: Measure) -> None:
    new = {**step("create", "gpu", None, {}), "newState": state("gpu", {}, "stacks:index:Gpu")}

    [verdict] = judge(report_of(preview(new)), (CostLimit(measure, Decimal(1_000_000), block=True),))

    assert not verdict.passed


@pytest.mark.parametrize("form", FORMS)
def test_what_was_managed_and_is_only_looked_up_now_is_not_called_paid_elsewhere(form: str) -> None:
    assert report_of(written("managed_to_get", form)).not_priced == ()
