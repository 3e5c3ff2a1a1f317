from __future__ import annotations

from collections.abc import Iterator

import pytest
import responses

from stacks_pulumi.api import StacksClient
from stacks_pulumi.api._transport import Transport
from stacks_pulumi.api.containers import LIST
from stacks_pulumi.api.feed import Feed
from stacks_pulumi.api.models import Container
from tests.support.clock import FakeClock
from tests.unit.api.changing_account import ChangingAccount
from tests.unit.api.scripted_api import KEY, TRANSPORT_URL, URL


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def http() -> Iterator[responses.RequestsMock]:
    """Return the expected requests; the test fails if one of them is not sent."""
    with responses.RequestsMock() as mock:
        yield mock


@pytest.fixture
def transport(clock: FakeClock) -> Transport:
    return Transport(TRANSPORT_URL, KEY, clock)


@pytest.fixture
def client(clock: FakeClock) -> Iterator[StacksClient]:
    with StacksClient(KEY, base_url=URL, clock=clock) as made:
        yield made


@pytest.fixture
def account(clock: FakeClock) -> ChangingAccount:
    return ChangingAccount(clock)


@pytest.fixture
def feed(account: ChangingAccount, clock: FakeClock) -> Feed[Container]:
    return Feed(account, LIST, clock, noun="container")
