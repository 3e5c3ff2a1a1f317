"""
Several stacks that run `up` concurrently with one key, each with its own client, on a simulated clock.

The API is the emulator without a socket. Waits take no real time, and the clock decides which thread runs.
"""

from __future__ import annotations

import email.utils
import functools
import json
import random
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

from stacks_pulumi.api._call import Answer, Call
from stacks_pulumi.api._limiter import WINDOW, Limiter
from stacks_pulumi.api.client import assemble
from stacks_pulumi.api.containers import ContainersApi
from stacks_pulumi.api.wait import CREATED
from stacks_pulumi.emulator import DrivenClock, Emulator
from stacks_pulumi.emulator.server import Incoming
from tests.support.clock import FakeClock

__all__ = ["Outcome", "run"]

_LATENCY = 0.1
_AT_ONCE = 16


@dataclass
class Outcome:
    """
    The times and requests of the stacks.

    Attributes:
        bound: The smallest possible number of seconds.
        ends: The second at which each stack had all of its containers.
        calls: The accepted requests, by operation.
        windows: The windows of the rate limit in which they were sent.
        refused: How often each request was refused.
    """

    bound: float
    ends: dict[int, float] = field(default_factory=dict)
    calls: Counter[str] = field(default_factory=Counter)
    windows: set[str] = field(default_factory=set)
    refused: Counter[tuple[int, str]] = field(default_factory=Counter)

    @property
    def ratio(self) -> float:
        """The time of all stacks as a multiple of the bound."""
        return max(self.ends.values()) / self.bound


def run(
    *,
    stacks: int = 4,
    containers: int = 24,
    limit: int = 60,
    boot: float = 20.0,
    apart: float = 0.0,
    seed: int = 0,
) -> Outcome:
    """
    Let the stacks create their containers, and wait until they run.

    Args:
        stacks: The number of stacks.
        containers: The number of containers in each stack.
        limit: The number of requests in a window.
        boot: Seconds for which a container is pending.
        apart: The greatest number of seconds between their starts.
        seed: The seed of random values.
    """
    clock, chance, lock = FakeClock(), random.Random(seed), threading.Lock()
    begun = clock.now()
    # The emulator uses only its methods and its speed.
    emulator = Emulator(boot_seconds=boot, rate_limit=limit, clock=cast("DrivenClock", _Platform(clock)))
    last_window = (stacks * (1 + containers) - 1) // limit * WINDOW
    outcome = Outcome(last_window + boot)

    def transport(stack: int) -> Callable[[Call[Any]], Answer]:
        def send(call: Call[Any]) -> Answer:
            clock.sleep(_LATENCY * (0.25 + chance.random() / 2))
            with lock:
                body = b"" if call.json is None else json.dumps(call.json).encode()
                path = f"/api/v1{call.path}"
                got = emulator.api.respond(
                    Incoming(call.endpoint.method, path, {}, f"Bearer {emulator.key}", body)
                )
                headers = {name.lower(): value for name, value in got.headers.items()}
                headers["date"] = email.utils.formatdate(int(clock.wall()), usegmt=True)
                if got.status == 429:
                    outcome.refused[stack, f"{threading.current_thread().name} {call.what}"] += 1
                else:
                    outcome.calls[call.endpoint.name] += 1
                    outcome.windows.add(headers["x-ratelimit-reset"])
            clock.sleep(_LATENCY * (0.25 + chance.random() / 2))
            return Answer(got.status, headers, got.payload, clock.wall())

        return send

    def job(api: ContainersApi, stack: int, number: int, after: float) -> None:
        clock.sleep(after + 0.02 * number)
        made = api.create(name=f"s{stack}-{number:03}", template="nodejs")
        api.feed.wait(CREATED, made.id, deadline=clock.now() + 600)
        outcome.ends[stack] = clock.now() - begun

    jobs = []
    for stack in range(stacks):
        spread = random.Random(f"{seed} {stack}").random
        limiter = Limiter(60, _AT_ONCE, clock, spread=spread)
        send = assemble(transport(stack), limiter, clock)
        api = ContainersApi(send, clock, limiter.pace, server_now=limiter.server_now)
        after = apart * chance.random()
        jobs += [functools.partial(job, api, stack, number, after) for number in range(containers)]
    assert clock.run(*jobs) == [None] * len(jobs)
    return outcome


class _Platform:
    """The emulator's clock on top of a simulated clock."""

    speed = 1.0
    driven = 0.0

    def __init__(self, clock: FakeClock) -> None:
        self.now = clock.wall
        self.wall = clock.wall
