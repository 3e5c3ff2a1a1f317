"""A restart waits only for connections whose targets are being created."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from stacks_pulumi.resources._restarts import GRACE, PATIENCE, ExpectedConnections, Restarts
from tests.support.clock import FakeClock

SIBLINGS = {"to-sql": "sql", "to-cache": "cache"}


class Run:
    """One operation of the engine: connections from `app`, and the times of its restarts."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.expected = ExpectedConnections(self.clock)
        self.restarts = Restarts(self.clock, self.expected)
        self.at: list[float] = []

    def now(self) -> float:
        """Return the seconds since the start."""
        return self.clock.now() - 1000.0

    def connection(self, name: str, *, ready: float = 0.0, fails: bool = False) -> Callable[[], None]:
        """Create the target and then the connection, or let the creation of the target fail."""

        def operate() -> None:
            with self.expected.creating(SIBLINGS[name]):
                self.clock.sleep(ready)
                if fails:
                    raise KeyError(name)
            self.connect(name)

        return operate

    def connect(self, name: str) -> None:
        """Create the connection, as the engine does when the target is ready."""
        self.clock.sleep(GRACE / 4)
        self.expected.declare(name, SIBLINGS)
        self.clock.sleep(GRACE / 4)
        with self.restarts.connecting("app", SIBLINGS[name], lambda: None, name) as made:
            self.clock.sleep(0.25)
        self.restarts.restart("app", self.restart, lambda: None, made)

    def restart(self) -> None:
        """Restart the source."""
        self.at.append(self.now())
        self.clock.sleep(2.0)


def test_one_restart_serves_targets_that_become_ready_at_different_times() -> None:
    run = Run()

    run.clock.run(run.connection("to-sql"), run.connection("to-cache", ready=40.0))

    assert run.at == [40.0 + GRACE / 2 + 0.25]


def test_no_wait_after_all_connections_exist() -> None:
    run = Run()

    run.clock.run(run.connection("to-sql"), run.connection("to-cache"))

    assert run.at == [GRACE / 2 + 0.25]


def test_a_target_whose_creation_has_not_begun_is_not_waited_for() -> None:
    run = Run()

    run.clock.run(run.connection("to-sql"))

    assert run.at == [GRACE / 2 + 0.25 + GRACE]


def test_a_target_whose_creation_fails_is_no_longer_waited_for() -> None:
    run = Run()

    outcomes = run.clock.run(run.connection("to-sql"), run.connection("to-cache", ready=40.0, fails=True))

    assert isinstance(outcomes[1], KeyError)
    assert run.at == [pytest.approx(40.0, abs=0.5)]


def test_the_wait_for_a_target_is_limited() -> None:
    run = Run()

    run.clock.run(run.connection("to-sql"), run.connection("to-cache", ready=2000.0))

    first, second = run.at
    assert first == pytest.approx(PATIENCE + GRACE + GRACE / 2 + 0.25, abs=0.5)
    assert second > 2000.0


def test_the_wait_for_an_existing_connection_is_short() -> None:
    run = Run()

    def unchanged() -> None:
        run.clock.sleep(GRACE)
        run.expected.declare("to-cache", SIBLINGS)

    run.clock.run(run.connection("to-sql"), unchanged)

    assert run.at == [2 * GRACE]


def test_with_ids_in_the_program_a_restart_waits_a_moment() -> None:
    clock = FakeClock()

    assert ExpectedConnections(clock).seconds("unknown", clock.now()) == GRACE
