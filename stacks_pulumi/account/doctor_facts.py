"""
Which facts do the doctor's checks use, and how is a finding with its fix written?

Each fact is determined once, when a check first needs it. A fix is a command for the shell in which `doctor` ran, or
a sentence if no command helps.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import msgspec

from stacks_pulumi import config, platform_file
from stacks_pulumi._identifiers import name_of
from stacks_pulumi._pulumi_cli import (
    Pulumi,
    PulumiError,
    Stack,
    StackConfiguration,
    StoredResource,
    find_project,
    read_project,
)
from stacks_pulumi.account.backend import lock_of
from stacks_pulumi.api import probe
from stacks_pulumi.config import NAMESPACE, AccountSettings
from stacks_pulumi.endpoints import Scope
from stacks_pulumi.errors import ConfigError, MissingScopeError, StacksError
from stacks_pulumi.platform_file import UNKNOWN, PlatformFile

KEYS_PAGE: Final = "the STACKS dashboard, Account Settings, API Keys"

LONGEST_PREVIEW: Final = 3600
"""The maximum timeout of a preview, in seconds."""

Level = Literal["ok", "warning", "problem", "unknown"]

LEVELS: Final[tuple[Level, ...]] = ("problem", "warning", "unknown", "ok")
"""All levels, the most urgent first. A `problem` prevents an `up`; `unknown` means that the check was not possible."""


class Finding(NamedTuple):
    """
    One result of a check.

    Attributes:
        level: The severity.
        text: The result in one sentence.
        fix: The command or the step that fixes the problem; empty if there is nothing to fix.
    """

    level: Level
    text: str
    fix: str = ""


def ok(text: str) -> Finding:
    """Return a finding that something is in order."""
    return Finding("ok", text)


def warning(text: str, fix: str) -> Finding:
    """Return a finding about something that needs attention but does not prevent an `up`."""
    return Finding("warning", text, fix)


def problem(text: str, fix: str) -> Finding:
    """Return a finding about something that prevents an `up`."""
    return Finding("problem", text, fix)


def unknown(text: str, fix: str = "") -> Finding:
    """Return a finding about something that could not be checked."""
    return Finding("unknown", text, fix)


@dataclass(frozen=True)
class Facts:
    """
    The facts for all checks.

    Args:
        folder: The project's folder, or a folder below it.
        environ: The environment's variables.
        stack: The stack's name; `None` for the selected stack.
        packs: Policy packs that the preview starts.
        probe_scopes: Whether to test the key's scopes with requests that change nothing.
        preview_seconds: The timeout of the preview.
    """

    folder: Path
    environ: Mapping[str, str] = field(repr=False)
    stack: str | None
    packs: tuple[Path, ...]
    probe_scopes: bool
    preview_seconds: float

    @functools.cached_property
    def pulumi(self) -> Pulumi:
        """The engine's command."""
        return Pulumi(self.folder, self.stack)

    @functools.cached_property
    def project_file(self) -> Path | None:
        """The project's file, if there is a project."""
        return find_project(self.folder)

    @functools.cached_property
    def project(self) -> Mapping[str, Any]:
        """The content of the project's file; empty if the file cannot be read, because the engine reports this."""
        return {} if self.project_file is None else read_project(self.project_file)

    @functools.cached_property
    def configuration(self) -> StackConfiguration | PulumiError:
        """The stack's configuration, or why it cannot be read."""
        if self.project_file is None:
            return PulumiError(f"there is no Pulumi.yaml in {self.folder} or above it")
        try:
            return self.pulumi.configuration()
        except PulumiError as error:
            return error

    @property
    def configured(self) -> StackConfiguration:
        """The stack's configuration; empty if it cannot be read."""
        return (
            self.configuration if isinstance(self.configuration, StackConfiguration) else StackConfiguration()
        )

    @property
    def is_locked(self) -> bool:
        """Whether the stack has an API key that cannot be decrypted; then no other key is used."""
        name = f"{NAMESPACE}:apiKey"
        return name in self.configured.secrets and self.configured.values.get(name) is None

    @property
    def used_environ(self) -> Mapping[str, str]:
        """The environment's variables, but not its key if the stack has a key that cannot be decrypted."""
        return {
            name: it for name, it in self.environ.items() if not self.is_locked or name != "STACKS_API_KEY"
        }

    def given(self, key: str) -> tuple[str | None, str]:
        """
        Return the value of a stacks-pulumi setting, and its source.

        The configuration takes precedence over the environment, as for the provider.
        """
        # If the secret cannot be decrypted, do not use the environment instead.
        environ = {} if f"{NAMESPACE}:{key}" in self.configured.secrets else self.environ
        return config.given(key, self.configured.values, environ)

    def is_in_project_file(self, name: str) -> bool:
        """Return whether a setting takes its value from Pulumi.yaml, not from the stack's file."""
        if name not in self.in_project_file:
            return False
        return self.in_project_file[name] in {None, self.configured.values.get(name)}

    @functools.cached_property
    def in_project_file(self) -> Mapping[str, str | None]:
        """
        The values in the section `config` of Pulumi.yaml; `None` for a value that is neither text, a number nor a
        boolean.
        """
        section = self.project.get("config")
        values = {}
        for name, entry in (section if isinstance(section, dict) else {}).items():
            value = entry.get("value", entry.get("default")) if isinstance(entry, dict) else entry
            values[str(name)] = _as_engine(value)
        return values

    @functools.cached_property
    def runtime(self) -> str | None:
        """The runtime in Pulumi.yaml; `None` if there is none."""
        runtime = self.project.get("runtime")
        name = runtime.get("name") if isinstance(runtime, dict) else runtime
        return name if isinstance(name, str) and name else None

    @property
    def is_native(self) -> bool:
        """Whether the program uses the native plugin, according to Pulumi.yaml."""
        plugins = self.project.get("plugins")
        providers = plugins.get("providers") if isinstance(plugins, dict) else None
        named = [one.get("name") for one in providers or () if isinstance(one, dict)]
        return NAMESPACE in named or self.runtime not in {"python", None}

    @functools.cached_property
    def platform(self) -> PlatformFile | ConfigError:
        """The facts of the platform file, or why it cannot be read; `UNKNOWN` if there is no file."""
        path, source = self.given("platform")
        if path is None:
            return UNKNOWN
        # The program, and so the provider, runs in the project's folder.
        in_project = self.project_file is not None and source.startswith(f"{NAMESPACE}:")
        folder = self.project_file.parent if self.project_file is not None and in_project else Path()
        try:
            return msgspec.structs.replace(platform_file.read(folder / path), path=path)
        except ConfigError as error:
            return error

    @functools.cached_property
    def settings(self) -> AccountSettings | None:
        """The key and the base URL that the provider would use; `None` if the provider would refuse them."""
        if self.is_locked:
            return None
        try:
            # Other malformed settings do not prevent requests to the API.
            names = [f"{NAMESPACE}:{key}" for key in ("apiKey", "baseUrl", "allowHttp")]
            environ = {name: value for name, value in self.environ.items() if name != "STACKS_PLATFORM"}
            loaded = config.load({name: self.configured.values.get(name) for name in names}, environ)
            known = self.platform if isinstance(self.platform, PlatformFile) else None
            return dataclasses.replace(loaded, platform=known)
        except ConfigError:
            return None

    @functools.cached_property
    def look(self) -> probe.Look | None:
        """The result of one request for the list of containers; `None` if the request cannot be sent."""
        if self.settings is None or self.settings.api_key is None:
            return None
        return probe.look(self.settings)

    @functools.cached_property
    def grant(self) -> Mapping[str, Any] | StacksError | None:
        """
        The broker's answer about the grant, or why there is no answer; `None` if the key is not the token of a grant.
        """
        if self.settings is None or not self.settings.is_grant:
            return None
        try:
            return probe.grant(self.settings)
        except StacksError as error:
            return error

    @functools.cached_property
    def scopes(self) -> probe.Scopes:
        """The key's scopes, as far as they can be determined."""
        if self.look is None or self.settings is None:
            return probe.Scopes()
        if isinstance(self.look.error, MissingScopeError):
            return probe.Scopes.told_by(self.look.error)
        if self.look.error is not None:
            return probe.Scopes()
        is_probed = self.probe_scopes and not self.settings.is_grant
        probed = probe.probe_scopes(self.settings) if is_probed else probe.Scopes()
        return probe.Scopes(probed.held | {Scope.READ}, probed.lacking, probed.cap)

    @property
    def owned(self) -> list[StoredResource]:
        """
        The resources in the stack's state that belong to the stack's own account; empty if the state cannot be read.
        """
        return [one for one in self.stored if _is_ours(one) and not _is_explicit(one)]

    @property
    def elsewhere(self) -> list[StoredResource]:
        """The resources in the stack's state that have explicit providers, which may use other keys."""
        return [one for one in self.stored if _is_ours(one) and _is_explicit(one)]

    @property
    def has_key_in_state(self) -> bool:
        """Whether a provider in the stack's state has an API key that is not encrypted."""
        return any(map(_has_plain_key, self.stored))

    @functools.cached_property
    def other_keys(self) -> Mapping[str, AccountSettings] | PulumiError:
        """
        The settings of each provider in the stack's state whose key is not the stack's key, by the provider's name.

        Commands that do not run the program, such as `pulumi destroy` and `pulumi refresh`, use these keys.
        """
        if isinstance(self.state, PulumiError):
            return self.state
        stored = [one for one in self.stored if _KEY_INPUTS.get(one.type) in (one.inputs or {})]
        if any(not _has_plain_key(one) for one in stored):
            try:
                stored = self.pulumi.state("--show-secrets").resources
            except PulumiError as error:
                return error
        mine = None if self.settings is None else self.settings.api_key
        found = {}
        for one in stored:
            settings = _settings_of(one)
            if settings is not None and settings.api_key != mine:
                found[name_of(one.urn)] = settings
        return found

    @property
    def stored(self) -> list[StoredResource]:
        """All resources in the stack's state; empty if the state cannot be read."""
        return [] if isinstance(self.state, PulumiError) else self.state.resources

    @functools.cached_property
    def state(self) -> Stack | PulumiError:
        """The stack's state, or why it cannot be read."""
        if self.project_file is None:
            return PulumiError("there is no project")
        try:
            return self.pulumi.state()
        except PulumiError as error:
            return error

    @functools.cached_property
    def lock(self) -> str | PulumiError:
        """The holder of the stack's lock (empty if the stack is not locked), or why it is not known."""
        try:
            return lock_of(self.folder, self.stack)
        except PulumiError as error:
            return error


