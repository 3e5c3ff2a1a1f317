"""Random programs and changes: what an `up` does was in its preview, in both hosts."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from random import Random
from typing import Any, ClassVar, Final

from stacks_pulumi.pricing.recognition import is_unknown
from stacks_pulumi.resources._identity import ORIGIN
from stacks_pulumi.resources.handlers import HANDLERS
from tests.chaos.ministack import MiniStack, Outcome, Ref
from tests.chaos.program import NAMES, TEMPLATES, VPN, Program
from tests.chaos.proof import PLATFORMS, plain
from tests.chaos.random_steps import Chaos, Drift, Edit, drifts, flip, pick, variant
from tests.prove.proof import Case, Proof, Seen
from tests.support.host import HOSTS, SECRET, HostedResource
from tests.support.platforms import READINGS

__all__ = ["PreviewsProof"]

TRIGGERS: Final = {
    "Container": "restart_triggers",
    "SshCertificate": "rotate_triggers",
    "VpnClient": "rotate_triggers",
    "PinnedBackup": "triggers",
    "BackupRestore": "triggers",
}
EDITS: Final = (
    *("AllowedIp", "Connection", "PinnedBackup", "VpnClient", "SshCertificate", "BackupRestore"),
    *("change", "change", "vary", "vary", "vary", "follow", "follow", "follow", "remove"),
)


class Following(Program):
    """A program whose resources follow outputs of others, and in which every input changes."""

    def restore(self, pick: int) -> None:
        """Declare a restore of a backup."""
        backups = self.names("PinnedBackup")
        if backups:
            name = backups[pick % len(backups)]
            self._add("BackupRestore", f"{name}-back", {"backup_id": Ref(name, "backup_id")}, None)

    def follow(self, pick: int, variant: int) -> None:
        """Let the triggers of a resource be an output of a resource that is declared before it."""
        name, kind = self._some(pick)
        before = self.names()[: self.names().index(name)]
        if before and kind in TRIGGERS:
            other = before[(pick + variant) % len(before)]
            outputs = [output.name for output in HANDLERS[self._declared[other]["kind"]].outputs]
            if outputs:
                self.inputs(name)[TRIGGERS[kind]] = [Ref(other, outputs[pick % len(outputs)]), str(variant)]

    def vary(self, pick: int, variant: int) -> None:
        """Change one of the inputs that `change` leaves as they are."""
        name, kind = self._some(pick)
        inputs = self.inputs(name)
        if kind == "Container" and not any(name in declared.needs for declared in self):
            inputs["desired_status"] = ("running", "stopped")[variant % 2]
        elif kind == "AllowedIp":
            inputs["service_type"] = ("http", "tcp", "both")[variant % 3]
            inputs["revoke_auto_added"] = variant % 2 == 0
        elif kind == "VpnClient":
            inputs["store_config"] = not inputs.get("store_config", True)
        elif kind == "PinnedBackup":
            inputs["on_delete"] = ("unpin", "delete", "keep")[variant % 3]
        elif kind == "BackupRestore":
            inputs["triggers"] = [str(variant)]

    def _some(self, pick: int) -> tuple[str, str]:
        name = self.names()[pick % len(self)]
        return name, self._declared[name]["kind"]


class Previews(Chaos):
    """An account and a stack whose every `up` has a preview."""

    program: Following

    def new_program(self) -> Program:
        return Following()

    def begin(self, children: list[Edit]) -> None:
        for name, template in zip((*NAMES[:2], VPN), TEMPLATES, strict=True):
            self.program.add_container(name, template)
        self.turn(children, [], refresh=False)

    def turn(self, changes: list[Edit], drifts: list[Drift], *, refresh: bool) -> None:
        """Let somebody use the dashboard and change the program, and run a preview and then `up`."""
        for drift in drifts:
            self._behind_our_back(drift.action, drift.pick)
        if refresh:
            self._on_host(lambda stack: stack.refresh())
        self._edit(changes)
        before = {} if self.stack is None else dict(self.stack.resources)
        foreseen, promised = self._on_host(self._preview)
        self.counts["previews"] += 1
        if promised.errors:
            # The engine does not run an `up` after it.
            self.counts["refused"] += 1
            return
        olds = {name: dict(resource.outs) for name, resource in before.items()}
        outcome = self._on_host(lambda stack: stack.up(list(self.program)))
        self.counts["errors"] += len(outcome.errors)
        assert self.stack is not None
        self._every_step_was_shown(promised, outcome)
        done = {name for _, name in outcome.steps} - outcome.errors.keys()
        for name in done & self.stack.resources.keys():
            self._every_change_was_shown(foreseen.resources[name], self.stack.resources[name], olds.get(name))

    def _preview(self, stack: MiniStack) -> tuple[MiniStack, Outcome]:
        foreseen = stack.foreseen()
        return foreseen, foreseen.up(list(self.program))

    def _on_host(self, operate: Callable[[MiniStack], Any]) -> Any:
        with self.hosts.one() as host:
            self.stack = MiniStack(host) if self.stack is None else self.stack.on(host)
            return operate(self.stack)

    def _edit(self, changes: list[Edit]) -> None:
        for one in changes:
            if one.what == "BackupRestore":
                self.program.restore(one.pick)
            elif one.what == "follow" and len(self.program):
                self.program.follow(one.pick, one.variant)
            elif one.what == "vary" and len(self.program):
                self.program.vary(one.pick, one.variant)
            else:
                super()._edit([one])
        for name in {name for declared in self.program for name in declared.needs}:
            # A child is not created in a container that the program stops.
            self.program.inputs(name).pop("desired_status", None)

    # --- the rules ---

    def _every_step_was_shown(self, promised: Outcome, outcome: Outcome) -> None:
        shown, ran = Counter(promised.steps), Counter(outcome.steps)
        for name in {name for _, name in ran}:
            replaced = shown["create", name] and shown["delete", name]
            if ran["update", name] and not shown["update", name] and replaced:
                # The engine accepts an update in the place of a replacement.
                ran["update", name] -= 1
        for op, name in shown:
            self.counts[f"{op}s shown"] += 1
            self.counts[f"{op}s shown in vain"] += not ran[op, name] and not outcome.errors
        unseen = sorted((ran - shown).elements())
        assert not unseen, f"ran, and was not in the preview: {unseen}"

    def _every_change_was_shown(
        self, shown: HostedResource, made: HostedResource, before: Mapping[str, Any] | None
    ) -> None:
        handler = HANDLERS[made.kind]
        inputs = {field.name for field in handler.fields}
        for name in {*inputs, *(output.name for output in handler.outputs), ORIGIN}:
            self.counts["values"] += 1
            changed = before is not None and before.get(name) != made.outs.get(name)
            self.counts["changes"] += changed
            if name not in shown.outs or is_unknown(shown.outs[name]):
                # An SDK treats a property that is missing at preview as unknown.
                self.counts["unknown in vain"] += before is not None and not changed
                continue
            known, became = shown.outs[name], made.outs.get(name)
            assert known == became, f"{made.kind} {name}: the preview shows {known!r}, and it is {became!r}"
        for output in handler.outputs:
            if output.secret and output.name in shown.raw:
                mark = shown.raw[output.name]
                self.counts["secrets"] += 1
                assert isinstance(mark, dict), f"{made.kind} {output.name} is not marked as a secret"
                assert SECRET.items() <= mark.items(), f"{made.kind} {output.name} is not marked as a secret"
        others = {name: value for name, value in shown.raw.items() if name not in inputs}
        text = re.sub(r'\{[^{}]*"value"[^{}]*\}', "", json.dumps(others))
        assert not re.search("PRIVATE KEY|PrivateKey", text), f"{made.kind}: a key in plain text"


class PreviewsProof(Proof):
    """A case is one program with its changes, in one of the hosts, maybe on another platform."""

    about = (
        "every step of an `up` and every output that changes was in its preview, and secrets are marked in it"
    )
    cases = 300
    # Most of the time is spent waiting.
    at_once = 4
    least: ClassVar[Mapping[str, int]] = {"previews": 20, "updates shown": 10, "changes": 20, "secrets": 5}

    @classmethod
    def short(cls) -> Iterator[list[str]]:
        yield ["--seed=20261127", "--cases=8"]

    def draw(self, chance: Random) -> Iterator[Case]:
        hosts = sorted(HOSTS)
        while True:
            yield {
                "host": chance.choice(hosts),
                "platform": chance.choice(PLATFORMS) if chance.random() < 0.3 else None,
                "children": plain(_edits(3, 6)(chance)),
                "turns": [
                    {
                        "changes": plain(_edits(1, 4)(chance)),
                        "drifts": plain(drifts(0, 1)(chance)),
                        "refresh": flip(chance),
                    }
                    for _ in range(chance.randint(2, 5))
                ],
            }

    def run(self, case: Case, seen: Seen) -> None:
        facts = READINGS[case["platform"]] if case.get("platform") else None
        life = Previews(case["host"], seen.counts, facts)
        try:
            life.begin([Edit(**one) for one in case["children"]])
            for turn in case["turns"]:
                life.turn(
                    [Edit(**one) for one in turn["changes"]],
                    [Drift(**one) for one in turn["drifts"]],
                    refresh=turn["refresh"],
                )
        finally:
            life.close()
            seen.note = (
                f"{case['host']}, {seen.counts['previews']} previews, {seen.counts['changes']} changes"
            )


def _edits(least: int, most: int) -> Callable[[Random], list[Edit]]:
    return lambda chance: [
        Edit(chance.choice(EDITS), pick(chance), variant(chance)) for _ in range(chance.randint(least, most))
    ]
