from __future__ import annotations

import pytest

from stacks_pulumi import errors
from stacks_pulumi.api._call import Answer
from stacks_pulumi.api._limiter import Limiter
from tests.support.clock import FakeClock
from tests.unit.api.scripted_api import Script, a_call, chain, ok, refusal


def test_every_attempt_counts_in_the_limiter(clock: FakeClock) -> None:
    limiter = Limiter(60, 16, clock)
    script = Script(tests__any=[refusal(500), refusal(502), ok(1)])

    assert chain(script, clock, limiter)(a_call()) == 1
    assert limiter._sent == 3


def test_an_answer_that_was_cut_short_is_asked_for_again(clock: FakeClock) -> None:
    script = Script(tests__any=[Answer(200, {}, b'{"a": '), ok({"a": 1})])

    assert chain(script, clock)(a_call()) == {"a": 1}


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_a_rate_limited_call_waits_and_then_succeeds(clock: FakeClock, method: str) -> None:
    limited = Answer(429, {"retry-after": "30"}, b'{"error": "slow down"}')

    assert chain(Script(tests__any=[limited, ok(1)]), clock)(a_call(method)) == 1
    assert 30 <= clock.now() - 1000 < 31


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_a_503_is_retried_like_a_502(clock: FakeClock, method: str) -> None:
    assert chain(Script(tests__any=[refusal(503), ok(1)]), clock)(a_call(method)) == 1

    with pytest.raises(errors.ServerError) as caught:
        chain(Script(tests__any=refusal(503)), clock)(a_call(method))
    assert type(caught.value) is errors.ServerError
    assert "waitlist" not in str(caught.value)


def test_retry_after_of_a_server_error_is_respected(clock: FakeClock) -> None:
    down = Answer(503, {"retry-after": "7"}, b'{"error": "down"}')

    assert chain(Script(tests__any=[down, ok(1)]), clock)(a_call()) == 1
    assert 7 <= clock.now() - 1000 < 8
