"""The environment of a broker: its user, its files, its address, its systemd unit and its Compose file."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import pytest
import yaml

from stacks_pulumi import cli
from stacks_pulumi.api import StacksClient
from stacks_pulumi.broker import placement
from stacks_pulumi.broker.server import Listen, Server, Tls
from stacks_pulumi.config import AccountSettings
from stacks_pulumi.emulator import Emulator
from stacks_pulumi.errors import ConfigError, ConnectionFailedError, StacksError
from stacks_pulumi.gate.client import Broker
from tests.broker.conftest import Bench

ROOT: Final = Path(__file__).parents[2]
PATIENCE: Final = 120
"""Seconds after which a program that should have ended is killed."""


# The unit


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_the_unit_is_valid_and_hardened(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["broker", "init", str(tmp_path / "broker"), "--systemd"]) == 0
    unit = tmp_path / "broker" / "stacks-broker.service"

    assert yaml.safe_load((tmp_path / "broker" / "gate.yaml").read_text())["key"] == {
        "credential": "stacks-key"
    }
    told = subprocess.run(["systemd-analyze", "--help"], check=True, capture_output=True, text=True).stdout
    graded = [["security", "--offline=true", "--threshold=20"]] if "--threshold" in told else []
    for words in (["verify"], *graded):
        done = subprocess.run(["systemd-analyze", *words, unit], check=False, capture_output=True, text=True)
        said = [line for line in done.stderr.splitlines() if unit.name in line]
        assert (done.returncode, said) == (0, []), done.stdout


def test_a_unit_for_settings_with_another_key_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["broker", "init", str(tmp_path)]) == 0
    assert cli.main(["broker", "init", str(tmp_path), "--systemd"]) == 0

    assert "write `key: {credential: stacks-key}`" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cli.main(["broker", "init"])
    assert cli.main(["broker", "init", str(tmp_path / "a b"), "--systemd"]) == 1


def test_the_composition_keeps_the_key_from_the_client() -> None:
    """The test only parses the file, because no container engine runs here."""
    folder = ROOT / "examples" / "compose"
    services = yaml.safe_load((folder / "broker.yaml").read_text())["services"]
    broker, client = services["broker"], services["client"]
    image = (folder / "broker.Dockerfile").read_text()
    entry, command = (
        json.loads(line.partition(" ")[2])
        for word in ("ENTRYPOINT", "CMD")
        for line in image.splitlines()
        if line.startswith(f"{word} ")
    )

    assert client["environment"]["STACKS_API_KEY"].startswith("${GRANT")
    assert {"volumes", "secrets", "env_file"}.isdisjoint(client)
    assert client["network_mode"] == "service:broker"
    assert (broker["read_only"], broker["cap_drop"], broker.get("ports")) == (True, ["ALL"], None)
    assert "USER broker" in image
    assert command[1:] == ["/broker", "--strict"] == [broker["volumes"][0].partition(":")[2], "--strict"]
    done = subprocess.run(
        [sys.executable, "-m", *["stacks_pulumi", *entry[1:], command[0], "--help"]],
        check=True,
        capture_output=True,
        text=True,
    )
    assert "--strict" in done.stdout
    ignored = [(folder / f"{name}.dockerignore").read_text() for name in ("Dockerfile", "broker.Dockerfile")]
    assert ignored[0] == ignored[1]


# Its user


def process(path: Path, number: str, command: str) -> None:
    """Write the files of a process in /proc."""
    (path / "proc" / number).mkdir()
    (path / "proc" / number / "cmdline").write_text(command)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda _: None, ""),
        (lambda path: process(path, "1234567", "sleep"), "the process 1234567 runs as the same user"),
        (lambda path: process(path, "1234567", ""), ""),
        (lambda path: path.chmod(0o775), "another user or a group can change"),
        (lambda path: (path / "gate.yaml").chmod(0o646), "another user or a group can change"),
        (lambda path: shutil.rmtree(path / "proc"), "does not show its processes"),
    ],
)
def test_a_strict_broker_names_what_exposes_its_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], object], reason: str
) -> None:
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "proc" / str(os.getpid())).mkdir()
    (tmp_path / "gate.yaml").touch()
    monkeypatch.setattr(placement, "_PROCESSES", tmp_path / "proc")
    if os.getuid() == 0:
        assert "the broker runs as root" in next(placement.exposures([]))
        monkeypatch.setattr(placement, "_ROOT", -1)
    change(tmp_path)

    found = list(placement.exposures([tmp_path / "gate.yaml"]))
    # The machine's own Python may be in a folder of another user.
    found = [one for one in found if str(tmp_path) in one or "change" not in one]

    assert [reason in one for one in found] == ([True] if reason else [])


class Users:
    """
    Real users of this machine, and a folder that they can access.

    Args:
        folder: The folder.
        names: The users.
        python: A Python that they can run.
    """

    def __init__(self, folder: Path, names: Sequence[str], python: str) -> None:
        self.folder, self.names, self.python = folder, names, python

    def start(self, user: str, *words: object, groups: Sequence[str] = ()) -> subprocess.Popen[str]:
        """Start a program as one of these users."""
        packages = os.pathsep.join([str(ROOT), *(path for path in sys.path if path.endswith("-packages"))])
        return subprocess.Popen(
            [self.python, *map(str, words)],
            user=user,
            group=user,
            extra_groups=groups,
            cwd=self.folder,
            env={"PATH": "/usr/bin:/bin", "HOME": str(self.folder), "PYTHONPATH": packages},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, user: str, *words: object, groups: Sequence[str] = ()) -> tuple[int, str]:
        """Run a program as one of these users; return its exit code and its output."""
        with self.start(user, *words, groups=groups) as started:
            try:
                # Only a broker that serves, which it must not, takes as long.
                said, _ = started.communicate(timeout=PATIENCE)
            finally:
                started.kill()
        return started.returncode, said

    def broker(self, user: str, *words: object) -> tuple[int, str]:
        """Run `stacks-pulumi broker` as one of these users."""
        return self.run(user, "-m", "stacks_pulumi", "broker", *words)


@pytest.fixture
def users() -> Iterator[Users]:
    """Create two users of this machine: one runs the broker, and the other is its client."""
    if os.name != "posix" or os.getuid() != 0 or shutil.which("useradd") is None:
        pytest.skip("needs root, who makes two users")
    names = [f"st-{role}-{secrets.token_hex(3)}" for role in ("broker", "client")]
    # Not in pytest's own folder, which no other user may enter.
    folder = Path(tempfile.mkdtemp(prefix="stacks-users-"))
    folder.chmod(0o755)
    made = []
    try:
        for name in names:
            command = ["useradd", "--system", "--user-group", "--no-create-home", "--home", str(folder), name]
            subprocess.run(command, check=True)
            made.append(name)
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        for python in (sys.executable, shutil.which(version, path="/usr/local/bin:/usr/bin")):
            found = Users(folder, names, str(python))
            try:
                if found.run(names[1], "-c", "import stacks_pulumi.api, uvicorn")[0] == 0:
                    yield found
                    break
            except OSError:
                continue
        else:
            pytest.skip("needs a Python of this version that another user can run")
    finally:
        for name in made:
            subprocess.run(["userdel", name], check=True)
        shutil.rmtree(folder)


@pytest.fixture
def folder(users: Users, emulator: Emulator) -> Path:
    """The folder of a broker that belongs to the first user."""
    path = users.folder / "broker"
    path.mkdir(mode=0o700)
    shutil.chown(path, users.names[0], users.names[0])
    code, said = users.broker(users.names[0], "init", path)
    assert code == 0, said
    settings = {"version": 1, "base_url": emulator.url, "key": {"file": str(path / "key")}}
    for name, text in (("gate.yaml", json.dumps(settings)), ("key", emulator.key)):
        file = path / name
        file.touch(0o600)
        file.write_text(text, encoding="utf-8")
        shutil.chown(file, users.names[0], users.names[0])
    return path


@contextlib.contextmanager
def serving(users: Users, folder: Path, *words: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run the broker as its user with --strict; yield the process and its output. It must end with exit code 0."""
    owner = users.names[0]
    started = users.start(owner, "-m", "stacks_pulumi", "broker", "serve", folder, "--strict", *words)
    try:
        assert started.stdout is not None
        yield started, started.stdout.readline()
        started.terminate()
        assert started.wait(60) == 0
    finally:
        started.kill()
        started.communicate()


