"""The error classes and their codes."""

from __future__ import annotations

import copy
import inspect
import pickle
import re
import typing
from collections.abc import Callable
from typing import Any

import pulumi
import pytest

from stacks_pulumi import errors
from stacks_pulumi.errors import ErrorCode, StacksError, clean
from stacks_pulumi.resources._creation import InitFailedError
from stacks_pulumi.resources.provider import shown_alone

ALL = [
    value for _, value in inspect.getmembers(errors, inspect.isclass) if issubclass(value, errors.StacksError)
]


def pickled(error: errors.StacksError) -> errors.StacksError:
    """Return the error in the form in which another process receives it."""
    again: errors.StacksError = pickle.loads(pickle.dumps(error))
    return again


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_every_error_is_drawn(kind: type[errors.StacksError]) -> None:
    assert kind.__name__ in (errors.__doc__ or "")


@pytest.mark.parametrize("duplicate", [pickled, copy.copy, copy.deepcopy])
@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_every_error_survives_pickling_and_copying(
    kind: type[errors.StacksError], duplicate: Callable[[errors.StacksError], errors.StacksError]
) -> None:
    given: dict[str, Any] = {name: f"the {name}" for name in typing.get_type_hints(kind)}
    error = kind(**given)

    again = duplicate(error)

    assert (kind, "the message [the code]", given) == (type(again), str(again), vars(again))
    assert again.args == error.args


def test_a_replaced_error_is_another_one_and_the_first_stays_as_it_was() -> None:
    error = errors.ServerError("it failed", status=502, retry_after=3.0)

    later = error.but(message="it failed twice", code="outcome-unknown", after_doubt=True)

    assert ("it failed", "server-error", 502, 3.0, False) == (
        error.message,
        error.code,
        error.status,
        error.retry_after,
        error.after_doubt,
    )
    assert ("it failed twice", "outcome-unknown", 502, 3.0, True) == (
        later.message,
        later.code,
        later.status,
        later.retry_after,
        later.after_doubt,
    )
    assert type(later) is type(error)


@pytest.mark.parametrize("duplicate", [errors.StacksError.but, pickled, copy.copy])
def test_a_message_made_of_the_message_of_another_error_ends_with_one_code(
    duplicate: Callable[[errors.StacksError], errors.StacksError],
) -> None:
    first = duplicate(errors.StacksError("it failed", code="mocks"))

    second = duplicate(first.but(message=f"{first.message} (account team-b)"))

    assert ("it failed [mocks]", "it failed (account team-b) [mocks]") == (str(first), str(second))


@pytest.mark.parametrize(
    ("kind", "values", "named"),
    [
        (errors.ServerError, {"status": 500, "retry_afer": 3.0}, "ServerError .*: retry_afer$"),
        (errors.StacksError, {}, "StacksError .*: code$"),
        (InitFailedError, {"code": "rollback-failed"}, "InitFailedError .*: id, outs$"),
    ],
)
def test_a_value_that_a_class_does_not_have_and_one_that_it_lacks_are_refused(
    kind: type[errors.StacksError], values: dict[str, Any], named: str
) -> None:
    with pytest.raises(TypeError, match=named):
        kind("it failed", **values)


def test_the_values_of_two_errors_are_their_own() -> None:
    first, second = errors.ServerError("it failed", status=502), errors.ServerError("it failed")

    assert (first.status, second.status, dict(second.body)) == (502, 0, {})
    assert second.but(status=503).values() == {"message": "it failed", "status": 503}


def test_an_error_that_the_engine_shows_alone_has_the_same_values() -> None:
    error = errors.MissingScopeError("it failed", status=403, required_scope="containers:write")

    again = shown_alone(error)

    assert isinstance(again, pulumi.RunError)
    assert (type(pickled(again)), str(again), again.values()) == (type(again), str(error), error.values())


def test_each_code_is_there_once_and_in_kebab_case() -> None:
    codes = typing.get_args(ErrorCode)

    assert sorted(set(codes)) == sorted(codes)
    assert [code for code in codes if not re.fullmatch(r"[a-z]+(-[a-z]+)*", code)] == []


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

    assert {
        kind.__name__: kind.__bases__[0].__name__.replace("_WithValues", "Exception") for kind in ALL
    } == drawn


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("list containers: the API failed (500); try again later", "list containers: the API failed (500)"),
        ("it lacks a scope (403; it has a, b); make a key (soon)", "it lacks a scope (403; it has a, b)"),
        (
            "it was refused (400: taken; choose another); correct it",
            "it was refused (400: taken; choose another)",
        ),
        ("it was refused (400: a; b (c)); correct it", "it was refused (400: a; b (c))"),
        ("nothing else", "nothing else"),
    ],
)
def test_the_reason_ends_before_what_to_do(message: str, reason: str) -> None:
    assert errors.ServerError(message).reason == reason


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ünïcode ☃ ::1 x::y #1 ## Title", "ünïcode ☃ ::1 x::y #1 ## Title"),
        ("a\nb\x1b[2J\x9b\u202e\u2028\U000e0041", r"a\nb\x1b[2J\x9b\u202e\u2028\U000e0041"),
        ("a\u2800\u3164\u034fb\ufe0f", r"a\u2800\u3164\u034fb\ufe0f"),
        ("::set-output name=a::b", r"\x3a:set-output name=a::b"),
        ("  ::debug::x", r"  \x3a:debug::x"),
        ("::ffff:198.51.100.7", "::ffff:198.51.100.7"),
        ("a ##vso[x] ##[y] ###teamcity[z]", r"a #\x23vso[x] #\x23[y] ##\x23teamcity[z]"),
        ("<{%boom%}>", r"<\x7b%boom%}>"),
    ],
)
def test_a_clean_text_is_carried_out_by_nothing(text: str, shown: str) -> None:
    assert clean(text) == shown
    assert clean(shown) == shown


def test_the_text_of_an_error_is_clean() -> None:
    assert str(StacksError("a\x1b[2J", code="not-found")) == r"a\x1b[2J [not-found]"
