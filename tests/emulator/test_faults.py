"""The queue of faults, without HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from stacks_pulumi.emulator.faults import KINDS, Faults


@pytest.fixture
def faults() -> Faults:
    return Faults(frozenset({"containers.list", "containers.create"}))


def kinds(faults: Faults, *requests: tuple[str, str]) -> list[str | None]:
    """Return the kind of fault that hits each request."""
    met = [faults.take(operation, path) for operation, path in requests]
    return [None if fault is None else fault.kind for fault in met]


def test_faults_fire_in_order_and_once(faults: Faults) -> None:
    faults.add("containers.list", "drop_before")
    faults.add("containers.list", "html", times=2)
    one = ("containers.list", "/containers")

    assert kinds(faults, one, one, one, one) == ["drop_before", "html", "html", None]


def test_a_fault_waits_for_its_operation_and_its_match(faults: Faults) -> None:
    faults.add("containers.create", "drop_after", match="web")

    assert faults.take("containers.list", "/containers") is None
    assert faults.take("containers.create", "/containers", "api") is None
    assert faults.take("containers.create", "/containers", "my-web") is not None


def test_kind_pass_lets_requests_through(faults: Faults) -> None:
    faults.add("containers.list", "pass", times=2)
    faults.add("containers.list", 503)
    one = ("containers.list", "/containers")

    assert kinds(faults, one, one, one) == ["pass", "pass", "status"]


def test_a_star_matches_any_operation(faults: Faults) -> None:
    faults.add("*", "slow", seconds=0)

    assert kinds(faults, ("containers.create", "/containers")) == ["slow"]


def test_unfired_faults_are_listed_and_asserted(faults: Faults) -> None:
    faults.assert_none_left()
    faults.add("containers.list", 500, times=2)
    faults.take("containers.list", "/containers")

    assert [fault.fired for fault in faults.left()] == [1]
    with pytest.raises(AssertionError, match=r"status on containers.list \(fired 1 of 2 times\)"):
        faults.assert_none_left()

    faults.take("containers.list", "/containers")
    faults.assert_none_left()
    assert [(fired.operation, fired.kind) for fired in faults.fired()] == [("containers.list", "status")] * 2
    assert faults.fired("containers.create") == []


def test_a_permanent_fault_must_fire_once(faults: Faults) -> None:
    faults.add("containers.list", 500, times=None)
    with pytest.raises(AssertionError, match="for every request"):
        faults.assert_none_left()
    one = ("containers.list", "/containers")

    assert kinds(faults, one, one, one) == ["status"] * 3
    faults.assert_none_left()


def test_a_status_code_is_a_kind(faults: Faults) -> None:
    assert faults.add("containers.list", 502).options["code"] == 502
    assert faults.add("containers.list", "503").options["code"] == 503
    assert faults.add("containers.list", 429, retry_after=7).kind == "rate_limited"


@pytest.mark.parametrize(
    ("arguments", "options", "match"),
    [
        (("containers.lst", "html"), {}, "no such operation: containers.lst"),
        (("containers.list", "explode"), {}, "no such fault: explode"),
        (("containers.list", "html"), {"seconds": 1}, "no option seconds; its options are code, done"),
        (("containers.list", "slow"), {"seconds": "long"}, "option seconds of slow cannot be 'long'"),
        (("containers.list", "trickle"), {"part": 7}, "option part of trickle cannot be 7"),
        (("containers.list", "trickle"), {"part": "footers"}, "part must be headers or body, not 'footers'"),
        (("containers.list", "html", 0), {}, "times must be a whole number of at least 1, not 0"),
    ],
)
def test_a_fault_that_could_never_fire_is_refused(
    faults: Faults, arguments: tuple[Any, ...], options: dict[str, Any], match: str
) -> None:
    with pytest.raises(ValueError, match=match):
        faults.add(*arguments, **options)


def test_every_kind_can_be_described(faults: Faults) -> None:
    for kind in KINDS:
        assert faults.add("containers.list", kind).describe()["kind"] == kind
