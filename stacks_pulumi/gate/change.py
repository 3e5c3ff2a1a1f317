"""
What changes, with the values before and after it?

The answer comes from the saved plan and the state alone, because `show`, `approve` and `apply` must judge exactly what
is signed. A plan has the steps of each resource, and the differences of its inputs; the values before them are in the
state. The events of the preview are only compared with that (`contradictions`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, cast, get_args

from stacks_pulumi import catalog
from stacks_pulumi._identifiers import name_of, same_name, type_of
from stacks_pulumi._pulumi_cli import InputError, PlannedState, ResourceState, read
from stacks_pulumi.cost.build import (
    INTERRUPTED,
    KEPT,
    LEFT_OVER,
    REPLACES,
    ObjectChange,
    Pricer,
    exists_already,
    line_of,
    plan_of,
)
from stacks_pulumi.cost.report import Item, Line, PriceTable
from stacks_pulumi.gate.plan_file import PROVIDERS, Goal, Stored, urn_of_provider
from stacks_pulumi.gate.saved import IMPORTS, NEW, Saved, identity, shown
from stacks_pulumi.pricing.money import FREE, MonthlyPrice, Price
from stacks_pulumi.pricing.recognition import (
    ADOPTS,
    KINDS,
    PACKAGE,
    PROVIDER,
    STACK,
    UNRECOGNISED,
    is_hidden,
    is_our_provider,
    is_unknown,
    snake_case,
    text,
)
from stacks_pulumi.pricing.views import UNPRICED

if TYPE_CHECKING:
    from stacks_pulumi.account.reconcile import Reconciliation
    from stacks_pulumi.gate.settings import Gate

Action: TypeAlias = Literal["approve", "refuse"]
Operation: TypeAlias = Literal[
    "same", "create", "update", "replace", "delete", "import", "read", "discard", "keep", "unclear"
]
"""
What happens to an object. `keep`: it leaves the stack and is not deleted. `read`: it is only looked up from now on.
`discard`: it was only looked up, and is not any longer; nothing happens to it.
`unclear`: the state has it, and the plan does not say what becomes of it.
"""

_OPERATIONS: Final = frozenset(get_args(Operation))

DYNAMIC_TYPES: Final = "pulumi-python:dynamic"
"""The prefix of the types of dynamic resources in Python; ours can have any type with it."""

_STAYS: Final = frozenset({"same", "create", "update", "replace"})
"""What happens to an object that exists after the change."""

_ALL_INPUTS: Final = "all inputs"
_INTERNAL: Final = "__"
_WHETHER: Final = (
    "whether it exists (look into the account, then run `pulumi refresh --clear-pending-creates`)"
)


@dataclass(frozen=True)
class Finding:
    """
    A finding of a rule.

    Attributes:
        rule: The rule's name; the gate sets it.
        action: `approve`: the change needs an approval. `refuse`: it is refused.
        urn: The resource that it is about; empty for the whole change.
        text: The finding, and why it matters, as a sentence.
    """

    rule: str
    action: Action
    urn: str
    text: str


@dataclass(frozen=True)
class Change:
    """
    One object, before and after a change.

    Attributes:
        urn: The URN of its resource after the change; of a deleted one, the URN that it has.
        type: Its type token.
        kind: One of the kinds of STACKS, `unrecognised`, or `None` for a resource of another provider.
        operation: What happens to it.
        before: Its inputs now; empty if it does not exist. Secrets are encrypted.
        after: Its inputs after the change; empty if it does not exist then. A value that is not known is a placeholder.
        price_before: What it costs a month now.
        price_after: What it costs a month after the change.
        dependants: The URNs of the resources that depend on it, now or after the change.
        unknown: The inputs that have no value in the plan, so that the update takes any; for our resources also those
            that have only an encrypted one.
        changed: The names of the inputs that change.
        outputs: What the state says of it.
        id: Its id now; empty if it does not exist.
        custom: Whether it has a provider. A component has none.
        protected_before: Whether the state protects it from deletion.
        protected_after: Whether it will be protected.
        provider_changes: Whether another provider will manage it.
        engines_own: Whether it is a provider that the engine makes by itself, with the stack's configuration.
        of_program: Whether only providers of the program with their key manage it, now and afterwards.
        old_urn: The URN that the state has for it; empty if that is the same.
        made_from: For an unknown input, the URNs that its value depends on.
        steps: The engine's names of the steps, in their order.
        note: What else is known of it.
        object: What the cost and account commands know of it.
        line: Its prices; `None` if it has none.
    """

    urn: str
    type: str
    kind: str | None
    operation: Operation
    before: Mapping[str, Any] = field(default_factory=dict)
    after: Mapping[str, Any] = field(default_factory=dict)
    price_before: Price = FREE
    price_after: Price = FREE
    dependants: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    outputs: Mapping[str, Any] = field(default_factory=dict)
    id: str = ""
    custom: bool = True
    protected_before: bool = False
    protected_after: bool = False
    provider_changes: bool = False
    engines_own: bool = False
    of_program: bool = False
    old_urn: str = ""
    made_from: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    steps: tuple[str, ...] = ()
    note: str = ""
    object: ObjectChange | None = None
    line: Line | None = None

    @property
    def name(self) -> str:
        """Its name in the program."""
        return name_of(self.urn)

    @property
    def container_name(self) -> str:
        """The name of the container that it is on the platform; empty for other resources, and if it is not known."""
        name = text(snake_case(self.after or self.before), "name") if self.kind == "Container" else None
        return name if isinstance(name, str) else ""

    @property
    def may_exist(self) -> bool:
        """Whether it is a create that was interrupted."""
        return self.note == INTERRUPTED

    @property
    def foreign(self) -> bool:
        """Whether it is an object of another provider."""
        return self.custom and self.kind is None and not self.type.startswith(PROVIDERS)

    @property
    def unprotected(self) -> bool:
        """Whether it loses its protection."""
        return self.protected_before and not self.protected_after and self.operation != "create"

    @property
    def deleted_first(self) -> bool:
        """Whether the old object of a replacement is deleted before the new one is created."""
        return self.steps[:1] == ("delete-replaced",)

    @property
    def acts(self) -> bool:
        """Whether anything changes: an object, or what protects or manages it."""
        return self.operation != "same" or self.unprotected or self.provider_changes

    def approve(self, text: str) -> Finding:
        """Return the finding that this needs an approval; for a gate's own rules."""
        return Finding("", "approve", self.urn, text)

    def refuse(self, text: str) -> Finding:
        """Return the finding that this is refused; for a gate's own rules."""
        return Finding("", "refuse", self.urn, text)


