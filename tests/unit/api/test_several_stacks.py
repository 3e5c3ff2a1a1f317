"""Stacks that run concurrently with one key share the requests of a window."""

from __future__ import annotations

from tests.support.several_stacks import run


def test_four_stacks_need_no_window_more_than_their_requests() -> None:
    found = run(containers=16, apart=1.0)

    assert found.calls["containers.create"] == 64
    # The rest of two windows is enough for all reads.
    assert len(found.windows) == 2
    assert max(found.refused.values()) == 1
    # On the simulated clock. With its share of the requests, each stack takes at most 60 s longer than alone.
    assert found.ratio < 1.1
    assert max(found.ends.values()) < 29 + 2 * 60
