"""
How the answers are read for which the guide gives no shape: credentials, logs, keys, templates and metrics.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from stacks_pulumi.api import models
from stacks_pulumi.api._bodies import (
    ShapeError,
    as_list,
    as_mapping,
    items,
    listed,
    record,
    snake,
    snake_keys,
    unwrap,
)
from stacks_pulumi.api.models import Listing

_PEM: Final = re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----")
_WIREGUARD: Final = re.compile(r"^[ \t]*\[Interface\]", re.MULTILINE)
_PAGE: Final = re.compile(r"\s*<(!doctype|html)", re.IGNORECASE)
_LINE_KEYS: Final = ("line", "log", "message", "msg", "text")
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
    "entries",
)
_ENVELOPE: Final = frozenset({"success", "message", "data"})


def credentials(body: Any) -> models.Credentials:
    """
    Return the main login and its address, with the whole answer in `raw`.

    The answer is nested (`mainCredentials`, `connectionInfo`) or, for some templates, a list of logins.
    """
    data, path = unwrap(body)
    beside = body if isinstance(body, Mapping) else {}
    inside = {"credentials": data} if isinstance(data, list) else as_mapping(data, path)
    raw = {name: value for name, value in {**beside, **inside}.items() if name not in _ENVELOPE}
    # For each field the first part that has it takes precedence: the main login, then the address, then the rest.
    flat: dict[str, Any] = {}
    for part in _parts(raw):
        for name, value in part.items():
            if not isinstance(value, (Mapping, list)):
                flat.setdefault(snake(name), value)
    return msgspec.structs.replace(record(models.Credentials, flat, path), raw=raw)


def _parts(raw: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    given = snake_keys(raw)
    for name in ("main_credentials", "ssh_credentials", "ssh", "connection_info"):
        if isinstance(given.get(name), Mapping):
            yield given[name]
    yield given
    yield from (part for part in given.values() if isinstance(part, Mapping))
    logins = given.get("credentials")
    for part in logins if isinstance(logins, list) else [logins]:
        if isinstance(part, Mapping):
            yield part


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
    given = snake_keys(value)
    present = [given[key] for key in _TEXT_KEYS if key in given]
    if present and all(value is None for value in present):
        return ""
    texts = (_text(value) for value in present if value is not None)
    return next((text for text in texts if text is not None), None)


def _line(entry: Any) -> str | None:
    if not isinstance(entry, Mapping):
        return _text(entry)
    given = snake_keys(entry)
    line = next((given[key] for key in _LINE_KEYS if isinstance(given.get(key), str)), None)
    stamp = entry.get("timestamp")
    return f"{stamp} {line}" if line is not None and isinstance(stamp, str) else line


def private_key(body: Any) -> str:
    """
    Return the private key in an answer, which may be bare or wrapped, beside a public one, or in base64.

    Raises:
        ShapeError: The answer contains no private key.
    """
    text = _marked(body, _PEM)
    if text is None:
        raise ShapeError("body", "a private key in PEM form was expected")
    return text


def configuration_if_any(body: Any) -> str | None:
    """Return the first WireGuard configuration in an answer, in text or base64; `None` if the answer has none."""
    return _marked(body, _WIREGUARD)


def configuration(body: Any) -> str:
    """
    Return the WireGuard configuration in an answer. Another text may say that it is not ready yet.

    Raises:
        ShapeError: The answer contains no configuration.
    """
    text = configuration_if_any(body)
    if text is None:
        raise ShapeError("body", "a WireGuard configuration, with [Interface], was expected")
    return text


def _marked(value: Any, mark: re.Pattern[str]) -> str | None:
    """Return the first text in an answer that has a mark; a list of texts may be its lines."""
    if isinstance(value, str):
        return next((text for text in (value, _from_base64(value)) if mark.search(text)), None)
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        value = ["\n".join(line.rstrip("\n") for line in value)] if len(value) > 1 else value
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return next((text for text in (_marked(entry, mark) for entry in inner) if text is not None), None)


def _from_base64(text: str) -> str:
    try:
        return base64.b64decode("".join(text.split()), validate=True).decode()
    except ValueError:
        return ""


def private_key_if_any(body: Any) -> str | None:
    """Return the private key, or `None` if the answer only says that there is a new one."""
    try:
        return private_key(body)
    except ShapeError:
        return None


def templates(body: Any) -> Listing[models.Template]:
    """Return the templates of an answer, which may be a list, a mapping by id, or lists by category."""
    value, path = listed(body, ("templates",)) or unwrap(body, "templates")
    beside = dict(_beside(body, value))
    if isinstance(value, Mapping) and value and all(isinstance(entry, list) for entry in value.values()):
        value = [
            {"category": category, **(entry if isinstance(entry, Mapping) else {"id": entry})}
            for category, entries in value.items()
            for entry in entries
        ]
    if isinstance(value, Mapping):
        value = {name: _with_raw(entry, beside) for name, entry in value.items()}
    elif isinstance(value, list):
        value = [_with_raw({"id": entry} if isinstance(entry, str) else entry, beside) for entry in value]
    return items(models.Template, value, path=path, bare=("id",))


def _beside(body: Any, rows: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Return the path and the value of each field of an answer that is not in its rows."""
    if body is rows or not isinstance(body, Mapping):
        return
    for name, value in body.items():
        if isinstance(value, Mapping):
            yield from _beside(value, rows, f"{path}{name}.")
        elif not isinstance(value, list):
            yield f"{path}{name}", value


