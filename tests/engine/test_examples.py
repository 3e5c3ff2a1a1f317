"""
Every example on the real engine: applied and changed, with checks of what it demonstrates.

`test_all_examples_leave_no_orphan_and_no_secret_in_any_text` refreshes and destroys them, and checks that nothing is
left to change.
"""

from __future__ import annotations

import http.server
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from stacks_pulumi.emulator import Emulator
from tests.support.examples import EXAMPLES, Example, secrets_of
from tests.support.stack import Stack

# What pages and examples show: a change is tested without it.
pytestmark = pytest.mark.extra

APPLIED = (
    "backup_before_change",
    "component",
    "connect_app_to_database",
    "deploy_app",
    "expose_with_ip_restrictions",
    "quickstart",
    "several_stacks",
    "two_accounts",
    "vpn_for_a_laptop",
    "wait_for_app",
)
ELSEWHERE = {
    # With the example's policies.
    "gated_deployment",
    # On mocks, because the other cloud has no emulator: test_multi_cloud.
    "multi_cloud",
    # The example shows its tests, which its README runs: test_readmes.
    "tested_program",
}


Make = Callable[..., Example]


@pytest.fixture
def example(tmp_path: Path, engine: Path, emulator: Emulator) -> Make:
    """Make the stack of an example, on the emulator's account."""

    def make(name: str, key: str | None = None) -> Example:
        config = {"stacks:apiKey": key or emulator.key, "stacks:baseUrl": emulator.url}
        return Example(name, tmp_path / name, engine, config)

    return make


def containers(emulator: Emulator) -> dict[str, Any]:
    """Return the containers of the account by name."""
    return {found.name: found for found in emulator.state.containers.values()}


def test_deploy_app(example: Make, emulator: Emulator) -> None:
    stack = example("deploy_app")

    stack.up(quiet_afterwards=False)
    before = stack.outputs(secrets=True)
    stack.set("version", "2")
    result = stack.up(quiet_afterwards=False)

    assert result.order() == [("update", "shop")]
    assert containers(emulator)["shop"].status == "running"
    assert emulator.calls("containers.set_status") == 1, "a new version restarts the app"
    assert before == stack.outputs(secrets=True), "and gives it no other address and no other key"
    assert "PRIVATE KEY" in before["private_key"]
    assert "[secret]" in stack.outputs()["private_key"]


def test_quickstart(example: Make, emulator: Emulator) -> None:
    stack = example("quickstart")

    stack.up(quiet_afterwards=False)

    held = containers(emulator)
    assert set(held) == {"orders", "orders-db"}
    assert stack.outputs() == {"url": held["orders"].url, "monthly_price_usd": 8}
    assert not held["orders"].env_pending, "the app was restarted and sees its database"
    stack.set("protect", "true")
    stack.up(quiet_afterwards=False)
    assert "protected" in stack.destroy_fails().text
    assert "orders-db" in containers(emulator), "what is protected stays"
    stack.set("protect", "false")
    stack.up(quiet_afterwards=False)
    stack.destroy()
    assert containers(emulator) == {}


def test_connect_app_to_database(example: Make, emulator: Emulator) -> None:
    stack = example("connect_app_to_database")

    stack.up(quiet_afterwards=False)

    assert emulator.calls("containers.set_status") == 1, "two connections, one restart"
    shown, secret = stack.outputs(), stack.outputs(secrets=True)
    assert shown["database_password"] == "[secret]"
    assert shown["environment"] == "[secret]"
    assert secret["environment"]["POSTGRES_HOST"] == secret["database_host"]
    assert secret["environment"]["POSTGRES_PASSWORD"] == "****"
    assert secret["database_password"] not in {"", "****"}
    assert secret["database_password"] not in stack.export()

    stack.set("connection", "main-db")
    result = stack.up(quiet_afterwards=False)

    assert set(result.steps("crm-to-db")) == {"delete-replaced", "replace", "create-replacement"}
    names = {made.name for made in emulator.state.connections.values()}
    assert names == {"main-db", "cache"}


