"""
Guarantees of the whole client: every endpoint has a method, every method a test, and every exported name is intended.
"""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from types import ModuleType

import pytest

import stacks_pulumi.api as package
from stacks_pulumi.api import models
from stacks_pulumi.api.allowed_ips import AllowedIpsApi
from stacks_pulumi.api.backups import BackupsApi
from stacks_pulumi.api.connections import ConnectionsApi
from stacks_pulumi.api.containers import ContainersApi
from stacks_pulumi.api.feed import Feed
from stacks_pulumi.api.vpn_clients import VpnClientsApi
from stacks_pulumi.endpoints import ENDPOINTS

NOUNS = {
    "containers": ContainersApi,
    "allowed_ips": AllowedIpsApi,
    "connections": ConnectionsApi,
    "backups": BackupsApi,
    "vpn_clients": VpnClientsApi,
    "feed": Feed,
}
METHODS_OF = {
    noun: [name.partition(".")[2] for name in ENDPOINTS if name.startswith(f"{noun}.")]
    for noun in NOUNS
    if noun != "feed"
}
"""The methods that the endpoints ask for."""
SOURCE = Path(package.__file__).parent
TESTS = Path(__file__).parent


METHODS = [
    (noun, name)
    for noun, kind in NOUNS.items()
    for name, _function in inspect.getmembers(kind, inspect.isfunction)
    if not name.startswith("_")
]


def used_of(noun: str) -> set[str]:
    """The methods that the tests use of `client.<noun>`, or of what a function or class of the noun's name returns."""
    owners = {noun, f"client.{noun}", NOUNS[noun].__name__}
    return {
        node.attr
        for path in TESTS.glob(f"test_{noun}*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
        and ast.unparse(node.value.func if isinstance(node.value, ast.Call) else node.value) in owners
    }


@pytest.mark.parametrize(("noun", "name"), METHODS)
def test_every_public_method_is_used_by_the_tests_of_its_noun(noun: str, name: str) -> None:
    assert name in used_of(noun)


@pytest.mark.parametrize("noun", METHODS_OF)
def test_every_endpoint_of_a_noun_is_a_method_and_a_call_of_that_name(noun: str) -> None:
    texts = {
        node.value
        for node in ast.walk(ast.parse((SOURCE / f"{noun}.py").read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    expected = METHODS_OF[noun]

    assert [name for name in expected if not hasattr(NOUNS[noun], name)] == []
    assert {f"{noun}.{name}" for name in expected} == {text for text in texts if text.startswith(f"{noun}.")}


def test_all_thirty_endpoints_are_there() -> None:
    assert sum(len(names) for names in METHODS_OF.values()) == len(ENDPOINTS) == 30


@pytest.mark.parametrize(("noun", "name"), METHODS)
def test_every_public_method_is_described_with_its_place_in_the_guide(noun: str, name: str) -> None:
    described = inspect.getdoc(getattr(NOUNS[noun], name)) or ""

    assert described
    if name in METHODS_OF.get(noun, ()):
        assert '(guide, "' in described


def test_every_module_has_a_test_file() -> None:
    modules = {path.stem.lstrip("_") for path in SOURCE.glob("*.py")} - {"init__"}

    assert {name for name in modules if not (TESTS / f"test_{name}.py").exists()} == set()


@pytest.mark.parametrize("module", [package, models])
def test_exported_names_exist_and_are_sorted(module: ModuleType) -> None:
    names = module.__all__

    assert [name for name in names if not hasattr(module, name)] == []
    # Constants first, then classes, then functions, as ruff sorts them.
    assert names == sorted(names, key=lambda name: (not name.isupper(), not name[0].isupper(), name))
