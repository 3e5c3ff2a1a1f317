"""
Canaries: Pulumi's policy SDK still has each private part that `stacks_pulumi/policy/_analyzer.py` uses.

A failure names the SDK's version. Then `_analyzer.py` must change; until then, `pyproject.toml` needs an upper bound
for `pulumi-policy`.
"""

from __future__ import annotations

import ast
import importlib.metadata
import inspect
from pathlib import Path
from typing import Any

import pulumi_policy
import pytest
from pulumi_policy import EnforcementLevel, ResourceValidationArgs, ResourceValidationPolicy

from stacks_pulumi.policy import _analyzer as _sdk
from stacks_pulumi.policy.testing import UNKNOWN, PackTester, Secret, container

PACKAGE = Path(_sdk.__file__).parents[1]

VERSION = importlib.metadata.version("pulumi-policy")

# The name of each test contains the version.
pytestmark = pytest.mark.parametrize("version", [VERSION])


def test_the_analyzer_is_made_and_called_as_before(version: str) -> None:
    parameters = list(inspect.signature(_sdk.AnalyzerServicer.__init__).parameters)

    assert parameters[:6] == ["self", "name", "version", "policies", "enforcement_level", "initial_config"]
    for method in ("Configure", "ConfigureStack", "Remediate", "Analyze", "AnalyzeStack"):
        assert list(inspect.signature(getattr(_sdk.AnalyzerServicer, method)).parameters)[:2] == [
            "self",
            "request",
        ]


def test_an_unknown_value_raises_the_error_that_the_policies_catch(version: str) -> None:
    raised: list[BaseException] = []

    def validate(args: ResourceValidationArgs, _report: Any) -> None:
        try:
            args.props.get("plan")
        except Exception as error:  # noqa: BLE001  (the type is what is tested)
            raised.append(error)

    policy = ResourceValidationPolicy("spy", "Looks.", validate, EnforcementLevel.MANDATORY)
    PackTester([policy]).preview(container("web", plan=UNKNOWN))

    assert [type(error) for error in raised] == [_sdk.UnknownValueError]


def test_the_error_for_an_unknown_value_becomes_a_warning_with_its_message(version: str) -> None:
    def validate(args: ResourceValidationArgs, _report: Any) -> None:
        error = _sdk.UnknownValueError(_sdk.UNKNOWN_STRING_VALUE, ["plan"])
        error.message = "the plan is not known yet"
        raise error

    policy = ResourceValidationPolicy("spy", "Looks.", validate, EnforcementLevel.MANDATORY)

    PackTester([policy]).preview(container("web")).assert_warned_by("spy", "the plan is not known yet")


def test_a_remediation_can_write_properties_and_keeps_the_marks_of_secrets(version: str) -> None:
    def remediate(args: ResourceValidationArgs) -> Any:
        _sdk.write_properties(args.props, {"plan": "basic", "discount_code": "SAVE20"})
        return args.props

    policy = ResourceValidationPolicy(
        "change", "Changes.", lambda _args, _report: None, EnforcementLevel.REMEDIATE, remediate=remediate
    )
    outcome = PackTester([policy]).preview(container("web", plan="premium", discount_code=Secret("SAVE10")))

    assert outcome.properties["web"]["plan"] == "basic"
    assert outcome.properties["web"]["discount_code"] == Secret("SAVE20")


def test_only_one_module_uses_names_that_the_sdk_does_not_export(version: str) -> None:
    users = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if not_exported(ast.parse(path.read_text(encoding="utf-8")))
    }

    assert users == {"policy/_analyzer.py"}


def not_exported(module: ast.Module) -> list[str]:
    """Return the names that a module imports from the SDK but that `pulumi_policy` does not export."""
    found: list[str] = []
    for node in ast.walk(module):
        match node:
            case ast.Import(names=names):
                found += [alias.name for alias in names if alias.name.startswith("pulumi_policy.")]
            case ast.ImportFrom(module="pulumi_policy", names=names):
                found += [alias.name for alias in names if not exported(alias.name)]
            case ast.ImportFrom(module=str(name)) if name.startswith("pulumi_policy."):
                found.append(name)
            case ast.Attribute(value=ast.Name(id="pulumi_policy"), attr=name) if not exported(name):
                found.append(name)
    return found


def exported(name: str) -> bool:
    return (
        not name.startswith("_")
        and hasattr(pulumi_policy, name)
        and not inspect.ismodule(getattr(pulumi_policy, name))
    )
