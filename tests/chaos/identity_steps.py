"""
Chaos with steps that change the URN, the identity or the owner of an object.

Renames with and without an alias, moves into a component, forced replacements, targets, containers that were recreated
under the same name, retained resources, transforms, and a second stack on the same account. In addition to the rules of
`random_steps`: a container that another stack or the dashboard made is not deleted, changed or adopted.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable
from typing import Any

from tests.chaos.account import holdings
from tests.chaos.faults import Drawn, drawn
from tests.chaos.ministack import MiniStack, Outcome
from tests.chaos.program import DELETE_FIRST, NAMES, RETAIN, TEMPLATES, Program
from tests.chaos.random_steps import Chaos, Edit, edits, flip, pick, turn, variant
from tests.support.platforms import Reading

__all__ = ["DEFAULT", "STEPS", "IdentityChaos", "chosen"]

STEPS = (
    "rename",
    "rename without alias",
    "move",
    "replace",
    "target",
    "recreate",
    "second stack",
    "retain",
    "transform",
    "children",
)
"""The steps to choose from. `children`: children delete themselves, as without `stacks:deleteChildrenWithContainer`."""

DEFAULT = "all"
"""The steps that a run uses by default."""

Identity = tuple[str, float]

OURS, THEIRS, OUTSIDE = "this stack", "the other stack", "the dashboard"


def chosen(text: str) -> frozenset[str]:
    """
    Return the steps that `all`, `none` or a list with commas stands for.

    Raises:
        ArgumentTypeError: There is no such step.
    """
    names = {"all": frozenset(STEPS), "none": frozenset[str]()}.get(text)
    if names is None:
        names = frozenset(name.strip() for name in text.split(","))
    if names - set(STEPS):
        raise argparse.ArgumentTypeError(
            f"no such step: {', '.join(sorted(names - set(STEPS)))}; there are {', '.join(STEPS)}"
        )
    return names


class IdentityChaos(Chaos):
    """
    One account, two stacks, and resources that change their names.

    Args:
        host: Which host the providers run in.
        counts: How many steps, operations and faults there were.
        steps: The steps that this run uses.
        platform: What the platform does. The provider then has its defaults alone.
    """

    def __init__(
        self,
        host: str = "dynamic",
        counts: Counter[str] | None = None,
        steps: frozenset[str] = frozenset(STEPS),
        platform: Reading | None = None,
    ) -> None:
        self.steps = steps
        super().__init__(host, counts, platform)
        self.owners: dict[Identity, str] = {}
        self.other: MiniStack | None = None
        self.targeted = False

    def new_program(self) -> Program:
        return Program(deleted_with="children" not in self.steps)

    # --- the steps ---

    @turn("rename", pick=pick, replaced=flip, moved=flip, faults=drawn)
    def renames_with_an_alias(self, pick: int, replaced: bool, moved: bool, faults: list[Drawn]) -> None:
        self.counts["rename"] += 1
        self.program.rename(pick, alias=True, replaced=replaced)
        if moved and "move" in self.steps:
            self.program.move(pick)
        self._up(faults)

    @turn("rename without alias", pick=pick, replaced=flip, faults=drawn)
    def renames_without_an_alias(self, pick: int, replaced: bool, faults: list[Drawn]) -> None:
        self.counts["rename without alias"] += 1
        name = self.program.rename(pick, alias=False, replaced=replaced)
        outcome = self._up(faults)
        if name is not None and outcome.errors:
            # Do what the error says: add the earlier name as an alias.
            self.program.remember(name)

    @turn("move", pick=pick, variant=variant, faults=drawn)
    def moves_into_a_component(self, pick: int, variant: int, faults: list[Drawn]) -> None:
        self.counts["move"] += 1
        self.program.move(pick)
        self.program.change(pick, variant)
        self._up(faults)

    @turn("replace", pick=pick, faults=drawn)
    def forces_a_replacement(self, pick: int, faults: list[Drawn]) -> None:
        self.counts["replace"] += 1
        self._up(faults, force=self._some_name(pick))

    @turn("target", pick=pick, variant=variant, faults=drawn)
    def runs_up_for_a_target(self, pick: int, variant: int, faults: list[Drawn]) -> None:
        self.counts["target"] += 1
        self.program.change(pick, variant)
        self.targeted = True
        try:
            self._up(faults, target=self._some_name(pick))
        finally:
            self.targeted = False

    @turn("recreate", pick=pick, same=flip)
    def recreates_a_container(self, pick: int, same: bool) -> None:
        self.counts["recreate"] += 1
        self.counts["steps"] += 1
        before = holdings(self.emulator)
        # Two containers of one moment have the same creation time.
        self.emulator.advance(1)
        with self.emulator.platform.lock:
            found = list(self.emulator.state.containers.values())
            if not found:
                return
            old = found[pick % len(found)]
            vpn = old.template == "stacks-vpn"
            others = [template for template in (*TEMPLATES, "redis") if template != old.template]
            new = self.emulator.drift.recreate(
                old.id, **({} if same or vpn else {"template": others[pick % len(others)]})
            )
        # Let it boot, so that a later refusal has no other reason.
        self.emulator.drift.start(new.id)
        self._let_time_pass()
        self.vanished |= before - holdings(self.emulator)
        self.foreign.add(new.id)
        self.released.discard(new.id)

    @turn("retain", pick=pick)
    def retains_a_resource(self, pick: int) -> None:
        self.counts["retain"] += 1
        self.counts["steps"] += 1
        self.program.retain(pick)
        self._up([])

    @turn("transform", changes=edits(1, 2), pick=pick, retained=flip, faults=drawn)
    def a_transform_sets_an_option(
        self, changes: list[Edit], pick: int, retained: bool, faults: list[Drawn]
    ) -> None:
        """Run one `up` of a program with a transform, which replaces one resource and changes others."""
        self.counts["transform"] += 1
        self.program.transform = RETAIN if retained else DELETE_FIRST
        try:
            self._edit(changes)
            self._up(faults, force=self._some_name(pick))
        finally:
            self.program.transform = ""

    @turn("second stack", pick=pick, destroyed=flip)
    def the_second_stack_runs(self, pick: int, destroyed: bool) -> None:
        """The second stack declares a container that only it has and one whose name this stack uses too."""
        self.counts["second stack"] += 1
        program = Program(deleted_with=False)
        program.add_container("elder", "nodejs")
        program.add_child("AllowedIp", 0, 0)
        program.add_container(NAMES[pick % 2], TEMPLATES[pick % len(TEMPLATES)])
        self.counts["steps"] += 1
        before, mine = self._identities(), holdings(self.emulator)
        with self.hosts.one() as host:
            self.other = MiniStack(host) if self.other is None else self.other.on(host)
            if destroyed:
                self.other.destroy()
            else:
                self.other.up(list(program))
        self._nothing_foreign_touched(THEIRS, before)
        after = holdings(self.emulator)
        self.vanished |= mine - after
        self.foreign = (self.foreign | (after - mine)) & after

    def _up(self, faults: list[Drawn], **how: frozenset[str]) -> Outcome:
        outcome = self._operate("up", faults, lambda stack: stack.up(list(self.program), **how))
        if not outcome.errors and "target" not in how:
            self.program.settled()
        return outcome

    def _some_name(self, pick: int) -> frozenset[str]:
        names = self.program.names()
        return frozenset({names[pick % len(names)]} if names else ())

    # --- what must hold ---

    def _operate(self, verb: str, faults: list[Drawn], operate: Callable[[MiniStack], Outcome]) -> Outcome:
        before = self._identities()
        outcome = super()._operate(verb, faults, operate)
        self._nothing_foreign_touched(OURS, before)
        return outcome

    def _identities(self) -> dict[Identity, tuple[Any, ...]]:
        """Every container by its identity, with what an operation could change of it."""
        with self.emulator.platform.lock:
            state = self.emulator.state
            found = {
                (one.id, one.created_at): (
                    one.running_since,
                    one.boots,
                    one.external_access,
                    one.certificate_serial,
                    tuple(sorted(entry.ip_address for entry in one.allowed_ips)),
                    tuple(sorted(client.name for client in one.vpn_clients)),
                )
                for one in state.containers.values()
                if one.status != "deleting"
            }
        for identity in found:
            # A container without an owner before an operation begins was made in the dashboard.
            self.owners.setdefault(identity, OUTSIDE)
        return found

    def _nothing_foreign_touched(self, actor: str, before: dict[Identity, tuple[Any, ...]]) -> None:
        with self.emulator.platform.lock:
            state = self.emulator.state
            for one in state.containers.values():
                self.owners.setdefault((one.id, one.created_at), actor)
        after = self._identities()
        for identity, facts in before.items():
            owner = self.owners[identity]
            if owner == actor:
                continue
            assert identity in after, f"{actor} deleted {identity}, which is of {owner}"
            # A container that boots becomes running by itself.
            began = 1 if facts[0] is None else 0
            # With `--target` the provider sees only the container's id.
            assert after[identity][began:] == facts[began:] or self.targeted, (
                f"{actor} changed {identity}, which is of {owner}: {facts} is {after[identity]}"
            )

    def converges(self) -> None:
        if self.other is not None:
            with self.hosts.one() as host:
                self.other.on(host).refresh()
                self.other.destroy()
        retained = {id_ for id_ in self.released if "/" not in id_}
        self.foreign |= retained
        super().converges()
