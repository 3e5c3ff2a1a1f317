"""Attacks of hostile clients. Each was once possible, or must never become possible."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
import yaml

from stacks_pulumi import catalog, cli
from stacks_pulumi._identifiers import as_time, seconds_of
from stacks_pulumi.api._limiter import Limiter, Priority
from stacks_pulumi.broker import grants, journal, kernel, outcome
from stacks_pulumi.broker.change import canonical, instant, variables
from stacks_pulumi.broker.folder import Folder, in_use
from stacks_pulumi.broker.ledger import DAY, Ledger, Spec, Use
from stacks_pulumi.broker.limits import price_of
from stacks_pulumi.broker.server import Server
from stacks_pulumi.broker.upstream import Upstream
from stacks_pulumi.emulator import answers, connections, containers, state
from stacks_pulumi.endpoints import ENDPOINTS
from stacks_pulumi.errors import ConfigError
from stacks_pulumi.gate import words, workflow
from stacks_pulumi.gate.client import Broker
from stacks_pulumi.reports import writers
from tests.broker.conftest import (
    Bench,
    Benches,
    Client,
    HurriedClock,
    add_twice,
    create,
    known,
    literal,
    permit,
)
from tests.broker.test_changes import code
from tests.broker.test_permits import refused
from tests.support.waiting import until


def test_who_has_no_token_and_no_signature_is_told_nothing_of_the_account(bench: Bench) -> None:
    old = bench.made("data")
    bench.ledger.claim("secret/stack", old["id"], old["created_at"], "nodejs", "basic")
    before = bench.emulator.calls()

    answer = bench.hand_in(bench.change(permit("containers.delete", ids={"container_id": literal(old)})))

    assert (code(answer), "secret/stack" in answer.text) == ((403, "grant-refused"), False)
    assert bench.emulator.calls() == before
    # The broker neither reads nor logs the handed-in change, which may be long.
    for where in ("changes", "approvals"):
        assert code(bench.hand_in("[[], [], []]", where=where)) == (403, "grant-refused")
    assert bench.journal() == []


@pytest.mark.parametrize("end", ["expired", "revoked"])
def test_a_lost_create_is_not_sent_again_after_the_end_of_its_grant(bench: Bench, end: str) -> None:
    grant = bench.granted(permit("containers.create", create("web")), ttl=60)
    bench.emulator.faults.add("containers.create", 503)
    assert grant.create("web").status_code == 503
    bench.clock.advance(61)
    if end == "revoked":
        bench.ledger.revoke(bench.ledger.grants()[0].id)

    assert grant.create("web").status_code == (401 if end == "revoked" else 409)
    assert bench.emulator.calls("containers.create") == 1


def test_what_somebody_made_while_the_broker_was_down_is_not_taken_for_a_lost_request(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    grant = bench.granted(permit("containers.create", create("web")), ttl=7200)
    bench.emulator.faults.add("containers.create", "drop_before")
    monkeypatch.setattr(outcome.Outcomes, "record", lambda *_, **__: 1 / 0)
    assert grant.create("web").status_code == 500
    monkeypatch.undo()
    bench.stop()
    for clock in (bench.clock, bench.emulator):
        clock.advance(3600)
    bench.made("web")
    bench.start()
    grant.url = bench.url

    assert grant("GET", "/_broker/me").json()["made"] == []
    answer = grant.create("web")
    assert code(answer)[0] in {403, 409}
    assert grant("GET", "/_broker/me").json()["made"] == []


def test_a_pin_that_was_there_is_not_the_grants_own(bench: Bench) -> None:
    bench.made("data", template="redis", backups=1)
    number = next(iter(bench.emulator.state.backups))
    bench.emulator.state.backups[number].pinned = True
    grant = bench.granted(permit("backups.pin", ids={"backup_id": {"is": str(number)}}))

    assert grant("POST", f"/backups/{number}/pin").status_code == 200
    assert refused(grant("POST", f"/backups/{number}/unpin"))


def _with_backup(benches: Benches) -> tuple[Bench, Client, int]:
    """Return a bench, its agent, and the number of a backup that the agent has triggered."""
    bench = benches(policies={"agents": {"increase_per_day": 9, "free": ["backup", "pin-own", "undo"]}})
    agent = bench.agent()
    web = agent.create("web").json()["data"]["id"]
    bench.emulator.advance(10)
    assert agent("POST", f"/containers/{web}/backup").status_code == 202
    bench.emulator.advance(10)
    (number,) = bench.emulator.state.backups
    return bench, agent, number


def test_a_pin_that_was_there_is_not_undone_by_a_budget(benches: Benches) -> None:
    bench, agent, number = _with_backup(benches)
    assert bench.owner("POST", f"/backups/{number}/pin").status_code == 200

    assert agent("POST", f"/backups/{number}/pin").status_code == 200
    assert code(agent("POST", f"/backups/{number}/unpin")) == (403, "approval-needed")


@pytest.mark.parametrize("name", ["..", ".", "../..", "a/../../usr-1", "a//b", "/"])
def test_the_name_of_a_vpn_client_leads_nowhere_else(bench: Bench, name: str) -> None:
    quoted = name.replace("/", "%2F").replace(".", "%2e")
    grant = bench.reader()

    assert grant("DELETE", f"/containers/usr-1-vpn/vpn-clients/{quoted}").status_code == 404


def test_twenty_clients_of_one_permit_for_any_name_make_one(bench: Bench) -> None:
    body = {**create("web"), "name": {"any": True}}
    grant = bench.granted(permit("containers.create", body), ceiling={"increase": "4.00"})

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda n: grant.create(f"web{n}").status_code, range(20)))

    # The permit is used up, and so is the ceiling: which of the two refusals a client gets depends on the order.
    assert answers.count(202) == 1
    assert {*answers} <= {202, 402, 403}
    assert len(bench.names) == 1


def test_a_grant_cannot_use_the_id_of_another_ones_object(bench: Bench) -> None:
    mine = bench.granted(permit("containers.create", create("web"), binds="web"))
    made = mine.create("web").json()["data"]["id"]
    other = bench.granted(
        permit("containers.create", create("data"), binds="web"),
        permit("containers.set_status", {"status": "stopped"}, ids={"container_id": {"of": ["web"]}}),
    )

    assert refused(other("PUT", f"/containers/{made}/status", {"status": "stopped"}))
    assert refused(other("PUT", f"/containers/{made.upper()}/status", {"status": "stopped"}))
    assert refused(other("DELETE", f"/containers/{made}"))


def test_control_characters_of_a_name_are_escaped_in_refusals_and_in_the_log(bench: Bench) -> None:
    answer = bench.reader()("POST", "/containers", create("we\x1b[31m\nb"))

    assert refused(answer)
    assert "\x1b" not in answer.json()["error"]


def test_who_only_reads_does_not_take_over_a_free_change(benches: Benches) -> None:
    """A free change has no signature. Its text and a token that can read must not allow its remaining permits."""
    bench = benches(free={"increase_per_day": 5})
    change = bench.change(permit("containers.create", create("web")))
    assert bench.hand_in(change, token=bench.reader(may_apply_free=True).token).status_code == 201
    bench.clock.advance(121)

    assert code(bench.hand_in(change, token=bench.reader().token)) == (403, "grant-refused")
    assert code(bench.hand_in(change)) == (403, "grant-refused")


def test_a_token_that_has_ended_hands_nothing_in_and_is_told_nothing_more(benches: Benches) -> None:
    bench = benches(free={"increase_per_day": 5})
    reader = bench.reader(may_apply_free=True)
    bench.clock.advance(3700)
    change = bench.change(permit("containers.create", create("web")))

    assert code(bench.hand_in(change, token=reader.token)) == (403, "grant-refused")
    assert reader("GET", "/containers").status_code == 200
    bench.clock.advance(900)
    for method, path in (("GET", "settings"), ("GET", "requests/r-1"), ("POST", "verdicts")):
        assert code(reader(method, f"/_broker/{path}")) == (403, "grant-refused")
    assert reader("GET", "/_broker/me").json()["ended"] is True


def test_a_grant_does_not_outlive_its_end_by_what_the_platform_refuses(bench: Bench) -> None:
    grant = bench.granted(permit("containers.create", create("web")))
    made = grant.create("web").json()["data"]["id"]
    bench.clock.advance(3700)
    for _ in range(3):
        bench.emulator.faults.add("containers.delete", 400)
        grant("DELETE", f"/containers/{made}")
        bench.clock.advance(600)

    assert code(grant("GET", "/containers")) == (403, "grant-refused")
    bench.emulator.faults.clear()


def test_a_plan_that_the_guide_does_not_have_for_a_template_is_not_of_the_lowest_price(
    benches: Benches,
) -> None:
    agent = benches(policies={"agents": {"increase_per_day": 20}}).agent()

    assert code(agent.create("vpn-net", template="stacks-vpn", plan="premium")) == (403, "approval-needed")
    body = {"name": "vpn-net", "template": "stacks-vpn"}
    assert agent("POST", "/containers", body).status_code == 202
    # An empty one may be the default of the guide, which is no micro plan.
    assert price_of({"template": "redis-micro", "plan": ""}, catalog.monthly_price) == 4


def test_a_token_for_what_is_free_is_of_one_stack(benches: Benches) -> None:
    """Each stack has its own daily amount, and the requester names the stack: each name would have an amount."""
    bench = benches(free={"increase_per_day": 5})
    token = bench.ledger.issue(
        "read", "job", seconds=3600.0, stack="shop/prod", spec=Spec(may_apply_free=True)
    )[1]
    one, other = (bench.change(permit("containers.create", create(name))) for name in ("web", "data"))

    assert bench.hand_in(one, token=token).status_code == 201
    assert code(bench.hand_in({**other, "stack": "shop/prod2"}, token=token)) == (403, "grant-refused")
    words = ["broker", "grant", "read", str(bench.path), "--for", "job", "--may-apply-free"]
    assert cli.main(words) == 1
    assert cli.main([*words, "--stack", "shop/prod"]) == 0


def test_what_expired_can_be_asked_for_again(benches: Benches) -> None:
    """An expired request cannot be approved, and would otherwise block an equal request permanently."""
    bench = benches(policies={"agents": {"increase_per_day": 1}})
    agent = bench.client(
        bench.ledger.issue("budget", "agent", seconds=30 * DAY, policy="agents", stack="shop/prod")[1]
    )
    first = agent.create("web").json()["request"]
    bench.clock.advance(8 * DAY)

    second = agent.create("web").json()["request"]

    assert first != second
    shown = agent("GET", f"/_broker/requests/{second}").json()
    assert bench.hand_in(shown["change"], "ann", where="approvals").status_code == 201
    assert agent.create("web").status_code == 202


def test_many_requests_at_once_are_not_more_than_the_share(benches: Benches) -> None:
    bench = benches(requests_share=0.1)
    bench.emulator.set_rate_limit(60)
    greedy, web = bench.reader(), bench.made("web")
    assert greedy("GET", f"/containers/status/{web['id']}").status_code == 200
    bench.clock.freeze()
    bench.emulator.faults.add("containers.status", "slow", 20, seconds=2.0)

    with ThreadPoolExecutor(20) as pool:
        answers = list(
            pool.map(lambda _: greedy("GET", f"/containers/status/{web['id']}").status_code, range(20))
        )

    assert sorted(answers) == [200] * 5 + [429] * 15
    bench.emulator.faults.clear()


def test_what_a_client_did_long_ago_does_not_make_others_wait(
    benches: Benches, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other requests wait while one is judged, so the broker reads only recent uses, not all uses of a grant."""
    bench = benches(policies={"agents": {"increase_per_day": 9, "free": ["restart"]}})
    agent = bench.agent()
    web = agent.create("web").json()["data"]["id"]
    read, rows = Ledger.uses, list[int]()

    def counted(self: Ledger, where: str, *values: object) -> list[Use]:
        found = read(self, where, *values)
        rows.append(len(found))
        return found

    monkeypatch.setattr(Ledger, "uses", counted)
    for _ in range(10):
        rows.clear()
        bench.emulator.advance(601)
        bench.clock.advance(601)
        assert agent("PUT", f"/containers/{web}/status", {"status": "restart"}).status_code == 200

    assert max(rows) <= 2


def test_who_may_not_approve_makes_nothing_free_by_a_signature(benches: Benches) -> None:
    """Otherwise such a change would need no token for free changes and would not count towards the daily amount."""
    limits, policies = {"bob": {"stacks": ["other/*"]}}, {"agents": {"increase_per_day": 1}}
    bench = benches(free={"increase_per_day": 5}, approver_limits=limits, policies=policies)
    agent = bench.agent()
    asked = agent.create("web").json()["request"]
    request = agent("GET", f"/_broker/requests/{asked}").json()["change"]
    token = bench.reader(may_apply_free=True).token
    creates = (permit("containers.create", create(name)) for name in ("one", "two", "three"))
    one, two, three = map(bench.change, creates)

    assert code(bench.hand_in(one, "bob")) == (403, "approval-needed")
    assert bench.hand_in(one, "bob", token=token).status_code == 201
    assert code(bench.hand_in(one, "bob")) == (403, "grant-refused")
    assert code(bench.hand_in(two, "bob", token=token)) == (403, "approval-needed")
    # A person who may approve the change can do so, even above the daily amount.
    assert bench.hand_in(two, "ann").status_code == 201
    assert code(bench.hand_in(three, token=token)) == (403, "approval-needed")
    assert code(bench.hand_in(request, "bob", where="approvals")) == (403, "approval-needed")
    assert bench.hand_in(request, "ann", where="approvals").status_code == 201


def test_what_is_free_is_not_saved_up(benches: Benches) -> None:
    """Otherwise changes that were handed in on many days could all be applied in one hour."""
    bench = benches(free={"increase_per_day": 5}, record_expires="40d")
    far = instant(bench.clock.wall() + 40 * DAY)
    first, second = (
        bench.change(permit("containers.create", create(name)), until=far) for name in ("one", "two")
    )

    def handed_in(change: dict[str, Any]) -> tuple[int, str]:
        answer = bench.hand_in(change, token=bench.reader(may_apply_free=True).token)
        return answer.status_code, answer.json().get("verdict", {}).get("result", "")

    assert handed_in(first)[0] == 201
    # A change counts for 24 hours after its end, not after the time at which it was handed in.
    bench.clock.advance(DAY + 1)
    assert handed_in(second) == (403, "needs_approval")
    bench.clock.advance(3600)
    assert handed_in(second)[0] == 201
    assert handed_in(first)[0] == 403


def test_the_end_of_a_run_does_not_renew_a_free_change(benches: Benches) -> None:
    """Otherwise a change whose end was long ago, which the daily amount no longer includes, could be applied."""
    bench = benches(free={"increase_per_day": 5}, record_expires="40d")
    far = instant(bench.clock.wall() + 40 * DAY)
    first, second = (
        bench.change(permit("containers.create", create(name)), until=far) for name in ("one", "two")
    )
    ended = bench.client(bench.hand_in(first, token=bench.reader(may_apply_free=True).token).json()["token"])
    bench.clock.advance(DAY + 3601)
    token = bench.reader(may_apply_free=True).token
    assert bench.hand_in(second, token=token).status_code == 201

    assert ended("DELETE", "/_broker/me").status_code == 200
    assert code(bench.hand_in(first, token=token)) == (403, "grant-refused")


@pytest.mark.parametrize("ceiling", [{}, {"ceiling": {"increase": "900.00"}}])
def test_a_free_create_costs_what_it_cost_when_it_was_judged(
    benches: Benches, monkeypatch: pytest.MonkeyPatch, ceiling: dict[str, Any]
) -> None:
    bench = benches(free={"increase_per_day": 5})
    change = bench.change(permit("containers.create", create("web")), **ceiling)
    answer = bench.hand_in(change, token=bench.reader(may_apply_free=True).token)
    monkeypatch.setattr(Upstream, "prices", lambda *_: lambda *_: Decimal(50))

    assert code(bench.client(answer.json()["token"]).create("web")) == (402, "grant-limit")


def test_a_deletion_lowers_the_price_once_and_only_of_what_it_deletes(bench: Bench) -> None:
    """Otherwise an approver would read that the change costs nothing."""
    old = bench.made("old")
    delete = permit("containers.delete", ids={"container_id": literal(old)})
    stale = permit(
        "containers.delete", ids={"container_id": {"is": old["id"], "created_at": "2020-01-01T00:00:00Z"}}
    )
    make = permit("containers.create", create("web", plan="premium"))

    for deletions, increase in (([delete, delete, delete], "6.00"), ([stale], "10.00")):
        answer = bench.hand_in(bench.change(make, *deletions), token=bench.reader(may_apply_free=True).token)
        assert answer.json()["verdict"]["increase"] == increase


def test_a_deletion_of_several_containers_counts_as_several(benches: Benches) -> None:
    bench = benches(rules={"unpriced": "approve", "max-deletions": {"limit": 1, "otherwise": "refuse"}})
    rows = {name: bench.made(name) for name in ("one", "two")}
    known = {name: {"id": row["id"], "created_at": row["created_at"]} for name, row in rows.items()}
    ids = {"container_id": {"of": ["one", "two"]}}

    answer = bench.hand_in(bench.change(permit("containers.delete", ids=ids, times=2), known=known), "ann")
    assert "2, more than the limit of 1" in answer.text
    without = bench.change(permit("containers.delete", ids=ids, times=None), known=known)
    assert bench.hand_in(without, "ann").status_code == 400

    # Two creates with the same container as their symbol replace only one container.
    deletes = [permit("containers.delete", ids={"container_id": literal(row)}) for row in rows.values()]
    deletes.append(permit("containers.delete", ids={"container_id": literal(bench.made("three"))}))
    creates = [permit("containers.create", create(name), binds=name) for name in ("web", "api")]
    lies = dict.fromkeys(("web", "api"), known["one"])
    answer = bench.hand_in(bench.change(*deletes, *creates, known=lies), "ann")
    assert "2, more than the limit of 1" in answer.text


def test_a_create_counts_beside_the_container_that_had_its_name(bench: Bench) -> None:
    """The earlier container was removed in the dashboard, and the list is some seconds old."""
    old = bench.made("web")
    grant = bench.granted(
        permit("containers.create", create("api")),
        permit("containers.create", create("web", plan="premium")),
        permit("containers.create", create("data", plan="premium")),
    )
    bench.configure({"account": {"max_total": 20}})
    bench.clock.freeze()
    assert grant.create("api").status_code == 202
    del bench.emulator.state.containers[old["id"]]

    answers = [grant.create(name, plan="premium") for name in ("web", "data")]

    assert [answer.status_code for answer in answers] == [202, 402]


@pytest.mark.parametrize("body", [{"enabled": "true"}, {"enabled": "on"}, {"enabled": 1}, {}])
def test_what_a_platform_may_take_for_true_opens_access(benches: Benches, body: Any) -> None:
    bench = benches(rules={"unpriced": "approve", "opens-access": "refuse"})
    ids = {"container_id": literal(bench.made("web"))}

    answer = bench.hand_in(bench.change(permit("containers.external_access", body, ids=ids)), "ann")

    assert answer.json()["verdict"]["result"] == "refused"


