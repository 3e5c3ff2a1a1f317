"""
One account, one stack, and random steps: programs, drift and faults, through the real host.

The rules after every operation: every object in the account is in the state, every resource in the state is in the
account, the operation deleted nothing that the program did not remove, and no text contains a secret. In the end,
without faults, one `up` applies the program, a second `up` is a no-op, and `destroy` leaves nothing in the account.
"""

from __future__ import annotations

import contextlib
import copy
import re
import urllib.request
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, TypeVar

from stacks_pulumi.emulator import Emulator
from stacks_pulumi.emulator.answers import Refusal
from stacks_pulumi.emulator.platform import DrivenClock
from tests.chaos.account import claims, connected, failures, holdings, secrets
from tests.chaos.faults import Drawn, drawn
from tests.chaos.hosts import Hosts
from tests.chaos.ministack import MiniStack, Outcome, Ref
from tests.chaos.program import KINDS, NAMES, TEMPLATES, VPN, Program
from tests.support.host import PROMPT, HostedResource
from tests.support.platforms import Reading, play

__all__ = ["Chaos", "Drift", "Edit", "edits", "flip", "pick", "turn", "variant"]

Known = Sequence[HostedResource]

DRIFTS = (
    "stop",
    "fail",
    "delete",
    "close",
    "allow_ip",
    "remove_ip",
    "disconnect",
    "unpin",
    "device",
    "foreign",
    "boot will fail",
    "backup will fail",
)

UNKNOWN_OUTCOME = "[outcome-unknown]"
"""The code of an error if the outcome of its request is unknown."""

Turn = TypeVar("Turn", bound=Callable[..., None])
Draw = Callable[[Random], Any]


@dataclass(frozen=True)
class Edit:
    """One change of the program: a kind of resource to add, or `change`, or `remove`."""

    what: str
    pick: int
    variant: int


@dataclass(frozen=True)
class Drift:
    """One change in the dashboard."""

    action: str
    pick: int


def pick(chance: Random) -> int:
    """Draw a number that selects something."""
    return chance.randrange(100)


def variant(chance: Random) -> int:
    """Draw how something is changed."""
    return chance.randrange(5)


def flip(chance: Random) -> bool:
    """Draw a switch."""
    return chance.random() < 0.5


def edits(least: int, most: int) -> Callable[[Random], list[Edit]]:
    """Return what draws so many changes of the program."""
    kinds = ("Container", *KINDS, "change", "change", "remove")
    return lambda chance: [
        Edit(chance.choice(kinds), pick(chance), variant(chance)) for _ in range(chance.randint(least, most))
    ]


def drifts(least: int, most: int) -> Callable[[Random], list[Drift]]:
    """Return what draws so many changes in the dashboard."""
    return lambda chance: [
        Drift(chance.choice(DRIFTS), pick(chance)) for _ in range(chance.randint(least, most))
    ]


def turn(*needs: str, **draws: Draw) -> Callable[[Turn], Turn]:
    """Make a method a turn that a run can draw: with all of the steps it needs, and how to draw its arguments."""

    def marked(method: Turn) -> Turn:
        method.__dict__.update(needs=frozenset(needs), draws=draws)
        return method

    return marked


SPEED = 8.0
"""How many seconds of the clock of hosts and emulator pass in one second."""


