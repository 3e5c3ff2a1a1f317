"""Cases with a real engine: plain `pulumi up` with the token of a grant as its key."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stacks_pulumi.emulator import Emulator
from tests.broker.conftest import Bench, create, permit
from tests.support.clock import fast_clock
from tests.support.stack import Stack
from tools.engine.ensure import ensure

pytestmark = pytest.mark.engine

PROGRAM = """
web = stacks.Container("web", template="nodejs", external_access=True)
data = stacks.Container("data", template="redis")
stacks.Connection("web-to-data", source=web, target=data, name="primary")
stacks.AllowedIp("office", container=web, ip_address="198.51.100.9", description="office")
"""
OF_WEB = {"container_id": {"of": ["web"]}}
PERMITS = [
    permit("containers.create", create("web"), binds="web"),
    permit("containers.create", create("data", "redis"), binds="data"),
    permit("containers.external_access", {"enabled": True}, ids=OF_WEB),
    permit(
        "connections.create",
        {"connectionName": "primary"},
        ids={"source_id": {"of": ["web"]}, "target_id": {"of": ["data"]}},
    ),
    permit("containers.set_status", {"status": "restart"}, ids=OF_WEB),
    permit("containers.set_status", {"status": "running"}, ids=OF_WEB, times=2),
    permit(
        "allowed_ips.add",
        {"ip_address": "198.51.100.9", "description": "office", "service_type": "both"},
        ids=OF_WEB,
    ),
]


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator(boot_seconds=1, clock=fast_clock()) as api:
        yield api
        api.faults.assert_none_left()


@pytest.fixture
def stack_of(tmp_path: Path, bench: Bench) -> Callable[[str], Stack]:
    """Return a function that makes a stack with a token."""

    def make(token: str) -> Stack:
        config = {"stacks:apiKey": token, "stacks:baseUrl": bench.url}
        return Stack(tmp_path / "stack", ensure().bin, config)

    return make


def test_an_up_with_a_signed_change(
    bench: Bench, stack_of: Callable[[str], Stack], emulator: Emulator
) -> None:
    """Cases 1, 2 and 13: what was signed happens, once, and the rest is refused by name."""
    stack = stack_of(bench.granted(*PERMITS).token)
    stack.program(PROGRAM)

    stack.up()

    assert bench.names == ["data", "web"]
    assert [one.name for one in emulator.state.connections.values()] == ["primary"]
    assert bench.journal("refused") == []
    before = [record for record in emulator.requests if record.method != "GET"]
    stack.up()
    assert [record for record in emulator.requests if record.method != "GET"] == before

    # Case 17: a program that was changed after the approval.
    stack.program(PROGRAM + 'stacks.Container("extra", template="nodejs")\n')
    failed = stack.up_fails()
    assert "this change was not approved: POST /containers" in " ".join(failed.errors)
    assert bench.names == ["data", "web"]


@pytest.mark.parametrize("fault", ["drop_after", "drop_before"])
def test_an_up_whose_broker_is_killed(
    bench: Bench,
    stack_of: Callable[[str], Stack],
    emulator: Emulator,
    fault: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Cases 27 to 29: the broker dies while the request is under way; one container, and the grant goes on."""
    stack = stack_of(bench.granted(permit("containers.create", create("web"), binds="web")).token)
    stack.program('stacks.Container("web", template="nodejs")')
    emulator.faults.add("containers.create", fault)
    found = type(bench.server.app.kernel)._found
    died: list[int] = []

    def die(*given: object) -> object:
        if not died:
            died.append(1)
            bench.server.app.kernel._active.clear()
            raise RuntimeError("killed")
        return found(*given)  # type: ignore[arg-type]  # as it was called

    monkeypatch.setattr(type(bench.server.app.kernel), "_found", die)

    stack.up()

    assert died
    assert bench.names == ["web"]
    assert emulator.calls("containers.create") == (1 if fault == "drop_after" else 2)


def test_an_agent_with_a_budget(benches: Callable[..., Bench], tmp_path: Path) -> None:
    """Cases 39 and 43: within the budget without a person; beyond it the engine shows the access request."""
    bench = benches(
        policies={
            "agents": {
                "increase_per_day": 9,
                "max_total": 12,
                "free": ["start", "restart", "connect-own", "undo"],
            }
        }
    )
    agent = bench.agent()
    stack = Stack(
        tmp_path / "stack", ensure().bin, {"stacks:apiKey": agent.token, "stacks:baseUrl": bench.url}
    )
    stack.program('stacks.Container("web", template="nodejs")')
    stack.up()

    stack.program(
        'stacks.Container("web", template="nodejs")\nstacks.Container("data", template="nodejs", plan="premium")'
    )
    words = " ".join(stack.up_fails().errors)
    asked = re.search(r"access request (r-\w+)", words)
    assert asked is not None, words
    shown = agent("GET", f"/_broker/requests/{asked[1]}").json()
    assert json.loads(shown["change"])["permits"][0]["body"]["plan"] == "premium"
    assert bench.hand_in(shown["change"], "ann", where="approvals").status_code == 201

    # The policy's max_total is a hard limit: an approval does not lift it.
    assert "$12.00" in " ".join(stack.up_fails().errors)
    assert bench.names == ["web"]
