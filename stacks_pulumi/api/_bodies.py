"""
Reads bodies whose shape the guide does not specify, or specifies in several ways.

The list has fields in snake_case, the status in camelCase, the answer to a create request in both. `record` converts
all of them to snake_case, then msgspec checks the types. An answer may be wrapped in `data` or not, a list may be
bare, wrapped or a mapping, and a text may be bare or wrapped.

Makes untrusted text safe for an error message or a log: no API key, no control characters, limited length.

Reads answers that are more than one model or one list: credentials, keys, templates, connections, targets.

Reads metrics. The guide gives their names and says "arrays with timestamps", but does not describe their shape.
"""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import UnionType
from typing import Annotated, Any, Final, NamedTuple, TypeVar, Union, get_args, get_origin

import msgspec

from stacks_pulumi.api.models import (
    AllowedIp,
    Connection,
    Connections,
    Container,
    Credentials,
    ExternalAccess,
    Listing,
    Metrics,
    Model,
    Target,
    Targets,
    Template,
    prepare,
)
from stacks_pulumi.config import without_keys

__all__ = [
    "ShapeError",
    "allowed_ips",
    "api_words",
    "connection",
    "connections",
    "container",
    "credentials",
    "done",
    "item",
    "items",
    "mapping",
    "parse",
    "private_key",
    "private_key_if_any",
    "record",
    "require_text_id",
    "scrub",
    "scrub_body",
    "snake",
    "targets",
    "templates",
    "text_of",
    "unwrap",
]

_SECRET_NAME: Final = re.compile(
    r"pass|secret|token|credential|private|certificate|connection_?string", re.IGNORECASE
)
_MARKUP: Final = re.compile(r"\s*<")
_LONGEST: Final = 300
_DEEPEST: Final = 5
_WIDEST: Final = 50


def scrub(text: str, longest: int = _LONGEST) -> str:
    """
    Return the text on one line, shortened, without API keys and without control and direction characters.

    Every text from outside this package passes through this function before it is shown.
    """
    # Everything in the form of a key is removed, because a message may quote another key. This is done before the
    # text is shortened, so that no part of a key remains.
    keyless = without_keys(text[: longest * 20])
    line = " ".join("".join(char if char.isprintable() else " " for char in keyless).split())
    return line if len(line) <= longest else line[: longest - 3] + "..."


def scrub_body(body: Any, depth: int = 0) -> Any:
    """Return an error's body in the same shape, with limited size and without secrets."""
    if isinstance(body, str):
        return scrub(body)
    if depth >= _DEEPEST:
        return None
    if isinstance(body, Mapping):
        return {
            scrub(str(name)): "****" if _SECRET_NAME.search(str(name)) else scrub_body(value, depth + 1)
            for name, value in list(body.items())[:_WIDEST]
        }
    if isinstance(body, list):
        return [scrub_body(value, depth + 1) for value in body[:_WIDEST]]
    return body


def api_words(body: Any) -> str:
    """Return the API's message in the body of an error, or an empty string."""
    if isinstance(body, str):
        return "" if _MARKUP.match(body) else scrub(body)
    if not isinstance(body, Mapping):
        return ""
    found: list[str] = []
    for name in ("error", "message", "detail"):
        value = body.get(name)
        if isinstance(value, Mapping):
            value = value.get("message")
        if isinstance(value, str) and value and value not in found:
            found.append(value)
    return scrub(": ".join(found))


M = TypeVar("M", bound=Model)

_HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[-\s]+")
_WHERE: Final = re.compile(r" - at `\$?(.*)`$")
_PAGE: Final = re.compile(r"\s*<(!doctype|html)", re.IGNORECASE)
_TEXT_KEYS: Final = (
    "data",
    "logs",
    "log",
    "lines",
    "certificate",
    "private_key",
    "key",
    "config",
    "content",
    "text",
)
_LINE_KEYS: Final = ("line", "log", "message", "text")


