"""
What does a preview or a stack cost, and which objects exist before and after a preview's steps?

The three formats of a preview contain different details. The events, and the JSON with `--show-replacement-steps`,
contain every step. The JSON with only `--show-sames` contains one step for a replacement, and no step for an object
that is left over from an earlier replacement. `docs/cost.md` contains a table of these details, and
`tests/unit/cost/test_steps.py` contains a recorded document for each row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

import msgspec

from stacks_pulumi import catalog
from stacks_pulumi._identifiers import name_of
from stacks_pulumi._pulumi_cli import (
    Event,
    InputError,
    PlannedState,
    Preview,
    ResourceState,
    Stack,
    Step,
    StoredResource,
    read,
    read_stack,
)
from stacks_pulumi.cost.report import Item, Line, NotPriced, PriceTable, Reason, Report, item
from stacks_pulumi.pricing.money import FREE, Change, MonthlyPrice, Price, count, total
from stacks_pulumi.pricing.recognition import ADOPTS, STACK, UNKNOWN, UNRECOGNISED, text
from stacks_pulumi.pricing.views import UNPRICED
from stacks_pulumi.reports import Action, PolicyViolation

_DELETES: Final = frozenset({"delete", "delete-replaced"})
_DISCARDS: Final = frozenset({"discard", "discard-replaced"})
_CREATES: Final = frozenset({"create", "import"})
REPLACES: Final = frozenset({"replace", "create-replacement", "read-replacement", "import-replacement"})
"""The operations that replace a resource's object with another object."""
_EVERY_STEP: Final = REPLACES - {"replace"}
_ROOT: Final = f"::{STACK}::"

INTERRUPTED: Final = " (creation interrupted, may exist)"
LEFT_OVER: Final = " (left over from a replacement)"
KEPT: Final = " (leaves the stack, still billed)"
MAY_BE_KEPT: Final = " (leaves the stack, may stay billed)"
_WITH_ANOTHER: Final = (
    "the events do not show which containers have `deleted_with` and so stay billed: pass the state too "
    "(--state FILE, the output of `pulumi stack export`)"
)


@dataclass(frozen=True)
class ObjectChange:
    """
    One object of the account, before and after a change.

    Attributes:
        urn: The URN of its resource.
        op: The engine's name of the operation, or `keep` for an object that leaves the stack but is not deleted.
        before: Its state now; `None` if it does not exist.
        after: Its state after the change; `None` if it no longer exists.
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
        notes: Notes for the reader of the report.
    """

    changes: list[ObjectChange] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def only_refreshes(steps: Iterable[Step]) -> bool:
    """
    Return whether the steps belong to a refresh, perhaps together with a part of a preview. In a complete preview, the
    root resource also has a step that is not a refresh.
    """
    ops = [(step.op, _ROOT in step.urn) for step in steps]
    return any(op == "refresh" for op, _ in ops) and not any(root and op != "refresh" for op, root in ops)


