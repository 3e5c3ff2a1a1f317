"""`stacks-pulumi account` with states that it reads itself. The command `pulumi` exists only in tests that need it."""

from __future__ import annotations

import gzip
import json
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stacks_pulumi import _pulumi_cli
from stacks_pulumi.account import backend, progress, state_store
from stacks_pulumi.cli import main
from tests.tools.fake_executables import executable
from tests.unit.account.conftest import Account
from tests.unit.account.test_account import owners

pytestmark = pytest.mark.usefixtures("key_in_environment")

LOCK = {"pid": 12, "username": "ann", "hostname": "laptop", "timestamp": "2026-11-30T12:00:00.5+01:00"}


class States:
    """A backend in a folder."""

    def __init__(self, root: Path, accounts: Account) -> None:
        self.root = root / ".pulumi"
        self._accounts = accounts
        self.write("meta.yaml", b"version: 1\n")

    def write(self, name: str, content: bytes) -> Path:
        """Write a file."""
        file = self.root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        return file

    def stack(
        self, project: str, *rows: Any, name: str = "dev.json", version: int = 3, pending: Any = ()
    ) -> Path:
        """Write the state of a stack."""
        export = json.loads(Path(self._accounts.export("it.json", *rows, pending=pending)).read_text("utf-8"))
        checkpoint = {"stack": f"organization/{project}/dev", "latest": export["deployment"]}
        text = json.dumps({"version": version, "checkpoint": checkpoint}).encode()
        return self.write(f"stacks/{project}/{name}", gzip.compress(text) if name.endswith(".gz") else text)

    def lock(self, project: str) -> None:
        """Lock a stack."""
        self.write(f"locks/organization/{project}/dev/5d1e.json", json.dumps(LOCK).encode())


@pytest.fixture
def states(tmp_path: Path, accounts: Account, monkeypatch: pytest.MonkeyPatch) -> States:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("PULUMI_BACKEND_URL", f"file://{tmp_path / 'states'}?metadata=skip")
    return States(tmp_path / "states", accounts)


@pytest.fixture
def pulumi(tmp_path: Path) -> Callable[[str, str], None]:
    """Make the command `pulumi` print a list, and an export for each stack."""

    def make(stacks: str, export: str) -> None:
        (tmp_path / "bin").mkdir()
        lines = f"case $2 in ls) echo '{stacks}';; export) /bin/cat {export};; esac"
        executable(tmp_path / "bin" / "pulumi", f"#!/bin/sh\n{lines}\n")

    return make


def load(accounts: Account, *names: str) -> None:
    accounts.emulator.load([{"name": name, "template": "nodejs"} for name in names])


def test_states_are_read_without_the_command(accounts: Account, states: States) -> None:
    load(accounts, "web", "api", "old", "alone")
    states.stack("shop", accounts.container("web"))
    states.stack("blog", accounts.container("api", project="blog"), name="dev.json.gz")
    # The engine uses the newer of two compressed files.
    before = states.stack("twice", accounts.container("alone", project="twice"))
    os.utime(before, (1, 1))
    states.stack("twice", accounts.container("old", project="twice"), name="dev.json.gz")
    states.write("stacks/shop/dev.json.bak", b"no state")
    states.write("stacks/shop/dev.json.attrs", b"{}")
    states.write(
        "stacks/empty/dev.json", b'{"version": 3, "checkpoint": {"stack": "organization/empty/dev"}}'
    )
    states.write("stacks/before-projects.json", b"ignored by the engine, which warns")
    states.write("stacks/shop/dev.pulumi-tags", b'{"version": 1, "tags": {"team": "web"}}')
    states.write("stacks/blog/dev.pulumi-tags", b'{"version": 1, "tags": {"team": "blog"}}')
    file = accounts.budgets("budgets: [{tags: {team: web}, max_total: 3}]")

    data = accounts.report("--fail-on", "orphans", "--budgets", file, code=2)

    assert owners(data) == {
        "alone": ("orphan", []),
        "api": ("owned", ["blog/dev"]),
        "old": ("owned", ["twice/dev"]),
        "web": ("owned", ["shop/dev"]),
    }
    assert list(data["totals"]["stacks"]) == ["blog/dev", "empty/dev", "shop/dev", "twice/dev"]
    assert data["limits"][0]["text"] == "the total is $4.00 at most, over the limit of $3.00"


