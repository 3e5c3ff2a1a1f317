from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
import responses
from responses.matchers import query_param_matcher

from stacks_pulumi import errors
from stacks_pulumi._identifiers import as_time
from stacks_pulumi.api import StacksClient, models
from stacks_pulumi.api._call import Answer, Call
from stacks_pulumi.api.backups import BackupsApi
from tests.support.clock import FakeClock
from tests.unit.api.scripted_api import URL, Reply, Script, chain, data, ok, refusal


def entry(id: int, status: str = "completed", backup_type: str = "manual", **more: Any) -> dict[str, Any]:
    return {"id": id, "container_id": "a", "backup_type": backup_type, "status": status, "pinned": 0, **more}


def backups(script: Callable[[Call[Any]], Answer], clock: FakeClock) -> BackupsApi:
    return BackupsApi(chain(script, clock), clock, lambda: 0.0)


def test_list(client: StacksClient, http: responses.RequestsMock) -> None:
    http.get(
        f"{URL}/containers/a/backups",
        json={"data": [entry(178)]},
        match=[query_param_matcher({"limit": "7"})],
    )

    (found,) = client.backups.list("a", limit=7)

    assert found == models.Backup(
        id=178, container_id="a", backup_type="manual", status="completed", pinned=False
    )


@pytest.mark.parametrize(
    "body", [{"success": True, "data": {"status": "in_progress"}}, {"data": {"id": 7}}, []]
)
def test_trigger(client: StacksClient, http: responses.RequestsMock, body: Any) -> None:
    http.post(f"{URL}/containers/a/backup", status=202, json=body)

    client.backups.trigger("a")


def test_stats(client: StacksClient, http: responses.RequestsMock) -> None:
    http.get(
        f"{URL}/backups/stats",
        json={"data": {"total_backups": 32, "failed_backups": "0", "total_size_bytes": "5"}},
    )

    assert client.backups.stats() == models.BackupStats(
        total_backups=32, failed_backups=0, total_size_bytes=5
    )


@pytest.mark.parametrize("verb", ["restore", "pin", "unpin"])
def test_restore_pin_and_unpin(client: StacksClient, http: responses.RequestsMock, verb: str) -> None:
    http.post(f"{URL}/backups/178/{verb}", json={"success": True})

    {"restore": client.backups.restore, "pin": client.backups.pin, "unpin": client.backups.unpin}[verb](178)


def test_delete(client: StacksClient, http: responses.RequestsMock) -> None:
    http.delete(f"{URL}/backups/178", json={"success": True})

    client.backups.delete(178)


@pytest.mark.parametrize(("verb", "attempts"), [("pin", 2), ("unpin", 2), ("restore", 1)])
def test_a_pin_is_retried_after_a_lost_response_and_a_restore_is_not(
    clock: FakeClock, verb: str, attempts: int
) -> None:
    lost_then_good: list[Reply] = [errors.ConnectionFailedError("x", sent=True), ok({"success": True})]
    script = Script(**{f"backups__{verb}": lost_then_good})
    nouns = backups(script, clock)
    act = {"pin": nouns.pin, "unpin": nouns.unpin, "restore": nouns.restore}[verb]

    if attempts == 1:
        with pytest.raises(errors.ConnectionFailedError):
            act(7)
    else:
        act(7)
    assert len(script.calls) == attempts


class Store:
    """A fake API: a requested backup is listed after a delay, and complete after a second delay."""

    def __init__(self, clock: FakeClock, *, shows_after: float = 1.5, done_after: float = 6.0) -> None:
        self.clock = clock
        self.shows_after = shows_after
        self.done_after = done_after
        self.entries: list[tuple[float, dict[str, Any]]] = [(0.0, entry(10, backup_type="scheduled"))]
        self.replies: list[Answer | BaseException] = []
        self.asked = 0
        self._lock = threading.Lock()

    def add(self, **more: Any) -> None:
        self.entries.append((self.clock.now(), entry(self.entries[-1][1]["id"] + 1, **more)))

    def __call__(self, call: Call[Any]) -> Answer:
        self.clock.sleep(0.05)
        with self._lock:
            if call.endpoint.name == "backups.trigger":
                self.asked += 1
                reply = self.replies.pop(0) if self.replies else None
                if not isinstance(reply, Answer) or reply.status != 400:
                    self.add()
                if isinstance(reply, BaseException):
                    raise reply
                return reply or data({"container_id": "a", "status": "in_progress"}, 202)
            now = self.clock.now()
            return data(
                [
                    {**given, "status": "completed" if now - since > self.done_after else "in_progress"}
                    for since, given in self.entries
                    if now - since > self.shows_after
                ]
            )


def test_start_finds_the_backup_that_the_answer_does_not_name(clock: FakeClock) -> None:
    ticks: list[float] = []
    store = Store(clock)

    made = backups(store, clock).start(
        "a", deadline=clock.now() + 60, on_tick=lambda seen, elapsed: ticks.append(elapsed)
    )

    assert (made.id, made.status) == (11, "in_progress")
    assert store.asked == 1
    assert ticks


