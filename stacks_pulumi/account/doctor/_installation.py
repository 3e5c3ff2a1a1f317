"""Checks of the installation: the engine, Python, the SDK, extras, and the provider process."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from packaging.version import InvalidVersion, Version

import stacks_pulumi
from stacks_pulumi._pulumi_cli import PulumiError, pulumi_home
from stacks_pulumi.account.doctor import _commands as commands
from stacks_pulumi.account.doctor import supported_versions
from stacks_pulumi.account.doctor.diagnosis import Diagnosis, ok, problem, unknown, warning
from stacks_pulumi.account.doctor.facts import Facts
from stacks_pulumi.cli import EXTRAS, install_command

__all__ = ["engine", "extras", "host", "python", "sdk"]

_INSTALL: Final = "install it: https://www.pulumi.com/docs/iac/download-install/"
_DYNAMIC: Final = "pulumi-resource-pulumi-python"
"""The executable that the engine starts for the dynamic resources of a Python program."""
_PLUGIN: Final = "pulumi-resource-stacks"


def engine(facts: Facts) -> Iterator[Diagnosis]:
    """Check that Pulumi's engine is installed, supported, and can run programs in the project's language."""
    command = facts.pulumi.path()
    if command is None:
        yield problem("engine", "the command `pulumi` is not on PATH", _INSTALL)
        return
    try:
        version = facts.pulumi.version()
    except PulumiError as error:
        yield problem("engine", f"{command}: {error.message}", _INSTALL)
        return
    oldest = supported_versions.ENGINE
    if _minor(version) < Version(oldest):
        yield problem(
            "engine",
            f"Pulumi {version} is not supported: it is older than {oldest}",
            f"install {oldest} or newer: https://www.pulumi.com/docs/iac/download-install/",
        )
        return
    runtime = facts.runtime or "python"
    needed = [f"pulumi-language-{runtime}", *([_DYNAMIC] if runtime == "python" else ())]
    here = (Path(command).absolute().parent, Path(command).resolve().parent)
    missing = [name for name in needed if not _is_installed(name, here)]
    if missing:
        yield problem(
            "engine",
            f"Pulumi {version} has no {missing[0]}, which runs programs of the runtime {runtime}",
            f"put it beside {command} or on PATH: it is part of Pulumi's download",
        )
        return
    yield ok("engine", f"Pulumi {version} (supported: {oldest} or newer)")


def _is_installed(name: str, folders: Iterable[Path]) -> bool:
    if shutil.which(name) is not None or any((folder / name).is_file() for folder in folders):
        return True
    _, kind, rest = name.split("-", 2)
    return any((pulumi_home() / "plugins").glob(f"{kind}-{rest}-v*"))


def python(facts: Facts) -> Iterator[Diagnosis]:
    """Check the version of the Python that runs the program."""
    if facts.runtime not in {"python", None}:
        yield ok("python", f"not needed for the program, whose runtime is {facts.runtime}")
        return
    found, (oldest, newest) = facts.versions, supported_versions.PYTHON
    if found.error:
        yield problem(
            "python",
            f"the virtual environment {found.where}, which Pulumi.yaml names, cannot be used: {found.error}",
            commands.pulumi(facts, "install", of_stack=False),
        )
        return
    minor = _minor(found.python)
    if minor < Version(oldest):
        yield problem("python", f"Python {found.python} is not supported", f"use Python {oldest} to {newest}")
    elif minor > Version(newest):
        yield warning(
            "python",
            f"Python {found.python} is newer than the tested {newest}",
            f"use Python {oldest} to {newest}",
        )
    else:
        yield ok("python", f"Python {found.python} in {found.where} (tested: {oldest} to {newest})")


def sdk(facts: Facts) -> Iterator[Diagnosis]:
    """Check the versions of Pulumi's SDK and of this package in the program's environment."""
    if facts.runtime not in {"python", None}:
        yield ok("sdk", f"Python's is not needed for the program, whose runtime is {facts.runtime}")
        return
    found, (oldest, newest) = facts.versions, supported_versions.SDK
    if found.error:
        yield unknown("sdk", f"not checked: {found.where} cannot be used")
        return
    own = found.packages.get("stacks-pulumi")
    if own is None:
        yield problem(
            "sdk", f"stacks-pulumi is not installed in {found.where}", _in(facts, install_command())
        )
        return
    version = found.packages.get("pulumi")
    if version is None or _minor(version) < Version(oldest):
        said = (
            "is not installed"
            if version is None
            else f"{version} is not supported: it is older than {oldest}"
        )
        yield problem("sdk", f"Pulumi's Python SDK {said}", _in(facts, f"pip install 'pulumi>={oldest},<4'"))
    elif _minor(version) > Version(newest):
        yield warning(
            "sdk",
            f"Pulumi's Python SDK {version} is newer than the tested {newest}: progress, timeouts or "
            "concurrency may be reduced",
            _in(facts, f"pip install 'pulumi>={oldest},<{_next(newest)}'"),
        )
    else:
        yield ok("sdk", f"Pulumi's Python SDK {version} (tested: {oldest} to {newest}), stacks-pulumi {own}")
    if own != stacks_pulumi.__version__:
        yield warning(
            "sdk",
            f"the program uses stacks-pulumi {own}, and this command is of version {stacks_pulumi.__version__}",
            f"run the command of the program's environment: {Path(found.where) / 'bin' / 'stacks-pulumi'}",
        )


def _in(facts: Facts, command: str) -> str:
    """Return a `pip` command that runs with the Python of the program's environment."""
    where = Path(facts.versions.where)
    python = next((it for it in (where / "bin/python", where / "Scripts/python.exe") if it.is_file()), None)
    return command if python is None else f"{shlex.quote(str(python))} -m {command}"


