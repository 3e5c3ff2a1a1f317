"""The command for each finding, which the user may run. This program does not run it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from stacks_pulumi.account.reconcile import ChildRecord, FoundContainer, Missing, Reconciliation

__all__ = ["Remedy", "remedies", "remedy_for"]

_DELETES: Final = (
    "To delete a container permanently, with its volumes and backups (`stacks-pulumi scaffold` writes a program that "
    "takes it over instead)"
)
_REMOVES: Final = "To remove what belongs to a container"


@dataclass(frozen=True)
class Remedy:
    """
    The advice for a finding.

    Attributes:
        title: The finding, with its containers or resources.
        advice: What the command does, and what to check before.
        command: The command, for a POSIX shell.
    """

    title: str
    advice: str
    command: str


def remedies(account: Reconciliation) -> Iterator[Remedy]:
    """Return the remedy of each finding: orphans first."""
    for one in account.found:
        yield from remedy_for(account, one)
        for child in one.children:
            name = f"{child.kind} {child.description} of {one.name}"
            yield from _remedy(account, name, child, child.removal, _REMOVES)
    for missing in account.missing:
        yield _missing(account, missing)


def remedy_for(account: Reconciliation, one: FoundContainer) -> Iterator[Remedy]:
    """Return the remedy for a container, if it has a finding."""
    yield from _remedy(account, one.name, one, ("DELETE", "containers", one.container.id), _DELETES)


def _remedy(
    account: Reconciliation,
    name: str,
    one: FoundContainer | ChildRecord,
    removal: tuple[str, ...],
    removes: str,
) -> Iterator[Remedy]:
    if one.ownership == "interrupted":
        stack = one.creating[0].stack
        yield Remedy(
            f"{name} is in no stack, and {stack} was creating one like it when it was interrupted (or is creating it "
            "now)",
            'To continue (write adopt="if_matching" on the resource first, so that it takes this one over)'
            + _where(account, stack),
            f"pulumi up --stack {_ref(account, stack)}",
        )
    elif one.ownership == "orphan" and one.recreated:
        stack = one.recreated[0].stack
        yield Remedy(
            f"{name} has the id of one in {stack}, but its container has another creation time",
            "To see whether the container was resized or restored, or is another one (delete nothing before)"
            + _where(account, stack),
            f"pulumi refresh --stack {_ref(account, stack)}",
        )
    elif one.ownership == "orphan":
        yield Remedy(f"{name} is in no stack", removes, _request(account, removal))
    elif one.ownership == "double":
        last = one.owners[-1]
        owners = ", ".join(f"{owner.name!r} of {owner.stack}" for owner in one.owners)
        yield Remedy(
            f"{name} is managed by {len(one.owners)} resources: {owners}",
            f"To make {last.stack} forget it (choose the resource that should not own it)"
            + _where(account, last.stack),
            f"pulumi state delete {shlex.quote(last.urn)} --stack {_ref(account, last.stack)}",
        )


def _missing(account: Reconciliation, missing: Missing) -> Remedy:
    resource = missing.resource
    return Remedy(
        f"{resource.stack} has {resource.kind} {resource.name!r} ({resource.id}), and {missing.reason}",
        f"To update the state of the stack{_where(account, resource.stack)}",
        f"pulumi refresh --stack {_ref(account, resource.stack)}",
    )


def _request(account: Reconciliation, removal: tuple[str, ...]) -> str:
    method, *segments = removal
    url = "/".join([account.base_url, *(quote(segment, safe="") for segment in segments)])
    return f'curl -fsS -X {method} -H "Authorization: Bearer $STACKS_API_KEY" {shlex.quote(url)}'


def _where(account: Reconciliation, stack: str) -> str:
    """Return where to run `pulumi` for a stack: it needs the project, and an export does not name the organization."""
    project = next((one.project for one in account.stacks if one.name == stack), "")
    return f", in the folder of the project {project}" if project else ""


def _ref(account: Reconciliation, stack: str) -> str:
    return shlex.quote(next((one.ref for one in account.stacks if one.name == stack), stack))
