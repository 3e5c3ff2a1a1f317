from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from stacks_pulumi import errors
from stacks_pulumi._clock import beat
from stacks_pulumi.api._call import Call
from stacks_pulumi.api._watch import Watch
from stacks_pulumi.api.containers import LIST
from stacks_pulumi.api.feed import Feed, interval
from stacks_pulumi.api.models import Container, Listing
from stacks_pulumi.api.wait import CREATED, GONE, STARTED, STOPPED, Wait
from tests.support.clock import FakeClock


class World:
    """
    Containers that change with time, and a list call that takes a while.

    Attributes:
        looks: When each call began.
    """

    def __init__(self, clock: FakeClock, *, latency: float = 0.1) -> None:
        self.clock = clock
        self.latency = latency
        self.looks: list[float] = []
        self.fails: Callable[[float], BaseException | None] = lambda now: None
        self.under_way = 0
        self.most_under_way = 0
        self._changes: dict[str, list[tuple[float, str | None]]] = {}

    def put(self, id: str, status: str | None, after: float = 0.0, error_message: str | None = None) -> None:
        self._changes.setdefault(id, []).append((self.clock.now() + after, status))

    def __call__(self, call: Call[Any]) -> Any:
        self.looks.append(self.clock.now())
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        beat(call.pulse)
        self.clock.sleep(self.latency / 2)
        seen = self.now()
        self.clock.sleep(self.latency / 2)
        self.under_way -= 1
        error = self.fails(self.clock.now())
        if error is not None:
            raise error
        return seen

    def now(self) -> Listing[Container]:
        states = {
            id: [status for since, status in changes if since <= self.clock.now()]
            for id, changes in self._changes.items()
        }
        return Listing(
            Container(id=id, status=seen[-1]) for id, seen in states.items() if seen and seen[-1] is not None
        )


@pytest.fixture
def world(clock: FakeClock) -> World:
    return World(clock)


@pytest.fixture
def feed(world: World, clock: FakeClock) -> Feed[Container]:
    return Feed(world, LIST, clock, noun="container")


def job(
    feed: Feed[Container], clock: FakeClock, id: str, *, start: float = 0.0, wait: Wait = CREATED, **more: Any
) -> Callable[[], Any]:
    def run() -> Any:
        clock.sleep(start)
        return feed.wait(wait, id, **{"deadline": clock.now() + 600, **more}), clock.now()

    return run


def test_a_snapshot_is_the_list(feed: Feed[Container], world: World) -> None:
    world.put("a", "running")

    assert feed.snapshot() == (Container(id="a", status="running"),)
    assert feed.find("a") == Container(id="a", status="running")
    assert feed.find("b") is None
    assert len(world.looks) == 3


def test_callers_at_the_same_time_share_a_call(feed: Feed[Container], world: World, clock: FakeClock) -> None:
    world.put("a", "running")

    found = clock.run(*[lambda: feed.find("a")] * 64)

    assert {container.id for container in found} == {"a"}
    assert (
        len(world.looks) <= 2
    )  # one that the first began at once, one for all who came while it was under way


def test_a_snapshot_never_shows_the_time_before_its_caller_came(
    feed: Feed[Container], world: World, clock: FakeClock
) -> None:
    def late() -> Any:
        clock.sleep(world.latency * 0.75)  # the first call has looked already, and has not come back
        world.put("late", "pending")
        return feed.find("late")

    _first, found = clock.run(feed.snapshot, late)

    assert found is not None


@pytest.mark.parametrize(("age", "calls"), [(4.0, 1), (6.0, 2)])
def test_a_list_that_is_recent_enough_is_good_enough_for_who_says_so(
    feed: Feed[Container], world: World, clock: FakeClock, age: float, calls: int
) -> None:
    feed.snapshot()
    clock.advance(age)
    feed.snapshot(max_age=5.0)
    feed.find("a", max_age=5.0)

    assert len(world.looks) == calls


def test_what_the_last_readable_list_showed_costs_no_call(feed: Feed[Container], world: World) -> None:
    assert feed.seen("a") is None
    world.put("a", "running")
    feed.snapshot()
    world.fails = lambda _now: errors.ServerError("down", status=500)
    with pytest.raises(errors.ServerError):
        feed.snapshot()
    calls = len(world.looks)

    assert feed.seen("a") == Container(id="a", status="running")
    assert feed.seen("b") is None
    assert len(world.looks) == calls


