"""Errors because the account has something else than the state or the program says."""

from __future__ import annotations

from stacks_pulumi.api import StacksClient
from stacks_pulumi.emulator import Emulator
from tests.engine.scenarios.scenario import WEB, Scenario
from tests.support.stack import Stack

__all__ = ["EXISTING"]

_OFFICE = "198.51.100.7"
_RESTARTED = 'web = stacks.Container("web", template="nodejs", restart_triggers=["v2"])'


def _create(emulator: Emulator, template: str) -> None:
    with StacksClient(emulator.key, base_url=emulator.url) as client:
        client.containers.create(name="web", template=template, plan="basic")


def _taken(emulator: Emulator, _stack: Stack) -> None:
    _create(emulator, "nodejs")


def _taken_by_another(emulator: Emulator, _stack: Stack) -> None:
    _create(emulator, "postgresql")


def _made(_emulator: Emulator, stack: Stack) -> None:
    stack.program(WEB)
    stack.up(quiet_afterwards=False)


def _made_by_the_plugin(_emulator: Emulator, stack: Stack) -> None:
    stack.native()
    stack.program(WEB, host="native")
    stack.up(quiet_afterwards=False)


def _recreated(emulator: Emulator, stack: Stack) -> None:
    _made(emulator, stack)
    emulator.drift.recreate("web")


def _deleted(emulator: Emulator, stack: Stack) -> None:
    _made(emulator, stack)
    emulator.drift.delete("web")


EXISTING = (
    Scenario(
        "already-exists",
        ('the container "web" (usr-', 'stacks.Container("web", ..., adopt="if_matching")'),
        prepare=_taken,
        account=frozenset({"web"}),
        both_sdks=True,
    ),
    Scenario(
        "exists-but-differs",
        (
            "exists already and is not what the program asks for",
            "its template is 'postgresql', not 'nodejs'",
            "Give this resource another name",
        ),
        program='web = stacks.Container("web", template="nodejs", adopt="if_matching")',
        prepare=_taken_by_another,
        account=frozenset({"web"}),
    ),
    Scenario(
        "delete-before-replace",
        ("is what this resource replaces", "set the option deleteBeforeReplace: true, which destroys"),
        program="""web = stacks.Container(
    "web",
    template="nodejs",
    restart_triggers=["v2"],
    opts=pulumi.ResourceOptions(replace_on_changes=["restart_triggers"]),
)""",
        host="native",
        prepare=_made_by_the_plugin,
        account=frozenset({"web"}),
        state=frozenset({"web"}),
    ),
    Scenario(
        "identity-unclear",
        (
            "it may be another stack's container with the same name",
            "It was not changed",
            "pulumi state delete",
        ),
        program=_RESTARTED,
        prepare=_recreated,
        account=frozenset({"web"}),
        state=frozenset({"web"}),
    ),
    Scenario(
        "deleted-outside",
        ("is gone: it was deleted outside of this program", "pulumi refresh"),
        program=_RESTARTED,
        prepare=_deleted,
        state=frozenset({"web"}),
    ),
    Scenario(
        "not-found",
        ("Container usr-5e953f3b-shop does not exist in this account",),
        program='shop = stacks.Container.get("shop", "usr-5e953f3b-shop")',
    ),
    Scenario(
        "external-access-off",
        ("external access of usr-5e953f3b-web is off", "external_access=True"),
        program=f'{WEB}\nstacks.AllowedIp("office", container=web, ip_address="{_OFFICE}")',
        account=frozenset({"web"}),
        state=frozenset({"web"}),
    ),
)
