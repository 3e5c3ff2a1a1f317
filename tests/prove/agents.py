"""
An agent that does anything: random and hostile calls of every tool, on the real engine, with faults of the platform.

A case is what happens to one stack, call by call. Sometimes a person approves what needs it, and sometimes the engine
is killed during an update. After each call the account is within what is free and what was approved.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any, ClassVar, Final

import anyio

from stacks_pulumi import catalog
from stacks_pulumi.emulator import Emulator, contents
from stacks_pulumi.errors import StacksError
from tests.prove.proof import Case, Proof, Seen
from tests.support.agent_programs import HOSTILE
from tests.support.agents import Agent, Talk, containers
from tests.support.clock import fast_clock
from tests.support.stack import Stack
from tools.engine.ensure import ensure

__all__ = ["AgentsProof"]

FREE: Final = Decimal(5)
MOST: Final = Decimal(12)
GATE: Final = {"free": {"increase_per_day": 5}, "limits": {"max_total": 12}}
NAMES: Final = ("web", "api", "db")
FAULTS: Final = (
    ("containers.create", "drop_after"),
    ("containers.create", 503),
    ("containers.list", 502),
    ("containers.status", 500),
    ("containers.create", 402),
)
READS: Final = ("list_resources", "get_account", "list_prices", "get_logs", "get_metrics", "explain_error")
JUNK: Final[tuple[Any, ...]] = (
    *(
        None,
        True,
        -1,
        0,
        10**9,
        2**70,
        1.5,
        "",
        "web",
        "../../etc/passwd",
        "a" * 5_000,
        "\x00\x1b[2J",
        "${apiKey}",
    ),
    *([], {}, [[[]]], {"a": {"b": None}}, "sk_stacks_" + "a" * 64, "'; rm -rf / #", "\u202e"),
)


class AgentsProof(Proof):
    """A case is the calls of one agent."""

    about = "whatever an agent calls, the account stays within what is free and what a person approved"
    cases = 20
    at_once = 2
    least: ClassVar[Mapping[str, int]] = {"calls": 20, "errors": 5, "planned": 1, "applied": 1}

    @classmethod
    def short(cls) -> list[list[str]]:
        return [["--seed=4", "--cases=1"]]

    def draw(self, chance: Random) -> Iterator[Case]:
        first = True
        while True:
            # The first case is short, because `make test` runs it.
            yield {"calls": [_call(chance) for _ in range(24 if first else 52)]}
            first = False

    def run(self, case: Case, seen: Seen) -> None:
        folder = Path(tempfile.mkdtemp(prefix="agents-proof-"))
        try:
            with Emulator(strict=False, clock=fast_clock(), boot_seconds=1) as api:
                _Life(api, folder, seen).live(case["calls"])
        finally:
            seen.note = ", ".join(f"{count} {what}" for what, count in sorted(seen.counts.items()))
            shutil.rmtree(folder, ignore_errors=True)


def _call(chance: Random) -> dict[str, Any]:
    kind = chance.choices(("junk", "hostile", "read", "plan", "apply", "again"), (6, 6, 3, 4, 4, 1))[0]
    if kind == "junk":
        arguments = {
            name: chance.choice(JUNK)
            for name in chance.sample(
                ("program", "record", "resource", "page", "lines", "code", "x"), chance.randrange(4)
            )
        }
        return {
            "do": "call",
            "tool": chance.choice((*READS, "plan", "apply", "destroy")),
            "arguments": arguments,
        }
    if kind == "hostile":
        # JSON has no text for what is not a number.
        names = sorted(name for name in HOSTILE if name != "not a number")
        return {"do": "call", "tool": "plan", "arguments": {"program": HOSTILE[chance.choice(names)][1]}}
    if kind == "read":
        given = {
            "get_logs": {"resource": "web"},
            "get_metrics": {"resource": "db"},
            "explain_error": {"code": "not-found"},
        }
        tool = chance.choice(READS)
        return {"do": "call", "tool": tool, "arguments": given.get(tool, {})}
    if kind == "plan":
        return {"do": "plan", "program": _program(chance)}
    return {
        "do": "apply",
        "approved": chance.random() < 0.5,
        "again": kind == "again",
        "fault": chance.choice((None, None, *FAULTS)),
        "kill": chance.random() < 0.15,
    }


def _program(chance: Random) -> dict[str, Any]:
    resources: dict[str, Any] = {}
    for name in NAMES:
        if chance.random() < 0.6:
            properties: dict[str, Any] = {
                "template": "postgresql" if name == "db" else "nodejs",
                "name": f"{name}-of-agent",
                "plan": chance.choice(("basic", "basic", "standard", "premium")),
            }
            if chance.random() < 0.2:
                properties["externalAccess"] = True
            if chance.random() < 0.2:
                properties["replaceOnChange"] = True
            if chance.random() < 0.1:
                properties["desiredStatus"] = "stopped"
            resources[name] = {"type": "stacks:index:Container", "properties": properties}
    if {"web", "db"} <= resources.keys() and chance.random() < 0.4:
        ends = {"source": "${web.id}", "target": "${db.id}"}
        resources["link"] = {"type": "stacks:index:Connection", "properties": {**ends, "name": "primary-db"}}
    return {"resources": resources}


class _Life:
    """What happens to one stack."""

    def __init__(self, api: Emulator, folder: Path, seen: Seen) -> None:
        self.api = api
        self.seen = seen
        bin_ = ensure().bin
        self.stack = Stack(folder / "stack", bin_, {"stacks:apiKey": api.key, "stacks:baseUrl": api.url})
        self.agent = Agent(self.stack, bin_, folder / "gated", GATE)
        self.allowed = FREE
        self.record = ""
        self.planned: dict[str, Any] = {}
        self.ended = 0
        self.price = Decimal(0)

    def live(self, calls: list[dict[str, Any]]) -> None:
        """Make all calls."""

        async def story(talk: Talk) -> None:
            for call in calls:
                await self._make(talk, call)

        self.agent.in_process(story)
        # Every update that ended is in the history. A killed one is not, and what it has created counts too.
        entries = [entry for entry in self.agent.gated.log() if entry.kind == "update"]
        assert len(entries) >= self.ended, (entries, self.ended)

    async def _make(self, talk: Talk, call: Mapping[str, Any]) -> None:
        self.seen.counts["calls"] += 1
        before = self._held()
        changes = False
        if call["do"] == "call":
            await self._any(talk, call["tool"], call["arguments"])
        elif call["do"] == "plan":
            answer = await self._any(talk, "plan", {"program": call["program"]})
            if answer is not None and answer["record"]:
                self.planned, self.record = answer, answer["record"]
                self.seen.counts["planned"] += 1
        elif self.record:
            changes = await self._apply(talk, call)
        self._check(before, self._held(), changes=changes)
        self._no_secret(talk.answers)
        talk.answers.clear()

    async def _any(self, talk: Talk, tool: str, arguments: Mapping[str, Any]) -> dict[str, Any] | None:
        result = await talk.client.call_tool(tool, dict(arguments))
        talk.answers.append(result.model_dump_json())
        if result.is_error:
            self.seen.counts["errors"] += 1
            (content,) = result.content
            text = str(getattr(content, "text", ""))
            assert text.endswith("]"), text
            assert "\n" not in text, text
            assert "[internal-error]" not in text, text
            return None
        return dict(result.structured_content or {})

    async def _apply(self, talk: Talk, call: Mapping[str, Any]) -> bool:
        """Apply the last record; return whether a person has approved what it does."""
        approved = False
        if call["approved"] and self.planned["verdict"] == "needs_approval":
            with contextlib.suppress(StacksError):
                words = self.planned["approve_with"].split()
                self.agent.gated.approve(to=Path(words[3]))
                approved = True
        if call["fault"]:
            operation, kind = call["fault"]
            self.api.faults.add(operation, kind)
        over = threading.Event()
        killer = threading.Thread(target=self._kill, args=(over,))
        if call["kill"]:
            killer.start()
        answer = await self._any(talk, "apply", {"record": self.record})
        self.api.faults.clear()
        if answer is not None:
            self.seen.counts[answer["verdict"]] += 1
            # The engine's last line; a killed one does not write it, and one that does not begin has no entry.
            self.ended += answer["verdict"] == "applied" or "Duration:" in answer["output"]
        over.set()
        if call["kill"]:
            await anyio.to_thread.run_sync(killer.join)
            # A person looks after it.
            await anyio.to_thread.run_sync(self.stack.engine, "cancel", "--yes")
        if approved:
            self.seen.counts["approved"] += 1
            self.allowed += max(
                Decimal(0), _upper(self.planned["price_after"]) - _upper(self.planned["price_before"])
            )
        return approved

    def _kill(self, over: threading.Event) -> None:
        """Kill the engine of the update, and all that belongs to it, once it has sent something."""
        home = f"PULUMI_HOME={self.stack.env['PULUMI_HOME']}".encode()
        sent = self._sent()
        while self._sent() == sent:
            if over.wait(0.02):
                return
        self.seen.counts["killed"] += 1
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if home in (process / "environ").read_bytes() and int(process.name) != os.getpid():
                    os.kill(int(process.name), signal.SIGKILL)

    def _sent(self) -> int:
        return sum(request.method != "GET" for request in self.api.requests)

    def _held(self) -> dict[str, Any]:
        return {
            one.id: (one.created_at, one.status, one.external_access)
            for one in self.api.state.containers.values()
        }

    def _check(self, before: Mapping[str, Any], after: Mapping[str, Any], *, changes: bool) -> None:
        price = Decimal(0)
        for one in self.api.state.containers.values():
            price += catalog.monthly_price(one.template, one.plan) or Decimal(0)
        # The limit is for the end of a change: a killed one may have made the new and not yet deleted the old.
        most = MOST + self.price if changes else max(MOST, self.price)
        assert price <= most, (price, self.price, containers(self.api))
        self.price = price
        assert price <= self.allowed, (price, self.allowed, containers(self.api))
        if changes:
            return
        for id_, (created, _status, opened) in before.items():
            assert after.get(id_, ("gone",))[0] == created, f"{id_} was destroyed without an approval"
            assert opened or not after[id_][2], f"{id_} was opened without an approval"

    def _no_secret(self, answers: list[str]) -> None:
        state = self.api.state
        secrets = [self.api.key, *(contents.password(state, one) for one in state.containers.values())]
        text = json.dumps([json.loads(one) for one in answers])
        assert [secret for secret in secrets if secret in text] == []
        assert "PRIVATE KEY" not in text


def _upper(price: str) -> Decimal:
    """Return the upper bound of a price that is shown."""
    return Decimal(price.rpartition("$")[2].replace(",", ""))