def pricer_of(
    gate: Gate, monthly: MonthlyPrice = catalog.monthly_price, account: Reconciliation | None = None
) -> Pricer:
    """
    Return the pricer of a gate. A resource of another provider without a price in the gate's files has no bound.

    Args:
        gate: The gate.
        monthly: Returns the prices of containers.
        account: The account with all stacks, which shows what is billed already; `None` if it was not read.
    """
    return _Pricer(
        monthly,
        gate.prices or PriceTable(()),
        lambda change: account is not None and _is_there(change, account),
    )


def _is_there(change: ObjectChange, account: Reconciliation) -> bool:
    """
    Whether a creation takes over a container that the account shows and no stack owns.

    What the plan says of it comes from a program, so it is not enough. If the container is gone when the plan is
    applied, the provider's check has another result, and the engine refuses the plan.
    """
    if not exists_already(change) or change.op != "create" or change.after is None:
        return False
    inputs = snake_case(change.after.inputs or {})
    id_, name = text(inputs, ADOPTS), text(inputs, "name")
    found = [one for one in account.containers if one.container.id == id_ and one.ownership == "orphan"]
    is_named = isinstance(name, str) and all(same_name(one.name, name) for one in found)
    return bool(found) and is_named and change.after.kind == "Container" and not _is_pretended(change.after)


