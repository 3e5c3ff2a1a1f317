"""
How many steps a regular expression takes: a small engine that backtracks as Python's does, and counts.

Steps and not seconds are counted, so that a test with them gives the same result on every machine.
"""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

if sys.version_info >= (3, 11):
    from re import _constants as sre
    from re import _parser as parser
else:
    import sre_constants as sre
    import sre_parse as parser

__all__ = ["TooManyStepsError", "attacks", "is_match", "steps"]

Then = Callable[[int], bool]
"""What has to match after a part, from a position."""

Part = Callable[[int, Then], bool]

_MOST: Final = 300_000
_CHOICES: Final = 5
"""How many characters are tried where an expression takes several."""
_SIGNS: Final = "aZ0 -_.,:;/<>()[]{}\"'`=?&@#*\\\t\n\u00e9"
"""Characters that an attack is made of, beside those of the expression itself."""


class TooManyStepsError(Exception):
    """The expression takes more steps than any test needs."""


class _Engine:
    def __init__(self, pattern: re.Pattern[Any]) -> None:
        self.text = ""
        self.count = 0
        self._case = bool(pattern.flags & re.IGNORECASE)
        self._all = bool(pattern.flags & re.DOTALL)
        self._lines = bool(pattern.flags & re.MULTILINE)
        self.whole = self._sequence(_parsed(pattern))

    def step(self, number: int = 1) -> None:
        self.count += number
        if self.count > _MOST:
            raise TooManyStepsError

    def _sequence(self, nodes: Any) -> Part:
        signs = [self._sign(kind, value) for kind, value in nodes]
        parts = {
            number: self._part(kind, value)
            for number, (kind, value) in enumerate(nodes)
            if signs[number] is None
        }

        def run(at: int, then: Then, number: int = 0) -> bool:
            # Not a call for each character: the names of a choice have hundreds.
            while number < len(signs):
                sign = signs[number]
                if sign is None:
                    rest = functools.partial(run, then=then, number=number + 1)
                    return parts[number](at, rest)
                if not self._takes(sign, at):
                    return False
                at += 1
                number += 1
            return then(at)

        return run

    def _part(self, kind: Any, value: Any) -> Part:
        if kind is sre.BRANCH:
            return self._choice(value[1])
        if kind is sre.SUBPATTERN:
            return self._sequence(value[-1])
        if kind is sre.AT:
            return lambda at, then: self._at(value, at) and then(at)
        if kind in {sre.ASSERT, sre.ASSERT_NOT}:
            direction, inner = value[0], self._sequence(value[1])
            wanted = kind is sre.ASSERT
            if direction > 0:
                return lambda at, then: inner(at, lambda _end: True) is wanted and then(at)
            width = value[1].getwidth()[1]
            return lambda at, then: (
                (at >= width and inner(at - width, lambda end: end == at)) is wanted and then(at)
            )
        if kind in {sre.MAX_REPEAT, sre.MIN_REPEAT}:
            return self._repeat(*value, greedy=kind is sre.MAX_REPEAT)
        raise NotImplementedError(str(kind))

    def _choice(self, choices: Sequence[Any]) -> Part:
        ways = [(self._sign(*nodes[0]) if nodes else None, self._sequence(nodes)) for nodes in choices]

        @functools.cache
        def possible(sign: str) -> list[Part]:
            """Return the ways that can begin with a character; hundreds of names begin with another one."""
            return [way for first, way in ways if first is None or (sign and first(sign))]

        def run(at: int, then: Then) -> bool:
            self.step()
            return any(way(at, then) for way in possible(self.text[at : at + 1]))

        return run

    def _repeat(self, least: int, most: Any, body: Any, *, greedy: bool) -> Part:
        most = sys.maxsize if most is sre.MAXREPEAT else int(most)
        sign = self._sign(*body[0]) if len(body) == 1 else None
        if sign is not None:
            return lambda at, then: self._row(sign, least, most, at, then, greedy=greedy)
        inner = self._sequence(body)

        def run(at: int, then: Then, done: int = 0) -> bool:
            def again() -> bool:
                return done < most and inner(at, lambda end: end > at and run(end, then, done + 1))

            if done < least:
                return inner(at, lambda end: run(end, then, done + 1))
            return (again() or then(at)) if greedy else (then(at) or again())

        return run

    def _row(
        self, sign: Callable[[str], bool], least: int, most: int, at: int, then: Then, *, greedy: bool
    ) -> bool:
        end = at
        if not greedy:
            while True:
                if end - at >= least and then(end):
                    return True
                if end - at >= most or not self._takes(sign, end):
                    return False
                end += 1
        text, last = self.text, min(len(self.text), at + most)
        while end < last and sign(text[end]):
            end += 1
        # The first one that it does not take is a step too.
        self.step(min(end - at + 1, most))
        while end - at >= least:
            self.step()
            if then(end):
                return True
            end -= 1
        return False

    def _takes(self, sign: Callable[[str], bool], at: int) -> bool:
        self.step()
        return at < len(self.text) and sign(self.text[at])

    def _sign(self, kind: Any, value: Any) -> Callable[[str], bool] | None:
        """Return the test of a part that is one character; `None` for another part."""
        test = self._test(kind, value)
        return test and functools.cache(test)

    def _test(self, kind: Any, value: Any) -> Callable[[str], bool] | None:
        if kind is sre.ANY:
            return lambda sign: self._all or sign != "\n"
        if kind in {sre.LITERAL, sre.NOT_LITERAL}:
            wanted = kind is sre.LITERAL
            return lambda sign: (
                (ord(sign) == value or (self._case and _fold(sign) == _fold(chr(value)))) is wanted
            )
        if kind is sre.IN:
            negated = value[0][0] is sre.NEGATE
            tests = [_member(*one) for one in value[negated:]]
            return lambda sign: (
                any(test(sign) or (self._case and test(sign.swapcase()[0])) for test in tests) is not negated
            )
        return None

    def _at(self, kind: Any, at: int) -> bool:
        self.step()
        text = self.text
        before, after = text[at - 1 : at], text[at : at + 1]
        if kind in {sre.AT_BEGINNING, sre.AT_BEGINNING_STRING}:
            return at == 0 or (self._lines and before == "\n")
        if kind is sre.AT_END:
            return at == len(text) or text[at:] == "\n" or (self._lines and after == "\n")
        if kind is sre.AT_END_STRING:
            return at == len(text)
        word = _is_word(before) is not _is_word(after)
        return word is (kind is sre.AT_BOUNDARY)


