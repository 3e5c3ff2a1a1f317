"""
Random programs on the real engine: what the gate saw in a plan is what `up` did with it, in both hosts.

A case is a stack with some programs, one after the other. Each of them is previewed with `--save-plan`, judged from the
plan and the state alone, and made with `up --plan`. Each program also has resources of a second provider,
which is a dynamic one in Python.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any, ClassVar, Final

from stacks_pulumi import catalog
from stacks_pulumi._pulumi_cli import InputError
from stacks_pulumi.api import StacksClient
from stacks_pulumi.cost.build import Pricer
from stacks_pulumi.emulator import Emulator
from stacks_pulumi.gate.change import Change, changes_of, contradictions
from stacks_pulumi.gate.settings import Gate, read_gate
from stacks_pulumi.gate.verdict import judge
from stacks_pulumi.pricing.money import Price, total
from stacks_pulumi.pricing.recognition import ADOPTS
from tests.prove.proof import Case, Proof, Seen
from tests.support.accounts import running
from tests.support.clock import fast_clock
from tests.support.stack import Result, Stack
from tools.engine.engine import Engine
from tools.engine.ensure import ensure, ensure_oldest

__all__ = ["GateProof"]

PLANS: Final = ("micro", "basic", "premium")
CONTAINERS: Final = ("con0", "con1", "con2")
THINGS: Final = ("t0", "t1", "t2")
LESS: Final = frozenset({"update", "replace", "create-replacement", "delete-replaced", "create"})
"""Steps in whose place the engine accepts a smaller one."""
SILENT: Final = frozenset({"same", "read", "refresh"})
ENTRY_ONLY: Final = frozenset({"remove-pending-replace"})
"""The object was deleted by an update before, and only its entry leaves the state."""
ENDS: Final = frozenset({"delete", "delete-replaced"})

GATE: Final = """\
version: 1
free: {increase_per_day: 1000}
rules: {unpriced: approve, keeps-billed: approve}
prices: prices.yaml
"""
PRICES: Final = """\
prices:
  - {type: "pulumi-python:dynamic/acme:Thing", property: size, prices: {small: 2, large: 20-30}}
