"""
May a change be applied, does it need an approval, or is it refused?

`refused`: a mandatory policy, a limit, a budget or a rule forbids it, or something that decides cannot be read.
`needs_approval`: a person has to see and sign it. `free`: the gate's `free` covers it. `nothing`: it has no step.
An unknown value is treated as the worst case. A total holds at every moment of an update: it can be killed at any.
"""

from __future__ import annotations

import datetime
import functools
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from stacks_pulumi._identifiers import stack_and_project
from stacks_pulumi._pulumi_cli import InputError
from stacks_pulumi.account import backend, budgets
from stacks_pulumi.account.reconcile import Reconciliation, StackTotal
from stacks_pulumi.cost.build import ObjectChange
from stacks_pulumi.cost.live import compare
from stacks_pulumi.cost.report import Line, Report, higher
from stacks_pulumi.errors import StacksError
from stacks_pulumi.gate import rules
from stacks_pulumi.gate.change import Change, Finding
from stacks_pulumi.gate.plan_file import PROVIDERS
from stacks_pulumi.gate.settings import BUILT_IN
from stacks_pulumi.pricing.money import FREE, Price, usd
from stacks_pulumi.pricing.money import Change as Difference
from stacks_pulumi.pricing.recognition import UNRECOGNISED, boolean, snake_case, text, unfinished
from stacks_pulumi.reports import PolicyViolation

if TYPE_CHECKING:
    from stacks_pulumi.gate.settings import Gate

Result: TypeAlias = Literal["nothing", "free", "needs_approval", "refused"]
Tagged: TypeAlias = Callable[[str, str], frozenset[str]]


_ANY: Final = Decimal("Infinity")
_LAST: Final = "before the last deletion"
"""When a stack may cost more than before and after a change."""
_FIRST: Final = ": delete first, in a separate change"
_RAISE: Final = ": make a smaller change, or raise it in gate.yaml, where the gate is read from"

FREE_RULE: Final = "free"
"""The rule of a reason that only says why the gate's `free` does not cover something."""


@dataclass(frozen=True)
class Reason:
    """
    Why a change needs an approval, or is refused.

    Attributes:
        result: What it asks for.
        rule: The rule, limit, budget or policy; `free` if the gate's `free` does not cover something.
        urn: The resource that it is about; empty for the whole change.
        text: The reason, as a sentence.
        names_others: Whether it may name other stacks.
    """

    result: Literal["needs_approval", "refused"]
    rule: str
    urn: str
    text: str
    names_others: bool = False

    def __str__(self) -> str:
        return f"{self.rule}: {self.text}"


@dataclass(frozen=True)
class JudgedLimit:
    """
    A limit or a budget, and whether the change is within it.

    Attributes:
        name: The limit, or the budget's name.
        passed: Whether the change is within it.
        text: The limit and the result as a sentence.
        names_others: Whether name or text may name other stacks.
    """

    name: str
    passed: bool
    text: str
    names_others: bool = False


@dataclass(frozen=True)
class Verdict:
    """
    How a gate judges a change.

    Attributes:
        result: Whether it may be applied.
        reasons: Why not, or why it needs an approval; refusals first.
        price_before: What the stack costs a month now.
        price_after: What it costs a month after the change.
        price_during: The most that it costs while the change is made: what is deleted may be deleted last.
        increase: The most that it adds to the monthly price; `None` without a known upper bound, negative if it falls.
        increase_during: The most that it adds at any moment, also if it is killed before it deletes something.
        rules: The names of the rules, and of what else asks for an approval.
        unknown: The values that the plan does not have, and what else is not known, as sentences.
        needs_destroy: Whether it destroys or overwrites data, also where a backup makes the rule pass.
        approvals_needed: How many people have to approve it.
        limits: The verdicts of the limits and budgets.
        violations: The policy violations of the preview.
    """

    result: Result
    reasons: tuple[Reason, ...] = ()
    price_before: Price = FREE
    price_after: Price = FREE
    price_during: Price = FREE
    increase: Decimal | None = Decimal(0)
    increase_during: Decimal | None = Decimal(0)
    rules: frozenset[str] = frozenset()
    unknown: tuple[str, ...] = ()
    needs_destroy: bool = False
    approvals_needed: int = 0
    limits: tuple[JudgedLimit, ...] = ()
    violations: tuple[PolicyViolation, ...] = ()

    @property
    def difference(self) -> Difference:
        """The difference of the monthly price, as far as it is known."""
        return Difference(
            Difference.between(self.price_before, self.price_after).low,
            self.increase,
        )


