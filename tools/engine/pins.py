"""
What is pinned, and where an engine is kept: the one place of the versions of Pulumi.

The README, `pyproject.toml`, the workflows and the pages state the same; `tests/meta/test_versions.py` compares them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

VERSION: Final = "3.274.1"
"""The engine that is installed or built, and that `make test` runs on."""

OLDEST: Final = "3.259.0"
"""The oldest engine that is used, and the oldest SDK; `make test-extra` runs one story of every kind on it."""

NEWEST_SDK: Final = "3.272.0"
"""The newest SDK for Python that was tested: that of `tools/locks`."""

ENGINES: Final[Mapping[str, str]] = {VERSION: "cli", OLDEST: "cli_oldest"}
"""
The engines that can be installed or built, the newest first -> their folder in `MODULES`.

If the modules of one are missing, the next is taken.
"""

RELEASES: Final[Mapping[str, Mapping[tuple[str, str], tuple[str, str]]]] = {
    OLDEST: {
        ("Linux", "x86_64"): (
            f"pulumi-v{OLDEST}-linux-x64.tar.gz",
            "94ba357acac23d01474084c4b00098dc0f7bc70ce13f34c777459254a5f718e5",
        ),
        ("Linux", "aarch64"): (
            f"pulumi-v{OLDEST}-linux-arm64.tar.gz",
            "edc8327463a72160bb36cf82cf5062da9c8a244290a706d9980988e7bf486853",
        ),
        ("Darwin", "x86_64"): (
            f"pulumi-v{OLDEST}-darwin-x64.tar.gz",
            "eaca4c3b8277bfa3ab061fa3b270d1c66358a0b2e613da8c5587a04b7226c534",
        ),
        ("Darwin", "arm64"): (
            f"pulumi-v{OLDEST}-darwin-arm64.tar.gz",
            "57c27f179e527e2cf9f62b841a448af72a020e44b2fb4ee0d9bd85556c00c864",
        ),
    },
}
"""
Version -> system and machine -> file and SHA-256, as Pulumi's own Homebrew formula of this version has them.

A version that is not here is built from its modules, whose checksums are in `MODULES`: nothing is downloaded unchecked.
"""

CLI = "pulumi"
LANGUAGE_HOST = "pulumi-language-python"
LAUNCHER = "pulumi-language-python-exec"
DYNAMIC_PROVIDER = "pulumi-resource-pulumi-python"

NODEJS_HOST = "pulumi-language-nodejs"
GO_HOST = "pulumi-language-go"
DOTNET_HOST = "pulumi-language-dotnet"
YAML_HOST = "pulumi-language-yaml"
YAML_VERSION = "1.32.0"
"""The newest that is built with the engine's own modules; 1.37 is not. It is kept in the engine's folder."""

COMPANIONS = (LANGUAGE_HOST, LAUNCHER, DYNAMIC_PROVIDER)
"""What the engine starts to run a Python program with dynamic providers."""

MODULES = Path(__file__).resolve().parent / "modules"
"""The pinned Go modules, one folder for each binary."""


def address(version: str) -> str:
    """Return where the official release of a version is."""
    return f"https://github.com/pulumi/pulumi/releases/download/v{version}"


def line(version: str) -> str:
    """Return a version without its patch, such as `3.259`, as pages state it."""
    return version.rpartition(".")[0]


def cache() -> Path:
    """Return the folder that holds engines; outside the checkout, so that a fresh clone finds them."""
    # The XDG rules: ignore a relative path.
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not base.is_absolute():
        base = Path.home() / ".cache"
    return base / "stacks-pulumi" / "engine"


def home(version: str = VERSION) -> Path:
    """
    Return the folder of a pinned engine: `bin` with the executables, and the marker beside it.

    Checkouts with other pins share the cache. So a change of any pin needs a name that no checkout has used.
    """
    return cache() / version
