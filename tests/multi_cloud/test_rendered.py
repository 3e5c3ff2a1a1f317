"""Stacks whose resources of two clouds use each other's values, with manifests that the provider writes to files."""

from __future__ import annotations

from typing import Any, Final

import pytest

from stacks_pulumi.emulator import Emulator
from tests.multi_cloud.conftest import manifests
from tests.support.stack import Result, Stack

HOSTS: Final = ["dynamic", "native"]
PROGRAM: Final = """
import pulumi_kubernetes as kubernetes

cluster = pulumi.ResourceOptions(provider=kubernetes.Provider("cluster", render_yaml_to_directory="manifests"))
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
kubernetes.core.v1.ConfigMap("last", data={{"ENTRY": entry.description}}, opts=cluster)
"""
"""
A container (STACKS), a ConfigMap with its address, an entry with both names (STACKS), a ConfigMap with that.

The provider replaces a ConfigMap whose data changes, and gives the new ConfigMap a different name.
"""
ALL: Final = {"data", "names", "entry", "last"}


def write(stack: Stack, host: str, *, plan: str = "basic", note: str = "first") -> None:
    """Write the program; with `native`, it uses the plugin."""
    if host == "native":
        stack.native()
    stack.program(PROGRAM.format(plan=plan, note=note), host=host)


def rendered(stack: Stack) -> dict[str, dict[str, Any]]:
    """Return the manifests by name, without the random suffix of the provider."""
    found = manifests(stack.folder / "manifests")
    short = {name.rpartition("-")[0]: manifest for name, manifest in found.items()}
    assert len(short) == len(found), found
    return short


def done(result: Result) -> list[tuple[str, str]]:
    """Return the steps on the four resources, in order: pairs of operation and name."""
    steps = ((op, urn.rpartition("::")[2]) for urn, op in result._operations())
    return [(op, name) for op, name in steps if name in ALL]


def check(stack: Stack, emulator: Emulator, note: str = "first") -> None:
    """Check that each side has the values of the other side."""
    (db,) = emulator.state.containers.values()
    (entry,) = (it for it in db.allowed_ips if it.ip_address == "198.51.100.7")
    written = rendered(stack)
    assert entry.description == f"{written['names']['metadata']['name']} {db.url}"
    assert {name: it["data"] for name, it in written.items()} == {
        "names": {"HOST": db.url, "NOTE": note},
        "last": {"ENTRY": entry.description},
    }


@pytest.mark.parametrize("host", HOSTS)
def test_values_go_both_ways_through_changes(host: str, stack: Stack, emulator: Emulator) -> None:
    write(stack, host)

    preview = stack.preview()
    # The count includes the stack and the provider.
    assert preview.changes == {"create": len(ALL) + 2}
    assert "$4.00 a month" in preview.text
    assert (emulator.calls(), rendered(stack)) == (0, {})
    stack.up()
    check(stack, emulator)
    # The provider would read a cluster.
    assert "failed to read resource state due to unreachable cluster" in stack.engine("refresh", "--yes").text
    assert stack.preview().changes == {}

    # A replacement in the other cloud updates its dependants here.
    write(stack, host, note="second")
    renamed = done(stack.up())
    check(stack, emulator, "second")
    assert ("replace", "names") in renamed
    assert [op for op, name in renamed if name == "entry"] == ["update"]
    assert "data" not in {name for _, name in renamed}

    # A replacement here replaces its dependants in the other cloud. The container's entry is deleted with it and
    # created again.
    write(stack, host, note="second", plan="standard")
    replaced = done(stack.up())
    check(stack, emulator, "second")
    assert {name for op, name in replaced if op == "replace"} == ALL
    assert emulator.calls("containers.create") == 2

    ended = [name for _, name in done(stack.destroy())]
    assert ended == ["last", "entry", "names", "data"]
    assert (emulator.state.names(), rendered(stack)) == ([], {})


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize(
    ("operation", "kind", "made"),
    [
        ("containers.create", 402, set()),
        ("containers.create", "drop_after", ALL),
        ("allowed_ips.add", 403, {"data", "names"}),
    ],
)
def test_stacks_fails_in_the_middle(
    *, operation: str, kind: str | int, made: set[str], host: str, stack: Stack, emulator: Emulator
) -> None:
    write(stack, host)
    fault = emulator.faults.add(operation, kind)

    first = stack.engine("up", "--yes", "--skip-preview")

    assert fault.fired == 1
    assert (first.code == 0) == (made == ALL), first.text
    assert set(rendered(stack)) == made & {"names"} | ({"last", "names"} if made == ALL else set())
    assert {name for _, name in done(stack.up())} == ALL - made
    check(stack, emulator)
    assert len(stack.ids()) == 2


@pytest.mark.parametrize("host", HOSTS)
def test_kubernetes_fails_in_the_middle_and_at_the_end(host: str, stack: Stack, emulator: Emulator) -> None:
    write(stack, host)
    # At the place of the provider's folder, there is a file.
    blocked = stack.folder / "manifests"
    blocked.touch()

    failed = stack.up_fails()

    assert "failed to write YAML file" in failed.text
    assert (emulator.state.names(), set(stack.resources())) == (["data"], {"data"})
    blocked.unlink()
    assert {name for _, name in done(stack.up())} == ALL - {"data"}
    check(stack, emulator)
    assert emulator.calls("containers.create") == 1

    # A resource that another resource still uses is not deleted, and the next `destroy` continues.
    emulator.faults.add("allowed_ips.remove", 403)
    stack.destroy_fails()
    assert (emulator.state.names(), set(stack.resources())) == (["data"], {"data", "entry"})
    assert set(rendered(stack)) == {"names"}
    assert [name for _, name in done(stack.destroy())] == ["entry", "names", "data"]
    assert (emulator.state.names(), rendered(stack)) == ([], {})
