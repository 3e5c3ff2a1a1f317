"""
Who has approved a record, and does the approval hold?

An approval is a text with the record's digest and what the approver accepts, and an SSH signature of it. It is one file
of the record. The approver's name is in `allowed_signers`, and never taken from the text: the name is whose key it is.
"""

from __future__ import annotations

import datetime
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from stacks_pulumi._pulumi_cli import InputError
from stacks_pulumi._settings_file import text_of, why_unreadable
from stacks_pulumi.broker.signatures import BEGIN, SignatureError, make, signer_of
from stacks_pulumi.errors import StacksError, clean
from stacks_pulumi.pricing.money import number, usd

if TYPE_CHECKING:
    from stacks_pulumi.gate.settings import Gate

UNKNOWN: Final = "unknown"
"""What an approver accepts beside rules: values that are not known until the change is made."""

_TITLE: Final = "stacks-pulumi gate: approval, version 1"
_FIELDS: Final = ("record", "stack", "ceiling", "accepts", "until")
_ANY: Final = "any"
_NONE: Final = "no rule"
_TIME: Final = "%Y-%m-%dT%H:%M:%SZ"
_MOST: Final = 100_000
_TITLES: Final = re.compile(rb"(?m)^(?=%s$)" % _TITLE.encode())

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


class Judged(Protocol):
    """What an approval is compared with: the verdict on the change, made now."""

    @property
    def increase(self) -> Decimal | None:
        """The highest increase of the monthly price; `None` if it has no known bound."""

    @property
    def increase_during(self) -> Decimal | None:
        """The highest increase at any moment of the change."""

    @property
    def rules(self) -> frozenset[str]:
        """The rules that ask for an approval."""

    @property
    def unknown(self) -> tuple[str, ...]:
        """What is not known until the change is made, and has to be accepted too."""

    @property
    def needs_destroy(self) -> bool:
        """Whether data is destroyed or overwritten, also if a rule passes because there is a backup."""


@dataclass(frozen=True)
class Subject:
    """
    What has to be approved.

    Attributes:
        digest: The record's digest.
        stack: The stack, as the record names it: `organization/project/stack`.
        author: The author of the change, as `Name <address>`; empty if not known.
        judged: The verdict on the change, made now.
    """

    digest: str
    stack: str
    author: str
    judged: Judged

    @property
    def accepts(self) -> frozenset[str]:
        """What an approver has to accept: the rules that ask for an approval, and `unknown`."""
        return self.judged.rules | ({UNKNOWN} if self.judged.unknown else frozenset())

    @property
    def added(self) -> Decimal | None:
        """The most that it adds to the monthly price; `None` without a bound. Deletions may come last, or fail."""
        return most_added(self.judged.increase, self.judged.increase_during)


def most_added(at_the_end: Decimal | None, during: Decimal | None) -> Decimal | None:
    """Return the higher of two increases; `None` if one of them has no bound."""
    return None if at_the_end is None or during is None else max(at_the_end, during)


@dataclass(frozen=True)
class Statement:
    """
    What an approver signs.

    Attributes:
        digest: The record's digest.
        stack: The stack.
        ceiling: The highest increase of the monthly price that is approved; `None` for any.
        accepts: What was shown and is accepted: names of rules, and `unknown`.
        until: The last instant at which the change may begin, in UTC, in whole seconds.
    """

    digest: str
    stack: str
    ceiling: Decimal | None
    accepts: tuple[str, ...]
    until: datetime.datetime

    @property
    def text(self) -> bytes:
        """The text that is signed."""
        values = (
            self.digest,
            self.stack,
            _ANY if self.ceiling is None else f"{self.ceiling:.2f}",
            ", ".join(self.accepts) or _NONE,
            self.until.astimezone(datetime.timezone.utc).strftime(_TIME),
        )
        lines = (f"{name}: {value}" for name, value in zip(_FIELDS, values, strict=True))
        return "\n".join((_TITLE, *lines, "")).encode()


@dataclass(frozen=True)
class Approval:
    """
    An approval whose signature verifies.

    Attributes:
        name: Whose key signed it.
        statement: What they approve.
        signature: The signature, in SSH's armour.
    """

    name: str
    statement: Statement
    signature: bytes

    @property
    def text(self) -> bytes:
        """The text that is signed."""
        return self.statement.text


@dataclass(frozen=True)
class Approvals:
    """
    The approvals of a record.

    Attributes:
        valid: Those that count, one for each person.
        problems: Why the others do not, each with its file.
        missing: Why those that count are not enough; empty if they are.
    """

    valid: tuple[Approval, ...]
    problems: tuple[str, ...]
    missing: str


def sign(statement: Statement, key: Path, signers: Path, at: datetime.datetime) -> Approval:
    """
    Sign a statement.

    Args:
        statement: The statement.
        key: The private key, or the public one of a key that an agent has.
        signers: The file with the keys of the approvers.
        at: The time now, in UTC.

    Raises:
        SignatureError: It cannot be signed, or the file does not have the key.
        ConfigError: The file of signers is wrong.
    """
    return verify(statement.text, make(statement.text, key, signers, at), signers, at)


