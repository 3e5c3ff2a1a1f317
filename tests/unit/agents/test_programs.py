"""An agent's programs: allowed parts, and hostile programs, each of which is refused with the rule that it breaks."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from stacks_pulumi.agents.programs import ProgramError, check
from stacks_pulumi.catalog import name_faults
from tests.support.agent_programs import HOSTILE, SHOP, output


def test_a_program_is_written_again_as_what_was_checked() -> None:
    written = json.loads(check(SHOP).text({}))

    assert list(written) == ["resources", "variables", "outputs"]
    assert written["resources"]["app"]["properties"]["restartTriggers"] == [
        *(1, "two", {"three": "${database.createdAt}"})
    ]
    assert check(written).text({}) == check(SHOP).text({})
    assert check(json.dumps(written)).text({}) == check(SHOP).text({})


def test_the_program_on_the_page_for_agents_can_be_planned() -> None:
    page = (Path(__file__).parents[3] / "docs" / "for-agents.md").read_text(encoding="utf-8")
    program = check(page.partition("```yaml\n")[2].partition("```")[0]).document

    containers = [
        one["properties"].get("name", name)
        for name, one in program["resources"].items()
        if one["type"] == "stacks:index:Container"
    ]
    assert {name: name_faults(name) for name in containers} == {"data": (), "web": ()}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("yes", "yes"), ("on", "on"), ("0x10", "0x10"), ("0o7", "0o7"), ("010", 10), ("1_000", "1_000")),
        *(("~", None), ("TRUE", True), ("1.5", 1.5), ("12:30", "12:30"), (".inf", ".inf"), ("'1'", "1")),
        *(("2026-01-01", "2026-01-01"), ("=", "="), ("1e3", 1000.0)),
    ],
)
def test_a_plain_word_has_one_meaning(text: str, value: Any) -> None:
    written = json.loads(check(f"resources: {{}}\nvariables: {{x: {text}}}\n").text({}))

    assert written["variables"]["x"] == value
    assert type(written["variables"]["x"]) is type(value)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_program_is_refused_with_its_rule(name: str) -> None:
    rule, program = HOSTILE[name]

    with pytest.raises(ProgramError) as refused:
        check(program)

    assert rule in {one.rule for one in refused.value.faults}, str(refused.value)
    assert str(refused.value).endswith("[program-refused]")
    assert "\n" not in str(refused.value)
    if isinstance(program, str) and rule not in {"part", "size"}:
        assert all(one.line for one in refused.value.faults), str(refused.value)


@pytest.mark.parametrize("name", ["database", "joined"])
def test_no_name_is_that_of_a_setting(name: str) -> None:
    """The language host would use the setting, which may be a secret, instead of the program's variable."""
    check(SHOP, {"tests:other", "stacks:apiKey"})

    with pytest.raises(ProgramError, match=f"{name}: a setting of the stack's configuration has this name"):
        check(SHOP, {f"tests:{name}"})


def test_references_may_repeat_as_far_as_the_result_is_short() -> None:
    names = [f"v{number}" for number in range(12)]
    doubled = {after: f"${{{before}}}${{{before}}}" for before, after in itertools.pairwise(names)}

    check({"resources": {}, "variables": {"v0": "x" * 30, **doubled}})
    check({"resources": {}, "variables": {"v": {"fn::join": [", ", ["x" * 60] * 900]}}})


def test_a_number_that_python_does_not_write_is_refused() -> None:
    with pytest.raises(ProgramError, match="more than 15 digits"):
        check({"resources": {}, "variables": {"x": 10**5_000}})
    with pytest.raises(ProgramError, match=r"line 2, variables\.x: a number is not finite"):
        check("resources: {}\nvariables: {x: 1e999}")


def test_each_place_is_named_with_its_line() -> None:
    with pytest.raises(ProgramError) as refused:
        check(SHOP.replace("${app.id}", "${app.ident}").replace("198.51.100.0/24", "'$${x}'"))

    assert [(one.line, one.where, one.rule) for one in refused.value.faults] == [
        (15, "resources.link.properties.source", "reference"),
        (20, "resources.office.properties.container", "reference"),
        (20, "resources.office.properties.ipAddress", "reference"),
        (31, "variables.looked-up.fn::invoke.arguments.id", "reference"),
    ]


def test_an_error_has_no_key() -> None:
    key = "sk_stacks_" + "a" * 64

    with pytest.raises(ProgramError) as refused:
        check(output("${" + key + "}"))

    assert key not in str(refused.value)


def test_many_mistakes_are_counted() -> None:
    program = {"resources": {f"r{number}": {"type": "aws:s3:Bucket"} for number in range(30)}}

    with pytest.raises(ProgramError, match="and 10 more"):
        check(program)
