"""
The errors that a user sees on the real engine: each way in which an error is reported.

`tests/meta/test_messages.py` proves that every error has a code. Most errors are tested with their features.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from stacks_pulumi.emulator import Emulator
from stacks_pulumi.errors import ErrorCode
from tests.support import beyond_a_grant
from tests.support.accounts import running
from tests.support.sdk import oldest_sdk
from tests.support.stack import Result, Stack, shows_traceback

# A change of the package is tested without this file.
pytestmark = pytest.mark.extra

WEB = 'web = stacks.Container("web", template="nodejs")'


def up(stack: Stack) -> Result:
    """Run `pulumi up`, which fails."""
    return stack.up_fails("--parallel", "64")


@dataclass(frozen=True)
class Scenario:
    """
    One error that a user can get, and a way to cause it.

    Attributes:
        code: The code at the end of its message.
        says: Texts that the output must contain, in addition to the code.
        program: The user's program.
        host: The types that the program uses: `dynamic` or `native`.
        act: The user's command.
        prepare: Causes the error; the stack has no program yet.
        account: Whether the account has the container `web` afterwards.
        state: Whether the state contains it.
    """

    code: ErrorCode
    says: tuple[str, ...]
    program: str = WEB
    host: str = "dynamic"
    act: Callable[[Stack], Result] = up
    prepare: Callable[[Emulator, Stack], object] = lambda _emulator, _stack: None
    account: bool = False
    state: bool = False


def _made(stack: Stack, host: str = "dynamic") -> None:
    stack.native()
    stack.program(WEB, host=host)
    stack.up(quiet_afterwards=False)


def _deleted(emulator: Emulator, stack: Stack) -> None:
    _made(stack)
    emulator.drift.delete("web")


BUG = """\
from stacks_pulumi.resources.container import ContainerCreation


def create(self):
    raise KeyError("plan")


ContainerCreation.create = create
"""


def _with_a_bug(_emulator: Emulator, stack: Stack) -> None:
    # Python imports a module of this name at its start, here in the provider's process.
    folder = stack.folder / "bug"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(BUG, encoding="utf-8")
    stack.env["PYTHONPATH"] = str(folder)


OF_THE_OLDEST_SDK = (
    pytest.param(
        Scenario(
            "missing-api-key",
            ("no STACKS API key is configured", "pulumi config set stacks:apiKey --secret", "STACKS_API_KEY"),
            prepare=lambda _emulator, stack: stack.cli("config", "rm", "stacks:apiKey"),
        ),
        id="missing-api-key",
        marks=beyond_a_grant.KEY,
    ),
    Scenario(
        "invalid-input",
        (
            "property name value {orders--db} has a problem: 'orders--db': two hyphens in a row are not allowed",
            "property additional_storage_tier value {2} has a problem: there is no tier 2",
            "property external_access value {yes} has a problem: it is text, but must be true or false",
        ),
        program=(
            'stacks.Container("orders--db", template="postgresql", plan="basic", additional_storage_tier=2,'
            ' external_access="yes")'
        ),
        act=Stack.preview_fails,
    ),
    Scenario(
        "declared-twice",
        ("two resources declare the same Container (web)", "'shop'", "'web'"),
        program=f'shop = stacks.Container("shop", name="web", template="nodejs")\n{WEB}',
        act=Stack.preview_fails,
    ),
    Scenario(
        "already-exists",
        ('the container "web" (usr-', 'stacks.Container("web", ..., adopt="if_matching")'),
        prepare=lambda emulator, _stack: running(emulator, "web"),
        account=True,
    ),
    pytest.param(
        Scenario(
            "unexpected-status",
            (
                'container "web" (usr-',
                "was created but is not ready",
                'its status is "error"',
                "Its last log lines:",
            ),
            prepare=lambda emulator, _stack: emulator.fail_boot("web", None),
            account=True,
            state=True,
        ),
        id="unexpected-status",
        marks=beyond_a_grant.LOGS,
    ),
)
OTHERS = (
    Scenario(
        "exists-but-differs",
        (
            "exists already and differs from the program",
            "its template is 'postgresql', not 'nodejs'",
            "Give this resource a different name",
        ),
        program='web = stacks.Container("web", template="nodejs", adopt="if_matching")',
        prepare=lambda emulator, _stack: running(emulator, "web", "postgresql"),
        account=True,
    ),
    Scenario(
        "delete-before-replace",
        (
            "is replaced by this resource",
            "To destroy it and its data, set the option deleteBeforeReplace: true",
        ),
        program=(
            'stacks.Container("web", template="nodejs", restart_triggers=["v2"],'
            ' opts=pulumi.ResourceOptions(replace_on_changes=["restart_triggers"]))'
        ),
        host="native",
        prepare=lambda _emulator, stack: _made(stack, "native"),
        account=True,
        state=True,
    ),
    Scenario(
        "deleted-outside",
        ("no longer exists: it was deleted outside of this program", "pulumi refresh"),
        program='stacks.Container("web", template="nodejs", restart_triggers=["v2"])',
        prepare=_deleted,
        state=True,
    ),
    Scenario(
        "internal-error",
        ("internal error in stacks-pulumi (KeyError: 'plan')", "pulumi refresh"),
        prepare=_with_a_bug,
    ),
)


@pytest.mark.parametrize("scenario", OF_THE_OLDEST_SDK + OTHERS, ids=lambda scenario: scenario.code)
def test_the_error_is_clear_and_the_state_is_complete(
    scenario: Scenario, emulator: Emulator, make_stack: Callable[..., Stack]
) -> None:
    stack = make_stack(emulator, python_path=None if scenario in OTHERS else oldest_sdk())
    scenario.prepare(emulator, stack)
    stack.program(scenario.program, host=scenario.host)

    result = scenario.act(stack)

    said = " ".join(result.text.split())
    for words in (*scenario.says, f"[{scenario.code}]"):
        assert words in said, f"not said: {words}\n{result.text}"
    assert not shows_traceback(result.text)
    assert emulator.key not in result.text
    assert emulator.state.names() == ["web"] * scenario.account
    assert list(stack.resources()) == ["web"] * scenario.state
    assert "sk_stacks_" not in stack.export()
