"""
Which rules judge a change, and what do they find?

A rule is a function that gets all changes of a stack and yields what it finds. The built-in ones are here. A gate's
folder can have more, in a Python file:

    def no_premium(changes):
        for change in changes:
            if change.kind == "Container" and change.after.get("plan") == "premium":
                yield change.refuse("premium is for production")

    RULES = [no_premium]

An unknown value is treated as the worst case. A rule that fails, or returns anything else than findings, refuses.
"""

from __future__ import annotations

import contextlib
import datetime
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from stacks_pulumi import catalog
from stacks_pulumi._identifiers import canonical_network, seconds_since
from stacks_pulumi.errors import ConfigError, clean
from stacks_pulumi.gate.change import Action, Change, Finding
from stacks_pulumi.pricing.money import FREE, count, storage_tier
from stacks_pulumi.pricing.recognition import UNRECOGNISED, Unknown, boolean, is_open, snake_case, text
from stacks_pulumi.pricing.views import AllowedIpView, ContainerView, ResourceView, is_id_of

if TYPE_CHECKING:
    from stacks_pulumi.gate.settings import AtMost, Gate

Rule: TypeAlias = Callable[[Sequence[Change]], Iterable[Any]]

_V = TypeVar("_V", bound=ResourceView)

_MAKES: Final = frozenset({"create", "replace", "import"})
_ENDS: Final = frozenset({"delete", "replace"})
_ACTS: Final = _MAKES | {"update"}
_NOT_OWN: Final = frozenset({"unclear", "read", "discard"})
"""What happens to an object that is not, or perhaps not, the stack's."""
_HOUR: Final = 3600
_ANY_TIME: Final = datetime.datetime.fromtimestamp(0, datetime.timezone.utc)


@dataclass(frozen=True)
class OwnRule:
    """
    A rule of a gate's folder.

    Attributes:
        name: The function's name, with hyphens.
        judge: The function.
        file: The file that has it.
    """

    name: str
    judge: Rule
    file: Path


def findings(gate: Gate, changes: Sequence[Change], now: datetime.datetime) -> tuple[Finding, ...]:
    """
    Return what the rules of a gate find in a change, refusals first.

    Args:
        gate: The gate.
        changes: All changes of the stack.
        now: The time, with a time zone.
    """
    found = [finding for part in (_built_in(gate, changes, now), _own(gate, changes)) for finding in part]
    return tuple(sorted(dict.fromkeys(found), key=lambda finding: finding.action != "refuse"))


def _own(gate: Gate, changes: Sequence[Change]) -> Iterator[Finding]:
    for path in gate.own_rules:
        try:
            rules = own_rules(path)
        except ConfigError as error:
            yield Finding(path.stem, "refuse", "", error.message)
            continue
        for rule in rules:
            yield from _asked(rule, changes)


def _asked(rule: OwnRule, changes: Sequence[Change]) -> list[Finding]:
    found: list[Finding] = []
    try:
        # What it prints must not be in the output of the command.
        with contextlib.redirect_stdout(sys.stderr):
            for finding in rule.judge(tuple(changes)):
                if not isinstance(finding, Finding) or finding.action not in {"approve", "refuse"}:
                    found.append(_broken(rule, f"it yields {type(finding).__name__}, and not a finding"))
                else:
                    found.append(replace(finding, rule=rule.name))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001  (also SystemExit: whatever ends a rule, it has not judged)
        found.append(_broken(rule, f"{type(error).__name__}: {clean(str(error))}"))
    return found


def _broken(rule: OwnRule, why: str) -> Finding:
    return Finding(rule.name, "refuse", "", f"the rule in {rule.file.name} failed ({why}): correct it")


def own_rules(path: Path) -> tuple[OwnRule, ...]:
    """
    Return the rules of a Python file in a gate's folder. This runs the file.

    Raises:
        ConfigError: It cannot be read or run, or has no list `RULES` of functions.
    """
    module = ModuleType(path.stem)
    module.__file__ = str(path)
    try:
        # An import would write a compiled file beside it, and the folder's digest would change.
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
        raise ConfigError(f"{path.name} has two rules of one name in RULES: give each its own")
    return named