class Chaos:
    """
    One account, one stack, and random steps.

    Args:
        host: Which host the providers run in.
        counts: How many steps, operations and faults there were.
        platform: What the platform does. The provider then has its defaults alone.
    """

    def __init__(
        self,
        host: str = "dynamic",
        counts: Counter[str] | None = None,
        platform: Reading | None = None,
    ) -> None:
        self.counts = Counter[str]() if counts is None else counts
        self.platform = platform
        speed = SPEED if platform is None else 2 * SPEED
        clock = DrivenClock(speed=speed)
        self.emulator = Emulator(rate_window=4.0, backup_seconds=0.2, clock=clock)
        if platform is not None:
            play(self.emulator, platform)
        self.emulator.start()
        config = {"stacks:apiKey": self.emulator.key, "stacks:baseUrl": self.emulator.url}
        self.hosts = Hosts({**(PROMPT if platform is None else {}), **config}, host, speed)
        self.program = self.new_program()
        # The first operation makes the stack; every operation has another host.
        self.stack: MiniStack | None = None
        self.foreign: set[str] = set()
        self.released: set[str] = set()
        self.vanished: set[str] = set()
        self.texts: list[str] = []
        self.counts["programs"] += 1

    def new_program(self) -> Program:
        """Return the program at the start."""
        return Program()

    # --- the steps ---

    def begin(self, children: list[Edit]) -> None:
        """Start every program with some resources; otherwise most programs would stay nearly empty."""
        for name, template in zip((*NAMES[:2], VPN), TEMPLATES, strict=True):
            self.program.add_container(name, template)
        self._edit(children)

    @turn(changes=edits(1, 4), faults=drawn)
    def somebody_changes_the_program_and_runs_up(self, changes: list[Edit], faults: list[Drawn]) -> None:
        self._edit(changes)
        self._operate("up", faults, lambda stack: stack.up(list(self.program)))

    @turn(faults=drawn)
    def somebody_runs_up_again(self, faults: list[Drawn]) -> None:
        self._operate("up", faults, lambda stack: stack.up(list(self.program)))

    @turn(drifts=drifts(1, 3))
    def somebody_uses_the_dashboard(self, drifts: list[Drift]) -> None:
        for drift in drifts:
            self._behind_our_back(drift.action, drift.pick)

    @turn(drifts=drifts(0, 2), faults=drawn, forgetful=flip)
    def somebody_refreshes(self, drifts: list[Drift], faults: list[Drawn], forgetful: bool) -> None:
        for drift in drifts:
            self._behind_our_back(drift.action, drift.pick)
        if forgetful:
            # An empty list must not make the provider drop containers that exist from the state.
            faults = [
                Drawn("containers.list", "answer", 1, 0, {"body": {"success": True, "data": []}}),
                *faults,
            ]
        outcome = self._operate("refresh", faults, lambda stack: stack.refresh())
        if not outcome.errors:
            # What the lists did not show stays in the state, with a warning.
            self.vanished = {
                id_
                for id_ in self.vanished
                if any(f"{id_} stays in the state" in text for text in self.texts)
            }

    def _edit(self, changes: list[Edit]) -> None:
        for one in changes:
            self.counts["steps"] += 1
            if one.what == "Container":
                name = (*NAMES, VPN)[one.pick % (len(NAMES) + 1)]
                self.program.add_container(name, TEMPLATES[one.variant % len(TEMPLATES)])
            elif one.what == "change":
                self.program.change(one.pick, one.variant)
            elif one.what == "remove":
                self.program.remove(one.pick)
            else:
                self.program.add_child(one.what, one.pick, one.variant)

    def _behind_our_back(self, action: str, pick: int) -> None:
        self.counts["steps"] += 1
        with self.emulator.platform.lock:
            ids = sorted(self.emulator.state.containers)
        before = holdings(self.emulator)
        # The dashboard refuses the same changes as the API.
        with contextlib.suppress(Refusal, KeyError, OSError):
            name = (*NAMES, "zinnia")[pick % (len(NAMES) + 1)]
            if action == "foreign":
                self._somebody_else_makes_a_container(name)
            elif action == "boot will fail":
                self.emulator.fail_boot(name)
            elif action == "backup will fail":
                self.emulator.fail_backup(name)
            elif ids:
                self._drift(action, ids[pick % len(ids)], pick)
            self.counts["drifts"] += 1
        self._let_time_pass()
        after = holdings(self.emulator)
        self.vanished |= before - after
        self.foreign = (self.foreign | (after - before)) & after

    def _let_time_pass(self) -> None:
        """Let every list catch up: the next operation sees what another person has done."""
        if self.platform is not None:
            self.emulator.advance(60)

    def _somebody_else_makes_a_container(self, name: str) -> None:
        request = urllib.request.Request(
            f"{self.emulator.url}/containers",
            f'{{"name": "{name}", "template": "redis"}}'.encode(),
            {"Authorization": f"Bearer {self.emulator.key}", "Content-Type": "application/json"},
        )
        urllib.request.urlopen(request, timeout=60).close()

    def _drift(self, action: str, container: str, pick: int) -> None:
        drift, state = self.emulator.drift, self.emulator.state
        found = state.containers[container]
        if action == "close":
            drift.set_external_access(container, enabled=False)
        elif action == "allow_ip":
            drift.allow_ip(container, f"192.0.2.{pick + 2}")
        elif action == "remove_ip" and found.allowed_ips:
            drift.remove_ip(container, found.allowed_ips[pick % len(found.allowed_ips)].ip_address)
        elif action == "disconnect":
            names = [made.name for made in state.connections.values() if made.source == container]
            drift.disconnect(container, names[pick % len(names)] if names else "")
        elif action == "unpin" and state.backups:
            drift.unpin(list(state.backups)[pick % len(state.backups)])
        elif action == "device":
            drift.add_vpn_client(container, f"guest{pick}")
        elif action in {"stop", "fail", "delete"}:
            getattr(drift, action)(container)

    # --- the rules ---

    def _operate(self, verb: str, faults: list[Drawn], operate: Callable[[MiniStack], Outcome]) -> Outcome:
        self.counts["steps"] += 1
        self.counts[verb] += 1
        queued = [fault.set(self.emulator) for fault in faults]
        before, targets = holdings(self.emulator), connected(self.emulator)
        with self.hosts.one() as host:
            stack = self.stack = MiniStack(host) if self.stack is None else self.stack.on(host)
            # Copies, as a rename changes the name and a deletion the id. An SSH key has the id of its container.
            known = [copy.copy(resource) for resource in stack.in_state()]
            outcome = operate(stack)
            for fault in queued:
                self.counts["faults fired"] += fault.fired
                self.counts[f"fault {fault.kind}"] += fault.fired
            self.emulator.faults.clear()
            self.texts = [*outcome.messages, *(line.text for line in host.engine.lines)]
        self.counts["errors"] += len(outcome.errors)
        after = holdings(self.emulator)
        self.released |= stack.retained
        self._nothing_deleted_unasked(before - after, outcome, known, targets)
        self.foreign |= self._left_open(after - before, outcome)
        self._nothing_unknown(after, stack, known)
        self._nothing_untrue(after, stack, outcome)
        self._nothing_told(stack)
        for error in outcome.messages:
            assert "internal error" not in error, error
            assert "\n" not in error.strip(), error
        return outcome

    def _nothing_deleted_unasked(
        self, lost: set[str], outcome: Outcome, known: Known, targets: Mapping[str, str]
    ) -> None:
        deleted = {name for op, name in outcome.steps if op == "delete"}
        assert self.stack is not None
        asked = claims(resource for resource in known if resource.name in deleted)
        asked |= self.stack.forgotten | self._half_changed(outcome)
        # A resource may have another name after the operation.
        closed = {
            resource.id
            for resource in (*known, *self.stack.in_state())
            if resource.kind == "Container"
            and ("update", resource.name) in outcome.steps
            and not self._wants_access(resource.name)
        }
        unasked = {id_ for id_ in lost if id_ not in asked and id_.partition("/")[0] not in asked | closed}
        # A connection is deleted with its target, even if the connection is retained.
        unasked = {id_ for id_ in unasked if targets.get(id_) not in asked}
        assert not unasked, f"deleted, but not removed from the program: {sorted(unasked)}"
        self.foreign -= lost

    def _half_changed(self, outcome: Outcome) -> set[str]:
        """
        Return the addresses whose change failed.

        A changed entry is deleted and added again: after a failure in between it is missing until the next up.
        """
        assert self.stack is not None
        return {
            resource.id
            for resource in self.stack.in_state()
            if resource.kind == "AllowedIp" and resource.name in outcome.errors
        }

    def _wants_access(self, name: str) -> bool:
        return name in self.program.names() and bool(self.program.inputs(name).get("external_access"))

    def _left_open(self, new: set[str], outcome: Outcome) -> set[str]:
        """Return what creations with an unknown outcome may have left; their errors ask the user to look for it."""
        assert self.stack is not None
        found = set()
        for name, error in outcome.errors.items():
            if UNKNOWN_OUTCOME not in error.message or ("create", name) not in outcome.steps:
                continue
            inputs = self.program.inputs(name)
            parent = inputs.get("container", inputs.get("source"))
            if isinstance(parent, Ref):
                beginning = f"{self.stack.resources[parent.name].id}/"
                found |= {id_ for id_ in new if id_.startswith(beginning)}
            else:
                found |= {id_ for id_ in new if id_.endswith(f"-{inputs['name']}")}
        return found - claims(self.stack.in_state())

    def _nothing_unknown(self, after: set[str], stack: MiniStack, known: Known) -> None:
        claimed = claims(stack.in_state())
        # A backup is kept by intention after its resource was removed, unless the program asks to delete it.
        gone = {resource.id for resource in known if resource.kind == "PinnedBackup"} - claimed
        self.released |= gone
        unknown = after - claimed - self.foreign - self.released - stack.forgotten - failures(self.emulator)
        assert not unknown, f"in the account, and in no state: {sorted(unknown)}"

    def _nothing_untrue(self, after: set[str], stack: MiniStack, outcome: Outcome) -> None:
        # Without a readable answer a deletion may have been carried out; its error must report the unknown outcome.
        self.vanished |= {id_ for id_, message in outcome.undeleted.items() if UNKNOWN_OUTCOME in message}
        # An old half that is still to be deleted may no longer exist: if the new half adopted its object, the deletion
        # of the new half deleted the object of both.
        missing = claims(stack.resources.values()) - after - self.vanished - self._half_changed(outcome)
        missing = {id_ for id_ in missing if id_.partition("/")[0] not in self.vanished}
        assert not missing, f"in the state, and not in the account: {sorted(missing)}"

    def _nothing_told(self, stack: MiniStack) -> None:
        texts = "\n".join([*self.texts, self.hosts.last_words])
        for secret in secrets(self.emulator, stack.in_state()):
            assert secret not in texts, "a text contains a secret"
        assert not re.search("PRIVATE KEY|PrivateKey", texts), "a text contains a private key"

    # --- the end ---

    def close(self) -> None:
        """Stop the hosts and the emulator."""
        self.hosts.close()
        self.emulator.stop()

    def converges(self) -> None:
        """Check that the program converges without faults, and that `destroy` leaves nothing."""
        self.emulator.state.boot_failures.clear()
        self.emulator.state.backup_failures.clear()
        for id_ in sorted(self.foreign):
            if "/" not in id_ and id_ in self.emulator.state.containers:
                self.emulator.drift.delete(id_)
        self._let_time_pass()
        self._operate("refresh", [], lambda stack: stack.refresh())
        self.vanished.clear()
        first = self._operate("up", [], lambda stack: stack.up(list(self.program)))
        assert not first.errors, f"without faults, after a refresh: {first.messages}"
        again = self._operate("up", [], lambda stack: stack.up(list(self.program)))
        assert again.steps == [], f"an up that should be quiet did {again.steps}"
        assert self.stack is not None
        assert set(self.stack.resources) == set(self.program.names())
        gone = self._operate("destroy", [], lambda stack: stack.destroy())
        assert not gone.errors, gone.messages
        left = {id_ for id_ in holdings(self.emulator) if "/" not in id_} - self.released
        assert not left, f"destroy left {sorted(left)}"
