from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from stacks_pulumi._clock import SYSTEM_CLOCK, beat, shielded, sleep_with_pulse, wait_while
from stacks_pulumi.api._limiter import Limiter, Priority
from tests.support.clock import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def ends_at(clock: FakeClock, when: float) -> Callable[[], None]:
    def pulse() -> None:
        if clock.now() >= when:
            raise InterruptedError

    return pulse


def test_wait_while_not_blocked_calls_no_pulse(clock: FakeClock) -> None:
    changed = threading.Condition()
    with changed:
        wait_while(lambda: False, changed, clock, ends_at(clock, 0.0))

    assert clock.now() == 1000.0


def test_wait_while_ends_at_the_time_that_blocked_announces(clock: FakeClock) -> None:
    changed = threading.Condition()
    with changed:
        wait_while(lambda: max(1001.3 - clock.now(), 0.0), changed, clock)

    assert clock.now() == pytest.approx(1001.3)


def test_wait_while_ends_immediately_when_notified(clock: FakeClock) -> None:
    changed, free = threading.Condition(), threading.Event()

    def waits() -> float:
        with changed:
            wait_while(lambda: not free.is_set(), changed, clock)
        return clock.now()

    def frees() -> None:
        clock.sleep(1.2)
        with changed:
            free.set()
            changed.notify_all()

    ended, _ = clock.run(waits, frees)

    assert ended == pytest.approx(1001.2)


def test_wait_while_calls_the_pulse_twice_a_second(clock: FakeClock) -> None:
    changed, beats = threading.Condition(), []

    def waits() -> None:
        with changed:
            wait_while(lambda: clock.now() < 1002, changed, clock, lambda: beats.append(clock.now()))

    def notifies() -> None:
        for _ in range(20):
            clock.sleep(0.1)
            with changed:
                changed.notify_all()

    clock.run(waits, notifies)

    assert beats == pytest.approx([1000.0, 1000.5, 1001.0, 1001.5])


def test_wait_while_releases_the_lock_for_the_pulse(clock: FakeClock) -> None:
    changed = threading.Condition(threading.Lock())
    seen: list[tuple[str, bool]] = []

    def is_held() -> bool:
        taken = changed.acquire(blocking=False)
        if taken:
            changed.release()
        return not taken

    def blocked() -> bool:
        seen.append(("blocked", is_held()))
        return len(seen) < 4

    with changed:
        wait_while(blocked, changed, clock, lambda: seen.append(("pulse", is_held())))
        assert is_held()

    assert set(seen) == {("blocked", True), ("pulse", False)}


def test_an_exception_of_the_pulse_ends_wait_while_with_the_lock(clock: FakeClock) -> None:
    changed = threading.Condition(threading.Lock())
    with changed:
        with pytest.raises(InterruptedError):
            wait_while(lambda: True, changed, clock, ends_at(clock, 1002.0))
        assert not changed.acquire(blocking=False)

    assert clock.now() == 1002.0


def test_a_change_during_the_pulse_is_not_missed(clock: FakeClock) -> None:
    changed, free = threading.Condition(), threading.Event()
    with changed:
        wait_while(lambda: not free.is_set(), changed, clock, free.set)

    assert clock.now() == 1000.0


def test_sleep_with_pulse_takes_as_long_as_asked(clock: FakeClock) -> None:
    sleep_with_pulse(7.3, clock, lambda: None)
    sleep_with_pulse(0.0, clock, ends_at(clock, 0.0))

    assert clock.now() == pytest.approx(1007.3)


def test_the_pulse_ends_a_sleep(clock: FakeClock) -> None:
    with pytest.raises(InterruptedError):
        sleep_with_pulse(100, clock, ends_at(clock, 1001.0))
    assert clock.now() == 1001.0


def test_a_sleep_on_the_system_clock_ends() -> None:
    before = SYSTEM_CLOCK.now()
    sleep_with_pulse(0.01, SYSTEM_CLOCK)

    assert 0.01 <= SYSTEM_CLOCK.now() - before < 5


# --- the shield ---


def is_shielded() -> bool:
    beats: list[int] = []
    beat(lambda: beats.append(1))
    return not beats


def test_a_shield_is_per_thread_and_ends_with_its_block() -> None:
    seen: list[bool] = []

    def work() -> None:
        with shielded():
            other = threading.Thread(target=lambda: seen.append(is_shielded()))
            other.start()
            other.join()
            seen.append(is_shielded())
            raise InterruptedError

    with pytest.raises(InterruptedError):
        work()

    assert [False, True, False] == [*seen, is_shielded()]


def test_a_shield_inside_a_shield_does_not_end_it() -> None:
    with shielded():
        with shielded():
            pass
        assert is_shielded()


def test_a_shielded_wait_is_not_ended_by_its_pulse(clock: FakeClock) -> None:
    with shielded():
        sleep_with_pulse(3.0, clock, ends_at(clock, 0.0))

    assert clock.now() == 1003.0


def test_a_shielded_request_is_ended_neither_by_its_pulse_nor_by_the_rate_limit() -> None:
    asked: list[Any] = []

    def gone(_seconds: float, queued: int) -> None:
        asked.append(queued)
        raise InterruptedError

    def pulse() -> None:
        asked.append("pulse")

    limiter = Limiter(1, 4, FakeClock(), gone)
    limiter.acquire(Priority.READ)
    limiter.release(None)

    with shielded():
        limiter.acquire(Priority.READ, pulse)
    limiter.release(None)
    with pytest.raises(InterruptedError):
        limiter.acquire(Priority.READ, pulse)

    assert asked == ["pulse", 1]
