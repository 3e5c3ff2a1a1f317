"""A real engine: plain `pulumi up` with the token of a grant as its key."""

from __future__ import annotations

import contextlib
import http.server
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import Self

from stacks_pulumi.broker.change import instant
from stacks_pulumi.emulator import Emulator
from tests.broker.conftest import Bench, Benches, create, permit
from tests.support import emulators
from tests.support.stack import Stack
from tests.support.waiting import until
from tools.engine.ensure import ensure

pytestmark = pytest.mark.engine

PROGRAM = """
web = stacks.Container("web", template="nodejs", external_access=True)
data = stacks.Container("data", template="redis")
stacks.Connection("web-to-data", source=web, target=data, name="primary")
stacks.AllowedIp("office", container=web, ip_address="198.51.100.9", description="office")
"""
OF_WEB = {"container_id": {"of": ["web"]}}
PERMITS = [
    permit("containers.create", create("web"), binds="web"),
    permit("containers.create", create("data", "redis"), binds="data"),
    permit("containers.external_access", {"enabled": True}, ids=OF_WEB),
    permit(
        "connections.create",
        {"connectionName": "primary"},
        ids={"source_id": {"of": ["web"]}, "target_id": {"of": ["data"]}},
    ),
    permit("containers.set_status", {"status": "restart"}, ids=OF_WEB),
    permit("containers.set_status", {"status": "running"}, ids=OF_WEB, times=2),
    permit(
        "allowed_ips.add",
        {"ip_address": "198.51.100.9", "description": "office", "service_type": "both"},
        ids=OF_WEB,
    ),
]
HOSTILE = """
import json, pathlib, requests
from pulumi.dynamic import CreateResult, Resource, ResourceProvider

def attack(where):
    import json, pathlib, requests
    said = [
        requests.request(
            method, {url!r} + path, json=body, headers={{"Authorization": "Bearer " + {token!r}}}
        ).status_code
        for method, path, body in {tries}
    ]
    with pathlib.Path({log!r}).open("a") as file:
        file.write(json.dumps([where, said]) + "\\n")

class Label(ResourceProvider):
    def create(self, props):
        attack("provider")
        return CreateResult("label", props)
    def delete(self, id, props):
        attack("state")

class Harmless(Resource):
    def __init__(self):
        super().__init__(Label(), "label", {{}})

attack("preview" if pulumi.runtime.is_dry_run() else "program")
Harmless()
"""


emulator = emulators.for_stacks


@pytest.fixture
def stack_of(tmp_path: Path) -> Callable[..., Stack]:
    """Return a function that creates a stack with a token."""

    def make(token: str, url: str) -> Stack:
        return Stack(tmp_path / "stack", ensure().bin, {"stacks:apiKey": token, "stacks:baseUrl": url})

    return make


def test_an_up_with_a_signed_change(
    bench: Bench, stack_of: Callable[..., Stack], emulator: Emulator, tmp_path: Path
) -> None:
    """
    The signed requests happen once; any other code with the token gets a 403.

    The program's code sends requests in a preview and in an `up`. A dynamic provider sends requests in its host, and
    from the state after it was removed from the program.
    """
    victim = bench.made("victim", backups=1)["id"]
    tries: list[tuple[str, str, Any]] = [
        ("POST", "/containers", create("miner", "ubuntu")),
        *(
            ("POST", "/containers", {**create("web"), **other})
            for other in ({"plan": "premium"}, {"template": "redis"}, {"additional_storage_tier": 1})
        ),
        ("DELETE", f"/containers/{victim}", None),
        ("PUT", f"/containers/{victim}/external-access", {"enabled": True}),
        ("POST", f"/containers/{victim}/allowed-ips", {"ip_address": "198.51.100.9"}),
        ("POST", "/backups/1/restore", None),
        ("GET", f"/containers/{victim}/credentials", None),
        ("GET", f"/containers/{victim}/certificate", None),
    ]
    grant, log = bench.granted(*PERMITS), tmp_path / "said"
    stack = stack_of(grant.token, bench.url)
    stack.program(PROGRAM + HOSTILE.format(tries=tries, url=bench.url, token=grant.token, log=str(log)))

    stack.preview()
    stack.up(quiet_afterwards=False)

    assert bench.names == ["data", "victim", "web"]
    assert [one.name for one in emulator.state.connections.values()] == ["primary"]
    before = [record for record in emulator.requests if record.method != "GET"]
    assert len(before) == len(PERMITS) - 1
    # The only remaining step is that the provider in the state deletes its resource.
    stack.program(PROGRAM)
    assert stack.up(quiet_afterwards=False).steps("label") == ["delete"]
    said = [json.loads(line) for line in log.read_text().splitlines()]
    assert {where for where, _ in said} == {"preview", "program", "provider", "state"}
    assert {status for _, answers in said for status in answers} == {403}
    assert len(bench.journal("refused")) == len(said) * len(tries)
    assert [record for record in emulator.requests if record.method != "GET"] == before

    # The program was changed after the approval.
    stack.program(PROGRAM + 'stacks.Container("extra", template="nodejs")\n')
    failed = stack.up_fails()
    assert "this request was not approved: POST /containers" in " ".join(failed.errors)
    assert bench.names == ["data", "victim", "web"]


