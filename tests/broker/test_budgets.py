"""The requests that a budget grant may send without a person, and the answers to other requests."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from stacks_pulumi.broker.change import canonical
from stacks_pulumi.emulator import containers
from tests.broker.conftest import STACK, Bench, Benches, create, literal, permit
from tests.broker.test_changes import code
from tests.support.waiting import until

AGENTS = {
    "increase_per_day": 9,
    "max_total": 15,
    "templates": ["nodejs", "redis"],
    "plans": ["micro", "basic", "standard", "premium"],
    "free": ["start", "restart", "connect-own", "backup", "pin-own", "undo"],
    "undo": "15m",
}


@pytest.fixture
def bench(benches: Benches) -> Bench:
    return benches(policies={"agents": AGENTS})


def test_the_day_ends_at_the_cent(bench: Bench) -> None:
    """A create that was undone still counts as spent."""
    agent = bench.agent()
    first = agent.create("one", plan="standard")

    assert first.status_code == 202
    assert agent("DELETE", f"/containers/{first.json()['data']['id']}").status_code == 200
    assert agent.create("two").status_code == 202
    assert code(agent.create("three", plan="micro", template="redis")) == (403, "approval-needed")
    # Another grant of the policy shares the daily amount.
    assert code(bench.agent().create("four", plan="micro")) == (403, "approval-needed")
    bench.clock.advance(86400)
    assert agent.token != bench.agent().token
    assert bench.agent().create("five").status_code == 202


def test_a_total_is_never_exceeded_by_twenty_clients_of_two_grants(benches: Benches) -> None:
    bench = benches(
        account={"max_total": 21},
        policies={"agents": {**AGENTS, "increase_per_day": 1000, "max_total": 1000}},
    )
    agents = [bench.agent(), bench.agent()]

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda n: agents[n % 2].create_in_the_end(f"web{n}"), range(20)))

    assert sorted(answer.status_code for answer in answers) == [202] * 5 + [402] * 15
    assert len(bench.names) == 5


def test_a_policys_total_is_of_what_its_grants_made(bench: Bench) -> None:
    bench.made("big", plan="premium")
    bench.configure(
        {
            "rules": {"unpriced": "approve"},
            "policies": {"agents": {**AGENTS, "increase_per_day": 100, "max_total": 8}},
        }
    )
    agent = bench.agent()

    assert [agent.create(f"web{n}").status_code for n in range(3)] == [202, 202, 402]


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"limits": {"max_total": 8}}, "limits.max_total"),
        ({"account": {"max_total": 8}}, "account.max_total"),
        ({"budgets": "budgets.yaml"}, "the budget shop"),
    ],
)
def test_a_limit_of_stack_account_or_budget_holds_a_signed_change_when_it_is_handed_in_and_at_its_create(
    bench: Bench, settings: Any, name: str
) -> None:
    others = "{name: bank, projects: [bank], max_total: 1}"
    (bench.path / "budgets.yaml").write_text(
        f"budgets: [{others}, {{name: shop, projects: [shop], max_total: 8}}]"
    )
    creates = [permit("containers.create", create(one)) for one in ("one", "two", "three")]
    early = bench.granted(*creates)
    if "account" not in settings:
        # A container of a stack that the limit does not cover.
        bench.granted(permit("containers.create", create("other")), stack="bank/dev").create("other")
    bench.configure(settings)

    answers = [early.create(one) for one in ("one", "two", "three")]
    assert [answer.status_code for answer in answers] == [202, 202, 402]
    assert f"{name} is $8.00, and adding $4.00 a month to $8.00 would exceed it" in answers[-1].text
    (finding,) = bench.hand_in(bench.change(creates[2]), "ann").json()["verdict"]["findings"]
    assert (finding["rule"], finding["action"]) == (name, "refuse")
    nothing = permit("backups.trigger", ids={"container_id": {"of": ["web"]}}, binds="pin")
    known = {"web": {"id": answers[0].json()["data"]["id"], "created_at": "2026-01-01T00:00:00Z"}}
    assert bench.hand_in(bench.change(nothing, known=known), "ann").status_code == 201


@pytest.mark.parametrize(
    "settings",
    [
        {"limits": {"max_total": 6}},
        {"budgets": "budgets.yaml"},
        {"policies": {"agents": {**AGENTS, "max_total": 6}}},
    ],
)
def test_a_container_listed_before_its_create_has_an_answer_counts(
    benches: Benches, settings: dict[str, Any]
) -> None:
    """Several machines create at once. Until the platform's late answer, a container had no stack and no policy."""
    bench = benches()
    (bench.path / "budgets.yaml").write_text("budgets: [{name: shop, projects: [shop], max_total: 6}]")
    bench.configure(settings)
    # A budget is over several stacks.
    stacks = ("shop/dev" if "budgets" in settings else STACK, STACK)
    one, two = (
        bench.agent()
        if "policies" in settings
        else bench.granted(permit("containers.create", create(name)), stack=stack)
        for name, stack in zip(("one", "two"), stacks, strict=True)
    )
    bench.emulator.faults.add("containers.create", "slow", seconds=20.0)

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(one.create, "one")
        until(lambda: bench.names)
        # The list before the create is now too old.
        bench.clock.advance(11)
        second = two.create("two")

    assert (first.result().status_code, second.status_code) == (202, 402)
    assert bench.names == ["one"]


