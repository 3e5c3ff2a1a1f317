"""
Count the logical lines of parts of the package: its statements, without docstrings.

Formatting, comments and long messages do not change the figure. With a commit, the figure there is printed too:

    python tools/logical_lines.py --since b3dc18f api resources hosts pricing
"""

from __future__ import annotations

import argparse
import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
PACKAGE: Final = "stacks_pulumi"


def logical_lines(source: str) -> int:
    """Return the number of statements in the source of a module, without docstrings."""
    return sum(isinstance(node, ast.stmt) and not _is_text(node) for node in ast.walk(ast.parse(source)))


def _is_text(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _sources(part: str, commit: str | None) -> Iterator[str]:
    """The modules of a part, in the work tree or at a commit."""
    if commit is None:
        for path in (ROOT / PACKAGE / part).rglob("*.py"):
            yield path.read_text(encoding="utf-8")
        return
    listed = _git("ls-tree", "-r", "--name-only", commit, f"{PACKAGE}/{part}")
    for name in listed.splitlines():
        if name.endswith(".py"):
            yield _git("show", f"{commit}:{name}")


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout


def main() -> int:
    """Print the figure of each part, and the sum."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--since", metavar="COMMIT", help="print the figure at this commit too")
    parser.add_argument("parts", nargs="+", help=f"folders of {PACKAGE}")
    options = parser.parse_args()
    commits = [options.since, None] if options.since else [None]
    rows = {
        part: [sum(map(logical_lines, _sources(part, commit))) for commit in commits]
        for part in options.parts
    }
    rows["together"] = [sum(column) for column in zip(*rows.values(), strict=True)]
    for name, figures in rows.items():
        print(f"{name:12}" + "".join(f"{figure:8}" for figure in figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
