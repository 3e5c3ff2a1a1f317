"""The mutations of a module's text: small changes of its code that a test should notice."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["Mutation", "mutations"]

COMPARED: dict[type[ast.cmpop], str] = {
    ast.Lt: "<=",
    ast.LtE: "<",
    ast.Gt: ">=",
    ast.GtE: ">",
    ast.Eq: "!=",
    ast.NotEq: "==",
    ast.Is: "is not",
    ast.IsNot: "is",
    ast.In: "not in",
    ast.NotIn: "in",
}
SWAPPED: dict[type[ast.operator], str] = {ast.Add: "-", ast.Sub: "+", ast.Mult: "/", ast.Div: "*"}
LOGGING = re.compile(r"(\b_?log(ging|ger)?|_LOG)\b")
NAME = re.compile(r"[\w./:-]+")
ATOMS = (ast.Attribute, ast.Call, ast.Constant, ast.Name, ast.Subscript)


@dataclass(frozen=True)
class Mutation:
    """
    One change of a module.

    Attributes:
        kind: What is changed.
        line: The number of the first changed line.
        original: The changed lines, with as many lines before them as make them unique in the module.
        mutated: The lines that replace them.
        scope: The function or the class that has the line, with those around it.
        change: The line with the change in it, such as `return «12 → 13»`.
    """

    kind: str
    line: int
    original: str
    mutated: str
    scope: str
    change: str

    def applied(self, text: str) -> str | None:
        """Return the module's text with the change; `None` if the text has the original lines no longer."""
        found = "\n" + text
        original = "\n" + self.original
        return found.replace(original, "\n" + self.mutated)[1:] if found.count(original) == 1 else None


def mutations(text: str) -> list[Mutation]:
    """Return all mutations of a module, in the order of its lines."""
    lines = text.splitlines()
    found = [_change(text, lines, one) for one in _found(ast.parse(text))]
    return sorted(found, key=lambda one: (one.line, one.kind, one.mutated))


Node = ast.expr | ast.stmt | ast.keyword


class _Found(NamedTuple):
    """A mutation: its place and kind, the first and the last node that it replaces, and the new code."""

    scope: str
    kind: str
    begins: Node
    ends: Node
    new: str


def _found(node: ast.AST, scope: str = "") -> Iterator[_Found]:
    """Yield each mutation below a node."""
    if _is_left_out(node):
        return
    if isinstance(node, ast.expr | ast.stmt):
        for replaced, kind, new in _of_node(node):
            yield _Found(scope, kind, replaced, replaced, new)
    for replaced, kind, new in _shortened(node):
        yield _Found(scope, kind, replaced, replaced, new)
    if isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            yield _Found(scope, "entry", key or value, value, "**{}" if key else "{}")
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        scope = f"{scope}.{node.name}".lstrip(".")
    for field, value in ast.iter_fields(node):
        # Decorators change how a class behaves in ways that most code does not use.
        if field in {"annotation", "returns", "decorator_list"}:
            continue
        # A tuple in brackets is one key, or the arguments of a type.
        if field == "slice" and isinstance(value, ast.Tuple):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _found(child, scope)


def _is_left_out(node: ast.AST) -> bool:
    """Return whether a node is a docstring, `__all__`, a message, a log call, or for type checkers only."""
    match node:
        case ast.Expr(value=ast.Constant()) | ast.JoinedStr() | ast.Import() | ast.ImportFrom():
            return True
        case ast.Assign(targets=[ast.Name(id="__all__")]):
            return True
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return True
        case ast.Expr(value=ast.Call(func=function)):
            return LOGGING.search(ast.unparse(function)) is not None
    return False


def _code(part: ast.expr) -> str:
    return ast.unparse(part) if isinstance(part, ATOMS) else f"({ast.unparse(part)})"