def verify(text: bytes, signature: bytes, signers: Path, at: datetime.datetime) -> Approval:
    """
    Return the approval that a text and its signature are.

    Args:
        text: The text of a statement.
        signature: The signature, in SSH's armour.
        signers: The file with the keys of the approvers.
        at: The time at which their keys have to be valid, in UTC.

    Raises:
        SignatureError: The text is not a statement's, or the signature is not a known approver's.
        ConfigError: The file of signers is wrong.
    """
    statement = _parse(text)
    return Approval(signer_of(text, signature, signers, at), statement, signature)


def save(approval: Approval, folder: Path) -> Path:
    """
    Write an approval into the folder of a record's approvals, and return its file.

    Raises:
        InputError: It cannot be written.
    """
    data = approval.text + approval.signature
    path = folder / f"{approval.name}-{hashlib.sha256(data).hexdigest()[:12]}.txt"
    try:
        folder.mkdir(exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        raise InputError(
            f"the approval {path} cannot be written: {error.strerror}", code="file-access"
        ) from None
    return path


def check(folder: Path, subject: Subject, gate: Gate, now: datetime.datetime) -> Approvals:
    """
    Return which approvals of a record count, and whether they are enough for the change as it is judged now.

    Args:
        folder: The folder of the record's approvals; it may not exist.
        subject: What has to be approved.
        gate: The gate.
        now: The time now, in UTC.

    Raises:
        ConfigError: The file of signers is wrong.
    """
    valid: dict[str, Approval] = {}
    problems: list[str] = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        try:
            documents = _documents(path)
        except StacksError as error:
            problems.append(clean(f"{path.name}: {error.message}"))
            continue
        for document in documents:
            try:
                approval = _read(document, gate.signers, now)
                reason = _void(approval, subject, gate, now)
            except StacksError as error:
                reason = error.message
            if reason:
                problems.append(clean(f"{path.name}: {reason}"))
            else:
                valid.setdefault(approval.name, approval)
    needed = 2 if gate.two_approvals & subject.accepts else 1
    return Approvals(tuple(valid.values()), tuple(problems), _missing(len(valid), needed, problems))


def _missing(number: int, needed: int, problems: Sequence[str]) -> str:
    if number >= needed:
        return ""
    said = (
        "it needs an approval" if needed == 1 else f"it needs the approvals of two people, and has {number}"
    )
    return "; ".join((said, *(f"not valid: {one}" for one in problems)))


def _void(approval: Approval, subject: Subject, gate: Gate, now: datetime.datetime) -> str:
    """Return why an approval does not count; empty if it does."""
    stated, increase = approval.statement, subject.added
    if stated.digest != subject.digest:
        return f"{approval.name} approved another record"
    if stated.stack != subject.stack:
        return f"{approval.name} approved a change of another stack, and this is {subject.stack}"
    if now > stated.until:
        return f"the approval of {approval.name} ended at {stated.until:{_TIME}}"
    if stated.ceiling is not None and (increase is None or increase > stated.ceiling):
        return (
            f"{approval.name} approved an increase of {usd(stated.ceiling)} a month at most, "
            f"and it is {_amount(increase)}"
        )
    unseen = sorted(subject.accepts - {*stated.accepts})
    if unseen:
        return f"{approval.name} did not accept {', '.join(unseen)}"
    return why_not(approval.name, stated.ceiling, subject, gate)


def why_not(name: str, ceiling: Decimal | None, subject: Subject, gate: Gate) -> str:
    """
    Return why a person may not approve a change; empty if they may.

    Args:
        name: The approver's name.
        ceiling: The increase that they approve; `None` for any.
        subject: What has to be approved.
        gate: The gate.
    """
    stack = "/".join(subject.stack.split("/")[-2:])
    return gate.file.why_not(name, subject.author, stack, ceiling, destroys=subject.judged.needs_destroy)


def _amount(increase: Decimal | None) -> str:
    return "without a known upper bound" if increase is None else usd(increase)


def _documents(path: Path) -> list[bytes]:
    """Return the approvals in a file: one, or several after each other, as a pipeline may hand them over."""
    try:
        data = b"" if path.is_symlink() else text_of(path, longest=_MOST).encode()
    except (OSError, ValueError) as error:
        raise SignatureError(f"it is not an approval: {why_unreadable(error)}", code="invalid-file") from None
    if not data:
        raise SignatureError("it is not an approval", code="invalid-file")
    return _TITLES.split(data)[1:] or [data]


def _read(document: bytes, signers: Path, now: datetime.datetime) -> Approval:
    text, begin, rest = document.partition(BEGIN)
    if not begin:
        raise SignatureError("it is not an approval", code="invalid-file")
    return verify(text, begin + rest, signers, now)


def _parse(text: bytes) -> Statement:
    """Return the statement whose text this is, to the byte."""
    try:
        lines = text.decode().split("\n")
        values = [line.partition(": ")[2] for line in lines[1:-1]]
        digest, stack, ceiling, accepts, until = values
        statement = Statement(
            digest,
            stack,
            None if ceiling == _ANY else number(ceiling),
            () if accepts == _NONE else tuple(accepts.split(", ")),
            datetime.datetime.strptime(until, _TIME).replace(tzinfo=datetime.timezone.utc),
        )
    except ValueError:
        statement = None
    if statement is None or statement.text != text or not _DIGEST.fullmatch(statement.digest):
        raise SignatureError(
            "its text is not that of an approval, in lines as `approve` wrote it (a form of one line loses them)",
            code="invalid-file",
        )
    return statement