def test_a_price_that_is_not_known_is_refused(benches: Benches) -> None:
    """Every limit refuses it, both when a change is handed in and at the create."""
    settings = {"rules": {"unpriced": "approve"}, "policies": {"agents": {"increase_per_day": 100}}}
    bench, quantum = benches(**settings), permit("containers.create", create("web", template="quantum"))

    assert code(bench.agent().create("web", template="quantum")) == (403, "approval-needed")
    grant = bench.granted(quantum)
    bench.configure({**settings, "account": {"max_total": 100}, "limits": {"max_increase": 50}})
    assert code(grant.create("web", template="quantum")) == (402, "grant-limit")
    said = bench.hand_in(bench.change(quantum), "ann").json()["error"]
    assert said == (
        "account.max_total is $100.00, and the added price is not known; limits.max_increase is $50.00, "
        "and the added price is not known"
    )


def test_a_limit_is_refused_in_the_platforms_own_form(benches: Benches) -> None:
    bench = benches(policies={"agents": {**AGENTS, "max_total": 3}})

    body = bench.agent().create("web").json()

    assert (body["spending_cap"], body["amount_spent"]) == (3.0, 0.0)


PERSON: dict[str, tuple[str, str, Any]] = {
    "stop": ("PUT", "/containers/{own}/status", {"status": "stopped"}),
    "delete": ("DELETE", "/containers/{other}", None),
    "open": ("PUT", "/containers/{own}/external-access", {"enabled": True}),
    "address": ("POST", "/containers/{own}/allowed-ips", {"ip_address": "198.51.100.9"}),
    "key": ("POST", "/containers/{own}/certificate/regenerate", None),
    "restore": ("POST", "/backups/1/restore", None),
    "vpn": ("POST", "/containers/{own}/vpn-clients", {"name": "laptop"}),
    "connection": ("POST", "/containers/{own}/connect/{other}", {"connectionName": "primary"}),
    "start another": ("PUT", "/containers/{other}/status", {"status": "running"}),
    "backup of another": ("POST", "/containers/{other}/backup", None),
    "template": ("POST", "/containers", create("data", "postgresql")),
    "plan": ("POST", "/containers", {"name": "data", "template": "nodejs", "plan": "huge"}),
    "discount": ("POST", "/containers", create("data", discount_code="x")),
}


@pytest.mark.parametrize("what", PERSON)
def test_what_needs_a_person_is_one_access_request(bench: Bench, what: str) -> None:
    """A repeated refused request is the same access request."""
    agent = bench.agent()
    ids = {"own": agent.create("web").json()["data"]["id"], "other": bench.made("other")["id"]}
    method, path, body = PERSON[what]

    answers = [agent(method, path.format_map(ids), body) for _ in range(2)]

    assert {code(answer) for answer in answers} == {(403, "approval-needed")}
    assert len({answer.json()["request"] for answer in answers}) == 1
    assert [one["state"] for one in agent("GET", "/_broker/me").json()["requests"]] == ["open"]
    changes = [record for record in bench.emulator.requests if record.method != "GET"]
    assert len(changes) == 1


