"""The doctor on the platform: the platform file, and the facts in the list of the containers."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.account.conftest import CheckedMachine, Report, only

ROW = {"id": "usr-1-web", "name": "web", "template": "nodejs", "plan": "basic", "status": "running"}


def texts(report: Report) -> list[str]:
    return [line["text"] for line in report.of("platform")]


def test_without_a_file_there_is_one_line(machine: CheckedMachine) -> None:
    assert only(machine.doctor(), "platform")["level"] == "ok"


def test_each_section_of_the_file_is_one_line(machine: CheckedMachine) -> None:
    text = "version: 1\nlists: {lag_seconds: 20}\nprices: {field: monthly, unit: cents}\n"
    (machine.project / "real.yaml").write_text(text, encoding="utf-8")
    machine.set("stacks:platform", "real.yaml")
    row = {**ROW, "status": "hibernating"}
    machine.emulator.faults.add("containers.list", "answer", body={"data": [row], "count": 1})

    told = texts(machine.doctor())

    assert told[:3] == [
        "real.yaml (from stacks:platform)",
        "lists: lag_seconds is 20.0",
        "prices: field is monthly, unit is cents",
    ]


@pytest.mark.parametrize("by_variable", [False, True], ids=["setting", "variable"])
def test_a_mistake_in_the_file_is_a_problem_with_its_line(machine: CheckedMachine, by_variable: bool) -> None:
    file = machine.project / "real.yaml"
    file.write_text("version: 1\nlists:\n  lag: 3\n", encoding="utf-8")
    if by_variable:
        machine.variable("STACKS_PLATFORM", str(file))
    else:
        machine.set("stacks:platform", "real.yaml")

    report = machine.doctor()

    line = report.of("platform")[0]
    assert (line["level"], report.code) == ("problem", 1)
    assert "line 3: there is no setting lag; " in line["text"]
    assert line["fix"].startswith("correct ")
    # The other checks continue.
    assert only(report, "api")["level"] == "ok"


@pytest.mark.parametrize(
    ("body", "level", "text", "fix"),
    [
        (
            {"data": [ROW, {"id": ".."}], "count": 2},
            "warning",
            "is incomplete: data[1]",
            "a container may be missing from the list",
        ),
        (
            {"data": [ROW], "count": 3},
            "warning",
            "3 rows were announced",
            "a container may be missing from the list",
        ),
        ({"data": [ROW]}, "ok", "has no count", ""),
        (
            {"data": [{**ROW, "status": "hibernating"}], "count": 1},
            "warning",
            "the unknown status hibernating",
            "check it in the STACKS dashboard",
        ),
        ({"data": [{**ROW, "status": "deleted"}], "count": 1}, "ok", "includes deleted containers", ""),
    ],
    ids=["unreadable row", "count", "no count", "unknown status", "tombstone"],
)
def test_what_the_list_shows_of_the_platform_is_named(
    *, machine: CheckedMachine, body: dict[str, Any], level: str, text: str, fix: str
) -> None:
    machine.emulator.faults.add("containers.list", "answer", body=body)

    report = machine.doctor()

    line = report.of("platform")[1]
    assert (line["level"], report.code) == (level, 0)
    assert text in line["text"]
    assert fix in line["fix"]


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"ok": True}, "ok"),
        ({"answer": {"things": [ROW], "more": 1}}, "answer, answer.things, answer.more"),
        ({"data": "none"}, "data"),
    ],
)
def test_another_shape_is_not_blamed_on_the_base_url(
    machine: CheckedMachine, body: dict[str, Any], fields: str
) -> None:
    machine.emulator.faults.add("containers.list", "answer", body=body)

    line = only(machine.doctor(), "api")

    assert line["level"] == "problem"
    assert "answers in JSON, but the answer contains no list" in line["text"]
    assert line["text"].endswith(f"its fields: {fields}")
    assert line["fix"].startswith("the API's response does not have the documented form")
    assert "baseUrl" not in line["fix"]
