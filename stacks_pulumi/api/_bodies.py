"""
How the body of an answer is read, also where the guide gives no shape for it or several.

The list of containers has fields in snake_case, the status in camelCase, the answer to a create request has both. An
answer may be wrapped in `data` or not, a list may be bare, wrapped or a mapping by name, and a text may be bare or
wrapped. So there is one way for all models: `unwrap` finds the content, `record` finds the model's field for each name,
and msgspec checks the types. `items` does so for each row. Some endpoints have a reader of their own, further below.

Every text that comes from outside and is shown to people passes through `scrub`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import UnionType
from typing import Annotated, Any, Final, NamedTuple, TypeVar, Union, get_args, get_origin

import msgspec

from stacks_pulumi.api import models
from stacks_pulumi.api.models import Listing, Model, prepare
from stacks_pulumi.config import without_keys

M = TypeVar("M", bound=Model)

_LONGEST: Final = 300
_MOST_NAMES: Final = 1024
_HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[-\s]+")
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,17}|0")
_WHERE: Final = re.compile(r" - at `\$?(.*)`$")


def scrub(text: str, longest: int = _LONGEST) -> str:
    """Return the text on one line, shortened, without API keys and without control and direction characters."""
    # Everything in the form of a key is removed, because a message may quote another key. This is done before the
    # text is shortened, so that no part of a key remains.
    keyless = without_keys(text[: longest * 20])
    line = " ".join("".join(char if char.isprintable() else " " for char in keyless).split())
    return line if len(line) <= longest else line[: longest - 3] + "..."


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


def done(_body: Any) -> bool:
    """Return true: the answer only confirms that the request was carried out."""
    return True


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
    rows: list[M] = []
    gap: str | None = None
    damaged: set[Any] = set()
    for index, entry in enumerate(entries):
        try:
            row, is_damaged = _read(kind, entry, f"{path}[{index}]")
        except ShapeError as error:
            gap = gap or scrub(str(error))
            continue
        if is_damaged:
            damaged.add(getattr(row, "id", None))
        rows.append(row)
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
    fields = _fields_of(kind, _mapping(value, path))
    is_damaged = False
    while True:
        try:
            return msgspec.convert(fields, kind, strict=False), is_damaged
        except msgspec.ValidationError as error:
            message = str(error)
            where = _WHERE.search(message)
            spot = where.group(1) if where else ""
            name = re.split(r"[.\[]", spot.removeprefix("."), maxsplit=1)[0]
            if name not in fields or name in _names(kind).required:
                raise ShapeError(path + spot, _WHERE.sub("", message)) from None
            del fields[name]
            is_damaged = True


def _fields_of(kind: type[M], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the model's fields that an object has, by the model's names."""
    names = _names(kind)
    fields: dict[str, Any] = {}
    ranks: dict[str, int] = {}
    for spelling, value in given.items():
        field = names[spelling]
        if field is None or value is None:
            continue
        name, rank, convert, synonyms = field
        # If an object has a field in several spellings, the preferred one is used; of equal ones, the last.
        if name in fields and rank > ranks[name]:
            continue
        ranks[name] = rank
        if convert is not None:
            value = convert(value)  # noqa: PLW2901  (the same value in another form)
        fields[name] = synonyms.get(value, value) if synonyms else value
    return fields


def _as_text(value: Any) -> Any:
    """Return a number as text, for fields that hold text: `"version": 22`, `"id": 178`. Others stay unchanged."""
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


