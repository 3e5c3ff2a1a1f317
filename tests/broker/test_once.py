"""A request takes effect once, whatever happens to the request, its answer or the broker."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from stacks_pulumi.broker import journal, kernel, ledger, outcome
from stacks_pulumi.broker.ledger import Ledger, LedgerError, Use
from stacks_pulumi.broker.upstream import Upstream
from tests.broker.conftest import Bench, HurriedClock, add_twice, create, literal, permit
from tests.broker.test_changes import code

LOST = ["drop_after", "truncated", "empty", "html", "cut"]


@pytest.mark.parametrize("fault", LOST)
def test_a_create_whose_answer_is_lost_is_found(bench: Bench, fault: str) -> None:
    """There is one container, and the client gets it."""
    grant = bench.granted(permit("containers.create", create("web"), binds="web"))
    bench.emulator.faults.add("containers.create", fault)

    answer = grant.create("web")

    assert (answer.status_code, answer.headers["x-broker"]) == (202, "found")
    assert answer.json()["data"]["id"] in bench.emulator.state.containers
    assert grant.create("web").headers["x-broker"] == "replay"
    assert bench.emulator.calls("containers.create") == 1
    bench.emulator.faults.assert_none_left()


@pytest.mark.parametrize("fault", ["drop_before", 500, 502, 504, 408])
def test_a_create_that_was_lost_on_the_way_is_sent_again(bench: Bench, fault: str | int) -> None:
    grant = bench.granted(permit("containers.create", create("web")))
    bench.emulator.faults.add("containers.create", fault, 2)

    answer = grant.create_in_the_end("web")

    assert answer.status_code == 202, answer.text
    assert bench.names == ["web"]
    assert bench.emulator.calls("containers.create") == 3
    bench.emulator.faults.assert_none_left()


def test_what_another_request_has_found_meanwhile_is_not_sent_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    grant = bench.granted(permit("containers.create", create("web")))
    bench.emulator.faults.add("containers.create", "drop_before")

    def late(self: kernel.Kernel, _visit: kernel.Visit, use: Use) -> float:
        self.outcomes.record(use, "found", state="done", status=202, answer="{}")
        return 0.0

    monkeypatch.setattr(kernel.Kernel, "_pause", late)

    assert code(grant.create("web")) == (409, "grant-busy")
    assert grant.create("web").headers["x-broker"] == "replay"
    assert bench.emulator.calls("containers.create") == 1


def test_a_create_is_not_sent_after_a_look_that_took_too_long(bench: Bench) -> None:
    """The answer would arrive after the client's timeout, and the client would not know the outcome."""
    grant = bench.granted(permit("containers.create", create("web")))
    bench.emulator.faults.add("containers.list", "slow", seconds=12.0)
    bench.clock.advance(61)

    assert grant.create("web").json()["code"] == "grant-busy"
    assert bench.emulator.calls("containers.create") == 0
    assert grant.create("web").status_code == 202
    bench.emulator.faults.assert_none_left()


def test_a_create_is_sent_four_times_at_most_and_then_only_looked_for(bench: Bench) -> None:
    grant = bench.granted(permit("containers.create", create("web")))
    bench.emulator.faults.add("containers.create", 502, None)

    answers = [grant.create("web") for _ in range(3)]

    assert {answer.json()["code"] for answer in answers} == {"grant-busy"}
    assert bench.emulator.calls("containers.create") == 4


def test_a_refusal_of_a_repeat_leaves_the_first_request_open(bench: Bench) -> None:
    grant = bench.granted(permit("containers.create", create("web")))
    bench.emulator.faults.add("containers.create", "drop_before")
    bench.emulator.faults.add("containers.create", 402, body={"error": "Monthly spending cap reached"})

    answers = [grant.create("web") for _ in range(2)]

    assert {answer.json()["code"] for answer in answers} == {"grant-busy"}
    assert bench.emulator.calls("containers.create") == 2
    bench.emulator.faults.assert_none_left()


