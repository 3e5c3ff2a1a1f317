"""The journal, shares of the rate limit, shared lists, and the end of a server."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
import yaml

from stacks_pulumi import cli
from stacks_pulumi.broker import folder as folders
from stacks_pulumi.broker import git, journal, server
from stacks_pulumi.broker.server import Server
from stacks_pulumi.emulator import Emulator
from tests.broker.conftest import Bench, Benches, Client, create, literal, permit
from tests.support.forked import commands
from tests.support.gate import signer
from tests.support.waiting import never, until


@pytest.mark.parametrize(
    "sql",
    [
        "update journal set path = '/x' where id = 2",
        "delete from journal where id = 2",
        "update journal set id = id + 100 where id = 2",
        "update journal set chain = 'x' where id = 2",
    ],
)
def test_a_journal_that_was_changed_is_not_whole(bench: Bench, sql: str) -> None:
    grant = bench.granted(*(permit("containers.create", create(name)) for name in ("one", "two", "three")))
    for name in ("one", "two", "three", "four"):
        grant.create(name)
    anchor = journal.last(bench.ledger)

    assert journal.broken(bench.ledger, anchor) == ""
    with bench.ledger.writing() as db:
        db.execute(sql)
    assert journal.broken(bench.ledger)


def test_an_anchor_finds_an_end_that_was_removed(bench: Bench) -> None:
    bench.reader()("DELETE", "/containers/usr-1-web")
    bench.reader()("DELETE", "/containers/usr-1-web")
    anchor = journal.last(bench.ledger)
    with bench.ledger.writing() as db:
        db.execute("delete from journal where id = (select max(id) from journal)")

    assert journal.broken(bench.ledger) == ""
    assert journal.broken(bench.ledger, anchor) == "the last lines were removed"


def test_the_journal_says_who_asked_for_what_and_what_became_of_it(bench: Bench) -> None:
    grant = bench.granted(permit("containers.create", create("web")))
    grant.create("web")
    grant.create("web2")

    lines = [
        (row["method"], row["path"], row["decision"], row["status"], row["holder"]) for row in bench.journal()
    ]

    assert lines[1:] == [
        ("POST", "/containers", "forwarded", 202, "ann"),
        ("POST", "/api/v1/containers", "refused: grant-refused", 403, "ann"),
    ]
    assert lines[0][2].startswith("granted g-")


def test_one_list_serves_all_who_ask_at_once(bench: Bench) -> None:
    clients = [bench.reader() for _ in range(10)]
    bench.emulator.faults.add("containers.list", "slow", seconds=5.0)

    with ThreadPoolExecutor(10) as pool:
        assert {
            answer.status_code for answer in pool.map(lambda one: one("GET", "/containers"), clients)
        } == {200}

    assert bench.emulator.calls("containers.list") < 10


def test_a_list_is_never_from_before_a_change_through_the_broker(bench: Bench) -> None:
    grant = bench.granted(permit("containers.create", create("web")))
    assert grant("GET", "/containers").json()["data"] == []
    grant.create("web")

    assert [row["name"] for row in grant("GET", "/containers").json()["data"]] == ["web"]


def test_one_grant_has_its_share_of_the_rate_limit(benches: Benches, emulator: Emulator) -> None:
    emulator.set_rate_limit(60)
    bench = benches(requests_share=0.1)
    greedy, other = bench.reader(), bench.granted(permit("containers.create", create("web")))
    web = bench.made("data")
    bench.clock.freeze()

    answers = [greedy("GET", f"/containers/status/{web['id']}") for _ in range(8)]

    assert [answer.status_code for answer in answers] == [200] * 6 + [429] * 2
    left = [int(answer.headers["x-ratelimit-remaining"]) for answer in answers[:6]]
    assert left == [5, 4, 3, 2, 1, 0]
    assert {answer.headers["x-ratelimit-limit"] for answer in answers} == {"6"}
    assert int(answers[-1].headers["retry-after"]) > 0
    assert greedy("GET", "/_broker/log").status_code == 429
    assert other.create("web").status_code == 202
    bench.clock.advance(61)
    assert greedy("GET", f"/containers/status/{web['id']}").status_code == 200
    logs = [greedy("GET", "/_broker/log").status_code for _ in range(6)]
    assert logs == [200] * 5 + [429]


def test_slow_clients_do_not_keep_others_out(bench: Bench) -> None:
    """Each client has sent a part of a request and keeps its connection open."""
    port = urlsplit(bench.url).port or 0
    head = b"POST /_broker/changes HTTP/1.1\r\nHost: localhost\r\n"
    with contextlib.ExitStack() as stack:
        for number in range(400):
            slow = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=60))
            slow.sendall(head if number % 2 else head + b"Content-Length: 9\r\n\r\n{")

        assert bench.reader()("GET", "/containers").status_code == 200


def test_clients_that_read_no_answer_keep_nobody_out(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each client needs no token, has sent many requests, and reads none of the long answers."""
    monkeypatch.setattr(server, "_CONNECTIONS", 3)
    address = "127.0.0.1", urlsplit(bench.url).port or 0
    connections = bench.server._server.server_state.connections

    def waits(deaf: socket.socket) -> bool:
        return deaf.getsockname()[1] in {one.client[1] for one in [*connections] if one.flow.write_paused}

    with contextlib.ExitStack() as stack:
        for _ in range(3):
            deaf = stack.enter_context(socket.create_connection(address, timeout=60))
            deaf.sendall(b"GET /_broker/ HTTP/1.1\r\nHost: localhost\r\n\r\n" * 1000)
            until(functools.partial(waits, deaf))

        assert bench.reader()("GET", "/containers").status_code == 200
        bench.stop()


