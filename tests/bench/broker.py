"""The broker's own time for a read and a change: without the platform's time, and with each write of the ledger."""

from __future__ import annotations

import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stacks_pulumi.emulator import Emulator
from tests.broker.conftest import Bench, create, literal, permit
from tests.support.clock import fast_clock

_REQUESTS = 200


@dataclass(frozen=True)
class Own:
    """
    The 95th percentile of the requests' times in milliseconds.

    Attributes:
        read: A read.
        change: A change.
    """

    read: float
    change: float


def measure() -> Own:
    """Measure both, with sequential requests."""
    with tempfile.TemporaryDirectory() as folder, Emulator(boot_seconds=0, clock=fast_clock()) as platform:
        platform.set_rate_limit(1_000_000)
        bench = Bench(Path(folder) / "broker", platform, {"requests_share": 1})
        try:
            return _measured(bench)
        finally:
            bench.stop()


def _measured(bench: Bench) -> Own:
    web, names = bench.made("web"), [f"web-{number}" for number in range(_REQUESTS // 2)]
    start = permit(
        "containers.set_status", {"status": "running"}, ids={"container_id": literal(web)}, times=_REQUESTS
    )
    grant = bench.granted(start, *(permit("containers.create", create(name)) for name in names), ttl=86_400)
    path, took = f"/containers/status/{web['id']}", _timed(bench)

    def every(send: Callable[[int], Any]) -> float:
        took.clear()
        for number in range(_REQUESTS):
            assert send(number).status_code < 300
            # So that the broker repeats no stored answer and reuses no list.
            bench.clock.advance(121)
        return statistics.quantiles(took, n=20)[-1] * 1000

    read = every(lambda number: grant("GET", "/containers" if number % 2 else path))
    bench.clock.freeze()

    def change(number: int) -> Any:
        if number % 2:
            return grant.create(names[number // 2])
        return grant("PUT", f"/containers/{web['id']}/status", {"status": "running"})

    return Own(read, every(change))


def _timed(bench: Bench) -> list[float]:
    """Return a list that gets the seconds of each request, without the time of requests to the platform."""
    took, there = list[float](), threading.local()
    app, upstream = bench.server.app, bench.server.upstream
    respond, ask = app.respond, upstream._counting

    def responds(*given: Any) -> Any:
        there.seconds, began = 0.0, time.perf_counter()
        reply = respond(*given)
        took.append(time.perf_counter() - began - there.seconds)
        return reply

    def asks(*given: Any) -> Any:
        began = time.perf_counter()
        try:
            return ask(*given)
        finally:
            there.seconds += time.perf_counter() - began

    # The instances are changed, so that a function can replace a method.
    vars(app)["respond"], vars(upstream)["_counting"] = responds, asks
    return took
