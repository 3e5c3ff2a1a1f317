"""Delete of a Container on the real host."""

from __future__ import annotations

import pytest

from stacks_pulumi.emulator import Emulator
from tests.support.host import CallFailedError, HostedResource
from tests.support.waiting import until


@pytest.mark.hosts("dynamic", "native")
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


def test_a_platform_that_wants_a_container_stopped_first_is_shown_with_its_own_words(
    web: HostedResource, emulator: Emulator
) -> None:
    web.up(name="web", template="nodejs")
    emulator.faults.add(
        "containers.delete",
        "status",
        code=409,
        body={"error": "Container is running. Stop it before you delete it."},
    )

    with pytest.raises(CallFailedError, match="Stop it before you delete it"):
        web.delete()

    assert emulator.state.names() == ["web"]
    web.delete()
    assert emulator.state.names() == []


def test_a_deletion_is_not_sent_again_when_the_engine_is_gone(
    web: HostedResource, emulator: Emulator
) -> None:
    """A name can be reused: once, the second request deleted the container that the next `up` had created."""
    web.up(name="web", template="nodejs")
    busy = {"success": False, "error": "another request is under way", "hint": "wait", "code": "grant-busy"}
    fault = emulator.faults.add("containers.delete", "status", code=409, body=busy)

    web.abandon_delete(lambda: fault.fired == 1)

    begun = emulator.clock.now()
    until(lambda: emulator.clock.now() > begun + 15)
    assert emulator.calls("containers.delete") == 1
