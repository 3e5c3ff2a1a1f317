"""
How the body of an answer is read, also where the guide gives no shape for it or several.

The list of containers has fields in snake_case, the status in camelCase, the answer to a create request has both. An
answer may be wrapped in `data` or not, a list may be bare, wrapped or a mapping by name, and a text may be bare or
wrapped. So there is one way for all models: `unwrap` finds the content, `record` finds the model's field for each name,
and msgspec checks the types. `items` does so for each row. Some endpoints have a reader of their own, further below.

Every text that comes from outside and is shown to people passes through `scrub`.
"""

from __future__ import annotations

import contextlib
import functools
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import UnionType
from typing import Annotated, Any, Final, NamedTuple, TypeVar, Union, get_args, get_origin

import msgspec

from stacks_pulumi._identifiers import SLASH
from stacks_pulumi.api import models
from stacks_pulumi.api._words import DELETED_STATUS, READING, TOMBSTONES, Vocabulary
from stacks_pulumi.api.models import Listing, Model
from stacks_pulumi.config import without_keys

M = TypeVar("M", bound=Model)

A_LIST: Final = "a list was expected"
_building: Final = threading.Lock()

_LONGEST: Final = 300
_HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[-\s]+")
_LISTS: Final = (
    "items",
    "results",
    "rows",
    "records",
    "list",
    "entries",
    "values",
    "elements",
    "content",
    "objects",
)
_ROWS: Final = (*_LISTS, "nodes", "edges", "result", "response", "payload", "embedded", "collection")
_COMMON: Final = {"created_at": ("created", "created_on", "creation_time")}
"""Spellings of a field that other APIs have, for models without spellings of it."""
_WORD_KEYS: Final = (
    "name",
    "state",
    "status",
    "phase",
    "value",
    "current",
    "slug",
    "key",
    "id",
    "code",
    "label",
    "title",
)
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d")
_A_TIME: Final = 1e9
"""In seconds since the Unix epoch."""
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,17}|0")


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
        if isinstance(body, dict):
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
    value, path = listed(body, keys, path) or _guessed(*unwrap(body, *keys, path=path))
    entries = list(_entries(kind, value, path, bare))
    rows: list[M] = []
    gap: str | None = None
    damaged: set[Any] = set()
    for index, entry in enumerate(entries):
        if kind is not models.Container and isinstance(entry, dict) and _is_tombstone(entry):
            continue
        try:
            row, is_damaged = _read(kind, entry, f"{path}[{index}]")
        except ShapeError as error:
            gap = gap or scrub(str(error))
            continue
        if is_damaged:
            damaged.add(getattr(row, "id", None))
        rows.append(row)
    return Listing(rows, gap=gap, damaged=damaged)


def lists_of(value: Any) -> list[Listing[Any]]:
    """Return the lists that a value is, or consists of."""
    if isinstance(value, Listing):
        return [value]
    fields = value.__struct_fields__ if isinstance(value, msgspec.Struct) else ()
    return [rows for name in fields if isinstance(rows := getattr(value, name), Listing)]


def rows_of(lists: Sequence[Listing[Any]]) -> int:
    """Return how many rows the lists of an answer have; a row that is in two of them counts once."""
    return max(len({row.id for rows in lists for row in rows}), *map(len, lists), 0)


def with_gap(value: Any, gap: str) -> Any:
    """Return the value with lists that are incomplete."""
    return mapped(value, lambda rows, _name: Listing(rows, gap=rows.gap or gap, damaged=rows.damaged))


def mapped(value: Any, made: Callable[[Listing[Any], str], Listing[Any]]) -> Any:
    if isinstance(value, Listing):
        return made(value, "")
    lists = {name: getattr(value, name) for name in value.__struct_fields__}
    return msgspec.structs.replace(
        value, **{name: made(rows, name) for name, rows in lists.items() if isinstance(rows, Listing)}
    )


