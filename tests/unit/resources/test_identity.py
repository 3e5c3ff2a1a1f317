"""Tests whether a container is the container in the state."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from stacks_pulumi._identifiers import is_before
from stacks_pulumi.api.models import Container
from stacks_pulumi.platform_file import Containers, PlatformFacts, PlatformFile
from stacks_pulumi.resources._identity import Identity, identify
from stacks_pulumi.resources._session import Session

STORED = {"created_at": "2026-02-25T10:30:00.000Z", "template": "postgresql"}


def identified(stored: dict[str, Any], container: Container, **facts: Any) -> Identity:
    """Return the result of the identity check on a platform with these facts."""
    platform = PlatformFile(PlatformFacts(containers=Containers(**facts)))
    session = SimpleNamespace(client=SimpleNamespace(platform=platform))
    return identify(cast("Session", session), stored, container)


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
    assert identified(STORED, found(created_at=spelling, template="redis")) is Identity.SAME


@pytest.mark.parametrize("time", [None, "", "yesterday"])
@pytest.mark.parametrize("template", ["postgresql", "redis"])
def test_a_time_in_the_state_and_none_now_show_nothing(time: str | None, template: str) -> None:
    assert identified(STORED, found(created_at=time, template=template)) is not Identity.SAME


@pytest.mark.parametrize("now", [None, "2026-02-25T10:30:00Z"])
@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        ({"template": "postgresql", "plan": "basic"}, Identity.SAME),
        ({"template": "PostgreSQL", "plan": "BASIC"}, Identity.SAME),
        ({"template": "postgresql"}, Identity.SAME),
        ({"template": "redis", "plan": "basic"}, Identity.UNCERTAIN),
        ({"template": "postgresql", "plan": "premium"}, Identity.UNCERTAIN),
    ],
)
def test_without_a_time_in_the_state_template_and_plan_decide(
    shown: dict[str, str], now: str | None, expected: Identity
) -> None:
    stored = {"template": "postgresql", "plan": "basic"}

    assert identified(stored, found(created_at=now, **shown)) is expected


@pytest.mark.parametrize(
    ("now", "template", "expected"),
    [
        ("10:30:05", "postgresql", Identity.SAME),
        ("10:39:00", "postgresql", Identity.SAME),
        ("10:41:00", "postgresql", Identity.UNCERTAIN),
        ("10:29:00", "postgresql", Identity.UNCERTAIN),
        ("10:41:00", "redis", Identity.OTHER),
    ],
)
def test_a_container_that_was_never_seen_is_of_the_time_of_its_request(
    now: str, template: str, expected: Identity
) -> None:
    stored = {"template": "postgresql", "requested_at": "2026-02-25T10:30:00Z"}

    assert identified(stored, found(created_at=f"2026-02-25T{now}Z", template=template)) is expected


@pytest.mark.parametrize(
    ("template", "expected"), [("postgresql", Identity.SAME), ("redis", Identity.UNCERTAIN)]
)
def test_where_a_start_changes_times_template_and_plan_decide(template: str, expected: Identity) -> None:
    seen = found(created_at="2026-02-26T00:00:00Z", template=template)

    assert identified(STORED, seen, created_at_changes=True) is expected
    assert identified(STORED, seen) is not Identity.SAME


def test_another_time_and_another_template_are_another_container() -> None:
    assert identified(STORED, found(created_at="2026-02-25T10:30:02Z", template="redis")) is Identity.OTHER


@pytest.mark.parametrize("template", ["postgresql", None])
def test_another_time_and_the_same_template_leave_it_open(template: str | None) -> None:
    """A resize or a restore may change the creation time."""
    seen = found(created_at="2026-02-25T10:30:02Z", template=template, plan="premium")

    assert identified(STORED, seen) is Identity.UNCERTAIN


def test_times_are_in_order_only_if_they_certainly_are() -> None:
    assert is_before("2026-02-25T10:30:00Z", "2026-02-25T10:30:02Z")
    assert not is_before("2026-02-25T10:30:00Z", "2026-02-25T10:30:01Z")
    assert not is_before(None, "2026-02-25T10:30:01Z")
