"""
What the client promises as a whole: no endpoint without a method, no method without a test, no name by accident.
"""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest

import stacks_pulumi.api as package
from stacks_pulumi.api import models
from stacks_pulumi.api.allowed_ips import AllowedIpsApi
from stacks_pulumi.api.backups import BackupsApi
from stacks_pulumi.api.connections import ConnectionsApi
from stacks_pulumi.api.containers import ContainersApi
from stacks_pulumi.api.feed import Feed
from stacks_pulumi.api.vpn_clients import VpnClientsApi

NOUNS = {
    "containers": ContainersApi,
    "allowed_ips": AllowedIpsApi,
    "connections": ConnectionsApi,
    "backups": BackupsApi,
    "vpn_clients": VpnClientsApi,
    "feed": Feed,
}
OPERATIONS = {
    "containers": "list status credentials logs metrics create set_status delete certificate regenerate_certificate "
    "templates external_access",
    "allowed_ips": "list add remove",
    "connections": "targets list create delete",
    "backups": "list trigger stats restore pin unpin delete",
    "vpn_clients": "list add config remove",
}
SOURCE = Path(package.__file__).parent
TESTS = Path(__file__).parent


METHODS = [
    (noun, name)
    for noun, kind in NOUNS.items()
    for name, _function in inspect.getmembers(kind, inspect.isfunction)
    if not name.startswith("_")
]


def called_in(path: Path) -> set[str]:
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return {node.attr for node in nodes if isinstance(node, ast.Attribute)}


@pytest.mark.parametrize(("noun", "name"), METHODS)
def test_every_public_method_is_used_by_the_tests_of_its_noun(noun: str, name: str) -> None:
    assert name in called_in(TESTS / f"test_{noun}.py")


@pytest.mark.parametrize("noun", OPERATIONS)
def test_every_operation_of_a_noun_is_a_method_and_a_call_of_that_name(noun: str) -> None:
    texts = {
        node.value
        for node in ast.walk(ast.parse((SOURCE / f"{noun}.py").read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    expected = OPERATIONS[noun].split()

    assert [name for name in expected if not hasattr(NOUNS[noun], name)] == []
    assert {f"{noun}.{name}" for name in expected} == {text for text in texts if text.startswith(f"{noun}.")}


def test_all_thirty_endpoints_are_there() -> None:
    assert sum(len(names.split()) for names in OPERATIONS.values()) == 30


@pytest.mark.parametrize(("noun", "name"), METHODS)
def test_every_public_method_is_described_with_its_place_in_the_guide(noun: str, name: str) -> None:
    described = inspect.getdoc(getattr(NOUNS[noun], name)) or ""

    assert described
    if name in OPERATIONS.get(noun, "").split():
        assert '(guide, "' in described


def test_every_module_has_tests_of_its_own() -> None:
    modules = {path.stem.lstrip("_") for path in SOURCE.glob("*.py")} - {"init__"}

    assert {name for name in modules if not (TESTS / f"test_{name}.py").exists()} <= {
        "watch",
        "backup_watch",
        "sockets",
    }  # by way of the feed, the backups and the transport


def test_exported_names_exist_and_are_sorted() -> None:
    for module in (package, models):
        assert [name for name in module.__all__ if not hasattr(module, name)] == []