def listed(
    body: Any, keys: Sequence[str] = (), path: str = "body", depth: int = 4
) -> tuple[list[Any], str] | None:
    """Return the rows of a list and their path; `None` if no name says where they are. `null` is an empty list."""
    told: Any = body
    for step in (told_path := READING.get().rows if path == "body" else ()):
        told = told.get(step) if isinstance(told, dict) else None
    if told_path and isinstance(told, list):
        return told, ".".join(told_path)
    if body is None or isinstance(body, list):
        return body or [], path
    if not isinstance(body, dict) or not depth:
        return None
    names = {snake(name).strip("_"): name for name in body}
    named = [names[key] for key in ("data", *keys, *_ROWS) if key in names]
    inside = [(body[name], name if path == "body" else f"{path}.{name}") for name in named]
    for value, where in inside:
        if isinstance(value, list):
            return value, where
    objects = [(value, where) for value, where in inside if isinstance(value, dict)]
    for value, where in objects:
        deeper = listed(value, keys, where, depth - 1)
        if deeper is not None:
            return deeper
    return None if objects else next((([], where) for value, where in inside if value is None), None)


def _guessed(value: Any, path: str) -> tuple[Any, str]:
    """Return the rows under unknown names: all lists of objects, as one for each category; an empty one may be none."""
    if isinstance(value, dict):
        lists = [name for name, rows in value.items() if rows and isinstance(rows, list)]
        rows = [row for name in lists for row in value[name]]
        if rows and all(isinstance(row, dict) for row in rows):
            return rows, "/".join(lists) if path == "body" else f"{path}.{'/'.join(lists)}"
    return value, path


def _entries(kind: type[Model], value: Any, path: str, bare: Sequence[str]) -> Iterator[Any]:
    if isinstance(value, list):
        for entry in value:
            yield dict.fromkeys(bare, entry) if bare and isinstance(entry, str) else entry
    elif value and isinstance(value, dict) and all(_is_row(kind, entry, bare) for entry in value.values()):
        for name, entry in value.items():
            yield {**dict.fromkeys(bare, name), **entry}
    else:
        raise ShapeError(path, A_LIST)


def _is_row(kind: type[Model], entry: Any, bare: Sequence[str]) -> bool:
    """Whether an entry of a mapping is a row: an object that has an id, or gets the name as its id."""
    return isinstance(entry, dict) and bool(
        bare or any(field and field.name == "id" for field in map(_names(kind).find, entry))
    )


def _is_tombstone(row: Mapping[str, Any]) -> bool:
    return not TOMBSTONES.isdisjoint(row) and any(row[name] not in _NO for name in TOMBSTONES & row.keys())


def record(kind: type[M], value: Any, path: str = "body") -> M:
    """
    Return one model from one object, with its fields in any spelling. A field that cannot be read is `None`.

    Raises:
        ShapeError: It is not an object, or a required field is missing or cannot be read.
    """
    return _read(kind, value, path)[0]


def _read(kind: type[M], value: Any, path: str) -> tuple[M, bool]:
    """Return the model, and whether one of its fields could not be read."""
    _prepare(kind)
    fields = _fields_of(kind, _flat(as_mapping(value, path)))
    is_damaged = False
    while True:
        try:
            return msgspec.convert(fields, kind, strict=False), is_damaged
        except msgspec.ValidationError as error:
            # msgspec adds the place: "Expected `int`, got `str` - at `$.port`".
            message, _, where = str(error).partition(" - at `")
            spot = where.removesuffix("`").removeprefix("$")
            name = re.split(r"[.\[]", spot.removeprefix("."), maxsplit=1)[0]
            if name not in fields or name in _names(kind).required:
                raise ShapeError(path + spot, message) from None
            del fields[name]
            is_damaged = True


