"""The default name of a container on the real host: a pattern creates it once, and the container keeps it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from stacks_pulumi.emulator import Emulator
from tests.support.host import CallFailedError, Host, HostedResource

pytestmark = pytest.mark.hosts("dynamic", "native")

PATTERN = "${name}-${stack}"
# The class Container sends this if the program gives no name.
WEB: dict[str, Any] = {"name": "web", "template": "nodejs", "default_name": {"organization": "acme"}}

MakeHost = Callable[..., Host]


def web_of(make_host: MakeHost, emulator: Emulator, **settings: str) -> HostedResource:
    config = {"stacks:apiKey": emulator.key, "stacks:baseUrl": emulator.url}
    config.update({f"stacks:{key}": value for key, value in settings.items()})
    return make_host(config).resource("Container", "web")


def later(web: HostedResource, make_host: MakeHost, emulator: Emulator, **settings: str) -> HostedResource:
    """Return the same resource in the next operation of the engine."""
    web.host = web_of(make_host, emulator, **settings).host
    return web


def names(emulator: Emulator) -> set[str]:
    return {container.name for container in emulator.state.containers.values()}


def test_a_name_from_a_pattern_is_kept_until_a_replacement(make_host: MakeHost, emulator: Emulator) -> None:
    web = web_of(make_host, emulator, namePattern=PATTERN)

    assert web.up(**WEB) == ["create"]
    assert names(emulator) == {"web-dev"}
    assert web.up(**WEB) == []
    assert web.up(**WEB, external_access=True) == ["update"]
    assert web.read()
    for pattern in ({}, {"namePattern": "${stack}-${name}"}):
        assert later(web, make_host, emulator, **pattern).up(**WEB, external_access=True) == []
    assert web.outs["name"] == "web-dev"

    web.delete()

    # A new container, including a replacement, gets the name from the current pattern.
    assert web.up(**WEB) == ["create"]
    assert names(emulator) == {"dev-web"}


@pytest.mark.hosts("dynamic")
@pytest.mark.parametrize(
    "edited", [{"name": "hunter2-tiger"}, {"name_pattern": "hunter2-tiger"}], ids=["name", "pattern"]
)
def test_a_name_of_the_state_that_the_pattern_did_not_make_is_refused(
    make_host: MakeHost, emulator: Emulator, edited: dict[str, str]
) -> None:
    web = web_of(make_host, emulator, namePattern=PATTERN)
    web.up(**WEB)
    web.inputs.update(edited)

    with pytest.raises(CallFailedError, match="that was not derived from the resource's name") as refused:
        web.check(**WEB)

    assert "hunter2" not in str(refused.value)


def test_two_equal_names_from_a_pattern_fail_at_preview(make_host: MakeHost, emulator: Emulator) -> None:
    web = web_of(make_host, emulator, namePattern=PATTERN)
    web.checked(**WEB)

    failures = web.host.resource("Container", "other").check(name="web-dev", template="nodejs")

    assert "two resources declare the same Container (web-dev): 'web' and 'other'" in failures["name"]


@pytest.mark.parametrize(
    ("settings", "remedy"),
    [
        ({}, "run `pulumi config set stacks:namePattern '${name}-${stack}'`, which changes"),
        (
            {"account": "team-b"},
            'write name_pattern="${name}-${stack}" on the provider "team-b", which changes',
        ),
    ],
)
def test_a_taken_name_is_an_error_with_owners_and_fixes(
    make_host: MakeHost, emulator: Emulator, settings: dict[str, str], remedy: str
) -> None:
    web_of(make_host, emulator, **settings).up(**WEB)

    again = web_of(make_host, emulator, **settings)
    with pytest.raises(CallFailedError) as failure:
        again.up(**WEB)

    message, worded = failure.value.message, again.host.worded
    owners = ("another stack", "an interrupted or waitlisted `up` of this stack", "by hand")
    assert sorted(owners, key=message.index) == list(owners)
    assert worded(remedy) in message
    assert worded('or write name="..."') in message
    assert worded('stacks.Container("web", ..., adopt="if_matching")') in message
    assert "`pulumi destroy` deletes it with its data, even if another stack manages it too" in message
    assert message.endswith(" [already-exists]")


def test_a_written_name_has_to_be_left_out_for_the_pattern(make_host: MakeHost, emulator: Emulator) -> None:
    """`scaffold` writes the name of each container, and a second stack may already have a pattern."""
    written = {"name": "web", "template": "nodejs"}
    web_of(make_host, emulator).up(**written)

    again = web_of(make_host, emulator, namePattern=PATTERN)
    with pytest.raises(CallFailedError) as failure:
        again.up(**written)

    advice = "leave `name` out of the program, so that the name pattern applies, or write a different name"
    assert advice in failure.value.message
    assert "pulumi config set" not in failure.value.message
