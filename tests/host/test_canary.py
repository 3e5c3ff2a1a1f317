"""
Canaries: each supported SDK still has every private part that the dynamic host uses.

A failure names the SDK's version. Users lose one feature with that SDK: the table at the top of
`stacks_pulumi/hosts/dynamic.py` lists the features and their fallbacks.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator

import pytest
from pulumi.runtime import rpc

from stacks_pulumi.emulator import Emulator
from stacks_pulumi.pricing.recognition import is_unknown
from stacks_pulumi.resources import _values
from tests.support.clock import SPEED, fast_clock, fast_wall
from tests.support.host import PROMPT, SECRET, CallFailedError, Host
from tests.support.sdk import OLDEST, oldest_sdk


@pytest.fixture(scope="module", params=[OLDEST, importlib.metadata.version("pulumi")])
def version(request: pytest.FixtureRequest) -> str:
    """Return the version of an SDK, which the name of each test contains."""
    return str(request.param)


@pytest.fixture(scope="module")
def emulator(version: str) -> Iterator[Emulator]:
    """Run an emulator for all tests of one SDK; each test has its own containers."""
    with Emulator(boot_seconds=0.5, clock=fast_clock()) as api:
        yield api


@pytest.fixture(scope="module")
def sdk(version: str, emulator: Emulator) -> Iterator[Host]:
    """Start a host for all tests of one SDK."""
    config = {**PROMPT, "stacks:apiKey": emulator.key, "stacks:baseUrl": emulator.url}
    host = Host(config, str(oldest_sdk()) if version == OLDEST else None, SPEED, fast_wall())
    yield host
    assert host.stop() == ""


def test_the_engines_call_is_found_and_its_error_is_clear(sdk: Host, emulator: Emulator) -> None:
    emulator.faults.add("containers.create", 503)

    with pytest.raises(CallFailedError) as failure:
        sdk.resource("Container", "full").up(name="full", template="nodejs")

    assert failure.value.message.startswith("create container")


def test_a_create_that_failed_partway_keeps_its_id(sdk: Host, emulator: Emulator) -> None:
    emulator.fail_boot("failing")

    with pytest.raises(CallFailedError) as failure:
        sdk.resource("Container", "failing").up(name="failing", template="nodejs")

    assert failure.value.kept_id == f"{emulator.account}-failing"
    assert failure.value.kept["name"] == "failing"


def test_the_custom_timeout_arrives(sdk: Host, emulator: Emulator) -> None:
    emulator.freeze()
    slow = sdk.resource("Container", "slow")
    slow.timeout = 5

    with pytest.raises(CallFailedError, match=r'still "pending" after \d+ s'):
        slow.up(name="slow", template="nodejs")

    emulator.resume()


def test_the_engine_accepts_log_lines_and_no_part_is_missing(sdk: Host) -> None:
    web = sdk.resource("Container", "web")

    web.up(name="web", template="nodejs")

    assert web.lines() != []
    # `test_fallbacks.py` shows the warning that a missing part causes.
    assert [line.text for line in sdk.engine.lines if "does not fully support" in line.text] == []


def test_a_secret_stays_a_secret_in_the_host(sdk: Host) -> None:
    app, key = sdk.resource("Container", "app"), sdk.resource("SshCertificate", "key")
    app.up(name="app", template="nodejs")

    key.up(container=app.id)

    assert SECRET.items() <= key.raw["private_key"].items()


def test_secret_marks_and_unknowns_equal_those_of_the_sdk() -> None:
    assert _values.UNKNOWN == rpc.UNKNOWN
    assert _values.secret("x") == {rpc._special_sig_key: rpc._special_secret_sig, "value": "x"}
    assert _values.plain({"a": [_values.secret({"b": 1})]}) == {"a": [{"b": 1}]}
    assert is_unknown({"a": [rpc.UNKNOWN]})
    assert not is_unknown({"a": ["x", 1, None, True]})
