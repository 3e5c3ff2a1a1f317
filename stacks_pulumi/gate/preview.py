"""
Which steps does the engine's preview plan, and which values exist before and after the change?

The preview is the output of `pulumi preview --json`, with all steps. Only the plan and the display of the plan depend
on the preview. If the planner leaves out a necessary request, the broker refuses that request later. If the planner
adds a request, the approver sees it in the list before signing.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast, get_args

import msgspec

from stacks_pulumi._identifiers import stack_and_project, type_of
from stacks_pulumi._pulumi_cli import EngineDiagnostic, InputError, Step, StoredResource, readable
from stacks_pulumi._structs import decode
from stacks_pulumi.cost.build import (
    REPLACES,
    ObjectChange,
    Pricer,
    exists_already,
    line_of,
    plan_of,
    under_new_urns,
)
from stacks_pulumi.cost.report import PriceTable
from stacks_pulumi.gate.change import Change, Operation
from stacks_pulumi.pricing.money import FREE
from stacks_pulumi.pricing.recognition import MARKER, PACKAGE, STACK, UNRECOGNISED, is_hidden, is_unknown

_MADE: Final = frozenset({"create", "import", "create-replacement", "import-replacement"})
_INTERNAL: Final = "__"
_TOP: Final = re.compile(r'[^.\[\]"]+')
"""The first name of a property path."""
_BY_CHECK: Final = frozenset(
    {MARKER, "stacksKind", "monthly_price_usd", "monthlyPriceUsd", "changed_outside", "changedOutside"}
)
"""Inputs that our provider adds to those of a program."""
_OURS: Final = ("pulumi-python:dynamic", PACKAGE)
"""The prefixes of our resources' types: a dynamic type can have any name after its prefix."""
OPTIONS: Final = ("preview", "--json", "--show-sames", "--show-replacement-steps")
"""The arguments with which `pulumi` prints a preview that this module reads."""


class PlannedResource(StoredResource, rename="camel"):
    """A resource in a preview, with the URNs that its inputs depend on."""

    property_dependencies: dict[str, list[str] | None] | None = None
    custom_timeouts: dict[str, float] | None = None


class _Step(Step):
    old: PlannedResource | None = msgspec.field(default=None, name="oldState")  # type: ignore[assignment]  # has more
    new: PlannedResource | None = msgspec.field(default=None, name="newState")  # type: ignore[assignment]  # has more
    names: list[str] = msgspec.field(default_factory=list, name="diffReasons")
    paths: dict[str, Any] | None = msgspec.field(default=None, name="detailedDiff")

    def reasons(self) -> list[str]:
        """Return the inputs that change according to the engine: it lists names, or paths such as `data.token`."""
        found = (_TOP.search(path) for path in (*self.names, *(self.paths or {})))
        return [top[0] for top in found if top is not None]


class _Document(msgspec.Struct):
    steps: list[_Step] = []
    diagnostics: list[EngineDiagnostic] = []


@dataclass(frozen=True)
class Previewed:
    """
    The result of a preview.

    Attributes:
        stack: The stack, as PROJECT/STACK; empty if the preview has no resource.
        changes: What happens to each object; an unchanged object is `same`.
        longest: The longest `customTimeouts` of a resource, in seconds.
    """

    stack: str
    changes: tuple[Change, ...]
    longest: float


