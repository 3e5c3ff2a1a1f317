"""The page, and the state that it shows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import requests

from stacks_pulumi.emulator import Emulator, page_data

if TYPE_CHECKING:
    from tests.emulator.conftest import Caller, Control


def test_the_state_holds_everything_and_nothing_secret(
    emulator: Emulator, control: Control, call: Caller
) -> None:
    app, database = call.create("myapp"), call.create("mydb", "postgresql")
    gateway = call.create("gate", "stacks-vpn")
    call("PUT", f"/containers/{app}/external-access", {"enabled": True})
    call("POST", f"/containers/{app}/connect/{database}", {"connectionName": "primary-db"})
    call("POST", f"/containers/{database}/backup")
    secrets = {
        emulator.key,
        call("GET", f"/containers/{database}/credentials").json()["data"]["mainCredentials"]["password"],
        call("GET", f"/containers/{app}/certificate").json()["data"]["private_key"].splitlines()[1],
        call("GET", f"/containers/{gateway}/vpn-config").json()["data"]["config"].splitlines()[1],
    }
    state = control("GET", "snapshot")
    told = json.dumps([state, control("GET", "requests"), control("GET", "faults")])

    assert not [secret for secret in secrets if secret in told]
    assert state["monthly_usd"] == 13
    assert [found["name"] for found in state["containers"]] == ["myapp", "mydb", "gate"]
    assert state["containers"][0]["env_pending"] is True
    assert state["containers"][0]["allowed_ips"][0]["ip_address"] == "203.0.113.45"
    assert state["containers"][2]["vpn_clients"] == ["default"]
    assert (state["connections"][0]["source"], state["connections"][0]["target"]) == ("myapp", "mydb")
    assert state["backups"][0]["status"] == "in_progress"
    assert state["keys"][0]["spent"] == 13
    now = page_data.snapshot(emulator.api)
    for told_now in (state, now):
        # It runs down while the test runs.
        del told_now["keys"][0]["window_ends_in"]
    assert state == now | {"requests": state["requests"]}


@pytest.mark.parametrize("path", ["favicon.ico", "api/v2/containers", "page.html", "..%2fapp.py"])
def test_there_is_no_other_page(emulator: Emulator, path: str) -> None:
    answer = requests.get(emulator.page_url + path, timeout=10)

    assert answer.status_code == 404
    assert "/api/v1" in answer.json()["error"]


def test_the_page_brings_everything_with_it(emulator: Emulator) -> None:
    answer = requests.get(emulator.page_url, timeout=10)

    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "http://" not in answer.text
    assert "https://" not in answer.text
    assert "/_emulator/" in answer.text
    # Nothing that a name may hold is ever taken for markup.
    assert "innerHTML" not in answer.text
    assert emulator.key not in answer.text


def test_the_page_reads_what_the_state_tells(emulator: Emulator, call: Caller) -> None:
    call.create("gate", "stacks-vpn")
    page = requests.get(emulator.page_url, timeout=10).text
    state = page_data.snapshot(emulator.api)

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
