"""
Two Pulumi backends on this machine, each behind a slow network: an S3 server and PostgreSQL.

The S3 server is built once from its Go modules into the engine cache. PostgreSQL is the installed one; if it is
missing, it is installed from Debian's packages if this process may.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import json
import os
import pwd
import select
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import quote

import obstore
import psycopg
import pytest
from obstore.store import S3Store

from tests.support import key_service, servers
from tests.support.stack import Stack
from tools.engine import pins
from tools.engine.build import built_once, compile_binary, find_go
from tools.engine.engine import EngineUnavailableError

_S3_MODULE: Final = "s3_server"
_S3_PACKAGE: Final = "github.com/versity/versitygw/cmd/versitygw"
PASSWORD: Final = "hunter2/+"
"""A password that must be escaped in an address."""
_PLACES: Final = (
    "/usr/lib/postgresql/*/bin",
    "/usr/local/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql*/bin",
)


@dataclass(frozen=True)
class Backend:
    """
    A backend.

    Attributes:
        url: Its address for Pulumi, through the slow network.
        variables: The environment variables with the login.
        password: The password, which must not be in any output.
        network: The network in front of it.
    """

    url: str
    variables: Mapping[str, str]
    password: str
    network: Network = field(repr=False)


def write(backend: Backend, objects: Mapping[str, bytes]) -> None:
    """Write objects into a backend by their keys, in the engine's form and without delays."""
    if backend.url.startswith("file://"):
        for key, content in objects.items():
            file = Path(backend.url.removeprefix("file://")) / key
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
    elif backend.url.startswith("postgres://"):
        rows = [
            (f"postgres/{key}", json.dumps({"data": base64.b64encode(it).decode()}))
            for key, it in objects.items()
        ]
        with psycopg.connect(backend.url) as connection, connection.cursor() as cursor:
            cursor.execute(
                "CREATE TABLE IF NOT EXISTS pulumi_state (key TEXT PRIMARY KEY, data JSON NOT NULL, "
                "updated_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now())"
            )
            cursor.executemany("INSERT INTO pulumi_state (key, data) VALUES (%s, %s)", rows)
    else:
        access, secret = (backend.variables[f"AWS_{it}"] for it in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"))
        store = S3Store(
            "states",
            config={
                "endpoint": f"http://127.0.0.1:{backend.network.port}",
                "region": "us-east-1",
                "access_key_id": access,
                "secret_access_key": secret,
            },
            client_options={"allow_http": True},
        )
        for key, content in objects.items():
            obstore.put(store, f"team/{key}", content)


def move(stack: Stack, backend: Backend) -> None:
    """Move the state of a new stack to a backend and keep its configuration."""
    settings = stack.folder / "Pulumi.dev.yaml"
    kept = settings.read_bytes()
    settings.unlink()
    stack.env |= {**backend.variables, "PULUMI_BACKEND_URL": backend.url}
    stack.cli("stack", "init", "dev", "--secrets-provider", key_service.PROVIDER)
    settings.write_bytes(kept)


class Network:
    """
    A TCP proxy that delays each piece of data.

    Args:
        listens: The port of the server on this machine.
        seconds: The delay of each direction.
    """

    def __init__(self, listens: Path, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self._there = str(listens)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Stop accepting connections."""
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                here, _ = self._listener.accept()
            except OSError:
                return
            there = socket.socket(socket.AF_UNIX)
            try:
                there.connect(self._there)
            except OSError:
                here.close()
                continue
            for pair in ((here, there), (there, here)):
                threading.Thread(target=self._pass_on, args=pair, daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        """Forward each piece of data when it is due; the delays of several pieces overlap."""
        held: list[tuple[float, bytes]] = []
        open_ = True
        # The other direction may close both sockets in the meantime.
        with contextlib.suppress(OSError, ValueError):
            while open_ or held:
                wait = max(held[0][0] - time.monotonic(), 0) if held else None
                ready, _, _ = select.select([source] if open_ else [], [], [], wait)
                if ready:
                    data = source.recv(1 << 16)
                    open_ = bool(data)
                    if data:
                        held.append((time.monotonic() + self.seconds, data))
                while held and held[0][0] <= time.monotonic():
                    target.sendall(held.pop(0)[1])
        for one in (source, target):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


@functools.cache
def s3_server() -> Path:
    """Return the S3 server, which is built on first use; without Go or its modules the test is skipped."""

    def make(work: Path, log: Path) -> None:
        compile_binary(find_go(), _S3_MODULE, _S3_PACKAGE, work / "versitygw", log=log)

    sources = sorted((pins.MODULES / _S3_MODULE).iterdir())
    try:
        folder = built_once(
            _S3_MODULE, sources, make, what="the S3 server of the tests", needs="about 2 minutes"
        )
    except EngineUnavailableError as error:
        pytest.skip(str(error))
    return folder / "versitygw"


@functools.cache
def postgresql() -> Path:
    """Return the folder of PostgreSQL's programs; if it cannot be found or installed, skip the test."""
    found = _postgresql()
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        for words in (["update"], ["install", "--yes", "--no-install-recommends", "postgresql"]):
            subprocess.run(["apt-get", "--quiet", *words], capture_output=True, check=False)
        found = _postgresql()
    if found is None:
        pytest.skip("this machine has no PostgreSQL, and no apt-get as root that installs it")
    return found


def _postgresql() -> Path | None:
    named = shutil.which("postgres")
    folders = [] if named is None else [Path(named).resolve().parent]
    folders += [folder for place in _PLACES for folder in sorted(Path("/").glob(place[1:]), reverse=True)]
    return next((one for one in folders if all((one / it).exists() for it in ("postgres", "initdb"))), None)


@contextlib.contextmanager
def s3(seconds: float = 0.0) -> Iterator[Backend]:
    """Run the S3 server with one bucket."""
    with servers.folder() as folder:
        (folder / "objects" / "states").mkdir(parents=True)
        (folder / "meta").mkdir()
        listens = folder / "s3.sock"
        words = [
            "--access",
            "tests",
            "--secret",
            PASSWORD,
            "--port",
            str(listens),
            "--quiet",
            "--keep-alive",
        ]
        storage = ["posix", "--sidecar", str(folder / "meta"), str(folder / "objects")]
        with _running([s3_server(), *words, *storage], listens, seconds) as network:
            options = f"endpoint=http://127.0.0.1:{network.port}&s3ForcePathStyle=true&region=us-east-1"
            login = {"AWS_ACCESS_KEY_ID": "tests", "AWS_SECRET_ACCESS_KEY": PASSWORD}
            yield Backend(f"s3://states/team?{options}", login, PASSWORD, network)


@contextlib.contextmanager
def postgres(seconds: float = 0.0) -> Iterator[Backend]:
    """Run PostgreSQL with one database."""
    programs = postgresql()
    with servers.folder() as folder:
        secret, data = folder / "password", folder / "data"
        secret.write_text(PASSWORD, encoding="utf-8")
        data.mkdir()
        user = _unprivileged(folder, secret, data)
        initial = [
            "--auth=scram-sha-256",
            "--username=pulumi",
            f"--pwfile={secret}",
            "--no-sync",
            "--locale=C",
        ]
        done = subprocess.run(
            [programs / "initdb", *initial, "--encoding=UTF8", "-D", data],
            capture_output=True,
            text=True,
            check=False,
            user=user,
        )
        assert done.returncode == 0, done.stderr
        settings = (
            "listen_addresses=",
            f"unix_socket_directories={folder}",
            "fsync=off",
            "max_connections=50",
        )
        words = [word for setting in settings for word in ("-c", setting)]
        command: list[Path | str] = [programs / "postgres", "-D", data, *words]
        with _running(command, folder / ".s.PGSQL.5432", seconds, user) as network:
            login = f"pulumi:{quote(PASSWORD, safe='')}@127.0.0.1:{network.port}"
            yield Backend(f"postgres://{login}/postgres?sslmode=disable", {}, PASSWORD, network)


BACKENDS: Final[Mapping[str, Callable[[float], contextlib.AbstractContextManager[Backend]]]] = {
    "s3": s3,
    "postgres": postgres,
}
"""Name -> the function that runs the backend behind a slow network."""


def _unprivileged(*paths: Path) -> str | None:
    """
    Return an unprivileged user for a server, and give the paths to this user; `None` if not root.

    PostgreSQL refuses to run as root.
    """
    if os.geteuid() != 0:
        return None
    users = {one.pw_name for one in pwd.getpwall()}
    user = "postgres" if "postgres" in users else "nobody"
    for path in paths:
        shutil.chown(path, user)
    return user


@contextlib.contextmanager
def _running(
    words: Sequence[Path | str], listens: Path, seconds: float, user: str | None = None
) -> Iterator[Network]:
    """Run a server on a socket of this machine; yield the network in front of the server."""
    with (
        servers.running(words, lambda: servers.accepts(listens), user=user),
        contextlib.closing(Network(listens, seconds)) as network,
    ):
        yield network
