"""Guarantees of the whole package: its public names, the modules that it loads, and compatible states."""

from __future__ import annotations

import ast
import inspect
import itertools
import subprocess
import sys
from pathlib import Path

import pytest

import stacks_pulumi as stacks
from stacks_pulumi.resources.handlers import HANDLERS

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "stacks_pulumi"
RESOURCES = sorted(HANDLERS)


def loaded_by(code: str) -> set[str]:
    """Return the modules that a new interpreter has loaded after some code."""
    command = [sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules)"]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


def test_the_public_names() -> None:
    assert {name for name in stacks.__all__ if not name.startswith(("get_", "list_"))} == {
        *(
            "AllowedIp",
            "BackupRestore",
            "Connection",
            "Container",
            "PinnedBackup",
            "SshCertificate",
            "VpnClient",
        ),
        *("Provider", "provider_for"),
    }
    for name in stacks.__all__:
        assert getattr(stacks, name) is not None
    assert dir(stacks) == sorted(stacks.__all__)


def test_every_data_function_has_its_output_form() -> None:
    functions = {name for name in stacks.__all__ if name.startswith(("get_", "list_"))}

    for name in functions:
        twin = name.removesuffix("_output") if name.endswith("_output") else f"{name}_output"
        assert twin in functions


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Containr'"):
        stacks.Containr  # type: ignore[attr-defined]  # noqa: B018  (the access is what is tested)


@pytest.mark.parametrize("kind", RESOURCES)
def test_every_output_is_annotated_and_described(kind: str) -> None:
    body = ast.parse(inspect.getsource(getattr(stacks, kind))).body[0].body  # type: ignore[attr-defined]  # a class

    for output, after in itertools.pairwise(body):
        if isinstance(output, ast.AnnAssign) and not ast.unparse(output.target).startswith("_"):
            assert ast.unparse(output.annotation).startswith("pulumi.Output[")
            is_text = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            assert is_text, f"{kind}.{ast.unparse(output.target)} has no description"


@pytest.mark.parametrize("kind", RESOURCES)
def test_every_input_is_an_argument_and_every_argument_is_described(kind: str) -> None:
    resource = getattr(stacks, kind)
    parameters = inspect.signature(resource.__init__).parameters
    arguments = {name for name, parameter in parameters.items() if parameter.kind is parameter.KEYWORD_ONLY}
    described = inspect.getdoc(resource.__init__) or ""

    assert {field.name for field in HANDLERS[kind].fields if not field.noted} == arguments
    assert ["self", "resource_name", "opts"] == [name for name in parameters if name not in arguments]
    for name in arguments:
        assert f"\n    {name}:" in described, f"{kind}: {name} is not described"


def test_an_import_of_the_package_loads_few_modules() -> None:
    loaded = loaded_by("import stacks_pulumi")

    assert loaded.isdisjoint({"pulumi", "requests", "msgspec", "werkzeug", "rich", "pulumi_policy"})


def test_a_program_loads_only_what_it_uses() -> None:
    code = "import stacks_pulumi as s\n" + "\n".join(f"s.{name}" for name in stacks.__all__)

    loaded = loaded_by(code)

    assert "pulumi" in loaded
    assert loaded.isdisjoint({"rich", "werkzeug", "pulumi_policy", "pydantic", "structlog", "pytest"})


@pytest.mark.parametrize(
    ("module", "without"),
    [
        ("stacks_pulumi.api", {"pulumi", "grpc", "rich", "werkzeug"}),
        ("stacks_pulumi.emulator", {"pulumi", "grpc", "requests", "rich"}),
        ("stacks_pulumi.catalog", {"pulumi", "requests", "msgspec"}),
        ("stacks_pulumi.endpoints", {"pulumi", "requests", "msgspec"}),
        (
            "stacks_pulumi.cli",
            {"pulumi", "requests", "rich", "werkzeug", "msgspec", "subprocess", "importlib.metadata"},
        ),
        ("stacks_pulumi.cost", {"pulumi", "requests", "rich", "werkzeug"}),
        ("stacks_pulumi.policy", {"requests", "rich", "werkzeug"}),
        # Every command includes their start, but an `up` without changes sends no request.
        (
            "stacks_pulumi.hosts.plugin.servicer",
            {
                "requests",
                "stacks_pulumi.account",
                "stacks_pulumi.cost",
                "stacks_pulumi.functions",
                "stacks_pulumi.reports",
            },
        ),
        ("stacks_pulumi.hosts.dynamic", {"requests", "importlib.metadata", "stacks_pulumi._pulumi_cli"}),
    ],
)
def test_each_part_loads_without_the_others(module: str, without: set[str]) -> None:
    assert loaded_by(f"import {module}").isdisjoint(without)


def test_no_error_is_changed_after_it_was_raised() -> None:
    changed = [
        f"{path.relative_to(ROOT)}:{target.lineno}"
        for path in PACKAGE.rglob("*.py")
        for handler in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(handler, ast.ExceptHandler) and handler.name is not None
        for target in ast.walk(handler)
        if isinstance(target, ast.Attribute)
        and isinstance(target.ctx, ast.Store)
        and isinstance(target.value, ast.Name)
        and target.value.id == handler.name
    ]

    assert changed == []


def test_no_handler_of_a_signal_takes_a_lock() -> None:
    # It could interrupt the main thread while this thread holds the lock, and the process would never end.
    handlers = {
        f"{path.relative_to(PACKAGE)}:{node.lineno}": ast.unparse(node.args[1])
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "signal.signal"
    }

    assert len(handlers) > 5
    assert {place: handler for place, handler in handlers.items() if ".set()" in handler} == {}