class _Pricer(Pricer):
    """Prices what only says that it is of STACKS as what it may be: anything."""

    def item(self, state: ResourceState | None, sized: ResourceState | None = None) -> Item | None:
        """Return the billed item, without an upper bound for a resource of another package with our marker."""
        item = super().item(state, sized)
        if state is None or not _is_pretended(state):
            return item
        return Item("kind not known", UNPRICED)


def _is_pretended(state: ResourceState) -> bool:
    """
    Whether a resource of another package has our marker.

    Its provider may ignore an input that it does not know, and our rules would judge it as an address or a backup.
    """
    return state.kind is not None and not state.type.startswith((DYNAMIC_TYPES, PACKAGE))


def changes_of(plan: bytes, state: bytes, pricer: Pricer) -> tuple[Change, ...]:
    """
    Return what happens to each object of a stack; what does not change is `same`.

    Args:
        plan: The plan that `pulumi preview --save-plan` wrote.
        state: The output of `pulumi stack export` that the plan was made against.
        pricer: Returns the prices.

    Raises:
        InputError: One of them cannot be read, has a step that is not known, or does not fit to the other.
    """
    saved = Saved(plan, state)
    # The steps are read first, because only they show whether the two fit together.
    steps = list(saved.steps())
    planned = plan_of(steps, saved.deleted_with).changes
    # For prices they are nothing.
    planned += [
        ObjectChange(one.urn, "discard", one.old, None)
        for one in steps
        if one.new is None and one.old is not None and one.old.external
    ]
    ways = [
        *((ObjectChange(one.urn, "unclear", shown(one), shown(one), KEPT), one) for one in saved.forgotten()),
        *(
            (ObjectChange(one.urn, "same", shown(one), shown(one), note), one)
            for note, objects in ((INTERRUPTED, saved.creating), (LEFT_OVER, saved.staying()))
            for one in objects
        ),
    ]
    changes = _joined(
        *(_change(saved, one, pricer) for one in planned if type_of(one.urn) != STACK),
        *(_aside(change, one, pricer) for change, one in ways),
    )
    saved.check_told({one.urn for one in changes})
    return changes


def _joined(*changes: Change) -> tuple[Change, ...]:
    """
    Return changes in which an interrupted create costs nothing if another change is of the same container.

    Names are unique on the platform. So what the plan makes, or the state has, under this name is the container that
    may exist, and that one costs the higher of the two prices.
    """
    joined = list(changes)
    named: dict[str, int] = {}
    # Of two interrupted creates with one name, one counts.
    for number, one in sorted(enumerate(changes), key=lambda pair: pair[1].may_exist):
        if one.line is None or not one.container_name:
            continue
        first = named.get(one.container_name)
        if one.may_exist and first is not None:
            before, after = replace(one.price_before, low=FREE.low), replace(one.price_after, low=FREE.low)
            other = joined[first]
            joined[first] = _priced(
                other, other.price_before.or_higher(before), other.price_after.or_higher(after)
            )
            joined[number] = _priced(one, FREE, FREE)
        elif one.may_exist or (one.operation in _STAYS and not one.note):
            named[one.container_name] = number
    return tuple(joined)


def _priced(change: Change, before: Price, after: Price) -> Change:
    """Return a change of a container with other prices."""
    line = change.line
    if line is not None:
        kind = line.kind
        line = replace(line, before=Item(kind, before), after=Item(kind, after))
    return replace(change, line=line, price_before=before, price_after=after)


