"""
How is a change shown to a person, and in a comment?

The report is one `Document`, as those of the cost and account commands are. `show` prints it where the approver is;
what `plan` writes is only for reading, because its job may run the program that is judged.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from stacks_pulumi._identifiers import same_name
from stacks_pulumi.cost.report import FOOTER, bounds
from stacks_pulumi.gate.change import Change, Operation
from stacks_pulumi.gate.plan_file import platform_files
from stacks_pulumi.gate.record import Record
from stacks_pulumi.gate.verdict import FREE_RULE, Verdict
from stacks_pulumi.pricing.money import FREE, count, usd
from stacks_pulumi.pricing.money import Change as Difference
from stacks_pulumi.pricing.recognition import MARKER, is_hidden, is_unknown, known, snake_case
from stacks_pulumi.pricing.views import ContainerView
from stacks_pulumi.reports import Action, Check, Column, Document, Folded, PolicyViolation, Row, Table, Weight
from stacks_pulumi.reports.writers import as_json, as_junit, markdown, plain, rich_text
from stacks_pulumi.reports.writers import comment as as_comment

_SUITE: Final = "stacks-pulumi gate"
_WIDEST: Final = 120
_VALUE: Final = 300
_SPACES: Final = re.compile(" {2,}")
_DOT: Final = "\N{MIDDLE DOT}"
_NONE: Final = "\N{EN DASH}"
_CODE: Final = ("pulumi-python:dynamic", "pulumi-nodejs:dynamic")
"""Types of resources whose provider is a part of them."""

_DEPENDANTS: Final = 5
_COUNTED: Final = 20
"""The most steps that a reader counts."""
_NOT_SHOWN: Final = frozenset(
    {MARKER, "stacksKind", "monthly_price_usd", "monthlyPriceUsd", "changed_outside"}
)
"""Inputs that `check` adds; prices and kinds have their own columns."""

_RESULTS: Final = {
    "nothing": "nothing changes",
    "free": "may be applied without an approval",
    "needs_approval": "needs an approval",
    "refused": "refused",
}
_ACTIONS: Final[Mapping[Operation, Action]] = {
    "create": "create",
    "import": "create",
    "update": "update",
    "replace": "replace",
    "delete": "delete",
    "keep": "keep",
    "unclear": "keep",
    "read": "same",
    "discard": "same",
    "same": "same",
}
_ORDER: Final[tuple[Operation, ...]] = (
    "unclear",
    "delete",
    "replace",
    "keep",
    "import",
    "update",
    "create",
    "read",
    "discard",
    "same",
)
_MADE: Final = frozenset({"create", "delete"})
_SIGNED: Final = (
    "what is signed is what `stacks-pulumi gate show` prints for the record: the job that wrote this comment may have "
    "run the program"
)


def document_of(
    record: Record | str, verdict: Verdict, changes: Sequence[Change], lines: Sequence[str] = ()
) -> Document:
    """
    Return what is shown of a change.

    Args:
        record: Its record; the stack's name if it has none, because policies refuse its preview.
        verdict: How the gate judges it.
        changes: What happens to each resource.
        lines: More texts, for instance on its approvals.
    """
    # The engine does not show its own providers either.
    listed = [one for one in changes if not one.engines_own or one.operation == "update"]
    acting = sorted((one for one in listed if one.acts), key=lambda one: _ORDER.index(one.operation))
    same = [one for one in listed if not one.acts]
    return Document(
        _headline(record, verdict),
        remarks=(
            *_sums(acting),
            *_reasons(verdict),
            *_during(verdict),
            *_all_new(listed),
            *_engines_own(changes),
            *_facts(acting),
            *_record_lines(record, verdict),
            *(("note", line) for line in lines),
        ),
        tables=(_steps(verdict, acting, same), *([inputs] if (inputs := _inputs(acting)).rows else [])),
        violations=_violations(verdict),
        footer=FOOTER,
        checks=tuple(_checks(verdict)),
        data=_data(record, verdict, changes),
    )


def show(
    record: Record | str,
    verdict: Verdict,
    changes: Sequence[Change],
    lines: Sequence[str] = (),
    *,
    width: int | None = None,
    color: bool = False,
) -> str:
    """
    Return a change for a terminal.

    Args:
        record: Its record, or the stack's name.
        verdict: How the gate judges it.
        changes: What happens to each resource.
        lines: More texts, for instance on its approvals.
        width: Columns of the terminal; without them plain columns are printed.
        color: Whether the terminal shows colours.
    """
    document = document_of(record, verdict, changes, lines)
    text = None if width is None else rich_text(document, width=width, color=color)
    return text or plain(document)


def comment(record: Record | str, verdict: Verdict, changes: Sequence[Change]) -> str:
    """
    Return a change as a comment of a pull request.

    Args:
        record: Its record, or the stack's name.
        verdict: How the gate judges it.
        changes: What happens to each resource.
    """
    text = document_of(record, verdict, changes, (_SIGNED,) if verdict.result == "needs_approval" else ())
    return as_comment(text, f"gate {_stack(record)}")


def unplanned(stack: str) -> str:
    """
    Return the comment of a pull request whose change was not planned, so that the one of an earlier plan goes.

    It has no reason: a program's error may have a secret, which the log of a job hides and a comment does not.

    Args:
        stack: The stack's name.
    """
    text = Document(
        f"The change of {stack}: it could not be planned, so neither its steps nor its price are known.",
        remarks=(("error", "the log of the job that planned says why"),),
    )
    return as_comment(text, f"gate {stack}")


def summary(record: Record | str, verdict: Verdict, changes: Sequence[Change]) -> str:
    """Return a change as the summary of a job, in Markdown."""
    return markdown(document_of(record, verdict, changes), 100)


def junit(record: Record | str, verdict: Verdict, changes: Sequence[Change]) -> str:
    """Return the conditions of a change as JUnit XML."""
    return as_junit(document_of(record, verdict, changes), _SUITE)


def json(record: Record | str, verdict: Verdict, changes: Sequence[Change]) -> str:
    """Return a change for programs."""
    return as_json(_data(record, verdict, changes))


def _stack(record: Record | str) -> str:
    return record if isinstance(record, str) else record.stack_name


def _headline(record: Record | str, verdict: Verdict) -> str:
    where = f"The change of {_stack(record)}"
    if isinstance(record, str):
        return f"{where}: {_RESULTS[verdict.result]}, so the monthly cost after it is not known."
    if verdict.result == "nothing":
        return f"{where}: nothing changes."
    people = " of two people" if verdict.approvals_needed > 1 else ""
    price = (
        f"the monthly cost stays at {verdict.price_after}"
        if verdict.difference.none
        else f"the monthly cost changes by {verdict.difference}, from {verdict.price_before} to {verdict.price_after}"
    )
    return f"{where}: {_RESULTS[verdict.result]}{people}; {price}."


def _sums(acting: Sequence[Change]) -> Iterator[tuple[Weight, str]]:
    """Return how many steps of each kind there are, where a reader can no longer count them."""
    if len(acting) > _COUNTED:
        sums = Counter(_step(one).partition(",")[0] for one in acting)
        yield "note", f"{len(acting)} steps: {', '.join(f'{number} {step}' for step, number in sums.items())}"


def _reasons(verdict: Verdict) -> Iterator[tuple[Weight, str]]:
    policies = {one.policy for one in verdict.violations if one.level == "mandatory"}
    for reason in verdict.reasons:
        if reason.rule in policies:
            # It has its own part of the report.
            continue
        yield ("error" if reason.result == "refused" else "warning"), str(reason)
    for text in verdict.unknown:
        yield "warning", f"not known, so the update takes any value: {text}"
    for limit in verdict.limits:
        if limit.passed:
            yield "note", f"{limit.name}: {limit.text}"


def _during(verdict: Verdict) -> Iterator[tuple[Weight, str]]:
    """Return that a change costs more for a time than before it and after it."""
    most, ends = verdict.price_during, verdict.price_before.or_higher(verdict.price_after)
    if most.high is not None and ends.high is not None and most.high > ends.high:
        yield "note", f"{usd(most.high)} a month at most until the last deletion, also if it is killed before"


def _facts(acting: Sequence[Change]) -> Iterator[tuple[Weight, str]]:
    """Return what else a reader should know of the steps."""
    for one in acting:
        name = repr(one.name)
        if one.operation in {"delete", "replace"} and one.dependants:
            users = ", ".join(urn.rpartition("::")[2] for urn in one.dependants[:_DEPENDANTS])
            more = (
                f" and {len(one.dependants) - _DEPENDANTS} more" if len(one.dependants) > _DEPENDANTS else ""
            )
            yield "note", f"{name} is needed by {users}{more}"
        if one.operation == "replace" and one.price_before != FREE and not one.deleted_first:
            yield "note", f"{name}: both are billed until the old one is deleted"
        cut = [
            name for name in _told(one) if len(_value(one.before, name) + _value(one.after, name)) > _VALUE
        ]
        if cut:
            yield (
                "warning",
                f"{name}: {', '.join(cut)} may be cut in the table; the JSON has the whole values",
            )
        if one.operation == "discard":
            yield "note", f"{name} was only looked up: nothing changes in the account"
        if one.operation != "create" and (whose := _may_not_be(one)):
            yield (
                "warning",
                f"the state maps {name} to {one.id}: check that this is {whose}",
            )
        if one.kind is None and one.type.startswith(_CODE):
            yield (
                "warning",
                f"{name} has its own code, in the program or in the state, which runs with the key",
            )
        if one.old_urn:
            yield "warning", f"{name} had the URN {one.old_urn} before"
        if one.unprotected:
            yield "warning", f"{name} is no longer protected from deletion"
        if one.provider_changes:
            yield "warning", f"{name} is managed by another provider from now on"


def _may_not_be(one: Change) -> str:
    """Return what an id in the state does not show to be; empty if it does. By the id a change is made."""
    before, (owner, _, own) = snake_case(one.before), one.id.partition("/")
    if one.kind == "Container":
        # Another name may only end with this one. A platform may put a prefix before each, or have no names in ids.
        name, seen = before.get("name"), one.id.removeprefix("usr-").partition("-")[2]
        doubtful = one.id.startswith("usr-") and isinstance(name, str) and not same_name(seen, name)
        return f"the container {name}" if doubtful else ""
    parent = before.get("source" if one.kind == "Connection" else "container")
    doubtful = one.kind is not None and own != "" and isinstance(parent, str) and not same_name(owner, parent)
    return f"one of {parent}" if doubtful else ""


def _all_new(listed: Sequence[Change]) -> Iterator[tuple[Weight, str]]:
    """Return what a plan for an empty stack cannot show, as that of a pull request is."""
    if listed and all(one.operation == "create" for one in listed):
        yield (
            "note",
            "the stack is empty, so this is the whole program: what it deletes in another stack is not shown",
        )


def _engines_own(changes: Sequence[Change]) -> Iterator[tuple[Weight, str]]:
    """Return a line on the providers that the engine makes by itself, which have no row."""
    names = [f"{one.name} is {_step(one)}" for one in changes if one.engines_own and one.operation in _MADE]
    if names:
        yield "note", f"providers of the engine, with the stack's configuration: {', '.join(names)}"


def _record_lines(record: Record | str, verdict: Verdict) -> Iterator[tuple[Weight, str]]:
    if isinstance(record, str):
        return
    content = record.content
    yield "note", f"the record {record.digest}, made at {content.made_at:%Y-%m-%d %H:%M:%S} UTC"
    if verdict.result != "refused":
        yield "note", f"it can be applied until {content.expires_at:%Y-%m-%d %H:%M:%S} UTC"
    yield "note", f"the gate: {content.gate_source}"
    yield "note", f"versions: {', '.join(f'{name} {version}' for name, version in content.versions.items())}"
    if content.author:
        yield "note", f"the author of the last commit, as git says it: {content.author}"
    for platform in dict.fromkeys(map(_written, platform_files(record.plan, record.state))):
        what = "with a wrong word in it, what is deleted stays, and is billed: read it too"
        yield "warning", f"the API's answers are read as {platform} says (stacks:platform); {what}"
    if record.code:
        what = "the approval is for the steps of Pulumi, and not for what that code does"
        yield "warning", f"the program may run its own code ({record.code}): {what}"


def _steps(verdict: Verdict, acting: Sequence[Change], same: Sequence[Change]) -> Table:
    columns = (
        Column("", "action"),
        Column("Resource", strong=True, widest=_WIDEST),
        Column("Kind", widest=_WIDEST),
        Column("Step"),
        Column("Now", "figure"),
        Column("Planned", "figure"),
        Column("Difference", "figure", strong=True),
    )
    rows = tuple(
        Row(
            (
                _ACTIONS[one.operation],
                _flat(f"{one.name}{one.note}"),
                _kind(one),
                _step(one),
                *_prices(one),
            ),
            _ACTIONS[one.operation],
            _size(one),
        )
        for one in acting
    )
    total = (
        "",
        "The stack",
        "",
        "",
        str(verdict.price_before),
        str(verdict.price_after),
        str(verdict.difference),
    )
    unchanged = Table(
        (Column("Resource", strong=True), Column("Kind"), Column("A month", "figure")),
        tuple(
            Row((_flat(f"{one.name}{one.note}"), _kind(one), str(one.price_after)), size=_size(one))
            for one in same
        ),
    )
    folded = Folded(count(len(same), "unchanged resource"), unchanged) if same else None
    return Table(columns, rows, total=total, unchanged=folded)


def _kind(one: Change) -> str:
    if one.kind == "Container":
        inputs = one.before if one.operation == "delete" else one.after
        return f"Container: {ContainerView.of(one.urn, one.name, inputs).kind}"
    return one.kind or _flat(one.type)


def _step(one: Change) -> str:
    if one.operation == "replace":
        return "replaced, deleted first" if one.deleted_first else "replaced, created first"
    if one.operation == "same":
        return "unprotected" if one.unprotected else "moved"
    return {
        "create": "created",
        "update": "changed",
        "delete": "deleted",
        "import": "imported",
        "keep": "leaves the stack",
        "read": "looked up",
        "discard": "looked up no longer",
        "unclear": "unclear",
    }[one.operation]


def _prices(one: Change) -> tuple[str, str, str]:
    if one.line is None:
        return _NONE, _NONE, _NONE
    return str(one.price_before), str(one.price_after), str(one.line.difference)


def _size(one: Change) -> Decimal:
    if one.operation in {"unclear", "delete", "replace"}:
        return Decimal("Infinity")
    bound = Difference.between(one.price_before, one.price_after).high
    return Decimal("Infinity") if bound is None else abs(bound)


def _inputs(acting: Sequence[Change]) -> Table:
    columns = (
        Column("", "action"),
        Column("Resource", strong=True, widest=_WIDEST),
        Column("Input", widest=_WIDEST),
        Column("Now", widest=_VALUE),
        Column("Planned", widest=_VALUE),
    )
    rows = tuple(
        Row(
            (
                _ACTIONS[one.operation],
                _flat(one.name),
                _flat(name),
                _flat(_value(one.before, name)),
                "?" if name in one.unknown and name not in one.after else _flat(_value(one.after, name)),
            ),
            _ACTIONS[one.operation],
            _size(one),
        )
        for one in acting
        for name in _told(one)
    )
    return Table(columns, rows, title="Inputs")


def _flat(text: str) -> str:
    """Return a text whose spaces cannot imitate the columns of a table."""
    return _SPACES.sub(lambda found: _DOT * len(found[0]), text)


def _told(one: Change) -> list[str]:
    """
    Return the inputs of a resource that are shown.

    What ends is shown with all that it was, and a container always with its name on the platform: the author of the
    program chooses the name of the resource, and can give it a different one by an alias.
    """
    ends = one.before if one.operation in {"delete", "keep", "unclear"} else ()
    named = ["name"] if one.kind == "Container" and one.before.get("name") is not None else []
    names = dict.fromkeys((*named, *one.changed, *one.unknown, *ends))
    return [name for name in names if name not in _NOT_SHOWN and not name.startswith("__")]


def _value(inputs: Mapping[str, Any], name: str) -> str:
    value = inputs.get(name)
    if value is None:
        return ""
    if is_hidden(value):
        return "[secret]"
    if is_unknown(value) and isinstance(value, str):
        return "?"
    return _written(value)


def _written(value: Any) -> str:
    """Return a value with its unknown and hidden parts marked."""
    if is_hidden(value):
        return "[secret]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_written(one)}" for key, one in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_written, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value) if known(value) is value else "?"


def _violations(verdict: Verdict) -> tuple[PolicyViolation, ...]:
    return tuple(sorted(verdict.violations, key=lambda one: one.level != "mandatory"))


def _checks(verdict: Verdict) -> Iterator[Check]:
    refusals = [reason for reason in verdict.reasons if reason.result == "refused"]
    mandatory = [one for one in verdict.violations if one.level == "mandatory"]
    policies = {one.policy for one in mandatory}
    yield Check(
        "policies",
        "no mandatory policy is violated",
        "\n".join(f"{one.policy} on {one.resource}: {one.message}" for one in mandatory),
        bool(mandatory),
    )
    for limit in verdict.limits:
        failed = any(reason.rule == limit.name for reason in refusals)
        yield Check("limits", limit.name, limit.text, failed)
    named = {limit.name for limit in verdict.limits}
    by_rule: dict[str, list[str]] = {}
    for reason in verdict.reasons:
        if reason.rule not in {*policies, *named, FREE_RULE}:
            by_rule.setdefault(reason.rule, []).append(reason.text)
    for rule, texts in by_rule.items():
        failed = any(reason.rule == rule for reason in refusals)
        yield Check("rules", rule, "\n".join(texts), failed)
    asked = [str(reason) for reason in verdict.reasons if reason.result == "needs_approval"]
    yield Check("approval", _RESULTS[verdict.result], "\n".join((*asked, *verdict.unknown)), failed=False)


def _data(record: Record | str, verdict: Verdict, changes: Sequence[Change]) -> dict[str, Any]:
    return {
        "version": 1,
        "currency": "USD",
        "per": "month",
        "record": None if isinstance(record, str) else record.digest,
        "stack": _stack(record),
        "result": verdict.result,
        "reasons": [
            {
                "result": one.result,
                "rule": one.rule,
                "urn": one.urn or None,
                "text": one.text,
                "names_others": one.names_others,
            }
            for one in verdict.reasons
        ],
        "price_before": bounds(verdict.price_before),
        "price_after": bounds(verdict.price_after),
        "price_during": bounds(verdict.price_during),
        "increase": None if verdict.increase is None else f"{verdict.increase:.2f}",
        "unknown": list(verdict.unknown),
        "approvals_needed": verdict.approvals_needed,
        "destroys_data": verdict.needs_destroy,
        "limits": [
            {
                "name": one.name,
                "passed": one.passed,
                "text": one.text,
                "names_others": one.names_others,
            }
            for one in verdict.limits
        ],
        "changes": [
            {
                "urn": one.urn,
                "type": one.type,
                "kind": one.kind,
                "operation": one.operation,
                "steps": list(one.steps),
                "inputs": {
                    name: {"before": _value(one.before, name), "after": _value(one.after, name)}
                    for name in _told(one)
                },
                "unknown": list(one.unknown),
                "price_before": bounds(one.price_before),
                "price_after": bounds(one.price_after),
                "dependants": list(one.dependants),
            }
            for one in changes
            if one.acts
        ],
    }
