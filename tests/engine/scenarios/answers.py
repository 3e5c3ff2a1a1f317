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
        "The API does not accept the key (401)",
        "The key is wrong, or it was revoked, which is final. If the key is in `stacks:apiKey`, `pulumi refresh` and "
        "`pulumi destroy` use the one of the last `pulumi up`.",
        "Make a new key in the dashboard, configure it, and run `pulumi up` once "
        "([a new key](troubleshooting.md#a-new-key)).",
        ("the API key is not accepted (401", "--run-program"),
        prepare=_revoked,
    ),
    Scenario(
        "spending-cap",
        "The key's monthly spending cap is reached (402)",
        "The API refuses a container that costs more than is left of the cap. The provider then skips the other "
        "creates of this operation that would not fit. In a replacement that deletes first, the old container is "
        "already gone.",
        "Raise the cap of the key in the dashboard, choose a cheaper plan, or wait until the date in the message.",
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
        "The account or the key cannot pay (402)",
        "The account has no payment method. Or the key's spending cap is reached, and the answer does not say so. "
        "Nothing was created.",
        "Add a payment method in the dashboard, or raise the key's spending cap.",
        ("the account cannot pay for it (402",),
        prepare=_cannot_pay,
    ),
    Scenario(
        "missing-scope",
        "The key lacks a scope (403)",
        "The message has the scope that is needed and the scopes of the key. Nothing was changed.",
        "Scopes are set when a key is created: make another key with that scope, and configure it.",
        ("lacks the scope containers:create", "it has containers:read"),
        prepare=_read_only,
    ),
    Scenario(
        "dashboard-only",
        "No API key may do this (403)",
        "The API allows the operation only to a person in the dashboard. By the "
        "[guide](https://docs.stackshosting.cloud), no operation of this package is dashboard-only today.",
        "Do it in the dashboard, and run `pulumi refresh`.",
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
        "forbidden",
        "The key may not do this (403)",
        "The API refuses, and its answer does not name a scope. The message has the scope that the operation needs.",
        "Check the key in the dashboard; `stacks-pulumi doctor --probe-scopes` finds out its scopes.",
        ("the API key may not do this (403", "containers:create"),
        prepare=_Fault("containers.create", "status", code=403, body={"error": "Forbidden"}),
    ),
    Scenario(
        "invalid-request",
        "The API refuses a value (400)",
        "The preview does not know every value. A template that is not in the catalogue of this package, for instance, "
        "is sent with a warning, because STACKS may have added it.",
        "Correct the field that the message names.",
        ("the API refused it", "400"),
        program='web = stacks.Container("web", template="nodejs-22")',
    ),
    Scenario(
        "conflict",
        "The request conflicts with the state of the account (409)",
        "Another client may have changed the object at the same time.",
        "Run `pulumi refresh`, then try again.",
        ("it conflicts with the current state (409",),
        prepare=_Fault("containers.create", "status", code=409, body={"error": "Conflict"}),
    ),
    Scenario(
        "rate-limit",
        "The rate limit is used up for a long time (429)",
        "Requests wait for the rate limit, and a 429 is retried. The operation fails only if the API asks for more "
        "than five minutes, or if other clients use up the limit again and again.",
        "Try again later. Give other programs their own keys, or set `stacks:requestsPerMinute` lower "
        "([scale](scale.md)).",
        ("the key's rate limit", "429", "try again in 3600 s"),
        prepare=_used_up,
    ),
    Scenario(
        "no-capacity",
        "STACKS has no capacity (503)",
        "The account is on the waitlist now, and the container is not in the account's list. The request is not sent "
        "again: every request joins the waitlist. Nothing is written for the container and for what needs it. With an "
        "engine and a Python SDK from 3.272 on, the rest of the program goes on, and the exit code is 10 if nothing "
        "else failed. With older ones it is an error, which ends the operation.",
        "Wait until STACKS has capacity, and do not run `pulumi up` in a loop: each create joins the waitlist again. A "
        "pipeline tells a person, and does not start again by itself. If STACKS creates the container later, the next "
        "`pulumi up` reports that the name is taken: adopt it then.",
        ("no capacity (503", "waitlist"),
        prepare=_Fault("containers.create", "status", code=503),
    ),
    Scenario(
        "server-error",
        "The API fails (500, 502, 503, 504)",
        "Requests that are safe to repeat were repeated. A create request was not sent: one whose outcome is not known "
        "ends with `outcome-unknown`.",
        "Try again later. If it persists, contact STACKS support with the time and the request.",
        ("the API failed", "500"),
        prepare=_Fault("containers.list", "status", None, code=500),
    ),
    Scenario(
        "wrong-base-url",
        "The API is not at the base URL",
        "The server answers 404 to a path that every account has, so nothing is treated as deleted.",
        "Correct `stacks:baseUrl` or `STACKS_BASE_URL`; it ends in `/api/v1`. Then run `pulumi up`; to refresh or "
        "destroy, add `--run-program`.",
        ("the API is not at http://127.0.0.1", "https://"),
        prepare=_wrong_path,
    ),
    Scenario(
        "connection-failed",
        "No connection to the API",
        "The network, a proxy or the DNS lookup of the server failed. The message says whether the request was sent.",
        "Check the network, the proxy (`HTTPS_PROXY`) and the base URL; `stacks-pulumi doctor` tries them. If a proxy "
        "has its own certificates, `REQUESTS_CA_BUNDLE` names their file. If the message says that the request may "
        "have been carried out, look at `stacks-pulumi account --children` before you try again.",
        ("no connection to", "nothing was sent"),
        prepare=_no_server,
    ),
    Scenario(
        "unreadable-answer",
        "An answer cannot be understood",
        "It is cut off, is not JSON, or comes from a proxy. A list that is not complete is never used to decide that "
        "something was deleted.",
        "Try again. If it persists, check the proxy and the base URL; `pulumi up --debug` shows each request. If the "
        "message says that the request may have been carried out, look at `stacks-pulumi account --children` before "
        "you try again.",
        ("the API's answer (200) cannot be understood",),
        prepare=_Fault("containers.list", "truncated", None),
    ),
    Scenario(
        "outcome-unknown",
        "It is not known whether a request was carried out",
        "The answer was lost, and the lists after it could not be read. The request may have created the container.",
        "Look in the dashboard. If the container exists, adopt it, or delete it there. `pulumi up` looks first and "
        "does not create a second one. After a BackupRestore, look at the data; to restore again, change `triggers`.",
        ("the outcome of the request is unknown", "look in the STACKS dashboard before you try again"),
        prepare=_lost,
    ),
    Scenario(
        "api-error",
        "The API refuses with a status that its documentation does not have",
        "The [guide](https://docs.stackshosting.cloud) does not describe the status. The message has the API's words.",
        "Correct what the message names. If that does not help, contact STACKS support.",
        ("the API refused (451: Not in your country)",),
        prepare=_Fault("containers.create", "status", code=451, body={"error": "Not in your country"}),
    ),
)
