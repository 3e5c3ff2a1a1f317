"""
What does the report of `stacks-pulumi account` show, and which command does it suggest for each finding?

The report for programs is also a snapshot: `--save` writes it, and `--compare-to` reads it. The suggested commands are
for the user: this program does not run them.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import quote

from stacks_pulumi._identifiers import SLASH
from stacks_pulumi.account.backend import Managed
from stacks_pulumi.account.budgets import Budget
from stacks_pulumi.account.reconcile import ChildRecord, ContainerRecord, Missing, Reconciliation
from stacks_pulumi.account.takeover import LeftOut, why_not
from stacks_pulumi.api.models import Container
from stacks_pulumi.cost.live import priced
from stacks_pulumi.cost.report import FOOTER, Item, Line, Report
from stacks_pulumi.cost.result import LimitVerdict
from stacks_pulumi.pricing.money import count, some
from stacks_pulumi.reports import Advice, Column, Document, Row, Table, Weight
from stacks_pulumi.reports.writers import MARKS

SCAFFOLD: Final = "stacks-pulumi scaffold --out taken-over"
"""The command that adopts objects without a stack."""

_WIDEST: Final = 60
_SHOWN: Final = 20
_OWNED_BY_NONE: Final = {
    "orphan": "none",
    "interrupted": "none (interrupted create)",
    "unknown": "not known",
    "automatic": "none (made by the platform)",
}


@dataclass(frozen=True)
class AccountResult:
    """
    An account with the results that are derived from it.

    Attributes:
        account: The account.
        report: What changed since a snapshot, if it was compared with one.
        verdicts: The verdicts of the limits.
        failed: The findings that were found and that `--fail-on` lists.
        children: Whether the child objects of the containers were read.
        uncovered: The stacks and containers that no budget covers, if there are budgets.
        covers_all: Whether `uncovered` makes the command fail.
        after: The account that is expected after a preview's change; `None` without a preview. If it is set, the limits
            apply to it.
        preview: The report on that preview.
        scaffold: The command that adopts objects without a stack, with the options of this command.
        deletions: Whether to show the requests that delete objects without a stack.
    """

    account: Reconciliation
    report: Report | None = None
    verdicts: Sequence[tuple[Budget, LimitVerdict]] = ()
    failed: Sequence[str] = ()
    children: bool = False
    uncovered: Sequence[str] = ()
    covers_all: bool = False
    after: Reconciliation | None = None
    preview: Report | None = None
    scaffold: str = SCAFFOLD
    deletions: bool = False

    @property
    def exit_code(self) -> int:
        """
        The exit code: 1 if something was not read; otherwise 2 for a `--fail-on` finding or an exceeded limit;
        otherwise 0.
        """
        return 1 if self.incomplete else 2 if self.complaints else 0

    @property
    def incomplete(self) -> tuple[str, ...]:
        """The parts that were not read."""
        preview = self.preview.incomplete if self.preview is not None else ""
        return (*_incomplete(self.account), *([preview] if preview else []))

    @property
    def complaints(self) -> tuple[str, ...]:
        """The reasons for the exit code 2."""
        blocked = self.preview.blocked if self.preview is not None else ""
        return (*([blocked] if blocked else []), *self.failed, *self.over)

    @property
    def ending(self) -> str:
        """Return the reason for the exit code."""
        reasons = self.incomplete or self.complaints
        more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
        said = (
            f"{reasons[0]}{more}"
            if reasons
            else "everything was read, there is no --fail-on finding, and no limit is exceeded"
        )
        return f"Exit code {self.exit_code}: {said}."

    @property
    def over(self) -> tuple[str, ...]:
        """The exceeded limits, and with `covers: all` also the stacks and containers that no budget covers."""
        bare = self.uncovered if self.covers_all else ()
        return (
            *(f"{budget.title}: {verdict.text}" for budget, verdict in self.verdicts if verdict.blocks),
            *(f"no budget covers {one} (covers: all)" for one in bare),
        )


def document_of(result: AccountResult) -> Document:
    """Return the report on a result; it can be written in every format."""
    account = result.account
    of = f"{count(len(account.containers), 'container')}, {count(len(account.stacks), 'stack')}"
    tables = [_containers(account), _totals(account)]
    planned = ""
    if result.after is not None:
        planned = f" After the change: {result.after.price}."
        tables.append(replace(_totals(result.after), title="After the change"))
    if result.report is not None:
        tables.append(_changes(result.report))
    return Document(
        f"The account costs {account.price} a month: {of}.{planned}",
        result.incomplete,
        tuple(_remarks(result)),
        tuple(tables),
        advice=_advice(result),
        footer=FOOTER,
        ending=result.ending,
        data=_data(result),
    )


def _incomplete(account: Reconciliation) -> Iterator[str]:
    yield from account.gaps
    if account.gap:
        yield "no container is reported as missing or as an orphan, and the totals have no upper bound"
    for unread in account.unread:
        what = "was not read" if unread.cause == "unread" else "was not read completely"
        yield f"{unread.stack} {what}: {unread.error}"
    if account.unread:
        yield "no container is reported as an orphan, because a stack that was not read may own it"


def _remarks(result: AccountResult) -> Iterator[tuple[Weight, str]]:
    account = result.account
    if result.preview is not None and result.preview.blocked:
        yield "error", result.preview.blocked
    for finding in result.failed:
        yield "error", finding
    for budget, verdict in result.verdicts:
        yield verdict.weight, f"{budget.title}: {verdict.text}"
    if result.uncovered:
        yield (
            "error" if result.covers_all else "note",
            f"no budget with max_total or max_increase covers {some(result.uncovered, _SHOWN)}",
        )
    for stack, reason in account.elsewhere.items():
        yield "note", f"resources of {stack} are in a different account and are not counted: {reason}"
    for note in (
        *(result.after or account).notes,
        *(() if result.report is None else result.report.notes[1:]),
    ):
        yield "note", note


def _containers(account: Reconciliation) -> Table:
    columns = (
        Column("Container", widest=_WIDEST),
        Column("Kind", widest=_WIDEST),
        Column("Stack"),
        Column("A month", "figure"),
        Column("Note"),
    )
    return Table(columns, tuple(row for one in account.containers for row in _rows(one)))


def _rows(one: ContainerRecord) -> Iterator[Row]:
    yield Row((one.name, one.item.kind, _owner(one), str(one.item.price), _note(one)))
    for child in one.children:
        note = "" if child.sure else "no id or creation time identifies it: run `pulumi refresh` in the stack"
        yield Row((f"  {child.kind}", child.description, _owner(child), "", note))


def _owner(one: ContainerRecord | ChildRecord) -> str:
    names = ", ".join(dict.fromkeys(owner.stack for owner in one.owners))
    if names and one.ownership == "unknown":
        return f"{names} (not certain)"
    return names or _OWNED_BY_NONE[one.ownership]


def _note(one: ContainerRecord) -> str:
    words = []
    if one.ownership == "double":
        words.append(f"managed by {len(one.owners)} resources")
    words += [f"interrupted create of {operation.stack}" for operation in one.creating]
    words += [f"different creation time in {resource.stack}" for resource in one.recreated]
    if any(owner.left_over for owner in one.owners):
        words.append("left over from a replacement")
    if any(owner.protect for owner in one.owners):
        words.append("protected")
    if any(owner.retain_on_delete for owner in one.owners):
        words.append("retained on delete")
    return ", ".join([*words, *one.notes])


def _totals(account: Reconciliation) -> Table:
    none, twice = account.without_stack, account.counted_twice
    parts = [*account.by_stack.items(), ("no stack", none)]
    rows = [(name, str(len(part)), str(account.price_of(part))) for name, part in parts]
    if twice.high != 0:
        rows.append(("counted in more than one stack", "", f"-{twice}"))
    rows.append(("account", str(len(account.containers)), str(account.price)))
    columns = (Column("Total"), Column("Containers"), Column("A month", "figure"))
    return Table(columns, tuple(map(Row, rows)))


def _changes(report: Report) -> Table:
    columns = (Column(""), Column("Container"), Column("Kind"), Column("Difference", "figure"))
    rows = tuple(
        Row((MARKS[line.action], line.name, line.kind, str(line.difference)))
        for line in report.lines
        if line.action != "same"
    )
    return Table(columns, rows, f"{report.notes[0]}: {report.difference}")


# --- for programs ---


def _data(result: AccountResult) -> dict[str, Any]:
    account, report, after = result.account, result.report, result.after
    return {
        **account.snapshot.header(),
        "complete": account.complete,
        "containers": [_container(result, one) for one in account.containers],
        "missing": [
            {**_picked(one.resource, "id", "kind", "name", "stack", "urn"), "reason": one.reason}
            for one in account.missing
        ],
        "totals": _totals_row(account),
        "after": None if after is None else _totals_row(after),
        "unread": [_picked(one, "stack", "error", "cause") for one in account.unread],
        "gaps": list(account.gaps),
        "other_accounts": [
            {"stack": stack, "reason": reason, "certain": stack not in account.unplaced}
            for stack, reason in account.elsewhere.items()
        ],
        "changes": None
        if report is None
        else [_change(line) for line in report.lines if line.action != "same"],
        "limits": [
            {"budget": budget.name, "owner": budget.owner or None, **verdict.describe()}
            for budget, verdict in result.verdicts
        ],
        "uncovered": list(result.uncovered),
        "failed": list(result.failed),
        "exit_code": result.exit_code,
        "reason": result.ending,
        "notes": list((after or account).notes),
    }


def _picked(whole: object, *names: str) -> dict[str, Any]:
    return {name: getattr(whole, name) for name in names}


def _totals_row(account: Reconciliation) -> dict[str, Any]:
    return {
        "account": _part(account, account.containers),
        "stacks": {
            stack.name: {"project": stack.project, **_part(account, account.by_stack[stack.name])}
            for stack in account.stacks
        },
        "none": _part(account, account.without_stack),
        "counted_twice": priced(account.counted_twice),
    }


def _part(account: Reconciliation, containers: Sequence[ContainerRecord]) -> dict[str, Any]:
    return {"containers": len(containers), **priced(account.price_of(containers))}


def _container(result: AccountResult, one: ContainerRecord) -> dict[str, Any]:
    found = [remedy.command for remedy in remedy_for(result, one)]
    row = {
        **one.entry.describe(),
        **_picked(one.container, "template", "plan", "status"),
        **_owned(one),
        "command": found[0] if found else None,
        "notes": list(one.notes),
    }
    if result.deletions:
        row["deletion"] = found[1] if len(found) > 1 else None
    if result.children:
        row["children"] = [_child(child) for child in one.children]
    return row


def _child(child: ChildRecord) -> dict[str, Any]:
    return {
        **_picked(child, "kind", "id", "description"),
        "stacks": list(dict.fromkeys(owner.stack for owner in child.owners)),
        **_owned(child),
    }


def _owned(one: ContainerRecord | ChildRecord) -> dict[str, Any]:
    """Return who owns an object, and who may own it if no state contains it."""
    return {
        "ownership": one.ownership,
        "owners": [_owner_row(owner) for owner in one.owners],
        "interrupted": [_picked(operation, "stack", "urn") for operation in one.creating],
        "recreated": [_owner_row(owner) for owner in one.recreated],
    }


def _owner_row(owner: Managed) -> dict[str, Any]:
    return _picked(owner, "stack", "urn", "protect", "retain_on_delete", "left_over")


def _change(line: Line) -> dict[str, Any]:
    return {
        **_picked(line, "name", "id", "action"),
        "before": _item(line.before),
        "after": _item(line.after),
    }


def _item(item: Item | None) -> dict[str, Any] | None:
    return None if item is None else {"kind": item.kind, **priced(item.price)}


# --- what to do ---

_ADOPTS: Final = (
    "To adopt objects without a stack, with a program that changes nothing in the account (--deletions shows how to "
    "delete them instead)"
)
_ADOPTS_LATER: Final = "To adopt objects, after the step that the line of their container requires"
_DECLARES: Final = (
    "To manage objects of a stack's container, declare them in the program of that stack (--deletions shows how to "
    "delete them instead)"
)
_DELETES: Final = "To delete a container permanently, with its volumes and backups"
_REMOVES: Final = "To remove objects that belong to a container"


@dataclass(frozen=True)
class Remedy:
    """
    The suggestion for a finding.

    Attributes:
        title: The finding, with the names of the containers or resources.
        advice: The effect of the command, and what to check before running it.
        command: A command for a POSIX shell, or a line for the user's program.
    """

    title: str
    advice: str
    command: str


def remedies(result: AccountResult) -> Iterator[Remedy]:
    """Return the remedies for each finding: first an adoption, and with --deletions also a deletion."""
    for one in result.account.containers:
        yield from remedy_for(result, one)
        # The command that removes a container from a state also removes the resources that depend on the container.
        forgets = one.owners[-1].stack if one.ownership == "double" else None
        for child in (it for it in one.children if not it.owners or it.owners[-1].stack != forgets):
            name = f"{child.kind} {child.description} of {one.name}"
            adoption = (_ADOPTS_LATER if why_not(one.container) else _ADOPTS, result.scaffold)
            if one.ownership != "orphan":
                # A new program for this object would also need the container, which a stack owns.
                adoption = (_DECLARES, _declaration(child, one.name))
            yield from _remedies(result, name, child, adoption, (_REMOVES, child.removal))
    for missing in result.account.missing:
        yield _missing(result.account, missing)


def _declaration(child: ChildRecord, container: str) -> str:
    """Return the line with which a program adopts an object; the user replaces the parts in angle brackets."""
    own = f'"<NAME>", container=<{container}>'
    if child.kind == "Connection":
        own = f'"<NAME>", source=<{container}>, target=<{child.description.rpartition(" to ")[2]}>'
    if child.kind == "PinnedBackup":
        return f"stacks.PinnedBackup({own}, backup_id={child.name})"
    name = "ip_address" if child.kind == "AllowedIp" else "name"
    inputs = {name: child.name, **child.inputs, "adopt": "if_matching"}
    return f"stacks.{child.kind}({own}, {', '.join(f'{key}={json.dumps(it)}' for key, it in inputs.items())})"


def remedy_for(result: AccountResult, one: ContainerRecord) -> Iterator[Remedy]:
    """Return the remedies for a container, if there is a finding about it."""
    removal = ("DELETE", "containers", one.container.id)
    adoption = (_ADOPTS, result.scaffold)
    name = one.name
    if one.ownership == "orphan" and (reason := why_not(one.container)):
        adoption = (_ADOPTS_LATER, result.scaffold)
        name = f"{name} ({reason})"
    yield from _remedies(result, name, one, adoption, (_DELETES, removal))


def _remedies(
    result: AccountResult,
    name: str,
    one: ContainerRecord | ChildRecord,
    adoption: tuple[str, str],
    deletion: tuple[str, tuple[str, ...]],
) -> Iterator[Remedy]:
    account = result.account
    if one.ownership == "interrupted":
        stack = one.creating[0].stack
        yield Remedy(
            f"{name} is in no stack, but {stack} was creating such a container when it was interrupted (or is "
            "creating it now)",
            'To continue (write adopt="if_matching" on the resource first, so that it adopts this container)'
            + _where(account, stack),
            f"pulumi up --stack {_ref(account, stack)}",
        )
    elif one.ownership == "orphan" and one.recreated:
        stack = one.recreated[0].stack
        yield Remedy(
            f"{name} has the id of a resource in {stack}, but its container has a different creation time",
            "To see whether the container was resized, restored or created again (delete nothing before that)"
            + _where(account, stack),
            f"pulumi refresh --stack {_ref(account, stack)}",
        )
    elif one.ownership == "orphan":
        yield Remedy(f"{name} is in no stack", *adoption)
        if result.deletions:
            yield Remedy(f"{name} is in no stack", deletion[0], _request(account, deletion[1]))
    elif one.ownership == "double":
        last = one.owners[-1]
        owners = ", ".join(f"{owner.name!r} of {owner.stack}" for owner in one.owners)
        # Without this option, the engine refuses to remove a protected resource from the state.
        options = " --force" if last.protect else ""
        # The children of a container depend on it.
        options += " --target-dependents" if last.kind == "Container" else ""
        yield Remedy(
            f"{name} is managed by {len(one.owners)} resources: {owners}",
            f"To remove a resource from the state of {last.stack}, before you remove it from that stack's program "
            "(choose the resource that should not own the object; --target-dependents also removes the resources "
            "that depend on it)" + _where(account, last.stack),
            # In a manipulated state, the URN may be an option, for instance `--all`.
            f"pulumi state delete{options} --stack {_ref(account, last.stack)} -- {shlex.quote(last.urn)}",
        )


def _missing(account: Reconciliation, missing: Missing) -> Remedy:
    resource = missing.resource
    advice, command = "To update the state of the stack", "refresh"
    if resource.kind == "PinnedBackup" and not missing.recreated:
        # After a refresh, the state still has an unpinned backup; the next `up` pins it.
        advice, command = "To pin the backup again, or to create a new one if it was deleted", "up --refresh"
    return Remedy(
        f"{resource.stack} has {resource.kind} {resource.name!r} ({resource.id}), but {missing.reason}",
        f"{advice}{_where(account, resource.stack)}",
        f"pulumi {command} --stack {_ref(account, resource.stack)}",
    )


def _request(account: Reconciliation, removal: tuple[str, ...]) -> str:
    method, *segments = removal
    url = "/".join([account.base_url, *(quote(segment.replace(SLASH, "/"), safe="") for segment in segments)])
    # Do not pass the key as an argument of curl, because all users of the machine see the arguments of a process. The
    # `printf` of the shell is not a process.
    header = f"printf 'Authorization: Bearer %s' {account.key_words}"
    return f"{header} | curl -fsS -X {method} -H @- {shlex.quote(url)}"


def _where(account: Reconciliation, stack: str) -> str:
    """
    Return the hint that a `pulumi` command must run in the project's folder, because an export does not contain the
    organization.
    """
    project = next((one.project for one in account.stacks if one.name == stack), "")
    return f", in the folder of the project {project}" if project else ""


def _ref(account: Reconciliation, stack: str) -> str:
    return shlex.quote(next((one.ref for one in account.stacks if one.name == stack), stack))


def _advice(result: AccountResult) -> tuple[Advice, ...]:
    """Return each suggestion once, with its commands, and with the findings for each command."""
    grouped: dict[str, dict[str, list[str]]] = {}
    for remedy in remedies(result):
        grouped.setdefault(remedy.advice, {}).setdefault(remedy.command, []).append(remedy.title)
    return tuple(
        Advice(advice, {command: tuple(titles) for command, titles in commands.items()})
        for advice, commands in grouped.items()
    )


# --- what can be adopted ---


def unowned(
    account: Reconciliation,
) -> tuple[list[Container], frozenset[tuple[str, str]], tuple[LeftOut, ...]]:
    """
    Return the containers to adopt, the kind and id of each child object that a stack owns or may own, and the reasons
    why objects are left out. `account` contains only the chosen containers, and their child objects if these were read.
    """
    left = []
    containers = []
    owned = set()
    for one in account.containers:
        reason = _why_not(account, one)
        if reason is not None:
            left.append(LeftOut(f"container {one.name}", *reason))
            continue
        containers.append(one.container)
        for child in one.children:
            reason = None if child.ownership == "automatic" else _why_not(account, child)
            # If the owner is unknown only because the container's owner is unknown or a list was not read, the
            # container or the list has its own entry.
            if reason is not None and (child.owners or child.creating or child.recreated):
                owned.add((child.kind, child.id.casefold()))
                left.append(LeftOut(f"{child.kind} {child.description} of {one.name}", *reason))
    return containers, frozenset(owned), tuple(left)


def _why_not(account: Reconciliation, one: ContainerRecord | ChildRecord) -> tuple[str, bool] | None:
    """Return why an object is not adopted, and whether the reason is an unknown owner; `None` if it is adopted."""
    owners = " and ".join(dict.fromkeys(f"{owner.name!r} of {owner.stack}" for owner in one.owners))
    if one.ownership in {"owned", "double"}:
        return f"a stack owns it: {owners}", False
    if one.creating:
        stack = one.creating[0].stack
        return (
            f"{stack} was creating such an object when it was interrupted: run `pulumi up` of that stack",
            False,
        )
    if one.recreated:
        stack = one.recreated[0].stack
        return (
            f"{stack} has a resource with its id but a different creation time: run `pulumi refresh` of that stack",
            False,
        )
    if one.ownership == "orphan":
        return None
    why = f"perhaps {owners}" if owners else next(_incomplete(account), "; ".join(getattr(one, "notes", ())))
    return f"it is not known whether a stack owns it ({why})", True
