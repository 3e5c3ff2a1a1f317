"""
The pinned versions of Pulumi, and the folders of its engines.

The README, `pyproject.toml`, the workflows and the pages state the same versions; `tests/meta/test_versions.py`
compares them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

VERSION: Final = "3.274.1"
"""The engine that is installed or built, and on which `make test` runs."""

OLDEST: Final = "3.259.0"
"""The oldest supported engine and SDK; `make test-extra` runs one story of every kind on this engine."""

NEWEST_SDK: Final = "3.272.0"
"""The newest tested SDK for Python, from `tools/locks`."""

ENGINES: Final[Mapping[str, str]] = {VERSION: "cli", OLDEST: "cli_oldest"}
"""
The engines that can be installed or built, the newest first -> their folder in `MODULES`.

If the modules of one engine are missing, the next engine is used.
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
Version -> system and machine -> file and SHA-256, from Pulumi's own Homebrew formula of this version.

Other versions are built from their modules, whose checksums are in `MODULES`. So every download is verified.
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
"""The newest version that can be built with the engine's modules (1.37 cannot). It is in the engine's folder."""

COMPANIONS = (LANGUAGE_HOST, LAUNCHER, DYNAMIC_PROVIDER)
"""The command that the engine starts to run a Python program with dynamic providers."""

MODULES = Path(__file__).resolve().parent / "modules"
"""The pinned Go modules, one folder for each binary."""


def address(version: str) -> str:
    """Return the address of a version's official release."""
    return f"https://github.com/pulumi/pulumi/releases/download/v{version}"


def line(version: str) -> str:
    """Return a version without its patch number, such as `3.259`, as in pages."""
    return version.rpartition(".")[0]


def cache() -> Path:
    """Return the folder of all engines, which is outside the checkout so that a fresh clone finds them."""
    # The XDG rules: ignore a relative path.
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not base.is_absolute():
        base = Path.home() / ".cache"
    return base / "stacks-pulumi" / "engine"


def home(version: str = VERSION) -> Path:
    """
    Return the folder of a pinned engine, with the executables in `bin` and the marker.

    Checkouts with different pins share the cache. So a change of any pin needs a folder name that no checkout has used.
    """
    return cache() / version
