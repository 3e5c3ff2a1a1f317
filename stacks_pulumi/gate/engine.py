"""
How does the gate run `pulumi`, and with which environment?

Neither the change nor the environment is trusted to choose how the engine works. A project that names a backend, a
plugin or an option is refused unless the gate allows it. Of the engine's variables only those below are passed, and the
backend is passed explicitly.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec
import yaml

from stacks_pulumi import __version__
from stacks_pulumi._environment import OF_PYTHON, pulumi_home, without_secrets
from stacks_pulumi._pulumi_cli import (
    InputError,
    PulumiError,
    end,
    execute,
    failure,
    preview_failure,
    read_project,
    readable,
    shallow,
)
from stacks_pulumi.errors import ConfigError
from stacks_pulumi.gate import project as project_files
from stacks_pulumi.gate.plan_file import longest_timeout

if TYPE_CHECKING:
    from stacks_pulumi.gate.settings import Gate, GatePack

_T = TypeVar("_T")

PYTHON: Final = sys.executable
"""The Python that runs packs in Python where the language host cannot, and the gate's own pack."""

_SECONDS: Final = 300.0
_PREVIEW_SECONDS: Final = 3600.0
_STANDSTILL: Final = 7200.0
"""
For how long an update may have no new event, besides the timeouts of its resources. A container of ours boots within 30
minutes, and what other providers make takes an hour or more.
"""
_LOOK: Final = 5.0
_SECONDS_TO_END: Final = 20.0
_SECONDS_TO_UNDO: Final = 120.0
"""The time in which an update that is ended may delete what it was creating."""

_PASSED: Final = frozenset(
    {
        "PULUMI_ACCESS_TOKEN",
        "PULUMI_API",
        "PULUMI_CONFIG_PASSPHRASE",
        "PULUMI_CONFIG_PASSPHRASE_FILE",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION",
        "PULUMI_HOME",
    }
)
"""The engine's variables that say who the user is. Others change what an operation does."""

_PASSED_PREFIX: Final = "PULUMI_DIY_BACKEND_"

_SLASHES: Final = 2
"""In a stack's full name."""
_OUR_PLUGIN: Final = "pulumi-resource-stacks"
_DIGITS: Final = 16
_LOGIN: Final = "log in with `pulumi login`, or set PULUMI_BACKEND_URL"
_KEY: Final = "stacks-pulumi-gate:key"
_BY_DEFAULT: Final = ("default", "passphrase")
"""Secrets providers that have no address."""
_SALT: Final = "encryptionsalt"
"""The setting of a stack from which, with the passphrase, the key to its secrets is made."""
_HOST_OF_PACKS: Final = "pulumi-analyzer-policy-python"
"""The command beside an engine whose language host starts packs in Python."""


@dataclass(frozen=True)
class SealedConfiguration:
    """
    A stack's configuration.

    Attributes:
        values: Every setting, as the engine prints it, with its secrets.
        key: The record's key.
        sealed_key: That key, encrypted by the stack's secrets provider.
    """

    values: Mapping[str, Any]
    key: bytes
    sealed_key: str

    def __repr__(self) -> str:
        """Return no secret."""
        return "SealedConfiguration(...)"


@dataclass(frozen=True)
class PlannedPreview:
    """
    What a preview left.

    Attributes:
        plan: The saved plan; `None` if it failed.
        events: Its events, one in a line.
        error: What it printed if it failed; empty if it succeeded.
    """

    plan: bytes | None
    events: bytes
    error: str


