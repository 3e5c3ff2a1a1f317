"""A container belongs to the request of one grant at a time, whatever the request is."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from stacks_pulumi.broker.change import CONTAINERS, EFFECTS, variables
from stacks_pulumi.broker.permits import Ask, meet
from stacks_pulumi.broker.upstream import Look, Upstream
from stacks_pulumi.endpoints import ENDPOINTS
from tests.broker.conftest import Bench, Client, create, literal, permit
from tests.broker.test_changes import code
from tests.support.waiting import until

_WEB = "usr-abc12345-web"


def _about_web(endpoint: str, variable: str, others: str) -> Ask:
    """Return a request about the container `web`, which a path variable or the name in the body identifies."""
    names = variables(ENDPOINTS[endpoint])
    ids = {name: _WEB if name == variable else f"usr-abc12345-{others}-{name}" for name in names}
    return Ask(endpoint, ids, {"name": "web"} if endpoint == "containers.create" else {}, {})


_WAYS = [
    (endpoint, variable)
    for endpoint in EFFECTS
    for variable in (sorted(CONTAINERS.intersection(variables(ENDPOINTS[endpoint]))) or [""])
    if variable or endpoint == "containers.create"
]
_ABOUT_WEB, _ALSO = ([_about_web(*way, others) for way in _WAYS] for others in ("one", "two"))


@pytest.mark.parametrize("first", _ABOUT_WEB, ids=["-".join(filter(None, way)) for way in _WAYS])
def test_every_request_meets_every_request_about_its_container(first: Ask) -> None:
    """Two that only connect to it do not change it."""
    for second in _ALSO:
        only_connect = first.ids.get("target_id") == second.ids.get("target_id") == _WEB
        assert meet(first, second) == meet(second, first) == (not only_connect)


def test_requests_about_other_containers_and_objects_do_not_meet() -> None:
    others = [
        Ask("containers.create", {}, {"name": "data"}, {}),
        Ask("containers.delete", {"container_id": "usr-abc12345-data"}, {}, {}),
        Ask("backups.pin", {"backup_id": "7"}, {}, {}),
        Ask("connections.delete", {"connection_id": "7"}, {}, {}),
    ]

    assert not any(meet(one, other) for one in _ABOUT_WEB for other in others)
    assert not any(meet(one, other) for one, other in itertools.combinations(others[1:], 2))
    assert all(meet(one, one) for one in others)


def _restarts(bench: Bench, row: dict[str, Any], times: int = 9) -> tuple[Client, Any]:
    """Return a grant that may restart a container, and the request for it."""
    ids = {"container_id": literal(row)}
    grant = bench.granted(permit("containers.set_status", {"status": "restart"}, ids=ids, times=times))
    return grant, ("PUT", f"/containers/{row['id']}/status", {"status": "restart"})


def test_a_request_waits_for_another_grants_request_about_its_container_and_for_no_other(
    bench: Bench,
) -> None:
    """Also if the clock jumps meanwhile, such as on a machine that wakes."""
    web, data = bench.made("web"), bench.made("data")
    (first, of_web), (second, _), (third, of_data) = (_restarts(bench, row) for row in (web, web, data))
    bench.emulator.faults.add("containers.set_status", "slow", seconds=10.0)

    with ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(first, *of_web)
        until(lambda: bench.ledger.uses("state = 'sent'"))
        bench.clock.advance(41)
        answers = [code(second(*of_web)), third(*of_data).status_code, under_way.result().status_code]

    assert answers == [(409, "grant-busy"), 200, 200]
    assert second(*of_web).status_code == 200


def test_a_create_does_not_wait_for_a_request_of_its_own_grant_that_is_in_progress(bench: Bench) -> None:
    """The id of a container ends with the name of the new one."""
    web = bench.made("shop-web")
    restart = permit("containers.set_status", {"status": "restart"}, ids={"container_id": literal(web)})
    grant = bench.granted(restart, permit("containers.create", create("web")))
    bench.emulator.faults.add("containers.set_status", "slow", seconds=10.0)

    with ThreadPoolExecutor(1) as pool:
        pool.submit(grant, "PUT", f"/containers/{web['id']}/status", {"status": "restart"})
        until(lambda: bench.ledger.uses("state = 'sent'"))
        assert grant.create("web").status_code == 202


@pytest.mark.parametrize(("fault", "is_held"), [("drop_after", True), (500, True), (408, True), (400, False)])
def test_a_request_without_an_answer_holds_its_container_for_half_a_minute(
    bench: Bench, fault: Any, is_held: bool
) -> None:
    """The platform may still carry it out. After a refusal it does not."""
    web = bench.made("web")
    (first, restart), (second, _) = (_restarts(bench, web) for _ in range(2))
    bench.emulator.faults.add("containers.set_status", fault)
    assert first(*restart).status_code >= 400

    assert second(*restart).status_code == (409 if is_held else 200)
    assert first(*restart).status_code == 200
    bench.clock.advance(41)
    assert second(*restart).status_code == 200


def test_a_request_is_judged_by_a_look_that_is_newer_than_another_grants_request(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An address that was added after the look would be removed with the approved one."""
    web = bench.made("web", allowed_ips=["198.51.100.7"])
    del bench.emulator.state.containers[web["id"]].allowed_ips[:-1]
    ids = {"container_id": literal(web)}
    adds = bench.granted(permit("allowed_ips.add", {"ip_address": "198.51.100.9"}, ids=ids))
    closes = bench.granted(
        permit("containers.external_access", {"enabled": False}, ids=ids, only_address="198.51.100.7")
    )
    decoded, added = Upstream.decoded, list[requests.Response]()

    def then_added(self: Upstream, call: Any, *given: Any) -> Any:
        found = decoded(self, call, *given)
        if call.endpoint.name == "allowed_ips.list" and not added:
            added.append(adds("POST", f"/containers/{web['id']}/allowed-ips", {"ip_address": "198.51.100.9"}))
        return found

    monkeypatch.setattr(Upstream, "decoded", then_added)

    assert closes("PUT", f"/containers/{web['id']}/external-access", {"enabled": False}).status_code == 403
    assert added[0].ok
    assert len(bench.emulator.state.containers[web["id"]].allowed_ips) == 2


