"""Waits on the feed's list: when a wait ends, and how often it sends a request meanwhile."""

import itertools
import random
from collections.abc import Callable
from typing import Any

import pytest

from stacks_pulumi import errors
from stacks_pulumi.api._call import Call
from stacks_pulumi.api.containers import LIST
from stacks_pulumi.api.feed import Feed, interval
from stacks_pulumi.api.models import Container, Listing
from stacks_pulumi.api.wait import CREATED, GONE, STARTED, STOPPED, Wait
from tests.support.clock import FakeClock
from tests.support.codes import has_one_code
from tests.unit.api.changing_account import ChangingAccount, job


def test_a_wait_ends_when_the_status_is_reached(
    feed: Feed[Container], account: ChangingAccount, clock: FakeClock
) -> None:
    account.put("a", "pending")
    account.put("a", "running", after=10)

    found = feed.wait(CREATED, "a", deadline=clock.now() + 60)

    assert found == Container(id="a", status="running")
    assert 10 <= clock.now() - 1000 <= 12.2


def test_a_quick_change_is_seen_within_about_a_second(
    feed: Feed[Container], account: ChangingAccount, clock: FakeClock
) -> None:
    for name in "abc":
        account.put(name, "running")
        feed.wait(CREATED, name, deadline=clock.now() + 60)

    assert clock.now() - 1000 < 3.5


def test_twenty_four_creates_cost_few_calls_and_little_time(
    account: ChangingAccount, feed: Feed[Container], clock: FakeClock
) -> None:
    chance = random.Random(7)

    def create(index: int) -> Callable[[], float]:
        def run() -> float:
            feed.snapshot()
            clock.sleep(0.3 + chance.random())
            account.put(f"c{index}", "pending")
            account.put(f"c{index}", "running", after=20)
            runs = clock.now() + 20
            feed.wait(CREATED, f"c{index}", deadline=clock.now() + 600)
            return clock.now() - runs

        return run

    lags = clock.run(*[create(index) for index in range(24)])

    assert len(account.looks) <= 14
    assert max(lags) <= 2.3
    assert account.most_under_way == 1


def test_a_wait_ignores_a_list_that_began_before_it(
    feed: Feed[Container], account: ChangingAccount, clock: FakeClock
) -> None:
    # "a" runs from the start. The job of "b" stops it after the wait has begun, so "b" must not count as running.
    account.put("a", "pending")
    account.put("b", "running")

    def stop() -> Any:
        clock.sleep(1.06)  # while the other call is in progress and its answer is already fixed
        account.put("b", "stopped")
        return feed.wait(STOPPED, "b", deadline=clock.now() + 60)

    def run() -> Any:
        account.put("a", "running", after=5)
        return feed.wait(CREATED, "a", deadline=clock.now() + 60)

    a, b = clock.run(run, stop)

    assert (a.status, b.status) == ("running", "stopped")


def test_a_deletion_needs_one_complete_list(
    feed: Feed[Container], account: ChangingAccount, clock: FakeClock
) -> None:
    account.put("a", "deleting")
    account.put("a", None, after=5)

    assert feed.wait(GONE, "a", deadline=clock.now() + 60) is None
    assert 5 <= clock.now() - 1000 <= 7.2


def test_another_object_with_the_id_counts_as_absent(clock: FakeClock) -> None:
    """Between two lists, a name becomes free and is used again."""
    seen = [
        Container(id="a", status="deleting", created_at="1"),
        Container(id="a", status="running", created_at="2"),
    ]

    def send(_: Call[Any]) -> Any:
        return Listing([seen.pop(0) if len(seen) > 1 else seen[0]])

    feed = Feed(send, LIST, clock, noun="container")

    gone = feed.wait(
        GONE, "a", deadline=clock.now() + 60, is_it=lambda container: container.created_at == "1"
    )

    assert gone is None
    assert len(seen) == 1


def test_a_failed_state_ends_a_wait_with_its_reason(clock: FakeClock) -> None:
    statuses = itertools.chain(["pending"], itertools.repeat("error"))

    def send(_: Call[Any]) -> Any:
        return Listing([Container(id="a", status=next(statuses), error_message="no\nspace")])

    feed = Feed(send, LIST, clock, noun="container")

    with pytest.raises(errors.UnexpectedStateError) as caught:
        feed.wait(CREATED, "a", deadline=clock.now() + 60)

    assert caught.value.message == (
        'container a: is "error" (no space) after 5 s, wanted running; read its logs, fix the cause, '
        "then start it again or delete it"
    )
    assert (caught.value.code, caught.value.subject, caught.value.last_state, caught.value.elapsed) == (
        "unexpected-status",
        "container a",
        "error",
        5.0,
    )


