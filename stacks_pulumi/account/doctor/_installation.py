"""Checks of what is installed: the engine, Python, the SDK, extras, and the process that runs our providers."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from packaging.version import InvalidVersion, Version

import stacks_pulumi
from stacks_pulumi._extras import EXTRAS, install_command
from stacks_pulumi.account.doctor import supported_versions
from stacks_pulumi.account.doctor.diagnosis import Diagnosis, ok, problem, unknown, warning
from stacks_pulumi.account.doctor.facts import Facts
from stacks_pulumi.account.doctor.pulumi_cli import PulumiError

__all__ = ["engine", "extras", "host", "python", "sdk"]

_INSTALL: Final = "install it: https://www.pulumi.com/docs/iac/download-install/"
_COMPANIONS: Final = ("pulumi-language-python", "pulumi-resource-pulumi-python")
"""What the engine starts to run a Python program with dynamic providers."""


def engine(facts: Facts) -> Iterator[Diagnosis]:
    """Check that Pulumi's engine is installed, supported, and can run Python programs."""
    command = facts.pulumi.path()
    if command is None:
        yield problem("engine", "the command `pulumi` is not on PATH", _INSTALL)
        return
    try:
        version = facts.pulumi.version()
    except PulumiError as error:
        yield problem("engine", f"{command}: {error}", _INSTALL)
        return
    oldest = supported_versions.ENGINE
    if _minor(version) < Version(oldest):
        yield problem(
            "engine",
            f"Pulumi {version} is not supported: it is older than {oldest}",
            f"install {oldest} or newer: https://www.pulumi.com/docs/iac/download-install/",
        )
        return
    here = (Path(command).absolute().parent, Path(command).resolve().parent)
    missing = [
        name
        for name in _COMPANIONS
        if shutil.which(name) is None and not any((folder / name).is_file() for folder in here)
    ]
    if missing:
        yield problem(
            "engine",
            f"Pulumi {version} has no {missing[0]}, which runs Python programs",
            f"put it beside {command} or on PATH: it is part of Pulumi's download",
        )
        return
    yield ok("engine", f"Pulumi {version} (supported: {oldest} or newer)")


def python(facts: Facts) -> Iterator[Diagnosis]:
    """Check the version of the Python that runs the program."""
    found, (oldest, newest) = facts.versions, supported_versions.PYTHON
    if found.error:
        yield problem(
            "python",
            f"the virtual environment {found.where}, which Pulumi.yaml names, cannot be used: {found.error}",
            "create it and install the program's requirements: `pulumi install`",
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
    found, (oldest, newest) = facts.versions, supported_versions.SDK
    if found.error:
        yield unknown("sdk", f"not checked: {found.where} cannot be used")
        return
    own = found.packages.get("stacks-pulumi")
    if own is None:
        yield problem(
            "sdk", f"stacks-pulumi is not installed in {found.where}", f"there: {install_command()}"
        )
        return
    version = found.packages.get("pulumi")
    if version is None or _minor(version) < Version(oldest):
        said = (
            "is not installed"
            if version is None
            else f"{version} is not supported: it is older than {oldest}"
        )
        yield problem("sdk", f"Pulumi's Python SDK {said}", f"pip install 'pulumi>={oldest},<4'")
    elif _minor(version) > Version(newest):
        yield warning(
            "sdk",
            f"Pulumi's Python SDK {version} is newer than the tested {newest}: progress, timeouts or "
            "concurrency may be reduced",
            f"pip install 'pulumi>={oldest},<{_next(newest)}'",
        )
    else:
        yield ok("sdk", f"Pulumi's Python SDK {version} (tested: {oldest} to {newest}), stacks-pulumi {own}")
    if own != stacks_pulumi.__version__:
        yield warning(
            "sdk",
            f"the program uses stacks-pulumi {own}, and this command is of version {stacks_pulumi.__version__}",
            f"run the command of the program's environment: {Path(found.where) / 'bin' / 'stacks-pulumi'}",
        )


def extras(facts: Facts) -> Iterator[Diagnosis]:
    """Check that what comes with an extra is installed where it is needed."""
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
            f"it comes with the extra 'policy': {install_command('policy')}",
        )
    rest = [extra for extra in lacking if not (needed and extra == "policy")]
    if rest:
        yield ok(
            "extras", f"not installed, and not needed here: {', '.join(rest)} ({install_command(*rest)})"
        )
    elif not lacking:
        yield ok("extras", f"installed: {', '.join(dict.fromkeys(EXTRAS.values()))}")


def host(_facts: Facts) -> Iterator[Diagnosis]:
    """Start the process that runs our providers, and see whether it finds all parts of the SDK that it uses."""
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
        # A build from source may say `3.259.0-alpha.1234+abc`, with parts that are not a version of Python's kind.
        return Version(version.partition("-")[0].partition("+")[0])


def _minor(version: str) -> Version:
    parsed = _parsed(version)
    return Version(f"{parsed.major}.{parsed.minor}")


def _next(minor: str) -> str:
    version = Version(minor)
    return f"{version.major}.{version.minor + 1}"
