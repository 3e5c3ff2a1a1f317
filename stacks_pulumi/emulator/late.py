"""
Which answers lag behind, and which lists show only some of their rows?

The rules for containers, backups and other objects do not change. If the answer to a request lags behind, the rule uses
an earlier state. Everything that exists when a lag begins is visible immediately.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Final

import msgspec

from stacks_pulumi._structs import decode
from stacks_pulumi.emulator import answers, containers
from stacks_pulumi.emulator.answers import Open, Reply, Request, Route
from stacks_pulumi.emulator.platform import Platform
from stacks_pulumi.emulator.state import State

LISTS: Final = (
    "containers.list",
    "connections.list",
    "allowed_ips.list",
    "vpn_clients.list",
    "backups.list",
)
"""The lists that can lag behind."""

LATE: Final = (*LISTS, "containers.status")
"""The operations whose answer can lag behind."""

_ENCODER: Final = msgspec.json.Encoder()


class Late:
    """
    The changes that the answers of a platform do not show yet, or do not show at all.

    Attributes:
        seconds: The lag of each operation's answer in seconds.
        rows: The maximum number of rows in the list of containers; `None` for all. If it is set, the list also contains
            the total number of rows (`total`).
    """

    def __init__(self, platform: Platform) -> None:
        self.seconds: dict[str, float] = {}
        self.rows: int | None = None
        self._platform = platform
        self._past: list[tuple[float, bytes]] = []

    def set_lag(self, seconds: float, operations: Collection[str] = LISTS) -> None:
        """
        From now on, delay changes in the answers of these operations by this number of seconds.

        Raises:
            ValueError: The answer of an operation cannot lag behind, or the number of seconds is invalid.
        """
        for name in operations:
            if name not in LATE:
                raise ValueError(
                    f"the answer of {name} cannot lag behind; possible operations are {', '.join(LATE)}"
                )
        lag = dict.fromkeys(operations, answers.seconds("seconds", seconds))
        self.seconds = {name: it for name, it in (self.seconds | lag).items() if it}
        self.forget()

    def forget(self) -> None:
        """Make everything that exists now visible in every answer."""
        self._past = [(float("-inf"), _ENCODER.encode(self._platform.state))] if self.seconds else []

    def remember(self) -> None:
        """Store the state after a change, for as long as an answer may show it."""
        if not self.seconds:
            return
        now = self._platform.clock.now()
        self._past.append((now, _ENCODER.encode(self._platform.state)))
        while len(self._past) > 1 and self._past[1][0] <= now - max(self.seconds.values()):
            del self._past[0]

    def answered(self, route: Route, request: Request) -> Reply | Open:
        """Return the answer to a request, from an earlier state if the answer lags behind."""
        seconds = self.seconds.get(route.name)
        if not seconds:
            return self._cut(route, route.handler(request))
        now = self._platform.clock.now()
        content = next(content for at, content in reversed(self._past) if at <= now - seconds)
        then = self._platform.view(decode(content, State), now - seconds)
        if route.name in LISTS:
            self._let_parent_be(then.state, request.args)
        for container in containers.of_account(self._platform, request.key.account):
            if route.name == "containers.list" or container.id == request.args.get("container_id"):
                containers.count_read(self._platform, container)
        return self._cut(route, route.handler(replace(request, platform=then)))

    def _let_parent_be(self, then: State, args: dict[str, str]) -> None:
        """
        Add the container of the requested children to the earlier state if it exists now; otherwise remove it there.
        Only the children lag behind, not the container.
        """
        for own in (args[name] for name in ("container_id", "vpn_container_id") if name in args):
            now = self._platform.state.containers.get(own)
            if now is None:
                then.containers.pop(own, None)
            elif own not in then.containers:
                then.containers[own] = replace(
                    now, external_access=False, subdomain=None, allowed_ips=[], vpn_clients=[], next=None
                )

    def _cut(self, route: Route, answer: Reply | Open) -> Reply | Open:
        """Return the list of containers, limited to `rows` rows and with the total number."""
        if self.rows is None or route.name != "containers.list" or isinstance(answer, Open):
            return answer
        rows = answer.body["data"]
        shown = rows[: self.rows]
        return replace(answer, body={**answer.body, "count": len(shown), "data": shown, "total": len(rows)})
