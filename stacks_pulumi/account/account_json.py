"""The account as JSON, which is also a snapshot: `--save` writes it, and `--compare-to` reads it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stacks_pulumi.account.budgets import Budget
from stacks_pulumi.account.reconcile import ChildRecord, FoundContainer, Missing, Reconciliation, StackTotal
from stacks_pulumi.account.remedies import remedy_for
from stacks_pulumi.account.states import Managed
from stacks_pulumi.cost.report import LimitVerdict, Line, Report
from stacks_pulumi.cost.snapshot import Entry, header, priced
from stacks_pulumi.pricing.money import total

__all__ = ["document", "entries"]


def entries(account: Reconciliation) -> tuple[Entry, ...]:
    """Return the containers in the form of a snapshot."""
    return tuple(
        Entry(one.container.id, one.name, one.container.created_at, one.item, one.stacks)
        for one in account.found
    )


def document(
    account: Reconciliation,
    *,
    report: Report | None = None,
    verdicts: Sequence[tuple[Budget, LimitVerdict]] = (),
    failed: Sequence[str] = (),
    children: bool = False,
) -> dict[str, Any]:
    """
    Return the document; `docs/account.md` describes its fields.

    Args:
        account: The account.
        report: What changed since a snapshot, if it was compared with one.
        verdicts: The verdicts of the limits.
        failed: The findings of --fail-on that exist.
        children: Whether the child objects of the containers were read.
    """
    return {
        **header(account.taken_at, account.base_url),
        "complete": account.complete,
        "containers": [
            _container(account, one, entry, children=children)
            for one, entry in zip(account.found, entries(account), strict=True)
        ],
        "missing": [_missing(missing) for missing in account.missing],
        "totals": {
            "account": {"containers": len(account.found), **priced(account.price)},
            "stacks": {stack.name: _stack(stack) for stack in account.stacks},
            "none": {
                "containers": len(account.without_stack),
                **priced(total(one.item.price for one in account.without_stack)),
            },
            "counted_twice": priced(account.counted_twice),
        },
        "unread": [{"stack": unread.stack, "error": unread.error} for unread in account.unread],
        "gaps": list(account.gaps),
        "other_accounts": [{"stack": stack, "reason": reason} for stack, reason in account.elsewhere.items()],
        "changes": None
        if report is None
        else [_change(line) for line in report.lines if line.action != "same"],
        "limits": [
            {
                "budget": budget.name,
                "measure": verdict.limit.measure,
                "most": f"{verdict.limit.most:.2f}",
                "action": "block" if verdict.limit.block else "warn",
                "passed": verdict.passed,
                "text": verdict.text,
            }
            for budget, verdict in verdicts
        ],
        "failed": list(failed),
        "notes": list(account.notes),
    }


def _container(
    account: Reconciliation, one: FoundContainer, entry: Entry, *, children: bool
) -> dict[str, Any]:
    remedy = next(iter(remedy_for(account, one)), None)
    result = {
        **entry.describe(),
        "template": one.container.template,
        "plan": one.container.plan,
        "status": one.container.status,
        "ownership": one.ownership,
        "owners": [_owner(owner) for owner in one.owners],
        **_unclear(one),
        "command": None if remedy is None else remedy.command,
        "notes": list(one.notes),
    }
    if children:
        result["children"] = [_child(child) for child in one.children]
    return result


def _owner(owner: Managed) -> dict[str, Any]:
    return {
        "stack": owner.stack,
        "urn": owner.urn,
        "protect": owner.protect,
        "retain_on_delete": owner.retain,
        "left_over": owner.left_over,
    }


def _child(child: ChildRecord) -> dict[str, Any]:
    return {
        "kind": child.kind,
        "id": child.id,
        "description": child.description,
        "ownership": child.ownership,
        "stacks": list(dict.fromkeys(owner.stack for owner in child.owners)),
        "owners": [_owner(owner) for owner in child.owners],
        **_unclear(child),
    }


def _unclear(one: FoundContainer | ChildRecord) -> dict[str, Any]:
    """Return the possible owners of an object that is in no state."""
    return {
        "interrupted": [{"stack": operation.stack, "urn": operation.urn} for operation in one.creating],
        "recreated": [_owner(owner) for owner in one.recreated],
    }


def _missing(missing: Missing) -> dict[str, Any]:
    resource = missing.resource
    return {
        "id": resource.id,
        "kind": resource.kind,
        "name": resource.name,
        "stack": resource.stack,
        "urn": resource.urn,
        "reason": missing.reason,
    }


def _stack(stack: StackTotal) -> dict[str, Any]:
    return {"project": stack.project, "containers": stack.containers, **priced(stack.price)}


def _change(line: Line) -> dict[str, Any]:
    return {
        "name": line.name,
        "id": line.id,
        "action": line.action,
        "before": None if line.before is None else {"kind": line.before.kind, **priced(line.before.price)},
        "after": None if line.after is None else {"kind": line.after.kind, **priced(line.after.price)},
    }
