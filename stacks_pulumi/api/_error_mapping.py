"""
Converts the API's error responses into typed errors, which state the request, the API's response and the next step.

There is one function for each status code in the guide ("Error Codes", "Common Error Responses").
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import msgspec

from stacks_pulumi.api._bodies import scrub
from stacks_pulumi.api._call import Answer, Call
from stacks_pulumi.api._limiter import rates, retry_after
from stacks_pulumi.config import DEFAULT_BASE_URL
from stacks_pulumi.errors import (
    ApiError,
    BadRequestError,
    ConflictError,
    DashboardOnlyError,
    ForbiddenError,
    GrantRefusedError,
    InvalidApiKeyError,
    MissingScopeError,
    NotFoundError,
    PaymentRequiredError,
    RateLimitedError,
    ServerError,
    SpendingCapError,
    UnreadableAnswerError,
)

E = TypeVar("E", bound=ApiError)

_KEYS_PAGE: Final = "in the STACKS dashboard under Account Settings, API Keys"
_MARKUP: Final = re.compile(r"\s*<")
_SECRET_NAME: Final = re.compile(
    r"pass|secret|token|credential|private|certificate|connection_?string", re.IGNORECASE
)
_REFUSALS: Final = frozenset({"grant-refused", "approval-needed", "grant-limit"})
"""
The `code` values with which a broker refuses a request. `grant-busy` is not one of them: it is a temporary conflict.
"""
_DEEPEST: Final = 5
_WIDEST: Final = 50


class _Failure(msgspec.Struct, frozen=True):
    call: Call[Any]
    answer: Answer
    body: Mapping[str, Any]
    words: str

    def as_error(self, kind: type[E], came_back: str, next_step: str) -> E:
        request = scrub(self.answer.headers.get("x-request-id", ""), 80)
        said = f" (request {request})" if request else ""
        if not self.body:
            next_step += "; it is not in the API's error format, so check the proxy and the base URL as well"
        return kind(
            f"{scrub(self.call.what)}: {came_back}{said}; {next_step}",
            status=self.answer.status,
            operation=self.call.endpoint.name,
            text=self.words,
            body=scrub_body(dict(self.body)),
        )

    @property
    def status_text(self) -> str:
        """The status code and the API's message, if it has one."""
        return f"{self.answer.status}: {self.words}" if self.words else f"{self.answer.status}"


def problem(call: Call[Any], answer: Answer, body: Any) -> ApiError:
    failure = _Failure(call, answer, body if isinstance(body, Mapping) else {}, api_words(body))
    if is_of_broker(body):
        return _not_granted(failure)
    return _BY_STATUS.get(answer.status, _by_content)(failure)


def is_of_broker(body: Any) -> bool:
    """
    Return whether an error's body is a broker's refusal. The status code of such a refusal does not show whether an
    object exists.
    """
    code = body.get("code") if isinstance(body, Mapping) else None
    return isinstance(code, str) and code in _REFUSALS


def wrong_base_url(call: Call[Any], answer: Answer, body: Any, base_url: str) -> ApiError:
    """
    Return the error for a 404 that a wrong base URL causes: the path exists in every account, or the response does not
    come from the API.

    The error is not a `NotFoundError`, because callers treat a `NotFoundError` as "deleted".
    """
    failure = _Failure(call, answer, body if isinstance(body, Mapping) else {}, api_words(body))
    error = failure.as_error(
        ApiError,
        f"the API is not at {base_url} ({failure.status_text})",
        f"the base URL is probably wrong: it should look like {DEFAULT_BASE_URL}",
    )
    return error.but(code="wrong-base-url")


def unreadable(call: Call[Any], status: int, why: str) -> UnreadableAnswerError:
    """Return the error for a response that cannot be parsed. `status` is 0 if it is not known."""
    effect = (
        "nothing was changed: try again; if the error persists, check the proxy and the base URL"
        if call.endpoint.method == "GET"
        else "the request may have been carried out, so check before you try again"
    )
    shown = f" ({status})" if status else ""
    return UnreadableAnswerError(
        f"{scrub(call.what)}: the API's answer{shown} cannot be understood: {why}; {effect}",
        operation=call.endpoint.name,
        status=status,
    )


def _by_content(failure: _Failure) -> ApiError:
    if failure.answer.status >= 500:
        return _server_fault(failure)
    # If a known error has an unexpected status code, or 200, the fields of the body show which error it is.
    for field, meaning in (
        ("spending_cap", _no_money),
        ("required_scope", _forbidden),
        ("field", _bad_request),
    ):
        if field in failure.body:
            return meaning(failure)
    return failure.as_error(
        ApiError,
        f"the API refused the request ({failure.status_text})",
        "correct the problem, then try again",
    )


def _bad_request(failure: _Failure) -> ApiError:
    named = failure.body.get("field")
    field = scrub(named, 60) if isinstance(named, str) and named else None
    about = f" because of the field {field}" if field else ""
    came_back = f"the API refused the request{about} ({failure.status_text})"
    return failure.as_error(BadRequestError, came_back, "correct the value, then try again").but(field=field)


def _unauthorized(failure: _Failure) -> ApiError:
    return failure.as_error(
        InvalidApiKeyError,
        f"the API key is not accepted ({failure.status_text})",
        f"it is wrong or was revoked: create a new key {_KEYS_PAGE} and configure it",
    )


