"""The error scenarios: the program, what causes the error, and what the message must contain."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

from stacks_pulumi.api import StacksClient
from stacks_pulumi.emulator import Emulator
from tests.support.stack import Result, Stack

WEB = """web = stacks.Container("web", template="nodejs")"""


@dataclass(frozen=True)
class Scenario:
    """
    One error that a user can meet.

    Attributes:
        name: Its name in tests.
        title: Its title in the documentation.
        about: What happens, and what stays in the account.
        program: The user's program.
        says: Texts that the output must contain.
        account: Names of the containers that are in the account afterwards.
        state: Names of the resources that are in the state afterwards.
        prepare: Causes the error; the stack has no program yet.
        fails: Whether the operation fails.
        verb: `up` or `preview`.
    """

    name: str
    title: str
    about: str
    program: str
    says: tuple[str, ...]
    account: frozenset[str] = frozenset()
    state: frozenset[str] = frozenset()
    prepare: Callable[[Emulator, Stack], None] = lambda _emulator, _stack: None
    fails: bool = True
    verb: str = "up"

    def run(self, emulator: Emulator, stack: Stack) -> Result:
        """Cause the error."""
        self.prepare(emulator, stack)
        stack.program(self.program)
        if self.verb == "preview":
            return stack.preview_fails()
        return stack.up_fails("--parallel", "64") if self.fails else stack.up(quiet_afterwards=False)


def _boot_fails(emulator: Emulator, _stack: Stack) -> None:
    emulator.fail_boot("web", None)


def _boots_slowly(emulator: Emulator, _stack: Stack) -> None:
    emulator.platform.pace = dataclasses.replace(emulator.platform.pace, boot_seconds=3600)


def _answer_lost(emulator: Emulator, _stack: Stack) -> None:
    emulator.faults.add("containers.create", "drop_after")


def _capped(emulator: Emulator, stack: Stack) -> None:
    stack.set("stacks:apiKey", emulator.new_key(spending_cap=6))


def _read_only(emulator: Emulator, stack: Stack) -> None:
    stack.set("stacks:apiKey", emulator.new_key(scopes=["containers:read"]))


def _no_capacity(emulator: Emulator, _stack: Stack) -> None:
    emulator.faults.add("containers.create", 503)


def _revoked(_emulator: Emulator, stack: Stack) -> None:
    stack.set("stacks:apiKey", "sk_stacks_" + "0" * 64)


def _malformed(_emulator: Emulator, stack: Stack) -> None:
    stack.set("stacks:apiKey", "sk_live_1234")


def _missing(_emulator: Emulator, stack: Stack) -> None:
    stack.cli("config", "rm", "stacks:apiKey")


def _create(emulator: Emulator, template: str) -> None:
    with StacksClient(emulator.key, base_url=emulator.url) as client:
        client.containers.create(name="web", template=template, plan="basic")


def _taken(emulator: Emulator, _stack: Stack) -> None:
    _create(emulator, "nodejs")


def _taken_by_another(emulator: Emulator, _stack: Stack) -> None:
    _create(emulator, "postgresql")


def _made_before(_emulator: Emulator, stack: Stack) -> None:
    stack.program('db = stacks.Container("orders-db", template="postgresql")')
    stack.up(quiet_afterwards=False)


def _broken(emulator: Emulator, _stack: Stack) -> None:
    emulator.faults.add("containers.create", 500, times=None)


SCENARIOS = (
    Scenario(
        "failed-boot",
        "A container does not boot",
        "The container exists and is billed, so it stays in the state with its id. The next `up` starts it again.",
        WEB,
        (
            'container "web" (usr-',
            "was created but is not ready",
            'its status is "error"',
            "Its last log lines:",
        ),
        account=frozenset({"web"}),
        state=frozenset({"web"}),
        prepare=_boot_fails,
    ),
    Scenario(
        "slow-boot",
        "A container boots longer than it may",
        "`CustomTimeouts(create=...)` bounds the wait; the default is 10 minutes. The id is kept as above, and the "
        "next `up` goes on waiting.",
        """web = stacks.Container(
    "web", template="nodejs", opts=pulumi.ResourceOptions(custom_timeouts=pulumi.CustomTimeouts(create="3s"))
)""",
        (
            'it is still "pending" after 3 s',
            "(timed out; custom_timeouts=pulumi.CustomTimeouts(create=",
            "It is in the state and it is billed",
        ),
        account=frozenset({"web"}),
        state=frozenset({"web"}),
        prepare=_boots_slowly,
    ),
    Scenario(
        "lost-answer",
        "The answer to a creation is lost",
        "The provider looks whether the container has appeared before it does anything else. It has, so it is taken "
        "over; the user sees nothing but an `up` that takes a second longer.",
        WEB,
        ("created",),
        account=frozenset({"web"}),
        state=frozenset({"web"}),
        prepare=_answer_lost,
        fails=False,
    ),
    Scenario(
        "spending-cap",
        "402: the key's spending cap",
        "The API refuses what does not fit. What would not fit either is not attempted again in the same operation.",
        """web = stacks.Container("web", template="nodejs")
