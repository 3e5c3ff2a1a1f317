from __future__ import annotations

from typing import Any

import pytest

from stacks_pulumi.api._bodies import scrub
from stacks_pulumi.api._error_mapping import api_words, scrub_body
from tests.unit.api.scripted_api import KEY


@pytest.mark.parametrize(
    "text", [KEY, f"Bearer {KEY}", f"key={KEY}&x", KEY.upper(), KEY[:40], f"'{KEY}'", f"x{KEY}{KEY}"]
)
def test_no_part_of_a_key_survives(text: str) -> None:
    assert "0123456789abcdef" not in scrub(text).lower()
    assert "sk_stacks_..." in scrub(text)


def test_a_key_is_not_cut_in_half_before_it_is_found() -> None:
    assert "0123" not in scrub("x" * 250 + KEY, 290)


def test_a_text_becomes_one_line_of_printable_characters() -> None:
    assert scrub("a\r\n\tb\x1b[31m\x00c\u202ed") == "a b [31m c d"


def test_a_long_text_is_cut() -> None:
    assert scrub("x" * 1_000_000) == "x" * 297 + "..."


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"error": "Invalid API key"}, "Invalid API key"),
        ({"error": "Cap reached", "message": "Your cap"}, "Cap reached: Your cap"),
        ({"error": "same", "message": "same"}, "same"),
        ({"error": {"code": 7, "message": "inner"}}, ""),
        ({"message": "only"}, "only"),
        ({"error": 7}, ""),
        ({}, ""),
        ([], ""),
        (None, ""),
        ("upstream timed out", "upstream timed out"),
        ("  <html><h1>502</h1></html>", ""),
    ],
)
def test_the_api_own_words_are_found(body: Any, expected: str) -> None:
    assert api_words(body) == expected


def test_a_body_that_is_kept_holds_no_secret_and_has_bounds() -> None:
    deep: Any = {"a": {"b": {"c": {"d": {"e": {"f": 1}}}}}}
    kept = scrub_body(
        {
            "error": f"bad {KEY}",
            "password": "hunter2",
            "connectionString": "x",
            "list": list(range(1000)),
            "deep": deep,
            "n": 1.5,
            "none": None,
        }
    )

    assert kept["error"] == "bad sk_stacks_..."
    assert kept["password"] == kept["connectionString"] == "****"
    assert len(kept["list"]) == 50
    assert kept["deep"] == {"a": {"b": {"c": {"d": None}}}}
    assert (kept["n"], kept["none"]) == (1.5, None)
