"""Two concurrent stacks on one key, which share only the rate limit."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from stacks_pulumi.emulator import Emulator
from tests.support.stack import Stack

EACH = 30
HANDFUL = 6


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_two_stacks_share_one_rate_limit_and_neither_starves(make_stack: Callable[..., Stack]) -> None:
    with Emulator(boot_seconds=2.0, rate_limit=60) as emulator:
        stacks = {team: make_stack(emulator) for team in ("red", "blue")}
        for team, stack in stacks.items():
            stack.program(
                f'for number in range({EACH}):\n    stacks.Container(f"{team}-{{number:02}}", template="nodejs")\n'
            )

        began = time.monotonic()
        running = {
            team: stack.start("up", "--yes", "--skip-preview", "--parallel", "64")
            for team, stack in stacks.items()
        }
        ended = {}
        texts = {}
        for team, process in running.items():
            texts[team], _ = process.communicate(timeout=240)
            ended[team] = time.monotonic() - began

        for team, process in running.items():
            assert process.returncode == 0, texts[team][-3000:]
        assert len(emulator.state.containers) == 2 * EACH
        refused = [record for record in emulator.requests if record.status == 429]
        made = [
            record
            for record in emulator.requests
            if record.operation == "containers.create" and record.status == 202
        ]
        in_the_first_window = {
            team: sum(record.subject.startswith(team) and record.at < made[0].at + 60 for record in made)
            for team in stacks
        }
        assert len(refused) <= HANDFUL
        # Sixty creations and some looks need two windows; the second begins after a minute.
        assert max(ended.values()) < 60 + 30
        assert min(in_the_first_window.values()) >= EACH // 3, in_the_first_window
        for stack in stacks.values():
            assert len(stack.resources()) == EACH
