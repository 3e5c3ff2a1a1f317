"""
What do a saved plan and the state that it was made against say, as the steps of a preview?

A plan has for each URN the words of its steps, and the differences of its inputs to those in the state. What does not
fit together, or has a word that is not known here, is an error: it cannot be judged.
"""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

from stacks_pulumi._identifiers import name_of, stack_and_project, type_of
from stacks_pulumi._pulumi_cli import PlannedState, ResourceState, Step
from stacks_pulumi.cost.build import REPLACES
from stacks_pulumi.gate.plan_file import (
    PROVIDERS,
    Goal,
    InputDiff,
    ResourcePlan,
    Stored,
    check_type,
    deployment_in,
    does_not_fit,
    plan_in,
    urn_of_provider,
)
from stacks_pulumi.pricing.recognition import STACK, is_hidden

NEW: Final = frozenset({"create", "import", "read"})
"""The steps by which a resource comes into the state."""

IMPORTS: Final = frozenset({"import", "import-replacement"})
"""The steps that import an object."""

_DELETES: Final = frozenset({"delete", "delete-replaced", "discard", "discard-replaced"})
_REPLACED: Final = frozenset({"delete-replaced", "discard-replaced"})
_STAYS: Final = frozenset({"same", "update"})
_GONE: Final = "remove-pending-replace"
_NO_ACTS: Final = frozenset({"same", _GONE})
_STEPS: Final = NEW | _DELETES | _STAYS | REPLACES | {_GONE}
_SHOWN: Final = 5

_ENGINES_NAME: Final = re.compile(r"default(_(alpha|beta|rc|dev)?\d*)*", re.ASCII)
"""The name of the engine's own provider: with the version of its package, and with an address if its plugin has one."""


_KEYS: Final = frozenset({"apiKey", "stacks:apiKey"})
"""The input of a provider of ours that has its key."""


@dataclass
class Olds:
    """
    The objects in the state that one resource of the plan is about.

    Attributes:
        current: The object that its URN, or its alias, names.
        left_over: The objects that earlier replacements left.
    """

    current: Stored | None = None
    left_over: list[Stored] = field(default_factory=list)

    def __iter__(self) -> Iterator[Stored]:
        return iter([*([] if self.current is None else [self.current]), *self.left_over])


