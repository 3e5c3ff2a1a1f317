"""
Which rules judge the steps that send no request to STACKS, and how does a gate add its own rules?

The broker judges the requests. The planner reports the rest: resources of other providers, and resources that leave or
enter the stack without a request. A gate's folder can contain rules about all changes, in a Python file:

    def no_premium(changes):
        for change in changes:
            if change.kind == "Container" and change.after.get("plan") == "premium":
                yield change.refuse("premium is for production")

    RULES = [no_premium]

An unknown value is treated as the worst case. If a rule fails, or yields anything other than findings, the change is
refused.
"""

from __future__ import annotations

import contextlib
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec

from stacks_pulumi._pulumi_cli import InputError
from stacks_pulumi._structs import decode
from stacks_pulumi.broker.change import Reported
from stacks_pulumi.errors import ConfigError, clean
from stacks_pulumi.gate.change import Change
from stacks_pulumi.pricing.money import FREE, Price, count, total, usd
from stacks_pulumi.pricing.recognition import ADOPTS, snake_case, text

if TYPE_CHECKING:
    from stacks_pulumi.broker.settings import AtMost, GateFile, Limits

Rule: TypeAlias = Callable[[Sequence[Change]], Iterable[Any]]

NEVER_FREE: Final = "never-free"
"""The name of the rule for a change that sends no request and still needs an approval."""

_ACTS: Final = frozenset({"create", "replace", "import", "update"})
_ENDS: Final = frozenset({"delete", "replace"})
_NEVER_FREE: Final = {
    "import": "is imported",
    "keep": "leaves the stack and is not deleted",
    "read": "becomes a resource that the program only looks up",
    "unclear": "has an outcome that the preview does not show",
}


@dataclass(frozen=True)
class OwnRule:
    """
    A rule of a gate's folder.

    Attributes:
        name: The function's name, with hyphens.
        judge: The function.
        file: The file that contains it.
    """

    name: str
    judge: Rule
    file: Path


def reported(file: GateFile, changes: Sequence[Change]) -> tuple[Reported, ...]:
    """Return the findings about the steps that no broker judges, refusals first."""
    found = [*_built_in(file, changes), *_limits(file.limits, changes), *_never_free(changes)]
    return tuple(sorted(found, key=lambda finding: finding.action != "refuse"))


def written(changes: Sequence[Change]) -> str:
    """Return changes as JSON for a gate's own rules: without outputs and without resources of the engine."""
    return msgspec.json.encode([_plain(one) for one in changes]).decode()


def read(text: str) -> tuple[Change, ...]:
    """
    Return the changes from a text that `written` returned.

    Raises:
        InputError: The text is not from `written`.
    """
    try:
        return decode(text, tuple[Change, ...])
    except msgspec.DecodeError as error:
        raise InputError(f"the resources of the change cannot be read: {error}") from None


def _plain(change: Change) -> Change:
    def kept(inputs: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in inputs.items() if not name.startswith("__")}

    return replace(change, before=kept(change.before), after=kept(change.after), outputs={})


def own(files: Iterable[Path], changes: Sequence[Change]) -> Iterator[Reported]:
    """Yield the findings of a gate's own rules."""
    for path in files:
        try:
            rules = own_rules(path)
        except ConfigError as error:
            yield Reported(path.stem, "refuse", error.message)
            continue
        for rule in rules:
            yield from _asked(rule, changes)


def _asked(rule: OwnRule, changes: Sequence[Change]) -> list[Reported]:
    found: list[Reported] = []
    try:
        # The output of the rule must not mix with the output of the command.
        with contextlib.redirect_stdout(sys.stderr):
            for finding in rule.judge(tuple(changes)):
                if not isinstance(finding, Reported) or finding.action not in {"approve", "refuse"}:
                    found.append(_broken(rule, f"it yields {type(finding).__name__} instead of a finding"))
                else:
                    found.append(Reported(rule.name, finding.action, finding.text))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001  (including SystemExit: a rule that ended has not judged)
        found.append(_broken(rule, f"{type(error).__name__}: {clean(str(error))}"))
    return found


def _broken(rule: OwnRule, why: str) -> Reported:
    return Reported(rule.name, "refuse", f"the rule in {rule.file.name} failed ({why}): correct it")


def own_rules(path: Path) -> tuple[OwnRule, ...]:
    """
    Return the rules of a Python file in a gate's folder. This runs the file.

    Raises:
        ConfigError: The file cannot be read or run, or contains no list `RULES` of functions.
    """
    module = ModuleType(path.stem)
    module.__file__ = str(path)
    try:
        # An import would write a compiled file into the folder, and so change the folder.
        code = compile(path.read_bytes(), str(path), "exec")
        with contextlib.redirect_stdout(sys.stderr):
            exec(code, module.__dict__)  # noqa: S102  (the gate's own folder, which the change cannot edit)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001  (as above)
        reason = clean(f"{type(error).__name__}: {error}")
        raise ConfigError(f"the rules in {path.name} cannot be run ({reason}): correct the file") from None
    rules = getattr(module, "RULES", None)
    if not isinstance(rules, (list, tuple)) or not rules or not all(map(inspect.isfunction, rules)):
        raise ConfigError(f"{path.name} needs a list RULES with at least one function")
    named = tuple(OwnRule(rule.__name__.replace("_", "-"), rule, path) for rule in rules)
    if len({rule.name for rule in named}) < len(named):
        raise ConfigError(f"{path.name} has two rules with the same name in RULES: rename one")
    return named


