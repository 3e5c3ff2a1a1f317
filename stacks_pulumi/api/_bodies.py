"""
Parses the body of a response. Only the forms that the guide describes or shows are accepted.

Field names are in snake_case in the list of containers, in camelCase in the status of one container, and in both
spellings in the response to a create request. The content is under `data` or at the top level. All models are parsed in
the same way: `unwrap` finds the content, `record` finds the model's field for each name, and msgspec checks the types.
`items` does this for each row of a list. A field may be missing or null, a number may be given as a string, and unknown
fields are ignored. Any other form raises a `ShapeError`, which states the place, the expected form and the received
form. The caller draws no conclusion from such a response.

`_unshaped` parses the responses whose shape the guide does not describe. Every external text passes through `scrub`
before it is shown.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from types import UnionType
from typing import Any, Final, NamedTuple, TypeVar, Union, get_args, get_origin

import msgspec

from stacks_pulumi import _structs
from stacks_pulumi._identifiers import canonical_network
from stacks_pulumi.api import models
from stacks_pulumi.api._words import guides_word
from stacks_pulumi.api.models import Listing, Model
from stacks_pulumi.errors import without_keys

M = TypeVar("M", bound=Model)


_LONGEST: Final = 300
_HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,17}|0")
_KINDS: Final[Mapping[type, str]] = {
    dict: "an object",
    list: "a list",
    str: "a text",
    bool: "true or false",
    int: "a number",
    float: "a number",
}


def scrub(text: str, longest: int = _LONGEST) -> str:
    """Return the text on one line, shortened, without API keys, control characters and direction characters."""
    # Remove everything that looks like a key, because a message may quote a key other than the client's own. Do this
    # before the text is shortened, so that no part of a key remains.
    keyless = without_keys(text[: longest * 20])
    line = " ".join("".join(char if char.isprintable() else " " for char in keyless).split())
    return line if len(line) <= longest else line[: longest - 3] + "..."


class ShapeError(Exception):
    """
    A body does not have the expected shape. The message states the place, and never contains a value from the body.
    """


def expected(wanted: str, path: str, value: Any) -> ShapeError:
    """Return the error for a value of the wrong kind."""
    return ShapeError(f"{path}: {wanted} was expected, but {_KINDS.get(type(value), 'nothing')} was received")


def done(_body: Any) -> bool:
    """Return true, because the response only confirms that the request was carried out."""
    return True


def unwrap(body: Any) -> tuple[Any, str]:
    """Return the content of a response, and the path of the content: the value under `data`, or the body itself."""
    if isinstance(body, dict) and body.get("data") is not None:
        return body["data"], "data"
    return body, "body"


def item(kind: type[M], body: Any) -> M:
    """
    Return one model from a response.

    Raises:
        ShapeError: The response does not have the expected shape.
    """
    return record(kind, *unwrap(body))


def items(kind: type[M], body: Any) -> Listing[M]:
    """
    Return all models from a response that is a list.

    Raises:
        ShapeError: The value is not a list.
    """
    return rows(kind, *unwrap(body))


def rows(kind: type[M], value: Any, path: str) -> Listing[M]:
    """
    Return the rows of a list as models. A row that cannot be parsed is omitted, and the `Listing` is then incomplete.

    Raises:
        ShapeError: The value is not a list.
    """
    found: list[M] = []
    gap: str | None = None
    damaged: set[Any] = set()
    for index, entry in enumerate(as_list(value, path)):
        try:
            row, is_damaged = _read(kind, entry, f"{path}[{index}]")
        except ShapeError as error:
            gap = gap or scrub(str(error))
            continue
        if is_damaged:
            damaged.add(getattr(row, "id", None))
        found.append(row)
    return Listing(found, gap=gap, damaged=damaged)


def lists_of(value: Any) -> list[Listing[Any]]:
    """Return the lists in a value. The value is a list, or an object that contains several lists."""
    if isinstance(value, Listing):
        return [value]
    fields = value.__struct_fields__ if isinstance(value, msgspec.Struct) else ()
    return [rows for name in fields if isinstance(rows := getattr(value, name), Listing)]


def rows_of(lists: Sequence[Listing[Any]]) -> int:
    """Return the number of rows in the lists of a response. A row that is in two lists is counted once."""
    return max(len({row.id for rows in lists for row in rows}), *map(len, lists), 0)


def with_gap(value: Any, gap: str) -> Any:
    """Return the value with its lists marked as incomplete."""
    return mapped(value, lambda rows, _name: Listing(rows, gap=rows.gap or gap, damaged=rows.damaged))


def mapped(value: Any, made: Callable[[Listing[Any], str], Listing[Any]]) -> Any:
    if isinstance(value, Listing):
        return made(value, "")
    lists = {name: getattr(value, name) for name in value.__struct_fields__}
    return msgspec.structs.replace(
        value, **{name: made(rows, name) for name, rows in lists.items() if isinstance(rows, Listing)}
    )


def record(kind: type[M], value: Any, path: str = "body") -> M:
    """
    Return one model from one object, whose field names may be in snake_case or camelCase. A field that cannot be parsed
    is `None`.

    Raises:
        ShapeError: The value is not an object, or a required field is missing or cannot be parsed.
    """
    return _read(kind, value, path)[0]


def _read(kind: type[M], value: Any, path: str) -> tuple[M, bool]:
    """Return the model, and whether one of its fields could not be parsed."""
    fields = _fields_of(kind, as_mapping(value, path))
    is_damaged = False
    while True:
        try:
            return _structs.convert(fields, kind, strict=False), is_damaged
        except msgspec.ValidationError as error:
            # msgspec adds the place: "Expected `int`, got `str` - at `$.port`".
            message, _, where = str(error).partition(" - at `")
            spot = where.removesuffix("`").removeprefix("$")
            name = re.split(r"[.\[]", spot.removeprefix("."), maxsplit=1)[0]
            if name not in fields or name in _names(kind).required:
                raise ShapeError(f"{path}{spot}: {message}") from None
            del fields[name]
            is_damaged = True


def _fields_of(kind: type[M], given: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return the values that an object contains for the model's fields, by the fields' names in the model. A field that is
    `null` is treated as missing.
    """
    fields: dict[str, Any] = {}
    for spelling, name, _, convert, words in _columns(kind, tuple(given)):
        value = given[spelling]
        if value is None:
            continue
        if type(value) is str and convert is _as_text:
            # Do not call a function for a string: in a long list, such calls would take as long as all the rest of the
            # parsing.
            fields[name] = value if words is None or value in words else guides_word(value, words)
        else:
            fields[name] = value if convert is None else convert(value)
    return fields