@functools.cache
def _is_word(sign: str) -> bool:
    return re.match(r"\w", sign) is not None


def _fold(sign: str) -> str:
    return sign.lower()


def _member(kind: Any, value: Any) -> Callable[[str], bool]:
    if kind is sre.LITERAL:
        return lambda sign: ord(sign) == value
    if kind is sre.RANGE:
        return lambda sign: value[0] <= ord(sign) <= value[1]
    names = {
        sre.CATEGORY_DIGIT: r"\d",
        sre.CATEGORY_NOT_DIGIT: r"\D",
        sre.CATEGORY_SPACE: r"\s",
        sre.CATEGORY_NOT_SPACE: r"\S",
        sre.CATEGORY_WORD: r"\w",
        sre.CATEGORY_NOT_WORD: r"\W",
    }
    category = re.compile(names[value])
    return lambda sign: category.match(sign) is not None


def _parsed(pattern: re.Pattern[Any]) -> Any:
    text = pattern.pattern
    text = text.decode("latin-1") if isinstance(text, bytes) else text
    return parser.parse(text, pattern.flags & ~re.UNICODE)


_engine: Final = functools.cache(_Engine)


def steps(pattern: re.Pattern[Any], text: str, *, anchored: bool) -> int:
    """
    Return how many steps the expression takes for a text.

    Args:
        pattern: The expression.
        text: The text.
        anchored: Whether it is tried only at the beginning, and has to match the whole text; otherwise it is searched
            for as often as it occurs.

    Raises:
        TooManyStepsError: There are hundreds of thousands.
    """
    engine = _engine(pattern)
    engine.text, engine.count = text, 0
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(100_000)
    try:
        if anchored:
            engine.whole(0, lambda end: end == len(text))
            return engine.count
        at = 0
        while at <= len(text):
            ends: list[int] = []

            def found(end: int, ends: list[int] = ends) -> bool:
                ends.append(end)
                return True

            engine.whole(at, found)
            at = max(ends[0], at + 1) if ends else at + 1
    finally:
        sys.setrecursionlimit(limit)
    return engine.count


