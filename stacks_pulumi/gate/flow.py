"""How is a change planned and applied?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stacks_pulumi.gate.record import Record

if TYPE_CHECKING:
    from stacks_pulumi.gate.settings import Gate
    from stacks_pulumi.gate.verdict import Verdict


@dataclass(frozen=True)
class Planned:
    """
    What `plan` found.

    Attributes:
        record: The record that it wrote.
        verdict: Whether the change may be applied.
    """

    record: Record
    verdict: Verdict


def plan(gate: Gate, record: Path, project: Path, stack: str | None) -> Planned:
    """
    Preview a change, judge it, and write its record.

    Args:
        gate: The gate.
        record: The folder of the record; a record that it has is replaced, with its approvals.
        project: The project's folder.
        stack: The stack's name; by default the selected stack.

    Raises:
        StacksError: It could not be planned; the record's folder then has no record.
    """
    raise NotImplementedError


def apply(gate: Gate, record: Path, project: Path, stack: str | None) -> int:
    """
    Apply a record; the output of the engine goes to standard output.

    Returns:
        The engine's exit code.

    Raises:
        RefusedError: The record or its approval is void, or the gate refuses the change. Nothing was changed.
        StacksError: It could not be tried.
    """
    raise NotImplementedError