def test_a_failed_call_is_never_recent_enough(feed: Feed[Container], world: World, clock: FakeClock) -> None:
    world.fails = lambda now: errors.ServerError("down", status=500) if len(world.looks) == 1 else None
    with pytest.raises(errors.ServerError):
        feed.snapshot()

    assert feed.snapshot(max_age=60.0) == ()


def test_the_failure_of_a_shared_call_goes_to_all_who_share_it(
    feed: Feed[Container], world: World, clock: FakeClock
) -> None:
    world.fails = lambda now: errors.ServerError("down", status=500)

    outcomes = clock.run(*[feed.snapshot] * 20)

    assert {type(outcome) for outcome in outcomes} == {errors.ServerError}
    assert len(world.looks) <= 2
    assert len({id(outcome) for outcome in outcomes}) == 20  # each thread has a traceback of its own


def test_what_concerns_the_leader_alone_is_not_shared(
    feed: Feed[Container], world: World, clock: FakeClock
) -> None:
    world.put("a", "running")
    raised: list[int] = []

    def once(now: float) -> BaseException | None:
        raised.append(1)
        return KeyboardInterrupt() if len(raised) == 1 else None

    world.fails = once
    outcomes = clock.run(*[feed.snapshot] * 5)

    assert sum(isinstance(outcome, KeyboardInterrupt) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, tuple) for outcome in outcomes) == 4


def test_a_wait_ends_when_the_state_is_there(feed: Feed[Container], world: World, clock: FakeClock) -> None:
    world.put("a", "pending")
    world.put("a", "running", after=10)

    found = feed.wait(CREATED, "a", deadline=clock.now() + 60)

    assert found == Container(id="a", status="running")
    assert 10 <= clock.now() - 1000 <= 12.2


def test_what_is_quick_is_seen_within_about_a_second(
    feed: Feed[Container], world: World, clock: FakeClock
) -> None:
    for name in "abc":
        world.put(name, "running")
        feed.wait(CREATED, name, deadline=clock.now() + 60)

    assert clock.now() - 1000 < 3.5


def test_twenty_four_creates_cost_few_calls_and_little_time(
    world: World, feed: Feed[Container], clock: FakeClock
) -> None:
    chance = random.Random(7)

    def create(index: int) -> Callable[[], float]:
        def run() -> float:
            feed.snapshot()
            clock.sleep(0.3 + chance.random())
            world.put(f"c{index}", "pending")
            world.put(f"c{index}", "running", after=20)
            runs = clock.now() + 20
            feed.wait(CREATED, f"c{index}", deadline=clock.now() + 600)
            return clock.now() - runs

        return run

    lags = clock.run(*[create(index) for index in range(24)])

    assert len(world.looks) <= 14
    assert max(lags) <= 2.3
    assert world.most_under_way == 1


def test_a_waiter_never_trusts_a_look_that_began_before_it(
    feed: Feed[Container], world: World, clock: FakeClock
) -> None:
    # "a" runs from the start; "b" is stopped by its job after it came, and must not be told that it still runs.
    world.put("a", "pending")
    world.put("b", "running")

    def stop() -> Any:
        clock.sleep(1.06)  # while the call of the other is under way and has looked already
        world.put("b", "stopped")
        return feed.wait(STOPPED, "b", deadline=clock.now() + 60)

    def run() -> Any:
        world.put("a", "running", after=5)
        return feed.wait(CREATED, "a", deadline=clock.now() + 60)

    a, b = clock.run(run, stop)

    assert (a.status, b.status) == ("running", "stopped")


def test_gone_is_none_and_needs_one_whole_list(feed: Feed[Container], world: World, clock: FakeClock) -> None:
    world.put("a", "deleting")
    world.put("a", None, after=5)

    assert feed.wait(GONE, "a", deadline=clock.now() + 60) is None
    assert 5 <= clock.now() - 1000 <= 7.2


def test_another_thing_with_the_id_counts_as_an_absence(clock: FakeClock) -> None:
    """A name that is free is taken again before any look sees that it was free."""
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
    def send(_: Call[Any]) -> Any:
        return Listing([Container(id="a", status="error", error_message="no\nspace")])

    feed = Feed(send, LIST, clock, noun="container")

    with pytest.raises(errors.UnexpectedStateError) as caught:
        feed.wait(CREATED, "a", deadline=clock.now() + 60)

    assert str(caught.value) == (
        'container a: is "error" (no space) after 1 s, wanted running; look at its logs, then repair or delete it'
    )
    assert (caught.value.subject, caught.value.last_state, caught.value.elapsed) == (
        "container a",
        "error",
        1.0,
    )


