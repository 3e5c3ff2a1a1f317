"""
Decides which values of a state an operation may return in plain text.

The engine decrypts the state for a provider, but does not mark which values are secrets. It marks a returned value as a
secret if the value with that name is a secret in the program's inputs or in the state. So a secret that was copied to a
plain output would appear in plain text after the next update or refresh. Therefore, each string and number from a state
has a type that shows where it is from. An operation returns such a value as a secret, under any name, unless the engine
marks it or it is certainly public. No message contains such a value. In addition, some plain outputs have a fixed form.
If such an output has a different form in the state, an update is refused before any request is sent.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from stacks_pulumi._identifiers import account_of, seconds_of
from stacks_pulumi.api._words import is_known_status
from stacks_pulumi.api.wait import BACKED_UP
from stacks_pulumi.catalog import PLANS, STORAGE_TIERS, TEMPLATES
from stacks_pulumi.errors import StacksError
from stacks_pulumi.pricing.recognition import KINDS, SIGNATURE
from stacks_pulumi.resources._values import secret

_ADDRESS: Final = re.compile(r"(https?://)?[a-z0-9-]+(\.[a-z0-9-]+)+(:\d+)?/?", re.IGNORECASE)
_ORIGIN: Final = re.compile(r"[0-9a-f]+-[0-9a-f]+")
_VERSION: Final = re.compile(r"\d{1,3}(\.\d{1,3}){0,3}")
_WRITTEN_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)?")
_PUBLIC_HOST: Final = "stacks.hosting"
NO_TIME: Final = "no time"
"""The value of `identity_conflict` if the API returns no creation time."""
_WORDS: Final = frozenset(
    {
        "",
        *TEMPLATES,
        *map(str.casefold, TEMPLATES),
        *PLANS,
        *KINDS,
        *BACKED_UP.target,
        *BACKED_UP.failed,
        "root",
        "ubuntu",
        "admin",
        "stacks",
        _PUBLIC_HOST,
    }
)
_NUMBERS: Final = frozenset(
    {
        *STORAGE_TIERS,
        *(tier.storage_mb + plan.storage_mb for tier in STORAGE_TIERS.values() for plan in PLANS.values()),
        *(float(number) for it in PLANS.values() for number in (it.cpu, it.memory_mb, it.storage_mb, it.usd)),
    }
)
"""Words and numbers of the catalogue, which are public in every output."""


def _is_time(value: Any) -> bool:
    return isinstance(value, str) and seconds_of(value) is not None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def _is_address(value: Any) -> bool:
    try:
        ipaddress.ip_interface(value)
    except ValueError:
        return False
    return True


def _is_host(value: Any) -> bool:
    return isinstance(value, str) and (_ADDRESS.fullmatch(value) is not None or _is_address(value))


_FORMS: Final[Mapping[str, Callable[[Any], bool]]] = {
    **dict.fromkeys(
        (
            "added_at",
            "client_created_at",
            "completed_at",
            "container_created_at",
            "created_at",
            "requested_at",
        ),
        _is_time,
    ),
    "identity_conflict": lambda value: value == NO_TIME or _is_time(value),
    **dict.fromkeys(
        ("cpu", "memory_mb", "monthly_price_usd", "port", "size_bytes", "ssh_port", "storage_mb"), _is_number
    ),
    "url": _is_host,
    "ip_address": _is_address,
    "origin": lambda value: isinstance(value, str) and _ORIGIN.fullmatch(value) is not None,
}
"""Name of a plain output, of any kind of resource -> a function that returns whether a value has the required form."""


def shown_time(stored: object) -> str:
    """
    Return a time from the state, for a message. A value that is not a time is hidden, because it may be a copied
    secret.
    """
    return str(stored) if stored is None or _is_written_time(stored) else "an invalid time (hidden)"


def check_state(what: str, stored: Mapping[str, Any]) -> None:
    """
    Check, before an update, that no plain output in a state has a value of the wrong form.

    A read does not need this check, because the engine marks its results in the same way as the state. A deletion
    returns nothing.

    Raises:
        StacksError: An output has such a value. The message contains the output's name, but not its value.
    """
    for name in _FORMS:
        value = stored.get(name)
        if value is not None and value != "" and not _FORMS[name](value):
            msg = (
                f"the state of {what} contains an invalid value for {name}, perhaps a secret that was copied there. "
                "The object was not changed: restore an earlier version of the state, or correct it with `pulumi "
                "stack export` and `pulumi stack import`"
            )
            raise StacksError(msg, code="identity-unclear")


_NOT_SHOWN: Final = "<as in the state>"


class _Text(str):
    """A string from a state. It keeps this type when an operation returns it, under any name and in any list."""

    __slots__ = ()

    def __repr__(self) -> str:
        return _NOT_SHOWN


class _Integer(int):
    """An integer from a state."""

    __slots__ = ()

    def __repr__(self) -> str:
        return _NOT_SHOWN


class _Float(float):
    """A floating-point number from a state."""

    __slots__ = ()

    def __repr__(self) -> str:
        return _NOT_SHOWN


_STORED: Final[Mapping[type, Callable[[Any], Any]]] = {str: _Text, int: _Integer, float: _Float}
_ORDINARY: Final[Mapping[type, Callable[[Any], Any]]] = {_Text: str, _Integer: int, _Float: float}


def known_of(id_: str) -> Collection[str]:
    """Return the strings that are public because they are parts of the resource's public id."""
    account = account_of(id_)
    container = id_.partition("/")[0]
    return {id_, *id_.split("/"), account, f"vpc-{account}", container.removeprefix(f"{account}-")}