def read(data: bytes, prices: PriceTable | None) -> Previewed:
    """
    Return the content of a preview.

    Args:
        data: The output of `pulumi` with `OPTIONS`.
        prices: The prices of resources of other providers. The cost of a resource without a price has no upper bound.

    Raises:
        InputError: The data is not a preview.
    """
    try:
        document = decode(readable(data), _Document)
    except msgspec.DecodeError as error:
        raise InputError(
            f"this is not a preview ({error}): pass the output of `pulumi {' '.join(OPTIONS)}`"
        ) from None
    steps = under_new_urns(document.steps)
    pricer = Pricer(others=prices or PriceTable(()), is_adopted=exists_already)
    words: dict[str, list[str]] = defaultdict(list)
    reasons: dict[str, list[str]] = defaultdict(list)
    for step in steps:
        words[step.urn].append(step.op)
        reasons[step.urn] += step.reasons()
    planned = [one for one in plan_of(steps).changes if type_of(one.urn) != STACK]
    depended = _dependants(steps)
    longest = [
        seconds
        for step in steps
        if step.new is not None
        for seconds in (step.new.custom_timeouts or {}).values()
    ]
    return Previewed(
        _stack_of(steps),
        tuple(
            _change(one, words[one.urn], depended.get(one.urn, ()), reasons[one.urn], pricer)
            for one in planned
        ),
        max(longest, default=0.0),
    )


def _stack_of(steps: Sequence[Step]) -> str:
    names = {stack_and_project(step.urn) for step in steps}
    stack, project = next(iter(names)) if len(names) == 1 else (None, None)
    return f"{project}/{stack}" if stack and project else ""


def _dependants(steps: Sequence[_Step]) -> dict[str, tuple[str, ...]]:
    """Return for each resource the URNs of the resources whose inputs depend on it."""
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for step in steps:
        for state in (step.old, step.new):
            for urns in ((state and state.property_dependencies) or {}).values():
                for urn in urns or ():
                    found[urn][step.urn] = None
    return {urn: tuple(others) for urn, others in found.items()}


def _change(
    one: ObjectChange,
    words: Sequence[str],
    dependants: tuple[str, ...],
    reasons: Sequence[str],
    pricer: Pricer,
) -> Change:
    old = cast("PlannedResource | None", one.before)
    new = None if one.op == "keep" or one.note else cast("PlannedResource | None", one.after)
    states = [state for state in (old, cast("PlannedResource | None", one.after)) if state is not None]
    kinds = {_kind_of(state) for state in states}
    line = line_of(one, pricer)
    before: Mapping[str, Any] = {} if old is None else old.inputs or {}
    after: Mapping[str, Any] = {} if new is None else new.inputs or {}
    return Change(
        one.urn,
        states[-1].type,
        # If the kind differs before and after, neither kind is certain.
        kinds.pop() if len(kinds) == 1 else UNRECOGNISED,
        _operation(one, words),
        before,
        after,
        FREE if line is None else line.past,
        FREE if line is None else line.planned,
        dependants=dependants,
        unknown=tuple(
            name
            for name, value in after.items()
            if not name.startswith(_INTERNAL) and (is_unknown(value) or is_hidden(value))
        ),
        changed=tuple(
            name
            for name in dict.fromkeys((*before, *after))
            if not name.startswith(_INTERNAL)
            and name not in _BY_CHECK
            # The preview hides secrets, so only the engine knows whether a secret changes.
            and (before.get(name) != after.get(name) or name in reasons)
        )
        if one.op != "same" and new is not None
        else (),
        outputs={} if old is None else old.outputs or {},
        id="" if old is None else old.id,
        custom=any(state.custom for state in states),
        protected_before=old is not None and old.protect,
        protected_after=new.protect
        if new is not None
        else old is not None and old.protect and one.op == "keep",
        made_from={}
        if new is None
        else {name: tuple(urns or ()) for name, urns in (new.property_dependencies or {}).items()},
        steps=tuple(words),
        note=one.note,
        former_type=states[0].type if states[0].type != states[-1].type else "",
    )


def _kind_of(state: PlannedResource) -> str | None:
    """
    Return the kind of a resource. A resource of another package that contains our marker has the kind `unrecognised`.
    """
    return state.kind if state.kind is None or state.type.startswith(_OURS) else UNRECOGNISED


def _operation(one: ObjectChange, words: Sequence[str]) -> Operation:
    if one.op in _MADE and REPLACES.intersection(words):
        # The replaced resource was deleted earlier, or it is kept and still billed.
        return "replace"
    known = get_args(Operation)
    return cast("Operation", one.op) if one.op in known else "unclear"
