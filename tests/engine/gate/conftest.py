"""A gate for the stack of a test."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.gate import Gated
from tests.support.stack import Stack


@pytest.fixture
def gated(stack: Stack, tmp_path: Path) -> Gated:
    """A gate without packs, for which every change needs an approval."""
    return Gated(stack, tmp_path / "gated")
