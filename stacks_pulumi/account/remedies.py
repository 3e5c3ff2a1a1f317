"""The command that a person may run for each finding. Nothing here is run by this program."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

from stacks_pulumi.account.reconcile import ChildRecord, FoundContainer, Missing, Reconciliation

__all__ = ["Remedy", "remedies", "remedy_for"]


@dataclass(frozen=True)
class Remedy:
    """
    What to do about a finding.

    Attributes:
        title: The finding, and the containers or resources that it is about.
        advice: What the command does, and what to look at before.
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
            if child.ownership == "orphan":
                yield Remedy(
                    f"{child.kind} {child.description} of {one.name} is in no stack",
                    "this removes it",
                    _request(account, child.removal),
                )
            elif child.ownership == "double":
                yield _double(account, f"{child.kind} {child.description} of {one.name}", child)
    for missing in account.missing:
        yield _missing(account, missing)


def remedy_for(account: Reconciliation, one: FoundContainer) -> Iterator[Remedy]:
    """Return the remedy for a container, if it has a finding."""
    if one.ownership == "interrupted":
        stack = one.creating[0].stack
        yield Remedy(
            f"{one.name} is in no stack, and {stack} was creating a container of this name when it was interrupted "
            "(or is creating it now)",
            'this continues; write adopt="if_matching" on the resource first, so that it takes this container over',
            f"pulumi up --stack {_ref(account, stack)}",
        )
    elif one.ownership == "orphan" and one.recreated:
        stack = one.recreated[0].stack
        yield Remedy(
            f"{one.name} has the id of a container in {stack}, but another creation time",
            "this shows whether it was resized or restored, or is another container: do not delete it before",
            f"pulumi refresh --stack {_ref(account, stack)}",
        )
    elif one.ownership == "orphan":
        yield Remedy(
            f"{one.name} is in no stack",
            "this deletes it with its volumes and backups permanently; `stacks-pulumi scaffold` writes a program that "
            "takes it over instead",
            _request(account, ("DELETE", "containers", one.container.id)),
        )
    elif one.ownership == "double":
        yield _double(account, one.name, one)


def _double(account: Reconciliation, name: str, one: FoundContainer | ChildRecord) -> Remedy:
    last = one.owners[-1]
    owners = ", ".join(f"{owner.name!r} of {owner.stack}" for owner in one.owners)
    return Remedy(
        f"{name} is managed by {len(one.owners)} resources: {owners}",
        f"this makes {last.stack} forget it; choose the resource that should not own it",
        f"pulumi state delete {shlex.quote(last.urn)} --stack {_ref(account, last.stack)}",
    )


def _missing(account: Reconciliation, missing: Missing) -> Remedy:
    resource = missing.resource
    return Remedy(
        f"{resource.stack} has {resource.kind} {resource.name!r} ({resource.id}), and {missing.reason}",
        "this updates the state of the stack",
        f"pulumi refresh --stack {_ref(account, resource.stack)}",
    )


def _request(account: Reconciliation, removal: tuple[str, ...]) -> str:
    method, *segments = removal
    url = "/".join([account.base_url, *(quote(segment, safe="") for segment in segments)])
    return f'curl -fsS -X {method} -H "Authorization: Bearer $STACKS_API_KEY" {shlex.quote(url)}'


def _ref(account: Reconciliation, stack: str) -> str:
    return shlex.quote(next((one.ref for one in account.stacks if one.name == stack), stack))
