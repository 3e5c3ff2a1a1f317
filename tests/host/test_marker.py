"""Every resource has its kind in its inputs and outputs, so that policies and prices recognise it."""

from __future__ import annotations

import pytest

from stacks_pulumi.pricing.recognition import MARKER
from tests.support.host import Host

pytestmark = pytest.mark.hosts("dynamic", "native")


def test_check_sets_the_kind_and_refuses_another(host: Host) -> None:
    checked, failures = host.resource("Container", "web")._check(
        {"name": "web", "template": "nodejs", MARKER: "PinnedBackup"}
    )

    assert not failures
    assert checked[MARKER] == "Container"


def test_the_kind_is_in_the_state_and_its_absence_is_no_diff(host: Host) -> None:
    web = host.resource("Container", "web")
    web.up(name="web", template="nodejs")
    assert web.outs[MARKER] == "Container"
    assert web.read()
    assert web.outs[MARKER] == "Container"

    del web.outs[MARKER]
    assert web.up(name="web", template="nodejs") == []
