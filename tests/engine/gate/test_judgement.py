"""What the gate judges is what the engine does: values that a plan does not have, or that a policy changes after it."""

from __future__ import annotations

from pathlib import Path

import pytest

from stacks_pulumi.emulator import Emulator
from stacks_pulumi.gate.flow import RefusedError
from tests.support.gate import Gated
from tests.support.stack import Stack

OPEN = """
web = stacks.Container("web", template="nodejs", external_access=True)
address = web.status.apply(lambda _: "0.0.0.0/1")
stacks.AllowedIp("everyone", container=web, ip_address=address)
"""


def test_an_address_that_the_plan_does_not_have_takes_any_value_and_is_never_free(
    stack: Stack, emulator: Emulator, tmp_path: Path
) -> None:
    gated = Gated(stack, tmp_path / "gated", {"free": {"increase_per_day": 100}})
    stack.program(OPEN)

    verdict = gated.plan().verdict

    assert verdict.result == "needs_approval"
    assert verdict.rules == {"opens-access"}
    (unknown,) = verdict.unknown
    assert unknown.startswith("'everyone' ")
    assert "ip_address" in unknown
    # The engine accepts it, so only the approval of an unknown address lets it in.
    gated.approve(accepts=("opens-access",))
    assert "unknown" in gated.refused()
    gated.approve()
    assert gated.apply() == 0
    assert "0.0.0.0/1" in {entry.ip_address for entry in emulator.state.container("web").allowed_ips}


def test_a_policy_that_changes_an_input_after_it_was_planned_is_refused(
    stack: Stack, emulator: Emulator, tmp_path: Path
) -> None:
    clamp = {"enforcementLevel": "remediate", "allowed": ["micro"], "to": "micro"}
    gated = Gated(stack, tmp_path / "gated", packs={"plans": {"clamp-plan": clamp}})
    stack.program('stacks.Container("web", template="ubuntu", plan="premium")')

    with pytest.raises(RefusedError, match="a policy that remediates changes inputs after they were planned"):
        gated.plan()

    assert emulator.calls("containers.create") == 0
