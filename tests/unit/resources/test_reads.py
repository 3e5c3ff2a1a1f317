"""Shared reads."""

from __future__ import annotations

import threading

import pytest

from stacks_pulumi._clock import SYSTEM_CLOCK
from stacks_pulumi.resources._session import MAX_AGE, Reads
from tests.support.clock import FakeClock
from tests.support.host import in_parallel


class Source:
    """Counts how often it is called."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self) -> int:
        self.asked += 1
        return self.asked


def test_a_recent_answer_is_reused() -> None:
    clock, source = FakeClock(), Source()
    reads = Reads(clock)

    assert (1, 1) == (reads.get("a", ask=source), reads.get("a", ask=source))
    clock.sleep(MAX_AGE)
    assert reads.get("a", ask=source) == 2


def test_a_caller_can_require_a_newer_answer() -> None:
    clock, source = FakeClock(), Source()
    reads = Reads(clock)
    reads.get("a", ask=source)

    clock.sleep(5.0)

    assert (1, 2) == (reads.get("a", ask=source), reads.get("a", ask=source, max_age=5.0))


def test_callers_during_a_slow_call_share_its_answer() -> None:
    came, answers = threading.Event(), []

    class Clock(FakeClock):
        def now(self) -> float:
            now = super().now()
            if threading.current_thread() is second:
                came.set()
            return now

    clock, source = Clock(), Source()
    reads = Reads(clock)
    second = threading.Thread(target=lambda: answers.append(reads.get("a", ask=source, max_age=5.0)))

    def slow() -> int:
        second.start()
        assert came.wait(60)
        clock.sleep(30.0)
        return source()

    answers.append(reads.get("a", ask=slow, max_age=5.0))
    second.join(10)

    assert answers == [1, 1]


def test_each_request_has_its_own_answer() -> None:
    reads, source = Reads(FakeClock()), Source()

    assert (1, 2) == (reads.get("a", "b", ask=source), reads.get("a", "c", ask=source))


def test_a_change_invalidates_all_answers() -> None:
    reads, source = Reads(FakeClock()), Source()
    reads.get("a", ask=source)

    with pytest.raises(RuntimeError), reads.changing():
        raise RuntimeError

    assert reads.get("a", ask=source) == 2


def test_a_read_during_a_change_is_not_reused() -> None:
    reads, source = Reads(FakeClock()), Source()

    with reads.changing():
        reads.get("a", ask=source)

    assert reads.get("a", ask=source) == 2


def test_a_failure_is_not_shared() -> None:
    reads = Reads(FakeClock())

    def fail() -> int:
        msg = "no answer"
        raise ValueError(msg)

    with pytest.raises(ValueError, match="no answer"):
        reads.get("a", ask=fail)

    assert reads.get("a", ask=Source()) == 1


def test_many_threads_share_one_request() -> None:
    reads, source, gate = Reads(SYSTEM_CLOCK), Source(), threading.Barrier(16)

    def read() -> None:
        gate.wait()
        assert reads.get("a", ask=source) == 1

    assert in_parallel(*[read] * 16) == [None] * 16
    assert source.asked == 1
