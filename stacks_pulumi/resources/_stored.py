"""
Which values of a state may an operation return as plain?

The engine decrypts the state for a provider and does not say which of its values are secrets. It marks what the
provider returns by the names of the program's inputs, or of the state. So a secret that someone has copied to a plain
output would come out in plain text with the next update or refresh. Therefore each text of a state is known as one: an
operation returns it as a secret, under whatever name, unless the engine marks it or it is certainly public. Besides,
some plain outputs have a form, and an update of a state with something else is refused before anything is sent.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from stacks_pulumi._identifiers import account_of, seconds_of
from stacks_pulumi.api._words import is_known_status
from stacks_pulumi.api.wait import BACKED_UP
from stacks_pulumi.catalog import TEMPLATES
from stacks_pulumi.errors import StacksError
from stacks_pulumi.pricing.recognition import KINDS, SIGNATURE
from stacks_pulumi.resources._fields import secret

_ADDRESS: Final = re.compile(r"(https?://)?[a-z0-9-]+(\.[a-z0-9-]+)+(:\d+)?/?", re.IGNORECASE)
_HOST: Final = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*\.[a-z]{2,24}|\d{1,3}(\.\d{1,3}){3}")
_ORIGIN: Final = re.compile(r"[0-9a-f]+-[0-9a-f]+")
_VERSION: Final = re.compile(r"\d{1,3}(\.\d{1,3}){0,3}")
_USERS: Final = frozenset({"root", "ubuntu", "admin", "stacks"})


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


def _is_list_of_times(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_time, value))


_FORMS: Final[Mapping[str, Callable[[Any], bool]]] = {
    **dict.fromkeys(
        (
            "added_at",
            "client_created_at",
            "completed_at",
            "container_created_at",
            "created_at",
            "identity_conflict",
            "requested_at",
        ),
        _is_time,
    ),
    **dict.fromkeys(("former_created_at", "source_times", "target_times"), _is_list_of_times),
    **dict.fromkeys(
        ("cpu", "memory_mb", "monthly_price_usd", "port", "size_bytes", "ssh_port", "storage_mb"), _is_number
    ),
    "spelling": lambda value: isinstance(value, Mapping),
    "url": _is_host,
    "ip_address": _is_address,
    "origin": lambda value: isinstance(value, str) and _ORIGIN.fullmatch(value) is not None,
}
"""Name of a plain output, of any kind -> whether a value has its form."""
_NEVER_KEPT: Final = frozenset({"spelling", "url"})
"""The outputs whose form a secret may have too, such as a token with dots. No update returns them from the state."""


def shown_time(stored: object) -> str:
    """Return a time of the state for a message; what is no time may be a secret that was copied there."""
    return str(stored) if stored is None or _is_time(stored) else "a time that cannot be read"


def check_state(what: str, stored: Mapping[str, Any]) -> None:
    """
    Check that no plain output in a state has a value which cannot be its own.

    Only an update needs that. What a read returns gets the marks of the state from the engine, and a deletion returns
    nothing.

    Args:
        what: The resource, for the message.
        stored: Its outputs in the state, without marks of secrets.

    Raises:
        StacksError: One has. The message has its name and not its value.
    """
    for name, fits in _FORMS.items():
        value = stored.get(name)
        if value is not None and value != "" and not fits(value):
            msg = (
                f"the state of {what} has a value for {name} that cannot be one, perhaps a secret that was copied "
                "there. Nothing was done with it: restore an earlier version of the state, or correct it with `pulumi "
                "stack export` and `pulumi stack import`"
            )
            raise StacksError(msg, code="identity-unclear")


class _Stored(str):
    """A text of a state. It stays one under whatever name, and in whatever list, an operation returns it."""

    __slots__ = ()


def from_state(value: Any) -> Any:
    """Return a value of a state, without marks of secrets, whose texts are known to be from there."""
    if isinstance(value, str):
        return _Stored(value)
    if isinstance(value, Mapping):
        return {name: from_state(item) for name, item in value.items()}
    return [from_state(item) for item in value] if isinstance(value, list) else value


def is_from_state(value: Any) -> bool:
    """Return whether a text in the value is from a state, and not marked as a secret."""
    if isinstance(value, Mapping):
        return SIGNATURE not in value and any(map(is_from_state, value.values()))
    return any(map(is_from_state, value)) if isinstance(value, list) else isinstance(value, _Stored)


def as_text(value: Any) -> Any:
    """Return a value with ordinary texts."""
    if isinstance(value, Mapping):
        return {name: as_text(item) for name, item in value.items()}
    if isinstance(value, list):
        return [as_text(item) for item in value]
    return str(value) if isinstance(value, _Stored) else value


def _is_public(id_: str, name: str, value: Any) -> bool:
    """Return whether a value of a state is certainly no secret: ids and a fixed list of words are none."""
    if name in _FORMS:
        return name not in _NEVER_KEPT and _FORMS[name](value)
    account = account_of(id_)
    if value in ("", id_, *id_.split("/"), account, f"vpc-{account}"):
        return True
    words = {
        "connection_type": lambda: value in {template.casefold() for template in TEMPLATES},
        "ssh_host": lambda: _HOST.fullmatch(value) is not None,
        "ssh_user": lambda: value in _USERS,
        "status": lambda: is_known_status(value) or value in BACKED_UP.target | BACKED_UP.failed,
        "stacks_kind": lambda: value in KINDS,
        "version": lambda: _VERSION.fullmatch(value) is not None,
        "version_major": lambda: _VERSION.fullmatch(value) is not None,
    }
    return isinstance(value, str) and name in words and words[name]()


def returned(id_: str, outs: Mapping[str, Any], marked: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return the outputs of an operation. What is from the state, and not certainly public, becomes a secret.

    Args:
        id_: The resource's id.
        outs: The outputs.
        marked: Values whose marks the engine knows: an output with the same name and value gets them from it.
    """
    return {
        name: as_text(value)
        if not is_from_state(value) or marked.get(name) == value or _is_public(id_, name, value)
        else secret(as_text(value))
        for name, value in outs.items()
    }
