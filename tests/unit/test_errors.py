"""The error tree."""

from __future__ import annotations

import inspect
import pickle

import pytest

from stacks_pulumi import errors

ALL = [value for _, value in inspect.getmembers(errors, inspect.isclass) if issubclass(value, Exception)]


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_every_error_is_exported_drawn_and_survives_pickling(kind: type[errors.StacksError]) -> None:
    error = kind("what went wrong", status=402, subject="web")

    again = pickle.loads(pickle.dumps(error))

    assert kind.__name__ in errors.__all__
    assert kind.__name__ in (errors.__doc__ or "")
    assert (kind, "what went wrong", 402, "web") == (type(again), str(again), again.status, again.subject)


def test_the_drawn_tree_is_the_real_one() -> None:
    drawn = {}
    path: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        name = next((word for word in line.split() if word.endswith("Error")), None)
        if name is None or (set("│├└").isdisjoint(line) and name != "StacksError"):
            continue
        depth = 0 if name == "StacksError" else line.index(name)
        while path and path[-1][0] >= depth:
            path.pop()
        drawn[name] = path[-1][1] if path else "Exception"
        path.append((depth, name))

    assert {kind.__name__: kind.__mro__[1].__name__ for kind in ALL} == drawn
