"""The facts that the checks use. Each fact is determined once, when a check first needs it."""

from __future__ import annotations

import functools
import importlib.metadata
import json
import platform
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from stacks_pulumi import config
from stacks_pulumi._clock import SYSTEM_CLOCK, Clock
from stacks_pulumi._pulumi_cli import Pulumi, PulumiError, StackConfiguration, find_project, read_project
from stacks_pulumi._pulumi_output import StoredResource
from stacks_pulumi.config import NAMESPACE, AccountSettings
from stacks_pulumi.errors import ConfigError

if TYPE_CHECKING:
    from stacks_pulumi.api.probe import Look, Scopes

__all__ = ["Facts", "Owned", "Versions"]

_ASK: Final = """
import importlib.metadata as m, json, platform
def version(name):
    try:
        return m.version(name)
    except m.PackageNotFoundError:
        return None
names = ("pulumi", "stacks-pulumi", "pulumi-policy", "rich", "shtab", "werkzeug")
print(json.dumps({"python": platform.python_version(), "packages": {name: version(name) for name in names}}))
"""


@dataclass(frozen=True)
class Versions:
    """
    The Python environment in which the program runs.

    Attributes:
        python: Version of Python.
        packages: Version by package; `None` for one that is not installed.
        where: The folder of the environment.
        error: Why it could not be inspected; empty if it could.
    """

    python: str = ""
    packages: Mapping[str, str | None] = field(default_factory=dict)
    where: str = ""
    error: str = ""


@dataclass(frozen=True)
class Owned:
    """
    A STACKS resource in the stack's state.

    Attributes:
        kind: `Container`, `Connection` ...
        id: Its id, which begins with its account.
        origin: The key's fingerprint and a random number; `None` in states of version 0.1 and 0.2.
        external_access: Whether it is a container whose external access the program manages.
        explicit: Whether it has an explicit provider, and so perhaps another key than the stack's.
    """

    kind: str
    id: str
    origin: str | None = None
    external_access: bool = False
    explicit: bool = False