def test_what_was_there_before_or_is_another_size_is_not_taken_for_ours(bench: Bench) -> None:
    grant = bench.granted(permit("containers.create", create("web")))
    bench.emulator.faults.add("containers.create", "drop_before", None)
    bench.made("web", plan="premium")
    bench.clock.advance(60)

    assert grant.create("web").json()["code"] == "grant-busy"
    assert grant("GET", "/_broker/me").json()["made"] == []


def test_twenty_equal_requests_at_once_are_one(bench: Bench) -> None:
    grant = bench.granted(permit("containers.create", create("web")))

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: grant.create("web"), range(20)))

    assert {answer.status_code for answer in answers} <= {202, 409}
    assert any(answer.status_code == 202 for answer in answers)
    assert bench.emulator.calls("containers.create") == 1


class Killed(BaseException):
    """Raised in place of a kill of the broker."""


WRITES = ["reserved", "before", "during", "after"]


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("is_carried_out", [True, False])
def test_a_broker_that_is_killed_goes_on(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, write: str, is_carried_out: bool
) -> None:
    """
    A kill at each write of the ledger, before and after the platform has completed the request.

    There is one container, to which the grant is bound, and the grant continues.
    """
    grant = bench.granted(
        permit("containers.create", create("web"), binds="web"),
        permit("containers.set_status", {"status": "stopped"}, ids={"container_id": {"of": ["web"]}}),
    )
    # A new process, without the memory of the killed process.
    fault = None if write == "reserved" else "drop_after" if is_carried_out else "drop_before"
    if fault:
        bench.emulator.faults.add("containers.create", fault)
    _kill(monkeypatch, write)

    assert grant.create("web").status_code == 500
    monkeypatch.undo()
    bench.stop()
    bench.start()
    grant.url = bench.url
    assert bench.ledger.uses("state = 'sent'") == []
    # The lost request may have taken effect before the broker was killed.
    answer = grant.create_in_the_end("web")

    assert answer.status_code == 202, answer.text
    assert bench.names == ["web"]
    bench.emulator.advance(5)
    stopped = grant("PUT", f"/containers/{answer.json()['data']['id']}/status", {"status": "stopped"})
    assert stopped.status_code == 200, stopped.text
    bench.emulator.faults.assert_none_left()


def _kill(monkeypatch: pytest.MonkeyPatch, write: str) -> None:
    """Kill the broker at one of its writes for a create: the exception leaves everything unchanged."""
    if write == "reserved":
        monkeypatch.setattr(kernel.Kernel, "_attempt", _die)
    elif write == "before":
        monkeypatch.setattr(Upstream, "change", _die)
    elif write == "during":
        monkeypatch.setattr(outcome.Outcomes, "record", _die)
    else:
        monkeypatch.setattr(outcome.Outcomes, "found", _die)


def _die(*_: Any, **__: Any) -> Any:
    raise RuntimeError("killed")


UNDER_WAY: dict[str, tuple[str, str, dict[str, Any] | None, set[int]]] = {
    "containers.set_status": ("PUT", "/containers/{web}/status", {"status": "stopped"}, {200}),
    "containers.delete": ("DELETE", "/containers/{web}", None, {200, 404}),
    "connections.delete": ("DELETE", "/containers/connections/{connection}", None, {200, 404}),
    "backups.restore": ("POST", "/backups/{backup}/restore", None, {403}),
}


@pytest.mark.parametrize("endpoint", UNDER_WAY)
@pytest.mark.parametrize("restart", [True, False])
def test_a_change_that_was_under_way_when_the_broker_died(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, endpoint: str, restart: bool
) -> None:
    """An idempotent request may be sent again; a restore may not. The case without a restart is a full disk."""
    web, data = bench.made("web", backups=1), bench.made("data", template="redis")
    connection = bench.emulator.drift.connect("web", "data", "primary")
    backup = str(next(iter(bench.emulator.state.backups)))
    method, path, body, wanted = UNDER_WAY[endpoint]
    ids: dict[str, Any] = {"container_id": literal(web)}
    ids = {"connection_id": {"is": connection.id}} if endpoint.startswith("connections") else ids
    ids = {"backup_id": {"is": backup}} if endpoint.startswith("backups") else ids
    grant = bench.granted(permit(endpoint, body, ids=ids))
    path = path.format(web=web["id"], connection=connection.id, backup=backup)
    monkeypatch.setattr(outcome.Outcomes, "done", _die)

    assert grant(method, path, body).status_code == 500
    monkeypatch.undo()
    if restart:
        bench.stop()
        bench.start()
        grant.url = bench.url
    answer = grant(method, path, body)

    assert answer.status_code in wanted, answer.text
    assert bench.emulator.calls(endpoint) == (1 if endpoint == "backups.restore" else 2)
    assert data["id"] in bench.emulator.state.containers


