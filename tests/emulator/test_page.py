"""The page, and the state that it shows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import requests

from stacks_pulumi.emulator import Emulator
from stacks_pulumi.emulator.controls import snapshot

if TYPE_CHECKING:
    from tests.emulator.conftest import Caller, Control


@pytest.fixture
def full(call: Caller) -> dict[str, str]:
    """Create one object of each kind; return the ids of the containers by name."""
    ids = {
        name: call.create(name, template)
        for name, template in (("myapp", "nodejs"), ("mydb", "postgresql"), ("gate", "stacks-vpn"))
    }
    call("PUT", f"/containers/{ids['myapp']}/external-access", {"enabled": True})
    call("POST", f"/containers/{ids['myapp']}/connect/{ids['mydb']}", {"connectionName": "primary-db"})
    call("POST", f"/containers/{ids['mydb']}/backup")
    return ids


def test_no_control_call_returns_a_secret(
    emulator: Emulator, control: Control, call: Caller, full: dict[str, str]
) -> None:
    credentials = call("GET", f"/containers/{full['mydb']}/credentials").json()["data"]
    secrets = {
        emulator.key,
        credentials["mainCredentials"]["password"],
        call("GET", f"/containers/{full['myapp']}/certificate").json()["data"]["private_key"].splitlines()[1],
        call("GET", f"/containers/{full['gate']}/vpn-config").json()["data"]["config"].splitlines()[1],
    }

    told = json.dumps([control("GET", "snapshot"), control("GET", "requests"), control("GET", "faults")])

    assert not [secret for secret in secrets if secret in told]


@pytest.mark.usefixtures("full")
def test_the_snapshot_holds_everything(control: Control) -> None:
    state = control("GET", "snapshot")

    assert state["monthly_usd"] == 13
    assert [found["name"] for found in state["containers"]] == ["myapp", "mydb", "gate"]
    assert state["containers"][0]["env_pending"] is True
    assert state["containers"][0]["allowed_ips"][0]["ip_address"] == "203.0.113.45"
    assert state["containers"][2]["vpn_clients"] == ["default"]
    assert (state["connections"][0]["source"], state["connections"][0]["target"]) == ("myapp", "mydb")
    assert state["backups"][0]["status"] == "in_progress"
    assert state["keys"][0]["spent"] == 13


@pytest.mark.usefixtures("full")
def test_other_processes_see_what_the_page_shows(emulator: Emulator, control: Control) -> None:
    state = control("GET", "snapshot")
    now = snapshot(emulator.api)

    for told_now in (state, now):
        # This number falls while the test runs.
        del told_now["keys"][0]["window_ends_in"]
    assert state == now | {"requests": state["requests"]}


@pytest.mark.parametrize("path", ["favicon.ico", "api/v2/containers", "page.html", "..%2fapp.py"])
def test_there_is_no_other_page(emulator: Emulator, path: str) -> None:
    answer = requests.get(emulator.page_url + path, timeout=60)

    assert answer.status_code == 404
    assert "/api/v1" in answer.json()["error"]


def test_the_page_loads_nothing_from_elsewhere(emulator: Emulator) -> None:
    answer = requests.get(emulator.page_url, timeout=60)

    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "http://" not in answer.text
    assert "https://" not in answer.text
    assert "/_emulator/" in answer.text
    # The page never interprets a name as markup.
    assert "innerHTML" not in answer.text
    assert emulator.key not in answer.text


def test_the_page_reads_only_fields_of_the_state(emulator: Emulator, call: Caller) -> None:
    call.create("gate", "stacks-vpn")
    page = requests.get(emulator.page_url, timeout=60).text
    state = snapshot(emulator.api)

    unread = [key for key in state if f"state.{key}" not in page]
    assert unread == ["accounts"]
    for key in ("container", "key"):
        (part,) = [part for part in page.split("\nfunction ") if part.startswith(f"{key}(")]
        names = {
            word.split(".", 1)[1]
            for word in part.replace("(", " ").replace(")", " ").replace(",", " ").split()
            if word.startswith("found.")
        }
        known = set(state[f"{key}s"][0])
        assert {name.split(".")[0].rstrip(";") for name in names} <= known
