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
        "The object exists already",
        "This resource does not own it. An interrupted run, another stack or a person created it, or this program "
        "under another resource name. It is adopted only if the program asks for it, or if it is equal and belongs to "
        "a container of this stack; nothing was changed.",
        "Find its owner with [`stacks-pulumi account --children`](account.md). If no stack owns it, adopt it with the "
        "line in the message. If another stack owns it, give this stack other names ([several "
        "stacks](several-stacks.md)). If this program created it under another resource name, add an alias. [More on "
        "taken names](troubleshooting.md#the-name-is-taken).",
        ('the container "web" (usr-', 'stacks.Container("web", ..., adopt="if_matching")'),
        prepare=_taken,
        account=frozenset({"web"}),
        both_sdks=True,
    ),
    Scenario(
        "exists-but-differs",
        "The object exists already, and is not what the program asks for",
        "The program adopts a matching object, and this one differs. Nothing was changed.",
        "Choose another name, or change the program to match what exists.",
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
        "A replacement cannot be created while the old object has its name",
        "Pulumi creates the new object first, and a name can exist only once. It does not tell the native plugin, "
        "which this program uses, that `replace_on_changes` asks for a replacement. Nothing was changed.",
        "To keep the data, remove the option that asks for the replacement. To replace the container and destroy its "
        "data, set `opts=pulumi.ResourceOptions(delete_before_replace=True)`.",
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
        "The creation time of the container differs from the one in the state",
        "An id contains the name, so a container that was deleted and created again has the same id. A resize or a "
        "restore may change the time as well. Nothing was changed.",
        'Decide: it is yours (`adopt="if_matching"`, then `pulumi up --refresh`), or it is not '
        "(`pulumi state delete`). "
        "[More](troubleshooting.md#it-may-be-another-stacks-container-with-the-same-name).",
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
        "The object was deleted outside of the program",
        "It is in the state and no longer in the account, so it cannot be changed.",
        "Run `pulumi refresh` and then `pulumi up`, which creates it again, without its former data. If another "
        "container has its id now, this resource needs another name.",
        ("is gone: it was deleted outside of this program", "pulumi refresh"),
        program=_RESTARTED,
        prepare=_deleted,
        state=frozenset({"web"}),
    ),
    Scenario(
        "not-found",
        "The account has no such object",
        "The id or the name is wrong, the object was deleted, or it belongs to another account than the key.",
        "Compare the id with the dashboard or with `stacks-pulumi account`.",
        ("Container usr-5e953f3b-shop does not exist in this account",),
        program='shop = stacks.Container.get("shop", "usr-5e953f3b-shop")',
    ),
    Scenario(
        "external-access-off",
        "The container's external access is off",
        "A list of allowed addresses exists only while external access is on.",
        "Set `external_access=True` on the Container, or remove the AllowedIp.",
        ("external access of usr-5e953f3b-web is off", "external_access=True"),
        program=f'{WEB}\nstacks.AllowedIp("office", container=web, ip_address="{_OFFICE}")',
        account=frozenset({"web"}),
        state=frozenset({"web"}),
    ),
)