def _built_in(file: GateFile, changes: Sequence[Change]) -> Iterator[Reported]:
    rules = file.rules
    for change in changes:
        name, type_ = repr(change.name), change.type
        if change.foreign and change.operation in _ENDS and not _is_harmless(change, file.harmless):
            how = "deleted" if change.operation == "delete" else "replaced"
            why = f"{name} is {how}, and may contain data{_HARMLESS.format(type_)}"
            yield Reported("destroys-data", rules.destroys_data, why)
        if change.foreign and change.operation in _ACTS and not _is_harmless(change, file.harmless):
            why = f"{name} may open access{_HARMLESS.format(type_)}"
            yield Reported("opens-access", rules.opens_access, why)
        if change.operation == "keep" and change.price_after != FREE:
            why = f"{name} leaves the stack and is not deleted, so it still costs {change.price_after} a month: keep "
            why += "it in the program, or let it be deleted"
            yield Reported("keeps-billed", rules.keeps_billed, why)
        if change.foreign and change.operation in _ACTS and change.price_after.high is None:
            why = f"the price of {name} ({type_}) has no known upper bound: list its type in the gate's price file"
            yield Reported("unpriced", rules.unpriced, why)
    gone = [one for one in changes if one.operation in {"delete", "keep"}]
    replaced = [one for one in changes if one.operation == "replace"]
    yield from _at_most("max-deletions", rules.max_deletions, gone, "deletion")
    yield from _at_most("max-replacements", rules.max_replacements, replaced, "replacement")


_HARMLESS: Final = ": if the type {} never does, add it to `harmless` in gate.yaml"


def _at_most(rule: str, most: AtMost | None, found: Sequence[Change], noun: str) -> Iterator[Reported]:
    # The broker counts the requests.
    has_others = any(one.kind is None or one.operation == "keep" for one in found)
    if most is not None and has_others and len(found) > most.limit:
        refused = f": split the change, or raise the limit of {rule} in gate.yaml"
        advice = refused if most.otherwise == "refuse" else ""
        yield Reported(
            rule,
            most.otherwise,
            f"{count(len(found), noun)}, more than the limit of {most.limit}{advice}",
        )


def _limits(limits: Limits, changes: Sequence[Change]) -> Iterator[Reported]:
    """
    Judge the limits if resources of other providers have prices. Without such prices, the broker has judged the full
    sum.
    """
    others = [one for one in changes if one.foreign]
    if not any(price != FREE for one in others for price in (one.price_before, one.price_after)):
        return
    added = total(map(_added, changes))
    whole = total(one.price_before for one in changes) + added
    for name, most, price in (
        ("max_increase", limits.max_increase, added),
        ("max_total", limits.max_total, whole),
    ):
        if most is not None and added != FREE and (price.high is None or price.high > most):
            what = "the increase" if name == "max_increase" else "the price of the stack"
            is_ = (
                "has no known upper bound" if price.high is None else f"is {usd(price.high)} a month at most"
            )
            text = f"including other providers, {what} {is_}; the limit is {usd(most)}"
            yield Reported(f"limits.{name}", "refuse", text)
    more = total(map(_added, others))
    if more != FREE:
        yield Reported(NEVER_FREE, "approve", f"the change adds {more} a month at other providers")


def _added(change: Change) -> Price:
    """Return the most that an object adds to the monthly price at any moment."""
    if change.operation not in _ACTS:
        return FREE
    before, after = change.price_before, change.price_after
    if change.operation == "replace" and not change.deleted_first:
        return after
    high = None if after.high is None else max(after.high - before.low, FREE.low)
    return Price(max(after.low - (before.low if before.high is None else before.high), FREE.low), high)


def _never_free(changes: Sequence[Change]) -> Iterator[Reported]:
    for change in changes:
        is_new_look = change.operation == "read" and not change.id
        why = _NEVER_FREE.get(change.operation, "") if change.custom and not is_new_look else ""
        adopts = text(snake_case(change.after), ADOPTS)
        if change.operation == "create" and change.kind is not None and adopts is not None:
            why = "is adopted: it exists already"
        if change.unprotected and change.operation not in _ENDS:
            why = "is no longer protected from deletion"
        if why:
            yield Reported(NEVER_FREE, "approve", f"{change.name!r} {why}")


def _is_harmless(change: Change, patterns: Iterable[str]) -> bool:
    """
    Return whether the gate lists a resource's type as harmless; if an alias changes the type, both types must be
    listed.
    """
    listed = tuple(patterns)
    types = filter(None, (change.type, change.former_type))
    return all(any(fnmatchcase(one, pattern) for pattern in listed) for one in types)
