"""
Runs the `pulumi` command, and parses the resources, steps and violations in its output.

A preview, its events and the export of a stack are parsed into the same types (`ResourceState`, `Step`). Only the
fields that the commands, the doctor and the price in a preview need are decoded, so that thousands of resources are
read quickly.
"""

from __future__ import annotations

import codecs
import contextlib
import itertools
import json
import os
import re
import selectors
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import IO, Any, Final, TypedDict, cast

import msgspec

from stacks_pulumi._environment import pulumi_home, without_options, without_secrets
from stacks_pulumi._settings_file import text_of
from stacks_pulumi._structs import decode, decode_lines
from stacks_pulumi.errors import ErrorCode, StacksError
from stacks_pulumi.pricing.recognition import NOT_KNOWN, kind_of


class InputError(StacksError):
    """Raised if an input cannot be used. The message states which input is needed."""

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
        return kind_of(self.type, self.inputs or {}, custom=self.custom)


class StoredResource(ResourceState, rename="camel"):
    """
    A resource in an exported stack. A preview also contains the fields of this class, but no command needs them from a
    preview.
    """

    protect: bool = False
    provider: str = ""
    outputs: dict[str, Any] | None = None


class _Size(TypedDict, total=False):
    """
    The outputs that determine the price of a container, as each host spells them. Other outputs are not decoded.
    """

    plan: Any
    storage_mb: Any
    storageMb: Any


class PlannedState(ResourceState, rename="camel"):
    """A resource in a preview."""

    outputs: _Size | None = None


class Step(msgspec.Struct):
    """One step of the engine, with its operation and the states of the resource before and after it."""

    op: str
    urn: str
    old: PlannedState | None = None
    new: PlannedState | None = None


class _PreviewStep(Step):
    old: PlannedState | None = msgspec.field(default=None, name="oldState")
    new: PlannedState | None = msgspec.field(default=None, name="newState")


class EngineDiagnostic(msgspec.Struct):
    """A message of the engine."""

    message: str = ""
    severity: str = ""
    urn: str = ""


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
    # The exceptions in the pack's configuration that allow the violation, each with its id and its reason.
    exceptions: list[dict[str, str]] = []


class SummaryEvent(msgspec.Struct, rename="camel"):
    """The end of an operation."""

    result: str = ""
    resource_changes: dict[str, int] | None = None


class Event(msgspec.Struct, rename="camel"):
    """
    One line of the events. At most one of the fields `..._event` is set; none is set for an event that is not needed
    here.
    """

    sequence: int
    resource_pre_event: ResourceEvent | None = None
    res_outputs_event: ResourceEvent | None = None
    diagnostic_event: EngineDiagnostic | None = None
    policy_event: PolicyEvent | None = None
    summary_event: SummaryEvent | None = None


class Preview(msgspec.Struct, rename="camel"):
    """
    The output of `pulumi preview --json`. It contains no steps if the preview failed before the first step, or if the
    stack has no resources.
    """

    steps: list[_PreviewStep] = []
    change_summary: dict[str, int] = {}
    diagnostics: list[EngineDiagnostic] = []


class _Operation(msgspec.Struct):
    resource: StoredResource
    type: str = ""


class _Manifest(msgspec.Struct):
    time: str = ""


class _Deployment(msgspec.Struct):
    # These fields are null or missing for a stack without resources.
    manifest: _Manifest | None = None
    resources: list[StoredResource] | None = None
    pending_operations: list[_Operation] | None = None


class Stack(msgspec.Struct):
    """`pulumi stack export`."""

    # The deployment is null for a stack that was never updated.
    deployment: _Deployment | None

    @property
    def resources(self) -> list[StoredResource]:
        """The resources in the state."""
        return [] if self.deployment is None else self.deployment.resources or []

    @property
    def creating(self) -> list[StoredResource]:
        """The resources whose creation was interrupted, so that it is unknown whether they exist."""
        pending = None if self.deployment is None else self.deployment.pending_operations
        return [operation.resource for operation in pending or () if operation.type == "creating"]

    @property
    def pending(self) -> int:
        """The number of operations that were in progress when the state was saved."""
        return 0 if self.deployment is None else len(self.deployment.pending_operations or ())

    @property
    def saved_at(self) -> str:
        """When the state was saved; empty if the export does not show it."""
        manifest = None if self.deployment is None else self.deployment.manifest
        return "" if manifest is None else manifest.time


class _Any(msgspec.Struct, rename="camel"):
    """The fields that identify the kind of output."""

    steps: Any = msgspec.UNSET
    change_summary: Any = msgspec.UNSET
    diagnostics: Any = msgspec.UNSET
    deployment: Any = msgspec.UNSET
    sequence: Any = msgspec.UNSET