def _shortened(node: ast.AST) -> Iterator[tuple[Node, str, str]]:
    """Yield what leaves out one part of a node: the node to replace, the kind, and the new code."""
    match node:
        case (
            ast.List(elts=parts, ctx=ast.Load()) | ast.Tuple(elts=parts, ctx=ast.Load()) | ast.Set(elts=parts)
        ):
            for part in parts:
                yield part, "element", "*()"
        case ast.Call(keywords=keywords):
            for one in keywords:
                yield (one, "keyword", "**{}") if one.arg else (one.value, "keyword", "{}")
        case ast.BoolOp(op=op, values=values):
            word = " and " if isinstance(op, ast.And) else " or "
            for left_out in values:
                rest = word.join(_code(one) for one in values if one is not left_out)
                yield node, "operand", rest if len(values) == 2 else f"({rest})"
        case ast.BinOp(left=left, op=ast.Add(), right=right) if not (_is_message(left) or _is_message(right)):
            yield node, "operand", _code(left)
            yield node, "operand", _code(right)
        case ast.If(test=test, orelse=[]) if not isinstance(test, ast.Constant):
            yield test, "guard", "False"
        case ast.comprehension(ifs=tests):
            for test in tests:
                yield test, "guard", "True"
        case ast.IfExp(body=body, orelse=orelse):
            yield node, "branch", _code(body)
            yield node, "branch", _code(orelse)


def _of_node(node: ast.expr | ast.stmt) -> Iterator[tuple[Node, str, str]]:
    match node:
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            yield node, "comparison", f"{_code(left)} {COMPARED[type(op)]} {_code(right)}"
        case ast.BoolOp(op=op, values=values):
            word = " or " if isinstance(op, ast.And) else " and "
            yield node, "and, or", f"({word.join(_code(value) for value in values)})"
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield node, "negation", _code(operand)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in SWAPPED and not (
            _is_text(left) or _is_text(right)
        ):
            yield node, "arithmetic", f"{_code(left)} {SWAPPED[type(op)]} {_code(right)}"
        case ast.Constant(value=bool(value)):
            yield node, "constant", str(not value)
        case ast.Constant(value=int() | float() as value):
            yield node, "constant", repr(value + 1)
            yield node, "constant", repr(value - 1)
        case ast.Constant(value=str(value)) if NAME.fullmatch(value):
            yield node, "constant", repr(value + "x")
        case ast.If(test=test) | ast.IfExp(test=test) | ast.While(test=test) if not isinstance(
            test, ast.Constant | ast.Compare
        ):
            yield test, "condition", f"not {_code(test)}"
        case ast.Return(value=ast.expr() as value) if ast.unparse(value) != "None":
            yield node, "return None", "return None"
        case ast.Raise() | ast.AugAssign() | ast.Continue() | ast.Break() | ast.Expr(value=ast.Call()):
            yield node, "dropped", "pass"
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield node, "dropped", "pass"


def _is_text(node: ast.expr) -> bool:
    """Return whether a node is a text or a list, which can only be added."""
    return isinstance(node, ast.JoinedStr | ast.List | ast.Tuple) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def _is_message(node: ast.expr) -> bool:
    """Return whether a node is a text for people."""
    return isinstance(node, ast.JoinedStr) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str) and not NAME.fullmatch(node.value)
    )


def _change(text: str, lines: list[str], found: _Found) -> Mutation:
    scope, kind, begins, ends, new = found
    first, last = begins.lineno - 1, (ends.end_lineno or ends.lineno) - 1
    # Columns count bytes.
    head = lines[first].encode()[: begins.col_offset].decode()
    tail = lines[last].encode()[ends.end_col_offset :].decode()
    changed = "\n".join(lines[first : last + 1])
    replaced = changed[len(head) : len(changed) - len(tail)]
    begin = first
    while begin and ("\n" + text).count("\n" + "\n".join(lines[begin : last + 1]) + "\n") > 1:
        begin -= 1
    before = lines[begin:first]
    return Mutation(
        kind,
        first + 1,
        "\n".join([*before, changed]) + "\n",
        "\n".join([*before, head + new + tail]) + "\n",
        scope,
        " ".join(f"{head}«{replaced} → {new}»{tail}".split()),
    )
