from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from stacks_pulumi import errors
from stacks_pulumi._clock import shielded
from stacks_pulumi.api._call import Call
from stacks_pulumi.api._retry import Quota, Retry, in_doubt, most_attempts, pause, worth_another
from tests.support.clock import FakeClock
from tests.unit.api.scripted_api import a_call

NOT_SENT = errors.ConnectionFailedError("x", sent=False)
BROKE = errors.ConnectionFailedError("x", sent=True)
LIMITED = errors.RateLimitedError("x", status=429, retry_after=3.0)
FAILED = errors.ServerError("x", status=500)
FULL = errors.NoCapacityError("x", status=503)
GARBLED = errors.UnreadableAnswerError("x", status=200)
MOVED = errors.UnreadableAnswerError("x", status=308)
BUSY = errors.ConflictError("x", status=409, body={"code": "grant-busy"})
REFUSED = errors.BadRequestError("x", status=400)
ABSENT = errors.NotFoundError("x", status=404)
UNKNOWN_KEY = errors.InvalidApiKeyError("x", status=401)


class Answers:
    """A handler with prepared results; the last result repeats."""

    def __init__(self, *outcomes: Any) -> None:
        self._outcomes = list(outcomes)
        self.asked = 0

    def __call__(self, call: Call[Any]) -> Any:
        self.asked += 1
        outcome = self._outcomes[0] if len(self._outcomes) == 1 else self._outcomes.pop(0)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (NOT_SENT, False),
        (BROKE, True),
        (LIMITED, False),
        (FAILED, True),
        (FULL, False),
        (GARBLED, True),
        (MOVED, False),
        (BUSY, False),
        (REFUSED, False),
    ],
)
def test_an_outcome_is_unknown_if_the_request_may_be_carried_out(
    error: errors.StacksError, expected: bool
) -> None:
    assert in_doubt(error) is expected


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize(
    ("error", "expected"),
    [
        *((error, True) for error in (NOT_SENT, BROKE, LIMITED, FAILED, GARBLED)),
        *((error, False) for error in (FULL, REFUSED, ABSENT, UNKNOWN_KEY, RuntimeError())),
    ],
)
def test_an_idempotent_call_is_retried_after_a_temporary_error(
    method: str, error: BaseException, expected: bool
) -> None:
    assert worth_another(a_call(method), error) is expected


@pytest.mark.parametrize(
    ("error", "expected"),
    [(NOT_SENT, True), (LIMITED, True), (BROKE, False), (FAILED, False), (GARBLED, False)],
)
def test_a_post_is_retried_only_if_it_was_not_carried_out(error: BaseException, expected: bool) -> None:
    assert worth_another(a_call("POST"), error) is expected
    assert worth_another(a_call("POST", again=True), error) is True


def test_a_pause_of_more_than_five_minutes_is_an_error() -> None:
    assert not worth_another(a_call(), errors.RateLimitedError("x", retry_after=301.0))


def test_pauses_grow_and_are_spread_over_their_whole_length() -> None:
    assert [pause(FAILED, attempt, 1.0) for attempt in range(1, 8)] == [0.5, 1, 2, 4, 8, 8, 8]
    assert pause(FAILED, 4, 0.25) == 1.0
    assert pause(LIMITED, 4, 1.0) == 0.0


@pytest.mark.parametrize(
    ("error", "attempts"), [(FAILED, 5), (BROKE, 5), (GARBLED, 3), (LIMITED, 10), (BUSY, 12)]
)
def test_the_last_error_is_raised_after_all_attempts(
    clock: FakeClock, error: errors.StacksError, attempts: int
) -> None:
    answers = Answers(error)

    with pytest.raises(type(error)):
        Retry(answers, clock)(a_call())
    assert answers.asked == most_attempts(error) == attempts


def test_a_later_success_is_the_answer(clock: FakeClock) -> None:
    answers = Answers(FAILED, BROKE, "fine")

    assert Retry(answers, clock, chance=lambda: 1.0)(a_call()) == "fine"
    assert clock.now() == 1001.5


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_a_request_is_sent_again_while_a_broker_is_busy(clock: FakeClock, method: str) -> None:
    handle, begun = Answers(BUSY, BUSY, "done"), clock.now()

    assert Retry(handle, clock)(a_call(method)) == "done"
    assert (handle.asked, clock.now() - begun) == (3, 10.0)