def plan_of(
    steps: Sequence[Step], deleted_with: Callable[[ResourceState], str | None] | None = None
) -> PreviewPlan:
    """
    Return the combined effects of all steps.

    With `--refresh`, every resource has a `refresh` step before its other steps. In that step, the JSON shows the
    recorded state, even if the resource no longer exists. So only the other steps show whether it exists. In a preview
    of the entire stack, a resource without other steps does not exist, and the program does not declare it.

    Args:
        steps: The steps.
        deleted_with: Returns the URN in the option `deleted_with` of a resource; empty if there is none, `None` if that
            is not known. By default, it is taken from the steps.
    """
    plan, steps = PreviewPlan(), under_new_urns(steps)
    refreshed: dict[str, ResourceState] = {}
    by_urn: dict[str, list[Step]] = {}
    for step in steps:
        if step.op == "refresh":
            if step.new is not None:
                refreshed[step.urn] = step.new
        elif _is_untargeted(step):
            plan.notes.append(
                f"{name_of(step.urn)!r} is new and not in --target, so it is neither created nor counted"
            )
        else:
            by_urn.setdefault(step.urn, []).append(step)
    # The children of a resource may still refer to it by its old URN.
    ended = {
        urn
        for step in steps
        if step.op in _DELETES | _DISCARDS
        for urn in (step.urn, "" if step.old is None else step.old.urn)
    } - {""}
    first = {
        urn
        for urn, (one, *others) in by_urn.items()
        if one.op == "delete-replaced" and any(step.op in REPLACES for step in others)
    }
    for urn, of_urn in by_urn.items():
        # If a resource is deleted before its replacement is created, this happens before other resources leave the
        # stack, so their deletion does not delete it.
        with_it = ended & first if urn in first else ended
        plan.changes += _changes_of(urn, of_urn, with_it, deleted_with or _deleted_with)
    if only_refreshes(steps):
        # The objects that a refresh finds do not change.
        plan.changes += [
            ObjectChange(urn, "same", state, state) for urn, state in refreshed.items() if urn not in by_urn
        ]
    return plan


StepT = TypeVar("StepT", bound=Step)


def under_new_urns(steps: Sequence[StepT]) -> list[StepT]:
    """
    Return the steps. If a resource with an alias is replaced, the step that deletes its old object receives the new
    URN.
    """
    new = {
        (step.old.urn, step.old.id): step.urn
        for step in steps
        if step.old is not None and step.op in REPLACES and step.old.urn != step.urn
    }
    return [
        msgspec.structs.replace(step, urn=new.get((step.urn, step.old.id), step.urn))
        if new and step.old is not None and step.new is None
        else step
        for step in steps
    ]


def _is_untargeted(step: Step) -> bool:
    """
    Return whether a resource is new and outside of --target. The engine shows it as unchanged, without id and inputs.
    """
    old = step.old
    return step.op == "same" and old is not None and not old.id and not old.inputs and old.kind is not None


def _deleted_with(state: ResourceState) -> str:
    return state.deleted_with


def _changes_of(
    urn: str,
    steps: list[Step],
    ended: set[str],
    deleted_with: Callable[[ResourceState], str | None],
) -> list[ObjectChange]:
    """
    Return the changes of one resource's objects: one for each id, and one for the object that a replacement will
    create.
    """
    olds: dict[str, PlannedState] = {}
    ends: dict[str, str] = {}
    main: Step | None = None
    for step in steps:
        old = step.old
        # A resource that is only read belongs to another stack, and an imported resource was not in this stack
        # before.
        if old is not None and not old.external and step.op not in _CREATES:
            olds[old.id] = old
            if step.op in _DELETES or step.op in _DISCARDS:
                ends[old.id] = step.op
        if step.new is not None and step.op != "remove-pending-replace":
            main = step if main is None or main.op not in REPLACES else main
    replaced = {step.old.id for step in steps if step.old is not None and step.op in REPLACES}
    gone = {step.old.id for step in steps if step.old is not None and step.op == "remove-pending-replace"}
    if any(step.op in _EVERY_STEP for step in steps):
        # All steps are shown, but none deletes the old object, because an interrupted replacement has already deleted
        # it.
        gone |= replaced - ends.keys()
    for id_ in gone:
        olds.pop(id_, None)
    # If a replacement has only one step, that step also deletes the old object.
    ends.update(dict.fromkeys((replaced & olds.keys()) - ends.keys(), "delete-replaced"))
    op = "" if main is None else "replace" if main.op in REPLACES else main.op
    # The engine deletes the current object if the program looks up a different one in its place.
    looks_up = op == "replace" and main is not None and main.new is not None and main.new.external
    current = "" if main is None or main.old is None or looks_up else main.old.id
    changes = []
    for id_, old in olds.items():
        kept_with = _is_kept(old, ends[id_], ended, deleted_with(old)) if id_ in ends else False
        if kept_with or (op == "read" and id_ == current):
            changes.append(ObjectChange(urn, "keep", old, old, KEPT))
        elif kept_with is None:
            changes.append(ObjectChange(urn, "delete", old, old, MAY_BE_KEPT))
        elif id_ in ends and id_ != current:
            is_left_over = ends[id_] == "delete-replaced" and id_ not in replaced
            changes.append(ObjectChange(urn, "delete", old, None, LEFT_OVER if is_left_over else ""))
    kept = {change.before.id for change in changes if change.before is not None and change.op == "keep"}
    if main is not None:
        before = None if current in kept else olds.get(current)
        changes.append(ObjectChange(urn, "read" if looks_up else op, before, main.new))
    return changes