@functools.lru_cache(maxsize=64)
def _columns(kind: type[Model], spellings: tuple[str, ...]) -> list[tuple[Any, ...]]:
    """
    Return those of the spellings that are known, each with the data of its `_Field`. The result is the same for all
    rows with these names, so it is cached.

    If a row has several spellings of one field, the last one in the result takes precedence: the preferred spelling,
    or, if several are equally preferred, the last of them in the row.
    """
    known = [
        (spelling, *field) for spelling in spellings if (field := _names(kind).find(spelling)) is not None
    ]
    return sorted(known, key=lambda column: -column[2])


def _as_text(value: Any) -> Any:
    """
    Return a number as a string, for fields that contain text, for instance `"version": 22`. Other values are returned
    unchanged.
    """
    return str(value) if type(value) in {int, float} else value


def _as_number(value: Any) -> Any:
    """
    Return a number that is given as a string, for instance `"id": "178"`, as a number. Other values are returned
    unchanged.
    """
    return int(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else value


class _Field(NamedTuple):
    name: str
    rank: int
    convert: Callable[[Any], Any] | None
    words: Collection[str] | None


class _Names:
    """
    The fields of a model, by their names in a response.

    Attributes:
        required: The names of the required fields.
    """

    def __init__(self, kind: type[Model]) -> None:
        fields = msgspec.structs.fields(kind)
        self.required = frozenset(field.name for field in fields if field.required)
        self._known: dict[str, _Field] = {}
        for field in fields:
            convert, words = _conversion(field.type), kind.WORDS.get(field.name)
            for rank, spelling in enumerate((field.name, *kind.ALIASES.get(field.name, ()))):
                self._known.setdefault(spelling, _Field(field.name, rank, convert, words))

    def find(self, spelling: str) -> _Field | None:
        """Return the field that has this name, in snake_case or camelCase; `None` if the name is unknown."""
        return self._known.get(snake(spelling))


_names = functools.cache(_Names)


def _conversion(annotation: Any) -> Callable[[Any], Any] | None:
    """Return the function that converts a value to the type of a field; `None` if the type needs no conversion."""
    if annotation == models.BackupId:
        return _as_number
    return _as_text if _is_text(annotation) else None


def _is_text(annotation: Any) -> bool:
    # This matches `str` and `str | None`, but not a list of strings. `Id` and `Name` identify an object, so numbers are
    # not accepted for them.
    return annotation is str or (
        get_origin(annotation) in {Union, UnionType} and any(map(_is_text, get_args(annotation)))
    )


def snake(name: str) -> str:
    """Convert a name to snake_case: `hasWebUI` -> `has_web_ui`. Names in snake_case are returned unchanged."""
    return _HUMP.sub("_", name).lower()


def snake_keys(value: Any) -> dict[str, Any]:
    """Return an object with its names in snake_case, or an empty object if the value is not an object."""
    return {snake(name): entry for name, entry in value.items()} if isinstance(value, dict) else {}


def as_mapping(value: Any, path: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise expected("an object", path, value)
    return value


def as_list(value: Any, path: str) -> list[Any]:
    if not isinstance(value, list):
        raise expected("a list", path, value)
    return value


# Responses of single endpoints


def created_container(body: Any, name: str) -> models.Container:
    """
    Return the container in the response to a create request.

    Its id ends with the requested name (guide, "Create Container"). Any other id is an error, because it may belong to
    a job instead of a container. The caller then looks for the container in the list.
    """
    made = item(models.Container, body)
    if not made.id.casefold().endswith(f"-{name.casefold()}"):
        raise ShapeError(f"{unwrap(body)[1]}.id: an id that ends with -{name} was expected")
    return made


def created_connection(body: Any) -> models.Connection:
    """Return the connection in the response to a create request."""
    value, path = unwrap(body)
    return record(models.Connection, _with_text_variables(value), path)


def _with_text_variables(entry: Any) -> Any:
    """Return the connection with the values of its variables converted to strings."""
    if not isinstance(entry, dict):
        return entry
    given = snake_keys(entry)
    variables = given.get("environment_variables")
    if isinstance(variables, dict):
        given["environment_variables"] = {name: str(value) for name, value in variables.items()}
    return given


def allowed_ips(body: Any) -> models.ExternalAccess:
    """
    Return the external access with the allowed addresses. If external access is off, the list may be missing, which
    means that it is empty.

    An entry is identified by its address. If an address cannot be parsed, the list is treated as incomplete.
    """
    value, path = unwrap(body)
    given = snake_keys(as_mapping(value, path))
    entries = given.pop("allowed_ips", None)
    access = record(models.ExternalAccess, given, path)
    if entries is None and access.enabled is False:
        entries = []
    where = f"{path}.allowed_ips"
    listed = rows(models.AllowedIp, entries, where)
    if any(canonical_network(row.ip_address or "") is None for row in listed):
        listed = with_gap(listed, f"{where}: an address was expected in each entry")
    return msgspec.structs.replace(access, allowed_ips=listed)


def connections(body: Any) -> models.Connections:
    """Return the connections in both directions."""
    lists = _lists(models.Connections, models.Connection, body, _with_text_variables)
    return models.Connections(**lists)


def targets(body: Any) -> models.Targets:
    """Return the possible targets of a connection, by kind."""
    return models.Targets(**_lists(models.Targets, models.Target, body))


def _lists(
    whole: type[msgspec.Struct],
    kind: type[M],
    body: Any,
    prepared: Callable[[Any], Any] = lambda entry: entry,
) -> dict[str, Listing[M]]:
    """Return the list for each field of `whole`. A list that the response does not contain is marked as incomplete."""
    value, path = unwrap(body)
    given = snake_keys(as_mapping(value, path))
    lists: dict[str, Listing[M]] = {}
    for name in whole.__struct_fields__:
        where = f"{path}.{name}"
        if given.get(name) is None:
            lists[name] = Listing(gap=f"{where} is missing")
        else:
            lists[name] = rows(kind, list(map(prepared, as_list(given[name], where))), where)
    if not given.keys() & lists.keys():
        raise ShapeError(f"{path}: {' and '.join(lists)} were expected, but none was received")
    return lists
