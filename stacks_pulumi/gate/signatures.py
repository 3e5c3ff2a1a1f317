"""
Who has approved a record, and does the approval hold?

An approval is a text with the record's digest and what the approver accepts, and an SSH signature of it. It is one file
of the record. The approver's name is in `allowed_signers`, and never taken from the text: the name is whose key it is.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import hashlib
import os
import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from stacks_pulumi._pulumi_cli import InputError, read_file
from stacks_pulumi.errors import ConfigError, clean
from stacks_pulumi.pricing.money import number, usd

if TYPE_CHECKING:
    from stacks_pulumi.gate.settings import ApproverLimit, Gate

NAMESPACE: Final = "stacks-pulumi-gate"
"""What a signature is for. A signature of a git commit is in another namespace, and no approval."""

UNKNOWN: Final = "unknown"
"""What an approver accepts beside rules: values that are not known until the change is made."""

_TITLE: Final = "stacks-pulumi gate: approval, version 1"
_FIELDS: Final = ("record", "stack", "ceiling", "accepts", "until")
_ANY: Final = "any"
_NONE: Final = "no rule"
_TIME: Final = "%Y-%m-%dT%H:%M:%SZ"
_BEGIN: Final = b"-----BEGIN SSH SIGNATURE-----"
_ARMOUR: Final = re.compile(
    rb"-----BEGIN SSH SIGNATURE-----\n[A-Za-z0-9+/=\n]+\n-----END SSH SIGNATURE-----\n?"
)
_MOST: Final = 100_000
_SECONDS: Final = 60

_TITLES: Final = re.compile(rb"(?m)^(?=%s$)" % _TITLE.encode())

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}", re.ASCII)
_KEY_TYPE: Final = re.compile(r"(ssh|ecdsa|sk)-[a-z0-9@.-]+", re.ASCII)
_OPTIONS: Final = re.compile(r'[a-z-]+(="[^"\\]*")?(,[a-z-]+(="[^"\\]*")?)*', re.ASCII | re.IGNORECASE)
_DATE: Final = re.compile(r'"[0-9]{8}(?:[0-9]{4}(?:[0-9]{2})?)?Z?"', re.ASCII)
_KNOWN_OPTIONS: Final = ("namespaces", "valid-after", "valid-before")


class Judged(Protocol):
    """What an approval is compared with: the verdict on the change, made now."""

    @property
    def increase(self) -> Decimal | None:
        """The highest increase of the monthly price; `None` if it has no known bound."""

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


class SignatureError(InputError):
    """Raised if a signature does not verify, or cannot be made."""


def names_of(signers: Path) -> frozenset[str]:
    """
    Return the names in a file of signers.

    Raises:
        ConfigError: A line does not name one person by one key. A pattern would verify as anybody.
    """
    return names_in(read_file(signers).decode(errors="replace"), str(signers))


def names_in(text: str, path: str) -> frozenset[str]:
    """
    Return the names in the text of a file of signers.

    Args:
        text: The text.
        path: The file's name, for messages.

    Raises:
        ConfigError: As `names_of`.
    """
    found: dict[bytes, str] = {}
    for position, line in enumerate(text.split("\n"), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            name, key = _signer(line)
            problem = _twice(name, key, found)
        except ValueError as error:
            problem = str(error)
        if problem:
            raise ConfigError(f"{path}, line {position}: {problem}", code="invalid-file")
        found[key] = name
    return frozenset(found.values())


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
    if not key.is_file():
        raise SignatureError(f"there is no key {key}: name it with --key", code="file-access")
    # From standard input: beside a file, an existing signature would make it ask.
    done = _run(["-Y", "sign", "-f", str(key), "-n", NAMESPACE], statement.text)
    if done.returncode or not done.stdout.startswith(_BEGIN):
        raise SignatureError(
            f"the key {key} does not sign: {_said(done)}; if it is locked, unlock it with `ssh-add {key}` first",
            code="file-access",
        )
    return verify(statement.text, done.stdout, signers, at)


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
    if not _ARMOUR.fullmatch(signature):
        raise SignatureError("its signature is damaged", code="invalid-file")
    names = names_of(signers)
    time = f"verify-time={at.astimezone(datetime.timezone.utc):%Y%m%d%H%M%S}"
    with tempfile.TemporaryDirectory(prefix="stacks-approval-") as folder:
        file = Path(folder) / "signature"
        file.write_bytes(signature)
        found = _run(["-Y", "find-principals", "-s", str(file), "-f", str(signers), "-O", time])
        lines = set(found.stdout.decode(errors="replace").split())
        if found.returncode or len(lines) != 1 or not lines <= names:
            raise SignatureError(
                f"no valid key in {signers.name} made this signature: {_said(found)} Its line may be missing, or its "
                "time may be over",
                code="invalid-argument",
            )
        (name,) = lines
        checked = _run(
            ["-Y", "verify", "-f", str(signers), "-I", name, "-n", NAMESPACE, "-s", str(file), "-O", time],
            text,
        )
    if checked.returncode:
        raise SignatureError(f"the signature does not verify: {_said(checked)}", code="invalid-argument")
    return Approval(name, statement, signature)


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
        except InputError as error:
            problems.append(clean(f"{path.name}: {error.message}"))
            continue
        for document in documents:
            try:
                approval = _read(document, gate.signers, now)
                reason = _void(approval, subject, gate, now)
            except InputError as error:
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
    stated, increase = approval.statement, subject.judged.increase
    if stated.digest != subject.digest:
        return f"{approval.name} approved another record"
    if stated.stack != subject.stack:
        return f"{approval.name} approved a change of {stated.stack}, and this is {subject.stack}"
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
    if gate.file.other_than_author:
        if not subject.author:
            return "the author of the change is not known, and the gate wants another person to approve it"
        if _is(name, subject.author):
            return f"{name} is the author of the change, and the gate wants another person to approve it"
    limit: ApproverLimit | None = gate.file.approver_limits.get(name)
    if limit is None:
        return ""
    if not limit.covers("/".join(subject.stack.split("/")[-2:])):
        return f"{name} may not approve changes of {subject.stack}"
    if subject.judged.needs_destroy and not limit.may_destroy:
        return f"{name} may not approve that data is destroyed or overwritten"
    if limit.ceiling is not None and (ceiling is None or ceiling > limit.ceiling):
        return (
            f"{name} may approve an increase of {usd(limit.ceiling)} a month at most, not {_amount(ceiling)}"
        )
    return ""


def _is(name: str, author: str) -> bool:
    """Return whether an approver's name is that of an author: their name, their address, or what is before its @."""
    who, _, address = author.rpartition("<")
    address = address.rstrip(">").strip().casefold()
    names = {who.strip().casefold(), address, address.partition("@")[0]}
    return name.casefold() in names or name.casefold().partition("@")[0] in names


