"""How a change is shown to a person, in a comment and to a CI."""

from __future__ import annotations

import datetime
import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from stacks_pulumi.gate import texts
from stacks_pulumi.gate.change import Change, changes_of, pricer_of
from stacks_pulumi.gate.record import Content, Digests, Record
from stacks_pulumi.gate.settings import Gate
from stacks_pulumi.gate.verdict import Verdict, judge, without_plan
from stacks_pulumi.reports import PolicyViolation
from tests.support.golden import Golden
from tests.support.saved_plans import (
    ADDRESS,
    BACKUP,
    CONNECTION,
    HIDDEN,
    PROVIDER,
    RANDOM,
    UNKNOWN,
    Saved,
    inputs,
    web,
)
from tests.unit.gate.conftest import MakeGate

NOW = datetime.datetime(2026, 5, 17, 12, tzinfo=datetime.timezone.utc)


def record(
    code: str = "",
    state: bytes = b'{"deployment": null}',
    plan: bytes = b'{"manifest": {}}',
    **more: Any,
) -> Record:
    digests = Digests(*["0" * 64] * 7)
    content = Content(
        stack="organization/shop/dev",
        made_at=NOW,
        expires_at=NOW + datetime.timedelta(hours=24),
        backend="file://",
        gate_source="gate of origin/main",
        runtime="python" if code else "yaml",
        code=code,
        author="Ann <ann@example.org>",
        digests=digests,
        versions={"pulumi": "3.259.0"},
        sealed_key="",
        **more,
    )
    return Record(Path("record"), content, "ab" * 32, plan, state, b"")


def change() -> Saved:
    """Return a change with a step of each kind that a person has to see."""
    saved = Saved()
    db = saved.old("db", web(template="redis"))
    saved.old(
        "user",
        inputs("Connection", source="usr-1-web", target="usr-1-db", name="DB"),
        CONNECTION,
        dependencies=[db],
    )
    saved.plan("db", None, "delete")
    saved.plan("user", None, "delete", kind=CONNECTION)
    saved.old("big", web("basic"))
    saved.plan("big", web("premium"), "create-replacement", "replace", "delete-replaced")
    saved.plan("me", inputs("AllowedIp", container="usr-1-web", ip_address=UNKNOWN), "create", kind=ADDRESS)
    saved.old("web", web(discount_code=HIDDEN, restart_triggers=["1"]))
    saved.plan("web", web(discount_code=HIDDEN, restart_triggers=["2"]), "update")
    saved.same("kept", web())
    return saved


def judged(gate: Gate, saved: Saved, **more: Any) -> tuple[Verdict, tuple[Change, ...]]:
    changes = changes_of(*saved.files, pricer_of(gate))
    return judge(gate, changes, now=NOW, **more), changes


@pytest.mark.parametrize("width", [60, 80])
def test_a_narrow_terminal_cuts_no_name_and_no_sum(make_gate: MakeGate, width: int) -> None:
    """Two names that begin in the same way would look the same, and $1,234.00 would be $1."""
    name = "x" * 60
    saved = Saved()
    saved.old(f"{name}-old", web(name="prod"))
    saved.plan(f"{name}-old", None, "delete")
    saved.plan(f"{name}-new", web("premium", name="new"), "create")

    text = texts.show(record(), *judged(make_gate(), saved), width=width)

    cells = [line.split("│")[2].strip() for line in text.splitlines() if line.startswith("│")]
    assert f"{name}-old" in "".join(cells)
    assert f"{name}-new" in "".join(cells)
    assert "+$10.00" in text
    assert "…" not in text


@pytest.mark.parametrize(
    ("id_", "told"),
    [("usr-1-prod-db", True), ("usr-1-prod-web", True), ("usr-1-Web", False), ("4711", False)],
)
def test_a_container_whose_id_is_that_of_another_name_is_told(
    make_gate: MakeGate, id_: str, told: bool
) -> None:
    """Who can write the state could have another stack's container deleted under a harmless name."""
    saved = Saved()
    saved.old("web", web(), id=id_)
    saved.plan("web", None, "delete")

    text = texts.show(record(), *judged(make_gate(), saved))

    words = f"the state maps 'web' to {id_}: check that this is the container web"
    assert (f"warning: {words}" in text) is told


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (BACKUP, inputs("PinnedBackup", container="usr-1-web", backup_id="7")),
        (CONNECTION, inputs("Connection", source="usr-1-web", target="usr-1-db", name="DB")),
    ],
)
def test_a_part_of_another_container_is_told(make_gate: MakeGate, kind: str, given: dict[str, Any]) -> None:
    for id_, told in (("usr-1-prod-web/7", True), ("usr-1-web/7", False)):
        saved = Saved()
        saved.old("it", given, kind, id=id_)
        saved.plan("it", None, "delete", kind=kind)

        text = texts.show(record(), *judged(make_gate(), saved))

        words = f"the state maps 'it' to {id_}: check that this is one of usr-1-web"
        assert (f"warning: {words}" in text) is told


