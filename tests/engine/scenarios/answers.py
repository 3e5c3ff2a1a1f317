"""Errors of the API and of the way to it."""

from __future__ import annotations

from typing import Any

from stacks_pulumi.emulator import Emulator
from tests.engine.scenarios.scenario import Scenario
from tests.support.host import PROMPT
from tests.support.stack import Stack

__all__ = ["ANSWERS"]


class _Fault:
    """A fault of each request of an operation; `first` requests pass before it."""

    def __init__(
        self, operation: str, kind: str, times: int | None = 1, first: int = 0, **options: Any
    ) -> None:
        self._operation, self._kind, self._times, self._options = operation, kind, times, options
        self._first = first

    def __call__(self, emulator: Emulator, stack: Stack) -> None:
        # Otherwise a create request whose outcome is unknown is looked for during minutes.
        for name, value in PROMPT.items():
            stack.set(name, value)
        for _ in range(self._first):
            emulator.faults.add(self._operation, "pass")
        emulator.faults.add(self._operation, self._kind, self._times, **self._options)


def _capped(emulator: Emulator, stack: Stack) -> None:
    stack.set("stacks:apiKey", emulator.new_key(spending_cap=6))


def _read_only(emulator: Emulator, stack: Stack) -> None:
    stack.set("stacks:apiKey", emulator.new_key(scopes=["containers:read"]))


def _revoked(_emulator: Emulator, stack: Stack) -> None:
    stack.set("stacks:apiKey", "sk_stacks_" + "0" * 64)


def _used_up(emulator: Emulator, stack: Stack) -> None:
    stack.set("stacks:apiKey", emulator.new_key(rate_limit=60))
    emulator.faults.add("containers.create", "rate_limited", retry_after=3600)


def _cannot_pay(emulator: Emulator, _stack: Stack) -> None:
    emulator.drift.set_payment_method(emulator.account, present=False)


def _wrong_path(emulator: Emulator, stack: Stack) -> None:
    stack.set("stacks:baseUrl", emulator.url.replace("/api/v1", "/v1"))


def _no_server(_emulator: Emulator, stack: Stack) -> None:
    stack.set("stacks:baseUrl", "http://127.0.0.1:9/api/v1")


def _lost(emulator: Emulator, stack: Stack) -> None:
    _Fault("containers.create", "drop_before", None)(emulator, stack)
    _Fault("containers.list", "status", None, first=1, code=500)(emulator, stack)


ANSWERS = (
    Scenario(
        "api-key-refused",
        ("the API key is not accepted (401", "--run-program"),
        prepare=_revoked,
    ),
    Scenario(
        "spending-cap",
        (
            "the key may spend $6.00 a month and $4.00 is spent",
            'create container "orders-db": 402 spending cap',
            "it costs $5.00",
            "$3.00 more",
            "The cap resets on",
        ),
        program="""web = stacks.Container("web", template="nodejs")
db = stacks.Container(
    "orders-db", template="postgresql", plan="standard", opts=pulumi.ResourceOptions(depends_on=[web])
)""",
        prepare=_capped,
        account=frozenset({"web"}),
        state=frozenset({"web"}),
    ),
    Scenario(
        "payment-required",
        ("the account cannot pay for it (402",),
        prepare=_cannot_pay,
    ),
    Scenario(
        "missing-scope",
        ("lacks the scope containers:create", "it has containers:read"),
        prepare=_read_only,
    ),
    Scenario(
        "dashboard-only",
        ("no API key may do this (403", "do it in the STACKS dashboard"),
        prepare=_Fault(
            "containers.create",
            "status",
            code=403,
            body={
                "error": "This endpoint requires dashboard access (JWT authentication)",
                "hint": "This operation requires human approval via the dashboard.",
            },
        ),
    ),
    Scenario(
        "grant-refused",
        ("the broker refused it (403", "gate approve r-57ac6b0c12"),
        prepare=_Fault(
            "containers.create",
            "status",
            code=403,
            body={
                "error": "this needs an approval: the plan premium is not in the policy",
                "hint": "a person approves the access request r-57ac6b0c12 "
                "(`stacks-pulumi gate approve r-57ac6b0c12`), then try again",
                "code": "approval-needed",
                "request": "r-57ac6b0c12",
            },
        ),
    ),
    Scenario(
        "forbidden",
        ("the API key may not do this (403", "containers:create"),
        prepare=_Fault("containers.create", "status", code=403, body={"error": "Forbidden"}),
    ),
    Scenario(
        "invalid-request",
        ("the API refused it", "400"),
        program='web = stacks.Container("web", template="nodejs-22")',
    ),
    Scenario(
        "conflict",
        ("it conflicts with the current state (409",),
        prepare=_Fault("containers.create", "status", code=409, body={"error": "Conflict"}),
    ),
    Scenario(
        "rate-limit",
        ("the key's rate limit", "429", "try again in 3600 s"),
        prepare=_used_up,
    ),
    Scenario(
        "no-capacity",
        ("no capacity (503", "waitlist"),
        prepare=_Fault("containers.create", "status", code=503),
    ),
    Scenario(
        "server-error",
        ("the API failed", "500"),
        prepare=_Fault("containers.list", "status", None, code=500),
    ),
    Scenario(
        "wrong-base-url",
        ("the API is not at http://127.0.0.1", "https://"),
        prepare=_wrong_path,
    ),
    Scenario(
        "connection-failed",
        ("no connection to", "nothing was sent"),
        prepare=_no_server,
    ),
    Scenario(
        "unreadable-answer",
        ("the API's answer (200) cannot be understood",),
        prepare=_Fault("containers.list", "truncated", None),
    ),
    Scenario(
        "outcome-unknown",
        ("the outcome of the request is unknown", "look in the STACKS dashboard before you try again"),
        prepare=_lost,
    ),
    Scenario(
        "api-error",
        ("the API refused (451: Not in your country)",),
        prepare=_Fault("containers.create", "status", code=451, body={"error": "Not in your country"}),
    ),
)
