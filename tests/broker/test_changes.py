"""Who may hand in a change, and what happens to it?"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from stacks_pulumi.broker.change import canonical, instant
from stacks_pulumi.broker.ledger import Spec
from tests.broker.conftest import Bench, Benches, create, known, literal, permit, sign
from tests.support.gate import signer


def code(answer: Any) -> tuple[int, str]:
    """Return the status and the code of a refusal."""
    return answer.status_code, answer.json().get("code", "")


def test_one_byte_that_was_changed_is_refused(bench: Bench) -> None:
    text = canonical(bench.change(permit("containers.create", create("web")))).decode()
    body = {"statement": text.replace('"basic"', '"micro"'), "signatures": [sign(text, "ann")]}

    assert code(bench.client()("POST", "/_broker/changes", body)) == (403, "grant-refused")
    assert bench.ledger.grants() == []


def test_the_same_change_again_is_the_same_grant_with_a_new_token(bench: Bench) -> None:
    change = bench.change(
        permit("containers.create", create("web")), permit("containers.create", create("data"))
    )
    first = bench.client(bench.hand_in(change, "ann").json()["token"])
    assert first.create("web").status_code == 202

    assert code(bench.hand_in(change, "ann")) == (409, "grant-busy")
    bench.clock.advance(121)
    again = bench.hand_in(change, "ann").json()
    second = bench.client(again["token"])

    assert [one["left"] for one in again["permits"]] == [0, 1]
    assert second.create("web").headers["x-broker"] == "replay"
    assert second.create("data").status_code == 202
    assert first("GET", "/containers").status_code == 401
    assert code(bench.hand_in({**change, "ttl": 7200}, "ann")) == (403, "grant-refused")


@pytest.mark.parametrize("people", [[], ["eve"]])
def test_a_change_needs_the_signature_of_an_approver(bench: Bench, people: list[str]) -> None:
    """Without a signature, or with the signature of a person who is not an approver."""
    answer = bench.hand_in(bench.change(permit("containers.create", create("web"))), *people)

    assert answer.status_code == 403


@pytest.mark.parametrize("line", ["", signer("ann").replace(" ", ' valid-before="20200101",', 1)])
def test_the_signature_of_a_key_that_was_revoked_or_has_expired_is_none(bench: Bench, line: str) -> None:
    """This includes signatures and handed-in changes from before the revocation."""
    early, late = (bench.change(permit("containers.create", create(name))) for name in ("web", "api"))
    assert bench.hand_in(late, "ann", where="approvals").status_code == 201
    assert bench.hand_in(early, "ann").status_code == 201
    (bench.path / "allowed_signers").write_text(line + signer("bob"))

    assert code(bench.hand_in(early, "ann")) == (403, "grant-refused")
    assert code(bench.hand_in(late, token=bench.reader().token)) == (403, "grant-refused")


def test_a_signature_for_another_purpose_is_none(bench: Bench) -> None:
    """The signature has a different namespace."""
    text = canonical(bench.change(permit("containers.create", create("web")))).decode()
    body = {"statement": text, "signatures": [sign(text, "ann", namespace="git")]}

    assert code(bench.client()("POST", "/_broker/changes", body)) == (403, "grant-refused")


def test_two_people_are_two_people(benches: Benches) -> None:
    """With `two_approvals`, two signatures of one person are one approval."""
    bench = benches(two_approvals=["destroys-data"])
    old = bench.made("data", template="postgresql")
    change = bench.change(permit("containers.delete", ids={"container_id": literal(old)}))

    assert code(bench.hand_in(change, "ann")) == (403, "approval-needed")
    assert code(bench.hand_in(change, "ann", "ann")) == (403, "approval-needed")
    assert bench.hand_in(change, "ann", "bob").status_code == 201


def test_the_author_and_the_requester_of_a_change_do_not_approve_it(benches: Benches) -> None:
    """The change names its author; the requester is the holder of the token with which it is handed in."""
    bench = benches(other_than_author=True, policies={"agents": {"increase_per_day": 1}})
    change = bench.change(permit("containers.create", create("web")), author="Eve <eve@example.com>")
    token = bench.ledger.issue("read", "ann", seconds=3600.0)[1]

    assert code(bench.hand_in(change, "ann", token=token)) == (403, "approval-needed")
    assert code(bench.hand_in({**change, "author": "Ann <ann@example.com>"}, "ann")) == (
        403,
        "approval-needed",
    )
    assert code(bench.hand_in({**change, "author": ""}, "ann")) == (403, "approval-needed")
    assert bench.hand_in(change, "bob", token=token).status_code == 201
    agent = bench.client(
        bench.ledger.issue("budget", "ann", seconds=3600.0, policy="agents", stack="shop/prod")[1]
    )
    asked = agent("GET", f"/_broker/requests/{agent.create('web').json()['request']}").json()["change"]
    assert code(bench.hand_in(asked, "ann", where="approvals")) == (403, "approval-needed")
    assert bench.hand_in(asked, "bob", where="approvals").status_code == 201


def test_an_approver_with_limits(benches: Benches) -> None:
    bench = benches(
        approver_limits={
            "ann": {"stacks": ["shop/*"], "ceiling": 5, "may_destroy": False},
            "bob": {"stacks": ["x/y"]},
        }
    )
    old = bench.made("data", template="postgresql")
    ok = bench.change(permit("containers.create", create("web")), ceiling={"increase": "4.00"})
    without_ceiling = bench.change(permit("containers.create", create("web")))
    high = bench.change(
        permit("containers.create", create("web", plan="premium")), ceiling={"increase": "10.00"}
    )
    foreign = bench.change(
        permit("containers.set_status", {"status": "running"}, ids={"container_id": literal(old)}),
        ceiling={"increase": "0"},
    )

    assert bench.hand_in(ok, "ann").status_code == 201
    assert code(bench.hand_in(without_ceiling, "ann")) == (403, "approval-needed")
    assert code(bench.hand_in(high, "ann")) == (403, "approval-needed")
    said = bench.hand_in(foreign, "ann").text
    assert "in the ledger: none" in said
    assert "ann may not approve changes of shop/prod, containers without an owner" in said
    bench.ledger.claim("shop/prod", old["id"], old["created_at"], "postgresql", "basic")
    assert bench.hand_in(foreign, "ann").status_code == 201
    gone = bench.change(
        permit("containers.delete", ids={"container_id": literal(old)}), ceiling={"increase": "0"}
    )
    assert "ann may not approve a change that destroys" in bench.hand_in(gone, "ann").text
    assert code(bench.hand_in(ok, "bob")) == (403, "grant-refused")


def test_a_change_of_another_owner_is_named(bench: Bench) -> None:
    """The owner of a container comes from the ledger, not from the state."""
    old = bench.made("data")
    bench.ledger.claim("other/prod", old["id"], old["created_at"], "nodejs", "basic")
    change = bench.change(permit("containers.delete", ids={"container_id": literal(old)}))

    answer = bench.hand_in(change, token=bench.reader(may_apply_free=True).token)

    assert answer.json()["verdict"]["owners"] == ["other/prod"]
    assert "other/prod" in answer.text


def test_what_is_free_needs_a_token_that_may_apply_it(benches: Benches) -> None:
    bench = benches(free={"increase_per_day": 5})
    may = bench.reader(may_apply_free=True).token

    def change(name: str) -> dict[str, Any]:
        return bench.change(permit("containers.create", create(name)))

    assert code(bench.hand_in(change("web"))) == (403, "grant-refused")
    assert code(bench.hand_in(change("web"), token=bench.reader().token)) == (403, "grant-refused")
    assert bench.hand_in(change("web"), token=may).status_code == 201
    # A handed-in change counts towards the daily amount, even before it has happened.
    assert code(bench.hand_in(change("data"), token=may)) == (403, "approval-needed")


def test_a_deletion_is_what_is_gone_afterwards(benches: Benches) -> None:
    """A replacement counts as a replacement only, and a clean-up in a list of addresses counts as neither."""
    most = {"limit": 0, "otherwise": "refuse"}
    bench = benches(rules={"unpriced": "approve", "max-deletions": most})
    old = bench.made("data")
    delete = permit("containers.delete", ids={"container_id": literal(old)})
    clears = permit(
        "allowed_ips.remove",
        ids={"container_id": literal(old), "ip_id": {"address": "198.51.100.7"}},
        times=None,
    )
    makes = permit("containers.create", create("data", plan="standard"), binds="data")
    known = {"data": {"id": old["id"], "created_at": old["created_at"]}}

    assert bench.hand_in(bench.change(delete, makes, clears, known=known), "ann").status_code == 201
    assert "1, more than the limit of 0" in bench.hand_in(bench.change(delete, known=known), "ann").text
    assert bench.hand_in(bench.change(delete, makes), "ann").status_code == 403
    bench.configure({"rules": {"unpriced": "approve", "max-replacements": most}})
    assert bench.hand_in(bench.change(delete, makes, known=known), "ann").status_code == 403


MADE = {"is": "usr-1-web", "created_at": instant(0)}
CONDITION = permit("containers.external_access", n=1, ids={"container_id": MADE}, only_address="198.51.100.9")

OTHER = [{"account": "0" * 16}, {"until": instant(0)}]
MALFORMED: list[dict[str, Any]] = [
    {"stack": "no stack"},
    {"stack": "shop/\u202edorp"},
    {"stack": "shop/pr\u043ed"},
    {"stack": "shop/prod\n"},
    {"stack": "shop/*"},
    {"nonce": "short"},
    {"nonce": "a-nonce-of-this-test\n"},
    {"ceiling": {"increase": "4\n"}},
    {"version": 2},
    {"surprise": 1},
    # It would be shown like a sentence of the broker.
    {"preview": {"findings": [{"rule": "approved by bob: it", "action": "approve", "text": "ok"}]}},
    {"ceiling": {"increase": 4}},
    {"permits": [permit("containers.list", n=1)]},
    {"permits": [permit("containers.create", create("a"), n=0)]},
    {"permits": [permit("containers.create", create("a"), n=1, times=None)]},
    {"permits": [permit("containers.delete", n=1, ids={"container_id": MADE}, times=None)]},
    # Otherwise no rule would count it.
    {"permits": [permit("connections.delete", n=1, ids={"connection_id": {"is": "c"}}, times=None)]},
    {"permits": [permit("backups.pin", n=1, ids={"backup_id": {"of": ["web"], "in": "usr-1"}})]},
    {"permits": [permit("backups.pin", n=1, ids={"backup_id": {"address": "1.2.3.4"}})]},
    {"permits": [permit("containers.delete", n=1, ids={"container_id": {**MADE, "in": "usr-2"}})]},
    {"permits": [permit("backups.pin", n=1, ids={"backup_id": {"is": "7", "in": "usr-2"}})]},
    {
        "known": {"web": {"id": "usr-1"}},
        "permits": [
            permit("allowed_ips.remove", n=1, ids={"container_id": MADE, "ip_id": {"is": "7", "in": "web"}})
        ],
    },
    # `only_address` is for closing access: an opened container without an address would fulfil it, too.
    *({"permits": [{**CONDITION, "body": {"enabled": value}}]} for value in (True, 0, {"any": True})),
    {
        "known": {"web": {"id": "usr-1"}},
        "permits": [permit("containers.delete", n=1, ids={"container_id": {"new_backup_of": "web"}})],
    },
    {"permits": [permit("containers.create", create("a"), n=10**20)]},
    {"permits": [permit("containers.create", {"surprise": 1}, n=1)]},
    {"permits": [permit("containers.delete", n=1, ids={"container_id": {"is": "usr-1-web"}})]},
    {"permits": [permit("containers.delete", n=1, ids={"container_id": {"of": ["nothing"]}})]},
    {"permits": [permit("containers.delete", n=1, ids={"container_id": {}})]},
    {"permits": [permit("containers.delete", n=1)]},
    {"permits": [permit("containers.create", create("a"), n=1, after=[1])]},
    {"permits": [permit("containers.create", {"name": {"any": True}}, n=1)]},
    {"permits": [permit("containers.create", {**create("a"), "plan": {"all": True}}, n=1)]},
    {"permits": [permit("containers.create", create("a"), n=1)] * 2},
    {"permits": [permit("containers.delete", n=1, ids={"container_id": MADE}, binds="web")]},
    {"permits": [permit("containers.delete", n=1, ids={"container_id": MADE}, only_address="192.0.2.1")]},
    {"permits": [permit("containers.delete", n=1, ids={"container_id": {"caller": True}})]},
    {"permits": [permit("backups.pin", n=1, ids={"backup_id": {"is": "5", "created_at": instant(0)}})]},
    {"permits": [permit("allowed_ips.remove", n=1, ids={"container_id": MADE, "ip_id": {"address": "x"}})]},
]


def test_a_change_that_is_not_well_formed_is_refused(bench: Bench) -> None:
    for more in [*OTHER, *MALFORMED]:
        answer = bench.hand_in({**bench.change(permit("containers.create", create("web"))), **more}, "ann")

        assert answer.status_code == (403 if more in OTHER else 400), (more, answer.text)
    assert bench.ledger.grants() == []


def test_a_change_without_a_request_is_a_grant_that_reads(bench: Bench) -> None:
    grant = bench.granted()

    assert grant("GET", "/containers").status_code == 200
    assert code(grant.create("web")) == (403, "grant-refused")


def test_a_verdict_is_told_with_what_the_platform_says_and_grants_nothing(benches: Benches) -> None:
    bench = benches(free={"increase_per_day": 5})
    old = bench.made("data", template="redis")
    bench.ledger.claim("other/prod", old["id"], old["created_at"], "redis", "basic")
    text = canonical(
        bench.change(
            permit("containers.create", create("web")),
            permit("containers.delete", ids={"container_id": literal(old)}),
        )
    ).decode()

    said = bench.reader()(
        "POST", "/_broker/verdicts", {"statement": text, "signatures": [sign(text, "ann")]}
    ).json()

    assert said["verdict"]["result"] == "needs_approval"
    assert said["verdict"]["prices"] == {"1": "4.00"}
    assert said["containers"][old["id"]]["owner"] == "other/prod"
    assert said["containers"][old["id"]]["template"] == "redis"
    assert [one.kind for one in bench.ledger.grants()] == ["read"]
    assert (said["approvals"], said["missing"]) == (["ann"], "")
    assert bench.client()("POST", "/_broker/verdicts", {"statement": text}).status_code == 401


def test_the_token_of_a_change_ends_with_its_run(bench: Bench) -> None:
    change = bench.change(permit("containers.create", create("web")))
    first = bench.client(bench.hand_in(change, "ann").json()["token"])
    assert first.create("web").status_code == 202

    assert first("DELETE", "/_broker/me").status_code == 200

    assert first("GET", "/containers").status_code == 401
    assert bench.hand_in(change, "ann").json()["permits"][0]["left"] == 0
    assert code(bench.reader()("DELETE", "/_broker/me")) == (403, "grant-refused")


def test_an_empty_ledger_of_one_run_has_no_memory_for_what_is_free(benches: Benches) -> None:
    """A broker for a single run starts its counts from zero, unless its ledger is kept."""
    bench = benches()
    bench.configure({"free": {"increase_per_day": 5}})
    mine = bench.made("mine")
    bench.server.app.desk._embedded = True
    token = bench.ledger.issue("read", "job", seconds=3600.0, spec=Spec(may_apply_free=True))[1]
    change = bench.change(permit("containers.create", create("web")))

    assert code(bench.hand_in(change, token=token)) == (403, "approval-needed")
    (bench.path / "budgets.yaml").write_text("budgets: [{name: all, max_total: 30}]", encoding="utf-8")
    bench.configure({"free": {"increase_per_day": 5}, "budgets": "budgets.yaml"})
    answer = bench.hand_in(change, "ann")
    assert answer.json()["verdict"]["findings"][-1]["rule"] == "budgets"
    bench.ledger.claim("shop/prod", mine["id"], mine["created_at"], "nodejs", "basic")
    assert bench.hand_in(change, token=token).status_code == 201


def test_a_new_backup_and_its_pin_are_free_and_an_older_one_is_not(benches: Benches) -> None:
    bench = benches(free={"increase_per_day": 5})
    web = bench.made("web")
    bench.ledger.claim("shop/prod", web["id"], web["created_at"], "nodejs", "basic")
    backup = permit("backups.trigger", ids={"container_id": literal(web)}, binds="pin")
    token = bench.reader(may_apply_free=True).token
    for which, result in (({"new_backup_of": "pin"}, 201), ({"is": "1", "in": "web"}, 403)):
        change = bench.change(backup, permit("backups.pin", ids={"backup_id": which}), known=known(web=web))
        assert bench.hand_in(change, token=token).status_code == result, which


@pytest.mark.parametrize(("status", "result"), [("running", 201), ("restart", 201), ("stopped", 403)])
def test_what_stops_a_container_is_not_free(benches: Benches, status: str, result: int) -> None:
    bench = benches(free={"increase_per_day": 5})
    web = bench.made("web")
    bench.ledger.claim("shop/prod", web["id"], web["created_at"], "nodejs", "basic")
    starts = permit("containers.set_status", {"status": status}, ids={"container_id": literal(web)})

    answer = bench.hand_in(bench.change(starts), token=bench.reader(may_apply_free=True).token)
    assert answer.status_code == result, answer.text


def test_with_budgets_only_what_one_covers_is_free(benches: Benches) -> None:
    bench = benches()
    budget = {"budgets": [{"name": "shops", "projects": ["sh*"], "max_total": 30}]}
    (bench.path / "budgets.yaml").write_text(json.dumps(budget), encoding="utf-8")
    bench.configure({"free": {"increase_per_day": 5}, "budgets": "budgets.yaml"})
    token = bench.ledger.issue("read", "job", seconds=3600.0, spec=Spec(may_apply_free=True))[1]
    change = bench.change(permit("containers.create", create("web")))

    refused = bench.hand_in({**change, "stack": "other/prod"}, token=token)
    assert refused.json()["verdict"]["findings"][0]["rule"] == "budgets"
    assert bench.hand_in(change, token=token).status_code == 201
    # A change could leave out a container of its stack, which no limit would count then.
    old = bench.made("old")
    bench.clock.advance(2)
    more = bench.change(permit("containers.create", create("api", "redis-micro", "micro")))
    assert bench.hand_in(more, token=token).json()["verdict"]["findings"][0]["rule"] == "no-owner"
    bench.ledger.claim("other/prod", old["id"], old["created_at"], "nodejs", "basic")
    assert bench.hand_in(more, token=token).status_code == 201


def test_a_create_needs_a_person_while_a_limit_of_its_stack_may_not_count_all(benches: Benches) -> None:
    bench = benches(limits={"max_total": 30})
    old = bench.made("old")
    known = {"old": {"id": old["id"], "created_at": old["created_at"]}}
    makes = permit("containers.create", create("web"))
    starts = permit("containers.set_status", {"status": "restart"}, ids={"container_id": literal(old)})

    def found(one: Mapping[str, Any], **more: Any) -> list[str]:
        answer = bench.hand_in(bench.change(one, **more), token=bench.reader().token, where="verdicts")
        return [finding["rule"] for finding in answer.json()["verdict"]["findings"]]

    assert (found(makes), found(starts), found(makes, known=known)) == (
        ["no-owner"],
        ["other-owner"],
        ["other-owner"],
    )
    assert bench.hand_in(bench.change(makes), "ann").status_code == 201
    bench.configure({"account": {"max_total": 30}})
    assert found(makes) == []
    bench.configure({"limits": {"max_total": 30}})
    bench.ledger.claim("other/prod", old["id"], old["created_at"], "nodejs", "basic")
    assert found(makes) == []


def test_a_price_above_the_ceiling_makes_nothing(bench: Bench) -> None:
    """The create is refused, whatever the handed-in change contains."""
    change = bench.change(
        permit("containers.create", {**create("web"), "plan": {"any": True}}), ceiling={"increase": "4.00"}
    )
    grant = bench.client(bench.hand_in(change, "ann").json()["token"])

    answer = grant.create("web", plan="premium")

    assert (code(answer), answer.json()["spending_cap"]) == ((402, "grant-limit"), 4.0)
    assert bench.names == []
    assert (
        bench.hand_in(
            bench.change(
                permit("containers.create", create("web", plan="premium")), ceiling={"increase": "4.00"}
            ),
            "ann",
        ).json()["verdict"]["result"]
        == "refused"
    )


def test_creates_of_unknown_plans_share_the_ceiling(bench: Bench) -> None:
    makes = [
        permit("containers.create", {**create(name), "plan": {"any": True}}) for name in ("web", "api", "old")
    ]
    makes.append(permit("containers.create", create("data")))

    answer = bench.hand_in(bench.change(*makes, ceiling={"increase": "12.00"}), "ann")
    grant = bench.client(answer.json()["token"])

    prices = {"web": "basic", "api": "premium", "old": "basic", "data": "basic"}
    assert [grant.create(name, plan=plan).status_code for name, plan in prices.items()] == [
        202,
        402,
        202,
        202,
    ]
    over = bench.hand_in(bench.change(*makes, ceiling={"increase": "3.00"}), "ann")
    assert over.json()["verdict"]["at_any_moment"] == "4.00"


def test_a_grant_that_ended_removes_its_own_and_nothing_else(bench: Bench) -> None:
    grant = bench.granted(
        permit("containers.create", create("web")), permit("containers.create", create("data")), ttl=60
    )
    made = grant.create("web").json()["data"]["id"]
    bench.clock.advance(61)

    assert code(grant.create("data")) == (403, "grant-refused")
    assert grant("GET", "/containers").status_code == 200
    assert grant("DELETE", f"/containers/{made}").status_code == 200
    bench.clock.advance(1000)
    assert code(grant("GET", "/containers")) == (403, "grant-refused")
    bench.ledger.revoke(bench.ledger.grants()[0].id)
    assert grant("GET", "/containers").status_code == 401


def test_what_was_approved_and_not_done_is_said(bench: Bench) -> None:
    grant = bench.granted(
        permit("containers.create", create("web")), permit("containers.create", create("data"))
    )
    grant.create("web")

    said = grant("GET", "/_broker/me").json()

    assert [(one["n"], one["left"]) for one in said["permits"]] == [(1, 0), (2, 1)]
    assert [one["id"] for one in said["made"]] == [row.id for row in bench.emulator.state.containers.values()]


@pytest.mark.parametrize(
    ("row", "destroys"),
    [
        ({"template": "nodejs"}, False),
        ({"template": "postgresql"}, True),
        ({"template": "nodejs", "additional_storage_tier": 1}, True),
        ({}, True),
    ],
)
@pytest.mark.parametrize("by_symbol", [False, True])
def test_data_is_destroyed_with_what_may_hold_some(
    bench: Bench, row: dict[str, Any], *, destroys: bool, by_symbol: bool
) -> None:
    """The deletion of a container without data needs an approval, but not by this rule."""
    made = bench.made("old", **row) if row else {"id": "usr-gone", "created_at": "2026-01-01T00:00:00Z"}
    known = {"old": {"id": made["id"], "created_at": made["created_at"]}}
    at = {"of": ["old"]} if by_symbol else literal(made)
    change = bench.change(permit("containers.delete", ids={"container_id": at}), known=known)

    verdict = bench.hand_in(change, token=bench.reader().token, where="verdicts").json()["verdict"]

    assert verdict["result"] == "needs_approval"
    assert ("destroys-data" in {one["rule"] for one in verdict["findings"]}) is destroys


def test_a_new_container_may_hold_data_although_its_symbol_is_also_that_of_another(bench: Bench) -> None:
    web = bench.made("web")
    makes = permit("containers.create", create("data", "redis"), binds="it")
    deletes = permit("containers.delete", ids={"container_id": {"of": ["it"]}})
    change = bench.change(makes, deletes, known={"it": {"id": web["id"], "created_at": web["created_at"]}})

    verdict = bench.hand_in(change, token=bench.reader().token, where="verdicts").json()["verdict"]

    assert ("destroys-data", 2) in {(one["rule"], one["permit"]) for one in verdict["findings"]}


@pytest.mark.parametrize(
    ("what", "rules"),
    [
        ({"preview": {"findings": [{"rule": "x", "action": "approve", "text": "it is Friday"}]}}, {"x"}),
        ({"secrets": []}, None),
    ],
)
def test_what_a_planner_reports_needs_an_approval_without_a_request_too(
    bench: Bench, what: dict[str, Any], rules: set[str] | None
) -> None:
    answer = bench.hand_in(bench.change(**what), token=bench.reader().token, where="verdicts")

    verdict = answer.json()["verdict"]
    assert verdict["result"] == ("nothing" if rules is None else "needs_approval")
    assert {one["rule"] for one in verdict["findings"]} == (rules or set())
    broken = bench.change(preview={"findings": [{"rule": "x"}]})
    assert bench.hand_in(broken, "ann").status_code == 400


def test_a_backup_is_data(bench: Bench) -> None:
    row = bench.made("data", backups=1)
    ids = {"backup_id": {"is": "1", "in": "data"}}
    change = bench.change(permit("backups.delete", ids=ids), known=known(data=row))

    verdict = bench.hand_in(change, token=bench.reader().token, where="verdicts").json()["verdict"]

    assert "destroys-data" in {one["rule"] for one in verdict["findings"]}
