"""The page of a running broker: the view of each kind of grant, in a browser and without one."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any, Final

import pytest
import requests

from stacks_pulumi._page import page
from tests.broker.conftest import Bench, Benches, create, literal, permit
from tests.broker.test_budgets import AGENTS
from tests.support.node import chromium, node_folder, run

HOSTILE: Final = "<img src=x onerror=alert(1)>\u202e\x1b[31m"
"""Markup, a change of the text direction, and a terminal escape code."""
SETTINGS: Final[dict[str, Any]] = {
    "account": {"max_total": 40},
    "limits": {"max_total": 20},
    "policies": {"agents": AGENTS, "alone": {**AGENTS, "only": "own"}},
}


def filled(bench: Bench, name: str = HOSTILE) -> dict[str, str]:
    """Send requests with a grant of each kind; return a token of each, and of an ended grant."""
    bench.configure({"rules": {"unpriced": "approve"}, **SETTINGS})
    data = bench.made("orders-db", template="postgresql")
    bench.ledger.claim("shop/prod", data["id"], data["created_at"], "postgresql", "basic")
    agent = bench.agent(stack="shop/dev")
    agent.create("web")
    agent.create("worker", plan="standard")
    agent.create("mirror", plan="premium")
    agent("DELETE", f"/containers/{data['id']}")
    stop = permit("containers.set_status", {"status": "stopped"}, ids={"container_id": literal(data)})
    change = bench.granted(permit("containers.create", create("api")), stop)
    change.create("api")
    token = bench.ledger.issue("budget", name, seconds=3600.0, policy="alone", stack="shop/odd")[1]
    other = bench.client(token)
    other.create("odd", template="redis")
    other.create("bigger", plan="premium")
    over = bench.ledger.issue("read", "gone", seconds=-2000.0)[1]
    return {
        "read": bench.ledger.issue("read", "ann", seconds=3600.0)[1],
        "budget": agent.token,
        "change": change.token,
        "own": token,
        "over": over,
    }


def limits(bench: Bench, token: str) -> dict[str, tuple[str | None, str | None]]:
    """Return the limits that a grant sees: the current price and the limit."""
    said = bench.client(token)("GET", "/_broker/limits").json()["limits"]
    return {one["name"]: (one["now"], one["most"]) for one in said}


def test_each_grant_is_told_the_limits_on_what_it_sees(bench: Bench) -> None:
    tokens = filled(bench)

    account, dev = ("21.00", "40.00"), {"the stack shop/dev": ("9.00", "20.00")}
    assert limits(bench, tokens["budget"]) == {
        "the account": account,
        **dev,
        "the policy agents": ("9.00", "15.00"),
    }
    assert limits(bench, tokens["change"]) == {
        "the account": account,
        "the stack shop/prod": ("8.00", "20.00"),
    }
    # No data of other grants.
    assert limits(bench, tokens["own"]) == {
        "the stack shop/odd": ("4.00", "20.00"),
        "the policy alone": ("4.00", "15.00"),
    }
    all_ = {
        "the account",
        "the policy agents",
        "the policy alone",
        "the stack shop/odd",
        "the stack shop/prod",
    }
    assert limits(bench, tokens["read"]).keys() == {*all_, *dev}
    bench.emulator.set_gap(1)
    bench.clock.advance(20)
    assert limits(bench, tokens["budget"])["the account"] == (None, "40.00")


def test_what_waits_for_a_person_is_told_to_who_reads(bench: Bench) -> None:
    tokens = filled(bench)

    desk = bench.server.app.desk
    desk.deny(desk.requests()[0]["id"])

    said = bench.client(tokens["read"])("GET", "/_broker/log").json()
    asked = [(one["stack"], one["state"]) for one in said["requests"]]
    assert asked == [("shop/dev", "open"), ("shop/odd", "open")]
    assert [one["ended"] for one in said["grants"]] == [False] * 3
    for kind, status in (("budget", 404), ("change", 404), ("over", 403)):
        assert bench.client(tokens[kind])("GET", "/_broker/log").status_code == status


@pytest.mark.parametrize("package", ["stacks_pulumi.broker", "stacks_pulumi.emulator"])
def test_a_page_runs_its_own_script_alone_and_loads_nothing(package: str) -> None:
    """The data comes later, as JSON, and no text becomes markup."""
    body, headers = page(package)
    text, policy = body.decode(), headers["content-security-policy"]

    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    for tag in ("style", "script"):
        (content,) = re.findall(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert "/* page." not in text
    for word in ("http://", "https://", "innerHTML", "localStorage", "sessionStorage", "cookie =", " style="):
        # The emulator keeps the token of its control API, which guards nothing real.
        assert word not in text or (word, package) == ("sessionStorage", "stacks_pulumi.emulator"), word


def test_the_page_needs_no_token_and_says_nothing_without_one(bench: Bench) -> None:
    address = f"{bench.url.removesuffix('/api/v1')}/_broker/"

    answer = requests.get(address, timeout=60)

    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert bench.ledger.account not in answer.text
    assert requests.get(address, timeout=60, headers={"Host": "evil.example"}).status_code == 400
    for what in ("me", "log", "limits", "settings"):
        assert requests.get(f"{address}{what}", timeout=60).status_code == 401
    assert bench.journal() == []


@pytest.mark.extra
def test_the_page_works_in_a_browser_and_is_accessible(benches: Benches, tmp_path: Path) -> None:
    bench, tools = benches(), node_folder()
    pictures = os.environ.get("STACKS_PAGE_PICTURES", "")
    tokens = filled(bench, "nightly") if pictures else filled(bench)
    shutil.copy(Path(__file__).with_name("page.mjs"), tmp_path)
    (tmp_path / "node_modules").symlink_to(tools / "node_modules")
    address = f"{bench.url.removesuffix('/api/v1')}/_broker/"

    run(
        "node",
        "page.mjs",
        address,
        chromium(),
        json.dumps(tokens),
        *filter(None, [pictures]),
        cwd=tmp_path,
    )
