"""The error tree."""

from __future__ import annotations

import dataclasses
import inspect
import pickle

import pytest

from stacks_pulumi import errors

ALL = [value for _, value in inspect.getmembers(errors, inspect.isclass) if issubclass(value, Exception)]


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_every_error_is_exported_drawn_and_survives_pickling(kind: type[errors.StacksError]) -> None:
    given = {field.name: f"the {field.name}" for field in dataclasses.fields(kind)}
    error = kind(**given)

    again = pickle.loads(pickle.dumps(error))

    assert kind.__name__ in errors.__all__
    assert kind.__name__ in (errors.__doc__ or "")
    assert (kind, "the message", given) == (type(again), str(again), vars(again))


def test_a_replaced_error_is_another_one_and_the_first_stays_as_it_was() -> None:
    error = errors.ServerError("it failed", status=502, retry_after=3.0)

    later = dataclasses.replace(error, message="it failed twice", after_doubt=True)

    assert ("it failed", 502, 3.0, False) == (str(error), error.status, error.retry_after, error.after_doubt)
    assert ("it failed twice", 502, 3.0, True) == (
        str(later),
        later.status,
        later.retry_after,
        later.after_doubt,
    )
    assert type(later) is type(error)


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
