"""Pulumi's folder in the user's home directory, where we keep files for other processes."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["pulumi_home"]


def pulumi_home() -> Path:
    """Return `PULUMI_HOME`, or `~/.pulumi` if it is not set, as the engine does."""
    home = os.environ.get("PULUMI_HOME")
    return Path(home) if home else Path.home() / ".pulumi"