class Saved:
    """
    A plan beside the state that it was made against.

    Args:
        plan: The content of the file that `pulumi preview --save-plan` wrote.
        state: The output of `pulumi stack export`.

    Attributes:
        creating: The resources whose create was interrupted: it is not known whether they exist.
        moved: URN in the plan -> URN in the state, of resources that are named in another way from now on.
        dependants: URN -> the URNs of the resources that depend on it.

    Raises:
        InputError: One of them cannot be read, or they do not fit together.
    """

    def __init__(self, plan: bytes, state: bytes) -> None:
        read = plan_in(plan)
        self._plans, self._config = read.resource_plans, read.config
        deployment = deployment_in(state)
        resources = deployment.resources or []
        self.creating = [
            one.resource for one in deployment.pending_operations or () if one.type == "creating"
        ]
        for one in (*resources, *self.creating):
            check_type(one.urn, one)
            _check_refreshed(one)
        for urn, planned in self._plans.items():
            if planned.goal is not None:
                check_type(urn, planned.goal)
        self._olds: dict[str, Olds] = defaultdict(Olds)
        for one in resources:
            olds = self._olds[one.urn]
            if one.delete:
                olds.left_over.append(one)
            elif olds.current is None:
                olds.current = one
            else:
                raise does_not_fit(one.urn, "the state has it twice")
        self.moved: dict[str, str] = {}
        self._find_aliases()
        self.dependants = self._dependants(resources)

    def steps(self) -> Iterator[Step]:
        """Return the steps, with the states before and after them."""
        for urn, planned in self._resources():
            yield from self._steps(urn, planned)

    def _resources(self) -> Iterator[tuple[str, ResourcePlan]]:
        old_urns = set(self.moved.values())
        for urn, planned in self._plans.items():
            # The steps under a URN that a resource had are those of the resource.
            if urn not in old_urns or planned.goal is not None:
                yield urn, planned

    def check_told(self, urns: Collection[str]) -> None:
        """
        Refuse a plan whose steps are not all in the changes.

        Args:
            urns: The URNs of the changes.

        Raises:
            InputError: It has a step for another resource.
        """
        for urn, _ in self._resources():
            untold = [] if urn in urns else [word for word in self.words(urn) if word not in _NO_ACTS]
            if untold and type_of(urn) != STACK:
                raise does_not_fit(urn, f"the plan has the step {untold[0]!r} for nothing that is known")

    def forgotten(self) -> Iterator[Stored]:
        """
        Return the objects in the state whose future the plan does not say.

        The engine plans a step for every object that it manages, also outside of the plan's targets, except for one
        that the program only looks up from now on.
        """
        told = {*self._plans, *self.moved.values()}
        for urn, olds in self._olds.items():
            if urn not in told:
                yield from (one for one in olds if one.custom and not one.external and not one.view_of)
            elif olds.current is not None and not olds.current.external and self._ends_left_overs_alone(urn):
                yield olds.current

    def _ends_left_overs_alone(self, urn: str) -> bool:
        """Return whether the steps of a resource are the deletions of what earlier replacements left, and no more."""
        planned, olds = self._plans.get(urn), self.olds(urn)
        if planned is None or planned.goal is not None or urn in self.moved.values():
            return False
        number = sum(word in _REPLACED for word in planned.steps)
        return 0 < number == len(planned.steps) == len(olds.left_over) and not _is_pending(olds.current)

    def staying(self) -> Iterator[Stored]:
        """Return the objects that are replaced, or were earlier, and that the plan's targets leave out."""
        for urn in self._plans:
            if not _DELETES.intersection(self.words(urn)):
                yield from self.olds(urn).left_over
            if self._outlives_its_replacement(urn):
                yield from filter(None, (self.olds(urn).current,))

    def _outlives_its_replacement(self, urn: str) -> bool:
        """
        Return whether an object is replaced under another URN, and stays.

        The plan's targets then have the new URN alone. The next update without targets deletes the object.
        """
        words, current = self.words(urn), self.olds(urn).current
        is_replaced = bool(REPLACES.intersection(words)) and not _DELETES.intersection(words)
        return urn in self.moved and is_replaced and current is not None and not _is_pending(current)

    def goal(self, urn: str) -> Goal | None:
        """Return what a resource will be; `None` if it is deleted, or if the plan does not have it."""
        planned = self._plans.get(urn)
        return None if planned is None else planned.goal

    def words(self, urn: str) -> tuple[str, ...]:
        """Return the words of a resource's steps."""
        planned, old = self._plans.get(urn, ResourcePlan()), self.moved.get(urn)
        # The engine notes the deletion of the old object of an aliased replacement under its old URN.
        under_old = ResourcePlan() if old is None else self._plans.get(old, ResourcePlan())
        words = (*planned.steps, *(() if under_old.goal is not None else under_old.steps))
        return (*self._imports(urn, planned.goal, words), *words)

    def _imports(self, urn: str, goal: Goal | None, words: Sequence[str]) -> tuple[str, ...]:
        """
        Return the steps of an import, which the engine takes and does not note in the plan.

        It imports if the id in the program is not that of the object in the state.
        """
        if goal is None or not (goal.custom and goal.id) or IMPORTS.intersection(words):
            return ()
        current = self._olds.get(self.moved.get(urn, urn), Olds()).current
        if current is None or current.external:
            return ("import",)
        is_same = (current.import_id or current.id) == goal.id
        return () if is_same else ("import-replacement", "replace")

    def olds(self, urn: str) -> Olds:
        """Return the objects in the state that a resource of the plan is about."""
        own, old = self._olds.get(urn, Olds()), self.moved.get(urn)
        goal = self.goal(urn)
        if goal is not None and own.current is None and self.is_imported_and_replaced(urn):
            # Nothing but its id is known.
            return Olds(Stored(type=goal.type, urn=urn, id=goal.id, custom=goal.custom), own.left_over)
        if old is None:
            return own
        aliased = self._olds[old]
        return Olds(aliased.current, [*own.left_over, *aliased.left_over])

    def deleted_with(self, state: ResourceState) -> str:
        """Return the URN of the resource with which an object is deleted; empty for none."""
        now = {old: urn for urn, old in self.moved.items()}
        return now.get(state.deleted_with, state.deleted_with)

    def is_other_provider(self, before: str, after: str) -> bool:
        """Return whether two references to a provider are to different ones."""
        one, other = urn_of_provider(before), urn_of_provider(after)
        if one == other or not (one and other) or self.moved.get(other) == one:
            return False
        # The engine's own provider of a package has the package's version in its name. A program can have one whose
        # name only begins so.
        both_engines = all(self.is_engines_own(urn) for urn in (one, other))
        return not (both_engines and type_of(one) == type_of(other))

    def is_imported_and_replaced(self, urn: str) -> bool:
        """Return whether an object is imported, and replaced in the same operation."""
        words = self.words(urn)
        return "import" in words and bool(REPLACES.intersection(words))

    def has_own_key(self, urn: str) -> bool:
        """Return whether a resource is a provider of ours that the program makes, and that says with which key."""
        goal, olds = self.goal(urn), list(self.olds(urn))
        given = [set(one.inputs or {}) for one in olds]
        if goal is not None:
            given.append({*goal.input_diff.adds, *goal.input_diff.updates})
        is_engines = _ENGINES_NAME.fullmatch(name_of(urn)) and not any(
            one.parent for one in (*olds, goal) if one
        )
        return bool(given) and not is_engines and not _KEYS.isdisjoint(set().union(*given))

    def is_engines_own(self, urn: str) -> bool:
        """
        Return whether a resource is a provider that the engine makes by itself, with the stack's configuration.

        A program's own provider has the stack, or a component, as its parent. A program that is code can leave that
        out, but then it gains nothing by it: the settings are those of the configuration.
        """
        goal = self.goal(urn)
        states = [*self.olds(urn), *([] if goal is None else [goal])]
        if not (type_of(urn).startswith(PROVIDERS) and _ENGINES_NAME.fullmatch(name_of(urn))):
            return False
        given: dict[str, Any] = {}
        # Of one that ends, the state has the settings, with which the engine may start it once more.
        for part in (
            [one.inputs or {} for one in self.olds(urn)]
            if goal is None
            else [goal.input_diff.adds, goal.input_diff.updates]
        ):
            given |= part
        package = type_of(urn).removeprefix(PROVIDERS)
        return not any(one.parent for one in states) and all(
            name == "version" or self._is_configured(name, f"{package}:{name}", value)
            for name, value in given.items()
            if not name.startswith("__")
        )

    def _is_configured(self, name: str, with_package: str, value: Any) -> bool:
        """Whether the configuration has this value, or a secret where the value is one, which cannot be compared."""
        set_to = self._config.get(name, self._config.get(with_package))
        return set_to is not None and (is_hidden(value) or value == set_to)

    def is_ambiguous(self, urn: str) -> bool:
        """
        Return whether it is not known which inputs of the old object a new one keeps.

        After the deletion of the old object the engine compares with it, or with nothing.
        """
        goal, old = self.goal(urn), self.olds(urn).current
        if goal is None or old is None or self.words(urn)[:1] != ("delete-replaced",):
            return False
        difference = goal.input_diff
        surely = difference.updates or difference.deletes
        return bool(old.inputs and difference.adds) and not surely

    def _steps(self, urn: str, planned: ResourcePlan) -> Iterator[Step]:
        olds, words = self.olds(urn), self.words(urn)
        unknown = [word for word in words if word not in _STEPS]
        if unknown or not words:
            what = (
                f"the step {unknown[0]!r}, which this version does not know" if unknown else "no step for it"
            )
            raise does_not_fit(urn, f"the plan has {what}")
        if (
            planned.goal is None
            and type_of(urn) != STACK
            and not {"same", _GONE, *_DELETES}.issuperset(words)
        ):
            # The engine only finds at the end that a step was not made, when the others are done.
            raise does_not_fit(urn, "the plan does not say what it becomes")
        if IMPORTS.intersection(words):
            # An update of what was imported belongs to the import, and the import to a replacement of it.
            left_out = {"import"} if self.is_imported_and_replaced(urn) else _STAYS
            words = tuple(word for word in words if word not in left_out)
        _check_together(urn, words)
        if planned.goal is not None:
            _check_difference(urn, planned.goal.input_diff, words, olds.current)
        after = None if planned.goal is None else _after(urn, planned.goal, words, olds.current)
        ending = self._ending(urn, words, olds)
        for word in words:
            if word in _DELETES:
                yield Step(word, urn, shown(next(ending)), None)
            elif word == _GONE:
                # Else this operation deletes it, and has a step for that.
                if olds.current is not None and olds.current.pending_replacement:
                    yield Step(word, urn, shown(olds.current), None)
            elif word in NEW:
                # An object that was only looked up is another stack's.
                if olds.current is not None and not olds.current.external:
                    raise does_not_fit(urn, f"the plan has the step {word!r}, and the state has it already")
                yield Step(word, urn, None, after)
            elif olds.current is not None:
                old = shown(olds.current)
                yield Step(word, urn, old, old if after is None else after)
            elif word != "same":
                # One that is the same and not in the state is new, and outside of the plan's targets.
                raise does_not_fit(urn, f"the plan has the step {word!r}, and the state does not have it")

    def _ending(self, urn: str, words: Sequence[str], olds: Olds) -> Iterator[Stored]:
        if self._outlives_its_replacement(urn):
            return iter(())
        if self._ends_left_overs_alone(urn):
            return iter(olds.left_over)
        goal, current = self.goal(urn), olds.current
        imports = goal is not None and bool(goal.id) and current is not None and goal.id != current.id
        return _ending(urn, words, olds, imports=imports)

    def _find_aliases(self) -> None:
        moved = self.moved
        free = {
            urn for urn, olds in self._olds.items() if olds.current is not None and self.goal(urn) is None
        }
        for urn, planned in self._plans.items():
            goal, own = planned.goal, self._olds.get(urn)
            if goal is None or (own is not None and own.current is not None):
                continue
            if not set(planned.steps) & (_STAYS | REPLACES):
                continue
            told = [one for one in _alias_urns(urn, goal) if one in free]
            found = told[:1] or [one for one in sorted(free) if self._is_inherited(one, goal, moved)]
            if len(found) > 1:
                raise does_not_fit(
                    urn, f"it may be each of {', '.join(found[:_SHOWN])}: give it an alias that is a URN"
                )
            if found:
                moved[urn] = found[0]
                free.discard(found[0])

    def _is_inherited(self, old_urn: str, goal: Goal, moved: Mapping[str, str]) -> bool:
        """Return whether a resource had this URN because its parent had a different one."""
        old = self._olds[old_urn].current
        if old is None or old.type != goal.type or old.custom != goal.custom:
            return False
        if goal.parent not in moved or old.parent != moved[goal.parent]:
            return False
        before, after = name_of(old.parent), name_of(goal.parent)
        inherited = before + goal.name.removeprefix(after) if goal.name.startswith(after) else goal.name
        return name_of(old_urn) in {goal.name, inherited}

    def _dependants(self, resources: Iterable[Stored]) -> dict[str, tuple[str, ...]]:
        now = {old: urn for urn, old in self.moved.items()}
        users: dict[str, dict[str, None]] = defaultdict(dict)
        needs: list[tuple[str, Iterable[str]]] = [
            (one.urn, (one.deleted_with, *_needs(one))) for one in resources
        ]
        needs += [
            (urn, _needs(planned.goal)) for urn, planned in self._plans.items() if planned.goal is not None
        ]
        for user, urns in needs:
            for urn in urns:
                if urn and urn != user:
                    users[now.get(urn, urn)][now.get(user, user)] = None
        return {urn: tuple(by) for urn, by in users.items() if type_of(urn) != STACK}


