"""
A create request with a lost response: neither a cancellation nor a deadline ends the search for its outcome.

The rate limit allows two requests a minute. So the read after the lost response waits for the next minute, and the
operation is cancelled in the meantime. If the read also ended, the new object would be in no state.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from stacks_pulumi import errors
from stacks_pulumi._clock import Pulse
from stacks_pulumi._identifiers import as_time
from stacks_pulumi.api._call import Handler
from stacks_pulumi.api._limiter import Limiter
from stacks_pulumi.api.allowed_ips import AllowedIpsApi
from stacks_pulumi.api.backups import BackupsApi
from stacks_pulumi.api.connections import ConnectionsApi
from stacks_pulumi.api.containers import ContainersApi
from stacks_pulumi.api.vpn_clients import VpnClientsApi
from tests.support.clock import FakeClock
from tests.unit.api.scripted_api import Script, chain, data, listed, refusal

LOST = errors.ConnectionFailedError("x", sent=True)
CONNECTION = {"id": "new", "connection_name": "main", "target_container": "usr-1-db"}

MADE = as_time(FakeClock().wall())

Act = Callable[[Handler, FakeClock, Callable[[], bool]], Any]

CASES: dict[str, tuple[str, str, Any, Any, Act]] = {
    "containers": (
        "containers.create",
        "containers.list",
        listed(),
        lambda _call: data([{"id": "usr-1-new", "name": "new", "type": "nodejs", "created_at": MADE}]),
        lambda send, clock, _gone: (
            ContainersApi(send, clock, lambda: 0.0, server_now=clock.wall)
            .create(name="new", template="nodejs")
            .name
        ),
    ),
    "connections": (
        "connections.create",
        "connections.list",
        data({"outgoing": []}),
        data({"outgoing": [CONNECTION]}),
        lambda send, clock, _gone: (
            ConnectionsApi(send, clock, ContainersApi(send, clock, lambda: 0.0).feed)
            .create("usr-1-app", "usr-1-db", name="main")
            .id
        ),
    ),
    "allowed_ips": (
        "allowed_ips.add",
        "allowed_ips.list",
        data({"allowed_ips": []}),
        data({"allowed_ips": [{"id": "new", "ip_address": "10.0.0.7"}]}),
        lambda send, clock, _gone: AllowedIpsApi(send, clock).add("a", "10.0.0.7").id,
    ),
    "vpn_clients": (
        "vpn_clients.add",
        "vpn_clients.list",
        data([]),
        data([{"name": "new"}]),
        lambda send, clock, _gone: VpnClientsApi(send, clock).add("v", "New").name,
    ),
    "backups": (
        "backups.trigger",
        "backups.list",
        data([{"id": 7, "backup_type": "manual"}]),
        data([{"id": 7, "backup_type": "manual"}, {"id": 8, "backup_type": "manual"}]),
        lambda send, clock, gone: {"8": "new"}[
            str(BackupsApi(send, clock, lambda: 0.0).start("a", deadline=1e9, cancelled=gone).id)
        ],
    ),
}


@pytest.mark.parametrize("noun", CASES)
@pytest.mark.parametrize("answer", [LOST, refusal(504), refusal(503)], ids=["lost", "504", "503"])
def test_a_cancelled_create_is_found_after_a_lost_response(clock: FakeClock, noun: str, answer: Any) -> None:
    create, look, before, after, act = CASES[noun]
    script = Script(**{create.replace(".", "__"): answer, look.replace(".", "__"): [before, after]})
    asked: list[float] = []

    def is_cancelled() -> bool:
        return create in script.operations

    def on_limit(_seconds: float, _queued: int) -> None:
        asked.append(clock.now())
        if is_cancelled():
            raise errors.WaitCancelledError("the engine is gone")

    assert act(chain(script, clock, Limiter(2, 4, clock, on_limit)), clock, is_cancelled) == "new"

    assert script.operations.count(create) == 1
    assert clock.now() > 1050  # the read had to wait, and
    assert asked == []  # no pulse was called meanwhile


LATER: dict[str, tuple[str, Callable[[str], Any], Callable[[Handler, FakeClock, Pulse], Any]]] = {
    "connections": (
        "connections.create",
        lambda time: {"outgoing": [{**CONNECTION, "created_at": time}]},
        lambda send, clock, pulse: ConnectionsApi(
            send, clock, ContainersApi(send, clock, lambda: 0.0).feed, server_now=clock.wall
        ).create("usr-1-app", "usr-1-db", name="main", before=(), pulse=pulse),
    ),
    "allowed_ips": (
        "allowed_ips.add",
        lambda time: {"allowed_ips": [{"id": "new", "ip_address": "10.0.0.7", "added_at": time}]},
        lambda send, clock, pulse: AllowedIpsApi(send, clock, server_now=clock.wall).add(
            "a", "10.0.0.7", before=(), pulse=pulse
        ),
    ),
    "vpn_clients": (
        "vpn_clients.add",
        lambda time: [{"name": "new", "created_at": time}],
        lambda send, clock, pulse: VpnClientsApi(send, clock, server_now=clock.wall).add(
            "v", "New", before=(), pulse=pulse
        ),
    ),
}


@pytest.mark.parametrize("noun", LATER)
def test_what_another_run_made_after_a_lost_request_is_not_found_for_a_cancelled_one(
    clock: FakeClock, noun: str
) -> None:
    create, row, act = LATER[noun]
    shown = data(row(as_time(clock.wall() + 8)))
    replies: dict[str, Any] = {create.replace(".", "__"): LOST, f"{noun}__list": shown}
    script = Script(**replies)

    def gone() -> None:
        if create in script.operations:
            raise errors.WaitCancelledError("the engine is gone")

    with pytest.raises(errors.StacksError, match="next run of the program"):
        act(chain(script, clock), clock, gone)