def _as_engine(value: Any) -> str | None:
    """Return a value of Pulumi.yaml as text, as the engine writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, str | int | float) else None


def _is_ours(resource: StoredResource) -> bool:
    return resource.kind is not None and bool(resource.id)


def _is_explicit(resource: StoredResource) -> bool:
    """Return whether a resource has an explicit provider, and so perhaps a different key."""
    return not resource.provider.split("::")[-2:][0].startswith("default")


def origin_of(resource: StoredResource) -> str | None:
    """
    Return the origin of a resource: its key's fingerprint and a random number; `None` in states of versions 0.1 and
    0.2.
    """
    origin = (resource.outputs or {}).get("origin")
    return origin if isinstance(origin, str) else None


_KEY_INPUTS: Final = {
    "pulumi:providers:pulumi-python": f"{NAMESPACE}:apiKey",
    "pulumi:providers:stacks": "apiKey",
}
"""The name of the input that contains the API key, by the provider's type."""


def _has_plain_key(resource: StoredResource) -> bool:
    name = _KEY_INPUTS.get(resource.type)
    # In an export, a secret is a mapping that contains the encrypted text.
    return name is not None and isinstance((resource.inputs or {}).get(name), str)


def _settings_of(resource: StoredResource) -> AccountSettings | None:
    """Return the key and address of a provider in the state; `None` if the state contains no key for the provider."""
    prefix = "stacks:" if resource.type.endswith("pulumi-python") else ""
    inputs, name = resource.inputs or {}, _KEY_INPUTS.get(resource.type)
    if name is None or name not in inputs:
        return None
    values = {f"{NAMESPACE}:{key}": _shown(inputs.get(f"{prefix}{key}")) for key in _OF_ACCOUNT}
    try:
        return config.load(values, {})
    except ConfigError:
        return None


