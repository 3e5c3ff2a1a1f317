"""
Random programs, states and files of an author: nothing happens at STACKS that nobody signed, and nothing twice.

An author writes changes, or lets a program plan them; a person signs what `gate show` prints. Then the author does what
comes to mind. A witness at the platform compares each request that arrives with the lines that were shown.

Most cases speak to the broker over HTTP, as any client can. One in twelve runs real engines: random programs are
planned, shown, signed and applied, with the program, the state or the file edited in between. If nothing was edited,
nothing may be refused either, and the account costs what was shown.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any, ClassVar, Final

from stacks_pulumi.broker.change import EFFECTS, canonical, variables
from stacks_pulumi.emulator import Emulator
from stacks_pulumi.emulator.answers import Refusal
from stacks_pulumi.emulator.platform import iso
from stacks_pulumi.endpoints import ENDPOINTS
from stacks_pulumi.errors import StacksError
from stacks_pulumi.gate import workflow
from stacks_pulumi.gate.client import Broker
from stacks_pulumi.gate.words import document_of
from tests.broker.conftest import Bench, Client, create, literal, permit, sign
from tests.prove.programs import Life, draw_program
from tests.prove.proof import Case, Proof, Seen
from tests.prove.witness import Shown, Witness
from tests.support.clock import fast_clock

__all__ = ["GateProof"]

ENGINE: Final = 12
"""One case in so many runs engines."""
SETTINGS: Final[tuple[Mapping[str, Any], ...]] = (
    {},
    {"two_approvals": ["destroys-data", "restores-data"]},
    {"account": {"max_total": 40}},
    {"free": {"increase_per_day": 9}},
)
NAMES: Final = ("web", "data", "old", "vpn")
PLANS: Final = ("micro", "basic", "premium")
FAULTS: Final = ("drop_after", "drop_before", 502, 503, "rate_limited")
CHANGED: Final = (
    "nothing",
    "a byte",
    "the form",
    "the signatures",
    "no signature",
    "a field twice",
    "the nonce",
)
MUTATIONS: Final = ("nothing",) * 8 + ("id", "field", "type", "more", "less", "endpoint")
PERMITS: Final = (
    *("create", "create", "delete", "delete", "status", "open", "close", "connect", "disconnect", "let in"),
    *("shut out", "own entry", "backup", "restore", "drop backup", "unpin", "key", "client", "drop client"),
)


class GateProof(Proof):
    """A case is an account, the settings of its broker, and what an author and the world do."""

    about = "nothing happens at STACKS that nobody signed, as it was shown, and nothing twice"
    cases = 300
    # They wait more than they compute.
    at_once = 4
    least: ClassVar[Mapping[str, int]] = {"took effect": 5, "refused": 20, "signed": 20, "values": 1}

    @classmethod
    def add_options(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "--programs",
            type=int,
            default=3,
            help="how many a case with engines has; 0: no such case (default: 3)",
        )

    @classmethod
    def short(cls) -> list[list[str]]:
        return [["--seed=18", "--cases=6", "--programs=0"], ["--seed=18", "--cases=7"]]

    def draw(self, chance: Random) -> Iterator[Case]:
        while True:
            if self.given.programs:
                yield {
                    "host": chance.choice(("dynamic", "native")),
                    "programs": [
                        {**draw_program(chance), "edit": chance.randrange(8)}
                        for _ in range(self.given.programs)
                    ],
                }
            for _ in range(ENGINE - 1):
                yield {
                    "settings": chance.randrange(len(SETTINGS)),
                    "moves": [_move(chance) for _ in range(chance.randrange(20, 60))],
                }

    def run(self, case: Case, seen: Seen) -> None:
        folder = Path(tempfile.mkdtemp(prefix="gate-proof-"))
        try:
            with Emulator(strict=False, clock=fast_clock()) as api:
                if "programs" in case:
                    Life(api, folder, case["host"], seen).play(case["programs"])
                else:
                    _Author(api, folder, SETTINGS[case["settings"]], seen).play(case["moves"])
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _move(chance: Random) -> dict[str, Any]:
    what = chance.choice((*("write",) * 4, "hand in", "hand in", *("ask",) * 14, "world", "restart"))
    if what == "write":
        return {
            "what": what,
            "permits": [_permit(chance) for _ in range(chance.randrange(1, 5))],
            "ceiling": chance.choice((None, None, "4.00", "12.00")),
            "people": chance.choice(([], *(["ann"],) * 4, *(["ann", "bob"],) * 4, ["eve"])),
            "author": chance.choice(("", "Ann <ann@example.org>")),
        }
    if what == "hand in":
        changed = chance.choice(("nothing",) * 8 + CHANGED)
        return {"what": what, "change": chance.randrange(9), "changed": changed, "byte": chance.random()}
    if what == "ask":
        return {
            "what": what,
            "token": chance.randrange(9),
            "permit": chance.randrange(9),
            "mutation": chance.choice(MUTATIONS),
            "at": chance.randrange(9),
            "times": chance.choice((1, 1, 1, 3)),
            "fault": chance.choice((None,) * 5 + FAULTS),
        }
    world = ("recreate", "wait", "wait", "connect", "backup", "let in")
    return {
        "what": what,
        "how": chance.choice(world),
        "at": chance.randrange(4),
        "seconds": chance.choice((1, 130, 130, 1000, 4000, 90000)),
    }


def _permit(chance: Random) -> dict[str, Any]:
    return {
        "do": chance.choice(PERMITS),
        "at": chance.randrange(4),
        "to": chance.randrange(4),
        "form": chance.choice(("is", "of", "of", "both", "made")),
        "stale": chance.random() < 0.1,
        "any": chance.random() < 0.15,
        "times": chance.choice((1, 1, 1, 2, None)),
        "number": chance.randrange(4),
        "after": chance.random() < 0.15,
    }


def _needs_a_person(one: dict[str, Any]) -> bool:
    starts = one["endpoint"] == "containers.set_status" and one["body"]["status"] in {"running", "restart"}
    return (
        one["endpoint"] not in {"containers.create", "connections.create", "backups.trigger"} and not starts
    )


class _Written:
    """A change of the author, as it was shown to the people who signed it."""

    def __init__(self, statement: str, signatures: list[str], shown: Shown, *, is_signed: bool) -> None:
        self.statement, self.signatures, self.shown, self.is_signed = statement, signatures, shown, is_signed
        self.change: dict[str, Any] = json.loads(statement)


class _Author:
    """Somebody who can write changes and signatures, and has every token that they get."""

    def __init__(self, api: Emulator, folder: Path, settings: Mapping[str, Any], seen: Seen) -> None:
        self.api, self.seen, self.settings = api, seen, settings
        api.load(
            [
                {
                    "name": "web",
                    "template": "nodejs",
                    "plan": "basic",
                    "backups": 1,
                    "allowed_ips": ["198.51.100.7"],
                },
                {"name": "data", "template": "redis", "plan": "basic", "backups": 1},
                {"name": "old", "template": "postgresql", "plan": "micro"},
                {"name": "vpn", "template": "stacks-vpn", "vpn_clients": ["laptop"]},
            ]
        )
        api.drift.connect("web", "data", "primary")
        self.bench = Bench(folder / "broker", api, settings)
        self.witness = Witness(api)
        self.reader = self.bench.reader(may_apply_free=True)
        for name in ("web", "data", "vpn"):
            row = self._row(name)
            if row is not None:
                self.bench.ledger.claim("shop/prod", row["id"], row["created_at"], "nodejs", "basic")
        self.written: list[_Written] = []
        self.tokens: list[tuple[Client, _Written]] = []
        self.free: list[tuple[float, Decimal]] = []

    def play(self, moves: list[dict[str, Any]]) -> None:
        """Make the moves, and compare what has happened."""
        try:
            for move in moves:
                getattr(self, f"_{move['what'].replace(' ', '_')}")(move)
                self.witness.check()
        finally:
            with contextlib.suppress(AssertionError):
                self.bench.stop()
            self.seen.counts.update(self.witness.counts)
        self.seen.note = (
            f"{len(moves)} moves, {len(self.tokens)} tokens, {self.witness.counts['took effect']} done"
        )

    # Moves

    def _write(self, move: dict[str, Any]) -> None:
        permits, known = list[dict[str, Any]](), dict[str, Any]()
        for one in move["permits"]:
            made = self._permit(one, known)
            if made is not None:
                permits.append({**made, **({"after": [1]} if one["after"] and permits else {})})
        more = {"ceiling": {"increase": move["ceiling"]}} if move["ceiling"] else {}
        statement = canonical(
            self.bench.change(*permits, known=known, author=move["author"], **more)
        ).decode()
        people = [one for one in move["people"] if one != "eve"]
        with contextlib.suppress(StacksError):
            judged = workflow.judged(Broker(self.bench.url, self.reader.token), statement)
            shown, is_signed = Shown(document_of(judged)), bool(people) and judged.result != "refused"
            needed = 2 if "two_approvals" in self.settings and shown.destroys else 1
            signatures = [sign(statement, one) for one in move["people"]]
            self.written.append(
                _Written(statement, signatures, shown, is_signed=is_signed and len(people) >= needed)
            )
            self.seen.counts["signed"] += self.written[-1].is_signed
            self._hand_in({"change": len(self.written) - 1, "changed": "nothing"})
            return
        self.seen.counts["malformed"] += 1

    def _hand_in(self, move: dict[str, Any]) -> None:
        if not self.written:
            return
        written = self.written[move["change"] % len(self.written)]
        other = self.written[(move["change"] + 1) % len(self.written)]
        text, signatures = written.statement, written.signatures
        # What nobody has signed may be free in any form.
        how = move["changed"] if signatures else "nothing"
        if how == "a byte":
            place = int(move["byte"] * len(text))
            text = f"{text[:place]}{chr(ord(text[place]) ^ 1)}{text[place + 1 :]}"
        elif how == "the form":
            text = text.replace(",", ", ")
        elif how == "the signatures":
            signatures = other.signatures
        elif how == "no signature":
            signatures = []
        elif how == "a field twice":
            text = text.replace('{"account"', '{"permits":[],"account"', 1)
        elif how == "the nonce":
            text = text.replace(written.change["nonce"], "another-nonce-of-it")
        body = {"statement": text, "signatures": signatures}
        token = self.reader.token if "free" in self.settings else ""
        answer = self.bench.client(token)("POST", "/_broker/changes", body)
        if answer.status_code == 201:
            may_be_free = "free" in self.settings and not any(map(_needs_a_person, written.change["permits"]))
            assert text == written.statement, f"it was handed in with {how}"
            assert written.is_signed or may_be_free, f"nobody has signed it: {text}"
            self.tokens.append((self.bench.client(answer.json()["token"]), written))
        self.seen.counts["handed in" if answer.status_code == 201 else "refused"] += 1

    def _ask(self, move: dict[str, Any]) -> None:
        if not self.tokens:
            return
        client, written = self.tokens[move["token"] % len(self.tokens)]
        made = {id_ for id_, _ in written.shown.made}
        permits = written.change["permits"] or [{"endpoint": "containers.list"}]
        found = self._request(permits[move["permit"] % len(permits)], move)
        if found is None:
            return
        endpoint, method, path, body = found
        if move["fault"] is not None:
            self.api.faults.add(endpoint, move["fault"])
        self.witness.now = written.shown
        try:
            with ThreadPoolExecutor(3) as pool:
                answers = list(pool.map(lambda _: client(method, path, body), range(move["times"])))
        finally:
            self.witness.now = None
            self.api.faults.clear()
        if not written.is_signed:
            self._count_free({id_ for id_, _ in written.shown.made} - made)
        for answer in answers:
            self.seen.counts["refused" if answer.status_code in {401, 402, 403, 404} else "answered"] += 1

    def _world(self, move: dict[str, Any]) -> None:
        name = NAMES[move["at"]]
        with contextlib.suppress(KeyError, Refusal):
            if move["how"] == "recreate":
                self.api.advance(60)
                self.api.drift.recreate(name)
            elif move["how"] == "connect":
                self.api.drift.connect("web", "data", f"more{len(self.api.state.connections)}")
            elif move["how"] == "let in":
                self.api.drift.allow_ip(name, "198.51.100.8")
        seconds = move["seconds"] if move["how"] == "wait" else 2
        self.api.advance(seconds)
        self.bench.clock.advance(seconds)

    def _restart(self, move: dict[str, Any]) -> None:
        del move
        self.bench.stop()
        self.bench.start()
        for token, _ in self.tokens:
            token.url = self.bench.url
        self.reader = self.bench.reader(may_apply_free=True)

    # What is written, and what is asked for

    def _row(self, name: str) -> dict[str, Any] | None:
        found = [one.id for one in self.api.state.containers.values() if one.name == name]
        with contextlib.suppress(StopIteration):
            return self.bench.listed(found[0]) if found else None
        return None

    def _device(self, container: str) -> dict[str, Any]:
        found = self.api.state.containers[container].vpn_clients
        times = (iso(one.created_at) for one in found if one.name == "laptop")
        return {"is": "laptop", "created_at": next(times, "2020-01-01T00:00:00Z")}

    def _permit(self, one: dict[str, Any], known: dict[str, Any]) -> dict[str, Any] | None:
        """Return a permit, and add the containers that it needs."""
        do, name, new = one["do"], NAMES[one["at"]], f"new{one['number']}"
        row, times = self._row(name), one["times"]
        if do == "create":
            body = create(new, plan=PLANS[one["at"] % 3])
            body |= {("name", "plan")[one["to"] % 2]: {"any": True}} if one["any"] else {}
            return permit("containers.create", body, binds=new, times=times)
        if row is None:
            return None
        time = "2020-01-01T00:00:00Z" if one["stale"] else row["created_at"]
        known[name] = {"id": row["id"], "created_at": time}
        if one["form"] == "is":
            me: dict[str, Any] = {"is": row["id"], "created_at": time}
        else:
            known |= {} if one["form"] != "made" else {new: known[name]}
            to = self._row(NAMES[one["to"]])
            if to is not None and one["form"] == "both":
                known["both"] = literal(to) | {"id": to["id"]}
                del known["both"]["is"]
            me = {"of": [new] if one["form"] == "made" else [name, *(["both"] if "both" in known else [])]}
        at = {"container_id": me}
        backup = next(
            (str(it.id) for it in self.api.state.backups.values() if it.container_id == row["id"]), "1"
        )
        link = next((it.id for it in self.api.state.connections.values()), "none")
        entry = {"ip_address": f"198.51.100.{one['number']}", "description": "x", "service_type": "both"}
        inside = {"is": backup, "in": name}
        kinds: dict[str, tuple[str, dict[str, Any], dict[str, Any], dict[str, Any]]] = {
            "delete": ("containers.delete", at, {}, {}),
            "status": (
                "containers.set_status",
                at,
                {"status": ("running", "restart", "stopped")[one["to"] % 3]},
                {},
            ),
            "open": (
                "containers.external_access",
                at,
                {"enabled": {"any": True} if one["any"] else True},
                {},
            ),
            "close": (
                "containers.external_access",
                at,
                {"enabled": False},
                {"only_address": "198.51.100.7"} if one["any"] else {},
            ),
            "connect": (
                "connections.create",
                {"source_id": me, "target_id": {"of": [name]}},
                {"connectionName": new},
                {},
            ),
            "disconnect": ("connections.delete", {"connection_id": {"is": link, "in": name}}, {}, {}),
            "let in": ("allowed_ips.add", at, entry, {}),
            "shut out": ("allowed_ips.remove", {**at, "ip_id": {"address": "198.51.100.7/32"}}, {}, {}),
            "own entry": ("allowed_ips.remove", {**at, "ip_id": {"caller": True}}, {}, {}),
            "backup": ("backups.trigger", at, {}, {"binds": f"backup {new}"}),
            "restore": ("backups.restore", {"backup_id": inside}, {}, {}),
            "drop backup": ("backups.delete", {"backup_id": inside}, {}, {}),
            "unpin": ("backups.unpin", {"backup_id": inside}, {}, {}),
            "key": ("containers.regenerate_certificate", at, {}, {}),
            "client": ("vpn_clients.add", {"vpn_container_id": me}, {"name": new}, {}),
            "drop client": (
                "vpn_clients.remove",
                {"vpn_container_id": me, "client_name": self._device(row["id"])},
                {},
                {},
            ),
        }
        endpoint, ids, body, more = kinds[do]
        return permit(endpoint, body, ids=ids, times=times, **more)

    def _request(self, one: dict[str, Any], move: dict[str, Any]) -> tuple[str, str, str, Any] | None:
        """Return the request of a permit, perhaps with something that is not in it: endpoint, method, path, body."""
        endpoint = one["endpoint"]
        if move["mutation"] == "endpoint":
            endpoint = sorted(EFFECTS)[move["at"]]
        there, containers = self.witness.there(), sorted(self.api.state.containers)
        if not containers:
            return None
        chosen = containers[move["at"] % len(containers)]
        ids = {}
        for name in variables(ENDPOINTS[endpoint]):
            it = one.get("ids", {}).get(name, {})
            of = [made for symbol in it.get("of", ()) for made, _ in self._means(symbol)]
            ids[name] = it.get("is") or (of[move["at"] % len(of)] if of else chosen)
            if name == "ip_id":
                mine = [id_ for id_, entry in there.addresses.items() if entry[0] == ids.get("container_id")]
                ids[name] = mine[move["at"] % len(mine)] if mine else "none"
            if name in {"backup_id", "connection_id"} and (not it or move["mutation"] == "id"):
                rows = sorted(there.backups if name == "backup_id" else there.connections)
                ids[name] = rows[move["at"] % len(rows)] if rows else "1"
            elif move["mutation"] == "id" and name != "ip_id":
                ids[name] = chosen
        body = {
            name: ("whatever", True, "micro")[move["at"] % 3] if value == {"any": True} else value
            for name, value in one.get("body", {}).items()
        }
        self._mutate(body, move)
        path = ENDPOINTS[endpoint].path.format_map(ids)
        return endpoint, ENDPOINTS[endpoint].method, path, body or None

    def _means(self, symbol: str) -> list[tuple[str, str]]:
        return [one for written in self.written for one in written.shown.means(symbol)]

    def _mutate(self, body: dict[str, Any], move: dict[str, Any]) -> None:
        if not body:
            return
        name = sorted(body)[move["at"] % len(body)]
        if move["mutation"] == "field":
            body[name] = "premium" if name == "plan" else "other"
        elif move["mutation"] == "type":
            body[name] = {True: 1, False: 0}.get(body[name], [body[name]]) if name == "enabled" else 1
        elif move["mutation"] == "more":
            body["discount_code"] = "x"
        elif move["mutation"] == "less":
            del body[name]

    def _count_free(self, made: set[str]) -> None:
        """Nothing without a person above a day's sum."""
        now, prices = self.bench.clock.wall(), self.witness.there().prices
        self.free += [(now, prices[id_]) for id_ in made if id_ in prices]
        spent = sum((price for at, price in self.free if at > now - 86400), Decimal(0))
        assert spent <= self.settings["free"]["increase_per_day"], (
            f"{spent} in a day, and nobody has signed it"
        )
