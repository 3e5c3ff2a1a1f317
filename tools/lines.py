"""
Count the lines of code of the package, the tests and the tools: without docstrings, comments and blank lines.

    make lines                        each part of this checkout
    make lines ARGS="--since b3dc18f"   also print the figures of a commit

`tests/meta/test_lines.py` contains the limits for the package and the tests. The lines of a part are information, not a
goal.
"""

from __future__ import annotations

import argparse
import io
import subprocess
import sys
import tokenize
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

ROOT: Final = Path(__file__).parents[1]
FOLDERS: Final = ("stacks_pulumi", "tests", "tools")

_NO_CODE: Final = {tokenize.COMMENT, tokenize.NL, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


def code_lines(source: str) -> int:
    """Return the number of lines of a module that contain code."""
    lines: set[int] = set()
    statement: list[tokenize.TokenInfo] = []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.NEWLINE:
            # A statement that is only a text is a docstring.
            if any(part.type != tokenize.STRING for part in statement):
                lines.update(*(range(part.start[0], part.end[0] + 1) for part in statement))
            statement = []
        elif token.type not in _NO_CODE:
            statement.append(token)
    return len(lines)


def parts(commit: str | None = None) -> Counter[str]:
    """Return the lines of each part, such as `tests/unit`, in the work tree or at a commit."""
    counted: Counter[str] = Counter()
    for name, source in _sources(commit):
        path = PurePosixPath(name)
        counted["/".join(path.parts[: min(2, len(path.parts) - 1)])] += code_lines(source)
    return counted


def of(folder: str, counted: Counter[str]) -> int:
    """Return the lines of a folder with all its parts."""
    return sum(lines for part, lines in counted.items() if PurePosixPath(part).parts[0] == folder)


def _sources(commit: str | None) -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each module that git does not ignore."""
    if commit is None:
        listed = _git("ls-files", "--cached", "--others", "--exclude-standard", *FOLDERS)
    else:
        listed = _git("ls-tree", "-r", "--name-only", commit, *FOLDERS)
    for name in listed.splitlines():
        if not name.endswith(".py"):
            continue
        if commit is not None:
            yield name, _git("show", f"{commit}:{name}")
        elif (path := ROOT / name).exists():
            yield name, path.read_text(encoding="utf-8")


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout


def main() -> int:
    """Print the lines of each part, and the sum of each folder."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--since", metavar="COMMIT", help="print the figures of this commit first")
    since = parser.parse_args().since
    columns = [parts(since), parts()] if since else [parts()]
    for folder in FOLDERS:
        for part in sorted({part for column in columns for part in column}):
            if PurePosixPath(part).parts[0] == folder:
                print(f"  {part:28}" + "".join(f"{column[part]:8}" for column in columns))
        print(f"{folder:30}" + "".join(f"{of(folder, column):8}" for column in columns))
    return 0


if __name__ == "__main__":
    sys.exit(main())
