from __future__ import annotations

import itertools
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from stacks_pulumi.api._call import Answer, Call
from stacks_pulumi.api._decode import Decode
from stacks_pulumi.api._limiter import Limit, Limiter, Priority
from stacks_pulumi.api._retry import Retry
from tests.support.clock import FakeClock
from tests.unit.api.scripted_api import a_call


class Window:
    """
    A fake API: it counts requests in windows of a minute on its own clock, and answers after a delay.

    Attributes:
        sent: The time at which each request was counted.
        refused: The number of requests over the limit.
    """

    def __init__(self, clock: FakeClock, limit: int, *, latency: float = 0.1, headers: bool = True) -> None:
        self.clock = clock
        self.limit = limit
        self.latency = latency
        self.headers = headers
        self.sent: list[float] = []
        self.refused = 0
        self._ends = 0.0
        self._used = 0
        self._lock = threading.Lock()

    def __call__(self, call: Call[Any]) -> Answer:
        self.clock.sleep(self.latency / 2)
        with self._lock:
            answer = self._count()
        self.clock.sleep(self.latency / 2)
        return answer

    def _count(self) -> Answer:
        now = self.clock.wall()
        if now >= self._ends:
            self._ends, self._used = now + 60, 0
        self._used += 1
        self.sent.append(self.clock.now())
        headers = {
            "x-ratelimit-limit": str(self.limit),
            "x-ratelimit-remaining": str(max(self.limit - self._used, 0)),
            "x-ratelimit-reset": str(round(self._ends + 0.5)),
        }
        if self._used > self.limit:
            self.refused += 1
            advice = {"retry-after": str(round(self._ends - now + 0.5))}
            return Answer(429, {**(headers if self.headers else {}), **advice}, received=now)
        return Answer(200, headers if self.headers else {}, received=now)


def limiter(clock: FakeClock, per_minute: int = 60, at_once: int = 16, **more: Any) -> Limiter:
    return Limiter(per_minute, at_once, clock, spread=lambda: 0.5, **more)


def jobs(limit: Limit, count: int) -> list[Callable[[], Answer]]:
    return [lambda: limit(a_call("POST")) for _ in range(count)]


def test_while_the_window_has_requests_left_nothing_is_slowed_down(clock: FakeClock) -> None:
    api = Window(clock, 60)
    limit = Limit(api, limiter(clock))

    clock.run(*jobs(limit, 60))

    assert clock.now() - 1000 < 1.0
    assert api.refused == 0


def test_threads_that_start_together_do_not_overrun_a_window(clock: FakeClock) -> None:
    api = Window(clock, 10)
    limit = Limit(api, limiter(clock))

    answers = clock.run(*jobs(limit, 64))

    assert api.refused == 0
    assert [answer.status for answer in answers] == [200] * 64
    assert 360 <= clock.now() - 1000 <= 372  # six full windows before the last four


def test_few_requests_test_whether_the_next_window_is_open(clock: FakeClock) -> None:
    api = Window(clock, 30, latency=1.0)
    limit = Limit(api, limiter(clock, at_once=64))
    clock.run(*jobs(limit, 60))

    second = [at for at in api.sent if at > 1030]

    assert len([at for at in second if at - second[0] < 0.9]) == 4


def test_a_larger_limit_is_used(clock: FakeClock) -> None:
    api = Window(clock, 300)
    limit = Limit(api, limiter(clock))

    clock.run(*jobs(limit, 200))

    assert clock.now() - 1000 < 3.0


def test_without_headers_the_configured_budget_applies(clock: FakeClock) -> None:
    api = Window(clock, 20, headers=False)
    limit = Limit(api, limiter(clock, per_minute=20))

    clock.run(*jobs(limit, 45))

    assert api.refused == 0
    assert 120 <= clock.now() - 1000 <= 122


def test_two_processes_share_one_key_and_neither_starves(clock: FakeClock) -> None:
    api = Window(clock, 60)

    def process(name: str) -> list[Callable[[], tuple[str, float]]]:
        limit = Limit(api, limiter(clock))

        def ask() -> tuple[str, float]:
            limit(a_call("POST"))
            return name, clock.now() - 1000

        return [ask] * 60

    answered = clock.run(*process("one"), *process("other"))

    assert api.refused <= 4  # for requests in flight when the window was used up; the retry waits again
    assert len(answered) == 120
    assert clock.now() - 1000 < 75
    shares = Counter(name for name, at in answered if at < 60)
    assert min(shares["one"], shares["other"]) >= 20, shares


def test_another_process_seen_in_the_headers_leaves_less(clock: FakeClock) -> None:
    it = limiter(clock)
    it.acquire(Priority.READ)
    it.release(told(clock, remaining=1, left=30))
    it.acquire(Priority.READ)
    it.release(told(clock, remaining=0, left=30))
    before = clock.now()
    it.acquire(Priority.READ)

    assert 30 < clock.now() - before < 32