class _Nothing(msgspec.Struct, forbid_unknown_fields=True):
    """The output of `pulumi destroy --preview-only --json` for an empty stack."""

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
        InputError: The content is not an output that contains steps or resources.
    """
    data = readable(data)
    if not data.strip():
        raise InputError(f"the input is empty: {_HELP}")
    try:
        return _decoded(data)
    except UnicodeDecodeError as error:
        raise InputError(f"this is not UTF-8 ({error}): {_HELP}") from None


def read_stack(data: bytes) -> Stack:
    """
    Return the decoded output of `pulumi stack export`.

    Raises:
        InputError: The data is not an exported stack.
    """
    try:
        return decode(readable(data), Stack)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(
            f"this is not an export of a stack ({error}): pass the output of `pulumi stack export`"
        ) from None


def _decoded(data: bytes) -> Preview | list[Event] | Stack:
    try:
        shown = decode(data, _Any)
    except msgspec.DecodeError:
        return _events(data)
    try:
        if shown.sequence is not msgspec.UNSET:
            return _events(data)
        if shown.deployment is not msgspec.UNSET:
            return decode(data, Stack)
        if all(part is msgspec.UNSET for part in (shown.steps, shown.change_summary, shown.diagnostics)):
            decode(data, _Nothing)
        return decode(data, Preview)
    except msgspec.ValidationError as error:
        raise InputError(f"this JSON is not an output of Pulumi ({error}): {_HELP}") from None


def _events(data: bytes) -> list[Event]:
    try:
        return decode_lines(data, Event)
    except msgspec.DecodeError as error:
        raise InputError(
            f"this is neither JSON nor JSON lines that Pulumi writes ({error}): {_HELP}"
        ) from None


def read_file(path: Path) -> bytes:
    """
    Return the content of a file.

    Raises:
        InputError: The file cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", code="file-access") from None


def readable(data: bytes) -> bytes:
    """
    Return the output of Pulumi as UTF-8, if its values are nested at most `DEEPEST` levels deep.

    Raises:
        InputError: The text cannot be decoded, or is nested too deeply.
    """
    data = utf8(data)
    if _is_deep(data):
        raise InputError(
            f"a value is nested more than {DEEPEST} levels deep, so it cannot be judged: make it flatter in the "
            "program; if it is in the state, remove it there (`pulumi stack export`, edit the file, `pulumi "
            "stack import`)"
        )
    return data


def shallow(data: bytes) -> bytes:
    """
    Return JSON in which each value that is nested too deeply is replaced by an unknown value.

    Use this for data from other users, such as the state of another stack, so that such data cannot make a command
    fail.
    """
    data = utf8(data)
    return b"".join(_cut(data)) if _is_deep(data) else data


DEEPEST: Final = 100
"""
The maximum depth of nested lists and mappings. Python's own limit is 1,000 calls, and the engine's limit is 10,000
levels. Real programs need less than a tenth of this depth.
"""
_STRING: Final = rb'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)'
"""
A string in JSON. An unterminated string extends to the end of the text, so that the search does not start again inside
it.
"""
_STRINGS: Final = re.compile(_STRING, re.DOTALL)
_TOKENS: Final = re.compile(_STRING + rb"|[\[\]{}]", re.DOTALL)
_AS_BRACES: Final = bytes.maketrans(b"[]", b"{}")
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))


def _is_deep(data: bytes) -> bool:
    brackets = _STRINGS.sub(b"", data).translate(_AS_BRACES, _NO_BRACKETS)
    left = brackets
    for _ in range(DEEPEST):
        # Each pass removes the innermost level; this is faster than a loop over the text in Python.
        if not left:
            return False
        left = left.replace(b"{}", b"")
    return max(itertools.accumulate(1 if one == ord("{") else -1 for one in brackets), default=0) > DEEPEST


def _cut(data: bytes) -> Iterator[bytes]:
    """Yield a JSON text in parts. An unknown value replaces each value that is nested too deeply."""
    depth = shown = 0
    for found in _TOKENS.finditer(data):
        if found[0] in {b"{", b"["}:
            depth += 1
            if depth == DEEPEST + 1:
                yield data[shown : found.start()]
                yield json.dumps(NOT_KNOWN).encode()
        elif found[0] in {b"}", b"]"}:
            if depth == DEEPEST + 1:
                shown = found.end()
            depth -= 1
    yield data[shown:] if depth <= DEEPEST else b""


