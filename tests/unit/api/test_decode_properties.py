"""
For every answer of the API, the client returns a value or raises one of its error classes.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stacks_pulumi import errors
from stacks_pulumi.api import _bodies, _unshaped, models
from stacks_pulumi.api._bodies import done, item, items
from stacks_pulumi.api._call import Answer
from stacks_pulumi.api._decode import Decode
from stacks_pulumi.api._unshaped import metrics, text_of
from tests.unit.api.scripted_api import a_call

NAMES = [
    *(
        "success",
        "error",
        "message",
        "field",
        "data",
        "count",
        "credentials",
        "mainCredentials",
        "connectionInfo",
    ),
    *(
        "outgoing",
        "incoming",
        "all",
        "databases",
        "allowed_ips",
        "templates",
        "metrics",
        "cpu",
        "timestamps",
        "logs",
    ),
    *("timestamp", "value", "environmentVariables", "required_scope", "spending_cap", "config", "clients"),
    *models.Container.__struct_fields__,
    *models.Backup.__struct_fields__,
]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=8) | st.sampled_from(NAMES), inner, max_size=6)
    ),
    max_leaves=25,
)
PARSERS: list[Callable[[Any], Any]] = [
    lambda body: items(models.Container, body, "containers"),
    lambda body: item(models.Container, body, "container"),
    lambda body: item(models.AllowedIp, body),
    lambda body: items(models.Backup, body, "backups"),
    lambda body: item(models.BackupStats, body),
    lambda body: items(models.VpnClient, body, "clients", bare=("name",)),
    lambda body: item(models.ExternalAccess, body),
    _bodies.allowed_ips,
    _bodies.created_connection,
    _bodies.connections,
    _unshaped.credentials,
    _unshaped.private_key,
    _unshaped.private_key_if_any,
    _bodies.targets,
    _unshaped.templates,
    metrics,
    text_of,
    done,
]


@given(
    body=json_values,
    status=st.sampled_from([200, 202, 400, 402, 403, 404, 429, 500, 503]),
    as_text=st.booleans(),
)
@pytest.mark.parametrize("parse", PARSERS)
def test_any_json_is_a_value_or_one_of_our_errors(
    parse: Callable[[Any], Any], body: Any, status: int, as_text: bool
) -> None:
    answer = Answer(status, {"content-type": "application/json"}, json.dumps(body).encode())
    try:
        Decode(lambda call: answer)(a_call("GET", parse, text=as_text))
    except (errors.ApiError, errors.UnreadableAnswerError) as error:
        message = str(error)
        assert message.isprintable()


@given(
    body=st.binary(max_size=64),
    kind=st.sampled_from(["", "text/plain", "application/json"]),
    as_text=st.booleans(),
)
def test_any_bytes_are_a_value_or_one_of_our_errors(body: bytes, kind: str, as_text: bool) -> None:
    answer = Answer(200, {"content-type": kind}, body)
    try:
        Decode(lambda call: answer)(a_call("GET", text_of, text=as_text))
    except (errors.ApiError, errors.UnreadableAnswerError) as error:
        message = str(error)
        assert message.isprintable()
