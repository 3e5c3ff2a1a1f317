"""Every resource carries its kind in its inputs and outputs, for policies and prices to recognise it by."""

from __future__ import annotations

from stacks_pulumi.pricing.tokens import MARKER
from tests.support.host import Host


def test_check_writes_the_kind_and_a_program_cannot_write_another(host: Host) -> None:
    checked, failures = host.resource("Container", "web")._check(
        {"name": "web", "template": "nodejs", MARKER: "PinnedBackup"}
    )

    assert not failures
    assert checked[MARKER] == "Container"


def test_marker_is_in_the_state_and_its_absence_is_no_difference(host: Host) -> None:
    web = host.resource("Container", "web")
    web.up(name="web", template="nodejs")
    assert web.outs[MARKER] == "Container"
    assert web.read()
    assert web.outs[MARKER] == "Container"

    del web.outs[MARKER]
    assert web.up(name="web", template="nodejs") == []