def _is_kept(old: ResourceState, end: str, ended: set[str], deleted_with: str | None) -> bool | None:
    """
    Return whether an object still exists after its resource leaves the stack; `None` if that is not known.

    The engine does not delete an object that is retained, or that it only removes from the state. It also does not
    delete an object if the resource in its `deleted_with` leaves the stack too, even if that resource was only looked
    up. But the platform does not delete a container together with another one, so the object still exists.
    """
    if old.retain_on_delete or end in _DISCARDS:
        return True
    if deleted_with is None:
        return None if end == "delete" and ended - {old.urn} else False
    return deleted_with in ended


_ORDER: Final[tuple[Action, ...]] = ("create", "adopt", "replace", "update", "delete", "keep", "same")
_POLICIES_ONLY: Final = "preview failed"
_SHOWN: Final = 5
_TIMES: Final = "\N{MULTIPLICATION SIGN}"


def exists_already(change: ObjectChange) -> bool:
    """
    Return whether an object was seen in the account, by the engine (an import) or by the provider in this preview.
    """
    inputs = (change.after and change.after.inputs) or {}
    return change.op == "import" or (change.op == "create" and text(inputs, ADOPTS) not in {None, UNKNOWN})


@dataclass(frozen=True)
class Pricer:
    """
    Prices resources by their kind, or by their type.

    Attributes:
        monthly: Returns the prices of containers.
        others: The prices of resources of other providers. Without them, such resources are listed without a price.
        is_adopted: Returns whether a new object of the stack already exists, and so is already billed. By default,
            none exists.
    """

    monthly: MonthlyPrice = catalog.monthly_price
    others: PriceTable | None = None
    is_adopted: Callable[[ObjectChange], bool] = lambda _change: False

    def item(self, state: ResourceState | None, sized: ResourceState | None = None) -> Item | None:
        """Return the billed item; `None` for a resource without a price."""
        if state is None or not state.custom or state.external:
            return None
        kind = state.kind
        if kind == UNRECOGNISED:
            return Item("kind not known", UNPRICED)
        if kind == "Container":
            return item(state.inputs or {}, self.monthly, _shown(sized))
        if kind is not None or self.others is None or state.type.startswith("pulumi:"):
            return None
        return self.others.item(state.type, state.inputs or {})


CATALOGUE: Final = Pricer(is_adopted=exists_already)
"""Prices only containers, by the catalogue."""


def report_of(data: bytes, pricer: Pricer = CATALOGUE, state: bytes | None = None) -> Report:
    """
    Return the report on a preview, the events of a preview, or the state of a stack.

    Args:
        data: Pulumi's output.
        pricer: Returns the prices.
        state: The export of the stack before a preview, for facts that the preview does not contain.

    Raises:
        InputError: The data cannot be priced.
    """
    document = read(data)
    if isinstance(document, Stack):
        return _stack(document, pricer)
    with_another = None if state is None else _from_state(state)
    if isinstance(document, Preview):
        steps: list[Step] = [*document.steps]
        errors = [one.message for one in document.diagnostics if one.severity == "error"]
        incomplete = _unfinished(errors) or _only_refreshes(steps) or _lacking(document.change_summary, steps)
        return _preview(plan_of(steps, with_another), pricer, errors, incomplete, ())
    return _events(document, pricer, with_another or _not_said)