def test_what_nobody_could_approve_is_no_access_request(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A permit names a container by its creation time."""
    agent, web = bench.agent(), bench.made("web")["id"]
    monkeypatch.setattr(containers, "iso", lambda _: None)

    for id_ in (web, "usr-1-none"):
        answer = agent("PUT", f"/containers/{id_}/status", {"status": "stopped"})
        assert code(answer) == (403, "grant-refused")
        assert "nobody can approve this" in answer.json()["error"]
    assert agent("GET", "/_broker/me").json()["requests"] == []


def test_what_it_may_do_with_its_own(bench: Bench) -> None:
    agent = bench.agent()
    web = agent.create("web").json()["data"]["id"]
    data = agent.create("data", template="redis").json()["data"]["id"]
    bench.emulator.advance(10)

    assert agent("PUT", f"/containers/{web}/status", {"status": "running"}).status_code == 200
    assert agent("PUT", f"/containers/{web}/status", {"status": "restart"}).status_code == 200
    bench.emulator.advance(10)
    connected = agent("POST", f"/containers/{web}/connect/{data}", {"connectionName": "primary"})
    assert connected.status_code < 300
    assert agent("POST", f"/containers/{data}/backup").status_code == 202
    bench.emulator.advance(10)
    number = next(iter(bench.emulator.state.backups))
    assert agent("POST", f"/backups/{number}/pin").status_code == 200
    assert agent("POST", f"/backups/{number}/unpin").status_code == 200
    assert agent("DELETE", f"/containers/connections/{connected.json()['data']['id']}").status_code == 200
    assert bench.journal("refused") == []


def test_its_own_is_not_what_was_made_again_under_the_id(bench: Bench) -> None:
    agent = bench.agent()
    web = agent.create("web").json()["data"]["id"]
    bench.emulator.advance(60)
    bench.emulator.drift.recreate("web")
    bench.clock.advance(2)

    assert code(agent("PUT", f"/containers/{web}/status", {"status": "restart"})) == (403, "approval-needed")
    assert code(agent("DELETE", f"/containers/{web}")) == (403, "approval-needed")
    bench.configure({"policies": {"agents": {**AGENTS, "only": "own"}}})
    assert agent("GET", "/containers").json()["data"] == []


def test_what_it_made_long_ago_it_does_not_undo(bench: Bench) -> None:
    agent = bench.agent()
    web = agent.create("web").json()["data"]["id"]
    bench.clock.advance(901)

    assert code(agent("DELETE", f"/containers/{web}")) == (403, "approval-needed")


def test_a_budget_does_not_take_over_what_a_signed_create_of_its_stack_has_made(bench: Bench) -> None:
    """It asked for the same name from the waitlist before, and could remove the other one as its own."""
    agent, signed = bench.agent(), bench.granted(permit("containers.create", create("web")))
    for fault in (503, "drop_after"):
        bench.emulator.faults.add("containers.create", fault)
    assert agent.create("web").status_code == 503
    bench.clock.advance(41)
    for fault in ("pass", 500):
        bench.emulator.faults.add("containers.list", fault)
    assert code(signed.create("web")) == (409, "grant-busy")

    assert agent.create("web").status_code == 409
    assert (bench.names, bench.ledger.made("Container")) == (["web"], [])


def test_an_approved_request_happens_exactly_once(bench: Bench) -> None:
    agent, other = bench.agent(), bench.made("other")
    path = f"/containers/{other['id']}/status"
    asked = agent("PUT", path, {"status": "stopped"}).json()["request"]
    shown = agent("GET", f"/_broker/requests/{asked}").json()

    assert shown["change"].endswith("\n")
    assert (
        json.loads(shown["change"])["permits"][0]["ids"]["container_id"]["created_at"] == other["created_at"]
    )
    assert bench.hand_in(shown["change"], "ann", where="approvals").status_code == 201
    assert agent("GET", f"/_broker/requests/{asked}").json()["state"] == "approved"
    assert agent("PUT", path, {"status": "stopped"}).status_code == 200
    bench.clock.advance(121)
    assert code(agent("PUT", path, {"status": "stopped"})) == (403, "approval-needed")
    assert code(bench.hand_in(shown["change"], "ann", where="approvals")) == (403, "grant-refused")


def test_an_approval_of_something_else_than_was_asked_for_is_none(bench: Bench) -> None:
    agent, other = bench.agent(), bench.made("other")
    asked = agent("PUT", f"/containers/{other['id']}/status", {"status": "stopped"}).json()["request"]
    shown = json.loads(agent("GET", f"/_broker/requests/{asked}").json()["change"])
    shown["permits"][0]["times"] = 5

    assert code(bench.hand_in(shown, "ann", where="approvals")) == (403, "grant-refused")
    assert code(bench.hand_in(shown, where="approvals")) == (403, "grant-refused")
    assert code(bench.hand_in(shown, "ann")) == (403, "grant-refused")
    assert bench.hand_in({**shown, "request": "r-0"}, "ann", where="approvals").status_code == 404


def test_denied_and_expired_requests_stay_refused(bench: Bench) -> None:
    agent, other = bench.agent(), bench.made("other")
    path = f"/containers/{other['id']}/status"
    denied = agent("PUT", path, {"status": "stopped"}).json()["request"]
    text = agent("GET", f"/_broker/requests/{denied}").json()["change"]
    bench.server.app.desk.deny(denied)
    late = agent("DELETE", f"/containers/{other['id']}").json()["request"]
    expired = agent("GET", f"/_broker/requests/{late}").json()["change"]

    assert code(agent("PUT", path, {"status": "stopped"})) == (403, "grant-refused")
    assert code(bench.hand_in(text, "ann", where="approvals")) == (403, "grant-refused")
    bench.server.app.desk.deny(agent.create("web", plan="premium").json()["request"])
    reordered = dict(reversed(create("web", plan="premium").items()))
    assert code(agent("POST", "/containers", reordered)) == (403, "grant-refused")
    bench.clock.advance(8 * 86400)
    assert bench.server.app.desk.request(late)["state"] == "expired"
    assert code(bench.hand_in(expired, "ann", where="approvals")) == (403, "grant-refused")


def test_only_its_own_is_shown(benches: Benches) -> None:
    bench = benches(policies={"agents": {**AGENTS, "only": "own"}})
    agent, other = bench.agent(), bench.made("other")
    agent.create("web")
    # The grant sees containers that a person has signed for its stack, although they are not part of its budget.
    signed = bench.granted(permit("containers.create", create("data"))).create("data").json()["data"]["id"]
    bench.granted(permit("containers.create", create("theirs")), stack="shop/test").create("theirs")

    assert [row["name"] for row in agent("GET", "/containers").json()["data"]] == ["web", "data"]
    assert agent("GET", f"/containers/status/{signed}").status_code == 200
    assert code(agent("PUT", f"/containers/{signed}/status", {"status": "restart"})) == (
        403,
        "approval-needed",
    )
    assert agent("GET", f"/containers/status/{other['id']}").status_code == 404
    deletes = bench.change(permit("containers.delete", ids={"container_id": literal(other)}))
    assert bench.hand_in(deletes, token=agent.token, where="verdicts").status_code == 404
    mine = bench.change(permit("containers.create", create("more")))
    assert bench.hand_in(mine, token=agent.token, where="verdicts").status_code == 200


def test_a_policy_that_is_gone_allows_nothing(bench: Bench) -> None:
    agent = bench.agent()
    bench.configure({"version": 1})

    assert code(agent.create("web")) == (403, "approval-needed")


COVERED: dict[str, tuple[str, str]] = {
    "two creates, a connection, a restart, a backup and its pin": ("", ""),
    "plan": ("plan", "the price of the container is not known"),
    "template": ("template", "the template postgresql is not in the policy"),
    "discount": ("discount_code", "the price of the container is not known"),
    "unknown": ("any", "one of its values is not known yet"),
    "day": ("dear", "the container adds $10.00 a month, and only $9.00 of $13.00 is left for today"),
    "total": ("total", "the policy's max_total is $15.00"),
    "other": ("other", "the container does not belong to this grant"),
    "delete": ("delete", "containers.delete always needs an approval"),
    "stack": ("stack", "this grant is for the stack shop/prod"),
    "secret": ("secret", "the change reads a secret"),
}


@pytest.mark.parametrize("name", COVERED)
def test_a_budget_is_asked_whether_it_covers_a_whole_change(bench: Bench, name: str) -> None:
    what, reason = COVERED[name]
    day = 100 if what == "total" else 13
    bench.configure({"policies": {"agents": {**AGENTS, "increase_per_day": day}}})
    agent, other = bench.agent(), bench.made("other")
    answer = agent.create("mine")
    assert answer.status_code == 202, answer.text
    mine = bench.listed(answer.json()["data"]["id"])
    wrong: dict[str, dict[str, Any]] = {
        "template": {"template": "postgresql"},
        "plan": {"plan": "huge"},
        "discount_code": {"discount_code": "x"},
        "any": {"template": {"any": True}},
    }
    plan = "premium" if what in {"dear", "total"} else "basic"
    of_mine = {"of": ["known"]} if what != "other" else literal(other)
    permits = [
        permit("containers.create", create("web", **{"plan": plan, **wrong.get(what, {})}), binds="web"),
        permit("containers.create", create("data", plan="basic"), binds="data"),
        permit(
            "connections.create",
            {"connectionName": "x"},
            ids={"source_id": {"of": ["web"]}, "target_id": of_mine},
        ),
        permit("containers.set_status", {"status": "restart"}, ids={"container_id": {"of": ["web"]}}),
        permit("backups.trigger", ids={"container_id": {"of": ["known"]}}, binds="backup"),
        permit("backups.pin", ids={"backup_id": {"new_backup_of": "backup"}}, times=None),
    ]
    permits += [permit("containers.delete", ids={"container_id": literal(mine)})] if what == "delete" else []
    known = {"known": {"id": mine["id"], "created_at": mine["created_at"]}}
    secrets = [{"endpoint": "containers.credentials", "ids": {"container_id": {"of": ["web"]}}}]
    change = bench.change(
        *permits,
        known=known,
        ceiling={"increase": "50"},
        **({"secrets": secrets} if what == "secret" else {}),
        **({"stack": "shop/test"} if what == "stack" else {}),
    )

    said = bench.hand_in(change, token=agent.token, where="verdicts").json()

    beyond = said["beyond"]
    assert bool(beyond) == bool(reason), beyond
    assert reason in "".join(beyond)
    if not reason:
        assert agent.create("web").status_code == 202
        assert agent.create("data").status_code == 202


def test_a_whole_change_is_asked_for_and_handed_in_after_its_approval(bench: Bench) -> None:
    agent = bench.agent()
    change = bench.change(permit("containers.create", create("web", "postgresql")))
    text = canonical(change).decode()
    assert (
        bench.hand_in(text, token=bench.agent(stack="shop/test").token, where="requests").status_code == 403
    )
    assert bench.hand_in(text, where="requests").status_code == 401

    long = canonical(bench.change(author="x" * 300_000)).decode()
    assert bench.hand_in(long, token=agent.token, where="requests").status_code == 413

    asked = bench.hand_in(text, token=agent.token, where="requests").json()["request"]

    shown = bench.reader()("GET", f"/_broker/requests/{asked}").json()
    assert (shown["change"], shown["state"], shown["for"]) == (text, "open", "agent")
    assert code(bench.hand_in(text, token=agent.token)) == (403, "grant-refused")
    assert bench.hand_in(text, "ann", where="approvals").status_code == 201
    shown = bench.reader()("GET", f"/_broker/requests/{asked}").json()
    assert (shown["state"], shown["approvals"]) == ("approved", ["ann"])
    granted = bench.client(bench.hand_in(text).json()["token"])
    assert granted.create("web", template="postgresql").status_code == 202
    # The ledger stores the change, not a permit of the budget.
    assert code(agent.create("two", template="postgresql")) == (403, "approval-needed")