def test_a_client_of_another_user_reads_neither_key_nor_ledger_and_one_of_the_same_is_refused(
    users: Users, folder: Path
) -> None:
    owner, client = users.names
    token = users.folder / "token"
    token.write_text(users.broker(owner, "grant", "read", folder, "--for", "ci")[1].splitlines()[-1])
    listing = (
        "import os\nfrom stacks_pulumi.api import StacksClient\nfrom stacks_pulumi.config import load\n"
        "with StacksClient.of(load()) as client:\n    print(len(client.containers.list()))"
    )
    with serving(users, folder, "--listen", "127.0.0.1:0") as (started, said):
        url = next(word for word in said.split() if word.startswith("http")).rstrip(";")
        command = ["run", "--grant", token, "--url", url, "--strict", "--", users.python, "-c", listing]

        assert users.broker(client, *command) == (0, "0\n")
        assert users.broker(owner, *command)[0] == 2
        for attempt in (
            *(f"open({str(folder / name)!r})" for name in ("key", "ledger.sqlite", "ledger.sqlite-wal")),
            f"open('/proc/{started.pid}/environ').read()",
            f"import os, signal; os.kill({started.pid}, signal.SIGTERM)",
        ):
            code, refusal = users.run(client, "-c", attempt)
            assert (code, "PermissionError" in refusal) == (1, True), (attempt, refusal)


