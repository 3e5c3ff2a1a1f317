"""Slow or unusual answers, through the real host: the wait ends in time, and the state keeps its resources."""

from __future__ import annotations

from typing import Any

import pytest

from stacks_pulumi.emulator import Emulator
from tests.support.accounts import running
from tests.support.host import CallFailedError, Host


@pytest.mark.parametrize("part", ["headers", "body"])
def test_a_slow_answer_does_not_exceed_the_timeout(host: Host, emulator: Emulator, part: str) -> None:
    emulator.freeze()
    web = host.resource("Container", "web")
    web.timeout = 5
    checked = web.checked(name="web", template="nodejs")
    emulator.faults.add("containers.list", "pass")
    emulator.faults.add("containers.list", "trickle", times=None, seconds=3600, part=part)

    with pytest.raises(CallFailedError) as caught:
        web.create(checked)

    assert caught.value.kept_id == f"{emulator.account}-web"


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("miscount", {"by": 2}),
        ("wrong_types", {"row": 0}),
        ("wrong_types", {"row": 1, "field": "memory_allocated"}),
    ],
    ids=["count", "odd row", "odd field"],
)
def test_a_read_of_an_unusual_list_keeps_only_existing_children(
    host: Host, emulator: Emulator, kind: str, options: dict[str, Any]
) -> None:
    running(emulator, "other")
    web, sql = host.resource("Container", "web"), host.resource("Container", "sql")
    web.up(name="web", template="nodejs")
    sql.up(name="sql", template="postgresql")
    emulator.drift.delete("sql")
    emulator.faults.add("containers.list", kind, times=None, **options)

    kept, gone = web.read(), sql.read()

    assert (kept, gone) == (True, False)
    # Absence from such a list is no proof of a deletion; the status is.
    assert emulator.calls("containers.status") > 0 or kind == "wrong_types"


def test_a_list_shorter_than_its_count_proves_no_deletion(host: Host, emulator: Emulator) -> None:
    web = host.resource("Container", "web")
    web.up(name="web", template="nodejs")
    body = {"success": True, "count": 1, "data": []}
    emulator.faults.add("containers.list", "answer", times=None, body=body)

    assert web.read()
