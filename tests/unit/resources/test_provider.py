"""An account of its own."""

from __future__ import annotations

from typing import Any

import pytest

import stacks_pulumi as stacks
from stacks_pulumi.errors import ConfigError


def test_a_provider_without_a_key_is_refused_before_another_account_is_used_in_its_place() -> None:
    not_set: Any = None

    with pytest.raises(ConfigError, match='the provider "team-b" has no api_key'):
        stacks.Provider("team-b", api_key=not_set)