def utf8(data: bytes) -> bytes:
    """
    Return a file's content as UTF-8. PowerShell's `>` writes UTF-16, or UTF-8 with a byte order mark.

    Raises:
        InputError: The text cannot be decoded.
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
            f"the input begins with the byte order mark of {encoding} and cannot be decoded: {_HELP}"
        ) from None


_SECONDS: Final = 120.0
"""The timeout of a command in seconds. A backend with a large state on a slow network needs a minute."""

_SECONDS_TO_END: Final = 20.0
"""
The seconds that the command may take to end its program and plugins after a signal. It needs 5 s on an idle machine.
"""

_PAUSE: Final = 0.05
"""Seconds between two checks whether a silent command has ended."""

_PROJECT_FILES: Final = ("Pulumi.yaml", "Pulumi.yml", "Pulumi.json")
_RAISED: Final = re.compile(r"^ *((?:[\w.]+(?:Error|Exception)|error): .*)", re.MULTILINE)
_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")
_TRACEBACK: Final = re.compile(r"Traceback \(most recent call last\):\n(?:[ \t].*\n)*")

# If the engine is killed between two writes, a local backend has an empty attributes file next to an intact state.
_HALF_WRITTEN: Final = " (with a local state: delete the empty file that ends with `.json.attrs` next to it)"


class PulumiError(StacksError):
    """The command failed. The message is the command's own error, in one line."""

    code: ErrorCode = "pulumi-failed"


class PulumiTimeoutError(PulumiError):
    """The command did not end in time."""


def run(arguments: Sequence[str], *, folder: Path | None = None, seconds: float = _SECONDS) -> bytes:
    """
    Run `pulumi` without the keys and options in this process's environment, and return the command's standard output.

    Args:
        arguments: The words after `pulumi`.
        folder: The working directory; by default that of this process.
        seconds: The timeout.

    Raises:
        PulumiError: The command is not installed, fails, or times out.
    """
    done = execute(arguments, folder, seconds, environment=without_options(_environ()))
    if done.returncode != 0:
        # Standard output is not shown, because it may contain a secret.
        raise PulumiError(_reason(done.stderr.decode(errors="replace")))
    return done.stdout


