"""
Reads answers that are more than one model or one list: credentials, keys, templates, connections, targets.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from stacks_pulumi.api._lenient import (
    ShapeError,
    items,
    mapping,
    record,
    require_text_id,
    snake,
    text_of,
    unwrap,
)
from stacks_pulumi.api.models import (
    AllowedIp,
    Connection,
    Connections,
    Container,
    Credentials,
    ExternalAccess,
    Listing,
    Target,
    Targets,
    Template,
)

__all__ = [
    "allowed_ips",
    "connection",
    "connections",
    "container",
    "credentials",
    "private_key",
    "private_key_if_any",
    "targets",
    "templates",
]

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
