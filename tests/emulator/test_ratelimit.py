"""The window of the rate limit, with a wall clock that the test sets."""

from __future__ import annotations

from stacks_pulumi.emulator.keys import UNLIMITED, RateLimiter


class Wall:
    """A wall clock that the test sets."""

    def __init__(self) -> None:
        self.now = 1000.25

    def __call__(self) -> float:
        return self.now


def test_a_window_has_a_limit_and_reports_its_end() -> None:
    wall = Wall()
    limiter = RateLimiter(60, wall)
    verdicts = [limiter.take("key", 2) for _ in range(3)]

    assert [verdict.allowed for verdict in verdicts] == [True, True, False]
    assert [verdict.remaining for verdict in verdicts] == [1, 0, 0]
    # The window ends at 1060.25; the headers round up, so that no client is too early.
    assert {verdict.reset for verdict in verdicts} == {1061}
    assert verdicts[-1].headers() == {
        "X-RateLimit-Limit": "2",
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": "1061",
        "Retry-After": "60",
    }


def test_retry_after_is_long_enough() -> None:
    wall = Wall()
    limiter = RateLimiter(60, wall)
    limiter.take("key", 1)
    wall.now += 58.5
    refused = limiter.take("key", 1)
    assert (refused.allowed, refused.retry_after) == (False, 2)

    wall.now += refused.retry_after
    assert limiter.take("key", 1).allowed


def test_a_refused_request_does_not_lengthen_the_window() -> None:
    wall = Wall()
    limiter = RateLimiter(60, wall)
    limiter.take("key", 1)
    for _ in range(100):
        limiter.take("key", 1)
    wall.now += 60

    assert limiter.take("key", 1).allowed


def test_each_key_has_a_separate_window() -> None:
    limiter = RateLimiter(60, Wall())
    limiter.take("one", 1)

    assert limiter.take("two", 1).allowed
    assert limiter.used("one") == (1, 60.0)


def test_no_limit_is_reported_as_a_large_one() -> None:
    limiter = RateLimiter(60, Wall())
    verdicts = [limiter.take("key", None) for _ in range(1000)]

    assert all(verdict.allowed for verdict in verdicts)
    assert (verdicts[-1].limit, verdicts[-1].remaining) == (UNLIMITED, UNLIMITED - 1000)


def test_a_wall_clock_set_back_does_not_keep_a_window_open() -> None:
    wall = Wall()
    limiter = RateLimiter(60, wall)
    limiter.take("key", 1)
    wall.now -= 3600

    assert limiter.take("key", 1).allowed
