"""A listening broker in front of a listening emulator, with approvers and clients."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

import pytest
import requests
import yaml

from stacks_pulumi.broker import folder as folders
from stacks_pulumi.broker.change import canonical, instant
from stacks_pulumi.broker.ledger import Spec
from stacks_pulumi.broker.server import Server, Tls
from stacks_pulumi.emulator import Emulator
from stacks_pulumi.emulator.platform import iso
from stacks_pulumi.emulator.state import AllowedIp
from stacks_pulumi.gate import start
from tests.support.clock import SPEED, fast_clock
from tests.support.gate import keys, signer

STACK: Final = "shop/prod"


class HurriedClock:
    """A clock that runs as fast as the emulator's clock, and that a test can advance."""

    def __init__(self) -> None:
        self._there = fast_clock()
        self._with: Emulator | None = None

    def now(self) -> float:
        return self._there.now()

    def wall(self) -> float:
        return self._there.now()

    def sleep(self, seconds: float) -> None:
        if self._with is not None:
            self._with.advance(seconds)
            self.advance(seconds)
        elif seconds > 0:
            threading.Event().wait(seconds / SPEED)

    def wait(self, condition: threading.Condition, seconds: float) -> None:
        if seconds > 0:
            condition.wait(seconds / SPEED)

    def freeze(self) -> None:
        """Stop the clock of the broker."""
        self._there.freeze()

    def freeze_with(self, emulator: Emulator) -> None:
        """Stop both clocks, so that the length of a test's own steps does not matter. A pause then advances both."""
        emulator.freeze()
        self._there.freeze()
        self._with = emulator

    def advance(self, seconds: float) -> None:
        self._there.advance(seconds)


class Client:
    """A client of a broker, with a token."""

    def __init__(self, url: str, token: str = "") -> None:
        self.url, self.token = url, token

    def __call__(self, method: str, path: str, body: Any = None, **options: Any) -> requests.Response:
        """Send a request for a path below the base URL."""
        base = self.url.removesuffix("/api/v1") if path.startswith("/_broker") else self.url
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        return requests.request(
            method,
            f"{base}{path}",
            json=body,
            timeout=60,
            headers={**headers, **options.pop("headers", {})},
            **options,
        )

    def create(self, name: str = "web", **more: Any) -> requests.Response:
        """Create a container."""
        return self("POST", "/containers", create(name, **more))

    def create_in_the_end(self, name: str) -> requests.Response:
        """
        Create a container, and repeat the request while the broker says that it is busy, as every client does.

        The clock is ten times as fast, so on a busy machine the time for one answer may end early.
        """
        for _ in range(20):
            answer = self.create(name)
            if answer.status_code != 409:
                break
        return answer


def create(name: str, template: str = "nodejs", plan: str = "basic", **more: Any) -> dict[str, Any]:
    """Return the body of a create request."""
    return {"name": name, "template": template, "plan": plan, **more}


