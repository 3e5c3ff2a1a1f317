"""
The codes of errors. Every error that a user sees ends with its code in brackets, and `docs/errors.md` has a section for
each code: what causes it and what to do.
"""

from __future__ import annotations

from typing import Literal

__all__ = ["ErrorCode", "with_code"]

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
    # What exists differs from the state or the program
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
    # Policies
    "policy-settings",
    "policy-crashed",
    # Bugs, and a failed operation that could not be undone
    "rollback-failed",
    "internal-error",
]
"""The codes of all errors. A code never changes its meaning, so that it can be searched for and tested."""


def with_code(message: str, code: ErrorCode) -> str:
    """Return a message as users see it: followed by its code in brackets."""
    return f"{message} [{code}]"