def told(
    clock: FakeClock, *, remaining: int, left: float, limit: int = 60, status: int = 200, **more: str
) -> Answer:
    headers = {
        "x-ratelimit-limit": str(limit),
        "x-ratelimit-remaining": str(remaining),
        "x-ratelimit-reset": str(int(clock.wall() + left)),
        **{name.replace("_", "-"): value for name, value in more.items()},
    }
    return Answer(status, headers, received=clock.wall())


def test_answers_that_arrive_out_of_order_do_not_count_twice(clock: FakeClock) -> None:
    it = limiter(clock, per_minute=4)
    for _ in range(3):
        it.acquire(Priority.READ)
    for remaining in (1, 3, 2):
        it.release(told(clock, remaining=remaining, left=30, limit=4))
    before = clock.now()
    it.acquire(Priority.READ)

    assert clock.now() == before


def test_an_early_new_window_is_noticed(clock: FakeClock) -> None:
    it = limiter(clock, per_minute=2)
    it.acquire(Priority.READ)
    it.release(told(clock, remaining=1, left=10, limit=2))
    it.acquire(Priority.READ)
    it.release(told(clock, remaining=1, left=60, limit=2))
    before = clock.now()
    it.acquire(Priority.READ)

    assert clock.now() == before


def test_retry_after_delays_all_requests_immediately(clock: FakeClock) -> None:
    it = limiter(clock)
    for _ in range(2):
        it.acquire(Priority.READ)
    it.release(told(clock, remaining=0, left=50, status=429, retry_after="7"))
    it.release(told(clock, remaining=40, left=50))  # sent before the pause, which it must not end
    before = clock.now()

    def woken() -> float:
        it.acquire(Priority.READ)
        return clock.now()

    assert all(7 <= at - before < 8 for at in clock.run(*[woken] * 3))


@pytest.mark.parametrize(
    ("headers", "expected"),
    [({}, 10.0), ({"retry-after": "0"}, 1.0), ({"retry-after": "9999999"}, 300.0)],
)
def test_a_refusal_without_a_valid_time_pauses_for_a_limited_time(
    clock: FakeClock, headers: dict[str, str], expected: float
) -> None:
    it = limiter(clock)
    it.acquire(Priority.READ)
    it.release(Answer(429, headers, received=clock.wall()))
    before = clock.now()
    it.acquire(Priority.READ)

    assert expected <= clock.now() - before < expected + 1


def test_a_clock_that_is_wrong_costs_a_minute_at_most(clock: FakeClock) -> None:
    it = limiter(clock)
    it.acquire(Priority.READ)
    it.release(told(clock, remaining=0, left=100_000))
    before = clock.now()
    it.acquire(Priority.READ)

    assert clock.now() - before < 70


def test_writes_precede_reads_and_reads_precede_polls(clock: FakeClock) -> None:
    it = limiter(clock, per_minute=1)
    order: list[str] = []
    it.acquire(Priority.READ)  # the window is used up, so all other calls queue
    it.release(told(clock, remaining=0, left=10, limit=1))

    def queue(name: str, priority: Priority, after: float) -> Callable[[], None]:
        def job() -> None:
            clock.sleep(after)
            it.acquire(priority)
            order.append(name)
            it.release(told(clock, remaining=0, left=10, limit=1))

        return job

    clock.run(
        queue("poll", Priority.POLL, 0.1),
        queue("read", Priority.READ, 0.2),
        queue("first write", Priority.WRITE, 0.3),
        queue("second write", Priority.WRITE, 0.4),
    )

    assert order == ["first write", "second write", "read", "poll"]


def test_a_refused_request_is_the_first_of_the_next_window(clock: FakeClock) -> None:
    api = Window(clock, 5)
    order: list[str] = []

    def send(call: Call[Any]) -> Answer:
        answer = api(call)
        order.extend([call.what] * (answer.status == 200))
        return answer

    handle = Retry(Decode(Limit(send, limiter(clock, at_once=1)), "https://x/api/v1"), clock)

    def job(number: int) -> Callable[[], Any]:
        def run() -> Any:
            clock.sleep(number)
            return handle(replace(a_call("GET" if number == 4 else "POST"), what=str(number)))

        return run

    def another_process() -> None:
        clock.sleep(3.5)
        api(a_call())

    clock.run(*(job(number) for number in range(8)), another_process)

    assert api.refused == 1
    assert order.index("4") == 4


