"""Delete of a Container on the real host."""

from __future__ import annotations

from stacks_pulumi.emulator import Emulator
from tests.support.host import HostedResource


def test_delete_waits_until_the_name_is_free(web: HostedResource, emulator: Emulator) -> None:
    emulator.platform.pace = emulator.platform.pace.__class__(delete_seconds=0.8)
    web.up(name="web", template="nodejs")

    web.delete()

    assert emulator.state.names() == []


def test_delete_of_a_missing_container_succeeds(web: HostedResource, emulator: Emulator) -> None:
    web.up(name="web", template="nodejs")
    emulator.drift.delete("web")

    web.delete()

    assert web.id == ""