def execute(
    arguments: Sequence[str],
    folder: Path | None,
    seconds: float,
    *,
    seconds_to_end: float = 0.0,
    environment: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """
    Run `pulumi` and return the result, even after a failure. By default, the command receives no `STACKS_*` variables.
    """
    # On PostgreSQL, several readers block each other: each holds one connection while it waits for a second one.
    alone = {"PULUMI_DIY_BACKEND_PARALLEL": "1"} if backend_url(folder).startswith("postgres://") else {}
    given = {**alone, **(environment or _environ())}
    try:
        process = subprocess.Popen(  # noqa: S603  (the user's own command, without a shell)
            ["pulumi", *arguments, "--non-interactive"],  # noqa: S607  (found on PATH, as in the user's shell)
            cwd=folder,
            env={**given, "PULUMI_SKIP_UPDATE_CHECK": "1", "NO_COLOR": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        why = "is not on PATH" if missing else f"does not start ({error.strerror})"
        raise PulumiError(f"the command `pulumi` {why}: install Pulumi, or add its folder to PATH") from None
    with process:
        try:
            output, errors = _outputs(process, seconds)
        except subprocess.TimeoutExpired:
            end(process, seconds_to_end)
            msg = f"`pulumi {arguments[0]}` did not end within {seconds:.0f} s: run it in a terminal to see the reason"
            raise PulumiTimeoutError(msg) from None
        except BaseException:
            end(process, seconds_to_end)
            raise
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


def _outputs(process: subprocess.Popen[bytes], seconds: float) -> tuple[bytes, bytes]:
    """
    Return what a command prints until it ends. Do not wait until the pipes are closed, because a child process may keep
    them open.

    Raises:
        subprocess.TimeoutExpired: The command does not end in time.
    """
    until = monotonic() + seconds
    written = {cast("IO[bytes]", pipe): bytearray() for pipe in (process.stdout, process.stderr)}
    with selectors.DefaultSelector() as waiting:
        for pipe in written:
            waiting.register(pipe, selectors.EVENT_READ)
        while waiting.get_map():
            # After the process has ended, all of its output is in the pipes.
            has_ended = process.poll() is not None
            ready = waiting.select(0 if has_ended else _PAUSE)
            if has_ended and not ready:
                break
            for one, _ in ready:
                data = os.read(one.fd, 65_536)
                written[cast("IO[bytes]", one.fileobj)] += data
                if not data:
                    waiting.unregister(one.fileobj)
            if monotonic() > until:
                raise subprocess.TimeoutExpired(process.args, seconds)
    process.wait(max(until - monotonic(), 0))
    output, errors = map(bytes, written.values())
    return output, errors


def backend_url(folder: Path | None = None) -> str:
    """Return the address of a folder's backend, which is found as the engine finds it; empty without a login."""
    if named := os.environ.get("PULUMI_BACKEND_URL"):
        return named
    file = find_project(folder or Path.cwd())
    backend = {} if file is None else read_project(file).get("backend")
    if isinstance(backend, dict) and isinstance(backend.get("url"), str):
        return str(backend["url"])
    credentials = Path(os.environ.get("PULUMI_CREDENTIALS_PATH") or pulumi_home()) / "credentials.json"
    try:
        current = decode(credentials.read_bytes(), _Credentials).current
    except (OSError, msgspec.DecodeError):
        return ""
    return current


class _Credentials(msgspec.Struct):
    current: str = ""


def _environ() -> dict[str, str]:
    # The engine and its child processes must not get the STACKS key, which a language host also has in `PULUMI_CONFIG`.
    keys = ("STACKS_", "PULUMI_CONFIG=", "PULUMI_CONFIG_SECRET_KEYS=")
    return {name: value for name, value in os.environ.items() if not f"{name}=".startswith(keys)}


def end(process: subprocess.Popen[bytes], seconds_to_end: float) -> None:
    """
    End the command with a signal, and wait some seconds while it ends its program and plugins. If the command were
    killed at once, the program and the plugins would continue.
    """
    process.terminate()
    try:
        process.communicate(timeout=seconds_to_end)
    except subprocess.TimeoutExpired:
        # List the child processes before the kill: plugins have their own process groups, and afterwards they have no
        # link to the command.
        below = _below(process.pid)
        process.kill()
        for pid in below:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)


def _below(pid: int) -> list[int]:
    """Return all descendants of a process; empty if `ps` is not installed."""
    try:
        listed = subprocess.run(
            ["ps", "-A", "-o", "pid=,ppid="],  # noqa: S607  (found on PATH)
            env=without_secrets(),
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return []
    pairs = [tuple(map(int, line.split())) for line in listed.stdout.splitlines()]
    below = [pid]
    for parent in below:
        below += [child for child, its_parent in pairs if its_parent == parent]
    return below[1:]


@dataclass(frozen=True)
class StackConfiguration:
    """
    A stack's configuration, as the engine passes it to a provider.

    Attributes:
        values: The values by their keys, which include the namespace; `None` for a secret that could not be decrypted.
        secrets: The keys that are stored encrypted.
        error: Why the secrets could not be decrypted; empty if they were decrypted.
    """

    values: Mapping[str, str | None] = field(default_factory=dict, repr=False)
    secrets: frozenset[str] = frozenset()
    error: str = ""


@dataclass(frozen=True)
class Pulumi:
    """
    The `pulumi` command for one stack.

    Args:
        folder: The working directory: the project's folder, or a folder below it.
        stack: The stack's name; by default the selected stack.
    """

    folder: Path
    stack: str | None = None

    def configuration(self) -> StackConfiguration:
        """
        Return the stack's configuration, with its secrets if they can be decrypted.

        Raises:
            PulumiError: The stack cannot be read.
        """
        try:
            return _configuration(self._read("config", "--json", "--show-secrets"))
        except PulumiError as error:
            try:
                # The other values can be read without the passphrase.
                others = _configuration(self._read("config", "--json"))
            except PulumiError:
                raise error from None
            return StackConfiguration(others.values, others.secrets, error.message)

    def state(self, *options: str) -> Stack:
        """
        Return the stack's state; `options` are those of `pulumi stack export`.

        Raises:
            PulumiError: The stack cannot be read.
        """
        try:
            return read_stack(self._read("stack", "export", *options))
        except InputError as error:
            raise PulumiError(error.message) from None

    def preview(self, packs: Sequence[Path], seconds: float, changed: Mapping[str, str]) -> None:
        """
        Preview the stack, and so run its program. The program receives no `STACKS_*` variables from this process,
        except those in `changed`.

        Raises:
            PulumiTimeoutError: The preview did not end in time.
            PulumiError: The preview failed; the message is that of the engine.
        """
        named = [word for pack in packs for word in ("--policy-pack", str(pack))]
        done = execute(
            ["preview", "--json", *self._chosen(), *named],
            self.folder,
            seconds,
            seconds_to_end=_SECONDS_TO_END,
            # Only the events contain the violations of policies and the output of a pack.
            environment={**_environ(), **changed, "PULUMI_ENABLE_STREAMING_JSON_PREVIEW": "true"},
        )
        if done.returncode != 0:
            raise PulumiError(preview_failure(done))

    def _read(self, *arguments: str) -> bytes:
        return run([*arguments, *self._chosen()], folder=self.folder)

    def _chosen(self) -> list[str]:
        return [] if self.stack is None else ["--stack", self.stack]


def find_project(folder: Path) -> Path | None:
    """
    Return the project file that the engine would use: the one in this folder, or else in the nearest parent folder that
    contains one.
    """
    here = folder.resolve()
    candidates = (above / name for above in (here, *here.parents) for name in _PROJECT_FILES)
    return next((file for file in candidates if file.is_file()), None)


def read_project(file: Path) -> dict[str, Any]:
    """Return the content of a project file; empty if it cannot be read."""
    import yaml  # noqa: PLC0415  (installed with the Pulumi SDK; not needed when this module is only imported)

    try:
        content = yaml.safe_load(text_of(file))
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        return {}
    return content if isinstance(content, dict) else {}


class _Setting(msgspec.Struct):
    value: str | None = None
    secret: bool = False


def _configuration(text: bytes) -> StackConfiguration:
    try:
        settings = decode(text, dict[str, _Setting])
    except RecursionError:
        # A setting in a project can be nested to any depth, and the engine prints it.
        raise PulumiError("a setting in the stack's configuration is nested too deeply: remove it") from None
    except msgspec.DecodeError:
        printed = _one_line(text.decode(errors="replace"))[:120]
        raise PulumiError(f"`pulumi` printed no JSON object: {printed!r}") from None
    return StackConfiguration(
        {key: one.value for key, one in settings.items()},
        frozenset(key for key, one in settings.items() if one.secret),
    )


def preview_failure(done: subprocess.CompletedProcess[bytes]) -> str:
    """Return the reason that the engine printed: the violations and errors, or else the end of the output."""
    try:
        document = read(done.stdout)
    except InputError:
        document = []
    events = document if isinstance(document, list) else []
    violations = [
        f"{event.policy_name}: {event.message}"
        for event in (one.policy_event for one in events)
        if event is not None and event.enforcement_level == "mandatory" and not event.exceptions
    ]
    messages = [event for one in events if (event := one.diagnostic_event) is not None]
    errors = [message.message for message in messages if message.severity == "error"]
    if not violations and not errors:
        # If a pack does not start, standard error contains the pack's name, and the pack's last line contains the
        # reason. The language host for YAML prints each error, and then the place of the error.
        printed = [_COLOUR.sub("", one.message) for one in messages if one.severity == "info#err"]
        named = [one for one in printed if one.startswith("Error: ")]
        last = [one for one in printed if not one.startswith("warning:")][-1:]
        outside = done.stderr.decode(errors="replace").strip()
        errors = [*([_reason(outside)] if outside else []), *(named or last)] or [""]
    elif violations:
        errors = [error for error in errors if error.strip() != "preview failed"]
    if any(words in error for error in errors for words in ("program exited", "error reading from server")):
        # If the program never connected to the engine, or the program's host ended, only the messages from them contain
        # the reason.
        errors += _RAISED.findall("\n".join(one.message for one in messages))[-1:]
    return "; ".join(dict.fromkeys(_one_line(_TRACEBACK.sub("", one)) for one in (*violations, *errors)))


def _reason(said: str) -> str:
    """Return the error from the command's output, in one line and without the warnings before it."""
    reason = _one_line(said[said.find("error: ") :] if "error: " in said else said).removeprefix("error: ")
    return reason + _HALF_WRITTEN if reason.endswith("failed to load checkpoint: EOF") else reason


def _one_line(text: str) -> str:
    return " ".join(without_logins(text).split()) or "it failed without a message"


_ADDRESS: Final = re.compile(
    # The engine puts an address in quotes, so the address may contain spaces.
    r'(?<=")[A-Za-z][A-Za-z0-9+.-]*://(?:\\.|[^"\\])*(?=")'
    r"|(?<![A-Za-z0-9+.-])[A-Za-z][A-Za-z0-9+.-]*://\S*[^\s:;,.)\]}'`\"]"
)


def without_logins(text: str) -> str:
    """Hide each address that may contain a login or options, such as a backend's address."""

    def shown(found: re.Match[str]) -> str:
        scheme, _, rest = found[0].partition("://")
        is_plain = scheme.lower() == "file" or not set("@?#") & set(rest)
        return found[0] if is_plain else f"{scheme}://(not shown)"

    return _ADDRESS.sub(shown, text)
