"""Make a failing case smaller: delta debugging over every list of objects in it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

from tests.prove.proof import Case

__all__ = ["reduced"]

Path = tuple[str | int, ...]


def reduced(case: Case, fails: Callable[[Case], bool]) -> Case:
    """Return a failing case, made from one, that fails no longer if any object of any list is left out."""
    before = None
    while case != before:
        before = case
        # The outer and longer lists first, as most of the case may go with them.
        for path in sorted(_lists(case), key=lambda path: (len(path), -len(_at(case, path)))):
            # A list may have left the case with an object of another list.
            if path in set(_lists(case)):
                case = _shorter(case, path, fails)
    return case


def _shorter(case: Case, path: Path, fails: Callable[[Case], bool]) -> Case:
    """Leave out all of a list, then halves of it, then quarters, down to single objects, where it still fails."""
    length = size = len(_at(case, path))
    while size:
        start = 0
        while start < length:
            candidate = copy.deepcopy(case)
            del _at(candidate, path)[start : start + size]
            if fails(candidate):
                case = candidate
                length = len(_at(case, path))
            else:
                start += size
        size //= 2
    return case


def _lists(value: Any, path: Path = ()) -> Iterator[Path]:
    """Yield the path of each list of objects."""
    if isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
        yield path
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield from _lists(inner, (*path, key))


def _at(value: Any, path: Path) -> Any:
    for key in path:
        value = value[key]
    return value