def test_an_outcome_that_another_thread_has_recorded_meanwhile_stays(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a create on the waitlist would count as unanswered, and would be sent again at once."""
    grant = bench.granted(permit("containers.create", create("web")))
    bench.emulator.faults.add("containers.create", 503)
    change, read = Upstream.change, list[Use]()

    def with_another_thread(*given: Any, **named: Any) -> Any:
        read.extend(bench.ledger.uses("state = 'sent'"))
        return change(*given, **named)

    monkeypatch.setattr(Upstream, "change", with_another_thread)
    assert grant.create("web").status_code == 503

    bench.server.app.kernel.outcomes.record(read[0], "left: unknown", state="unknown", status=0)

    assert [use.status for use in bench.ledger.uses("true")] == [503]
    assert bench.journal("left") == []


def test_a_create_on_the_waitlist_is_not_repeated_and_is_found_later(bench: Bench) -> None:
    grant = bench.granted(permit("containers.create", create("web")))
    bench.emulator.faults.add("containers.create", 503)

    assert grant.create("web").status_code == 503
    assert grant.create("web").json()["code"] == "grant-busy"
    assert bench.emulator.calls("containers.create") == 1
    bench.clock.advance(61)
    assert grant.create("web").status_code == 202
    assert bench.emulator.calls("containers.create") == 2
    bench.emulator.faults.assert_none_left()


def test_a_refusal_by_the_rate_limit_is_repeated_once(bench: Bench) -> None:
    grant = bench.granted(permit("containers.create", create("web")))
    bench.emulator.faults.add("containers.create", "rate_limited", retry_after=1)

    assert grant.create("web").status_code == 429
    assert grant.create("web").status_code == 202
    assert bench.emulator.calls("containers.create") == 2


def test_a_change_that_has_the_same_effect_again_counts_as_not_done(bench: Bench) -> None:
    web = bench.made("web")
    grant = bench.granted(
        permit("containers.set_status", {"status": "stopped"}, ids={"container_id": literal(web)})
    )
    bench.emulator.faults.add("containers.set_status", 502)

    assert grant("PUT", f"/containers/{web['id']}/status", {"status": "stopped"}).status_code == 502
    assert grant("PUT", f"/containers/{web['id']}/status", {"status": "stopped"}).status_code == 200


def test_a_deletion_whose_answer_is_lost_is_done_when_the_platform_says_that_it_is_gone(bench: Bench) -> None:
    grant = bench.granted(permit("containers.create", create("web")))
    made = grant.create("web").json()["data"]["id"]
    bench.emulator.faults.add("containers.delete", "drop_after")

    assert grant("DELETE", f"/containers/{made}").status_code == 502
    for clock in (bench.clock, bench.emulator):
        clock.advance(30)
    assert grant("DELETE", f"/containers/{made}").status_code == 404
    again = grant("DELETE", f"/containers/{made}")
    assert (again.status_code, again.headers.get("x-broker")) == (404, "replay")
    # The create is undone and may happen again; its old answer is not repeated.
    assert "x-broker" not in grant.create("web").headers


CHILDREN: dict[str, tuple[str, dict[str, Any], str]] = {
    "connections.create": ("/connect/{data}", {"connectionName": "primary"}, "connections"),
    "allowed_ips.add": (
        "/allowed-ips",
        {"ip_address": "198.51.100.9", "description": "x", "service_type": "both"},
        "",
    ),
}


@pytest.mark.parametrize("endpoint", CHILDREN)
@pytest.mark.parametrize("fault", ["drop_after", "drop_before"])
def test_a_child_whose_answer_is_lost_exists_once(bench: Bench, endpoint: str, fault: str) -> None:
    """Connections and addresses may exist twice, so the broker reads the list twice before it repeats a request."""
    web, data = bench.made("web", allowed_ips=["198.51.100.7"]), bench.made("data", template="redis")
    path, body, _ = CHILDREN[endpoint]
    ids = {"source_id": literal(web), "target_id": literal(data)}
    if endpoint == "allowed_ips.add":
        ids = {"container_id": literal(web)}
    grant = bench.granted(permit(endpoint, body, ids=ids))
    bench.emulator.faults.add(endpoint, fault)

    answer = grant("POST", f"/containers/{web['id']}{path.format(data=data['id'])}", body)

    assert answer.status_code == (202 if fault == "drop_after" else answer.status_code) < 300, answer.text
    it = bench.emulator.state.containers[web["id"]]
    addresses = [entry.ip_address for entry in it.allowed_ips].count("198.51.100.9")
    assert len(bench.emulator.state.connections) + addresses == 1
    bench.emulator.faults.assert_none_left()


def test_what_both_attempts_have_made_is_one_and_the_removal_of_the_other_is_in_the_journal(
    bench: Bench,
) -> None:
    add_twice(bench)

    assert [line["method"] for line in bench.journal("twin")] == ["DELETE"]
    bench.emulator.faults.assert_none_left()


def test_the_client_of_a_vpn_has_its_name_as_its_key_and_its_secret_is_not_kept(bench: Bench) -> None:
    vpn = bench.made("vpn", template="stacks-vpn", plan=None)
    grant = bench.granted(
        permit("vpn_clients.add", {"name": "a/b c"}, ids={"vpn_container_id": literal(vpn)}, binds="laptop")
    )
    bench.emulator.faults.add("vpn_clients.add", "drop_after")

    answer = grant("POST", f"/containers/{vpn['id']}/vpn-clients", {"name": "a/b c"})

    assert (answer.status_code, answer.headers.get("x-broker")) == (202, "found"), answer.text
    assert grant("DELETE", f"/containers/{vpn['id']}/vpn-clients/a%2Fb%20c").status_code == 200
    dump = "".join(sqlite3.connect(bench.path / "ledger.sqlite").iterdump())
    assert "PrivateKey" not in dump


def test_a_client_of_a_vpn_that_is_found_later_is_the_answer_to_the_repeated_request(bench: Bench) -> None:
    """The list lags behind. Otherwise the client reads that the request was not approved."""
    vpn, laptop = bench.made("vpn", template="stacks-vpn"), {"name": "laptop"}
    grant = bench.granted(permit("vpn_clients.add", laptop, ids={"vpn_container_id": literal(vpn)}))
    bench.emulator.set_lag(60)
    bench.emulator.faults.add("vpn_clients.add", "drop_after")
    path = f"/containers/{vpn['id']}/vpn-clients"
    assert grant("POST", path, laptop).status_code == 409
    bench.emulator.advance(60)

    answer = grant("POST", path, laptop)

    assert (answer.status_code, answer.json()["data"]["name"]) == (202, "laptop")


def test_what_was_listed_before_a_lost_request_is_not_what_it_made(bench: Bench) -> None:
    vpn = bench.made("vpn", template="stacks-vpn", plan=None)
    add = permit("vpn_clients.add", {"name": "laptop"}, ids={"vpn_container_id": literal(vpn)})
    path = f"/containers/{vpn['id']}/vpn-clients"
    bench.emulator.drift.add_vpn_client("vpn", "laptop")
    grant = bench.granted(add)
    bench.emulator.faults.add("vpn_clients.add", "drop_before")

    assert grant("POST", path, {"name": "laptop"}).json()["code"] == "grant-busy"
    # So the object does not belong to the grant.
    assert grant("DELETE", f"{path}/laptop").json()["code"] == "grant-refused"
    bench.emulator.faults.assert_none_left()


@pytest.mark.parametrize("why", ["database is locked", "database or disk is full", "readonly database"])
def test_a_ledger_that_cannot_be_written_forwards_nothing(bench: Bench, why: str) -> None:
    """SQLite itself refuses to write."""
    names = [f"web-{number}" for number in range(100)]
    grant = bench.granted(*(permit("containers.create", create(name)) for name in names))
    db = bench.ledger._db
    other = sqlite3.connect(bench.path / "ledger.sqlite", isolation_level=None)
    if "locked" in why:
        db.execute("pragma busy_timeout = 1")
        other.execute("begin immediate")
    else:
        db.execute("pragma max_page_count = 1" if "full" in why else "pragma query_only = 1")

    made = 0
    while (answer := grant.create(names[made])).status_code == 202:
        # The last page has space for some more rows.
        made += 1

    assert (answer.status_code, why in answer.json()["error"]) == (503, True), answer.text
    assert bench.emulator.calls("containers.create") == made == len(bench.names)
    other.close()
    db.execute("pragma max_page_count = 1000000")
    db.execute("pragma query_only = 0")
    assert grant.create(names[made]).status_code == 202


def test_a_ledger_that_fails_after_the_request_leaves_it_to_be_found(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    grant = bench.granted(permit("containers.create", create("web")))
    write = journal.write
    monkeypatch.setattr(journal, "write", _full)

    # A client looks for the container after this answer. After a refusal, it would not be in a state.
    assert code(grant.create("web")) == (502, "")
    monkeypatch.setattr(journal, "write", write)
    answer = grant.create("web")

    assert (answer.status_code, answer.headers["x-broker"]) == (202, "replay")
    assert bench.journal("found")
    assert bench.emulator.calls("containers.create") == 1


@pytest.mark.parametrize("version", [99, 0])
def test_a_ledger_of_another_version_is_refused_and_stays_as_it_is(tmp_path: Path, version: int) -> None:
    """This includes a ledger without a version."""
    file = tmp_path / "ledger.sqlite"
    Ledger(file, HurriedClock()).close()
    other = sqlite3.connect(file, isolation_level=None)
    other.execute(f"pragma user_version = {version}")
    before = list(other.iterdump())

    words = f"it has version {version}, and this program reads {ledger._VERSION}: use the stacks-pulumi"
    with pytest.raises(LedgerError, match=words):
        Ledger(file, HurriedClock())
    assert list(other.iterdump()) == before
    other.close()


def test_what_another_grant_has_made_is_not_what_a_lost_request_made(bench: Bench) -> None:
    """Both requested one name in the same second. The one with the lost answer must not remove the other container."""
    lost, other = (bench.granted(permit("containers.create", create("web"))) for _ in range(2))
    bench.emulator.faults.add("containers.create", 503)
    assert lost.create("web").status_code == 503
    bench.clock.advance(41)
    assert other.create("web").status_code == 202

    answer = lost.create("web")

    assert answer.json()["code"] == "grant-busy"
    assert lost("GET", "/_broker/me").json()["made"] == []
    assert lost("DELETE", f"/containers/{next(iter(bench.emulator.state.containers))}").status_code == 403


def _full(*_: object, **__: object) -> None:
    raise sqlite3.OperationalError("database or disk is full")


def test_a_deletion_beside_a_list_makes_the_list_too_old(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An id in a list from before a deletion may belong to another container now, so the request is judged again."""
    web, other = bench.made("web"), bench.made("other")
    grant = bench.granted(
        permit("containers.set_status", {"status": "stopped"}, ids={"container_id": literal(web)}),
        permit("containers.delete", ids={"container_id": literal(other)}),
    )
    look, settled = Upstream.shared, list[int]()

    def counted(self: Upstream, due: float, **how: Any) -> Any:
        got = look(self, due, **how)
        settled.append(got[0])
        if len(settled) == 1:
            grant("DELETE", f"/containers/{other['id']}")
        return got

    monkeypatch.setattr(Upstream, "shared", counted)

    assert grant("PUT", f"/containers/{web['id']}/status", {"status": "stopped"}).status_code == 200
    # The first list is from before the end of the deletion, so it is not used.
    assert (settled[0], settled[-1]) == (0, 1)
