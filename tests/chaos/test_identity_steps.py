"""Short runs with the identity steps in a fixed order: cases that the random chaos runs have found."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Callable, Iterator

import pytest

from tests.chaos.account import holdings
from tests.chaos.faults import Drawn
from tests.chaos.identity_steps import STEPS, IdentityChaos, chosen
from tests.chaos.random_steps import UNKNOWN_OUTCOME, Edit

pytestmark = [pytest.mark.chaos, pytest.mark.host]


@pytest.fixture
def life() -> Iterator[IdentityChaos]:
    """Return a run after its first `up`: two containers, a VPN and an allowed address of the first container."""
    life = IdentityChaos()
    life.begin(children=[Edit("AllowedIp", 0, 0)])
    life.somebody_runs_up_again(faults=[])
    yield life
    life.close()


def position(life: IdentityChaos, prefix: str) -> int:
    names = life.program.names()
    return next(number for number, name in enumerate(names) if name.startswith(prefix))


def remove_what_was_recreated(life: IdentityChaos) -> None:
    life.recreates_a_container(pick=1, same=False)
    life.program.remove(position(life, "birch"))
    life._up([])


def change_what_was_recreated(life: IdentityChaos) -> None:
    life.recreates_a_container(pick=1, same=True)
    life.program.change(position(life, "birch"), 2)
    life._up([])


def rename_and_replace(life: IdentityChaos) -> None:
    life.renames_with_an_alias(pick=position(life, "apple-ip"), replaced=True, moved=True, faults=[])


def rename_and_adopt(life: IdentityChaos) -> None:
    """The same `up` deletes the old resource, which must not delete the object that the new one adopted."""
    for prefix in ("apple-ip", "birch"):
        name = life.program.rename(position(life, prefix), alias=False, replaced=False)
        assert name is not None
        life.program.inputs(name)["adopt"] = "if_matching"
        assert life._up([]).errors == {}
    life.converges()


def rename_and_go_on(life: IdentityChaos) -> None:
    for prefix in ("apple-ip", "birch", "vine"):
        life.renames_with_an_alias(pick=position(life, prefix), replaced=False, moved=True, faults=[])
    life.renames_without_an_alias(pick=position(life, "apple-ip"), replaced=False, faults=[])
    life.runs_up_for_a_target(pick=1, variant=2, faults=[])
    life.forces_a_replacement(pick=position(life, "apple-ip"), faults=[])
    life.retains_a_resource(pick=position(life, "birch"))
    life.the_second_stack_runs(pick=0, destroyed=False)
    life.the_second_stack_runs(pick=0, destroyed=True)
    life.converges()


def replace_the_target_of_a_retained_connection(life: IdentityChaos) -> None:
    """The platform deletes a container's incoming connections with it."""
    life.program.add_child("Connection", 1, 0)
    life._up([])
    life.retains_a_resource(pick=position(life, "birch-to-apple"))
    life.renames_with_an_alias(pick=position(life, "apple"), replaced=True, moved=False, faults=[])
    assert life.released


def transform_every_resource(life: IdentityChaos) -> None:
    """The only address of a container is deleted and created again; a container's retained children are reported."""
    life.program.inputs("apple-ip0")["revoke_auto_added"] = True
    life._up([])
    life.a_transform_sets_an_option(changes=[], pick=position(life, "apple-ip"), retained=False, faults=[])
    assert life.stack is not None
    assert "apple-ip0" in life.stack.resources
    life.a_transform_sets_an_option(changes=[], pick=position(life, "apple-ip"), retained=True, faults=[])
    life.program.remove(position(life, "birch"))
    life._up([])
    life.converges()
    assert any(id_.endswith("-birch") for id_ in life.released)


LIVES: dict[str, Callable[[IdentityChaos], None]] = {
    "remove what was recreated": remove_what_was_recreated,
    "change what was recreated": change_what_was_recreated,
    "rename and replace": rename_and_replace,
    "rename and adopt": rename_and_adopt,
    "transform every resource": transform_every_resource,
    "replace the target of a retained connection": replace_the_target_of_a_retained_connection,
}


@pytest.mark.parametrize("name", LIVES)
def test_containers_of_other_owners_are_not_changed(life: IdentityChaos, name: str) -> None:
    LIVES[name](life)


@pytest.mark.parametrize("kind", ["AllowedIp", "Connection", "PinnedBackup", "SshCertificate", "VpnClient"])
def test_no_child_is_created_in_a_container_that_was_recreated_outside(
    life: IdentityChaos, kind: str
) -> None:
    life.recreates_a_container(pick=2 if kind == "VpnClient" else 0, same=True)
    apple = next(one.id for one in life.emulator.state.containers.values() if one.name == "apple")
    life.emulator.drift.set_external_access(apple, enabled=True)
    before = life.program.names()
    life.program.add_child(kind, 0, 2)
    (new,) = set(life.program.names()) - set(before)

    outcome = life._up([])

    assert list(outcome.errors) == [new]
    assert "it may be another stack's container" in outcome.errors[new].message


def test_a_resource_renamed_without_alias_and_recreated_stays_with_its_new_name(
    life: IdentityChaos,
) -> None:
    """The new resource fails to boot, so the old name stays in the state, and the alias has no effect."""
    life.emulator.drift.delete("birch")
    life.emulator.fail_boot("birch")
    life.renames_without_an_alias(pick=position(life, "birch"), replaced=False, faults=[])
    assert life.stack is not None
    assert {name for name in life.stack.resources if name.startswith("birch")} == {"birch", "birch-r1"}

    life.converges()


def test_a_creation_may_leave_its_container_to_the_dashboard_if_no_answer_can_be_read(
    life: IdentityChaos,
) -> None:
    life.program.add_container("cedar", "nodejs")
    unreadable = [
        Drawn("containers.create", "truncated", 1),
        Drawn("containers.list", "empty", 40, skip=1),
    ]

    outcome = life._up(unreadable)

    assert list(outcome.errors) == ["cedar"]
    assert UNKNOWN_OUTCOME in outcome.errors["cedar"].message
    assert {id_.rpartition("-")[2] for id_ in life.foreign} == {"cedar"}
    life.converges()


def test_a_deletion_may_leave_its_resource_in_the_state_if_no_answer_can_be_read(life: IdentityChaos) -> None:
    assert life.stack is not None
    apple, (rule,) = life.stack.resources["apple"].id, life.program.names("AllowedIp")
    life.program.remove(position(life, rule))
    unreadable = [
        Drawn("allowed_ips.remove", "status", 5, options={"code": 502, "done": True}),
        Drawn("allowed_ips.list", "status", 20, skip=1, options={"code": 500}),
    ]

    outcome = life._up(unreadable)

    assert (list(outcome.errors), rule in life.stack.resources) == ([rule], True)
    assert UNKNOWN_OUTCOME in outcome.errors[rule].message
    assert f"{apple}/198.51.100.1" in life.vanished - holdings(life.emulator)
    life.converges()


def test_renames_targets_and_a_second_stack_orphan_nothing(life: IdentityChaos) -> None:
    rename_and_go_on(life)


def test_steps_are_chosen_by_name() -> None:
    assert (chosen("none"), chosen("all")) == (frozenset(), frozenset(STEPS))
    assert chosen("rename, target") == {"rename", "target"}
    with pytest.raises(ArgumentTypeError, match="no such step: rewind; there are rename"):
        chosen("rewind")
