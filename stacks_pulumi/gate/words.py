"""
How is a change shown to the person who signs it?

Each permit is a line with its request. What the containers are, whose they are and what they cost is from the broker,
and never from the state. What the planner reports is shown apart: no broker enforces it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec

from stacks_pulumi.broker.change import ANY, Change, Known, Permit
from stacks_pulumi.broker.rules import in_words
from stacks_pulumi.errors import clean
from stacks_pulumi.gate.workflow import Judged, Report, reported
from stacks_pulumi.pricing.money import usd

RESULTS: Final = {
    "nothing": "nothing changes",
    "free": "may be applied without an approval",
    "needs_approval": "needs an approval",
    "refused": "refused",
}
_ORDER: Final = (
    "Each line may happen alone, in any order, or not at all, unless it says after which others. Nothing else may "
    "happen at STACKS."
)
_NO_BROKER: Final = (
    "No broker was asked: prices, owners and creation times are only what the planner says, and the broker may refuse "
    "the change."
)
_BLANK: Final = "no owner in the ledger"


def text_of(judged: Judged) -> str:
    """Return what a person reads before they sign a change."""
    return "".join(f"{clean(line)}\n" for line in _lines(judged))


def markdown_of(judged: Judged) -> str:
    """Return the same for a page."""
    text = text_of(judged)
    fence = "`" * max(3, 1 + max((len(run) for run in text.split() if set(run) == {"`"}), default=0))
    return f"{fence}text\n{text}{fence}\n"


def data_of(judged: Judged) -> dict[str, Any]:
    """Return the same for a program."""
    said = judged.said or {}
    return {
        "result": judged.result,
        "change": msgspec.to_builtins(judged.change),
        "verdict": said.get("verdict"),
        "containers": said.get("containers", {}),
        "approvals": said.get("approvals", []),
        "missing": said.get("missing"),
    }


def _lines(judged: Judged) -> Iterator[str]:
    change, said = judged.change, judged.said
    verdict: Mapping[str, Any] = {} if said is None else said["verdict"]
    containers: Mapping[str, Any] = {} if said is None else said["containers"]
    yield f"{change.stack}: {RESULTS[judged.result]}{_money(verdict)}"
    who = f" by {change.author}" if change.author else ""
    yield f"planned{who}, to be handed in until {change.until}, for the broker {change.account}"
    if change.request:
        yield f"it approves the access request {change.request}"
    if change.ceiling is not None:
        most = change.ceiling
        moment = (
            "" if most.at_any_moment is None else f", and {usd(Decimal(most.at_any_moment))} at any moment"
        )
        yield f"it may add at most {usd(Decimal(most.increase))} to the monthly price{moment}"
    if said is None:
        yield _NO_BROKER
    if change.permits:
        yield ""
        yield _ORDER
    for permit in change.permits:
        yield from _permit(permit, verdict.get("prices", {}), containers)
    for secret in change.secrets:
        of = " or ".join(symbol for one in secret.ids.values() for symbol in one.of)
        query = ", ".join(f"{name} {value}" for name, value in secret.query.items())
        yield f"   it reads the secret {secret.endpoint} of {of}{f' ({query})' if query else ''}"
    if change.known:
        yield ""
        yield "Containers that exist:"
        for symbol, one in change.known.items():
            yield f"   {symbol} is {one.id}: {_container(one, containers, is_asked=said is not None)}"
    yield from _found(verdict.get("findings", ()))
    yield from _reported(change)
    if said is not None and (said["approvals"] or judged.result == "needs_approval"):
        yield ""
        yield f"Approved by {', '.join(said['approvals']) or 'no one yet'}"
        if said["missing"]:
            yield f"   {said['missing']}"


def _money(verdict: Mapping[str, Any]) -> str:
    if not verdict:
        return ""
    increase, most = verdict["increase"], verdict["at_any_moment"]
    if increase is None or most is None:
        return "; the increase of the monthly price has no upper bound"
    # Without a create, nothing is added at any moment.
    moment = (
        f", at one moment {usd(Decimal(most))}"
        if Decimal(most) != Decimal(increase) and Decimal(most)
        else ""
    )
    amount = Decimal(increase)
    sign = "-" if amount < 0 else "+"
    return f"; {sign}{usd(abs(amount))} a month{moment}"


def _permit(permit: Permit, prices: Mapping[str, Any], containers: Mapping[str, Any]) -> Iterator[str]:
    more = []
    if permit.endpoint == "containers.create":
        price = prices.get(str(permit.n), permit.usd)
        more.append("price not known" if price is None else f"{usd(Decimal(price))} a month")
    if permit.binds is not None:
        more.append(f"becomes {permit.binds!r}")
    if ANY in permit.body.values():
        more.append("a value of it may be any")
    if permit.only_address is not None:
        more.append(f"only if no other address than {permit.only_address} is listed")
    if permit.after:
        more.append(f"after {', '.join(map(str, permit.after))}")
    yield f"{permit.n:>4}. {in_words(permit)}{'; ' if more else ''}{'; '.join(more)}"
    if permit.why:
        yield f"      {permit.why}"
    for one in permit.ids.values():
        if one.is_ is not None and one.created_at is not None and one.in_ is None:
            known = Known(id=one.is_, created_at=one.created_at)
            yield f"      {one.is_} is {_container(known, containers, is_asked=bool(containers))}"
    if permit.destroys:
        yield f"      it destroys {permit.destroys}"


def _container(known: Known, containers: Mapping[str, Any], *, is_asked: bool) -> str:
    """Return what a container is: as the broker says it, or, without one, as the planner does."""
    if not is_asked:
        return f"{known.template or 'unknown'}, made {known.created_at or 'at an unknown time'} (the planner's words)"
    row = containers.get(known.id)
    if row is None:
        return "not in the account now"
    price = "price not known" if row["usd"] is None else f"{usd(Decimal(row['usd']))} a month"
    words = [
        f'"{row["name"]}"',
        row["template"] or "unknown template",
        *([row["plan"]] if row["plan"] else []),
        price,
    ]
    words.append(f"of {row['owner']}" if row["owner"] else _BLANK)
    if row["created_at"] is None:
        words.append("without a creation time, so it is known by id, template and plan")
    elif known.created_at == row["created_at"]:
        words.append(f"made {row['created_at']}")
    else:
        words.append(f"made {row['created_at']}, and the change is about one made {known.created_at}")
    return ", ".join(words)


def _found(findings: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if findings:
        yield ""
        yield "The rules of the broker:"
    for one in findings:
        yield f"   {'refused' if one['action'] == 'refuse' else 'approval'} by {one['rule']}: {one['text']}"


def _reported(change: Change) -> Iterator[str]:
    said = reported(change)
    if said == Report():
        return
    yield ""
    yield "Reported by the planner, and not enforced by the broker:"
    for step in said.steps:
        changed = f" ({', '.join(step.changed)})" if step.changed else ""
        yield f"   {step.operation} {step.name!r}, {step.type}{changed}"
    for one in said.findings:
        yield f"   {'refused' if one.action == 'refuse' else 'approval'} by {one.rule}: {one.text}"
    for note in said.violations:
        yield f"   {note}"
    if said.plan is not None:
        yield f"   the engine's saved plan, SHA-256 {said.plan}"
