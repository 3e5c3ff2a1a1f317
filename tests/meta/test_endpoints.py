"""
The client and the emulator have the same 30 endpoints as the guide, and a program and the client can call each
endpoint.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stacks_pulumi._clock import SYSTEM_CLOCK
from stacks_pulumi.api import StacksClient
from stacks_pulumi.api.wait import CREATED
from stacks_pulumi.emulator import OPERATIONS as SERVED
from stacks_pulumi.emulator import Emulator
from stacks_pulumi.endpoints import ENDPOINTS
from tests.support.openapi import contract
from tools.docs import functions
from tools.docs.calls import measured

ROOT = Path(__file__).parents[2]
CONTRACT = contract()
OPERATIONS = {
    asked["operationId"]: (method.upper(), path, asked["x-scope"])
    for path, methods in CONTRACT["paths"].items()
    for method, asked in methods.items()
    if isinstance(asked, dict) and "operationId" in asked
}


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator(boot_seconds=0, action_seconds=0, delete_seconds=0, backup_seconds=0) as api:
        yield api


def test_the_contract_has_the_thirty_operations_of_the_guide() -> None:
    assert len(OPERATIONS) == 30


def test_the_client_and_the_contract_of_the_emulator_have_the_same_methods_paths_and_scopes() -> None:
    assert {
        name: (endpoint.method, endpoint.path, endpoint.scope) for name, endpoint in ENDPOINTS.items()
    } == OPERATIONS


def test_the_emulator_serves_the_methods_paths_and_scopes_of_its_contract() -> None:
    assert {
        name: (served.method, served.path.replace("<", "{").replace(">", "}"), served.scope)
        for name, served in SERVED.items()
    } == OPERATIONS


@pytest.mark.parametrize("name", ENDPOINTS)
def test_the_description_of_a_method_names_the_section_of_its_endpoint(name: str) -> None:
    noun, _, verb = name.partition(".")
    method = getattr(getattr(StacksClient("sk_stacks_" + "0" * 64), noun), verb)

    assert f'(guide, "{ENDPOINTS[name].section}")' in (inspect.getdoc(method) or "")


def test_a_resource_or_a_data_function_reaches_every_operation() -> None:
    by_resources = {name for made in measured().calls.values() for names in made.values() for name in names}
    by_functions = set(functions.asks().values())

    assert set(OPERATIONS) - by_resources - by_functions == set()


def test_the_client_has_a_method_for_every_operation_under_its_name(emulator: Emulator) -> None:
    client = StacksClient(emulator.key, base_url=emulator.url)
    reached = set()

    def call(operation: str, *arguments: Any, **options: Any) -> Any:
        noun, _, verb = operation.partition(".")
        before = emulator.calls(operation)
        answer = getattr(getattr(client, noun), verb)(*arguments, **options)
        assert emulator.calls(operation) > before, operation
        reached.add(operation)
        return answer

    app, db, vpn = (
        call("containers.create", name=f"its-{template}", template=template).id
        for template in ("nodejs", "mysql", "stacks-vpn")
    )
    for made in (app, db, vpn):
        client.feed.wait(CREATED, made, deadline=SYSTEM_CLOCK.now() + 30)
    call("containers.list")
    call("containers.templates")
    for looked_at in ("status", "credentials", "logs", "metrics", "certificate", "regenerate_certificate"):
        call(f"containers.{looked_at}", app)
    call("containers.external_access", app, enabled=True)
    entry = call("allowed_ips.add", app, "198.51.100.7")
    call("allowed_ips.list", app)
    call("allowed_ips.remove", app, entry.id)
    call("connections.targets", app)
    connection = call("connections.create", app, db)
    call("connections.list", app)
    call("connections.delete", connection.id)
    call("backups.trigger", db)
    (backup,) = call("backups.list", db)
    for done in ("pin", "unpin", "restore"):
        call(f"backups.{done}", backup.id)
    call("backups.stats")
    call("backups.delete", backup.id)
    call("vpn_clients.add", vpn, "laptop")
    call("vpn_clients.list", vpn)
    call("vpn_clients.config", vpn, "laptop")
    call("vpn_clients.remove", vpn, "laptop")
    call("containers.set_status", app, "stopped")
    call("containers.delete", app)

    assert reached == set(OPERATIONS)


def test_the_page_has_a_row_for_every_operation() -> None:
    page = (ROOT / "docs/endpoints.md").read_text(encoding="utf-8")

    for operation, (method, path, scope) in OPERATIONS.items():
        (row,) = [line for line in page.splitlines() if line.startswith("|") and f"| `{operation}` |" in line]
        asked, section, needed, resource, function, _client = (
            cell.strip() for cell in row.strip("| ").split("|")
        )
        assert asked == f"`{method} {path}`"
        assert (section, f"containers:{needed.strip('`')}") == (ENDPOINTS[operation].section, scope)
        assert resource or function, f"the page names nothing in a program that reaches {operation}"
