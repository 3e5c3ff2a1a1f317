"""Stacks that run concurrently with one key: how they share the requests of a window."""

from __future__ import annotations

from pathlib import Path

from tests.support.several_stacks import run


def test_four_stacks_need_no_window_more_than_their_requests(tmp_path: Path) -> None:
    found = run(tmp_path / "hints", containers=15, limit=40, boot=29.0)

    assert found.calls["containers.create"] == 60
    # The rest of two windows is enough for all looks.
    assert len(found.windows) == 2
    assert max(found.refused.values()) == 1
    # By the driven clock. Each would take 60 s longer than alone with its share of the requests.
    assert found.ratio < 1.1
    assert max(found.ends.values()) < 29 + 2 * 60
