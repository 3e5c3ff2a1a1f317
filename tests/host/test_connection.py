"""Connection on the real host: it is created when both ends run; a source restarts once for all its connections."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stacks_pulumi.emulator import Emulator, backups, containers
from tests.support.accounts import running
from tests.support.host import SECRET, UNKNOWN, CallFailedError, Host, HostedResource, in_parallel
from tests.support.waiting import until


@pytest.fixture
def app(emulator: Emulator) -> str:
    """Return the id of a container to connect from."""
    return running(emulator, "app")


@pytest.fixture
def db(emulator: Emulator) -> str:
    """Return the id of a container to connect to."""
    return running(emulator, "sql", "postgresql")


@pytest.fixture
def link(host: Host) -> HostedResource:
    """Return the resource of a connection that does not exist yet."""
    return host.resource("Connection", "app-to-db")


def quick(app: str, db: str, **more: Any) -> dict[str, Any]:
    """Return the inputs of a connection that restarts nothing, to save time."""
    return {"source": app, "target": db, "name": "primary db/1", "restart_source": False, **more}


def restarts(emulator: Emulator) -> int:
    """Return the number of a container's restarts."""
    return emulator.calls("containers.set_status")


# --- check and diff ---


@pytest.mark.hosts("dynamic", "native")
def test_everything_but_provider_options_replaces(link: HostedResource, app: str, db: str) -> None:
    link.up(**quick(app, db))

    for change, first in (
        ({"target": "usr-1-other"}, True),
        ({"target": UNKNOWN}, True),
        ({"name": "other"}, True),
        ({"source": "usr-1-other"}, False),
        ({"source": UNKNOWN}, False),
    ):
        diff = link.diff(link.checked(**{**quick(app, db), **change}))
        assert (list(diff.replaces), diff.deleteBeforeReplace) == (list(change), first)
    assert link.up(**quick(app, db, restart_source=True, adopt="if_matching")) == []


def test_a_list_from_before_a_start_of_this_operation_does_not_end_a_connection(
    host: Host, link: HostedResource, emulator: Emulator, app: str
) -> None:
    sql = host.resource("Container", "sql")
    sql.up(name="sql", template="postgresql")
    emulator.drift.fail("sql")
    sql.read()
    sql.update(sql.checked(name="sql", template="postgresql"))
    rows = [
        {"id": app, "name": "app", "type": "nodejs", "status": "running"},
        {"id": sql.id, "name": "sql", "type": "postgresql", "status": "error"},
    ]
    old = emulator.faults.add("containers.list", "answer", body={"data": rows})

    link.up(**quick(app, sql.id))

    assert old.fired == 1
    assert link.id.startswith(app)


# --- create ---


@pytest.mark.hosts("dynamic", "native")
def test_create_returns_the_outputs(link: HostedResource, app: str, db: str, emulator: Emulator) -> None:
    link.up(source=app, target=db, name="primary-db")

    (made,) = emulator.state.connections.values()
    assert (app, db, "primary-db") == (made.source, made.target, made.name)
    assert link.id == f"{app}/{made.id}"
    assert link.outs["connection_type"] == "postgresql"
    assert link.outs["environment_variables"]["POSTGRES_HOST"] == db
    assert link.outs["connection_string"] == f"postgresql://postgres:****@{db}:5432/postgres"


@pytest.mark.hosts("dynamic", "native")
def test_the_targets_credentials_are_secret(link: HostedResource, app: str, db: str) -> None:
    link.up(source=app, target=db, name="primary-db")

    for name in ("environment_variables", "connection_string"):
        assert SECRET.items() <= link.raw[name].items()


def test_a_create_restarts_the_source_once(
    link: HostedResource, app: str, db: str, emulator: Emulator
) -> None:
    link.up(source=app, target=db, name="primary-db")

    assert emulator.state.container("app").env_pending is False
    assert restarts(emulator) == 1
    # The requests: both ends, the connections, the creation, the restart, the status after it.
    assert emulator.calls() == 5
    assert link.up(source=app, target=db, name="primary-db") == []
    assert emulator.calls() == 5


