"""
What does the `pulumi` command say about stacks?

Every question only reads: the configuration, the state, and whether a preview succeeds, which runs the program.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from stacks_pulumi._pulumi_output import InputError, StoredResource, read, read_stack
from stacks_pulumi.errors import ErrorCode, StacksError

__all__ = [
    "Pulumi",
    "PulumiError",
    "PulumiTimeoutError",
    "StackConfiguration",
    "find_project",
    "read_project",
    "run",
]

_SECONDS: Final = 120.0
"""The timeout of a command: a backend with a large state on a slow network takes a minute."""

_SECONDS_TO_END: Final = 20.0
"""The time in which the command ends its program and plugins after it is asked to end: 5 s on an idle machine."""

_PROJECT_FILES: Final = ("Pulumi.yaml", "Pulumi.yml", "Pulumi.json")
_TRACEBACK: Final = re.compile(r"Traceback \(most recent call last\):\n(?:[ \t].*\n)*")


@dataclass(eq=False, repr=False, kw_only=True)
class PulumiError(StacksError):
    """The command failed; the message is the command's own error, in one line."""

    code: ErrorCode = "pulumi-failed"


class PulumiTimeoutError(PulumiError):
    """The command did not end in time."""


def run(arguments: Sequence[str], *, folder: Path | None = None, seconds: float = _SECONDS) -> bytes:
    """
    Run `pulumi` and return its standard output.

    Args:
        arguments: The words after `pulumi`.
        folder: The working directory; by default that of this process.
        seconds: The timeout.

    Raises:
        PulumiError: The command is not installed, fails, or times out.
    """
    done = _run(arguments, folder, seconds, os.environ)
    if done.returncode != 0:
        raise PulumiError(_reason(_text(done.stderr) or _text(done.stdout)))
    return done.stdout