def changes_of(data: bytes, pricer: Pricer = CATALOGUE) -> tuple[Report, list[tuple[ObjectChange, Line]]]:
    """
    Return the report on a preview, and the change of each object that it prices.

    Raises:
        InputError: The data is not a preview.
    """
    document = read(data)
    if isinstance(document, Stack):
        raise InputError(
            "this is the export of a stack, not a preview: pass the output of `pulumi preview --json`"
        )
    is_whole = isinstance(document, Preview)
    steps: Sequence[Step] = document.steps if isinstance(document, Preview) else _steps_of(document)
    plan = plan_of(steps, None if is_whole else _not_said)
    return report_of(data, pricer), list(_priced(plan.changes, pricer))


def _not_said(_state: ResourceState) -> None:
    """Return `None`, because events do not contain `deleted_with`."""


def _from_state(data: bytes) -> Callable[[ResourceState], str | None]:
    """Return a function that looks up the `deleted_with` of a resource in an export."""
    known = {(one.urn, one.id): one.deleted_with for one in read_stack(data).resources}
    return lambda state: state.deleted_with or known.get((state.urn, state.id))


def _only_refreshes(steps: list[Step]) -> str:
    if not only_refreshes(steps):
        return ""
    return (
        "in this format, a refresh shows the recorded state, not its result: run `pulumi preview --refresh --json "
        "--show-sames`"
    )


def _lacking(summary: Mapping[str, int], steps: list[Step]) -> str:
    """Return a description of the resources that the summary counts but the steps lack; empty if no step is missing."""
    shown = Counter(op for op, _ in {(step.op, step.urn) for step in steps})
    missing = {op: number - shown[op] for op, number in summary.items() if number > shown[op]}
    sames = missing.pop("same", 0)
    if missing:
        words = ", ".join(f"{number} {_TIMES} {op}" for op, number in sorted(missing.items()))
        return (
            f"the preview's summary counts changes whose steps are missing ({words}), so its totals are wrong: "
            "pass the complete output of `pulumi preview --json --show-sames`"
        )
    if not sames:
        return ""
    return (
        f"the preview omits unchanged resources ({count(sames, 'resource')}), so its totals are wrong: "
        "run `pulumi preview --json --show-sames`"
    )


def _unfinished(errors: list[str]) -> str:
    others = [error for error in errors if _POLICIES_ONLY not in error]
    if not others:
        return ""
    first = others[0].removeprefix("error: ").strip().splitlines()
    return f"the preview failed and is incomplete ({first[0] if first else 'no reason given'}): fix the error first"


def _events(
    events: list[Event], pricer: Pricer, deleted_with: Callable[[ResourceState], str | None]
) -> Report:
    steps = _steps_of(events)
    errors = [
        line.diagnostic_event.message
        for line in events
        if line.diagnostic_event is not None and line.diagnostic_event.severity == "error"
    ]
    violations = [
        PolicyViolation(
            event.policy_name,
            event.policy_pack_name,
            "exempted" if event.exceptions else event.enforcement_level,
            name_of(event.resource_urn),
            "\n".join([*map(_exempted, event.exceptions), event.message.strip()]),
        )
        for event in (line.policy_event for line in events)
        if event is not None
    ]
    mandatory_first = sorted(dict.fromkeys(violations), key=lambda violation: violation.level != "mandatory")
    ends = [line.summary_event for line in events if line.summary_event is not None]
    incomplete = _unfinished(errors) or _unexplained([end.result for end in ends], mandatory_first)
    for end in ends:
        incomplete = incomplete or _lacking(end.resource_changes or {}, steps)
    return _preview(plan_of(steps, deleted_with), pricer, errors, incomplete, tuple(mandatory_first))


def _exempted(exception: dict[str, str]) -> str:
    return f"Exempted by {exception.get('id', '')}: {exception.get('reason', '')}"


