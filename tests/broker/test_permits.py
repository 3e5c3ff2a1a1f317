"""
A signed change allows exactly its permits.

Each refused request is answered with 403 and a code, and no changing request reaches the platform.
"""

from __future__ import annotations

from typing import Any

import pytest
import requests

from stacks_pulumi.broker.change import EFFECTS, SECRETS, variables
from stacks_pulumi.endpoints import ENDPOINTS
from tests.broker.conftest import Bench, create, known, literal, permit


def refused(answer: requests.Response, code: str = "grant-refused") -> bool:
    """Return whether a request was refused by the broker."""
    return answer.status_code == 403 and answer.json()["code"] == code


def test_every_endpoint_is_a_change_with_its_effect_or_a_read() -> None:
    changes = {name for name, endpoint in ENDPOINTS.items() if endpoint.method != "GET"}

    assert {*EFFECTS} == changes
    assert all(ENDPOINTS[name].method == "GET" for name in SECRETS)
    assert all(effect.object in {"", *variables(ENDPOINTS[name])} for name, effect in EFFECTS.items())


def test_a_signed_create_happens_once_and_its_journal_has_no_refusal(bench: Bench) -> None:
    web = bench.granted(permit("containers.create", create("web"), binds="web"))

    answer = web.create("web")

    assert answer.status_code == 202, answer.text
    assert answer.json()["data"]["name"] == "web"
    assert bench.names == ["web"]
    assert bench.journal("refused") == []


@pytest.mark.parametrize(
    "other",
    [
        {"plan": "standard"},
        {"plan": None},
        {"additional_storage_tier": 1},
        {"template": "redis"},
        {"name": "web2"},
        {"discount_code": "x"},
        {"surprise": 1},
    ],
)
def test_another_body_is_refused(bench: Bench, other: dict[str, Any]) -> None:
    web = bench.granted(permit("containers.create", create("web")))

    assert refused(web("POST", "/containers", {**create("web"), **other}))
    assert bench.emulator.calls("containers.create") == 0


def test_a_container_that_was_made_again_under_its_id_is_not_deleted(bench: Bench) -> None:
    old = bench.made("data")
    grant = bench.granted(permit("containers.delete", ids={"container_id": literal(old)}))
    bench.emulator.advance(60)
    bench.emulator.drift.recreate("data")
    bench.clock.advance(2)

    assert refused(grant("DELETE", f"/containers/{old['id']}"))
    assert bench.names == ["data"]


