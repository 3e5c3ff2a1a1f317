"""
How is a change shown to the person who signs it?

Each permit is a row with its request. Kinds, owners and prices of the containers come from the broker, never from the
state. The planner's report is in a separate table, because no broker enforces it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final
from urllib.parse import quote

import msgspec

from stacks_pulumi._identifiers import canonical_network
from stacks_pulumi.api.models import Container
from stacks_pulumi.broker.change import EFFECTS, Change, Constraint, Known, Permit, instant
from stacks_pulumi.broker.limits import is_same
from stacks_pulumi.broker.words import in_words
from stacks_pulumi.errors import StacksError
from stacks_pulumi.gate.workflow import Judged, RefusedError, reported
from stacks_pulumi.pricing.money import usd
from stacks_pulumi.reports import Action, Check, Column, Document, Row, Table, Weight
from stacks_pulumi.reports.writers import comment

_RESULTS: Final = {
    "nothing": "nothing changes",
    "free": "may be applied without an approval",
    "needs_approval": "needs an approval",
    "refused": "refused",
}
_ORDER: Final = (
    'each line may be sent alone, in any order, or not at all; a line with "after" is sent only after the lines '
    "that it names; an object that a line creates may be removed again; no other change at STACKS is possible"
)
_SIGNED: Final = (
    "you sign the change that `stacks-pulumi gate show` prints, so read that before you sign: this comment is from a "
    "job that may have run the program, and the program could have changed it"
)
_FIRST: Final = Decimal(1_000_000)
"""A value above every price: it sorts a row before all others."""
_NO_OWNER: Final = "no owner in the ledger"
_ACTIONS: Final[Mapping[str, Action]] = {
    "create": "create",
    "import": "create",
    "update": "update",
    "replace": "replace",
    "delete": "delete",
    "keep": "keep",
}


def document_of(judged: Judged) -> Document:
    """Return the text that a person reads before they sign a change."""
    return Document(
        f"{judged.change.stack}: {_RESULTS[judged.result]}{_money(judged)}",
        remarks=tuple(_remarks(judged)),
        tables=tuple(
            table for table in (_requests(judged), _known(judged), _steps(judged.change)) if table.rows
        ),
        checks=tuple(_checks(judged)),
        data=_data(judged),
        ending=_counted(judged),
    )


def comment_of(judged: Judged) -> str:
    """Return a change as a comment on a pull request. The next comment of this stack replaces it."""
    document = document_of(judged)
    if judged.result == "needs_approval":
        document = replace(document, remarks=(*document.remarks, ("note", _SIGNED)))
    return comment(document, f"gate {judged.change.stack}")


def unplanned(stack: str, error: StacksError) -> str:
    """
    Return the comment for a change that has no plan; it replaces the comment of an earlier plan.

    A program's error may contain a secret. The log of a job hides secrets; a comment does not.
    """
    what, said = "not planned", ["the log of the job shows the reason"]
    if isinstance(error, RefusedError):
        what, said = "refused", [*error.reasons] or [error.message]
    document = Document(f"{stack}: {what}", remarks=tuple(("error", one) for one in said))
    return comment(document, f"gate {stack}")


def _data(judged: Judged) -> dict[str, Any]:
    shown = ("verdict", "containers", "approvals", "missing")
    return {
        "result": judged.result,
        "change": msgspec.to_builtins(judged.change),
        **{name: judged.said[name] for name in shown},
    }


def _money(judged: Judged) -> str:
    verdict = judged.said["verdict"]
    increase, most = verdict["increase"], verdict["at_any_moment"]
    if increase is None or most is None:
        return "; the increase of the monthly price has no upper bound"
    amount, moment = Decimal(increase), Decimal(most)
    # Without a create, the price never rises.
    more = f", up to +{usd(moment)} during the update" if moment and moment != amount else ""
    return f"; {'-' if amount < 0 else '+'}{usd(abs(amount))} a month{more}"


def _remarks(judged: Judged) -> Iterator[tuple[Weight, str]]:
    change, said = judged.change, judged.said
    for rule, action, text in _findings(judged):
        yield (
            ("error", f"refused by {rule}: {text}") if action == "refuse" else ("warning", f"{rule}: {text}")
        )
    if change.permits:
        yield "note", _ORDER
    if change.ceiling is not None:
        most = change.ceiling.at_any_moment
        moment = "" if most is None else f", and {usd(Decimal(most))} at any moment"
        yield (
            "note",
            f"the change may add at most {usd(Decimal(change.ceiling.increase))} to the monthly price{moment}",
        )
    elif judged.said["verdict"]["prices"]:
        yield (
            "warning",
            "the change has no ceiling: each create costs the price that STACKS has at the time of the update",
        )
    applied = f"the grant then lasts {change.ttl // 60} minutes"
    if change.request:
        yield "note", f"this change approves the access request {change.request}"
        applied = "the request must be sent before the grant that asked for it ends"
    if asked := said.get("asked"):
        yield (
            "note",
            f"the access request {asked['id']} is from {asked['for']!r}, with the grant {asked['grant']}",
        )
    who = f" by {change.author!r}" if change.author else ""
    when = f"submit it by {instant(change.ends)}; {applied}"
    yield "note", f"planned{who} for the broker {_id(change.account)}; {when}"
    yield from (("note", f"a policy reports: {text}") for text in reported(change).violations)
    if reported(change).plan is not None:
        yield "note", f"the engine's plan is saved, SHA-256 {reported(change).plan}"
    if said["handed_in"]:
        yield (
            "note",
            f"the change was submitted at {said['handed_in']}: `gate apply` continues with the remaining requests",
        )
    if said["approvals"] or judged.result == "needs_approval":
        missing = f"; {said['missing']}" if said["missing"] else ""
        yield "note", f"approved by {', '.join(said['approvals']) or 'no one yet'}{missing}"


def _counted(judged: Judged) -> str:
    """Return the broker's counts for the last line: a long report of the planner cannot hide them there."""
    permits = judged.change.permits
    found = Counter(str(one["rule"]) for one in judged.said["verdict"]["findings"])
    # The broker repeats the reported findings, and the planner chooses their number.
    found.subtract(one.rule for one in judged.change.reported)
    counts = {
        "lines": len(permits),
        "deletions": sum(one.times or 0 for one in permits if EFFECTS[one.endpoint].removes),
        "secrets": len(judged.change.secrets),
        **{rule: count for rule, count in found.items() if count > 0},
    }
    return f"the broker counts: {', '.join(f'{name} {count}' for name, count in counts.items())}"


