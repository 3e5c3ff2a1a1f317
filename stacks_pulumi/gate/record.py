"""
What is in a record?

A record is a folder, which can be moved to another machine:

| File | Content |
|---|---|
| `record.json` | the stack, the times, and the digests of what is approved; its own digest is what is signed |
| `plan.json` | the engine's saved plan |
| `state.json` | the export of the stack that the plan was made against, with its secrets encrypted |
| `events.jsonl` | the events of the preview, with the violations of policies |
| `comment.md`, `junit.xml` | how `plan` judged it, for people; nothing reads them |
| `approvals/` | the signed approvals |
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import hashlib
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Final

import msgspec

from stacks_pulumi import catalog
from stacks_pulumi._pulumi_cli import InputError, read_file
from stacks_pulumi.errors import ErrorCode, StacksError
from stacks_pulumi.gate.plan_file import code_in
from stacks_pulumi.pricing.money import MonthlyPrice
from stacks_pulumi.pricing.price_list import PriceList

RECORD: Final = "record.json"
PLAN: Final = "plan.json"
STATE: Final = "state.json"
EVENTS: Final = "events.jsonl"
COMMENT: Final = "comment.md"
JUNIT: Final = "junit.xml"
APPROVALS: Final = "approvals"
STARTED: Final = "started.json"
"""Written before the update begins; removed if the update has changed nothing."""

AGENTS_PROGRAM: Final = "program.json"
"""Beside the record of an agent's change; the program is not in the project before its server applies it."""

_FILES: Final = (RECORD, PLAN, STATE, EVENTS, COMMENT, JUNIT, STARTED)
_UNFINISHED: Final = re.compile(rf"\.({'|'.join(map(re.escape, _FILES))})\.\d+")
"""What a process that was killed may have left while it wrote a file."""
_VERSION: Final = 1


class RefusedError(StacksError):
    """The record or its approval is void, or the gate refuses the change; nothing was changed."""

    code: ErrorCode = "gate-refused"


