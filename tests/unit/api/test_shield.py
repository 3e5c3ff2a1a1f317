from __future__ import annotations

import threading

import pytest

from stacks_pulumi.api._call import Priority
from stacks_pulumi.api._limiter import Limiter
from stacks_pulumi.api._shield import is_shielded, shielded
from tests.support.clock import FakeClock


def test_a_shield_is_up_for_this_thread_alone_and_comes_down_whatever_happens() -> None:
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


def test_a_request_behind_a_shield_is_not_called_off() -> None:
    asked: list[int] = []

    def gone(_seconds: float, queued: int) -> None:
        asked.append(queued)
        raise InterruptedError

    limiter = Limiter(1, 4, FakeClock(), gone)
    limiter.acquire(Priority.READ)
    limiter.release(None)

    with shielded():
        limiter.acquire(Priority.READ)
    limiter.release(None)
    with pytest.raises(InterruptedError):
        limiter.acquire(Priority.READ)

    assert asked == [1]
