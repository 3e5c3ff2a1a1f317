"""Errors that only a bug of this package causes, and the one that no message shows."""

from __future__ import annotations

from stacks_pulumi.emulator import Emulator
from tests.engine.scenarios.scenario import Scenario, Section
from tests.support.stack import Stack

__all__ = ["BUGS"]

_BUG = """\
from stacks_pulumi.resources.container import ContainerCreation


def create(self):
    raise KeyError("plan")


ContainerCreation.create = create
"""


def _with_a_bug(_emulator: Emulator, stack: Stack) -> None:
    # Python imports a module of this name at its start, here in the provider's process.
    folder = stack.folder / "bug"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(_BUG, encoding="utf-8")
    stack.env["PYTHONPATH"] = str(folder)


BUGS = (
    Scenario(
        "internal-error",
        "A bug in this package",
        "Something happened that the package does not handle.",
        "`pulumi refresh` shows what exists; then try again. Please report it with the traceback that "
        "`pulumi up --debug` shows, and not with the whole output: in a program in TypeScript, Pulumi writes the "
        "outputs of all resources into it, and the settings of providers, with keys.",
        ("internal error in stacks-pulumi (KeyError: 'plan')", "pulumi refresh"),
        prepare=_with_a_bug,
    ),
    Section(
        "cancelled",
        "The wait was cancelled",
        "The engine ended while the provider worked. No output shows this error, because the engine that would show it "
        "is gone; it is in the logs of the provider, and in programs that use `stacks_pulumi.api` themselves.",
        "Run `pulumi up` again ([after a killed engine](troubleshooting.md#after-a-killed-engine)).",
    ),
)