def _change(saved: Saved, change: ObjectChange, pricer: Pricer) -> Change:
    """Return what a plan says of an object."""
    urn, before, after = change.urn, change.before, change.after
    old = next((one for one in saved.olds(urn) if before is not None and identity(one) == before.id), None)
    # A resource has one object that goes on, and may have others that end.
    goal = None if after is None or change.op == "keep" or change.note else saved.goal(urn)
    told = _told(change, old, pricer)
    words = saved.words(urn)
    told = replace(
        told,
        operation=_operation(change, words),
        engines_own=saved.is_engines_own(urn),
        of_program=all(
            one is None or saved.has_own_key(urn_of_provider(one.provider)) for one in (old, goal)
        ),
        old_urn=saved.moved.get(urn, ""),
        dependants=saved.dependants.get(urn, ()),
        steps=words,
    )
    is_refreshed = old is not None and old.refresh_before_update and told.operation != "same"
    is_read = bool(IMPORTS.intersection(words)) or is_refreshed
    if told.line is not None and told.line.after is not None and is_read:
        # The plan has the differences to what the preview has read, which it does not have.
        price = Price(FREE.low, None, (_ALL_INPUTS,))
        line = replace(told.line, after=Item(told.line.after.kind, price))
        told = replace(told, line=line, price_after=price)
    if goal is None:
        return replace(told, protected_after=told.protected_before and after is not None)
    return replace(
        told,
        unknown=(_ALL_INPUTS,) if is_read else _unknown(saved, goal, told),
        changed=_changed(told.before, told.after) if change.op != "same" else (),
        protected_after=goal.protect,
        provider_changes=old is not None and saved.is_other_provider(old.provider, goal.provider),
        made_from={name: tuple(urns or ()) for name, urns in goal.property_dependencies.items()},
    )


def _aside(change: ObjectChange, old: Stored, pricer: Pricer) -> Change:
    """Return an object to which no step of a plan does anything."""
    told = _told(change, old, pricer)
    return replace(
        told,
        operation=_operation(change, ()),
        unknown=(_WHETHER,) if change.note == INTERRUPTED else (),
        protected_after=told.protected_before,
    )


def _check_code(state: ResourceState) -> None:
    """
    Refuse a dynamic resource that looks like one of ours and has the code of another provider.

    Its steps would run that code with the key. The code can be in the state alone, where no one reads it.

    Raises:
        InputError: It has such code.
    """
    outputs = state.outputs if isinstance(state, PlannedState) else None
    for properties in (state.inputs or {}, cast("Mapping[str, Any]", outputs or {})):
        code = properties.get(PROVIDER)
        is_other = not (isinstance(code, str) and is_our_provider(code, state.kind or ""))
        if code is not None and state.kind in KINDS and state.type.startswith(DYNAMIC_TYPES) and is_other:
            raise InputError(
                f"{name_of(state.urn)!r} ({state.type}) looks like a {state.kind}, but its `{PROVIDER}` is different "
                "code, which would run with the key: remove it from program and state (`pulumi state delete`)"
            )


def _told(change: ObjectChange, old: Stored | None, pricer: Pricer) -> Change:
    """Return an object as a change and the state describe it."""
    states = [state for state in (change.before, change.after) if state is not None]
    for state in states:
        _check_code(state)
    kinds = {UNRECOGNISED if _is_pretended(state) else state.kind for state in states}
    line = line_of(change, pricer)
    if line is not None and len(kinds) > 1:
        # What becomes of the object of the first kind is not known, and the second may be anything.
        line = replace(line, after=Item("kind not known", UNPRICED))
    after = None if change.after is None else change.after.inputs
    return Change(
        change.urn,
        states[-1].type,
        # Two kinds contradict each other.
        kinds.pop() if len(kinds) == 1 else UNRECOGNISED,
        "unclear",
        {} if old is None else old.inputs or {},
        after or {},
        FREE if line is None else line.past,
        FREE if line is None else line.planned,
        outputs={} if old is None else old.outputs or {},
        id="" if old is None else old.id,
        custom=any(state.custom for state in states),
        protected_before=old is not None and old.protect,
        note=change.note,
        object=change,
        line=line,
    )


def _unknown(saved: Saved, goal: Goal, told: Change) -> tuple[str, ...]:
    """Return the inputs that have no value in a plan."""
    given = {**goal.input_diff.updates, **goal.input_diff.adds}
    # An encrypted value may be a placeholder too. Of other providers, secrets are usual, and no rule reads them.
    is_open = is_unknown if told.kind is None else _is_open
    names = [name for name, value in given.items() if not name.startswith(_INTERNAL) and is_open(value)]
    if saved.is_ambiguous(told.urn):
        names += [name for name in told.before if name not in given and not name.startswith(_INTERNAL)]
    return tuple(names)