_OF_ACCOUNT: Final = ("apiKey", "baseUrl", "allowHttp")


def _shown(value: Any) -> str | None:
    """Return an input as text; a decrypted secret is a mapping that contains the secret as JSON."""
    plain = value.get("plaintext") if isinstance(value, dict) else None
    if isinstance(plain, str):
        with contextlib.suppress(ValueError, RecursionError):
            value = json.loads(plain)
    return _as_engine(value)


def pulumi_command(facts: Facts, *words: str, of_stack: bool = True) -> str:
    """Return a `pulumi` command for the checked stack, which may differ from the selected stack of this folder."""
    return shlex.join(["pulumi", *words, *_options(facts, of_stack=of_stack)])


def doctor_command(facts: Facts, *words: str) -> str:
    """Return the command that runs the same checks again."""
    return shlex.join(["stacks-pulumi", "doctor", *words, *_options(facts, of_stack=True)])


def set_key_command(facts: Facts, source: str) -> str:
    """Return the command that replaces the API key at its source; `pulumi config set` prompts for the key."""
    if source.startswith(f"{NAMESPACE}:"):
        return pulumi_command(facts, "config", "set", f"{NAMESPACE}:apiKey", "--secret")
    return f"export {source}=sk_stacks_..."


def set_command(facts: Facts, key: str, source: str, value: str) -> str:
    """Return the command that changes a setting at its source."""
    if source.startswith(f"{NAMESPACE}:"):
        return pulumi_command(facts, "config", "set", f"{NAMESPACE}:{key}", value)
    return f"export {source}={shlex.quote(value)}"


def unset_command(facts: Facts, name: str) -> str:
    """
    Return how to remove a setting of the configuration or a variable of the environment.

    `pulumi config rm` removes only settings of the stack's file; a setting of Pulumi.yaml must be deleted there.
    """
    if ":" not in name:
        return f"unset {name}"
    if not facts.is_in_project_file(name):
        return pulumi_command(facts, "config", "rm", name)
    return f"delete {name} from the section `config` of {facts.project_file}"


def _options(facts: Facts, *, of_stack: bool) -> list[str]:
    options = []
    if of_stack and facts.stack is not None:
        options += ["--stack", facts.stack]
    if facts.project_file is not None and find_project(Path.cwd()) != facts.project_file:
        options += ["--cwd", str(facts.project_file.parent)]
    return options
