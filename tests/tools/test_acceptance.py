"""The acceptance run on emulated platforms: its findings, its files, and that it leaves no container."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stacks_pulumi import platform_file
from stacks_pulumi.emulator import Emulator
from tests.support.acceptance import (
    EVERYTHING,
    OWN,
    PREFIX,
    emulated,
    killed_and_swept,
    left_on,
    walk_on,
    wire_to,
)
from tests.support.platforms import READINGS, Reading, after, restamped
from tools.acceptance.findings import report
from tools.acceptance.record import Record
from tools.acceptance.sweep import Sweep
from tools.acceptance.walk import Walk


def walked(api: Emulator, max_usd: float = EVERYTHING, **options: Any) -> Walk:
    """Perform a complete run, which must leave no container."""
    walk = walk_on(api, max_usd, **options)

    assert walk.run(lambda _: None) == []

    assert left_on(api) == []
    assert sorted(it.name for it in api.state.containers.values()) == sorted(OWN)
    return walk


def facts(walk: Walk) -> dict[str, Any]:
    """Check that the platform file of a run can be read, and return its facts."""
    written = platform_file.parse(walk.findings.platform_file("a run"), "platform.yaml").as_json()
    written.pop("version")
    found = {f"{part}.{name}": value for part, known in written.items() for name, value in known.items()}
    assert found.keys() == walk.findings.facts.keys()
    return found


def test_on_the_platform_of_the_guide_nothing_differs_and_no_file_is_needed() -> None:
    with emulated() as api:
        walk = walked(api)

        assert {record.operation for record in api.requests if record.operation} >= {
            "containers.create",
            "connections.create",
            "vpn_clients.config",
            "backups.restore",
            "allowed_ips.add",
        }
    assert (walk.findings.differs, walk.findings.problems, facts(walk)) == ([], [], {})
    assert walk.findings.fits > 50


@pytest.mark.parametrize(
    ("name", "differs"),
    [
        ("rows under items", "a list was expected"),
        ("other words for statuses", "the status Active is not a known word"),
        ("statuses as objects", "status"),
        ("an empty list is null", "backups"),
        ("pages by cursor", "it is incomplete"),
        ("the id of the request in the 202", "an id that ends with"),
        ("a create is answered with 200", "the status is 200, not 202"),
        ("creation time only in the status", "created_at is None in the list"),
        ("the type is a category", "the type in the list is System"),
        ("no url in the answer", "the answer has no url"),
        ("connections at the source only", "its target does not list a connection"),
        ("connection names in lower case", ""),
        ("other words for backups", "the type of a triggered backup is on-demand"),
        ("a VPN configuration once", "VPN configuration not found"),
        ("prices as text with a currency", ""),
        ("nested prices", ""),
        ("errors as HTML", ""),
        ("statuses as numbers", "status"),
        ("a name that is taken is answered", "a name that is already in use is accepted"),
    ],
)
def test_what_differs_is_said_and_nothing_is_left(name: str, differs: str) -> None:
    with emulated(READINGS[name]) as api:
        walk = walked(api)

    assert not differs or any(differs in line for line in walk.findings.differs), walk.findings.differs


@pytest.mark.parametrize(
    ("reading", "wanted"),
    [
        (READINGS["lists lag 20 s"], {"lists.lag_seconds"}),
        (READINGS["another text for the caller's address"], {"access.own_address_description"}),
        (READINGS["prices in cents"], {"prices.field", "prices.unit"}),
        (READINGS["nested prices"], {"prices.field", "prices.unit"}),
        (READINGS["creation time changes with a restore"], {"containers.created_at_changes"}),
        (restamped("containers.set_status", "connections.create"), {"containers.created_at_changes"}),
    ],
    ids=["lag", "own address", "cents", "nested price", "restore", "start"],
)
def test_the_file_has_the_facts_for_which_a_default_is_not_enough(reading: Reading, wanted: set[str]) -> None:
    with emulated(reading) as api:
        walk = walked(api)

    assert facts(walk).keys() == wanted


def test_a_measured_time_is_half_as_long_again() -> None:
    with emulated(READINGS["lists lag 20 s"]) as api:
        assert 20 <= facts(walked(api))["lists.lag_seconds"] <= 40


@pytest.mark.parametrize(("max_usd", "made"), [(0, 0), (1, 1), (2, 2), (3, 3), (8, 4)])
def test_the_limit_on_the_cost_holds(max_usd: int, made: int) -> None:
    with emulated() as api:
        walk = walked(api, max_usd)

        accepted = [one for one in api.requests if one.operation == "containers.create" and one.status == 202]
    assert len(accepted) == made
    assert walk.spent <= max_usd


@pytest.mark.parametrize("fault", [503, 502, 500, "drop_before", "drop_after", "truncated"])
@pytest.mark.parametrize(
    "operation", ["containers.create", "containers.list", "containers.status", "backups.trigger"]
)
def test_one_fault_does_not_end_the_rest_and_nothing_is_left(operation: str, fault: Any) -> None:
    with emulated() as api:
        walk = walk_on(api)
        # The list before a run is not part of the run.
        one = api.faults.add(operation, fault, times=1)

        assert walk.run(lambda _: None) == []

        assert one.fired == 1
        assert left_on(api) == []
        assert api.calls("vpn_clients.config") >= 1, "the steps after it were taken"


@pytest.mark.parametrize("body", [None, [], {}, {"data": None}, {"data": [1, None, {"id": {}}]}, "text", 7])
@pytest.mark.parametrize(
    "operation", ["containers.create", "containers.list", "containers.templates", "backups.list"]
)
def test_any_json_is_a_difference_and_no_crash(operation: str, body: Any) -> None:
    with emulated() as api:
        api.faults.add(operation, "answer", body=body, times=3)
        walk = walk_on(api, 1)

        assert walk.run(lambda _: None) == []
        assert left_on(api) == []


def test_the_time_of_a_run_is_limited_whatever_does_not_end() -> None:
    with emulated(boot_seconds=1e6) as api:
        began, walk = api.clock.now(), walk_on(api, minutes=10)

        assert walk.run(lambda _: None) == []

        assert api.clock.now() - began <= 600
        assert left_on(api) == []


@pytest.mark.parametrize(
    ("name", "at", "sent"),
    [
        (None, 4, True),
        ("no id in the 202", 3, True),
        ("invisible for 20 s", 3, True),
        ("status found after 20 s", 3, True),
        ("the id of the request, and invisible for 20 s", 4, True),
        ("silent pages", 20, False),
        ("lists lag 20 s", 45, True),
        ("tombstones", 90, False),
        ("tombstones and UUIDs", 90, False),
        ("stopped containers are hidden", 30, True),
    ],
)
def test_a_run_that_is_killed_is_swept(name: str | None, at: int, sent: bool, tmp_path: Path) -> None:
    with emulated(*([] if name is None else [READINGS[name]])) as api:
        left = killed_and_swept(api, tmp_path / f"{PREFIX}.json", at, sent=sent)

        assert any(one.operation == "containers.create" for one in api.requests)
        assert (left, left_on(api)) == ([], [])


def test_a_container_that_no_list_shows_is_deleted_when_its_own_address_shows_it(tmp_path: Path) -> None:
    with emulated(after(listed=1e9, found=20)) as api:
        assert killed_and_swept(api, tmp_path / f"{PREFIX}.json", 3, sent=True) == []
        assert left_on(api) == []


def test_what_was_made_and_no_list_shows_is_said_to_be_left() -> None:
    with emulated(READINGS["the id of the request in the 202"], READINGS["silent pages with a count"]) as api:
        assert walk_on(api, 1).run(lambda _: None) == [f"perhaps {PREFIX}-main"]


def test_an_id_that_shows_another_name_is_not_deleted() -> None:
    with emulated() as api:
        record = Record(PREFIX)
        record.add_ids(record.ask(f"{PREFIX}-main", api.clock.now()), [f"{api.account}-orders"])
        sweep = Sweep(wire_to(api), [record])

        assert sweep.clean() == []

        assert any("has the name orders" in note for note in sweep.notes)
        assert "orders" in api.state.names()


def test_the_report_has_no_secret_and_nothing_of_other_containers() -> None:
    with emulated() as api:
        wire = wire_to(api)
        walk = walk_on(api, wire=wire)
        walk.run(lambda _: None)
        text = report(walk.findings, wire, PREFIX, {"Address": api.url}, [])

        account = api.account
    assert "## Raw answers" in text
    for secret in (api.key, account, "orders", "BEGIN", "PrivateKey", api.platform.your_ip):
        assert secret not in text
    passwords = [line for line in text.splitlines() if '"password"' in line]
    assert passwords
    assert all("text of" in line for line in passwords)