class ShapeError(Exception):
    """
    A body does not have the expected shape.

    Attributes:
        path: Where the mismatch is, for instance `data[2].port`.
        wanted: What was expected. It never contains the value from the body.
    """

    def __init__(self, path: str, wanted: str) -> None:
        super().__init__(f"{path}: {wanted}")
        self.path = path
        self.wanted = wanted


def snake(name: str) -> str:
    """Convert a name to snake_case: `hasWebUI` -> `has_web_ui`. Names in snake_case are returned unchanged."""
    return _HUMP.sub("_", name).lower()


def done(_body: Any) -> bool:
    """Return true: the answer only confirms that the request was carried out."""
    return True


def mapping(value: Any, path: str = "body") -> Mapping[str, Any]:
    """
    Return the value if it is an object.

    Raises:
        ShapeError: It is not an object.
    """
    if not isinstance(value, Mapping):
        raise ShapeError(path, "an object was expected")
    return value


def unwrap(body: Any, *keys: str, path: str = "body") -> tuple[Any, str]:
    """
    Return the content of an answer and its path: the value under `data` or one of the keys, otherwise the body itself.

    Args:
        body: The decoded body.
        keys: Names in snake_case that the content may be under, beside or inside `data`.
        path: The path of the body.
    """
    for key in ("data", *keys):
        if isinstance(body, Mapping):
            name = next((name for name in body if snake(name) == key and body[name] is not None), None)
            if name is not None:
                body, path = body[name], name if path == "body" else f"{path}.{name}"
    return body, path


def item(kind: type[M], body: Any, *keys: str) -> M:
    """
    Return one model from an answer.

    Raises:
        ShapeError: The answer does not have the expected shape.
    """
    return record(kind, *unwrap(body, *keys))


def require_text_id(value: Any, path: str) -> None:
    """
    Raise if a created object has an id that is not text. All ids are text, except those of backups.

    A number would be converted to text, and the state would contain an id that no object has. After this error the
    caller looks for the object in the list.

    Raises:
        ShapeError: The id is not text.
    """
    given = {snake(name): entry for name, entry in value.items()} if isinstance(value, Mapping) else {}
    if not isinstance(given.get("id", ""), str):
        raise ShapeError(f"{path}.id", "text was expected")


def items(kind: type[M], body: Any, *keys: str, path: str = "body", bare: Sequence[str] = ()) -> Listing[M]:
    """
    Return all models from an answer that is a list: bare, wrapped, or a mapping by name.

    Args:
        kind: The model.
        body: The decoded body.
        keys: Names that the list may be under, beside or inside `data`.
        path: The path of the body.
        bare: The fields that get the text of an entry that is only a text, or the name of an entry in a mapping.

    Raises:
        ShapeError: It is not a list. A row that cannot be read is no error: the `Listing` then has a gap.
    """
    value, path = unwrap(body, *keys, path=path)
    entries = list(_entries(value, path, bare))
    rows, gap, damaged = _rows(kind, entries, path)
    count = body.get("count") if isinstance(body, Mapping) else None
    if gap is None and isinstance(count, int) and count > len(entries):
        gap = f"{path}: {count} rows were announced and {len(entries)} came"
    return Listing(rows, gap=gap, damaged=damaged)


def _entries(value: Any, path: str, bare: Sequence[str]) -> Iterator[Any]:
    if isinstance(value, list):
        for entry in value:
            yield dict.fromkeys(bare, entry) if bare and isinstance(entry, str) else entry
    elif (
        bare
        and value
        and isinstance(value, Mapping)
        and all(isinstance(entry, Mapping) for entry in value.values())
    ):
        for name, entry in value.items():
            yield {**dict.fromkeys(bare, name), **entry}
    else:
        raise ShapeError(path, "a list was expected")


