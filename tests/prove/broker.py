"""
Random clients of one broker, faults, lists that lag behind, a colleague and kills: nothing that nobody allowed.

Several clients with budgets and signed changes send requests, and read secrets, at the same time. A fault is what
becomes of a request on its way to the platform: it is carried out now, later or never, and its answer is right, late,
an error or lost. A colleague works in the dashboard, and an administrator assigns containers to stacks. The broker is
killed at a write of its ledger, and starts again. All of this runs in one process, on a clock of its own, and without
HTTP: so a case takes about a second, and the witness knows whose request it is that the platform carries out.

Half of the cases draw some actions about objects in containers, and few creates and deletions.

A case has at most `AT_ONCE` unlucky things within a minute. The comments `Known:` name what the broker is known not to
prevent, and what is therefore left out.
"""

from __future__ import annotations

import contextlib
import functools
import json
import shutil
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from email.utils import formatdate
from pathlib import Path
from random import Random
from typing import Any, ClassVar, Final
from unittest import mock

import requests

from stacks_pulumi._identifiers import seconds_of
from stacks_pulumi.api import _transport
from stacks_pulumi.api._call import Answer, Call
from stacks_pulumi.broker import grants, journal
from stacks_pulumi.broker.change import canonical
from stacks_pulumi.broker.folder import Folder
from stacks_pulumi.broker.ledger import Spec
from stacks_pulumi.broker.request import Incoming
from stacks_pulumi.broker.server import Server, Tls
from stacks_pulumi.broker.upstream import BASE
from stacks_pulumi.emulator import Emulator, app, containers
from stacks_pulumi.emulator.answers import Refusal
from stacks_pulumi.emulator.platform import iso
from stacks_pulumi.emulator.server import Incoming as Arriving
from stacks_pulumi.emulator.state import Backup, Container
from stacks_pulumi.endpoints import ENDPOINTS
from stacks_pulumi.errors import ConnectionFailedError
from tests.broker.conftest import Bench, Client, create, permit
from tests.prove.effects import PARTS, Grantee, Maker, Signed, There, Visit, Witness
from tests.prove.proof import Case, Proof, Seen
from tests.prove.turns import KilledError, Lock, PlatformClock, Turns

__all__ = ["BrokerProof"]

AT_ONCE: Final = 2
_AT_ONCE_SECONDS: Final = 60.0
NAMES: Final = ("web", "api", "vpn")
PLANS: Final = ("micro", "basic", "premium")
WAITS: Final = (*(0.0,) * 10, 0.1, 0.5, 1.0, 2.0, 3.0, 5.0, 9.0, 12.0, 20.0, 32.0, 42.0, 130.0)
LONG: Final = (700.0, 1000.0, 5000.0, 90000.0)
_CHANCES: Final = {
    "ask": 24,
    "fault": 6,
    "read": 10,
    "sign": 3,
    "approve": 3,
    "colleague": 2,
    "again": 1,
    "kill": 1,
}
MOVES: Final = {**_CHANCES, "claim": 0.4}
SECRETS: Final = ("containers.credentials", "vpn_clients.config", "vpn_clients.config")
FREE: Final = ["start", "restart", "connect-own", "backup", "pin-own", "undo"]
ADDRESSES: Final = ("198.51.100.9", "203.0.113.5")
BUDGETS: Final = ("agents shop/prod", "agents shop/prod", "agents bank/prod", "others bank/prod")
WHAT: Final[Sequence[str]] = (
    *("swap",) * 12,
    *("create",) * 3,
    *("delete",) * 2,
    *("restart", "stop", "open", "open", "close", "let in", "let in", "shut out", "connect", "disconnect"),
    *("backup", "pin", "unpin", "client", "drop client"),
)
INSIDE: Final = (
    *("open", "close", "let in", "let in", "shut out", "shut out", "connect", "connect", "disconnect"),
    *("backup", "backup", "restore", "drop backup", "pin", "pin", "unpin"),
    *("client", "client", "drop client", "restart"),
)
"""What a case draws from that is about objects in containers."""
BY_COLLEAGUE: Final = ("create", "create", "delete", "delete", "delete", "open", "close", "client")
_INSIDE_MOVES: Final = {**MOVES, "ask": 50, "read": 4, "sign": 8, "colleague": 4}
_PAIRS: Final = (
    ("let in", "shut out"),
    ("connect", "disconnect"),
    ("pin", "unpin"),
    ("client", "drop client"),
)
_UNSETTLED: Final = 40.0
_DAY: Final = 86400.0


