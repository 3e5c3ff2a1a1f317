from __future__ import annotations

import pickle
import threading

import pytest
import responses

from stacks_pulumi import errors
from stacks_pulumi.api import StacksClient
from tests.support.clock import FakeClock
from tests.unit.api.scripted_api import KEY, URL


def test_the_key_is_in_no_repr_and_cannot_be_pickled(client: StacksClient) -> None:
    assert repr(client) == f"StacksClient(base_url='{URL}')"
    parts = [client, client.containers, client.feed, client._transport, client._transport._auth]
    assert not any(KEY in repr(part) for part in parts)
    with pytest.raises(TypeError):
        pickle.dumps(client)


@pytest.mark.parametrize(
    ("key", "url"),
    [
        ("sk_live_1", URL),
        (KEY[:-1], URL),
        (KEY, "http://api.example"),
        (KEY, "ftp://api.example"),
        (KEY, "api.example"),
    ],
)
def test_a_malformed_key_or_address_is_refused_before_anything_is_sent(key: str, url: str) -> None:
    with pytest.raises(errors.ConfigError) as caught:
        StacksClient(key, base_url=url)
    assert key not in str(caught.value)


def test_the_default_url_is_that_of_the_guide() -> None:
    assert repr(StacksClient(KEY)) == "StacksClient(base_url='https://api.stackshosting.cloud/api/v1')"


def test_one_feed_serves_the_client_and_its_nouns(client: StacksClient) -> None:
    assert client.feed is client.containers.feed is client.connections._containers


def test_on_limit_is_called_in_the_waiting_thread(clock: FakeClock, http: responses.RequestsMock) -> None:
    heard: list[tuple[float, int, str]] = []

    def on_limit(seconds: float, queued: int) -> None:
        heard.append((seconds, queued, threading.current_thread().name))

    client = StacksClient(KEY, base_url=URL, clock=clock, requests_per_minute=1, on_limit=on_limit)
    http.get(f"{URL}/containers", json=[])

    client.containers.list()
    assert heard == []
    client.containers.list()
    assert heard[0][0] == pytest.approx(60, abs=0.1)
    assert heard[0][1:] == (1, threading.current_thread().name)


def test_a_closed_client_can_still_be_used(client: StacksClient, http: responses.RequestsMock) -> None:
    http.get(f"{URL}/containers", json=[])
    client.containers.list()
    client.close()

    assert client._transport._idle == []
    assert client.containers.list() == ()


def test_no_error_contains_the_key(client: StacksClient, http: responses.RequestsMock) -> None:
    http.get(f"{URL}/containers", status=401, json={"error": f"Invalid API key {KEY}", "key": KEY})

    with pytest.raises(errors.InvalidApiKeyError) as caught:
        client.containers.list()
    assert KEY not in str(caught.value)
    assert KEY not in repr(caught.value.__dict__)
