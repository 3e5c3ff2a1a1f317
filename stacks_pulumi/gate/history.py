"""
Who has changed what, for how much, and approved by whom?

`apply` writes it into the message of the update, which every backend keeps in the stack's history. The history is for
people and no ledger: every user of the backend can write an entry. So an entry names an approver only if the
signature in it verifies, and what was spent is never less than what the account shows.
"""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from stacks_pulumi._identifiers import seconds_of
from stacks_pulumi._pulumi_cli import PulumiError
from stacks_pulumi.errors import StacksError, clean
from stacks_pulumi.gate import engine, signatures
from stacks_pulumi.gate.record import short_name
from stacks_pulumi.gate.signatures import Approval
from stacks_pulumi.pricing.money import Price, usd

if TYPE_CHECKING:
    from stacks_pulumi.gate.record import Record
    from stacks_pulumi.gate.settings import Gate
    from stacks_pulumi.gate.verdict import Verdict

_MARK: Final = "stacks-pulumi gate 1 "
_LONGEST: Final = 5000
"""The most characters of a message that every backend keeps."""
_DAY: Final = datetime.timedelta(hours=24)
_SHOWN: Final = 12
_PRICE: Final = re.compile(r"\$[\d,]+\.\d\d( or more| to \$[\d,]+\.\d\d)?", re.ASCII)
"""What `_price` returns."""


class _Signed(msgspec.Struct, frozen=True):
    text: str
    signature: str


class Said(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """
    What the message of an update says.

    Attributes:
        record: The record's digest.
        stack: The stack's full name.
        before: The monthly price before it.
        after: The monthly price after it.
        increase: The most that it adds to the monthly price; `None` without a bound.
        approvals: The approvals, with their signatures.
        left_out: Whether the signatures did not fit.
        during: The most that it adds at any moment: an update may fail before its deletions.
    """

    record: str
    stack: str
    before: str
    after: str
    increase: Decimal | None
    approvals: tuple[_Signed, ...] = ()
    left_out: bool = False
    during: Decimal | None = Decimal(0)

    @property
    def added(self) -> Decimal | None:
        """The most that it added, whatever fell; `None` without a bound."""
        return signatures.most_added(self.increase, self.during)


@dataclass(frozen=True)
class LoggedUpdate:
    """
    One update in the stack's history.

    Attributes:
        version: Its number.
        kind: `update`, `refresh`, `destroy` ...
        result: `succeeded` or `failed`.
        at: When it began.
        message: Its message for people, cleaned.
        changes: How many resources it created, updated, deleted ..., by the engine's name of the operation.
        said: What the gate wrote into the message; `None` for an update without the gate.
        approvers: Who approved it, as far as the signatures verify.
        doubt: Why it is not certain that the gate made it and that these people approved it; empty if it is.
    """

    version: int
    kind: str
    result: str
    at: datetime.datetime
    message: str
    changes: Mapping[str, int]
    said: Said | None = None
    approvers: tuple[str, ...] = ()
    doubt: str = ""

    @property
    def verified(self) -> bool:
        """Whether people approved it, and their signatures verify."""
        return self.said is not None and bool(self.approvers) and not self.doubt

    def describe(self) -> dict[str, Any]:
        """Return it for programs."""
        said = self.said
        return {
            "version": self.version,
            "kind": self.kind,
            "result": self.result,
            "at": self.at.isoformat(),
            "message": self.message,
            "changes": dict(self.changes),
            "record": None if said is None else said.record,
            "price_before": None if said is None else said.before,
            "price_after": None if said is None else said.after,
            "approvers": list(self.approvers),
            "verified": self.verified,
            "doubt": self.doubt,
        }


def message(record: Record, verdict: Verdict, approvals: Sequence[Approval]) -> str:
    """Return the message of an update: a line for people, and one for `log`."""
    names = ", ".join(approval.name for approval in approvals)
    by = f"approved by {names}" if names else "within what is free"
    before, after = _price(verdict.price_before), _price(verdict.price_after)
    people = f"gate: {before} -> {after} a month, {by} (record {record.digest[:_SHOWN]})"
    said = Said(
        record.digest,
        record.content.stack,
        before,
        after,
        verdict.increase,
        tuple(_Signed(one.text.decode(), one.signature.decode()) for one in approvals),
        during=verdict.increase_during,
    )
    whole = f"{people}\n{_MARK}{msgspec.json.encode(said).decode()}"
    if len(whole) <= _LONGEST:
        return whole
    short = msgspec.structs.replace(said, approvals=(), left_out=True)
    return f"{people}\n{_MARK}{msgspec.json.encode(short).decode()}"


def _price(price: Price) -> str:
    if price.high is None:
        return f"{usd(price.low)} or more"
    return usd(price.low) if price.low == price.high else f"{usd(price.low)} to {usd(price.high)}"


def log(project: Path, stack: str | None, gate: Gate | None = None) -> tuple[LoggedUpdate, ...]:
    """
    Return the stack's history, the newest first.

    Args:
        project: The project's folder.
        stack: The stack's name; by default the selected stack.
        gate: The gate whose approvers sign. Without one, no signature can be compared with a name.

    Raises:
        InputError: The project has a setting that the gate does not allow, such as a backend: that has another history.
        PulumiError: The history cannot be read.
    """
    pulumi = engine.opened(project, stack, gate)
    return entries(pulumi.history(), pulumi.stack, gate)


def entries(rows: Iterable[Mapping[str, Any]], stack: str, gate: Gate | None) -> tuple[LoggedUpdate, ...]:
    """
    Return the entries of a history, in its order.

    Args:
        rows: What the engine prints.
        stack: The stack's full name.
        gate: The gate whose approvers sign.
    """
    used: set[str] = set()
    found = []
    # The oldest first: an approval that is used again is the later one.
    for row in reversed(list(rows)):
        entry = _entry(row)
        said = entry.said
        if said is not None:
            entry = _judged(entry, said, stack, gate, used)
            if entry.result == "succeeded":
                used.add(said.record)
        found.append(entry)
    return tuple(reversed(found))


def _entry(row: Mapping[str, Any]) -> LoggedUpdate:
    text = str(row.get("message") or "")
    people, _, rest = text.partition(f"\n{_MARK}")
    said = _said(rest) if rest else None
    doubt = "its message looks like one of the gate, and cannot be read" if rest and said is None else ""
    changes = row.get("resourceChanges")
    return LoggedUpdate(
        int(row.get("version") or 0),
        clean(str(row.get("kind") or "")),
        clean(str(row.get("result") or "")),
        _instant(row.get("startTime")),
        clean(people),
        {clean(str(name)): int(number) for name, number in changes.items()}
        if isinstance(changes, dict)
        else {},
        said,
        doubt=doubt,
    )


def _said(text: str) -> Said | None:
    try:
        said = msgspec.json.decode(text, type=Said)
    except (msgspec.DecodeError, RecursionError):
        return None
    # With `NaN`, nothing could be compared; and in place of a price, a text could say who approved it.
    is_read = all(one is None or one.is_finite() for one in (said.increase, said.during))
    return said if is_read and all(map(_PRICE.fullmatch, (said.before, said.after))) else None


def _instant(text: Any) -> datetime.datetime:
    seconds = seconds_of(text)
    if seconds is None:
        # What has no readable time may have been in the last 24 hours.
        return datetime.datetime.max.replace(tzinfo=datetime.timezone.utc)
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)


