"""
Deletions and changes that are refused or whose response is lost: the object's current state decides.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from stacks_pulumi import errors
from stacks_pulumi.api._call import Answer, Handler
from stacks_pulumi.api._limiter import Limiter
from stacks_pulumi.api.allowed_ips import AllowedIpsApi
from stacks_pulumi.api.backups import BackupsApi
from stacks_pulumi.api.connections import ConnectionsApi
from stacks_pulumi.api.containers import ContainersApi
from stacks_pulumi.api.once import may_be_done, settle
from stacks_pulumi.api.vpn_clients import VpnClientsApi
from tests.support.clock import FakeClock
from tests.unit.api.scripted_api import Script, a_call, chain, data, ok, refusal

LOST = errors.ConnectionFailedError("x", sent=True)


@dataclass
class Case:
    """
    A change at the API.

    Attributes:
        operation: Its operation.
        look: The operation that reads the current state.
        act: Sends the change.
        reached: The result of the read if the change took effect.
        not_reached: The result of the read if the change did not take effect.
        unreadable: A result of the read that shows neither.
        calls: The number of reads: an absence counts only if a second read confirms it.
    """

    operation: str
    look: str
    act: Callable[[ContainersApi, Handler, FakeClock], object]
    reached: Answer
    not_reached: Answer
    unreadable: Answer
    calls: int = 1

    def __repr__(self) -> str:
        return self.operation

    def run(self, clock: FakeClock, answers: Any, look: Any, limiter: Limiter | None = None) -> Script:
        """Return the scripted answers after the change."""
        script = Script(**{self.operation.replace(".", "__"): answers, self.look.replace(".", "__"): look})
        send = chain(script, clock, limiter)
        self.act(ContainersApi(send, clock, lambda: 0.0), send, clock)
        return script


def rows(*ids: Any, **more: Any) -> Answer:
    return data([{"id": id_, **more} for id_ in ids])


def clients(*names: Any) -> Answer:
    return data([{"name": name} for name in names])


def status(value: str) -> Answer:
    return ok({"id": "a", "status": value})


def access(enabled: Any, *ids: Any) -> Answer:
    entries = [{"id": id_, "ip_address": "198.51.100.8"} for id_ in ids]
    return data({"external_access_enabled": enabled, "allowed_ips": entries})


def outgoing(*ids: Any) -> Answer:
    return data({"outgoing": [{"id": id_} for id_ in ids]})


CASES = [
    Case(
        "containers.delete",
        "containers.status",
        lambda nouns, _send, _clock: nouns.delete("a"),
        refusal(404),
        status("running"),
        refusal(500),
    ),
    Case(
        "containers.delete",
        "containers.status",
        lambda nouns, _send, _clock: nouns.delete("a"),
        status("Deleting"),
        status("error"),
        ok({"id": []}),
    ),
    *(
        Case(
            "containers.external_access",
            "allowed_ips.list",
            lambda nouns, _send, _clock, enabled=enabled: nouns.external_access("a", enabled=enabled),  # type: ignore[misc]  # bound for each
            access(enabled),
            access(not enabled),
            access("maybe"),
        )
        for enabled in (True, False)
    ),
    Case(
        "containers.set_status",
        "containers.status",
        lambda nouns, _send, _clock: nouns.set_status("a", "stopped"),
        status("stopped"),
        status("running"),
        refusal(500),
    ),
    Case(
        "allowed_ips.remove",
        "allowed_ips.list",
        lambda _nouns, send, clock: AllowedIpsApi(send, clock).remove("a", "1"),
        access(True, "2"),  # noqa: FBT003  (external access)
        access(True, "1", "2"),  # noqa: FBT003  (external access)
        access(True, "2", []),  # noqa: FBT003  (external access)
        calls=2,
    ),
    Case(
        "connections.delete",
        "connections.list",
        lambda nouns, send, clock: ConnectionsApi(send, clock, nouns.feed).delete("c", source_id="a"),
        outgoing("d"),
        outgoing("c", "d"),
        outgoing("d", ""),
        calls=2,
    ),
    Case(
        "vpn_clients.remove",
        "vpn_clients.list",
        lambda _nouns, send, clock: VpnClientsApi(send, clock).remove("v", "Laptop"),
        clients("phone"),
        clients("phone", "laptop"),
        clients("phone", []),
        calls=2,
    ),
    Case(
        "backups.pin",
        "backups.list",
        lambda _nouns, send, clock: BackupsApi(send, clock, lambda: 0.0).pin(7, container_id="a"),
        rows(7, pinned=1),
        rows(7, pinned=0),
        rows(7),
    ),
    Case(
        "backups.unpin",
        "backups.list",
        lambda _nouns, send, clock: BackupsApi(send, clock, lambda: 0.0).unpin(7, container_id="a"),
        rows(7, pinned=0),
        rows(7, pinned=1),
        rows(7, pinned=[]),
    ),
    Case(
        "backups.delete",
        "backups.list",
        lambda _nouns, send, clock: BackupsApi(send, clock, lambda: 0.0).delete(7, container_id="a"),
        rows(8),
        rows(7, 8),
        rows(*range(8, 108)),
        calls=2,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=repr)
@pytest.mark.parametrize("refused", [refusal(400, "no"), refusal(409, "already")])
@pytest.mark.parametrize("first", [[LOST], [refusal(502)], []], ids=["lost", "502", "first"])
def test_a_refused_change_whose_state_is_reached_is_success(
    clock: FakeClock, case: Case, refused: Any, first: list[Any]
) -> None:
    script = case.run(clock, [*first, refused], case.reached)

    assert script.operations == [case.operation] * (len(first) + 1) + [case.look] * case.calls


@pytest.mark.parametrize("case", CASES, ids=repr)
@pytest.mark.parametrize(
    ("shown", "kind"), [("not_reached", errors.BadRequestError), ("unreadable", errors.ApiError)]
)
def test_a_refused_change_whose_state_is_not_reached_or_not_seen_is_that_error(
    clock: FakeClock, case: Case, shown: str, kind: type[errors.ApiError]
) -> None:
    with pytest.raises(kind, match="it cannot be"):
        case.run(clock, [LOST, refusal(400, "it cannot be")], getattr(case, shown))


@pytest.mark.parametrize("case", CASES, ids=repr)
def test_repeatedly_lost_responses_are_resolved_by_the_state(clock: FakeClock, case: Case) -> None:
    script = case.run(clock, LOST, case.reached)
    assert script.operations == [case.operation] * 5 + [case.look] * case.calls

    with pytest.raises(errors.ConnectionFailedError):
        case.run(clock, LOST, case.not_reached)


@pytest.mark.parametrize("case", CASES, ids=repr)
@pytest.mark.parametrize(
    ("answers", "unknown"),
    [
        (refusal(500), True),
        ([LOST, refusal(400)], True),
        ([LOST, refusal(404)], True),
        (refusal(400), False),
    ],
)
def test_a_failed_look_is_an_unknown_outcome(
    clock: FakeClock, case: Case, answers: Any, unknown: bool
) -> None:
    with pytest.raises(errors.ApiError) as failed:
        case.run(clock, answers, refusal(500))

    assert (
        "so the outcome of the request is unknown: check the STACKS dashboard" in failed.value.message
    ) is unknown
    assert (failed.value.code == "outcome-unknown") is unknown
    # A refusal would have its usual meaning: a 404 would mean "does not exist".
    assert isinstance(failed.value, (errors.BadRequestError, errors.NotFoundError)) is not unknown


@pytest.mark.parametrize("case", CASES, ids=repr)
def test_a_refusal_of_another_kind_is_raised_without_a_look(clock: FakeClock, case: Case) -> None:
    with pytest.raises(errors.ForbiddenError):
        case.run(clock, refusal(403), errors.ConfigError("no look is made"))


@pytest.mark.parametrize("case", CASES, ids=repr)
def test_a_404_at_the_first_attempt_is_raised(clock: FakeClock, case: Case) -> None:
    with pytest.raises(errors.NotFoundError):
        case.run(clock, refusal(404), errors.ConfigError("no look is made"))


@pytest.mark.parametrize("case", CASES, ids=repr)
def test_a_cancellation_does_not_end_the_look_after_an_unknown_outcome(clock: FakeClock, case: Case) -> None:
    def gone(_seconds: float, _queued: int) -> None:
        raise errors.WaitCancelledError("the engine is gone")

    case.run(clock, [LOST, refusal(400)], case.reached, Limiter(2, 4, clock, gone))

    assert clock.now() > 1059  # the read had to wait for the next window


def test_without_its_container_a_refused_change_of_a_backup_is_an_error(clock: FakeClock) -> None:
    script = Script(
        backups__unpin=refusal(400), backups__delete=refusal(400), connections__delete=refusal(400)
    )
    send = chain(script, clock)
    backups = BackupsApi(send, clock, lambda: 0.0)
    nouns = ConnectionsApi(send, clock, ContainersApi(send, clock, lambda: 0.0).feed)

    with pytest.raises(errors.BadRequestError):
        backups.unpin(7)
    with pytest.raises(errors.BadRequestError):
        backups.delete(7)
    with pytest.raises(errors.BadRequestError):
        nouns.delete("c")


@pytest.mark.parametrize(("answers", "doubtful"), [([LOST, refusal(400)], True), ([refusal(400)], False)])
def test_the_look_knows_of_a_possible_earlier_success(clock: FakeClock, answers: Any, doubtful: bool) -> None:
    told: list[bool] = []

    def look(error: errors.StacksError) -> str:
        told.append(may_be_done(error))
        return "seen"

    assert settle(chain(Script(tests__any=answers), clock), a_call("PUT"), look) == "seen"
    assert told == [doubtful]