def _as_number(value: Any) -> Any:
    """Return a number that is a text as a number: `"id": "178"`. Others stay unchanged."""
    return int(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else value


class _Field(NamedTuple):
    name: str
    rank: int
    convert: Callable[[Any], Any] | None
    synonyms: Mapping[str, str]


class _Names(dict[str, "_Field | None"]):
    """
    The model's field for each name in an answer, in any spelling; `None` for a name that means nothing.

    It remembers each name, so that a long list is read fast.

    Attributes:
        required: The names of the required fields.
    """

    def __init__(self, kind: type[Model]) -> None:
        super().__init__()
        fields = msgspec.structs.fields(kind)
        self.required = frozenset(field.name for field in fields if field.required)
        self._known: dict[str, _Field] = {}
        for field in fields:
            convert, synonyms = _conversion(field.type), kind.SYNONYMS.get(field.name, {})
            for rank, spelling in enumerate((field.name, *kind.ALIASES.get(field.name, ()))):
                self._known.setdefault(spelling, _Field(field.name, rank, convert, synonyms))

    def __missing__(self, spelling: str) -> _Field | None:
        field = self._known.get(snake(spelling))
        if len(self) < _MOST_NAMES:  # the names come from an answer, which may have any number of them
            self[spelling] = field
        return field


_names = functools.cache(_Names)


def _conversion(annotation: Any) -> Callable[[Any], Any] | None:
    """Return what brings a value into the form of a field that holds text, or a number or text."""
    if annotation == models.BackupId:
        return _as_number
    return _as_text if _is_text(annotation) else None


def _is_text(annotation: Any) -> bool:
    # `str`, `str | None`, `Id` or `Id | None`, but not a list or mapping of texts.
    if annotation is str:
        return True
    return get_origin(annotation) in {Union, UnionType, Annotated} and any(
        map(_is_text, get_args(annotation))
    )


def snake(name: str) -> str:
    """Convert a name to snake_case: `hasWebUI` -> `has_web_ui`. Names in snake_case are returned unchanged."""
    return _HUMP.sub("_", name).lower()


def _snake_keys(value: Any) -> dict[str, Any]:
    """Return an object with its names in snake_case; an empty one if the value is not an object."""
    return {snake(name): entry for name, entry in value.items()} if isinstance(value, Mapping) else {}


def _mapping(value: Any, path: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ShapeError(path, "an object was expected")
    return value


def _list(value: Any, path: str) -> list[Any]:
    if not isinstance(value, list):
        raise ShapeError(path, "a list was expected")
    return value


# Texts


_PAGE: Final = re.compile(r"\s*<(!doctype|html)", re.IGNORECASE)
_PEM: Final = "-----BEGIN "
_LINE_KEYS: Final = ("line", "log", "message", "text")
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


def text_of(body: Any) -> str:
    """
    Return the text of an answer, which may be bare, a list of lines, or wrapped in JSON under one of several names.

    Raises:
        ShapeError: The answer contains no text.
    """
    text = _text(body)
    if text is None or _PAGE.match(text):
        raise ShapeError("body", "a text was expected")
    return text


def _text(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        lines = [_line(entry) for entry in value]
        return None if None in lines else "\n".join(line.rstrip("\n") for line in lines if line is not None)
    given = _snake_keys(value)
    texts = (_text(given[key]) for key in _TEXT_KEYS if given.get(key) is not None)
    return next((text for text in texts if text is not None), None)


def _line(entry: Any) -> str | None:
    if not isinstance(entry, Mapping):
        return _text(entry)
    given = _snake_keys(entry)
    line = next((given[key] for key in _LINE_KEYS if isinstance(given.get(key), str)), None)
    stamp = entry.get("timestamp")
    return f"{stamp} {line}" if line is not None and isinstance(stamp, str) else line


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


# Created objects


def created_container(body: Any) -> models.Container:
    """Return the container in the answer to a create request."""
    value, path = _created(body, "container")
    return record(models.Container, value, path)


def created_connection(body: Any) -> models.Connection:
    """Return the connection in the answer to a create request."""
    value, path = _created(body, "connection")
    return record(models.Connection, _with_text_variables(value), path)


def _created(body: Any, key: str) -> tuple[Any, str]:
    """
    Return the created object and its path. Its id has to be text, as all ids are, except those of backups.

    A number would be converted to text, and the state would contain an id that no object has. After this error the
    caller looks for the object in the list.
    """
    value, path = unwrap(body, key)
    if not isinstance(_snake_keys(value).get("id", ""), str):
        raise ShapeError(f"{path}.id", "text was expected")
    return value, path


def backup_id_if_any(body: Any) -> models.BackupId | None:
    """Return the id of the new backup if the answer contains it."""
    given = _snake_keys(unwrap(body, "backup")[0])
    named = _as_number(given.get("backup_id"))
    if isinstance(named, str) and named:
        return named
    # An `id` that is a text may be that of the request or of a job.
    number = given.get("id") if named is None else named
    return number if isinstance(number, int) and not isinstance(number, bool) else None


# Answers of one endpoint


_ENVELOPE: Final = frozenset({"success", "message", "data"})
_ADDRESS: Final = ("id", "ip_address")


def credentials(body: Any) -> models.Credentials:
    """
    Return the main login and its address, with the whole answer in `raw`.

    The answer is nested (`mainCredentials`, `connectionInfo`) or, for some templates, a list of logins.
    """
    data, path = unwrap(body)
    beside = body if isinstance(body, Mapping) else {}
    inside = {"credentials": data} if isinstance(data, list) else _mapping(data, path)
    raw = {name: value for name, value in {**beside, **inside}.items() if name not in _ENVELOPE}
    # For each field the first part that has it takes precedence: the main login, then the address, then the rest.
    flat: dict[str, Any] = {}
    for part in _parts(raw):
        for name, value in part.items():
            if not isinstance(value, (Mapping, list)):
                flat.setdefault(snake(name), value)
    return msgspec.structs.replace(record(models.Credentials, flat, path), raw=raw)


def _parts(raw: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    given = _snake_keys(raw)
    for name in ("main_credentials", "ssh_credentials", "ssh", "connection_info"):
        if isinstance(given.get(name), Mapping):
            yield given[name]
    yield given
    logins = given.get("credentials")
    for part in logins if isinstance(logins, list) else [logins]:
        if isinstance(part, Mapping):
            yield part


def templates(body: Any) -> Listing[models.Template]:
    """Return the templates of an answer, which may be a list, a mapping by id, or lists by category."""
    value, path = unwrap(body, "templates")
    if isinstance(value, Mapping) and value and all(isinstance(entry, list) for entry in value.values()):
        value = [
            {"category": category, **(entry if isinstance(entry, Mapping) else {"id": entry})}
            for category, entries in value.items()
            for entry in entries
        ]
    if isinstance(value, Mapping):
        value = {name: _with_raw(entry) for name, entry in value.items()}
    elif isinstance(value, list):
        value = [_with_raw({"id": entry} if isinstance(entry, str) else entry) for entry in value]
    return items(models.Template, value, path=path, bare=("id",))


def _with_raw(entry: Any) -> Any:
    return {**entry, "raw": entry} if isinstance(entry, Mapping) else entry


def allowed_ips(body: Any) -> models.ExternalAccess:
    """Return who may connect. The answer may also contain the state of the external access."""
    value, path = unwrap(body)
    if not isinstance(value, Mapping):
        return models.ExternalAccess(allowed_ips=items(models.AllowedIp, value, path=path, bare=_ADDRESS))
    given = _snake_keys(value)
    entries = given.pop("allowed_ips", None)
    if entries is None:
        entries = given.get("ips")
    access = record(models.ExternalAccess, given, path)
    if entries is None and access.enabled is False:
        entries = []
    # An empty list of addresses is an answer; a body without that list is not.
    listed = items(models.AllowedIp, entries, path=f"{path}.allowed_ips", bare=_ADDRESS)
    return msgspec.structs.replace(access, allowed_ips=listed)


def connections(body: Any) -> models.Connections:
    """Return the connections in both directions. A bare list contains the outgoing ones."""
    value, path = unwrap(body, "connections")
    given = {"outgoing": value} if isinstance(value, list) else _mapping(value, path)
    if given.get("outgoing") is None:
        raise ShapeError(f"{path}.outgoing", "a list was expected")
    return models.Connections(
        **_lists(models.Connections, models.Connection, given, path, prepared=_with_text_variables)
    )


def _with_text_variables(entry: Any) -> Any:
    """Return the connection with each value of its variables converted to text."""
    if not isinstance(entry, Mapping):
        return entry
    given = _snake_keys(entry)
    variables = given.get("environment_variables")
    if isinstance(variables, Mapping):
        given["environment_variables"] = {name: str(value) for name, value in variables.items()}
    return given


def targets(body: Any) -> models.Targets:
    """Return the targets by kind. A bare list contains all targets."""
    value, path = unwrap(body, "targets")
    given = {"all": value} if isinstance(value, list) else _snake_keys(_mapping(value, path))
    return models.Targets(**_lists(models.Targets, models.Target, given, path, bare=("id",)))


def _lists(
    whole: type[msgspec.Struct],
    kind: type[M],
    given: Mapping[str, Any],
    path: str,
    *,
    bare: Sequence[str] = (),
    prepared: Callable[[Any], Any] = lambda entry: entry,
) -> dict[str, Listing[M]]:
    """Return for each field of `whole` the list of that name, if the answer has it."""
    lists = {}
    for name in whole.__struct_fields__:
        if given.get(name) is not None:
            where = f"{path}.{name}"
            lists[name] = items(kind, list(map(prepared, _list(given[name], where))), path=where, bare=bare)
    return lists


_SERIES: Final = models.Metrics.__struct_fields__
_TIMES: Final = ("timestamp", "time", "t", "ts", "date")
_VALUES: Final = ("value", "v", "y", "usage", "percent")


def metrics(body: Any) -> models.Metrics:
    """
    Return the metrics of a body. The guide gives their names and "arrays with timestamps", and no shape.

    The body has one list of points for each series (`{"cpu": [...]}`), or one list of points that each have a value
    for every series (`[{"timestamp": ..., "cpu": ...}]`).

    Raises:
        ShapeError: The body has neither shape.
    """
    value, path = unwrap(body, "metrics")
    if isinstance(value, list):
        samples = [_snake_keys(_mapping(sample, path)) for sample in value]
        series = {
            name: [
                _point(_first(sample, _TIMES), sample[name])
                for sample in samples
                if sample.get(name) is not None
            ]
            for name in _SERIES
        }
    else:
        if not isinstance(value, Mapping):
            raise ShapeError(path, "an object or a list was expected")
        given = _snake_keys(value)
        stamps = given.get("timestamps")
        series = {
            name: list(_points(given[name], stamps, f"{path}.{name}")) for name in _SERIES if given.get(name)
        }
    try:
        return msgspec.convert(series, models.Metrics, strict=False)
    except msgspec.ValidationError:
        raise ShapeError(path, "numbers with timestamps were expected") from None


def _points(series: Any, stamps: Any, path: str) -> Iterator[dict[str, Any]]:
    for index, entry in enumerate(_list(series, path)):
        if isinstance(entry, Mapping):
            yield _point(_first(entry, _TIMES), _first(entry, _VALUES))
        elif isinstance(entry, list) and len(entry) == 2:
            yield _point(entry[0], entry[1])
        else:
            yield _point(stamps[index] if isinstance(stamps, list) and index < len(stamps) else None, entry)


def _point(timestamp: Any, value: Any) -> dict[str, Any]:
    return {"timestamp": None if timestamp is None else str(timestamp), "value": value}


def _first(given: Mapping[str, Any], names: Iterable[str]) -> Any:
    """Return the first value that is not `None` under these names; `None` if there is none."""
    return next((given[name] for name in names if given.get(name) is not None), None)
