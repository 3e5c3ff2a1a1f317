"""Builds a report from Pulumi's output."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from stacks_pulumi import catalog
from stacks_pulumi._identifiers import name_of
from stacks_pulumi._pulumi_output import Event, Preview, ResourceState, Stack, Step, read
from stacks_pulumi.cost.report import Action, Item, Line, NotPriced, PolicyViolation, Reason, Report, item
from stacks_pulumi.cost.steps import (
    INTERRUPTED,
    LEFT_OVER,
    PreviewPlan,
    Thing,
    only_refreshes,
    plan_of,
)
from stacks_pulumi.pricing.money import FREE, Change, MonthlyPrice, Price, count, total
from stacks_pulumi.pricing.recognition import UNRECOGNISED
from stacks_pulumi.pricing.views import UNPRICED

__all__ = ["report_of"]

_ORDER: Final[dict[Action, int]] = {"create": 0, "replace": 1, "update": 2, "delete": 3, "keep": 4, "same": 5}
_POLICIES_ONLY: Final = "preview failed"
_SHOWN: Final = 5


def report_of(data: bytes, monthly: MonthlyPrice = catalog.monthly_price) -> Report:
    """
    Return the report on a preview, the events of a preview, or the state of a stack.

    Args:
        data: Pulumi's output.
        monthly: Returns the prices.

    Raises:
        InputError: The data cannot be priced.
    """
    document = read(data)
    if isinstance(document, Stack):
        return _stack(document, monthly)
    if isinstance(document, Preview):
        steps: list[Step] = [*document.steps]
        errors = [said.message for said in document.diagnostics if said.severity == "error"]
        missing = document.change_summary.get("same", 0) - sum(step.op == "same" for step in steps)
        incomplete = _unfinished(errors) or _only_refreshes(steps) or _without_sames(missing)
        return _preview(steps, monthly, errors, incomplete, ())
    return _events(document, monthly)


def _only_refreshes(steps: list[Step]) -> str:
    if not only_refreshes(steps):
        return ""
    return (
        "in this format a refresh shows the recorded state, not what it found: "
        "run `pulumi preview --refresh --json --show-sames`"
    )


def _without_sames(missing: int) -> str:
    if missing <= 0:
        return ""
    return (
        f"the preview omits unchanged resources ({count(missing, 'resource')}), so its totals are wrong: "
        "run `pulumi preview --json --show-sames`"
    )


def _unfinished(errors: list[str]) -> str:
    others = [error for error in errors if _POLICIES_ONLY not in error]
    if not others:
        return ""
    first = others[0].removeprefix("error: ").strip().splitlines()
    return f"the preview failed and shows only a part ({first[0] if first else 'no reason given'}): fix that first"


def _events(events: list[Event], monthly: MonthlyPrice) -> Report:
    steps = [
        event.metadata
        for line in events
        # The second of a resource's two events has more fields, but is missing if the operation failed.
        for event in (line.resource_pre_event, line.res_outputs_event)
        if event is not None
    ]
    errors = [
        line.diagnostic_event.message
        for line in events
        if line.diagnostic_event is not None and line.diagnostic_event.severity == "error"
    ]
    violations = [
        PolicyViolation(
            event.policy_name,
            event.policy_pack_name,
            event.enforcement_level,
            name_of(event.resource_urn),
            event.message.strip(),
        )
        for event in (line.policy_event for line in events)
        if event is not None
    ]
    mandatory_first = sorted(dict.fromkeys(violations), key=lambda violation: violation.level != "mandatory")
    incomplete = _unfinished(errors) or _unexplained(
        [line.summary_event.result for line in events if line.summary_event is not None], mandatory_first
    )
    return _preview(steps, monthly, errors, incomplete, tuple(mandatory_first))


def _unexplained(results: list[str], violations: list[PolicyViolation]) -> str:
    if not results:
        return (
            "the events end before the preview does, for instance because a policy pack cannot be loaded: "
            "see the standard error of `pulumi preview`"
        )
    # An engine that does not report the result reports the failure as an error.
    if results[-1] in {"", "succeeded"} or any(violation.level == "mandatory" for violation in violations):
        return ""
    return (
        "the preview failed and the events do not say why: run `pulumi preview` to see it, and fix that first"
    )


def _preview(
    steps: list[Step],
    monthly: MonthlyPrice,
    errors: list[str],
    incomplete: str,
    violations: tuple[PolicyViolation, ...],
) -> Report:
    plan = plan_of(steps)
    lines = _lines(plan.things, monthly)
    notes = tuple(dict.fromkeys([*plan.notes, *_charged_again(lines)]))
    blocked = _blocked(errors, violations) if not incomplete else ""
    return Report("preview", lines, _not_priced(_afterwards(plan)), violations, notes, blocked, incomplete)


def _afterwards(plan: PreviewPlan) -> Iterator[ResourceState]:
    return (thing.after for thing in plan.things if thing.after is not None)


def _charged_again(lines: tuple[Line, ...]) -> list[str]:
    """Return a note on replacements: a key's cap counts all that it creates in a month, so their full price counts."""
    replaced = [line for line in lines if line.action == "replace"]
    if not replaced:
        return []
    each = ", ".join(f"{line.name!r} {_anew(line.planned)}" for line in replaced[:_SHOWN])
    more = len(replaced) - _SHOWN
    rest = f" and {more} more, {_anew(total(line.planned for line in replaced))} in all" if more > 0 else ""
    return [f"replaced, so charged to the key's spending cap again: {each}{rest}; a deletion refunds nothing"]


