"""The feed's list: which callers share a call, and how old its content may be."""

from collections.abc import Sequence
from typing import Any

import pytest

from stacks_pulumi import errors
from stacks_pulumi.api.feed import Feed, Watch
from stacks_pulumi.api.models import Container
from tests.support.clock import FakeClock
from tests.unit.api.changing_account import ChangingAccount


def test_a_snapshot_is_the_list(feed: Feed[Container], account: ChangingAccount) -> None:
    account.put("a", "running")

    assert feed.snapshot() == (Container(id="a", status="running"),)
    assert feed.find("a") == Container(id="a", status="running")
    assert feed.find("b") is None
    assert len(account.looks) == 3


def test_callers_at_the_same_time_share_a_call(
    feed: Feed[Container], account: ChangingAccount, clock: FakeClock
) -> None:
    account.put("a", "running")

    found = clock.run(*[lambda: feed.find("a")] * 64)

    assert {container.id for container in found} == {"a"}
    assert (
        len(account.looks) <= 2
    )  # one call that the first caller began immediately, and one call for all callers that came during it


def test_a_snapshot_is_never_older_than_its_caller(
    feed: Feed[Container], account: ChangingAccount, clock: FakeClock
) -> None:
    def late() -> Any:
        clock.sleep(
            account.latency * 0.75
        )  # the API has answered the first call, but the answer has not arrived
        account.put("late", "pending")
        return feed.find("late")

    _first, found = clock.run(feed.snapshot, late)

    assert found is not None


@pytest.mark.parametrize(("age", "calls"), [(4.0, 1), (6.0, 2)])
def test_a_recent_list_is_reused_if_the_caller_allows_it(
    feed: Feed[Container], account: ChangingAccount, clock: FakeClock, age: float, calls: int
) -> None:
    feed.snapshot()
    clock.advance(age)
    feed.snapshot(max_age=5.0)
    feed.find("a", max_age=5.0)

    assert len(account.looks) == calls


def test_the_last_readable_list_costs_no_call(feed: Feed[Container], account: ChangingAccount) -> None:
    assert feed.seen("a") is None
    account.put("a", "running")
    feed.snapshot()
    account.fails = lambda _now: errors.ServerError("down", status=500)
    with pytest.raises(errors.ServerError):
        feed.snapshot()
    calls = len(account.looks)

    assert feed.seen("a") == Container(id="a", status="running")
    assert feed.seen("b") is None
    assert len(account.looks) == calls


def test_a_failed_call_is_never_recent_enough(
    feed: Feed[Container], account: ChangingAccount, clock: FakeClock
) -> None:
    account.fails = lambda now: errors.ServerError("down", status=500) if len(account.looks) == 1 else None
    with pytest.raises(errors.ServerError):
        feed.snapshot()

    assert feed.snapshot(max_age=60.0) == ()


def test_the_failure_of_a_shared_call_goes_to_all_who_share_it(
    feed: Feed[Container], account: ChangingAccount, clock: FakeClock
) -> None:
    account.fails = lambda now: errors.ServerError("down", status=500)

    outcomes = clock.run(*[feed.snapshot] * 20)

    assert {type(outcome) for outcome in outcomes} == {errors.ServerError}
    assert len(account.looks) <= 2
    assert len({id(outcome) for outcome in outcomes}) == 20  # each thread has a separate traceback


def test_an_error_of_only_the_leader_is_not_shared(
    feed: Feed[Container], account: ChangingAccount, clock: FakeClock
) -> None:
    account.put("a", "running")
    raised: list[int] = []

    def once(now: float) -> BaseException | None:
        raised.append(1)
        return KeyboardInterrupt() if len(raised) == 1 else None

    account.fails = once
    outcomes = clock.run(*[feed.snapshot] * 5)

    assert sum(isinstance(outcome, KeyboardInterrupt) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, tuple) for outcome in outcomes) == 4


def test_a_snapshot_passes_its_pulse_to_the_call_that_it_makes(
    feed: Feed[Container], account: ChangingAccount
) -> None:
    def pulse() -> None:
        raise errors.WaitCancelledError("enough")

    with pytest.raises(errors.WaitCancelledError):
        feed.snapshot(pulse=pulse)
    assert feed.snapshot() == ()


def test_a_snapshot_that_waits_for_another_thread_can_be_cancelled(
    feed: Feed[Container], account: ChangingAccount, clock: FakeClock
) -> None:
    account.latency = 30

    def pulse() -> None:
        if clock.now() >= 1002:
            raise errors.WaitCancelledError("enough")

    def late() -> float:
        clock.sleep(0.1)
        with pytest.raises(errors.WaitCancelledError):
            feed.snapshot(pulse=pulse)
        return clock.now()

    _first, ended = clock.run(feed.snapshot, late)

    assert 1002 <= ended <= 1002.6


class AnyTwo(Watch[Container]):
    """A condition that the second of two lists fulfils."""

    def judge(self, rows: Sequence[Container]) -> bool:
        self.resource = rows[1] if len(rows) > 1 else None
        return self.resource is not None


def test_one_can_follow_the_list_for_anything(
    feed: Feed[Container], account: ChangingAccount, clock: FakeClock
) -> None:
    account.put("a", "pending")
    account.put("b", "pending", after=5)
    watch = AnyTwo("the list", "two", clock=clock, deadline=clock.now() + 60)

    assert feed.follow(watch) == Container(id="b", status="pending")
