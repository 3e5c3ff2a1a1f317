"""
The exceptions that this package raises.

StacksError
├── ConfigError               the key, the address or another setting is missing or malformed
├── ApiError                  the API answered, and the response is an error
│   ├── BadRequestError           400, with the field it is about
│   ├── InvalidApiKeyError        401
│   ├── PaymentRequiredError      402 without a cap: no payment method
│   │   └── SpendingCapError          402 with the key's cap and the amount spent
│   ├── ForbiddenError            403
│   │   ├── MissingScopeError         the scope needed and the scopes that the key has
│   │   ├── DashboardOnlyError        an operation that no API key allows
│   │   └── GrantRefusedError         a broker's grant does not allow it
│   ├── NotFoundError             404
│   ├── ConflictError             409 (not in the guide, but handled)
│   ├── RateLimitedError          429
│   └── ServerError               5xx: the outcome is unknown
│       └── NoCapacityError           503, and no container was created: the account is on the waitlist
├── InvalidIdError            an id or a name that cannot be in a path of the API; nothing was sent
├── ConnectionFailedError     no answer: the request may or may not have been carried out
├── UnreadableAnswerError     a response that cannot be parsed, or an incomplete list
├── ExistsError               the resource existed before the request to create it
└── WaitError                 a wait ended before the wanted state was reached
    ├── UnexpectedStateError      a state that cannot lead to the wanted one
    ├── WaitTimeoutError          the wait timed out
    ├── VanishedError             the resource was deleted during the wait
    └── WaitCancelledError        the engine or the caller cancelled the wait

`str(error)` is one line that can be understood without context: the operation, the API's response, the remedy, and the
error's code in brackets. `docs/errors.md` lists each code with its cause and remedy. The line never contains the API
key. Errors can be pickled.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from typing_extensions import Self, dataclass_transform
else:

    def dataclass_transform(**_: Any) -> Any:
        """Do nothing at run time: only a type checker reads it."""
        return lambda kind: kind


ErrorCode = Literal[
    # Settings
    "missing-api-key",
    "malformed-api-key",
    "invalid-setting",
    "unknown-setting",
    "other-account",
    # The program
    "missing-input",
    "invalid-input",
    "invalid-id",
    "declared-twice",
    "replacement-refused",
    "no-import",
    "value-not-known",
    "mocks",
    "unknown-type",
    # An object that differs from the state or the program
    "already-exists",
    "exists-but-differs",
    "delete-before-replace",
    "identity-unclear",
    "deleted-outside",
    "not-found",
    "external-access-off",
    # A wait
    "unexpected-status",
    "container-not-running",
    "backup-failed",
    "timed-out",
    "cancelled",
    # The API
    "invalid-request",
    "api-key-refused",
    "payment-required",
    "spending-cap",
    "missing-scope",
    "dashboard-only",
    "grant-refused",
    "forbidden",
    "conflict",
    "rate-limit",
    "server-error",
    "no-capacity",
    "wrong-base-url",
    "connection-failed",
    "unreadable-answer",
    "outcome-unknown",
    "api-error",
    # Commands
    "invalid-argument",
    "invalid-file",
    "file-access",
    "pulumi-failed",
    "comment-failed",
    "missing-extra",
    "emulator-start",
    "gate-refused",
    "program-refused",
    # Policies
    "policy-settings",
    "policy-crashed",
    # Bugs, and a failed operation that could not be undone
    "rollback-failed",
    "internal-error",
]
"""The codes of all errors. A code never changes its meaning, so that it can be searched for and tested."""


_COMMANDS: Final = re.compile(
    r"^ *(?P<github>:)(?=:(?![0-9a-f:./]*(?: |$)))|#(?P<hash>#)(?=\w{0,20}\[)|<(?P<colour>\{)(?=%)",
    re.IGNORECASE,
)
"""
The commands that a program might execute when it reads our output. CI systems execute `::name` at the beginning of a
line (GitHub; an IPv6 address is not a command), `##[name` and `##name[` (Azure, TeamCity). For the engine, `<{%name%}>`
is a colour, and an unknown colour crashes the engine.
"""


_BLANK: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U0001d159\U000e0100-\U000e01ef]"
)
"""Characters that Python treats as printable, but that a screen shows as a space or not at all."""


def clean(text: str) -> str:
    r"""
    Return untrusted text on one line, escaped so that a program that shows it executes no part of it.

    Every message to the engine and every output of a command passes through this function, because messages and outputs
    can contain names and texts from the API, from project files and from states. A line break could forge a line, and
    an escape code could erase one.

    The function escapes unprintable characters, including those that change the text direction: `\n`, `\x1b`,
    `\u202e`. It escapes invisible characters and symbols that could imitate table columns or make two names look the
    same. It escapes one character of each command to a CI system or to the engine: `\x3a:`, `#\x23`, `<\x7b%`.
    """
    if not text.isprintable():
        text = "".join(sign if sign.isprintable() else _escaped(sign) for sign in text)
    if not text.isascii():
        text = _BLANK.sub(lambda found: _escaped(found[0]), text)
    return _COMMANDS.sub(_disarmed, text)


def clean_lines(text: str) -> str:
    """Return a text of several lines, with each line cleaned."""
    return "\n".join(map(clean, text.split("\n")))


def _disarmed(found: re.Match[str]) -> str:
    start, end = found.span(str(found.lastgroup))
    return f"{found.string[found.start() : start]}\\x{ord(found.string[start]):02x}{found.string[end : found.end()]}"


def _escaped(sign: str) -> str:
    return sign.encode("unicode_escape").decode()


def with_code(message: str, code: ErrorCode) -> str:
    """Return a message as users see it: followed by its code in brackets."""
    return f"{message} [{code}]"


def _field(*, kw_only: bool) -> Any:
    """Mark the exception's values as keyword arguments; only the type checker reads this function's arguments."""


@dataclass_transform(eq_default=False, kw_only_default=True, field_specifiers=(_field,))
class _WithValues(Exception):  # noqa: N818  (the base of one class, which is named as an error)
    """
    An exception whose class declares its values like a dataclass. Real dataclasses would add 4 ms to each start,
    because there are 24 classes.
    """

    def __init__(self, message: str, **values: Any) -> None:
        kind = type(self)
        names = _names(kind)
        wrong = [name for name in values if name not in names] or [
            name for name in names if name != "message" and name not in values and not hasattr(kind, name)
        ]
        if wrong:
            msg = f"{kind.__name__} has wrong or missing values: {', '.join(wrong)}"
            raise TypeError(msg)
        super().__init__(message)
        vars(self).update(values, message=message)


def _names(kind: type[_WithValues]) -> list[str]:
    return [name for base in kind.__mro__ for name in getattr(base, "__annotations__", ())]


class StacksError(_WithValues):
    """
    The base class of all errors that this package raises.

    An error is not changed after it was raised: `but` returns a changed copy.

    Attributes:
        message: One line that can be understood without context. It does not contain the code.
        code: Its code in `docs/errors.md`. Most classes have a default code.
        after_doubt: Whether an earlier attempt of the same request had an unknown outcome, and so may have caused this
            error.
    """

    message: str = _field(kw_only=False)
    code: ErrorCode
    after_doubt: bool = False

    def values(self) -> dict[str, Any]:
        """Return the values of the error, including the message."""
        return {name: value for name, value in vars(self).items() if name in _names(type(self))}

    def but(self, **values: Any) -> Self:
        """Return a copy of the error with changed values."""
        return type(self)(**{**self.values(), **values})

    @property
    def reason(self) -> str:
        """The part of the message before the first semicolon, which states what failed and why, but not the remedy."""
        depth = 0
        for index, sign in enumerate(self.message):
            depth += (sign == "(") - (sign == ")")
            # The API's own words are in parentheses, and may contain semicolons.
            if depth <= 0 and self.message.startswith("; ", index):
                return self.message[:index]
        return self.message

    def __str__(self) -> str:
        return clean(with_code(self.message, self.code))

    def __reduce__(self) -> tuple[Any, ...]:
        # By default an exception is pickled by its positional arguments, but `code` is a keyword argument.
        return functools.partial(type(self), **self.values()), ()


def with_account(message: str, account: str | None) -> str:
    """Return a message that ends with the account's name, if an explicit provider sets one."""
    return message if account is None else f"{message} (account {account})"


