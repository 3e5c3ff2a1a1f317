"""
Everything that can go wrong, as types.

StacksError
├── ConfigError               the key, the address or another setting is missing or malformed
├── ApiError                  the API answered, and the answer is an error
│   ├── BadRequestError           400, with the field it is about
│   ├── InvalidApiKeyError        401
│   ├── PaymentRequiredError      402 without a cap: no payment method
│   │   └── SpendingCapError          402 with the key's cap and what is spent
│   ├── ForbiddenError            403
│   │   ├── MissingScopeError         the scope needed and the scopes that the key has
│   │   └── DashboardOnlyError        an operation that no API key may do
│   ├── NotFoundError             404
│   ├── ConflictError             409 (the guide names no such code; read tolerantly)
│   ├── RateLimitedError          429
│   └── ServerError               5xx: the outcome is unknown
│       └── NoCapacityError           503, and no container was created: the account is on the waitlist
├── ConnectionFailedError     no answer: the request may or may not have been carried out
├── UnreadableAnswerError     an answer that cannot be understood
├── ExistsError               the resource existed before the request to create it
└── WaitError                 waiting for a state ended without it
    ├── UnexpectedStateError      a state that cannot lead to the wanted one
    ├── WaitTimeoutError          the time is up
    ├── VanishedError             what was waited for is gone
    └── WaitCancelledError        whoever asked is no longer there

`str(error)` is one line that stands alone: what was asked, what came back, and what to do about it. It never
holds the API key. Errors survive pickling.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = [
    "ApiError",
    "BadRequestError",
    "ConfigError",
    "ConflictError",
    "ConnectionFailedError",
    "DashboardOnlyError",
    "ExistsError",
    "ForbiddenError",
    "InvalidApiKeyError",
    "MissingScopeError",
    "NoCapacityError",
    "NotFoundError",
    "PaymentRequiredError",
    "RateLimitedError",
    "ServerError",
    "SpendingCapError",
    "StacksError",
    "UnexpectedStateError",
    "UnreadableAnswerError",
    "VanishedError",
    "WaitCancelledError",
    "WaitError",
    "WaitTimeoutError",
]


@dataclass(eq=False, repr=False)
class StacksError(Exception):
    """
    The root of all errors that this package raises.

    An error is not changed once it was raised: `dataclasses.replace` makes another one.

    Attributes:
        message: One line that stands alone; `str(error)` is the same.
    """

    message: str

    def __post_init__(self) -> None:
        super().__init__(self.message)


class ConfigError(StacksError):
    """A setting is missing or malformed; nothing was sent."""


@dataclass(eq=False, repr=False, kw_only=True)
class ApiError(StacksError):
    """
    The API answered with an error.

    Attributes:
        status: HTTP status code.
        operation: What was asked, for instance `containers.create`.
        text: The API's own words, or an empty string.
        body: The whole answer as it was decoded, with nothing secret in it; an empty mapping if it was none.
        after_doubt: Whether the outcome of an earlier attempt of the same request is unknown. The refusal may be due to
            that attempt.
    """

    status: int = 0
    operation: str = ""
    text: str = ""
    body: dict[str, Any] = field(default_factory=dict)
    after_doubt: bool = False


@dataclass(eq=False, repr=False, kw_only=True)
class BadRequestError(ApiError):
    """
    400: the request was refused as it stands.

    Attributes:
        field: The field of the request that the API named, or `None`.
    """

    field: str | None = None


class InvalidApiKeyError(ApiError):
    """401: the key is missing, malformed or revoked."""


class PaymentRequiredError(ApiError):
    """402: the account cannot pay for it."""


@dataclass(eq=False, repr=False, kw_only=True)
class SpendingCapError(PaymentRequiredError):
    """
    402: the key's monthly spending cap would be passed.

    Attributes:
        spending_cap: The cap in US dollars, if the answer told.
        amount_spent: What is spent this month in US dollars, if the answer told.
    """

    spending_cap: float | None = None
    amount_spent: float | None = None


class ForbiddenError(ApiError):
    """403: the key may not do this."""


@dataclass(eq=False, repr=False, kw_only=True)
class MissingScopeError(ForbiddenError):
    """
    403: the key lacks a scope.

    Attributes:
        required_scope: The scope that the operation needs.
        key_scopes: The scopes that the key has.
    """

    required_scope: str = ""
    key_scopes: tuple[str, ...] = ()


@dataclass(eq=False, repr=False, kw_only=True)
class DashboardOnlyError(ForbiddenError):
    """
    403: no API key may do this; a person does it in the dashboard.

    Attributes:
        hint: The API's hint, or an empty string.
    """

    hint: str = ""


class NotFoundError(ApiError):
    """
    404: it does not exist, or belongs to another account.

    A 404 on a path that every account has is a plain `ApiError`: the base URL is wrong.
    """


class ConflictError(ApiError):
    """409: it exists already, or is not in a state that allows the operation."""


@dataclass(eq=False, repr=False, kw_only=True)
class RateLimitedError(ApiError):
    """
    429, and the retries are used up.

    Attributes:
        retry_after: Seconds that the API asked to wait, or `None`.
    """

    retry_after: float | None = None


@dataclass(eq=False, repr=False, kw_only=True)
class ServerError(ApiError):
    """
    5xx: the API failed, or a proxy did. The request may have been carried out.

    Attributes:
        retry_after: Seconds that the answer asked to wait, or `None`.
    """

    retry_after: float | None = None


class NoCapacityError(ServerError):
    """
    503 to a create request, and two lists that began after it show no container: the account is on the waitlist.

    The request is never sent again, because every request joins the waitlist.
    """


@dataclass(eq=False, repr=False, kw_only=True)
class ConnectionFailedError(StacksError):
    """
    No answer came back.

    Attributes:
        operation: What was asked, for instance `containers.create`.
        sent: False if the request certainly never reached the API (no connection was made); True if it may have.
    """

    operation: str = ""
    sent: bool = True


@dataclass(eq=False, repr=False, kw_only=True)
class UnreadableAnswerError(StacksError):
    """
    The answer could not be understood: not JSON, cut short, or of another shape. Or a list is incomplete, and what it
    does not show may exist.

    Attributes:
        operation: What was asked.
        status: HTTP status code.
    """

    operation: str = ""
    status: int = 0


@dataclass(eq=False, repr=False, kw_only=True)
class ExistsError(StacksError):
    """
    The resource existed before the request to create it.

    Attributes:
        existing: Its model (`models.Container`, `models.Connection` ...).
    """

    existing: Any = None


@dataclass(eq=False, repr=False, kw_only=True)
class WaitError(StacksError):
    """
    Waiting ended without the wanted state.

    Attributes:
        subject: What was waited for, for instance `container usr-abc12345-web`.
        last_state: The state seen last, or `None` if none was seen.
        elapsed: Seconds waited.
    """

    subject: str = ""
    last_state: str | None = None
    elapsed: float = 0.0


class UnexpectedStateError(WaitError):
    """The state is one that cannot lead to the wanted one."""


class WaitTimeoutError(WaitError):
    """The time is up and the state is still one to wait in."""


class VanishedError(WaitError):
    """What was waited for is no longer there."""


class WaitCancelledError(WaitError):
    """Whoever asked for the wait is no longer there."""
