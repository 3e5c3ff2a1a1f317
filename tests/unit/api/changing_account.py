"""An account whose containers change with time, on a clock that the test advances."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stacks_pulumi._clock import beat
from stacks_pulumi.api._call import Call
from stacks_pulumi.api.feed import Feed
from stacks_pulumi.api.models import Container, Listing
from stacks_pulumi.api.wait import CREATED, Wait
from tests.support.clock import FakeClock


class ChangingAccount:
    """
    Containers that change with time, and a list call that takes a while.

    Attributes:
        looks: When each call began.
    """

    def __init__(self, clock: FakeClock, *, latency: float = 0.1) -> None:
        self.clock = clock
        self.latency = latency
        self.looks: list[float] = []
        self.fails: Callable[[float], BaseException | None] = lambda now: None
        self.under_way = 0
        self.most_under_way = 0
        self._changes: dict[str, list[tuple[float, str | None]]] = {}

    def put(self, id: str, status: str | None, after: float = 0.0) -> None:
        self._changes.setdefault(id, []).append((self.clock.now() + after, status))

    def __call__(self, call: Call[Any]) -> Any:
        self.looks.append(self.clock.now())
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        beat(call.pulse)
        self.clock.sleep(self.latency / 2)
        seen = self.now()
        self.clock.sleep(self.latency / 2)
        self.under_way -= 1
        error = self.fails(self.clock.now())
        if error is not None:
            raise error
        return seen

    def now(self) -> Listing[Container]:
        states = {
            id: [status for since, status in changes if since <= self.clock.now()]
            for id, changes in self._changes.items()
        }
        return Listing(
            Container(id=id, status=seen[-1]) for id, seen in states.items() if seen and seen[-1] is not None
        )


def job(
    feed: Feed[Container], clock: FakeClock, id: str, *, start: float = 0.0, wait: Wait = CREATED, **more: Any
) -> Callable[[], Any]:
    def run() -> Any:
        clock.sleep(start)
        return feed.wait(wait, id, **{"deadline": clock.now() + 600, **more}), clock.now()

    return run
