"""What is pinned, and where the engine is kept."""

from __future__ import annotations

import os
from pathlib import Path

VERSION = "3.259.0"
"""The engine that is installed or built. From 3.265 on, module proxies lack some of its dependencies."""

ADDRESS = f"https://github.com/pulumi/pulumi/releases/download/v{VERSION}"
"""Where the official release is."""

RELEASES = {
    ("Linux", "x86_64"): (
        f"pulumi-v{VERSION}-linux-x64.tar.gz",
        "94ba357acac23d01474084c4b00098dc0f7bc70ce13f34c777459254a5f718e5",
    ),
    ("Linux", "aarch64"): (
        f"pulumi-v{VERSION}-linux-arm64.tar.gz",
        "edc8327463a72160bb36cf82cf5062da9c8a244290a706d9980988e7bf486853",
    ),
    ("Darwin", "x86_64"): (
        f"pulumi-v{VERSION}-darwin-x64.tar.gz",
        "eaca4c3b8277bfa3ab061fa3b270d1c66358a0b2e613da8c5587a04b7226c534",
    ),
    ("Darwin", "arm64"): (
        f"pulumi-v{VERSION}-darwin-arm64.tar.gz",
        "57c27f179e527e2cf9f62b841a448af72a020e44b2fb4ee0d9bd85556c00c864",
    ),
}
"""System and machine -> file and SHA-256, as Pulumi's own Homebrew formula of this version has them."""

OLDEST = (3, 259)
"""The oldest engine on PATH that is used."""

CLI = "pulumi"
LANGUAGE_HOST = "pulumi-language-python"
LAUNCHER = "pulumi-language-python-exec"
DYNAMIC_PROVIDER = "pulumi-resource-pulumi-python"

NODEJS_HOST = "pulumi-language-nodejs"
GO_HOST = "pulumi-language-go"
YAML_HOST = "pulumi-language-yaml"
YAML_VERSION = "1.32.0"
"""The newest that is built with the engine's own modules; 1.37 is not. It is kept in the engine's folder."""

COMPANIONS = (LANGUAGE_HOST, LAUNCHER, DYNAMIC_PROVIDER)
"""What the engine starts to run a Python program with dynamic providers."""

MODULES = Path(__file__).resolve().parent / "modules"
"""The pinned Go modules, one folder for each binary."""


def cache() -> Path:
    """Return the folder that holds engines; outside the checkout, so that a fresh clone finds them."""
    # The XDG rules: ignore a relative path.
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not base.is_absolute():
        base = Path.home() / ".cache"
    return base / "stacks-pulumi" / "engine"


def home() -> Path:
    """
    Return the folder of the pinned engine: `bin` with the executables, and the marker beside it.

    Checkouts with other pins share the cache. So a change of any pin needs a name that no checkout has used.
    """
    return cache() / VERSION