def test_a_window_ends_when_the_most_exact_answer_says(clock: FakeClock) -> None:
    """The times in headers are whole seconds, so each answer states the end of the window or up to a second later."""
    it = limiter(clock, per_minute=2)
    for left in (30.0, 29.0):
        it.acquire(Priority.READ)
        it.release(told(clock, remaining=1, left=left, limit=2))
    before = clock.now()
    it.acquire(Priority.READ)

    assert clock.now() - before == pytest.approx(29.5, abs=0.1)


def test_requests_in_flight_are_limited(clock: FakeClock) -> None:
    flying: list[int] = []
    seen: list[int] = []

    def slow(call: Call[Any]) -> Answer:
        flying.append(1)
        seen.append(len(flying))
        clock.sleep(1.0)
        flying.pop()
        return Answer(200)

    limit = Limit(slow, limiter(clock, per_minute=1000, at_once=5))
    clock.run(*jobs(limit, 30))

    assert max(seen) == 5


def test_a_waiter_is_notified_immediately_and_every_second(clock: FakeClock) -> None:
    heard: list[tuple[float, float, int, str]] = []

    def on_limit(seconds: float, queued: int) -> None:
        heard.append((clock.now(), seconds, queued, threading.current_thread().name))

    it = limiter(clock, on_limit=on_limit)
    it.acquire(Priority.READ)
    it.release(told(clock, remaining=0, left=20))
    began = clock.now()
    it.acquire(Priority.READ)

    times = [at for at, *_ in heard]
    assert times[0] == began
    assert all(later - earlier <= 1.0 for earlier, later in itertools.pairwise(times))
    assert heard[0][1] == pytest.approx(20.5, abs=0.5)
    assert heard[-1][1] < 1.0
    assert {queued for _, _, queued, _ in heard} == {1}
    assert {name for *_, name in heard} == {threading.current_thread().name}


@pytest.mark.parametrize("by", ["on_limit", "pulse"])
def test_a_slow_callback_does_not_delay_other_requests(clock: FakeClock, by: str) -> None:
    sent: dict[str, float] = {}

    def slow(*_: Any) -> None:
        if threading.current_thread() is not clock._crew[0]:
            return
        clock.sleep(2.0)

    it = limiter(clock, at_once=2, on_limit=slow if by == "on_limit" else None)
    for _ in range(2):
        it.acquire(Priority.READ)

    def goes(name: str, priority: Priority, after: float) -> Callable[[], None]:
        def go() -> None:
            clock.sleep(after)
            it.acquire(priority, slow if by == "pulse" else None)
            sent[name] = clock.now() - 1000.0

        return go

    def both_end() -> None:
        clock.sleep(0.5)
        it.release(None)
        it.release(None)

    clock.run(goes("first", Priority.WRITE, 0.0), goes("second", Priority.READ, 0.25), both_end)

    assert sent == {"first": 2.0, "second": 0.5}


def test_without_a_wait_no_callback_runs(clock: FakeClock) -> None:
    heard: list[float] = []
    it = limiter(clock, on_limit=lambda seconds, queued: heard.append(seconds))
    it.acquire(Priority.READ)

    assert heard == []


class CancelledError(Exception):
    pass


@pytest.mark.parametrize("by", ["on_limit", "pulse"])
def test_an_exception_of_a_callback_ends_only_its_request(clock: FakeClock, by: str) -> None:
    def stop(*_args: Any) -> None:
        if clock.now() > 1005:
            raise CancelledError

    it = limiter(clock, on_limit=stop if by == "on_limit" else None)
    it.acquire(Priority.READ)
    it.release(told(clock, remaining=0, left=20))

    with pytest.raises(CancelledError):
        it.acquire(Priority.WRITE, stop if by == "pulse" else None)
    it._on_limit = None
    it.acquire(Priority.READ)  # the queue does not wait for the call that left

    assert it._in_flight == 1


def test_a_request_that_fails_gives_its_place_back(clock: FakeClock) -> None:
    def broken(call: Call[Any]) -> Answer:
        raise CancelledError

    limit = Limit(broken, limiter(clock, at_once=1))
    for _ in range(3):
        with pytest.raises(CancelledError):
            limit(a_call())


def test_during_an_outage_few_requests_are_concurrent(clock: FakeClock) -> None:
    out: list[int] = []
    most: list[int] = []

    def dead(call: Call[Any]) -> Answer:
        out.append(1)
        most.append(len(out))
        clock.sleep(30.0)
        out.pop()
        raise CancelledError

    limit = Limit(dead, limiter(clock, at_once=64))
    clock.run(*jobs(limit, 12))

    assert max(most) == 4


def test_the_pace_spreads_what_is_left_over_the_rest_of_the_window(clock: FakeClock) -> None:
    it = limiter(clock)
    it.acquire(Priority.READ)
    it.release(told(clock, remaining=10, left=30))

    assert it.pace() == pytest.approx(3.0, abs=0.1)
    clock.advance(100)
    assert it.pace() == 0.0
