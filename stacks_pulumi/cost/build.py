"""
What does a preview or a stack cost, and which objects are there before and after a preview's steps?

The three forms of a preview have different details. The events, and the JSON with `--show-replacement-steps`, contain
every step. The JSON with only `--show-sames` contains one step for a replacement, and none for a leftover of an earlier
one. `docs/cost.md` has the table, and `tests/unit/cost/test_steps.py` has a recorded document for each row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from stacks_pulumi import catalog
from stacks_pulumi._identifiers import name_of
from stacks_pulumi._pulumi_cli import Event, Preview, ResourceState, Stack, Step, read
from stacks_pulumi.cost.report import Item, Line, NotPriced, Reason, Report, item
from stacks_pulumi.pricing.money import FREE, Change, MonthlyPrice, Price, count, total
from stacks_pulumi.pricing.recognition import STACK, UNRECOGNISED
from stacks_pulumi.pricing.views import UNPRICED
from stacks_pulumi.reports import Action, PolicyViolation

_DELETES: Final = frozenset({"delete", "delete-replaced"})
_DISCARDS: Final = frozenset({"discard", "discard-replaced"})
_READS: Final = frozenset({"read", "read-replacement"})
_CREATES: Final = frozenset({"create", "import"})
_REPLACES: Final = frozenset({"replace", "create-replacement", "read-replacement", "import-replacement"})
_EVERY_STEP: Final = _REPLACES - {"replace"}
_ROOT: Final = f"::{STACK}::"

INTERRUPTED: Final = " (creation interrupted, may exist)"
LEFT_OVER: Final = " (left over from a replacement)"
KEPT: Final = " (leaves the stack, still billed)"


@dataclass(frozen=True)
class ObjectChange:
    """
    One object of the account, before and after a change.

    Attributes:
        urn: The URN of its resource.
        op: The engine's name of the operation, or `keep` for an object that leaves the stack but is not deleted.
        before: Its state now; `None` if it does not exist.
        after: Its state afterwards; `None` if it does not exist then.
        note: A text that the report shows after its name.
    """

    urn: str
    op: str
    before: ResourceState | None
    after: ResourceState | None
    note: str = ""


@dataclass
class PreviewPlan:
    """
    The effects of a preview.

    Attributes:
        changes: The change of each object that it covers.
        notes: Notes for the reader.
    """

    changes: list[ObjectChange] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def only_refreshes(steps: Iterable[Step]) -> bool:
    """Whether this is a refresh, perhaps with part of a preview: some resources have only a `refresh` step."""
    ops = [(step.op, _ROOT in step.urn) for step in steps]
    return any(op == "refresh" for op, _ in ops) and not any(root and op != "refresh" for op, root in ops)


def plan_of(steps: list[Step]) -> PreviewPlan:
    """
    Return the combined effects of all steps.

    With `--refresh` every resource has a `refresh` step before its other steps. The JSON shows the recorded state in
    that step, even if the resource is gone. So the other steps show what exists now. In a preview of the whole stack, a
    resource without other steps does not exist, and the program does not declare it.
    """
    plan = PreviewPlan()
    refreshed: dict[str, ResourceState] = {}
    by_urn: dict[str, list[Step]] = {}
    for step in steps:
        if step.op == "refresh":
            if step.new is not None:
                refreshed[step.urn] = step.new
        elif _is_untargeted(step):
            plan.notes.append(
                f"{name_of(step.urn)!r} is new and outside of --target: not created, so not counted"
            )
        else:
            by_urn.setdefault(step.urn, []).append(step)
    deleted = {step.urn for step in steps if step.op == "delete"}
    for urn, of_urn in by_urn.items():
        plan.changes += _changes_of(urn, of_urn, deleted)
    if only_refreshes(steps):
        # The objects that a refresh finds do not change.
        plan.changes += [
            ObjectChange(urn, "same", state, state) for urn, state in refreshed.items() if urn not in by_urn
        ]
    return plan


def _is_untargeted(step: Step) -> bool:
    """Whether a resource is new and outside of --target. The engine shows it as unchanged, without id and inputs."""
    old = step.old
    return step.op == "same" and old is not None and not old.id and not old.inputs and old.kind is not None


def _changes_of(urn: str, steps: list[Step], deleted: set[str]) -> list[ObjectChange]:
    """Return the objects of one resource: an id is an object, and the planned state is another if it is replaced."""
    olds: dict[str, ResourceState] = {}
    ends: dict[str, str] = {}
    main: Step | None = None
    for step in steps:
        old = step.old
        # A resource that is only read belongs to another stack, and an imported one was not in this stack before.
        if old is not None and not old.external and step.op not in _CREATES:
            olds[old.id] = old
            if step.op in _DELETES or step.op in _DISCARDS:
                ends[old.id] = step.op
        if step.new is not None and step.op != "remove-pending-replace":
            main = step if main is None or main.op not in _REPLACES else main
    replaced = {step.old.id for step in steps if step.old is not None and step.op in _REPLACES}
    gone = {step.old.id for step in steps if step.old is not None and step.op == "remove-pending-replace"}
    if any(step.op in _EVERY_STEP for step in steps):
        # All steps are shown, and none deletes it: an interrupted replacement has already deleted it.
        gone |= replaced - ends.keys()
    for id_ in gone:
        olds.pop(id_, None)
    # A single step for the whole replacement also deletes the old object.
    ends.update(dict.fromkeys((replaced & olds.keys()) - ends.keys(), "delete-replaced"))
    changes = []
    current = "" if main is None or main.old is None else main.old.id
    for id_, old in olds.items():
        is_read = main is not None and main.op in _READS
        if (id_ in ends and _is_kept(old, ends[id_], deleted)) or (id_ == current and is_read):
            changes.append(ObjectChange(urn, "keep", old, old, KEPT))
        elif id_ in ends and id_ != current:
            changes.append(
                ObjectChange(urn, "delete", old, None, LEFT_OVER if ends[id_] == "delete-replaced" else "")
            )
    kept = {change.before.id for change in changes if change.before is not None and change.op == "keep"}
    if main is not None:
        before = None if current in kept else olds.get(current)
        changes.append(ObjectChange(urn, "replace" if main.op in _REPLACES else main.op, before, main.new))
    return changes


def _is_kept(old: ResourceState, end: str, deleted: set[str]) -> bool:
    """
    Whether an object still exists after its resource leaves the stack.

    The engine does not delete an object that is retained, or that it only removes from the state. Nor does it delete
    one whose resource is deleted with another resource; but no container is deleted with another container.
    """
    with_another = end == "delete" and old.deleted_with in deleted
    return old.retain_on_delete or with_another or end in _DISCARDS


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
        errors = [one.message for one in document.diagnostics if one.severity == "error"]
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
    lines = _lines(plan.changes, monthly)
    notes = tuple(dict.fromkeys([*plan.notes, *_charged_again(lines)]))
    blocked = _blocked(errors, violations) if not incomplete else ""
    return Report("preview", lines, _not_priced(_afterwards(plan)), violations, notes, blocked, incomplete)


def _afterwards(plan: PreviewPlan) -> Iterator[ResourceState]:
    return (change.after for change in plan.changes if change.after is not None)


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


def _lines(changes: Iterable[ObjectChange], monthly: MonthlyPrice) -> tuple[Line, ...]:
    lines = [line for change in changes for line in _line(change, monthly)]
    lines.sort(key=lambda line: (_ORDER[line.action], line.name))
    return tuple(lines)


def _line(change: ObjectChange, monthly: MonthlyPrice) -> Iterator[Line]:
    before, after = _item(change.before, monthly), _item(change.after, monthly)
    if before is None and after is None:
        return
    action = _action(change.op, before, after)
    if action in {"same", "keep"} and before is not None and after is not None:
        # The engine reports no change, so if only one side has a price, the other has the same.
        before = after = after if after.price.exact else before
    yield Line(f"{name_of(change.urn)}{change.note}", change.urn, action, before, after)


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
    changes = [
        ObjectChange(state.urn, "same", state, state, LEFT_OVER if state.delete else "")
        for state in stack.resources
        # A resource that is pending replacement has already been deleted.
        if not state.pending_replacement
    ]
    # The outcome of an interrupted create is unknown, so it counts.
    changes += [ObjectChange(state.urn, "keep", state, state, INTERRUPTED) for state in stack.creating]
    lines = sorted(_lines(changes, monthly), key=lambda line: line.name)
    return Report("stack", tuple(lines), _not_priced(stack.resources))