def _built_in(gate: Gate, changes: Sequence[Change], now: datetime.datetime) -> Iterator[Finding]:
    settings, harmless = gate.rules, gate.file.harmless
    on_data = settings.destroys_data
    hours = None if isinstance(on_data, str) else on_data.backup_within_hours
    action: Action = on_data if isinstance(on_data, str) else on_data.otherwise
    for change in changes:
        if why := _destroys(change, changes, hours, now, harmless):
            yield Finding("destroys-data", action, change.urn, why)
        if why := _restores(change):
            yield Finding("restores-data", settings.restores_data, change.urn, why)
        if why := opens(change, changes, harmless):
            yield Finding("opens-access", settings.opens_access, change.urn, why + _whose(change, changes))
        if change.operation == "keep" and change.price_after != FREE:
            yield Finding(
                "keeps-billed",
                settings.keeps_billed,
                change.urn,
                f"{change.name!r} leaves the stack and is not deleted, so {change.price_after} a month go on: keep it "
                "in the program, or let it be deleted",
            )
        if change.operation in _ACTS and change.price_after.high is None:
            yield Finding(
                "unpriced",
                settings.unpriced,
                change.urn,
                f"what {change.name!r} ({change.type}) costs has no known upper bound: {_how_to_price(change)}",
            )
    gone = sum(
        change.operation in {"delete", "keep", "unclear"} and not change.engines_own for change in changes
    )
    yield from _at_most("max-deletions", settings.max_deletions, gone, "deletion")
    replaced = sum(change.operation == "replace" for change in changes)
    yield from _at_most("max-replacements", settings.max_replacements, replaced, "replacement")


def _at_most(rule: str, most: AtMost | None, number: int, noun: str) -> Iterator[Finding]:
    if most is not None and number > most.limit:
        refused = f": make fewer in one change, or raise the limit of {rule} in gate.yaml"
        advice = refused if most.otherwise == "refuse" else ""
        yield Finding(
            rule, most.otherwise, "", f"{count(number, noun)}, and {most.limit} at most are usual{advice}"
        )


def _how_to_price(change: Change) -> str:
    if change.operation == "import":
        return (
            "a plan does not have what it imports; run `pulumi import` without the gate, which creates nothing, or "
            "write `unpriced: approve` and no `limits` into gate.yaml, so that a person decides"
        )
    if change.foreign:
        return "list its type in the gate's price file"
    return "write its template, plan and storage as constants that the catalogue has"


def is_harmless(change: Change, patterns: Iterable[str]) -> bool:
    """Return whether a resource of another provider is of a type that the gate lists as harmless."""
    before = None if change.object is None else change.object.before
    types = {change.type, *(() if before is None else (before.type,))}
    return change.foreign and all(any(fnmatchcase(type_, pattern) for pattern in patterns) for type_ in types)


def view_of(kind: type[_V], change: Change, inputs: Mapping[str, Any]) -> _V:
    """Return the inputs before or after a change as a view of this kind."""
    made_from = frozenset(change.made_from.get(getattr(kind, "PARENT", ""), ()))
    return kind.of(change.urn, change.name, inputs, protect=change.protected_after, made_from=made_from)


def touches_data(change: Change, harmless: Sequence[str]) -> bool:
    """Return whether a change destroys or overwrites data, whatever backup there is."""
    return bool(_destroys(change, (), None, _ANY_TIME, harmless) or _restores(change))


def _destroys(
    change: Change,
    changes: Sequence[Change],
    hours: int | None,
    now: datetime.datetime,
    harmless: Sequence[str],
) -> str:
    """Return which data a change destroys, as a sentence; empty for none."""
    if change.operation not in _ENDS or not change.custom:
        return ""
    how = "is deleted" if change.operation == "delete" else "is replaced"
    if change.kind == "Container":
        view = view_of(ContainerView, change, change.before)
        template = view.template
        if isinstance(template, str) and template in catalog.TEMPLATES:
            # Storage that is paid for has something in it, whatever the template, also if it was added outside.
            size = view_of(ContainerView, change, change.outputs).storage_mb
            has_more = storage_tier(template, view.plan, view.tier, size) not in {None, 0}
            stored = "what its additional storage has" if has_more else ""
            data = catalog.TEMPLATES[template].data or stored
            return f"{change.name!r} {how}, and with it {data}, its volumes and its backups" if data else ""
        return f"{change.name!r} {how}; its template is not in the catalogue, so it may have data"
    if change.kind == "PinnedBackup":
        return _destroys_backup(change, changes, hours, now, how)
    if change.kind == UNRECOGNISED:
        return f"{change.name!r} {how}; its kind is not known, so it may have data"
    if change.foreign and not is_harmless(change, harmless):
        return (
            f"{change.name!r} {how}; whether a {change.type} has data is not known (`harmless` in gate.yaml lists "
            "types that have none)"
        )
    return ""


def _destroys_backup(
    change: Change, changes: Sequence[Change], hours: int | None, now: datetime.datetime, how: str
) -> str:
    before = snake_case(change.before)
    ending = text(before, "on_delete") or "unpin"
    if ending == "keep":
        return ""
    if hours is not None and any(
        _is_younger(other, before.get("container"), hours, now) for other in changes if other is not change
    ):
        return ""
    then = "the platform deletes it after some days" if ending == "unpin" else "and the backup with it"
    return f"{change.name!r} {how}, {then}"


