"""A mutation is one small change of code that can be parsed, and that can be applied while its lines exist."""

from __future__ import annotations

import ast

import pytest

from tests.prove.mutations import mutations

ANDS = ("a or b or c", "b and c", "a and c", "a and b")


@pytest.mark.parametrize(
    ("code", "mutated"),
    [
        ("found = a < b", {"found = a <= b"}),
        (
            "found = (a or b) == c",
            {"found = (a or b) != c", "found = (a and b) == c", "found = a == c", "found = b == c"},
        ),
        (
            "found = [x for x in y if (z := f(x)) is None]",
            {"found = [x for x in y if (z := f(x)) is not None]", "found = [x for x in y if True]"},
        ),
        ("found = not a", {"found = a"}),
        ("if a:\n    b()", {"if not a:\n    b()", "if a:\n    pass", "if False:\n    b()"}),
        (
            "found = a + b * c",
            {"found = a - b * c", "found = a + b / c", "found = a", "found = b * c"},
        ),
        ("found = 'é' + a.b", {"found = 'éx' + a.b", "found = 'é'", "found = a.b"}),
        ("found = f'{a} of ' + b", set()),
        ("found = [a, b]", {"found = [*(), b]", "found = [a, *()]"}),
        ("found: Table[a, b] = c", set()),
        ("a, b = c, *d", {"a, b = (*(), *d)", "a, b = (c, *())"}),
        ("found = {a: b, **c}", {"found = {**{}, **c}", "found = {a: b, **{}}"}),
        ("found = f(a, b=c, **d)", {"found = f(a, **{}, **d)", "found = f(a, b=c, **{})"}),
        ("found = f(a and b and c)", {f"found = f({it})" for it in ANDS}),
        (
            "found = a if b else c",
            {"found = a if not b else c", "found = a", "found = c"},
        ),
        ("LIMIT = 5", {"LIMIT = 6", "LIMIT = 4"}),
        ("found = f(a=False)", {"found = f(a=True)", "found = f(**{})"}),
        ("STATUS = 'running'", {"STATUS = 'runningx'"}),
        ("def f():\n    return a", {"def f():\n    return None"}),
        ("a.b = c", {"pass"}),
        ("a += b", {"pass"}),
        ("raise Error(f'no {a} of 5')", {"pass"}),
        ("é = f('é', a < b)", {"é = f('éx', a < b)", "é = f('é', a <= b)"}),
    ],
)
def test_code_is_changed_in_one_place(code: str, mutated: set[str]) -> None:
    found = [mutation.applied(code + "\n") for mutation in mutations(code + "\n")]

    # Without redundant parentheses.
    assert {ast.unparse(ast.parse(text or "")) for text in found} == mutated


@pytest.mark.parametrize(
    "code",
    [
        '"""A docstring with a word."""',
        "__all__ = ['a']",
        "found: Literal['a'] | None",
        "def f(a: int | None) -> Literal['a']: ...",
        "import a",
        "_LOG.debug('a %s', 5)",
        "pulumi.log.info('text')",
        "if TYPE_CHECKING:\n    a = 5",
        "@dataclass(frozen=True)\nclass A: ...",
        "error('a sentence of several words')",
    ],
)
def test_text_that_no_behaviour_depends_on_is_left_alone(code: str) -> None:
    assert [one for one in mutations(code + "\n") if one.kind != "dropped"] == []


def test_a_mutation_is_found_again_after_other_lines_have_changed() -> None:
    text = "def f():\n    return a\n\n\ndef g():\n    return a\n"
    first, second = [one for one in mutations(text) if one.kind == "return None"]

    assert first.applied("import os\n" + text) == f"import os\n{text.replace('return a', 'return None', 1)}"
    assert second.applied(text) == "def f():\n    return a\n\n\ndef g():\n    return None\n"
    assert first.applied(text.replace("return a", "return b")) is None