def _findings(judged: Judged) -> Iterator[tuple[str, str, str]]:
    """Yield the findings of the rules, refusals first. The broker's findings include those of the planner."""
    found = [(one["rule"], one["action"], one["text"]) for one in judged.said["verdict"]["findings"]]
    yield from sorted(found, key=lambda one: one[1] != "refuse")


def _checks(judged: Judged) -> Iterator[Check]:
    for rule, action, text in _findings(judged):
        yield Check("rules", rule, text, failed=action == "refuse")
    yield Check("approval", _RESULTS[judged.result], "", failed=judged.result == "refused")


def _requests(judged: Judged) -> Table:
    return Table(
        (
            Column("Line", "figure"),
            Column("", "action"),
            Column("Request"),
            Column("Monthly", "figure"),
            Column("About"),
        ),
        (
            *(_permit(permit, judged) for permit in judged.change.permits),
            *(
                Row(
                    (
                        "",
                        "same",
                        in_words(one),
                        "",
                        "; ".join(["reads a secret", *_of_ids(one.ids, judged)]),
                    ),
                    "update",
                    _FIRST,
                )
                for one in judged.change.secrets
            ),
        ),
        title="What may happen at STACKS",
    )


def _permit(permit: Permit, judged: Judged) -> Row:
    effect, verdict = EFFECTS[permit.endpoint], judged.said["verdict"]
    action: Action = "create" if effect.makes else "delete" if effect.removes else "update"
    amount = verdict["prices"].get(str(permit.n))
    price = "" if amount is None else usd(Decimal(amount))
    if permit.endpoint == "containers.create" and amount is None:
        price = "not known"
    found = {one["permit"] for one in verdict["findings"]}
    is_first = action == "delete" or permit.n in found or permit.body.get("status") == "stopped"
    # The planner chooses the symbols, so the most important rows explain theirs.
    about = _about(permit, judged, all_known=is_first)
    cells = (str(permit.n), action, in_words(permit), price, "; ".join(about))
    # If not all rows fit, the shown rows include deletions, stops and rows with findings.
    size = Decimal(amount or 0) + (_FIRST if is_first else 0)
    return Row(cells, action, size)