@dataclass
class _Found:
    """
    The findings while a change is judged.

    Attributes:
        gate: The gate.
        changes: What happens to each resource.
        before: The price of the stack now.
        after: Its price after the change.
        during: The most that it costs while the change is made.
        increase: The most that the change adds; `None` without a known upper bound.
        increase_during: The most that it adds at any moment.
        reasons: The reasons.
        unknown: What is not known.
        limits: The verdicts of limits and budgets.
        unfinished: The names of the containers that an update without an end may have made.
    """

    gate: Gate
    changes: Sequence[Change]
    before: Price
    after: Price
    during: Price
    increase: Decimal | None
    increase_during: Decimal | None
    reasons: list[Reason] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    limits: list[JudgedLimit] = field(default_factory=list)
    unfinished: tuple[str, ...] = ()

    @property
    def acting(self) -> list[Change]:
        """What changes."""
        return [change for change in self.changes if change.acts]

    def refuse(self, rule: str, why: str, urn: str = "") -> None:
        """Add a reason to refuse the change."""
        self.reasons.append(Reason("refused", rule, urn, why))

    def refuse_with_others(self, rule: str, why: str) -> None:
        """Add a reason to refuse the change that may name other stacks."""
        self.reasons.append(Reason("refused", rule, "", why, names_others=True))

    def ask(self, rule: str, why: str, urn: str = "") -> None:
        """Add a reason for an approval."""
        self.reasons.append(Reason("needs_approval", rule, urn, why))

    def verdict(self, violations: tuple[PolicyViolation, ...]) -> Verdict:
        """Return what all of this together means."""
        acting = self.acting
        reasons = tuple(sorted(dict.fromkeys(self.reasons), key=_weight))
        asked = {one.rule for one in reasons if one.result == "needs_approval" and one.rule != FREE_RULE}
        result: Result = "free"
        if any(one.result == "refused" for one in reasons):
            result = "refused"
        elif not acting:
            result = "nothing"
        elif reasons:
            result = "needs_approval"
        needed = 2 if asked & self.gate.two_approvals else 1
        return Verdict(
            result,
            reasons,
            self.before,
            self.after,
            self.during,
            self.increase,
            self.increase_during,
            frozenset(asked),
            tuple(self.unknown),
            any(rules.touches_data(change, self.gate.file.harmless) for change in acting),
            0 if result in {"nothing", "free"} else needed,
            tuple(self.limits),
            violations,
        )


def judge(
    gate: Gate,
    changes: Sequence[Change],
    account: Reconciliation | None = None,
    spent: Decimal | None = None,
    violations: Sequence[PolicyViolation] = (),
    *,
    now: datetime.datetime | None = None,
    tagged: Tagged = backend.tagged,
    without_account: bool = False,
    code: str = "",
    may_exist: Mapping[str, Decimal] = MappingProxyType({}),
) -> Verdict:
    """
    Judge a change.

    Args:
        gate: The gate.
        changes: What happens to each resource of the stack.
        account: The account with all stacks, as it is now; `None` if it was not read.
        spent: What changes of the last 24 hours added to the monthly price; `None` if that is not known.
        violations: The policy violations of the preview.
        now: The time, with a time zone; by default that of this machine.
        tagged: Returns the names for `pulumi --stack` of the stacks with a tag.
        without_account: Whether the reader has no key: what needs the account is then not known, and is judged when
            the change is applied.
        code: Why the program may run its own code; empty if it cannot.
        may_exist: The containers that updates without an end may have made, by their names, with their prices.
    """
    report, during = _report(changes), _report(_at_once(changes))
    found = _Found(
        gate,
        changes,
        report.past,
        report.planned,
        during.planned,
        report.difference.high,
        during.difference.high,
    )
    found.reasons += _forbidden(violations)
    for change in changes:
        if change.operation == "unclear":
            found.refuse(
                "plan",
                f"the state has {change.name!r}, and the plan does not say what becomes of it: if the program only "
                "looks it up, first remove it from the state (`pulumi state delete`)",
                change.urn,
            )
    if account is not None:
        _with_account(found, account)
    _with_unfinished(found, may_exist)
    _limits(found)
    _budgets(found, account, tagged, without_account=without_account)
    ruled = rules.findings(gate, changes, now or datetime.datetime.now(datetime.timezone.utc))
    found.reasons += map(_reason, ruled)
    found.unknown += [
        f"{change.name!r} ({change.type}): {', '.join(change.unknown)}"
        for change in changes
        if change.unknown
    ]
    if found.acting:
        if gate.free is not None and code and not gate.free.code:
            found.ask(FREE_RULE, f"the program may run its own code with the key: {code}")
        found.reasons += _not_free(found, spent, ruled)
    return found.verdict(tuple(violations))


