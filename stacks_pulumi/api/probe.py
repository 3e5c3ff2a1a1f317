"""
Diagnostic requests that show details of the key, the rate limit and the clock.

A client retries requests, waits for the rate limit and keeps only the response's body. Here each request is sent once,
and the headers are kept.
"""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from stacks_pulumi._clock import SYSTEM_CLOCK, Clock
from stacks_pulumi.api._bodies import done, expected, scrub
from stacks_pulumi.api._call import Answer, Call, call_to
from stacks_pulumi.api._decode import Decode
from stacks_pulumi.api._limiter import Rates, rates, server_time
from stacks_pulumi.api.containers import LIST
from stacks_pulumi.api.models import Container, Listing
from stacks_pulumi.config import AccountSettings
from stacks_pulumi.endpoints import SCOPES, Endpoint, Scope
from stacks_pulumi.errors import MissingScopeError, SpendingCapError, StacksError

_SUCCESS: Final = range(200, 300)
_WIDEST: Final = 20
"""The maximum number of an object's fields to show."""
_GRANT: Final = Endpoint(
    "broker.me", "GET", "/_broker/me", Scope.READ, "json", "", "read the grant from the broker"
)
"""The endpoint at which a broker, but not the platform, shows what a token may do."""
_JUDGED: Final = frozenset({400, 402, 404, 409})
"""
The statuses that the API returns only if the key has the scope: it then accepted the key, but refused the content of
the request.
"""


@dataclass(frozen=True)
class Look:
    """
    The result of one request for the list of containers.

    Attributes:
        error: The reason why there is no list, or `None`.
        containers: The containers, if they were listed.
        rates: The rate limit as the response's headers state it.
        clock_ahead: Seconds by which this machine's clock is ahead of the API's clock; `None` if no response contained
            a date.
        fields: The field names of a successful JSON response, where `a.b` is the field `b` inside `a`; `None` if there
            is no such response.
    """

    error: StacksError | None = None
    containers: Listing[Container] | None = field(default=None, repr=False)
    rates: Rates = field(default_factory=Rates)
    clock_ahead: float | None = None
    fields: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Scopes:
    """
    The scopes of a key, as far as they are known.

    Attributes:
        held: Scopes that the key has.
        lacking: Scopes that the key does not have.
        cap: The 402 error that showed the key's spending cap, if there was one.
    """

    held: frozenset[str] = frozenset()
    lacking: frozenset[str] = frozenset()
    cap: SpendingCapError | None = None

    @classmethod
    def told_by(cls, error: MissingScopeError) -> Scopes:
        """Return the scopes that a 403 states: the missing scope, and usually all scopes of the key."""
        held = frozenset(error.key_scopes)
        others = frozenset(SCOPES) - held if held else frozenset()
        return cls(held, others | {error.required_scope})


def look(settings: AccountSettings, clock: Clock = SYSTEM_CLOCK) -> Look:
    """
    Send one request for the list of containers.

    Raises:
        ConfigError: No key is configured.
    """
    wire = _Wire(settings, clock)
    listed, problem = None, None
    try:
        listed = wire.handle(msgspec.structs.replace(LIST, poll=True, finish=None))
    except StacksError as error:
        problem = error
    finally:
        wire.close()
    return Look(problem, listed, *wire.seen(), wire.fields())


def grant(settings: AccountSettings, clock: Clock = SYSTEM_CLOCK) -> Mapping[str, Any]:
    """
    Return a broker's description of a token's grant: what it permits, when it ends, and how many uses remain.

    Raises:
        StacksError: No broker answers, or the broker does not know the token.
    """
    parts = urlsplit(settings.base_url)
    wire = _Wire(dataclasses.replace(settings, base_url=f"{parts.scheme}://{parts.netloc}"), clock)
    try:
        return wire.handle(Call(_GRANT, _GRANT.what, _GRANT.path, parse=_mapping))
    finally:
        wire.close()


def _mapping(body: Any) -> Mapping[str, Any]:
    if not isinstance(body, dict):
        raise expected("an object", "body", body)
    return body


def probe_scopes(settings: AccountSettings, clock: Clock = SYSTEM_CLOCK) -> Scopes:
    """
    Find out which scopes a key has, with requests that cannot change anything.

    The requests try to create a container without the required fields, and to delete a connection and a container with
    ids that cannot exist. If the key has the scope that a request needs, the API answers 400 or 404. If not, it answers
    403 with the key's scopes.

    Raises:
        ConfigError: No key is configured.
    """
    wire = _Wire(settings, clock)
    scopes = Scopes()
    try:
        for call in _probes():
            scopes = _combined(scopes, call, wire)
            if scopes.held | scopes.lacking >= {Scope.CREATE, Scope.MANAGE, Scope.DELETE}:
                break
    finally:
        wire.close()
    return scopes


def _probes() -> tuple[Call[Any], ...]:
    # This id cannot exist, because a container's name never has two hyphens in a row, and the end is random.
    nothing = f"stacks-pulumi--doctor--{secrets.token_hex(16)}"
    return (
        call_to("containers.create", parse=done, words={"name": ""}, json={}),
        call_to("connections.delete", nothing, parse=done),
        call_to("containers.delete", nothing, parse=done),
    )


def _combined(scopes: Scopes, call: Call[Any], wire: _Wire) -> Scopes:
    cap = scopes.cap
    try:
        wire.handle(call)
    except MissingScopeError as error:
        told = Scopes.told_by(error)
        return Scopes(scopes.held | told.held, scopes.lacking | told.lacking, cap)
    except StacksError as error:
        status = getattr(error, "status", 0)
        # The API has this path, so a different server sent the 404.
        if status not in _JUDGED or (call.endpoint.is_fixed and status == 404):
            return scopes
        cap = error if isinstance(error, SpendingCapError) else cap
    return Scopes(scopes.held | {call.endpoint.scope}, scopes.lacking, cap)


class _Wire:
    """A connection that keeps its last response."""

    def __init__(self, settings: AccountSettings, clock: Clock) -> None:
        # Imported here, because it loads the library `requests`, which takes most of this package's import time.
        from stacks_pulumi.api._transport import Transport  # noqa: PLC0415

        self._transport = Transport(settings.base_url, settings.require_key(), clock)
        self._answer: Answer | None = None
        self.handle = Decode(self._send, settings.base_url)

    def seen(self) -> tuple[Rates, float | None]:
        """
        Return the rate limit in the last response's headers, and the seconds by which this machine's clock is ahead.
        """
        if self._answer is None:
            return Rates(), None
        date = server_time(self._answer)
        return rates(self._answer), None if date is None else self._answer.received - date

    def fields(self) -> tuple[str, ...] | None:
        """Return the field names of the last response; `None` if it is not a successful JSON response."""
        answer = self._answer
        try:
            body = (
                None if answer is None or answer.status not in _SUCCESS else msgspec.json.decode(answer.body)
            )
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            body = None
        if not isinstance(body, Mapping):
            return () if isinstance(body, list) else None
        fields = {scrub(name, 60): value for name, value in list(body.items())[:_WIDEST]}
        inner = [
            f"{name}.{scrub(within, 60)}"
            for name, value in fields.items()
            if isinstance(value, Mapping)
            for within in list(value)[:_WIDEST]
        ]
        return (*fields, *inner)

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()

    def _send(self, call: Call[Any]) -> Answer:
        self._answer = self._transport(call)
        return self._answer
