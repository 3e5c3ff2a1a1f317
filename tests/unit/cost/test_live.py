from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, cast

import pytest

from stacks_pulumi.api.models import Container, Listing
from stacks_pulumi.cost import live
from stacks_pulumi.errors import NotFoundError, UnreadableAnswerError


def client(containers: list[Container] | None = None, **more: Any) -> Any:
    """A client with the given containers. The answers for single containers contain only the fields of the list."""
    rows = Listing(containers or [], **more)
    by_id = {row.id: row for row in rows}
    return SimpleNamespace(containers=SimpleNamespace(list=lambda: rows, status=by_id.__getitem__))


def test_the_account_is_priced_by_template_plan_and_storage() -> None:
    report = live.account(
        client(
            [
                Container(id="usr-1-web", name="web", template="nodejs", plan="basic", storage_mb=10240),
                Container(
                    id="usr-1-big", name="big", template="nodejs", plan="premium", storage_mb=40960 + 65536
                ),
                Container(
                    id="usr-1-vpn", name="vpn", template="stacks-vpn", plan="whatever", storage_mb=20480
                ),
            ]
        )
    )

    assert [(line.name, str(line.planned)) for line in report.lines] == [
        ("big", "$13.00"),
        ("vpn", "$5.00"),
        ("web", "$4.00"),
    ]
    assert report.difference.none
    assert report.source == "account"


@pytest.mark.parametrize(
    ("container", "low", "high"),
    [
        (Container(id="x", template="nodejs", storage_mb=10240), 1, None),
        (Container(id="x", template="nodejs", plan="basic"), 4, None),
        (Container(id="x", template="postgresql", plan="basic"), 4, 4),
        (Container(id="x", plan="basic", storage_mb=10240), 4, None),
        # A size that fits no tier is at most the next tier; a size in a different unit shows nothing.
        (Container(id="x", template="nodejs", plan="basic", storage_mb=11111), 4, 9),
        (Container(id="x", template="nodejs", plan="basic", storage_mb=138), 4, None),
        # A plan with less storage than in the catalogue.
        (Container(id="x", template="nodejs", plan="basic", storage_mb=8192), 4, 4),
    ],
)
def test_what_the_api_omits_has_no_upper_bound(container: Container, low: int, high: int | None) -> None:
    price = live.account(client([container])).planned
    assert (price.low, price.high) == (Decimal(low), None if high is None else Decimal(high))


def test_a_container_whose_row_has_no_size_is_asked_for_it() -> None:
    row = Container(
        id="x", name="x", template="nodejs", plan="basic", status="running", created_at="2026-01-01T00:00:00Z"
    )
    listed = client([row])
    listed.containers.status = lambda _id: Container(id="x", storage_mb=42 * 1024)

    assert live.account(listed).planned.high == Decimal(5)


def test_a_container_whose_own_answer_says_that_it_is_deleted_costs_nothing() -> None:
    listed = client([Container(id="x", name="x", plan="basic", storage_mb=10240)])
    listed.containers.status = lambda _id: Container(id="x", template="nodejs", status="deleted")

    assert live.account(listed).lines == ()


def test_a_container_that_is_listed_and_not_found_yet_has_the_price_of_its_row() -> None:
    listed = client([Container(id="x", name="x", template="nodejs", plan="basic")])

    def not_found(_id: str) -> Container:
        raise NotFoundError("x", status=404)

    listed.containers.status = not_found

    assert live.account(listed).planned.low == Decimal(4)


@pytest.mark.parametrize(
    ("of_row", "of_answer", "shown"),
    [
        ("nodejs", "redis", "redis, basic"),
        ("nodejs", "a-new-one", "nodejs, basic"),
        (None, "a-new-one", "template not in the catalogue, basic"),
    ],
)
def test_a_template_of_the_catalogue_takes_precedence(of_row: str | None, of_answer: str, shown: str) -> None:
    listed = client([Container(id="x", name="x", template=of_row, plan="basic", storage_mb=10240)])
    listed.containers.status = lambda _id: Container(id="x", template=of_answer)

    (line,) = live.account(listed).lines
    assert line.kind == shown


def test_a_policy_does_not_wait_longer_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    answered = threading.Event()

    @contextmanager
    def slow() -> Iterator[Any]:
        answered.wait()
        yield client()

    monkeypatch.setattr(live, "connect", cast("Any", slow))

    try:
        with pytest.raises(TimeoutError):
            live.containers(0.01)
    finally:
        answered.set()


def test_a_policy_gets_names_and_prices(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def connect() -> Iterator[Any]:
        yield client(
            [Container(id="usr-1-web", name="web", template="nodejs", plan="basic", storage_mb=10240)]
        )

    monkeypatch.setattr(live, "connect", cast("Any", connect))

    [found] = live.containers(5)
    assert (found.name, str(found.price)) == ("web", "$4.00")


@pytest.mark.parametrize(
    ("row", "gap", "names"),
    [
        (
            Container(id="usr-1-old", name="old", template="nodejs", plan="basic", status="deleted"),
            None,
            ["web"],
        ),
        (
            Container(id="usr-1-odd", name="odd", template="nodejs", plan="basic", status="odd"),
            None,
            ["odd", "web"],
        ),
        (Container(id="usr-1-odd", name="odd", template="nodejs", plan="basic"), "no page 2", None),
    ],
    ids=["deleted", "unknown status", "incomplete"],
)
def test_a_policy_counts_all_that_is_billed_or_fails(
    row: Container, gap: str | None, names: list[str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    web = Container(id="usr-1-web", name="web", template="nodejs", plan="basic", storage_mb=10240)

    @contextmanager
    def connect() -> Iterator[Any]:
        yield client([row, web], gap=gap)

    monkeypatch.setattr(live, "connect", cast("Any", connect))

    if names is None:
        with pytest.raises(UnreadableAnswerError, match="no page 2"):
            live.containers(5)
    else:
        assert [one.name for one in live.containers(5)] == names