class ConfigError(StacksError):
    """A setting is missing or malformed; nothing was sent."""

    code: ErrorCode = "invalid-setting"


class ApiError(StacksError):
    """
    The API answered with an error.

    Attributes:
        status: HTTP status code.
        operation: The operation's name, for instance `containers.create`.
        text: The message from the API, or an empty string.
        body: The decoded response, with secrets removed; an empty mapping if the response is not an object.
    """

    code: ErrorCode = "api-error"
    status: int = 0
    operation: str = ""
    text: str = ""
    body: Mapping[str, Any] = MappingProxyType({})


class BadRequestError(ApiError):
    """
    400: the request is invalid.

    Attributes:
        field: The field of the request that the API named, or `None`.
    """

    code: ErrorCode = "invalid-request"
    field: str | None = None


class InvalidApiKeyError(ApiError):
    """401: the key is missing, malformed or revoked."""

    code: ErrorCode = "api-key-refused"


class PaymentRequiredError(ApiError):
    """402: the account cannot pay for the resource."""

    code: ErrorCode = "payment-required"


class SpendingCapError(PaymentRequiredError):
    """
    402: the request would exceed the key's monthly spending cap.

    Attributes:
        spending_cap: The cap in US dollars; `None` if the response does not contain it.
        amount_spent: The amount spent this month in US dollars; `None` if the response does not contain it.
    """

    code: ErrorCode = "spending-cap"
    spending_cap: float | None = None
    amount_spent: float | None = None


