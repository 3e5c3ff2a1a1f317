"""The measured cases: provider, number of containers, with or without children, rate limit."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

VERBS = ("up", "no-op up", "preview", "refresh", "destroy")
"""The verbs of each stack, in this order."""
QUIET = VERBS[1:4]
"""The verbs that change nothing and can be repeated on one stack."""
WINDOW = 60.0
HOSTS = ("ours", "native")
"""The two hosts of this package."""
OTHERS = ("peer", "plain")
NOTHING = ("idle", "shaped")
PROVIDERS = (*HOSTS, *OTHERS, *NOTHING)
_MODULES = {"ours": "stacks_pulumi", "native": "native_sdk"}
_OTHERS = "tests.bench.plain"


@dataclass(frozen=True)
class Case:
    """
    One stack from its first `up` to its `destroy`.

    Attributes:
        provider: One of `PROVIDERS`: `ours` (the dynamic host), `native` (the same resources in the plugin), `peer`,
            `plain`, `idle` (does nothing), or `shaped` (like idle, with as many properties as ours).
        containers: The number of containers.
        children: Whether every second container has external access with an AllowedIp and a Connection to its
            neighbour.
        per_minute: The key's rate limit in requests a minute; `None` for no limit.
        with_container: Whether children are deleted with their container (`stacks:deleteChildrenWithContainer`).
        real: Whether it runs in real time.
        rounds: How often the complete case is repeated.
        boot: Seconds for which a container is pending.
        action: Seconds that a restart or a deletion takes.
    """

    provider: str
    containers: int
    children: bool = False
    per_minute: int | None = 60
    with_container: bool = False
    real: bool = False
    rounds: int = 1
    boot: float = 20.0
    action: float = 2.0

    @property
    def pairs(self) -> int:
        """The number of containers with children."""
        return self.containers // 2 if self.children else 0

    @property
    def limit(self) -> str:
        """The rate limit as text."""
        return "no limit" if self.per_minute is None else f"{self.per_minute}/min"

    @property
    def what(self) -> str:
        """A description of the stack."""
        children = f" + {2 * self.pairs:,}" if self.children else ""
        return f"{self.containers:,}{children}{', deleted with them' if self.with_container else ''}"

    @property
    def at_once(self) -> int:
        """
        The number of concurrent operations of the engine and the host.

        The documentation recommends 64, which is more than the rate limit allows in a minute. Without a limit, a user
        would set a larger number, because two hundred containers boot in four rounds of 64.
        """
        if self.provider == "peer":
            return 10
        return 64 if self.per_minute is not None or self.containers <= 64 else 256

    @property
    def checkpoints(self) -> bool:
        """
        Whether the engine writes the state before and after each step, as it usually does.

        The time for this grows with the square of the number of resources. With thousands of resources, it would take
        most of the run.
        """
        return self.per_minute is not None

    def quiet_rounds(self) -> int:
        """The number of repetitions in each round of a verb that changes nothing."""
        if self.rounds > 1 or self.real or self.provider in OTHERS:
            return 1
        if self.containers == 200 and self.per_minute is None:
            # Its processor time has a target, and depends on the order in which the answers arrive.
            return 7
        return 3 if self.containers <= 24 else 1

    def program(self) -> str:
        """The Pulumi program."""
        module = _MODULES.get(self.provider, f"{_OTHERS}.{self.provider}_stacks")
        lines = [f"import {module} as api"]
        for number in range(self.containers):
            has_children = self.children and number % 2 == 1
            access = ", external_access=True" if has_children else ""
            lines.append(f'c{number} = api.Container("c-{number:04}", template="nodejs"{access})')
            if has_children:
                address = f"198.51.{100 + number // 250}.{number % 250}"
                lines += [
                    f'api.Connection("to-{number:04}", source=c{number}, target=c{number - 1})',
                    f'api.AllowedIp("ip-{number:04}", container=c{number}, ip_address="{address}")',
                ]
        return "\n".join(lines) + "\n"

    def calls_at_least(self, verb: str) -> int:
        """
        The smallest number of calls for the verb.

        An `up` needs one list of the containers, which shows the used names, and the changing requests. These are the
        create of each container, and for each pair the external access, the connection, the restart of its source and
        the address. Nothing in a new container must be read.

        A `refresh` needs one list of the containers, and for each pair one list of the addresses and one of the
        connections. A `destroy` needs one list of the containers and a deletion of each resource; children that are
        deleted with their container need no request.
        """
        if verb == "up":
            return 1 + self.containers + self.pairs * 4
        if verb == "refresh":
            return 1 + 2 * self.pairs
        children = 0 if self.with_container else 2 * self.pairs
        return 1 + self.containers + children if verb == "destroy" else 0

    def idle(self) -> Case:
        """The same stack with a provider that does nothing."""
        return Case("idle", self.containers, self.children, self.per_minute)

    def seconds_at_least(self, verb: str, empty_up: float, idle: float) -> float:
        """
        Return the bound: no program can complete the verb faster on this machine with this limit.

        Args:
            verb: The verb.
            empty_up: Seconds of an `up` of an empty program.
            idle: Seconds of the verb with a provider that does nothing.

        The limit counts in windows of a minute. So call number n is sent after (n - 1) // limit windows at the
        earliest, and the last container boots after that. Without a limit, the number of boot rounds depends on the
        number of parallel operations.
        """
        takes = {"up": self.boot, "destroy": self.action}.get(verb, 0.0)
        last_call = self._windows(self.calls_at_least(verb)) * WINDOW
        last_boot = self._windows(1 + self.containers) * WINDOW + takes if takes else 0.0
        if self.per_minute is None:
            last_boot = takes * math.ceil(self.containers / (64 if self.containers <= 64 else 256))
        return max(empty_up + max(last_call, last_boot), idle)

    def _windows(self, calls: int) -> int:
        return 0 if self.per_minute is None or calls == 0 else (calls - 1) // self.per_minute


def all_cases() -> Iterator[Case]:
    """Yield every case of a run; an idle case comes before the cases that are compared with it."""
    for children in (False, True):
        yield from _cases(("idle",), 24, children)
        yield from _cases(("ours",), 24, children, real=True)
        yield from _cases(("ours",), 24, children, rounds=3)
        yield from _cases(("native", *OTHERS), 24, children)
    yield Case("ours", 24, children=True, with_container=True)
    yield from _cases(("idle", *HOSTS, "peer"), 60, children=True)
    yield from _cases(("idle", *HOSTS, *OTHERS), 200, children=False)
    yield from _cases((*NOTHING, *HOSTS), 200, children=True, per_minute=None)
    for children in (False, True):
        yield from _cases(("idle", "ours"), 1000, children, per_minute=None)


def piece(containers: int) -> Iterator[Case]:
    """Yield the cases of stacks of this size, with the rate limit."""
    for children in (False, True):
        yield from _cases(("idle", *HOSTS, *OTHERS), containers, children)


def _cases(
    providers: Iterable[str],
    containers: int,
    children: bool,
    *,
    per_minute: int | None = 60,
    real: bool = False,
    rounds: int = 1,
) -> Iterator[Case]:
    for provider in providers:
        yield Case(provider, containers, children, per_minute, real=real, rounds=rounds)