def test_expose_with_ip_restrictions(example: Make, emulator: Emulator) -> None:
    stack = example("expose_with_ip_restrictions")

    stack.up(quiet_afterwards=False)

    def allowed() -> set[str]:
        return {entry.ip_address for entry in containers(emulator)["intranet"].allowed_ips}

    assert allowed() == {"198.51.100.0/24", "2001:db8:1::/48"}, (
        "the address of the deploying machine was removed again"
    )
    stack.set("office", "203.0.113.0/28")
    stack.up(quiet_afterwards=False)
    assert allowed() == {"203.0.113.0/28", "2001:db8:1::/48"}
    assert stack.outputs()["url"] == containers(emulator)["intranet"].url


def test_backup_before_change(example: Make, emulator: Emulator) -> None:
    stack = example("backup_before_change")

    stack.up(quiet_afterwards=False)
    first = stack.outputs()["backup"]
    stack.set("release", "v2")
    result = stack.up(quiet_afterwards=False)
    second = stack.outputs()["backup"]

    assert result.order() == [
        ("create-replacement", "before-release"),
        ("replace", "before-release"),
        ("update", "ledger"),
        ("delete-replaced", "before-release"),
    ]
    backups = emulator.state.backups
    assert (backups[first].pinned, backups[second].pinned) == (False, True)
    asked = [record.operation for record in emulator.requests]
    pinned = len(asked) - asked[::-1].index("backups.pin")
    assert pinned < len(asked) - asked[::-1].index("containers.set_status"), (
        "pinned before the app is restarted"
    )

    stack.set("restore", "true")
    stack.up(quiet_afterwards=False)

    assert containers(emulator)["ledger-db"].restored == [second]


def test_vpn_for_a_laptop(example: Make, emulator: Emulator) -> None:
    stack = example("vpn_for_a_laptop")

    stack.up(quiet_afterwards=False)
    before = stack.outputs(secrets=True)["wireguard"]
    phone = configuration(stack, "phone")
    private = next(line for line in phone.splitlines() if line.startswith("PrivateKey"))

    assert "PrivateKey" in before
    assert "PrivateKey" not in stack.export()
    assert private not in stack.cli("stack", "export", "--show-secrets"), "it is nowhere in the state"

    stack.set("rotation", "2")
    stack.up(quiet_afterwards=False)

    after = stack.outputs(secrets=True)["wireguard"]
    assert before != after
    assert phone == configuration(stack, "phone")


class Starting(http.server.BaseHTTPRequestHandler):
    """An application that starts: it answers with 503 at first, and then that it has no such page."""

    asked: ClassVar[list[int]]

    def do_GET(self) -> None:
        self.asked.append(503 if len(self.asked) < 2 else 404)
        self.send_error(self.asked[-1])

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""


@pytest.fixture
def application() -> Iterator[tuple[str, list[int]]]:
    """Return the address of an application that starts, and its answers so far."""
    asked: list[int] = []
    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), type("Application", (Starting,), {"asked": asked})
    ) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/", asked
        server.shutdown()


def test_wait_for_app(example: Make, emulator: Emulator, application: tuple[str, list[int]]) -> None:
    address, asked = application
    stack = example("wait_for_app")
    stack.set("health", address)
    stack.preview()
    assert asked == []

    result = stack.up()

    assert asked == [503, 503, 404]
    assert result.order() == [
        ("create", "status-page"),
        ("create", "probe"),
        ("create", "probe-to-status-page"),
    ]


def test_wait_for_app_that_never_answers(example: Make, emulator: Emulator) -> None:
    stack = example("wait_for_app")
    stack.set("health", "http://127.0.0.1:9/")
    stack.set("patience", "0")

    failed = stack.up_fails()

    assert "status-page did not answer at http://127.0.0.1:9/ within 0 s" in failed.text
    assert set(containers(emulator)) == set(stack.resources()) == {"status-page"}