def _no_money(failure: _Failure) -> ApiError:
    if "spending_cap" not in failure.body:
        return failure.as_error(
            PaymentRequiredError,
            f"the account cannot pay for it ({failure.status_text})",
            "add a payment method in the STACKS dashboard, or raise the key's spending cap",
        )
    cap, spent = _dollars(failure.body.get("spending_cap")), _dollars(failure.body.get("amount_spent"))
    reached = "is reached" if cap is None or spent is None or spent >= cap else "would be exceeded"
    limit = (
        "the key's monthly spending cap" if cap is None else f"the key's monthly spending cap of ${cap:.2f}"
    )
    so_far = "" if spent is None else f" (${spent:.2f} spent)"
    error = failure.as_error(
        SpendingCapError,
        f"{limit} {reached}{so_far}",
        f"wait for the first of the month, when the spending is reset to zero, or raise the cap {_KEYS_PAGE}",
    )
    return error.but(spending_cap=cap, amount_spent=spent)


def _forbidden(failure: _Failure) -> ApiError:
    required, hint = failure.body.get("required_scope"), failure.body.get("hint")
    if isinstance(required, str) and required:
        has = failure.body.get("key_scopes")
        scopes = (
            tuple(scrub(scope, 60) for scope in has if isinstance(scope, str))
            if isinstance(has, list)
            else ()
        )
        scope = scrub(required, 60)
        lacking = failure.as_error(
            MissingScopeError,
            f"the API key lacks the scope {scope} (403; it has {', '.join(scopes) or 'none reported'})",
            f"create a key with that scope {_KEYS_PAGE}",
        )
        return lacking.but(required_scope=scope, key_scopes=scopes)
    if hint is not None or "dashboard" in failure.words.lower():
        advice = scrub(hint) if isinstance(hint, str) else ""
        not_by_key = failure.as_error(
            DashboardOnlyError,
            f"no API key allows this ({failure.status_text})",
            f"do it in the STACKS dashboard{f': {advice}' if advice else ''}",
        )
        return not_by_key.but(hint=advice)
    return failure.as_error(
        ForbiddenError,
        f"the API key does not allow this ({failure.status_text})",
        f"the operation needs the scope {failure.call.endpoint.scope}: check the key {_KEYS_PAGE}",
    )


def _not_granted(failure: _Failure) -> ApiError:
    hint, request = (scrub(str(failure.body.get(name) or "")) for name in ("hint", "request"))
    error = failure.as_error(
        GrantRefusedError,
        f"the broker refused the request ({failure.status_text})",
        hint or "`stacks-pulumi doctor` shows what the grant allows",
    )
    return error.but(hint=hint, request=request)


def _not_found(failure: _Failure) -> ApiError:
    return failure.as_error(
        NotFoundError,
        f"not found ({failure.status_text})",
        "it was deleted, the id is wrong, or it belongs to a different account than the API key",
    )


def _conflict(failure: _Failure) -> ApiError:
    return failure.as_error(
        ConflictError,
        f"the request conflicts with the current state ({failure.status_text})",
        "check which objects exist, and their status, then try again",
    )


def _rate_limited(failure: _Failure) -> ApiError:
    wait, limit = retry_after(failure.answer), rates(failure.answer).limit
    budget = f" of {limit} requests a minute" if limit else ""
    when = "in a minute" if wait is None else f"in {wait:.0f} s"
    error = failure.as_error(
        RateLimitedError,
        f"the key's rate limit{budget} is used up ({failure.status_text})",
        f"try again {when}, or create a separate key for the other programs that use this key",
    )
    return error.but(retry_after=wait)


def _server_fault(failure: _Failure) -> ApiError:
    error = failure.as_error(
        ServerError,
        f"the API failed ({failure.status_text})",
        "try again later; if the error persists, contact STACKS support with the time and the request",
    )
    return error.but(retry_after=retry_after(failure.answer))


def api_words(body: Any) -> str:
    """Return the API's message in the body of an error, or an empty string."""
    if isinstance(body, str):
        return "" if _MARKUP.match(body) else scrub(body)
    if not isinstance(body, Mapping):
        return ""
    words: list[str] = []
    for name in ("error", "message"):
        value = body.get(name)
        if isinstance(value, str) and value and value not in words:
            words.append(value)
    return scrub(": ".join(words))


def scrub_body(body: Any, depth: int = 0) -> Any:
    """Return an error's body without secrets, with the same shape but limited size."""
    if isinstance(body, str):
        return scrub(body)
    if depth >= _DEEPEST:
        return None
    if isinstance(body, Mapping):
        return {
            scrub(str(name)): "****" if _SECRET_NAME.search(str(name)) else scrub_body(value, depth + 1)
            for name, value in list(body.items())[:_WIDEST]
        }
    if isinstance(body, list):
        return [scrub_body(value, depth + 1) for value in body[:_WIDEST]]
    return body


def _dollars(value: Any) -> float | None:
    try:
        dollars = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return dollars if abs(dollars) < 1e12 else None


_BY_STATUS: Final[Mapping[int, Callable[[_Failure], ApiError]]] = {
    400: _bad_request,
    401: _unauthorized,
    402: _no_money,
    403: _forbidden,
    404: _not_found,
    409: _conflict,
    429: _rate_limited,
}
