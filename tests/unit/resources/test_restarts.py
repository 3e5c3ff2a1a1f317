"""Restarts that several connections share, with real threads and a fake clock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from stacks_pulumi.resources._restarts import GRACE, PATIENCE, Restarts
from tests.support.clock import FakeClock


class Source:
    """A source, with the times and the duration of its restarts."""

    def __init__(self, clock: FakeClock, seconds: float = 5.0, failures: int = 0) -> None:
        self.clock = clock
        self.seconds = seconds
        self.failures = failures
        self.restarts: list[float] = []

    def restart(self) -> None:
        self.restarts.append(self.clock.now() - 1000.0)
        self.clock.sleep(self.seconds)
        if self.failures:
            self.failures -= 1
            raise RuntimeError


def nothing() -> None:
    """A pulse that never cancels."""


def connection(
    clock: FakeClock, restarts: Restarts, source: Source, *, after: float = 0.0, making: float = 0.0
) -> Callable[[], bool]:
    """An operation that begins after some seconds, creates its connection later, and requests a restart."""

    def operate() -> bool:
        clock.sleep(after)
        with restarts.connecting("app", "db", nothing) as made:
            clock.sleep(making)
        return restarts.restart("app", source.restart, nothing, made)

    return operate


def test_connections_made_concurrently_share_one_restart() -> None:
    clock = FakeClock()
    restarts, source = Restarts(clock), Source(clock)

    led = clock.run(*(connection(clock, restarts, source, making=seconds) for seconds in (0.0, 3.0, 8.0)))

    assert sorted(led) == [False, False, True]
    assert source.restarts == [8.0]


def test_a_connection_a_moment_later_is_waited_for() -> None:
    clock = FakeClock()
    restarts, source = Restarts(clock), Source(clock)

    clock.run(
        connection(clock, restarts, source), connection(clock, restarts, source, after=GRACE / 2, making=4.0)
    )

    assert source.restarts == [GRACE / 2 + 4.0]


def test_a_connection_during_a_restart_gets_another_restart() -> None:
    clock = FakeClock()
    restarts, source = Restarts(clock), Source(clock, seconds=5.0)
    made: list[float] = []

    def late() -> bool:
        clock.sleep(GRACE + 1.0)
        with restarts.connecting("app", "db", nothing) as one:
            made.append(clock.now() - 1000.0)
        return restarts.restart("app", source.restart, nothing, one)

    assert clock.run(connection(clock, restarts, source), late) == [True, True]

    # A source that is being restarted cannot be connected.
    assert made == [GRACE + 5.0]
    assert source.restarts == [GRACE, GRACE + 5.0 + GRACE]


def test_the_wait_for_a_slow_connection_is_limited() -> None:
    clock = FakeClock()
    restarts, source = Restarts(clock), Source(clock)

    clock.run(connection(clock, restarts, source), connection(clock, restarts, source, making=600.0))

    first, second = source.restarts
    assert GRACE + PATIENCE <= first <= GRACE + PATIENCE + 1.0
    assert second == 600.0 + GRACE


def test_a_restarted_connection_does_not_wait_for_others() -> None:
    clock = FakeClock()
    restarts, source = Restarts(clock), Source(clock, seconds=5.0)
    ended: list[float] = []

    def ends(operation: Callable[[], bool]) -> Callable[[], None]:
        def operate() -> None:
            operation()
            ended.append(clock.now() - 1000.0)

        return operate

    clock.run(
        *(ends(connection(clock, restarts, source)) for _ in range(2)),
        # This connection comes during the restart and delays the next restart, but not the connections that were
        # served.
        connection(clock, restarts, source, after=GRACE + 1.0, making=100.0),
    )

    assert max(ended) <= GRACE + 5.0 + 1.0


def test_a_failure_of_the_leader_is_not_shared() -> None:
    clock = FakeClock()
    restarts, source = Restarts(clock), Source(clock, failures=1)

    outcomes = clock.run(*(connection(clock, restarts, source) for _ in range(3)))

    assert sorted(map(str, outcomes)) == ["", "False", "True"]
    assert len(source.restarts) == 2


def test_a_restart_without_a_connection_is_not_shared() -> None:
    clock = FakeClock()
    restarts, source = Restarts(clock), Source(clock)

    for _ in range(2):
        assert restarts.restart("app", source.restart, nothing) is True

    assert len(source.restarts) == 2


def test_sources_do_not_wait_for_each_other() -> None:
    clock = FakeClock()
    restarts, app, web = Restarts(clock), Source(clock), Source(clock)

    clock.run(
        lambda: restarts.restart("app", app.restart, nothing),
        lambda: restarts.restart("web", web.restart, nothing),
    )

    assert (app.restarts, web.restarts) == ([GRACE], [GRACE])


@pytest.mark.parametrize("where", ["connecting", "restart"])
def test_a_cancelled_wait_ends_and_delays_no_other(where: str) -> None:
    clock = FakeClock()
    restarts, source = Restarts(clock), Source(clock, seconds=50.0)

    def called_off() -> None:
        raise KeyError("gone")

    def gives_up() -> Any:
        if where == "restart":
            return restarts.restart("app", source.restart, called_off)
        clock.sleep(30.0)
        with restarts.connecting("app", "db", called_off):
            return None

    outcomes = clock.run(
        connection(clock, restarts, source),
        gives_up,
        connection(clock, restarts, source, making=20.0),
    )

    assert isinstance(outcomes[1], KeyError)
    assert sorted(map(str, (outcomes[0], outcomes[2]))) == ["False", "True"]


def held(
    clock: FakeClock, restarts: Restarts, *containers: str, after: float, seconds: float
) -> Callable[[], float]:
    """An operation that needs these containers (none: any) to run; return the time at which it knew this."""

    def operate() -> float:
        clock.sleep(after)
        with restarts.held_off(containers or None, nothing):
            began = clock.now() - 1000.0
            clock.sleep(seconds)
        return began

    return operate


@pytest.mark.parametrize("containers", [("app",), ("web", "app"), ()])
def test_a_restart_does_not_begin_while_it_is_held_off(containers: tuple[str, ...]) -> None:
    clock = FakeClock()
    restarts, source = Restarts(clock), Source(clock)

    clock.run(
        connection(clock, restarts, source), held(clock, restarts, *containers, after=0.5, seconds=20.0)
    )

    assert source.restarts == [20.5]


@pytest.mark.parametrize("containers", [("app",), ("web", "app"), ()])
def test_a_restart_in_progress_delays_only_affected_operations(containers: tuple[str, ...]) -> None:
    clock = FakeClock()
    restarts, source = Restarts(clock), Source(clock, seconds=5.0)

    _, concerned, other = clock.run(
        connection(clock, restarts, source),
        held(clock, restarts, *containers, after=GRACE + 1.0, seconds=0.0),
        held(clock, restarts, "web", "db", after=GRACE + 1.0, seconds=0.0),
    )

    assert (concerned, other) == (GRACE + 5.0, GRACE + 1.0)


def test_a_restart_that_has_not_begun_delays_no_operation() -> None:
    clock = FakeClock()
    restarts, source = Restarts(clock), Source(clock)

    _, _, late = clock.run(
        connection(clock, restarts, source),
        held(clock, restarts, "app", after=0.0, seconds=10.0),
        held(clock, restarts, "web", "app", after=GRACE + 1.0, seconds=0.0),
    )

    assert late == GRACE + 1.0
    assert source.restarts == [10.0]


def test_the_target_of_a_connection_keeps_running_while_it_is_made() -> None:
    clock = FakeClock()
    restarts, app, db = Restarts(clock), Source(clock), Source(clock)

    clock.run(
        connection(clock, restarts, app, making=7.0), lambda: restarts.restart("db", db.restart, nothing)
    )

    assert db.restarts == [7.0]


def test_containers_connected_in_a_ring_do_not_deadlock() -> None:
    clock = FakeClock()
    restarts, names = Restarts(clock), ("a", "b", "c")
    sources = {name: Source(clock) for name in names}

    def link(source: str, target: str, after: float) -> Callable[[], bool]:
        def operate() -> bool:
            clock.sleep(after)
            with restarts.connecting(source, target, nothing) as made:
                clock.sleep(1.0)
            return restarts.restart(source, sources[source].restart, nothing, made)

        return operate

    pairs = zip(names, names[1:] + names[:1], strict=True)
    # Some connections come while others are already restarting.
    links = [link(*pair, after) for pair in pairs for after in (0.0, 3.0)]

    assert all(isinstance(outcome, bool) for outcome in clock.run(*links))
    assert all(1 <= len(source.restarts) <= 2 for source in sources.values())
    assert clock.now() < 1000.0 + 30.0


def test_an_operation_that_needs_a_running_container_restarts_nothing() -> None:
    clock = FakeClock()
    restarts, source = Restarts(clock), Source(clock)

    led = clock.run(
        connection(clock, restarts, source), held(clock, restarts, "app", after=GRACE + 1.0, seconds=1.0)
    )

    assert (led[0], source.restarts) == (True, [GRACE])
