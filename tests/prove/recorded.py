"""The recorded mutants: a line for each, with its place, its change, and the tests that fail with it."""

from __future__ import annotations

import functools
import itertools
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.prove.checkout import ROOT
from tests.prove.mutations import Mutation, mutations

__all__ = ["Recorded", "found", "present", "read", "write"]

PACKAGE: Final = ROOT / "stacks_pulumi"
TESTS: Final = ROOT / "tests"
MORE: Final = "..."


@dataclass(frozen=True)
class Recorded:
    """
    A mutant that died.

    Attributes:
        file: The module, as a path in the package.
        scope: The function or the class with the change, with those around it; empty for the module itself.
        change: The line with the change in it.
        killers: The tests that fail with it, without their parameters.
        more: Whether other tests may fail with it too, which were not run.
    """

    file: str
    scope: str
    change: str
    killers: tuple[str, ...]
    more: bool

    def __str__(self) -> str:
        """Return its line. A test in the same file as the one before it has no path."""
        words = []
        for path, tests in itertools.groupby(
            sorted(self.killers), key=lambda name: name.removeprefix("tests/").partition("::")[0]
        ):
            names = [name.partition("::")[2] for name in tests]
            words += [f"{path}::{names[0]}", *(f"::{name}" for name in names[1:])]
        return "\t".join((self.file, self.scope or "-", self.change, " ".join([*words, *[MORE] * self.more])))


def read(text: str) -> list[Recorded]:
    """Return the mutants of a file's text, in which lines with `#` are comments."""
    lines = (line.split("\t") for line in text.splitlines() if line and not line.startswith("#"))
    return [
        Recorded(file, "" if scope == "-" else scope, change, tuple(_names(killers)), killers.endswith(MORE))
        for file, scope, change, killers in lines
    ]


def _names(killers: str) -> Iterator[str]:
    path = ""
    for word in killers.split():
        if word != MORE:
            before, _, name = word.partition("::")
            path = before or path
            yield f"tests/{path}::{name}"


def write(path: Path, mutants: Iterable[Recorded]) -> None:
    """Add mutants to a file; one that it has already is replaced."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    kept = {(one.file, one.scope, one.change): one for one in itertools.chain(read(text), mutants)}
    head = [line for line in text.splitlines() if line.startswith("#")]
    lines = sorted(map(str, kept.values()))
    path.write_text("\n".join([*head, *lines]) + "\n", encoding="utf-8")


def found(one: Recorded) -> tuple[Path, Mutation] | None:
    """
    Return where a recorded mutation is now, and the mutation; `None` if its code is gone, or is there twice.

    It is looked for in the same place, in another function of the file, and in a function of that name in other files.
    """
    here, name = PACKAGE / one.file, one.scope.rpartition(".")[2]
    if here.exists():
        same = _changes(here, one.change)
        return _only([it for it in same if it[1].scope == one.scope]) or _only(same)
    others = [path for path in _modules() if name and re.search(rf"\b(def|class) {name}\b", _text(path))]
    return _only(
        [it for path in others for it in _changes(path, one.change) if it[1].scope.rpartition(".")[2] == name]
    )


def _changes(path: Path, change: str) -> list[tuple[Path, Mutation]]:
    return [(path, one) for one in _mutations(path) if one.change == change]


def _only(places: list[tuple[Path, Mutation]]) -> tuple[Path, Mutation] | None:
    return places[0] if len({(path, one.line) for path, one in places}) == 1 else None


@functools.cache
def _modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


@functools.cache
def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@functools.cache
def _mutations(path: Path) -> list[Mutation]:
    return mutations(_text(path))


def present(killers: Iterable[str]) -> list[str]:
    """Return the names that tests have now: one that is gone is left out, and one that has moved has its new file."""
    names = []
    for killer in killers:
        path, _, name = killer.partition("::")
        files = _tests()[name.rpartition("::")[2]]
        if path in files:
            names.append(killer)
        elif len(files) == 1:
            names.append(f"{files[0]}::{name}")
    return names


@functools.cache
def _tests() -> dict[str, list[str]]:
    """Return the files that have a test function of each name."""
    places: dict[str, list[str]] = defaultdict(list)
    for path in sorted(TESTS.rglob("test_*.py")):
        for name in set(re.findall(r"^ *(?:async )?def (test_\w+)", _text(path), re.MULTILINE)):
            places[name].append(path.relative_to(ROOT).as_posix())
    return places
