"""
Reads Pulumi's output: a preview, the events of a preview, or a stack's state.

Only the fields that pricing needs are decoded, so that a preview of thousands of resources is read quickly.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from stacks_pulumi.errors import ErrorCode, StacksError

__all__ = [
    "Event",
    "InputError",
    "Metadata",
    "PolicyEvent",
    "Preview",
    "ResourceState",
    "Stack",
    "Step",
    "read",
    "read_file",
    "utf8",
]


@dataclass(eq=False, repr=False, kw_only=True)
class InputError(StacksError):
    """Raised if an input cannot be used; the text says which input is needed."""

    code: ErrorCode = "invalid-file"


class ResourceState(msgspec.Struct, rename="camel"):
    """The state of a resource at one point in time."""

    type: str = ""
    urn: str = ""
    id: str = ""
    custom: bool = False
    delete: bool = False
    external: bool = False
    pending_replacement: bool = False
    retain_on_delete: bool = False
    deleted_with: str = ""
    inputs: dict[str, Any] | None = None


class Step(msgspec.Struct, rename="camel"):
    """A step of a preview: what happens to a resource."""

    op: str
    urn: str
    old_state: ResourceState | None = None
    new_state: ResourceState | None = None


class EngineDiagnostic(msgspec.Struct):
    """A message of the engine."""

    message: str = ""
    severity: str = ""


class Metadata(msgspec.Struct):
    """The step in an event: what happens to a resource."""

    op: str
    urn: str
    old: ResourceState | None = None
    new: ResourceState | None = None


class ResourceEvent(msgspec.Struct):
    """An event about a resource."""

    metadata: Metadata


class PolicyEvent(msgspec.Struct, rename="camel"):
    """A policy violation."""

    policy_name: str
    resource_urn: str = ""
    message: str = ""
    policy_pack_name: str = ""
    enforcement_level: str = ""


class SummaryEvent(msgspec.Struct, rename="camel"):
    """The end of an operation."""

    is_preview: bool = False
    result: str = ""


class Event(msgspec.Struct, rename="camel"):
    """One line of the events. Exactly one field is set; for events that are not needed here, no field is."""

    sequence: int
    resource_pre_event: ResourceEvent | None = None
    res_outputs_event: ResourceEvent | None = None
    diagnostic_event: EngineDiagnostic | None = None
    policy_event: PolicyEvent | None = None
    summary_event: SummaryEvent | None = None


class Preview(msgspec.Struct, rename="camel"):
    """`pulumi preview --json`. Without steps, it failed before the first, or the stack has no resources."""

    steps: list[Step] = []
    change_summary: dict[str, int] = {}
    diagnostics: list[EngineDiagnostic] = []


class PendingOperation(msgspec.Struct):
    """An operation that was interrupted: its outcome is unknown."""

    resource: ResourceState
    type: str = ""


class Deployment(msgspec.Struct):
    """The contents of a stack."""

    # This is null for an empty stack.
    resources: list[ResourceState] | None = None
    pending_operations: list[PendingOperation] | None = None


class Stack(msgspec.Struct):
    """`pulumi stack export`."""

    deployment: Deployment


class _Any(msgspec.Struct, rename="camel"):
    """The fields of a document that show its type."""

    steps: Any = msgspec.UNSET
    change_summary: Any = msgspec.UNSET
    diagnostics: Any = msgspec.UNSET
    deployment: Any = msgspec.UNSET
    sequence: Any = msgspec.UNSET


class _Nothing(msgspec.Struct, forbid_unknown_fields=True):
    """`pulumi destroy --preview-only --json` of an empty stack."""

    duration: int
    config: dict[str, Any] = {}


_HELP = (
    "pass the output of one of these: `pulumi preview --json --show-sames`, "
    "`PULUMI_ENABLE_STREAMING_JSON_PREVIEW=true pulumi preview --json`, `pulumi stack export`"
)


def read(data: bytes) -> Preview | list[Event] | Stack:
    """
    Return the decoded content of a file or of standard input.

    Raises:
        InputError: It is not a document that can be priced.
    """
    data = utf8(data)
    if not data.strip():
        raise InputError(f"there is nothing to read: {_HELP}")
    try:
        return _decoded(data)
    except RecursionError:
        raise InputError(f"this JSON is nested too deeply for Pulumi's output: {_HELP}") from None


def read_file(path: Path) -> bytes:
    """
    Return the content of a file.

    Raises:
        InputError: It cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", code="file-access") from None


def utf8(data: bytes) -> bytes:
    """
    Return a file's content as UTF-8. PowerShell's `>` writes UTF-16, or UTF-8 with a byte order mark.

    Raises:
        InputError: It cannot be decoded.
    """
    encodings = (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    )
    encoding = next((name for mark, name in encodings if data.startswith(mark)), None)
    if encoding is None:
        return data
    try:
        return data.decode(encoding).encode()
    except UnicodeError:
        raise InputError(
            f"this begins with the byte order mark of {encoding} and cannot be decoded: {_HELP}"
        ) from None


def _decoded(data: bytes) -> Preview | list[Event] | Stack:
    try:
        kind = msgspec.json.decode(data, type=_Any)
    except msgspec.DecodeError:
        return _events(data)
    try:
        if kind.sequence is not msgspec.UNSET:
            return _events(data)
        if kind.deployment is not msgspec.UNSET:
            return msgspec.json.decode(data, type=Stack)
        if all(part is msgspec.UNSET for part in (kind.steps, kind.change_summary, kind.diagnostics)):
            msgspec.json.decode(data, type=_Nothing)
        return msgspec.json.decode(data, type=Preview)
    except msgspec.ValidationError as error:
        raise InputError(f"this JSON is not an output of Pulumi ({error}): {_HELP}") from None


def _events(data: bytes) -> list[Event]:
    try:
        return msgspec.json.Decoder(Event).decode_lines(data)
    except msgspec.DecodeError as error:
        raise InputError(
            f"this is neither JSON nor JSON lines that Pulumi writes ({error}): {_HELP}"
        ) from None
