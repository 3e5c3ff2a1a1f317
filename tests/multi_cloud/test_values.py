"""Stacks whose resources of two clouds use each other's values, with manifests in files and on an API server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest

from stacks_pulumi.emulator import Emulator
from tests.multi_cloud.clusters import Applied, Cluster, Manifest, Rendered
from tests.support.stack import Result, Stack

HOSTS: Final = ["dynamic", "native"]
PROGRAM: Final = """
import pulumi_kubernetes as kubernetes

cluster = pulumi.ResourceOptions(provider=kubernetes.Provider("cluster", {provider}))
db = stacks.Container(
    "data", template="postgresql", plan="{plan}", external_access=True, replace_on_change=True
)
names = kubernetes.core.v1.ConfigMap("names", data={{"HOST": db.url, "NOTE": "{note}"}}, opts=cluster)
entry = stacks.AllowedIp(
    "entry",
    container=db,
    ip_address="198.51.100.7",
    description=pulumi.Output.concat(names.metadata.name, " ", names.data["HOST"]),
)
host = {{"config_map_key_ref": {{"name": names.metadata.name, "key": "HOST"}}}}
environment = [{{"name": "HOST", "value_from": host}}, {{"name": "ENTRY", "value": entry.description}}]
kubernetes.apps.v1.Deployment(
    "work",
    # It has no pods, because no controller runs.
    metadata={{"annotations": {{"pulumi.com/skipAwait": "true"}}}},
    spec={{
        "selector": {{"match_labels": {{"app": "work"}}}},
        "template": {{
            "metadata": {{"labels": {{"app": "work"}}}},
            "spec": {{"containers": [{{"name": "work", "image": "postgres:17-alpine", "env": environment}}]}},
        }},
    }},
    opts=cluster,
)
"""
"""
A container (STACKS), a ConfigMap with its address, an entry with both names (STACKS), a Deployment with both.

