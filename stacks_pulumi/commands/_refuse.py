"""How a command ends with an error."""

from __future__ import annotations

import sys

from stacks_pulumi.error_codes import with_code
from stacks_pulumi.errors import StacksError

__all__ = ["refuse"]


def refuse(command: str, error: StacksError | OSError) -> int:
    """Print why a command ended, in one line; return its exit code."""
    text = str(error) if isinstance(error, StacksError) else with_code(str(error), "file-access")
    sys.stderr.write(f"stacks-pulumi {command}: {' '.join(text.split())}\n")
    return 1