def _steps_of(events: list[Event]) -> list[Step]:
    return [
        event.metadata
        for line in events
        # The second of a resource's two events has more fields, but is missing if the operation failed.
        for event in (line.resource_pre_event, line.res_outputs_event)
        if event is not None
    ]


def _unexplained(results: list[str], violations: list[PolicyViolation]) -> str:
    if not results:
        return (
            "the events end before the preview does, for instance because a policy pack cannot be loaded: "
            "see the standard error of `pulumi preview`"
        )
    # If an engine does not report the result, it reports the failure as an error.
    if results[-1] in {"", "succeeded"} or any(violation.level == "mandatory" for violation in violations):
        return ""
    return "the preview failed, but the events do not show why: run `pulumi preview`, and fix the error that it shows"


def _preview(
    plan: PreviewPlan,
    pricer: Pricer,
    errors: list[str],
    incomplete: str,
    violations: tuple[PolicyViolation, ...],
) -> Report:
    lines = _lines(plan.changes, pricer)
    if any(line.name.endswith(MAY_BE_KEPT) for line in lines):
        plan.notes.append(_WITH_ANOTHER)
    notes = tuple(dict.fromkeys([*plan.notes, *_charged_again(lines), *_adopted(lines)]))
    blocked = _blocked(errors, violations) if not incomplete else ""
    return Report(
        "preview", lines, _not_priced(_afterwards(plan), pricer), violations, notes, blocked, incomplete
    )


def _afterwards(plan: PreviewPlan) -> Iterator[ResourceState]:
    kept = {change.urn for change in plan.changes if change.op == "keep"}
    states = (change.after for change in plan.changes if change.after is not None)
    # A container that the stack managed, and now only looks up, already has a line with its price.
    return (state for state in states if not (state.external and state.urn in kept))


def _charged_again(lines: tuple[Line, ...]) -> list[str]:
    """
    Return a note on replacements: the key's cap applies to everything that the key creates in a month, so the full
    price of the new objects is charged.
    """
    replaced = [line for line in lines if line.action == "replace"]
    if not replaced:
        return []
    each = ", ".join(f"{line.name!r} {_anew(line.planned)}" for line in replaced[:_SHOWN])
    more = len(replaced) - _SHOWN
    rest = f" and {more} more, {_anew(total(line.planned for line in replaced))} in all" if more > 0 else ""
    return [f"replaced and charged to the key's spending cap again: {each}{rest}; a deletion refunds nothing"]


def _adopted(lines: tuple[Line, ...]) -> list[str]:
    """
    Return a note on the objects that the change adopts: the account already pays for them, but this stack's totals did
    not contain them.
    """
    adopted = [line.planned for line in lines if line.action == "adopt"]
    if not adopted:
        return []
    return [f"adopted, so already billed: {count(len(adopted), 'container')}, {total(adopted)} a month"]


def _anew(price: Price) -> Change:
    return Change.between(FREE, price)


def _blocked(errors: list[str], violations: tuple[PolicyViolation, ...]) -> str:
    mandatory = [violation for violation in violations if violation.level == "mandatory"]
    if mandatory:
        return f"{count(len(mandatory), 'violation')} of mandatory policies"
    if errors:
        return (
            "the preview failed, as after a violation of a mandatory policy, but this format does not list violations: "
            "set PULUMI_ENABLE_STREAMING_JSON_PREVIEW=true to list them"
        )
    return ""


def _lines(changes: Iterable[ObjectChange], pricer: Pricer) -> tuple[Line, ...]:
    lines = [line for _, line in _priced(changes, pricer)]
    lines.sort(key=lambda line: (_ORDER.index(line.action), line.name))
    return tuple(lines)