def is_match(pattern: re.Pattern[Any], text: str) -> bool:
    """Return whether the expression matches the whole text, by the engine that counts."""
    engine = _engine(pattern)
    engine.text, engine.count = text, 0
    return engine.whole(0, lambda end: end == len(text))


def attacks(pattern: re.Pattern[Any], number: int) -> Iterator[str]:
    """
    Yield texts that are made to be slow: each repeated part is repeated so often, then comes what does not match.

    The beginnings of a match are repeated too, as a search that fails starts again at each of them.
    """
    parsed = _parsed(pattern)
    signs = "".join(dict.fromkeys([*map(chr, _literals(parsed)), *_SIGNS]))
    seen: set[str] = set()
    for prefix, pumps in _beginnings(parsed, signs, ""):
        for pump in pumps:
            for text in (prefix + pump * number, (prefix + pump) * number):
                if text and text not in seen:
                    seen.add(text)
                    yield f"{text}\x00"


def _literals(nodes: Any) -> Iterator[int]:
    for kind, value in nodes:
        if kind in {sre.LITERAL, sre.NOT_LITERAL}:
            yield value
        elif kind is sre.IN:
            yield from (one[1] for one in value if one[0] is sre.LITERAL)
        for inner in _inside(kind, value):
            yield from _literals(inner)


def _inside(kind: Any, value: Any) -> Sequence[Any]:
    if kind is sre.BRANCH:
        return list(value[1])
    if kind is sre.SUBPATTERN:
        return [value[-1]]
    if kind in {sre.MAX_REPEAT, sre.MIN_REPEAT}:
        return [value[2]]
    if kind in {sre.ASSERT, sre.ASSERT_NOT}:
        return [value[1]]
    return []


def _beginnings(nodes: Any, signs: str, prefix: str) -> Iterator[tuple[str, list[str]]]:
    """Yield a text that leads to each part, with texts that this part matches."""
    for kind, value in nodes:
        if kind in {sre.MAX_REPEAT, sre.MIN_REPEAT}:
            yield prefix, _samples(value[2], signs)
            yield from _beginnings(value[2], signs, prefix)
        else:
            yield prefix, _samples([(kind, value)], signs)
            for inner in _inside(kind, value):
                yield from _beginnings(inner, signs, prefix)
        prefix += (_samples([(kind, value)], signs) or [""])[0]


def _samples(nodes: Any, signs: str) -> list[str]:
    """Return texts that the parts match; more than one where a part is a choice between characters."""
    found = [""]
    for kind, value in nodes:
        if kind in {sre.MAX_REPEAT, sre.MIN_REPEAT}:
            # Once even where none is needed: that is where a match can be tried in more than one way.
            ways = [text * max(1, value[0]) for text in _samples(value[2], signs)]
        elif kind is sre.BRANCH:
            ways = [text for way in value[1] for text in _samples(way, signs)]
        elif kind is sre.SUBPATTERN:
            ways = _samples(value[-1], signs)
        elif kind in {sre.AT, sre.ASSERT, sre.ASSERT_NOT}:
            ways = [""]
        else:
            test = _engine(re.compile(""))._sign(kind, value)
            ways = [sign for sign in signs if test is not None and test(sign)][:_CHOICES]
        found = [before + way for before in found[:2] for way in ways]
    return found[:_CHOICES]
