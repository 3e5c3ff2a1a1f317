"""The rules of keys, without HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from stacks_pulumi.config import check_api_key
from stacks_pulumi.emulator import keys
from stacks_pulumi.emulator.answers import Refusal

if TYPE_CHECKING:
    from tests.emulator.conftest import OneAccount


def test_a_key_has_the_form_of_the_guide_and_is_not_stored(platform: OneAccount) -> None:
    assert check_api_key(platform.secret) == platform.secret
    assert platform.secret not in repr(platform.state)


def test_a_key_is_known_by_what_it_is(platform: OneAccount) -> None:
    assert keys.authenticate(platform.state, f"Bearer {platform.secret}") is platform.own_key
    assert keys.authenticate(platform.state, f"bearer  {platform.secret} ") is platform.own_key


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer ", "Basic {key}", "{key}", "Bearer {key}0", "Bearer sk_stacks_" + "0" * 64],
)
def test_a_missing_key_is_refused_in_the_words_of_the_guide(
    platform: OneAccount, authorization: str | None
) -> None:
    given = authorization.replace("{key}", platform.secret) if authorization else authorization

    with pytest.raises(Refusal) as caught:
        keys.authenticate(platform.state, given)

    assert (caught.value.status, caught.value.body) == (401, {"error": "Invalid API key"})


def test_invalid_keys_cannot_be_issued(platform: OneAccount) -> None:
    state = platform.state
    keys.issue(state, platform.account, label="ci")

    with pytest.raises(ValueError, match="no such scope: containers:resize"):
        keys.issue(state, platform.account, scopes=["containers:resize"])
    with pytest.raises(ValueError, match="no such account: usr-nobody"):
        keys.issue(state, "usr-nobody")
    with pytest.raises(ValueError, match="already a key with the label ci"):
        keys.issue(state, platform.account, label="ci")
