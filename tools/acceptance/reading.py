"""Read any JSON: rows, ids, words and times wherever an answer has them. Nothing here raises for what it reads."""

from __future__ import annotations

import datetime as dt
import email.utils
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

__all__ = [
    "at_path",
    "field",
    "form_of",
    "has",
    "ids_in",
    "moment",
    "names_in",
    "number",
    "number_in",
    "paths",
    "plain",
    "rows_in",
    "text_in",
    "word",
]

_DEEP: Final = 6
_WRAPPERS: Final = ("data", "container", "result", "attributes", "item", "connection", "backup")
_ROWS: Final = ("data", "containers", "items", "results", "rows", "list", "records", "backups", "templates")
_WORDS: Final = ("state", "status", "name", "value", "word", "phase", "code", "text", "id", "label")
_IDS: Final = frozenset({"id", "containerid", "uuid", "containeruuid"})
_NUMBER: Final = re.compile(r"-?\d+(?:\.\d+)?")


def plain(text: str) -> str:
    """Return a name of a field, or a word, without case and punctuation: `created_at` and `createdAt` are equal."""
    return re.sub(r"[^a-z0-9]", "", text.lower())


def field(body: Any, *names: str) -> Any:
    """Return the first field of one of these names, in the body or in what wraps its content; `None` without one."""
    wanted = [plain(name) for name in names]
    for level in _levels(body):
        known = {plain(str(key)): value for key, value in level.items()}
        for name in wanted:
            if known.get(name) is not None:
                return known[name]
    return None


def has(body: Any, name: str) -> bool:
    """Return whether a body, or what wraps its content, has a field of this name, be it null."""
    return any(plain(str(key)) == plain(name) for level in _levels(body) for key in level)


def _levels(body: Any) -> Iterator[Mapping[Any, Any]]:
    """Yield an object, and the objects in it that wrap content: the content comes first."""
    level, levels = body, list[Mapping[Any, Any]]()
    while isinstance(level, Mapping) and len(levels) < _DEEP:
        levels.append(level)
        level = next(
            (
                value
                for key, value in level.items()
                if plain(str(key)) in _WRAPPERS and isinstance(value, Mapping)
            ),
            None,
        )
    yield from reversed(levels)


def rows_in(body: Any, path: str | None = None) -> tuple[str, list[dict[str, Any]]] | None:
    """
    Return the path of the rows in the answer of a list, and the rows.

    Args:
        body: The answer.
        path: Where rows were found before; it is tried first.

    Returns:
        `None` if there is no list in the answer. The path of a bare list is empty.
    """
    found = [(where, value) for where, value in _walk(body) if isinstance(value, list)]
    null: list[tuple[str, list[Any]]] = [
        (where, []) for where, value in _walk(body) if value is None and where in _ROWS
    ]
    for where, value in sorted(found or null, key=lambda it: (it[0] != path, *_rank(it[0]))):
        objects = [entry for entry in value if isinstance(entry, dict)]
        if objects or not value:
            return where, objects
    return None


def form_of_empty(body: Any) -> str | None:
    """Return how an empty list is answered: as a `list`, or with `nothing` in its place; `None` if there is neither."""
    if any(isinstance(value, list) for _, value in _walk(body)):
        return "list"
    return "nothing" if body is None or rows_in(body) is not None else None


def _rank(path: str) -> tuple[int, int]:
    steps = path.split(".") if path else []
    last = steps[-1].lower() if steps else ""
    return _ROWS.index(last) if last in _ROWS else len(_ROWS), len(steps)