def test_a_locked_stack_is_named_with_who_holds_the_lock(accounts: Account, states: States) -> None:
    load(accounts, "web", "new")
    states.stack("shop", accounts.container("web"))
    states.stack("blog")
    states.lock("shop")

    data = accounts.report("--fail-on", "orphans", code=1)

    assert owners(data) == {"new": ("unknown", []), "web": ("owned", ["shop/dev"])}
    (unread,) = data["unread"]
    assert (unread["stack"], unread["cause"]) == ("shop/dev", "locked")
    assert data["reason"].startswith(
        "Exit code 1: shop/dev was not read completely: an update is running, or was killed: it is locked by "
        "ann@laptop (process 12) since 2026-11-30T12:00:00. Wait until it ends, or, if it was killed, run "
        "`pulumi cancel`"
    )


def test_what_a_killed_update_was_creating_has_a_reason_of_its_own(accounts: Account, states: States) -> None:
    load(accounts, "web")
    creating = {"type": "creating", "resource": accounts.container("web", id="", outputs={})}
    states.stack("shop", pending=(creating,))

    data = accounts.report("--fail-on", "orphans", code=2)

    assert data["failed"] == ["1 object that an interrupted create may have created (--fail-on orphans)"]


def test_one_project_can_be_read(
    accounts: Account, states: States, capsys: pytest.CaptureFixture[str]
) -> None:
    load(accounts, "web", "api", "alone")
    states.stack("shop", accounts.container("web"))
    states.stack("blog", accounts.container("api", project="blog"))
    states.lock("blog")

    data = accounts.report("--project", "shop", "--fail-on", "double,missing")

    assert owners(data) == {"alone": ("unknown", []), "api": ("unknown", []), "web": ("owned", ["shop/dev"])}
    assert "compared only with the stacks of the project shop" in data["notes"][0]
    assert main(["account", "--project", "shop", "--fail-on", "orphans"]) == 1
    assert "objects of other projects would look like orphans" in capsys.readouterr().err


def test_a_state_that_is_not_understood_is_exported_by_the_command(
    accounts: Account, states: States, pulumi: Callable[[str, str], None]
) -> None:
    load(accounts, "web", "api")
    states.stack("shop", accounts.container("web"), version=5)
    states.stack("blog", accounts.container("api", project="blog"))

    assert accounts.report(code=1)["unread"][0]["stack"] == "organization/shop/dev"
    pulumi("[]", accounts.export("shop.json", accounts.container("web")))

    assert owners(accounts.report()) == {"api": ("owned", ["blog/dev"]), "web": ("owned", ["shop/dev"])}


@pytest.mark.parametrize(
    ("meta", "why"),
    [
        (b"version: 2\n", "its .pulumi/meta.yaml contains 'version: 2', but only version 1 is known"),
        (b"", "its .pulumi/meta.yaml contains '', but only version 1 is known"),
        (None, "it has no .pulumi/meta.yaml: it is empty, or has the old layout without projects"),
    ],
)
def test_another_layout_is_left_to_the_command(
    accounts: Account, states: States, pulumi: Callable[[str, str], None], meta: bytes | None, why: str
) -> None:
    """Without a read of the locks, an unfinished operation may still be running."""
    load(accounts, "web")
    (states.root / "meta.yaml").unlink()
    if meta is not None:
        states.write("meta.yaml", meta)
    creating = {"type": "creating", "resource": accounts.container("web", id="", outputs={})}
    pulumi('[{"name": "organization/shop/dev"}]', accounts.export("shop.json", pending=(creating,)))

    data = accounts.report("--fail-on", "orphans", code=1)

    assert f"each state was read with a `pulumi` command, which does not show locks: {why}" in data["notes"]
    assert data["unread"] == [
        {
            "stack": "shop/dev",
            "error": "an update is running, or was killed: its state contains 1 unfinished operation",
            "cause": "locked",
        }
    ]