def test_a_plan_for_an_empty_stack_says_what_it_cannot_show(make_gate: MakeGate) -> None:
    """As that of a pull request, in which a container that the branch deletes is only left out."""
    words = "what it deletes in another stack is not shown"
    saved = Saved()
    saved.plan("web", web(), "create")
    assert words in texts.show(record(), *judged(make_gate(), saved))

    saved.same("db", web(name="db"))
    assert words not in texts.show(record(), *judged(make_gate(), saved))


def test_a_step_that_runs_code_of_the_state_is_shown_as_that(make_gate: MakeGate) -> None:
    """The deletion of such a resource runs what its state has, also where the program is data."""
    saved = Saved()
    saved.old("thing", {"__provider": HIDDEN}, "pulumi-python:dynamic/acme:Thing")
    saved.plan("thing", None, "delete", kind="pulumi-python:dynamic/acme:Thing")

    text = texts.show(record(), *judged(make_gate(), saved))

    assert (
        "warning: 'thing' has its own code, in the program or in the state, which runs with the key" in text
    )
    assert "has its own code" not in texts.show(record(), *judged(make_gate(), change()))


def test_what_ends_is_shown_with_its_name_on_the_platform_and_its_old_name(make_gate: MakeGate) -> None:
    """The author of the program names the resources, and an alias gives them other names."""
    saved = Saved()
    old = saved.old("prod-db", web(name="prod-db"))
    before = web(name="prod-db")
    saved.plan("scratch", web("premium", name="prod-db"), "update", aliases=[old], base=before)
    saved.old("idle", web(name="shop-db"))
    saved.plan("idle", None, "delete")

    text = texts.show(record(), *judged(make_gate(), saved))

    assert re.search(r"-  idle +name +shop-db", text)
    assert re.search(r"~  scratch +name +prod-db +prod-db", text)
    assert f"'scratch' had the URN {old} before" in text


def test_an_approver_sees_that_a_provider_may_adopt(make_gate: MakeGate) -> None:
    saved = Saved()
    saved.same("default", {"stacks:adopt": "if_matching"}, PROVIDER, parent="")
    saved.plan("web", web(), "create")

    assert "the provider 'default' may adopt what exists already" in texts.show(
        record(), *judged(make_gate(), saved)
    )


def test_an_approver_sees_that_a_file_says_how_answers_are_read(make_gate: MakeGate) -> None:
    """With `running: deleted` in it, a deletion ends without a request, and the container stays."""
    saved = change()
    told = "the API's answers are read as "
    assert told not in texts.show(record(plan=saved.files[0]), *judged(make_gate(), saved))
    saved.config["stacks:platform"] = "facts.yml"
    shown = texts.show(record(plan=saved.files[0]), *judged(make_gate(), saved))
    assert f"{told}facts.yml says (stacks:platform)" in shown


@pytest.mark.parametrize(("package", "name"), [("stacks", "platform"), ("pulumi-python", "stacks:platform")])
@pytest.mark.parametrize("is_new", [True, False])
def test_an_approver_sees_the_platform_file_of_a_provider_too(
    make_gate: MakeGate, package: str, name: str, is_new: bool
) -> None:
    """The container that ends is that of a provider, which needs not be in the program any more."""
    saved, kind, inputs = change(), f"pulumi:providers:{package}", {name: "facts.yml"}
    if is_new:
        saved.plan("team", inputs, "create", kind=kind)
    else:
        saved.old("team", inputs, kind)
        saved.plan("team", None, "delete", kind=kind)
    plan, state = saved.files[:2]
    shown = texts.show(record(plan=plan, state=state), *judged(make_gate(), saved))
    assert shown.count("the API's answers are read as facts.yml says") == 1


