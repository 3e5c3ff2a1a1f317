"""The emulator of a test with stacks, which test folders and files use as their fixture `emulator`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stacks_pulumi.emulator import Emulator
from tests.support.clock import fast_clock


@pytest.fixture
def for_stacks() -> Iterator[Emulator]:
    """Run an emulator with short boots and a fast clock; the test fails if a fault did not fire."""
    with Emulator(boot_seconds=1, clock=fast_clock()) as api:
        yield api
        api.faults.assert_none_left()
