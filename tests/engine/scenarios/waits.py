"""Errors of something that does not reach the wanted state."""

from __future__ import annotations

import dataclasses

from stacks_pulumi.emulator import Emulator
from tests.engine.scenarios.scenario import Scenario
from tests.support.stack import Stack

__all__ = ["WAITS"]

_RUNNING = 'sql = stacks.Container("sql", template="postgresql")'
_BACKUP = 'stacks.PinnedBackup("before-v2", container=sql)'
_OFFICE = """web = stacks.Container("web", template="nodejs", external_access=True)
stacks.AllowedIp(
    "office", container=web, ip_address="198.51.100.7", revoke_auto_added=True, description="%s"
)"""


def _boot_fails(emulator: Emulator, _stack: Stack) -> None:
    emulator.fail_boot("web", None)


def _boots_slowly(emulator: Emulator, _stack: Stack) -> None:
    emulator.platform.pace = dataclasses.replace(emulator.platform.pace, boot_seconds=3600)


def _stopped_outside(emulator: Emulator, stack: Stack) -> None:
    _made(_RUNNING, stack)
    emulator.drift.stop("sql")


def _backup_fails(emulator: Emulator, _stack: Stack) -> None:
    emulator.fail_backup("sql")


def _made(program: str, stack: Stack) -> None:
    stack.program(program)
    stack.up(quiet_afterwards=False)


def _cannot_be_put_back(emulator: Emulator, stack: Stack) -> None:
    _made(_OFFICE % "office", stack)
    # The API refuses an address twice, and the only entry cannot be removed, so a placeholder comes before it.
    for _ in range(2):
        emulator.faults.add("allowed_ips.add", "pass")
    for _ in range(2):
        emulator.faults.add("allowed_ips.add", "status", code=400, body={"error": "Not now"})


WAITS = (
    Scenario(
        "unexpected-status",
        (
            'container "web" (usr-',
            "was created but is not ready",
            'its status is "error"',
            "Its last log lines:",
        ),
        prepare=_boot_fails,
        account=frozenset({"web"}),
        state=frozenset({"web"}),
        both_sdks=True,
    ),
    Scenario(
        "timed-out",
        (
            # How many seconds depends on how busy the machine is.
            'it is still "pending" after ',
            "(timed out; custom_timeouts=pulumi.CustomTimeouts(create=",
            "It is in the state and it is billed",
        ),
        program="""web = stacks.Container(
    "web", template="nodejs", opts=pulumi.ResourceOptions(custom_timeouts=pulumi.CustomTimeouts(create="30s"))
)""",
        prepare=_boots_slowly,
        account=frozenset({"web"}),
        state=frozenset({"web"}),
    ),
    Scenario(
        "container-not-running",
        ("a backup needs a container that runs", "is stopped"),
        program=f"{_RUNNING}\n{_BACKUP}",
        prepare=_stopped_outside,
        account=frozenset({"sql"}),
        state=frozenset({"sql"}),
    ),
    Scenario(
        "backup-failed",
        ("failed: snapshot failed: no space left on device",),
        program=f"{_RUNNING}\n{_BACKUP}",
        prepare=_backup_fails,
        account=frozenset({"sql"}),
        state=frozenset({"sql"}),
    ),
    Scenario(
        "rollback-failed",
        ("can no longer reach", "adding the old entry back failed too", "`pulumi up` adds it again"),
        program=_OFFICE % "Oslo",
        prepare=_cannot_be_put_back,
        account=frozenset({"web"}),
        state=frozenset({"web", "office"}),
    ),
)