def test_an_approver_sees_that_the_state_has_other_code(make_gate: MakeGate) -> None:
    """The program is data, and what the state has is only forgotten."""
    saved = Saved()
    saved.old("it", {}, RANDOM, external=True)
    saved.plan("it", None, "discard", kind=RANDOM)

    shown = texts.show(record(state=saved.files[1]), *judged(make_gate(), saved))

    assert f"the program may run its own code (the state has 'it' ({RANDOM}), whose provider" in shown


def test_a_person_sees_every_step_with_its_values_and_what_is_unknown(make_gate: MakeGate) -> None:
    shown = texts.show(
        record("its runtime is python, so it is code"),
        *judged(make_gate(), change()),
        ("approved by no one",),
    )
    assert shown.startswith("The change of shop/dev: needs an approval; the monthly cost changes by")
    for expected in (
        "replaced, created first",
        "'big': both are billed until the old one is deleted",
        "'db' is needed by user",
        "destroys-data: 'db' is deleted, and with it its keys and values",
        "not known, so the update takes any value: 'me'",
        "the program may run its own code (its runtime is python, so it is code)",
        f"the record {'ab' * 32}, made at 2026-05-17 12:00:00 UTC",
        "approved by no one",
    ):
        assert expected in shown, shown
    assert re.search(r"^~ +web +restart_triggers +\[1\] +\[2\]$", shown, re.MULTILINE)
    assert "kept" not in shown
    # The most that matters comes first.
    assert shown.index("deleted ") < shown.index("created first") < shown.index("changed ")


def test_a_provider_of_the_engine_has_a_line_and_no_row(make_gate: MakeGate) -> None:
    saved = Saved(config={"stacks:apiKey": {"secure": "v1:x"}})
    saved.plan("default_0_3_1", {"apiKey": HIDDEN}, "create", kind=PROVIDER, parent="")
    saved.plan("default", {"apiKey": HIDDEN, "baseUrl": "https://there"}, "create", kind=PROVIDER, parent="")
    shown = texts.show(record(), *judged(make_gate(), saved))
    assert "note: providers of the engine, with the stack's configuration: default_0_3_1 is created" in shown
    assert not re.search(r"^[+] +default_0_3_1 ", shown, re.MULTILINE)
    # With other settings it is the program's.
    assert re.search(r"^[+] +default +pulumi:providers:stacks", shown, re.MULTILINE)


def test_secrets_are_not_shown(make_gate: MakeGate) -> None:
    saved = Saved()
    saved.plan("web", web(discount_code=HIDDEN, restart_triggers=[{"a": HIDDEN}, UNKNOWN]), "create")
    shown = texts.show(record(), *judged(make_gate(), saved))
    assert "[secret]" in shown
    assert "[{a: [secret]}, ?]" in shown
    assert "ciphertext" not in shown
    assert UNKNOWN not in shown


def test_a_value_that_is_cut_is_named_and_whole_in_the_json(make_gate: MakeGate) -> None:
    long = "x" * 400 + "the end"
    saved = Saved()
    saved.plan("web", web(restart_triggers=[long]), "create")
    verdict, changes = judged(make_gate(), saved)
    shown = texts.show(record(), verdict, changes)
    assert "the end" not in shown
    assert "warning: 'web': restart_triggers may be cut" in shown
    data = json.loads(texts.json(record(), verdict, changes))
    assert data["changes"][0]["inputs"]["restart_triggers"] == {"before": "", "after": f"[{long}]"}


def test_nothing_of_a_program_is_carried_out(make_gate: MakeGate) -> None:
    saved = Saved()
    saved.plan("x\n::error::y", web(discount_code="**@all** \x1b[2J\n::set-output"), "create")
    verdict, changes = judged(make_gate(), saved)
    for text in (texts.show(record(), verdict, changes), texts.comment(record(), verdict, changes)):
        assert "\x1b" not in text
        assert not [line for line in text.splitlines() if line.startswith("::")]
    comment = texts.comment(record(), verdict, changes)
    assert "**@all**" not in comment
    assert comment.startswith("<!-- stacks-pulumi cost: gate%20shop/dev -->")


