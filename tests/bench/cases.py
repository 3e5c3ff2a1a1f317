"""The measured cases: provider, number of containers, with or without children, rate limit."""

from __future__ import annotations

from dataclasses import dataclass

VERBS = ("up", "no-op up", "refresh", "destroy")
WINDOW = 60.0
HOSTS = ("ours", "native")
"""The two hosts of this package."""
_MODULES = {"ours": "stacks_pulumi", "native": "native_sdk"}


@dataclass(frozen=True)
class Case:
    """
    One stack from its first `up` to its `destroy`.

    Attributes:
        provider: `ours` (the dynamic host), `native` (the same resources in the plugin), `plain`, or `idle` (one that
            does nothing: the engine alone).
        containers: The number of containers.
        children: Whether every second one has external access with an AllowedIp and a Connection to its neighbour.
        per_minute: Requests a minute that the key may make; `None` for no limit.
        boot: Seconds for which a container is pending.
        action: Seconds that a restart or a deletion takes.
        with_container: Whether children are deleted with their container (`stacks:deleteChildrenWithContainer`).
    """

    provider: str
    containers: int
    children: bool = False
    per_minute: int | None = 60
    boot: float = 20.0
    action: float = 2.0
    with_container: bool = False

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
        """The stack as text."""
        children = f" + {2 * self.pairs} children" if self.children else ""
        return f"{self.containers}{children}{', deleted with them' if self.with_container else ''}"

    @property
    def at_once(self) -> int:
        """
        The number of concurrent operations of the engine and the host.

        64 is the default, and more than the rate limit allows in a minute. Without a limit, a user would set a larger
        number, because with 64 two hundred containers boot in four rounds.
        """
        return 64 if self.per_minute is not None or self.containers <= 64 else 256

    def program(self) -> str:
        """The Pulumi program."""
        module = _MODULES.get(self.provider, f"{self.provider}_stacks")
        lines = [f"import {module} as api"]
        for number in range(self.containers):
            has_children = self.children and number % 2 == 1
            access = ", external_access=True" if has_children else ""
            lines.append(f'c{number} = api.Container("c-{number:03}", template="nodejs"{access})')
            if has_children:
                lines += [
                    f'api.Connection("to-{number:03}", source=c{number}, target=c{number - 1})',
                    f'api.AllowedIp("ip-{number:03}", container=c{number}, ip_address="198.51.100.{number}")',
                ]
        return "\n".join(lines) + "\n"

    def calls_at_least(self, verb: str) -> int:
        """
        The smallest number of calls for the verb.

        An `up` takes one look at the containers, which shows the names that are taken, and the requests that change
        something: the create of each container; for each pair the external access, the connection, the restart of its
        source and the address. Nothing that is in a new container has to be looked for.

        A `refresh` takes one look at the containers, and of each pair one at the addresses and one at the connections.
        A `destroy` takes one look at the containers, and a deletion of each resource; the children have none of their
        own if they are deleted with their container.
        """
        if verb == "up":
            return 1 + self.containers + self.pairs * 4
        if verb == "refresh":
            return 1 + 2 * self.pairs
        children = 0 if self.with_container else 2 * self.pairs
        return 1 + self.containers + children if verb == "destroy" else 0

    @property
    def idle(self) -> Case:
        """The same stack with a provider that does nothing."""
        return Case("idle", self.containers, self.children, per_minute=None if self.at_once > 64 else 60)

    def seconds_at_least(self, verb: str, empty_up: float, idle: float = 0.0) -> float:
        """
        The bound: no program gets the verb done in less on this machine under this limit.

        Args:
            verb: The verb.
            empty_up: Seconds of an `up` of nothing.
            idle: Seconds of the verb with a provider that does nothing.

        The limit counts in windows of a minute, so a call number n goes out after (n - 1) // limit windows at the
        earliest; the last container is made then at the earliest, and boots after it.
        """
        if self.provider == "idle":
            return empty_up
        boot = self.boot if verb == "up" else self.action if verb == "destroy" else 0.0
        last_call = self._windows(self.calls_at_least(verb)) * WINDOW
        last_boot = self._windows(1 + self.containers) * WINDOW + boot if boot else 0.0
        return max(empty_up + max(last_call, last_boot), idle)

    def _windows(self, calls: int) -> int:
        return 0 if self.per_minute is None or calls == 0 else (calls - 1) // self.per_minute


QUICK = (
    *(Case(host, 24) for host in HOSTS),
    Case("plain", 24),
)

FULL = (
    # The dynamic host alone: in the plugin it is the program that says `deletedWith`.
    *(
        Case("ours", containers, children=True, per_minute=per_minute, with_container=True)
        for per_minute in (None, 60)
        for containers in (24, 200)
    ),
    *(
        Case(host, containers, children, per_minute)
        for per_minute in (None, 60)
        for containers in (8, 24, 60, 200)
        for children in (False, True)
        for host in HOSTS
    ),
    *(
        Case("plain", containers, children=False, per_minute=per_minute)
        for per_minute in (None, 60)
        for containers in (8, 24, 60, 200)
    ),
    *(
        Case("plain", containers, children=True, per_minute=per_minute)
        for per_minute in (None, 60)
        for containers in (8, 24)
    ),
)
