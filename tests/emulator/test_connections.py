"""The rules of connections, without HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from stacks_pulumi.emulator import connections, containers
from stacks_pulumi.emulator.answers import Refusal

if TYPE_CHECKING:
    from tests.emulator.conftest import OneAccount


@pytest.mark.parametrize(
    ("template", "variable", "uri"),
    [
        ("postgresql", "POSTGRES_PASSWORD", "postgresql://postgres:****@{id}:5432/postgres"),
        ("mysql", "MYSQL_PASSWORD", "mysql://root:****@{id}:3306/mysql"),
        ("mongodb", "MONGODB_PASSWORD", "mongodb://admin:****@{id}:27017/admin"),
        ("redis", "REDIS_PASSWORD", "redis://:****@{id}:6379"),
        ("redis-micro", "REDIS_PASSWORD", "redis://:****@{id}:6379"),
        ("minio", "MINIO_HOST", "http://{id}:9000"),
        ("stacks-loadbalancer", "STACKS_LOADBALANCER_PORT", "http://{id}:8080"),
    ],
)
def test_every_kind_of_target_has_variables_and_a_masked_string(
    platform: OneAccount, template: str, variable: str, uri: str
) -> None:
    target = platform.create("target", template)

    assert variable in connections.environment(target)
    assert connections.uri(target) == uri.format(id=target.id)


@pytest.mark.parametrize("name", ["", 7, "x" * 65, ["primary"]])
def test_a_bad_name_is_refused_with_its_field(platform: OneAccount, name: Any) -> None:
    app, database = platform.running("myapp"), platform.running("mydb", "postgresql")

    with pytest.raises(Refusal) as caught:
        connections.create(platform, app, database, name)

    assert (caught.value.status, caught.value.body["field"]) == (400, "connectionName")


def test_a_name_is_unique_per_source(platform: OneAccount) -> None:
    app, other = platform.running("myapp"), platform.running("other")
    database = platform.running("mydb", "postgresql")
    connections.create(platform, app, database, "db")

    with pytest.raises(Refusal, match="already exists"):
        connections.create(platform, app, other, "db")
    connections.create(platform, other, database, "db")
    connections.create(platform, app, database, "db-again")

    assert [made.name for made in connections.outgoing(platform, app)] == ["db", "db-again"]
    assert [made.source for made in connections.incoming(platform, database)] == [
        app.id,
        other.id,
        app.id,
    ]


def test_both_ends_must_run_and_be_different(platform: OneAccount) -> None:
    app, booting = platform.running("myapp"), platform.create("mydb", "postgresql")

    with pytest.raises(Refusal, match="mydb must be running"):
        connections.create(platform, app, booting, "db")
    with pytest.raises(Refusal, match="mydb must be running"):
        connections.create(platform, booting, app, "db")
    with pytest.raises(Refusal, match="itself"):
        connections.create(platform, app, app, "db")


def test_the_source_has_its_old_variables_until_a_restart(platform: OneAccount) -> None:
    app, database = platform.running("myapp"), platform.running("mydb", "postgresql")
    made = connections.create(platform, app, database, "db")
    assert (app.env_pending, database.env_pending) == (True, False)

    containers.set_status(platform, app, "restart")
    platform.pass_time(5)
    assert not app.env_pending

    connections.delete(platform, made)
    assert app.env_pending


def test_deleting_a_container_deletes_its_connections(platform: OneAccount) -> None:
    app, database = platform.running("myapp"), platform.running("mydb", "postgresql")
    other = platform.running("other")
    connections.create(platform, app, database, "db")
    connections.create(platform, other, app, "app")
    containers.set_status(platform, app, "restart")
    platform.pass_time(5)

    containers.delete(platform, database)
    assert [made.name for made in platform.state.connections.values()] == ["app"]
    assert app.env_pending

    containers.delete(platform, app)
    platform.pass_time(3)
    assert platform.state.connections == {}


def test_targets_are_grouped_as_in_the_guide(platform: OneAccount) -> None:
    app = platform.running("myapp")
    for name, template in (
        ("mydb", "postgresql"),
        ("myredis", "redis"),
        ("small", "redis-micro"),
        ("front", "stacks-loadbalancer"),
        ("blog", "ghost"),
    ):
        platform.running(name, template)
    containers.delete(platform, platform.running("going", "mysql"))
    groups = connections.targets(platform, app)

    assert {group: [found.name for found in members] for group, members in groups.items()} == {
        "databases": ["mydb"],
        "caches": ["myredis", "small"],
        "loadBalancers": ["front"],
        "applications": ["blog"],
        "all": ["mydb", "myredis", "small", "front", "blog"],
    }