PLUGIN = """#!/bin/sh
exec python3 -c '
import json, os, urllib.error, urllib.request
request = urllib.request.Request(os.environ["STACKS_BASE_URL"] + "/containers", method="POST")
request.add_header("Authorization", "Bearer " + os.environ["STACKS_API_KEY"])
request.add_header("Content-Type", "application/json")
try:
    said = urllib.request.urlopen(request, json.dumps({"name": "miner", "template": "ubuntu"}).encode()).status
except urllib.error.HTTPError as error:
    said = error.code
open(os.environ["SAID"], "a").write(json.dumps([said, dict(os.environ)]) + chr(10))
'
"""


class Download(http.server.BaseHTTPRequestHandler):
    """Answers each request with an archive of the plugin."""

    def do_GET(self) -> None:
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as archive:
            member = tarfile.TarInfo("pulumi-resource-evil")
            member.size, member.mode = len(PLUGIN), 0o755
            archive.addfile(member, io.BytesIO(PLUGIN.encode()))
        self.send_response(200)
        self.send_header("Content-Length", str(len(packed.getvalue())))
        self.end_headers()
        self.wfile.write(packed.getvalue())

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""


@pytest.mark.real_processes
def test_a_plugin_that_the_engine_downloads_has_the_token_alone(
    bench: Bench, stack_of: Callable[..., Stack], emulator: Emulator, tmp_path: Path
) -> None:
    """The program, the configuration or the state names the plugin, and the engine runs it."""
    grant, said = bench.granted(*PERMITS), tmp_path / "said"
    stack = stack_of(grant.token, bench.url)
    # The environment of `gate apply`.
    stack.env |= {"SAID": str(said), "STACKS_API_KEY": grant.token, "STACKS_BASE_URL": bench.url}
    with http.server.HTTPServer(("127.0.0.1", 0), Download) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        stack.program(
            f"""
            plugin = pulumi.ResourceOptions(
                version="1.0.0", plugin_download_url="http://127.0.0.1:{server.server_port}/"
            )
            pulumi.CustomResource("evil:index:Thing", "it", {{}}, plugin)
            """
        )
        stack.up_fails()
        server.shutdown()

    ran = [json.loads(line) for line in said.read_text().splitlines()]
    assert {status for status, _ in ran} == {403}
    assert emulator.key not in said.read_text()
    assert bench.names == []


class Killed:
    """The processes of a broker. Each is killed at some point, and the next one serves its clients."""

    def __init__(self, path: Path, env: dict[str, str], listens: socket.socket) -> None:
        self._words = [sys.executable, str(Path(__file__).with_name("killed.py")), str(path)]
        self._env, self._listens = env, listens
        self.codes: list[int] = []
        self._ends = False
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends = True
        self.process.terminate()
        self._thread.join()

    def _serve(self) -> None:
        while not self._ends:
            number = self._listens.fileno()
            with subprocess.Popen(
                [*self._words, str(number)], env=self._env, pass_fds=[number]
            ) as self.process:
                self.codes.append(self.process.wait())


def test_an_up_whose_broker_is_killed(
    bench: Bench, stack_of: Callable[..., Stack], emulator: Emulator
) -> None:
    """
    SIGKILL before a request is sent, while the platform works, and before the outcome is recorded.

    One `pulumi up` meets all three kills. Each container is created once and bound, and the grant continues.
    """
    names = ["before", "while", "after"]
    permits = [permit("containers.create", create(name), binds=name) for name in names]
    opens = [
        permit("containers.external_access", {"enabled": True}, ids={"container_id": {"of": [name]}})
        for name in names
    ]
    grant = bench.granted(*permits, *opens)
    bench.stop()
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listens:
        stack = stack_of(grant.token, f"http://127.0.0.1:{listens.getsockname()[1]}/api/v1")
        stack.program(
            "".join(
                f'{name}_ = stacks.Container("{name}", template="nodejs", external_access=True, '
                f"opts=pulumi.ResourceOptions(depends_on=[{before}]))\n"
                for name, before in zip(names, ["", "before_", "while_"], strict=True)
            )
        )
        emulator.faults.add("containers.create", "pass")
        emulator.faults.add("containers.create", "slow", seconds=20.0)
        with Killed(bench.path, {**stack.env, "STACKS_API_KEY": ""}, listens) as broker:

            def kill() -> None:
                until(lambda: "while" in bench.names)
                os.kill(broker.process.pid, signal.SIGKILL)

            killer = threading.Thread(target=kill)
            killer.start()
            stack.up(quiet_afterwards=False)
            killer.join()
            assert broker.codes == [-signal.SIGKILL] * 3

    bench.start()
    assert bench.names == sorted(names)
    assert emulator.calls("containers.create") == 3
    assert emulator.calls("containers.external_access") == 3
    made = bench.client(grant.token)("GET", "/_broker/me").json()
    assert sorted(one["left"] for one in made["permits"]) == [0] * 6
    assert len(made["made"]) == 3
    assert len(bench.journal("left: unknown")) == 3