def test_an_approved_deletion_happens_and_is_answered_again_without_a_second_request(bench: Bench) -> None:
    old = bench.made("data")
    grant = bench.granted(permit("containers.delete", ids={"container_id": literal(old)}))

    answers = [grant("DELETE", f"/containers/{old['id']}") for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert [answer.headers.get("x-broker") for answer in answers] == [None, "replay"]
    assert bench.emulator.calls("containers.delete") == 1


def test_a_connection_leads_only_to_what_its_symbols_are_bound_to(bench: Bench) -> None:
    web, other = bench.made("web"), bench.made("other", template="redis")
    grant = bench.granted(
        permit("containers.create", create("data", "redis"), binds="data"),
        permit(
            "connections.create",
            {"connectionName": "primary"},
            ids={"source_id": {"of": ["web"]}, "target_id": {"of": ["data"]}},
        ),
        known={"web": {"id": web["id"], "created_at": web["created_at"]}},
    )
    db = grant.create("data", template="redis").json()["data"]["id"]
    bench.emulator.advance(5)

    assert refused(
        grant("POST", f"/containers/{web['id']}/connect/{other['id']}", {"connectionName": "primary"})
    )
    made = grant("POST", f"/containers/{web['id']}/connect/{db}", {"connectionName": "primary"})

    assert made.status_code < 300, made.text


def test_what_is_not_where_the_change_says_is_gone_and_nothing_is_sent(bench: Bench) -> None:
    """A connection that was deleted outside is a 404 for the engine; one of another container is never reached."""
    web = bench.made("web")
    for name, template in (("data", "redis"), ("other", "nodejs")):
        bench.made(name, template=template)
    gone, foreign = (bench.emulator.drift.connect(source, "data", "primary") for source in ("web", "other"))
    grant = bench.granted(
        *(
            permit("connections.delete", ids={"connection_id": {"is": one.id, "in": "web"}})
            for one in (gone, foreign)
        ),
        known=known(web=web),
    )
    bench.emulator.drift.disconnect("web", "primary")
    bench.emulator.drift.connect("web", "data", "another")

    answers = [grant("DELETE", f"/containers/connections/{one.id}") for one in (gone, foreign)]

    assert [answer.status_code for answer in answers] == [404, 404]
    assert refused(grant("DELETE", "/containers/connections/another"))
    assert bench.emulator.calls("connections.delete") == 0


def test_what_was_made_again_under_the_id_of_a_connection_is_another_one(bench: Bench) -> None:
    web, _ = bench.made("web"), bench.made("data", template="redis")
    connection = bench.emulator.drift.connect("web", "data", "primary")
    listed = bench.reader()("GET", f"/containers/{web['id']}/connections").json()["data"]["outgoing"]
    made = listed[0].get("created_at") or listed[0]["createdAt"]
    old, new = (
        bench.granted(
            permit(
                "connections.delete",
                ids={"connection_id": {"is": connection.id, "in": "web", "created_at": time}},
            ),
            known=known(web=web),
        )
        for time in ("2020-01-01T00:00:00Z", made)
    )

    assert refused(old("DELETE", f"/containers/connections/{connection.id}"))
    assert new("DELETE", f"/containers/connections/{connection.id}").status_code == 200


def test_a_symbol_is_what_was_made_for_it_and_not_all_that_the_grant_made(bench: Bench) -> None:
    grant = bench.granted(
        permit("containers.create", create("one"), binds="one"),
        permit("containers.create", create("two"), binds="two"),
        permit("containers.set_status", {"status": "stopped"}, ids={"container_id": {"of": ["one"]}}),
    )
    one, two = (grant.create(name).json()["data"]["id"] for name in ("one", "two"))
    bench.emulator.advance(10)

    assert refused(grant("PUT", f"/containers/{two}/status", {"status": "stopped"}))
    assert grant("PUT", f"/containers/{one}/status", {"status": "stopped"}).status_code == 200


@pytest.mark.parametrize("value", [1, 0, "true", "True", False])
def test_a_value_of_another_type_is_another_value(bench: Bench, value: object) -> None:
    web = bench.made("web")
    grant = bench.granted(
        permit("containers.external_access", {"enabled": True}, ids={"container_id": literal(web)})
    )

    assert refused(grant("PUT", f"/containers/{web['id']}/external-access", {"enabled": value}))
    assert bench.emulator.calls("containers.external_access") == 0


@pytest.mark.parametrize("fault", [None, "drop_after"])
def test_a_restore_happens_once_also_if_its_answer_is_lost(bench: Bench, fault: str | None) -> None:
    web = bench.made("web", backups=1)
    number = next(iter(bench.emulator.state.backups))
    ids = {"backup_id": {"is": str(number), "in": "web"}}
    grant = bench.granted(permit("backups.restore", ids=ids), known=known(web=web))
    if fault:
        bench.emulator.faults.add("backups.restore", fault)

    first = grant("POST", f"/backups/{number}/restore")
    second = grant("POST", f"/backups/{number}/restore")

    assert first.status_code == (502 if fault else 200), first.text
    assert refused(second) if fault else second.headers["x-broker"] == "replay"
    assert bench.emulator.calls("backups.restore") == 1
    bench.emulator.faults.assert_none_left()


def test_a_permit_is_armed_when_those_before_it_are_done(bench: Bench) -> None:
    old = bench.made("old")
    grant = bench.granted(
        permit("containers.create", create("new")),
        permit("containers.delete", ids={"container_id": literal(old)}, after=[1]),
    )

    assert refused(grant("DELETE", f"/containers/{old['id']}"))
    assert grant.create("new").status_code == 202
    assert grant("DELETE", f"/containers/{old['id']}").status_code == 200


@pytest.mark.parametrize(("fault", "status"), [("drop_before", 502), (408, 408)])
def test_nothing_goes_on_after_a_restore_whose_answer_was_lost(bench: Bench, fault: Any, status: int) -> None:
    """The restore may not have happened, and the deletion would remove the only copy of the data."""
    data, old = bench.made("data", backups=1), bench.made("old")
    number = next(iter(bench.emulator.state.backups))
    grant = bench.granted(
        permit("backups.restore", ids={"backup_id": {"is": str(number), "in": "data"}}),
        permit("containers.delete", ids={"container_id": literal(old)}, after=[1]),
        known=known(data=data),
    )
    bench.emulator.faults.add("backups.restore", fault)

    assert grant("POST", f"/backups/{number}/restore").status_code == status
    assert refused(grant("DELETE", f"/containers/{old['id']}"))
    bench.emulator.faults.assert_none_left()


@pytest.mark.parametrize("times", [1, 2])
def test_what_the_grant_made_it_may_remove_and_make_again_five_times(bench: Bench, times: int) -> None:
    """A rollback, and the next `up` with the same grant."""
    grant = bench.granted(permit("containers.create", create("web"), times=times))

    for number in range(5 + times):
        assert grant("GET", "/_broker/me").json()["permits"][0]["left"] == min(times, 5 + times - number)
        made = grant.create("web")
        assert made.status_code == 202, made.text
        assert grant("DELETE", f"/containers/{made.json()['data']['id']}").status_code == 200
        bench.emulator.advance(10)

    assert refused(grant.create("web"))
    assert grant("GET", "/_broker/me").json()["permits"][0]["left"] == 0


def test_what_was_made_is_not_its_own_after_it_was_made_again_by_another(bench: Bench) -> None:
    grant = bench.granted(permit("containers.create", create("web")))
    made = grant.create("web").json()["data"]["id"]
    bench.emulator.advance(60)
    bench.emulator.drift.recreate("web")
    bench.clock.advance(2)

    assert refused(grant("DELETE", f"/containers/{made}"))


def test_an_entry_is_removed_only_by_the_address_that_it_has_and_not_if_another_grant_has_added_it_since(
    bench: Bench,
) -> None:
    web = bench.made("web", allowed_ips=["198.51.100.7", "198.51.100.8"])
    path, ids = f"/containers/{web['id']}/allowed-ips", {"container_id": literal(web)}
    body = {"ip_address": "198.51.100.7"}
    of_address = {**ids, "ip_id": {"address": "198.51.100.7/32"}}
    grant = bench.granted(permit("allowed_ips.remove", ids=of_address, times=None))
    entry = {row["ip_address"]: row["id"] for row in grant("GET", path).json()["data"]["allowed_ips"]}

    assert refused(grant("DELETE", f"{path}/{entry['198.51.100.8']}"))
    assert grant("DELETE", f"{path}/{entry['198.51.100.7']}").status_code == 200
    since = bench.granted(permit("allowed_ips.add", body, ids=ids))("POST", path, body).json()["data"]["id"]
    assert grant("DELETE", f"{path}/{since}").status_code == 404


def test_the_entry_of_the_caller_is_the_one_that_the_platform_added(bench: Bench) -> None:
    web = bench.made("web", allowed_ips=["198.51.100.7"])
    ids = {"container_id": literal(web), "ip_id": {"caller": True}}
    grant = bench.granted(permit("allowed_ips.remove", ids=ids, times=2))
    listed = grant("GET", f"/containers/{web['id']}/allowed-ips").json()["data"]["allowed_ips"]
    entry = {row["ip_address"]: row["id"] for row in listed}

    assert refused(grant("DELETE", f"/containers/{web['id']}/allowed-ips/{entry.pop('198.51.100.7')}"))
    assert grant("DELETE", f"/containers/{web['id']}/allowed-ips/{entry.popitem()[1]}").status_code == 200


def test_what_a_grant_made_is_its_own_only_as_what_it_is_and_where_it_is(bench: Bench) -> None:
    """The name of a VPN client may equal another object's id; the grant still owns only the VPN client."""
    web, data = bench.made("web", allowed_ips=["198.51.100.7"]), bench.made("data", template="redis")
    vpn = bench.made("vpn", template="stacks-vpn", plan=None)
    foreign = bench.emulator.drift.connect("web", "data", "primary")
    entry = {"ip_address": "198.51.100.9", "description": "x", "service_type": "both"}
    grant = bench.granted(
        permit("vpn_clients.add", {"name": foreign.id}, ids={"vpn_container_id": literal(vpn)}),
        permit("allowed_ips.add", entry, ids={"container_id": literal(web)}),
    )
    made = grant("POST", f"/containers/{vpn['id']}/vpn-clients", {"name": foreign.id})
    assert made.status_code < 300, made.text
    ip = grant("POST", f"/containers/{web['id']}/allowed-ips", entry).json()["data"]["id"]

    assert refused(grant("DELETE", f"/containers/connections/{foreign.id}"))
    assert refused(grant("DELETE", f"/containers/{data['id']}/allowed-ips/{ip}"))
    assert grant("DELETE", f"/containers/{web['id']}/allowed-ips/{ip}").status_code == 200
    assert grant("DELETE", f"/containers/{vpn['id']}/vpn-clients/{foreign.id}").status_code == 200


def test_the_configuration_of_a_vpn_is_read_for_the_client_that_the_change_says(bench: Bench) -> None:
    vpn = bench.made("vpn", template="stacks-vpn", plan=None)
    for name in ("laptop", "phone"):
        bench.emulator.drift.add_vpn_client("vpn", name)
    ids = {"vpn_container_id": literal(vpn), "client_name": bench.device("vpn", "laptop")}
    grant = bench.granted(secrets=[{"endpoint": "vpn_clients.config", "ids": ids}])

    assert grant("GET", f"/containers/{vpn['id']}/vpn-config?client=laptop").status_code == 200
    assert refused(grant("GET", f"/containers/{vpn['id']}/vpn-config?client=phone"))
    assert refused(grant("GET", f"/containers/{vpn['id']}/vpn-config"))


def test_a_vpn_client_whose_time_cannot_be_read_is_not_reported_as_gone(bench: Bench) -> None:
    vpn = bench.made("vpn", template="stacks-vpn", plan=None, vpn_clients=["laptop"])
    ids = {"vpn_container_id": literal(vpn), "client_name": bench.device("vpn", "laptop")}
    grant = bench.granted(permit("vpn_clients.remove", ids=ids))
    bench.emulator.faults.add("vpn_clients.list", "wrong_types", field="created_at")

    assert refused(grant("DELETE", f"/containers/{vpn['id']}/vpn-clients/laptop"))
    assert grant("DELETE", f"/containers/{vpn['id']}/vpn-clients/laptop").status_code == 200


def test_a_change_with_many_lines_is_judged_with_few_reads_of_the_ledger(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request is judged in a transaction, during which no other request is judged."""
    web, reads = bench.made("web"), list[str]()
    lines = [
        permit(
            "containers.set_status", {"status": "restart"}, ids={"container_id": {"of": [f"{n}"]}}, after=[1]
        )
        for n in range(100)
    ]
    creates = [permit("containers.create", create(f"web{n}"), binds=f"{n}") for n in range(100)]
    grant = bench.granted(*creates, *lines)
    rows = bench.ledger.rows

    def counted(sql: str, *values: object) -> Any:
        reads.append(sql)
        return rows(sql, *values)

    monkeypatch.setattr(bench.ledger, "rows", counted)

    assert refused(grant("PUT", f"/containers/{web['id']}/status", {"status": "restart"}))
    assert len(reads) < 50


def test_access_is_closed_only_if_no_other_address_is_listed(bench: Bench) -> None:
    web = bench.made("web", allowed_ips=["198.51.100.7", "198.51.100.8"])
    close = permit(
        "containers.external_access",
        {"enabled": False},
        ids={"container_id": literal(web)},
        only_address="198.51.100.7",
    )
    grant = bench.granted(close)

    assert refused(grant("PUT", f"/containers/{web['id']}/external-access", {"enabled": False}))
    for other in ("198.51.100.8", bench.emulator.platform.your_ip):
        bench.emulator.drift.remove_ip("web", other)
    assert grant("PUT", f"/containers/{web['id']}/external-access", {"enabled": False}).status_code == 200


def test_two_new_backups_of_one_container_are_pinned_and_a_third_is_not(bench: Bench) -> None:
    """Their requests are equal, so both have one symbol."""
    data = bench.made("data", template="redis")
    path, new = f"/containers/{data['id']}/backup", {"backup_id": {"new_backup_of": "pin"}}
    grant = bench.granted(
        permit("backups.trigger", ids={"container_id": literal(data)}, binds="pin", times=2),
        permit("backups.pin", ids=new, times=None),
    )
    for client in (grant, grant, bench.owner):
        assert client("POST", path).status_code == 202
        bench.emulator.advance(30)
        bench.clock.advance(30)
    first, second, other = bench.emulator.state.backups

    assert [grant("POST", f"/backups/{number}/pin").status_code for number in (first, second)] == [200, 200]
    bench.emulator.drift.delete_backup(second)
    assert refused(grant("POST", f"/backups/{other}/pin"))


def test_only_a_new_backup_is_pinned(bench: Bench) -> None:
    """An older or a later backup, and a backup of another container, may not be pinned."""
    db = bench.made("data", template="redis", backups=1)
    bench.made("other", template="redis", backups=1)
    old, foreign = bench.emulator.state.backups
    grant = bench.granted(
        permit("backups.trigger", ids={"container_id": literal(db)}, binds="pin"),
        permit("backups.pin", ids={"backup_id": {"new_backup_of": "pin"}}, times=None),
    )

    assert refused(grant("POST", f"/backups/{old}/pin"))
    assert grant("POST", f"/containers/{db['id']}/backup").status_code == 202
    new = next(number for number in bench.emulator.state.backups if number not in {old, foreign})
    bench.emulator.advance(30)
    # A person creates another backup afterwards.
    assert bench.owner("POST", f"/containers/{db['id']}/backup").status_code == 202
    bench.emulator.advance(30)
    other = max(bench.emulator.state.backups)

    assert all(refused(grant("POST", f"/backups/{number}/pin")) for number in (old, foreign, other))
    assert grant("POST", f"/backups/{new}/pin").status_code == 200
    # No line permits this, and the grant did not create the container.
    assert refused(grant("DELETE", f"/backups/{new}"))
    assert refused(grant("POST", f"/backups/{new}/unpin"))
    assert refused(grant("POST", f"/backups/{old}/unpin"))
    # Nor is a backup of a newer container with the same id.
    bench.emulator.drift.recreate("data")
    bench.emulator.advance(60)
    bench.owner("POST", f"/containers/{db['id']}/backup")
    bench.clock.advance(2)
    assert refused(grant("POST", f"/backups/{max(bench.emulator.state.backups)}/pin"))


def test_each_secret_needs_its_class(bench: Bench) -> None:
    web, vpn = bench.made("web"), bench.made("vpn", template="stacks-vpn", plan=None)
    ids = {"container_id": web["id"], "vpn_container_id": vpn["id"]}
    for endpoint, kind in {**SECRETS, "containers.status": ""}.items():
        path = ENDPOINTS[endpoint].path.format_map(ids)
        others = {*SECRETS.values()} - {kind}
        assert refused(bench.reader(secrets=others)("GET", path)) is bool(kind), endpoint
        assert not refused(bench.reader(secrets=(kind,))("GET", path)), endpoint


def test_a_secret_is_read_only_where_the_change_says(bench: Bench) -> None:
    web, other = bench.made("web"), bench.made("other")
    grant = bench.granted(
        permit("containers.set_status", {"status": "running"}, ids={"container_id": literal(web)}),
        secrets=[{"endpoint": "containers.certificate", "ids": {"container_id": literal(web)}}],
    )

    assert grant("GET", f"/containers/{web['id']}/certificate").status_code == 200
    assert refused(grant("GET", f"/containers/{other['id']}/certificate"))
    assert refused(grant("GET", f"/containers/{web['id']}/credentials"))
    assert refused(bench.reader()("GET", f"/containers/{web['id']}/credentials"))
    assert (
        bench.reader(secrets=["credentials"])("GET", f"/containers/{web['id']}/credentials").status_code
        == 200
    )


def test_a_value_that_was_accepted_as_unknown_may_be_any(bench: Bench) -> None:
    body = {**create("web"), "name": {"any": True}}
    grant = bench.granted(permit("containers.create", body), ceiling={"increase": "4.00"})

    shown = grant("GET", "/_broker/me").json()["permits"][0]["words"]
    # Different from the display of the text "any".
    assert '"name": {"any": true}' in shown
    assert grant.create("whatever").status_code == 202
    assert refused(grant.create("another"))
