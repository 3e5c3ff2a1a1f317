"""The validators return a normal form or an error with a fix."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stacks_pulumi.resources import _validators

VALIDATORS = [
    _validators.text,
    _validators.boolean,
    _validators.strings,
    _validators.container_name,
    _validators.storage_tier,
    _validators.ip_network,
    _validators.backup_number,
    _validators.one_of(("http", "tcp", "both")),
]
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@pytest.mark.parametrize("validate", VALIDATORS)
@given(value=ANYTHING)
@example(value=float("inf"))
@example(value=float("nan"))
def test_every_value_is_accepted_or_refused_with_a_message(
    validate: Callable[[Any], Any], value: Any
) -> None:
    reason = ""
    try:
        normal = validate(value)
    except ValueError as error:
        reason = str(error)

    assert reason or validate(normal) == normal


@given(name=st.from_regex(r"\A[A-Za-z0-9]([A-Za-z0-9]|-(?!-)){1,30}[A-Za-z0-9]\Z"))
def test_names_follow_the_guide(name: str) -> None:
    if "--" not in name:
        assert _validators.container_name(name) == name


@pytest.mark.parametrize(
    ("given_", "canonical"),
    [
        ("10.0.0.7", "10.0.0.7"),
        ("10.0.0.7/32", "10.0.0.7"),
        (" 198.51.100.0/24 ", "198.51.100.0/24"),
        ("198.51.100.0/255.255.255.0", "198.51.100.0/24"),
        ("2001:DB8::0:1", "2001:db8::1"),
        ("2001:db8::1/128", "2001:db8::1"),
        ("2001:db8:0::/48", "2001:db8::/48"),
        ("0.0.0.0/0", "0.0.0.0/0"),
    ],
)
def test_addresses_have_one_spelling(given_: str, canonical: str) -> None:
    assert _validators.ip_network(given_) == canonical


def test_host_bits_are_refused_with_both_ways_out() -> None:
    with pytest.raises(ValueError, match=r"write 10\.0\.0\.0/24 for the network, or 10\.0\.0\.7"):
        _validators.ip_network("10.0.0.7/24")


@pytest.mark.parametrize(
    ("value", "number"),
    [(178, 178), (178.0, 178), ("178", 178), ("usr-abc12345-db/178", 178), ("178.0", 178)],
)
def test_a_backup_is_named_by_number_or_id(value: Any, number: int) -> None:
    assert _validators.backup_number(value) == number


def test_triggers_are_compared_as_text() -> None:
    assert _validators.strings(["v1", 2.0, 2.5, True, {"a": 1}]) == ["v1", "2", "2.5", "True", "{'a': 1}"]


def test_a_trigger_with_the_entries_of_a_mapping_in_another_order_is_no_change() -> None:
    """On the wire, a mapping has no order: each call may have a different order, and a key would be rotated."""
    some = [{"host": "a", "ports": [{"tcp": 1, "udp": 2}]}]
    same = [{"ports": [{"udp": 2, "tcp": 1}], "host": "a"}]

    assert _validators.strings(some) == _validators.strings(same)
    assert _validators.strings(_validators.strings(some)) == _validators.strings(some)


def test_a_typing_error_is_guessed() -> None:
    with pytest.raises(ValueError, match="did you mean 'running'"):
        _validators.one_of(("running", "stopped"))("runnning")


@pytest.mark.parametrize("name", [".", ".."])
def test_a_name_that_changes_the_path_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="choose a different name"):
        _validators.segment(name)
