"""Properties on the way to the engine and back: each value has a kind, and marks of secrets keep their place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf import struct_pb2

from stacks_pulumi.hosts.plugin.wire import from_struct, marked_as, secret_texts, to_struct
from stacks_pulumi.pricing.recognition import SIGNATURE
from stacks_pulumi.resources._values import UNKNOWN, secret

OUTPUT = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
"""The protocol's signature of an output."""

VALUES: dict[str, Any] = {
    "name": "web",
    "external_access": False,
    "monthly_price_usd": 9.5,
    "ports": [80, None, "443"],
    "environment": {"API_KEY": {"of": [None]}, "EMPTY": ""},
}


def kinds(value: struct_pb2.Value) -> Iterator[str | None]:
    yield value.WhichOneof("kind")
    for item in (*value.list_value.values, *value.struct_value.fields.values()):
        yield from kinds(item)


def test_properties_survive_the_way_to_the_engine_and_back() -> None:
    sent = to_struct({**VALUES, "left_out": None})

    assert sent.fields.keys() == {"name", "externalAccess", "monthlyPriceUsd", "ports", "environment"}
    # The engine refuses a value without a kind.
    assert None not in {kind for value in sent.fields.values() for kind in kinds(value)}
    assert from_struct(sent) == VALUES


def test_a_value_that_the_protocol_does_not_have_is_a_bug() -> None:
    with pytest.raises(ValueError, match="Unexpected type"):
        to_struct({"name": object()})


def test_the_engines_own_properties_are_left_out() -> None:
    assert from_struct(struct_pb2.Struct(fields={"__defaults": struct_pb2.Value(string_value="x")})) == {}


@pytest.mark.parametrize(("more", "value"), [({"value": "web"}, "web"), ({}, UNKNOWN)])
def test_an_output_is_its_value(more: dict[str, str], value: str) -> None:
    bag = struct_pb2.Struct()
    bag.update({"name": {SIGNATURE: OUTPUT, "secret": False, **more}})

    assert from_struct(bag) == {"name": value}


def test_what_the_engine_marks_as_secret_is_returned_so() -> None:
    values = {"name": "web", "plan": "basic", "discount_code": None}

    marked = marked_as(values, {"name": secret("api"), "plan": "basic", "discount_code": secret("SAVE")})

    assert marked == {"name": secret("web"), "plan": "basic", "discount_code": None}


def test_secret_texts_are_those_that_are_known_and_not_empty() -> None:
    bag = {
        "a": secret("key"),
        "b": secret(""),
        "c": secret(UNKNOWN),
        "d": secret(5.0),
        "e": {"f": "x"},
        "g": "y",
    }

    assert secret_texts(bag) == {"key"}
