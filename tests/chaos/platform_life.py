"""
The life of a stack on a platform that answers otherwise than the guide's examples.

One program with every kind of resource is created, found unchanged, refreshed, changed and destroyed, beside a
container that another person made. Whatever the platform does, nothing may be lost, left or deleted by mistake.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from stacks_pulumi.emulator import DrivenClock, Emulator
from stacks_pulumi.platform_file import PlatformFacts
from tests.chaos.account import claims, holdings, secrets
from tests.chaos.ministack import Declared, MiniStack, Outcome, Ref
from tests.support.host import HOSTS, Host

__all__ = ["Life", "Lived"]

SPEED = 20.0
"""How many seconds of the clock of host and emulator pass in one second."""

FOREIGN = "elder"


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
        wrongs: The rules that were broken; must be empty.
        messages: The errors that the user read.
        steps: How many operations ran.
        calls: How many requests the platform got.
    """

    wrongs: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    steps: Counter[str] = field(default_factory=Counter)
    calls: int = 0

    @property
    def works(self) -> bool:
        """Whether every operation succeeded."""
        return not self.messages and not self.wrongs


class Life:
    """
    A stack, an account, and a container of another person in it.

    Args:
        platform: What the platform does.
        known: The platform file that the provider has; `None` for the defaults alone.
        kind: One of `HOSTS`.
    """

    def __init__(self, platform: PlatformFacts, known: Path | None = None, kind: str = "dynamic") -> None:
        self._platform = platform
        self._known = known
        self._start = HOSTS[kind]
        self._lived = Lived()

    def run(self) -> Lived:
        """Live it."""
        clock = DrivenClock(speed=SPEED)
        with Emulator(
            clock=clock, platform=self._platform, boot_seconds=12, action_seconds=3, delete_seconds=3
        ) as emulator:
            emulator.load([{"name": FOREIGN, "template": "nodejs", "allowed_ips": ["203.0.113.9"]}])
            foreign = holdings(emulator)
            host = self._host(emulator)
            try:
                stack = MiniStack(host)
                self._live(stack, emulator, foreign)
            finally:
                host.stop()
            self._lived.calls = len(emulator.requests)
        return self._lived

    def _host(self, emulator: Emulator) -> Host:
        config = {"stacks:apiKey": emulator.key, "stacks:baseUrl": emulator.url}
        if self._known is not None:
            config["stacks:platform"] = str(self._known)
        return self._start(config, speed=SPEED)

    def _live(self, stack: MiniStack, emulator: Emulator, foreign: set[str]) -> None:
        for stage in (0, 1):
            self._replaced = stage
            whole = self._up(stack, program(stage), f"up {stage}")
            self._compare(f"after up {stage}", stack, emulator, foreign)
            if whole:
                quiet = self._up(stack, program(stage), f"second up {stage}")
                if quiet and self._last.steps:
                    self._lived.wrongs.append(f"the second up {stage} did {self._last.steps}")
                self._note(stack.refresh(), f"refresh {stage}")
                if self._up(stack, program(stage), f"up after refresh {stage}") and self._last.steps:
                    self._lived.wrongs.append(f"after refresh {stage} an up did {self._last.steps}")
                self._compare(f"after refresh {stage}", stack, emulator, foreign)
        texts = [*self._lived.messages, *(line.text for line in stack.host.engine.lines)]
        for secret in secrets(emulator, stack.in_state()):
            if any(secret in text for text in texts):
                self._lived.wrongs.append("a secret was shown")
        for _attempt in range(3):
            # As a user does: what could not be deleted is refreshed, and deleted again.
            self._note(stack.destroy(), "destroy")
            if not stack.resources and not stack.condemned:
                break
            self._note(stack.refresh(), "refresh before destroy")
        if stack.resources:
            self._lived.wrongs.append(f"destroy left {sorted(stack.resources)} in the state")
        left = holdings(emulator) - foreign
        if left:
            self._lived.wrongs.append(f"destroy left {sorted(left)} at the platform")
        if foreign - holdings(emulator):
            self._lived.wrongs.append(
                f"destroy touched {sorted(foreign - holdings(emulator))}, which is foreign"
            )

    def _up(self, stack: MiniStack, wanted: Sequence[Declared], what: str) -> bool:
        outcome = stack.up(wanted)
        self._note(outcome, what)
        return not outcome.errors

    def _note(self, outcome: Outcome, what: str) -> None:
        self._last = outcome
        self._lived.steps.update(step for step, _name in outcome.steps)
        self._lived.messages += [f"{what}: {message}" for message in outcome.messages]
        gone = [name for step, name in outcome.steps if step == "gone"]
        if gone:
            self._lived.wrongs.append(f"{what} lost {gone}")

    def _compare(self, when: str, stack: MiniStack, emulator: Emulator, foreign: set[str]) -> None:
        held = Counter(map(_kind, holdings(emulator) - foreign))
        claimed = Counter(map(_kind, claims(stack.in_state())))
        # A backup that is replaced stays, unpinned.
        claimed["backup or connection"] += self._replaced
        if held - claimed:
            self._lived.wrongs.append(f"{when} the state does not know {dict(held - claimed)}")
        if foreign - holdings(emulator):
            self._lived.wrongs.append(
                f"{when} {sorted(foreign - holdings(emulator))} is gone, which is foreign"
            )


def _kind(id_: str) -> str:
    """Return what an id is of. A platform may spell it in its own way, so ids themselves cannot be compared."""
    _container, slash, own = id_.partition("/")
    if not slash:
        return "container"
    return "address" if own.count(".") == 3 else "laptop" if own == "laptop" else "backup or connection"


def lives(platforms: dict[str, PlatformFacts]) -> Iterator[tuple[str, Lived]]:
    """Yield each platform's name with what happened on it."""
    for name, platform in platforms.items():
        yield name, Life(platform).run()
