"""The data that all operations of one account share."""

from __future__ import annotations

import msgspec

from stacks_pulumi.config import AccountSettings
from stacks_pulumi.resources._session import session_for
from tests.support.clock import FakeClock


def test_an_operation_begins_as_soon_as_the_turn_before_it_ends() -> None:
    clock, began = FakeClock(), []
    session = msgspec.structs.replace(session_for(AccountSettings("sk_stacks_" + "5e" * 32)), clock=clock)

    def work(after: float) -> None:
        clock.sleep(after)
        with session.turn("web"):
            began.append(clock.now())
            clock.sleep(0.25)

    assert clock.run(lambda: work(0.0), lambda: work(0.125)) == [None, None]
    assert began == [1000.0, 1000.25]