def test_wait_for_app_never_repeats_a_create(example: Make, emulator: Emulator) -> None:
    stack = example("wait_for_app")
    emulator.faults.add("containers.create", 503, match="status-page")

    stack.up_fails()

    assert emulator.calls("containers.create") == 1
    assert stack.resources() == {}


def configuration(stack: Stack, client: str) -> str:
    words = ("vpn-config", stack.outputs()["vpn"], "--client", client, "--show-secrets")
    return stack.python("-m", "stacks_pulumi", *words).stdout


def test_several_stacks(example: Make, emulator: Emulator) -> None:
    development = emulator.new_key(spending_cap=20, label="development")
    production = emulator.new_key(spending_cap=8, label="production")
    stack = example("several_stacks", development)
    stack.cli("stack", "init", "prod")
    stack.set("stacks:baseUrl", emulator.url)
    stack.set("plan", "standard")
    stack.set("stacks:apiKey", production, secret=True)

    stack.up("--stack", "dev")
    refused = stack.up_fails("--stack", "prod", "--continue-on-error")

    assert any("may spend $8.00 a month" in text for text in refused.errors), "each key has its own cap"
    emulator.set_spending_cap(20, "production")
    stack.up("--stack", "prod", quiet_afterwards=False)
    assert {name: held.plan for name, held in containers(emulator).items()} == {
        "web-dev": "basic",
        "web-db-dev": "basic",
        "web-prod": "standard",
        "web-db-prod": "standard",
    }

    stack.destroy("--stack", "dev")

    assert set(containers(emulator)) == {"web-prod", "web-db-prod"}
    assert stack.outputs()["containers"] == ["web-prod", "web-db-prod"]
    stack.destroy("--stack", "prod")
    assert containers(emulator) == {}


def test_two_accounts(example: Make, emulator: Emulator) -> None:
    other = emulator.new_account()
    theirs = emulator.new_key(account=other)
    stack = example("two_accounts")
    stack.set("customerKey", theirs, secret=True)

    stack.up(quiet_afterwards=False)
    stack.set("exposed", "true")
    result = stack.up(quiet_afterwards=False)

    assert result.order() == [("update", "site")]
    accounts = {found.name: found.account for found in containers(emulator).values()}
    assert accounts == {"reports": emulator.account, "site": other, "site-db": other}
    assert stack.outputs()["url"] == containers(emulator)["site"].url
    assert theirs not in stack.export()


def test_component(example: Make, emulator: Emulator) -> None:
    stack = example("component")

    stack.up(quiet_afterwards=False)
    assert stack.outputs()["monthly_price_usd"] == 8
    blog = containers(emulator)["blog"]
    assert {entry.ip_address for entry in blog.allowed_ips} == {"198.51.100.0/24", "192.0.2.7"}
    parents = {name: found["parent"].rpartition("::")[2] for name, found in stack.resources().items()}
    assert set(parents.values()) == {"blog"}

    stack.set("wiki", "true")
    result = stack.up(quiet_afterwards=False)

    assert {op for op, _name in result.order()} == {"create"}
    assert stack.outputs()["monthly_price_usd"] == 16
    assert not containers(emulator)["wiki"].external_access, "without allowed addresses it stays inside"


