"""Whether a container is the one in the state."""

from __future__ import annotations

from typing import Any

import pytest

from stacks_pulumi._identifiers import is_before
from stacks_pulumi.api.models import Container
from stacks_pulumi.resources._identity import Identity, identify

STORED = {"created_at": "2026-02-25T10:30:00.000Z", "template": "postgresql"}


def found(**fields: Any) -> Container:
    return Container(id="usr-1-web", **fields)


@pytest.mark.parametrize(
    "spelling",
    [
        "2026-02-25T10:30:00Z",
        "2026-02-25T10:30:00.900Z",
        "2026-02-25T12:30:00.000+02:00",
        "2026-02-25T10:30:00",
        "2026-02-25 10:30:00.000000+00:00",
    ],
)
def test_the_same_instant_in_another_spelling_is_the_same_container(spelling: str) -> None:
    assert identify(STORED, found(created_at=spelling, template="redis")) is Identity.SAME


@pytest.mark.parametrize("time", [None, "", "yesterday"])
def test_a_time_that_cannot_be_read_shows_nothing(time: str | None) -> None:
    assert identify(STORED, found(created_at=time, template="redis")) is Identity.UNKNOWN
    assert (
        identify({**STORED, "created_at": time}, found(created_at="2026-02-25T10:30:00Z")) is Identity.UNKNOWN
    )


def test_another_time_and_another_template_are_another_container() -> None:
    assert identify(STORED, found(created_at="2026-02-25T10:30:02Z", template="redis")) is Identity.OTHER


@pytest.mark.parametrize("template", ["postgresql", None])
def test_another_time_and_the_same_template_leave_it_open(template: str | None) -> None:
    """A resize or a restore may not keep the creation time."""
    seen = found(created_at="2026-02-25T10:30:02Z", template=template, plan="premium")

    assert identify(STORED, seen) is Identity.UNCERTAIN


def test_times_are_in_order_only_if_they_certainly_are() -> None:
    assert is_before("2026-02-25T10:30:00Z", "2026-02-25T10:30:02Z")
    assert not is_before("2026-02-25T10:30:00Z", "2026-02-25T10:30:01Z")
    assert not is_before(None, "2026-02-25T10:30:01Z")
