"""One read of an account, without retries, and the facts about a key that refused requests show."""

from __future__ import annotations

import re
from email.utils import formatdate
from typing import Any

import pytest
import requests
import responses

from stacks_pulumi.api.probe import Scopes, look, probe_scopes
from stacks_pulumi.config import AccountSettings
from stacks_pulumi.endpoints import SCOPES, Scope
from stacks_pulumi.errors import (
    ConfigError,
    ConnectionFailedError,
    InvalidApiKeyError,
    MissingScopeError,
    SpendingCapError,
)
from tests.support.clock import FakeClock
from tests.unit.api.scripted_api import KEY, URL

SETTINGS = AccountSettings(api_key=KEY, base_url=URL)
RATES = {"X-RateLimit-Limit": "60", "X-RateLimit-Remaining": "41"}


def listed(
    http: responses.RequestsMock, status: int = 200, body: Any = None, headers: dict[str, str] | None = None
) -> None:
    rows = {"success": True, "count": 1, "data": [{"id": "usr-abc12345-web", "name": "web"}]}
    http.get(f"{URL}/containers", json=rows if body is None else body, status=status, headers=headers or {})


def test_a_look_is_one_request_and_stores_the_headers(http: responses.RequestsMock, clock: FakeClock) -> None:
    listed(http, headers={**RATES, "Date": formatdate(clock.wall() - 90, usegmt=True)})

    seen = look(SETTINGS, clock)

    assert seen.error is None
    assert seen.containers is not None
    assert [one.name for one in seen.containers] == ["web"]
    assert (seen.rates.limit, seen.rates.remaining) == (60, 41)
    assert seen.clock_ahead == pytest.approx(90, abs=1)
    assert [call.request.headers["Authorization"] for call in http.calls] == [f"Bearer {KEY}"]
    assert KEY not in repr(seen)


def test_an_answer_without_headers_says_nothing_of_limit_and_clock(
    http: responses.RequestsMock, clock: FakeClock
) -> None:
    listed(http)

    seen = look(SETTINGS, clock)

    assert (seen.rates.limit, seen.clock_ahead) == (None, None)


def test_a_refusal_keeps_the_headers_too(http: responses.RequestsMock, clock: FakeClock) -> None:
    listed(http, 401, {"error": "Invalid API key"}, {"Date": formatdate(clock.wall() + 7200, usegmt=True)})

    seen = look(SETTINGS, clock)

    assert isinstance(seen.error, InvalidApiKeyError)
    assert seen.clock_ahead == pytest.approx(-7200, abs=1)


@pytest.mark.parametrize("status", [500, 503, 429])
def test_nothing_is_tried_again(http: responses.RequestsMock, clock: FakeClock, status: int) -> None:
    listed(http, status, {"error": "no"})

    assert look(SETTINGS, clock).error is not None
    assert len(http.calls) == 1


def test_no_answer_at_all_is_an_error_and_not_a_crash(http: responses.RequestsMock, clock: FakeClock) -> None:
    http.get(f"{URL}/containers", body=requests.ConnectionError("gone"))

    seen = look(SETTINGS, clock)

    assert isinstance(seen.error, ConnectionFailedError)
    assert seen.clock_ahead is None


def test_without_a_key_nothing_is_asked(http: responses.RequestsMock) -> None:
    for ask in (look, probe_scopes):
        with pytest.raises(ConfigError, match="no STACKS API key"):
            ask(AccountSettings(base_url=URL))


def answered(http: responses.RequestsMock, *answers: tuple[int, Any]) -> None:
    """Answer the create and the two deletions, if they are requested."""
    where = ((responses.POST, f"{URL}/containers"), (responses.DELETE, URL), (responses.DELETE, URL))
    for (method, url), (status, body) in zip(where, answers, strict=False):
        http.add(
            method, url if method == responses.POST else re.compile(f"{url}/.*"), json=body, status=status
        )


def lacks(scope: str, *held: str) -> tuple[int, Any]:
    return 403, {
        "error": f"API key lacks required scope: {scope}",
        "required_scope": scope,
        "key_scopes": held,
    }


NO_NAME = (400, {"success": False, "error": "Container name is required", "field": "name"})
NOT_FOUND = (404, {"success": False, "error": "Container not found"})


def test_a_key_that_gets_past_every_scope_has_them(http: responses.RequestsMock, clock: FakeClock) -> None:
    answered(http, NO_NAME, NOT_FOUND, NOT_FOUND)

    assert probe_scopes(SETTINGS, clock) == Scopes(frozenset({Scope.CREATE, Scope.MANAGE, Scope.DELETE}))


def test_probed_objects_cannot_exist(http: responses.RequestsMock, clock: FakeClock) -> None:
    answered(http, NO_NAME, NOT_FOUND, NOT_FOUND)

    probe_scopes(SETTINGS, clock)

    create, connection, container = (call.request for call in http.calls)
    assert create.body == b"{}"
    for request in (connection, container):
        # No container name contains two consecutive hyphens.
        assert "stacks-pulumi--doctor--" in str(request.url)
    assert str(connection.url).rpartition("/")[2] == str(container.url).rpartition("/")[2]


def test_a_403_with_the_keys_scopes_ends_the_probing(http: responses.RequestsMock, clock: FakeClock) -> None:
    answered(http, lacks(Scope.CREATE, Scope.READ, Scope.MANAGE))

    found = probe_scopes(SETTINGS, clock)

    assert found.held == {Scope.READ, Scope.MANAGE}
    assert found.lacking == {Scope.CREATE, Scope.DELETE}
    assert len(http.calls) == 1


def test_a_403_without_the_keys_scopes_says_one(http: responses.RequestsMock, clock: FakeClock) -> None:
    answered(http, lacks(Scope.CREATE), NOT_FOUND, lacks(Scope.DELETE))

    found = probe_scopes(SETTINGS, clock)

    assert found.held == {Scope.MANAGE}
    assert found.lacking == {Scope.CREATE, Scope.DELETE}


@pytest.mark.parametrize("status", [404, 418, 429, 500])
def test_another_refusal_of_the_create_leaves_its_scope_unknown(
    http: responses.RequestsMock, clock: FakeClock, status: int
) -> None:
    answered(http, (status, {"error": "no"}), NOT_FOUND, NOT_FOUND)

    assert probe_scopes(SETTINGS, clock) == Scopes(frozenset({Scope.MANAGE, Scope.DELETE}))


def test_a_deletion_that_succeeds_for_nothing_shows_the_scope(
    http: responses.RequestsMock, clock: FakeClock
) -> None:
    answered(http, NO_NAME, (200, {"success": True}), (200, {"success": True}))

    assert probe_scopes(SETTINGS, clock).held == {Scope.CREATE, Scope.MANAGE, Scope.DELETE}


def test_a_402_shows_the_cap(http: responses.RequestsMock, clock: FakeClock) -> None:
    answered(http, (402, {"error": "cap", "spending_cap": 10, "amount_spent": 10}), NOT_FOUND, NOT_FOUND)

    found = probe_scopes(SETTINGS, clock)

    assert isinstance(found.cap, SpendingCapError)
    assert found.cap.spending_cap == 10
    assert Scope.CREATE in found.held


def test_a_403_without_a_list_names_only_the_missing_scope() -> None:
    error = MissingScopeError("no", required_scope=Scope.READ, key_scopes=())

    assert Scopes.told_by(error) == Scopes(frozenset(), frozenset({Scope.READ}))
    assert len(SCOPES) == 4