def _is_pending(one: Stored | None) -> bool:
    """Whether an object was deleted by a replacement that was interrupted."""
    return one is not None and one.pending_replacement


def _needs(one: Stored | Goal) -> Iterator[str]:
    yield from (one.parent, urn_of_provider(one.provider), *(one.dependencies or ()))
    yield from itertools.chain.from_iterable(
        urns or () for urns in (one.property_dependencies or {}).values()
    )


def _check_refreshed(one: Stored) -> None:
    """
    Refuse a resource of ours whose state lets the engine refresh it before each update.

    A plan has the differences to what that refresh finds, and here they would be compared with the state. So an update
    would open what was closed outside, and look as if it changes nothing. No provider of ours asks for it.
    """
    if one.refresh_before_update and one.kind is not None:
        raise does_not_fit(one.urn, "its state has `refreshBeforeUpdate`: remove that from the state")


def _ending(urn: str, words: Sequence[str], olds: Olds, *, imports: bool) -> Iterator[Stored]:
    """Return the objects that the steps of a resource delete, each once; it may import one over its current one."""
    current = olds.current
    ends = current is not None and not (current.pending_replacement or _STAYS.intersection(words))
    ending = [one for one in olds if ends or one is not current]
    number = sum(word in _DELETES for word in words)
    if current is not None and current.external and number == len(olds.left_over):
        return iter(olds.left_over)
    if number == 0 and not REPLACES.intersection(words):
        # Outside of the plan's targets a leftover stays.
        return iter(())
    if imports and number > len([*olds]):
        # A plan has no inputs of what was imported.
        raise does_not_fit(
            urn,
            "it is imported and replaced in one change: import it with the inputs that it has, and change it later",
        )
    if number != len(ending):
        raise does_not_fit(
            urn,
            f"the plan has {number} deletions of it, and the state {len(ending)} objects that they may be about",
        )
    return iter(ending)