class Bench:
    """
    A broker with its emulator.

    Args:
        path: Its folder.
        emulator: The platform.
        settings: The settings in `gate.yaml`.
        clock: The clock of the broker.
        key: Its key; by default that of the account's owner.
    """

    def __init__(
        self,
        path: Path,
        emulator: Emulator,
        settings: Mapping[str, Any],
        clock: HurriedClock | None = None,
        key: str | None = None,
    ) -> None:
        self.path, self.emulator = path, emulator
        self.clock = clock or HurriedClock()
        start.init(path)
        # The pack's settings, because a gate without a pack would be a mistake.
        shutil.rmtree(path / "packs")
        file = path / "key"
        file.write_text(key or emulator.key, encoding="utf-8")
        file.chmod(0o600)
        (path / "allowed_signers").write_text(signer("ann") + signer("bob"), encoding="utf-8")
        self.configure({"rules": {"unpriced": "approve"}, **settings})
        self._running: tuple[Server, threading.Thread] | None = None
        self.start()

    def configure(self, settings: Mapping[str, Any]) -> None:
        """Write `gate.yaml`."""
        given = {
            "version": 1,
            "base_url": self.emulator.url,
            "key": {"file": str(self.path / "key")},
            **settings,
        }
        (self.path / "gate.yaml").write_text(yaml.safe_dump(given), encoding="utf-8")

    def start(self, tls: Tls | None = None, listen: str = "127.0.0.1:0") -> None:
        """Start the broker; after a stop, with the same ledger."""
        self.folder = folders.Folder(self.path, self.clock)
        server = Server(self.folder, listen, tls, clock=self.clock)
        listens = threading.Event()
        thread = threading.Thread(target=server.run, args=(lambda _url: listens.set(),), daemon=True)
        thread.start()
        assert listens.wait(30)
        self._running = server, thread
        self.server, self.url = server, server.url

    def stop(self) -> None:
        """Stop the broker after the requests in progress."""
        if self._running is not None:
            server, thread = self._running
            server.stop()
            thread.join(60)
            assert not thread.is_alive()
            self.folder.close()
            self._running = None

    @property
    def ledger(self) -> Any:
        """The ledger."""
        return self.folder.ledger

    def client(self, token: str = "") -> Client:
        """Return a client with a token."""
        return Client(self.url, token)

    def reader(self, **spec: Any) -> Client:
        """Return a client with a `read` grant."""
        return self.client(self.ledger.issue("read", "reader", seconds=3600.0, spec=Spec(**spec))[1])

    def agent(self, policy: str = "agents", stack: str = STACK) -> Client:
        """Return a client with a `budget` grant."""
        return self.client(
            self.ledger.issue("budget", "agent", seconds=36000.0, policy=policy, stack=stack)[1]
        )

    def change(self, *permits: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        """Return a change, with numbers for permits without a number."""
        numbered = [{"n": number, **permit} for number, permit in enumerate(permits, start=1)]
        return {
            "version": 1,
            "stack": STACK,
            "account": self.ledger.account,
            "until": instant(self.clock.wall() + 3600),
            "nonce": f"nonce-{next(_NUMBERS):012}",
            "permits": numbered,
            **more,
        }

    def hand_in(
        self, change: Mapping[str, Any] | str, *people: str, token: str = "", where: str = "changes"
    ) -> requests.Response:
        """Hand in a change with the signatures of some people."""
        text = change if isinstance(change, str) else canonical(change).decode()
        body = {"statement": text, "signatures": [sign(text, name) for name in people]}
        return self.client(token)("POST", f"/_broker/{where}", body)

    def granted(self, *permits: Mapping[str, Any], **more: Any) -> Client:
        """Return a client with the grant of a change that ann has signed."""
        answer = self.hand_in(self.change(*permits, **more), "ann")
        assert answer.status_code == 201, answer.text
        return self.client(answer.json()["token"])

    def made(self, name: str, **more: Any) -> dict[str, Any]:
        """Create a container before the change; return it as the platform lists it."""
        ids = self.emulator.load([{"name": name, "template": "nodejs", "plan": "basic", **more}])
        return self.listed(ids[0])

    def listed(self, id_: str) -> dict[str, Any]:
        """Return a container as the platform lists it."""
        return next(row for row in self.owner("GET", "/containers").json()["data"] if row["id"] == id_)

    def device(self, container: str, name: str) -> dict[str, Any]:
        """Return the constraint of an existing VPN client."""
        found = self.emulator.state.container(container).vpn_clients
        return {"is": name, "created_at": next(iso(one.created_at) for one in found if one.name == name)}

    @property
    def owner(self) -> Client:
        """A client that has the key itself and does not use the broker."""
        return Client(self.emulator.url, self.emulator.key)

    @property
    def names(self) -> list[str]:
        """The names of the existing containers."""
        return sorted(one.name for one in self.emulator.state.containers.values())

    def journal(self, decision: str = "") -> list[dict[str, Any]]:
        """Return the lines of the journal, by default of all decisions."""
        rows = [dict(row) for row in self.ledger.rows("select * from journal order by id")]
        return [row for row in rows if decision in row["decision"]]


def _numbers() -> Iterator[int]:
    number = 0
    while True:
        number += 1
        yield number


_NUMBERS: Final = _numbers()


def sign(text: str, name: str, namespace: str = "stacks-pulumi-gate") -> str:
    """Return the signature of a person."""
    words = ["ssh-keygen", "-Y", "sign", "-f", str(keys() / name), "-n", namespace]
    done = subprocess.run(words, input=text.encode(), capture_output=True, check=True)
    return done.stdout.decode()


def permit(endpoint: str, body: Mapping[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """Return a permit."""
    return {"endpoint": endpoint, **({"body": body} if body else {}), **more}


def literal(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the constraint of an existing container."""
    return {"is": row["id"], "created_at": row["created_at"]}


def known(**rows: Mapping[str, Any]) -> dict[str, Any]:
    """Return existing containers by their symbols, as a change names them."""
    return {symbol: {"id": row["id"], "created_at": row["created_at"]} for symbol, row in rows.items()}


def add_twice(bench: Bench) -> list[AllowedIp]:
    """Add an address with a lost answer that two reads do not find; return the entries. One entry has the address."""
    bench.emulator.platform.duplicate_ips = True
    web, body = bench.made("web", allowed_ips=["198.51.100.7"]), {"ip_address": "198.51.100.9"}
    grant = bench.granted(permit("allowed_ips.add", body, ids={"container_id": literal(web)}))
    bench.emulator.faults.add("allowed_ips.add", "drop_after")
    nothing = {"data": {"external_access_enabled": True, "allowed_ips": []}}
    bench.emulator.faults.add("allowed_ips.list", "status", 2, code=200, body=nothing)
    assert grant("POST", f"/containers/{web['id']}/allowed-ips", body).status_code == 200
    entries = bench.emulator.state.containers[web["id"]].allowed_ips
    assert [entry.ip_address for entry in entries].count("198.51.100.9") == 1
    return entries


Benches: TypeAlias = Callable[..., Bench]
"""Creates a bench with some settings."""


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator(clock=fast_clock()) as running:
        yield running


@pytest.fixture
def benches(tmp_path: Path, emulator: Emulator) -> Iterator[Benches]:
    made: list[Bench] = []

    def make(clock: HurriedClock | None = None, **settings: Any) -> Bench:
        made.append(Bench(tmp_path / f"broker{len(made)}", emulator, settings, clock))
        return made[-1]

    yield make
    for bench in made:
        with contextlib.suppress(AssertionError):
            bench.stop()


@pytest.fixture
def bench(benches: Benches) -> Bench:
    return benches()
