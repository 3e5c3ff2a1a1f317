"""
Which resources, steps and violations are in Pulumi's output?

The output is a preview, the events of a preview, or the export of a stack. All three give the same rows
(`ResourceState`, `Step`), which the cost and account commands, the doctor and the price in a preview read. Only the
fields that they need are decoded, so that an output with thousands of resources is read quickly.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from stacks_pulumi.errors import ErrorCode, StacksError
from stacks_pulumi.pricing.recognition import kind_of

__all__ = [
    "Event",
    "InputError",
    "PolicyEvent",
    "Preview",
    "ResourceState",
    "Stack",
    "Step",
    "StoredResource",
    "read",
    "read_file",
    "read_stack",
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

    @property
    def kind(self) -> str | None:
        """Its kind, as `kind_of` returns it."""
        return kind_of(self.type, self.inputs or {})


class StoredResource(ResourceState, rename="camel"):
    """A resource in an export. A preview has these fields too, but nothing needs them there, and they are many."""

    protect: bool = False
    provider: str = ""
    outputs: dict[str, Any] | None = None


class Step(msgspec.Struct):
    """What happens to a resource, with its state before and after it."""

    op: str
    urn: str
    old: ResourceState | None = None
    new: ResourceState | None = None


class _PreviewStep(Step):
    old: ResourceState | None = msgspec.field(default=None, name="oldState")
    new: ResourceState | None = msgspec.field(default=None, name="newState")


class EngineDiagnostic(msgspec.Struct):
    """A message of the engine."""

    message: str = ""
    severity: str = ""


class ResourceEvent(msgspec.Struct):
    """An event about a resource."""

    metadata: Step


class PolicyEvent(msgspec.Struct, rename="camel"):
    """A policy violation."""

    policy_name: str
    resource_urn: str = ""
    message: str = ""
    policy_pack_name: str = ""
    enforcement_level: str = ""


class SummaryEvent(msgspec.Struct):
    """The end of an operation."""

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

    steps: list[_PreviewStep] = []
    change_summary: dict[str, int] = {}
    diagnostics: list[EngineDiagnostic] = []


class _Operation(msgspec.Struct):
    resource: StoredResource
    type: str = ""


class _Manifest(msgspec.Struct):
    time: str = ""


class _Deployment(msgspec.Struct):
    # Each is null, or missing, for a stack without resources.
    manifest: _Manifest | None = None
    resources: list[StoredResource] | None = None
    pending_operations: list[_Operation] | None = None


class Stack(msgspec.Struct):
    """`pulumi stack export`."""

    # This is null for a stack that was never updated.
    deployment: _Deployment | None

    @property
    def resources(self) -> list[StoredResource]:
        """The resources in the state."""
        return [] if self.deployment is None else self.deployment.resources or []

    @property
    def creating(self) -> list[StoredResource]:
        """The resources whose create was interrupted: it is unknown whether they exist."""
        pending = None if self.deployment is None else self.deployment.pending_operations
        return [operation.resource for operation in pending or () if operation.type == "creating"]

    @property
    def saved_at(self) -> str:
        """When the state was saved; empty if the export does not say it."""
        return (
            "" if self.deployment is None or not self.deployment.manifest else self.deployment.manifest.time
        )


class _Any(msgspec.Struct, rename="camel"):
    """The fields that show which output it is."""

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
        InputError: It is not an output that has steps or resources.
    """
    data = utf8(data)
    if not data.strip():
        raise InputError(f"there is nothing to read: {_HELP}")
    try:
        return _decoded(data)
    except RecursionError:
        raise InputError(f"this JSON is nested too deeply for Pulumi's output: {_HELP}") from None


def read_stack(data: bytes) -> Stack:
    """
    Return the decoded output of `pulumi stack export`.

    Raises:
        InputError: It is another document.
    """
    try:
        return msgspec.json.decode(utf8(data), type=Stack)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InputError(
            f"this is not an export of a stack ({error}): pass the output of `pulumi stack export`"
        ) from None


def _decoded(data: bytes) -> Preview | list[Event] | Stack:
    try:
        shown = msgspec.json.decode(data, type=_Any)
    except msgspec.DecodeError:
        return _events(data)
    try:
        if shown.sequence is not msgspec.UNSET:
            return _events(data)
        if shown.deployment is not msgspec.UNSET:
            return msgspec.json.decode(data, type=Stack)
        if all(part is msgspec.UNSET for part in (shown.steps, shown.change_summary, shown.diagnostics)):
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
