"""Outdated answers, and lists that show only some of their rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from stacks_pulumi.emulator import Emulator

if TYPE_CHECKING:
    from tests.emulator.conftest import Caller, Control


def names(call: Caller) -> list[str]:
    """Return the names in the list of containers."""
    return [row["name"] for row in call("GET", "/containers").json()["data"]]


@pytest.fixture
def still(emulator: Emulator) -> Emulator:
    """An emulator with a clock that moves only if the test advances it."""
    emulator.freeze()
    emulator.set_pace(boot_seconds=0, action_seconds=0, delete_seconds=0, backup_seconds=0)
    return emulator


def test_a_list_is_behind_with_what_is_new_and_with_what_is_gone(still: Emulator, call: Caller) -> None:
    (old,) = still.load([{"name": "old", "template": "nodejs"}])
    still.set_lag(20)
    assert call("POST", "/containers", {"name": "new", "template": "nodejs"}).status_code == 202
    still.advance(1)
    assert call("DELETE", f"/containers/{old}").status_code == 200

    still.advance(18)
    assert names(call) == ["old"]
    still.advance(1)
    assert names(call) == ["old", "new"]
    still.advance(1)
    assert names(call) == ["new"]


def test_a_status_is_behind_only_if_it_is_said(still: Emulator, call: Caller) -> None:
    still.set_lag(20)
    new = call("POST", "/containers", {"name": "new", "template": "nodejs"}).json()["data"]["id"]
    assert call("GET", f"/containers/status/{new}").status_code == 200

    still.set_lag(5, "containers.status")
    assert call("GET", f"/containers/status/{new}").status_code == 200
    later = call("POST", "/containers", {"name": "later", "template": "nodejs"}).json()["data"]["id"]
    assert call("GET", f"/containers/status/{later}").status_code == 404
    still.advance(5)
    assert call("GET", f"/containers/status/{later}").json()["status"] == "running"


@pytest.mark.parametrize(
    ("operation", "path", "rows"),
    [
        ("allowed_ips.list", "allowed-ips", lambda body: body["data"]["allowed_ips"]),
        ("connections.list", "connections", lambda body: body["data"]["outgoing"]),
        ("backups.list", "backups", lambda body: body["data"]),
    ],
)
def test_what_belongs_to_a_new_container_is_late_and_the_container_is_there(
    still: Emulator, call: Caller, operation: str, path: str, rows: Any
) -> None:
    (target,) = still.load([{"name": "sql", "template": "postgresql"}])
    still.set_lag(10, operation)
    web = call("POST", "/containers", {"name": "web", "template": "nodejs"}).json()["data"]["id"]
    still.advance(1)
    call("PUT", f"/containers/{web}/external-access", {"enabled": True})
    call("POST", f"/containers/{web}/connect/{target}", {"connectionName": "main"})
    call("POST", f"/containers/{web}/backup")
    still.advance(1)

    assert rows(call("GET", f"/containers/{web}/{path}").json()) == []
    still.advance(9)
    assert len(rows(call("GET", f"/containers/{web}/{path}").json())) == 1
    call("DELETE", f"/containers/{web}")
    still.advance(1)
    assert call("GET", f"/containers/{web}/{path}").status_code == 404


def test_what_is_loaded_is_visible_at_once_and_nothing_is_behind_after_zero(
    still: Emulator, call: Caller
) -> None:
    still.set_lag(20)
    still.load([{"name": "old", "template": "nodejs"}])
    assert names(call) == ["old"]

    call("POST", "/containers", {"name": "new", "template": "nodejs"})
    assert names(call) == ["old"]
    still.set_lag(0)
    assert names(call) == ["old", "new"]


def test_a_gap_shows_the_first_rows_and_says_how_many_there_are(still: Emulator, call: Caller) -> None:
    still.load([{"name": name, "template": "nodejs"} for name in ("one", "two", "six")])
    still.set_gap(2)

    body = call("GET", "/containers").json()
    assert ([row["name"] for row in body["data"]], body["count"], body["total"]) == (["one", "two"], 2, 3)
    still.set_gap(None)
    assert "total" not in call("GET", "/containers").json()


def test_lag_and_gap_are_set_over_http(emulator: Emulator, control: Control) -> None:
    assert control("POST", "set_lag", {"seconds": 3, "operation": "backups.list"}) == {
        "seconds": {"backups.list": 3},
        "rows": None,
    }
    assert control("POST", "set_gap", {"rows": 1})["rows"] == 1
    assert control("GET", "late")["rows"] == emulator.api.late.rows == 1
    assert (
        "cannot lag behind"
        in control("POST", "set_lag", {"seconds": 1, "operation": "x"}, status=400)["error"]
    )
