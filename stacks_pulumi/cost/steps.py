"""From the steps of a preview to what each resource is before and after them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from stacks_pulumi.cost import tokens
from stacks_pulumi.cost.documents import Metadata, State

__all__ = ["LEFTOVER", "Plan", "name_of", "only_refreshes", "plan_of"]

LEFTOVER: Final = "#leftover"
"""Ends the key of what an earlier replacement has left to be deleted: a thing of its own, under the same URN."""

_GOES: Final = frozenset({"delete", "delete-replaced", "discard", "discard-replaced"})
_ROOT: Final = f"::{tokens.STACK}::"


@dataclass
class Plan:
    """
    What a preview does, by key: the URN, or what follows from it for a leftover.

    Attributes:
        before: What is there now.
        after: What will be there.
        actions: The engine's word for what happens.
        notes: What a reader has to know.
    """

    before: dict[str, State] = field(default_factory=dict)
    after: dict[str, State] = field(default_factory=dict)
    actions: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, step: Metadata) -> None:
        """Take in a step that is no refresh."""
        old = step.old
        if step.op == "same" and old is not None and not old.id and not old.inputs:
            # A new resource outside of --target is shown as unchanged, without anything in it.
            if old.type == tokens.CONTAINER:
                self.notes.append(
                    f"{name_of(step.urn)!r} is new and outside of --target: not made, so not counted"
                )
            return
        key = _key(step)
        if old is not None and _is_there(step, old):
            self.before.setdefault(key, old)
        if step.op in _GOES:
            self.actions.setdefault(key, "delete")
        elif step.new is not None and step.op != "remove-pending-replace":
            self.after[key] = step.new
            self.actions[key] = step.op
        if step.op == "delete" and old is not None and old.retain_on_delete and old.type == tokens.CONTAINER:
            self.notes.append(
                f"{name_of(step.urn)!r} leaves the stack but is kept (retain_on_delete): it goes on costing"
            )


def _key(step: Metadata) -> str:
    return f"{step.urn}{LEFTOVER}" if step.old is not None and step.old.delete else step.urn


def _is_there(step: Metadata, old: State) -> bool:
    """Not what is only looked up, and not what an interrupted replacement has deleted and not made anew."""
    return not (old.external or old.pending_replacement or step.op in {"create", "remove-pending-replace"})


def only_refreshes(steps: Iterable[Metadata]) -> bool:
    """Whether this is a refresh, or one with a part of a preview: not every resource has a step of its own."""
    ops = [(step.op, _ROOT in step.urn) for step in steps]
    return any(op == "refresh" for op, _ in ops) and not any(root and op != "refresh" for op, root in ops)


def plan_of(steps: list[Metadata]) -> Plan:
    """
    What all steps come to.

    With `--refresh` every resource has a step before its own that says what was found. The plain JSON shows it as
    it was recorded, also where it was found to be gone. So a resource's own step tells what is there now; one that
    has none in a preview of the whole stack is neither there nor wanted.
    """
    plan = Plan()
    found: dict[str, State | None] = {}
    for step in steps:
        if step.op == "refresh":
            found[_key(step)] = step.new
        else:
            plan.add(step)
    if only_refreshes(steps):
        # What it finds stays as it is.
        for key, state in found.items():
            if state is not None and key not in plan.actions:
                plan.before[key] = plan.after[key] = state
                plan.actions[key] = "same"
    return plan


def name_of(urn: str) -> str:
    """The name that a resource has in its program."""
    return urn.rpartition("::")[2]
