"""
A local key service with which stacks encrypt their secrets.

With a passphrase, the engine derives the key in every command, which takes a quarter of a no-op `up`. With a key
service, it sends one request. The service implements the two calls of Vault's transit engine that Pulumi sends. It has
no state, because it "encrypts" a text to itself, so a stack's files are valid in every run.
"""

from __future__ import annotations

import functools
import http.server
import json
import threading
from typing import Final

__all__ = ["PROVIDER", "environment"]

PROVIDER: Final = "hashivault://tests"
"""The stack's secrets provider."""

_MARK: Final = "vault:v1:"


class _KeyService(http.server.BaseHTTPRequestHandler):
    """Answers `encrypt` and `decrypt`."""

    def do_PUT(self) -> None:
        given = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if "/encrypt/" in self.path:
            data = {"ciphertext": _MARK + given["plaintext"]}
        else:
            data = {"plaintext": given["ciphertext"].removeprefix(_MARK)}
        body = json.dumps({"data": data}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Log nothing."""


@functools.cache
def environment() -> dict[str, str]:
    """Return the environment variables with which the engine finds the service, which runs as long as this process."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _KeyService)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return {"VAULT_SERVER_URL": f"http://127.0.0.1:{server.server_port}", "VAULT_SERVER_TOKEN": "a token"}