def _is_open(value: Any) -> bool:
    """Whether the plan has no value, or only an encrypted one, at any depth. Such a one may be a placeholder."""
    if is_unknown(value) or is_hidden(value):
        return True
    if isinstance(value, Mapping):
        return any(_is_open(one) for one in value.values())
    return isinstance(value, list) and any(_is_open(one) for one in value)


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, ...]:
    names = dict.fromkeys((*before, *after))
    return tuple(
        name for name in names if not name.startswith(_INTERNAL) and before.get(name) != after.get(name)
    )


def _operation(change: ObjectChange, words: Sequence[str]) -> Operation:
    if change.op in NEW and REPLACES.intersection(words):
        # What it takes the place of has ended before, or stays billed.
        return "replace"
    if change.op in _OPERATIONS:
        return cast("Operation", change.op)
    return "unclear"


def contradictions(changes: Iterable[Change], events: bytes) -> tuple[str, ...]:
    """
    Return where the events of the preview say something else than the plan and the state.

    Args:
        changes: The changes, as `changes_of` returns them.
        events: The events of the preview that saved the plan.

    Raises:
        InputError: These are not the events of a preview.
    """
    document = read(events)
    if not isinstance(document, list):
        raise InputError("these are not the events of a preview")
    told: dict[str, set[str]] = defaultdict(set)
    news: dict[str, Mapping[str, Any]] = {}
    for line in document:
        for event in (line.resource_pre_event, line.res_outputs_event):
            if event is not None and type_of(event.metadata.urn) != STACK:
                step = event.metadata
                told[step.urn].add(step.op)
                if step.new is not None and step.op not in {"read", "refresh", "same"}:
                    news[step.urn] = step.new.inputs or {}
    return tuple(_compared(list(changes), told, news))


_SILENT: Final = frozenset(
    {"same", "refresh", "read", "diff", "remove-pending-replace", "discard", "discard-replaced"}
)
"""Steps that change no object. Events do not show all of them, and a plan does not have all."""


def _compared(
    changes: Sequence[Change], events: Mapping[str, set[str]], news: Mapping[str, Mapping[str, Any]]
) -> Iterator[str]:
    planned: dict[str, set[str]] = defaultdict(set)
    for change in changes:
        planned[change.urn] |= set(change.steps)
    moved = {change.old_urn: change.urn for change in changes if change.old_urn}
    told: dict[str, set[str]] = defaultdict(set)
    for urn, ops in events.items():
        told[urn if urn in planned else moved.get(urn, urn)] |= ops
    for urn in dict.fromkeys((*planned, *told)):
        if type_of(urn).startswith(PROVIDERS) and name_of(urn).startswith("default"):
            # No event shows a default provider.
            continue
        steps, seen = planned.get(urn, set()) - _SILENT, told.get(urn, set()) - _SILENT
        if steps != seen:
            yield f"{name_of(urn)!r}: the plan has {_listed(steps)}, and the preview showed {_listed(seen)}"
    for change in changes:
        given = news.get(change.urn, {})
        if (
            change.operation not in {"create", "update", "replace"}
            or change.note
            or _ALL_INPUTS in change.unknown
        ):
            continue
        names = [
            name
            for name in dict.fromkeys((*change.after, *given))
            if not name.startswith(_INTERNAL)
            and name not in change.unknown
            and not (_is_open(change.after.get(name)) or _is_open(given.get(name)))
            and change.after.get(name) != given.get(name)
        ]
        if change.urn in news and names:
            yield f"{change.name!r}: the preview showed another {', '.join(names)} than the plan has; " + (
                # Of a replacement that deletes first, the engine plans what it has checked before the deletion.
                "it replaces one container and adopts another: make two changes of it"
                if "adopts" in names
                else "a policy that remediates changes inputs after they were planned, so write them in the program as "
                "it makes them"
            )


def _listed(words: Iterable[str]) -> str:
    return ", ".join(sorted(words)) or "no step"
