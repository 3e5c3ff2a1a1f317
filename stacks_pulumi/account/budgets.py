"""
Which budgets for groups of stacks does a file set, and is the account within them, now and after a preview's change?

    covers: all
    budgets:
      - name: production
        owner: team web
        stacks: ["*/prod"]
        max_total: 50
      - projects: [shop]
        warn_total: 20
        max_increase: 10
      - tags: {team: web}
        max_total: 30

A budget without `stacks`, `projects` and `tags` applies to the entire account. Patterns are written as in a shell. With
`covers: all`, a stack that no budget covers counts as an exceeded limit. A budget covers a stack if it applies to that
stack and has a limit that can refuse even a new stack.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import msgspec

from stacks_pulumi._identifiers import account_of, compare_instants, name_of
from stacks_pulumi._pulumi_cli import InputError
from stacks_pulumi._settings_file import Scalars
from stacks_pulumi.account.backend import Managed, StackState
from stacks_pulumi.account.reconcile import ContainerRecord, Reconciliation
from stacks_pulumi.api.models import Container
from stacks_pulumi.cost.build import REPLACES, ObjectChange
from stacks_pulumi.cost.live import Snapshot, compare
from stacks_pulumi.cost.report import Line, higher, read_yaml
from stacks_pulumi.cost.result import LIMITS, CostLimit, LimitVerdict, judge, limits_of
from stacks_pulumi.pricing.money import count, number, some, total
from stacks_pulumi.pricing.recognition import Unknown, snake_case, text

_SHOWN: Final = 20
Tagged: TypeAlias = Callable[[str, str], frozenset[str]]
"""A function that returns the stacks with a tag of this name and value, and remembers its answers."""


@dataclass(frozen=True)
class Budget:
    """
    Limits on the total cost of some stacks.

    Attributes:
        name: Its name in messages.
        limits: The limits.
        stacks: Patterns of stack names.
        projects: Patterns of project names.
        tags: Stack tags with their values.
        owner: The person or team to contact; empty if the file does not set it.
    """

    name: str
    limits: tuple[CostLimit, ...]
    stacks: tuple[str, ...] = ()
    projects: tuple[str, ...] = ()
    tags: tuple[tuple[str, str], ...] = ()
    owner: str = ""

    @property
    def title(self) -> str:
        """Its name, with its owner if it has one."""
        return f"{self.name} (owner: {self.owner})" if self.owner else self.name

    @property
    def everything(self) -> bool:
        """Whether the budget applies to the entire account."""
        return not (self.stacks or self.projects or self.tags)

    @property
    def refuses(self) -> bool:
        """
        Whether a limit can refuse any stack, even a new one. A limit that only warns refuses nothing; a percentage
        cannot refuse a new stack.
        """
        return any(limit.block and limit.measure != "increase-pct" for limit in self.limits)

    def chooses(self, stack: StackState, tagged: Tagged) -> bool:
        """
        Return whether the budget applies to a stack: one pattern of `stacks`, one of `projects`, and all `tags` match.
        """
        if self.stacks and not _matches(stack.name, self.stacks):
            return False
        if self.projects and not _matches(stack.project, self.projects):
            return False
        return all(stack.ref in tagged(*tag) for tag in self.tags)


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


@dataclass(frozen=True)
class BudgetFile:
    """
    A file of budgets.

    Attributes:
        budgets: The budgets.
        covers_all: Whether a budget must cover every stack (`covers: all`).
    """

    budgets: tuple[Budget, ...] = ()
    covers_all: bool = False


class _Dollars(Decimal):
    """A limit in US dollars."""


class _Percent(Decimal):
    """A limit in percent."""


_SCALARS: Final[Scalars] = {
    _Dollars: (number, "a number of US dollars from 0"),
    _Percent: (partial(number, is_share=True), "a percentage from 0"),
}
_Entry: Final[Any] = msgspec.defstruct(
    "_Entry",
    [
        *((name, str | None, None) for name in ("name", "owner")),
        *((name, list[str] | str | None, None) for name in ("stacks", "projects")),
        ("tags", dict[str, str] | None, None),
        *(
            (name, (_Percent if of == "increase-pct" else _Dollars) | None, None)
            for name, (of, _) in LIMITS.items()
        ),
    ],
)
"""An entry of a file of budgets."""
_FILE: Final[Any] = msgspec.defstruct(
    "_FILE", [("budgets", list[_Entry]), ("covers", Literal["all"] | None, None)]
)


def read_budgets(path: Path) -> BudgetFile:
    """
    Read a file of budgets in YAML or JSON.

    Raises:
        StacksError: The file cannot be read, or is not a file of budgets. The message contains the line number.
    """
    document, reader = read_yaml(path, "budget file", _SCALARS)
    file = reader.read(document, _FILE, "")
    budgets = []
    for index, entry in enumerate(file.budgets):
        limits = limits_of({name: getattr(entry, name) for name in LIMITS})
        if not limits:
            raise reader.error(f".budgets[{index}]", f"it sets no limit: add one of {', '.join(LIMITS)}")
        stacks, projects = (_texts(given) for given in (entry.stacks, entry.projects))
        pairs = tuple((entry.tags or {}).items())
        words = [*stacks, *projects, *(f"{name}={value}" for name, value in pairs)]
        name = entry.name or ", ".join(words) or "the account"
        budgets.append(Budget(name, limits, stacks, projects, pairs, entry.owner or ""))
    return BudgetFile(tuple(budgets), file.covers is not None)


def _texts(given: list[str] | str | None) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given or ())


def judged(
    account: Reconciliation,
    budgets: Sequence[Budget],
    before: Snapshot | None,
    tagged: Tagged,
) -> tuple[tuple[Budget, LimitVerdict], ...]:
    """
    Return the verdict of each limit of each budget.

    Raises:
        InputError: A budget cannot be judged, for instance because it matches no stack, or because no snapshot was
            given.
    """
    for budget in budgets:
        _check_patterns(budget, account)
    now = account.snapshot
    verdicts: list[tuple[Budget, LimitVerdict]] = []
    for budget in budgets:
        stacks = {stack.name for stack in account.stacks if budget.chooses(stack, tagged)}
        if not budget.everything and not stacks:
            # With a misspelt pattern the total would be zero, which is within every limit.
            raise InputError(
                f"the budget {budget.name!r} matches no stack: correct its stacks, projects or tags"
            )
        is_total = all(limit.measure == "total" for limit in budget.limits)
        if before is None and not is_total:
            raise InputError(f"the budget {budget.name!r} limits an increase: add --compare-to FILE")
        if (
            before is not None
            and not is_total
            and not budget.everything
            and any(one.stacks is None for one in before.containers)
        ):
            raise InputError(
                f"the snapshot does not show the owners of the containers, so the increase of {budget.name!r} is not "
                "known: use a snapshot from `stacks-pulumi account --save`"
            )
        left_out = [] if budget.everything else sorted(stacks & account.elsewhere.keys())
        gap = now.gap
        if left_out:
            # Without these resources, the total would be too low, and within every limit.
            gap = f"resources of {', '.join(left_out)} are in a different account, and were not counted"
        # A container may also belong to a stack with an interrupted create, or with the same id at a different creation
        # time.
        possible = {
            one.container.id
            for one in account.containers
            if any(it.stack in stacks for it in one.creating)
            or any(it.stack in stacks for it in one.recreated)
        }
        part = _part(now, budget, stacks, possible)
        earlier = now if before is None or is_total else before
        then = _part(earlier, budget, stacks, possible | _taken_over(earlier, part))
        report = compare(then, replace(part, gap=gap))
        for verdict in judge(report, budget.limits):
            why = "" if verdict.passed or not left_out else f" ({gap})"
            verdicts.append((budget, replace(verdict, text=f"{verdict.text}{why}")))
    return tuple(verdicts)


def uncovered(account: Reconciliation, budgets: Sequence[Budget], tagged: Tagged) -> tuple[str, ...]:
    """
    Return the stacks that no budget covers, each with its price, and the number of uncovered containers without a
    stack.

    A budget that only warns covers nothing. A budget for the entire account covers no stack, so that a renamed stack
    cannot silently lose its own limit.
    """
    refusing = [budget for budget in budgets if budget.refuses]
    choosing = [budget for budget in refusing if not budget.everything]
    found = [
        f"{stack.name} ({account.price_of(account.by_stack[stack.name])})"
        for stack in account.stacks
        if (account.by_stack[stack.name] or stack.name in account.unplaced)
        and not any(budget.chooses(stack, tagged) for budget in choosing)
    ]
    none = account.without_stack
    if none and len(choosing) == len(refusing):
        found.append(
            f"{count(len(none), 'container')} without a stack ({total(one.item.price for one in none)})"
        )
    return tuple(found)


def _check_patterns(budget: Budget, account: Reconciliation) -> None:
    """
    Check that each pattern of a budget matches a stack. With a misspelt pattern, the stack that it should match would
    have no limit.

    Raises:
        InputError: A pattern matches no stack.
    """
    names = sorted(stack.name for stack in account.stacks)
    projects = sorted({stack.project for stack in account.stacks})
    for patterns, known in ((budget.stacks, names), (budget.projects, projects)):
        wrong = next((one for one in patterns if not any(fnmatchcase(name, one) for name in known)), None)
        if wrong is not None:
            shown = some(known, _SHOWN) or "no stacks"
            raise InputError(f"the budget {budget.name!r}: {wrong!r} matches none of {shown}")


def _taken_over(before: Snapshot, part: Snapshot) -> set[str]:
    """
    Return the containers of `part` that no stack owned in `before`. They were billed even before a stack adopted them.
    """
    now = {entry.id: entry.created_at for entry in part.containers}
    return {
        entry.id
        for entry in before.containers
        if entry.stacks == () and compare_instants(now.get(entry.id), entry.created_at)
    }


def _part(snapshot: Snapshot, budget: Budget, stacks: set[str], possible: Collection[str]) -> Snapshot:
    if budget.everything:
        return snapshot
    part = (
        entry
        for entry in snapshot.containers
        if entry.id in possible or stacks.intersection(entry.stacks or ())
    )
    return replace(snapshot, containers=tuple(part))


def after(account: Reconciliation, changes: Iterable[tuple[ObjectChange, Line]]) -> Reconciliation:
    """
    Return the account that is expected after a preview's change.

    A container leaves the account only if the preview deletes it and the account shows that it belongs to the preview's
    stack. If the account already contains a container with the name of a new container, the two are treated as the
    same, because names are unique.

    Raises:
        InputError: It is unknown which of the account's stacks the preview belongs to.
    """
    changes = list(changes)
    if not changes:
        return account
    parts = changes[0][0].urn.split("::")
    if len(parts) < 4:
        raise InputError(f"the preview has a resource without a stack in its URN ({changes[0][0].urn!r})")
    known, account = _stack_of(account, parts[0].removeprefix("urn:pulumi:"), parts[1])
    records = {one.container.id: one for one in account.containers}
    accounts = {account_of(id_) for id_ in records}
    foreign = {
        change.before.id
        for change, _ in changes
        if change.before and accounts and account_of(change.before.id) not in accounts
    }
    if foreign:
        reason = f"their ids begin with {account_of(min(foreign))}-"
        account = replace(account, elsewhere={**account.elsewhere, known.name: reason})
    notes = []
    for change, line in changes:
        gone = change.before if line.after is None or line.action == "replace" else None
        record = None if gone is None else records.get(gone.id)
        if record is None:
            continue
        if record.ownership == "owned" and [one.urn for one in record.owners] == [change.urn]:
            del records[record.container.id]
        else:
            notes.append(
                f"the price after the change still includes {record.name}, which the preview removes: another stack "
                "may own it too"
            )
    for change, line in changes:
        if line.after is not None and (change.before is None or change.before.id not in foreign):
            mine = Managed(known.name, change.urn, "Container", change.urn)
            one = _existing(records.values(), change) or ContainerRecord(
                Container(id=change.urn, name=name_of(change.urn)), line.after
            )
            for id_, other in records.items():
                if id_ != one.container.id and _may_be(other, change):
                    records[id_] = replace(other, owners=(*other.owners, mine))
            owners = one.owners if change.urn in {it.urn for it in one.owners} else (*one.owners, mine)
            records[one.container.id] = replace(one, item=higher(one.item, line.after), owners=owners)
    return replace(account, containers=tuple(records.values()), notes=(*account.notes, *notes))


def _stack_of(account: Reconciliation, name: str, project: str) -> tuple[StackState, Reconciliation]:
    """Return the stack with this name and project, and the account; a new stack is added to the account."""
    found = [one for one in account.stacks if one.project == project and one.ref.rpartition("/")[2] == name]
    if len(found) > 1:
        names = ", ".join(one.name for one in found)
        raise InputError(
            f"the preview belongs to the stack {project}/{name}, but several of the given stacks match: {names}. Leave "
            "out all but one of them"
        )
    if found:
        return found[0], account
    new = StackState(f"{project}/{name}", project, name)
    return new, replace(account, stacks=(*account.stacks, new))


def _existing(records: Collection[ContainerRecord], change: ObjectChange) -> ContainerRecord | None:
    """
    Return the container that a change affects: the one with the change's id, or else an unowned one with its name.

    An owned container with that name is a different container: the new container may be in another account, or the
    platform may distinguish names that differ only in case.
    """
    states = [state for state in (change.before, change.after) if state is not None and state.id]
    ids = {change.urn, *(state.id for state in states if change.op not in REPLACES)}
    by_id = next((one for one in records if one.container.id in ids), None)
    return by_id or next((one for one in records if one.name == _wanted(change) and not one.owners), None)


def _wanted(change: ObjectChange) -> str | Unknown | None:
    return text(snake_case((change.after.inputs if change.after else None) or {}), "name")


def _may_be(one: ContainerRecord, change: ObjectChange) -> bool:
    """
    Return whether an existing container may be the new one of the change, because the platform may treat their names as
    equal.
    """
    wanted = _wanted(change)
    is_new = (change.before is None or change.op in REPLACES) and not one.container.id.startswith("urn:")
    return is_new and isinstance(wanted, str) and one.name.casefold() == wanted.casefold()
