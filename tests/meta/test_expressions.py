"""No regular expression of the package is slow: the time grows at most linearly with the length of the input."""

from __future__ import annotations

import ast
import functools
import importlib
import pkgutil
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings, strategies

import stacks_pulumi

pytestmark = pytest.mark.extra

ROOT: Final = Path(stacks_pulumi.__file__).parent
SEARCHES: Final = frozenset({"search", "sub", "subn", "split", "findall", "finditer"})
METHODS: Final = SEARCHES | {"match", "fullmatch"}
OF_USERS: Final = {"policy/options.py"}
"""Files that compile a user's expression: a policy's options are as trusted as its code."""
OF_TEXTS: Final = {"agents/masking.py"}
"""Files that compile alternatives of escaped texts, which contain no repetition."""
LONG: Final = 80_000
"""The length of an attack. A search with quadratic time takes seconds; any other search takes milliseconds."""
BEGINNINGS: Final = 12
"""The number of prefixes of a text that are repeated."""
PATIENCE: Final = 1.0
"""Seconds of processor time."""


class Expression(NamedTuple):
    """An expression, its place, and whether it is matched only at the start of a text."""

    where: str
    pattern: re.Pattern[Any]
    anchored: bool


def of_modules() -> Iterator[tuple[str, str, re.Pattern[Any]]]:
    """Yield the expressions in a module's names, including those in tuples and those of cached functions."""
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


def expressions() -> list[Expression]:
    """Return all expressions of the package: named ones, and those in calls of `re`."""
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
            if isinstance(node, ast.Call) and (method := method_of_re(node)) in METHODS:
                where, text = f"{file}:{node.lineno}", node.args[0]
                assert isinstance(text, ast.Constant), f"{where} is no constant: give it a name"
                flags = next((eval_flags(one.value) for one in node.keywords if one.arg == "flags"), 0)
                found.append(Expression(where, re.compile(text.value, flags), method not in SEARCHES))
    for module, name, pattern in of_modules():
        key = (module.removeprefix("stacks_pulumi.") if name.startswith("_") else "", name)
        ways = used.get(key, set())
        # Without a known use, the worst case is assumed.
        found.append(Expression(f"{module}.{name}", pattern, bool(ways) and not ways & SEARCHES))
    return found


def method_of_re(node: ast.Call) -> str:
    """Return the name of the called function of `re`; empty for any other call."""
    function = node.func
    of_re = (
        isinstance(function, ast.Attribute)
        and isinstance(function.value, ast.Name)
        and function.value.id == "re"
    )
    return function.attr if of_re and isinstance(function, ast.Attribute) else ""


def eval_flags(node: ast.expr) -> int:
    assert isinstance(node, ast.Attribute)
    return int(getattr(re, node.attr))


def test_no_expression_is_slow() -> None:
    found = expressions()

    assert found
    assert {one.where: slow for one in found if (slow := slow_texts(one))} == {}


def slow_texts(expression: Expression) -> list[str]:
    """Return the attacks that take too long. They are built from texts in which the expression matches."""
    slow: list[str] = []

    @settings(
        max_examples=8, derandomize=True, database=None, deadline=None, suppress_health_check=[*HealthCheck]
    )
    @given(strategies.from_regex(expression.pattern, fullmatch=expression.anchored))
    def attack(text: str | bytes) -> None:
        slow.extend(f"{one[:60]!r}..." for one in attacks(text) if not slow and is_slow(expression, one))

    attack()
    return slow


def attacks(text: Any) -> Iterator[Any]:
    """Yield each prefix of a text, repeated or with its last character repeated, before a character that ends it."""
    end = text[:0] + (b"\0" if isinstance(text, bytes) else "\0")
    for length in range(1, min(len(text), BEGINNINGS) + 1):
        beginning = text[:length]
        yield beginning * (LONG // length) + end
        yield beginning + beginning[-1:] * LONG + end


def is_slow(expression: Expression, text: str | bytes) -> bool:
    """Return whether an expression needs more processor time for a text than the limit."""
    pattern: re.Pattern[Any] = expression.pattern
    before = signal.signal(signal.SIGVTALRM, _stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, PATIENCE)
    try:
        if expression.anchored:
            pattern.fullmatch(text)
        else:
            for _ in pattern.finditer(text):
                pass
    except TimeoutError:
        return True
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
    return False


def _stop(*_: object) -> None:
    raise TimeoutError


def test_only_a_cached_function_compiles_an_expression() -> None:
    """This test would not find an expression in any other function."""
    files = {
        file
        for file, tree in sources()
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef)
        and not any(ast.unparse(one) == "functools.cache" for one in function.decorator_list)
        for node in ast.walk(function)
        if isinstance(node, ast.Call) and method_of_re(node) == "compile"
    }

    assert files == OF_USERS | OF_TEXTS


@pytest.mark.parametrize(
    ("text", "anchored"),
    [(r"\S+\(host=[^)]*\): ", False), (r"(a+)+b", True), (r" - at `(.*)`$", False), (r"(a|aa)*b", True)],
)
def test_a_slow_expression_is_found(text: str, anchored: bool) -> None:
    assert slow_texts(Expression("here", re.compile(text), anchored))