def test_a_server_that_may_not_serve_a_folder_changes_nothing_in_its_ledger(bench: Bench) -> None:
    """Otherwise a deletion in progress would count as not done."""
    web = bench.made("web")
    grant = bench.granted(permit("containers.delete", ids={"container_id": literal(web)}))
    bench.emulator.faults.add("containers.delete", "slow", seconds=10.0)

    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(grant, "DELETE", f"/containers/{web['id']}")
        until(lambda: bench.ledger.uses("state = 'sent'"))
        second = Folder(bench.path, bench.clock)
        with pytest.raises(ConfigError, match="serves"):
            Server(second, "127.0.0.1:0", clock=bench.clock).run()
        second.close()
        assert answer.result().status_code == 200

    assert [use.state for use in bench.ledger.uses("true")] == ["done"]


def test_a_change_may_not_be_handed_in_for_longer_than_the_settings_say(bench: Bench) -> None:
    """A ledger from a backup does not contain the earlier use of the change."""
    far = bench.change(
        permit("containers.create", create("web")), until=instant(bench.clock.wall() + 2 * DAY)
    )

    answer = bench.hand_in(far, "ann")

    assert (code(answer), "record_expires" in answer.text) == ((403, "grant-refused"), True)


@pytest.mark.parametrize(
    "settings",
    [
        {"policies": {"agents": {"increase_per_day": 9}}, "account": {"max_total": 3}},
        {"policies": {"agents": {"increase_per_day": 3}}},
        {"policies": {"other": {"increase_per_day": 9}}},
    ],
)
def test_a_create_is_not_sent_again_if_a_limit_of_now_forbids_it(
    benches: Benches, settings: dict[str, Any]
) -> None:
    """A create on the waitlist is repeated for a day, and an administrator may have lowered a limit in the meantime."""
    bench = benches(policies={"agents": {"increase_per_day": 9}})
    agent = bench.agent()
    bench.emulator.faults.add("containers.create", 503)
    assert agent.create("web").status_code == 503
    bench.configure(settings)
    bench.clock.advance(61)

    assert code(agent.create("web")) == (409, "grant-busy")
    assert bench.emulator.calls("containers.create") == 1


@pytest.mark.parametrize("end", ["late", "revoked"])
def test_what_waits_for_its_turn_in_vain_was_not_sent(bench: Bench, end: str) -> None:
    """Otherwise a restore would count as done, and a restore of a revoked grant would still happen."""
    bench.made("data", template="redis", backups=1)
    number = next(iter(bench.emulator.state.backups))
    grant = bench.granted(permit("backups.restore", ids={"backup_id": {"is": str(number)}}))
    bench.emulator.set_rate_limit(3)
    while (answer := bench.reader()("GET", "/backups/stats")).status_code == 200:
        pass
    assert answer.status_code == 429

    with ThreadPoolExecutor(1) as pool:
        waits = pool.submit(grant, "POST", f"/backups/{number}/restore")
        until(lambda: bench.ledger.uses("state = 'sent'"))
        if end == "revoked":
            bench.ledger.revoke(bench.ledger.grants("kind = 'change'")[0].id)
        assert waits.result().status_code == (401 if end == "revoked" else 429)

    assert [use.state for use in bench.ledger.uses("true")] == ["void"]
    # Later, the answer would arrive after the client's own timeout.
    assert bench.journal("not sent")[0]["ms"] < 20_000
    assert bench.emulator.calls("backups.restore") == 0
    bench.emulator.set_rate_limit(600)
    bench.clock.advance(120)
    answer = grant("POST", f"/backups/{number}/restore")
    assert answer.status_code == (401 if end == "revoked" else 200), answer.text