def test_a_container_that_had_failed_may_be_started(
    feed: Feed[Container], world: World, clock: FakeClock
) -> None:
    world.put("a", "error")
    world.put("a", "pending", after=2)
    world.put("a", "running", after=9)

    found = feed.wait(STARTED, "a", deadline=clock.now() + 60)

    assert found is not None
    assert found.status == "running"


def test_what_is_missing_for_long_has_vanished(feed: Feed[Container], world: World, clock: FakeClock) -> None:
    with pytest.raises(errors.VanishedError, match="container a: no longer there after 5 s, wanted running"):
        feed.wait(CREATED, "a", deadline=clock.now() + 60)
    assert len(world.looks) == 3


def test_what_vanished_is_told_with_the_state_that_it_had(
    feed: Feed[Container], world: World, clock: FakeClock
) -> None:
    world.put("a", "pending")
    world.put("a", None, after=5)

    with pytest.raises(errors.VanishedError) as caught:
        feed.wait(CREATED, "a", deadline=clock.now() + 60)
    assert caught.value.last_state == "pending"


def test_a_list_that_leaves_something_out_is_not_the_last_word(world: World, clock: FakeClock) -> None:
    asked: list[str] = []

    def confirm(id: str) -> Container | None:
        asked.append(id)
        return Container(id=id, status="pending" if len(asked) == 1 else "running")

    feed = Feed(world, LIST, clock, noun="container", confirm=confirm)
    found = feed.wait(CREATED, "a", deadline=clock.now() + 60)

    assert found == Container(id="a", status="running")
    assert asked == ["a", "a"]


@pytest.mark.parametrize(("status", "looks"), [("deleting", 4), (None, 1)])
def test_what_an_incomplete_list_does_not_show_is_gone_only_if_a_look_for_it_alone_says_so(
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


def test_an_absence_from_an_incomplete_list_is_not_told_as_one(clock: FakeClock) -> None:
    def send(_: Call[Any]) -> Any:
        return Listing([Container(id="a")], gap="data[1]")

    feed = Feed(send, LIST, clock, noun="container")

    assert feed.find("a") == Container(id="a")
    with pytest.raises(errors.UnreadableAnswerError, match="incomplete"):
        feed.find("b")


def test_a_snapshot_passes_its_pulse_to_the_call_that_it_makes(feed: Feed[Container], world: World) -> None:
    def pulse() -> None:
        raise errors.WaitCancelledError("enough")

    with pytest.raises(errors.WaitCancelledError):
        feed.snapshot(pulse=pulse)
    assert feed.snapshot() == ()


def test_a_snapshot_that_waits_for_another_thread_can_be_cancelled(
    feed: Feed[Container], world: World, clock: FakeClock
) -> None:
    world.latency = 30

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


def test_a_look_for_it_alone_that_fails_does_not_end_the_wait(world: World, clock: FakeClock) -> None:
    def confirm(id: str) -> Container | None:
        raise errors.ServerError("look at container a: the API failed", status=500)

    feed = Feed(world, LIST, clock, noun="container", confirm=confirm)
    world.put("a", "running", after=20)

    assert feed.wait(CREATED, "a", deadline=clock.now() + 60) == Container(id="a", status="running")


def test_the_time_is_up(feed: Feed[Container], world: World, clock: FakeClock) -> None:
    world.put("a", "pending")

    with pytest.raises(errors.WaitTimeoutError) as caught:
        feed.wait(CREATED, "a", deadline=clock.now() + 30)

    assert clock.now() - 1000 == pytest.approx(30, abs=0.6)
    assert str(caught.value) == (
        'container a: still "pending" after 30 s, wanted running; look at it in the dashboard or at its logs, then '
        "wait for longer"
    )
    assert caught.value.last_state == "pending"


def test_a_look_that_comes_back_after_the_deadline_still_counts(
    feed: Feed[Container], world: World, clock: FakeClock
) -> None:
    world.latency = 10
    world.put("a", "running", after=3)

    assert feed.wait(CREATED, "a", deadline=clock.now() + 4) is not None


def test_what_ticks_ticks_at_least_once_a_second_also_in_between(
    feed: Feed[Container], world: World, clock: FakeClock
) -> None:
    ticks: list[tuple[float, str | None, float]] = []
    world.put("a", "pending")
    world.put("a", "running", after=20)

    def on_tick(seen: Container | None, elapsed: float) -> None:
        ticks.append((clock.now(), seen.status if seen else None, elapsed))

    feed.wait(CREATED, "a", deadline=clock.now() + 60, on_tick=on_tick)

    assert ticks[0] == (1000.0, None, 0.0)
    assert ticks[-1][1] == "pending"
    times = [at for at, *_ in ticks]
    assert all(later - earlier <= 1.0 for earlier, later in itertools.pairwise(times))
    assert all(elapsed == at - 1000 for at, _, elapsed in ticks)


@pytest.mark.parametrize("leads", [True, False])
def test_a_cancelled_wait_ends_within_half_a_second_and_the_others_go_on(
    feed: Feed[Container], world: World, clock: FakeClock, leads: bool
) -> None:
    for name in "ab":
        world.put(name, "pending")
        world.put(name, "running", after=20)

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
    feed: Feed[Container], world: World, clock: FakeClock, error: errors.StacksError
) -> None:
    world.put("a", "running", after=3)
    world.fails = lambda now: error if now < 1030 else None

    found = feed.wait(CREATED, "a", deadline=clock.now() + 60)

    assert found is not None
    assert clock.now() < 1033


