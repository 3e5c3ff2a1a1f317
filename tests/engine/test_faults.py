"""
A sample of the fault matrix (`tests/host/test_fault_matrix.py`) on the real engine, which keeps the real state.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from stacks_pulumi.emulator import Emulator
from stacks_pulumi.emulator.faults import Fault
from tests.chaos.account import holdings
from tests.chaos.matrix.changes import CHANGES
from tests.chaos.ministack import Declared, Ref
from tests.support.stack import Result, Stack

pytestmark = [pytest.mark.slow, pytest.mark.chaos]

BY_OPERATION = {change.operation: change for change in CHANGES}

Case = tuple[str, str, int | None, dict[str, Any]]
"""The operation, the kind of fault, how often (`None`: every time), and the fault's options."""

SURVIVED: list[Case] = [
    ("containers.create", "drop_after", 1, {}),
    ("containers.delete", "drop_after", None, {}),
    ("connections.create", "drop_before", 1, {"reset": True}),
]
FATAL: list[Case] = [
    ("containers.create", "status", None, {"code": 503}),
    ("connections.delete", "status", None, {"code": 500}),
    ("backups.pin", "drop_before", None, {}),
    ("backups.restore", "drop_after", 1, {}),
]


def source(program: Sequence[Declared]) -> str:
    """Return the program as Python text."""
    lines = []
    for declared in program:
        inputs = ", ".join(f"{name}={_expression(name, value)}" for name, value in declared.inputs.items())
        lines.append(f"{_variable(declared.name)} = stacks.{declared.kind}({declared.name!r}, {inputs})")
    return "\n".join(lines) + "\n"


def _expression(name: str, value: Any) -> str:
    if not isinstance(value, Ref):
        return repr(value)
    return f"{_variable(value.name)}.backup_id" if name == "backup_id" else _variable(value.name)


def _variable(name: str) -> str:
    return name.replace("-", "_")


@pytest.mark.parametrize("case", SURVIVED, ids=lambda case: f"{case[0]}-{case[1]}")
def test_the_up_survives_a_fault_with_a_correct_state(stack: Stack, emulator: Emulator, case: Case) -> None:
    fault = _about_to_happen(stack, emulator, case)

    stack.up(quiet_afterwards=False)

    fault.times = fault.fired
    assert fault.fired > 0
    assert stack.ids() == holdings(emulator)
    _the_state_is_right(stack, emulator)


@pytest.mark.parametrize("case", FATAL, ids=lambda case: f"{case[0]}-{case[1]}")
def test_a_permanent_fault_is_one_line_and_the_next_up_resumes(
    stack: Stack, emulator: Emulator, case: Case
) -> None:
    fault = _about_to_happen(stack, emulator, case)

    failed = stack.up_fails()

    fault.times = fault.fired
    assert fault.fired > 0
    assert len(_ours(failed)) == 1, failed.text
    assert stack.ids() == holdings(emulator)
    stack.up(quiet_afterwards=False)
    assert stack.ids() == holdings(emulator)
    _the_state_is_right(stack, emulator)


def _about_to_happen(stack: Stack, emulator: Emulator, case: Case) -> Fault:
    """Set the fault for the next `up`."""
    operation, kind, times, options = case
    change = BY_OPERATION[operation]
    stack.program(source(change.before("web")))
    stack.up(quiet_afterwards=False)
    stack.program(source(change.after("web")))
    return emulator.faults.add(operation, kind, times, **options)


OF_THE_ENGINE = {"update failed", "error: update failed", "Resource monitor has terminated, shutting down"}


def _ours(result: Result) -> list[str]:
    """Return the errors, without the engine's own, and what is a warning because the engine waits."""
    waiting = [line for line in result.warnings if line.endswith("[no-capacity]")]
    return waiting + [line for line in result.errors if line not in OF_THE_ENGINE]


def _the_state_is_right(stack: Stack, emulator: Emulator) -> None:
    stack.refresh()
    assert stack.ids() == holdings(emulator)
    assert emulator.key not in stack.said() + stack.export()
