"""The time to list many containers, compared with requests and json alone."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import requests

from stacks_pulumi.api import StacksClient

ROWS = 5_000
ROUNDS = 15
_KEY = "sk_stacks_" + "0" * 64

# As the guide shows it ("List Containers").
_ROW = {
    "id": "usr-abc12345-myapp",
    "name": "myapp",
    "type": "nodejs",
    "plan": "basic",
    "status": "running",
    "cpu_allocated": 1,
    "memory_allocated": 1024,
    "storage_allocated": 10240,
    "ip_address": "10.52.0.5",
    "created_at": "2026-02-25T10:30:00.000Z",
    "raw_docker_status": "Up 2 hours (healthy)",
    "image_tag": "stackshosting/nodejs:latest",
    "version": "22",
    "version_major": "22",
}


def milliseconds(rows: int = ROWS, rounds: int = ROUNDS) -> dict[str, float]:
    """
    Return the time of a list in the client, in the client with one malformed field, and in requests with json.

    Each is the least of several rounds, taken in turn. It is the processor time of the calling thread, without the time
    of the server and of other processes.
    """
    data = [{**_ROW, "id": f"usr-abc12345-app-{number}", "name": f"app-{number}"} for number in range(rows)]
    usual = _Server(data)
    data[rows // 2]["memory_allocated"] = "much"
    odd = _Server(data)
    with usual, odd:
        ways: dict[str, Callable[[], int]] = {
            "client": usual.by_client,
            "one odd field": odd.by_client,
            "requests and json": usual.by_requests,
        }
        least = dict.fromkeys(ways, float("inf"))
        for _ in range(rounds):
            for name, way in ways.items():
                began = time.thread_time()
                found = way()
                least[name] = min(least[name], (time.thread_time() - began) * 1000)
                if found != rows:
                    raise AssertionError(f"{name}: {found} rows of {rows}")
    return least


class _Server:
    """A server that answers every request with one prepared list, so that only the client is measured."""

    def __init__(self, data: list[dict[str, object]]) -> None:
        body = json.dumps({"success": True, "count": len(data), "data": data}).encode()

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

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._url = f"http://127.0.0.1:{self._server.server_port}/api/v1"
        self._client = StacksClient(_KEY, base_url=self._url, requests_per_minute=1_000_000)
        self._session = requests.Session()

    def __enter__(self) -> _Server:  # noqa: PYI034  (typing.Self is newer than Python 3.10)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._session.close()
        self._server.shutdown()
        self._server.server_close()

    def by_client(self) -> int:
        return len(self._client.containers.list())

    def by_requests(self) -> int:
        answer = self._session.get(f"{self._url}/containers", timeout=30)
        return len(json.loads(answer.content)["data"])