def from_state(value: Any, known: Collection[str] = ()) -> Any:
    """
    Return a value from a state. Its strings and numbers get the types for stored values, unless they are certainly
    public.
    """
    if isinstance(value, dict):
        return {
            name: item if type(item) is str and item in _WORDS else from_state(item, known)
            for name, item in value.items()
        }
    if isinstance(value, list):
        return [from_state(item, known) for item in value]
    stored = _STORED.get(type(value))
    if stored is None or (value in _WORDS or value in known if stored is _Text else value in _NUMBERS):
        return value
    return value if known and stored is not _Text and f"{value:g}" in known else stored(value)


def is_from_state(value: Any) -> bool:
    """Return whether a part of the value is from a state, is not certainly public, and is not marked as a secret."""
    if isinstance(value, Mapping):
        return SIGNATURE not in value and any(map(is_from_state, value.values()))
    return any(map(is_from_state, value)) if isinstance(value, list) else type(value) in _ORDINARY


def ordinary(value: Any) -> Any:
    """Return a value in which all strings and numbers have ordinary types."""
    if isinstance(value, Mapping):
        return {name: ordinary(item) for name, item in value.items()}
    if isinstance(value, list):
        return [ordinary(item) for item in value]
    return _ORDINARY[type(value)](value) if type(value) in _ORDINARY else value


def _is_written_time(value: Any) -> bool:
    # A number can be a time, but also a secret.
    return isinstance(value, str) and _WRITTEN_TIME.fullmatch(value) is not None and _is_time(value)


_PUBLIC: Final[Mapping[str, Callable[[Any], bool]]] = {
    **{name: _is_written_time for name, fits in _FORMS.items() if fits is _is_time},
    "identity_conflict": lambda value: value == NO_TIME or _is_written_time(value),
    **{name: _FORMS[name] for name in ("ip_address", "origin")},
    "status": lambda value: isinstance(value, str) and is_known_status(value),
    **dict.fromkeys(
        ("version", "version_major"),
        lambda value: isinstance(value, str) and _VERSION.fullmatch(value) is not None,
    ),
}
"""Name of a plain output -> a function that returns whether a value is certainly not a secret."""


def returned(outs: Mapping[str, Any], marked: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return the outputs of an operation. Values from the state that are not certainly public become secrets.

    `marked` contains values whose secret markers the engine knows: it marks an output with the same name and value in
    the same way.
    """
    return {
        name: ordinary(value)
        if not is_from_state(value)
        or marked.get(name) == value
        or (name in _PUBLIC and _PUBLIC[name](ordinary(value)))
        else secret(ordinary(value))
        for name, value in outs.items()
    }