@pytest.mark.parametrize("behind", [0, 7])
def test_a_container_that_had_failed_may_be_started(
    behind: int, feed: Feed[Container], account: ChangingAccount, clock: FakeClock
) -> None:
    account.put("a", "error")
    account.put("a", "pending", after=behind + 2)
    account.put("a", "running", after=behind + 9)

    found = feed.wait(STARTED, "a", deadline=clock.now() + 60)

    assert found is not None
    assert found.status == "running"


def test_an_object_missing_for_long_counts_as_deleted(
    feed: Feed[Container], account: ChangingAccount, clock: FakeClock
) -> None:
    with pytest.raises(errors.VanishedError, match="container a: no longer listed after 3 s, wanted running"):
        feed.wait(CREATED, "a", deadline=clock.now() + 60)
    assert 2 <= account.looks[-1] - account.looks[0] < 3


def test_a_container_that_is_deleted_during_its_boot_is_gone_within_6_seconds(
    feed: Feed[Container], account: ChangingAccount, clock: FakeClock
) -> None:
    account.put("a", "pending")
    account.put("a", None, after=30)

    with pytest.raises(errors.VanishedError) as caught:
        feed.wait(CREATED, "a", deadline=clock.now() + 600)
    assert 32 <= clock.now() - 1000 <= 36
    assert caught.value.last_state == "pending"


def test_a_sighting_between_two_absences_starts_them_again(
    feed: Feed[Container], account: ChangingAccount, clock: FakeClock
) -> None:
    account.put("a", "pending")
    for after in (5, 20, 35):
        account.put("a", None, after=after)
        account.put("a", "pending", after=after + 1.9)
    account.put("a", "running", after=50)

    found = feed.wait(CREATED, "a", deadline=clock.now() + 600)

    assert found is not None
    assert found.status == "running"


def test_a_sighting_in_a_list_counts_although_its_own_address_does_not_find_it(
    account: ChangingAccount, clock: FakeClock
) -> None:
    feed = Feed(account, LIST, clock, noun="container", confirm=lambda _id: None)
    account.put("a", None)
    account.put("a", "pending", after=2)
    account.put("a", None, after=4)
    account.put("a", "running", after=5.5)

    assert feed.wait(CREATED, "a", deadline=clock.now() + 60) is not None


def test_a_new_container_that_was_never_seen_is_not_visible_yet_until_the_deadline(
    feed: Feed[Container], account: ChangingAccount, clock: FakeClock
) -> None:
    account.put("a", "running", after=400)

    assert feed.wait(CREATED, "a", deadline=clock.now() + 600, is_new=True) is not None

    with pytest.raises(errors.WaitTimeoutError, match="not listed after 600 s") as caught:
        feed.wait(CREATED, "b", deadline=clock.now() + 600, is_new=True)
    assert caught.value.last_state is None


@pytest.mark.parametrize("status", ["stopped", "error"])
def test_a_boot_that_fails_is_an_error_only_if_two_lists_show_it(
    feed: Feed[Container], account: ChangingAccount, clock: FakeClock, status: str
) -> None:
    account.put("a", "pending")
    account.put("a", status, after=4)
    account.put("a", "running", after=5.5)
    account.put("b", "pending")
    account.put("b", status, after=4)

    assert feed.wait(CREATED, "a", deadline=clock.now() + 60) is not None
    with pytest.raises(errors.UnexpectedStateError, match=f'is "{status}"'):
        feed.wait(CREATED, "b", deadline=clock.now() + 60)


def test_an_unknown_status_is_named_at_the_first_look_and_by_the_timeout(
    account: ChangingAccount, clock: FakeClock
) -> None:
    told: list[tuple[float, str]] = []
    feed = Feed(account, LIST, clock, noun="container")
    account.put("a", "active")

    with pytest.raises(
        errors.WaitTimeoutError, match=r'still "active" .*; the status "active" is not in the API guide'
    ):
        feed.wait(CREATED, "a", deadline=clock.now() + 60, warn=lambda text: told.append((clock.now(), text)))
    ((when, text),) = told
    assert (when < 1003, "whether the container is running" in text) == (True, True)


def test_an_incomplete_list_does_not_end_a_wait(account: ChangingAccount, clock: FakeClock) -> None:
    asked: list[str] = []

    def confirm(id: str) -> Container | None:
        asked.append(id)
        return Container(id=id, status="pending" if len(asked) == 1 else "running")

    feed = Feed(account, LIST, clock, noun="container", confirm=confirm)
    found = feed.wait(CREATED, "a", deadline=clock.now() + 60)

    assert found == Container(id="a", status="running")
    assert asked == ["a", "a"]