@dataclass(frozen=True)
class Engine:
    """
    The `pulumi` command for one stack.

    Attributes:
        project: The project's folder.
        runtime: The runtime of its program.
        stack: The stack's full name: `organization/project/stack`.
        backend: The address of the backend.
        environment: The variables for the command.
    """

    project: Path
    runtime: str
    stack: str
    backend: str
    environment: Mapping[str, str]

    def __repr__(self) -> str:
        """Return no variable: one has a key."""
        return f"Engine({self.stack!r})"

    def export(self) -> bytes:
        """
        Return the export of the stack, with its secrets decrypted.

        Raises:
            PulumiError: It cannot be read.
        """
        return self._read("stack", "export", "--show-secrets")

    def history(self, stack: str | None = None) -> list[dict[str, Any]]:
        """
        Return a stack's history, the newest first.

        Args:
            stack: Its full name; by default this stack.

        Raises:
            PulumiError: It cannot be read.
        """
        words = ("stack", "history", "--json", "--full-dates", "--page-size", "0")
        return _objects(self._run(*words, "--stack", stack or self.stack))

    def stacks(self) -> list[dict[str, Any]]:
        """
        Return all stacks of the backend, as the engine lists them.

        Raises:
            PulumiError: They cannot be read.
        """
        return _objects(self._run("stack", "ls", "--all", "--json"))

    def versions(self, packages: Sequence[str]) -> dict[str, str]:
        """
        Return the versions of the engine, of this package, of the SDKs and of the plugins.

        Args:
            packages: The packages whose plugins are used.

        Raises:
            PulumiError: They cannot be read.
        """
        found = {
            "pulumi": self._run("version").strip().decode(errors="replace"),
            "stacks-pulumi": __version__,
        }
        for name in ("pulumi", "pulumi-policy"):
            with contextlib.suppress(metadata.PackageNotFoundError):
                found[f"{name} for Python"] = metadata.version(name)
        # A program chooses the name of a package, and with a slash it would be the path of a command in the project.
        wanted = sorted(one for one in {*packages} - {"pulumi", "pulumi-python"} if "/" not in one)
        if not wanted:
            return found
        installed: dict[str, list[str]] = {}
        for plugin in _objects(self._run("plugin", "ls", "--json")):
            if plugin.get("kind") == "resource":
                installed.setdefault(str(plugin.get("name")), []).append(str(plugin.get("version")))
        for name in wanted:
            # The engine takes a plugin on PATH before an installed one.
            first = shutil.which(f"pulumi-resource-{name}", path=self.environment.get("PATH"))
            words = [_version_of(Path(first))] if first else sorted(installed.get(name, []))
            found[f"plugin {name}"] = ", ".join(words) or "not installed"
        return found

    def configuration(self, sealed_key: str | None = None) -> SealedConfiguration:
        """
        Return the stack's configuration, and the record's key.

        The key is encrypted with the stack's secrets provider, in a copy of the stack's settings. So a reader of the
        record cannot guess a secret from its digest, and a user who can decrypt the stack's secrets can compare it.

        Args:
            sealed_key: The encrypted key of a record; without one, a new key is made.

        Raises:
            PulumiError: It cannot be read or decrypted.
        """
        with tempfile.TemporaryDirectory(prefix="stacks-gate-") as folder:
            copy = Path(folder) / "settings.yaml"
            file = self._settings()
            settings = project_files.settings_in(file)
            words = ("--config-file", str(copy), *self._chosen)
            if sealed_key is None:
                key = os.urandom(32).hex().encode()
                copy.write_bytes(b"" if file is None else file.read_bytes())
                self._run("config", "set", "--secret", _KEY, *words, text=key)
                made = project_files.settings_in(copy)
                if _SALT in made and _SALT not in settings:
                    # The salt was made just now, so no other machine could decrypt the key.
                    raise InputError(
                        f"the stack's settings have no {_SALT}: put the Pulumi.STACK.yaml that `pulumi stack init` "
                        "wrote into the project, or run `pulumi stack change-secrets-provider passphrase`"
                    )
                sealed_key = _sealed_in(copy)
            else:
                settings["config"] = {_KEY: {"secure": sealed_key}}
                copy.write_text(yaml.safe_dump(settings), encoding="utf-8")
                key = self._run("config", "get", _KEY, *words).strip()
        if not key:
            raise PulumiError(
                "the record's key cannot be decrypted: plan and apply with the same secrets provider and passphrase"
            )
        # Not from the copy: the engine may find other settings for the project, or read a value in another way.
        values = _object(self._read("config", "--json", "--show-secrets"))
        return SealedConfiguration(values, key, sealed_key)

    def settings(self) -> dict[str, Any]:
        """
        Return the stack's settings as they are written.

        Raises:
            InputError: They cannot be read.
        """
        return project_files.settings_in(self._settings())

    def encryption(self) -> dict[str, str]:
        """
        Return the stack's settings on how its secrets are encrypted.

        Raises:
            InputError: They cannot be read.
        """
        settings = self.settings()
        found = {name: settings.get(name) for name in ("secretsprovider", "encryptionsalt", "encryptedkey")}
        return {name: str(value) for name, value in found.items() if value not in {None, "", *_BY_DEFAULT}}

    def copied(self, folder: Path) -> tuple[Engine, dict[Path, Path]]:
        """
        Return the engine for a copy of a program that is only data, and the original of each file in it.

        The copy cannot be changed between its comparison and the update.

        Args:
            folder: A new folder for the copy.

        Raises:
            InputError: A file cannot be read, or is a link.
        """
        settings = self._settings()
        files = [self.project / "Pulumi.yaml", *([] if settings is None else [settings])]
        # No other file of the project: what starts there takes modules from there (the plugin of dynamic resources that
        # the state has), and the language host takes each file that ends with `.yaml` for a declaration of a package.
        files += project_files.facts_in(self.project, project_files.settings_in(settings))
        folder.mkdir()
        if (self.project / ".git").exists():
            (folder / ".git").symlink_to(self.project / ".git")
        copies = {file: folder / file.relative_to(self.project) for file in files}
        for file, copy in copies.items():
            copy.parent.mkdir(parents=True, exist_ok=True)
            if file.is_file():
                # A link becomes a link, whatever the file is before and after.
                shutil.copy(file, copy, follow_symlinks=False)
            if copy.is_symlink() or not copy.is_file():
                raise InputError(f"{file} is a link, or no file: replace it by a copy", code="invalid-file")
        return replace(self, project=folder), copies

    def preview(self, packs: Sequence[str], scratch: Path) -> PlannedPreview:
        """
        Preview the program.

        Args:
            packs: The options that start the policy packs.
            scratch: A folder for the plan.

        Raises:
            PulumiError: The command does not start, or times out.
        """
        plan = scratch / "plan.json"
        done = execute(
            ["preview", "--json", "--show-sames", "--save-plan", str(plan), *self._chosen, *packs],
            self.project,
            _PREVIEW_SECONDS,
            seconds_to_end=_SECONDS_TO_END,
            # Only the streaming events have the violations of policies.
            environment={**self._with_account, "PULUMI_ENABLE_STREAMING_JSON_PREVIEW": "true"},
        )
        saved = plan.read_bytes() if done.returncode == 0 and plan.is_file() else None
        error = "" if saved is not None else preview_failure(done)
        return PlannedPreview(saved, done.stdout, error)

    def up(
        self,
        plan: Path,
        options: Sequence[str],
        message: str,
        *,
        events: Path,
        on_start: Callable[[int], None],
    ) -> int:
        """
        Carry out a plan; the output of the engine is that of this process.

        Args:
            plan: The file of the plan.
            options: The options that start the policy packs, and others.
            message: The message for the stack's history.
            events: The file for its events.
            on_start: Called with the engine's process id.

        Returns:
            The engine's exit code.

        Raises:
            PulumiError: The command does not start; or it made no progress and was ended, with the code
                `outcome-unknown`.
        """
        words = ["up", "--yes", "--plan", str(plan), "--message", message]
        words += ["--event-log", str(events), *self._chosen, *options, "--non-interactive"]
        # The option for the events is behind this switch.
        switches = {"PULUMI_SKIP_UPDATE_CHECK": "1", "PULUMI_DEBUG_COMMANDS": "true"}
        environment = {**self._with_account, **switches}
        try:
            process = subprocess.Popen(  # noqa: S603  (the user's own command, without a shell)
                [_command(environment), *words],
                cwd=self.project,
                env=environment,
                stdin=subprocess.DEVNULL,
            )
        except OSError as error:
            raise PulumiError(f"the command `pulumi` does not start ({error.strerror})") from None
        wait = functools.partial(_ended, process, events, _STANDSTILL + longest_timeout(plan.read_bytes()))
        return _awaited(process, wait, on_start)

    def pack_options(self, packs: Sequence[GatePack], scratch: Path) -> list[str]:
        """
        Return the options that start policy packs.

        Where the language host cannot start a pack in Python from its folder, a script starts it.

        Args:
            packs: The packs.
            scratch: A folder for scripts and configurations.

        Raises:
            ConfigError: A pack has no readable `PulumiPolicy.yaml`.
        """
        words: list[str] = []
        for number, pack in enumerate(packs):
            config = pack.config
            if config is None:
                # Configurations belong to packs by their position.
                config = scratch / "no-configuration.json"
                config.write_text("{}", encoding="utf-8")
            start = self._start_of(pack.path, scratch / f"pack-{number}-{pack.path.name}")
            words += ["--policy-pack", str(start), "--policy-pack-config", str(config)]
        return words

    def _start_of(self, pack: Path, script: Path) -> Path:
        file = next(
            (one for name in ("yaml", "yml", "json") if (one := pack / f"PulumiPolicy.{name}").is_file()),
            None,
        )
        runtime, options = project_files.runtime_of({} if file is None else read_project(file))
        if not runtime:
            raise ConfigError(
                f"{pack} is not a policy pack: it has no PulumiPolicy.yaml with a runtime",
                code="invalid-file",
            )
        if runtime != "python" or options or shutil.which(_HOST_OF_PACKS, path=self.environment.get("PATH")):
            return pack
        write_script(script, [PYTHON, "-u", "-m", "pulumi.policy"], ["."], folder=pack)
        return script

    @property
    def _chosen(self) -> tuple[str, str]:
        return ("--stack", self.stack)

    @property
    def _with_account(self) -> dict[str, str]:
        """The variables for a command that runs the program and its providers."""
        mine = {name: value for name, value in os.environ.items() if name.startswith("STACKS_")}
        if mine.get("STACKS_PLATFORM"):
            mine["STACKS_PLATFORM"] = str(Path(mine["STACKS_PLATFORM"]).absolute())
        return {**self.environment, **mine}

    def _settings(self) -> Path | None:
        """Return the file with the stack's settings; `None` if the stack has none."""
        file = project_files.only(self.project, f"Pulumi.{self.stack.rpartition('/')[2]}")
        if file is not None and file.suffix.casefold() == ".json":
            raise InputError(f"{file.name}: the gate reads a stack's settings in YAML only")
        return file

    def _read(self, *words: str) -> bytes:
        return self._run(*words, *self._chosen)

    def _run(self, *words: str, text: bytes = b"") -> bytes:
        return _output(words, self.project, self.environment, text)


