"""Answers that would use too much memory or time: over real requests, through the complete client."""

from __future__ import annotations

import gzip
import json
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from stacks_pulumi import errors
from stacks_pulumi.api import StacksClient
from stacks_pulumi.api.containers import LIST
from tests.unit.api.scripted_api import KEY

MIB = 1024 * 1024
ROW = {"id": "usr-1-web", "name": "web", "type": "nodejs", "plan": "basic", "status": "running"}


@contextmanager
def answering(answer: Callable[[str], tuple[dict[str, str], bytes]]) -> Iterator[tuple[str, list[str]]]:
    """Serve each GET request; yield the base URL and the requested paths."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            headers, body = answer(self.path)
            self.send_response(200)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            """Write no line for a request."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/api/v1", asked
        finally:
            server.shutdown()


def bomb(size: int) -> bytes:
    """Return doubly compressed spaces."""
    inner, outer, made = zlib.compressobj(9, wbits=31), zlib.compressobj(9, wbits=31), b""
    for _ in range(size // MIB):
        made += outer.compress(inner.compress(b" " * MIB))
    return made + outer.compress(inner.flush()) + outer.flush()


def test_an_answer_that_was_compressed_twice_is_read_only_to_the_limit() -> None:
    body = bomb(96 * MIB)
    assert len(body) < 4096

    with (
        answering(lambda _path: ({"Content-Encoding": "gzip, gzip"}, body)) as (url, _),
        StacksClient(KEY, base_url=url) as client,
    ):
        tracemalloc.start()
        with pytest.raises(errors.UnreadableAnswerError, match="longer than 16777216 bytes"):
            client.containers.templates()
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    assert most < 64 * MIB


def test_the_pages_of_a_list_are_limited_together() -> None:
    def answer(path: str) -> tuple[dict[str, str], bytes]:
        number = int(path.partition("page=")[2] or 1)
        body = json.dumps({"data": [{**ROW, "id": f"usr-1-{number}"}], "next": f"?page={number + 1}"})
        return {"Content-Encoding": "gzip"}, gzip.compress(body.encode() + b" " * 12 * MIB, 1)

    with answering(answer) as (url, asked), StacksClient(KEY, base_url=url) as client:
        rows = client.containers.send(LIST)

    assert [row.id for row in rows] == ["usr-1-1", "usr-1-2", "usr-1-3"]
    assert rows.gap == "it has more than 200 pages, or more than 33554432 bytes"
    assert len(asked) == 3


def test_a_range_of_5000_digits_says_nothing() -> None:
    body = json.dumps({"success": True, "count": 1, "data": [ROW]}).encode()
    digits = "9" * 5000

    with (
        answering(lambda _path: ({"Content-Range": f"items 0-{digits}/{digits}"}, body)) as (url, _),
        StacksClient(KEY, base_url=url) as client,
    ):
        rows = client.containers.send(LIST)

    assert [row.id for row in rows] == ["usr-1-web"]