The provider replaces a ConfigMap whose data changes, and gives the new ConfigMap a different name. It updates a
Deployment.
"""
ALL: Final = {"data", "names", "entry", "work"}


@pytest.fixture(params=HOSTS)
def host(request: pytest.FixtureRequest, stack: Stack) -> str:
    """Give the stack the native plugin, or leave it without."""
    if request.param == "native":
        stack.native()
    return str(request.param)


@pytest.fixture
def write(host: str, stack: Stack, cluster: Cluster) -> Callable[..., None]:
    """Write the program."""

    def written(plan: str = "basic", note: str = "first") -> None:
        stack.program(PROGRAM.format(provider=cluster.provider, plan=plan, note=note), host=host)

    return written


def held(cluster: Cluster) -> dict[str, Manifest]:
    """Return the objects of the cluster, by name, without the random suffix of the provider."""
    found = cluster.objects()
    short = {it["metadata"]["name"].rpartition("-")[0]: it for it in found}
    assert len(short) == len(found), found
    return short


def done(result: Result) -> list[tuple[str, str]]:
    """Return the steps on the four resources, in order: pairs of operation and name."""
    steps = ((op, urn.rpartition("::")[2]) for urn, op in result._operations())
    return [(op, name) for op, name in steps if name in ALL]


def check(cluster: Cluster, emulator: Emulator, note: str = "first") -> None:
    """Check that each side has the values of the other side."""
    (db,) = emulator.state.containers.values()
    (entry,) = (it for it in db.allowed_ips if it.ip_address == "198.51.100.7")
    objects = held(cluster)
    assert objects.keys() == {"names", "work"}
    name = objects["names"]["metadata"]["name"]
    assert entry.description == f"{name} {db.url}"
    assert objects["names"]["data"] == {"HOST": db.url, "NOTE": note}
    (container,) = objects["work"]["spec"]["template"]["spec"]["containers"]
    assert container["env"] == [
        {"name": "HOST", "valueFrom": {"configMapKeyRef": {"name": name, "key": "HOST"}}},
        {"name": "ENTRY", "value": entry.description},
    ]


def test_values_go_both_ways_through_changes(
    write: Callable[..., None], stack: Stack, cluster: Cluster, emulator: Emulator
) -> None:
    write()

    preview = stack.preview()
    # The count includes the stack and the provider.
    assert preview.changes == {"create": len(ALL) + 2}
    assert "$4.00 a month" in preview.text
    assert (emulator.calls(), held(cluster)) == (0, {})
    stack.up()
    check(cluster, emulator)
    if isinstance(cluster, Rendered):
        # The provider would read a cluster.
        refreshed = stack.engine("refresh", "--yes")
        assert "failed to read resource state due to unreachable cluster" in refreshed.text
    else:
        assert stack.refresh().changes == {}
    assert stack.preview().changes == {}

    # A replacement in the other cloud updates its dependants on both sides, before the old ConfigMap is deleted.
    write(note="second")
    renamed = done(stack.up())
    check(cluster, emulator, "second")
    assert [op for op, name in renamed if name == "entry"] == ["update"]
    assert [op for op, name in renamed if name == "work"] == ["update"]
    assert renamed[0][1] == renamed[-1][1] == "names"
    assert "data" not in {name for _, name in renamed}

    # A replacement here replaces its dependants in the other cloud. The container's entry is deleted with it and
    # created again.
    write(note="second", plan="standard")
    replaced = done(stack.up())
    check(cluster, emulator, "second")
    assert {name for op, name in replaced if op == "replace"} == ALL
    assert emulator.calls("containers.create") == 2

    ended = [name for _, name in done(stack.destroy())]
    assert ended == ["work", "entry", "names", "data"]
    assert (emulator.state.names(), held(cluster)) == ([], {})


@pytest.mark.parametrize("cluster", ["applied"], indirect=True)
def test_a_change_by_hand_in_the_cluster_is_seen_and_undone(
    write: Callable[..., None], stack: Stack, cluster: Applied, emulator: Emulator
) -> None:
    write()
    stack.up(quiet_afterwards=False)
    cluster.change("ConfigMap", held(cluster)["names"]["metadata"]["name"], {"data": {"NOTE": "by hand"}})

    seen = stack.refresh(drift=True)

    assert seen.changes == {"update": 1}
    check(cluster, emulator, "by hand")
    undone = done(stack.up())
    check(cluster, emulator)
    assert {name for op, name in undone if op == "replace"} == {"names"}
    assert "data" not in {name for _, name in undone}


@pytest.mark.parametrize(
    ("operation", "kind", "made"),
    [
        ("containers.create", 402, set()),
        ("containers.create", "drop_after", ALL),
        ("allowed_ips.add", 403, {"data", "names"}),
    ],
)
def test_stacks_fails_in_the_middle(
    *,
    operation: str,
    kind: str | int,
    made: set[str],
    write: Callable[..., None],
    stack: Stack,
    cluster: Cluster,
    emulator: Emulator,
) -> None:
    write()
    fault = emulator.faults.add(operation, kind)

    first = stack.engine("up", "--yes", "--skip-preview")

    assert fault.fired == 1
    assert (first.code == 0) == (made == ALL), first.text
    assert held(cluster).keys() == made & {"names", "work"}
    assert {name for _, name in done(stack.up())} == ALL - made
    check(cluster, emulator)
    assert len(stack.ids()) == 2


def test_kubernetes_fails_in_the_middle_and_at_the_end(
    write: Callable[..., None], stack: Stack, cluster: Cluster, emulator: Emulator
) -> None:
    write()
    cluster.refuse()

    failed = stack.up_fails()

    assert cluster.refusal in failed.text
    assert (emulator.state.names(), set(stack.resources())) == (["data"], {"data"})
    cluster.accept()
    assert {name for _, name in done(stack.up())} == ALL - {"data"}
    check(cluster, emulator)
    assert emulator.calls("containers.create") == 1

    # A resource that another resource still uses is not deleted, and the next `destroy` continues.
    emulator.faults.add("allowed_ips.remove", 403)
    stack.destroy_fails()
    assert (emulator.state.names(), set(stack.resources())) == (["data"], {"data", "entry"})
    assert held(cluster).keys() == {"names"}
    assert [name for _, name in done(stack.destroy())] == ["entry", "names", "data"]
    assert (emulator.state.names(), held(cluster)) == ([], {})
