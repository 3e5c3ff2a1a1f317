"""
Canaries: each supported SDK still has every private part that the dynamic host uses.

A failure names the SDK's version. Users lose one feature with that SDK: the table at the top of
`stacks_pulumi/hosts/dynamic.py` lists the features and their fallbacks.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable

import pytest
from pulumi.runtime import rpc

from stacks_pulumi.emulator import Emulator
from stacks_pulumi.pricing.recognition import is_unknown
from stacks_pulumi.resources import _values
from tests.support.host import SECRET, CallFailedError, Host
from tests.support.sdk import OLDEST, oldest_sdk


@pytest.fixture(params=[OLDEST, importlib.metadata.version("pulumi")])
def sdk(request: pytest.FixtureRequest, emulator: Emulator, make_host: Callable[..., Host]) -> Host:
    """A host with one SDK; the test's name contains the SDK's version."""
    overlay = str(oldest_sdk()) if request.param == OLDEST else None
    return make_host({"stacks:apiKey": emulator.key, "stacks:baseUrl": emulator.url}, overlay)


def test_the_engines_call_is_found_and_its_error_is_clear(sdk: Host, emulator: Emulator) -> None:
    emulator.faults.add("containers.create", 503)

    with pytest.raises(CallFailedError) as failure:
        sdk.resource("Container", "web").up(name="web", template="nodejs")

    assert failure.value.message.startswith("create container")


def test_a_create_that_failed_partway_keeps_its_id(sdk: Host, emulator: Emulator) -> None:
    emulator.fail_boot("web")

    with pytest.raises(CallFailedError) as failure:
        sdk.resource("Container", "web").up(name="web", template="nodejs")

    assert failure.value.kept_id == f"{emulator.account}-web"
    assert failure.value.kept["name"] == "web"


def test_the_custom_timeout_arrives(sdk: Host, emulator: Emulator) -> None:
    emulator.freeze()
    web = sdk.resource("Container", "web")
    web.timeout = 5

    with pytest.raises(CallFailedError, match=r'still "pending" after \d+ s'):
        web.up(name="web", template="nodejs")


def test_the_engine_accepts_log_lines_for_the_resource(sdk: Host) -> None:
    web = sdk.resource("Container", "web")

    web.up(name="web", template="nodejs")

    assert web.lines() != []


def test_a_secret_stays_a_secret_in_the_host(sdk: Host) -> None:
    web, key = sdk.resource("Container", "web"), sdk.resource("SshCertificate", "key")
    web.up(name="web", template="nodejs")

    key.up(container=web.id)

    assert SECRET.items() <= key.raw["private_key"].items()


def test_no_part_is_missing(sdk: Host) -> None:
    sdk.resource("Container", "web").up(name="web", template="nodejs")

    assert [line.text for line in sdk.engine.lines if line.severity == "WARNING"] == []


def test_secret_marks_and_unknowns_equal_those_of_the_sdk() -> None:
    assert _values.UNKNOWN == rpc.UNKNOWN
    assert _values.secret("x") == {rpc._special_sig_key: rpc._special_secret_sig, "value": "x"}
    assert _values.plain({"a": [_values.secret({"b": 1})]}) == {"a": [{"b": 1}]}
    assert is_unknown({"a": [rpc.UNKNOWN]})
    assert not is_unknown({"a": ["x", 1, None, True]})