def without_plan(violations: Sequence[PolicyViolation]) -> Verdict:
    """Return that policies refuse a change before it has a plan: no price of it is known, and no limit was judged."""
    unknown = Price(Decimal(0), None)
    reasons = tuple(dict.fromkeys(_forbidden(violations)))
    return Verdict("refused", reasons, unknown, unknown, unknown, None, None, violations=tuple(violations))


def _forbidden(violations: Iterable[PolicyViolation]) -> list[Reason]:
    return [
        Reason("refused", one.policy, "", f"{one.resource}: {one.message}")
        for one in violations
        if one.level == "mandatory"
    ]


def _weight(reason: Reason) -> tuple[bool, int]:
    """Return what sorts reasons: the worst first, and last what only says why `free` does not cover something."""
    ranks = {rule: number for number, rule in enumerate(BUILT_IN)}
    last = len(ranks) + (reason.rule == FREE_RULE)
    return reason.result != "refused", ranks.get(reason.rule, last)


def _reason(finding: Finding) -> Reason:
    result: Literal["needs_approval", "refused"] = (
        "refused" if finding.action == "refuse" else "needs_approval"
    )
    return Reason(result, finding.rule, finding.urn, finding.text)


def _pairs(changes: Sequence[Change]) -> list[tuple[ObjectChange, Line]]:
    """Return what happens to each object that may be in the account: other providers have other accounts."""
    return [
        (one.object, one.line)
        for one in changes
        if one.kind is not None and one.object is not None and one.line is not None
    ]


def _report(changes: Iterable[Change]) -> Report:
    return Report("preview", tuple(change.line for change in changes if change.line is not None))


def _at_once(changes: Sequence[Change]) -> list[Change]:
    """
    Return the changes as they are when all is made and nothing is deleted yet: an update may be killed then.

    Changes that make nothing more expensive stay as they are, so that a stack over its limit can become cheaper.
    """
    if not any(_grows(change) for change in changes):
        return list(changes)
    return [one for change in changes for one in _side_by_side(change)]


def _grows(change: Change) -> bool:
    if change.line is None or not change.acts:
        return False
    more = change.line.difference.high
    return more is None or more > 0 or _is_made_first(change)


def _is_made_first(change: Change) -> bool:
    return change.operation == "replace" and not change.deleted_first


def _side_by_side(change: Change) -> Iterator[Change]:
    """Yield an object and the one that takes its place, if both exist for a time; otherwise the more expensive one."""
    object_, line = change.object, change.line
    if object_ is None or line is None or line.before is None:
        yield change
        return
    stays = line.after is None or _is_made_first(change)
    if stays:
        same = replace(line, action="same", after=line.before)
        yield replace(change, object=replace(object_, op="same", after=object_.before), line=same)
    if line.after is not None and stays:
        new = replace(line, action="create", before=None)
        yield replace(change, object=replace(object_, op="create", before=None), line=new)
    elif line.after is not None:
        yield replace(change, line=replace(line, after=higher(line.before, line.after)))


def _with_account(found: _Found, account: Reconciliation) -> None:
    """Raise the prices of the stack, and the increases, where the account shows higher ones."""
    try:
        planned, during = _accounts(found, account)
    except InputError as error:
        found.refuse_with_others("account", error.message)
        return
    for one in _this_stack(planned, found.changes):
        found.after = found.after.or_higher(one.price)
    for one in _this_stack(during, found.changes):
        found.during = found.during.or_higher(one.price)
    found.increase = _more(found.increase, account, planned)
    found.increase_during = _more(found.increase_during, account, during)


def _with_unfinished(found: _Found, may_exist: Mapping[str, Decimal]) -> None:
    """
    Add the containers that an update without an end may have made, and that the stack does not have at that price.

    A container of the same name in the program may be a smaller one, and the larger one is there in its place.
    """
    counted: dict[str, Decimal] = defaultdict(Decimal)
    for one in found.changes:
        high = None if one.operation == "delete" else one.price_after.high
        # One that may exist has no price here if another change is of its container.
        counted[one.container_name] = max(counted[one.container_name], _ANY if high is None else high)
    prices = {name: price - counted[name] for name, price in may_exist.items() if price > counted[name]}
    more = Price(FREE.low, sum(prices.values(), Decimal(0)))
    found.unfinished = tuple(sorted(prices))
    found.before, found.after, found.during = (
        price + more for price in (found.before, found.after, found.during)
    )


