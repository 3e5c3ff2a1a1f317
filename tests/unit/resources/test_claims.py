"""Who has what."""

from __future__ import annotations

import pytest

from stacks_pulumi.errors import ExistsError
from stacks_pulumi.resources._claims import Claims

ONE, TWO = "urn:pulumi:dev::tests::stacks:Container::one", "urn:pulumi:dev::tests::stacks:Container::two"
WEB = ("Container", "usr-1-web")


@pytest.fixture
def claims() -> Claims:
    return Claims()


def test_what_nobody_has_belongs_to_whoever_asks(claims: Claims) -> None:
    assert claims.owner(*WEB, ONE) is None


def test_the_last_one_to_claim_it_has_it(claims: Claims) -> None:
    claims.claim(*WEB, ONE, "1")
    claims.claim(*WEB, TWO, "2")

    assert ("two", None) == tuple(claims.owner(*WEB, urn) for urn in (ONE, TWO))


def test_kinds_do_not_mix(claims: Claims) -> None:
    claims.claim(*WEB, ONE, "1")

    assert claims.owner("SshCertificate", "usr-1-web", TWO) is None


def test_what_is_gone_belongs_to_nobody(claims: Claims) -> None:
    claims.claim(*WEB, ONE, "1")
    claims.release(*WEB, TWO)
    assert claims.owner(*WEB, TWO) == "one"

    claims.release(*WEB, ONE)

    assert claims.owner(*WEB, TWO) is None


def test_what_a_resource_of_the_program_has_is_its_own_though_nothing_is_done_to_it(claims: Claims) -> None:
    claims.declare(ONE)
    claims.keep(*WEB, ONE)

    assert claims.owner(*WEB, TWO) == "one"


def test_what_a_resource_has_that_left_the_program_may_be_taken_over(claims: Claims) -> None:
    claims.keep(*WEB, ONE)

    assert claims.owner(*WEB, TWO) is None


def test_what_was_taken_over_before_it_was_found_unchanged_stays_with_the_one_that_took_it(
    claims: Claims,
) -> None:
    claims.declare(ONE)
    claims.claim(*WEB, TWO, "2")
    claims.keep(*WEB, ONE)

    assert claims.owner(*WEB, ONE) == "two"


def test_a_replacement_that_comes_upon_what_it_replaces_is_not_deleted_with_the_old_half(
    claims: Claims,
) -> None:
    claims.claim(*WEB, ONE, "2")

    assert claims.born_again(*WEB, "1")
    assert claims.born_again(*WEB, None)
    assert not claims.born_again(*WEB, "2")


def test_what_nobody_made_since_was_not_born_again(claims: Claims) -> None:
    assert not claims.born_again(*WEB, "1")
    assert not claims.born_again(*WEB, None)

    claims.claim(*WEB, ONE, "2")
    claims.release(*WEB, ONE)

    assert not claims.born_again(*WEB, "1")


def test_two_do_not_make_the_same_thing_at_once(claims: Claims) -> None:
    with claims.making("Container", ["web"], ONE):
        with (
            pytest.raises(ExistsError, match="web is what 'one' in this program makes too"),
            claims.making("Container", ["other", "web"], TWO),
        ):
            pytest.fail("it was let in")
        with claims.making("Connection", ["web"], TWO):
            pass

    with claims.making("Container", ["web"], TWO):
        pass
