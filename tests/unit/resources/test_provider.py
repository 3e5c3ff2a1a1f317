"""The resource `Provider`, with its own account."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import stacks_pulumi as stacks
from stacks_pulumi.errors import ConfigError


def test_a_provider_without_a_key_is_refused() -> None:
    not_set: Any = None

    with pytest.raises(ConfigError, match='the provider "team-b" has no api_key'):
        stacks.Provider("team-b", api_key=not_set)


def test_plain_http_to_another_machine_is_allowed_by_the_program_and_not_by_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    key, url = "sk_stacks_" + "ab" * 32, "http://emulator:7822/api/v1"

    async def program() -> None:  # A secret needs a running event loop, as in every program.
        stacks.Provider("by-argument", api_key=key, base_url=url, allow_http=True)
        monkeypatch.setenv("STACKS_ALLOW_HTTP", "true")
        with pytest.raises(ConfigError, match="in plain text"):
            stacks.Provider("by-environment", api_key=key, base_url=url)

    asyncio.run(program())


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ({"api_key": "sk_wrong"}, 'malformed .* must pass a valid api_key to the provider "team-b"'),
        ({"api_key": ""}, "has no api_key"),
        ({"adopt": "always"}, "must be one of never, if_matching"),
        ({"base_url": "http://api.example"}, "in plain text"),
        ({"requests_per_minute": 0}, "a whole number, 1 or more"),
    ],
)
def test_invalid_arguments_are_reported_at_preview(setting: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        stacks.Provider("team-b", **{"api_key": "sk_stacks_" + "0" * 64, **setting})
