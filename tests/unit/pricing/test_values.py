from __future__ import annotations

from typing import Any

import pytest

from stacks_pulumi.pricing.recognition import UNKNOWN, boolean, is_unknown, known, text, whole
from tests.support import previews

CIPHERTEXT = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "v1:abc"}


@pytest.mark.parametrize("value", [previews.UNKNOWN, previews.SECRET, CIPHERTEXT, UNKNOWN])
def test_secret_and_unknown_values_are_unknown(value: Any) -> None:
    assert known(value) is UNKNOWN
    assert text({"plan": value}, "plan") is UNKNOWN
    assert whole({"tier": value}, "tier") is UNKNOWN
    assert boolean({"on": value}, "on") is UNKNOWN


@pytest.mark.parametrize("value", ["", "basic", 0, 1.0, False, {}, {"a": 1}, []])
def test_a_value_is_known(value: Any) -> None:
    assert not is_unknown(value)
    assert known(value) == value


@pytest.mark.parametrize("value", [["a", previews.UNKNOWN], {"a": {"b": [previews.UNKNOWN]}}])
def test_a_value_is_unknown_if_a_part_of_it_is(value: Any) -> None:
    assert is_unknown(value)
    assert known(value) is UNKNOWN


@pytest.mark.parametrize("value", [previews.SECRET, CIPHERTEXT])
def test_a_hidden_value_exists(value: Any) -> None:
    assert not is_unknown(value)


@pytest.mark.parametrize(
    "value",
    [
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
        "04da6b54-80e4-46f7-96ec-b56ff0331ba9",
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
        "030794c1-ac77-496b-92df-f27374a8bd58",
        "e48ece36-62e2-4504-bad9-02848725956a",
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
    ],
    ids=["boolean", "number", "string", "array", "asset", "archive", "object"],
)
def test_an_output_that_does_not_exist_yet_is_unknown_whatever_its_type(value: str) -> None:
    assert known(value) is UNKNOWN


def test_absent_is_not_unknown() -> None:
    assert text({}, "plan") is None
    assert whole({"tier": None}, "tier") is None
    assert boolean({}, "on") is None


@pytest.mark.parametrize("value", [True, "3", 1.5, float("nan"), float("inf"), [3]])
def test_a_value_that_is_no_whole_number_is_unknown(value: Any) -> None:
    assert whole({"tier": value}, "tier") is UNKNOWN


@pytest.mark.parametrize("value", [5, 1.0, ["basic"], True])
def test_a_value_that_is_no_text_is_unknown(value: Any) -> None:
    assert text({"plan": value}, "plan") is UNKNOWN


def test_the_engine_makes_floats_of_whole_numbers() -> None:
    assert whole({"tier": 3.0}, "tier") == 3


def test_a_text_is_no_boolean() -> None:
    assert boolean({"on": "true"}, "on") is UNKNOWN
    assert boolean({"on": False}, "on") is False