db = stacks.Container(
    "orders-db", template="postgresql", plan="standard", opts=pulumi.ResourceOptions(depends_on=[web])
)""",
        (
            "the key may spend $6.00 a month and $4.00 is spent",
            '"orders-db" costs $5.00',
            "$3.00 more",
            "It resets on",
        ),
        account=frozenset({"web"}),
        state=frozenset({"web"}),
        prepare=_capped,
    ),
    Scenario(
        "missing-scope",
        "403: the key lacks a scope",
        "No container is created. The error has the needed scope and the scopes of the key.",
        WEB,
        ("lacks the scope containers:create", "it has containers:read"),
        prepare=_read_only,
    ),
    Scenario(
        "no-capacity",
        "503: no capacity",
        "The account is on the waitlist now, and lists after it show no container. The request is not sent again: "
        "every request joins the waitlist.",
        WEB,
        ("waitlist",),
        prepare=_no_capacity,
    ),
    Scenario(
        "server-error",
        "500 every time",
        "Each try is followed by a look whether the container has appeared after all. It has not, so nothing is left.",
        WEB,
        ('create container "web"', "500"),
        prepare=_broken,
    ),
    Scenario(
        "name-taken",
        "The name is taken",
        "A container of that name exists and no state of this program knows it, perhaps from an earlier run that was "
        "killed. It is adopted only if the program asks for it.",
        WEB,
        ('the container "web" (usr-', 'stacks.Container("web", ..., adopt="if_matching")'),
        account=frozenset({"web"}),
        prepare=_taken,
    ),
    Scenario(
        "name-taken-by-another",
        "The name is taken by something else",
        "With `adopt` as well: what differs is said, and it is left alone.",
        """web = stacks.Container("web", template="nodejs", adopt="if_matching")""",
        (
            "exists already and is not what the program asks for",
            "its template is 'postgresql', not 'nodejs'",
            "Its possible owners, in this order",
        ),
        account=frozenset({"web"}),
        prepare=_taken_by_another,
    ),
    Scenario(
        "refused-plan-change",
        "A change that would destroy data",
        "Refused at preview. No API key may resize a container, so the change would be a replacement.",
        """db = stacks.Container("orders-db", template="postgresql", plan="premium")""",
        (
            "property plan",
            "plan would change from 'basic' to 'premium'",
            "destroys the container, its volumes and its backups",
            "pulumi refresh",
            "replace_on_change=True",
        ),
        account=frozenset({"orders-db"}),
        state=frozenset({"orders-db"}),
        prepare=_made_before,
        verb="preview",
    ),
    Scenario(
        "wrong-inputs",
        "Five wrong inputs",
        "All of them are reported, each on its property, without a call to the API.",
        """db = stacks.Container(
    "orders--db",
    template="postgresql",
    plan="basic",
    additional_storage_tier=2,
    desired_status="on",
    external_access="yes",
    adopt="always",
)""",
        (
            "property name value {orders--db} has a problem: 'orders--db': two hyphens in a row are not allowed",
            "property additional_storage_tier value {2} has a problem: there is no tier 2",
            "property desired_status value {on} has a problem: 'on' is not one of running, stopped",
            "property external_access value {yes} has a problem: it is text, and true or false is needed",
            "property adopt value {always} has a problem: 'always' is not one of never, if_matching",
        ),
        verb="preview",
    ),
    Scenario(
        "missing-key",
        "No API key",
        "Preview of a new stack works without one; the first operation that needs the API says what is missing.",
        WEB,
        ("no STACKS API key is configured", "pulumi config set stacks:apiKey --secret", "STACKS_API_KEY"),
        prepare=_missing,
    ),
    Scenario(
        "malformed-key",
        "A malformed API key",
        "The key is described and never repeated.",
        WEB,
        ("the STACKS API key is malformed (it does not start with sk_stacks_)",),
        prepare=_malformed,
    ),
    Scenario(
        "revoked-key",
        "401: a revoked key",
        "Revocation is final: a new key has to be made.",
        WEB,
        ("401", "key"),
        prepare=_revoked,
    ),
)
