"""
Keys: their account, scopes, spending caps and rate limits (guide, "Permissions", "Spending Caps", "Rate Limiting").

A cap applies to a calendar month of the driven clock. The window of a rate limit uses the real clock, because clients
wait for its end.
"""

from __future__ import annotations

import hashlib
import math
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal

from stacks_pulumi.emulator.answers import Refusal
from stacks_pulumi.emulator.platform import month
from stacks_pulumi.emulator.state import Account, ApiKey, State

READ = "containers:read"
CREATE = "containers:create"
MANAGE = "containers:manage"
DELETE = "containers:delete"
SCOPES = (READ, CREATE, MANAGE, DELETE)
"""Every scope, in the guide's order."""

_PREFIX = "sk_stacks_"

UNLIMITED = 1_000_000
"""The limit in the headers for a key without a limit, so that clients do not apply their default of 60 a minute."""


def open_account(state: State) -> Account:
    """Add an account."""
    account = Account(f"usr-{state.derive('account', state.count('account'))[:8]}")
    state.accounts[account.id] = account
    return account


def issue(
    state: State,
    account: str,
    *,
    scopes: Iterable[str] = SCOPES,
    spending_cap: Decimal | None = None,
    rate_limit: int | None = None,
    label: str | None = None,
    secret: str | None = None,
) -> str:
    """
    Create a key for an account, as the dashboard does.

    Args:
        state: The state to add it to.
        account: Id of the account.
        scopes: The scopes of the key.
        spending_cap: US dollars a calendar month.
        rate_limit: Requests in a window.
        label: The key's name in logs; by default `key-N`.
        secret: The key itself; by default derived from the seed.

    Returns:
        The key. It is not stored and cannot be requested again.

    Raises:
        ValueError: A scope or the account does not exist, or the label is taken.
    """
    wanted = list(dict.fromkeys(scopes))
    unknown = [scope for scope in wanted if scope not in SCOPES]
    if unknown:
        raise ValueError(f"no such scope: {', '.join(unknown)}; the scopes are {', '.join(SCOPES)}")
    if account not in state.accounts:
        raise ValueError(f"no such account: {account}; the accounts are {', '.join(state.accounts)}")
    if label is not None and any(key.label == label for key in state.keys):
        raise ValueError(f"there is already a key with the label {label}")
    number = state.count("key")
    secret = secret or _PREFIX + state.derive("key", number)
    key = ApiKey(label or f"key-{number}", _sha256(secret), account, wanted, spending_cap, rate_limit)
    state.keys.append(key)
    return secret


def authenticate(state: State, authorization: str | None) -> ApiKey:
    """
    Return the key of a request.

    Raises:
        Refusal: 401 with the guide's body, which is the same for a missing, a malformed and a revoked key.
    """
    scheme, _, secret = (authorization or "").partition(" ")
    key = lookup(state, secret.strip())
    if scheme.lower() == "bearer" and key is not None and not key.revoked:
        return key
    # assumed: a request without a key gets the body that the guide shows for an invalid key.
    raise Refusal(401, {"error": "Invalid API key"})


def lookup(state: State, secret: str) -> ApiKey | None:
    """Return the record of a key, or `None`."""
    sha256 = _sha256(secret)
    return next((key for key in state.keys if key.sha256 == sha256), None)


def first_secret(state: State) -> str:
    """Return the first key of an emulator with this seed; it is the same on every start."""
    return _PREFIX + state.derive("key", "first")


def check_scope(key: ApiKey, scope: str) -> None:
    """
    Check that a key has a scope.

    Raises:
        Refusal: 403 with the required scope and the key's scopes (guide, "Common Error Responses").
    """
    if scope not in key.scopes:
        raise Refusal(
            403,
            {
                "error": f"API key lacks required scope: {scope}",
                "required_scope": scope,
                "key_scopes": list(key.scopes),
            },
        )


def spent(key: ApiKey, now: float) -> Decimal:
    """Return the amount spent with a key in the calendar month of `now`."""
    return key.spent.get(month(now), Decimal(0))


def check_cap(key: ApiKey, price: Decimal, now: float) -> None:
    """
    Check that a new price does not raise the month's spending above the cap.

    Raises:
        Refusal: 402 with cap and spending (guide, "Common Error Responses").
    """
    if key.spending_cap is None or spent(key, now) + price <= key.spending_cap:
        return
    raise Refusal(
        402,
        {
            "error": "Monthly spending cap reached",
            "spending_cap": float(key.spending_cap),
            "amount_spent": float(spent(key, now)),
            "message": f"Your API key spending cap of ${key.spending_cap:.2f}/month has been reached.",
        },
    )


def charge(key: ApiKey, price: Decimal, now: float) -> None:
    """
    Count a new container against the key's cap for the month.

    A deletion does not reduce the amount: the cap limits the price of all containers created in a month.
    """
    # assumed: the container's full monthly price is counted at its creation.
    key.spent[month(now)] = spent(key, now) + price


def _sha256(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


@dataclass(frozen=True)
class Admission:
    """
    The rate limiter's result for one request.

    Attributes:
        allowed: Whether the request is within the limit.
        limit: Requests in a window.
        remaining: The number of requests left after this request.
        reset: Unix time at which the window ends, in whole seconds, rounded up.
        retry_after: Whole seconds until then.
    """

    allowed: bool
    limit: int
    remaining: int
    reset: int
    retry_after: int

    def headers(self, driven: float = 0.0) -> dict[str, str]:
        """Return the headers that every response to a known key has."""
        headers = {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(math.ceil(self.reset + driven)),
        }
        if not self.allowed:
            headers["Retry-After"] = str(self.retry_after)
        return headers


class RateLimiter:
    """
    A fixed window for each key, which begins with the key's first request.

    Args:
        seconds: Length of a window.
        wall: Returns the time.
    """

    # assumed: the kind of window. The guide describes only the headers, not the platform's way of counting.

    def __init__(self, seconds: float = 60.0, wall: Callable[[], float] = time.time) -> None:
        self.seconds = seconds
        self._wall = wall
        self._lock = threading.Lock()
        self._windows: dict[str, tuple[float, int]] = {}

    def take(self, label: str, limit: int | None) -> Admission:
        """Count one request of a key."""
        with self._lock:
            now, end, used = self._window(label)
            ceiling = UNLIMITED if limit is None else limit
            allowed = used < ceiling
            if allowed:
                used += 1
            self._windows[label] = (end, used)
            return Admission(
                allowed, ceiling, max(0, ceiling - used), math.ceil(end), max(1, math.ceil(end - now))
            )

    def used(self, label: str) -> tuple[int, float]:
        """Return the number of requests in a key's current window, and the seconds until it ends."""
        with self._lock:
            now, end, used = self._window(label)
            return used, end - now

    def forget(self) -> None:
        """Reset every window."""
        with self._lock:
            self._windows.clear()

    def _window(self, label: str) -> tuple[float, float, int]:
        now = self._wall()
        end, used = self._windows.get(label, (0.0, 0))
        # If the wall clock was set back, the window must not last for hours.
        if now >= end or end - now > self.seconds:
            end, used = now + self.seconds, 0
        return now, end, used
