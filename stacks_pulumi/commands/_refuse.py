"""How a command ends with an error."""

from __future__ import annotations

import sys
from pathlib import Path

from stacks_pulumi.config import without_keys
from stacks_pulumi.errors import ConfigError, StacksError, with_code

__all__ = ["not_a_folder", "one_line", "refuse"]


def not_a_folder(folder: Path) -> ConfigError:
    """Return the error for a project's folder that is not one."""
    return ConfigError(f"{folder} is not a folder: name the project's folder with -C", code="file-access")


def one_line(text: str) -> str:
    """Return a text in one line and without API keys: a user may paste one as an argument."""
    return " ".join(without_keys(text).split())


def refuse(command: str, error: StacksError | OSError, *, exit_code: int = 1) -> int:
    """Print why a command ended, in one line; return its exit code."""
    text = str(error) if isinstance(error, StacksError) else with_code(str(error), "file-access")
    sys.stderr.write(f"stacks-pulumi {command}: {one_line(text)}\n")
    return exit_code