def test_a_look_is_as_old_as_the_oldest_list_in_it(bench: Bench) -> None:
    web = bench.made("web")
    upstream, (restarts, request) = bench.server.upstream, _restarts(bench, web)
    bench.clock.freeze()
    looks = [Look(upstream, upstream.patient()) for _ in range(2)]
    assert looks[0].container(web["id"]) is not None
    assert restarts(*request).status_code == 200

    looks[0].access(web["id"])
    # This one has the same list, which is still fresh.
    assert looks[1].container(web["id"]) is not None

    assert (upstream.settled(), *(look.settled for look in looks)) == (1, 0, 0)


def test_no_look_is_older_than_a_deletion(bench: Bench) -> None:
    """Its id is given again, so a secret of another container would be read."""
    web, upstream = bench.made("web"), bench.server.upstream
    removes = bench.granted(permit("containers.delete", ids={"container_id": literal(web)}))
    bench.clock.freeze()
    assert list(Look(upstream, upstream.patient()).containers)

    assert removes("DELETE", f"/containers/{web['id']}").status_code == 200
    assert not list(Look(upstream, upstream.patient()).containers)


def test_an_address_may_be_added_again_after_access_was_closed(bench: Bench) -> None:
    """The platform has cleared the list, so the earlier answer is not given again."""
    web = bench.made("web", allowed_ips=["198.51.100.7"])
    ids, path, body = (
        {"container_id": literal(web)},
        f"/containers/{web['id']}",
        {"ip_address": "198.51.100.9"},
    )
    grant = bench.granted(
        permit("allowed_ips.add", body, ids=ids),
        *(permit("containers.external_access", {"enabled": on}, ids=ids) for on in (False, True)),
    )
    assert grant("POST", f"{path}/allowed-ips", body).ok
    for on in (False, True):
        assert grant("PUT", f"{path}/external-access", {"enabled": on}).ok

    assert grant("POST", f"{path}/allowed-ips", body).ok
    assert "198.51.100.9" in [
        row.ip_address for row in bench.emulator.state.containers[web["id"]].allowed_ips
    ]


def test_a_list_from_before_a_machine_slept_is_read_again(bench: Bench) -> None:
    """Then one of its two clocks stands still, and somebody may have used the dashboard."""
    web, upstream, clock = bench.made("web"), bench.server.upstream, bench.clock
    clock.freeze()
    assert Look(upstream, upstream.patient()).container(web["id"]) is not None
    del bench.emulator.state.containers[web["id"]]
    asleep = clock.wall() + 3600
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clock, "wall", lambda: asleep)

        assert Look(upstream, upstream.patient()).container(web["id"]) is None