def opened(folder: Path, stack: str | None, gate: Gate | None) -> Engine:
    """
    Return the engine for a stack.

    Args:
        folder: The project's folder, or one below it.
        stack: The stack's name; by default the selected stack.
        gate: The gate, which says which settings a project may have; without one, nothing runs the program.

    Raises:
        InputError: There is no project, or it has a setting that the gate does not allow.
        PulumiError: The stack cannot be found.
    """
    file = project_files.found_in(folder)
    project = read_project(file)
    if gate is not None:
        project_files.check(file, project, gate.project_settings)
    environment = _environment()
    backend = environment.get("PULUMI_BACKEND_URL") or _logged_in(file.parent, environment)
    # The engine reads a relative path from its working directory, which is different for a copy of the program.
    path = backend.removeprefix("file://")
    if path != backend and not path.startswith(("/", "~")):
        backend = f"file://{file.parent / path}"
    environment["PULUMI_BACKEND_URL"] = backend
    phrase = environment.get("PULUMI_CONFIG_PASSPHRASE_FILE")
    if phrase:
        environment["PULUMI_CONFIG_PASSPHRASE_FILE"] = str(file.parent / phrase)
    if stack is None or stack.count("/") != _SLASHES:
        chosen = () if stack is None else ("--stack", stack)
        words = ("stack", "--show-name", "--fully-qualify-stack-names", *chosen)
        stack = _output(words, file.parent, environment).decode(errors="replace").strip()
    return Engine(file.parent, project_files.runtime_of(project)[0], stack, backend, environment)


