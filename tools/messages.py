"""
List the messages of all places that raise an error, or a random sample of them, for review.

    python3 tools/messages.py                          all, one per line: the place, the exception, the message
    python3 tools/messages.py --sample 40 --seed 17    a repeatable sample of forty
    python3 tools/messages.py api resources            the messages of some parts of the package
"""

from __future__ import annotations

import argparse
import ast
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["Message", "messages"]

ROOT: Final = Path(__file__).resolve().parents[1]
PACKAGE: Final = "stacks_pulumi"


@dataclass(frozen=True)
class Message:
    """
    The message of one place.

    Attributes:
        path: The file, below the checkout.
        line: The line of the `raise`.
        kind: The exception, as the code names it.
        text: The message, with expressions in braces.
    """

    path: str
    line: int
    kind: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}  {self.kind}: {self.text}"


def messages(root: Path = ROOT) -> list[Message]:
    """Return the messages of the package in a checkout, in the order of files and lines."""
    files = sorted((root / PACKAGE).rglob("*.py"))
    return [
        message
        for file in files
        for message in _in_module(ast.parse(file.read_text(encoding="utf-8")), str(file.relative_to(root)))
    ]


def _in_module(module: ast.Module, path: str) -> Iterator[Message]:
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    seen: set[int] = set()
    # The innermost function comes last, and a message uses its local names.
    for function in reversed([node for node in ast.walk(module) if isinstance(node, functions)]):
        assigned = [
            (node.lineno, node.targets[0].id, node.value)
            for node in ast.walk(function)
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        ]
        for node in ast.walk(function):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.lineno not in seen:
                seen.add(node.lineno)
                before = sorted((it for it in assigned if it[0] < node.lineno), key=lambda it: it[0])
                names = {name: value for _, name, value in before}
                yield Message(path, node.lineno, *_raised(node.exc, names))


def _raised(call: ast.Call, names: Mapping[str, ast.expr]) -> tuple[str, str]:
    for given in call.args:
        if isinstance(given, ast.Call) and ast.unparse(given.func).endswith("Error"):
            # An error may be inside a function that changes it, such as `shown_alone(ConfigError(msg))`.
            return _raised(given, names)
    named = [keyword.value for keyword in call.keywords if keyword.arg == "message"]
    texts = [_text(given, names) for given in (*named, *call.args)]
    return ast.unparse(call.func), "; ".join([text for text in texts if " " in text] or texts)


def _text(node: ast.expr, names: Mapping[str, ast.expr]) -> str:
    if isinstance(node, ast.Name) and node.id in names:
        return _text(names[node.id], {name: it for name, it in names.items() if name != node.id})
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part, names) for part in node.values)
    if isinstance(node, ast.FormattedValue):
        quoted = "!r" if node.conversion == ord("r") else ""
        return f"{{{ast.unparse(node.value)}{quoted}}}"
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _text(node.left, names) + _text(node.right, names)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "with_code":
        return f"{_text(node.args[0], names)} [{_text(node.args[1], names)}]"
    return f"{{{ast.unparse(node)}}}"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="List the messages of all places that raise an error.")
    parser.add_argument("parts", nargs="*", help="folders or files of the package; by default all of it")
    parser.add_argument("--sample", type=int, metavar="N", help="print a random sample of N messages")
    parser.add_argument("--seed", type=int, default=0, help="the seed of the sample (default: 0)")
    parser.add_argument("--root", type=Path, default=ROOT, help="a different checkout, for a comparison")
    options = parser.parse_args(arguments)
    places = tuple(f"{PACKAGE}/{part}" for part in options.parts) or (PACKAGE,)
    found = [message for message in messages(options.root) if message.path.startswith(places)]
    if options.sample is not None:
        drawn = random.Random(options.seed).sample(found, min(options.sample, len(found)))
        found = sorted(drawn, key=lambda message: (message.path, message.line))
    for message in found:
        print(message)


if __name__ == "__main__":
    main()