def test_a_grant_that_expires_while_an_up_runs(
    bench: Bench, stack_of: Callable[..., Stack], emulator: Emulator
) -> None:
    """
    A failed boot, a grant that ends, and a killed engine.

    After the change is handed in again, its approved requests continue. Until then, the grant may only remove its own
    containers.
    """
    change = bench.change(
        permit("containers.create", create("web"), binds="web"),
        permit("containers.create", create("data", "redis"), binds="data"),
        permit("containers.set_status", {"status": "running"}, ids=OF_WEB, times=2),
        until=instant(bench.clock.wall() + 7200),
    )
    stack = stack_of(bench.hand_in(change, "ann").json()["token"], bench.url)
    stack.program(
        'web = stacks.Container("web", template="nodejs")\n'
        'stacks.Container("data", template="redis", opts=pulumi.ResourceOptions(depends_on=[web]))\n'
    )
    # The same grant continues after a failed boot.
    emulator.fail_boot("web")
    assert "unexpected-status" in " ".join(stack.up_fails().errors)
    assert bench.names == ["web"]
    # The grant ends while the engine waits for the container.
    emulator.set_pace(boot_seconds=3600.0)
    with stack.real_processes():
        process = stack.start("up", "--yes", "--skip-preview")
        until(lambda: emulator.calls("containers.set_status"), alive=lambda: process.poll() is None)
        bench.clock.advance(3600)
        emulator.set_pace(boot_seconds=1)
        emulator.advance(3600)
        text, _ = process.communicate()
    assert "this grant has ended, so it may only read, and delete the objects" in text
    assert bench.names == ["web"]

    # The engine is killed while a new container boots; the provider removes the container, and the change continues.
    bench.clock.advance(121)
    stack.set("stacks:apiKey", bench.hand_in(change, "ann").json()["token"])
    emulator.set_pace(boot_seconds=3600.0)
    with stack.real_processes():
        process = stack.start("up", "--yes", "--skip-preview")
        until(lambda: "data" in bench.names, alive=lambda: process.poll() is None)
        process.kill()
        process.wait()
        # The engine's child processes keep the pipe open, so reading to its end would block.
        assert process.stdout is not None
        process.stdout.close()
    until(lambda: bench.names == ["web"])
    emulator.set_pace(boot_seconds=1)
    stack.cli("cancel", "--yes")
    stack.up(quiet_afterwards=False)

    assert bench.names == ["data", "web"]
    assert emulator.calls("containers.create") == 3


def test_an_agent_with_a_budget(benches: Benches, stack_of: Callable[..., Stack]) -> None:
    """Within the budget, no person is needed; above it, the engine shows the access request."""
    bench = benches(
        policies={
            "agents": {
                "increase_per_day": 9,
                "max_total": 12,
                "free": ["start", "restart", "connect-own", "undo"],
            }
        }
    )
    agent = bench.agent()
    stack = stack_of(agent.token, bench.url)
    stack.program('stacks.Container("web", template="nodejs")')
    stack.up()

    stack.program(
        'stacks.Container("web", template="nodejs")\nstacks.Container("data", template="nodejs", plan="premium")'
    )
    words = " ".join(stack.up_fails().errors)
    asked = re.search(r"access request (r-\w+)", words)
    assert asked is not None, words
    shown = agent("GET", f"/_broker/requests/{asked[1]}").json()
    assert json.loads(shown["change"])["permits"][0]["body"]["plan"] == "premium"
    assert bench.hand_in(shown["change"], "ann", where="approvals").status_code == 201

    # The policy's max_total is a hard limit: an approval does not lift it. The engine shows the cap and the spent
    # amount.
    assert "the policy's max_total is $12.00, and adding $10.00 a month to $4.00 would exceed it" in " ".join(
        stack.up_fails().errors
    )
    assert bench.names == ["web"]