@pytest.mark.parametrize(("status", "looks"), [("deleting", 4), (None, 1)])
def test_absence_from_an_incomplete_list_is_verified(
    clock: FakeClock, status: str | None, looks: int
) -> None:
    asked: list[str] = []

    def confirm(id: str) -> Container | None:
        asked.append(id)
        return None if status is None or len(asked) == 4 else Container(id=id, status=status)

    def send(_: Call[Any]) -> Any:
        return Listing[Container](gap="data[0]")

    feed = Feed(send, LIST, clock, noun="container", confirm=confirm)

    assert feed.wait(GONE, "a", deadline=clock.now() + 60) is None
    assert len(asked) == looks


def test_absence_from_an_incomplete_list_is_not_reported(clock: FakeClock) -> None:
    def send(_: Call[Any]) -> Any:
        return Listing([Container(id="a")], gap="data[1]")

    feed = Feed(send, LIST, clock, noun="container")

    assert feed.find("a") == Container(id="a")
    with pytest.raises(errors.UnreadableAnswerError, match="incomplete"):
        feed.find("b")


def test_a_failed_verification_does_not_end_the_wait(account: ChangingAccount, clock: FakeClock) -> None:
    def confirm(id: str) -> Container | None:
        raise errors.ServerError("read the status of container a: the API failed", status=500)

    feed = Feed(account, LIST, clock, noun="container", confirm=confirm)
    account.put("a", "running", after=20)

    assert feed.wait(CREATED, "a", deadline=clock.now() + 60) == Container(id="a", status="running")


@pytest.mark.parametrize("wait", [GONE, CREATED])
def test_a_refused_verification_of_what_was_seen_ends_the_wait(clock: FakeClock, wait: Wait) -> None:
    def confirm(id: str) -> Container | None:
        raise errors.ForbiddenError("read the status of container a: refused", status=403)

    def send(_: Call[Any]) -> Any:
        return Listing[Container](gap="data[0]")

    feed = Feed(send, LIST, clock, noun="container", confirm=confirm)

    with pytest.raises(errors.ForbiddenError):
        feed.wait(wait, "a", deadline=clock.now() + 600)


def test_a_wait_times_out(feed: Feed[Container], account: ChangingAccount, clock: FakeClock) -> None:
    account.put("a", "pending")

    with pytest.raises(errors.WaitTimeoutError) as caught:
        feed.wait(CREATED, "a", deadline=clock.now() + 30)

    assert clock.now() - 1000 == pytest.approx(30, abs=0.6)
    assert caught.value.message == (
        'container a: still "pending" after 30 s, wanted running; check it in the dashboard, or read its logs, then '
        "wait longer"
    )
    assert (caught.value.code, caught.value.last_state) == ("timed-out", "pending")


def test_a_look_that_comes_back_after_the_deadline_still_counts(
    feed: Feed[Container], account: ChangingAccount, clock: FakeClock
) -> None:
    account.latency = 10
    account.put("a", "running", after=3)

    assert feed.wait(CREATED, "a", deadline=clock.now() + 4) is not None


def test_progress_is_called_every_second(
    feed: Feed[Container], account: ChangingAccount, clock: FakeClock
) -> None:
    ticks: list[tuple[float, str | None, float]] = []
    account.put("a", "pending")
    account.put("a", "running", after=20)

    def on_tick(seen: Container | None, elapsed: float) -> None:
        ticks.append((clock.now(), seen.status if seen else None, elapsed))

    feed.wait(CREATED, "a", deadline=clock.now() + 60, on_tick=on_tick)

    assert ticks[0] == (1000.5, None, 0.5)
    assert ticks[-1][1] == "pending"
    times = [at for at, *_ in ticks]
    assert all(later - earlier <= 1.0 for earlier, later in itertools.pairwise(times))
    assert all(elapsed == at - 1000 for at, _, elapsed in ticks)


@pytest.mark.parametrize("leads", [True, False])
def test_a_cancelled_wait_ends_within_half_a_second_and_the_others_go_on(
    feed: Feed[Container], account: ChangingAccount, clock: FakeClock, leads: bool
) -> None:
    for name in "ab":
        account.put(name, "pending")
        account.put(name, "running", after=20)

    def cancelled() -> Any:
        clock.sleep(0.0 if leads else 0.1)
        with pytest.raises(errors.WaitCancelledError):
            feed.wait(CREATED, "a", deadline=clock.now() + 60, cancelled=lambda: clock.now() > 1007)
        return clock.now()

    ended, other = clock.run(cancelled, job(feed, clock, "b", start=0.1 if leads else 0.0))

    assert 1007 <= ended <= 1007.7
    assert other[0].status == "running"


