from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from stacks_pulumi.emulator import Emulator
from tests.support.exports import Accounts


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    with Emulator(boot_seconds=0, action_seconds=0, delete_seconds=0, backup_seconds=0) as api:
        monkeypatch.setenv("STACKS_API_KEY", api.key)
        monkeypatch.setenv("STACKS_BASE_URL", api.url)
        yield api


@pytest.fixture
def accounts(emulator: Emulator, tmp_path: Path) -> Accounts:
    return Accounts(emulator, tmp_path)