def _walk(body: Any, path: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Yield every value with its path, without entering lists."""
    yield path, body
    if isinstance(body, Mapping) and depth < _DEEP:
        for key, value in body.items():
            yield from _walk(value, f"{path}.{key}" if path else str(key), depth + 1)


def paths(body: Any) -> dict[str, Any]:
    """Return the scalars of an object by their path."""
    return {path: value for path, value in _walk(body) if not isinstance(value, (Mapping, list))}


def at_path(body: Any, path: str) -> Any:
    """Return the value at a path; `None` without one."""
    for step in path.split(".") if path else ():
        body = body.get(step) if isinstance(body, Mapping) else None
    return body


def names_in(body: Any, *names: str) -> list[str]:
    """Return the names in a list, whose entries are texts or objects."""
    rows = body if isinstance(body, list) else None
    if rows is None:
        rows = next((value for _, value in _walk(body) if isinstance(value, list)), [])
    found = [entry if isinstance(entry, str) else field(entry, *names) for entry in rows]
    return [name for name in found if isinstance(name, str)]


def text_in(body: Any) -> str:
    """Return the text of an answer: a text, a list of lines, or the first of either in an object."""
    for _, value in _walk(body):
        if isinstance(value, list):
            return "\n".join(
                entry if isinstance(entry, str) else str(field(entry, "message", "line", "text"))
                for entry in value
            )
        if isinstance(value, str) and (value is body or "\n" in value or len(value) > 80):
            return value
    return next((value for path, value in _walk(body) if isinstance(value, str) and path), "")


def ids_in(body: Any, location: str | None = None) -> list[str]:
    """Return everything in the answer to a creation that may be the new object's id."""
    found = [part for part in (location or "").split("?")[0].rstrip("/").split("/")[-1:] if part]
    if _scalar(body):
        found.append(str(body))
    for path, value in _walk(body):
        if path and _scalar(value) and plain(path.rsplit(".", 1)[-1]) in _IDS:
            found.append(str(value))
    return [it for it in dict.fromkeys(found) if 0 < len(it) <= 128 and not re.search(r"[\s/]", it)]


def _scalar(value: Any) -> bool:
    return isinstance(value, (str, int)) and not isinstance(value, bool)


def word(value: Any) -> str | None:
    """Return the word in a status: a text, a number, or the text in an object."""
    if isinstance(value, Mapping):
        known = {plain(str(key)): entry for key, entry in value.items()}
        ordered = [known[name] for name in _WORDS if name in known] + list(value.values())
        return next((str(entry) for entry in ordered if _scalar(entry)), None)
    return str(value) if _scalar(value) else None


def form_of(value: Any) -> str:
    """Return whether a status is a text, a number or an object."""
    return "object" if isinstance(value, Mapping) else "text" if isinstance(value, str) else "number"


def moment(value: Any) -> float | None:
    """Return a time as seconds since the epoch; `None` if it cannot be read."""
    found = number(value)
    if found is not None:
        # Seconds, or a thousandth, millionth or billionth of one: a time in this century has ten digits of seconds.
        while found > 1e11:
            found /= 1000
        return float(found)
    if not isinstance(value, str):
        return None
    text = re.sub(r"(\.\d{6})\d+", r"\1", value.strip().replace("Z", "+00:00"))
    # Python 3.10 reads three or six digits of a second only.
    text = re.sub(r"\.(\d{1,5})(?!\d)", lambda match: f".{match[1]:0<6}", text)
    try:
        at = dt.datetime.fromisoformat(text)
    except ValueError:
        try:
            at = email.utils.parsedate_to_datetime(value)
        except (TypeError, ValueError, IndexError):
            return None
    return (at if at.tzinfo else at.replace(tzinfo=dt.timezone.utc)).timestamp()


def number(value: Any) -> float | None:
    """Return a number, or the number that a text is; `None` for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if abs(found) < 1e300 else None


def number_in(value: Any) -> tuple[Decimal, str] | None:
    """Return a price and its form: `number`, `text`, or `currency` for a text with more than digits."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, (int, float)):
        return _decimal(str(value), "number")
    if not isinstance(value, str):
        return None
    digits = _NUMBER.findall(value)
    if len(digits) != 1 or len(value) > 40:
        return None
    return _decimal(digits[0], "text" if digits[0] == value.strip() else "currency")


def _decimal(text: str, form: str) -> tuple[Decimal, str] | None:
    try:
        found = Decimal(text)
    except InvalidOperation:
        return None
    return (found, form) if found.is_finite() else None