class Digests(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """
    What exactly was approved: a SHA-256 of each part, in hexadecimal.

    Attributes:
        plan: Of `plan.json`.
        export: Of `state.json`.
        events: Of `events.jsonl`.
        program: Of the project's files.
        configuration: Of the stack's configuration, with its secrets; keyed.
        gate: Of the files in the gate's folder.
        state: Of the state, with its secrets; keyed.
    """

    plan: str
    export: str
    events: str
    program: str
    configuration: str
    gate: str
    state: str


class LivePrices(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """
    The platform's prices, as they were read; `apply` compares them with those that it reads.

    Attributes:
        known: Template, plan and US dollars a month.
        doubts: Template -> why its price is not known.
        differing: Template, its price and the catalogue's, if they differ.
        gap: Why the platform's list is incomplete; `None` if it is complete.
    """

    known: list[tuple[str, str | None, Decimal]]
    doubts: dict[str, str]
    differing: list[tuple[str, Decimal, Decimal | None]]
    gap: str | None

    @classmethod
    def of(cls, prices: PriceList) -> LivePrices:
        """Return the prices of a list."""
        return cls(
            sorted(((*key, price) for key, price in prices.known.items()), key=str),
            dict(sorted(prices.doubts.items())),
            sorted((template, *pair) for template, pair in prices.differing.items()),
            prices.gap,
        )

    @property
    def price_list(self) -> PriceList:
        """The list of these prices."""
        return PriceList(
            {(template, plan): price for template, plan, price in self.known},
            self.doubts,
            {template: (price, listed) for template, price, listed in self.differing},
            self.gap,
        )


class Content(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """
    The content of `record.json`.

    Attributes:
        version: The version of this format.
        stack: The stack's full name: `organization/project/stack`.
        made_at: When it was made, in UTC.
        expires_at: The last instant at which it can be applied, in UTC.
        backend: Where the backend is, without a login; only `file://` for one of files, whose address depends on the
            machine.
        gate_source: Where the gate's folder was read from.
        runtime: The program's runtime, for instance `yaml`.
        code: Why the program may run its own code; empty if it cannot.
        author: Who made the last commit of the project, as `Name <address>`; empty outside of git. It can be forged.
        digests: The digests.
        versions: Of the engine, of this package, and of each policy pack and plugin.
        sealed_key: The key of the keyed digests, encrypted by the stack's secrets provider.
        prices: The platform's prices, if the gate reads them; otherwise the catalogue's are used.
    """

    stack: str
    made_at: datetime.datetime
    expires_at: datetime.datetime
    backend: str
    gate_source: str
    runtime: str
    code: str
    author: str
    digests: Digests
    versions: dict[str, str]
    sealed_key: str
    prices: LivePrices | None = None
    version: int = _VERSION


@dataclass(frozen=True)
class Record:
    """
    A record that was read.

    Attributes:
        folder: Its folder.
        content: The content of `record.json`.
        digest: The digest of `record.json`, which an approval signs.
        plan: The saved plan.
        state: The export of the stack.
        events: The events of the preview.
    """

    folder: Path
    content: Content
    digest: str
    plan: bytes
    state: bytes
    events: bytes

    @functools.cached_property
    def code(self) -> str:
        """
        Why code that is not ours may run with the key; empty if it cannot.

        Raises:
            InputError: The state cannot be read.
        """
        return self.content.code or code_in(self.state)

    @property
    def monthly(self) -> MonthlyPrice:
        """The prices of containers for this record."""
        return monthly(self.content)

    @property
    def approvals(self) -> Path:
        """The folder of the approvals; it may not exist."""
        return self.folder / APPROVALS

    @property
    def stack_name(self) -> str:
        """The stack as `project/stack`, as patterns of stacks are written."""
        return short_name(self.content.stack)


def monthly(content: Content) -> MonthlyPrice:
    """Return the prices of containers for a record: those that the platform had, or the catalogue's."""
    return catalog.monthly_price if content.prices is None else content.prices.price_list


def short_name(stack: str) -> str:
    """Return a stack's full name without its organization: `project/stack`."""
    return "/".join(stack.split("/")[-2:])


def digest_of(data: bytes) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def write(folder: Path, content: Content, plan: bytes, state: bytes, events: bytes) -> Record:
    """
    Write a record in place of the one that the folder has, with its approvals.

    The file `record.json` is written last, so that a folder without one is no record.

    Raises:
        InputError: The folder cannot be written, or has other files.
    """
    clear(folder)
    data = msgspec.json.format(msgspec.json.encode(content, order="deterministic"), indent=2) + b"\n"
    for name, what in ((PLAN, plan), (STATE, state), (EVENTS, events), (RECORD, data)):
        put(folder, name, what)
    return Record(folder, content, digest_of(data), plan, state, events)


def put(folder: Path, name: str, data: bytes) -> None:
    """
    Write one file of a record, whole or not at all. Only its owner can read it.

    Raises:
        InputError: It cannot be written.
    """
    temporary = folder / f".{name}.{os.getpid()}"
    try:
        # A link under this name would have another file overwritten: the author of the record may have made it.
        temporary.unlink(missing_ok=True)
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(folder / name)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise InputError(f"{folder / name} cannot be written: {error.strerror}", code="file-access") from None


def clear(folder: Path) -> None:
    """
    Remove the record in a folder and its approvals; make the folder if it does not exist.

    Raises:
        InputError: It has files that are no record's, or cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        foreign = _foreign(folder)
        if foreign:
            raise InputError(
                f"{folder} has files that are no record's ({', '.join(foreign[:3])}): "
                "name an empty folder with --record"
            )
        # `record.json` first, so that the rest of an interrupted removal is no record.
        left = (one.name for one in folder.iterdir() if _UNFINISHED.fullmatch(one.name))
        for name in (*_FILES, *left):
            (folder / name).unlink(missing_ok=True)
        if (folder / APPROVALS).is_symlink():
            (folder / APPROVALS).unlink()
        elif (folder / APPROVALS).exists():
            shutil.rmtree(folder / APPROVALS)
    except OSError as error:
        raise InputError(
            f"the record {folder} cannot be written: {error.strerror}", code="file-access"
        ) from None


def _foreign(folder: Path) -> list[str]:
    """Return the names in a folder that a record does not have."""
    names = (one.name for one in folder.iterdir())
    return sorted(
        name for name in names if name not in (*_FILES, APPROVALS) and not _UNFINISHED.fullmatch(name)
    )


def read(folder: Path) -> Record:
    """
    Return a record whose plan, state and events are those that its digests name.

    Raises:
        InputError: The folder has no record, it cannot be read, or one of its files was changed.
    """
    if not (folder / RECORD).is_file():
        raise InputError(
            f"{folder} is not a record: `stacks-pulumi gate plan` writes one", code="file-access"
        )
    foreign = _foreign(folder)
    if foreign:
        # A record in the project's folder is no part of the program, and neither must a program be a part of it.
        raise InputError(f"{folder} has files that are no record's ({', '.join(foreign[:3])}): remove them")
    data = read_file(folder / RECORD)
    try:
        content = msgspec.json.decode(data, type=Content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{folder / RECORD} is not readable ({error}): plan again") from None
    if content.version != _VERSION:
        raise InputError(
            f"{folder / RECORD} has version {content.version}, and this one reads {_VERSION}: plan again"
        )
    for instant in (content.made_at, content.expires_at):
        if instant.tzinfo is None:
            raise InputError(f"{folder / RECORD} has a time without a time zone: plan again")
    files: Mapping[str, tuple[bytes, str]] = {
        name: (read_file(folder / name), expected)
        for name, expected in (
            (PLAN, content.digests.plan),
            (STATE, content.digests.export),
            (EVENTS, content.digests.events),
        )
    }
    changed = [name for name, (found, expected) in files.items() if digest_of(found) != expected]
    if changed:
        raise InputError(
            f"{folder / changed[0]} is not the file that the record names: it was changed after `plan`; plan again"
        )
    return Record(folder, content, digest_of(data), files[PLAN][0], files[STATE][0], files[EVENTS][0])
