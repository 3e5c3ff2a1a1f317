"""
Which budgets does a file set over several stacks, and is the account within them?

    budgets:
      - name: production
        stacks: ["*/prod"]
        max_total: 50
      - projects: [shop]
        warn_total: 20
        max_increase: 10
      - tags: {team: web}
        max_total: 30

A budget without `stacks`, `projects` and `tags` covers the whole account. Patterns are those of a shell.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

from stacks_pulumi._pulumi_cli import InputError, read_file, utf8
from stacks_pulumi.account.reconcile import Reconciliation, StackTotal
from stacks_pulumi.cost.live import Snapshot, compare
from stacks_pulumi.cost.report import LIMITS, CostLimit, LimitVerdict, judge, limits_of, number

_CHOICES: Final = ("name", "stacks", "projects", "tags")
_SHOWN: Final = 20
_WHERE: Final = "the budget file {path}, entry {number}: "


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
    """

    name: str
    limits: tuple[CostLimit, ...]
    stacks: tuple[str, ...] = ()
    projects: tuple[str, ...] = ()
    tags: tuple[tuple[str, str], ...] = ()

    @property
    def everything(self) -> bool:
        """Whether the budget covers the whole account."""
        return not (self.stacks or self.projects or self.tags)

    def covers(self, stack: StackTotal, tagged: Mapping[tuple[str, str], frozenset[str]]) -> bool:
        """
        Return whether the budget covers a stack: any of its name patterns matches, and all of its tags.

        Args:
            stack: The stack.
            tagged: Tag and value -> the names for `pulumi --stack` of the stacks that have it.
        """
        if self.stacks and not _matches(stack.name, self.stacks):
            return False
        if self.projects and not _matches(stack.project, self.projects):
            return False
        return all(stack.ref in tagged[tag] for tag in self.tags)


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


_NUMBERS: Final = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")