class BrokerProof(Proof):
    """A case is the settings of a broker, and what clients and the world do, and when."""

    about = "a broker lets nothing happen twice, without a permit or above a limit, and loses nothing"
    cases = 500
    at_once = 2
    least: ClassVar[Mapping[str, int]] = dict.fromkeys(
        (
            "containers.create",
            "containers.delete",
            "refused",
            "signed",
            "approved",
            "faults",
            "colleague",
            "killed",
        ),
        10,
    ) | {
        "containers.credentials": 1,
        "vpn_clients.config": 1,
        "claimed": 2,
        "allowed_ips.add": 2,
        "connections.create": 2,
        "backups.pin": 2,
    }

    @classmethod
    def short(cls) -> Iterator[list[str]]:
        yield ["--seed=10", "--cases=12"]

    def draw(self, chance: Random) -> Iterator[Case]:
        while True:
            what, moves, has = WHAT, MOVES, chance.choice(([], [], ["web"]))
            if chance.random() < 0.5:
                # Some actions about objects in containers, which a stack owns or nobody.
                what = (*chance.sample(INSIDE, chance.randrange(3, 10)), "swap")
                moves, has = _INSIDE_MOVES, chance.choice(([], ["web"], [*NAMES[:2]]))
            yield {
                "account": chance.choice((15, 20, 40)),
                "stack": chance.choice((10, 14, 40)),
                "policy": chance.choice((11, 15)),
                "day": chance.choice((15, 40)),
                "lag": chance.choice((0, 0, 3, 10)),
                "deletes": chance.choice((0.02, 4.0)),
                "has": has,
                "moves": [_move(chance, what, moves) for _ in range(chance.randrange(60, 180))],
            }

    def run(self, case: Case, seen: Seen) -> None:
        folder = Path(tempfile.mkdtemp(prefix="broker-proof-"))
        try:
            # The proof `gate` has real signatures.
            with mock.patch.object(grants, "signer_of", lambda _text, name, *_: name.decode()):
                _Play(case, folder, seen).play()
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _move(chance: Random, what: Sequence[str], moves: Mapping[str, float]) -> dict[str, Any]:
    do = chance.choices([*moves], [*moves.values()])[0]
    return {
        "do": do,
        "seed": chance.randrange(1_000_000),
        "after": chance.choice(LONG if chance.random() < 0.01 else WAITS),
        **_DRAWS.get(do, _asked)(chance, what),
    }


def _asked(chance: Random, what: Sequence[str]) -> dict[str, Any]:
    return {
        "who": chance.randrange(24),
        "as_signed": chance.random() < 0.7,
        "permit": chance.randrange(4),
        "what": chance.choice(what),
        "name": chance.choice(NAMES[:2]),
        "to": chance.choice(NAMES),
        "plan": chance.choice(PLANS),
        "address": chance.choice(ADDRESSES),
    }


def _fault(chance: Random, what: Sequence[str]) -> dict[str, Any]:
    """Draw when a request is carried out (`None`: never), when the answer comes, and its status (0: no answer)."""
    wait = chance.choice((0.0, 0.0, 3.0, 9.0))
    status, done = chance.choice(
        (
            (0, None),
            (0, 0.0),
            (0, wait + chance.uniform(0.0, 29.0)),
            (chance.choice((408, 500, 502, 504)), chance.choice((None, 0.0))),
            (503, chance.choice((None, 30.0, 100.0, 1000.0, 5000.0))),
            (429, None),
            (None, chance.choice((0.0, wait))),
        )
    )
    endpoint = chance.choice(
        (
            *("containers.create",) * 3,
            *("containers.delete", "containers.delete", "containers.list", "containers.status"),
            *("*",) * (2 if what is WHAT else 9),
        )
    )
    return {"endpoint": endpoint, "status": status, "done": done, "wait": wait}


def _signed(chance: Random, what: Sequence[str]) -> dict[str, Any]:
    signed = what if what is not WHAT else (*("delete",) * 3, *(one for one in what if one != "swap"))
    permits = [
        {
            **_asked(chance, signed),
            "form": chance.choice(("is", "of", "any")),
            "times": chance.choice((1, 1, 2)),
        }
        for _ in range(chance.randrange(1, 5))
    ]
    secrets = [
        {**_asked(chance, what), "endpoint": one, "form": chance.choice(("is", "of"))}
        for one in SECRETS
        if chance.random() < 0.4
    ]
    stack = chance.choice(("shop/prod", "bank/prod"))
    return {"stack": stack, "permits": permits, "secrets": secrets}


_DRAWS: Final[Mapping[str, Callable[[Random, Sequence[str]], dict[str, Any]]]] = {
    "fault": _fault,
    "sign": _signed,
    "read": lambda chance, what: {**_asked(chance, what), "endpoint": chance.choice(SECRETS)},
    "claim": lambda chance, _what: {
        "name": chance.choice(NAMES[:2]),
        "stack": chance.choice(("shop/prod", "bank/prod", "infra/broker")),
    },
    "colleague": lambda chance, what: _asked(chance, what if what is not WHAT else BY_COLLEAGUE),
    "kill": lambda chance, _what: {
        "write": chance.randrange(1, 8),
        "when": chance.choice(("before", "after")),
        "down": chance.choice((0.1, 5.0, 35.0)),
    },
}