def _run(
    arguments: Sequence[str], folder: Path | None, seconds: float, environ: Mapping[str, str]
) -> subprocess.CompletedProcess[bytes]:
    try:
        process = subprocess.Popen(  # noqa: S603  (the user's own command, without a shell)
            ["pulumi", *arguments, "--non-interactive"],  # noqa: S607  (found on PATH, as the user finds it)
            cwd=folder,
            env={**environ, "PULUMI_SKIP_UPDATE_CHECK": "1", "NO_COLOR": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    except FileNotFoundError:
        raise PulumiError(
            "the command `pulumi` is not on PATH: install Pulumi, or add its folder to PATH"
        ) from None
    except OSError as error:
        raise PulumiError(
            f"the command `pulumi` does not start ({error.strerror}): install Pulumi again"
        ) from None
    with process:
        try:
            output, errors = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            _end(process)
            msg = f"`pulumi {arguments[0]}` did not end within {seconds:.0f} s: run it by hand to see what it waits for"
            raise PulumiTimeoutError(msg) from None
        except BaseException:
            _end(process)
            raise
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the command. If it were killed, its program and plugins would go on."""
    process.terminate()
    try:
        process.communicate(timeout=_SECONDS_TO_END)
    except subprocess.TimeoutExpired:
        process.kill()


@dataclass(frozen=True)
class StackConfiguration:
    """
    A stack's configuration, as the engine passes it to a provider.

    Attributes:
        values: Every key with its namespace; `None` for a secret that could not be decrypted.
        secrets: The keys that are stored encrypted.
        error: Why the secrets could not be decrypted; empty if they were.
    """

    values: Mapping[str, str | None] = field(default_factory=dict, repr=False)
    secrets: frozenset[str] = frozenset()
    error: str = ""


@dataclass(frozen=True)
class Pulumi:
    """
    The `pulumi` command for one stack.

    Args:
        folder: The working directory: the project's folder, or one below it.
        stack: The stack's name; by default the selected stack.
    """

    folder: Path
    stack: str | None = None

    def configuration(self) -> StackConfiguration:
        """
        Return the stack's configuration, with its secrets if they can be decrypted.

        Raises:
            PulumiError: It cannot be read.
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

    def resources(self) -> list[StoredResource]:
        """
        Return the resources in the stack's state.

        Raises:
            PulumiError: It cannot be read.
        """
        try:
            return read_stack(self._read("stack", "export")).resources
        except InputError as error:
            raise PulumiError(error.message) from None

    def preview(self, packs: Sequence[Path], seconds: float) -> None:
        """
        Preview the program, which runs it, without the variables `STACKS_*` of this process.

        Args:
            packs: Policy packs to start.
            seconds: The timeout.

        Raises:
            PulumiTimeoutError: It did not end in time.
            PulumiError: It failed; the message is the engine's own.
        """
        environ = {name: value for name, value in os.environ.items() if not name.startswith("STACKS_")}
        # The events have the violations of policies and what a pack prints before it ends; a plain preview does not.
        environ["PULUMI_ENABLE_STREAMING_JSON_PREVIEW"] = "true"
        named = [word for pack in packs for word in ("--policy-pack", str(pack))]
        done = _run(["preview", "--json", *self._chosen(), *named], self.folder, seconds, environ)
        if done.returncode != 0:
            raise PulumiError(_preview_failure(done))

    def _read(self, *arguments: str) -> bytes:
        return run([*arguments, *self._chosen()], folder=self.folder)

    def _chosen(self) -> list[str]:
        return [] if self.stack is None else ["--stack", self.stack]


def find_project(folder: Path) -> Path | None:
    """Return the project file in this folder or in the nearest parent that has one, as the engine finds it."""
    here = folder.resolve()
    candidates = (above / name for above in (here, *here.parents) for name in _PROJECT_FILES)
    return next((file for file in candidates if file.is_file()), None)


def read_project(file: Path) -> dict[str, Any]:
    """Return the content of a project file; empty if it cannot be read."""
    import yaml  # noqa: PLC0415  (installed with the Pulumi SDK; not needed when this module is only imported)

    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return content if isinstance(content, dict) else {}


def _configuration(text: bytes) -> StackConfiguration:
    values: dict[str, str | None] = {}
    secrets = set()
    for key, entry in _document(text).items():
        if isinstance(entry, dict):
            value = entry.get("value")
            values[key] = value if isinstance(value, str) else None
            if entry.get("secret"):
                secrets.add(key)
    return StackConfiguration(values, frozenset(secrets))


def _document(text: bytes) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise PulumiError(f"`pulumi` printed no JSON object: {_one_line(_text(text))[:120]!r}")
    return document


def _preview_failure(done: subprocess.CompletedProcess[bytes]) -> str:
    """Return what the engine says of the reason: violations, errors and, without them, the end of the output."""
    try:
        document = read(done.stdout)
    except InputError:
        document = []
    events = document if isinstance(document, list) else []
    violations = [
        f"{event.policy_name}: {event.message}"
        for event in (one.policy_event for one in events)
        if event is not None and event.enforcement_level == "mandatory"
    ]
    messages = [event for one in events if (event := one.diagnostic_event) is not None]
    errors = [message.message for message in messages if message.severity == "error"]
    if not violations and not errors:
        # A pack that does not start is named on standard error, and its own last line has the reason.
        printed = [message.message for message in messages if message.severity == "info#err"]
        errors = [_reason(_text(done.stderr)), *printed[-1:]]
    elif violations:
        errors = [error for error in errors if error.strip() != "preview failed"]
    lines = (_one_line(_TRACEBACK.sub("", said)) for said in (*violations, *errors))
    return "; ".join(dict.fromkeys(lines))


def _text(output: bytes) -> str:
    return output.decode(errors="replace")


def _reason(said: str) -> str:
    """Return the error from the command's output, in one line and without the warnings before it."""
    return _one_line(said[said.find("error: ") :] if "error: " in said else said).removeprefix("error: ")


def _one_line(text: str) -> str:
    return " ".join(text.split()) or "it failed without a message"