def _about(permit: Permit, judged: Judged, *, all_known: bool) -> Iterator[str]:
    if permit.binds is not None:
        yield f"other lines call its result {json.dumps(permit.binds)}"
    if permit.is_loose:
        yield "one of its values is unknown, and may be any value"
    if permit.only_address is not None:
        yield f"only if no address except {canonical_network(permit.only_address)} is listed"
    if permit.after:
        yield f"after {', '.join(map(str, permit.after))}"
    yield from _of_ids(permit.ids, judged, all_known=all_known)
    words = [
        *([permit.why] if permit.why else []),
        *([f"destroys {permit.destroys}"] if permit.destroys else []),
    ]
    if words:
        yield f"the planner says {'; '.join(words)!r}"


def _of_ids(ids: Mapping[str, Constraint], judged: Judged, *, all_known: bool = False) -> Iterator[str]:
    """Yield descriptions of a request's ids; with `all_known`, also of the symbols that a separate table lists."""
    for name, one in ids.items():
        if one.in_ is not None:
            made = "" if one.created_at is None else f", created {json.dumps(one.created_at)},"
            yield f"its object{made} belongs to {json.dumps(one.in_)}"
        elif name == "client_name" and one.created_at is not None:
            yield f"the client that was created {json.dumps(one.created_at)}"
        elif one.is_ is not None and one.created_at is not None:
            yield f"{_id(one.is_)} is {_container(Known(id=one.is_, created_at=one.created_at), judged)}"
        elif one.is_ is not None and name in {"backup_id", "connection_id"}:
            yield "its object may belong to any container"
        for symbol in filter(None, (*one.of, one.in_)) if all_known else ():
            known = judged.change.known.get(symbol)
            if known is not None:
                yield f"{json.dumps(symbol)} is {_id(known.id)}, {_container(known, judged)}"


def _known(judged: Judged) -> Table:
    rows = tuple(
        Row((json.dumps(symbol), _id(one.id), _container(one, judged)))
        for symbol, one in judged.change.known.items()
    )
    return Table((Column("Name"), Column("Id"), Column("What it is")), rows, title="Containers that exist")


def _container(known: Known, judged: Judged) -> str:
    """Return the description of the container that an id means now."""
    row = judged.said["containers"].get(known.id)
    of = f"with the template {json.dumps(known.template)} and the plan {json.dumps(known.plan)}"
    made = of if known.created_at is None else f"created {json.dumps(known.created_at)}"
    other = f", but the change is for a container {made}"
    if row is None:
        # The change may also name a container that somebody creates later.
        return f"not in the account now{other}"
    price = "price not known" if row["usd"] is None else f"{usd(Decimal(row['usd']))} a month"
    words = [
        json.dumps(row["name"]),
        row["template"] or "unknown template",
        *([row["plan"]] if row["plan"] else []),
        price,
    ]
    words.append(f"owned by {row['owner']}" if row["owner"] else _NO_OWNER)
    if row["created_at"] is None:
        words.append("without a creation time, so it is identified by id, template and plan")
    else:
        words.append(f"created {row['created_at']}")
    # The broker compares in the same way, for instance a time in another time zone.
    now = Container(id=known.id, template=row["template"], plan=row["plan"], created_at=row["created_at"])
    return ", ".join(words) + ("" if is_same(now, known) else other)


def _id(id_: str) -> str:
    """Return an id as it appears in the path of a request."""
    return quote(id_, safe="")


def _steps(change: Change) -> Table:
    rows = tuple(
        Row(
            (
                _ACTIONS.get(step.operation, "same"),
                step.operation,
                repr(step.name),
                step.type,
                ", ".join(step.changed),
            ),
            _ACTIONS.get(step.operation, "same"),
        )
        for step in reported(change).steps
    )
    columns = (
        Column("", "action"),
        Column("Step"),
        Column("Resource"),
        Column("Type"),
        Column("Inputs that change"),
    )
    return Table(columns, rows, title="Reported by the planner, not enforced by the broker")
