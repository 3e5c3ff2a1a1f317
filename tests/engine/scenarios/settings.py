"""Errors in the stack's settings."""

from __future__ import annotations

from stacks_pulumi.emulator import Emulator
from tests.engine.scenarios.scenario import PREVIEW, WEB, Scenario
from tests.support.stack import Stack

__all__ = ["SETTINGS"]


def _missing(_emulator: Emulator, stack: Stack) -> None:
    stack.cli("config", "rm", "stacks:apiKey")


def _malformed(_emulator: Emulator, stack: Stack) -> None:
    stack.set("stacks:apiKey", "sk_live_1234")


def _invalid(_emulator: Emulator, stack: Stack) -> None:
    stack.set("stacks:adopt", "always")


def _misspelt(_emulator: Emulator, stack: Stack) -> None:
    stack.set("stacks:baseURL", "https://stacks.example.com/api/v1")


def _of_another_account(emulator: Emulator, stack: Stack) -> None:
    stack.program(WEB)
    stack.up(quiet_afterwards=False)
    stack.set("stacks:apiKey", emulator.new_key(account=emulator.new_account()))


SETTINGS = (
    Scenario(
        "missing-api-key",
        "No API key is configured",
        "Neither the stack's configuration nor the environment has a key. The preview of a new stack works without "
        "one; the first operation that needs the API fails. Nothing was sent.",
        "Run `pulumi config set stacks:apiKey --secret`, or set `STACKS_API_KEY`. "
        "An explicit provider takes it as `api_key`. "
        "`pulumi refresh` and `pulumi destroy` do not read a new configuration: add `--run-program`.",
        ("no STACKS API key is configured", "pulumi config set stacks:apiKey --secret", "STACKS_API_KEY"),
        prepare=_missing,
        both_sdks=True,
    ),
    Scenario(
        "malformed-api-key",
        "The API key does not have the form of a key",
        "A key is `sk_stacks_` and 64 hexadecimal digits. The message describes the value and never contains it. "
        "Nothing was sent.",
        "Copy the whole key again. If you no longer have it, make a new one in the dashboard.",
        ("the STACKS API key is malformed (it does not start with sk_stacks_)",),
        prepare=_malformed,
    ),
    Scenario(
        "invalid-setting",
        "A setting has an invalid value",
        "The message has the setting and the possible values, and not its value: it may be a key in the wrong place. "
        "Key and base URL that come from different sources, and a key that is not a secret with "
        "`stacks:requireSecretKey`, have this code too. Nothing was sent.",
        "Correct it with `pulumi config set`. [The settings](configuration.md) lists all of them. For a key that is "
        "not sent to an address, see [key and address](configuration.md#key-and-address).",
        ("stacks:adopt must be one of never, if_matching",),
        act=PREVIEW,
        prepare=_invalid,
    ),
    Scenario(
        "unknown-setting",
        "The name of a setting is misspelt",
        "A misspelt setting would have no effect: with `stacks:baseURL` a program meant for the emulator would call "
        "the real API. Nothing was sent.",
        "Run the `pulumi config rm` from the message, and set the right name.",
        ("unknown setting stacks:baseURL; did you mean stacks:baseUrl?",),
        act=PREVIEW,
        prepare=_misspelt,
    ),
    Scenario(
        "other-account",
        "The API key belongs to another account than the resource",
        "All containers of an account have ids with the same beginning. With another account's key every resource "
        "would seem to be deleted, so nothing is changed and nothing is removed from the state. The key of an account "
        "without containers is refused too.",
        "Configure the key of the account that has the containers, and run `pulumi up`; to refresh or destroy, add "
        "`--run-program`. `stacks-pulumi account` lists the containers of a key's account.",
        ("was created with another API key",),
        act=PREVIEW,
        prepare=_of_another_account,
        account=frozenset({"web"}),
        state=frozenset({"web"}),
    ),
)
