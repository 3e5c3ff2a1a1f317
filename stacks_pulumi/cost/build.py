"""From what Pulumi wrote to a report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from stacks_pulumi import catalog
from stacks_pulumi.cost.documents import Event, Metadata, Preview, Stack, State, read
from stacks_pulumi.cost.report import Action, Item, Line, NotPriced, PolicyViolation, Reason, Report, item
from stacks_pulumi.cost.steps import (
    INTERRUPTED,
    LEFT_OVER,
    PreviewPlan,
    Thing,
    kind,
    name_of,
    only_refreshes,
    plan_of,
)
from stacks_pulumi.pricing.money import FREE, Change, Price, count, total
from stacks_pulumi.pricing.prices import MonthlyPrice
from stacks_pulumi.pricing.recognition import UNRECOGNISED
from stacks_pulumi.pricing.views import UNPRICED

__all__ = ["report_of"]

_ORDER: Final[dict[Action, int]] = {"create": 0, "replace": 1, "update": 2, "delete": 3, "keep": 4, "same": 5}
_POLICIES_ONLY: Final = "preview failed"
_SHOWN: Final = 5


def report_of(data: bytes, monthly: MonthlyPrice = catalog.monthly_price) -> Report:
    """
    The report on a preview, a preview's events, or a stack's state.

    Args:
        data: What Pulumi wrote.
        monthly: Where prices come from.

    Raises:
        InputError: It cannot be priced.
    """
    document = read(data)
    if isinstance(document, Stack):
        return _stack(document, monthly)
    if isinstance(document, Preview):
        steps = [Metadata(step.op, step.urn, step.old_state, step.new_state) for step in document.steps]
        errors = [said.message for said in document.diagnostics if said.severity == "error"]
        missing = document.change_summary.get("same", 0) - sum(step.op == "same" for step in steps)
        incomplete = _unfinished(errors) or _only_refreshes(steps) or _without_sames(missing)
        return _preview(steps, monthly, errors, incomplete, ())
    return _events(document, monthly)


def _only_refreshes(steps: list[Metadata]) -> str:
    if not only_refreshes(steps):
        return ""
    return (
        "a refresh shows in this format what was recorded, not what it found: "
        "run `pulumi preview --refresh --json --show-sames`"
    )


def _without_sames(missing: int) -> str:
    if missing <= 0:
        return ""
    return (
        f"the preview leaves out what does not change ({count(missing, 'resource')}), so its totals are wrong: "
        "run `pulumi preview --json --show-sames`"
    )


def _unfinished(errors: list[str]) -> str:
    others = [error for error in errors if _POLICIES_ONLY not in error]
    if not others:
        return ""
    first = others[0].removeprefix("error: ").strip().splitlines()
    return f"the preview failed and shows only a part ({first[0] if first else 'no reason given'}): put it right first"


def _events(events: list[Event], monthly: MonthlyPrice) -> Report:
    steps = [
        event.metadata
        for line in events
        # The second of a resource's two events knows more, but is missing when the operation failed.
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
            event.resource_urn.rpartition("::")[2],
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
            "the events end before the preview does, as when a policy pack cannot be loaded: "
            "what `pulumi preview` wrote to standard error says why"
        )
    # An engine that does not tell the result says what went wrong as an error.
    if results[-1] in {"", "succeeded"} or any(violation.level == "mandatory" for violation in violations):
        return ""
    return "the preview failed and the events do not say why: run `pulumi preview` to see it, and put it right first"


def _preview(
    steps: list[Metadata],
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


def _afterwards(plan: PreviewPlan) -> Iterator[State]:
    return (thing.after for thing in plan.things if thing.after is not None)


def _charged_again(lines: tuple[Line, ...]) -> list[str]:
    """A key's cap is on what is made in a month: the difference of a replacement says nothing of it."""
    replaced = [line for line in lines if line.action == "replace"]
    if not replaced:
        return []
    each = ", ".join(f"{line.name!r} {_anew(line.planned)}" for line in replaced[:_SHOWN])
    more = len(replaced) - _SHOWN
    rest = f" and {more} more, {_anew(total(line.planned for line in replaced))} in all" if more > 0 else ""
    return [
        f"replaced, so charged to the key's spending cap again: {each}{rest}; what is deleted gives nothing back"
    ]


def _anew(price: Price) -> Change:
    return Change.between(FREE, price)


def _blocked(errors: list[str], violations: tuple[PolicyViolation, ...]) -> str:
    mandatory = [violation for violation in violations if violation.level == "mandatory"]
    if mandatory:
        return f"{count(len(mandatory), 'violation')} of mandatory policies"
    if errors:
        return (
            "the preview failed, as it does when a mandatory policy is violated; this format does not say which: "
            "set PULUMI_ENABLE_STREAMING_JSON_PREVIEW=true to have them listed"
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
        # The engine says that nothing changes, so whichever side shows a price shows that of both.
        before = after = after if after.price.exact else before
    yield Line(f"{name_of(thing.urn)}{thing.note}", thing.urn, action, before, after)


def _item(state: State | None, monthly: MonthlyPrice) -> Item | None:
    """What is billed; `None` for a resource that has no price of its own."""
    found = None if state is None else kind(state)
    if state is None or found is None or not state.custom or state.external:
        return None
    if found == UNRECOGNISED:
        return Item("kind not known", UNPRICED)
    return item(state.inputs or {}, monthly) if found == "Container" else None


def _action(op: str, before: Item | None, after: Item | None) -> Action:
    if op == "keep":
        return "keep"
    if after is None:
        return "delete"
    if before is None:
        return "create"
    return "replace" if op == "replace" else "update" if op == "update" else "same"


def _not_priced(states: Iterable[State]) -> tuple[NotPriced, ...]:
    counts: Counter[tuple[str, Reason]] = Counter()
    for state in states:
        if not state.custom or state.type.startswith("pulumi:providers:"):
            continue
        found = kind(state)
        if found is None:
            counts[state.type, "elsewhere"] += 1
        elif state.external:
            counts[state.type, "read"] += 1
        elif found not in {"Container", UNRECOGNISED}:
            counts[state.type, "free"] += 1
    return tuple(NotPriced(type_, count, reason) for (type_, reason), count in sorted(counts.items()))


def _stack(stack: Stack, monthly: MonthlyPrice) -> Report:
    resources = stack.deployment.resources or []
    things = [
        Thing(state.urn, "same", state, state, LEFT_OVER if state.delete else "")
        for state in resources
        # What waits to be created again has been deleted already.
        if not state.pending_replacement
    ]
    # Its outcome is unknown, so it counts.
    things += [
        Thing(operation.resource.urn, "keep", operation.resource, operation.resource, INTERRUPTED)
        for operation in stack.deployment.pending_operations or []
        if operation.type == "creating"
    ]
    lines = sorted(_lines(things, monthly), key=lambda line: line.name)
    return Report("stack", tuple(lines), _not_priced(resources))
