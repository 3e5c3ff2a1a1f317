"""What does a client receive: an answer, or a refusal with the next step?"""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec

from stacks_pulumi.errors import clean

BUSY: Final = "another operation is in progress"
"""This package's client repeats a request that is refused with these words."""


class Reply(msgspec.Struct, frozen=True):
    """
    An answer to a client.

    Attributes:
        status: Its status.
        body: Its body.
        headers: Its headers, with lower-case names.
        decision: The outcome of the request, for the journal.
    """

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = {}
    decision: str = "read"


class RequestRefusedError(Exception):
    """
    Raised if a request is refused: it is not sent to the platform.

    Args:
        status: The status of the answer.
        text: The reason.
        hint: The next step.
        kind: The `code` of the answer.
        headers: Headers of the answer.
        more: More fields of the answer, such as `request`.
    """

    def __init__(
        self,
        status: int,
        text: str,
        hint: str = "",
        *,
        kind: str = "",
        headers: Mapping[str, str] | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(text)
        self.status, self.text, self.headers = status, text, headers
        said = {"hint": clean(hint), "code": kind}
        filled = {name: value for name, value in said.items() if value}
        self.body = {"success": False, "error": clean(text), **filled, **(more or {})}

    def reply(self) -> Reply:
        decision = f"refused: {self.body.get('code', self.status)}"
        return json_reply(self.status, self.body, self.headers, decision)


def refused(text: str, hint: str = "plan the change and get it approved") -> RequestRefusedError:
    """Return the refusal of a request that a grant does not permit. No client retries a refusal with a hint."""
    return RequestRefusedError(403, text, hint, kind="grant-refused")


def limited(text: str, limit: Decimal, spent: Decimal | None) -> RequestRefusedError:
    """
    Return the refusal of a request that exceeds a hard limit, in the platform's form, which every client understands.
    """
    told = {} if spent is None else {"amount_spent": float(spent)}
    more = {"message": clean(text), "spending_cap": float(limit), **told}
    return RequestRefusedError(402, text, kind="grant-limit", more=more)


def busy(text: str) -> RequestRefusedError:
    """Return the refusal of a request that the broker cannot answer yet and has not sent."""
    return RequestRefusedError(409, f"{BUSY}: {text}", kind="grant-busy")


def json_reply(
    status: int, body: Any, headers: Mapping[str, str] | None = None, decision: str = "read"
) -> Reply:
    return Reply(
        status, json.dumps(body).encode(), {"content-type": "application/json", **(headers or {})}, decision
    )