@pytest.mark.slow
def test_all_examples_leave_no_orphan_and_no_secret_in_any_text(example: Make, emulator: Emulator) -> None:
    stacks = {name: example(name) for name in APPLIED}
    stacks["two_accounts"].set("customerKey", emulator.new_key(account=emulator.new_account()), secret=True)
    stacks["wait_for_app"].set("health", emulator.url)
    texts = [stack.up(quiet_afterwards=False).text for stack in stacks.values()]
    secrets = {emulator.key}.union(*(secrets_of(stack) for stack in stacks.values()))
    texts += [stack.export() for stack in stacks.values()]
    # `refresh` checks that an `up` after it changes nothing.
    texts += [stack.refresh().text for stack in stacks.values()]
    texts += [stack.destroy().text for stack in stacks.values()]

    state = emulator.state
    assert (state.containers, state.connections, state.backups) == ({}, {}, {})
    texts += [json.dumps([record.describe() for record in emulator.requests])]
    assert len(secrets) >= len(("two keys", "a password", "an SSH key", "a WireGuard key"))
    assert [secret for secret in secrets if any(secret in text for text in texts)] == []


def test_multi_cloud(tmp_path: Path) -> None:
    # The other cloud's plugin and an account there are not available offline; its Python package takes seconds to
    # import. So a substitute with the same type and arguments replaces its one class, and only the program runs.
    (tmp_path / "pulumi_cloudflare.py").write_text(CLOUDFLARE, encoding="utf-8")
    (tmp_path / "run.py").write_text(ON_MOCKS, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "run.py", str(EXAMPLES / "multi_cloud/__main__.py")],
        cwd=tmp_path,
        text=True,
        capture_output=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout.splitlines()[-1])
    assert made["pulumi-python:dynamic/stacks:Container"]["external_access"] is True
    assert made["cloudflare:index/dnsRecord:DnsRecord"] == {
        "zoneId": "a zone",
        "name": "www",
        "type": "CNAME",
        "content": "www-ab1c2d.example",
        "ttl": 300,
    }


def test_the_program_of_the_readme(stack: Stack, emulator: Emulator) -> None:
    readme = (EXAMPLES.parent / "README.md").read_text(encoding="utf-8")
    stack.program(readme.partition("```python\n")[2].partition("```")[0])

    stack.up()

    assert set(containers(emulator)) == {"orders", "orders-db"}
    assert stack.outputs() == {"url": containers(emulator)["orders"].url}
    assert [connection.name for connection in emulator.state.connections.values()] == ["primary-db"]
    assert not containers(emulator)["orders"].env_pending
    stack.cli("state", "unprotect", "--all", "--yes")
    stack.destroy()
    assert containers(emulator) == {}


def test_the_template_is_the_quickstart() -> None:
    quickstart = EXAMPLES / "quickstart"

    assert (quickstart / "template/__main__.py").read_bytes() == (quickstart / "__main__.py").read_bytes()


def test_every_example_has_a_test_and_a_readme() -> None:
    folders = {path.parent.name for path in EXAMPLES.glob("*/__main__.py")}

    assert folders - ELSEWHERE == set(APPLIED)
    assert [name for name in sorted(folders) if not (EXAMPLES / name / "README.md").exists()] == []


CLOUDFLARE = """
import pulumi

class DnsRecord(pulumi.CustomResource):
    name: pulumi.Output[str]

    def __init__(self, resource_name, opts=None, *, name, ttl, type, zone_id, content=None):
        given = {"name": name, "ttl": ttl, "type": type, "zoneId": zone_id, "content": content}
        super().__init__("cloudflare:index/dnsRecord:DnsRecord", resource_name, given, opts)
"""

ON_MOCKS = """
import json
import runpy
import sys

import pulumi

made = {}

class Mocks(pulumi.runtime.Mocks):
    def new_resource(self, args):
        made[args.typ] = {name: value for name, value in args.inputs.items() if name != "__provider"}
        return f"{args.name}-id", {**args.inputs, "url": "www-ab1c2d.example"}

    def call(self, args):
        return {}

pulumi.runtime.set_mocks(Mocks(), project="multi-cloud", stack="dev")
pulumi.runtime.set_all_config({"multi-cloud:zone": "a zone", "multi-cloud:name": "www"})
pulumi.runtime.test(lambda: runpy.run_path(sys.argv[1]))()
print(json.dumps(made))
"""