class _Caller(Client):
    """A client that calls the broker in its own thread."""

    def __init__(self, bench: _Bench, token: str) -> None:
        super().__init__("", token)
        self._bench = bench

    def __call__(self, method: str, path: str, body: Any = None, **options: Any) -> requests.Response:
        if self._bench.is_down:
            raise KilledError
        path = path if path.startswith("/_broker") else f"{BASE}{path}"
        headers = [("host", "127.0.0.1"), ("authorization", f"Bearer {self.token}")][: 2 if self.token else 1]
        payload = b"" if body is None else json.dumps(body).encode()
        path, _, query = path.partition("?")
        reply = self._bench.server.app.respond(Incoming(method, path, query, headers, payload))
        text = f"{reply.headers}{reply.body.decode()}"
        assert self._bench.emulator.key not in text, "the key is in an answer"
        assert "internal error" not in text, text
        answer = requests.Response()
        answer.status_code, answer._content = reply.status, reply.body
        return answer


class _Bench(Bench):
    """A broker without HTTP on either side, which dies at a write of its ledger."""

    is_down = False

    def __init__(self, play: _Play, path: Path, api: Emulator, settings: Mapping[str, Any]) -> None:
        self._play = play
        self.dies: dict[str, Any] | None = None
        super().__init__(path, api, settings, play.turns)

    def start(self, tls: Tls | None = None, listen: str = "127.0.0.1:0") -> None:
        def transport(_url: str, _key: str, _clock: object, seconds: float) -> object:
            return functools.partial(self._play.send, seconds)

        self.folder = Folder(self.path, self.clock)
        # Only the process is killed, so no write has to reach the disk; that takes most of the time.
        self.folder.ledger._db.execute("pragma synchronous=off")
        with mock.patch.object(_transport, "Transport", transport):
            self.server = Server(self.folder, listen, tls, clock=self.clock)
        writing = self.folder.ledger.writing

        @contextlib.contextmanager
        def may_die() -> Iterator[Any]:
            self._may_die("before")
            with writing() as db:
                yield db
            self._may_die("after")

        self.folder.ledger.writing = may_die  # type: ignore[method-assign]  # the point of the kill
        # The two locks that a thread holds while it waits for the platform.
        self.server.upstream._list_lock = Lock(self._play.turns)  # type: ignore[assignment]  # as above
        self.server.app.desk._one = Lock(self._play.turns)  # type: ignore[assignment]  # as above
        self.is_down = False
        self.server.app.kernel.outcomes.leave()

    def stop(self) -> None:
        self.server.app.close()
        self.folder.close()

    def restart(self) -> None:
        self.stop()
        self.start()

    def client(self, token: str = "") -> Client:
        return _Caller(self, token)

    def hand_in(
        self, change: Mapping[str, Any] | str, *people: str, token: str = "", where: str = "changes"
    ) -> requests.Response:
        text = change if isinstance(change, str) else canonical(change).decode()
        return self.client(token)("POST", f"/_broker/{where}", {"statement": text, "signatures": [*people]})

    def _may_die(self, when: str) -> None:
        if self.dies is None or self.dies["when"] != when:
            return
        self.dies["write"] -= 1
        if self.dies["write"] == 0:
            down, self.dies = self.dies["down"], None
            if not self._play.is_too_much(1):
                self.is_down = True
                self._play.turns.kill()
                self._play.turns.at(down, self.restart)
                self._play.counts["killed"] += 1
                raise KilledError