def _after(urn: str, goal: Goal, words: Sequence[str], old: Stored | None) -> PlannedState:
    stays = old is not None and bool(_STAYS.intersection(words))
    return PlannedState(
        type=goal.type,
        urn=urn,
        id=identity(old) if stays and old is not None else goal.id,
        custom=goal.custom,
        external="read" in words,
        inputs=_inputs(goal, words, old),
    )


def _inputs(goal: Goal, words: Sequence[str], old: Stored | None) -> dict[str, Any]:
    difference = goal.input_diff
    base: Mapping[str, Any] = {}
    if old is not None and not (old.external or NEW.intersection(words) or _overlaps(difference, old)):
        base = old.inputs or {}
    return {
        name: value
        for name, value in {**base, **difference.updates, **difference.adds}.items()
        if name not in difference.deletes
    }


def _check_together(urn: str, words: Sequence[str]) -> None:
    """
    Refuse steps that exclude each other: only one of them would be judged.

    The engine takes them one after the other: of `update` and `same` it makes the update, and only then misses the
    other one.
    """
    if len((NEW | _STAYS).intersection(words)) + bool(REPLACES.intersection(words)) > 1:
        raise does_not_fit(urn, f"the plan has steps that exclude each other ({', '.join(words)})")


def _check_difference(urn: str, difference: InputDiff, words: Sequence[str], old: Stored | None) -> None:
    """
    Refuse a difference that the engine does not make.

    It would accept one that names an input twice, and follow the other value than is judged here.
    """
    names = [*difference.adds, *difference.updates, *difference.deletes]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise does_not_fit(urn, f"the plan has more than one change of {twice!r}")
    is_compared = old is not None and not old.external and not REPLACES.intersection(words)
    if is_compared and old is not None and _STAYS.intersection(words) and _overlaps(difference, old):
        raise does_not_fit(urn, "the plan adds inputs that it has already")