def _rows(kind: type[M], entries: Sequence[Any], path: str) -> tuple[list[M], str | None, set[Any]]:
    """Return the readable rows, the problem of the first unreadable one, and the ids of partly readable ones."""
    prepare(kind)
    given = _respelled_together(kind, entries)
    # Nearly always all rows are readable, and one conversion of the whole list is much faster.
    with contextlib.suppress(msgspec.ValidationError):
        return msgspec.convert(given, list[kind], strict=False), None, set()  # type: ignore[valid-type]  # known at run time
    texts = [name for name, is_text in _fields(kind) if is_text]
    rows: list[M] = []
    gap: str | None = None
    damaged: set[Any] = set()
    for index, (entry, fields) in enumerate(zip(entries, given, strict=True)):
        row = _row(kind, fields, texts)
        if row is None:
            try:
                row, unread = _read(kind, entry, f"{path}[{index}]")
            except ShapeError as error:
                gap = gap or scrub(str(error))
                continue
            if unread:
                damaged.add(getattr(row, "id", None))
        rows.append(row)
    return rows, gap, damaged


def _row(kind: type[M], fields: Any, texts: Iterable[str]) -> M | None:
    """Return the row, with numbers converted for fields that hold text; `None` if a field cannot be read."""
    try:
        return msgspec.convert(fields, kind, strict=False)
    except msgspec.ValidationError:
        if not isinstance(fields, dict):
            return None
    fields.update({name: _as_text(fields[name]) for name in texts if name in fields})
    with contextlib.suppress(msgspec.ValidationError):
        return msgspec.convert(fields, kind, strict=False)
    return None


def _respelled_together(kind: type[M], entries: Sequence[Any]) -> list[Any]:
    """
    Return the model's fields of each row, like `_respelled`, except that numbers are not converted to text.

    The names are resolved once for all rows that have the same names in the same order. A row that is not an object is
    returned unchanged.
    """
    layouts: dict[tuple[str, ...], _Layout] = {}
    rows: list[Any] = []
    for entry in entries:
        if type(entry) is not dict:
            rows.append(entry)
            continue
        given = tuple(entry)
        layout = layouts.get(given)
        if layout is None:
            layout = layouts[given] = _layout(kind, given)
        row: dict[str, Any] = dict(zip(layout.names, entry.values(), strict=True))
        for name, spellings in layout.ranked:
            row[name] = next((entry[spelling] for spelling in spellings if entry[spelling] is not None), None)
        for name, words in layout.synonyms:
            word = row[name]
            if isinstance(word, str):
                row[name] = words.get(word, word)
        rows.append(row)
    return rows


def _as_text(value: Any) -> Any:
    """Return a number as text, for fields that hold text: `"version": 22`, `"id": 178`. Others stay unchanged."""
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


class _Layout(NamedTuple):
    names: tuple[str, ...]
    """The field for each name. An unknown name stays unchanged, and the conversion ignores it."""
    ranked: Sequence[tuple[str, Sequence[str]]]
    """Fields for which the row has more than one name, with these names; the preferred name is first."""
    synonyms: Sequence[tuple[str, Mapping[str, str]]]
    """Fields whose values have synonyms."""


def _layout(kind: type[M], given: tuple[str, ...]) -> _Layout:
    """Return the fields for the names of a row."""
    known = _spellings(kind)
    fields = {name: field for name in given if (field := known(name)) is not None}
    spellings: dict[str, list[str]] = {}
    # If two names have the same rank, the last one is used.
    position = {name: -index for index, name in enumerate(fields)}
    for name in sorted(fields, key=lambda name: (fields[name].rank, position[name])):
        spellings.setdefault(fields[name].name, []).append(name)
    return _Layout(
        tuple(fields[name].name if name in fields else name for name in given),
        [(name, names) for name, names in spellings.items() if len(names) > 1],
        list({field.name: field.synonyms for field in fields.values() if field.synonyms}.items()),
    )


def record(kind: type[M], value: Any, path: str = "body") -> M:
    """
    Return one model from one object, with its fields in any spelling. A field that cannot be read is `None`.

    Raises:
        ShapeError: It is not an object, or a required field is missing or cannot be read.
    """
    return _read(kind, value, path)[0]