def test_an_id_in_the_answer_shows_nothing(clock: FakeClock) -> None:
    """The guide's answer contains no id, so an id in an answer may be the id of a job."""
    lists: list[Reply] = [data([entry(10)]), data([entry(10)]), data([entry(10), entry(11)])]
    script = Script(backups__list=lists, backups__trigger=data({"id": 10, "backup_id": 10}, 202))

    assert backups(script, clock).start("a", deadline=clock.now() + 60).id == 11


def test_numbers_may_have_no_order(clock: FakeClock) -> None:
    lists: list[Reply] = [data([entry(500)]), data([entry(500), entry(77)])]
    script = Script(backups__list=lists, backups__trigger=data({}, 202))

    assert backups(script, clock).start("a", deadline=clock.now() + 60).id == 77


def test_a_field_that_no_list_shows_readably_does_not_hide_the_new_backup(clock: FakeClock) -> None:
    lists: list[Reply] = [data([]), data([entry(11, size_bytes="7 MB")])]
    script = Script(backups__list=lists, backups__trigger=data({}, 202))

    assert backups(script, clock).start("a", deadline=clock.now() + 60).id == 11


def test_a_backup_that_is_older_than_the_request_is_not_the_result(clock: FakeClock) -> None:
    """The list before the request was outdated, and a list after it shows a backup that is some seconds old."""
    now = clock.wall()
    lists = [[], [entry(1, created_at=as_time(now - 8))], [entry(2, created_at=as_time(now + 1))]]
    script = Script(backups__list=[data(rows) for rows in lists], backups__trigger=data({}, 202))
    api = BackupsApi(chain(script, clock), clock, lambda: 0.0, server_now=clock.wall)

    assert api.start("a", deadline=clock.now() + 60).id == 2


def test_two_starts_of_one_container_find_two_backups(clock: FakeClock) -> None:
    nouns = backups(Store(clock), clock)

    made = clock.run(*[lambda: nouns.start("a", deadline=clock.now() + 60)] * 3)

    assert sorted(backup.id for backup in made) == [11, 12, 13]


def test_a_scheduled_backup_meanwhile_is_not_the_result(clock: FakeClock) -> None:
    store = Store(clock)
    store.add(backup_type="scheduled")
    store.entries[-1] = (clock.now() + 0.01, store.entries[-1][1])

    assert backups(store, clock).start("a", deadline=clock.now() + 60).id == 12


def test_a_refusal_is_raised_and_the_next_start_runs(clock: FakeClock) -> None:
    store = Store(clock)
    store.replies = [refusal(400, "Container must be running")]
    nouns = backups(store, clock)

    with pytest.raises(errors.BadRequestError, match="must be running"):
        nouns.start("a", deadline=clock.now() + 60)
    assert nouns.start("a", deadline=clock.now() + 60).id == 11


def test_a_backup_that_never_appears_times_out(clock: FakeClock) -> None:
    store = Store(clock, shows_after=1e6)

    with pytest.raises(errors.WaitTimeoutError, match="backup of container a: not listed after 30 s"):
        backups(store, clock).start("a", deadline=clock.now() + 30)
    assert store.asked == 1


@pytest.mark.parametrize("status", [401, 403])
def test_start_says_that_a_backup_was_started_before_the_key_was_revoked(
    clock: FakeClock, status: int
) -> None:
    script = Script(
        backups__list=[data([entry(10)]), refusal(status)],
        backups__trigger=data({"status": "in_progress"}, 202),
    )

    with pytest.raises(errors.StacksError, match=rf"\({status}.*was started before that"):
        backups(script, clock).start("a", deadline=clock.now() + 60)
    assert script.operations == ["backups.list", "backups.trigger", "backups.list"]


def test_a_start_that_is_cancelled_after_it_was_accepted_finds_the_backup(clock: FakeClock) -> None:
    store = Store(clock, shows_after=8)

    made = backups(store, clock).start("a", deadline=1e9, cancelled=lambda: clock.now() > 1004)

    assert (made.id, store.asked) == (11, 1)


def test_a_cancelled_start_ends_although_the_backup_never_appears(clock: FakeClock) -> None:
    store = Store(clock, shows_after=1e6)

    with pytest.raises(errors.StacksError, match="the outcome of the request is unknown"):
        backups(store, clock).start("a", deadline=1e9, cancelled=lambda: clock.now() > 1004)
    assert clock.now() < 1080
    assert store.asked == 1


def test_a_possible_scheduled_backup_is_not_the_result(clock: FakeClock) -> None:
    odd = {**entry(11), "backup_type": []}
    script = Script(
        backups__list=[data([entry(10)]), data([entry(10), odd]), data([entry(10), odd, entry(12)])],
        backups__trigger=data({}, 202),
    )

    with pytest.raises(errors.WaitTimeoutError):
        backups(script, clock).start("a", deadline=clock.now() + 30)