def test_a_wait_that_saw_nothing_but_failures_says_so(
    feed: Feed[Container], world: World, clock: FakeClock
) -> None:
    world.fails = lambda now: errors.ServerError("list containers: the API failed", status=500)

    with pytest.raises(
        errors.WaitTimeoutError, match="the last look failed: list containers: the API failed"
    ):
        feed.wait(CREATED, "a", deadline=clock.now() + 20)


@pytest.mark.parametrize(
    "error", [errors.InvalidApiKeyError("revoked", status=401), errors.MissingScopeError("x", status=403)]
)
def test_what_no_waiting_can_mend_ends_all_waits_at_once(
    feed: Feed[Container], world: World, clock: FakeClock, error: errors.StacksError
) -> None:
    world.fails = lambda now: error

    outcomes = clock.run(*[job(feed, clock, name) for name in "abcdef"])

    assert {type(outcome) for outcome in outcomes} == {type(error)}
    assert len(world.looks) == 1


class AnyTwo(Watch[Container]):
    """Content with the second of any two."""

    def judge(self, things: Sequence[Container]) -> bool:
        self.found = things[1] if len(things) > 1 else None
        return self.found is not None


def test_one_can_follow_the_list_for_anything(feed: Feed[Container], world: World, clock: FakeClock) -> None:
    world.put("a", "pending")
    world.put("b", "pending", after=5)
    watch = AnyTwo("the list", "two", clock=clock, deadline=clock.now() + 60)

    assert feed.follow(watch) == Container(id="b", status="pending")


def test_few_requests_left_are_spread_over_the_window(world: World, clock: FakeClock) -> None:
    world.put("a", "pending")
    world.put("a", "running", after=20)
    feed = Feed(world, LIST, clock, noun="container", pace=lambda: 7.0)
    feed.snapshot()

    feed.wait(CREATED, "a", deadline=clock.now() + 60)

    gaps = [later - earlier for earlier, later in zip(world.looks, world.looks[1:], strict=False)]
    assert all(7.0 <= gap < 7.2 for gap in gaps)


@pytest.mark.parametrize(("pace", "at_first", "later"), [(2.9, 0.0, 0.0), (7.0, 4.9, 0.9), (40.0, 7.9, 3.9)])
def test_whoever_waits_can_tell_that_it_is_the_rate_limit_that_holds_up_the_next_look(
    world: World, clock: FakeClock, pace: float, at_first: float, later: float
) -> None:
    feed = Feed(world, LIST, clock, noun="container", pace=lambda: pace)
    feed.snapshot()

    clock.sleep(2)
    seen = [feed.held_back()]
    clock.sleep(4)
    seen.append(feed.held_back())

    assert seen == pytest.approx([at_first, later])


def test_the_interval_follows_the_time_waited() -> None:
    assert [interval(age) for age in (0, 1.9, 2, 24, 48, 60, 120, 3600)] == [1, 1, 2, 2, 4, 5, 10, 10]


def test_sixty_four_waiters_leave_nothing_behind(
    feed: Feed[Container], world: World, clock: FakeClock
) -> None:
    chance = random.Random(3)
    for index in range(64):
        world.put(f"c{index}", "pending")
        world.put(f"c{index}", "running", after=5 + 30 * chance.random())

    outcomes = clock.run(*[job(feed, clock, f"c{index}", start=2 * chance.random()) for index in range(64)])

    assert all(found.status == "running" for found, _at in outcomes)
    assert len(world.looks) <= 20
    assert not feed._busy
