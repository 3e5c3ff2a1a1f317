"""An agent behind the gate of a stack of the engine tests: a client, and the server here or as a process."""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import anyio
from mcp import Client, StdioServerParameters

from stacks_pulumi.agents import tools
from stacks_pulumi.agents.server import Audit, server_of
from stacks_pulumi.emulator import Emulator
from tests.support.gate import Gated
from tests.support.stack import Stack

PROJECT = "name: tests\nruntime: yaml\n"


class Agent:
    """
    An agent for a stack.

    Args:
        stack: The stack; its program becomes one in YAML.
        host: The folder of the language host for YAML.
        folder: Where the gate, the records and the audit log are.
        more: Settings of the gate.
    """

    def __init__(self, stack: Stack, host: Path, folder: Path, more: Mapping[str, Any] | None = None) -> None:
        self.gated = Gated(stack, folder, more)
        self.stack = stack
        stack.yaml(PROJECT, host)

    def desk(self, *, may_apply: bool = True) -> tools.Desk:
        """Return the server's desk, in this process; `environment` of the gate has to last as long."""
        return tools.opened(self.gated.folder, None, self.stack.folder, None, may_apply=may_apply)

    def in_process(self, story: Callable[[Talk], Awaitable[None]], *, may_apply: bool = True) -> tools.Desk:
        """Let a client talk to the server in this process; return the server's desk."""

        async def run() -> None:
            audit = Audit(desk.folder / "audit.jsonl")
            try:
                async with Client(server_of(desk, audit)) as client:
                    await story(Talk(client))
            finally:
                audit.close()

        with self.gated.environment():
            desk = self.desk(may_apply=may_apply)
            anyio.run(run)
        return desk

    def over_pipes(self, story: Callable[[Talk], Awaitable[None]], *words: str) -> None:
        """Let a client talk to the command `stacks-pulumi mcp`."""
        anyio.run(self.talking, story, *words)

    async def talking(self, story: Callable[[Talk], Awaitable[None]], *words: str) -> None:
        """Let a client talk to the command `stacks-pulumi mcp`, beside another one."""
        arguments = ["mcp", "--gate", str(self.gated.folder), "-C", str(self.stack.folder), *words]
        server = StdioServerParameters(
            command=sys.executable, args=["-m", "stacks_pulumi", *arguments], env=dict(self.stack.env)
        )
        async with Client(server) as client:
            await story(Talk(client))


class Talk:
    """
    Calls of a client, with what it got.

    Args:
        client: The client.
    """

    def __init__(self, client: Client) -> None:
        self.client = client
        self.answers: list[str] = []
        self.progress: list[str] = []

    async def __call__(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Call a tool that succeeds; return its result."""
        result = await self.client.call_tool(tool, arguments, progress_callback=self._note)
        self.answers.append(result.model_dump_json())
        assert not result.is_error, result.content
        assert isinstance(result.structured_content, dict)
        return result.structured_content

    async def fails(self, tool: str, **arguments: Any) -> str:
        """Call a tool that fails; return its error."""
        result = await self.client.call_tool(tool, arguments, progress_callback=self._note)
        self.answers.append(result.model_dump_json())
        assert result.is_error, result
        (content,) = result.content
        return str(getattr(content, "text", ""))

    async def _note(self, progress: float, total: float | None, message: str | None) -> None:
        self.progress.append(message or "")


def audited(desk: tools.Desk) -> list[dict[str, Any]]:
    """Return the lines of the audit log."""
    text = (desk.folder / "audit.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def containers(emulator: Emulator) -> set[str]:
    """Return the names of the account's containers."""
    return set(emulator.state.names())
