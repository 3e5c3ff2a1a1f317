"""PinnedBackup on the real host: it manages the backup that it started, when it is complete and pinned."""

from __future__ import annotations

import dataclasses

import pytest

from stacks_pulumi.emulator import Emulator, backups
from tests.support.accounts import running
from tests.support.host import UNKNOWN, CallFailedError, Host, HostedResource, while_frozen
from tests.support.waiting import until


@pytest.fixture
def sql(emulator: Emulator) -> str:
    """Return the id of a running container."""
    return running(emulator, "sql", "postgresql")


@pytest.fixture
def backup(host: Host) -> HostedResource:
    """Return the resource of a backup that does not exist yet."""
    return host.resource("PinnedBackup", "before-v2")


def started(emulator: Emulator, count: int = 1) -> list[int]:
    """Create backups outside the program, and advance the clock until they are complete."""
    made = [backups.trigger(emulator.platform, emulator.state.container("sql")).id for _ in range(count)]
    emulator.advance(60)
    return made


def pins(emulator: Emulator) -> dict[int, bool]:
    """Return all backups and whether they are pinned."""
    return {number: found.pinned for number, found in emulator.state.backups.items()}


def warnings(backup: HostedResource) -> list[str]:
    """Return the warnings."""
    return [line.text for line in backup.host.engine.lines if line.severity == "WARNING"]


# --- check and diff ---


@pytest.mark.hosts("dynamic", "native")
def test_a_replacement_creates_before_it_deletes(backup: HostedResource, sql: str) -> None:
    backup.up(container=sql, triggers=["v2"])

    for change in ({"triggers": ["v3"]}, {"container": UNKNOWN}, {"triggers": [UNKNOWN]}):
        diff = backup.diff(backup.checked(**{"container": sql, "triggers": ["v2"], **change}))
        assert (list(diff.replaces), diff.deleteBeforeReplace) == (list(change), False)
    named = backup.diff(backup.checked(container=sql, backup_id=99))
    assert (sorted(named.replaces), named.deleteBeforeReplace) == (["backup_id"], False)


def test_a_replacement_of_the_container_is_refused_for_a_backup_that_is_named(
    backup: HostedResource, host: Host, emulator: Emulator
) -> None:
    container = host.resource("Container", "sql")
    wanted = {"name": "sql", "template": "postgresql", "replace_on_change": True}
    container.up(**wanted)
    (number,) = started(emulator)
    backup.up(container=container.id, backup_id=number)

    # The engine checks and compares the container first; in a preview, the new container has no id.
    container.diff(container.checked(**wanted, plan="premium"))
    refused = backup.check(container=UNKNOWN, backup_id=number)

    # If the engine recreates a dependent resource, it first compares the resource and then checks it without its state.
    backup.diff({**backup.inputs, "container": UNKNOWN})
    stored, backup.inputs = backup.inputs, {}
    assert backup.check(container=UNKNOWN, backup_id=number) == refused
    backup.inputs = stored
    assert refused.keys() == {"backup_id"}
    assert "this change replaces the container 'sql', which destroys its backups" in "".join(refused.values())
    # A backup of the program is created in the new container; a backup of another container stays.
    assert backup.check(container=UNKNOWN, triggers=["v2"]) == {}
    assert backup.check(container="usr-1-other", backup_id=number) == {}
    container.diff(container.checked(**wanted))
    assert backup.check(container=container.id, backup_id=number) == {}


# --- create ---


@pytest.mark.hosts("dynamic", "native")
def test_create_waits_for_the_backup_and_pins_it(
    backup: HostedResource, sql: str, emulator: Emulator
) -> None:
    (older,) = started(emulator)

    backup.up(container=sql, triggers=["v2"])

    number = backup.outs["backup_id"]
    assert pins(emulator) == {older: False, number: True}
    assert backup.id == f"{sql}/{number:.0f}"
    assert (True, "completed", "unpin") == tuple(backup.outs[k] for k in ("pinned", "status", "on_delete"))
    assert backup.outs["size_bytes"] > 0
    assert backup.outs["completed_at"].endswith("Z")
    # The requests: container, backups before, start, backups after (complete by then), pin, verification.
    assert emulator.calls() == 6
    assert backup.up(container=sql, triggers=["v2"]) == []
    assert emulator.calls() == 6


def test_progress_is_shown_during_a_backup(backup: HostedResource, sql: str, emulator: Emulator) -> None:
    emulator.platform.pace = dataclasses.replace(emulator.platform.pace, backup_seconds=0.05)

    raised = while_frozen(
        emulator,
        lambda: until(lambda: any(line.startswith("backup in_progress") for line in backup.lines())),
        lambda: backup.up(container=sql),
    )

    assert raised == [None, None]
    assert pins(emulator) == {1: True}


def test_a_stopped_container_is_an_immediate_error(
    backup: HostedResource, sql: str, emulator: Emulator
) -> None:
    emulator.drift.stop("sql")

    with pytest.raises(
        CallFailedError,
        match=r"a backup needs a running container, but .*-sql is stopped.*\[container-not-running\]",
    ):
        backup.up(container=sql)

    assert emulator.calls() == 1


def test_a_failed_backup_has_a_reason_and_the_next_up_retries(
    backup: HostedResource, sql: str, emulator: Emulator
) -> None:
    emulator.fail_backup("sql", "snapshot failed: no space left on device")

    with pytest.raises(
        CallFailedError, match=r'backup 1: is "failed" \(snapshot failed: no space.*\[backup-failed\]'
    ) as failure:
        backup.up(container=sql)

    assert failure.value.kept_id is None
    assert backup.up(container=sql) == ["create"]
    assert pins(emulator) == {1: False, 2: True}


