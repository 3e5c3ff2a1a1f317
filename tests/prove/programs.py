"""
Random programs on the real engine, each planned, shown, signed and applied through a broker.

Each program also has resources of a second provider, which is a dynamic one in Python.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any, Final

from stacks_pulumi.api import StacksClient
from stacks_pulumi.emulator import Emulator
from stacks_pulumi.emulator.answers import Refusal
from stacks_pulumi.gate import workflow
from stacks_pulumi.gate.client import Broker
from stacks_pulumi.gate.words import document_of
from tests.broker.conftest import Bench, sign
from tests.broker.test_workflow import Machine
from tests.prove.proof import Seen
from tests.prove.witness import Shown, Witness
from tests.support.accounts import running
from tests.support.stack import Stack
from tools.engine.ensure import ensure

__all__ = ["Life", "draw_program"]

PLANS: Final = ("micro", "basic", "premium")
CONTAINERS: Final = ("con0", "con1", "con2")
THINGS: Final = ("t0", "t1", "t2")
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


def draw_program(chance: Random) -> dict[str, Any]:
    """Return a random program, with what happens to the account before it."""
    return {
        "containers": [_container(chance, name) for name in CONTAINERS if chance.random() < 0.7],
        "things": [_thing(chance, name) for name in THINGS if chance.random() < 0.6],
        "children": [_child(chance) for _ in range(chance.randrange(4))],
        "group": chance.choice((None, None, "g", "h")),
        "before": [_event(chance) for _ in range(chance.randrange(2))],
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
        "what": chance.choice(("delete", "resize", "open", "left-over", "refresh", "recreate")),
        "container": chance.choice(CONTAINERS),
    }


class Life:
    """
    A stack whose every `up` has the grant of a change that was shown and signed.

    Args:
        api: The platform.
        folder: Where everything is.
        host: The host of the resources.
        seen: What happens is counted there.
    """

    def __init__(self, api: Emulator, folder: Path, host: str, seen: Seen) -> None:
        self.api, self.host, self.seen = api, host, seen
        api.set_pace(boot_seconds=1.0)
        self.bench = Bench(
            folder / "broker", api, {"rules": {"unpriced": "approve", "keeps-billed": "approve"}}
        )
        self.witness = Witness(api)
        self.stack = Stack(folder / "stack", ensure().bin, {})
        if host == "native":
            self.stack.native()
        self.reader = self.bench.reader(secrets=("certificate", "vpn-config")).token
        self.machine = Machine("machine", self.stack, self.bench.url, self.reader)
        self.machine.patience = 100.0
        self.change = folder / "change.json"
        self.open = set[str]()

    def play(self, programs: list[dict[str, Any]]) -> None:
        """Make the programs, one after the other."""
        try:
            for number, program in enumerate(programs):
                self._turn(number, program)
                self.witness.check()
        finally:
            self.bench.stop()
            self.seen.counts.update(self.witness.counts)
        self.seen.note = f"{self.host}, {len(programs)} programs, {self.witness.counts['took effect']} done"

    def _turn(self, number: int, program: dict[str, Any]) -> None:
        self._as_key()
        for event in program["before"]:
            self._happen(event)
        self.stack.program(self._source(number, program), host=self.host)
        self.machine.checkout()
        self.seen.counts["programs"] += 1
        words = ("--gate", self.bench.url, "-s", "dev")
        code, said = self._gate("plan", "--out", str(self.change), *words)
        if "set --ceiling" in said:
            code, said = self._gate("plan", "--out", str(self.change), "--ceiling", "40", *words)
        if code not in {0, 3}:
            # The engine does not plan it, or it says an id that only an `up` would know.
            self.seen.counts["not planned"] += 1
            assert "Traceback" not in said, said
            return
        judged = workflow.judged(Broker(self.bench.url, self.reader), self.change.read_text("utf-8"))
        shown = Shown(document_of(judged))
        workflow.save(sign(judged.statement, "ann"), "ann", self.change)
        self.seen.counts["signed"] += 1
        is_honest = self._edited(program["edit"], program)
        refused, before = len(self.bench.journal("grant-refused")), self._paid()
        self.witness.now = shown
        for _ in range(2):
            code, said = self._gate("apply", str(self.change), *words)
            self.bench.clock.advance(130)
            self.witness.check()
            if code or not is_honest:
                break
        self.witness.now = None
        self.seen.counts["failed up" if code else "applied"] += 1
        if is_honest:
            lines = [
                row
                for row in self.bench.journal("grant-refused")[refused:]
                if row["method"] != "GET" and not shown.changed.intersection(row["path"].split("/"))
            ]
            assert not lines, f"{lines}\n{said}"
            self._price_was_shown(judged, before, code)

    def _gate(self, *words: str) -> tuple[int, str]:
        try:
            done = self.machine.run(*words)
        except subprocess.TimeoutExpired:
            # Only the engine's own error may be the reason: after it, the engine sometimes does not end
            # (docs/limits.md).
            done = self.machine.run(*words)
            assert "marked for protection" in done.stdout + done.stderr, done
            self.seen.counts["engine that did not end"] += 1
        return done.returncode, done.stdout + done.stderr

    def _price_was_shown(self, judged: workflow.Judged, before: dict[str, Decimal], code: int) -> None:
        assert judged.said is not None
        verdict, after = judged.said["verdict"], self._paid()
        more = sum(after.values(), Decimal(0)) - sum(before.values(), Decimal(0))
        if verdict["at_any_moment"] is not None:
            assert more <= Decimal(verdict["at_any_moment"]), f"{more} more, and {verdict} was shown"
        if verdict["increase"] is not None and not code:
            assert more <= Decimal(verdict["increase"]), f"{more} more, and {verdict} was shown"
            self.seen.counts["values"] += 1

    def _paid(self) -> dict[str, Decimal]:
        return {id_: container.price for id_, container in self.api.state.containers.items()}

    def _as_key(self) -> None:
        """What happens beside the gate is done by an administrator."""
        self.stack.env |= {"STACKS_API_KEY": self.api.key, "STACKS_BASE_URL": self.api.url}

    def _edited(self, how: int, program: dict[str, Any]) -> bool:
        """Edit something after the signature; return whether all is as it was planned."""
        if how == 0:
            with (self.machine.folder / "__main__.py").open("a", encoding="utf-8") as file:
                file.write('stacks.Container("extra", template="nodejs", plan="premium")\n')
        elif how == 1:
            (self.machine.folder / "__main__.py").write_text("import pulumi\n", encoding="utf-8")
        elif how == 2:
            self._edit_state()
        elif how == 3:
            text = self.change.read_text("utf-8")
            self.change.write_text(
                text.replace('"micro"', '"premium"').replace('"basic"', '"premium"'), "utf-8"
            )
            self.seen.counts["refused"] += 1
        else:
            return True
        self.seen.counts["edited"] += 1
        return False

    def _edit_state(self) -> None:
        """Let each container of the state be the next one, and forget when it was made."""
        state = json.loads(self.stack.export())
        own = [
            one for one in state["deployment"].get("resources") or [] if one["type"].endswith(":Container")
        ]
        ids = [one["id"] for one in own]
        for one, id_ in zip(own, [*ids[1:], *ids[:1]], strict=True):
            one["id"] = id_
            for key in ("created_at", "createdAt", "url"):
                one["outputs"].pop(key, None)
        file = self.stack.folder / "edited.json"
        file.write_text(json.dumps(state), encoding="utf-8")
        self.stack.cli("stack", "import", "--file", str(file), "--force")

    # --- programs ---

    def _source(self, number: int, program: dict[str, Any]) -> str:
        lines = [PRELUDE.replace("TURN", repr(str(number // 2)))]
        group = program["group"]
        if group is not None:
            alias = {"g": "h", "h": "g"}[group]
            lines.append(
                f'group = Group("{group}", pulumi.ResourceOptions(aliases=[pulumi.Alias(name="{alias}")]))'
            )
        made: dict[str, str] = {}
        self.open = set[str]()
        for one in program["containers"]:
            lines.append(self._container(one, made, group is not None))
            made[one["name"]] = f"v_{one['name']}"
            if one["external"]:
                self.open.add(one["name"])
        lines += [self._thing(one, group is not None) for one in program["things"]]
        lines += [self._child(index, one, made) for index, one in enumerate(program["children"])]
        return "\n".join(lines) + "\n"

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
        elif event["what"] == "recreate" and names:
            self.api.advance(60)
            # A lenient account may have a plan that a new container of that template cannot have.
            with contextlib.suppress(Refusal):
                self.api.drift.recreate(names[0])
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