def test_long_bodies_do_not_fill_the_memory(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The broker closes the connection with the oldest part of a long body, but no connection with a short body."""
    monkeypatch.setattr(server, "_HELD", 300_000)
    port = urlsplit(bench.url).port or 0
    head = b"POST /_broker/changes HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4000000\r\n\r\n"
    with contextlib.ExitStack() as stack:
        slow = [
            stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=60)) for _ in range(7)
        ]
        for number, one in enumerate(slow):
            one.sendall(head + b"{" * (100_000 if number else 1))

        with contextlib.suppress(ConnectionResetError):
            assert slow[1].recv(1) == b""
        assert bench.reader()("GET", "/containers").status_code == 200
        for one in (slow[0], slow[-1]):
            one.settimeout(0)
            with pytest.raises(BlockingIOError):
                one.recv(1)


def test_what_one_client_hands_in_or_is_refused_too_often_makes_no_other_one_wait(bench: Bench) -> None:
    bench.clock.freeze()
    greedy, other = bench.reader(), bench.reader()
    body = {"statement": "{}", "signatures": []}

    def last(client: Client, *words: Any) -> tuple[int, int]:
        before = len(bench.journal())
        answers = [client(*words) for _ in range(61)]
        assert int(answers[-1].headers["retry-after"]) > 0
        return answers[-1].status_code, len(bench.journal()) - before

    assert last(greedy, "DELETE", "/containers/usr-1-web") == (429, 60)
    assert last(bench.client(), "POST", "/_broker/changes", body) == (429, 0)
    assert other("DELETE", "/containers/usr-1-web").status_code == 403
    assert other("POST", "/_broker/changes", body).status_code == 400
    bench.clock.advance(61)
    assert greedy("DELETE", "/containers/usr-1-web").status_code == 403


def test_the_end_of_a_server_waits_for_no_client_that_is_silent(bench: Bench) -> None:
    """One client has sent a part of a body and keeps its connection open."""
    address = "127.0.0.1", urlsplit(bench.url).port or 0
    with socket.create_connection(address, timeout=60) as silent:
        silent.sendall(b"POST /_broker/changes HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{")
        assert bench.reader()("GET", "/containers").status_code == 200

        bench.stop()


def test_the_end_of_a_server_waits_for_what_is_under_way(bench: Bench) -> None:
    """The server ends by SIGTERM."""
    token = bench.granted(permit("containers.create", create("web"))).token
    bench.stop()
    bench.emulator.faults.add("containers.create", "slow", seconds=10.0)
    words = [*of_broker(), "serve", str(bench.path), "--listen", "127.0.0.1:0"]
    answers: list[requests.Response] = []
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr is not None
            line = server.stderr.readline()
            grant = Client(next(word for word in line.split() if word.startswith("http")).rstrip(";"), token)
            thread = threading.Thread(target=lambda: answers.append(grant.create("web")))
            thread.start()
            until(lambda: bench.emulator.state.containers, alive=thread.is_alive)

            server.terminate()
            thread.join(60)

            assert [answer.status_code for answer in answers] == [202]
            assert server.wait(60) == 0
        finally:
            server.kill()
    with pytest.raises(requests.ConnectionError):
        grant("GET", "/containers")


def of_broker() -> list[str]:
    """Return the first words of a command of the broker, in a fork."""
    return [str(commands.folder() / "python3"), "-m", "stacks_pulumi", "broker"]


def command(*words: object) -> str:
    """Return the output of a command."""
    given = [*of_broker(), *map(str, words)]
    done = subprocess.run(given, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_way_of_an_administrator(
    tmp_path: Path, emulator: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    """From an empty folder to a revoked grant, with only commands."""
    folder, key = tmp_path / "broker", tmp_path / "key"
    key.write_text(emulator.key)
    key.chmod(0o600)
    ids = emulator.load([{"name": "web", "template": "nodejs", "plan": "basic"}])
    assert "stacks-broker.service" in command("init", folder, "--systemd")
    assert "already contains all files" in command("init", folder, "--systemd")
    assert "ExecStart=" in (folder / "stacks-broker.service").read_text()
    settings: dict[str, object] = {"version": 1, "base_url": emulator.url, "key": {"file": str(key)}}
    settings["policies"] = {"agents": {"increase_per_day": 5}}
    (folder / "gate.yaml").write_text(yaml.safe_dump(settings))
    wrong = [*of_broker(), "claim", str(folder), "shop", ids[0]]
    refusal = subprocess.run(wrong, check=False, capture_output=True, text=True)
    assert "'shop' is not PROJECT/STACK" in refusal.stderr
    command("claim", folder, "shop/prod", ids[0])
    words = [*of_broker(), "serve", str(folder), "--listen", "127.0.0.1:0"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr is not None
            said = server.stderr.readline()
            url = next(word for word in said.split() if word.startswith("http")).rstrip(";")
            budget = ["grant", "budget", str(folder), "--for", "bot", "--policy", "agents"]
            # No limit of a stack would apply to it.
            assert cli.main(["broker", *budget]) == 1
            assert "a budget and --may-apply-free need --stack" in capsys.readouterr().err
            made = json.loads(command(*budget, "--stack", "shop/dev", "--json"))
            client = Client(url, made["token"])
            assert made["url"] == url
            assert client("GET", "/containers").json()["count"] == 1
            asked = client("DELETE", f"/containers/{ids[0]}").json()["request"]
            assert asked in command("requests", folder)
            command("deny", folder, asked)
            assert "denied" in client("DELETE", f"/containers/{ids[0]}").text
            shown = command("status", folder)
            assert url in shown
            token = tmp_path / "token"
            token.write_text(made["token"])
            program = "import os; print(os.environ['STACKS_API_KEY'])"
            said = command("run", "--grant", token, "--url", url, "--", sys.executable, "-c", program)
            assert said.strip() == made["token"]
            strict = ["broker", "run", "--grant", str(token), "--url", url, "--strict", "--", "true"]
            assert cli.main(strict) == 2
            command("revoke", folder, made["grant"])
            assert client("GET", "/containers").status_code == 401
            anchor = tmp_path / "anchor"
            assert "DELETE" in command("log", folder, "--verify", "--anchor", anchor)
            number, chain = anchor.read_text().split()
            assert number == "2"
            assert cli.main(["broker", "log", str(folder), "--verify"]) == 0
            # A complete digest has the form of a key, and messages hide keys.
            assert f"the digest of the last line begins with {chain[:16]}" in capsys.readouterr().err
        finally:
            server.terminate()
        assert server.wait(60) == 0
    capsys.readouterr()


def test_a_container_with_another_owner_is_not_the_stacks(bench: Bench) -> None:
    web = bench.made("web")
    bench.ledger.claim("a/b", web["id"], web["created_at"], "nodejs", "basic")
    bench.ledger.claim("c/d", web["id"], web["created_at"], "nodejs", "basic")

    assert bench.ledger.owner(web["id"], web["created_at"]) == "c/d"
    assert bench.ledger.owner(web["id"], "2020-01-01T00:00:00Z") is None
    assert literal(web)["is"] == web["id"]


def test_a_server_of_one_run_ends_a_quarter_of_an_hour_after_the_last_process_that_uses_it(
    bench: Bench,
) -> None:
    """So that the creates of a killed run can still be removed through it."""
    bench.stop()
    folder = folders.Folder(bench.path, bench.clock)
    server = Server(folder, "127.0.0.1:0", clock=bench.clock, embedded=True)
    listens = threading.Event()
    thread = threading.Thread(target=server.run, args=(lambda _url: listens.set(),))
    with folders.in_use(bench.path):
        thread.start()
        assert listens.wait(60)
        bench.clock.advance(2000)
        never(lambda: not thread.is_alive(), seconds=1.5)
    bench.clock.advance(800)
    never(lambda: not thread.is_alive(), seconds=1.0)
    bench.clock.advance(120)
    until(lambda: not thread.is_alive())

    thread.join()
    folder.close()


def _git(folder: Path, *words: str) -> None:
    named = ["-c", "user.name=Ann", "-c", "user.email=ann@example.com", "-C", str(folder)]
    subprocess.run(["git", *named, *words], check=True, capture_output=True)


def test_rules_and_approvers_of_a_git_ref_are_not_those_of_the_working_tree(benches: Benches) -> None:
    bench = benches(account={"max_total": 40})
    (bench.path / ".gitignore").write_text("broker.*\nledger.*\nkey\n", encoding="utf-8")
    for words in ("init -q -b main", "add .", "commit -qm Rules", "switch -qc change"):
        _git(bench.path, *words.split())
    bench.stop()
    bench.configure(
        {"rules_ref": "main", "account": {"max_total": 4000}, "base_url": "https://other.example/api/v1"}
    )
    mallory = signer("bob").replace("bob", "mallory", 1)
    (bench.path / "allowed_signers").write_text(mallory, encoding="utf-8")
    _git(bench.path, "commit", "-qam", "No rules")
    # Only its own file sets the address to which the key is sent.
    with contextlib.closing(folders.Folder(bench.path, bench.clock)) as folder:
        assert folder.settings().base_url == "https://other.example/api/v1"
    bench.configure({"rules_ref": "main"})
    bench.start()

    said = bench.reader()("GET", "/_broker/settings").json()
    assert said["settings"]["account"] == {"max_total": "40"}
    assert said["approvers"] == ["ann", "bob"]
    change = bench.change(permit("containers.create", create("web")))
    assert bench.hand_in(change, "bob").json()["approvals"] == ["bob"]

    _git(bench.path, "update-ref", "refs/heads/main", "change")
    bench.clock.advance(11)
    assert bench.reader()("GET", "/_broker/settings").json()["approvers"] == ["mallory"]


@pytest.mark.parametrize("hangs", [False, True])
def test_a_ref_that_cannot_be_read_lets_nothing_happen(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hangs: bool
) -> None:
    agent = bench.granted(permit("containers.create", create("web")))
    _git(bench.path, "init", "-q", "-b", "main")
    bench.configure({"rules_ref": "main"})
    if hangs:
        program = tmp_path / "git"
        program.write_text("#!/bin/sh\nexec sleep 600\n", encoding="utf-8")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        monkeypatch.setattr(git, "_SECONDS", 0.5)

    answer = agent.create("web")

    assert answer.status_code == 409
    assert ("git did not end" if hangs else "fetch it or commit first") in answer.json()["error"]