@pytest.mark.parametrize(
    "error",
    [
        errors.ServerError("down", status=500),
        errors.RateLimitedError("slow", status=429),
        errors.ConnectionFailedError("gone", sent=True),
        errors.UnreadableAnswerError("what"),
        errors.NotFoundError("no list", status=404),
    ],
)
def test_a_wait_outlives_failed_looks(
    feed: Feed[Container], account: ChangingAccount, clock: FakeClock, error: errors.StacksError
) -> None:
    account.put("a", "running", after=3)
    account.fails = lambda now: error if now < 1030 else None

    found = feed.wait(CREATED, "a", deadline=clock.now() + 60)

    assert found is not None
    assert clock.now() < 1033


def test_a_wait_with_only_failures_reports_them(
    feed: Feed[Container], account: ChangingAccount, clock: FakeClock
) -> None:
    account.fails = lambda now: errors.ServerError("list containers: the API failed", status=500)

    with pytest.raises(
        errors.WaitTimeoutError, match="the last status request failed: list containers: the API failed"
    ) as caught:
        feed.wait(CREATED, "a", deadline=clock.now() + 20)

    assert has_one_code(str(caught.value))


@pytest.mark.parametrize(
    "error", [errors.InvalidApiKeyError("revoked", status=401), errors.MissingScopeError("x", status=403)]
)
def test_a_permanent_error_ends_all_waits_immediately(
    feed: Feed[Container], account: ChangingAccount, clock: FakeClock, error: errors.StacksError
) -> None:
    account.fails = lambda now: error

    outcomes = clock.run(*[job(feed, clock, name) for name in "abcdef"])

    assert {type(outcome) for outcome in outcomes} == {type(error)}
    assert len(account.looks) == 1


def test_few_requests_left_are_spread_over_the_window(account: ChangingAccount, clock: FakeClock) -> None:
    account.put("a", "pending")
    account.put("a", "running", after=20)
    feed = Feed(account, LIST, clock, noun="container", pace=lambda: 7.0)
    feed.snapshot()

    feed.wait(STARTED, "a", deadline=clock.now() + 60)

    gaps = [later - earlier for earlier, later in zip(account.looks, account.looks[1:], strict=False)]
    assert len(gaps) > 1
    assert all(7.0 <= gap < 7.2 for gap in gaps)


def looks_at(account: ChangingAccount) -> list[float]:
    return [round(at - 1000, 1) for at in account.looks]


@pytest.mark.parametrize("few", [False, True])
def test_few_requests_are_not_spent_before_a_new_container_can_run(
    account: ChangingAccount, clock: FakeClock, few: bool
) -> None:
    account.put("a", "pending")
    account.put("a", "running", after=10)
    feed = Feed(account, LIST, clock, noun="container", pace=lambda: 3.0 if few else 0.0)

    feed.wait(CREATED, "a", deadline=clock.now() + 60)

    assert (looks_at(account)[0] == 10.0) is few


@pytest.mark.parametrize(("pace", "at_first", "later"), [(2.9, 0.0, 0.0), (7.0, 4.9, 0.9), (40.0, 7.9, 3.9)])
def test_a_waiter_sees_that_the_rate_limit_delays_it(
    account: ChangingAccount, clock: FakeClock, pace: float, at_first: float, later: float
) -> None:
    feed = Feed(account, LIST, clock, noun="container", pace=lambda: pace)
    feed.snapshot()

    clock.sleep(2)
    seen = [feed.held_back()]
    clock.sleep(4)
    seen.append(feed.held_back())

    assert seen == pytest.approx([at_first, later])


def test_the_interval_follows_the_time_waited() -> None:
    assert [interval(age, 5, 0.5) for age in (0, 4.9, 5, 24, 48, 60, 3600)] == [0.5, 0.5, 2, 2, 4, 5, 10]


def test_deletions_of_two_seconds_are_seen_half_a_second_later(
    feed: Feed[Container], account: ChangingAccount, clock: FakeClock
) -> None:
    def delete(index: int) -> Callable[[], float]:
        def run() -> float:
            clock.sleep(index / 40)
            account.put(f"c{index}", "deleting")
            account.put(f"c{index}", None, after=2)
            gone = clock.now() + 2
            assert feed.wait(GONE, f"c{index}", deadline=clock.now() + 60) is None
            return clock.now() - gone

        return run

    assert max(clock.run(*map(delete, range(40)))) <= 0.6
    assert len(account.looks) <= 5


def test_sixty_four_waiters_leave_no_thread_and_no_entry(
    feed: Feed[Container], account: ChangingAccount, clock: FakeClock
) -> None:
    chance = random.Random(3)
    for index in range(64):
        account.put(f"c{index}", "pending")
        account.put(f"c{index}", "running", after=5 + 30 * chance.random())

    outcomes = clock.run(*[job(feed, clock, f"c{index}", start=2 * chance.random()) for index in range(64)])

    assert all(found.status == "running" for found, _at in outcomes)
    assert len(account.looks) <= 20
    assert not feed._busy
