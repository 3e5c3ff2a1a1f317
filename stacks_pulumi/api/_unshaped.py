"""
Parses the responses whose shape the guide does not describe: logins, logs, keys, VPN clients, templates and metrics.

Their content may be at the top level, under `data`, or one level deeper, under a name such as `clients`. Instead of
objects, a list may contain plain names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from stacks_pulumi._structs import convert
from stacks_pulumi.api import models
from stacks_pulumi.api._bodies import (
    ShapeError,
    as_list,
    as_mapping,
    expected,
    record,
    rows,
    snake_keys,
    unwrap,
)
from stacks_pulumi.api.models import Listing

_PEM: Final = re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----")
_WIREGUARD: Final = re.compile(r"^[ \t]*\[Interface\]", re.MULTILINE)
_PAGE: Final = re.compile(r"\s*<(!doctype|html)", re.IGNORECASE)
_ENVELOPE: Final = frozenset({"success", "message", "data"})


def _under(noun: str, value: Any, path: str) -> tuple[Any, str]:
    """
    Return the value under this name, and the value's path. If the name is missing, return `value` and `path` unchanged.
    """
    if isinstance(value, dict) and value.get(noun) is not None:
        return value[noun], f"{path}.{noun}"
    return value, path


def credentials(body: Any) -> models.Credentials:
    """Return the main login and its address; `raw` contains the complete response."""
    data, path = unwrap(body)
    beside = body if isinstance(body, Mapping) else {}
    raw = {
        name: value for name, value in {**beside, **as_mapping(data, path)}.items() if name not in _ENVELOPE
    }
    given = snake_keys(raw)
    logins = given.get("credentials")
    # For each field, the first part that has it takes precedence: the main login, then the address, then the rest.
    flat: dict[str, Any] = {}
    parts = (given.get("main_credentials"), given.get("connection_info"), given)
    for part in (*parts, *(logins if isinstance(logins, list) else ())):
        for name, value in snake_keys(part).items():
            if not isinstance(value, (Mapping, list)):
                flat.setdefault(name, value)
    return msgspec.structs.replace(record(models.Credentials, flat, path), raw=raw)


def text_of(body: Any) -> str:
    """
    Return the text of a log, which may be one string or a list of lines.

    Raises:
        ShapeError: The response contains no text.
    """
    value, path = _under("lines", *_under("logs", *unwrap(body)))
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        value = "\n".join(line.rstrip("\n") for line in value)
    if not isinstance(value, str) or _PAGE.match(value):
        raise expected("a text", path, value)
    return value


def private_key(body: Any) -> str:
    """
    Return the private key in a response, even if the response also contains a public key.

    Raises:
        ShapeError: The response contains no private key.
    """
    text = _marked(body, _PEM)
    if text is None:
        raise ShapeError("body: a private key in PEM form was expected")
    return text


def private_key_if_any(body: Any) -> str | None:
    """Return the private key, or `None` if the response only confirms that there is a new key."""
    return _marked(body, _PEM)


def configuration(body: Any) -> str:
    """
    Return the WireGuard configuration in a response. If the response contains other text, the configuration may not be
    ready yet.

    Raises:
        ShapeError: The response contains no configuration.
    """
    text = _marked(body, _WIREGUARD)
    if text is None:
        raise ShapeError("body: a WireGuard configuration, with [Interface], was expected")
    return text


def _marked(value: Any, mark: re.Pattern[str]) -> str | None:
    """Return the first of a response's strings that contains the mark."""
    if isinstance(value, str):
        return value if mark.search(value) else None
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return next((text for entry in inner if (text := _marked(entry, mark)) is not None), None)


def vpn_clients(body: Any) -> Listing[models.VpnClient]:
    value, path = _under("clients", *unwrap(body))
    entries = [{"name": row} if isinstance(row, str) else row for row in as_list(value, path)]
    return rows(models.VpnClient, entries, path)


def templates(body: Any) -> Listing[models.Template]:
    value, path = _under("templates", *unwrap(body))
    beside = dict(_beside(body, value))
    entries = [{"id": row} if isinstance(row, str) else row for row in as_list(value, path)]
    return rows(models.Template, [_with_raw(row, beside) for row in entries], path)


def _beside(body: Any, rows: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the path and the value of each field of a response, except the fields of rows."""
    if body is rows or not isinstance(body, Mapping):
        return
    for name, value in body.items():
        if isinstance(value, Mapping):
            yield from _beside(value, rows, f"{path}{name}.")
        elif not isinstance(value, list):
            yield f"{path}{name}", value


def _with_raw(entry: Any, beside: Mapping[str, Any]) -> Any:
    return {**entry, "raw": entry, "beside": beside} if isinstance(entry, Mapping) else entry


def metrics(body: Any) -> models.Metrics:
    """
    Return the metrics in a body, which contains a list of points for each series (guide: "arrays with timestamps").

    A point is an object with the fields `timestamp` and `value`, or a pair of the two values.

    Raises:
        ShapeError: The body has no series, or a series contains something other than points.
    """
    value, path = _under("metrics", *unwrap(body))
    given = snake_keys(as_mapping(value, path))
    names = [name for name in models.Metrics.__struct_fields__ if given.get(name) is not None]
    if not names:
        raise ShapeError(f"{path}: one of {', '.join(models.Metrics.__struct_fields__)} was expected")
    series = {name: [_point(one) for one in as_list(given[name], f"{path}.{name}")] for name in names}
    try:
        return convert(series, models.Metrics, strict=False)
    except msgspec.ValidationError:
        raise ShapeError(f"{path}: numbers with timestamps were expected") from None


def _point(entry: Any) -> Any:
    if isinstance(entry, list) and len(entry) == 2:
        entry = dict(zip(("timestamp", "value"), entry, strict=True))
    stamp = entry.get("timestamp") if isinstance(entry, dict) else None
    return entry if stamp is None else {**entry, "timestamp": str(stamp)}
