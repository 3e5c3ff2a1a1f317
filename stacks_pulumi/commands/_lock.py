"""
Which packages, with which hashes, does a repository install together with this package?

This version was tested with these packages. `make lock` writes them into `packages.lock` in this folder.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path
from typing import Final

NAME: Final = "requirements.lock"
REQUIREMENTS: Final = "requirements.txt"
FILE: Final = Path(__file__).with_name("packages.lock")

BUILD: Final = "build"
"""The mark in `packages.lock` of packages that build this package; a repository without its wheel needs them."""

INSTALL: Final = (
    "pip install --require-hashes --only-binary :all: -r {lock}",
    # This command downloads nothing, and fails if the lock lacks a package.
    f"pip install --no-index --no-build-isolation -r {REQUIREMENTS}",
)
"""The commands that install a lock's packages, and then the requirements, in a job without secrets."""

RENEW: Final = (
    f"uv pip compile --universal --generate-hashes --no-annotate --no-header {REQUIREMENTS} -o {NAME}"
)
"""The command that writes the lock again after a change of the requirements."""

_ENTRY: Final = re.compile(r"^[A-Za-z0-9].*(?:\n .*)*\n", re.MULTILINE)
_FOR: Final = re.compile(r"^    # for (.+)\n", re.MULTILINE)
_NOTE: Final = re.compile(r"^    # .*\n", re.MULTILINE)


def extras_in(words: str) -> set[str]:
    """Return the extras in the brackets of a requirement; empty if there are none."""
    return set(re.findall(r"[\w-]+", words.partition("[")[2].partition("]")[0]))


def locked(own: str, extras: Collection[str], sources: Collection[str] = ()) -> str:
    wanted = {*extras} if own else {*extras, BUILD}
    named = ", ".join(sources) or REQUIREMENTS
    lines = [f"# What {named} installs, with hashes.\n"]
    if named == REQUIREMENTS:
        lines.append(f"# After a change of it, write this file again:\n#   {RENEW}\n")
    lines += [f"{own}\n"] if own else []
    for entry in _ENTRY.findall(FILE.read_text(encoding="utf-8")):
        needed = _FOR.search(entry)
        if needed is None or wanted & set(needed[1].split(", ")):
            lines.append(_NOTE.sub("", entry))
    return "".join(lines)
