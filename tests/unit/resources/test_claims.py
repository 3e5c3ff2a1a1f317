"""Who has what."""

from __future__ import annotations

from stacks_pulumi.resources._claims import Claims

ONE, TWO = "urn:pulumi:dev::tests::stacks:Container::one", "urn:pulumi:dev::tests::stacks:Container::two"


def test_what_nobody_has_belongs_to_whoever_asks() -> None:
    assert Claims().other_owner("Container", "usr-1-web", ONE) is None


def test_the_last_one_to_claim_it_has_it() -> None:
    claims = Claims()
    claims.claim("Container", "usr-1-web", ONE)
    claims.claim("Container", "usr-1-web", TWO)

    assert ("two", None) == tuple(claims.other_owner("Container", "usr-1-web", urn) for urn in (ONE, TWO))


def test_kinds_do_not_mix() -> None:
    claims = Claims()
    claims.claim("Container", "usr-1-web", ONE)

    assert claims.other_owner("SshCertificate", "usr-1-web", TWO) is None


def test_what_is_gone_belongs_to_nobody() -> None:
    claims = Claims()
    claims.claim("Container", "usr-1-web", ONE)
    claims.release("Container", "usr-1-web", TWO)
    assert claims.other_owner("Container", "usr-1-web", TWO) == "one"

    claims.release("Container", "usr-1-web", ONE)

    assert claims.other_owner("Container", "usr-1-web", TWO) is None