def test_without_a_restart_the_source_keeps_running(
    link: HostedResource, app: str, db: str, emulator: Emulator
) -> None:
    link.up(**quick(app, db))

    assert (0, True) == (restarts(emulator), emulator.state.container("app").env_pending)


def test_concurrent_connections_share_one_restart_of_each_source(
    host: Host, app: str, db: str, emulator: Emulator
) -> None:
    web, cache = running(emulator, "web"), running(emulator, "cache", "redis")
    pairs = [(app, db), (app, cache), (app, web), (web, db), (web, cache)]
    links = [host.resource("Connection", f"link-{number}") for number in range(len(pairs))]

    raised = in_parallel(
        *(
            lambda link=link, pair=pair: link.up(source=pair[0], target=pair[1], name=link.name)
            for link, pair in zip(links, pairs, strict=True)
        )
    )

    assert raised == [None] * len(pairs)
    assert len(emulator.state.connections) == len(pairs)
    # One restart for each source; on a slow machine, the connections may not be concurrent.
    assert 2 <= restarts(emulator) < len(pairs)
    assert not any(emulator.state.container(name).env_pending for name in ("app", "web"))


def test_both_ends_are_waited_for(link: HostedResource, app: str, db: str, emulator: Emulator) -> None:
    emulator.platform.pace = dataclasses.replace(emulator.platform.pace, action_seconds=3600)
    for name in ("app", "sql"):
        emulator.drift.stop(name)
        containers.set_status(emulator.platform, emulator.state.container(name), "running")

    connecting = threading.Thread(target=link.up, kwargs=quick(app, db))
    connecting.start()
    until(lambda: "app: starting" in link.lines(), alive=connecting.is_alive)
    emulator.advance(3600)
    connecting.join()

    assert link.id != ""


@pytest.mark.parametrize("end", ["app", "sql"])
def test_a_stopped_end_is_an_immediate_error(
    link: HostedResource, app: str, db: str, emulator: Emulator, end: str
) -> None:
    emulator.drift.stop(end)

    with pytest.raises(
        CallFailedError, match=rf"a running container, but .*-{end} is stopped: start it .desired"
    ):
        link.up(**quick(app, db))

    assert emulator.calls() == 1


def test_an_end_in_another_account_is_an_error(link: HostedResource, app: str, emulator: Emulator) -> None:
    emulator.new_key(account=emulator.new_account(), label="other")
    theirs = running(emulator, "sql", "postgresql", key="other")

    with pytest.raises(
        CallFailedError, match=r"account has no container with that id.*in another account.* \[not-found\]$"
    ):
        link.up(**quick(app, theirs))

    assert emulator.calls("connections.create") == 0


def test_a_lost_response_creates_no_second_connection(
    link: HostedResource, app: str, db: str, emulator: Emulator
) -> None:
    emulator.faults.add("connections.create", "drop_after")

    link.up(**quick(app, db))

    assert list(emulator.state.connections) == [link.id.rpartition("/")[2]]
    # Only the answer to the creation contains them.
    assert "environment_variables" not in link.outs
    assert link.outs["connection_string"].startswith("postgresql://")


def test_a_failed_restart_keeps_the_connection_and_is_retried(
    link: HostedResource, app: str, db: str, emulator: Emulator
) -> None:
    emulator.faults.add("containers.set_status", "status", code=403)

    with pytest.raises(
        CallFailedError, match=r"was created, but its source .* could not be restarted"
    ) as failure:
        link.up(source=app, target=db, name="primary-db")

    assert failure.value.kept_id == link.id != ""
    assert SECRET.items() <= failure.value.kept["connection_string"].items()
    # A refresh does not report the pending restart; the state still contains it.
    assert link.read()
    assert link.up(source=app, target=db, name="primary-db") == ["update"]
    assert link.up(source=app, target=db, name="primary-db") == []
    assert emulator.state.container("app").env_pending is False
    assert link.outs["environment_variables"]["POSTGRES_HOST"] == db


# --- adoption ---