def extras(facts: Facts) -> Iterator[Diagnosis]:
    """Check that the packages of an extra are installed where they are needed."""
    found = facts.versions
    if found.error:
        yield unknown("extras", f"not checked: {found.where} cannot be used")
        return
    lacking = {
        extra: package
        for package, extra in EXTRAS.items()
        if found.packages.get(package.replace("_", "-")) is None
    }
    needed = bool(facts.known_packs)
    if needed and "policy" in lacking:
        yield (problem if facts.packs else warning)(
            "extras",
            f"{lacking['policy']} is not installed, and policy packs need it",
            _in(facts, install_command("policy")),
        )
    rest = [extra for extra in lacking if not (needed and extra == "policy")]
    if rest:
        yield ok(
            "extras", f"not installed, and not needed here: {', '.join(rest)} ({install_command(*rest)})"
        )
    elif not lacking:
        yield ok("extras", f"installed: {', '.join(dict.fromkeys(EXTRAS.values()))}")


def host(facts: Facts) -> Iterator[Diagnosis]:
    """Check the native plugin if the program uses it, and start the process that runs the dynamic providers."""
    if facts.is_native:
        yield _plugin(facts)
    if facts.runtime in {"python", None}:
        yield from _dynamic_host()


def _plugin(facts: Facts) -> Diagnosis:
    folder = facts.plugin_folder
    if folder is None:
        if _is_installed(_PLUGIN, ()):
            return ok("host", f"the native plugin {_PLUGIN} is installed")
        own = Path(sys.executable).parent
        return problem(
            "host",
            f"the native plugin {_PLUGIN} is neither on PATH nor named in {facts.project_file}",
            f"export PATH={shlex.quote(str(own))}:$PATH"
            if (own / _PLUGIN).is_file()
            else f"there: {install_command()}",
        )
    if shutil.which(_PLUGIN, path=str(folder)) is None:
        return problem(
            "host",
            f"{facts.project_file} names {folder} for the plugin stacks, and no {_PLUGIN} is there",
            "name the folder of the program's environment, for instance .venv/bin",
        )
    return ok("host", f"the native plugin is {folder / _PLUGIN}")


def _dynamic_host() -> Iterator[Diagnosis]:
    from stacks_pulumi.account.doctor import _host_probe  # noqa: PLC0415  (it loads Pulumi)

    try:
        missing = _host_probe.warnings()
    except _host_probe.ProbeError as error:
        yield unknown("host", f"the provider process could not be tried: {error}")
        return
    if missing:
        low, high = supported_versions.SDK
        yield warning("host", "; ".join(missing), f"pip install 'pulumi>={low},<{_next(high)}'")
    else:
        yield ok(
            "host",
            "the provider process has all features: progress, custom_timeouts, concurrency, clean errors",
        )


def _parsed(version: str) -> Version:
    try:
        return Version(version)
    except InvalidVersion:
        # A build from source may have a version such as `3.259.0-alpha.1234+abc`, which Python's rules do not allow.
        return Version(version.partition("-")[0].partition("+")[0])


def _minor(version: str) -> Version:
    parsed = _parsed(version)
    return Version(f"{parsed.major}.{parsed.minor}")


def _next(minor: str) -> str:
    version = Version(minor)
    return f"{version.major}.{version.minor + 1}"
