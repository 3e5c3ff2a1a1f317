"""Which resource owns an object: the one whose token has it."""

from __future__ import annotations

import sys

import pytest

from stacks_pulumi.resources._identity import Owner, Ownership

ONE, TWO = "urn:pulumi:dev::tests::stacks:Container::one", "urn:pulumi:dev::tests::stacks:Container::two"
WEB = ("Container", "usr-1-web")


@pytest.fixture
def ownership() -> Ownership:
    found = Ownership()
    found.declare(ONE, "Container", ["one"])
    found.declare(TWO, "Container", ["two"])
    return found


def test_an_object_that_nothing_was_seen_of_may_be_deleted(ownership: Ownership) -> None:
    assert ownership.taken_from(*WEB, "1") is None


def test_a_delete_under_another_urn_with_the_same_token_goes_ahead(ownership: Ownership) -> None:
    """The old half of a replacement after a rename with an alias."""
    ownership.keep(*WEB, Owner(TWO, "1"))

    assert ownership.taken_from(*WEB, "1") is None


@pytest.mark.parametrize("token", ["1", None], ids=["with a token", "state of version 0.1"])
def test_an_object_that_was_adopted_meanwhile_is_not_deleted(ownership: Ownership, token: str | None) -> None:
    ownership.claim(*WEB, Owner(TWO, "2"))
    ownership.keep(*WEB, Owner(ONE, token))

    owner = ownership.taken_from(*WEB, token)

    assert owner is not None
    assert (owner.name, owner.token) == ("two", "2")


def test_kinds_do_not_mix(ownership: Ownership) -> None:
    ownership.claim(*WEB, Owner(ONE, "1"))

    assert ownership.owner("SshCertificate", "usr-1-web") is None


def test_only_its_owner_releases_an_object(ownership: Ownership) -> None:
    ownership.claim(*WEB, Owner(ONE, "1"))

    ownership.release(*WEB, "2")
    assert ownership.owner(*WEB) is not None

    ownership.release(*WEB, "1")
    assert ownership.owner(*WEB) is None


def test_a_replacement_is_known_by_its_diff_under_whatever_urn_it_deletes(ownership: Ownership) -> None:
    ownership.keep(*WEB, Owner(TWO, "1", replacing=True))

    assert ownership.is_replacing(*WEB, "urn:pulumi:dev::tests::stacks:Container::old-name")

    ownership.keep(*WEB, Owner(TWO, "1"))
    assert not ownership.is_replacing(*WEB, "urn:pulumi:dev::tests::stacks:Container::old-name")


def test_a_forced_replacement_is_known_by_a_check_without_a_diff(ownership: Ownership) -> None:
    ownership.declare(ONE, "Container", ["web"])
    assert ownership.is_replacing(*WEB, ONE)

    ownership.claim(*WEB, Owner(ONE, "1"))
    assert not ownership.is_replacing(*WEB, ONE)


def test_a_name_belongs_to_one_resource_whatever_its_case(ownership: Ownership) -> None:
    assert ownership.declare(ONE, "Container", ["web"]) is None
    assert ownership.declare(ONE, "Container", ["web"]) is None
    assert ownership.declare(TWO, "Container", ["Web"]) == "one"
    assert ownership.declare(TWO, "VpnClient", ["web"]) is None

    ownership.declare(ONE, "Container", ["shop"])
    assert ownership.declare(TWO, "Container", ["web"]) is None


def test_an_object_of_a_resource_that_left_the_program_may_be_adopted() -> None:
    """For `up --refresh` the engine asks for the diff of every resource in the state."""
    ownership = Ownership()

    ownership.keep(*WEB, Owner(ONE, "1"))

    assert ownership.owner(*WEB) is None


@pytest.mark.parametrize("times", [(None, "1"), ("1", None), ("1", None, "1")])
def test_a_container_that_is_replaced_has_no_known_time(
    times: tuple[str | None, ...], ownership: Ownership
) -> None:
    """Its children are compared in any order."""
    for time in times:
        ownership.know_container(WEB[1], time)

    assert ownership.container_time(WEB[1]) is None


def test_times_that_moved_are_compared_without_a_look_at_each(ownership: Ownership) -> None:
    """A refresh of a thousand containers would otherwise compare a million times."""
    calls = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    sys.setprofile(count)
    try:
        moved = [ownership.moved_together(str(number), 0.0) for number in range(200)]
    finally:
        sys.setprofile(None)

    assert all(moved)
    assert calls < 200 * 10
    assert not ownership.moved_together("7", 900.0)
    assert ownership.moved_together("7", 0.0)