def test_a_read_that_waited_tells_nothing_to_a_grant_that_was_revoked(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    web, reader, read = bench.made("web"), bench.reader(secrets=["credentials"]), Upstream.read

    def revoked(*given: Any) -> Any:
        bench.ledger.revoke(bench.ledger.grants()[0].id)
        return read(*given)

    monkeypatch.setattr(Upstream, "read", revoked)

    assert reader("GET", f"/containers/{web['id']}/credentials").status_code == 401


def test_what_a_change_removes_lowers_the_price_by_what_it_certainly_cost(bench: Bench) -> None:
    """The container may have more storage than its plan: an approver would read a saving that does not exist."""
    old = bench.made("old", template="nginx-micro", plan="micro")
    listed = {"success": True, "count": 1, "data": [{**old, "storage_allocated": 10240}]}
    bench.clock.advance(2)
    bench.emulator.faults.add("containers.list", "status", code=200, body=listed)
    change = bench.change(
        permit("containers.create", create("web", plan="premium")),
        permit("containers.delete", ids={"container_id": literal(old)}),
    )

    answer = bench.hand_in(change, token=bench.reader(may_apply_free=True).token)

    assert answer.json()["verdict"]["increase"] == "9.00"


def _answered_with(bench: Bench, row: dict[str, Any]) -> None:
    """Make the platform answer the next create with an existing container."""
    body = {"success": True, "data": {**row, "createdAt": row["created_at"]}}
    bench.emulator.faults.add("containers.create", "status", code=202, body=body)


def test_a_create_that_is_answered_with_what_another_grant_has_just_made_gives_nobody_that(
    bench: Bench,
) -> None:
    """The list before the create may be older than the other grant's container."""
    bench.clock.freeze_with(bench.emulator)
    first, second = (bench.granted(permit("containers.create", create("web"), binds="web")) for _ in range(2))
    made = first.create("web").json()["data"]["id"]
    _answered_with(bench, bench.listed(made))

    assert second.create("web").status_code == 202
    assert refused(second("DELETE", f"/containers/{made}"))
    assert first("DELETE", f"/containers/{made}").status_code == 200


def test_a_create_that_is_answered_with_an_older_container_gives_nobody_that_nor_what_is_after_it(
    bench: Bench,
) -> None:
    web, data = bench.made("web"), bench.made("data", template="postgresql")
    grant = bench.granted(
        permit("containers.create", create("web"), binds="web"),
        permit("containers.delete", ids={"container_id": literal(data)}, after=[1]),
    )
    _answered_with(bench, web)

    assert grant.create("web").status_code == 202
    assert all(refused(grant("DELETE", f"/containers/{row['id']}")) for row in (data, web))
    assert bench.names == ["data", "web"]


def test_a_lost_create_is_not_found_in_what_another_grant_makes_at_the_same_moment(bench: Bench) -> None:
    """Otherwise both grants would own the container, and the first grant could remove it."""
    lost, makes = (bench.granted(permit("containers.create", create("web"), binds="web")) for _ in range(2))
    bench.emulator.faults.add("containers.create", 503)
    assert lost.create("web").status_code == 503
    bench.emulator.faults.add("containers.create", "slow", seconds=8.0)
    bench.clock.advance(41)

    with ThreadPoolExecutor(1) as pool:
        made = pool.submit(makes.create, "web")
        until(lambda: bench.names == ["web"])
        found = lost.create("web")
        id_ = made.result().json()["data"]["id"]

    assert code(found) == (409, "grant-busy")
    assert refused(lost("DELETE", f"/containers/{id_}"))
    assert makes("DELETE", f"/containers/{id_}").status_code == 200


def test_a_create_from_the_waitlist_counts_from_when_it_was_sent_again(benches: Benches) -> None:
    """Otherwise creates of several days would happen on one day and exceed its limits."""
    bench = benches(policies={"agents": {"increase_per_day": 5}})
    token = bench.ledger.issue("budget", "agent", seconds=9 * DAY, policy="agents", stack="shop/prod")[1]
    agent = bench.client(token)
    bench.emulator.faults.add("containers.create", 503)
    assert agent.create("one").status_code == 503
    bench.clock.advance(0.9 * DAY)
    assert agent.create("one").status_code == 202
    bench.clock.advance(0.2 * DAY)

    assert code(agent.create("two")) == (403, "approval-needed")
    bench.clock.advance(DAY)
    bench.emulator.faults.add("containers.create", 503)
    assert agent.create("two").status_code == 503
    bench.clock.advance(1.1 * DAY)
    assert agent.create("two").status_code == 202
    assert code(agent.create("three")) == (403, "approval-needed")


def test_a_create_waits_for_a_deletion_of_the_container_that_has_its_name(benches: Benches) -> None:
    """Otherwise the answer to the deletion would mark the new container as removed, and no limit would include it."""
    bench = benches(policies={"agents": {"increase_per_day": 9, "free": ["undo"], "undo": "15m"}})
    agent = bench.agent()
    old = agent.create("web").json()["data"]["id"]
    bench.emulator.faults.add("containers.delete", "slow", seconds=10.0)

    with ThreadPoolExecutor(1) as pool:
        removed = pool.submit(agent, "DELETE", f"/containers/{old}")
        until(lambda: not bench.names)
        answers = agent.create("web", plan="standard").status_code, removed.result().status_code

    assert answers == (409, 200)
    assert agent.create("web", plan="standard").status_code == 202
    assert len(bench.ledger.made("Container")) == 1


@pytest.mark.parametrize("fault", ["", "drop_after"])
def test_a_vpn_client_belongs_to_the_grant_that_made_the_one_that_is_there(bench: Bench, fault: str) -> None:
    """A client's name is its key. Two containers can have the same name, and a name can be reused."""
    ids = [{"vpn_container_id": literal(bench.made(name, template="stacks-vpn"))} for name in ("one", "two")]
    laptop = {"name": "laptop"}
    first = bench.granted(*(permit("vpn_clients.add", laptop, ids=one) for one in ids))
    second = bench.granted(permit("vpn_clients.add", laptop, ids=ids[0]))
    paths = [f"/containers/{one['vpn_container_id']['is']}/vpn-clients" for one in ids]
    for path in paths:
        assert first("POST", path, laptop).status_code < 300
    assert bench.owner("DELETE", f"{paths[0]}/laptop").status_code == 200
    bench.clock.advance(11)
    if fault:
        bench.emulator.faults.add("vpn_clients.add", fault)

    assert second("POST", paths[0], laptop).status_code < 300
    assert refused(first("DELETE", f"{paths[0]}/laptop"))
    assert second("DELETE", f"{paths[0]}/laptop").status_code == 200
    # The client in the other container still belongs to the first grant.
    assert first("DELETE", f"{paths[1]}/laptop").status_code == 200


@pytest.mark.parametrize("is_known", [True, False])
@pytest.mark.parametrize("endpoint", ["connections.create", "allowed_ips.add"])
def test_a_platform_that_answers_a_repeated_add_with_what_was_there_gives_nobody_that(
    bench: Bench, endpoint: str, is_known: bool
) -> None:
    web, data = bench.made("web", allowed_ips=["198.51.100.7"]), bench.made("data", template="redis")
    ids, body = {"container_id": literal(web)}, {"ip_address": "198.51.100.9"}
    path = own = f"/containers/{web['id']}/allowed-ips"
    if endpoint == "connections.create":
        ids, body = {"source_id": literal(web), "target_id": literal(data)}, {"connectionName": "primary"}
        path, own = f"/containers/{web['id']}/connect/{data['id']}", "/containers/connections"
    first, second = (bench.granted(permit(endpoint, body, ids=ids)) for _ in range(2))
    if not is_known:
        first = bench.owner
    old = first("POST", path, body).json()["data"]["id"]
    for clock in (bench.clock, bench.emulator):
        clock.advance(60)
    bench.emulator.faults.add(endpoint, "status", code=200, body={"data": {"id": old, **body}})

    assert second("POST", path, body).status_code == 200
    # The entry may be in the part of the list that cannot be read.
    bench.emulator.faults.add(f"{endpoint.partition('.')[0]}.list", "wrong_types", field="id")
    assert second("DELETE", f"{own}/{old}").status_code in {403, 409}
    bench.emulator.faults.clear()
    assert refused(second("DELETE", f"{own}/{old}"))
    assert first("DELETE", f"{own}/{old}").status_code == 200


def test_no_other_user_can_open_the_locks_of_a_folder(bench: Bench) -> None:
    """A user who holds such a lock could prevent the start or the end of a server."""
    with in_use(bench.path):
        modes = {name: (bench.path / name).stat().st_mode & 0o777 for name in ("broker.lock", "broker.use")}

    assert modes == {"broker.lock": 0o600, "broker.use": 0o600}


@pytest.mark.parametrize("endpoint", ["containers.create", "backups.trigger"])
def test_a_budget_may_ask_anew_a_day_after_an_outcome_that_stays_unknown(
    benches: Benches, endpoint: str
) -> None:
    bench = benches(policies={"agents": {"increase_per_day": 9, "free": ["backup"]}})
    token = bench.ledger.issue("budget", "agent", seconds=9 * DAY, policy="agents", stack="shop/prod")[1]
    agent = bench.client(token)
    path, body = "/containers", create("web")
    if endpoint == "backups.trigger":
        path, body = f"/containers/{agent.create('web').json()['data']['id']}/backup", {}
        bench.emulator.advance(60)
    bench.emulator.faults.add(endpoint, "drop_before", None)
    assert {code(agent("POST", path, body))[1] for _ in range(3)} == {"grant-busy"}
    bench.emulator.faults.clear()
    bench.clock.advance(DAY - 600)

    assert agent("POST", path, body).status_code in {403, 409}
    bench.clock.advance(1200)
    assert agent("POST", path, body).status_code == 202


def test_a_client_that_asks_too_often_waits_until_its_minute_is_over_and_no_longer(bench: Bench) -> None:
    bench.clock.freeze()
    bench.emulator.set_rate_limit(10)
    reader = bench.reader()
    reader("GET", "/containers/templates")
    answers = [reader("GET", "/_broker/log").status_code for _ in range(6)]
    bench.clock.advance(40)
    answers += [reader("GET", "/_broker/log").status_code for _ in range(5)]
    bench.clock.advance(21)

    assert (answers, reader("GET", "/_broker/log").status_code) == ([200] * 4 + [429] * 7, 200)


def test_who_sees_only_its_own_is_not_told_what_the_key_has_spent(benches: Benches) -> None:
    bench = benches(policies={"agents": {"only": "own", "increase_per_day": 50}})
    body = {"success": False, "error": "Spending cap reached", "amount_spent": 123.45, "spending_cap": 200}
    bench.emulator.faults.add("containers.create", "status", code=402, body=body)

    answer = bench.agent().create("web")

    assert (code(answer), "123" in answer.text) == ((402, "grant-limit"), False)


@pytest.mark.parametrize("kind", ["budget", "read"])
def test_a_grant_of_a_stack_reads_the_secrets_of_its_containers_only(benches: Benches, kind: str) -> None:
    bench = benches(policies={"agents": {"increase_per_day": 50}})
    mine, other = (bench.made(name, template="postgresql") for name in ("mine", "other"))
    for row, stack in ((mine, "shop/prod"), (other, "bank/prod")):
        bench.ledger.claim(stack, row["id"], row["created_at"], "postgresql", "basic")
    spec = Spec(secrets=("credentials", "logs"))
    token = bench.ledger.issue(kind, "coder", seconds=3600.0, policy="agents", stack="shop/prod", spec=spec)[
        1
    ]
    grant = bench.client(token)

    for what in ("credentials", "logs"):
        assert grant("GET", f"/containers/{mine['id']}/{what}").status_code == 200
        assert refused(grant("GET", f"/containers/{other['id']}/{what}"))
        assert bench.emulator.calls(f"containers.{what}") == 1


def test_who_sees_only_its_own_is_not_told_what_others_have(benches: Benches) -> None:
    """An access request contains the container's creation time, and a limit shows the containers of other stacks."""
    bench = benches(policies={"agents": {"only": "own", "increase_per_day": 50}}, account={"max_total": 12})
    other, agent = bench.made("other", plan="premium"), bench.agent()
    web = permit("containers.create", create("web"))
    of_mine, of_others = (
        bench.hand_in(bench.change(web, stack=stack), token=agent.token, where="verdicts")
        for stack in ("shop/prod", "other/prod")
    )
    over, stats = agent.create("web"), agent("GET", "/backups/stats")

    assert [one.status_code for one in (of_mine, of_others, over, stats)] == [200, 403, 402, 404]
    assert all(
        "the price of other containers" in one.text and "10.0" not in one.text for one in (of_mine, over)
    )
    assert refused(agent("DELETE", f"/containers/{other['id']}"))
    assert agent("GET", "/_broker/me").json()["requests"] == []
    assert agent("GET", "/containers/templates").json()["data"]
    # Without its policy, the grant does not see more.
    bench.configure({})
    assert agent("GET", "/containers").json()["data"] == []


def test_who_sees_only_its_own_gets_nothing_of_an_answer_that_cannot_be_read(benches: Benches) -> None:
    bench = benches(policies={"agents": {"only": "own", "increase_per_day": 50}})
    bench.made("other")
    agent = bench.agent()
    web = agent.create("web").json()["data"]["id"]
    bench.emulator.faults.add("connections.targets", "truncated")

    answer = agent("GET", f"/containers/{web}/available-targets")

    assert (answer.status_code, "other" in answer.text) == (200, False)


@pytest.mark.parametrize("fault", ["", "drop_after"])
def test_a_password_that_the_platform_does_not_mask_is_in_no_answer_and_not_in_the_ledger(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setattr(connections, "_MASK", 'hunter\\"2')
    ids = {
        "source_id": literal(bench.made("web")),
        "target_id": literal(bench.made("data", template="redis")),
    }
    grant = bench.granted(permit("connections.create", ids=ids))
    if fault:
        bench.emulator.faults.add("connections.create", fault)
    source, target = (id_["is"] for id_ in ids.values())

    answers = [
        grant("POST", f"/containers/{source}/connect/{target}").text,
        grant("GET", f"/containers/{source}/connections").text,
        str(bench.ledger.uses("true")),
    ]

    assert all("redis://" in answer and "hunter" not in answer for answer in answers)
    # The names of other templates' variables are not known.
    bench.emulator.faults.add("connections.list", "answer", body={"data": {"MINIO_SECRET_KEY": "hunter2"}})
    said = grant("GET", f"/containers/{source}/connections").json()
    assert said == {"data": {"MINIO_SECRET_KEY": "****"}}


def test_a_lost_request_is_not_sent_again_to_a_container_that_was_made_since_under_the_id(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would open access to a container that no approver has signed."""
    web, body = bench.made("web", allowed_ips=["198.51.100.7"]), {"ip_address": "198.51.100.9"}
    grant = bench.granted(permit("allowed_ips.add", body, ids={"container_id": literal(web)}))
    bench.emulator.faults.add("allowed_ips.add", "drop_before")
    monkeypatch.setattr(outcome.Outcomes, "record", lambda *_, **__: 1 / 0)
    assert grant("POST", f"/containers/{web['id']}/allowed-ips", body).status_code == 500
    monkeypatch.undo()
    bench.emulator.advance(60)
    bench.emulator.drift.recreate("web")
    bench.clock.advance(2)

    assert code(grant("POST", f"/containers/{web['id']}/allowed-ips", body)) == (409, "grant-busy")
    assert bench.emulator.calls("allowed_ips.add") == 1


def test_a_create_sent_again_counts_with_its_price_of_then(
    benches: Benches, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = benches(policies={"agents": {"increase_per_day": 14}})
    agent = bench.agent()
    bench.emulator.faults.add("containers.create", 503)
    assert agent.create("one").status_code == 503
    bench.clock.advance(61)
    monkeypatch.setattr(Upstream, "prices", lambda *_: lambda *_: Decimal(9))

    assert agent.create("one").status_code == 202
    assert code(agent.create("two")) == (403, "approval-needed")


def test_a_container_shows_one_create_though_names_differ_in_case_only(benches: Benches) -> None:
    """The other container may still be created from the waitlist, above the limit."""
    bench = benches(account={"max_total": 8}, policies={"agents": {"increase_per_day": 100}})
    agent = bench.agent()
    bench.emulator.faults.add("containers.create", 503)
    assert agent.create("WEB").status_code == 503

    assert agent.create("web").status_code == 202
    assert code(agent.create("two")) == (402, "grant-limit")


def test_who_looked_for_an_earlier_attempt_does_not_settle_the_one_that_was_sent_since(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the entry of the later attempt would have no owner, and the address would stay allowed."""
    again = kernel.Kernel._again

    def with_a_late_look(self: kernel.Kernel, visit: kernel.Visit, use: Use) -> Any:
        reserved = again(self, visit, use)
        assert self.outcomes.found(use, visit.due) is not None
        return reserved

    monkeypatch.setattr(kernel.Kernel, "_again", with_a_late_look)
    bench.clock.freeze_with(bench.emulator)

    entries = add_twice(bench)

    assert [use.object for use in bench.ledger.objects("true")] == [entries[-1].id]


@pytest.mark.parametrize("kind", ["change", "budget"])
def test_a_removal_of_a_vpn_client_spares_one_that_another_made_since(benches: Benches, kind: str) -> None:
    """The removal may have happened without an answer, and the name may be used again."""
    bench = benches(policies={"agents": {"increase_per_day": 9}})
    ids, laptop = {"vpn_container_id": literal(bench.made("vpn", template="stacks-vpn"))}, {"name": "laptop"}
    bench.emulator.drift.add_vpn_client("vpn", "laptop")
    path, clears = f"/containers/{ids['vpn_container_id']['is']}/vpn-clients", bench.agent()
    if kind == "change":
        laptop_ = bench.device("vpn", "laptop")
        clears = bench.granted(permit("vpn_clients.remove", ids={**ids, "client_name": laptop_}))
    else:
        asked = clears("DELETE", f"{path}/laptop").json()["request"]
        text = clears("GET", f"/_broker/requests/{asked}").json()["change"]
        assert bench.hand_in(text, "ann", where="approvals").status_code == 201
    makes = bench.granted(permit("vpn_clients.add", laptop, ids=ids))
    bench.emulator.faults.add("vpn_clients.remove", "drop_after")
    assert clears("DELETE", f"{path}/laptop").status_code == 502
    _both(bench, 41)
    assert makes("POST", path, laptop).status_code < 300

    # A person may approve the removal of the new one.
    assert clears("DELETE", f"{path}/laptop").status_code == (404 if kind == "change" else 403)
    assert makes("DELETE", f"{path}/laptop").status_code == 200


@pytest.mark.parametrize("fault", ["pass", "drop_after"])
def test_a_pin_of_another_grant_stays(bench: Bench, fault: str) -> None:
    data = bench.made("data", template="redis")
    first = bench.granted(
        permit("backups.trigger", ids={"container_id": literal(data)}, binds="pin"),
        *(permit(f"backups.{do}", ids={"backup_id": {"new_backup_of": "pin"}}) for do in ("pin", "unpin")),
        permit("backups.delete", ids={"backup_id": {"new_backup_of": "pin"}}),
    )
    assert first("POST", f"/containers/{data['id']}/backup").status_code == 202
    bench.emulator.advance(60)
    number = min(bench.emulator.state.backups)
    second = bench.granted(permit("backups.pin", ids={"backup_id": {"is": str(number)}}, times=None))
    assert first("POST", f"/backups/{number}/pin").status_code == 200
    bench.emulator.faults.add("backups.pin", fault)
    assert second("POST", f"/backups/{number}/pin").status_code == (200 if fault == "pass" else 502)
    bench.clock.advance(41)

    assert first("POST", f"/backups/{number}/unpin").status_code == 404
    assert first("DELETE", f"/backups/{number}").status_code == 404
    assert bench.emulator.state.backups[number].pinned


def test_a_create_of_a_price_that_is_not_known_counts_for_a_limit_that_was_set_since(bench: Bench) -> None:
    new = create("new", template="of-tomorrow")
    grant = bench.granted(permit("containers.create", new), permit("containers.create", create("web")))
    bench.emulator.faults.add("containers.create", 503)
    assert grant("POST", "/containers", new).status_code == 503
    bench.configure({"account": {"max_total": 8}})

    assert code(grant.create("web")) == (402, "grant-limit")


def test_a_create_that_is_answered_with_a_container_of_another_name_gives_nobody_that(bench: Bench) -> None:
    """The id of the other container also ends with the requested name."""
    other = bench.made("x-web")
    grant = bench.granted(permit("containers.create", create("web")))
    bench.emulator.faults.add("containers.create", "status", code=202, body={"data": other})

    assert grant.create("web").status_code == 202
    assert refused(grant("DELETE", f"/containers/{other['id']}"))


@pytest.mark.parametrize("repeat", [402, "slow"])
def test_a_create_waits_for_a_lost_request_on_its_id_whatever_became_of_the_repeat(
    bench: Bench, repeat: str | int
) -> None:
    """The platform may still complete the first request, and it reuses the id."""
    old, body = bench.made("web", allowed_ips=["198.51.100.7"]), {"ip_address": "198.51.100.9"}
    lost = bench.granted(permit("allowed_ips.add", body, ids={"container_id": literal(old)}))
    makes = bench.granted(permit("containers.create", create("web")))
    bench.emulator.faults.add("allowed_ips.add", "drop_before")
    bench.emulator.faults.add("allowed_ips.add", repeat)
    answer = lost("POST", f"/containers/{old['id']}/allowed-ips", body)
    assert answer.status_code == (409 if repeat == 402 else 200)
    del bench.emulator.state.containers[old["id"]]

    assert code(makes.create("web")) == (409, "grant-busy")
    bench.clock.advance(41)
    assert makes.create("web").status_code == 202


@pytest.mark.parametrize(
    ("endpoint", "body", "own"),
    [
        ("containers.create", create("new"), "/containers/{}"),
        ("connections.create", {"connectionName": "primary"}, "/containers/connections/{}"),
        ("allowed_ips.add", {"ip_address": "198.51.100.9"}, "/containers/{web}/allowed-ips/{}"),
        ("vpn_clients.add", {"name": "laptop"}, "/containers/{vpn}/vpn-clients/laptop"),
    ],
)
def test_what_a_repeat_made_is_not_removed_while_the_lost_request_may_make_it_again(
    bench: Bench, endpoint: str, body: dict[str, Any], own: str
) -> None:
    """A container would bill and be known to nobody, and would exceed the limits. An access would stay open."""
    web = bench.made("web", allowed_ips=["198.51.100.7"])
    data, vpn = bench.made("data", template="redis"), bench.made("vpn", template="stacks-vpn")
    ids = {"container_id": web, "source_id": web, "target_id": data, "vpn_container_id": vpn}
    path = ENDPOINTS[endpoint].path
    constraints = {name: literal(row) for name, row in ids.items() if f"{{{name}}}" in path}
    grant = bench.granted(permit(endpoint, body, ids=constraints))
    bench.emulator.faults.add(endpoint, "drop_before")
    made = grant("POST", path.format(**{name: row["id"] for name, row in ids.items()}), body).json()["data"]
    own = own.format(made.get("id"), web=web["id"], vpn=vpn["id"])

    assert code(grant("DELETE", own)) == (409, "grant-busy")
    bench.clock.advance(41)
    assert grant("DELETE", own).status_code == 200


def test_no_read_is_of_a_container_that_got_the_id(benches: Benches, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that asks often would get the secret of another stack. Also while its read waits for its turn."""
    bench = benches(policies={"agents": {"only": "own", "increase_per_day": 50}})
    web = bench.made("web", template="postgresql")
    secret = {"endpoint": "containers.credentials", "ids": {"container_id": literal(web)}}
    reads, read = bench.granted(secrets=[secret]), Upstream.read

    def then_read(*given: Any) -> Any:
        bench.emulator.advance(60)
        bench.emulator.drift.recreate("web")
        bench.clock.advance(3)
        return read(*given)

    monkeypatch.setattr(Upstream, "read", then_read)

    assert reads("GET", f"/containers/{web['id']}/credentials").status_code == 403
    del bench.emulator.state.containers[web["id"]]
    bench.clock.advance(2)
    assert reads("GET", f"/containers/{web['id']}/credentials").status_code == 404
    assert bench.emulator.calls("containers.credentials") == 1
    agent = bench.agent()
    for path, code_ in (("", 200), (f"/status/{web['id']}", 404), (f"/{web['id']}/connections", 404)):
        bench.emulator.state.containers.clear()
        agent.create("web", template="redis")
        got = agent("GET", f"/containers{path}")
        assert (got.status_code, got.json().get("data") or []) == (code_, [])


@pytest.mark.parametrize(
    ("endpoint", "body", "waits"),
    [
        ("containers.delete", {}, Priority.WRITE),
        # The list of the VPN clients is read after the list of the containers.
        ("vpn_clients.add", {"name": "laptop"}, Priority.READ),
    ],
)
def test_a_change_that_waited_for_its_turn_is_judged_anew(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, endpoint: str, body: dict[str, Any], waits: Priority
) -> None:
    """A used-up rate limit delays it by seconds, in which the dashboard may give the id to another container."""
    vpn, called = bench.made("vpn", template="stacks-vpn"), ENDPOINTS[endpoint]
    (name,) = variables(called)
    grant = bench.granted(permit(endpoint, body, ids={name: literal(vpn)}))
    acquire, turns = Limiter.acquire, list[Priority]()

    def waiting(self: Limiter, priority: Priority, pulse: Any) -> None:
        acquire(self, priority, pulse)
        turns.append(priority)
        if len(turns) == 2:
            pulse()
            bench.emulator.advance(60)
            bench.emulator.drift.recreate("vpn")
            bench.clock.advance(3)

    bench.clock.advance(2)
    monkeypatch.setattr(Limiter, "acquire", waiting)

    assert refused(grant(called.method, called.path.format(**{name: vpn["id"]}), body or None))
    assert (turns[1], bench.emulator.calls(endpoint), bench.names) == (waits, 0, ["vpn"])


def test_a_repeat_that_waited_too_long_for_its_turn_is_sent_later(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was not sent, so it is no attempt."""
    grant = bench.granted(permit("containers.create", create("web")))
    acquire, turns = Limiter.acquire, list[Any]()
    bench.emulator.faults.add("containers.create", 503)
    assert grant.create("web").status_code == 503

    def waiting(self: Limiter, priority: Priority, pulse: Any) -> None:
        acquire(self, priority, pulse)
        if priority == Priority.WRITE and not turns:
            turns.append(pulse())
            bench.clock.advance(3)

    monkeypatch.setattr(Limiter, "acquire", waiting)

    for status in (409, 202):
        bench.clock.advance(61)
        assert grant.create("web").status_code == status
    assert bench.emulator.calls("containers.create") == 2


def test_a_lost_create_is_found_with_two_keys_and_a_wrong_clock(
    benches: Benches, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first change is sent before an answer to the key for changes has shown the time of the platform."""
    monkeypatch.setattr(HurriedClock, "wall", lambda self: self.now() + 120)
    bench = benches()
    key = {"file": str(bench.path / "key")}
    bench.stop()
    settings = {"version": 1, "base_url": bench.emulator.url, "keys": {"read": key, "change": key}}
    (bench.path / "gate.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    bench.start()
    grant = bench.granted(permit("containers.create", create("web")))
    bench.emulator.faults.add("containers.create", "drop_after")

    assert grant.create_in_the_end("web").status_code == 202


def test_a_name_in_a_different_case_hides_no_create_that_is_under_way(benches: Benches) -> None:
    bench = benches(account={"max_total": 16}, policies={"agents": {"increase_per_day": 50}})
    agent = bench.agent()
    agent("GET", "/containers")
    bench.emulator.faults.add("containers.create", "slow", seconds=15.0)
    bench.emulator.faults.add("containers.create", "slow", seconds=15.0, done=False)

    with ThreadPoolExecutor(2) as pool:
        pool.submit(agent.create, "web")
        until(lambda: bench.names == ["web"])
        pool.submit(agent.create, "WEB", plan="premium")
        until(lambda: len(bench.ledger.uses("state = 'sent'")) == 2)
        for seconds in (10, DAY):
            bench.clock.advance(seconds)
            assert bench.agent().create("api").status_code == 402


@pytest.mark.parametrize("lost", ["containers.delete", "containers.set_status"])
def test_a_create_waits_for_a_lost_request_of_its_own_grant(bench: Bench, lost: str) -> None:
    """The lost request may still arrive, and would reach the new container, because the platform reuses the id."""
    path = f"/containers/{(old := bench.made('web'))['id']}"
    stop = {"status": "stopped"}
    ids = {"ids": {"container_id": literal(old)}}
    permits = permit("containers.set_status", stop, **ids), permit("containers.delete", **ids)
    grant = bench.granted(*permits, permit("containers.create", create("web")))
    bench.emulator.faults.add(lost, "drop_before")
    grant("PUT", f"{path}/status", stop)
    assert 200 in [grant("DELETE", path).status_code for _ in range(2)]
    bench.emulator.faults.assert_none_left()
    bench.emulator.advance(60)

    assert code(grant.create("web")) == (409, "grant-busy")
    bench.clock.advance(41)
    assert grant.create("web").status_code == 202


def _both(bench: Bench, seconds: float) -> None:
    """Advance the clocks of the broker and of the platform."""
    for clock in (bench.clock, bench.emulator):
        clock.advance(seconds)


def _lose(bench: Bench, client: Client, **body: Any) -> str:
    """Create a container without an answer, and with no list after the request; return its id."""
    bench.emulator.faults.add("containers.create", "drop_after")
    bench.emulator.faults.add("containers.list", "pass")
    bench.emulator.faults.add("containers.list", 500, 9)
    assert code(client.create("web", **body))[0] == 409
    bench.emulator.faults.clear()
    return next(iter(bench.emulator.state.containers))


def test_a_container_that_is_found_late_is_not_new(benches: Benches) -> None:
    bench = benches(policies={"agents": {"increase_per_day": 9, "free": ["undo"]}})
    made = _lose(bench, agent := bench.agent())
    for clock in (bench.clock, bench.emulator):
        clock.advance(910)

    assert code(agent("DELETE", f"/containers/{made}")) == (403, "approval-needed")


@pytest.mark.parametrize("seconds", [25, 3600])
def test_what_the_platform_creates_long_after_a_lost_request_counts_after_a_day_too(
    benches: Benches, seconds: int
) -> None:
    """
    The broker does not take it for the result of the request: it would bill, and no limit would include it. The lost
    answer may have been a 503, so the platform may create it from its waitlist.
    """
    bench = benches(policies={"agents": {"increase_per_day": 10, "max_total": 12}})
    bench.emulator.faults.add("containers.create", "drop_before", None)
    assert code(bench.agent().create("web", plan="premium")) == (409, "grant-busy")
    bench.emulator.faults.clear()
    _both(bench, seconds)
    bench.made("web", plan="premium")
    _both(bench, DAY)

    assert bench.agent().create("api").status_code == 402


@pytest.mark.parametrize("is_late", [False, True])
def test_what_a_lost_request_creates_after_the_removal_of_what_its_repeat_created_counts(
    benches: Benches, is_late: bool
) -> None:
    """Otherwise a container of the policy would bill, and no limit would include it."""
    bench = benches(policies={"agents": {"increase_per_day": 50, "max_total": 12}})
    bench.emulator.faults.add("containers.create", "drop_before")
    assert bench.agent().create("web", plan="premium").status_code == 202
    bench.emulator.drift.delete("web")
    _both(bench, 20 if is_late else 300)
    bench.made("web", plan="premium")
    _both(bench, DAY)

    assert bench.agent().create("api").status_code == (402 if is_late else 202)


@pytest.mark.parametrize("is_sent_again", [False, True])
def test_a_container_that_a_person_may_have_created_is_not_removed_without_an_approval(
    benches: Benches, is_sent_again: bool
) -> None:
    """The create was on the waitlist, which may create the container hours later, like a person in the dashboard."""
    bench = benches(policies={"agents": {"increase_per_day": 10, "free": ["undo"]}})
    agent = bench.agent()
    bench.emulator.faults.add("containers.create", 503)
    assert agent.create("web").status_code == 503
    _both(bench, 3600)
    if not is_sent_again:
        bench.made("web")

    assert agent.create("web").status_code == (202 if is_sent_again else 400)

    path = f"/containers/{bench.emulator.state.container('web').id}"
    _both(bench, 61)
    assert agent("DELETE", path).status_code == (200 if is_sent_again else 403)
    if not is_sent_again:
        # A person decides about the container that exists.
        assert refused(agent.create("web"))
        assert bench.emulator.calls("containers.create") == 2


def test_a_container_that_a_person_may_have_created_is_not_used_or_read_without_an_approval(
    benches: Benches,
) -> None:
    """Otherwise an agent would wait for a colleague's database of a usual name, and would read its password."""
    policy = {"increase_per_day": 10, "only": "own", "free": ["restart", "connect-own"]}
    bench = benches(policies={"agents": policy}, free={"increase_per_day": 10})
    spec = Spec(secrets=("credentials",), may_apply_free=True)
    more: dict[str, Any] = {"seconds": 36000.0, "policy": "agents", "stack": "shop/prod", "spec": spec}
    agent = bench.client(bench.ledger.issue("budget", "agent", **more)[1])
    opens = permit("containers.external_access", {"enabled": True}, ids={"container_id": {"of": ["api"]}})
    signed = bench.granted(permit("containers.create", create("api"), binds="api"), opens)
    bench.emulator.faults.add("containers.create", 503, 2)
    assert {client.create(name).status_code for client, name in ((agent, "web"), (signed, "api"))} == {503}
    _both(bench, 2000)
    web, api = (bench.made(name) for name in ("web", "api"))
    assert [agent.create("web").status_code, signed.create("api").status_code] == [400, 400]

    path, restart = f"/containers/{web['id']}", {"status": "restart"}
    assert refused(agent("PUT", f"{path}/status", restart))
    assert agent("GET", f"{path}/credentials").status_code == 404
    assert refused(signed("PUT", f"/containers/{api['id']}/external-access", {"enabled": True}))
    free = bench.change(permit("containers.set_status", restart, ids={"container_id": literal(web)}))
    assert code(bench.hand_in(free, token=agent.token)) == (403, "approval-needed")
    assert bench.hand_in(free, token=agent.token, where="verdicts").status_code == 404
    bench.ledger.claim("shop/prod", web["id"], web["created_at"], web["type"], web["plan"])
    assert agent("GET", f"{path}/credentials").status_code == 200


@pytest.mark.parametrize("is_late", [False, True])
def test_a_container_that_one_of_two_policies_has_created_counts_for_both(
    benches: Benches, is_late: bool
) -> None:
    """One create is on the waitlist, and the answer to the other one was lost. Nobody knows which one happened."""
    policy = {"increase_per_day": 50, "max_total": 12}
    bench = benches(policies={"agents": policy, "others": policy})
    bench.emulator.faults.add("containers.create", 503)
    other = bench.agent("others", "bank/prod")
    assert other.create("web", plan="premium").status_code == 503
    _both(bench, 50)
    bench.emulator.faults.add("containers.create", *(("drop_before", None) if is_late else ("drop_after",)))
    assert code(bench.agent().create("web", plan="premium")) == (409, "grant-busy")
    if is_late:
        bench.emulator.faults.clear()
        _both(bench, 15)
        bench.made("web", plan="premium")
        assert code(other.create("web", plan="premium")) == (409, "grant-busy")
    _both(bench, DAY)

    agents = bench.agent(), bench.agent("others", "bank/prod")
    assert [agent.create("api").status_code for agent in agents] == [402, 402]


@pytest.mark.parametrize("is_made_since", [False, True])
def test_what_a_lost_create_has_made_counts_after_a_day_too(benches: Benches, is_made_since: bool) -> None:
    """Otherwise each lost create would raise the total. A later container of that name is not of the policy."""
    bench = benches(policies={"agents": {"increase_per_day": 10, "max_total": 12}})
    _lose(bench, bench.agent(), plan="premium")
    for clock in (bench.clock, bench.emulator):
        clock.advance(DAY)
    if is_made_since:
        bench.emulator.drift.recreate("web")

    assert bench.agent().create("api").status_code == (202 if is_made_since else 402)


def test_additional_storage_counts_though_no_list_shows_it(
    benches: Benches, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = benches(policies={"agents": {"increase_per_day": 50, "max_total": 12}})
    monkeypatch.setattr(state.Container, "storage_mb", 10240)
    assert bench.agent().create("web", additional_storage_tier=5).status_code == 202
    for clock in (bench.clock, bench.emulator):
        clock.advance(DAY)

    assert bench.agent().create("api").status_code == 402


def test_additional_storage_counts_after_a_claim_too(
    benches: Benches, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = benches(account={"max_total": 12}, policies={"agents": {"increase_per_day": 50}})
    monkeypatch.setattr(state.Container, "storage_mb", 10240)
    web = bench.listed(bench.agent().create("web", additional_storage_tier=5).json()["data"]["id"])
    bench.ledger.claim("shop/dev", web["id"], web["created_at"], web["type"], web["plan"])
    for clock in (bench.clock, bench.emulator):
        clock.advance(DAY)

    assert bench.agent().create("api").status_code == 402


@pytest.mark.parametrize("is_known", [True, False])
def test_a_change_is_judged_by_the_containers_that_it_names(benches: Benches, is_known: bool) -> None:
    """
    An id may belong to a container of another stack when the change is applied.

    A change that guesses the creation time of that container was free, because its stack owned the id at that moment.
    """
    bench = benches(free={"increase_per_day": 20}, approver_limits={"bob": {"may_destroy": False}})
    grant = bench.granted(*(permit("containers.create", create(name)) for name in ("app", "web")))
    app, web = (bench.listed(grant.create(name).json()["data"]["id"]) for name in ("app", "web"))
    later = {"is": web["id"], "created_at": instant((seconds_of(web["created_at"]) or 0.0) + 600)}
    token = bench.reader(may_apply_free=True).token

    def connects(**target: str) -> dict[str, Any]:
        known = {"web": {"id": target["is"], "created_at": target["created_at"]}} if is_known else {}
        ids = {"source_id": literal(app), "target_id": {"of": ["web"]} if is_known else target}
        return bench.change(permit("connections.create", ids=ids), known=known)

    assert bench.hand_in(connects(**literal(web)), token=token).status_code == 201
    assert code(bench.hand_in(connects(**later), token=token)) == (403, "approval-needed")
    # Nobody knows which data the other container will have.
    for row, status in ((literal(web), 201), (later, 403)):
        deletes = bench.change(permit("containers.delete", ids={"container_id": row}))
        assert bench.hand_in(deletes, "bob").status_code == status


@pytest.mark.parametrize(
    "fault", [{"kind": "html"}, {"kind": "answer", "body": {"success": False, "error": "no"}}]
)
def test_a_container_counts_though_an_answer_only_looks_like_that_of_its_deletion(
    benches: Benches, fault: dict[str, Any]
) -> None:
    """A proxy may answer with a page, and the platform with a refusal, although the status is 200."""
    bench = benches(policies={"agents": {"increase_per_day": 20, "max_total": 4, "free": ["undo"]}})
    agent = bench.agent()
    path = f"/containers/{agent.create('web').json()['data']['id']}"
    bench.emulator.faults.add("containers.delete", done=False, **fault)

    assert agent("DELETE", path).status_code in {400, 502}
    assert agent.create("data").status_code == 402
    assert agent("DELETE", path).status_code == 200
    assert agent.create_in_the_end("data").status_code == 202
    assert bench.names == ["data"]
    bench.emulator.faults.assert_none_left()


def test_a_change_that_is_submitted_again_does_not_remove_what_it_created_before(bench: Bench) -> None:
    """Otherwise the files of an applied change would be enough to delete a database, long after its run."""
    data, web = (permit("containers.create", create(name)) for name in ("data", "web"))
    change = bench.change(data, web)
    first = bench.client(bench.hand_in(change, "ann").json()["token"])
    made = first.create("data").json()["data"]["id"]
    assert first("DELETE", "/_broker/me").status_code == 200

    again = bench.client(bench.hand_in(change, "ann").json()["token"])

    assert refused(again("DELETE", f"/containers/{made}"))
    new = again.create("web").json()["data"]["id"]
    assert again("DELETE", f"/containers/{new}").status_code == 200
    bench.emulator.advance(1)
    assert bench.names == ["data"]


def test_what_no_person_has_signed_does_not_fill_the_disk(
    benches: Benches, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client chooses the length of its changes, and when they expire. Without space, the broker decides nothing."""
    monkeypatch.setattr(grants, "_UNSIGNED_MOST", 3)
    bench = benches(free={"increase_per_day": 20})
    spec = Spec(may_apply_free=True)
    token = bench.ledger.issue("read", "job", seconds=9 * DAY, stack="shop/prod", spec=spec)[1]

    def handed_in(where: str) -> int:
        status = bench.hand_in(bench.change(), token=token, where=where).status_code
        bench.clock.advance(3601)
        return status

    for where in ("changes", "requests"):
        assert [handed_in(where) for _ in range(4)] == [201, 201, 201, 403]
    asked = bench.server.app.desk.requests()
    assert [one["state"] for one in asked] == ["expired"] * 3
    assert all("change" not in one for one in asked)
    bench.clock.advance(DAY)
    assert [handed_in(where) for where in ("changes", "requests")] == [201, 201]


@pytest.mark.parametrize("is_shown", [True, False])
def test_a_backup_that_was_guessed_is_not_restored_for_another_stack(
    benches: Benches, is_shown: bool
) -> None:
    """The id belonged to a container of the stack when the change was signed, and belongs to another stack's now."""
    bench = benches(approver_limits={"bob": {"stacks": ["shop/*"]}})
    grant = bench.granted(permit("containers.create", create("web")))
    web = grant.create("web").json()["data"]["id"]
    number, wanted = "1", permit("backups.restore", ids={"backup_id": {"is": "1", "in": "web"}})
    first = known(web=bench.listed(web))
    answer = bench.hand_in(bench.change(wanted, known=first), "bob")
    restores = bench.client(answer.json()["token"])
    assert grant("DELETE", f"/containers/{web}").status_code == 200
    bench.emulator.advance(60)
    for operation in () if is_shown else ("containers.list", "containers.status"):
        bench.emulator.set_lag(200, operation)
    of_web = {"container_id": {"of": ["web"]}}
    other = bench.granted(
        permit("containers.create", create("web"), binds="web"),
        permit("backups.trigger", ids=of_web),
        stack="other/prod",
    )
    assert other.create_in_the_end("web").json()["data"]["id"] == web
    bench.emulator.advance(60)
    assert other("POST", f"/containers/{web}/backup").status_code == 202
    bench.emulator.advance(60)
    assert [str(one) for one in bench.emulator.state.backups] == [number]

    for one in (restores, bench.granted(wanted, known=first)):
        assert one("POST", f"/backups/{number}/restore").status_code == 404
    assert bench.emulator.calls("backups.restore") == 0
    bench.emulator.advance(200)
    # An approver without a limit may approve it now.
    unlimited = bench.granted(wanted, known=known(web=bench.listed(web)))
    assert unlimited("POST", f"/backups/{number}/restore").status_code < 300


@pytest.mark.parametrize("is_made_again", [False, True])
def test_a_create_is_permitted_once_though_another_grant_removes_its_container(
    bench: Bench, is_made_again: bool
) -> None:
    """Otherwise the change could be submitted again, and would create a container that nobody signed since."""
    makes = permit("containers.create", create("data"))
    change = bench.change(makes)
    first = bench.client(bench.hand_in(change, "ann").json()["token"])
    row = bench.listed(first.create("data").json()["data"]["id"])
    assert first("DELETE", "/_broker/me").status_code == 200
    bench.emulator.advance(60)
    if is_made_again:
        bench.emulator.drift.delete("data")
        bench.clock.advance(2)
        row = bench.listed(bench.granted(makes).create("data").json()["data"]["id"])
    deletes = bench.granted(permit("containers.delete", ids={"container_id": literal(row)}))
    assert deletes("DELETE", f"/containers/{row['id']}").status_code == 200

    again = bench.client(bench.hand_in(change, "ann").json()["token"])

    assert refused(again.create("data"))
    assert again("GET", "/_broker/me").json()["permits"][0]["left"] == 0
    assert bench.names == []


def test_an_approved_create_is_not_repeated_after_an_approved_deletion(benches: Benches) -> None:
    """Who approves the deletion has decided that the object should not exist."""
    bench = benches(policies={"agents": {"free": ["undo"]}})
    agent, web = bench.agent(), bench.made("web", allowed_ips=["198.51.100.8"])
    entry = {"ip_address": "198.51.100.9"}
    path = f"/containers/{web['id']}/allowed-ips"

    def approved(*request: Any) -> dict[str, Any]:
        asked = agent(*request).json()["request"]
        shown = agent("GET", f"/_broker/requests/{asked}").json()["change"]
        assert bench.hand_in(shown, "ann", where="approvals").status_code == 201
        answer = agent(*request)
        assert answer.status_code < 300
        return dict(answer.json()["data"]) if request[0] == "POST" else {}

    data = approved("POST", "/containers", create("data"))["id"]
    added = approved("POST", path, entry)["id"]
    for clock in (bench.clock, bench.emulator):
        clock.advance(1000)
    approved("DELETE", f"/containers/{data}")
    approved("DELETE", f"{path}/{added}")
    bench.clock.advance(1000)

    assert code(agent.create("data")) == (403, "approval-needed")
    assert code(agent("POST", path, entry)) == (403, "approval-needed")


@pytest.mark.parametrize("is_deleted_here", [True, False])
def test_a_list_that_lags_behind_does_not_lead_to_another_container(
    bench: Bench, is_deleted_here: bool
) -> None:
    """The ledger knows that the listed container was deleted, or that another one was created under its id since."""
    web = bench.made("web")
    bench.emulator.advance(60)
    bench.emulator.set_lag(60)
    deletes = permit("containers.delete", ids={"container_id": literal(web)})
    late, other = bench.granted(deletes), bench.granted(deletes, permit("containers.create", create("web")))
    path = f"/containers/{web['id']}"
    if is_deleted_here:
        assert other("DELETE", path).status_code == 200
    else:
        bench.emulator.drift.delete("web")
    assert other.create_in_the_end("web").status_code == 202
    bench.emulator.advance(5)
    bench.clock.advance(5)

    assert code(late("DELETE", path)) == (409, "grant-busy")
    bench.emulator.advance(60)
    bench.clock.advance(60)
    assert refused(late("DELETE", path))
    assert bench.names == ["web"]


def test_access_is_not_closed_while_the_list_of_addresses_lags_behind(bench: Bench) -> None:
    """It would remove the address that another grant has added."""
    web = bench.made("web")
    bench.emulator.drift.set_external_access("web", enabled=True)
    bench.emulator.advance(60)
    ids, body = {"container_id": literal(web)}, {"ip_address": "198.51.100.9"}
    (only,) = [entry.ip_address for entry in bench.emulator.state.containers[web["id"]].allowed_ips]
    bench.emulator.set_lag(60)
    closed = permit("containers.external_access", {"enabled": False}, ids=ids, only_address=only)
    closes, adds = bench.granted(closed), bench.granted(permit("allowed_ips.add", body, ids=ids))
    path = f"/containers/{web['id']}"
    assert adds("POST", f"{path}/allowed-ips", body).status_code == 200
    bench.emulator.advance(5)
    bench.clock.advance(5)

    assert code(closes("PUT", f"{path}/external-access", {"enabled": False})) == (409, "grant-busy")
    bench.emulator.advance(60)
    bench.clock.advance(60)
    assert refused(closes("PUT", f"{path}/external-access", {"enabled": False}))


def test_access_is_not_closed_while_the_list_does_not_show_that_it_was_opened(bench: Bench) -> None:
    """The platform has added the address of the broker, and a list without any address is none with only one."""
    web = bench.made("web")
    bench.emulator.advance(60)
    bench.emulator.set_lag(60)
    ids, path = {"container_id": literal(web)}, f"/containers/{web['id']}/external-access"
    closed = permit("containers.external_access", {"enabled": False}, ids=ids, only_address="198.51.100.9")
    closes, opens = (
        bench.granted(closed),
        bench.granted(permit("containers.external_access", {"enabled": True}, ids=ids)),
    )
    assert opens("PUT", path, {"enabled": True}).status_code == 200

    assert code(closes("PUT", path, {"enabled": False})) == (409, "grant-busy")
    bench.emulator.advance(60)
    bench.clock.advance(60)
    assert refused(closes("PUT", path, {"enabled": False}))


@pytest.mark.parametrize("is_done", [False, True])
def test_a_later_backup_is_not_that_of_a_request(benches: Benches, is_done: bool) -> None:
    """The request was lost, or its backup is gone. A free change could remove the pin of another client's backup."""
    bench = benches(free={"increase_per_day": 5})
    data = bench.made("data", template="redis")
    bench.ledger.claim("shop/prod", data["id"], data["created_at"], "redis", "basic")
    new = {"ids": {"backup_id": {"new_backup_of": "pin"}}}
    free = (
        permit("backups.trigger", ids={"container_id": literal(data)}, binds="pin"),
        *(permit(f"backups.{do}", **new, times=None) for do in ("pin", "unpin")),
    )
    answer = bench.hand_in(bench.change(*free), token=bench.reader(may_apply_free=True).token)
    grant = bench.client(answer.json()["token"])
    if not is_done:
        bench.emulator.faults.add("backups.trigger", "drop_before")
    assert grant("POST", f"/containers/{data['id']}/backup").status_code == (202 if is_done else 409)
    for clock in (bench.clock, bench.emulator):
        clock.advance(600)
    for number in [*bench.emulator.state.backups]:
        bench.emulator.drift.delete_backup(number)
    assert bench.owner("POST", f"/containers/{data['id']}/backup").status_code == 202
    (number,) = bench.emulator.state.backups
    assert bench.owner("POST", f"/backups/{number}/pin").status_code == 200

    assert all(refused(grant("POST", f"/backups/{number}/{do}")) for do in ("unpin", "pin"))


@pytest.mark.parametrize("is_done", [False, True])
def test_a_vpn_client_that_a_person_added_later_is_nobody_elses(bench: Bench, is_done: bool) -> None:
    """A name can be used again. Otherwise the grant that added a client of that name could remove it."""
    vpn, laptop = bench.made("vpn", template="stacks-vpn"), {"name": "laptop"}
    path = f"/containers/{vpn['id']}/vpn-clients"
    grant = bench.granted(permit("vpn_clients.add", laptop, ids={"vpn_container_id": literal(vpn)}))
    if not is_done:
        bench.emulator.faults.add("vpn_clients.add", "drop_before", None)
    assert grant("POST", path, laptop).status_code == (200 if is_done else 409)
    bench.emulator.faults.clear()
    for clock in (bench.clock, bench.emulator):
        clock.advance(600)
    if is_done:
        bench.emulator.drift.remove_vpn_client("vpn", "laptop")
    bench.emulator.drift.add_vpn_client("vpn", "laptop")

    assert refused(grant("DELETE", f"{path}/laptop"))
    assert len(grant("GET", "/_broker/me").json()["made"]) == is_done


@pytest.mark.parametrize("is_sent_again", [False, True])
def test_a_vpn_client_without_a_time_that_is_listed_much_later_is_a_persons(
    bench: Bench, is_sent_again: bool
) -> None:
    vpn, laptop = bench.made("vpn", template="stacks-vpn"), {"name": "laptop"}
    path = f"/containers/{vpn['id']}/vpn-clients"
    grant = bench.granted(permit("vpn_clients.add", laptop, ids={"vpn_container_id": literal(vpn)}))
    bench.emulator.faults.add("vpn_clients.add", "drop_before")
    bench.emulator.faults.add("vpn_clients.list", "pass")
    bench.emulator.faults.add("vpn_clients.list", 500, 9)
    assert grant("POST", path, laptop).status_code == 409
    bench.emulator.faults.clear()
    _both(bench, 600)
    bench.emulator.drift.add_vpn_client("vpn", "laptop")
    bench.emulator.faults.add("vpn_clients.list", "answer", None, body={"success": True, "data": [laptop]})
    if is_sent_again:
        # The platform refuses the second request, because the name is taken.
        assert code(grant("POST", path, laptop)) == (403, "grant-refused")
        assert bench.emulator.calls("vpn_clients.add") == 2

    assert refused(grant("DELETE", f"{path}/laptop"))
    assert grant("GET", "/_broker/me").json()["made"] == []
    bench.emulator.faults.clear()


def test_the_configuration_of_a_vpn_client_that_another_grant_added_since_is_not_read(bench: Bench) -> None:
    """The signature contains only the client's name. The configuration contains the private key."""
    ids, laptop = {"vpn_container_id": literal(bench.made("vpn", template="stacks-vpn"))}, {"name": "laptop"}
    adds = permit("vpn_clients.add", laptop, ids=ids)
    secret = {"endpoint": "vpn_clients.config", "ids": {**ids, "client_name": {"is": "laptop"}}}
    reads, other = bench.granted(adds, secrets=[secret]), bench.granted(adds)
    vpn = f"/containers/{ids['vpn_container_id']['is']}"
    config, client = f"{vpn}/vpn-config?client=laptop", f"{vpn}/vpn-clients/laptop"
    assert reads("POST", f"{vpn}/vpn-clients", laptop).status_code < 300
    assert reads("GET", config).status_code == 200
    assert reads("DELETE", client).status_code == 200
    assert other("POST", f"{vpn}/vpn-clients", laptop).status_code < 300

    assert refused(reads("GET", config))


def test_no_secret_is_read_of_a_container_that_the_list_does_not_show_yet(bench: Bench) -> None:
    """The list still shows the earlier container. The container's own address does not."""
    web = bench.made("web", template="postgresql")
    secret = {"endpoint": "containers.credentials", "ids": {"container_id": literal(web)}}
    reads = bench.granted(secrets=[secret])
    bench.emulator.advance(60)
    bench.emulator.set_lag(10)
    bench.emulator.drift.recreate("web")
    bench.clock.advance(2)

    assert refused(reads("GET", f"/containers/{web['id']}/credentials"))


def test_a_newer_token_does_not_unpin_what_another_grant_has_pinned(benches: Benches) -> None:
    bench, agent, number = _with_backup(benches)
    pins = bench.granted(permit("backups.pin", ids={"backup_id": {"is": str(number)}}))
    assert [one("POST", f"/backups/{number}/pin").status_code for one in (agent, pins)] == [200, 200]

    assert bench.agent()("POST", f"/backups/{number}/unpin").status_code == 404


def test_an_entry_that_is_described_like_that_of_the_caller_is_another_one(bench: Bench) -> None:
    web, own = bench.made("web", allowed_ips=["198.51.100.8"]), bench.emulator.platform.your_ip
    bench.emulator.drift.remove_ip("web", own)
    for address in (own, "198.51.100.7"):
        bench.emulator.drift.allow_ip("web", address, "Office")
    ids = {"container_id": literal(web), "ip_id": {"caller": True}}
    grant = bench.granted(permit("allowed_ips.remove", ids=ids, times=2))
    path = f"/containers/{web['id']}/allowed-ips"
    entry = {row["ip_address"]: row["id"] for row in grant("GET", path).json()["data"]["allowed_ips"]}

    assert refused(grant("DELETE", f"{path}/{entry['198.51.100.7']}"))
    # The entry is a person's, and the person who signed has read that it may be removed.
    (shown,) = grant("GET", "/_broker/me").json()["permits"]
    assert "[an entry of the broker's address, or one that the platform added]" in shown["words"]
    assert grant("DELETE", f"{path}/{entry[own]}").status_code == 200


def test_an_object_that_an_incomplete_list_does_not_show_is_not_reported_as_gone(bench: Bench) -> None:
    """The client would remove it from its state."""
    web = bench.made("web")
    bench.made("data", template="redis")
    one = bench.emulator.drift.connect("web", "data", "primary")
    grant = bench.granted(
        permit("connections.delete", ids={"connection_id": {"is": one.id, "in": "web"}}),
        known=known(web=web),
    )
    bench.emulator.faults.add("connections.list", "wrong_types", field="id")

    assert code(grant("DELETE", f"/containers/connections/{one.id}"))[0] == 409
    assert grant("DELETE", f"/containers/connections/{one.id}").status_code == 200


def test_what_a_lost_request_created_in_an_earlier_run_is_not_removed_in_a_later_one(bench: Bench) -> None:
    """Another change may have adopted the container since, and it may contain data."""
    change = bench.change(permit("containers.create", create("web")))
    first = bench.client(bench.hand_in(change, "ann").json()["token"])
    bench.clock.advance(11)
    made = _lose(bench, first)
    assert first("DELETE", "/_broker/me").status_code == 200
    for clock in (bench.clock, bench.emulator):
        clock.advance(600)

    again = bench.client(bench.hand_in(change, "ann").json()["token"])

    assert refused(again("DELETE", f"/containers/{made}"))
    assert bench.names == ["web"]


def test_a_price_that_the_platform_does_not_list_is_not_the_lower_one_of_the_catalogue(
    benches: Benches,
) -> None:
    bench = benches(live_prices=True, policies={"agents": {"increase_per_day": 6}})
    rows = [{"id": name, "plan": "basic", "price": usd} for name, usd in (("nodejs", 8), ("redis", 4))]
    bench.emulator.faults.add("containers.templates", "answer", body={"success": True, "data": rows})
    agent = bench.agent()

    for more in ({}, {"additional_storage_tier": 1}, {"plan": "standard"}):
        assert code(agent.create("web", **more)) == (403, "approval-needed")
    assert agent.create("web", template="redis", plan="standard").status_code == 202


@pytest.mark.parametrize("listed", [{"price": 80}, {"price": 8, "currency": "EUR"}, {"price": 8, "fee": 4}])
def test_a_listed_price_that_is_not_clear_is_not_the_lower_one_of_the_catalogue(
    benches: Benches, listed: dict[str, Any]
) -> None:
    bench = benches(live_prices=True, policies={"agents": {"increase_per_day": 6}})
    rows = [{"id": "nodejs", "plan": "basic", **listed}]
    bench.emulator.faults.add("containers.templates", "answer", body={"success": True, "data": rows})

    assert code(bench.agent().create("web")) == (403, "approval-needed")


def test_a_list_that_lags_behind_lowers_no_total(benches: Benches) -> None:
    """It shows a cheaper container, which had the id less than a second before."""
    policy = {"increase_per_day": 50, "max_total": 19, "free": ["undo"]}
    bench = benches(account={"max_total": 19}, policies={"agents": policy})
    agent = bench.agent()
    bench.clock.freeze()
    bench.emulator.freeze()
    web = agent.create("web").json()["data"]["id"]
    bench.emulator.set_lag(10)
    assert agent("DELETE", f"/containers/{web}").status_code == 200
    bench.emulator.advance(0.5)
    assert agent.create("web", plan="premium").status_code == 202

    assert agent.create("api", plan="premium").status_code == 402
    bench.configure({"policies": {"agents": policy}})
    for clock in (bench.clock, bench.emulator):
        clock.advance(300)
    assert agent.create("api", plan="premium").status_code == 402


def test_an_approval_does_not_reach_a_container_that_the_platform_does_not_show_yet(bench: Bench) -> None:
    """The ledger knows that another grant has created it under the id since the approval."""
    web = bench.made("web")
    ids, opens = {"container_id": literal(web)}, {"enabled": True}
    deletes = permit("containers.delete", ids=ids)
    late = bench.granted(deletes, permit("containers.external_access", opens, ids=ids))
    other = bench.granted(permit("containers.create", create("web")))
    path = f"/containers/{web['id']}"
    for operation in (None, "containers.status"):
        bench.emulator.set_lag(20, operation)
    bench.emulator.drift.delete("web")
    bench.emulator.advance(30)
    bench.clock.advance(30)
    assert other.create_in_the_end("web").status_code == 202
    assert web["id"] not in other("GET", "/containers").text

    assert refused(late("DELETE", path))
    assert refused(late("PUT", f"{path}/external-access", opens))
    assert other("DELETE", path).status_code == 200


@pytest.mark.parametrize("first", ["request", "create", "lost create"])
def test_a_create_and_a_request_about_the_earlier_container_wait_for_each_other(
    bench: Bench, first: str
) -> None:
    """Also in one grant. The platform may carry out the request after the create, because it reuses the id."""
    web = bench.made("web")
    ids, opens, path = {"container_id": literal(web)}, {"enabled": True}, f"/containers/{web['id']}"
    permits = permit("containers.delete", ids=ids), permit("containers.external_access", opens, ids=ids)
    grant = bench.granted(*permits, permit("containers.create", create("web")))
    assert grant("DELETE", path).status_code == 200
    bench.emulator.advance(60)
    for operation in (None, "containers.status"):
        bench.emulator.set_lag(60, operation)
    requests = [("PUT", f"{path}/external-access", opens), ("POST", "/containers", create("web"))]
    endpoint = "containers.external_access" if first == "request" else "containers.create"
    fault: dict[str, Any] = (
        {"kind": "drop_after"} if first == "lost create" else {"kind": "slow", "seconds": 10.0}
    )
    bench.emulator.faults.add(endpoint, **fault)

    with ThreadPoolExecutor(1) as pool:
        pool.submit(grant, *requests.pop(first != "request"))
        until(lambda: bench.ledger.uses("state = ?", "unknown" if first == "lost create" else "sent"))
        assert code(grant(*requests[0])) == (409, "grant-busy")


def test_a_container_is_named_by_the_id_that_the_platform_lists(benches: Benches) -> None:
    """If the platform ignores case, a person who approves the request reads that there is no such container."""
    bench = benches(policies={"agents": {"increase_per_day": 9}})
    data, agent = bench.made("data", template="redis"), bench.agent()
    id_ = data["id"].upper()
    grant = bench.granted(
        permit("containers.delete", ids={"container_id": {**literal(data), "is": id_}}),
        permit("connections.delete", ids={"connection_id": {"is": "1", "in": "data"}}),
        known=known(data={**data, "id": id_}),
    )
    listed = {"data": {"outgoing": [{"id": "1"}], "incoming": []}}
    for endpoint, body in (("containers.status", data), ("connections.list", listed)):
        bench.emulator.faults.add(endpoint, "status", None, code=200, body=body)

    for client, path in ((agent, id_), (grant, id_), (grant, "connections/1")):
        assert client("DELETE", f"/containers/{path}").status_code == 404
    assert bench.emulator.calls("containers.delete") + bench.emulator.calls("connections.delete") == 0
    bench.emulator.faults.clear()


def test_an_approval_does_not_reach_a_container_that_a_lost_request_creates_late(bench: Bench) -> None:
    """The platform may carry out a lost request 30 s later, and its list may show the earlier container until then."""
    web = bench.made("web")
    _both(bench, 60)
    opens = {"enabled": True}
    late = bench.granted(permit("containers.external_access", opens, ids={"container_id": literal(web)}))
    lost = bench.granted(permit("containers.create", create("web")))
    bench.emulator.set_lag(10)
    bench.emulator.faults.add("containers.create", "drop_before", None)
    assert code(lost.create("web")) == (409, "grant-busy")
    bench.emulator.faults.clear()
    _both(bench, 26)
    bench.emulator.drift.delete("web")
    _both(bench, 3)
    made = answers.valid_create(create("web"))
    containers.add(bench.emulator.platform, bench.emulator.account, made, created_by="api")
    _both(bench, 2)
    path = f"/containers/{web['id']}/external-access"

    assert code(late("PUT", path, opens)) == (409, "grant-busy")
    _both(bench, 11)
    assert refused(late("PUT", path, opens))


@pytest.mark.parametrize("fault", ["drop_after", "drop_before"])
def test_a_permit_for_one_of_two_containers_deletes_one_though_an_answer_is_lost(
    bench: Bench, fault: str
) -> None:
    rows = {name: bench.made(name) for name in ("one", "two")}
    known = {name: {"id": row["id"], "created_at": row["created_at"]} for name, row in rows.items()}
    ids = {"container_id": {"of": ["one", "two"]}}
    grant, both = (
        bench.granted(permit("containers.delete", ids=ids, times=times), known=known) for times in (1, 2)
    )
    one, two = (f"/containers/{row['id']}" for row in rows.values())
    bench.emulator.faults.add("containers.delete", fault)

    assert grant("DELETE", one).status_code == 502
    assert refused(grant("DELETE", two))
    assert grant("DELETE", one).status_code in {200, 404}
    assert refused(grant("DELETE", two))
    # The request and its repeat count once.
    bench.clock.advance(41)
    bench.emulator.faults.add("containers.delete", fault)
    assert all(both("DELETE", path).status_code in {200, 404, 502} for path in (two, two, one))


def test_a_container_of_a_policy_counts_after_a_claim_too(benches: Benches) -> None:
    """Otherwise an administrator who claims all containers of a stack would raise the limit of the policy."""
    bench = benches(
        policies={"agents": {"increase_per_day": 50, "max_total": 4, "free": ["undo", "restart"]}}
    )
    agent = bench.agent()
    web = bench.listed(agent.create("web").json()["data"]["id"])
    for stack in ("shop/prod", "shop/dev"):
        bench.ledger.claim(stack, web["id"], web["created_at"], web["type"], web["plan"])
        _both(bench, 130)

        assert agent.create("api").status_code == 402
        # The administrator decides about the container now.
        for client in (agent, bench.agent(stack="shop/dev")):
            path = f"/containers/{web['id']}"
            assert code(client("PUT", f"{path}/status", {"status": "restart"})) == (403, "approval-needed")
            assert code(client("DELETE", path)) == (403, "approval-needed")


def test_a_name_that_is_not_text_does_not_stop_the_requests_of_its_grant(benches: Benches) -> None:
    bench = benches(policies={"agents": {"increase_per_day": 9, "free": ["connect-own", "restart"]}})
    agent = bench.agent()
    web, data = (agent.create(name).json()["data"]["id"] for name in ("web", "data"))
    bench.emulator.advance(60)
    bench.emulator.drift.connect("web", "data", "primary")
    bench.emulator.faults.add("connections.create", "drop_before", None)

    answer = agent("POST", f"/containers/{web}/connect/{data}", {"connectionName": 5})

    assert code(answer) == (409, "grant-busy")
    assert agent("PUT", f"/containers/{web}/status", {"status": "restart"}).status_code == 200
    bench.emulator.faults.clear()


def test_a_claim_of_an_earlier_container_leaves_a_new_one_of_that_id_to_its_policy(benches: Benches) -> None:
    """A list that lags behind shows the administrator the earlier container."""
    bench = benches(policies={"agents": {"increase_per_day": 50, "max_total": 12, "free": ["undo"]}})
    old, agent = bench.made("web"), bench.agent()
    bench.emulator.drift.delete("web")
    _both(bench, 60)
    assert agent.create("web", plan="premium").status_code == 202
    bench.ledger.claim("shop/dev", old["id"], old["created_at"], old["type"], old["plan"])
    _both(bench, 130)

    assert agent.create("api").status_code == 402
    assert agent("DELETE", f"/containers/{old['id']}").status_code == 200


def test_what_a_lost_create_has_made_counts_after_a_claim_too(benches: Benches) -> None:
    """The grant of the lost request may never ask again, and the container has no owner until a person sets one."""
    bench = benches(policies={"agents": {"increase_per_day": 10, "max_total": 12}})
    made = _lose(bench, bench.agent(), plan="premium")
    _both(bench, 60)
    assert cli.main(["broker", "claim", str(bench.path), "shop/dev", made]) == 0
    _both(bench, DAY)

    assert bench.agent().create("api").status_code == 402


def test_a_container_that_is_claimed_while_its_create_is_in_progress_counts_for_its_policy(
    benches: Benches,
) -> None:
    bench = benches(policies={"agents": {"increase_per_day": 50, "max_total": 12}})
    agent = bench.agent()
    bench.emulator.faults.add("containers.create", "slow", seconds=8.0)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(agent.create, "web", plan="premium")
        until(lambda: bench.names)
        (web,) = bench.owner("GET", "/containers").json()["data"]
        bench.ledger.claim("shop/dev", web["id"], web["created_at"], web["type"], web["plan"])
    # It counts once.
    assert agent.create("small", template="nginx-micro", plan="micro").status_code == 202
    _both(bench, DAY)

    assert bench.agent().create("api").status_code == 402


def test_a_container_of_which_the_create_had_no_time_counts_after_a_claim_too(benches: Benches) -> None:
    bench = benches(policies={"agents": {"increase_per_day": 50, "max_total": 12}})
    web = bench.listed(bench.agent().create("web", plan="premium").json()["data"]["id"])
    with bench.ledger.writing() as db:
        db.execute("update uses set created_at = null")
    bench.ledger.claim("shop/dev", web["id"], web["created_at"], web["type"], web["plan"])
    assert bench.ledger.owner(web["id"], web["created_at"]) == "shop/dev"
    _both(bench, DAY)

    assert bench.agent().create("api").status_code == 402


def test_without_creation_times_a_claimed_container_is_no_longer_the_grants_own(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(containers, "iso", lambda _: None)
    grant = bench.granted(permit("containers.create", create("web")))
    web = grant.create("web").json()["data"]["id"]
    bench.ledger.claim("bank/prod", web, None, "nodejs", "basic")

    assert refused(grant("DELETE", f"/containers/{web}"))


def test_a_claimed_container_that_no_longer_exists_stops_no_creates(benches: Benches) -> None:
    bench = benches(policies={"agents": {"increase_per_day": 9}}, account={"max_total": 4})
    old = bench.made("old")
    bench.ledger.claim("shop/dev", old["id"], old["created_at"], old["type"], old["plan"])
    bench.emulator.drift.delete("old")
    _both(bench, 15)

    assert bench.agent().create("web").status_code == 202


def test_a_free_change_does_not_reach_a_container_that_was_claimed_for_another_stack(
    benches: Benches,
) -> None:
    """Nobody has signed the change. It was free because its stack owned the container."""
    bench = benches(free={"increase_per_day": 5})
    web = bench.made("web")
    claim = web["id"], web["created_at"], "nodejs", "basic"
    bench.ledger.claim("shop/prod", *claim)
    restart, ids = {"status": "restart"}, {"container_id": literal(web)}
    change = bench.change(permit("containers.set_status", restart, ids=ids, times=2))
    answer = bench.hand_in(change, token=bench.reader(may_apply_free=True).token)
    grant, path = bench.client(answer.json()["token"]), f"/containers/{web['id']}/status"
    assert grant("PUT", path, restart).status_code == 200
    bench.ledger.claim("infra/broker", *claim)
    bench.clock.advance(130)

    assert refused(grant("PUT", path, restart))


def test_a_free_change_reaches_its_container_on_a_platform_without_creation_times(
    benches: Benches, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ledger then knows no owner of a container."""
    bench = benches(free={"increase_per_day": 5})
    monkeypatch.setattr(containers, "iso", lambda _: None)
    restart = permit(
        "containers.set_status", {"status": "restart"}, ids={"container_id": {"of": ["web"]}}, times=1
    )
    change = bench.change(permit("containers.create", create("web"), binds="web"), restart)
    answer = bench.hand_in(change, token=bench.reader(may_apply_free=True).token)
    grant = bench.client(answer.json()["token"])
    web = grant.create("web").json()["data"]["id"]
    bench.emulator.advance(60)

    assert grant("PUT", f"/containers/{web}/status", {"status": "restart"}).status_code == 200


def test_a_budget_of_a_stack_that_the_settings_no_longer_contain_allows_nothing(benches: Benches) -> None:
    policies = {"agents": {"increase_per_day": 50, "free": ["restart", "undo"]}}
    bench = benches(policies=policies)
    agent = bench.agent()
    path = f"/containers/{agent.create('web').json()['data']['id']}"
    bench.configure({"policies": policies, "stacks": ["bank/*"]})

    assert code(agent.create("api")) == (403, "approval-needed")
    assert code(agent("PUT", f"{path}/status", {"status": "restart"})) == (403, "approval-needed")
    assert code(agent("DELETE", path)) == (403, "approval-needed")


def test_a_backup_of_another_grant_is_not_that_of_a_lost_request(bench: Bench) -> None:
    """The platform has not carried out the request. The other grant's backup is the first that is new."""
    data = bench.made("data", template="redis")
    ids, path = {"container_id": literal(data)}, f"/containers/{data['id']}/backup"
    new = {"ids": {"backup_id": {"new_backup_of": "mine"}}}
    lost = bench.granted(
        permit("backups.trigger", ids=ids, binds="mine"),
        permit("backups.restore", **new),
        permit("backups.delete", **new),
    )
    other = bench.granted(permit("backups.trigger", ids=ids))
    bench.emulator.faults.add("backups.trigger", "drop_before")
    assert code(lost("POST", path)) == (409, "grant-busy")
    _both(bench, 60)
    assert other("POST", path).status_code == 202
    _both(bench, 30)
    (number,) = bench.emulator.state.backups

    assert refused(lost("POST", f"/backups/{number}/restore"))
    assert refused(lost("DELETE", f"/backups/{number}"))


def test_the_default_vpn_client_of_another_grant_is_not_read(bench: Bench) -> None:
    ids = {"vpn_container_id": literal(bench.made("vpn", template="stacks-vpn"))}
    vpn, body = f"/containers/{ids['vpn_container_id']['is']}", {"name": "default"}
    its = {**ids, "client_name": bench.device("vpn", "default")}
    grant = bench.granted(secrets=[{"endpoint": "vpn_clients.config", "ids": its}])
    removes = permit("vpn_clients.remove", ids=its)
    other = bench.granted(removes, permit("vpn_clients.add", body, ids=ids))
    assert grant("GET", f"{vpn}/vpn-config").status_code == 200
    _both(bench, 2)
    assert other("DELETE", f"{vpn}/vpn-clients/default").status_code == 200
    assert other("POST", f"{vpn}/vpn-clients", body).status_code < 300

    assert refused(grant("GET", f"{vpn}/vpn-config"))


@pytest.mark.parametrize("is_lowered", [True, False])
def test_a_change_does_not_add_more_than_the_limit_of_now(
    benches: Benches, monkeypatch: pytest.MonkeyPatch, is_lowered: bool
) -> None:
    bench = benches(limits={"max_increase": 8}, policies={"agents": {"increase_per_day": 50}})
    # The limit is one for changes.
    agent = bench.agent()
    assert [agent.create(name).status_code for name in ("a-one", "a-two", "a-three")] == [202] * 3
    creates = [permit("containers.create", create(name)) for name in ("one", "two")]
    grant = bench.granted(*creates)
    assert grant.create("one").status_code == 202
    if is_lowered:
        bench.configure({"limits": {"max_increase": 7}})
    else:
        monkeypatch.setattr(Upstream, "prices", lambda *_: lambda *_: Decimal(5))

    assert code(grant.create("two")) == (402, "grant-limit")


@pytest.mark.parametrize("fault", ["slow", "drop_after", 503])
def test_additional_storage_counts_though_another_request_for_that_name_was_lost(
    benches: Benches, monkeypatch: pytest.MonkeyPatch, fault: str | int
) -> None:
    """No list shows it, and an agent may send the two requests at the same time."""
    bench = benches(policies={"agents": {"increase_per_day": 50, "max_total": 14}})
    monkeypatch.setattr(state.Container, "storage_mb", 10240)
    agent, faults = bench.agent(), bench.emulator.faults
    faults.add("containers.create", 503 if fault == 503 else "drop_before")
    if fault == 503:
        agent.create("web")
        _both(bench, 41)
        _lose(bench, bench.agent(), additional_storage_tier=5)
        agent.create("web")
    else:
        more: dict[str, Any] = {"seconds": 4.0} if fault == "slow" else {}
        faults.add("containers.create", fault, **more)
        with ThreadPoolExecutor(2) as pool:
            pool.submit(agent.create, "web")
            until(lambda: bench.emulator.calls("containers.create") == 1)
            pool.submit(agent.create, "web", additional_storage_tier=5)
    _both(bench, DAY)

    assert bench.agent().create("api", plan="premium").status_code == 402


@pytest.mark.parametrize("is_budget", [False, True])
def test_a_lost_create_is_not_repeated_after_an_approved_deletion(benches: Benches, is_budget: bool) -> None:
    """A person who approves a deletion does not expect the container again, and the day's sum has only one create."""
    bench = benches(policies={"agents": {"increase_per_day": 4}})
    client = bench.agent() if is_budget else bench.granted(permit("containers.create", create("web")))
    bench.clock.advance(11)
    web = bench.listed(_lose(bench, client))
    bench.clock.advance(41)
    deletion = permit("containers.delete", ids={"container_id": literal(web)})
    assert bench.granted(deletion)("DELETE", f"/containers/{web['id']}").status_code == 200
    bench.clock.advance(41)

    assert code(client.create("web")) == (409, "grant-busy")
    assert bench.emulator.calls("containers.create") == 1


def test_a_lost_create_is_not_repeated_after_an_approved_deletion_of_its_own_budget(benches: Benches) -> None:
    """The platform has created the container so late that the broker does not take it for the result."""
    bench = benches(policies={"agents": {"increase_per_day": 4}})
    agent = bench.agent()
    bench.emulator.faults.add("containers.create", "drop_before")
    bench.emulator.faults.add("containers.list", "pass")
    bench.emulator.faults.add("containers.list", 500, 9)
    assert code(agent.create("web")) == (409, "grant-busy")
    bench.emulator.faults.clear()
    _both(bench, 20)
    deletion = "DELETE", f"/containers/{bench.made('web')['id']}"
    _both(bench, 41)
    asked = agent(*deletion).json()["request"]
    shown = agent("GET", f"/_broker/requests/{asked}").json()["change"]
    assert bench.hand_in(shown, "ann", where="approvals").status_code == 201
    assert agent(*deletion).status_code == 200
    _both(bench, 41)

    assert code(agent.create("web")) == (409, "grant-busy")
    assert bench.emulator.calls("containers.create") == 1


def test_a_lost_connection_is_repeated_after_its_own_budget_has_undone_another_one(benches: Benches) -> None:
    bench = benches(policies={"agents": {"increase_per_day": 20, "free": ["connect-own", "undo"]}})
    agent = bench.agent()
    web, api, data = (agent.create(name).json()["data"]["id"] for name in ("web", "api", "data"))
    until(lambda: {one.status for one in bench.emulator.state.containers.values()} == {"running"})
    other = agent("POST", f"/containers/{web}/connect/{data}").json()["data"]["id"]
    path = f"/containers/{api}/connect/{data}"
    bench.emulator.faults.add("connections.create", "drop_before")
    bench.emulator.faults.add("connections.list", 500, 9)
    assert code(agent("POST", path)) == (409, "grant-busy")
    bench.emulator.faults.clear()

    assert agent("DELETE", f"/containers/connections/{other}").status_code == 200
    assert agent("POST", path).status_code in {200, 201}


def test_a_lost_entry_is_repeated_after_its_own_grant_has_removed_another_one(bench: Bench) -> None:
    web = bench.made("web", allowed_ips=["198.51.100.7", "198.51.100.8"])
    body, ids = {"ip_address": "198.51.100.9"}, {"container_id": literal(web)}
    entry = {**ids, "ip_id": {"address": "198.51.100.8"}}
    grant = bench.granted(permit("allowed_ips.add", body, ids=ids), permit("allowed_ips.remove", ids=entry))
    path = f"/containers/{web['id']}/allowed-ips"
    bench.emulator.faults.add("allowed_ips.add", "drop_before")
    bench.emulator.faults.add("allowed_ips.list", 500, 9)
    assert code(grant("POST", path, body)) == (409, "grant-busy")
    bench.emulator.faults.clear()
    gone = next(
        one for one in bench.emulator.state.containers[web["id"]].allowed_ips if one.ip_address.endswith("8")
    )

    assert grant("DELETE", f"{path}/{gone.id}").status_code == 200
    assert grant("POST", path, body).status_code == 200


@pytest.mark.parametrize("is_answered", [False, True])
def test_a_lost_vpn_client_is_not_repeated_after_an_approved_removal(bench: Bench, is_answered: bool) -> None:
    vpn, body = bench.made("vpn", template="stacks-vpn"), {"name": "laptop"}
    add = permit("vpn_clients.add", body, ids={"vpn_container_id": literal(vpn)})
    path, client = f"/containers/{vpn['id']}/vpn-clients", bench.granted(add)
    bench.emulator.faults.add("vpn_clients.add", "drop_after")
    bench.emulator.faults.add("vpn_clients.list", "pass")
    bench.emulator.faults.add("vpn_clients.list", 500, 9)
    assert code(client("POST", path, body)) == (409, "grant-busy")
    bench.emulator.faults.clear()
    bench.clock.advance(41)
    if not is_answered:
        bench.emulator.faults.add("vpn_clients.remove", "drop_after")
    remove = permit("vpn_clients.remove", ids={**add["ids"], "client_name": bench.device("vpn", "laptop")})
    assert bench.granted(remove)("DELETE", f"{path}/laptop").status_code == (200 if is_answered else 502)
    bench.clock.advance(41)

    assert code(client("POST", path, body)) == (409, "grant-busy")
    assert bench.emulator.calls("vpn_clients.add") == 1


@pytest.mark.parametrize("is_open", [False, True])
def test_a_lost_address_is_not_let_in_again_after_an_approved_closing(bench: Bench, is_open: bool) -> None:
    """The platform has removed it. A person who opens the access again does not expect it."""
    web, body = bench.made("web", allowed_ips=["198.51.100.7"]), {"ip_address": "198.51.100.9"}
    path, ids = f"/containers/{web['id']}", {"container_id": literal(web)}
    client = bench.granted(permit("allowed_ips.add", body, ids=ids))
    bench.emulator.faults.add("allowed_ips.add", "drop_before" if is_open else "drop_after")
    bench.emulator.faults.add("allowed_ips.list", 500, 9)
    assert code(client("POST", f"{path}/allowed-ips", body)) == (409, "grant-busy")
    bench.emulator.faults.clear()
    bench.clock.advance(41)
    switch = {"enabled": is_open}
    other = bench.granted(permit("containers.external_access", switch, ids=ids))
    assert other("PUT", f"{path}/external-access", switch).status_code == 200

    assert client("POST", f"{path}/allowed-ips", body).status_code == (200 if is_open else 409)
    assert bench.emulator.calls("allowed_ips.add") == (2 if is_open else 1)


def test_a_lost_connection_is_not_repeated_after_an_approved_removal(bench: Bench) -> None:
    ends = {f"{end}_id": literal(bench.made(name)) for end, name in (("source", "web"), ("target", "api"))}
    path, body = (
        f"/containers/{ends['source_id']['is']}/connect/{ends['target_id']['is']}",
        {"connectionName": "it"},
    )
    client = bench.granted(permit("connections.create", body, ids=ends))
    bench.emulator.faults.add("connections.create", "drop_after")
    bench.emulator.faults.add("connections.list", 500, 9)
    assert code(client("POST", path, body)) == (409, "grant-busy")
    bench.emulator.faults.clear()
    bench.clock.advance(41)
    link = next(iter(bench.emulator.state.connections))
    other = bench.granted(permit("connections.delete", ids={"connection_id": {"is": link}}))
    assert other("DELETE", f"/containers/connections/{link}").status_code == 200

    assert code(client("POST", path, body)) == (409, "grant-busy")
    assert bench.emulator.calls("connections.create") == 1


@pytest.mark.parametrize("is_own", [False, True])
def test_a_vpn_client_that_a_person_has_soon_added_again_is_neither_read_nor_removed(
    bench: Bench, is_own: bool
) -> None:
    """The person whose new device it is does not know that the grant is a minute old."""
    ids, laptop = {"vpn_container_id": literal(bench.made("vpn", template="stacks-vpn"))}, {"name": "laptop"}
    vpn = f"/containers/{ids['vpn_container_id']['is']}"
    config, client = f"{vpn}/vpn-config?client=laptop", f"{vpn}/vpn-clients/laptop"
    if not is_own:
        bench.emulator.drift.add_vpn_client("vpn", "laptop")
    its = {**ids, "client_name": {"is": "laptop"} if is_own else bench.device("vpn", "laptop")}
    secret, removes = {"endpoint": "vpn_clients.config", "ids": its}, permit("vpn_clients.remove", ids=its)
    grant = bench.granted(permit("vpn_clients.add", laptop, ids=ids), removes, secrets=[secret])
    if is_own:
        assert grant("POST", f"{vpn}/vpn-clients", laptop).status_code < 300
    assert grant("GET", config).status_code == 200
    _both(bench, 60)
    bench.emulator.drift.remove_vpn_client("vpn", "laptop")
    bench.emulator.drift.add_vpn_client("vpn", "laptop")
    _both(bench, 12)

    assert refused(grant("GET", config))
    assert grant("DELETE", client).status_code == (403 if is_own else 404)


@pytest.mark.parametrize("fault", ["pass", "drop_after"])
@pytest.mark.parametrize("do", ["delete", "restore"])
def test_the_next_backup_is_not_the_new_one_after_its_removal(bench: Bench, do: str, fault: str) -> None:
    """A person signs two lines about one backup. The second one must not mean a colleague's."""
    data = bench.made("data", template="redis")
    new, ids = {"ids": {"backup_id": {"new_backup_of": "mine"}}}, {"container_id": literal(data)}
    removes = permit("backups.delete", **new)
    trigger = permit("backups.trigger", ids=ids, binds="mine")
    grant = bench.granted(trigger, removes, permit(f"backups.{do}", **new))
    path = f"/containers/{data['id']}/backup"
    assert grant("POST", path).status_code == 202
    _both(bench, 20)
    (number,) = bench.emulator.state.backups
    bench.emulator.faults.add("backups.delete", fault)
    assert grant("DELETE", f"/backups/{number}").status_code == (200 if fault == "pass" else 502)
    _both(bench, 41)
    assert bench.owner("POST", path).status_code == 202
    _both(bench, 20)
    (theirs,) = bench.emulator.state.backups

    method, tail = ("DELETE", "") if do == "delete" else ("POST", "/restore")
    assert refused(grant(method, f"/backups/{theirs}{tail}"))
    assert [*bench.emulator.state.backups] == [theirs]


@pytest.mark.parametrize("is_lost", [False, True])
def test_a_backup_between_two_new_ones_is_neither_of_them_after_a_removal(
    bench: Bench, is_lost: bool
) -> None:
    data = bench.made("data", template="redis")
    ids, path = {"container_id": literal(data)}, f"/containers/{data['id']}/backup"
    grant = bench.granted(
        permit("backups.trigger", ids=ids, binds="mine", times=2),
        permit("backups.delete", ids={"backup_id": {"new_backup_of": "mine"}}, times=2),
    )
    for client in (grant, bench.owner, grant):
        if client is grant and is_lost and len(bench.emulator.state.backups) == 2:
            bench.emulator.faults.add("backups.trigger", "drop_before")
        assert client("POST", path).status_code in {202, 409}
        _both(bench, 30)
    first, theirs, *_ = bench.emulator.state.backups

    assert grant("DELETE", f"/backups/{first}").status_code == 200
    assert refused(grant("DELETE", f"/backups/{theirs}"))
    assert theirs in bench.emulator.state.backups


@pytest.mark.parametrize("kind", ["change", "lost", "budget"])
def test_a_vpn_client_that_a_person_has_added_again_at_once_is_nobody_elses(
    benches: Benches, kind: str
) -> None:
    """Only what was created before the answer is the grant's own."""
    bench = benches(policies={"agents": {"increase_per_day": 9, "free": ["undo"]}})
    ids, laptop = {"vpn_container_id": literal(bench.made("vpn", template="stacks-vpn"))}, {"name": "laptop"}
    path, add = f"/containers/{ids['vpn_container_id']['is']}", permit("vpn_clients.add", laptop, ids=ids)
    secret = {"endpoint": "vpn_clients.config", "ids": {**ids, "client_name": {"is": "laptop"}}}
    grant = bench.agent() if kind == "budget" else bench.granted(add, secrets=[secret])
    if kind == "lost":
        bench.emulator.faults.add("vpn_clients.add", "drop_after")
    answer = grant("POST", f"{path}/vpn-clients", laptop)
    if kind == "budget":
        text = grant("GET", f"/_broker/requests/{answer.json()['request']}").json()["change"]
        assert bench.hand_in(text, "ann", where="approvals").status_code == 201
        answer = grant("POST", f"{path}/vpn-clients", laptop)
    assert answer.status_code < 300
    _both(bench, 4)
    bench.emulator.drift.remove_vpn_client("vpn", "laptop")
    bench.emulator.drift.add_vpn_client("vpn", "laptop")
    _both(bench, 12)

    assert refused(grant("GET", f"{path}/vpn-config?client=laptop"))
    assert code(grant("DELETE", f"{path}/vpn-clients/laptop"))[0] == 403


@pytest.mark.parametrize("do", ["delete", "restore", "pin"])
def test_a_backup_is_not_the_new_one_after_a_person_has_deleted_that(bench: Bench, do: str) -> None:
    """The list showed the new backup when the request was answered, so a later one is not meant."""
    data = bench.made("data", template="redis")
    ids, path = {"container_id": literal(data)}, f"/containers/{data['id']}/backup"
    new = {"ids": {"backup_id": {"new_backup_of": "mine"}}}
    grant = bench.granted(permit("backups.trigger", ids=ids, binds="mine"), permit(f"backups.{do}", **new))
    assert grant("POST", path).status_code == 202
    (mine,) = bench.emulator.state.backups
    _both(bench, 30)
    bench.emulator.drift.delete_backup(mine)
    other = bench.granted(permit("backups.trigger", ids=ids, binds="theirs"))
    assert other("POST", path).status_code == 202
    (theirs,) = bench.emulator.state.backups
    _both(bench, 30)

    method, tail = ("DELETE", "") if do == "delete" else ("POST", f"/{do}")
    assert refused(grant(method, f"/backups/{theirs}{tail}"))


def test_a_slow_answer_to_a_removal_gives_back_no_permit_of_a_newer_object(bench: Bench) -> None:
    """The order of the answers is not the order at the platform."""
    web = bench.made("web", allowed_ips=["198.51.100.7"])
    ids, path = {"container_id": literal(web)}, f"/containers/{web['id']}"
    close, opens = ({"enabled": value} for value in (False, True))
    grant = bench.granted(
        permit("containers.external_access", close, ids=ids),
        permit("allowed_ips.add", {"ip_address": {"any": True}}, ids=ids),
    )
    bench.emulator.faults.add("containers.external_access", "slow", seconds=9.0)
    with ThreadPoolExecutor(1) as pool:
        closed = pool.submit(grant, "PUT", f"{path}/external-access", close)
        until(lambda: not bench.emulator.state.container("web").external_access)
        assert bench.owner("PUT", f"{path}/external-access", opens).status_code == 200
        added = grant("POST", f"{path}/allowed-ips", {"ip_address": "198.51.100.9"})
        assert added.status_code < 300
    assert closed.result().status_code == 200

    assert refused(grant("POST", f"{path}/allowed-ips", {"ip_address": "198.51.100.10"}))


def test_what_a_person_may_have_created_does_not_permit_the_lines_after_it(bench: Bench) -> None:
    data = bench.made("data", template="postgresql")
    deletion = permit("containers.delete", ids={"container_id": literal(data)}, after=[1])
    grant = bench.granted(permit("containers.create", create("web"), binds="web"), deletion)
    bench.emulator.faults.add("containers.create", 503)
    assert grant.create("web").status_code == 503
    _both(bench, 100)
    bench.made("web")
    assert grant.create("web").status_code == 400

    assert refused(grant("DELETE", f"/containers/{data['id']}"))


@pytest.mark.parametrize("name", ["default", "laptop"])
def test_a_vpn_client_of_a_person_is_not_read_in_a_container_of_the_grant(bench: Bench, name: str) -> None:
    """A person may also have replaced the client that the platform added to the new container."""
    body = {"name": "net", "template": "stacks-vpn"}
    ids = {"vpn_container_id": {"of": ["net"]}, "client_name": {"is": name}}
    secret = {"endpoint": "vpn_clients.config", "ids": ids}
    grant = bench.granted(permit("containers.create", body, binds="net"), secrets=[secret])
    net = grant("POST", "/containers", body).json()["data"]["id"]
    _both(bench, 60)
    if name == "default":
        bench.emulator.drift.remove_vpn_client("net", name)
    bench.emulator.drift.add_vpn_client("net", name)
    _both(bench, 12)

    assert refused(grant("GET", f"/containers/{net}/vpn-config?client={name}"))


def test_a_vpn_client_without_a_time_is_not_that_of_another_grant(bench: Bench) -> None:
    """The platform may list no creation times for VPN clients, but the ledger has the other grant's request."""
    vpn, laptop = literal(bench.made("vpn", template="stacks-vpn")), {"name": "laptop"}
    path, its = f"/containers/{vpn['is']}", {"vpn_container_id": vpn, "client_name": {"is": "laptop"}}
    remove = permit("vpn_clients.remove", ids=its)
    old = bench.granted(remove, secrets=[{"endpoint": "vpn_clients.config", "ids": its}])
    add = bench.granted(permit("vpn_clients.add", laptop, ids={"vpn_container_id": vpn}))
    assert add("POST", f"{path}/vpn-clients", laptop).status_code < 300
    bench.emulator.faults.add("vpn_clients.list", "answer", None, body={"success": True, "data": [laptop]})

    assert refused(old("GET", f"{path}/vpn-config?client=laptop"))
    assert old("DELETE", f"{path}/vpn-clients/laptop").status_code == 404
    later = bench.granted(remove)
    assert later("DELETE", f"{path}/vpn-clients/laptop").status_code == 200
    bench.emulator.faults.clear()


def test_a_create_that_is_answered_with_what_a_person_has_just_made_gives_nobody_that(bench: Bench) -> None:
    """The list before the create may be older than the person's container."""
    bench.clock.freeze_with(bench.emulator)
    grant = bench.granted(permit("containers.create", create("web"), binds="web"))
    assert grant("GET", "/containers").json()["count"] == 0
    web = bench.made("web")
    _both(bench, 8)
    _answered_with(bench, web)

    assert grant.create("web").status_code == 202
    assert refused(grant("DELETE", f"/containers/{web['id']}"))


def test_an_answer_that_was_lost_explains_one_missing_object(bench: Bench) -> None:
    """Otherwise the grant would create what a person has removed since."""
    grant = bench.granted(permit("containers.create", create("web")))
    path = f"/containers/{grant.create('web').json()['data']['id']}"
    bench.emulator.faults.add("containers.delete", "drop_after")
    assert grant("DELETE", path).status_code == 502
    _both(bench, 60)
    assert grant("DELETE", path).status_code == 404
    assert grant.create("web").status_code == 202
    _both(bench, 60)
    bench.emulator.drift.delete("web")
    _both(bench, 60)

    assert grant("DELETE", path).status_code == 404
    grant.create("web")
    assert bench.names == []


@pytest.mark.parametrize("is_removed", [False, True])
def test_a_lost_pin_is_not_repeated_after_another_grant_has_unpinned_the_backup(
    bench: Bench, is_removed: bool
) -> None:
    """Otherwise one signature would pin the backup twice, and the second time after a person decided against it."""
    bench.made("data", template="redis", backups=1)
    (number,) = bench.emulator.state.backups
    ids = {"backup_id": {"is": str(number)}}
    pins = bench.granted(permit("backups.pin", ids=ids))
    bench.emulator.faults.add("backups.pin", "drop_after")
    assert pins("POST", f"/backups/{number}/pin").status_code == 502
    bench.clock.advance(41)
    if is_removed:
        unpins = bench.granted(permit("backups.unpin", ids=ids))
        assert unpins("POST", f"/backups/{number}/unpin").status_code == 200

    assert pins("POST", f"/backups/{number}/pin").status_code == (403 if is_removed else 200)
    assert bench.emulator.state.backups[number].pinned is not is_removed


def test_the_time_of_a_container_that_does_not_exist_yet_is_shown(bench: Bench) -> None:
    """A deletion of a container that is created later may be signed, but only by a person who sees that time."""
    later, data = "2030-01-01T00:00:00Z", bench.made("data", template="redis")
    gone = {"container_id": {"is": "usr-12345678-web", "created_at": later}}
    backup = {"backup_id": {"is": "7", "created_at": "2031", "in": "data"}}
    of_none = {"backup_id": {"is": "8", "in": "web"}}
    change = bench.change(
        permit("containers.delete", ids=gone),
        permit("backups.restore", ids=backup),
        permit("backups.restore", ids=of_none),
        known=known(data=data, web={"id": "usr-12345678-web", "created_at": "2032"}),
    )
    judged = workflow.judged(Broker(bench.url, bench.reader().token), canonical(change).decode())

    said = writers.plain(words.document_of(judged._replace(said={**judged.said, "asked": {}})))

    for time in (later, "2032"):
        assert f'not in the account now, but the change is for a container created "{time}"' in said
    assert f'its object, created "2031", belongs to "data"; "data" is {data["id"]}, "data", redis' in said
    assert 'its object belongs to "web"; "web" is usr-12345678-web, not in the account now' in said
    assert f"created {data['created_at']}\n" in said


def test_a_long_change_does_not_make_every_later_answer_slow(
    benches: Benches, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client chooses the length of its changes, and the broker keeps them. Its other work does not read them."""
    bench = benches(free={"increase_per_day": 20})
    spec = Spec(may_apply_free=True)
    token = bench.ledger.issue("read", "job", seconds=DAY, stack="shop/prod", spec=spec)[1]
    long = bench.change(author="Ann", preview={"x": "x" * 256 * 1024})
    assert bench.hand_in(long, token=token).status_code == 413
    assert bench.hand_in(long, "ann", token=token).status_code == 201
    asked: list[str] = []
    rows = bench.ledger.rows

    def noted(sql: str, *values: object) -> Any:
        asked.append(sql)
        return rows(sql, *values)

    monkeypatch.setattr(bench.ledger, "rows", noted)
    monkeypatch.setattr(grants, "read_change", None)

    (said,) = bench.reader()("GET", "/_broker/log").json()["grants"]

    assert said["author"] == "Ann"
    of_grants = [sql for sql in asked if "from grants" in sql]
    assert of_grants
    assert not [sql for sql in of_grants if "select *" in sql]


@pytest.mark.parametrize("name", [" web", "web ", "web\n"])
def test_a_name_that_the_platform_may_store_differently_is_refused(benches: Benches, name: str) -> None:
    """No list would show whose the container is, so that it would count for no limit after a day."""
    bench = benches(policies={"agents": {"increase_per_day": 20, "max_total": 8}})

    for client in (bench.agent(), bench.granted(permit("containers.create", create(name)))):
        assert code(client.create(name)) == (403, "grant-refused")
    assert bench.emulator.calls("containers.create") == 0


def test_a_journal_is_intact_though_no_time_has_passed(bench: Bench) -> None:
    with bench.ledger.writing() as db:
        journal.write(bench.ledger, db, None, ("GET", "/", ""), decision="found", status=200, seconds=-1e-15)

    assert journal.broken(bench.ledger) == ""


@pytest.mark.parametrize("times", [1, None])
def test_an_entry_of_another_grant_is_not_removed_though_its_answer_was_lost(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, times: int | None
) -> None:
    """A permit names an entry by its address, but it does not mean an entry that another grant has added since."""
    web, body = bench.made("web", allowed_ips=["198.51.100.7"]), {"ip_address": "198.51.100.9"}
    ids, path = {"container_id": literal(web)}, f"/containers/{web['id']}/allowed-ips"
    its = {**ids, "ip_id": {"address": "198.51.100.9"}}
    old = bench.granted(permit("allowed_ips.remove", ids=its, times=times))
    another = {"ip_address": "198.51.100.8"}
    own = bench.granted(permit("allowed_ips.add", another, ids=ids))
    first = {"container_id": literal(web), "ip_id": {"address": "198.51.100.7"}}
    elsewhere = bench.granted(permit("allowed_ips.remove", ids=first))
    mine = own("POST", path, another).json()["data"]["id"]
    adds = bench.granted(permit("allowed_ips.add", body, ids=ids))
    with monkeypatch.context() as killed:
        killed.setattr(outcome.Outcomes, "record", lambda *_, **__: 1 / 0)
        assert adds("POST", path, body).status_code == 500
    bench.stop()
    bench.start()
    old.url = own.url = elsewhere.url = bench.url
    _both(bench, 60)
    entry = bench.emulator.state.container("web").allowed_ips[-1]
    assert entry.ip_address == "198.51.100.9"

    assert old("DELETE", f"{path}/{entry.id}").status_code == 404
    assert own("DELETE", f"{path}/{mine}").status_code == 200
    older = next(
        row for row in bench.emulator.state.container("web").allowed_ips if row.ip_address == "198.51.100.7"
    )
    assert elsewhere("DELETE", f"{path}/{older.id}").status_code == 200
    assert entry in bench.emulator.state.container("web").allowed_ips


def test_a_lost_vpn_client_of_another_name_does_not_stop_a_removal(bench: Bench) -> None:
    vpn = literal(bench.made("vpn", template="stacks-vpn"))
    path, ids = f"/containers/{vpn['is']}/vpn-clients", {"vpn_container_id": vpn}
    its = {**ids, "client_name": bench.device(vpn["is"], "default")}
    removes = bench.granted(permit("vpn_clients.remove", ids=its))
    adds = bench.granted(permit("vpn_clients.add", {"name": "laptop"}, ids=ids))
    bench.emulator.faults.add("vpn_clients.add", "drop_before", 4)
    adds("POST", path, {"name": "laptop"})
    bench.emulator.faults.clear()
    _both(bench, 60)

    assert removes("DELETE", f"{path}/default").status_code == 200


@pytest.mark.parametrize("do", ["delete", "restore"])
def test_the_new_backup_of_a_killed_broker_is_the_first_one(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, do: str
) -> None:
    """A person may trigger another backup before the broker looks."""
    data = bench.made("data", template="redis")
    ids, path = {"container_id": literal(data)}, f"/containers/{data['id']}/backup"
    new = permit(f"backups.{do}", ids={"backup_id": {"new_backup_of": "mine"}})
    grant = bench.granted(permit("backups.trigger", ids=ids, binds="mine"), new)
    with monkeypatch.context() as killed:
        killed.setattr(outcome.Outcomes, "record", lambda *_, **__: 1 / 0)
        assert grant("POST", path).status_code == 500
    bench.stop()
    bench.start()
    grant.url = bench.url
    _both(bench, 15)
    assert bench.owner("POST", path).status_code == 202
    _both(bench, 30)
    mine, theirs = bench.emulator.state.backups

    method, tail = ("DELETE", "") if do == "delete" else ("POST", "/restore")
    assert refused(grant(method, f"/backups/{theirs}{tail}"))
    assert grant(method, f"/backups/{mine}{tail}").status_code == 200


@pytest.mark.parametrize("is_repeated", [False, True])
def test_access_is_not_closed_while_a_lost_request_may_open_it(bench: Bench, is_repeated: bool) -> None:
    """The platform may carry out a request without an answer later: access would be open after the last line."""
    web = bench.made("web")
    ids, path = {"container_id": literal(web)}, f"/containers/{web['id']}/external-access"
    opens, closes = {"enabled": True}, {"enabled": False}
    grant = bench.granted(
        permit("containers.external_access", opens, ids=ids),
        permit("containers.external_access", closes, ids=ids, after=[1] if is_repeated else []),
    )
    bench.emulator.faults.add("containers.external_access", "drop_before")
    assert grant("PUT", path, opens).status_code == 502
    if is_repeated:
        assert grant("PUT", path, opens).status_code == 200

    assert code(grant("PUT", path, closes)) == (409, "grant-busy")
    _both(bench, 41)
    assert grant("PUT", path, closes).status_code == 200


def test_access_is_not_closed_while_a_lost_request_may_add_an_address(bench: Bench) -> None:
    """The address would be let in as soon as access is opened again."""
    web, body = bench.made("web", allowed_ips=["198.51.100.7"]), {"ip_address": "198.51.100.9"}
    ids, path = {"container_id": literal(web)}, f"/containers/{web['id']}"
    close = permit("containers.external_access", {"enabled": False}, ids=ids, after=[1])
    grant = bench.granted(permit("allowed_ips.add", body, ids=ids), close)
    bench.emulator.faults.add("allowed_ips.add", "drop_before")
    assert grant("POST", f"{path}/allowed-ips", body).status_code == 200

    assert code(grant("PUT", f"{path}/external-access", {"enabled": False})) == (409, "grant-busy")
    _both(bench, 41)
    assert grant("PUT", f"{path}/external-access", {"enabled": False}).status_code == 200


@pytest.mark.parametrize("is_claimed", [False, True])
def test_a_connection_of_a_claimed_container_is_no_longer_the_budgets_own(
    benches: Benches, is_claimed: bool
) -> None:
    bench = benches(policies={"agents": {"increase_per_day": 9, "free": ["connect-own", "undo"]}})
    agent = bench.agent()
    web, data = (agent.create(name).json()["data"]["id"] for name in ("web", "data"))
    _both(bench, 60)
    link = agent("POST", f"/containers/{web}/connect/{data}").json()["data"]["id"]
    _both(bench, 60)
    if is_claimed:
        bench.ledger.claim("bank/prod", web, bench.listed(web)["created_at"], "nodejs", "basic")

    answer = agent("DELETE", f"/containers/connections/{link}")
    assert answer.status_code == (403 if is_claimed else 200)


@pytest.mark.parametrize("is_claimed", [False, True])
@pytest.mark.parametrize("kind", ["budget", "change"])
def test_a_pin_of_a_claimed_container_is_no_longer_the_grants_own(
    benches: Benches, is_claimed: bool, kind: str
) -> None:
    """The path of a pin names no container, but the backup is another stack's now."""
    bench = benches(policies={"agents": {"increase_per_day": 9, "free": ["backup", "pin-own", "undo"]}})
    change = (
        permit("containers.create", create("data", "redis"), binds="data"),
        permit("backups.trigger", ids={"container_id": {"of": ["data"]}}, binds="b"),
        permit("backups.pin", ids={"backup_id": {"new_backup_of": "b"}}),
    )
    agent = bench.agent() if kind == "budget" else bench.granted(*change)
    data = agent.create("data", template="redis").json()["data"]["id"]
    _both(bench, 60)
    assert agent("POST", f"/containers/{data}/backup").status_code == 202
    _both(bench, 30)
    (backup,) = bench.emulator.state.backups
    assert agent("POST", f"/backups/{backup}/pin").status_code == 200
    if is_claimed:
        bench.ledger.claim("bank/prod", data, bench.listed(data)["created_at"], "redis", "basic")

    assert agent("POST", f"/backups/{backup}/unpin").status_code == (403 if is_claimed else 200)
    assert bench.emulator.state.backups[backup].pinned is is_claimed


def test_the_new_backup_of_a_claimed_container_is_no_longer_the_grants_own(bench: Bench) -> None:
    """Otherwise, an older change could restore or delete the data of another stack."""
    new = {"backup_id": {"new_backup_of": "b"}}
    grant = bench.granted(
        permit("containers.create", create("data", "redis"), binds="data"),
        permit("backups.trigger", ids={"container_id": {"of": ["data"]}}, binds="b"),
        *(permit(f"backups.{do}", ids=new) for do in ("restore", "delete")),
    )
    data = grant.create("data", template="redis").json()["data"]["id"]
    assert grant("POST", f"/containers/{data}/backup").status_code == 202
    _both(bench, 60)
    (backup,) = bench.emulator.state.backups
    bench.ledger.claim("bank/prod", data, bench.listed(data)["created_at"], "redis", "basic")

    assert refused(grant("POST", f"/backups/{backup}/restore"))
    assert refused(grant("DELETE", f"/backups/{backup}"))


def test_access_is_not_closed_while_the_list_lacks_the_address_of_a_second_opening(bench: Bench) -> None:
    """The platform adds the address of the broker again, although access is already open."""
    bench.clock.freeze_with(bench.emulator)
    web = bench.made("web", allowed_ips=["198.51.100.9"])
    entries = bench.emulator.state.container("web").allowed_ips
    entries[:] = entries[-1:]
    only, ids, path = entries[0].ip_address, {"container_id": literal(web)}, f"/containers/{web['id']}"
    close, opens = ({"enabled": value} for value in (False, True))
    closes = bench.granted(permit("containers.external_access", close, ids=ids, only_address=only))
    other = bench.granted(permit("containers.external_access", opens, ids=ids))
    bench.emulator.set_lag(9, "allowed_ips.list")
    _both(bench, 20)
    closes("GET", f"{path}/allowed-ips")
    assert other("PUT", f"{path}/external-access", opens).status_code == 200

    assert code(closes("PUT", f"{path}/external-access", close)) == (409, "grant-busy")
    _both(bench, 20)
    assert refused(closes("PUT", f"{path}/external-access", close))
    assert len(entries) == 2


def test_a_client_reads_the_secret_of_what_a_killed_broker_has_made(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client has found the VPN client in the list, so it never repeats its request."""
    vpn = bench.made("vpn", template="stacks-vpn", plan=None)
    ids, path, body = {"vpn_container_id": literal(vpn)}, f"/containers/{vpn['id']}", {"name": "laptop"}
    secret = {"endpoint": "vpn_clients.config", "ids": {**ids, "client_name": {"is": "laptop"}}}
    grant = bench.granted(permit("vpn_clients.add", body, ids=ids), secrets=[secret])
    with monkeypatch.context() as killed:
        killed.setattr(outcome.Outcomes, "record", lambda *_, **__: 1 / 0)
        assert grant("POST", f"{path}/vpn-clients", body).status_code == 500
    bench.stop()
    bench.start()
    grant.url = bench.url

    assert grant("GET", f"{path}/vpn-config?client=laptop").status_code == 200


def test_what_a_lost_request_may_have_replaced_can_be_approved_again(benches: Benches) -> None:
    """A budget's permit stays, so the request must not fit it for ever."""
    bench = benches(policies={"agents": {"increase_per_day": 9}})
    web, body = bench.made("web", allowed_ips=["198.51.100.7", "198.51.100.9"]), {"ip_address": "192.0.2.9"}
    agent, path = bench.agent(), f"/containers/{web['id']}/allowed-ips"
    entry = f"{path}/{bench.emulator.state.container('web').allowed_ips[-1].id}"

    def approve(answer: Any) -> None:
        shown = agent("GET", f"/_broker/requests/{answer.json()['request']}").json()["change"]
        assert bench.hand_in(shown, "ann", where="approvals").status_code == 201

    approve(agent("DELETE", entry))
    other = bench.granted(permit("allowed_ips.add", body, ids={"container_id": literal(web)}))
    bench.emulator.faults.add("allowed_ips.add", 500, 4)
    assert code(other("POST", path, body)) == (409, "grant-busy")
    _both(bench, 60)

    answer = agent("DELETE", entry)
    assert code(answer) == (403, "approval-needed")
    approve(answer)
    assert agent("DELETE", entry).status_code == 200


@pytest.mark.parametrize("number", ["1", "01"])
def test_a_number_in_another_spelling_leads_to_no_backup_that_another_grant_has_pinned(
    bench: Bench, number: str
) -> None:
    bench.made("data", template="redis", backups=1)
    delete, pin = (
        permit(f"backups.{do}", ids={"backup_id": {"is": n}}) for do, n in (("delete", number), ("pin", "1"))
    )
    deletes, pins = bench.granted(delete), bench.granted(pin)
    assert pins("POST", "/backups/1/pin").status_code == 200

    assert deletes("DELETE", f"/backups/{number}").status_code == 404
    assert [*bench.emulator.state.backups] == [1]


@pytest.mark.parametrize("is_own", [False, True])
def test_the_backup_that_was_just_triggered_is_not_a_later_new_one(bench: Bench, is_own: bool) -> None:
    """While the list lacks the earlier backup, it would look like the new one of the later request."""
    bench.clock.freeze_with(bench.emulator)
    data = bench.made("data", template="redis")
    ids, path = {"container_id": literal(data)}, f"/containers/{data['id']}/backup"
    one, other = (permit("backups.trigger", ids=ids, binds=name) for name in ("b", "c"))
    removes = permit("backups.delete", ids={"backup_id": {"new_backup_of": "c"}})
    theirs, mine = bench.granted(one), bench.granted(*[one] * is_own, other, removes)
    bench.emulator.set_lag(10, "backups.list")
    assert (mine if is_own else theirs)("POST", path).status_code == 202
    _both(bench, 3)

    assert code(mine("POST", path)) == (409, "grant-busy")
    _both(bench, 21)
    assert mine("POST", path).status_code == 202
    _both(bench, 11)
    first, later = bench.emulator.state.backups
    assert refused(mine("DELETE", f"/backups/{first}"))
    assert mine("DELETE", f"/backups/{later}").status_code == 200


@pytest.mark.parametrize("is_added", [False, True])
def test_a_lost_request_to_close_access_is_repeated_after_some_seconds(bench: Bench, is_added: bool) -> None:
    """Its effect has emptied the list, unless an address was added since then."""
    bench.clock.freeze_with(bench.emulator)
    web, others = bench.made("web"), ("198.51.100.9", "198.51.100.10")
    ids, path = {"container_id": literal(web)}, f"/containers/{web['id']}"
    close, opens = ({"enabled": value} for value in (False, True))
    grant = bench.granted(
        permit("containers.external_access", opens, ids=ids),
        *(permit("allowed_ips.add", {"ip_address": one}, ids=ids) for one in others),
        permit("allowed_ips.remove", ids={**ids, "ip_id": {"caller": True}}),
        permit("containers.external_access", close, ids=ids, only_address=others[0]),
    )
    assert grant("PUT", f"{path}/external-access", opens).status_code == 200
    (entry,) = bench.emulator.state.container("web").allowed_ips
    assert grant("POST", f"{path}/allowed-ips", {"ip_address": others[0]}).status_code == 200
    assert grant("DELETE", f"{path}/allowed-ips/{entry.id}").status_code == 200
    _both(bench, 21)
    bench.emulator.faults.add("containers.external_access", "drop_before" if is_added else "drop_after")
    assert grant("PUT", f"{path}/external-access", close).status_code == 502
    if is_added:
        bench.emulator.set_lag(9, "allowed_ips.list")
        assert grant("POST", f"{path}/allowed-ips", {"ip_address": others[1]}).status_code == 200

    assert grant("PUT", f"{path}/external-access", close).status_code == (409 if is_added else 200)


@pytest.mark.parametrize("seconds", [1, 2])
def test_a_container_is_shown_as_another_one_only_if_the_broker_takes_it_for_another_one(
    bench: Bench, seconds: int
) -> None:
    """The planner of a deletion chose a time that the broker treats as the same, but that looked different."""
    data = bench.made("data", template="redis")
    near = as_time((seconds_of(data["created_at"]) or 0.0) + seconds)
    change = bench.change(
        permit("containers.delete", ids={"container_id": {"is": data["id"], "created_at": near}})
    )
    judged = workflow.judged(Broker(bench.url, bench.reader().token), canonical(change).decode())
    said = writers.plain(words.document_of(judged._replace(said={**judged.said, "asked": {}})))
    grant = bench.client(bench.hand_in(change, "ann").json()["token"])

    is_deleted = grant("DELETE", f"/containers/{data['id']}").status_code == 200
    assert is_deleted is (seconds == 1)
    assert ("but the change is for a container created" in said) is not is_deleted


def test_access_is_not_closed_if_the_list_lacked_an_address_when_it_was_read(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list is read before the request is judged, and its answer takes a moment."""
    bench.clock.freeze_with(bench.emulator)
    web, body = bench.made("web", allowed_ips=["198.51.100.9"]), {"ip_address": "198.51.100.10"}
    entries = bench.emulator.state.container("web").allowed_ips
    entries[:] = entries[-1:]
    ids, path = {"container_id": literal(web)}, f"/containers/{web['id']}"
    close = permit("containers.external_access", {"enabled": False}, ids=ids, only_address="198.51.100.9")
    closes, other = bench.granted(close), bench.granted(permit("allowed_ips.add", body, ids=ids))
    bench.emulator.set_lag(10, "allowed_ips.list")
    assert other("POST", f"{path}/allowed-ips", body).status_code == 200
    _both(bench, 9.9)
    decoded = Upstream.decoded

    def slow(upstream: Upstream, call: Any, *more: Any) -> Any:
        found = decoded(upstream, call, *more)
        _both(bench, 0.2 if call.endpoint.name == "allowed_ips.list" else 0.0)
        return found

    monkeypatch.setattr(Upstream, "decoded", slow)
    assert code(closes("PUT", f"{path}/external-access", {"enabled": False})) == (409, "grant-busy")
    assert len(entries) == 2


def test_an_add_without_an_address_does_not_stop_the_requests_of_others(bench: Bench) -> None:
    """What it may have added is not known, so an older grant needs a new plan."""
    web, body = bench.made("web", allowed_ips=["198.51.100.7", "198.51.100.9"]), {"service_type": "both"}
    ids, path = {"container_id": literal(web)}, f"/containers/{web['id']}/allowed-ips"
    entry = f"{path}/{bench.emulator.state.container('web').allowed_ips[-1].id}"
    remove = permit("allowed_ips.remove", ids={**ids, "ip_id": {"address": "198.51.100.9"}})
    removes, adds = bench.granted(remove), bench.granted(permit("allowed_ips.add", body, ids=ids))
    bench.emulator.faults.add("allowed_ips.add", "drop_before", None)
    assert code(adds("POST", path, body)) == (409, "grant-busy")
    bench.emulator.faults.clear()
    _both(bench, 60)

    assert removes("DELETE", entry).status_code == 404
    assert bench.granted(remove)("DELETE", entry).status_code == 200


@pytest.mark.parametrize("is_own", [False, True])
def test_a_budget_that_has_ended_removes_only_what_it_created_itself(benches: Benches, is_own: bool) -> None:
    """Otherwise, it could remove what other grants of its policy create, and each removal would delay its end."""
    bench = benches(policies={"agents": {"increase_per_day": 9, "free": ["undo"]}})
    ended = bench.client(
        bench.ledger.issue("budget", "a", seconds=60.0, policy="agents", stack="shop/prod")[1]
    )
    web = (ended if is_own else bench.agent()).create("web").json()["data"]["id"]
    _both(bench, 90)

    assert ended("DELETE", f"/containers/{web}").status_code == (200 if is_own else 403)


def test_the_configuration_of_a_vpn_client_that_its_own_grant_has_replaced_is_not_read(bench: Bench) -> None:
    """The list still shows the earlier client, whose configuration was signed."""
    vpn = bench.made("vpn", template="stacks-vpn", vpn_clients=["laptop"])
    _both(bench, 60)
    ids, laptop = {"vpn_container_id": literal(vpn)}, {"name": "laptop"}
    there = {**ids, "client_name": bench.device(vpn["id"], "laptop")}
    grant = bench.granted(
        permit("vpn_clients.remove", ids=there),
        permit("vpn_clients.add", laptop, ids=ids),
        secrets=[{"endpoint": "vpn_clients.config", "ids": there}],
    )
    path = f"/containers/{vpn['id']}"
    assert grant("GET", f"{path}/vpn-config?client=laptop").status_code == 200
    bench.emulator.set_lag(10, "vpn_clients.list")
    assert grant("DELETE", f"{path}/vpn-clients/laptop").status_code == 200
    assert grant("POST", f"{path}/vpn-clients", laptop).status_code == 200

    assert refused(grant("GET", f"{path}/vpn-config?client=laptop"))


def test_an_approved_removal_spares_a_vpn_client_that_its_own_policy_has_replaced(benches: Benches) -> None:
    """A budget without `undo` removes nothing without an approval, and the list still shows the earlier client."""
    bench = benches(policies={"agents": {"increase_per_day": 9, "free": ["start"]}})
    vpn = bench.made("vpn", template="stacks-vpn", vpn_clients=["laptop"])
    _both(bench, 60)
    one, other, path, laptop = bench.agent(), bench.agent(), f"/containers/{vpn['id']}", {"name": "laptop"}
    remove, add = ("DELETE", f"{path}/vpn-clients/laptop"), ("POST", f"{path}/vpn-clients", laptop)
    for agent, asked in ((one, remove), (other, remove), (other, add)):
        id_ = agent(*asked).json()["request"]
        text = agent("GET", f"/_broker/requests/{id_}").json()["change"]
        assert bench.hand_in(text, "ann", where="approvals").status_code == 201
    bench.emulator.set_lag(10, "vpn_clients.list")
    assert [other(*remove).status_code, other(*add).status_code] == [200, 200]

    assert code(one(*remove))[0] == 403
    assert [it.name for it in bench.emulator.state.containers[vpn["id"]].vpn_clients] == ["default", "laptop"]


@pytest.mark.parametrize("do", ["client", "address", "pin", "unpin"])
def test_a_lost_request_that_is_carried_out_late_does_not_reverse_the_next_one(bench: Bench, do: str) -> None:
    """One signature would remove two clients of a name, or let in the broker's address again after its removal."""
    web = bench.made("web", allowed_ips=["198.51.100.7"], backups=1)
    vpn = bench.made("vpn", template="stacks-vpn", vpn_clients=["laptop"])
    there, laptop, opens = {"vpn_container_id": literal(vpn)}, {"name": "laptop"}, {"enabled": True}
    device, client = bench.device(vpn["id"], "laptop"), f"/containers/{vpn['id']}/vpn-clients"
    at, path = {"container_id": literal(web)}, f"/containers/{web['id']}"
    own = next(
        it.id for it in bench.emulator.state.container("web").allowed_ips if it.ip_address[:3] != "198"
    )
    pins = [
        (permit(f"backups.{it}", ids={"backup_id": {"is": "1"}}), ("POST", f"/backups/1/{it}"))
        for it in ("pin", "unpin")
    ]
    requests: dict[str, Any] = {
        "client": (
            (
                permit("vpn_clients.remove", ids={**there, "client_name": device}),
                ("DELETE", f"{client}/laptop"),
            ),
            (permit("vpn_clients.add", laptop, ids=there), ("POST", client, laptop)),
        ),
        "address": (
            (
                permit("containers.external_access", opens, ids=at),
                ("PUT", f"{path}/external-access", opens),
            ),
            (
                permit("allowed_ips.remove", ids={**at, "ip_id": {"caller": True}}),
                ("DELETE", f"{path}/allowed-ips/{own}"),
            ),
        ),
        "pin": pins,
        "unpin": pins[::-1],
    }
    (lost, first), (later, then) = requests[do]
    grant = bench.granted(lost, later)
    bench.emulator.faults.add(lost["endpoint"], "drop_before")
    assert [grant(*first).status_code for _ in range(2)] == [502, 200]

    assert code(grant(*then)) == (409, "grant-busy")
    _both(bench, 41)
    assert grant(*then).status_code == 200


def test_a_lost_request_counts_although_an_earlier_one_was_equal(bench: Bench) -> None:
    """Otherwise, two stops that a person has signed would be three."""
    web, api = bench.made("web"), bench.made("api")
    stop, start = {"status": "stopped"}, {"status": "running"}
    ids = {"container_id": {"of": ["web", "api"]}}
    permits = (
        permit("containers.set_status", stop, ids=ids, times=2),
        permit("containers.set_status", start, ids=ids),
    )
    grant, path = bench.granted(*permits, known=known(web=web, api=api)), f"/containers/{web['id']}/status"
    assert [grant("PUT", path, body).status_code for body in (stop, start)] == [200, 200]
    bench.emulator.faults.add("containers.set_status", "drop_after")
    assert grant("PUT", path, stop).status_code == 502
    bench.clock.advance(41)

    assert refused(grant("PUT", f"/containers/{api['id']}/status", stop))
    assert grant("PUT", path, stop).status_code == 200


@pytest.mark.parametrize("is_waiting", [False, True])
def test_the_answer_to_a_deletion_is_not_repeated_for_a_newer_container_of_the_id(
    bench: Bench, is_waiting: bool
) -> None:
    """The client would believe that nothing is billed any more."""
    change = bench.change(permit("containers.create", create("web")))
    first = bench.client(bench.hand_in(change, "ann").json()["token"])
    web = first.create_in_the_end("web").json()["data"]["id"]
    _both(bench, 60)
    assert first("DELETE", f"/containers/{web}").status_code == 200
    _both(bench, 60)
    if is_waiting:
        # The platform creates it from its waitlist.
        bench.emulator.faults.add("containers.create", 503)
        assert first.create("web").status_code == 503
        _both(bench, 100)
        bench.made("web")
    else:
        assert first.create_in_the_end("web").json()["data"]["id"] == web
    _both(bench, 160)
    second = bench.client(bench.hand_in(change, "ann").json()["token"])

    assert refused(second("DELETE", f"/containers/{web}"))
    assert bench.names == ["web"]


def test_an_earlier_answer_is_not_repeated_after_another_grant_has_pinned_the_backup(bench: Bench) -> None:
    bench.made("data", template="redis", backups=1)
    pin, unpin = (permit(f"backups.{do}", ids={"backup_id": {"is": "1"}}) for do in ("pin", "unpin"))
    one, other = bench.granted(unpin), bench.granted(pin)
    assert one("POST", "/backups/1/unpin").status_code == 200
    assert other("POST", "/backups/1/pin").status_code == 200

    assert one("POST", "/backups/1/unpin").status_code in {403, 404}
    assert bench.emulator.state.backups[1].pinned


@pytest.mark.parametrize("fault", ["pass", "drop_after"])
def test_an_earlier_answer_is_not_repeated_after_the_grant_has_set_another_value(
    bench: Bench, fault: str
) -> None:
    """The client would believe that access is closed. An added address makes no such answer false."""
    web = bench.made("web")
    path, opens, close = f"/containers/{web['id']}/external-access", {"enabled": True}, {"enabled": False}
    ids, entry = {"container_id": literal(web)}, {"ip_address": "198.51.100.9"}
    adds = permit("allowed_ips.add", entry, ids=ids)
    both = (permit("containers.external_access", body, ids=ids) for body in (opens, close))
    grant = bench.granted(adds, *both)
    for body in (close, close):
        assert grant("PUT", path, body).status_code == 200
    _both(bench, 20)
    bench.emulator.faults.add("containers.external_access", fault)
    assert grant("PUT", path, opens).status_code == (200 if fault == "pass" else 502)
    if fault == "pass":
        assert grant("POST", f"/containers/{web['id']}/allowed-ips", entry).status_code == 200
        assert grant("PUT", path, opens).status_code == 200
    _both(bench, 41)

    assert refused(grant("PUT", path, close))
    assert bench.emulator.state.container("web").external_access


def test_the_answer_to_a_removal_is_repeated_although_another_container_has_the_name(bench: Bench) -> None:
    one = bench.made("one", template="stacks-vpn", vpn_clients=["laptop"])
    other = bench.made("other", template="stacks-vpn")
    at, there = ({"vpn_container_id": literal(row)} for row in (one, other))
    its = {**at, "client_name": bench.device(one["id"], "laptop")}
    grant = bench.granted(
        permit("vpn_clients.remove", ids=its), permit("vpn_clients.add", {"name": "laptop"}, ids=there)
    )
    path = f"/containers/{one['id']}/vpn-clients/laptop"
    assert grant("DELETE", path).status_code == 200
    assert grant("POST", f"/containers/{other['id']}/vpn-clients", {"name": "laptop"}).status_code == 200

    assert grant("DELETE", path).status_code == 200
    assert bench.emulator.calls("vpn_clients.remove") == 1


def test_a_backup_of_another_grant_is_not_the_new_one_after_another_line_has_deleted_that(
    bench: Bench,
) -> None:
    """The list did not show the new backup when the request was answered, and a line by number deletes it."""
    data = bench.made("data", template="redis")
    at, path = {"container_id": literal(data)}, f"/containers/{data['id']}/backup"
    first = bench.granted(
        permit("backups.trigger", ids=at, binds="mine"),
        permit("backups.delete", ids={"backup_id": {"is": "1"}}),
        permit("backups.delete", ids={"backup_id": {"new_backup_of": "mine"}}),
    )
    second = bench.granted(permit("backups.trigger", ids=at, binds="theirs"))
    bench.emulator.set_lag(5)
    assert first("POST", path).status_code == 202
    _both(bench, 12)
    assert first("DELETE", "/backups/1").status_code == 200
    _both(bench, 10)
    assert second("POST", path).status_code == 202
    _both(bench, 10)

    assert refused(first("DELETE", "/backups/2"))
    assert [*bench.emulator.state.backups] == [2]


def test_lost_requests_about_one_container_are_looked_for_in_one_list(bench: Bench) -> None:
    """After a kill with many open requests, each later change would read as many lists."""
    web = bench.made("web")
    ids, bodies = {"container_id": literal(web)}, [{"ip_address": f"198.51.100.{n}"} for n in range(4)]
    restart = {"status": "restart"}
    permits = (
        permit("containers.set_status", restart, ids=ids),
        *(permit("allowed_ips.add", it, ids=ids) for it in bodies),
    )
    grant, path = bench.granted(*permits), f"/containers/{web['id']}"
    bench.emulator.faults.add("allowed_ips.list", 500, 99)
    for body in bodies:
        bench.emulator.faults.add("allowed_ips.add", "drop_before")
        assert code(grant("POST", f"{path}/allowed-ips", body)) == (409, "grant-busy")
    bench.emulator.faults.clear()
    _both(bench, 41)
    before = bench.emulator.calls("allowed_ips.list")

    assert grant("PUT", f"{path}/status", restart).status_code == 200
    assert bench.emulator.calls("allowed_ips.list") == before + 1


def test_the_answer_to_a_stop_is_not_repeated_for_a_newer_container_of_the_id(bench: Bench) -> None:
    stop, ids = {"status": "stopped"}, {"container_id": {"of": ["web"]}}
    creates = permit("containers.create", create("web"), binds="web")
    grant = bench.granted(creates, permit("containers.set_status", stop, ids=ids))
    web = grant.create("web").json()["data"]["id"]
    _both(bench, 10)
    assert grant("PUT", f"/containers/{web}/status", stop).status_code == 200
    assert grant("DELETE", f"/containers/{web}").status_code == 200
    _both(bench, 20)
    assert grant.create_in_the_end("web").json()["data"]["id"] == web
    _both(bench, 10)

    assert refused(grant("PUT", f"/containers/{web}/status", stop))