def read_budgets(path: Path) -> tuple[Budget, ...]:
    """
    Read a file of budgets, YAML or JSON.

    Raises:
        InputError: The file cannot be read, or is not a file of budgets.
    """
    import yaml  # noqa: PLC0415  (only a budget file needs it)

    class Loader(yaml.SafeLoader):
        """YAML takes the last of two equal keys, and a limit would be replaced without a word."""

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            keys = [self.construct_object(key, deep=True) for key, _ in node.value]
            twice = next((key for position, key in enumerate(keys) if key in keys[:position]), None)
            if twice is not None:
                raise InputError(f"the budget file {path} has the key {twice!r} twice in one mapping")
            return super().construct_mapping(node, deep)

    # YAML 1.1 reads 1:30 as 90 and 010 as 8. Without a type, a number is read as it is written.
    Loader.yaml_implicit_resolvers = {
        first: [(kind, pattern) for kind, pattern in kinds if kind not in _NUMBERS]
        for first, kinds in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    try:
        document = yaml.load(utf8(read_file(path)), Loader)  # noqa: S506  (a kind of SafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        # A date or a number that cannot exist, or bytes that are not UTF-8, are a `ValueError`.
        reason = (
            "it is nested too deeply" if isinstance(error, RecursionError) else str(error).splitlines()[0]
        )
        raise InputError(f"the budget file {path} is not YAML: {reason}") from None
    entries = document.get("budgets") if isinstance(document, dict) else None
    if not isinstance(entries, list) or not entries:
        raise InputError(f"the budget file {path} needs a list `budgets` with at least one entry")
    return tuple(
        _budget(entry, _WHERE.format(path=path, number=position))
        for position, entry in enumerate(entries, start=1)
    )


def _budget(entry: Any, where: str) -> Budget:
    if not isinstance(entry, dict):
        raise InputError(f"{where}it is not a mapping")
    unknown = [str(key) for key in entry if key not in (*_CHOICES, *LIMITS)]
    if unknown:
        raise InputError(f"{where}unknown key {unknown[0]!r}; known are {', '.join((*_CHOICES, *LIMITS))}")
    limits = limits_of({name: _dollars(entry[name], name, where) for name in LIMITS if name in entry})
    if not limits:
        raise InputError(f"{where}it sets no limit: give one of {', '.join(LIMITS)}")
    stacks, projects = (_texts(entry, key, where) for key in ("stacks", "projects"))
    tags = entry.get("tags", {})
    if not isinstance(tags, dict) or ("tags" in entry and not tags):
        raise InputError(f"{where}`tags` is not a mapping of names to values")
    wrong = [
        str(name) for name, value in tags.items() if isinstance(value, (bool, dict, list)) or value is None
    ]
    if wrong:
        # YAML reads yes, no, on and off as booleans.
        raise InputError(f"{where}the value of the tag {wrong[0]!r} is not text: write it in quotes")
    pairs = tuple((str(name), str(value)) for name, value in tags.items())
    words = [*stacks, *projects, *(f"{name}={value}" for name, value in pairs)]
    name = entry.get("name", ", ".join(words) or "the account")
    if not isinstance(name, str):
        raise InputError(f"{where}`name` is not text")
    return Budget(name, limits, stacks, projects, pairs)


def _dollars(value: Any, name: str, where: str) -> Any:
    try:
        return number(str(value)) if not isinstance(value, bool) else number("true")
    except ValueError as error:
        raise InputError(f"{where}{name}: {error}") from None


def _texts(entry: Mapping[str, Any], key: str, where: str) -> tuple[str, ...]:
    values = entry.get(key, [])
    values = [values] if isinstance(values, str) else values
    # With an empty list the budget would cover the whole account.
    if (
        not isinstance(values, list)
        or not all(isinstance(one, str) for one in values)
        or (key in entry and not values)
    ):
        raise InputError(f"{where}`{key}` is not a list of names or patterns")
    return tuple(values)


def judged(
    account: Reconciliation,
    budgets: Sequence[Budget],
    before: Snapshot | None,
    tagged: Callable[[str, str], frozenset[str]],
) -> tuple[tuple[Budget, LimitVerdict], ...]:
    """
    Return the verdict of each limit of each budget.

    Args:
        account: The account.
        budgets: The budgets.
        before: The snapshot from which an increase is measured.
        tagged: Returns the names for `pulumi --stack` of the stacks with a tag.

    Raises:
        InputError: A budget cannot be judged: nothing to compare with, no such stack, or the backend has no tags.
    """
    for budget in budgets:
        _check_patterns(budget, account)
    now = account.snapshot
    by_tag = {tag: tagged(*tag) for tag in dict.fromkeys(tag for budget in budgets for tag in budget.tags)}
    verdicts: list[tuple[Budget, LimitVerdict]] = []
    for budget in budgets:
        stacks = {stack.name for stack in account.stacks if budget.covers(stack, by_tag)}
        if not budget.everything and not stacks:
            # With a misspelt pattern the total would be zero, which is within every limit.
            raise InputError(
                f"the budget {budget.name!r} is over no stack: correct its stacks, projects or tags"
            )
        if before is None and any(limit.measure != "total" for limit in budget.limits):
            raise InputError(
                f"the budget {budget.name!r} limits an increase: say since when with --compare-to FILE"
            )
        if (
            before is not None
            and not budget.everything
            and any(one.stacks is None for one in before.containers)
        ):
            raise InputError(
                f"the snapshot does not say which stack owns what, so the increase of {budget.name!r} is not "
                "known: compare with one that `stacks-pulumi account --save` wrote"
            )
        report = compare(_part(now if before is None else before, budget, stacks), _part(now, budget, stacks))
        verdicts += [(budget, verdict) for verdict in judge(report, budget.limits)]
    return tuple(verdicts)


def _check_patterns(budget: Budget, account: Reconciliation) -> None:
    """
    Check that each pattern of a budget matches a stack. Otherwise a stack that it should cover would have no limit.

    Raises:
        InputError: A pattern matches no stack.
    """
    names = sorted(stack.name for stack in account.stacks)
    projects = sorted({stack.project for stack in account.stacks})
    for patterns, known in ((budget.stacks, names), (budget.projects, projects)):
        wrong = next((one for one in patterns if not any(fnmatchcase(name, one) for name in known)), None)
        if wrong is not None:
            shown = ", ".join(known[:_SHOWN]) + (" ..." if len(known) > _SHOWN else "")
            raise InputError(f"the budget {budget.name!r}: {wrong!r} matches none of {shown or 'no stacks'}")


def _part(snapshot: Snapshot, budget: Budget, stacks: set[str]) -> Snapshot:
    if budget.everything:
        return snapshot
    part = (entry for entry in snapshot.containers if stacks.intersection(entry.stacks or ()))
    return Snapshot(snapshot.taken_at, snapshot.base_url, tuple(part))