def test_spaces_cannot_imitate_the_columns_of_the_table(make_gate: MakeGate) -> None:
    saved = Saved()
    saved.old("db   Container: redis, basic   unchanged", web(template="redis"))
    saved.plan("db   Container: redis, basic   unchanged", None, "delete")
    shown = texts.show(record(), *judged(make_gate(), saved))
    assert re.search(
        r"^- +db···Container: redis, basic···unchanged +Container: redis, basic +deleted", shown, re.MULTILINE
    )


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("", "needs an approval"),
        ("limits: {max_total: 1}", "refused"),
        ("two_approvals: [destroys-data]", "of two people"),
    ],
)
def test_the_comment_begins_with_the_result(make_gate: MakeGate, text: str, result: str) -> None:
    verdict, changes = judged(make_gate(text), change())
    comment = texts.comment(record(), verdict, changes)
    assert result in comment.splitlines()[1]
    assert ("what is signed is what" in comment) == (verdict.result == "needs_approval")
    assert "1 unchanged resource" in comment


def test_what_policies_refuse_without_a_plan_has_no_price(make_gate: MakeGate) -> None:
    violation = PolicyViolation("allowed-plans", "plans", "mandatory", "web", "not this plan")
    verdict = without_plan([violation])
    shown = texts.show("shop/dev", verdict, ())

    assert shown.startswith("The change of shop/dev: refused, so the monthly cost after it is not known.")
    assert "$" not in shown
    assert shown.count("not this plan") == 1
    # The comment takes the place of one of another result.
    judged_one = texts.comment(record(), *judged(make_gate(), change()))
    assert texts.comment("shop/dev", verdict, ()).splitlines()[0] == judged_one.splitlines()[0]
    assert texts.unplanned("shop/dev").splitlines()[0] == judged_one.splitlines()[0]
    data = json.loads(texts.json("shop/dev", verdict, ()))
    assert (data["stack"], data["record"], data["result"]) == ("shop/dev", None, "refused")
    assert data["price_after"] == {"low": "0.00", "high": None}
    assert data["increase"] is None
    assert [one["rule"] for one in data["reasons"]] == ["allowed-plans"]


def test_junit_fails_for_refusals_alone(make_gate: MakeGate) -> None:
    gate = make_gate("rules: {destroys-data: refuse}\nlimits: {max_total: 100}")
    verdict, changes = judged(gate, change())
    suite = ET.fromstring(texts.junit(record(), verdict, changes))
    failed = {test.get("name"): test.find("failure") is not None for test in suite}
    assert failed["destroys-data"]
    assert not failed["opens-access"]
    assert not failed["max_total"]
    assert not failed["no mandatory policy is violated"]
    assert not failed["refused"]


def test_the_documents_for_programs_are_as_recorded(make_gate: MakeGate, golden: Golden) -> None:
    gate = make_gate("rules: {destroys-data: refuse}\nlimits: {max_total: 100, max_increase: 1}")
    verdict, changes = judged(gate, change())

    golden.text("gate.json", texts.json(record(), verdict, changes))
    golden.text("gate.md", texts.comment(record(), verdict, changes))
    golden.text("gate.txt", texts.show(record(), verdict, changes))
    golden.text("gate.xml", texts.junit(record(), verdict, changes))


def test_programs_get_the_same_as_json(make_gate: MakeGate) -> None:
    verdict, changes = judged(make_gate(), change())
    data = json.loads(texts.json(record(), verdict, changes))
    assert data["result"] == "needs_approval"
    assert {one["operation"] for one in data["changes"]} == {"delete", "replace", "create", "update"}
    assert data["unknown"] == list(verdict.unknown)
    assert texts.summary(record(), verdict, changes).startswith("### ")


def test_what_is_looked_up_no_longer_is_shown_as_a_step_without_effect(make_gate: MakeGate) -> None:
    saved = Saved()
    saved.old("web", web(), external=True)
    saved.plan("web", None, "discard")
    shown = texts.show(record(), *judged(make_gate(), saved))
    assert "looked up no longer" in shown
    assert "'web' was only looked up: nothing changes in the account" in shown


def test_the_steps_of_a_large_change_are_counted_and_its_comment_fits(make_gate: MakeGate) -> None:
    saved = Saved()
    for number in range(200):
        saved.old(f"old{number}", web(template="redis", name=f"old-{number}"))
        saved.plan(f"old{number}", None, "delete")
        saved.plan(f"new{number}", web(name=f"new-{number}"), "create")
    verdict, changes = judged(make_gate(), saved)
    assert "note: 400 steps: 200 deleted, 200 created\n" in texts.show(record(), verdict, changes)
    # A comment of GitHub has at most 65,536 characters.
    assert len(texts.comment(record(), verdict, changes)) < 65_000
    saved = Saved()
    saved.plan("web", web(), "create")
    assert "steps:" not in texts.show(record(), *judged(make_gate(), saved))
