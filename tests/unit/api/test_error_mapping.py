from __future__ import annotations

import pickle
from typing import Any

import pytest

from stacks_pulumi import errors
from stacks_pulumi.api._bodies import done
from stacks_pulumi.api._call import Answer, call_to
from stacks_pulumi.api._error_mapping import problem
from tests.unit.api.scripted_api import KEY

CREATE = call_to("containers.create", parse=done, words={"name": "web"})
KEYS_PAGE = "in the STACKS dashboard under Account Settings, API Keys"


def refused(status: int, body: Any, **headers: str) -> errors.ApiError:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return problem(CREATE, Answer(status, given), body)


@pytest.mark.parametrize(
    ("status", "body", "kind", "code", "message"),
    [
        (
            400,
            {"success": False, "error": "Container name must be no more than 32 characters", "field": "name"},
            errors.BadRequestError,
            "invalid-request",
            (
                "the API refused the request because of the field name (400: Container name must be no more "
                "than 32 characters); correct the value, then try again"
            ),
        ),
        (
            400,
            {"error": "Malformed request", "field": None},
            errors.BadRequestError,
            "invalid-request",
            "the API refused the request (400: Malformed request); correct the value, then try again",
        ),
        (
            401,
            {"error": "Invalid API key"},
            errors.InvalidApiKeyError,
            "api-key-refused",
            (
                "the API key is not accepted (401: Invalid API key); it is wrong or was revoked: create a new "
                f"key {KEYS_PAGE} and configure it"
            ),
        ),
        (
            402,
            {
                "error": "Monthly spending cap reached",
                "spending_cap": 10.00,
                "amount_spent": 10.00,
                "message": "...",
            },
            errors.SpendingCapError,
            "spending-cap",
            (
                "the key's monthly spending cap of $10.00 is reached ($10.00 spent); wait for the first of "
                f"the month, when the spending is reset to zero, or raise the cap {KEYS_PAGE}"
            ),
        ),
        (
            402,
            {"error": "No payment method"},
            errors.PaymentRequiredError,
            "payment-required",
            (
                "the account cannot pay for it (402: No payment method); add a payment method in "
                "the STACKS dashboard, or raise the key's spending cap"
            ),
        ),
        (
            403,
            {
                "error": "API key lacks required scope: containers:delete",
                "required_scope": "containers:delete",
                "key_scopes": ["containers:read", "containers:create"],
            },
            errors.MissingScopeError,
            "missing-scope",
            (
                "the API key lacks the scope containers:delete (403; it has containers:read, "
                f"containers:create); create a key with that scope {KEYS_PAGE}"
            ),
        ),
        (
            403,
            {
                "error": "This endpoint requires dashboard access (JWT authentication)",
                "hint": "This operation requires human approval via the dashboard.",
            },
            errors.DashboardOnlyError,
            "dashboard-only",
            (
                "no API key allows this (403: This endpoint requires dashboard access (JWT "
                "authentication)); do it in the STACKS dashboard: This operation requires human approval via the "
                "dashboard."
            ),
        ),
        (
            402,
            {
                "error": "account.max_total is $40.00 a month",
                "spending_cap": 40.0,
                "amount_spent": 38.0,
                "code": "grant-limit",
            },
            errors.GrantRefusedError,
            "grant-refused",
            (
                "the broker refused the request (402: account.max_total is $40.00 a month); `stacks-pulumi "
                "doctor` shows what the grant allows"
            ),
        ),
        (
            403,
            {"error": "Forbidden"},
            errors.ForbiddenError,
            "forbidden",
            (
                "the API key does not allow this (403: Forbidden); the operation needs the scope "
                f"containers:create: check the key {KEYS_PAGE}"
            ),
        ),
        (
            404,
            {"error": "Container not found"},
            errors.NotFoundError,
            "not-found",
            (
                "not found (404: Container not found); it was deleted, the id is wrong, or it belongs to a "
                "different account than the API key"
            ),
        ),
        (
            409,
            {"error": "Name taken"},
            errors.ConflictError,
            "conflict",
            (
                "the request conflicts with the current state (409: Name taken); check which objects exist, and "
                "their status, then try again"
            ),
        ),
        (
            429,
            {"error": "Too many requests"},
            errors.RateLimitedError,
            "rate-limit",
            (
                "the key's rate limit is used up (429: Too many requests); try again in a "
                "minute, or create a separate key for the other programs that use this key"
            ),
        ),
        (
            500,
            {"error": "Internal error"},
            errors.ServerError,
            "server-error",
            (
                "the API failed (500: Internal error); try again later; if the error persists, contact "
                "STACKS support with the time and the request"
            ),
        ),
        (
            503,
            {"error": "No capacity"},
            errors.ServerError,
            "server-error",
            (
                "the API failed (503: No capacity); try again later; if the error persists, contact "
                "STACKS support with the time and the request"
            ),
        ),
        (
            418,
            {"error": "teapot"},
            errors.ApiError,
            "api-error",
            "the API refused the request (418: teapot); correct the problem, then try again",
        ),
    ],
)
def test_each_status_has_a_type_and_a_complete_line(
    status: int, body: dict[str, Any], kind: type[errors.ApiError], code: str, message: str
) -> None:
    error = refused(status, body)

    assert type(error) is kind
    assert (error.code, error.message) == (code, f'create container "web": {message}')
    assert (error.status, error.operation) == (status, "containers.create")
    assert error.text.startswith(body["error"])
    assert error.body["error"] == body["error"]


