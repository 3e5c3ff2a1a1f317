"""No regular expression of the package is slow: its steps grow with its input's length, and not faster."""

from __future__ import annotations

import ast
import functools
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

import stacks_pulumi
from tests.support.expressions import TooManyStepsError, attacks, steps

ROOT: Final = Path(stacks_pulumi.__file__).parent
SEARCHES: Final = frozenset({"search", "sub", "subn", "split", "findall", "finditer"})
METHODS: Final = SEARCHES | {"match", "fullmatch"}
OF_USERS: Final = {("policy/options.py", "raw")}
"""Expressions that a user writes: a policy's options are as trusted as its code."""
N: Final = 60
"""How often an attack repeats a part; a repetition with a limit has a lower one."""
FEW: Final = 12
"""Steps per character that need no comparison with a longer text."""
TIMES: Final = 6
"""How much longer the other text is. The steps may grow by twice as much, and not by the square."""


class Expression(NamedTuple):
    """An expression, where it is, and whether it is only tried at the beginning of a text."""

    where: str
    pattern: re.Pattern[Any]
    anchored: bool


def of_modules() -> Iterator[tuple[str, str, re.Pattern[Any]]]:
    """Yield the expressions that a module has by a name, also inside of tuples, and those of cached functions."""
    for info in pkgutil.walk_packages([str(ROOT)], "stacks_pulumi."):
        if info.name.endswith("__main__"):
            continue
        module = importlib.import_module(info.name)
        for name, value in vars(module).items():
            for pattern in patterns_in(value):
                yield info.name, name, pattern
            if isinstance(value, functools._lru_cache_wrapper) and value.__module__ == info.name:
                returned = value.__wrapped__.__annotations__.get("return")
                if "Pattern" in str(returned):
                    yield info.name, name, value()


def patterns_in(value: object) -> Iterator[re.Pattern[Any]]:
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, (tuple, list)):
        for one in value:
            yield from patterns_in(one)
    elif isinstance(value, dict):
        for pair in value.items():
            yield from patterns_in(pair)


def sources() -> Iterator[tuple[str, ast.Module]]:
    for file in sorted(ROOT.rglob("*.py")):
        yield str(file.relative_to(ROOT)), ast.parse(file.read_text(encoding="utf-8"))


@functools.cache
def expressions() -> list[Expression]:
    """Return all expressions of the package: those with a name, and those in calls of `re`."""
    used: dict[tuple[str, str], set[str]] = {}
    found: list[Expression] = []
    for file, tree in sources():
        module = "" if file.endswith("__init__.py") else file.removesuffix(".py").replace("/", ".")
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr in METHODS:
                owner = node.value
                owner = owner.func if isinstance(owner, ast.Call) else owner
                if isinstance(owner, ast.Name):
                    # A public name may be used anywhere.
                    used.setdefault((module if owner.id.startswith("_") else "", owner.id), set()).add(
                        node.attr
                    )
            if is_call_of_re(node) and node.func.attr in METHODS:
                text = node.args[0]
                assert isinstance(text, ast.Constant), f"{file}:{node.lineno} is no constant: give it a name"
                flags = next((eval_flags(one.value) for one in node.keywords if one.arg == "flags"), 0)
                found.append(
                    Expression(
                        f"{file}:{node.lineno}", re.compile(text.value, flags), node.func.attr not in SEARCHES
                    )
                )
    for module, name, pattern in of_modules():
        key = (module.removeprefix("stacks_pulumi.") if name.startswith("_") else "", name)
        ways = used.get(key, set())
        # Without a known use, the worst is assumed.
        found.append(Expression(f"{module}.{name}", pattern, bool(ways) and not ways & SEARCHES))
    return found


def is_call_of_re(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "re"
    )


def eval_flags(node: ast.expr) -> int:
    assert isinstance(node, ast.Attribute)
    return int(getattr(re, node.attr))


@pytest.mark.parametrize("expression", expressions(), ids=lambda one: one.where)
def test_an_expression_takes_no_more_steps_than_its_input_is_long(expression: Expression) -> None:
    slow = [
        f"{short[:60]!r}... of {len(short)} characters"
        for short, long in zip(
            attacks(expression.pattern, N), attacks(expression.pattern, TIMES * N), strict=True
        )
        if is_slow(expression, short, long)
    ]

    assert slow == [], expression.pattern.pattern


def is_slow(expression: Expression, short: str, long: str) -> bool:
    try:
        few = steps(expression.pattern, short, anchored=expression.anchored)
        if few <= FEW * len(short):
            return False
        return steps(expression.pattern, long, anchored=expression.anchored) > few * TIMES * 2
    except TooManyStepsError:
        return True