def test_an_equal_connection_is_adopted_only_if_asked(
    link: HostedResource, app: str, db: str, emulator: Emulator
) -> None:
    made = emulator.drift.connect("app", "sql", "primary db/1")

    with pytest.raises(CallFailedError, match=f"{made.id}. exists already") as failure:
        link.up(**quick(app, db))
    assert link.host.worded('stacks.Connection("app-to-db", ..., adopt="if_matching")') in str(failure.value)

    link.up(**quick(app, db, adopt="if_matching", restart_source=True))
    assert link.id == f"{app}/{made.id}"
    # The source already uses the connection, so it needs no restart.
    assert restarts(emulator) == 0
    assert link.up(**quick(app, db, adopt="if_matching", restart_source=True)) == []


def test_only_a_new_connection_needs_a_source_that_the_program_lets_run(link: HostedResource) -> None:
    inputs = {"source": UNKNOWN, "target": "usr-1-sql", "name": "db"}
    stopped = {"desired_status": "stopped"}

    found = link.check(**inputs, container_in_program=stopped)

    assert "needs a running container, but the program sets" in found["source"]
    assert link.check(**inputs, container_in_program={}) == {}
    assert link.check(**inputs, adopt="if_matching", container_in_program=stopped) == {}


@pytest.mark.parametrize("stopped", ["app", "sql"])
def test_an_equal_connection_of_a_stopped_container_is_adopted(
    link: HostedResource, app: str, db: str, emulator: Emulator, stopped: str
) -> None:
    made = emulator.drift.connect("app", "sql", "primary db/1")
    emulator.drift.stop(stopped)

    with pytest.raises(CallFailedError, match="needs a running container"):
        link.up(**quick(app, db))
    with pytest.raises(CallFailedError, match="needs a running container"):
        link.up(source=app, target=db, name="another", adopt="if_matching")
    link.up(**quick(app, db, adopt="if_matching", restart_source=True))

    assert link.id == f"{app}/{made.id}"
    assert emulator.state.container(stopped).status == "stopped"
    assert link.up(**quick(app, db, adopt="if_matching", restart_source=True)) == []


def test_the_source_of_a_connection_that_is_taken_back_is_restarted(
    host: Host, make_host: Callable[..., Host], emulator: Emulator, db: str
) -> None:
    """The `up` that created it was killed before the restart, or before the state was saved."""
    container = host.resource("Container", "app")
    container.up(name="app", template="nodejs")
    emulator.drift.connect("app", "sql", "primary-db")
    container.host = make_host(host.config)
    assert container.up(name="app", template="nodejs") == []
    link = container.host.resource("Connection", "app-to-db")

    link.up(source=container.id, target=db, name="primary-db")

    assert any("recovered the connection" in line for line in link.lines())
    assert emulator.state.container("app").env_pending is False
    assert restarts(emulator) == 1


def test_a_connection_of_a_list_that_is_behind_is_not_taken_back(
    host: Host, make_host: Callable[..., Host], emulator: Emulator, db: str, tmp_path: Path
) -> None:
    """An `up` has deleted the connection to create it again, and then failed."""
    container = host.resource("Container", "app")
    container.up(name="app", template="nodejs")
    link = host.resource("Connection", "app-to-db")
    link.up(**quick(container.id, db))
    (old,) = emulator.state.connections.values()
    link.delete()
    facts = tmp_path / "behind.yaml"
    facts.write_text("version: 1\nlists: {lag_seconds: 20}\n", "utf-8")
    container.host = link.host = make_host({**host.config, "stacks:platform": str(facts)})
    assert container.up(name="app", template="nodejs") == []
    row = {"id": old.id, "connection_name": "primary db/1", "target_name": "sql"}
    behind = emulator.faults.add(
        "connections.list", "answer", body={"data": {"outgoing": [row], "incoming": []}}
    )

    link.up(**quick(container.id, db))

    assert behind.fired == 1
    assert [link.id] == [f"{container.id}/{made.id}" for made in emulator.state.connections.values()]