def test_a_backup_that_times_out_is_pinned_by_the_next_up(
    backup: HostedResource, sql: str, emulator: Emulator
) -> None:
    emulator.platform.pace = dataclasses.replace(emulator.platform.pace, backup_seconds=3600)
    backup.timeout = 20

    with pytest.raises(CallFailedError, match=r"backup 1 of .* is not pinned") as failure:
        backup.up(container=sql)

    assert failure.value.kept_id == f"{sql}/1"
    emulator.advance(3600)
    backup.update(backup.checked(container=sql))
    # The platform may have created a nightly backup in the meantime.
    assert pins(emulator)[1] is True
    assert backup.outs["pinned"] is True


def test_a_backup_that_failed_after_the_timeout_is_retried(
    backup: HostedResource, sql: str, emulator: Emulator
) -> None:
    emulator.platform.pace = dataclasses.replace(emulator.platform.pace, backup_seconds=3600)
    emulator.fail_backup("sql", "disk full")
    backup.timeout = 20
    with pytest.raises(CallFailedError):
        backup.up(container=sql)
    emulator.advance(3600)
    backup.timeout = 0

    with pytest.raises(CallFailedError, match=r'"failed" \(disk full\).*pulumi up --refresh'):
        backup.update(backup.checked(container=sql))
    assert not backup.read()


def test_a_pin_that_the_list_does_not_show_is_an_error(
    backup: HostedResource, sql: str, emulator: Emulator
) -> None:
    emulator.faults.add("backups.pin", "answer", body={"success": True}, done=False)

    with pytest.raises(CallFailedError, match="its list shows it as not pinned"):
        backup.up(container=sql)


# --- an existing backup ---


def test_an_existing_backup_is_pinned_without_a_new_one(
    backup: HostedResource, sql: str, emulator: Emulator
) -> None:
    numbers = started(emulator, 2)

    backup.up(container=sql, backup_id=numbers[0])

    assert pins(emulator) == {numbers[0]: True, numbers[1]: False}
    assert emulator.calls() == 3
    assert backup.up(container=sql, backup_id=numbers[0]) == []


def test_an_unknown_backup_is_an_error_that_lists_the_known_ones(
    backup: HostedResource, sql: str, emulator: Emulator
) -> None:
    started(emulator, 2)

    with pytest.raises(CallFailedError, match="has no backup 99; it has 2, 1") as failure:
        backup.up(container=sql, backup_id=99)

    assert failure.value.kept_id is None


def test_a_backup_beyond_the_newest_100_is_kept_with_a_warning(
    backup: HostedResource, sql: str, emulator: Emulator
) -> None:
    started(emulator, 101)

    backup.up(container=sql, backup_id=1)

    assert pins(emulator)[1] is True
    assert "not among the newest 100" in warnings(backup)[-1]
    assert backup.read()
    assert warnings(backup)[-1].endswith("stays in the state unchanged")
    assert backup.up(container=sql, backup_id=1) == []


# --- update, replace, read ---


@pytest.mark.hosts("dynamic", "native")
def test_an_unpin_outside_is_drift_and_corrected(
    backup: HostedResource, sql: str, emulator: Emulator
) -> None:
    backup.up(container=sql)
    emulator.drift.unpin(1)

    assert backup.read()

    assert backup.outs["pinned"] is False
    assert backup.up(container=sql) == ["update"]
    assert pins(emulator) == {1: True}
    assert backup.up(container=sql) == []


def test_a_trigger_makes_a_new_backup_then_releases_the_old_one(
    backup: HostedResource, sql: str, emulator: Emulator
) -> None:
    backup.up(container=sql, triggers=["v1"])

    assert backup.up(container=sql, triggers=["v2"]) == ["replace"]

    assert pins(emulator) == {1: False, 2: True}
    operations = [request.operation for request in emulator.requests]
    assert operations.index("backups.unpin") > len(operations) - 1 - operations[::-1].index("backups.pin")


@pytest.mark.parametrize(
    ("on_delete", "left"), [("unpin", {1: False}), ("delete", {}), ("keep", {1: True}), (None, {1: False})]
)
def test_delete_unpins_or_deletes_the_backup(
    backup: HostedResource, sql: str, emulator: Emulator, on_delete: str | None, left: dict[int, bool]
) -> None:
    backup.up(container=sql)
    calls = emulator.calls()
    if on_delete not in {None, "unpin"}:
        assert backup.up(container=sql, on_delete=on_delete) == ["update"]
    assert emulator.calls() == calls

    backup.delete()

    assert pins(emulator) == left
    # A `destroy` next deletes the container with its backups.
    kept = any("stays pinned as long as its container exists" in line for line in backup.lines())
    assert kept is (on_delete == "keep")


@pytest.mark.hosts("dynamic", "native")
def test_a_look_up_by_id_reads_the_backup(backup: HostedResource, sql: str, emulator: Emulator) -> None:
    emulator.fail_backup("sql", "disk full")
    failed, complete = started(emulator, 2)

    assert backup.get(f"{sql}/{complete}")
    assert (sql, complete, False) == tuple(backup.outs[k] for k in ("container", "backup_id", "pinned"))

    assert backup.get(f"{sql}/{failed}")
    assert backup.outs["status"] == "failed"

    with pytest.raises(CallFailedError, match=r"does not exist in this account"):
        backup.get(f"{sql}/latest")
