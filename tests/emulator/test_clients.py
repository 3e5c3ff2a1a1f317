"""Tools and programs from outside this project use the contract and the page."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
import requests
import yaml

import stacks_pulumi.emulator
from stacks_pulumi.emulator import OPERATIONS, Emulator
from tests.support.node import chromium, needs, node_folder, run
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.extra

HERE = Path(__file__).parent
CONTRACT = Path(stacks_pulumi.emulator.__file__).parent / "openapi.yaml"
BODIES = {
    "containers.create": {"name": "my-api", "template": "nodejs"},
    "containers.set_status": {"status": "stopped"},
    "containers.external_access": {"enabled": True},
    "allowed_ips.add": {"ip_address": "198.51.100.0/24"},
    "connections.create": {"connectionName": "primary-db"},
    "vpn_clients.add": {"name": "my-laptop"},
}


@pytest.fixture(scope="module")
def tools() -> Path:
    return node_folder()


@pytest.fixture
def quick() -> Iterator[Emulator]:
    with Emulator(boot_seconds=0.2, action_seconds=0, delete_seconds=5, backup_seconds=0) as emulator:
        yield emulator


@pytest.fixture
def ready() -> Iterator[Emulator]:
    """An emulator without any waiting."""
    with Emulator(boot_seconds=0, action_seconds=0, delete_seconds=5, backup_seconds=0) as emulator:
        yield emulator


def done(emulator: Emulator) -> set[str | None]:
    assert {record.status for record in emulator.requests} <= {200, 202}
    return {record.operation for record in emulator.requests}


@pytest.mark.parametrize("which", ["api", "control"])
def test_linters_find_no_error(tools: Path, quick: Emulator, tmp_path: Path, which: str) -> None:
    described = CONTRACT
    if which == "control":
        described = tmp_path / "control.json"
        described.write_text(
            requests.get(f"{quick.page_url}_emulator/openapi.json", timeout=60).text, encoding="utf-8"
        )
    rules = tmp_path / ".spectral.yaml"
    rules.write_text('extends: ["spectral:oas"]\n', encoding="utf-8")
    bin_folder = tools / "node_modules" / ".bin"

    assert "valid" in run(bin_folder / "redocly", "lint", described, cwd=tmp_path)
    run(bin_folder / "spectral", "lint", "--ruleset", rules, described, cwd=tmp_path)


def test_prism_serves_every_operation_and_finds_no_violation(tools: Path, tmp_path: Path) -> None:
    with prism(tools, tmp_path) as url:
        for name, operation in OPERATIONS.items():
            path = operation.path.replace("<backup_id>", "1")
            while "<" in path:
                path = path[: path.index("<")] + "usr-abc12345-my-api" + path[path.index(">") + 1 :]
            answer = requests.request(
                operation.method,
                url + path,
                json=BODIES.get(name),
                headers={"Authorization": f"Bearer sk_stacks_{'ab' * 32}"},
                timeout=60,
            )
            assert answer.status_code in {200, 202}, (name, answer.text)


@contextmanager
def prism(tools: Path, folder: Path) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command: list[str | Path] = [tools / "node_modules" / ".bin" / "prism", "mock", "--errors"]
    command += ["--port", str(port), CONTRACT]
    with (folder / "prism.log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        until(lambda: listens(port), alive=lambda: process.poll() is None)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_typescript_program_works_with_generated_types_and_fetch(
    tools: Path, ready: Emulator, tmp_path: Path
) -> None:
    for name in ("life.ts", "tsconfig.json"):
        shutil.copy(HERE / "node" / name, tmp_path)
    shutil.copy(tools / "package.json", tmp_path)
    (tmp_path / "node_modules").symlink_to(tools / "node_modules")
    bin_folder = tools / "node_modules" / ".bin"
    options = ("--output", "api.ts", "--default-non-nullable", "false")
    run(bin_folder / "openapi-typescript", CONTRACT, *options, cwd=tmp_path)
    run(bin_folder / "tsc", cwd=tmp_path)
    run("node", "life.js", cwd=tmp_path, STACKS_BASE_URL=ready.url, STACKS_API_KEY=ready.key)

    assert done(ready) == set(OPERATIONS)


def test_the_client_of_the_page_waits_and_polls(quick: Emulator, tmp_path: Path) -> None:
    page = (HERE.parents[1] / "docs" / "emulator.md").read_text(encoding="utf-8")
    program = page.partition("client.mjs\n```javascript\n")[2].partition("```")[0]
    (tmp_path / "client.mjs").write_text(program, encoding="utf-8")
    (tmp_path / ".env").write_text(f"STACKS_BASE_URL={quick.url}\nSTACKS_API_KEY={quick.key}\n")
    quick.faults.add("containers.create", "rate_limited", retry_after=1)
    needs("node")

    told = run("node", "--env-file=.env", "client.mjs", cwd=tmp_path)

    assert told == f"{quick.account}-hello running\n"
    assert [quick.calls(f"containers.{one}") for one in ("create", "status")] == [2, 1]
    quick.faults.assert_none_left()


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_the_examples_of_the_guide_work_with_curl(quick: Emulator) -> None:
    told = run("sh", HERE / "guide.sh", quick.url, quick.key, quick.account, cwd=HERE)

    assert done(quick) >= {"connections.create", "allowed_ips.add", "backups.pin"}
    assert '"pinned"' in told
    assert quick.state.backups[1].pinned


def test_the_page_works_in_a_browser_and_is_accessible(tools: Path, tmp_path: Path) -> None:
    shutil.copy(HERE / "node" / "page.mjs", tmp_path)
    (tmp_path / "node_modules").symlink_to(tools / "node_modules")
    pictures = os.environ.get("STACKS_PAGE_PICTURES", "")
    with Emulator(boot_seconds=300, rate_limit=60, spending_cap=50) as emulator:
        fill(emulator)
        run("node", "page.mjs", emulator.page_url, chromium(), *filter(None, [pictures]), cwd=tmp_path)

        assert emulator.state.names() == []
        assert [key.label for key in emulator.state.keys] == ["default", "ci", "second"]


def test_the_page_asks_for_the_token_or_reads_it_from_its_url(tools: Path, tmp_path: Path) -> None:
    shutil.copy(HERE / "node" / "token.mjs", tmp_path)
    (tmp_path / "node_modules").symlink_to(tools / "node_modules")
    with Emulator(control_token="right") as emulator:
        run("node", "token.mjs", emulator.page_url, chromium(), cwd=tmp_path)


def fill(emulator: Emulator) -> None:
    """Create one object of each kind."""
    emulator.load(
        [
            {"name": "orders", "template": "nodejs", "allowed_ips": ["198.51.100.0/24"]},
            {"name": "orders-db", "template": "postgresql", "plan": "standard", "backups": 2},
            {"name": "gate", "template": "stacks-vpn", "vpn_clients": ["laptop"]},
            {"name": "broken", "template": "wordpress", "status": "error"},
        ],
        [{"source": "orders", "target": "orders-db", "name": "primary-db"}],
    )
    emulator.new_key(scopes=["containers:read"], label="ci")
    emulator.faults.add("containers.status", 503, 2)
    headers = {"Authorization": f"Bearer {emulator.key}"}
    container = f"{emulator.account}-orders"
    for method, path, body in (
        ("GET", "/containers", None),
        ("POST", "/containers", {"name": "web", "template": "nginx"}),
        ("GET", f"/containers/status/{container}", None),
        ("GET", f"/containers/{container}-db/credentials", None),
        ("DELETE", f"/containers/{container}/allowed-ips/{'0123456789-' * 6}", None),
    ):
        requests.request(method, emulator.url + path, json=body, headers=headers, timeout=60)


def test_the_compose_example_is_valid() -> None:
    folder = HERE.parents[1] / "examples" / "compose"
    services: dict[str, Any] = yaml.safe_load((folder / "compose.yaml").read_text())["services"]
    image = (folder / "Dockerfile").read_text()
    environment = services["client"]["environment"]

    # The key of an emulator with the default seed.
    assert environment["STACKS_API_KEY"] == Emulator().key
    assert services["client"]["depends_on"] == {"emulator": {"condition": "service_healthy"}}
    assert (folder / services["emulator"]["build"]["context"] / "pyproject.toml").exists()
    started = services["emulator"]["command"]
    assert started[started.index("--allow-host") + 1] == urlsplit(environment["STACKS_BASE_URL"]).hostname
    entry = next(line for line in image.splitlines() if line.startswith("ENTRYPOINT "))
    program, command, *options = json.loads(entry.removeprefix("ENTRYPOINT "))
    arguments = json.loads(
        next(line for line in image.splitlines() if line.startswith("CMD ")).removeprefix("CMD ")
    )
    assert (program, command) == ("stacks-pulumi", "emulator")
    help_text = subprocess.run(
        [sys.executable, "-m", "stacks_pulumi", command, "--help"], capture_output=True, text=True, check=True
    ).stdout
    assert all(option in help_text for option in (*options, *arguments) if option.startswith("--"))