def _anew(price: Price) -> Change:
    return Change.between(FREE, price)


def _blocked(errors: list[str], violations: tuple[PolicyViolation, ...]) -> str:
    mandatory = [violation for violation in violations if violation.level == "mandatory"]
    if mandatory:
        return f"{count(len(mandatory), 'violation')} of mandatory policies"
    if errors:
        return (
            "the preview failed, as it does when a mandatory policy is violated; this format does not say which: "
            "set PULUMI_ENABLE_STREAMING_JSON_PREVIEW=true to list them"
        )
    return ""


def _lines(things: Iterable[Thing], monthly: MonthlyPrice) -> tuple[Line, ...]:
    lines = [line for thing in things for line in _line(thing, monthly)]
    lines.sort(key=lambda line: (_ORDER[line.action], line.name))
    return tuple(lines)


def _line(thing: Thing, monthly: MonthlyPrice) -> Iterator[Line]:
    before, after = _item(thing.before, monthly), _item(thing.after, monthly)
    if before is None and after is None:
        return
    action = _action(thing.op, before, after)
    if action in {"same", "keep"} and before is not None and after is not None:
        # The engine reports no change, so if only one side has a price, the other has the same.
        before = after = after if after.price.exact else before
    yield Line(f"{name_of(thing.urn)}{thing.note}", thing.urn, action, before, after)


def _item(state: ResourceState | None, monthly: MonthlyPrice) -> Item | None:
    """Return the billed item; `None` for a resource without a price."""
    if state is None or not state.custom or state.external:
        return None
    kind = state.kind
    if kind == UNRECOGNISED:
        return Item("kind not known", UNPRICED)
    return item(state.inputs or {}, monthly) if kind == "Container" else None


def _action(op: str, before: Item | None, after: Item | None) -> Action:
    if op == "keep":
        return "keep"
    if after is None:
        return "delete"
    if before is None:
        return "create"
    return "replace" if op == "replace" else "update" if op == "update" else "same"


def _not_priced(states: Iterable[ResourceState]) -> tuple[NotPriced, ...]:
    counts: Counter[tuple[str, Reason]] = Counter()
    for state in states:
        if not state.custom or state.type.startswith("pulumi:providers:"):
            continue
        kind = state.kind
        if kind is None:
            counts[state.type, "elsewhere"] += 1
        elif state.external:
            counts[state.type, "read"] += 1
        elif kind not in {"Container", UNRECOGNISED}:
            counts[state.type, "free"] += 1
    return tuple(NotPriced(type_, count, reason) for (type_, reason), count in sorted(counts.items()))


def _stack(stack: Stack, monthly: MonthlyPrice) -> Report:
    things = [
        Thing(state.urn, "same", state, state, LEFT_OVER if state.delete else "")
        for state in stack.resources
        # A resource that is pending replacement has already been deleted.
        if not state.pending_replacement
    ]
    # The outcome of an interrupted create is unknown, so it counts.
    things += [Thing(state.urn, "keep", state, state, INTERRUPTED) for state in stack.creating]
    lines = sorted(_lines(things, monthly), key=lambda line: line.name)
    return Report("stack", tuple(lines), _not_priced(stack.resources))
