"""The value of a malformed, misspelt or misplaced setting never appears in a message or a log line."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, Final

import pytest
from pulumi.runtime.proto import provider_pb2

from stacks_pulumi import config
from stacks_pulumi.emulator import Emulator
from tests.support.host import CallFailedError, Host, _to_struct

DIGITS: Final = "0123456789abcdef" * 4
KEY: Final = f"sk_stacks_{DIGITS}"
HOSTILE: Final = {
    "whole": KEY,
    "other-prefix": KEY.replace("_", "-"),
    "no-prefix": DIGITS,
    "sentence": f"Bearer {KEY}",
    "address": f"https://{KEY}.example/api/v1",
    "credentials": f"https://user:{DIGITS}@api.example",
    "expression": f"${{name}}-${{{DIGITS}}}",
}
"""Texts that a user may paste: a key, a malformed key, or a text that contains a key."""
MISSPELT: Final = ("apikey", "api_key", "API_KEY", "token", "baseURL", KEY)
URN_OF_DEFAULT: Final = "urn:pulumi:dev::tests::pulumi:providers:stacks::default"
URN_OF_TEAM: Final = "urn:pulumi:dev::tests::pulumi:providers:stacks::team"


def failures(host: Host, urn: str, **settings: Any) -> list[tuple[str, str]]:
    """Return the failures of the settings of a provider: pairs of property and reason."""
    request = provider_pb2.CheckRequest(urn=urn, news=_to_struct(settings))
    return [(failure.property, failure.reason) for failure in host.stub.CheckConfig(request).failures]


def what_is_said(host: Host) -> list[str]:
    """Return the errors of operations, and the lines that the engine shows, including those with `--debug`."""
    said = []
    web = host.resource("Container", "web")
    web.id = "usr-1-web"
    for operation in (lambda: web.check(template="nodejs", name="a"), web.read, web.delete):
        try:
            said.append(str(operation()))
        except CallFailedError as error:
            said.append(error.message)
    return [*said, *(line.text for line in host.engine.lines)]


@pytest.mark.parametrize("hostile", [KEY, DIGITS], ids=["key", "digits"])
@pytest.mark.parametrize("name", ["account", "apikey", "baseUrl"])
def test_no_message_and_no_line_contains_the_value_of_a_setting(
    make_host: Callable[..., Host], emulator: Emulator, name: str, hostile: str
) -> None:
    """The dynamic host reads its settings once; the test of the plugin has all of them."""
    sound = {"stacks:apiKey": emulator.key, "stacks:baseUrl": emulator.url}
    host = make_host({**sound, f"stacks:{name}": hostile})

    found = what_is_said(host)

    assert any("[" in text for text in found), "at least one operation was refused"
    assert [text for text in found if DIGITS in text] == []


@pytest.mark.hosts("native")
def test_no_message_and_no_line_of_the_plugin_contains_the_value_of_a_setting(host: Host) -> None:
    sound = host.config
    for name, hostile in itertools.product((*config.KEYS, *MISSPELT), (KEY, DIGITS)):
        host.config = {**sound, f"stacks:{name}": hostile}
        host.configure()

        found = what_is_said(host)

        assert any("[" in text for text in found), "at least one operation was refused"
        assert [text for text in found if DIGITS in text] == [], name


@pytest.mark.hosts("native")
@pytest.mark.parametrize("urn", [URN_OF_DEFAULT, URN_OF_TEAM], ids=["stack", "provider"])
def test_the_error_of_a_setting_has_neither_its_property_nor_its_value(host: Host, urn: str) -> None:
    # The SDK checks the settings of a dynamic provider.
    for name in (*config.KEYS, *MISSPELT):
        for hostile in HOSTILE.values():
            for value in (hostile, [hostile], {"value": hostile}):
                found = failures(host, urn, **{name: value})
                assert found or (name, value) == ("apiKey", KEY), (name, value)
                # The engine prints the value of a property that a failure names.
                assert {property_ for property_, _ in found} <= {""}, (name, value)
                assert [reason for _, reason in found if DIGITS in reason] == [], (name, value)


@pytest.mark.hosts("dynamic", "native")
def test_an_input_that_contains_a_key_is_not_named_as_property(host: Host) -> None:
    """The engine prints the value of a property that a failure names."""
    request = provider_pb2.CheckRequest(
        urn=host.resource("Container", "web").urn,
        news=host.to_struct("Container", {"template": "nodejs", "name": f"web {KEY}"}),
    )

    (failure,) = host.stub.Check(request).failures

    assert failure.property == ""
    assert failure.reason.startswith("name: ")
    assert DIGITS not in failure.reason
