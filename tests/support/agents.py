"""An agent of a stack in the engine tests, with a broker, a client, and a server in this process or as a command."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from unittest import mock

import anyio
from mcp import Client, StdioServerParameters

from stacks_pulumi.agents import tools
from stacks_pulumi.agents.server import Audit, server_of
from stacks_pulumi.broker.ledger import Spec
from stacks_pulumi.emulator import Emulator
from tests.broker.conftest import Bench
from tests.support.forked import commands
from tests.support.gate import keys
from tests.support.stack import Stack
from tools.engine.ensure import ensure

PROJECT: Final = "name: tests\nruntime: yaml\n"
STACK: Final = "tests/dev"
POLICY: Final[Mapping[str, Any]] = {
    "increase_per_day": 5,
    "free": ["start", "restart", "connect-own", "backup", "pin-own", "undo"],
}


class Agent:
    """
    An agent for a stack, with a broker that has the key.

    Args:
        api: The platform.
        folder: A new folder, for the broker, the stack, the records and the audit log.
        policy: The permissions of its budget in addition to `POLICY`.
        settings: More settings of the broker.

    Attributes:
        gate: The command of the gate. It starts a fork, which a signal to its process group does not reach.
    """

    def __init__(
        self,
        api: Emulator,
        folder: Path,
        policy: Mapping[str, Any] | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        of_agents = {"policies": {"agents": {**POLICY, **(policy or {})}}}
        self.bench = Bench(folder / "broker", api, {**of_agents, **(settings or {})})
        self.gate: tuple[str, ...] = (str(commands.folder() / "python3"), *tools._GATE[1:])
        self.stack = Stack(folder / "stack", ensure().bin, {})
        self.stack.yaml(PROJECT, ensure().bin)
        self.grant, self.token = self.bench.ledger.issue(
            "budget",
            "agent",
            seconds=360_000.0,
            policy="agents",
            stack=STACK,
            spec=Spec(secrets=("logs", "credentials")),
        )
        self.stack.env |= {
            "STACKS_BASE_URL": self.bench.url,
            "STACKS_API_KEY": self.token,
            "XDG_STATE_HOME": str(folder / "machine"),
        }

    @contextmanager
    def environment(self) -> Iterator[None]:
        """Set the stack's environment in this process."""
        environment = mock.patch.dict(os.environ, self.stack.env, clear=True)
        with environment, mock.patch.object(tools, "_GATE", self.gate):
            yield

    def in_process(self, story: Callable[[Talk], Awaitable[None]]) -> tools.Desk:
        """Connect a client to a server in this process; yield the server's desk."""

        async def run() -> None:
            audit = Audit(desk.folder / "audit.jsonl")
            try:
                async with Client(server_of(desk, audit)) as client:
                    await story(Talk(client))
            finally:
                audit.close()

        with self.environment():
            desk = tools.opened(self.stack.folder, None, may_apply=True, strict=False)[0]
            anyio.run(run)
        return desk

    def over_pipes(self, story: Callable[[Talk], Awaitable[None]], *words: str) -> None:
        """Connect a client to the command `stacks-pulumi mcp`."""
        server = StdioServerParameters(
            command=str(commands.folder() / "python3"),
            args=["-m", "stacks_pulumi", "mcp", "-C", str(self.stack.folder), *words],
            env=dict(self.stack.env),
        )

        async def run() -> None:
            async with Client(server) as client:
                await story(Talk(client))

        anyio.run(run)

    def approve(self, command: str, name: str = "ann") -> str:
        """Run the command that the agent shows, as a person would; return its output."""
        # Its PATH has the command.
        words = shlex.split(command.replace("FILE", str(keys() / name)))
        done = subprocess.run(
            words,
            env={**self.stack.env, "STACKS_API_KEY": self.bench.reader().token},
            text=True,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr


class Talk:
    """
    The calls of a client and its answers.

    Args:
        client: The client.
    """

    def __init__(self, client: Client) -> None:
        self.client = client
        self.answers: list[str] = []
        self.progress: list[str] = []

    async def __call__(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Call a tool, which must succeed; return its result."""
        result = await self.client.call_tool(tool, arguments, progress_callback=self._note)
        self.answers.append(result.model_dump_json())
        assert not result.is_error, result.content
        assert isinstance(result.structured_content, dict)
        return result.structured_content

    async def fails(self, tool: str, **arguments: Any) -> str:
        """Call a tool, which must fail; return its error."""
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