def test_the_attributes_agree_with_the_message() -> None:
    field = refused(400, {"error": "x", "field": "name"})
    cap = refused(402, {"error": "x", "spending_cap": "10.00", "amount_spent": 7})
    scope = refused(403, {"error": "x", "required_scope": "a:b", "key_scopes": ["c:d", 7]})
    hint = refused(403, {"error": "x", "hint": "ask"})
    limit = refused(429, {"error": "x"}, retry_after="12", x_ratelimit_limit="60")

    assert isinstance(field, errors.BadRequestError)
    assert field.field == "name"
    assert isinstance(cap, errors.SpendingCapError)
    assert (cap.spending_cap, cap.amount_spent) == (10.0, 7.0)
    assert "would be exceeded ($7.00 spent)" in str(cap)
    assert isinstance(scope, errors.MissingScopeError)
    assert (scope.required_scope, scope.key_scopes) == ("a:b", ("c:d",))
    assert isinstance(hint, errors.DashboardOnlyError)
    assert hint.hint == "ask"
    assert isinstance(limit, errors.RateLimitedError)
    assert limit.retry_after == 12.0
    assert "of 60 requests a minute" in str(limit)
    assert "in 12 s" in str(limit)


@pytest.mark.parametrize("figure", ["lots", None, [], 1e300, float("nan"), {"usd": 1}])
def test_an_invalid_cap_is_omitted(figure: Any) -> None:
    error = refused(402, {"error": "x", "spending_cap": figure, "amount_spent": figure})

    assert isinstance(error, errors.SpendingCapError)
    assert (error.spending_cap, error.amount_spent) == (None, None)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"success": False, "error": "x", "field": "name"}, errors.BadRequestError),
        ({"success": False, "error": "x", "spending_cap": 1}, errors.SpendingCapError),
        ({"success": False, "error": "x", "required_scope": "a:b"}, errors.MissingScopeError),
        ({"success": False, "error": "x"}, errors.ApiError),
    ],
)
def test_a_refusal_under_a_success_code_is_known_by_its_body(
    body: dict[str, Any], kind: type[errors.ApiError]
) -> None:
    assert type(refused(200, body)) is kind


@pytest.mark.parametrize("status", [500, 501, 502, 504, 520, 599])
def test_all_other_server_faults_are_server_errors(status: int) -> None:
    assert type(refused(status, "<html>gateway</html>")) is errors.ServerError


def test_a_request_id_goes_into_the_message() -> None:
    assert "(request 7f3a)" in str(refused(500, {"error": "x"}, x_request_id="7f3a"))


def test_an_answer_from_elsewhere_names_the_proxy() -> None:
    error = refused(403, "<html>blocked by your company</html>")

    assert type(error) is errors.ForbiddenError
    assert error.message.endswith("so check the proxy and the base URL as well")
    assert "company" not in str(error)


@pytest.mark.parametrize("status", [200, 400, 401, 402, 403, 404, 409, 418, 429, 500, 503])
def test_no_error_holds_a_key_or_control_characters_or_cannot_be_pickled(status: int) -> None:
    nasty = f"\x1b[2J{KEY}\n" * 50
    body = dict.fromkeys(("error", "message", "field", "hint", "required_scope", "note"), nasty)
    error = refused(status, {**body, "key_scopes": [nasty]}, x_request_id=nasty)
    copy = pickle.loads(pickle.dumps(error))

    assert str(copy) == str(error)
    assert "0123456789abcdef" not in repr(error.__dict__)
    assert str(error).isprintable()
    assert len(str(error)) < 1500


def test_a_scope_that_is_missing_is_no_rate_limit() -> None:
    body = {"error": "x", "required_scope": "containers:delete"}

    assert type(refused(403, body, retry_after="2")) is errors.MissingScopeError
