"""
Which mistakes does a gate's folder contain?

The checks need no engine, no account and no network. They find settings that the engine ignores without a message,
patterns that match nothing, and changes that no person could approve.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from stacks_pulumi import config
from stacks_pulumi._environment import keys_hidden
from stacks_pulumi._identifiers import nearest
from stacks_pulumi._pulumi_cli import read_file, utf8
from stacks_pulumi.account.budgets import Budget
from stacks_pulumi.broker import signers
from stacks_pulumi.broker.folder import ACCOUNT, account_in, budgets_in, check_modes
from stacks_pulumi.broker.rules import NO_OWNER, OTHER_OWNER, UNKNOWN_VALUES
from stacks_pulumi.broker.settings import BUILT_IN, FILE, read_key
from stacks_pulumi.errors import StacksError
from stacks_pulumi.gate import rules
from stacks_pulumi.gate.packs import is_plain_python
from stacks_pulumi.gate.settings import Gate, GatePack

_PATTERN: Final = frozenset("*?[")
_RULES: Final = (*BUILT_IN, UNKNOWN_VALUES, OTHER_OWNER, NO_OWNER, rules.NEVER_FREE)
_NAMED: Final = {"prices": "prices.yaml", "budgets": "budgets.yaml"}
"""Settings that name a file, with the usual name of that file. Without the setting, no program reads the file."""


def problems(gate: Gate, now: datetime.datetime) -> Iterator[str]:
    """
    Yield the mistakes in a gate's folder, each as a sentence.

    This runs the packs and the gate's own rules in an environment without the keys.

    Raises:
        ModuleNotFoundError: A pack needs the extra `policy`.
    """
    yield from of_packs(gate)
    with keys_hidden():
        # This is no generator: if a caller did not exhaust it, the keys would not be restored.
        found = (*_own_rules(gate), *_without_effect(gate))
    yield from found
    yield from _approvers(gate, now)
    yield from _of_broker(gate)
    yield from _patterns(gate)
    yield from _budgets(gate)


def of_packs(gate: Gate) -> tuple[str, ...]:
    """
    Return the mistakes in the configurations of a gate's packs; the engine would ignore these mistakes.

    This runs the packs in an environment without the keys. An expired exception is a mistake.

    Raises:
        ModuleNotFoundError: A pack needs the extra `policy`.
    """
    with keys_hidden():
        return tuple(problem for pack in gate.packs for problem in _pack(gate, pack))


def of_settings(gate: Gate) -> tuple[str, ...]:
    """
    Return the settings that would protect nothing, because they name something that does not exist or is not read.

    An approver's limit under a misspelt name would not limit that approver.
    """
    with keys_hidden():
        return tuple(_without_effect(gate))


def _pack(gate: Gate, pack: GatePack) -> Iterator[str]:
    from stacks_pulumi.policy.testing import (  # noqa: PLC0415  (it needs an extra)
        configuration_problems,
        load_pack,
    )

    name = pack.path.relative_to(gate.folder).as_posix()
    text = None if pack.config is None else utf8(read_file(pack.config)).decode()
    try:
        if not is_plain_python(pack.path):
            found = [] if text is None else _exceptions(text)
        elif text is None:
            load_pack(pack.path)
            found = []
        else:
            found = configuration_problems(text, pack.path)
    except ModuleNotFoundError as error:
        if error.name == "pulumi_policy":
            raise
        yield f"the pack {name} does not start: {error}"
        return
    except (Exception, SystemExit) as error:  # noqa: BLE001  (a pack is code, and can fail in any way)
        yield f"the pack {name} does not start: {type(error).__name__}: {error}"
        return
    for problem in found:
        file = "" if pack.config is None else f"{pack.config.relative_to(gate.folder).as_posix()} "
        yield f"{file}(pack {name}): {problem}"


def _exceptions(text: str) -> tuple[str, ...]:
    """
    Return those mistakes in a configuration that can be found without its pack: duplicate keys, and exceptions without
    an end date.
    """
    from stacks_pulumi.policy.guard import utc_today  # noqa: PLC0415  (it needs an extra)
    from stacks_pulumi.policy.options import read_configuration  # noqa: PLC0415  (as above)
    from stacks_pulumi.policy.rule import LONGEST_EXEMPTION  # noqa: PLC0415  (as above)

    return read_configuration(text, utc_today(), LONGEST_EXEMPTION).problems


def _files(gate: Gate) -> Iterator[str]:
    """Yield the files that look like a part of the gate but are not read."""
    for setting, name in _NAMED.items():
        if getattr(gate.file, setting) is None and (gate.folder / name).is_file():
            yield f"{name} is not used: write `{setting}: {name}` into {FILE}, or delete it"
    named = {pack.path for pack in gate.packs}
    for file in sorted(gate.folder.glob("**/PulumiPolicy.yaml")):
        if file.parent not in named:
            path = file.parent.relative_to(gate.folder).as_posix()
            yield f"the pack {path} is not used: add it to `packs` in {FILE}, or delete it"


def _own_rules(gate: Gate) -> Iterator[str]:
    known = [*_RULES]
    for path in gate.own_rules:
        try:
            own = [rule.name for rule in rules.own_rules(path)]
        except StacksError as error:
            yield error.message
            continue
        yield from (
            f"{path.name}: the rule {name} has the name of a built-in rule: rename it"
            for name in own
            if name in known
        )
        known += own


def _without_effect(gate: Gate) -> Iterator[str]:
    """Yield the settings that protect nothing."""
    yield from _files(gate)
    known = [*_RULES]
    for path in gate.own_rules if gate.file.two_approvals else ():
        # `_own_rules` reports a file that cannot be loaded.
        with contextlib.suppress(StacksError):
            known += [rule.name for rule in rules.own_rules(path)]
    for name in gate.file.two_approvals:
        if name not in known:
            near = nearest(name, known)
            hint = f"did you mean {near}?" if near else f"the rules are {', '.join(known)}"
            yield f"two_approvals: there is no rule {name}; {hint}"
    # `_approvers` reports a file of signers that cannot be read.
    with contextlib.suppress(StacksError):
        names = sorted(signers.names_of(gate.signers))
        file = gate.signers.relative_to(gate.folder).as_posix()
        for name in gate.file.approver_limits:
            if name not in names:
                yield f"approver_limits: {name} is not in {file}, which lists {', '.join(names) or 'no name'}"
    yield from filter(None, map(_too_wide, gate.file.harmless))


_TYPES: Final = (
    "aws:rds/instance:Instance",
    "azure-native:sql:Database",
    "cloudflare:index/record:Record",
    "digitalocean:index/databaseCluster:DatabaseCluster",
    "gcp:sql/databaseInstance:DatabaseInstance",
    "kubernetes:core/v1:PersistentVolumeClaim",
    "pulumi-nodejs:dynamic:Resource",
    "pulumi-python:dynamic/acme:Thing",
    "random:index/randomString:RandomString",
    "vault:generic/secret:Secret",
)
"""Types of several providers. A pattern for one provider matches at most one of these types."""


def _too_wide(pattern: str) -> str:
    """Return what is wrong with a pattern that matches types of several providers; empty for other patterns."""
    found = [one for one in _TYPES if fnmatchcase(one, pattern)]
    if len(found) == len(_TYPES):
        return f"harmless: {pattern} matches every type, so no deletion would need an approval"
    if len(found) > 1:
        return (
            f"harmless: {pattern} matches types of several providers, for instance {found[0]} and {found[1]}: begin "
            "each pattern with the name of one provider, for example random:*"
        )
    return ""


def notes(gate: Gate, now: datetime.datetime) -> Iterator[str]:
    """
    Yield facts about a gate's folder that are not mistakes: keys that are currently invalid, and missing approvers.

    The line of an expired key may stay: `log` verifies older signatures with it.
    """
    with contextlib.suppress(StacksError):
        file = gate.signers.relative_to(gate.folder).as_posix()
        for one in signers.signers_of(gate.signers):
            if not one.holds(now):
                ended = one.before is not None and one.before < now
                time = one.before if ended else one.after
                what = "ended" if ended else "begins"
                yield f"{file}, line {one.line}: this key of {one.name} {what} at {time:%Y-%m-%d %H:%M} UTC"
        names = sorted(signers.names_of(gate.signers))
        if gate.file.two_approvals and gate.file.other_than_author and len(names) == 2:
            both = " and ".join(names)
            yield (
                f"two_approvals, other_than_author: {both} are the only approvers, so their own changes that need two "
                "people cannot be approved"
            )


def _approvers(gate: Gate, now: datetime.datetime) -> Iterator[str]:
    try:
        lines = signers.signers_of(gate.signers)
    except StacksError as error:
        yield error.message
        return
    file = gate.signers.relative_to(gate.folder).as_posix()
    names = sorted({one.name for one in lines if one.holds(now)})
    if not lines:
        line = f'NAME namespaces="{signers.NAMESPACE}" KEYTYPE KEY'
        yield f"{file} lists no approver, so no change can be approved: add a line {line}"
    elif not names:
        yield f"no key in {file} is valid now, so no change can be approved: renew valid-before, or add a key"
    elif len(names) < 2 and gate.file.two_approvals:
        yield f"two_approvals needs two people, and {file} lists only {names[0]}"
    if len(names) == 1 and gate.file.other_than_author:
        yield f"other_than_author: {names[0]} is the only approver, so no other person could approve their changes"


def _of_broker(gate: Gate) -> Iterator[str]:
    """Yield the mistakes that would prevent the start of a broker with this folder."""
    file = gate.file
    asked: list[Callable[[], object]] = [
        functools.partial(check_modes, gate.folder, file),
        functools.partial(account_in, gate.folder / ACCOUNT),
    ]
    if file.budgets is not None:
        asked.append(functools.partial(list, budgets_in(gate.folder / file.budgets)))
    if file.base_url is not None:
        asked.append(functools.partial(config.check_base_url, file.base_url, source="base_url"))
    for one in (file.key, *(() if file.keys is None else (file.keys.read, file.keys.change))):
        # The key itself may be on another machine.
        is_elsewhere = one is not None and (
            one.credential is not None if one.file is None else not Path(one.file).exists()
        )
        if one is not None and not is_elsewhere:
            asked.append(functools.partial(read_key, one, "key"))
    for check in asked:
        try:
            check()
        except StacksError as error:
            yield error.message


def _patterns(gate: Gate) -> Iterator[str]:
    """Yield the patterns that match none of the gate's stacks, if the gate names each of its stacks."""
    stacks = _named_stacks(gate)
    if not stacks:
        return
    for name, limit in gate.file.approver_limits.items():
        for pattern in limit.stacks or ():
            if not any(fnmatchcase(stack, pattern) for stack in stacks):
                yield f"approver_limits: the pattern {pattern} of {name} matches none of {', '.join(stacks)}"


def _budgets(gate: Gate) -> Iterator[str]:
    if gate.file.limits.max_total is not None or gate.file.account is not None:
        return
    if gate.budgets is None:
        yield f"no stack has a budget: write `limits: {{max_total: USD}}` or `budgets: FILE` into {FILE}"
    else:
        for stack in _named_stacks(gate):
            if not any(_may_cover(budget, stack) for budget in gate.budgets.budgets):
                yield f"no budget covers {stack}: add one, or set limits.max_total in {FILE}"


def _may_cover(budget: Budget, stack: str) -> bool:
    """Return whether a budget could cover a stack, judged by the stack's name: no file contains the stack's tags."""
    project = stack.partition("/")[0]
    return (
        budget.refuses
        and (not budget.stacks or any(fnmatchcase(stack, one) for one in budget.stacks))
        and (not budget.projects or any(fnmatchcase(project, one) for one in budget.projects))
    )


def _named_stacks(gate: Gate) -> Sequence[str]:
    """Return the stacks that the gate is for; empty if one is a pattern, which can match further stacks."""
    stacks = gate.file.stacks or ()
    return () if any(_PATTERN.intersection(stack) for stack in stacks) else stacks
