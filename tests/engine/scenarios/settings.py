"""Errors in the stack's settings."""

from __future__ import annotations

from stacks_pulumi.emulator import Emulator
from tests.engine.scenarios.scenario import WEB, Scenario, preview
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
        ("no STACKS API key is configured", "pulumi config set stacks:apiKey --secret", "STACKS_API_KEY"),
        prepare=_missing,
        both_sdks=True,
    ),
    Scenario(
        "malformed-api-key",
        ("the STACKS API key is malformed (it does not start with sk_stacks_)",),
        prepare=_malformed,
    ),
    Scenario(
        "invalid-setting",
        ("stacks:adopt must be one of never, if_matching",),
        act=preview,
        prepare=_invalid,
    ),
    Scenario(
        "unknown-setting",
        ("unknown setting stacks:baseURL; did you mean stacks:baseUrl?",),
        act=preview,
        prepare=_misspelt,
    ),
    Scenario(
        "other-account",
        ("was created with another API key",),
        act=preview,
        prepare=_of_another_account,
        account=frozenset({"web"}),
        state=frozenset({"web"}),
    ),
)
