from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = (
    "requests",  # only a caller that creates a client pays for this import
    "asyncio",
    "pydantic",
    "rich",
    "werkzeug",
    "pulumi",
    "grpc",
    "stacks_pulumi.resources",
    "stacks_pulumi.emulator",
)


@pytest.fixture(scope="module")
def loaded() -> set[str]:
    """Return the modules in a process that has imported the client."""
    code = "import sys, stacks_pulumi.api; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


@pytest.mark.parametrize("module", HEAVY)
def test_the_client_does_not_import_them(loaded: set[str], module: str) -> None:
    assert module not in loaded


def test_the_subprocess_imports_the_client(loaded: set[str]) -> None:
    assert {"stacks_pulumi.api.client", "msgspec"} <= loaded
