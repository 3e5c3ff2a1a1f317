"""The way of a change: planned, approved, applied, and in the history."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from stacks_pulumi.emulator import Emulator
from tests.support.gate import Gated
from tests.support.stack import Stack


@pytest.fixture
def gated(stack: Stack, tmp_path: Path) -> Gated:
    return Gated(stack, tmp_path / "gated")


def test_a_change_is_planned_approved_and_applied_once(gated: Gated, emulator: Emulator) -> None:
    gated.stack.program('stacks.Container("web", template="nodejs")')

    planned = gated.plan()
    assert planned.verdict.result == "needs_approval"
    assert gated.refused()
    gated.approve()

    assert gated.apply() == 0
    assert emulator.state.names() == ["web"]
    (entry,) = [one for one in gated.log() if one.result == "succeeded"]
    assert entry.approvers == ("ann",)
    assert entry.verified
    assert "an `apply` of this record began before" in gated.refused()
