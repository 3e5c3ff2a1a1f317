"""The resource whose token an object has owns the object."""

from __future__ import annotations

import pytest

from stacks_pulumi.resources._owners import OWNERS, DeclaredNames, Owner, Owners, ParentTimes

ONE, TWO = "urn:pulumi:dev::tests::stacks:Container::one", "urn:pulumi:dev::tests::stacks:Container::two"
WEB = ("Container", "usr-1-web")


@pytest.fixture
def owners() -> Owners:
    found = Owners()
    found.declare(ONE)
    found.declare(TWO)
    return found


def test_an_object_that_nothing_was_seen_of_may_be_deleted(owners: Owners) -> None:
    assert owners.taken_from(*WEB, "1") is None


def test_a_delete_under_another_urn_with_the_same_token_goes_ahead(owners: Owners) -> None:
    """This is the old half of a replacement after a rename with an alias."""
    owners.keep(*WEB, Owner(TWO, "1"))

    assert owners.taken_from(*WEB, "1") is None


@pytest.mark.parametrize("token", ["1", None], ids=["with a token", "state of version 0.1"])
def test_an_object_that_was_adopted_meanwhile_is_not_deleted(owners: Owners, token: str | None) -> None:
    owners.claim(*WEB, Owner(TWO, "2"))
    owners.keep(*WEB, Owner(ONE, token))

    owner = owners.taken_from(*WEB, token)

    assert owner is not None
    assert (owner.name, owner.token) == ("two", "2")


def test_kinds_do_not_mix(owners: Owners) -> None:
    owners.claim(*WEB, Owner(ONE, "1"))

    assert owners.owner("SshCertificate", "usr-1-web") is None


def test_only_its_owner_releases_an_object(owners: Owners) -> None:
    owners.claim(*WEB, Owner(ONE, "1"))

    owners.release(*WEB, "2")
    assert owners.owner(*WEB) is not None

    owners.release(*WEB, "1")
    assert owners.owner(*WEB) is None


def test_a_replacement_is_known_by_its_diff_under_whatever_urn_it_deletes(owners: Owners) -> None:
    owners.keep(*WEB, Owner(TWO, "1", replacing=True))

    assert owners.is_replacing(*WEB, "urn:pulumi:dev::tests::stacks:Container::old-name")

    owners.keep(*WEB, Owner(TWO, "1"))
    assert not owners.is_replacing(*WEB, "urn:pulumi:dev::tests::stacks:Container::old-name")


def test_a_forced_replacement_is_known_by_a_check_without_a_diff(owners: Owners) -> None:
    owners.declare(ONE)
    assert owners.is_replacing(*WEB, ONE)

    owners.claim(*WEB, Owner(ONE, "1"))
    assert not owners.is_replacing(*WEB, ONE)


def test_a_name_belongs_to_one_resource_whatever_its_case() -> None:
    names = DeclaredNames()

    assert names.declare(ONE, "Container", "web") is None
    assert names.declare(ONE, "Container", "web") is None
    assert names.declare(TWO, "Container", "Web") == "one"
    assert names.declare(TWO, "VpnClient", "web") is None

    names.declare(ONE, "Container", "shop")
    assert names.declare(TWO, "Container", "web") is None


def test_an_object_of_a_resource_that_left_the_program_may_be_adopted() -> None:
    """For `up --refresh`, the engine requests the diff of every resource in the state."""
    owners = Owners()

    owners.keep(*WEB, Owner(ONE, "1"))

    assert owners.owner(*WEB) is None


@pytest.mark.parametrize("times", [(None, "1"), ("1", None), ("1", None, "1")])
def test_a_container_that_is_replaced_has_no_known_time(times: tuple[str | None, ...]) -> None:
    """The engine may compare its children in any order."""
    OWNERS.clear()
    known = ParentTimes()

    for time in times:
        known.add(WEB[1], time)

    assert known.of(WEB[1]) is None