def _read(kind: type[M], value: Any, path: str) -> tuple[M, bool]:
    """Return the model, and whether one of its fields could not be read."""
    prepare(kind)
    fields = _respelled(kind, value, path)
    unread = False
    while True:
        try:
            return msgspec.convert(fields, kind, strict=False), unread
        except msgspec.ValidationError as error:
            message = str(error)
            where = _WHERE.search(message)
            spot = where.group(1) if where else ""
            field = re.split(r"[.\[]", spot.removeprefix("."), maxsplit=1)[0]
            if field not in fields or field in _required(kind):
                raise ShapeError(path + spot, _WHERE.sub("", message)) from None
            del fields[field]
            unread = True


def _respelled(kind: type[M], value: Any, path: str) -> dict[str, Any]:
    """Return the model's fields that an object has, by the model's names."""
    known = _spellings(kind)
    fields: dict[str, Any] = {}
    ranks: dict[str, int] = {}
    for name, found in mapping(value, path).items():
        if found is None:
            continue
        field = known(name)
        if field is None or field.rank > ranks.get(field.name, field.rank):
            continue
        ranks[field.name] = field.rank
        if field.synonyms and isinstance(found, str):
            fields[field.name] = field.synonyms.get(found, found)
        else:
            fields[field.name] = _as_text(found) if field.is_text else found
    return fields


class _Field(NamedTuple):
    name: str
    rank: int
    is_text: bool
    synonyms: Mapping[str, str]


@functools.cache
def _spellings(kind: type[Model]) -> Callable[[str], _Field | None]:
    """Return a function that finds the model's field for a name in an answer."""
    known: dict[str, _Field] = {}
    for name, is_text in _fields(kind):
        for rank, spelling in enumerate((name, *kind.ALIASES.get(name, ()))):
            known.setdefault(spelling, _Field(name, rank, is_text, kind.SYNONYMS.get(name, {})))
    # The cache is bounded, because the names come from an answer.
    return functools.lru_cache(maxsize=1024)(lambda name: known.get(snake(name)))


@functools.cache
def _required(kind: type[Model]) -> frozenset[str]:
    """Return the names of the required fields."""
    return frozenset(field.name for field in msgspec.structs.fields(kind) if field.required)


@functools.cache
def _fields(kind: type[Model]) -> tuple[tuple[str, bool], ...]:
    """Return each field of a model, and whether it holds text."""
    return tuple((field.name, _is_text(field.type)) for field in msgspec.structs.fields(kind))


def _is_text(annotation: Any) -> bool:
    # `str`, `str | None`, `Id` or `Id | None`, but not a list or mapping of texts.
    if annotation is str:
        return True
    return get_origin(annotation) in {Union, UnionType, Annotated} and any(
        map(_is_text, get_args(annotation))
    )


def text_of(body: Any) -> str:
    """
    Return the text of an answer, which may be bare, a list of lines, or wrapped in JSON under one of several names.

    Raises:
        ShapeError: The answer contains no text.
    """
    found = _text(body)
    if found is None or _PAGE.match(found):
        raise ShapeError("body", "a text was expected")
    return found


