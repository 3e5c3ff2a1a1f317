"""
Two concurrent stacks on one key, which share only the rate limit.

`tests/unit/api/test_limiter.py` shows on a driven clock how they share it, and that neither starves.
"""

from __future__ import annotations

from collections.abc import Callable

from stacks_pulumi.emulator import Emulator
from tests.support.clock import fast_clock
from tests.support.stack import Stack

EACH = 12
LIMIT = 16
HANDFUL = 6


def test_two_stacks_on_one_key_share_its_rate_limit(make_stack: Callable[..., Stack]) -> None:
    with Emulator(rate_limit=LIMIT, clock=fast_clock()) as emulator:
        stacks = {team: make_stack(emulator) for team in ("red", "blue")}
        for team, stack in stacks.items():
            stack.program(
                f'for number in range({EACH}):\n    stacks.Container(f"{team}-{{number:02}}", template="nodejs")\n'
            )

        running = [
            stack.start("up", "--yes", "--skip-preview", "--parallel", "64") for stack in stacks.values()
        ]
        texts = [process.communicate(timeout=100)[0] for process in running]

        assert [process.returncode for process in running] == [0, 0], texts
        assert len(emulator.state.containers) == 2 * EACH
        for stack in stacks.values():
            assert len(stack.resources()) == EACH
        # They need more requests than one window has, so both have to leave some to the other.
        refused = [record for record in emulator.requests if record.status == 429]
        assert emulator.calls() - len(refused) > LIMIT
        assert len(refused) <= HANDFUL