def _priced(changes: Iterable[ObjectChange], pricer: Pricer) -> Iterator[tuple[ObjectChange, Line]]:
    """Return each change with its prices; changes without a price are left out."""
    changes = tuple(changes)
    managed = [it.before for it in changes if it.before is not None and not it.before.external]
    ids = {state.id for state in managed if state.kind == "Container" and state.id}
    for change in changes:
        if (line := line_of(change, pricer, ids)) is not None:
            yield change, line


def line_of(change: ObjectChange, pricer: Pricer, ids: Collection[str] = ()) -> Line | None:
    """
    Return an object before and after a change, with its prices; `None` if it has no price.

    Args:
        change: The change.
        pricer: Returns the prices.
        ids: The ids of the containers that the stack has before the change. If one of them is adopted, it is already
            counted with its old resource, for instance if the resource was renamed without an alias.
    """
    before = pricer.item(change.before, change.before)
    # A resource that keeps its container keeps the size in the state, whatever the program declares. A new container
    # has no size yet: if a preview has outputs for it, they are unknown or hidden.
    stays = change.before or (change.after if change.after is not None and change.after.id else None)
    after = pricer.item(change.after, stays if change.op not in REPLACES else None)
    if change.note == MAY_BE_KEPT and after is not None:
        after = Item(
            after.kind, replace(after.price, low=FREE.low, unknown=(*after.price.unknown, "deleted_with"))
        )
    if before is None and after is None:
        return None
    if before is None and after is not None and pricer.is_adopted(change) and _taken_over(change) not in ids:
        return Line(f"{name_of(change.urn)}{change.note}", change.urn, "adopt", after, after)
    action = _action(change.op, before, after)
    if action in {"same", "keep"} and before is not None and after is not None:
        # The engine reports no change, so if only one side has a price, the other side has the same price.
        before = after = after if after.price.exact else before
    return Line(f"{name_of(change.urn)}{change.note}", change.urn, action, before, after)


def _taken_over(change: ObjectChange) -> str | None:
    """Return the id of the object that a new resource adopts; `None` if that is not known."""
    if change.after is None:
        return None
    adopted = text(change.after.inputs or {}, ADOPTS)
    return adopted if isinstance(adopted, str) else change.after.id


def _shown(state: ResourceState | None) -> Mapping[str, Any] | None:
    """Return the outputs of a state; `None` if it has no outputs."""
    return state.outputs if isinstance(state, (PlannedState, StoredResource)) else None


def _action(op: str, before: Item | None, after: Item | None) -> Action:
    if op == "keep":
        return "keep"
    if after is None or op == "delete":
        return "delete"
    if before is None:
        return "create"
    return "replace" if op == "replace" else "update" if op == "update" else "same"


def _not_priced(states: Iterable[ResourceState], pricer: Pricer) -> tuple[NotPriced, ...]:
    counts: Counter[tuple[str, Reason]] = Counter()
    for state in states:
        if not state.custom or state.type.startswith("pulumi:providers:"):
            continue
        kind = state.kind
        if kind is None:
            if pricer.others is None:
                counts[state.type, "elsewhere"] += 1
            elif pricer.item(state) is None:
                counts[state.type, "listed"] += 1
        elif state.external:
            counts[state.type, "read"] += 1
        elif kind not in {"Container", UNRECOGNISED}:
            counts[state.type, "free"] += 1
    return tuple(NotPriced(type_, count, reason) for (type_, reason), count in sorted(counts.items()))


def _stack(stack: Stack, pricer: Pricer) -> Report:
    changes = [
        ObjectChange(state.urn, "same", state, state, LEFT_OVER if state.delete else "")
        for state in stack.resources
        # A resource that is pending replacement has already been deleted.
        if not state.pending_replacement
    ]
    # The outcome of an interrupted create is unknown, so its object is counted.
    changes += [ObjectChange(state.urn, "keep", state, state, INTERRUPTED) for state in stack.creating]
    lines = sorted(_lines(changes, pricer), key=lambda line: line.name)
    return Report("stack", tuple(lines), _not_priced(stack.resources, pricer))