def _overlaps(difference: InputDiff, old: Stored) -> bool:
    """Whether inputs are added that the old object has: then the engine compared with nothing, and not with it."""
    return any((old.inputs or {}).get(name) is not None for name in difference.adds)


def shown(one: Stored) -> PlannedState:
    """Return a resource in the state as a preview shows it."""
    return PlannedState(
        type=one.type,
        urn=one.urn,
        id=identity(one),
        custom=one.custom,
        delete=one.delete,
        external=one.external,
        pending_replacement=one.pending_replacement,
        retain_on_delete=one.retain_on_delete,
        deleted_with=one.deleted_with,
        inputs=one.inputs,
        outputs=cast("Any", one.outputs),
    )


def identity(one: Stored) -> str:
    """Return what tells an object from others of its URN: its id, or the URN for a component, which has none."""
    return one.id or one.urn


def _alias_urns(urn: str, goal: Goal) -> Iterator[str]:
    """Return the URNs that a resource's own aliases name."""
    yield from goal.aliases
    stack, project = stack_and_project(urn)
    for alias in goal.structured_aliases:
        if alias.urn:
            yield alias.urn
            continue
        parent = "" if alias.no_parent else alias.parent or goal.parent
        above = parent.split("::")[2] if None not in stack_and_project(parent) else ""
        type_ = alias.type or goal.type
        whole = type_ if above in {"", STACK} else f"{above}${type_}"
        yield f"urn:pulumi:{alias.stack or stack}::{alias.project or project}::{whole}::{alias.name or goal.name}"
