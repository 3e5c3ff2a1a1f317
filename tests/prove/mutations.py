"""The mutations of a module's text: small changes of its code that a test should notice."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

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
    """

    kind: str
    line: int
    original: str
    mutated: str

    def applied(self, text: str) -> str | None:
        """Return the module's text with the change; `None` if the text has the original lines no longer."""
        found = "\n" + text
        original = "\n" + self.original
        return found.replace(original, "\n" + self.mutated)[1:] if found.count(original) == 1 else None


def mutations(text: str) -> list[Mutation]:
    """Return all mutations of a module, in the order of its lines."""
    found = [_change(text, node, kind, new) for node, kind, new in _found(ast.parse(text))]
    return sorted(found, key=lambda one: (one.line, one.kind, one.mutated))


Found = Iterator[tuple[ast.expr | ast.stmt, str, str]]


def _found(node: ast.AST) -> Found:
    """Yield each mutation below a node, as the node to replace, the kind of the mutation, and the new code."""
    if _is_left_out(node):
        return
    if isinstance(node, ast.expr | ast.stmt):
        yield from _of_node(node)
    for field, value in ast.iter_fields(node):
        # Decorators change how a class behaves in ways that most code does not use.
        if field in {"annotation", "returns", "decorator_list"}:
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _found(child)


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


def _of_node(node: ast.expr | ast.stmt) -> Found:
    def code(part: ast.expr) -> str:
        return ast.unparse(part) if isinstance(part, ATOMS) else f"({ast.unparse(part)})"

    match node:
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            yield node, "comparison", f"{code(left)} {COMPARED[type(op)]} {code(right)}"
        case ast.BoolOp(op=op, values=values):
            word = " or " if isinstance(op, ast.And) else " and "
            yield node, "and, or", f"({word.join(code(value) for value in values)})"
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield node, "negation", code(operand)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in SWAPPED and not (
            _is_text(left) or _is_text(right)
        ):
            yield node, "arithmetic", f"{code(left)} {SWAPPED[type(op)]} {code(right)}"
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
            yield test, "condition", f"not {code(test)}"
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


def _change(text: str, node: ast.expr | ast.stmt, kind: str, new: str) -> Mutation:
    lines = text.splitlines()
    first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
    # Columns count bytes.
    head = lines[first].encode()[: node.col_offset].decode()
    tail = lines[last].encode()[node.end_col_offset :].decode()
    begin = first
    while begin and ("\n" + text).count("\n" + "\n".join(lines[begin : last + 1]) + "\n") > 1:
        begin -= 1
    before = lines[begin:first]
    return Mutation(
        kind,
        first + 1,
        "\n".join([*before, *lines[first : last + 1]]) + "\n",
        "\n".join([*before, head + new + tail]) + "\n",
    )
