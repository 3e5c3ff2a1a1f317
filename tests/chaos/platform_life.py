"""
The life of a stack on a platform that answers otherwise than the guide's examples.

One program with every kind of resource is created, found unchanged, refreshed, changed and destroyed, beside a
container that another person made. Whatever the platform does, nothing may be lost, left or deleted by mistake.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from stacks_pulumi.emulator import DrivenClock, Emulator
from tests.chaos.account import claims, holdings, secrets
from tests.chaos.hosts import Hosts
from tests.chaos.ministack import Declared, MiniStack, Outcome, Ref
from tests.support.platforms import Reading, play

__all__ = ["Life", "Lived"]

SPEED = 20.0
"""How many seconds of the clock of host and emulator pass in one second."""

TIMEOUT = 180.0
"""Seconds for each operation: more than the time after which a new container is visible."""

FOREIGN = "elder"

Operation = Callable[[MiniStack], Outcome]


def program(stage: int) -> list[Declared]:
    """Return the program of a stage; the second one changes, adds and removes resources."""
    app, data, vpn = Ref("app"), Ref("data"), Ref("vpn")
    addresses = ["198.51.100.7", f"198.51.100.{8 + stage}"]
    return [
        Declared(
            "Container",
            "app",
            {"name": "app", "template": "nodejs", "external_access": True, "restart_triggers": [str(stage)]},
        ),
        Declared("Container", "data", {"name": "data", "template": "postgresql"}),
        Declared("Container", "vpn", {"name": "vpn", "template": "stacks-vpn"}),
        Declared(
            "Container",
            "web",
            {
                "name": "web",
                "template": "nginx",
                "plan": ("basic", "standard")[stage],
                "replace_on_change": True,
            },
        ),
        *(
            [Declared("Container", "old", {"name": "old", "template": "nginx-micro"})]
            if stage == 0
            else [Declared("Container", "new", {"name": "new", "template": "nginx-micro"})]
        ),
        Declared("Connection", "link", {"source": app, "target": data, "name": "primary"}, parent="app"),
        *(
            Declared("AllowedIp", f"ip{number}", {"container": app, "ip_address": address}, parent="app")
            for number, address in enumerate(addresses)
        ),
        Declared("PinnedBackup", "backup", {"container": data, "triggers": [str(stage)]}, parent="data"),
        Declared("VpnClient", "laptop", {"container": vpn, "name": "laptop"}, parent="vpn"),
        Declared("SshCertificate", "key", {"container": app}, parent="app"),
    ]


@dataclass
class Lived:
    """
    What happened in a life.

    Attributes:
        lost: What is billed and in no state and that no error has named, what was deleted and is another person's, and
            secrets that were shown.
        wrongs: That, and the other rules that were broken.
        messages: The errors that the user read.
        texts: Those, and all other lines that the user read.
        steps: How many operations ran.
        calls: How many requests the platform got.
    """

    lost: list[str] = field(default_factory=list)
    wrongs: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    steps: Counter[str] = field(default_factory=Counter)
    calls: int = 0

    @property
    def works(self) -> bool:
        """Whether every operation succeeded."""
        return not self.messages and not self.wrongs


class Life:
    """
    A stack, an account, and a container of another person in it. Each operation has its own process.

    Args:
        platform: What the platform does.
        kind: One of `HOSTS`.
    """

    def __init__(self, platform: Reading, kind: str) -> None:
        self._platform = platform
        self._kind = kind
        self._lived = Lived()
        self._stack: MiniStack | None = None

    def run(self) -> Lived:
        """Live it."""
        clock = DrivenClock(speed=SPEED)
        with Emulator(clock=clock, boot_seconds=6, action_seconds=3, delete_seconds=3) as emulator:
            emulator.load([{"name": FOREIGN, "template": "nodejs", "allowed_ips": ["203.0.113.9"]}])
            play(emulator, self._platform)
            config = {"stacks:apiKey": emulator.key, "stacks:baseUrl": emulator.url}
            hosts = Hosts(config, self._kind, SPEED)
            try:
                self._live(hosts, emulator, holdings(emulator))
            finally:
                hosts.close()
            self._lived.calls = len(emulator.requests)
        return self._lived

    def _live(self, hosts: Hosts, emulator: Emulator, foreign: set[str]) -> None:
        for number in (1, 2):
            # After the second stage, a backup stays without a resource: it is kept, unpinned.
            kept = number - 1
            apply: Operation = functools.partial(MiniStack.up, program=program(number - 1))
            whole = not self._do(hosts, f"up {number}", apply).errors
            self._compare(f"after up {number}", emulator, foreign, kept)
            # What the first stage has made is in the last one too, or is there made again.
            after = {"refresh": MiniStack.refresh, "third up": apply} if number == 2 else {}
            if whole:
                for what, operate in {"second up": apply, **after}.items():
                    outcome = self._do(hosts, f"{what} {number}", operate)
                    if outcome.steps:
                        self._lived.wrongs.append(f"{what} {number} did {outcome.steps}")
                self._compare(f"after refresh {number}", emulator, foreign, kept)
        assert self._stack is not None
        for secret in secrets(emulator, self._stack.in_state()):
            if any(secret in text for text in self._lived.texts):
                self._lose("a secret was shown")
        for _attempt in range(3):
            # As a user does: after a failure, a refresh and another attempt.
            self._do(hosts, "destroy", MiniStack.destroy)
            if not self._stack.resources and not self._stack.condemned:
                break
            self._do(hosts, "refresh before destroy", MiniStack.refresh)
        if self._stack.resources:
            self._lived.wrongs.append(f"destroy left {sorted(self._stack.resources)} in the state")
        self._compare("after destroy", emulator, foreign, 0)

    def _do(self, hosts: Hosts, what: str, operate: Operation) -> Outcome:
        with hosts.one() as host:
            self._stack = MiniStack(host, timeout=TIMEOUT) if self._stack is None else self._stack.on(host)
            outcome = operate(self._stack)
            self._lived.texts += [line.text for line in host.engine.lines] + outcome.messages
        self._lived.steps.update(step for step, _name in outcome.steps)
        self._lived.messages += [f"{what}: {message}" for message in outcome.messages]
        return outcome

    def _compare(self, when: str, emulator: Emulator, foreign: set[str], kept: int) -> None:
        assert self._stack is not None
        now = holdings(emulator)
        held, claimed = (
            Counter(map(_kind, now - foreign)),
            Counter(map(_kind, claims(self._stack.in_state()))),
        )
        claimed["backup or connection"] += kept
        missing = held - claimed
        if missing["container"] > self._named(now - foreign):
            self._lose(f"{when} the state does not know {missing['container']} containers, which are billed")
        elif missing:
            self._lived.wrongs.append(f"{when} the state does not know {dict(missing)}")
        if foreign - now:
            self._lose(f"{when} {sorted(foreign - now)} is gone, which is foreign")

    def _named(self, held: set[str]) -> int:
        """Return how many containers an error has named that a request may have made, or may make from the waitlist."""
        told = [
            text for text in self._lived.messages if text.endswith(("[outcome-unknown]", "[no-capacity]"))
        ]
        names = [(id_, f'"{id_.rpartition("-")[2]}"') for id_ in held if "/" not in id_]
        return sum(any(id_ in text or name in text for text in told) for id_, name in names)

    def _lose(self, what: str) -> None:
        self._lived.lost.append(what)
        self._lived.wrongs.append(what)


def _kind(id_: str) -> str:
    """Return what an id is of. A platform may spell it in its own way, so ids themselves cannot be compared."""
    _container, slash, own = id_.partition("/")
    if not slash:
        return "container"
    return "address" if own.count(".") == 3 else "laptop" if own == "laptop" else "backup or connection"