def test_many_stacks_are_announced_and_read_within_a_limit(
    accounts: Account, states: States, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(70):
        states.stack(f"p{number}")
    now = [0.0]
    read = state_store.StateStore.read

    def slowly(store: state_store.StateStore, keys: Iterable[str]) -> dict[str, bytes]:
        """Read 32 states in 30 s."""
        found = read(store, keys)
        now[0] += 30.0 if len(found) > 1 else 0.0
        return found

    monkeypatch.setattr(state_store.StateStore, "read", slowly)
    for module in (backend, progress):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))

    assert main(["account", "--json", "--timeout", "50"]) == 1

    out, err = accounts.capsys.readouterr()
    assert [one["error"] for one in json.loads(out)["unread"]] == ["the timeout of --timeout was reached"] * 6
    said = err.splitlines()[:3]
    assert said == ["reading 70 stacks of the backend", "32 of 70 stacks read", "64 of 70 stacks read"]


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("s3://states?region=x&role=y", "the backend's address has the unknown option 'role'"),
        (
            "s3://states?disableSSL=true",
            "the backend's address requests HTTP without TLS, but has no endpoint",
        ),
        (
            "gs://states?universe_domain=x",
            "the backend's address has the unknown option 'universe_domain'",
        ),
        ("azblob://states?localemu=true", "the backend's address has the unknown option 'localemu'"),
        ("postgres://db.example.com/x?table=it%20s", "the name of the table needs quotes"),
        # No part of its password is shown.
        ("postgres://ann:100%hunter@db.example.com/x", state_store.MALFORMED),
        ("postgres://ann:hunter?2@db.example.com/x", state_store.MALFORMED),
        ("postgres://db.example.com/x?hostaddr=192.0.2.1", state_store.MALFORMED),
        ("postgres://ann:hunter\u2100@db.example.com/x", state_store.MALFORMED),
    ],
)
def test_an_address_that_is_not_understood_is_refused_by_name(
    url: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))

    with pytest.raises(state_store.NotUnderstoodError, match=f"^{why}$"):
        state_store.open_store(url, tmp_path)


@pytest.mark.parametrize(
    ("url", "library"),
    [("s3://x", "boto3"), ("gs://x", "obstore"), ("azblob://x", "obstore"), ("postgres://x", "psycopg")],
)
def test_a_library_that_is_missing_is_named(
    url: str, library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] in {"obstore", "boto3", "psycopg"}]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)

    with pytest.raises(
        state_store.NotUnderstoodError,
        match=f"{library} is not installed: install this package with its extra `backends`",
    ):
        state_store.open_store(url, tmp_path)


def test_a_service_is_not_read_here(tmp_path: Path) -> None:
    assert state_store.open_store("https://api.pulumi.com", tmp_path) is None
    assert state_store.open_store("", tmp_path) is None


def test_the_backend_is_found_as_the_engine_finds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path))
    monkeypatch.delenv("PULUMI_BACKEND_URL", raising=False)
    project = tmp_path / "project"
    project.mkdir()

    assert _pulumi_cli.backend_url(project) == ""
    (tmp_path / "credentials.json").write_text('{"current": "s3://mine"}', encoding="utf-8")
    assert _pulumi_cli.backend_url(project) == "s3://mine"
    (project / "Pulumi.yaml").write_text("name: x\nbackend: {url: gs://ours}\n", encoding="utf-8")
    assert _pulumi_cli.backend_url(project) == "gs://ours"
    monkeypatch.setenv("PULUMI_BACKEND_URL", "postgres://h/x")
    assert _pulumi_cli.backend_url(project) == "postgres://h/x"


@pytest.mark.parametrize(
    ("url", "given", "parallel"),
    [("postgres://h/x", None, "1"), ("postgres://h/x", "5", "5"), ("s3://states", None, "")],
)
def test_a_list_on_postgresql_has_one_reader(
    url: str, given: str | None, parallel: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With more readers, `stack ls` waited forever with four or more stacks."""
    executable(tmp_path / "bin" / "pulumi", '#!/bin/sh\necho "$PULUMI_DIY_BACKEND_PARALLEL"\n')
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("PULUMI_BACKEND_URL", url)
    monkeypatch.delenv("PULUMI_DIY_BACKEND_PARALLEL", raising=False)
    if given is not None:
        monkeypatch.setenv("PULUMI_DIY_BACKEND_PARALLEL", given)

    assert _pulumi_cli.run(["stack", "ls"]).decode().strip() == parallel