@pytest.mark.parametrize(
    "text", ["Name already exists", "Another operation is in progress on this container", ""]
)
def test_another_conflict_is_an_error_at_once(clock: FakeClock, text: str) -> None:
    handle = Answers(errors.ConflictError("x", status=409, text=text))

    with pytest.raises(errors.ConflictError):
        Retry(handle, clock)(a_call("PUT"))
    assert handle.asked == 1


def test_other_exceptions_are_raised_immediately(clock: FakeClock) -> None:
    answers = Answers(KeyError("bug"))

    with pytest.raises(KeyError):
        Retry(answers, clock)(a_call())
    assert answers.asked == 1


@pytest.mark.parametrize("first", [BROKE, FAILED, GARBLED])
def test_a_404_after_a_lost_delete_is_no_success_and_notes_the_doubt(
    clock: FakeClock, first: errors.StacksError
) -> None:
    with pytest.raises(errors.NotFoundError) as caught:
        Retry(Answers(first, ABSENT), clock)(a_call("DELETE"))
    assert caught.value.after_doubt


@pytest.mark.parametrize(
    ("method", "outcomes"),
    [("DELETE", [ABSENT]), ("DELETE", [LIMITED, NOT_SENT, ABSENT]), ("GET", [FAILED, ABSENT])],
)
def test_otherwise_not_found_is_not_found(clock: FakeClock, method: str, outcomes: list[Any]) -> None:
    with pytest.raises(errors.NotFoundError):
        Retry(Answers(*outcomes), clock)(a_call(method))


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ([BROKE, REFUSED], True),
        ([GARBLED, LIMITED, REFUSED], True),
        ([LIMITED, REFUSED], False),
        ([REFUSED], False),
    ],
)
def test_a_refusal_notes_a_possible_earlier_success(
    clock: FakeClock, outcomes: list[errors.StacksError], expected: bool
) -> None:
    outcomes = [copy.copy(error) for error in outcomes]

    with pytest.raises(errors.BadRequestError) as caught:
        Retry(Answers(*outcomes), clock)(a_call("PUT"))
    assert caught.value.after_doubt is expected
    assert pickle.loads(pickle.dumps(caught.value)).after_doubt is expected


def test_retries_are_limited_during_an_outage(clock: FakeClock) -> None:
    answers = Answers(FAILED)
    retry = Retry(answers, clock)
    for _ in range(300):
        with pytest.raises(errors.ServerError):
            retry(a_call())

    assert answers.asked == 300 + 100  # each call once, and the complete retry budget


def test_success_refills_the_retry_budget() -> None:
    quota = Quota(2)
    assert [quota.take(), quota.take(), quota.take()] == [True, True, False]

    quota.refill(paid=1)
    assert [quota.take(), quota.take()] == [True, False]

    for _ in range(6):
        quota.refill(paid=0)
    assert [quota.take(), quota.take()] == [True, False]


def test_a_429_does_not_use_the_retry_budget(clock: FakeClock) -> None:
    retry = Retry(Answers(LIMITED), clock)
    for _ in range(50):
        with pytest.raises(errors.RateLimitedError):
            retry(a_call())

    assert retry._quota._left == 100


def test_the_pulse_of_a_call_is_felt_between_attempts(clock: FakeClock) -> None:
    def pulse() -> None:
        raise errors.WaitCancelledError("enough")

    answers = Answers(FAILED)
    with pytest.raises(errors.WaitCancelledError):
        Retry(answers, clock, chance=lambda: 1.0)(a_call(pulse=pulse))
    assert answers.asked == 1


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_a_change_is_not_sent_again_when_nobody_waits_for_it(clock: FakeClock, method: Any) -> None:
    def gone() -> None:
        raise errors.WaitCancelledError("the engine is gone")

    def send() -> object:
        return Retry(Answers(FAILED, "done"), clock, on_repeat=gone)(a_call(method))

    if method == "GET":
        assert send() == "done"
    else:
        with pytest.raises(errors.WaitCancelledError):
            send()
    with shielded():
        assert send() == "done"
