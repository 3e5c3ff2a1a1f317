"""Two servers of one project in separate processes: one applies at a time, and neither undoes the other's work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import anyio

from stacks_pulumi.emulator import Emulator
from tests.support.agents import Agent, Talk, containers

NAMES: Final = ("web", "data")
TRIES: Final = 20


def resources(name: str) -> dict[str, Any]:
    """Return a container as a part of a program."""
    return {name: {"type": "stacks:index:Container", "properties": {"template": "nodejs"}}}


def test_two_servers_of_one_project_do_not_undo_each_other(
    make_agent: Callable[..., Agent], emulator: Emulator
) -> None:
    agent = make_agent(emulator, {"increase_per_day": 20})
    refused: list[str] = []

    async def both() -> None:
        planned = {name: anyio.Event() for name in NAMES}

        async def story(call: Talk, name: str) -> None:
            record = (await call("plan", program={"resources": resources(name)}))["record"]
            planned[name].set()
            for event in planned.values():
                await event.wait()
            for _ in range(TRIES):
                done = await call.client.call_tool("apply", {"record": record})
                if not done.is_error:
                    return
                refused.append(name)
                # The other server is applying or has applied: this server plans again and keeps the new containers.
                program = (await call("list_resources"))["program"]
                program["resources"] = {**program.get("resources", {}), **resources(name)}
                again = await call.client.call_tool("plan", {"program": program})
                record = (again.structured_content or {}).get("record") or record
            raise AssertionError(done.content)

        async with anyio.create_task_group() as group:
            for name in NAMES:
                group.start_soon(agent.talking, lambda call, name=name: story(call, name), "--allow", "apply")

    anyio.run(both)

    assert containers(emulator) == {*NAMES}
    assert len(set(refused)) == 1