def _is_younger(other: Change, container: Any, hours: int, now: datetime.datetime) -> bool:
    """Whether this is a pinned backup of the same container that stays, and is younger than some hours."""
    if other.kind != "PinnedBackup" or other.operation not in {"same", "update"} or other.note:
        return False
    inputs, outputs = snake_case(other.before), snake_case(other.outputs)
    if not isinstance(container, str) or inputs.get("container") != container:
        return False
    if outputs.get("status") != "completed":
        return False
    made = text(outputs, "created_at")
    age = seconds_since(made, now.timestamp()) if isinstance(made, str) else None
    return age is not None and 0 <= age <= hours * _HOUR


def _restores(change: Change) -> str:
    if change.kind != "BackupRestore" or change.operation not in _ACTS:
        return ""
    number = text(snake_case(change.after), "backup_id")
    which = "a backup that is not known yet" if isinstance(number, Unknown) else f"backup {number}"
    return f"{change.name!r} puts {which} back: it replaces all data of the container that the backup is of"


def opens(change: Change, changes: Sequence[Change], harmless: Sequence[str]) -> str:
    """
    Return who gets access to what by a change, as a sentence; empty if no one does.

    Args:
        change: The change.
        changes: All changes of the stack.
        harmless: The types of other providers that open nothing.
    """
    if change.operation not in _ACTS:
        return ""
    name = repr(change.name)
    if change.kind == "Container":
        return _opens_container(change, name)
    if change.kind == "AllowedIp":
        return _opens_address(change, name)
    if change.kind == "Connection":
        return _connects(change, changes, name)
    if change.kind in {"VpnClient", "SshCertificate"}:
        # An update for any reason may read the key again, and where it is kept the author may read it.
        noun = "the network of the account" if change.kind == "VpnClient" else "a shell of the container"
        return f"{name} gives its holder access to {noun}"
    if change.kind == UNRECOGNISED:
        return f"{name} is of a kind that is not known, so it may open access"
    if change.foreign and not is_harmless(change, harmless):
        return (
            f"{name}: whether a {change.type} opens access is not known (`harmless` in gate.yaml lists types that open "
            "none)"
        )
    return ""


def _opens_container(change: Change, name: str) -> str:
    # An update switches it on where its creation was not completed.
    was_open = change.operation == "update" and is_open(change.outputs)
    after = boolean(snake_case(change.after), "external_access")
    if change.operation == "import":
        return f"{name} is imported, and whether it is reachable from outside is not known"
    if isinstance(after, Unknown):
        return f"{name} may be reachable from outside: external_access is not known"
    if after and not was_open:
        return f"{name} becomes reachable from outside"
    return ""


def _opens_address(change: Change, name: str) -> str:
    after = view_of(AllowedIpView, change, change.after)
    address, service = after.ip_address, after.service_type
    shown = (
        "an address that is not known"
        if not isinstance(address, str)
        else canonical_network(address) or address
    )
    what = (
        service if isinstance(service, str) else "both" if service is None else "a service that is not known"
    )
    # An update adds the entry again that someone has taken out, and only a refresh would have shown that.
    again = ", also if it was taken out of the list since" if change.operation == "update" else ""
    return f"{name} lets in {shown} (service type {what}){again}"


def _connects(change: Change, changes: Sequence[Change], name: str) -> str:
    """A connection between containers of the stack opens nothing: the stack has both."""
    for word in ("target", "source"):
        if is_of_others(change, changes, word):
            return f"{name} connects a {word} that is not known to be in this stack"
    return ""


def _whose(change: Change, changes: Sequence[Change]) -> str:
    """Return what else is told of opened access: the program has only an id, and that may be another stack's."""
    is_part = change.kind in {"AllowedIp", "SshCertificate", "VpnClient"}
    told = "; its container is not known to be in this stack"
    return told if is_part and is_of_others(change, changes) else ""


def is_of_others(change: Change, changes: Sequence[Change], name: str = "container") -> bool:
    """
    Return whether a resource may be about a container that is not one of this stack.

    Args:
        change: The change of the resource.
        changes: All changes of the stack.
        name: The input with the container's id.
    """
    own = [one for one in changes if one.kind == "Container" and one.operation not in _NOT_OWN]
    value, made_from = text(snake_case(change.after), name), change.made_from.get(name, ())
    # The container that is made in place of another one has no id yet.
    return not any(
        is_id_of(value, made_from, one.urn, None if one.operation in _MAKES else one.id) for one in own
    )
