"""The rules' findings about steps that no broker judges, and the effect of own rules that fail."""

from __future__ import annotations

import dataclasses
import textwrap
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from stacks_pulumi.broker.change import Reported
from stacks_pulumi.errors import ConfigError, StacksError
from stacks_pulumi.gate import rules
from stacks_pulumi.gate.change import Change
from stacks_pulumi.gate.rules import own_rules
from stacks_pulumi.pricing.money import FREE, Price
from tests.unit.gate.conftest import MakeGate

WEB = "stacks:index:Container"
RANDOM = "random:index/randomString:RandomString"
UNPRICED = Price(Decimal(0), None)
FOUR = Price(Decimal(4), Decimal(4))


def of(operation: Any, name: str = "it", type_: str = WEB, **more: Any) -> Change:
    """Return a change of a resource of this package or of another provider."""
    kind = type_.rpartition(":")[2] if type_.startswith("stacks:") else None
    return Change(f"urn:pulumi:dev::shop::{type_}::{name}", type_, kind, operation, **more)


def found(text: str, *changes: Change, make_gate: MakeGate) -> list[tuple[str, str]]:
    """Return the rules with findings, each with its effect."""
    return [(one.rule, one.action) for one in rules.reported(make_gate(text).file, changes)]


def test_what_is_foreign_counts_as_the_worst_unless_it_is_listed(make_gate: MakeGate) -> None:
    gone, new = of("delete", type_=RANDOM), of("create", type_=RANDOM, price_after=UNPRICED)

    assert found("", gone, make_gate=make_gate) == [("destroys-data", "approve")]
    assert found("", new, make_gate=make_gate) == [
        ("unpriced", "refuse"),
        ("opens-access", "approve"),
        ("never-free", "approve"),
    ]
    listed = "harmless: ['random:*']"
    priced = of("create", type_=RANDOM, price_after=FREE)
    assert found(listed, gone, priced, make_gate=make_gate) == []
    assert found(listed, of("replace", type_="aws:rds/instance:Instance"), make_gate=make_gate) == [
        ("destroys-data", "approve"),
        ("opens-access", "approve"),
    ]
    # An alias may change the type of a resource with data.
    renamed = of("delete", type_=RANDOM, former_type="aws:rds/instance:Instance")
    assert found(listed, renamed, make_gate=make_gate) == [("destroys-data", "approve")]
    # A provider and a component are not objects.
    silent = of("create", type_="pulumi:providers:aws"), of("delete", type_="shop:index:Shop", custom=False)
    assert found("", *silent, make_gate=make_gate) == []


def test_the_requests_of_our_resources_are_judged_by_the_broker(make_gate: MakeGate) -> None:
    ours = [of(operation, price_after=UNPRICED) for operation in ("create", "update", "replace", "delete")]

    assert found("rules: {max-deletions: {limit: 0, otherwise: refuse}}", *ours, make_gate=make_gate) == []


def test_deletions_of_other_providers_count_with_those_that_a_broker_sees(make_gate: MakeGate) -> None:
    text = "harmless: ['random:*']\nrules: {max-deletions: {limit: 1, otherwise: refuse}}"

    assert found(text, of("delete"), of("delete", type_=RANDOM), make_gate=make_gate) == [
        ("max-deletions", "refuse")
    ]
    assert found(text, of("delete", type_=RANDOM), make_gate=make_gate) == []
    more = "harmless: ['random:*']\nrules: {max-replacements: {limit: 0, otherwise: approve}}"
    assert found(more, of("replace", type_=RANDOM), make_gate=make_gate) == [("max-replacements", "approve")]


def test_a_container_that_leaves_the_stack_stays_billed(make_gate: MakeGate) -> None:
    kept = of("keep", price_after=FOUR)

    assert found("", kept, make_gate=make_gate) == [("keeps-billed", "refuse"), ("never-free", "approve")]
    assert found("rules: {keeps-billed: approve}", kept, make_gate=make_gate) == [
        ("keeps-billed", "approve"),
        ("never-free", "approve"),
    ]
    assert found("", of("keep"), make_gate=make_gate) == [("never-free", "approve")]
    none = "rules: {max-deletions: {limit: 0, otherwise: refuse}}"
    assert found(none, of("keep"), make_gate=make_gate) == [
        ("max-deletions", "refuse"),
        ("never-free", "approve"),
    ]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (of("import"), "is imported"),
        (of("create", after={"name": "web", "adopts": "usr-1-web"}), "is adopted: it exists already"),
        (of("keep"), "leaves the stack and is not deleted"),
        (of("read", id="usr-1-web"), "becomes a resource that the program only looks up"),
        (of("unclear", type_=RANDOM), "has an outcome that the preview does not show"),
        (of("same", protected_before=True), "is no longer protected from deletion"),
        (of("read"), ""),
        (of("discard"), ""),
        (of("create", protected_before=True, after={"name": "web"}), ""),
        (of("delete", protected_before=True), ""),
    ],
)
def test_what_is_never_free_although_it_sends_no_request(
    make_gate: MakeGate, change: Change, why: str
) -> None:
    told = [one for one in rules.reported(make_gate().file, [change]) if one.rule == rules.NEVER_FREE]

    assert [one.text for one in told] == ([f"'it' {why}"] if why else [])
    assert {one.action for one in told} <= {"approve"}


