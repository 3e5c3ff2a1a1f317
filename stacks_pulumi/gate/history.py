"""Who has changed what, for how much, and approved by whom?"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stacks_pulumi.gate.settings import Gate


@dataclass(frozen=True)
class Entry:
    """
    One update in the stack's history.

    Attributes:
        version: Its number.
        kind: `update`, `refresh`, `destroy` ...
        result: `succeeded` or `failed`.
        at: When it began.
        message: Its message, cleaned.
        digest: The digest of the record that it says it applied; empty for an update without the gate.
        price_before: The monthly price before it, as its message says.
        price_after: The monthly price after it, as its message says.
        approvers: Who approved it, as far as their signatures verify.
        verified: Whether its message is one of the gate whose signatures verify.
        doubt: Why it is not verified; empty if it is.
    """

    version: int
    kind: str
    result: str
    at: datetime.datetime
    message: str
    digest: str
    price_before: str
    price_after: str
    approvers: tuple[str, ...]
    verified: bool
    doubt: str

    def describe(self) -> dict[str, Any]:
        """Return it for programs."""
        raise NotImplementedError


def log(project: Path, stack: str | None, gate: Gate | None = None) -> tuple[Entry, ...]:
    """
    Return the stack's history, the newest first.

    Args:
        project: The project's folder.
        stack: The stack's name; by default the selected stack.
        gate: The gate whose approvers sign. Without one, no signature can be compared with a name.

    Raises:
        PulumiError: The history cannot be read.
    """
    raise NotImplementedError
