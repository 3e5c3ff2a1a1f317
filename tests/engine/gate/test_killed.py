"""A container that a killed update was making counts once, wherever it is seen."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from decimal import Decimal
from pathlib import Path

import pytest

from stacks_pulumi._pulumi_cli import PulumiError
from stacks_pulumi.emulator import Emulator
from stacks_pulumi.gate import engine
from tests.support.gate import Gated
from tests.support.stack import Stack
from tests.support.waiting import until

WEB = "  web: {type: 'stacks:index:Container', properties: {template: nodejs, plan: basic, name: web}}\n"
GATE = {"free": {"increase_per_day": 9}, "limits": {"max_total": 9}}


def _kill(stack: Stack, emulator: Emulator) -> None:
    """Kill the engine, and all that belongs to it, while it creates a container."""
    until(lambda: emulator.calls("containers.create") > 0)
    home = f"PULUMI_HOME={stack.env['PULUMI_HOME']}".encode()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if home in (process / "environ").read_bytes() and int(process.name) != os.getpid():
                os.kill(int(process.name), signal.SIGKILL)


def test_a_killed_create_counts_once_in_a_day_and_in_the_total(
    stack: Stack, emulator: Emulator, tmp_path: Path, yaml_language_host: Path
) -> None:
    gated = Gated(stack, tmp_path / "gated", GATE)

    def declare(*resources: str) -> None:
        stack.yaml(f"name: tests\nruntime: yaml\nresources:\n{''.join(resources)}", yaml_language_host)

    declare(WEB)
    assert gated.plan().verdict.result == "free"
    emulator.faults.add("containers.create", "slow", seconds=30)
    killer = threading.Thread(target=_kill, args=(stack, emulator))
    killer.start()
    with pytest.raises(PulumiError, match="the engine was killed"):
        gated.apply()
    killer.join()
    assert emulator.state.names() == ["web"]
    stack.cli("cancel", "--yes")

    # The state has it as pending, the account shows it, and the plan makes it: it is one container.
    verdict = gated.plan().verdict
    assert (verdict.result, verdict.price_after.high) == ("needs_approval", Decimal(4))
    assert "whether it exists" in str(verdict.unknown)
    stack.cli("refresh", "--yes", "--skip-preview", "--clear-pending-creates")
    verdict = gated.plan().verdict
    assert (verdict.result, verdict.price_after.high) == ("free", Decimal(4))

    # Another one comes on top, in the day and in the total.
    declare(WEB.replace("web", "other").replace("basic", "premium"))
    reasons = [str(reason) for reason in gated.plan().verdict.reasons]
    assert any("after $4.00 in the last 24 hours, is over the $9.00" in one for one in reasons), reasons
    assert any("(with web, which an interrupted update may have made)" in one for one in reasons), reasons


@pytest.mark.real_processes
def test_an_update_that_stands_still_is_ended(
    stack: Stack, emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program may wait for what never comes, and the job, with its lock, would wait for it."""
    gated = Gated(stack, tmp_path / "gated", {"free": {"increase_per_day": 9, "code": True}})
    stack.program(
        """
        import signal

        timeouts = pulumi.CustomTimeouts(create="6s")
        web = stacks.Container("web", template="nodejs", opts=pulumi.ResourceOptions(custom_timeouts=timeouts))
        web.id.apply(lambda _: signal.pause())
        """
    )
    assert gated.plan().verdict.result == "free"
    monkeypatch.setattr(engine, "_STANDSTILL", 4.0)
    monkeypatch.setattr(engine, "_LOOK", 0.5)

    with pytest.raises(PulumiError, match=r"made no progress for 0\.0 hours.*`pulumi cancel`") as ended:
        gated.apply()

    assert ended.value.code == "outcome-unknown"
    assert emulator.state.names() == ["web"]
    assert "was killed" in gated.refused()