def _with_raw(entry: Any, beside: Mapping[str, Any]) -> Any:
    return {**entry, "raw": entry, "beside": beside} if isinstance(entry, Mapping) else entry


_SERIES: Final = models.Metrics.__struct_fields__
_OTHER_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "cpu": ("cpu_usage", "cpu_percent", "cpu_utilization"),
    "memory": ("memory_usage", "memory_percent", "mem", "ram"),
    "disk": ("disk_usage", "storage", "filesystem"),
    "network_in": ("network_rx", "net_in", "rx", "bytes_in"),
    "network_out": ("network_tx", "net_out", "tx", "bytes_out"),
}
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
        samples = [_by_series(as_mapping(sample, path)) for sample in value]
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
        given = _by_series(value)
        stamps = given.get("timestamps")
        if given and not given.keys() & set(_SERIES):
            raise ShapeError(path, f"one of {', '.join(_SERIES)} was expected")
        series = {
            name: list(_points(given[name], stamps, f"{path}.{name}")) for name in _SERIES if given.get(name)
        }
    try:
        return msgspec.convert(series, models.Metrics, strict=False)
    except msgspec.ValidationError:
        raise ShapeError(path, "numbers with timestamps were expected") from None


def _by_series(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object with the series under their names here; `network` may be an object with both directions."""
    given = snake_keys(given)
    for name in ("network", "net"):
        if isinstance(given.get(name), Mapping):
            given |= {f"network_{side}": series for side, series in snake_keys(given[name]).items()}
    for series, names in _OTHER_NAMES.items():
        told = _first(given, (series, *names))
        if told is not None:
            given[series] = told
    return given


def _points(series: Any, stamps: Any, path: str) -> Iterator[dict[str, Any]]:
    if isinstance(series, Mapping):
        series = _first(snake_keys(series), ("points", "values", "data", "samples"))
    for index, entry in enumerate(as_list(series, path)):
        if isinstance(entry, Mapping) and _first(entry, _VALUES) is None and entry.keys() & set(_VALUES):
            continue  # nothing was measured then
        if isinstance(entry, Mapping):
            yield _point(_first(entry, _TIMES), _first(entry, _VALUES))
        elif isinstance(entry, list) and len(entry) == 2:
            yield _point(entry[0], entry[1])
        else:
            yield _point(stamps[index] if isinstance(stamps, list) and index < len(stamps) else None, entry)


def _point(timestamp: Any, value: Any) -> dict[str, Any]:
    return {"timestamp": None if timestamp is None else str(timestamp), "value": value}


def _first(given: Mapping[str, Any], names: Iterable[str]) -> Any:
    """Return the first value that is not `None` under these names; `None` if all are missing."""
    return next((given[name] for name in names if given.get(name) is not None), None)