class _Play:
    """A case while it runs."""

    def __init__(self, case: Case, folder: Path, seen: Seen) -> None:
        self._case, self._seen = case, seen
        self.counts = seen.counts
        self.turns = Turns()
        self._api = api = Emulator(
            strict=False,
            clock=PlatformClock(self.turns),
            list_lag=case["lag"],
            delete_seconds=case["deletes"],
        )
        its = {"max_total": case["policy"], "increase_per_day": case["day"], "free": FREE}
        settings = {
            "account": {"max_total": case["account"]},
            "limits": {"max_total": case["stack"]},
            "requests_share": 1,
            "policies": {
                "agents": its,
                "others": {**its, "max_total": 12, "free": ["undo"]},
            },
        }
        self._witness = Witness(api, settings, case["lag"])
        its_ = {"template": "nodejs", "allowed_ips": [*ADDRESSES[:1]], "backups": 1}
        api.load([{"name": "vpn", "template": "stacks-vpn"}, *({"name": it, **its_} for it in case["has"])])
        self._bench = _Bench(self, folder / "broker", api, settings)
        budgets = map(str.split, BUDGETS)
        self._grantees = [Grantee(self._budget(policy, stack), policy, stack) for policy, stack in budgets]
        self._requests: list[tuple[Grantee, str]] = []
        self._faults: list[dict[str, Any]] = []
        self._unlucky: list[float] = []
        self._mine = threading.local()
        self._on_the_way = Counter[str]()
        self._freed: dict[str, float] = {}
        self._sent: dict[tuple[str, str], tuple[float, bool]] = {}
        self._waiting: dict[tuple[str, str], Maker] = {}
        self._by_colleague: dict[str, float] = {}

    def play(self) -> None:
        """Make the moves, and see what is left."""
        # Known: what is made, removed and made again in one second is taken for the same object.
        self.turns.advance(2)
        for move in self._case["moves"]:
            self.turns.advance(move["after"])
            if move["do"] in {"ask", "read", "sign", "approve", "again"}:
                self.turns.start(functools.partial(self._in_thread, move))
            else:
                getattr(self, f"_{move['do']}")(move)
            self._check()
        self.turns.advance(120)
        self._bench.dies = None
        self._faults.clear()
        self.turns.end()
        self._check()
        self._check_end()
        self._bench.stop()
        self.counts.update(self._witness.counts)
        self._seen.note = f"{len(self._case['moves'])} moves, {self._witness.counts.total()} effects"

    def _in_thread(self, move: dict[str, Any]) -> None:
        self._mine.visit, self._mine.chance = None, Random(move["seed"])
        getattr(self, f"_{move['do']}")(move)

    def _check(self) -> None:
        assert not self._witness.problems, "\n".join(self._witness.problems)

    def _check_end(self) -> None:
        """Everything is in the ledger, and the broker still serves."""
        uses = self._bench.ledger.uses("endpoint = 'containers.create' and state <> 'void'")
        for one in self._witness.made.keys() & There(self._api).prices.keys():
            _, id_, at = one
            # What was sent twice, or is on the waitlist, may appear after its object was found.
            assert any(
                (
                    use.object == id_
                    and abs((seconds_of(use.created_at) or 0.0) - at) < 1.1
                    and use.state == "done"
                )
                or (
                    (use.state == "unknown" or use.attempts > 1)
                    and f"{self._api.account}-{use.body['name']}" == id_
                )
                for use in uses
            ), f"{id_} of {at} is not in the ledger: {uses}"
        self._bench.configure({"policies": {"fresh": {"increase_per_day": 1000}}})
        self._bench.restart()
        client = self._budget("fresh", "fresh/prod")
        self.turns.start(functools.partial(self._in_thread, {"do": "serve", "seed": 0, "client": client}))
        self.turns.advance(60)
        assert self._row("fresh") is not None, "the broker does not serve"
        assert journal.broken(self._bench.ledger) == ""

    def _budget(self, policy: str, stack: str) -> Client:
        its: dict[str, Any] = {"policy": policy, "stack": stack, "spec": Spec(secrets=("credentials",))}
        issued = self._bench.ledger.issue("budget", "agent", seconds=40 * _DAY, **its)
        return self._bench.client(issued[1])

    def is_too_much(self, cost: int) -> bool:
        """Count unlucky things, or return that they would be too many at once."""
        now = self.turns.now()
        self._unlucky = [one for one in self._unlucky if now - one < _AT_ONCE_SECONDS]
        is_too_much: bool = len(self._unlucky) + cost + min(self._case["lag"], 1) > AT_ONCE
        self._unlucky += [] if is_too_much else [now] * cost
        return is_too_much

    # The way to the platform

    def send(self, most: float, call: Call[Any]) -> Answer:
        """Send a request as HTTP would, with at most that many seconds for the answer."""
        fault, box, name = self._next_fault(call), list[Answer](), ""
        arrives, returns = (self._mine.chance.uniform(0.01, 0.2) for _ in range(2))
        done, wait, status = fault.get("done", 0.0), arrives + fault.get("wait", 0.0), fault.get("status")
        visit, sent = self._mine.visit, self.turns.wall()
        if call.endpoint.method != "GET":
            name = str((call.json or {}).get("name") or call.path)
        if call.endpoint.name == "containers.create":
            key = name, str((call.json or {}).get("plan"))
            self._sent[key] = sent, False
            if status == 503 and visit is not None:
                signed = next((one for one in visit.by.signed if one.permit.get("body") == call.json), None)
                self._waiting[key] = Maker(visit, signed, sent)
        if done is not None:
            way = name if status != 503 else ""
            self._on_the_way[way] += 1

            def arrive() -> None:
                self._on_the_way[way] -= 1
                box.extend(self._carried_out(call, visit, sent, is_waiting=status == 503))

            self.turns.at(arrives + done, arrive)
        self.turns.sleep(min(wait, most) + returns)
        if status == 0 or wait > most or (status is None and not box):
            raise ConnectionFailedError("no answer")
        if call.endpoint.name == "containers.create" and status is None:
            self._sent[key] = sent, True
        headers = {"content-type": "application/json", "date": formatdate(self.turns.wall(), usegmt=True)}
        if status is not None:
            return Answer(status, headers, b'{"success": false, "error": "a fault"}', self.turns.wall())
        return box[0]

    def _next_fault(self, call: Call[Any]) -> dict[str, Any]:
        endpoint = call.endpoint.name
        fits = ({"*"} if call.endpoint.method != "GET" else set()) | {endpoint}
        fault = next((one for one in self._faults if one["endpoint"] in fits), None)
        if fault is None:
            return {}
        self._faults.remove(fault)
        name, is_create = str((call.json or {}).get("name")), endpoint == "containers.create"
        is_late = fault["status"] in {0, 408} and fault["done"] is not None and fault["done"] > fault["wait"]
        if (
            (fault["status"] == 503 and not is_create)
            # Known: a container that a colleague made up to 2 s before a lost create is taken for its result.
            or (is_create and self.turns.now() - self._by_colleague.get(name, -_DAY) < 4)
            # Known: a late request reaches a container that the waitlist has created since, under the same id.
            or (is_late and self._waiting)
            # Known: a restart without an answer may be sent again, and the platform may carry out both.
            or (is_late and endpoint == "containers.set_status")
            or self.is_too_much(1)
        ):
            return {}
        self.counts["faults"] += 1
        return fault

    def _carried_out(
        self, call: Call[Any], visit: Visit | None, sent: float, *, is_waiting: bool
    ) -> list[Answer]:
        api, body = self._api, dict(call.json or {})
        path = f"{app.BASE_PATH}{call.path}"
        if is_waiting and any(
            one[1] == f"{api.account}-{body['name']}" and one[2] >= sent for one in self._witness.made
        ):
            # Known: a create on the waitlist that was repeated may be carried out after a removal.
            return []
        query = {name: str(value) for name, value in call.query.items()}
        before = There(api)
        answer = self._respond(call.endpoint.method, path, query, body)
        if visit is not None and call.endpoint.name in SECRETS:
            ids = {**app.match("GET", call.path)[1]}
            ids |= {"client_name": str(call.query["client"])} if "client" in call.query else {}
            visit.read = call.endpoint.name, ids, before
        if visit is not None and call.endpoint.method != "GET":
            endpoint, ids = app.match(call.endpoint.method, call.path)
            self._witness.seen(visit, sent, (endpoint, ids, body), before, There(api))
        if call.endpoint.name == "containers.create" and answer.status < 300:
            self._waiting.pop((body["name"], str(body.get("plan"))), None)
        headers = {name.lower(): value for name, value in answer.headers.items()}
        headers["date"] = formatdate(self.turns.wall(), usegmt=True)
        return [Answer(answer.status, headers, answer.payload, self.turns.wall())]

    def _respond(self, method: str, path: str, query: dict[str, str], body: Mapping[str, Any]) -> Any:
        payload = json.dumps(body).encode() if body else b""
        key = f"Bearer {self._api.key}"
        return self._api.api.respond(Arriving(method, path, query, key, payload, host="127.0.0.1"))

    # Moves

    def _ask(self, move: dict[str, Any]) -> None:
        # The grants of the first changes end after an hour.
        some = [*self._grantees[: len(BUDGETS)], *self._grantees[len(BUDGETS) :][-4:]]
        some = [one for one in some if move["as_signed"] and any(it.is_left for it in one.signed)] or some
        by, row = some[move["who"] % len(some)], self._row(move["name"])
        signed = [one for one in by.signed if one.is_left] or by.signed
        if move["as_signed"] and signed:
            it = signed[-4:][-1 - move["permit"] % len(signed[-4:])].permit
            endpoint, ids, body = it["endpoint"], self._ids_of(it, move), it.get("body", {})
        else:
            if (move := self._apt(move))["what"] != "create" and row is not None and move["permit"]:
                # Mostly somebody who may.
                owners = [one.by.owner for thing, one in self._witness.made.items() if thing[1] == row.id]
                some = [one for one in some if one.owner in owners] or some
                by = some[move["who"] % len(some)]
            endpoint, ids, body = self._request(move)
        visit = self._mine.visit = Visit(by)
        path = ENDPOINTS[endpoint].path.format_map(ids)
        self._on_the_way[path] += 1
        try:
            answer = by.client(ENDPOINTS[endpoint].method, path, body or None)
        except KilledError:
            if endpoint == "containers.create":
                # The ledger does not show whether the request was sent.
                self._sent[body["name"], body["plan"]] = self.turns.wall(), False
            raise
        finally:
            self._on_the_way[path] -= 1
        self.counts["answered" if answer.status_code < 300 else "refused"] += 1
        if answer.status_code < 300:
            visit.is_answered = True
            for one in visit.repeatable[-1:]:
                one.used += 1
        elif "request" in answer.json():
            self._requests.append((by, answer.json()["request"]))

    def _read(self, move: dict[str, Any]) -> None:
        endpoint, container = move["endpoint"], f"{self._api.account}-{move['name']}"
        some = [one for one in self._grantees if any(it["endpoint"] == endpoint for it in one.secrets)]
        # Mostly somebody who may.
        some = some if some and move["as_signed"] else self._grantees
        by = some[-1 - move["permit"] % len(some)]
        if endpoint == "vpn_clients.config":
            path = f"/containers/{self._api.account}-vpn/vpn-config?client=laptop"
        else:
            path = f"/containers/{container}/credentials"
        visit = self._mine.visit = Visit(by)
        if by.client("GET", path).status_code == 200:
            self._witness.has_read(visit)
            self.counts[endpoint] += 1

    def _claim(self, move: dict[str, Any]) -> None:
        row = self._row(move["name"])
        if row is not None and not self._bench.is_down:
            # The administrator's command is another process.
            dies, self._bench.dies = self._bench.dies, None
            self._bench.ledger.claim(move["stack"], row.id, iso(row.created_at), row.template, row.plan)
            self._witness.claimed["Container", row.id, row.created_at] = move["stack"], self.turns.wall()
            self._bench.dies = dies
            self.counts["claimed"] += 1

    def _fault(self, move: dict[str, Any]) -> None:
        self._faults.append(move)

    def _kill(self, move: dict[str, Any]) -> None:
        if not self._bench.is_down:
            self._bench.dies = {**move}

    def _colleague(self, move: dict[str, Any]) -> None:
        move, now = self._apt(move), self.turns.now()
        what, name, plan = (move[one] for one in ("what", "name", "plan"))
        if what == "client":
            self._add_client()
            return
        if what not in {"create", "delete"}:
            self._change_inside(move)
            return
        row, key = self._row(name), (name, plan)
        id_ = f"{self._api.account}-{name}"
        sent, is_answered = self._sent.get(key, (-_DAY, True))
        if what == "create" and (
            row is not None
            # Known: deleted and made again within the lag; and while a request for the id is judged or on its way.
            or now - self._freed.get(name, -_DAY) < self._case["lag"] + 2
            or any(number and (name == one or id_ in one) for one, number in self._on_the_way.items())
            # Known: what has name, template and plan of a lost create, and was made in its time, is its result.
            or (not is_answered and self.turns.wall() - sent < _UNSETTLED)
        ):
            return
        if (row is None) is (what != "create") or self.is_too_much(1):
            return
        self.counts["colleague"] += 1
        if what == "create":
            self._by_colleague[name] = now
            with contextlib.suppress(Refusal):
                key_ = self._api._record(self._api.key)
                made = containers.create(self._api.platform, key_, create(name, plan=plan))
                self._api.drift._changed()
                waiting = self._waiting.get(key)
                if waiting is not None and made.created_at - waiting.sent < _UNSETTLED:
                    # Known: what a person creates in the same seconds is taken for what was on the waitlist.
                    self._witness.made["Container", made.id, made.created_at] = waiting
        else:
            self._freed[name] = now
            self._witness.removed_by_person(There(self._api).container(id_))
            self._api.drift.delete(name)

    def _change_inside(self, move: dict[str, Any]) -> None:
        """A person changes an object in a container."""
        endpoint, ids, body = self._request(move)
        path, before = ENDPOINTS[endpoint].path.format_map(ids), There(self._api)
        # Known: a person changes an object while a request about it is judged or on its way.
        ways = [way for way, number in self._on_the_way.items() if number]
        is_busy = any(id_ in way for way in ways for id_ in ids.values())
        if not is_busy and not self.is_too_much(1):
            self._respond(ENDPOINTS[endpoint].method, f"{app.BASE_PATH}{path}", {}, body)
            for one in before.places.keys() - There(self._api).places.keys():
                self._witness.removed_by_person(one)
            self._witness.opened[ids.get("container_id", "")] = self.turns.wall()
            self.counts["colleague inside"] += 1

    def _add_client(self) -> None:
        """A person adds a VPN client again, under its name."""
        # Known: while the list of clients lags behind, a request reaches the new client.
        if not self.is_too_much(1 + min(self._case["lag"], 1)):
            with contextlib.suppress(Refusal):
                self._api.drift.remove_vpn_client("vpn", "laptop")
            with contextlib.suppress(Refusal):
                self._api.drift.add_vpn_client("vpn", "laptop")

    def _sign(self, move: dict[str, Any]) -> None:
        known = {
            one.name: {"id": one.id, "created_at": iso(one.created_at - 60 * (move["seed"] % 8 == 1))}
            for one in self._api.state.containers.values()
        }
        # Two permits may not bind the same symbol.
        each = {(it["what"], it["name"]): it for one in move["permits"] for it in [self._apt(one)]}
        made = {*each}
        permits = [one for it in each.values() if (one := self._permit(it, known, made))]
        secrets = [one for it in move["secrets"] if (one := self._secret(it, known, made))]
        change = self._bench.change(*permits, stack=move["stack"], known=known, secrets=secrets)
        answer = self._bench.hand_in(change, "ann")
        if answer.status_code == 201:
            now = self.turns.wall()
            client = self._bench.client(answer.json()["token"])
            signed = [Signed(one, now) for one in permits]
            self._grantees.append(Grantee(client, "", move["stack"], signed, secrets, known, change, now))
        self.counts["signed" if answer.status_code == 201 else "not signed"] += 1

    def _again(self, move: dict[str, Any]) -> None:
        changes = [one for one in self._grantees if one.change]
        if changes:
            by = changes[move["who"] % len(changes)]
            answer = self._bench.hand_in(by.change, "ann")
            if answer.status_code == 201:
                by.client.token, by.since = answer.json()["token"], self.turns.wall()
                self.counts["handed in again"] += 1

    def _approve(self, move: dict[str, Any]) -> None:
        if self._requests:
            by, id_ = self._requests.pop(-1 - move["permit"] % len(self._requests))
            shown = by.client("GET", f"/_broker/requests/{id_}").json().get("change")
            if shown:
                # Another thread may use the permit before this one has its answer.
                one = Signed(json.loads(shown)["permits"][0], self.turns.wall())
                by.signed.append(one)
                with contextlib.suppress(KilledError):
                    self._bench.hand_in(shown, "ann", where="approvals")
                # The answer may be lost although the approval is stored.
                state = self._bench.ledger.rows("select state from requests where id = ?", id_)[0]["state"]
                if state == "approved":
                    self.counts["approved"] += 1
                else:
                    by.signed.remove(one)

    def _serve(self, move: dict[str, Any]) -> None:
        move["client"].create("fresh")

    # Requests and permits

    def _row(self, name: str) -> Container | None:
        return next((one for one in self._api.state.containers.values() if one.name == name), None)

    def _apt(self, one: dict[str, Any]) -> dict[str, Any]:
        """Return what somebody does, in place of what is not possible or done already."""
        what = one["what"]
        row = self._row("vpn" if "client" in what else one["name"])
        if what == "swap" or row is None:
            what = "create" if row is None else "delete"
        elif one["who"] % 6:
            links, backups = self._api.state.connections.values(), self._backups(row.id)
            is_let_in = one["address"] in {it.ip_address for it in row.allowed_ips}
            is_linked = row.id in {it.source for it in links}
            is_added = "laptop" in {it.name for it in row.vpn_clients}
            done = is_let_in, is_linked, any(it.pinned for it in backups[-1:]), is_added
            pairs = (pair[is_done] for pair, is_done in zip(_PAIRS, done, strict=True) if what in pair)
            what = next(pairs, what)
            what = "open" if what == "let in" and not row.external_access else what
            what = "backup" if what in {"pin", "restore", "drop backup"} and not backups else what
        return {**one, "what": what}

    def _backups(self, id_: str) -> list[Backup]:
        return [it for it in self._api.state.backups.values() if it.container_id == id_]

    def _request(self, one: Mapping[str, Any]) -> tuple[str, dict[str, str], dict[str, Any]]:
        """Return the request that somebody has in mind: its endpoint, ids and body."""
        state, row = self._api.state, self._row(one["name"])
        to = one["to"] if one["to"] != one["name"] else "vpn"
        me, other, vpn = (f"{self._api.account}-{name}" for name in (one["name"], to, "vpn"))
        address = {"ip_address": one["address"]}
        entries = [it.id for it in (row.allowed_ips if row else ()) if it.ip_address == one["address"]]
        links = [it.id for it in state.connections.values() if it.source == me]
        backups = [str(it.id) for it in self._backups(me)]
        at, backup = {"container_id": me}, {"backup_id": (backups or ["1"])[-1]}
        kinds: dict[str, tuple[str, dict[str, str], dict[str, Any]]] = {
            "create": ("containers.create", {}, create(one["name"], plan=one["plan"])),
            "delete": ("containers.delete", at, {}),
            "restart": ("containers.set_status", at, {"status": "restart"}),
            "stop": ("containers.set_status", at, {"status": "stopped"}),
            "open": ("containers.external_access", at, {"enabled": True}),
            "close": ("containers.external_access", at, {"enabled": False}),
            "let in": ("allowed_ips.add", at, address),
            "shut out": ("allowed_ips.remove", {**at, "ip_id": (entries or ["none"])[0]}, {}),
            "connect": (
                "connections.create",
                {"source_id": me, "target_id": other},
                {"connectionName": "it"},
            ),
            "disconnect": ("connections.delete", {"connection_id": (links or ["none"])[0]}, {}),
            "backup": ("backups.trigger", at, {}),
            "pin": ("backups.pin", backup, {}),
            "unpin": ("backups.unpin", backup, {}),
            "restore": ("backups.restore", backup, {}),
            "drop backup": ("backups.delete", backup, {}),
            "client": ("vpn_clients.add", {"vpn_container_id": vpn}, {"name": "laptop"}),
            "drop client": ("vpn_clients.remove", {"vpn_container_id": vpn, "client_name": "laptop"}, {}),
        }
        return kinds[one["what"]]

    def _permit(
        self, one: Mapping[str, Any], known: Mapping[str, Any], made: set[Any]
    ) -> dict[str, Any] | None:
        """
        Return a permit for a request, as a program would plan it; `None` if its object is missing.

        `made` says what the change does with which container.
        """
        endpoint, ids, body = self._request(one)
        constraints = self._constraints(one, ids, known, made)
        if constraints is None:
            return None
        more: dict[str, Any] = {"ids": constraints, "times": one["times"]} if constraints else {}
        if one["what"] in {"create", "backup"}:
            more = {**more, "times": 1, "binds": f"new {'backup of ' * bool(ids)}{one['name']}"}
        if one["what"] in {"let in", "shut out", "pin", "unpin"} and one["permit"]:
            more["times"] = None
        if one["what"] == "close" and one["form"] == "of":
            more["only_address"] = one["address"]
        return permit(endpoint, body, **more)

    def _secret(
        self, one: Mapping[str, Any], known: Mapping[str, Any], made: set[Any]
    ) -> dict[str, Any] | None:
        """Return the permission to read a secret."""
        ids = {"container_id": f"{self._api.account}-{one['name']}"}
        if one["endpoint"] == "vpn_clients.config":
            ids = {"vpn_container_id": f"{self._api.account}-vpn", "client_name": "laptop"}
        constraints = self._constraints(one, ids, known, made)
        return None if constraints is None else {"endpoint": one["endpoint"], "ids": constraints}

    def _constraints(
        self, one: Mapping[str, Any], ids: Mapping[str, str], known: Mapping[str, Any], made: set[Any]
    ) -> dict[str, Any] | None:
        named = {it["id"]: name for name, it in known.items()}
        constraints: dict[str, Any] = {}
        for name, value in ids.items():
            if name == "ip_id":
                constraints[name] = {"address": one["address"]}
            elif name == "client_name":
                found = self._api.state.containers[ids["vpn_container_id"]].vpn_clients
                times = [{"created_at": iso(it.created_at)} for it in found if it.name == value]
                # Without a time, it is the client that the change adds.
                constraints[name] = {"is": value, **(times[0] if times and one["permit"] else {})}
            elif name == "backup_id" and one["form"] == "of" and ("backup", one["name"]) in made:
                constraints[name] = {"new_backup_of": f"new backup of {one['name']}"}
            elif name in PARTS:
                part = There(self._api).part(PARTS[name], value)
                if part is None:
                    return None
                # Some are wrong: the broker refuses these requests.
                (_, _, at), place = part
                of = one["to"] if one["to"] in known and not one["permit"] else named[place]
                more = {"in": of, "created_at": iso(at - 60 * (one["who"] % 8 == 1))}
                constraints[name] = {"is": value, **(more if one["form"] != "any" else {})}
            elif value in named and one["form"] == "is":
                constraints[name] = {"is": value, "created_at": known[named[value]]["created_at"]}
            else:
                any_ = NAMES[:2] if one["form"] == "any" and "vpn" not in name else ()
                names = {value.rpartition("-")[2], *any_}
                of = [
                    *sorted(names & known.keys()),
                    *(f"new {it}" for it in sorted(names) if ("create", it) in made),
                ]
                if not of:
                    return None
                constraints[name] = {"of": of}
        return constraints

    def _ids_of(self, one: Mapping[str, Any], move: Mapping[str, Any]) -> dict[str, str]:
        """Return ids that are mostly those of a permit."""
        ids, place = dict[str, str](), move["name"]
        for name, it in one.get("ids", {}).items():
            symbols = it.get("of") or [it.get("new_backup_of") or it.get("is") or place]
            place = symbols[move["seed"] % len(symbols)].split()[-1].rpartition("-")[2]
            place = place if move["seed"] % 5 else move["to" if name == "target_id" else "name"]
            address = it.get("address", "") if move["seed"] % 5 else move["address"]
            its = {**move, "name": place, "address": address}
            found = self._request({**its, "what": "pin"})[1] | self._request({**its, "what": "shut out"})[1]
            ids[name] = it.get("is") or found.get(name) or f"{self._api.account}-{place}"
        return ids
