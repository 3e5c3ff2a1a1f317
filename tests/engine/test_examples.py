"""
The examples on the real engine: no example leaves an orphan or a secret. Also tested are parts that no README shows.

`test_readmes.py` follows the READMEs with all their changes.
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

# Tests of pages and examples: a change of the package is tested without them.
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
    # With the other cloud's provider: `make multi-cloud`.
    "kubernetes",
    # On mocks, because the other cloud has no emulator: test_multi_cloud.
    "multi_cloud",
    # The README of this example runs its tests: see test_readmes.
    "tested_program",
}


Make = Callable[..., Example]


@pytest.fixture
def example(tmp_path: Path, engine: Path, emulator: Emulator) -> Make:
    """Return a function that creates the stack of an example on the emulator's account."""

    def make(name: str, key: str | None = None) -> Example:
        config = {"stacks:apiKey": key or emulator.key, "stacks:baseUrl": emulator.url}
        return Example(name, tmp_path / name, engine, config)

    return make


def containers(emulator: Emulator) -> dict[str, Any]:
    """Return the containers of the account by name."""
    return {found.name: found for found in emulator.state.containers.values()}


class Starting(http.server.BaseHTTPRequestHandler):
    """A starting application: it first answers with 503, then with 404."""

    asked: ClassVar[list[int]]

    def do_GET(self) -> None:
        self.asked.append(503 if len(self.asked) < 2 else 404)
        self.send_error(self.asked[-1])

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""


@pytest.fixture
def application() -> Iterator[tuple[str, list[int]]]:
    """Return the address of a starting application, and its answers so far."""
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
    # The other cloud's plugin and account are not available offline, and the import of its Python package takes
    # seconds. So a substitute with the same type and arguments replaces the used class, and only the program runs.
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