def write_script(
    script: Path, before: Sequence[str], after: Sequence[str], folder: Path | None = None
) -> None:
    """
    Write a script that the engine can start in place of a pack; its first argument is the engine's address.

    Args:
        script: The file.
        before: The words before the engine's address.
        after: The words after it.
        folder: The working directory; by default that of the engine.
    """
    move = "" if folder is None else f"cd {shlex.quote(str(folder))} && "
    script.write_text(
        f'#!/bin/sh\n{move}exec {shlex.join(before)} "$1" {shlex.join(after)}\n', encoding="utf-8"
    )
    script.chmod(0o700)


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """Yield a folder that only this user can read, for as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix="stacks-gate-") as folder:
        yield Path(folder)


def _environment() -> dict[str, str]:
    """Return the variables for commands that run no program: none of the account."""
    passed = {
        name: value
        for name, value in os.environ.items()
        if not name.upper().startswith(("PULUMI_", "STACKS_"))
        or name in _PASSED
        or name.startswith(_PASSED_PREFIX)
    }
    backend = os.environ.get("PULUMI_BACKEND_URL")
    return {
        **passed,
        **({"PULUMI_BACKEND_URL": backend} if backend else {}),
        # Plans are still behind this switch.
        "PULUMI_EXPERIMENTAL": "true",
    }


def _logged_in(folder: Path, environment: Mapping[str, str]) -> str:
    """Return the address of the backend that the user is logged in to."""
    try:
        text = (pulumi_home() / "credentials.json").read_text(encoding="utf-8")
        current = json.loads(text).get("current")
    except (OSError, ValueError, AttributeError):
        current = None
    if isinstance(current, str) and current:
        return current
    url = _object(_output(("whoami", "--verbose", "--json"), folder, environment)).get("url")
    if not isinstance(url, str) or not url:
        raise PulumiError(f"the backend is not known: {_LOGIN}")
    return url


def _output(words: Sequence[str], folder: Path, environment: Mapping[str, str], text: bytes = b"") -> bytes:
    done = execute(words, folder, _SECONDS, environment=environment, text=text)
    if done.returncode != 0:
        raise PulumiError(failure(done))
    return done.stdout


def _command(environment: Mapping[str, str]) -> str:
    found = shutil.which("pulumi", path=environment.get("PATH"))
    if found is None:
        raise PulumiError("the command `pulumi` is not on PATH: install Pulumi, or add its folder to PATH")
    return found


def _ended(process: subprocess.Popen[bytes], events: Path, seconds: float) -> int:
    """Wait for the engine's end; end it if it has no new event for that long."""
    size, since = 0, time.monotonic()
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(_LOOK)
        before, size = size, events.stat().st_size if events.exists() else 0
        if size != before:
            since = time.monotonic()
        elif time.monotonic() - since > seconds:
            end(process, _SECONDS_TO_UNDO)
            raise PulumiError(
                f"`pulumi up` made no progress for {seconds / 3600:.1f} hours, so it was ended, and may have changed "
                "something: see in its output which resource it waited for, run `pulumi cancel`, and plan again",
                code="outcome-unknown",
            )


