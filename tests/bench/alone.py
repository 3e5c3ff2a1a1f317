"""Measurements without a stack: imports, the plugin's start, a long list, a long preview, and concurrent stacks."""

from __future__ import annotations

import functools
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import requests

from stacks_pulumi.api import StacksClient
from tests.bench import broker
from tests.support import several_stacks
from tests.support.guide import LISTED
from tests.support.previews import events, step, web

_COMPILED = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
"""An installed package is compiled. With this variable in the environment, each start would compile it again."""
_ROUNDS = 9
_ROWS = 5_000
_IMPORTS = {
    "pulumi": "import pulumi",
    "ours": "import pulumi, stacks_pulumi",
    "Container": "import pulumi, stacks_pulumi; stacks_pulumi.Container",
}


@dataclass(frozen=True)
class Alone:
    """
    The figures: milliseconds of processor time, each the minimum of several rounds; for the broker, elapsed time.

    Attributes:
        import_pulumi: `import pulumi`.
        import_ours: The time that `import stacks_pulumi` adds.
        import_container: The time that `import stacks_pulumi` and `stacks_pulumi.Container` add.
        plugin_start: From the start of the native plugin until the engine can connect to it.
        list_client: A list of 5,000 containers with the client.
        list_bare: The same list with only requests and json.
        cost: `stacks-pulumi cost` for a preview of 5,000 resources, including the start of the process.
        shared: Four stacks with 24 containers each on one key.
        broker: The broker's own time.
    """

    import_pulumi: float
    import_ours: float
    import_container: float
    plugin_start: float
    list_client: float
    list_bare: float
    cost: float
    shared: several_stacks.Outcome
    broker: broker.Own


def measure() -> Alone:
    """Measure all of them."""
    imports = _least({name: functools.partial(_import, text) for name, text in _IMPORTS.items()})
    lists = _lists()
    with tempfile.TemporaryDirectory() as folder:
        preview = Path(folder) / "preview.json"
        preview.write_bytes(events(*map(_step, range(_ROWS))))
        cost = min(_cost(preview) for _ in range(3))
    return Alone(
        import_pulumi=imports["pulumi"],
        import_ours=imports["ours"] - imports["pulumi"],
        import_container=imports["Container"] - imports["pulumi"],
        plugin_start=min(_plugin_start() for _ in range(_ROUNDS)),
        list_client=lists["client"],
        list_bare=lists["bare"],
        cost=cost,
        shared=several_stacks.run(apart=1.0),
        broker=broker.measure(),
    )


def _least(ways: dict[str, Callable[[], float]]) -> dict[str, float]:
    """Return the minimum of several rounds, which alternate so that other load affects all measurements equally."""
    rounds = [{name: way() for name, way in ways.items()} for _ in range(_ROUNDS)]
    return {name: min(took[name] for took in rounds) for name in ways}


def _import(statement: str) -> float:
    program = f"import time; t = time.process_time(); {statement}; print((time.process_time() - t) * 1000)"
    done = subprocess.run(
        [sys.executable, "-c", program], env=_COMPILED, capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def _plugin_start() -> float:
    with subprocess.Popen(
        [Path(sys.prefix) / "bin" / "pulumi-resource-stacks"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=_COMPILED,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        port = process.stdout.readline()
        took = time.clock_gettime(~process.pid << 3 | 2)
        process.stdin.close()
    assert port.strip().isdigit(), f"the plugin did not report a port: {port!r}"
    return took * 1000


def _cost(preview: Path) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "stacks_pulumi", "cost", str(preview), "--max-total", "1000000"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=_COMPILED)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1000


def _step(number: int) -> dict[str, Any]:
    """Return a step as large as a real one: create, change, remove or keep, each for a quarter of the steps."""
    bulk: dict[str, Any] = {"outputs": {f"output_{number}": "x" * 40 for number in range(20)}}
    name, plan = f"container-{number}", ("micro", "standard")[number // 4 % 2]
    old, new = (None, web("basic"), web(plan), web(plan))[number % 4], web(plan)
    op = ("create", "update", "delete", "same")[number % 4]
    return step(op, name, old, None if op == "delete" else new, **bulk)


def _lists() -> dict[str, float]:
    """Return the processor time of the calling thread, without the server's time."""
    rows = [
        {**LISTED, "id": f"usr-abc12345-app-{number}", "name": f"app-{number}"} for number in range(_ROWS)
    ]
    body = json.dumps({"success": True, "count": _ROWS, "data": rows}).encode()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/api/v1"
    client = StacksClient("sk_stacks_" + "0" * 64, base_url=url, requests_per_minute=1_000_000)

    def timed(found: Callable[[], int]) -> float:
        began = time.thread_time()
        assert found() == _ROWS
        return (time.thread_time() - began) * 1000

    with requests.Session() as session:
        bare = f"{url}/containers"
        took = _least(
            {
                "client": lambda: timed(lambda: len(client.containers.list())),
                "bare": lambda: timed(lambda: len(json.loads(session.get(bare, timeout=30).content)["data"])),
            }
        )
    server.shutdown()
    server.server_close()
    return took