def test_a_start_needs_a_complete_list(clock: FakeClock) -> None:
    script = Script(backups__list=data([entry(10), {"id": []}]))

    with pytest.raises(errors.UnreadableAnswerError, match="incomplete"):
        backups(script, clock).start("a", deadline=clock.now() + 30)
    assert script.operations == ["backups.list"]


def test_absence_from_an_incomplete_list_is_no_deletion(clock: FakeClock) -> None:
    looks: list[Reply] = [*[data([{"id": []}])] * 5, data([entry(11, "completed")])]

    assert backups(Script(backups__list=looks), clock).wait("a", 11, deadline=clock.now() + 60).id == 11


@pytest.mark.parametrize("reason", ["cancelled", "deadline"])
def test_a_start_that_ends_after_a_lost_answer_still_looks_for_the_backup(
    clock: FakeClock, reason: str
) -> None:
    store = Store(clock, shows_after=2)
    store.replies = [errors.ConnectionFailedError("x", sent=True)]
    is_cancelled = reason == "cancelled"

    made = backups(store, clock).start(
        "a", deadline=1e9 if is_cancelled else 1000.1, cancelled=lambda: is_cancelled and clock.now() > 1000.1
    )

    assert (made.id, store.asked) == (11, 1)


def test_a_start_that_is_cancelled_after_a_lost_answer_sends_nothing_again(clock: FakeClock) -> None:
    store = Store(clock, shows_after=1e6)
    store.replies = [errors.ConnectionFailedError("x", sent=True)]

    with pytest.raises(errors.ConnectionFailedError, match="the outcome of the request is unknown"):
        backups(store, clock).start("a", deadline=1e9, cancelled=lambda: clock.now() > 1000.1)
    assert store.asked == 1
    assert clock.now() < 1060


def test_a_start_that_waits_for_its_turn_can_be_cancelled(clock: FakeClock) -> None:
    nouns = backups(Store(clock, shows_after=20), clock)

    first, second = clock.run(
        lambda: nouns.start("a", deadline=clock.now() + 60),
        lambda: nouns.start("a", deadline=clock.now() + 60, cancelled=lambda: clock.now() > 1004),
    )

    kinds = {type(first), type(second)}
    assert errors.WaitCancelledError in kinds


def test_starts_of_different_containers_do_not_wait_for_each_other(clock: FakeClock) -> None:
    nouns = backups(Store(clock, shows_after=0.0), clock)

    clock.run(*[lambda name=name: nouns.start(name, deadline=clock.now() + 60) for name in "abc"])

    assert clock.now() - 1000 < 3


def test_wait_until_it_is_complete(clock: FakeClock) -> None:
    seen: list[str | None] = []
    nouns = backups(Store(clock), clock)
    made = nouns.start("a", deadline=clock.now() + 60)

    done = nouns.wait(
        "a",
        made.id,
        deadline=clock.now() + 60,
        on_tick=lambda backup, elapsed: seen.append(backup.status if backup else None),
    )

    assert done.status == "completed"
    assert "in_progress" in seen


def test_a_failed_backup_has_the_reason_of_the_api(clock: FakeClock) -> None:
    script = Script(backups__list=data([entry(11, "failed", error_message="disk full")]))

    what = r'backup 11: is "failed" \(disk full\) after 1 s, wanted completed; check it in the dashboard'
    with pytest.raises(errors.UnexpectedStateError, match=what):
        backups(script, clock).wait("a", 11, deadline=clock.now() + 60)


def test_a_deleted_backup_ends_the_wait(clock: FakeClock) -> None:
    with pytest.raises(errors.VanishedError):
        backups(Script(backups__list=data([])), clock).wait("a", 11, deadline=clock.now() + 60)


def test_a_backup_that_a_list_with_a_gap_does_not_show_is_waited_for(clock: FakeClock) -> None:
    def listed(_call: Call[Any]) -> Answer:
        shown = [entry(12), *([entry(11, "completed")] if clock.now() > began + 30 else [])]
        return ok({"data": shown, "has_more": True})

    began = clock.now()
    script = Script(backups__list=listed)

    assert backups(script, clock).wait("a", 11, deadline=clock.now() + 60).status == "completed"


def test_a_full_list_is_enough_for_a_start(clock: FakeClock) -> None:
    earlier = [entry(number) for number in range(1, 101)]
    script = Script(
        backups__list=[data(earlier), data([entry(101), *earlier[1:]])], backups__trigger=data({}, 202)
    )

    assert backups(script, clock).start("a", deadline=clock.now() + 60).id == 101


@pytest.mark.parametrize("status", [503, 409])
def test_a_deletion_is_confirmed_by_two_lists(clock: FakeClock, status: int) -> None:
    script = Script(backups__delete=refusal(status), backups__list=[data([]), data([entry(7)])])

    with pytest.raises(errors.ApiError):
        backups(script, clock).delete(7, container_id="a")
    assert script.operations.count("backups.list") == 2