def test_the_limits_hold_with_the_prices_of_other_providers(make_gate: MakeGate) -> None:
    """The broker knows only the sum at STACKS."""
    text = "harmless: ['random:*']\nlimits: {max_increase: 5, max_total: 10}"

    def told(*changes: Change) -> list[str]:
        every = rules.reported(
            make_gate(text).file, [*changes, of("same", price_before=FOUR, price_after=FOUR)]
        )
        return [one.text for one in every if one.action == "refuse"]

    two = Price(Decimal(2), Decimal(2))
    assert told(of("create", price_after=FOUR)) == []
    assert told(of("create", type_=RANDOM, price_after=FOUR)) == []
    assert told(of("create", price_after=FOUR), of("create", type_=RANDOM, price_after=FOUR)) == [
        "including other providers, the increase is $8.00 a month at most; the limit is $5.00",
        "including other providers, the price of the stack is $12.00 a month at most; the limit is $10.00",
    ]
    # Both are billed for some time, unless the old one is deleted first.
    replaced = of("replace", type_=RANDOM, price_before=FOUR, price_after=FOUR)
    assert told(replaced) == [
        "including other providers, the price of the stack is $12.00 a month at most; the limit is $10.00"
    ]
    assert told(dataclasses.replace(replaced, steps=("delete-replaced",))) == []
    # A change that lowers a price is allowed above a limit, but does not offset a price that rises.
    cheaper = of("update", type_=RANDOM, price_before=Price(Decimal(20), Decimal(20)), price_after=two)
    assert told(cheaper) == []
    assert len(told(cheaper, of("create", price_after=Price(Decimal(6), Decimal(6))))) == 2
    (unbound, _) = told(of("create", type_=RANDOM, price_after=UNPRICED))[-2:]
    assert unbound == "including other providers, the increase has no known upper bound; the limit is $5.00"
    more = rules.reported(make_gate(text).file, [of("create", type_=RANDOM, price_after=two)])
    assert [(one.rule, one.text) for one in more] == [
        ("never-free", "the change adds $2.00 a month at other providers")
    ]


def judged(gate: Any, *changes: Change) -> list[Reported]:
    """Return the findings of own rules, at the plan and at the approval."""
    read = rules.read(rules.written(changes))
    here, there = (list(rules.own(gate.own_rules, seen)) for seen in (changes, read))
    assert here == there
    return there


def test_what_own_rules_judge_is_written_and_read(make_gate: MakeGate) -> None:
    change = of(
        "replace",
        before={"name": "a", "__provider": "code", "size": 1.5},
        after={"name": "b"},
        price_before=FOUR,
        price_after=UNPRICED,
        unknown=("name",),
        dependants=("urn",),
        outputs={"key": "x"},
        steps=("delete-replaced",),
    )

    (read,) = rules.read(rules.written([change]))

    assert (read.before, read.after, read.outputs) == ({"name": "a", "size": 1.5}, {"name": "b"}, {})
    assert (read.urn, read.kind, read.operation) == (change.urn, "Container", "replace")
    assert (read.price_before, read.price_after, read.unknown) == (FOUR, UNPRICED, ("name",))
    with pytest.raises(StacksError, match="cannot be read"):
        rules.read("{}")


OWN = """
def no_premium(changes):
    print("this is not for the command's output")
    for change in changes:
        if change.kind == "Container" and change.after.get("plan") == "premium":
            yield change.refuse("premium is for production")

RULES = [no_premium]
"""


def test_a_rule_of_ones_own_sees_the_values(make_gate: MakeGate, capsys: pytest.CaptureFixture[str]) -> None:
    gate = make_gate("own_rules: [own.py]", own_py=OWN)
    [finding] = judged(gate, of("create", after={"plan": "premium"}))
    assert (finding.rule, finding.action, finding.text) == (
        "no-premium",
        "refuse",
        "premium is for production",
    )
    assert capsys.readouterr().out == ""
    assert sorted(path.name for path in gate.folder.iterdir()) == ["allowed_signers", "gate.yaml", "own.py"]


@pytest.mark.parametrize(
    "body",
    [
        "raise ValueError('x')",
        "raise SystemExit(0)",
        "return None",
        "return True",
        "return ['fine']",
        "yield 1",
        "yield type('F', (), {'action': 'refuse'})()",
        "from stacks_pulumi.broker.change import Reported; yield Reported('', 'allow', '')",
        "yield changes[0].approve('x'); raise KeyError('y')",
    ],
)
def test_a_rule_that_fails_refuses(make_gate: MakeGate, body: str) -> None:
    gate = make_gate("own_rules: [own.py]", own_py=f"def broken(changes):\n    {body}\n\nRULES = [broken]\n")
    [*_, last] = judged(gate, of("create"))
    assert (last.rule, last.action) == ("broken", "refuse")
    assert "the rule in own.py failed" in last.text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def", "cannot be run"),
        ("import nothing_of_this_name", "cannot be run"),
        ("raise SystemExit", "cannot be run"),
        ("", "needs a list RULES"),
        ("RULES = []", "needs a list RULES"),
        ("RULES = [1]", "needs a list RULES"),
        ("def a(c): ...\nRULES = [a, a]", "two rules with the same name"),
    ],
)
def test_a_file_without_rules_refuses(make_gate: MakeGate, text: str, words: str) -> None:
    gate = make_gate("own_rules: [own.py]", own_py=text)
    [finding] = judged(gate)
    assert finding.action == "refuse"
    assert words in finding.text
    with pytest.raises(ConfigError, match=words):
        own_rules(gate.own_rules[0])


def test_the_example_in_the_documentation_of_rules_runs(tmp_path: Path) -> None:
    example = (rules.__doc__ or "").partition("Python file:\n\n")[2].partition("\n\nAn unknown")[0]
    file = tmp_path / "own.py"
    file.write_text(textwrap.dedent(example))
    assert [rule.name for rule in own_rules(file)] == ["no-premium"]