@dataclass(frozen=True)
class Facts:
    """
    The facts about everything that is checked.

    Args:
        folder: The project's folder, or one below it.
        environ: The environment's variables.
        stack: Which stack; the selected one unless given.
        packs: Folders of policy packs that have to load.
        probe: Whether requests may be sent that test the key's scopes. They change nothing.
        clock: The clock.
    """

    folder: Path
    environ: Mapping[str, str] = field(repr=False)
    stack: str | None = None
    packs: tuple[Path, ...] = ()
    probe: bool = False
    clock: Clock = SYSTEM_CLOCK

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
        """The content of the project's file; empty if it cannot be read, which the engine reports."""
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
        """The stack's configuration; an empty one if it cannot be read."""
        return (
            self.configuration if isinstance(self.configuration, StackConfiguration) else StackConfiguration()
        )

    @property
    def is_locked(self) -> bool:
        """Whether the stack has an API key that cannot be decrypted; no other key is used then."""
        name = f"{NAMESPACE}:apiKey"
        return name in self.configured.secrets and self.configured.values.get(name) is None

    def given(self, key: str) -> tuple[str | None, str]:
        """
        Return the value of a stacks-pulumi setting, and its source.

        The configuration takes precedence over the environment, as for the provider.
        """
        # If the secret cannot be decrypted, the environment is not used instead.
        environ = {} if f"{NAMESPACE}:{key}" in self.configured.secrets else self.environ
        return config.given(key, self.configured.values, environ)

    def is_in_project_file(self, name: str) -> bool:
        """Return whether a setting has its value from Pulumi.yaml, and not from the stack's file."""
        if name not in self.in_project_file:
            return False
        return self.in_project_file[name] in {None, self.configured.values.get(name)}

    @functools.cached_property
    def in_project_file(self) -> Mapping[str, str | None]:
        """The values in the section `config` of Pulumi.yaml; `None` for one that is not text, a number or a boolean."""
        section = self.project.get("config")
        found = {}
        for name, entry in (section if isinstance(section, dict) else {}).items():
            value = entry.get("value", entry.get("default")) if isinstance(entry, dict) else entry
            found[str(name)] = _as_engine(value)
        return found

    @functools.cached_property
    def runtime(self) -> str | None:
        """The runtime that Pulumi.yaml names; `python` without a project, `None` if it names none."""
        if self.project_file is None:
            return "python"
        runtime = self.project.get("runtime")
        name = runtime.get("name") if isinstance(runtime, dict) else runtime
        return name if isinstance(name, str) and name else None

    @functools.cached_property
    def plugin_folder(self) -> Path | None:
        """The folder of the native plugin in Pulumi.yaml, if it is set there."""
        plugins = self.project.get("plugins")
        listed = plugins.get("providers") if isinstance(plugins, dict) else None
        for one in listed if isinstance(listed, list) else ():
            if isinstance(one, dict) and one.get("name") == NAMESPACE and self.project_file is not None:
                return self.project_file.parent / str(one.get("path"))
        return None

    @property
    def is_native(self) -> bool:
        """Whether the program uses the native plugin, according to Pulumi.yaml."""
        return self.plugin_folder is not None or self.runtime not in {"python", None}

    @functools.cached_property
    def settings(self) -> AccountSettings | ConfigError:
        """The key and the base URL that the provider would use, or why it would refuse them."""
        if self.is_locked:
            return ConfigError("the API key of the stack cannot be decrypted")
        try:
            # Other malformed settings do not prevent calls of the API.
            names = [f"{NAMESPACE}:{key}" for key in ("apiKey", "baseUrl", "allowHttp")]
            return config.load({name: self.configured.values.get(name) for name in names}, self.environ)
        except ConfigError as error:
            return error

    @functools.cached_property
    def look(self) -> Look | None:
        """The result of one list of the containers; `None` if it cannot be requested."""
        if not isinstance(self.settings, AccountSettings) or self.settings.api_key is None:
            return None
        from stacks_pulumi.api.probe import look  # noqa: PLC0415  (checks before it need no HTTP)

        return look(self.settings, self.clock)

    @functools.cached_property
    def scopes(self) -> Scopes:
        """The key's scopes, as far as they can be determined."""
        from stacks_pulumi.api import probe  # noqa: PLC0415  (as above)
        from stacks_pulumi.errors import MissingScopeError  # noqa: PLC0415  (as above)

        if self.look is None or not isinstance(self.settings, AccountSettings):
            return probe.Scopes()
        if isinstance(self.look.error, MissingScopeError):
            return probe.Scopes.told_by(self.look.error)
        if self.look.error is not None:
            return probe.Scopes()
        found = probe.probe_scopes(self.settings, self.clock) if self.probe else probe.Scopes()
        return probe.Scopes(found.held | {probe.ALL_SCOPES[0]}, found.lacking, found.cap)

    @property
    def owned(self) -> tuple[Owned, ...] | PulumiError:
        """The resources of the stack's own account in its state, or why the state cannot be read."""
        found = self.resources
        return found if isinstance(found, PulumiError) else tuple(one for one in found if not one.explicit)

    @property
    def elsewhere(self) -> tuple[Owned, ...]:
        """The resources of explicit providers in the stack's state, which may use other keys."""
        found = self.resources
        return () if isinstance(found, PulumiError) else tuple(one for one in found if one.explicit)

    @functools.cached_property
    def resources(self) -> tuple[Owned, ...] | PulumiError:
        """The STACKS resources in the stack's state, or why the state cannot be read."""
        if self.project_file is None:
            return PulumiError("there is no project")
        try:
            listed = self.pulumi.resources()
        except PulumiError as error:
            return error
        return tuple(found for one in listed if (found := _owned(one)) is not None)

    @functools.cached_property
    def known_packs(self) -> tuple[Path, ...]:
        """The policy packs on the command line, and those in the project's folder or up to two folders below it."""
        if self.project_file is None:
            return self.packs
        below = self.project_file.parent
        found = {file.parent for depth in ("*", "*/*") for file in below.glob(f"{depth}/PulumiPolicy.yaml")}
        hidden = {one for one in found if any(part.startswith(".") for part in one.relative_to(below).parts)}
        return (*self.packs, *sorted(found - hidden - {pack.resolve() for pack in self.packs}))

    @functools.cached_property
    def versions(self) -> Versions:
        """The program's Python environment: that of `runtime.options.virtualenv`, otherwise this one."""
        named = _option(self.project, "virtualenv")
        if named is None or self.project_file is None:
            return _own_versions()
        folder = self.project_file.parent / named
        python = next(
            (it for it in (folder / "bin/python", folder / "Scripts/python.exe") if it.is_file()), None
        )
        if python is None:
            return Versions(where=str(folder), error="there is no Python in it")
        return _versions_of(python, folder)


def _as_engine(value: Any) -> str | None:
    """Return a value of Pulumi.yaml as the engine passes it on."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, str | int | float) else None


def _option(project: Mapping[str, Any], name: str) -> str | None:
    runtime = project.get("runtime")
    options = runtime.get("options") if isinstance(runtime, dict) else None
    value = options.get(name) if isinstance(options, dict) else None
    return value if isinstance(value, str) and value else None


def _own_versions() -> Versions:
    return Versions(
        platform.python_version(),
        {
            name: _version(name)
            for name in ("pulumi", "stacks-pulumi", "pulumi-policy", "rich", "shtab", "werkzeug")
        },
        sys.prefix,
    )


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _versions_of(python: Path, folder: Path) -> Versions:
    try:
        done = subprocess.run(  # noqa: S603  (the Python that the user's project names)
            [python, "-c", _ASK],
            text=True,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=60,
            check=True,
        )
        said = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        return Versions(where=str(folder), error=f"its Python does not run ({type(error).__name__})")
    return Versions(said["python"], said["packages"], str(folder))


def _owned(resource: StoredResource) -> Owned | None:
    inputs, kind, provider = resource.inputs or {}, resource.kind, resource.provider.split("::")
    if kind is None or not resource.id:
        return None
    origin = (resource.outputs or {}).get("origin")
    opened = kind == "Container" and any(name in inputs for name in ("external_access", "externalAccess"))
    explicit = not provider[-2:][0].startswith("default")
    return Owned(kind, resource.id, origin if isinstance(origin, str) else None, opened, explicit)
