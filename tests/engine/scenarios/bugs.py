"""An error that only a bug of this package causes."""

from __future__ import annotations

from stacks_pulumi.emulator import Emulator
from tests.engine.scenarios.scenario import Scenario
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
        ("internal error in stacks-pulumi (KeyError: 'plan')", "pulumi refresh"),
        prepare=_with_a_bug,
    ),
)