def _accounts(found: _Found, account: Reconciliation) -> tuple[Reconciliation, Reconciliation]:
    """Return the account after the change, and when it costs the most."""
    planned, during = (
        budgets.after(account, _pairs(one)) for one in (found.changes, _at_once(found.changes))
    )
    return planned, during


def _more(increase: Decimal | None, account: Reconciliation, planned: Reconciliation) -> Decimal | None:
    added = compare(account.snapshot, planned.snapshot).difference.high
    return None if increase is None or added is None else max(increase, added)


def _this_stack(account: Reconciliation, changes: Sequence[Change]) -> list[StackTotal]:
    name, project = stack_and_project(changes[0].urn) if changes else ("", "")
    return [one for one in account.stacks if one.project == project and one.ref.rpartition("/")[2] == name]


def _limits(found: _Found) -> None:
    limits = found.gate.limits
    for name, most, worst, what in (
        ("max_total", limits.max_total, *_total(found)),
        ("max_increase", limits.max_increase, found.increase, "the increase a month"),
    ):
        if most is None:
            continue
        is_ = "has no known upper bound" if worst is None else f"is {usd(worst)} at most"
        passed = worst is not None and worst <= most
        advice = "" if passed else _FIRST if what.endswith(_LAST) else _RAISE
        limit = JudgedLimit(name, passed, f"{what} {is_}; the limit is {usd(most)}{advice}")
        found.limits.append(limit)
        if not limit.passed:
            found.refuse(name, limit.text)


def _total(found: _Found) -> tuple[Decimal | None, str]:
    """Return the highest price of the stack, and which one that is."""
    after, during = found.after.high, found.during.high
    beside = f" (with {', '.join(found.unfinished)}, which an interrupted update may have made)"
    what = f"the stack's price a month{beside if found.unfinished else ''}"
    if after is None or (during is not None and during <= after):
        return after, f"{what} after the change"
    return during, f"{what} {_LAST}"


def _budgets(found: _Found, account: Reconciliation | None, tagged: Tagged, *, without_account: bool) -> None:
    file = found.gate.budgets
    if file is None:
        return
    if account is None:
        why = "they are over the whole account, which was not read"
        if without_account:
            # No value of the change is unknown by that: `apply` refuses it where a budget does.
            told = f"{why} here: `apply` reads and judges it"
            found.limits.append(JudgedLimit("budgets", passed=True, text=told))
        else:
            found.refuse_with_others("budgets", f"{why}: set STACKS_API_KEY to a key that can read it")
        return
    if not account.complete:
        gaps = [*(f"{one.stack} ({one.error})" for one in account.unread), *account.gaps]
        found.refuse_with_others("budgets", f"the account was not read completely: {'; '.join(gaps)}")
        return
    tagged = functools.cache(tagged)
    try:
        planned, during = _accounts(found, account)
        judged = budgets.judged(planned, file.budgets, account.snapshot, tagged)
        at_once = budgets.judged(during, file.budgets, account.snapshot, tagged)
        uncovered = budgets.uncovered(planned, file.budgets, tagged)
        by_tag = {tag: tagged(*tag) for budget in file.budgets for tag in budget.tags}
    except StacksError as error:
        found.refuse_with_others("budgets", error.message)
        return
    for (budget, end), (_, worst) in zip(judged, at_once, strict=True):
        is_over = end.passed and not worst.passed and end.limit.measure == "total"
        verdict = worst if is_over else end
        told = f"{_LAST}, {verdict.text}{_FIRST}" if is_over else verdict.text
        limit = JudgedLimit(f"budget {budget.title}", verdict.passed, told, names_others=True)
        found.limits.append(limit)
        if verdict.blocks:
            found.refuse_with_others(limit.name, limit.text)
    if uncovered and file.covers_all:
        found.refuse_with_others("budgets", f"no budget covers {', '.join(uncovered)}")
    for one in _this_stack(planned, found.changes):
        if not any(
            budget.refuses and (budget.everything or budget.chooses(one, by_tag)) for budget in file.budgets
        ):
            # An approver has no key, and does not see it. So it only keeps the change from being free.
            found.ask(FREE_RULE, f"no budget that can refuse covers the stack {one.name}")