def _awaited(
    process: subprocess.Popen[bytes], wait: Callable[[], int], on_start: Callable[[int], None]
) -> int:
    """Wait for the engine, which has the terminal: Ctrl-C is for it, and a request to end is passed on."""

    def passed_on(number: int, _frame: object) -> None:
        process.send_signal(number)

    before = {
        signal.SIGINT: signal.getsignal(signal.SIGINT),
        signal.SIGTERM: signal.getsignal(signal.SIGTERM),
    }
    is_main = threading.current_thread() is threading.main_thread()
    if is_main:
        # Other threads get no signals.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, passed_on)
    try:
        on_start(process.pid)
        return wait()
    finally:
        for number, handler in before.items() if is_main else ():
            signal.signal(number, handler)


def _object(text: bytes) -> dict[str, Any]:
    return _decoded(readable(text), dict[str, Any])


def _objects(text: bytes) -> list[dict[str, Any]]:
    # A history has the settings of its stack, which may be a different one. The gate reads none of them.
    return _decoded(shallow(text) or b"[]", list[dict[str, Any]])


def _decoded(text: bytes, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.DecodeError as error:
        raise PulumiError(f"`pulumi` printed something else than JSON objects: {error}") from None


def _version_of(plugin: Path) -> str:
    """Return which plugin on PATH this is: by its content, and ours also by what it says of its version."""
    try:
        content = hashlib.sha256(plugin.read_bytes()).hexdigest()[:_DIGITS]
        if plugin.name != _OUR_PLUGIN:
            return f"on PATH, SHA-256 {content}"
        # Its file only imports this package.
        done = subprocess.run(  # noqa: S603  (what the engine would start)
            [str(plugin), "--version"],
            capture_output=True,
            timeout=_SECONDS,
            check=True,
            stdin=subprocess.DEVNULL,
            env=without_secrets(*OF_PYTHON),
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise PulumiError(f"{plugin} does not start: {error}") from None
    return f"{done.stdout.decode(errors='replace').strip()} on PATH"


def _sealed_in(settings: Path) -> str:
    entry = (project_files.settings_in(settings).get("config") or {}).get(_KEY)
    sealed = entry.get("secure") if isinstance(entry, dict) else None
    if not isinstance(sealed, str):
        raise PulumiError(
            "the stack's secrets provider encrypted nothing: see `pulumi stack change-secrets-provider`"
        )
    return sealed