def _amount(increase: Decimal | None) -> str:
    return "without a known upper bound" if increase is None else usd(increase)


def _documents(path: Path) -> list[bytes]:
    """Return the approvals in a file: one, or several after each other, as a pipeline may hand them over."""
    data = b"" if path.is_symlink() else read_file(path)
    if not data or len(data) > _MOST:
        raise SignatureError("it is not an approval", code="invalid-file")
    return _TITLES.split(data)[1:] or [data]


def _read(document: bytes, signers: Path, now: datetime.datetime) -> Approval:
    text, begin, rest = document.partition(_BEGIN)
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
        raise SignatureError("its text is not that of an approval", code="invalid-file")
    return statement


def _twice(name: str, key: bytes, found: Mapping[bytes, str]) -> str:
    """Return why one person would count as two; empty if they do not."""
    owner = found.get(key, name)
    if owner != name:
        return f"the key of {name} is the key of {owner} too"
    twin = next((one for one in found.values() if one != name and one.casefold() == name.casefold()), None)
    return "" if twin is None else f"{name} and {twin} are one name in two spellings"


def _signer(line: str) -> tuple[str, bytes]:
    words = line.split()
    name, rest = words[0], words[1:]
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{clean(name)} is not the name of one person: patterns and lists are refused, since they verify as anybody"
        )
    if rest and not _KEY_TYPE.fullmatch(rest[0]):
        _check_options(rest.pop(0))
    if len(rest) < 2 or not _KEY_TYPE.fullmatch(rest[0]):
        raise ValueError(f'a line is: NAME namespaces="{NAMESPACE}" KEYTYPE KEY')
    try:
        key = base64.b64decode(rest[1], validate=True)
    except binascii.Error:
        raise ValueError(f"the key of {name} is damaged") from None
    return name, key


def _check_options(text: str) -> None:
    if not _OPTIONS.fullmatch(text):
        raise ValueError("its options cannot be read: write them without spaces")
    for option in (
        text.split(",") if '"' not in text else re.findall(r'[a-z-]+(?:="[^"]*")?', text, re.IGNORECASE)
    ):
        name, _, value = option.partition("=")
        if name.lower() not in _KNOWN_OPTIONS:
            # With `cert-authority` the holder of one key makes names.
            raise ValueError(f"the option {name} is not supported: there are {', '.join(_KNOWN_OPTIONS)}")
        if name.lower() == "namespaces" and value.strip('"') != NAMESPACE:
            raise ValueError(f'its namespaces have to be "{NAMESPACE}"')
        if name.lower() != "namespaces" and not _DATE.fullmatch(value):
            # Without a message, ssh-keygen would take the key for one that never holds.
            raise ValueError(
                f'{clean(option)} is not a time: write it as {name}="20271231" or "202712312359Z"'
            )


def _run(words: Sequence[str], data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run ssh-keygen without a terminal, where it cannot ask for a passphrase. It reads local times, hence UTC."""
    environment = {**os.environ, "TZ": "UTC", "LC_ALL": "C", "SSH_ASKPASS_REQUIRE": "never"}
    for name in ("SSH_ASKPASS", "DISPLAY"):
        environment.pop(name, None)
    try:
        return subprocess.run(  # noqa: S603  (no shell)
            ["ssh-keygen", *words],  # noqa: S607  (found on PATH, as the user finds it)
            input=data,
            capture_output=True,
            check=False,
            env=environment,
            # Without a terminal.
            start_new_session=True,
            timeout=_SECONDS,
        )
    except FileNotFoundError:
        raise SignatureError(
            "ssh-keygen is not installed: it comes with OpenSSH, 8.9 or newer", code="file-access"
        ) from None
    except subprocess.TimeoutExpired:
        raise SignatureError(
            "ssh-keygen did not end: touch the hardware key in time", code="timed-out"
        ) from None


def _said(done: subprocess.CompletedProcess[bytes]) -> str:
    lines = (done.stderr + done.stdout).decode(errors="replace").splitlines()
    told = [clean(line.strip()) for line in lines if line.strip() and "Signing data" not in line]
    return told[-1][:300] if told else f"ssh-keygen ended with {done.returncode}"