def test_the_same_name_for_another_target_is_not_adopted(
    link: HostedResource, app: str, db: str, emulator: Emulator
) -> None:
    running(emulator, "other-db", "postgresql")
    emulator.drift.connect("app", "other-db", "primary db/1")

    with pytest.raises(CallFailedError, match="already exists"):
        link.up(**quick(app, db, adopt="if_matching"))


# --- replace ---


def test_a_replacement_moves_the_connection(
    link: HostedResource, app: str, db: str, emulator: Emulator
) -> None:
    cache, web = running(emulator, "cache", "redis"), running(emulator, "web")
    link.up(**quick(app, db))

    assert link.up(**quick(app, cache)) == ["replace"]
    assert link.up(**quick(web, cache)) == ["replace"]

    (made,) = emulator.state.connections.values()
    assert (web, cache) == (made.source, made.target)
    assert link.outs["connection_type"] == "redis"


# --- read ---


def test_a_read_keeps_the_outputs_of_the_creation(
    link: HostedResource, app: str, db: str, emulator: Emulator
) -> None:
    link.up(**quick(app, db))
    before = dict(link.outs)

    assert link.read()

    assert link.outs == {**before, "created_at": link.outs["created_at"]}
    assert SECRET.items() <= link.raw["environment_variables"].items()
    assert link.up(**quick(app, db)) == []


@pytest.mark.hosts("dynamic", "native")
def test_a_look_up_by_id_finds_the_target(
    link: HostedResource, app: str, db: str, emulator: Emulator
) -> None:
    made = emulator.drift.connect("app", "sql", "by hand")

    assert link.get(f"{app}/{made.id}")

    assert {"source": app, "target": db, "name": "by hand"}.items() <= link.outs.items()

    with pytest.raises(CallFailedError, match=r"does not exist in this account"):
        link.get(f"{app}/none")


# --- restarts, and operations that need a running container ---


def test_a_target_is_not_restarted_before_it_is_connected(
    host: Host, app: str, db: str, emulator: Emulator
) -> None:
    emulator.platform.pace = dataclasses.replace(emulator.platform.pace, action_seconds=30.0)
    web = running(emulator, "web")
    first, second = host.resource("Connection", "app-to-db"), host.resource("Connection", "web-to-app")
    # By then, the other connection exists and would restart its source, which is the target of this connection.
    emulator.faults.add("connections.list", "slow", seconds=20.0, match="-web/")

    raised = in_parallel(
        lambda: first.up(source=app, target=db, name="db"),
        lambda: second.up(source=web, target=app, name="app"),
    )

    assert raised == [None, None]
    assert (len(emulator.state.connections), restarts(emulator)) == (2, 2)


def test_a_source_is_not_restarted_before_its_backup_starts(
    host: Host, app: str, db: str, emulator: Emulator
) -> None:
    emulator.platform.pace = dataclasses.replace(emulator.platform.pace, action_seconds=30.0)
    link, backup = host.resource("Connection", "app-to-db"), host.resource("PinnedBackup", "before")
    emulator.faults.add("backups.list", "slow", seconds=20.0)

    raised = in_parallel(lambda: link.up(source=app, target=db, name="db"), lambda: backup.up(container=app))

    assert raised == [None, None]
    assert (backup.outs["pinned"], restarts(emulator)) == (True, 1)


def test_a_restore_waits_for_the_restart_of_its_container(
    host: Host, app: str, db: str, emulator: Emulator
) -> None:
    made = backups.trigger(emulator.platform, emulator.state.container("app"))
    emulator.advance(60)
    emulator.platform.pace = dataclasses.replace(emulator.platform.pace, action_seconds=30.0)
    link, restore = host.resource("Connection", "app-to-db"), host.resource("BackupRestore", "back")

    def restart_under_way() -> None:
        until(lambda: restarts(emulator))
        restore.up(backup_id=made.id)

    raised = in_parallel(lambda: link.up(source=app, target=db, name="db"), restart_under_way)

    assert raised == [None, None]
    assert emulator.state.container("app").restored == [made.id]
