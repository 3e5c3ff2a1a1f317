"""
Computes from the steps of a preview every object before and after them.

The three forms of a preview have different details. The events, and the JSON with `--show-replacement-steps`, contain
every step. The JSON with only `--show-sames` contains one step for a replacement, and none for a leftover of an earlier
one. `docs/cost.md` has the table, and `tests/unit/cost/test_steps.py` has a recorded document for each row.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from stacks_pulumi._identifiers import name_of
from stacks_pulumi._pulumi_output import ResourceState, Step
from stacks_pulumi.pricing.recognition import STACK

__all__ = [
    "INTERRUPTED",
    "KEPT",
    "LEFT_OVER",
    "PreviewPlan",
    "Thing",
    "only_refreshes",
    "plan_of",
]

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
class Thing:
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
        things: All objects of the account that it covers.
        notes: Notes for the reader.
    """

    things: list[Thing] = field(default_factory=list)
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
    found: dict[str, ResourceState] = {}
    by_urn: dict[str, list[Step]] = {}
    for step in steps:
        if step.op == "refresh":
            if step.new is not None:
                found[step.urn] = step.new
        elif _is_untargeted(step):
            plan.notes.append(
                f"{name_of(step.urn)!r} is new and outside of --target: not created, so not counted"
            )
        else:
            by_urn.setdefault(step.urn, []).append(step)
    deleted = {step.urn for step in steps if step.op == "delete"}
    for urn, of_urn in by_urn.items():
        plan.things += _things(urn, of_urn, deleted)
    if only_refreshes(steps):
        # The objects that a refresh finds do not change.
        plan.things += [Thing(urn, "same", state, state) for urn, state in found.items() if urn not in by_urn]
    return plan


def _is_untargeted(step: Step) -> bool:
    """Whether a resource is new and outside of --target. The engine shows it as unchanged, without id and inputs."""
    old = step.old
    return step.op == "same" and old is not None and not old.id and not old.inputs and old.kind is not None


def _things(urn: str, steps: list[Step], deleted: set[str]) -> list[Thing]:
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
    things = []
    current = "" if main is None or main.old is None else main.old.id
    for id_, old in olds.items():
        is_read = main is not None and main.op in _READS
        if (id_ in ends and _is_kept(old, ends[id_], deleted)) or (id_ == current and is_read):
            things.append(Thing(urn, "keep", old, old, KEPT))
        elif id_ in ends and id_ != current:
            things.append(
                Thing(urn, "delete", old, None, LEFT_OVER if ends[id_] == "delete-replaced" else "")
            )
    kept = {thing.before.id for thing in things if thing.before is not None and thing.op == "keep"}
    if main is not None:
        before = None if current in kept else olds.get(current)
        things.append(Thing(urn, "replace" if main.op in _REPLACES else main.op, before, main.new))
    return things


def _is_kept(old: ResourceState, end: str, deleted: set[str]) -> bool:
    """
    Whether an object still exists after its resource leaves the stack.

    The engine does not delete an object that is retained, or that it only removes from the state. Nor does it delete
    one whose resource is deleted with another resource; but no container is deleted with another container.
    """
    with_another = end == "delete" and old.deleted_with in deleted
    return old.retain_on_delete or with_another or end in _DISCARDS