def _not_free(found: _Found, spent: Decimal | None, ruled: Sequence[Finding]) -> Iterator[Reason]:
    """Return what the gate's `free` does not cover."""
    adopting = [one for one in found.changes if one.type.startswith(PROVIDERS) and _adopts_by_default(one)]
    if adopting and any(one.operation == "create" and one.kind for one in found.acting):
        yield _ask(f"the provider {adopting[0].name!r} may adopt what exists already", adopting[0].urn)
    free = found.gate.free
    if free is None:
        yield _ask("the gate has no `free`, so every change needs an approval")
        return
    told = {finding.urn for finding in ruled if finding.urn}
    for change in found.acting:
        why = _why_not_free(change, found.gate.file.harmless)
        if change.kind == "PinnedBackup" and rules.is_of_others(change, found.changes):
            why = why or "is of a container that is not known to be in this stack"
        if why and change.urn not in told:
            yield _ask(f"{change.name!r} {why}", change.urn)
    if found.unknown:
        yield _ask("the change has values that are not known")
    # Deletions may come last, or not at all: an update can fail, or be killed.
    most, increase = free.increase_per_day, found.increase_during
    if increase is None:
        yield _ask("the increase of the price has no known upper bound")
    elif spent is None:
        yield _ask("what was added in the last 24 hours is not known")
    elif spent + max(increase, Decimal(0)) > most:
        yield _ask(
            f"the increase of {usd(max(increase, Decimal(0)))} a month, after {usd(spent)} in the last 24 hours, "
            f"is over the {usd(most)} that are free in a day"
        )


def _ask(why: str, urn: str = "") -> Reason:
    return Reason("needs_approval", FREE_RULE, urn, why)


_NEVER_FREE: Final = {
    "delete": "is deleted",
    "replace": "is replaced",
    "import": "is imported",
    "keep": "leaves the stack and is not deleted",
    "read": "is only looked up from now on",
    "unclear": "has an outcome that the plan does not show",
}


def _why_not_free(change: Change, harmless: Sequence[str]) -> str:
    """Return why `free` does not cover a change; empty if it does, as far as this change alone shows."""
    if change.engines_own and change.operation in {"create", "delete"}:
        # Its settings are the stack's configuration.
        return ""
    if change.operation == "discard":
        # Nothing in the account changes.
        return ""
    if change.operation in _NEVER_FREE and not (change.operation == "read" and not change.id):
        return _NEVER_FREE[change.operation]
    if change.unprotected:
        return "is no longer protected from deletion"
    if change.provider_changes:
        return "is managed by another provider from now on"
    inputs = snake_case(change.after)
    if change.type.startswith(PROVIDERS):
        return "is a provider, whose settings decide which account is changed"
    if change.kind == UNRECOGNISED:
        return "is of a kind that is not known"
    if change.foreign and not rules.is_harmless(change, harmless):
        return f"is a {change.type}, which `harmless` in gate.yaml does not list"
    if change.kind == "BackupRestore":
        return "restores a backup"
    if change.operation == "create" and text(inputs, "adopt") not in {None, "never"}:
        return "may adopt one that exists already"
    return _why_update_not_free(change, inputs) if change.operation == "update" else ""


def _why_update_not_free(change: Change, inputs: Mapping[str, Any]) -> str:
    if more := unfinished(change.kind, change.outputs):
        return f"has an update that also {more}"
    is_update = change.kind == "Container"
    if is_update and text(inputs, "desired_status") not in {None, "running"}:
        # An update does it again if the state does not say so already.
        return "is stopped, also if it was started since"
    if is_update and _closes(change):
        return "is closed, and loses its address and its list of allowed addresses"
    return ""


def _adopts_by_default(provider: Change) -> bool:
    """Whether the settings of a provider are to adopt, in any of the spellings of the hosts."""
    inputs = provider.after or provider.before
    values = [text(inputs, name) for name in inputs if name.rpartition(":")[2].lower() == "adopt"]
    return any(value not in {None, "never"} for value in values)


def _closes(change: Change) -> bool:
    # guide, "Toggle External Access": what is switched on again has another address and an empty list.
    was_open = (
        boolean(snake_case(change.before), "external_access") is True
        or text(snake_case(change.outputs), "url") is not None
    )
    return was_open and boolean(snake_case(change.after), "external_access") is False