class ForbiddenError(ApiError):
    """403: the key may not do this."""

    code: ErrorCode = "forbidden"


class MissingScopeError(ForbiddenError):
    """
    403: the key lacks a scope.

    Attributes:
        required_scope: The scope that the operation needs.
        key_scopes: The scopes that the key has.
    """

    code: ErrorCode = "missing-scope"
    required_scope: str = ""
    key_scopes: tuple[str, ...] = ()


class DashboardOnlyError(ForbiddenError):
    """
    403: the operation is not possible with any API key; use the dashboard.

    Attributes:
        hint: The API's hint, or an empty string.
    """

    code: ErrorCode = "dashboard-only"
    hint: str = ""


class GrantRefusedError(ForbiddenError):
    """
    403 or 402 from a broker: the token's grant does not allow the request, so the broker did not forward it.

    Attributes:
        hint: The remedy that the broker's response states, or an empty string.
        request: The id of the access request that a person can approve; empty if there is none.
    """

    code: ErrorCode = "grant-refused"
    hint: str = ""
    request: str = ""


class NotFoundError(ApiError):
    """
    404: the resource does not exist, or belongs to another account.

    A 404 on a path that exists in every account is a plain `ApiError`, because then the base URL is wrong.
    """

    code: ErrorCode = "not-found"


class ConflictError(ApiError):
    """409: the resource already exists, or its state does not allow the operation."""

    code: ErrorCode = "conflict"


class RateLimitedError(ApiError):
    """
    429: too many requests, and the last retry has failed.

    Attributes:
        retry_after: The seconds to wait, according to the API, or `None`.
    """

    code: ErrorCode = "rate-limit"
    retry_after: float | None = None


class ServerError(ApiError):
    """
    5xx: the API or a proxy failed. The request may have been carried out.

    Attributes:
        retry_after: The seconds to wait, according to the response, or `None`.
    """

    code: ErrorCode = "server-error"
    retry_after: float | None = None


class NoCapacityError(ServerError):
    """
    503 in response to a create request, and the next two lists lack the container: the account is on the waitlist.

    The request is never sent again, because every request adds the account to the waitlist.
    """

    code: ErrorCode = "no-capacity"


class InvalidIdError(StacksError, ValueError):
    """An id or a name is empty, `.` or `..`, and so would change the path of the request; nothing was sent."""

    code: ErrorCode = "invalid-id"


class ConnectionFailedError(StacksError):
    """
    No response was received.

    Attributes:
        operation: The operation's name, for instance `containers.create`.
        sent: False if the request certainly did not reach the API, because no connection was made. True if it may have
            reached the API.
        untrusted: Whether the server's certificate is not trusted on this machine.
    """

    code: ErrorCode = "connection-failed"
    operation: str = ""
    sent: bool = True
    untrusted: bool = False


class UnreadableAnswerError(StacksError):
    """
    The response is not JSON, is cut off, or has an unexpected shape. Or a list is incomplete, so that a resource that
    the list does not contain may still exist.

    Attributes:
        operation: The operation's name, for instance `containers.list`.
        status: HTTP status code.
    """

    code: ErrorCode = "unreadable-answer"
    operation: str = ""
    status: int = 0


class ExistsError(StacksError):
    """
    The resource already existed before the request to create it.

    Attributes:
        existing: The resource's model (`models.Container`, `models.Connection` ...).
    """

    code: ErrorCode = "already-exists"
    existing: Any = None


class WaitError(StacksError):
    """
    A wait ended before the wanted state was reached.

    Attributes:
        subject: The resource, for instance `container usr-abc12345-web`.
        last_state: The resource's last known state, or `None` if it is unknown.
        elapsed: Seconds waited.
    """

    code: ErrorCode = "unexpected-status"
    subject: str = ""
    last_state: str | None = None
    elapsed: float = 0.0


class UnexpectedStateError(WaitError):
    """The resource is in a state that cannot lead to the wanted one."""

    code: ErrorCode = "unexpected-status"


class WaitTimeoutError(WaitError):
    """The wait timed out before the resource reached the wanted state."""

    code: ErrorCode = "timed-out"


class VanishedError(WaitError):
    """The resource was deleted during the wait."""

    code: ErrorCode = "deleted-outside"


class WaitCancelledError(WaitError):
    """The engine or the caller cancelled the wait."""

    code: ErrorCode = "cancelled"


_LIKE_A_KEY: Final = re.compile(r"sk_stacks_\w+|[0-9a-f]{48,}", re.IGNORECASE)
"""Matches a key, or most of a key's digits. The ids and digests in messages are shorter."""


def without_keys(text: str) -> str:
    """Replace everything in the text that looks like an API key, including keys of other accounts."""
    return _LIKE_A_KEY.sub("sk_stacks_...", text)


def contains_key(value: object) -> bool:
    """Return whether a value contains something that looks like an API key, at any depth."""
    return _LIKE_A_KEY.search(repr(value)) is not None