def _judged(entry: LoggedUpdate, said: Said, stack: str, gate: Gate | None, used: set[str]) -> LoggedUpdate:
    """Return an entry with who approved it, or with why that is not certain."""
    if entry.kind != "update":
        return replace(entry, doubt=f"the gate makes no {entry.kind}: its message is a copy")
    if said.stack != stack:
        return replace(entry, doubt="its message is that of another stack")
    if said.record in used:
        return replace(entry, doubt="its record was applied before: its message is a copy")
    if not said.approvals:
        why = "the signatures did not fit into its message" if said.left_out else "without a signature"
        return replace(entry, doubt=why)
    if gate is None:
        return replace(entry, doubt="signed, and not compared with the approvers: name the gate with --gate")
    names = []
    for one in said.approvals:
        try:
            approval = signatures.verify(one.text.encode(), one.signature.encode(), gate.signers, entry.at)
        except StacksError as error:
            return replace(entry, doubt=clean(error.message))
        stated = approval.statement
        if stated.digest != said.record or stated.stack != said.stack:
            return replace(entry, doubt=f"{approval.name} approved another record")
        if entry.at > stated.until:
            return replace(entry, doubt=f"the approval of {approval.name} had ended")
        if stated.ceiling is not None and (said.added is None or said.added > stated.ceiling):
            return replace(
                entry, doubt=f"{approval.name} approved an increase of {usd(stated.ceiling)} at most"
            )
        names.append(approval.name)
    return replace(entry, approvers=tuple(dict.fromkeys(names)))


def applied(found: Iterable[LoggedUpdate]) -> frozenset[str]:
    """Return the digests of the records that a history says were applied, at least in part."""
    return frozenset(
        entry.said.record
        for entry in found
        if entry.said is not None and (entry.result == "succeeded" or {*entry.changes} - {"same"})
    )


def increases(found: Iterable[LoggedUpdate], now: datetime.datetime) -> list[tuple[str, Decimal | None]]:
    """Return the record and the increase of each of the gate's entries of the last 24 hours; `None` without a bound."""
    return [
        (entry.said.record, entry.said.added)
        for entry in found
        if entry.said is not None and entry.at > now - _DAY
    ]


def said_in_a_day(
    pulumi: engine.Engine, gate: Gate, now: datetime.datetime
) -> list[tuple[str, Decimal | None]]:
    """
    Return what `increases` returns, of all stacks that a gate is for: what is free in a day is for all of them.

    An account does not show when a container became larger, so only the history of its stack has that.

    Args:
        pulumi: The engine for one of the stacks.
        gate: The gate.
        now: The time, with a time zone.

    Raises:
        PulumiError: The history of this stack cannot be read.
    """
    found = increases(entries(pulumi.history(), pulumi.stack, None), now)
    try:
        for stack in _others_since(pulumi, (now - _DAY).timestamp()):
            if gate.serves(short_name(stack)):
                found += increases(entries(pulumi.history(stack), stack, None), now)
    except PulumiError:
        # Any increase is possible.
        found.append(("", None))
    return found


def _others_since(pulumi: engine.Engine, seconds: float) -> Iterator[str]:
    """Yield the full names of the other stacks that were updated at this time or later, or may have been."""
    organization, project, _ = pulumi.stack.split("/")
    for one in pulumi.stacks():
        last = one.get("lastUpdate")
        updated = seconds_of(str(last)) if last else -math.inf
        # The engine leaves out the project of this folder, and then also the organization.
        *before, name = str(one.get("name")).split("/")
        full = "/".join((*(before or [organization]), *([project] if len(before) < 2 else []), name))
        if full != pulumi.stack and (updated is None or updated >= seconds or one.get("updateInProgress")):
            yield full
