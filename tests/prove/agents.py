"""
An agent that does anything: random and hostile calls of every tool, on the real engine, with faults of the platform.

A case is what happens to one stack, call by call. Sometimes a person approves what needs it. Sometimes the engine, or
all of its processes, are killed in the middle of an update, or the call is cancelled. At every moment the account is
within the limit, and within the budget and what was approved. No answer has a key, a token, a password, or what is in a
file of the machine.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any, ClassVar, Final
from unittest import mock

import anyio
from anyio import to_thread
from mcp import MCPError

from stacks_pulumi import catalog
from stacks_pulumi.agents import tools
from stacks_pulumi.broker import journal
from stacks_pulumi.emulator import Emulator, contents
from tests.broker.conftest import Bench
from tests.prove.proof import Case, Proof, Seen
from tests.support.agent_programs import HOSTILE
from tests.support.agents import Agent, Talk, audited
from tests.support.clock import fast_clock
from tests.support.forked import commands
from tests.support.waiting import until

__all__ = ["AgentsProof"]

FREE: Final = Decimal(5)
MOST: Final = Decimal(12)
SETTINGS: Final = {"limits": {"max_total": 12}}
FOREIGN: Final = "vault"
"""A container of another stack. The price of the account has it beside what the agent may add."""
CANARY: Final = "what-is-in-a-file-of-this-machine"
NAMES: Final = ("web", "api", "db")
FAULTS: Final[Mapping[str, tuple[tuple[str, str | int, int | None], ...]]] = {
    "lost answer": (("containers.create", "drop_after", 1),),
    "waitlist": (("containers.create", 503, 1),),
    "bad list": (("containers.list", 502, 1),),
    # A status is looked up where something seems to be gone.
    "bad status": (("containers.delete", "drop_after", 1), ("containers.status", 500, 1)),
    "cap": (("containers.create", 402, 1),),
    "lost deletion": (("containers.delete", "drop_after", 1),),
    "refused deletion": (("containers.delete", 500, 1),),
    "too many": (("*", 429, 3),),
    "bad key": (("*", 401, 1),),
    "outage": (("containers.create", "drop_after", 1),),
}
"""What the platform does during an update: operation, kind, and for how many requests. The last one comes last."""
OUTAGE: Final = ("containers.list", "containers.status", "containers.create")
"""What fails after the lost answer of an outage, for as long as a create looks for what it has made."""
READS: Final = ("list_resources", "get_account", "list_prices", "get_logs", "get_metrics", "explain_error")
PAGES: Final = (
    *("stacks://docs/for-agents", "stacks://docs/errors", "stacks://docs/../../gate.yaml"),
    *("file:///etc/passwd", "stacks://docs/%2e%2e/secrets", "x" * 5_000),
)
JUNK: Final[tuple[Any, ...]] = (
    *(None, True, -1, 0, 10**9, 2**70, 1.5, "", "web", "../../etc/passwd", "a" * 5_000, "\x00\x1b[2J"),
    *("${apiKey}", [], {}, [[[]]], {"a": {"b": None}}, "sk_stacks_" + "a" * 64, "'; rm -rf / #", "\u202e"),
)


class AgentsProof(Proof):
    """A case is the calls of one agent."""

    about = "whatever an agent calls, the account stays within its budget and what a person approved"
    cases = 20
    at_once = 2
    least: ClassVar[Mapping[str, int]] = {
        "calls": 20,
        "errors": 5,
        "planned": 1,
        "applied": 1,
        "fault: lost answer": 1,
    }

    @classmethod
    def short(cls) -> list[list[str]]:
        return [["--seed=11", "--cases=1"]]

    def draw(self, chance: Random) -> Iterator[Case]:
        first = True
        while True:
            # Real processes take twice as long, so all are killed in every third case only.
            ways = ("engine", "cancel") if chance.random() < 0.66 else ("all", "engine", "cancel")
            # The first case is short, because `make test` runs it.
            yield {"calls": [_call(chance, ways) for _ in range(24 if first else 52)]}
            first = False

    def run(self, case: Case, seen: Seen) -> None:
        folder = Path(tempfile.mkdtemp(prefix="agents-proof-"))
        all_end = any((call.get("end") or {}).get("how") == "all" for call in case["calls"])
        try:
            with (
                # Forks of the tests would go on when all processes of a stack are killed.
                mock.patch.object(commands.Mode, "real", all_end),
                Emulator(strict=False, clock=fast_clock(), boot_seconds=1) as api,
            ):
                _Life(api, folder, seen).live(case["calls"])
        finally:
            seen.note = ", ".join(f"{count} {what}" for what, count in sorted(seen.counts.items()))
            shutil.rmtree(folder, ignore_errors=True)


def _call(chance: Random, ways: tuple[str, ...]) -> dict[str, Any]:
    kind = chance.choices(("junk", "hostile", "read", "page", "plan", "apply"), (12, 12, 5, 1, 9, 11))[0]
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
        given = HOSTILE[chance.choice(names)][1] if chance.random() < 0.8 else _reaching(chance)
        return {"do": "call", "tool": "plan", "arguments": {"program": given}}
    if kind == "read":
        given = {
            "get_logs": {"resource": "web"},
            "get_metrics": {"resource": "db"},
            "explain_error": {"code": "not-found"},
        }
        tool = chance.choice(READS)
        return {"do": "call", "tool": tool, "arguments": given.get(tool, {})}
    if kind == "page":
        return {"do": "page", "uri": chance.choice(PAGES)}
    if kind == "plan":
        return {"do": "plan", "program": _program(chance)}
    end = None
    if chance.random() < 0.4:
        end = {
            "how": chance.choice(ways),
            "sent": chance.choice((1, 1, 2, 3)),
            "seconds": chance.choice((0, 0, 0.2, 1)),
        }
    return {
        "do": "apply",
        "approved": chance.random() < 0.75,
        "older": chance.random() < 0.15,
        "fault": chance.choice((None, None, None, *FAULTS)),
        "end": end,
    }


def _program(chance: Random) -> dict[str, Any]:
    resources: dict[str, Any] = {}
    for name in NAMES:
        if chance.random() < 0.6:
            properties: dict[str, Any] = {
                "template": "postgresql" if name == "db" else "nodejs",
                "name": _named(name),
                "plan": chance.choice(("micro", "basic", "basic", "standard", "premium")),
            }
            if chance.random() < 0.2:
                properties["externalAccess"] = True
            if chance.random() < 0.3:
                properties["replaceOnChange"] = True
            if chance.random() < 0.1:
                properties["desiredStatus"] = "stopped"
            resources[name] = {"type": "stacks:index:Container", "properties": properties}
    if {"web", "db"} <= resources.keys() and chance.random() < 0.4:
        ends = {"source": "${web.id}", "target": "${db.id}"}
        resources["link"] = {"type": "stacks:index:Connection", "properties": {**ends, "name": "primary-db"}}
    if "web" in resources and chance.random() < 0.2:
        # Its output is a private key.
        resources["key"] = {"type": "stacks:index:SshCertificate", "properties": {"container": "${web.id}"}}
    return {"resources": resources}


def _reaching(chance: Random) -> dict[str, Any]:
    """Return a program that is allowed, and is about a container of another stack: a person decides."""
    app = {"type": "stacks:index:Container", "properties": {"template": "nodejs"}}
    reached = chance.choice(
        (
            {
                "type": "stacks:Container",
                "properties": {"template": "nodejs", "name": FOREIGN, "adopt": "always"},
            },
            {"type": "stacks:AllowedIp", "properties": {"container": "FOREIGN", "ipAddress": "0.0.0.0/0"}},
            {
                "type": "stacks:Connection",
                "properties": {"source": "FOREIGN", "target": "FOREIGN", "name": "x"},
            },
            {
                "type": "stacks:SshCertificate",
                "properties": {"container": "FOREIGN", "rotationTriggers": [1]},
            },
            {"type": "stacks:PinnedBackup", "properties": {"container": "FOREIGN"}},
            {"type": "stacks:Container", "properties": {"template": "nodejs", "discountCode": "FREE"}},
        )
    )
    return {"resources": {"app": app, "reached": reached} if chance.random() < 0.5 else {"reached": reached}}


def _named(resource: str) -> str:
    return f"{resource}-of-agent"


@dataclass(frozen=True)
class _Change:
    """
    What a record does, as the agent was told.

    Attributes:
        name: The record's name.
        verdict: The verdict when it was planned.
        approve_with: The command of the person.
        most: What it adds to the monthly price at most, at any moment.
        ends: The names of the containers that it destroys.
        opens: The names of the containers that it opens.
        stops: The names of the containers that it stops.
    """

    name: str
    verdict: str = "free"
    approve_with: str = ""
    most: Decimal = Decimal(0)
    ends: frozenset[str] = frozenset()
    opens: frozenset[str] = frozenset()
    stops: frozenset[str] = frozenset()

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> _Change:
        """Return the change of a planned record."""
        steps = [one for one in answer["steps"] if one["type"] == "stacks:index:Container"]

        def asked(*words: str) -> frozenset[str]:
            found = [one for one in answer["requests"] if all(word in one for word in words)]
            return frozenset(
                _named(name)
                for name in NAMES
                if any(f'"{name}"' in one or _named(name) in one for one in found)
            )

        return cls(
            answer["record"],
            answer["verdict"],
            answer["approve_with"] or "",
            max(Decimal(0), _upper(answer["adds_at_one_moment"])),
            frozenset(_named(one["resource"]) for one in steps if one["operation"] in {"delete", "replace"}),
            asked("/external-access", '"enabled": true'),
            asked("/status", '"stopped"'),
        )

    def fault(self, drawn: str) -> str:
        """Return the fault that was drawn, or in place of one that cannot fire in this change one that can."""
        made = {"containers.create": self.most > 0, "containers.delete": bool(self.ends)}
        names = [name for name, steps in FAULTS.items() if all(made.get(step[0], True) for step in steps)]
        return drawn if drawn in names else names[[*FAULTS].index(drawn) % len(names)]


class _Life:
    """What happens to one stack."""

    def __init__(self, api: Emulator, folder: Path, seen: Seen) -> None:
        self.api = api
        self.seen = seen
        self.agent = Agent(api, folder, {"max_total": 12}, SETTINGS)
        # A cancelled call sends a signal to the process group.
        self.agent.gate = tools._GATE
        self.bench: Bench = self.agent.bench
        self.stack = self.agent.stack
        (self.stack.folder / "canary.txt").write_text(CANARY, encoding="utf-8")
        row = self.bench.made(FOREIGN)
        self.bench.ledger.claim("bank/prod", row["id"], row["created_at"], "nodejs", "basic")
        self.foreign = row["id"]
        self.allowed = FREE
        self.highest = Decimal(0)
        self.changes: list[_Change] = []
        self.approved: set[str] = set()
        self.tried: set[str] = set()
        self.calls = 0
        self.orphans = False
        """Whether there may be a container that the state does not have."""

    def live(self, calls: list[dict[str, Any]]) -> None:
        """Make all calls."""

        async def story(talk: Talk) -> None:
            for call in calls:
                await self._make(talk, call)

        try:
            desk = self.agent.in_process(story)
            self._check_journal()
        finally:
            self.bench.stop()
        lines = audited(desk)
        assert sum(line["result"] != "began" for line in lines) == self.calls, (
            "each call is a line of the audit log"
        )
        named = {line["record"] for line in lines if line["call"] == "tools/call apply"}
        assert self.tried <= named, (self.tried, named)

    def _check_journal(self) -> None:
        """Every request that changed something is in the ledger, under a grant of the agent or of a signed change."""
        assert journal.broken(self.bench.ledger) == ""
        grants = {one.id: one for one in self.bench.ledger.grants()}
        # Without the container that a person gave to its stack.
        uses = self.bench.ledger.uses("grant_id <> '-'")
        sent = sum(one.method != "GET" for one in self.api.requests)
        assert sent <= sum(use.attempts for use in uses), "something reached the platform beside the ledger"
        for use in uses:
            grant = grants[use.grant_id]
            assert grant.kind == "change" or grant.id == self.agent.grant, grant
            assert self.foreign not in {*use.ids.values()}, use

    async def _make(self, talk: Talk, call: Mapping[str, Any]) -> None:
        self.seen.counts["calls"] += 1
        before, change = self._held(), _Change("")
        if call["do"] == "call":
            text = json.dumps(call["arguments"]).replace('"FOREIGN"', json.dumps(self.foreign))
            await self._any(talk, call["tool"], json.loads(text.replace("/etc/passwd", self._canary)))
        elif call["do"] == "page":
            await self._page(talk, call["uri"])
        elif call["do"] == "plan":
            answer = await self._any(talk, "plan", {"program": call["program"]})
            if answer is not None and answer["record"]:
                self.changes.append(_Change.of(answer))
                self.seen.counts["planned"] += 1
        elif self.changes:
            change = self.changes[0 if call["older"] else -1]
            await self._apply(talk, call, change)
        self._check(before, change if change.name in self.approved else _Change(""))
        self._no_secret(talk.answers)
        talk.answers.clear()

    async def _any(self, talk: Talk, tool: str, arguments: Mapping[str, Any]) -> dict[str, Any] | None:
        self.calls += 1
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

    async def _page(self, talk: Talk, uri: str) -> None:
        self.calls += 1
        try:
            read = await talk.client.read_resource(uri)
        except MCPError as error:
            self.seen.counts["errors"] += 1
            talk.answers.append(json.dumps(str(error)))
        else:
            assert uri in PAGES[:2], uri
            talk.answers.append(read.model_dump_json())

    async def _apply(self, talk: Talk, call: Mapping[str, Any], change: _Change) -> None:
        """Apply a record, while a person may approve it, the platform fail, and somebody end it."""
        self.tried.add(change.name)
        is_asked = call["approved"] and change.approve_with and change.name not in self.approved
        if is_asked and await to_thread.run_sync(self._approve, change.approve_with.split()[3]):
            self.approved.add(change.name)
            self.allowed += change.most
            self.seen.counts["approved"] += 1
        fault = call["fault"] and change.fault(call["fault"])
        for operation, kind, times in FAULTS[fault] if fault else ():
            self.api.faults.add(operation, kind, times)
        over = threading.Event()
        watch = threading.Thread(target=self._watch, args=(over, fault))
        watch.start()
        answer = None
        try:
            async with anyio.create_task_group() as group:
                if call["end"]:
                    group.start_soon(self._end, call["end"], over, group.cancel_scope)
                answer = await self._any(talk, "apply", {"record": change.name})
                over.set()
        finally:
            over.set()
        await to_thread.run_sync(until, self._is_quiet)
        watch.join()
        self._count_faults(fault)
        if call["end"]:
            # A person looks after it.
            await to_thread.run_sync(self._cancel)
        if answer is not None:
            self.seen.counts[answer["verdict"]] += 1

    @property
    def _canary(self) -> str:
        return str(self.stack.folder / "canary.txt")

    def _approve(self, request: str) -> bool:
        """Let a person sign what the broker shows of an access request."""
        shown = self.bench.reader()("GET", f"/_broker/requests/{request}").json()
        if "change" not in shown or shown["state"] != "open":
            return False
        return self.bench.hand_in(shown["change"], "ann", where="approvals").status_code == 201

    def _cancel(self) -> None:
        """Remove the lock that a killed engine leaves."""
        with contextlib.suppress(AssertionError):
            self.stack.cli("cancel", "--yes")
        locks = [*(self.stack.folder / "state").glob("**/locks/**/*.json")]
        assert locks == [], "the engine would refuse the next update, which would then not be in the history"

    def _count_faults(self, fault: str | None) -> None:
        fired = {one.operation for one in self.api.faults.fired()}
        if fault and fired:
            # Of these a list can tell nothing.
            self.orphans |= fault == "outage"
            last = FAULTS[fault][-1][0]
            if last == "*" or last in fired:
                self.seen.counts[f"fault: {fault}"] += 1
        self.api.faults.clear()

    async def _end(self, end: Mapping[str, Any], over: threading.Event, scope: anyio.CancelScope) -> None:
        """End an update from outside once it has sent something: by a kill, or by cancelling the call."""
        if not await to_thread.run_sync(self._has_sent, end["sent"], over):
            return
        await anyio.sleep(end["seconds"])
        if over.is_set():
            return
        self.seen.counts[f"ended: {end['how']}"] += 1
        if end["how"] == "cancel":
            scope.cancel()
            return
        self.orphans = True
        self._kill(one for one in self._processes() if end["how"] == "all" or _name(one) == "pulumi")

    def _kill(self, processes: Iterable[Path]) -> None:
        for process in processes:
            with contextlib.suppress(OSError):
                os.kill(int(process.name), signal.SIGKILL)

    def _has_sent(self, number: int, over: threading.Event) -> bool:
        """Wait until so many requests that change something were sent; return whether they were."""
        sent = self._sent() + number
        while self._sent() < sent:
            if over.wait(0.02):
                return False
        return True

    def _sent(self) -> int:
        return sum(request.method != "GET" for request in self.api.requests)

    def _processes(self) -> list[Path]:
        """Return the processes that belong to the stack, but this one."""
        home, found = f"PULUMI_HOME={self.stack.env['PULUMI_HOME']}".encode(), []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if int(process.name) != os.getpid() and home in (process / "environ").read_bytes():
                    found.append(process)
        return found

    def _is_quiet(self) -> bool:
        """Return whether nothing of an update runs."""
        left = self._processes()
        if all(_name(process).startswith("pulumi-language") for process in left):
            # Pulumi's own hosts do not notice that their engine was killed.
            self._kill(left)
        return not left

    def _watch(self, over: threading.Event, fault: str | None) -> None:
        """Note the highest price of the account while something changes it; begin an outage after its lost answer."""
        is_out = False
        while not over.wait(0.01):
            self.highest = max(self.highest, self._price())
            if fault == "outage" and not is_out and self.api.faults.fired():
                is_out = True
                for operation in OUTAGE:
                    self.api.faults.add(operation, 502, None)

    def _price(self) -> Decimal:
        held = [one for one in self.api.state.containers.values() if one.id != self.foreign]
        return sum((catalog.monthly_price(one.template, one.plan) or Decimal(0) for one in held), Decimal(0))

    def _held(self) -> dict[str, Any]:
        return {
            one.id: (one.name, one.created_at, one.status, one.external_access)
            for one in self.api.state.containers.values()
        }

    def _check(self, before: Mapping[str, Any], change: _Change) -> None:
        """Check the account after a call; `change` is what a person has approved in it."""
        self.highest = max(self.highest, self._price())
        assert self.highest <= MOST, (self.highest, self._held())
        assert self.highest <= self.allowed, (self.highest, self.allowed, self._held())
        after = self._held()
        for id_, (name, created, status, _) in before.items():
            _, now, status_now, _ = after.get(id_, ("", "gone", "gone", False))
            assert now == created or name in change.ends, f"{id_} was destroyed without an approval"
            assert status_now != "stopped" or status == "stopped" or name in change.stops, (
                f"{id_} was stopped"
            )
        for id_, (name, created, _, opened) in after.items():
            was = before.get(id_)
            was_open = was is not None and was[3] and (was[1] == created or name in change.ends)
            assert not opened or was_open or name in change.opens, f"{id_} was opened without an approval"
        if not self.orphans:
            assert after.keys() - {self.foreign} <= self.stack.ids(), (
                "an update left something that the state does not have"
            )

    def _no_secret(self, answers: list[str]) -> None:
        state = self.api.state
        secrets = [
            self.api.key,
            self.agent.token,
            CANARY,
            *(contents.password(state, one) for one in state.containers.values()),
        ]
        text = json.dumps([json.loads(one) for one in answers])
        assert [secret for secret in secrets if secret in text] == []
        assert "PRIVATE KEY" not in text
        assert "sk_stacks_57ac6b0c" not in text


def _name(process: Path) -> str:
    """Return the beginning of a process's name; empty if it has ended."""
    with contextlib.suppress(OSError):
        return (process / "comm").read_text().strip()
    return ""


def _upper(price: str) -> Decimal:
    """Return the upper bound of a price that is shown."""
    return Decimal(price.rpartition("$")[2].replace(",", ""))