def _flat(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a row with what is in its `node` or `attributes`, as some kinds of API have it."""
    for name in ("node", "attributes"):
        if isinstance(row.get(name), dict):
            row = {**row, **row[name]}
    return row


def _fields_of(kind: type[M], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the model's fields that an object has, by the model's names."""
    reading = READING.get()
    fields: dict[str, Any] = {}
    for spelling, name, _, convert, vocabulary in _columns(kind, tuple(given)):
        value = given[spelling]
        # A text needs no call: that would take as long as all the rest of a long list.
        if value is None:
            if name in kind.NULLS:
                # Another spelling may have the value.
                fields.setdefault(name, kind.NULLS[name])
        elif vocabulary is not None:
            known = reading.vocabularies[vocabulary]
            fields[name] = known[value] if type(value) is str else _word(value, known)
        elif convert is None or (convert is _as_text and type(value) is str):
            fields[name] = value
        else:
            fields[name] = convert(value)
    if kind is models.Container and _is_tombstone(given):
        fields["status"] = DELETED_STATUS
    if kind is models.Container and isinstance(fields.get("category"), str):
        own, fields = fields, {**reading.types[fields.pop("category")], **fields}
        if "template" in own:
            fields.pop("category", None)
    return fields


@functools.lru_cache(maxsize=64)
def _columns(kind: type[Model], spellings: tuple[str, ...]) -> list[tuple[Any, ...]]:
    """
    Return each spelling that means something, with what `_Field` has, for rows that have the same names.

    If a row has a field in several spellings, the preferred one is the last; of equal ones, the last of the row.
    """
    known = [
        (spelling, *field) for spelling in spellings if (field := _names(kind).find(spelling)) is not None
    ]
    return sorted(known, key=lambda column: -column[2])


def _word(value: Any, known: Vocabulary) -> Any:
    """Return the word in a value, which may be a text, a number, or an object with a text or number in it."""
    if isinstance(value, dict):
        words = list(_words_in(value, 3))
        value = next((word for word in words if known.meaning(word)), words[0] if words else value)
    value = _as_text(value)
    return known[value] if isinstance(value, str) else value


def _words_in(value: Mapping[str, Any], depth: int) -> Iterator[str]:
    """Return the texts and numbers in an object that may be a word, the most probable first."""
    given = snake_keys(value)
    for entry in (given[name] for name in _WORD_KEYS if name in given):
        if isinstance(entry, dict) and depth > 1:
            yield from _words_in(entry, depth - 1)
        elif isinstance(word := _as_text(entry), str):
            yield word


def _as_text(value: Any) -> Any:
    """Return a number as text, for fields that hold text: `"version": 22`, `"id": 178`. Others stay unchanged."""
    return str(value) if type(value) in {int, float} else value


_NO: Final = (None, False, 0, "", "0", "false", "False", "no")
_IDS: Final = frozenset({"id", "container_id", "source_id", "target_id"})


def _as_id(value: Any) -> Any:
    """Return an id as text without a slash, because the id of a child is `<container>/<own id>`; see `call_to`."""
    return text.replace("/", SLASH) if isinstance(text := _as_text(value), str) else text


def _as_number(value: Any) -> Any:
    """Return a number that is a text as a number: `"id": "178"`. Others stay unchanged."""
    return int(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else value


_FLAGS: Final = {
    "yes": True,
    "on": True,
    "enabled": True,
    "no": False,
    "off": False,
    "disabled": False,
    "": False,
}


@functools.cache
def _prepare(kind: type[Model]) -> None:
    """
    Let msgspec build its data about a model in one thread.

    It does so at the first conversion, and two threads that do it concurrently crash the interpreter (msgspec 0.22).
    """
    with _building, contextlib.suppress(msgspec.ValidationError):
        msgspec.convert([{}], list[kind], strict=False)  # type: ignore[valid-type]  # known at run time


def _as_flag(value: Any) -> Any:
    """Return the time since when something is so as true, and a `yes` or `no`. Others stay unchanged."""
    if isinstance(value, str) and value.casefold() in _FLAGS:
        return _FLAGS[value.casefold()]
    is_time = isinstance(value, str) and _TIME.match(value) is not None
    return True if is_time or (type(value) in {int, float} and value > _A_TIME) else value


class _Field(NamedTuple):
    name: str
    rank: int
    convert: Callable[[Any], Any] | None
    vocabulary: str | None


class _Names:
    """
    The fields of a model, by their names in an answer.

    Attributes:
        required: The names of the required fields.
    """

    def __init__(self, kind: type[Model]) -> None:
        fields = msgspec.structs.fields(kind)
        self.required = frozenset(field.name for field in fields if field.required)
        self._known: dict[str, _Field] = {}
        for field in fields:
            convert, vocabulary = _conversion(field.type), kind.WORDS.get(field.name)
            convert = _as_id if field.name in _IDS and convert is _as_text else convert
            for rank, spelling in enumerate(
                (field.name, *kind.ALIASES.get(field.name, _COMMON.get(field.name, ())))
            ):
                self._known.setdefault(spelling, _Field(field.name, rank, convert, vocabulary))

    def find(self, spelling: str) -> _Field | None:
        """Return the field of a name in any spelling; `None` for a name that means nothing."""
        return self._known.get(snake(spelling))


_names = functools.cache(_Names)


def _conversion(annotation: Any) -> Callable[[Any], Any] | None:
    """Return what brings a value into the form of a field that holds text, or a number or text."""
    if annotation == models.BackupId:
        return _as_number
    if bool in get_args(annotation):
        return _as_flag
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


def snake_keys(value: Any) -> dict[str, Any]:
    """Return an object with its names in snake_case; an empty one if the value is not an object."""
    return {snake(name): entry for name, entry in value.items()} if isinstance(value, dict) else {}


def as_mapping(value: Any, path: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ShapeError(path, "an object was expected")
    return value


def as_list(value: Any, path: str) -> list[Any]:
    if not isinstance(value, list):
        raise ShapeError(path, A_LIST)
    return value


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
    if not isinstance(snake_keys(value).get("id", ""), str):
        raise ShapeError(f"{path}.id", "text was expected")
    return value, path


class ToldId(NamedTuple):
    """An id in the answer to a request for a backup, and whether it is certainly the backup's and not that of a job."""

    id: models.BackupId
    is_certain: bool


def backup_id_if_any(body: Any) -> ToldId | None:
    """Return the id of the new backup if the answer contains it."""
    given = snake_keys(unwrap(body, "backup")[0])
    named = _as_number(given.get("backup_id"))
    if isinstance(named, str) and named:
        return ToldId(named, is_certain=True)
    # An `id` may be that of the request or of a job; one that is a text probably is.
    number = given.get("id") if named is None else named
    if not isinstance(number, int) or isinstance(number, bool):
        return None
    return ToldId(number, is_certain=named is not None)


# Answers of one endpoint


_ADDRESS: Final = ("id", "ip_address")


def allowed_ips(body: Any) -> models.ExternalAccess:
    """Return who may connect. The answer may also contain the state of the external access."""
    value, path = unwrap(body)
    if not isinstance(value, dict):
        return models.ExternalAccess(allowed_ips=items(models.AllowedIp, value, path=path, bare=_ADDRESS))
    given = snake_keys(value)
    if isinstance(given.get("external_access"), dict):
        given |= snake_keys(given.pop("external_access"))
    lists = {name: given.pop(name) for name in ("allowed_ips", "ips") if name in given}
    access = record(models.ExternalAccess, given, path)
    entries = next((rows for rows in lists.values() if rows is not None), None)
    if not lists and access.enabled is not False:
        # An empty list of addresses is an answer; a body without that list is not.
        entries = given
    rows = items(models.AllowedIp, entries, path=f"{path}.allowed_ips", bare=_ADDRESS)
    return msgspec.structs.replace(access, allowed_ips=rows)


def connections(body: Any) -> models.Connections:
    """Return the connections in both directions. A bare list contains the outgoing ones."""
    value, path = _sides(body, "connections", models.Connections)
    given = _by_direction(value) if isinstance(value, list) else snake_keys(as_mapping(value, path))
    if "outgoing" not in given:
        raise ShapeError(f"{path}.outgoing", A_LIST)
    return models.Connections(
        **_lists(models.Connections, models.Connection, given, path, prepared=_with_text_variables)
    )


def _by_direction(rows: list[Any]) -> dict[str, Any]:
    """Return the rows of one list by their direction; one that does not say it is outgoing."""
    sides: dict[str, Any] = {"outgoing": [], "incoming": []}
    for row in rows:
        told = str(snake_keys(row).get("direction")).casefold()
        sides["incoming" if told in {"incoming", "inbound", "in"} else "outgoing"].append(row)
    return sides


def _sides(body: Any, key: str, whole: type[msgspec.Struct]) -> tuple[Any, str]:
    """Return the object with the lists of `whole`, or one list, and its path."""
    value, path = unwrap(body, key)
    if snake_keys(value).keys() & set(whole.__struct_fields__):
        return value, path
    return listed(value, (key,), path) or (value, path)


def _with_text_variables(entry: Any) -> Any:
    """Return the connection with each value of its variables converted to text."""
    if not isinstance(entry, dict):
        return entry
    given = snake_keys(entry)
    variables = given.get("environment_variables")
    if isinstance(variables, dict):
        given["environment_variables"] = {name: str(value) for name, value in variables.items()}
    return given


def targets(body: Any) -> models.Targets:
    """Return the targets by kind. A bare list contains all targets."""
    value, path = _sides(body, "targets", models.Targets)
    given = {"all": value} if isinstance(value, list) else snake_keys(as_mapping(value, path))
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
            lists[name] = items(kind, list(map(prepared, as_list(given[name], where))), path=where, bare=bare)
    return lists