def _text(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        lines = [_line(entry) for entry in value]
        return None if None in lines else "\n".join(line.rstrip("\n") for line in lines if line is not None)
    if isinstance(value, Mapping):
        texts = (_text(found) for found in _under(value, _TEXT_KEYS))
        return next((text for text in texts if text is not None), None)
    return None


def _line(entry: Any) -> str | None:
    if not isinstance(entry, Mapping):
        return _text(entry)
    line = next((found for found in _under(entry, _LINE_KEYS) if isinstance(found, str)), None)
    stamp = entry.get("timestamp")
    return f"{stamp} {line}" if line is not None and isinstance(stamp, str) else line


def _under(value: Mapping[str, Any], keys: Iterable[str]) -> Iterable[Any]:
    given = {snake(name): entry for name, entry in value.items()}
    return (given[key] for key in keys if given.get(key) is not None)


_ENVELOPE: Final = frozenset({"success", "message", "data"})
_PEM: Final = "-----BEGIN "
_ADDRESS: Final = ("id", "ip_address")


def credentials(body: Any) -> Credentials:
    """
    Return the main login and its address, with the whole answer in `raw`.

    The answer is nested (`mainCredentials`, `connectionInfo`) or, for some templates, a list of logins.
    """
    data, path = unwrap(body)
    beside = body if isinstance(body, Mapping) else {}
    inside = {"credentials": data} if isinstance(data, list) else mapping(data, path)
    raw = {name: value for name, value in {**beside, **inside}.items() if name not in _ENVELOPE}
    # For each field the first part that has it takes precedence: the main login, then the address, then the rest.
    flat: dict[str, Any] = {}
    for part in _parts(raw):
        for name, value in part.items():
            if not isinstance(value, (Mapping, list)):
                flat.setdefault(snake(name), value)
    return msgspec.structs.replace(record(Credentials, flat, path), raw=raw)


def _parts(raw: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    given = {snake(name): value for name, value in raw.items()}
    for name in ("main_credentials", "ssh_credentials", "ssh", "connection_info"):
        if isinstance(given.get(name), Mapping):
            yield given[name]
    yield given
    listed = given.get("credentials")
    for part in listed if isinstance(listed, list) else [listed]:
        if isinstance(part, Mapping):
            yield part


def private_key(body: Any) -> str:
    """
    Return the private key in an answer, which may be bare or wrapped.

    Raises:
        ShapeError: The answer contains no private key.
    """
    text = text_of(body)
    if _PEM not in text:
        raise ShapeError("body", "a private key in PEM form was expected")
    return text


def private_key_if_any(body: Any) -> str | None:
    """Return the private key, or `None` if the answer only says that there is a new one."""
    try:
        return private_key(body)
    except ShapeError:
        return None


def templates(body: Any) -> Listing[Template]:
    """Return the templates of an answer, which may be a list, a mapping by id, or lists by category."""
    value, path = unwrap(body, "templates")
    if isinstance(value, Mapping) and value and all(isinstance(entry, list) for entry in value.values()):
        grouped = [
            {"category": category, **entry}
            if isinstance(entry, Mapping)
            else {"category": category, "id": entry}
            for category, entries in value.items()
            for entry in entries
        ]
        return _templates(grouped, path)
    return _templates(value, path)


def _templates(value: Any, path: str) -> Listing[Template]:
    if isinstance(value, Mapping):
        value = {name: _with_raw(entry) for name, entry in value.items()}
    elif isinstance(value, list):
        value = [_with_raw({"id": entry} if isinstance(entry, str) else entry) for entry in value]
    return items(Template, value, path=path, bare=("id",))


def _with_raw(entry: Any) -> Any:
    return {**entry, "raw": entry} if isinstance(entry, Mapping) else entry


def allowed_ips(body: Any) -> ExternalAccess:
    """Return who may connect. The answer may also contain the state of the external access."""
    value, path = unwrap(body)
    if not isinstance(value, Mapping):
        return ExternalAccess(allowed_ips=items(AllowedIp, value, path=path, bare=_ADDRESS))
    given = {snake(name): entry for name, entry in value.items()}
    entries = next(
        (found for key in ("allowed_ips", "ips") if (found := given.pop(key, None)) is not None), None
    )
    access = record(ExternalAccess, given, path)
    if entries is None and access.enabled is False:
        entries = []
    # An empty list of addresses is an answer; a body without that list is not.
    listed = items(AllowedIp, entries, path=f"{path}.allowed_ips", bare=_ADDRESS)
    return msgspec.structs.replace(access, allowed_ips=listed)


def connection(body: Any) -> Connection:
    """Return the connection in the answer to a create request."""
    value, path = unwrap(body, "connection")
    require_text_id(value, path)
    return record(Connection, _with_text_variables(value), path)


def container(body: Any) -> Container:
    """Return the container in the answer to a create request."""
    value, path = unwrap(body, "container")
    require_text_id(value, path)
    return record(Container, value, path)


def connections(body: Any) -> Connections:
    """Return the connections in both directions. A bare list contains the outgoing ones."""
    value, path = unwrap(body, "connections")
    if isinstance(value, list):
        value = {"outgoing": value}
    given = mapping(value, path)
    if given.get("outgoing") is None:
        raise ShapeError(f"{path}.outgoing", "a list was expected")
    directions = {
        name: items(
            Connection,
            list(map(_with_text_variables, _listed(given.get(name), f"{path}.{name}"))),
            path=f"{path}.{name}",
        )
        for name in Connections.__struct_fields__
    }
    return Connections(**directions)


def _with_text_variables(entry: Any) -> Any:
    """Return the connection with each value of its variables converted to text."""
    if not isinstance(entry, Mapping):
        return entry
    given = {snake(name): value for name, value in entry.items()}
    variables = given.get("environment_variables")
    if isinstance(variables, Mapping):
        given["environment_variables"] = {name: str(value) for name, value in variables.items()}
    return given


def targets(body: Any) -> Targets:
    """Return the targets by kind. A bare list contains all targets."""
    value, path = unwrap(body, "targets")
    if isinstance(value, list):
        value = {"all": value}
    given = {snake(name): entry for name, entry in mapping(value, path).items()}
    kinds = {
        name: items(Target, _listed(given.get(name), f"{path}.{name}"), path=f"{path}.{name}", bare=("id",))
        for name in Targets.__struct_fields__
    }
    return Targets(**kinds)


def _listed(value: Any, path: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise ShapeError(path, "a list was expected")
    return value


_SERIES: Final = Metrics.__struct_fields__
_TIMES: Final = ("timestamp", "time", "t", "ts", "date")
_VALUES: Final = ("value", "v", "y", "usage", "percent")


def parse(body: Any) -> Metrics:
    """
    Return the metrics of a body.

    The body has one list of points for each series (`{"cpu": [...]}`), or one list of points that each have a value
    for every series (`[{"timestamp": ..., "cpu": ...}]`).

    Raises:
        ShapeError: The body has neither shape.
    """
    value, path = unwrap(body, "metrics")
    if isinstance(value, list):
        series = {name: [_sample(sample, name, path) for sample in value] for name in _SERIES}
        found = {name: [point for point in points if point is not None] for name, points in series.items()}
    elif isinstance(value, Mapping):
        given = {snake(name): entry for name, entry in value.items()}
        stamps = given.get("timestamps")
        found = {
            name: list(_points(given[name], stamps, f"{path}.{name}")) for name in _SERIES if given.get(name)
        }
    else:
        raise ShapeError(path, "an object or a list was expected")
    try:
        return msgspec.convert(found, Metrics, strict=False)
    except msgspec.ValidationError:
        raise ShapeError(path, "numbers with timestamps were expected") from None


def _sample(sample: Any, name: str, path: str) -> dict[str, Any] | None:
    if not isinstance(sample, Mapping):
        raise ShapeError(path, "objects were expected")
    given = {snake(key): entry for key, entry in sample.items()}
    return None if given.get(name) is None else _point(_first(given, _TIMES), given[name])


def _points(series: Any, stamps: Any, path: str) -> Iterator[dict[str, Any]]:
    if not isinstance(series, list):
        raise ShapeError(path, "a list was expected")
    for index, entry in enumerate(series):
        if isinstance(entry, Mapping):
            yield _point(_first(entry, _TIMES), _first(entry, _VALUES))
        elif isinstance(entry, list) and len(entry) == 2:
            yield _point(entry[0], entry[1])
        else:
            yield _point(stamps[index] if isinstance(stamps, list) and index < len(stamps) else None, entry)


def _point(timestamp: Any, value: Any) -> dict[str, Any]:
    return {"timestamp": None if timestamp is None else str(timestamp), "value": value}


def _first(given: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((given[name] for name in names if given.get(name) is not None), None)
