"""
Sends requests that ask for a state (deletions and changes), and judges their outcome by that state.

If a response is lost, the retry may be refused because the first attempt was carried out, or is in progress. The same
happens after a crash: an earlier process has sent the request. So a refusal is an error only if the state differs from
the requested one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final, TypeVar

from stacks_pulumi._clock import shielded
from stacks_pulumi.api._call import CALL_ERRORS, Call, Handler
from stacks_pulumi.api._retry import in_doubt
from stacks_pulumi.errors import ApiError, BadRequestError, ConflictError, StacksError

__all__ = ["may_be_done", "settle"]

T = TypeVar("T")

_REFUSALS: Final = (BadRequestError, ConflictError)


def may_be_done(error: StacksError) -> bool:
    """Whether the call that ended with this error may have been carried out, by any of its attempts."""
    return in_doubt(error) or (isinstance(error, ApiError) and error.after_doubt)


def settle(send: Handler, call: Call[T], look: Callable[[StacksError], T | None]) -> T:
    """
    Send a call. If it is refused, or its outcome is unknown, look at the state and return that result.

    Args:
        send: The chain.
        call: What to send.
        look: Gets the error. Returns the call's result if the state is the requested one, otherwise `None` or false.

    Raises:
        StacksError: The error of the call, if the state is not the requested one or cannot be read.
    """
    try:
        return send(call)
    except CALL_ERRORS as error:
        if not may_be_done(error) and not isinstance(error, _REFUSALS):
            raise
        result = None
        with shielded():
            try:
                result = look(error)
            except CALL_ERRORS:
                if not may_be_done(error):
                    raise error from None
                msg = (
                    f"{error.reason}; the look for its result failed too, so the outcome of the request is unknown: "
                    "look in the STACKS dashboard"
                )
                raise replace(error, message=msg, code="outcome-unknown") from None
        if not result:
            raise
        return result
