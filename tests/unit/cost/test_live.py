from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, cast

import pytest

from stacks_pulumi.api.models import Container, Listing, Template
from stacks_pulumi.cost import live
from stacks_pulumi.pricing.money import Price


def client(containers: list[Container] | None = None, templates: list[Template] | None = None) -> Any:
    """A client with the given containers."""
    return SimpleNamespace(
        containers=SimpleNamespace(list=lambda: Listing(containers or []), templates=lambda: templates or [])
    )


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
        (Container(id="x", template="nodejs", storage_mb=10240), 1, 15),
        (Container(id="x", template="nodejs", plan="basic"), 4, 9),
        (Container(id="x", template="nodejs", plan="basic", storage_mb=11111), 4, 9),
        (Container(id="x", plan="basic", storage_mb=10240), 4, 5),
    ],
)
def test_a_field_that_the_api_omits_is_a_range(container: Container, low: int, high: int) -> None:
    price = live.account(client([container])).planned
    assert (price.low, price.high) == (Decimal(low), Decimal(high))


def test_live_prices_replace_the_catalogues_and_say_so() -> None:
    monthly, notes = live.prices(
        client(
            templates=[
                Template(id="nodejs", plan="basic", monthly_usd=4.5),
                Template(id="nginx-micro", plan="micro", monthly_usd=1),
                Template(id="novelty", plan="Special", monthly_usd=20),
                Template(id="redis"),
            ]
        )
    )

    assert monthly("nodejs", "basic", None) == Decimal("4.5")
    assert monthly("nodejs", None, 3) == Decimal("7.5")
    assert monthly("nodejs", "premium", None) == Decimal(10)
    assert monthly("nodejs", "basic", 7) is None
    assert monthly("novelty", "basic", None) == Decimal(20)
    assert monthly("novelty", "premium", None) is None
    assert monthly("redis", None, None) == Decimal(4)
    assert monthly("mysql", "basic", None) == Decimal(4)
    assert notes == (
        "live prices: nodejs costs $4.50 a month, the catalogue says $4.00",
        "live prices: novelty costs $20.00 a month, the catalogue says nothing of it",
        "live prices: 1 template without one; there the catalogue's is used",
    )


def test_live_prices_reach_the_report() -> None:
    monthly, _ = live.prices(client(templates=[Template(id="nodejs", plan="basic", monthly_usd=4.5)]))
    container = Container(id="x", template="nodejs", plan="basic", storage_mb=10240)

    assert live.account(client([container]), monthly).planned == Price(Decimal("4.5"), Decimal("4.5"))


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