def test_a_strict_broker_does_not_start_where_its_user_is_not_its_own(users: Users, folder: Path) -> None:
    owner, client = users.names

    def refuses(reason: str, *words: object, user: str = owner) -> None:
        code, said = users.broker(user, "serve", folder, "--strict", *words)
        assert (code, reason in said) == (1, True), said

    refuses("the broker runs as root", user="root")
    other = users.start(owner, "-c", "import time; print('runs', flush=True); time.sleep(600)")
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "runs\n"
        refuses("runs as the same user")
    finally:
        other.kill()
        other.communicate()
    certificate(folder, "server")
    pem, key = folder / "server.pem", folder / "server.key"
    shutil.chown(key, owner)
    # The other user could change the certificate, or the address to which the key is sent.
    for file, words in ((pem, ("--tls-cert", pem, "--tls-key", key)), (folder / "gate.yaml", ())):
        file.chmod(0o644)
        shutil.chown(file, client)
        refuses(f"another user or a group can change {file}", *words)


def test_only_the_group_of_a_broker_reaches_its_unix_socket(users: Users, folder: Path) -> None:
    owner, client = users.names
    path = users.folder / "run" / "socket"
    path.parent.mkdir()
    shutil.chown(path.parent, owner, owner)
    connect = f"import socket; socket.socket(socket.AF_UNIX).connect({str(path)!r})"
    with serving(users, folder, "--listen", f"unix:{path}") as (_, said):
        assert f"unix:{path}" in said
        assert "PermissionError" in users.run(client, "-c", connect)[1]
        assert users.run(client, "-c", connect, groups=[owner]) == (0, "")
    assert not path.exists()


# Its address


class UnixConnection(http.client.HTTPConnection):
    """A connection to a Unix socket, as from a proxy."""

    def __init__(self, path: Path) -> None:
        super().__init__("broker.example")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self._path))


def test_a_broker_answers_at_a_unix_socket_under_any_name(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "socket"
    bench.stop()
    bench.start(listen=f"unix:{path}")
    connection = UnixConnection(path)

    connection.request(
        "GET", "/api/v1/containers", headers={"Authorization": f"Bearer {bench.reader().token}"}
    )
    answer = connection.getresponse()
    assert (answer.status, json.loads(answer.read())["count"]) == (200, 0)
    connection.close()
    assert path.stat().st_mode & 0o777 == 0o660
    with pytest.raises(ConfigError, match="in use"):
        Listen.of(f"unix:{path}").bind()
    # Clients of this package need an HTTP address.
    assert cli.main(["gate", "log", "--gate", str(bench.path)]) == 1
    assert "pass the address of that proxy with --gate" in capsys.readouterr().err
    bench.stop()
    assert not path.exists()


def certificate(folder: Path, name: str, authority: str = "") -> None:
    """Write the key and the certificate of a name; without a given authority, the certificate is self-signed."""
    words = f"req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN={name}"
    words += f" -keyout {name}.key -out {name}.pem"
    extensions = ["-addext", "subjectAltName=IP:127.0.0.1"]
    if authority:
        extensions += ["-addext", "basicConstraints=critical,CA:FALSE"]
        words += f" -CA {authority}.pem -CAkey {authority}.key"
    subprocess.run(["openssl", *words.split(), *extensions], check=True, capture_output=True, cwd=folder)
    both = (folder / f"{name}.pem").read_text() + (folder / f"{name}.key").read_text()
    (folder / f"{name}.both").write_text(both)


def test_with_an_authority_only_its_clients_connect(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate(tmp_path, "authority")
    certificate(tmp_path, "server", "authority")
    certificate(tmp_path, "client", "authority")
    certificate(tmp_path, "stranger")
    bench.stop()
    bench.start(Tls(tmp_path / "server.pem", tmp_path / "server.key", tmp_path / "authority.pem"))
    assert bench.url.startswith("https://127.0.0.1:")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "authority.pem"))
    token = bench.reader().token

    def listed(name: str) -> int:
        monkeypatch.setenv("STACKS_CLIENT_CERT", str(tmp_path / f"{name}.both") if name else "")
        with StacksClient.of(AccountSettings(api_key=token, base_url=bench.url)) as client:
            return len(client.containers.list())

    assert listed("client") == 0
    assert Broker(bench.url, token).ask("GET", "me")["kind"] == "read"
    for name in ("", "stranger"):
        with pytest.raises(ConnectionFailedError):
            listed(name)
    monkeypatch.setenv("STACKS_CLIENT_CERT", str(tmp_path / "none"))
    with pytest.raises(StacksError, match=r"no broker answers .* invalid path: .*none"):
        Broker(bench.url, token).ask("GET", "me")


def test_no_proxy_gets_a_token_in_plain_text(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)

    assert Broker(bench.url, bench.reader().token).ask("GET", "me")["kind"] == "read"


def test_a_private_key_that_everybody_reads_is_refused(bench: Bench, tmp_path: Path) -> None:
    certificate(tmp_path, "server")
    (tmp_path / "server.key").chmod(0o644)

    with pytest.raises(ConfigError, match=r"other users can read .*server\.key"):
        Server(bench.folder, "127.0.0.1:0", Tls(tmp_path / "server.pem", tmp_path / "server.key"))
    with pytest.raises(ConfigError, match=r"none cannot be read"):
        Server(bench.folder, "127.0.0.1:0", Tls(tmp_path / "server.pem", tmp_path / "none"))
