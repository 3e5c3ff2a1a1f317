"""
The platform's error responses.

The wording is the guide's if the guide has an example ("Common Error Responses", "Create Container"). Otherwise it is
our own and marked as assumed.
"""

from __future__ import annotations

from typing import Any

__all__ = ["Refusal", "bad_request", "not_found"]


class Refusal(Exception):  # noqa: N818  (not an error of the emulator: a regular response that ends a rule early)
    """
    An error response.

    Attributes:
        status: HTTP status code.
        body: The JSON body.
        headers: Headers in addition to the usual ones.
    """

    def __init__(self, status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        super().__init__(f"{status} {body.get('error')}")
        self.status = status
        self.body = body
        self.headers = headers or {}


def bad_request(text: str, field: str | None = None) -> Refusal:
    """Return a 400, with the field that is wrong, if any (guide, "Create Container")."""
    body: dict[str, Any] = {"success": False, "error": text}
    if field is not None:
        body["field"] = field
    return Refusal(400, body)


def not_found(what: str) -> Refusal:
    """Return a 404; it is the same for an object of another account (guide, "Error Codes")."""
    # assumed: the body; the guide gives the code only.
    return Refusal(404, {"success": False, "error": f"{what} not found"})