"""
PRELUDE: Final = '''
class _Things(pulumi.dynamic.ResourceProvider):
    """A second provider: a changed colour replaces."""

    def create(self, props):
        return pulumi.dynamic.CreateResult(f"thing-{props['color']}", {**props, "made": props["size"]})

    def diff(self, id_, olds, news):
        replaces = ["color"] if olds["color"] != news["color"] else []
        changed = any(olds.get(name) != news.get(name) for name in ("size", "color", "note"))
        return pulumi.dynamic.DiffResult(changed, replaces, [], news.get("first", False))

    def update(self, id_, olds, news):
        return pulumi.dynamic.UpdateResult({**news, "made": news["size"]})


class Thing(pulumi.dynamic.Resource, module="acme", name="Thing"):
    made: pulumi.Output[str]

    def __init__(self, resource_name, opts=None, **props):
        super().__init__(_Things(), resource_name, {**props, "made": None}, opts)


class Group(pulumi.ComponentResource):
    def __init__(self, resource_name, opts=None):
        super().__init__("acme:index:Group", resource_name, {}, opts)


def later(value):
    return anchor.status.apply(lambda _: value)


def urn(name, type_):
    return f"urn:pulumi:dev::tests::{type_}::{name}"


anchor = stacks.Container("anchor", template="nodejs", plan="micro", restart_triggers=[TURN])
'''


class GateProof(Proof):
    """A case is a stack with its programs, in one of the hosts."""

    about = "what the gate sees in a saved plan is what `up` does with it"
    # Each has four programs.
    cases = 75
    at_once = 2
    least: ClassVar[Mapping[str, int]] = {"programs": 4, "created": 5, "deleted": 1, "values": 20}

    @classmethod
    def short(cls) -> list[list[str]]:
        return [["--seed=11", "--cases=1"]]

    @classmethod
    def add_options(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--oldest", action="store_true", help="on the oldest engine that is supported")

    def draw(self, chance: Random) -> Iterator[Case]:
        while True:
            yield {
                "host": chance.choice(("dynamic", "native")),
                "programs": [_program(chance) for _ in range(4)],
            }

    def run(self, case: Case, seen: Seen) -> None:
        folder = Path(tempfile.mkdtemp(prefix="gate-proof-"))
        try:
            with Emulator(strict=False, clock=fast_clock()) as api:
                engine = ensure_oldest() if self.given.oldest else ensure()
                life = _Life(api, folder, case["host"], seen, engine)
                for number, program in enumerate(case["programs"]):
                    life.turn(number, program)
        finally:
            seen.note = f"{case['host']}, {seen.counts['programs']} programs, {seen.counts['steps']} steps"
            shutil.rmtree(folder, ignore_errors=True)


def _program(chance: Random) -> dict[str, Any]:
    return {
        "containers": [_container(chance, name) for name in CONTAINERS if chance.random() < 0.7],
        "things": [_thing(chance, name) for name in THINGS if chance.random() < 0.6],
        "children": [_child(chance) for _ in range(chance.randrange(4))],
        "group": chance.choice((None, None, "g", "h")),
        "before": [_event(chance) for _ in range(chance.randrange(2))],
        "target": chance.random() < 0.15,
    }


def _container(chance: Random, name: str) -> dict[str, Any]:
    def one_in(number: int) -> bool:
        return chance.randrange(number) == 0

    return {
        "name": name,
        "plan": chance.choice(PLANS),
        "renamed": one_in(4),
        "unknown": one_in(6),
        "triggers": chance.randrange(3),
        "external": chance.choice((None, None, True, False)),
        "retain": one_in(8),
        "protect": one_in(10),
        "with": chance.choice((None,) * 6 + CONTAINERS),
        "alias": one_in(6),
        "grouped": one_in(4),
        "adopt": one_in(5),
        "import": one_in(10),
        "read": one_in(25),
    }


def _thing(chance: Random, name: str) -> dict[str, Any]:
    return {
        "name": name,
        "size": chance.choice(("small", "large", "huge")),
        "color": chance.choice(("red", "red", "blue")),
        "note": chance.choice((None, "a", "b")),
        "first": chance.random() < 0.5,
        "retain": chance.random() < 0.1,
        "grouped": chance.random() < 0.3,
        "alias": chance.random() < 0.1,
    }


def _child(chance: Random) -> dict[str, Any]:
    return {
        "kind": chance.choice(("AllowedIp", "AllowedIp", "Connection", "PinnedBackup", "BackupRestore")),
        "of": chance.choice(CONTAINERS),
        "to": chance.choice(CONTAINERS),
        "variant": chance.randrange(3),
    }


def _event(chance: Random) -> dict[str, Any]:
    return {
        "what": chance.choice(("delete", "resize", "open", "left-over", "refresh")),
        "container": chance.choice(CONTAINERS),
    }


class _Life:
    """A stack whose every `up` follows a plan that was judged."""

    def __init__(self, api: Emulator, folder: Path, host: str, seen: Seen, engine: Engine) -> None:
        self.api = api
        self.host = host
        self.seen = seen
        self.stack = Stack.of(api, folder / "stack", engine)
        self.stack.env["PULUMI_EXPERIMENTAL"] = "1"
        if host == "native":
            self.stack.native()
        self.gate = _gate(folder / "gate")
        self.pricer = Pricer(others=self.gate.prices)
        self.open = set[str]()

    def turn(self, number: int, program: dict[str, Any]) -> None:
        """Let something happen to the account, and make a program through a plan."""
        for event in program["before"]:
            self._happen(event)
        source, targets = self._source(number, program)
        self.stack.program(source, host=self.host)
        before = self.stack.export().encode()
        plan = self.stack.folder / "plan.json"
        plan.unlink(missing_ok=True)
        preview = self.stack.engine("preview", "--save-plan", str(plan), *targets)
        self.seen.counts["programs"] += 1
        self.seen.counts["with targets"] += bool(targets)
        if preview.code != 0:
            self.seen.counts["refused by the engine"] += 1
            return
        events = (self.stack.folder / "events.json").read_bytes()
        try:
            changes = changes_of(plan.read_bytes(), before, self.pricer)
        except InputError as refused:
            # The engine would refuse it too: `up` then makes other steps than the plan has.
            if "it is imported and replaced in one change" not in str(refused):
                raise
            self.seen.counts["imported and replaced"] += 1
            return
        contradicted = contradictions(changes, events)
        if contradicted and any(one["read"] for one in program["containers"]):
            # A managed object that is only looked up from now on: the gate refuses that.
            self.seen.counts["contradicted"] += 1
            return
        if any("adopts another: make two changes" in text for text in contradicted):
            self.seen.counts["adopted in a replacement"] += 1
            return
        assert contradicted == (), contradicted
        paid = self._paid()
        done = self.stack.engine("up", "--yes", "--skip-preview", "--plan", str(plan), *targets)
        self._steps_were_seen(changes, done)
        self._values_were_seen(changes, done)
        self._price_was_seen(changes, done, paid)

    # --- the rules ---

    def _steps_were_seen(self, changes: tuple[Change, ...], done: Result) -> None:
        seen: dict[str, set[str]] = defaultdict(set)
        for one in changes:
            seen[one.urn] |= set(one.steps)
            if one.object is not None and one.object.before is not None:
                seen[one.object.before.urn] |= set(one.steps)
        made: dict[str, set[str]] = defaultdict(set)
        for urn, op in done._operations():
            if "pulumi:pulumi:Stack" not in urn:
                made[urn].add(op)
                self.seen.counts["steps"] += 1
        for urn, ops in made.items():
            # Where a value was unknown, the engine accepts an update in the place of a replacement.
            unseen = ops - seen[urn] - ENTRY_ONLY - ({"update"} if "replace" in seen[urn] else set())
            assert not unseen, f"{urn}: up did {unseen}, and the gate saw {seen[urn]}\n{done.text}"
        if done.code == 0:
            for one in changes:
                urns = {one.urn, one.old_urn}
                urns |= {one.object.before.urn} if one.object and one.object.before else set()
                ops = {op for urn in urns for op in made.get(urn, ())}
                left = set(one.steps) - ops - SILENT - LESS - ENTRY_ONLY
                if not _is_default(one):
                    assert not left, f"{one.urn}: the gate saw {left}, and up did {ops}\n{done.text}"
        for one in changes:
            if one.acts and done.code == 0:
                order = " (deleted first)" if one.deleted_first else ""
                self.seen.counts[f"{one.operation}{order}"] += 1
                self.seen.counts["renamed"] += bool(one.old_urn)
                self.seen.counts["restored"] += one.kind == "BackupRestore" and one.operation != "delete"
                self.seen.counts["of the second provider"] += one.foreign
        verdict = judge(self.gate, changes, spent=Decimal(0))
        ended = [urn for urn, ops in made.items() if ops & ENDS]
        self.seen.counts[verdict.result] += 1
        self.seen.counts["deleted"] += len(ended)
        self.seen.counts["created"] += sum("create" in ops for ops in made.values())
        self.seen.counts["failed up"] += done.code != 0
        assert not ended or verdict.result in {"needs_approval", "refused"}, f"free, and deleted {ended}"
        assert not made or verdict.result != "nothing", f"nothing, and made {dict(made)}"

    def _values_were_seen(self, changes: tuple[Change, ...], done: Result) -> None:
        resources = json.loads(self.stack.export())["deployment"].get("resources") or []
        now = {one["urn"]: one for one in resources if not one.get("delete")}
        for one in changes:
            is_known = "all inputs" not in one.unknown and not one.note
            if one.operation in {"create", "update", "replace"} and is_known and done.code == 0:
                assert one.urn in now, one.urn
                inputs = now[one.urn].get("inputs", {})
                names = {*one.after, *inputs} - set(one.unknown) - {"__provider", "__defaults"}
                if "plan" in one.unknown:
                    # What exists is compared with it, and then only in the update.
                    names.discard(ADOPTS)
                for name in names:
                    assert one.after.get(name) == inputs.get(name) or _has_secret(inputs.get(name)), (
                        f"{one.urn} {name}: the gate saw {one.after.get(name)!r}, and it is {inputs.get(name)!r}"
                    )
                    self.seen.counts["values"] += 1
            if one.operation == "delete" and not one.note and done.code == 0:
                assert one.urn not in now, one.urn
            if (
                one.operation in {"update", "replace", "delete"}
                and one.kind == "Container"
                and done.code == 0
            ):
                exists = one.id in self.api.state.containers
                # Another resource may have adopted it, and then it is not deleted.
                adopted = any(other.get("id") == one.id for other in now.values())
                assert exists == (one.operation == "update") or adopted, f"{one.operation} {one.urn} {one.id}"

    def _price_was_seen(self, changes: tuple[Change, ...], done: Result, before: dict[str, Decimal]) -> None:
        if done.code != 0:
            return
        after = self._paid()
        # One that is only looked up is not the stack's.
        mine = {
            one.id for one in changes if one.kind == "Container" and one.id and one.operation != "discard"
        }
        state = json.loads(self.stack.export())["deployment"].get("resources") or []
        mine |= {one["id"] for one in state if one["type"].endswith(":Container") and not one.get("external")}
        paid = sum((price for id_, price in after.items() if id_ in mine), Decimal(0))
        told: Price = total(one.price_after for one in changes if one.kind == "Container")
        # Whether the engine deletes one of `deleted_with` before it is replaced depends on the order of its steps,
        # which a plan does not have. So the gate counts it beside the new one of its name.
        made = {one.container_name for one in changes if one.operation == "replace"}
        twice = total(
            one.price_after for one in changes if one.operation == "keep" and one.container_name in made
        )
        fits = told.low - twice.low <= paid and (told.high is None or paid <= told.high)
        assert fits, f"the gate saw {told}, and it costs {paid}"
        self.seen.counts["prices"] += 1
        more = sum(after.values(), Decimal(0)) - sum(before.values(), Decimal(0))
        most = [one.line.difference.high for one in changes if one.kind == "Container" and one.line]
        known = [one for one in most if one is not None]
        assert len(known) < len(most) or more <= sum(known), f"{more} more, and the gate saw {most}"

    def _paid(self) -> dict[str, Decimal]:
        return {
            id_: catalog.monthly_price(container.template, container.plan) or Decimal(0)
            for id_, container in self.api.state.containers.items()
        }

    # --- programs ---

    def _source(self, number: int, program: dict[str, Any]) -> tuple[str, list[str]]:
        lines = [PRELUDE.replace("TURN", repr(str(number // 2)))]
        group = program["group"]
        if group is not None:
            alias = {"g": "h", "h": "g"}[group]
            lines.append(
                f'group = Group("{group}", pulumi.ResourceOptions(aliases=[pulumi.Alias(name="{alias}")]))'
            )
        made: dict[str, str] = {}
        self.open = set[str]()
        urns: list[str] = []
        for one in program["containers"]:
            lines.append(self._container(one, made, group is not None))
            made[one["name"]] = f"v_{one['name']}"
            if one["external"]:
                self.open.add(one["name"])
        lines += [self._thing(one, group is not None) for one in program["things"]]
        lines += [self._child(index, one, made) for index, one in enumerate(program["children"])]
        if program["target"] and program["containers"]:
            urns = self._targets(program["containers"][0], group)
        return "\n".join(lines) + "\n", [word for urn in urns for word in ("--target", urn)]

    def _targets(self, one: dict[str, Any], group: str | None) -> list[str]:
        """Return the URN of a container, and sometimes the one that an alias names too."""
        named = [one, {**one, "alias": not one["alias"]}]
        urns = [self._urn(container, group) for container in named]
        return urns if one["triggers"] == 1 and f'"{urns[1]}"' in self.stack.export() else urns[:1]

    def _urn(self, one: dict[str, Any], group: str | None) -> str:
        type_ = (
            "stacks:index:Container" if self.host == "native" else "pulumi-python:dynamic/stacks:Container"
        )
        whole = f"acme:index:Group${type_}" if one["grouped"] and group else type_
        return f"urn:pulumi:dev::tests::{whole}::{_resource_name(one)}"

    def _container(self, one: dict[str, Any], made: dict[str, str], grouped: bool) -> str:
        name = one["name"]
        own = f"{name}-{one['plan']}" if one["renamed"] or one["retain"] else name
        plan = f'later("{one["plan"]}")' if one["unknown"] else f'"{one["plan"]}"'
        opts = [f"retain_on_delete={one['retain']}", f"protect={one['protect'] or None}"]
        if one["alias"]:
            opts.append(f'aliases=[pulumi.Alias(name="{name}")]')
        else:
            opts.append(f'aliases=[pulumi.Alias(name="{name}-moved")]')
        if one["grouped"] and grouped:
            opts.append("parent=group")
        if one["with"] in made:
            opts.append(f"deleted_with={made[one['with']]}")
        if one["import"] and own not in self.api.state.names():
            running(self.api, own, "nodejs", plan=one["plan"])
            opts.append(f'import_="{self.api.account}-{own}"')
        elif one["adopt"] and own not in self.api.state.names():
            running(self.api, own, "nodejs", plan=one["plan"])
        external = "" if one["external"] is None else f", external_access={one['external']}"
        if one["read"] and own in self.api.state.names():
            return (
                f'v_{name} = stacks.Container("{_resource_name(one)}", template="nodejs", '
                f'opts=pulumi.ResourceOptions(id="{self.api.account}-{own}"))'
            )
        return (
            f'v_{name} = stacks.Container("{_resource_name(one)}", template="nodejs", name="{own}", plan={plan}, '
            f'restart_triggers=["{one["triggers"]}"], replace_on_change=True, '
            f'adopt="{"never" if self._is_mine(own) else "if_matching"}"{external}, '
            f"opts=pulumi.ResourceOptions({', '.join(opts)}))"
        )

    def _is_mine(self, own: str) -> bool:
        return own not in self.api.state.names() or own in self.stack.export()

    def _thing(self, one: dict[str, Any], grouped: bool) -> str:
        name = one["name"]
        other = name if one["alias"] else f"{name}-moved"
        opts = [
            f'aliases=[pulumi.Alias(name="{other}")]',
            f"retain_on_delete={one['retain']}",
            *(["parent=group"] if one["grouped"] and grouped else []),
        ]
        return (
            f'Thing("{_resource_name(one)}", size="{one["size"]}", color="{one["color"]}", note={one["note"]!r}, '
            f"first={one['first']}, opts=pulumi.ResourceOptions({', '.join(opts)}))"
        )

    def _child(self, index: int, one: dict[str, Any], made: dict[str, str]) -> str:
        of, to = made.get(one["of"]), made.get(one["to"])
        if of is None:
            return ""
        name, variant = f"{one['kind']}-{index}".lower(), one["variant"]
        if one["kind"] == "AllowedIp":
            if one["of"] not in self.open:
                return ""
            return (
                f'stacks.AllowedIp("{name}", container={of}.id, ip_address="198.51.100.{variant}", '
                f'service_type="{("http", "tcp", "both")[variant]}", adopt="if_matching")'
            )
        if one["kind"] == "Connection" and to is not None and to != of:
            return (
                f'stacks.Connection("{name}", source={of}.id, target={to}.id, name="n{variant}", '
                'adopt="if_matching")'
            )
        if one["kind"] == "PinnedBackup":
            return (
                f'stacks.PinnedBackup("{name}", container={of}.id, triggers=["{variant}"], '
                f'on_delete="{("unpin", "delete", "keep")[variant]}")'
            )
        backups = sorted(self.api.state.backups)
        if one["kind"] == "BackupRestore" and backups:
            return f'stacks.BackupRestore("{name}", backup_id={backups[0]}, triggers=["{variant}"])'
        return ""

    # --- events ---

    def _happen(self, event: dict[str, Any]) -> None:
        names = [one for one in self.api.state.names() if one.startswith(event["container"])]
        if event["what"] == "delete" and names:
            self.api.drift.delete(names[0])
            self.stack.engine("refresh", "--yes", "--skip-preview")
        elif event["what"] == "resize" and names:
            self.api.drift.resize(names[0], "premium")
            self.stack.engine("refresh", "--yes", "--skip-preview")
        elif event["what"] == "open" and names:
            self.api.drift.set_external_access(names[0], enabled=True)
            self.stack.engine("refresh", "--yes", "--skip-preview")
        elif event["what"] == "left-over":
            self._leave_over(event["container"])
        elif event["what"] == "refresh":
            self.stack.engine("refresh", "--yes", "--skip-preview")
        self.seen.counts[event["what"]] += 1

    def _leave_over(self, slot: str) -> None:
        """Put an object into the state that a replacement could not delete."""
        state = json.loads(self.stack.export())
        resources = state["deployment"].get("resources") or []
        found = [
            one
            for one in resources
            if one["type"].endswith(":Container") and one["urn"].endswith(f"::{slot}")
        ]
        name = f"left-{slot}"
        if not found or found[0].get("delete") or found[0].get("external") or name in self.api.state.names():
            return
        running(self.api, name, "nodejs", plan="basic")
        with StacksClient(self.api.key, base_url=self.api.url) as client:
            created = client.containers.status(f"{self.api.account}-{name}").created_at
        old = json.loads(json.dumps(found[0]))
        old.update(id=f"{self.api.account}-{name}", delete=True, protect=False, retainOnDelete=False)
        for bag in ("inputs", "outputs"):
            old[bag].update(name=name, plan="basic")
        for key in ("created_at", "createdAt"):
            if key in old["outputs"]:
                old["outputs"][key] = created
        resources.insert(resources.index(found[0]), old)
        file = self.stack.folder / "with-left-over.json"
        file.write_text(json.dumps(state), encoding="utf-8")
        self.stack.cli("stack", "import", "--file", str(file), "--force")


def _resource_name(one: dict[str, Any]) -> str:
    return f"{one['name']}-moved" if one["alias"] else str(one["name"])


def _is_default(one: Change) -> bool:
    return one.type.startswith("pulumi:providers:")


def _has_secret(value: Any) -> bool:
    return "4dabf18193072939515e22adb298388d" in json.dumps(value)


def _gate(folder: Path) -> Gate:
    folder.mkdir(parents=True)
    for name, text in (("gate.yaml", GATE), ("prices.yaml", PRICES), ("allowed_signers", "")):
        (folder / name).write_text(text, encoding="utf-8")
    return read_gate(folder)
