"""
Which values of a state may an operation return as plain?

The engine decrypts the state for a provider and does not say which of its values are secrets. It marks what the
provider returns by the program's inputs alone. So a secret that someone has copied to a plain output, `created_at` for
instance, would come out in plain text with the next update. Therefore each plain output has a form, and a state with
something else is refused before anything is sent or shown. A word without a form is returned as a secret, unless it is
one of the platform's words, or contains the account's id.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from stacks_pulumi._identifiers import account_of, is_unique, seconds_of
from stacks_pulumi.api._words import is_known_status
from stacks_pulumi.api.wait import BACKED_UP
from stacks_pulumi.catalog import TEMPLATES
from stacks_pulumi.errors import StacksError
from stacks_pulumi.resources._fields import secret

_HOST: Final = re.compile(r"(https?://)?[a-z0-9-]+(\.[a-z0-9-]+)+(:\d+)?/?", re.IGNORECASE)
_ORIGIN: Final = re.compile(r"[0-9a-f]+-[0-9a-f]+")
_VERSION: Final = re.compile(r"v?\d{1,5}([._+-][0-9a-z]{1,8}){0,5}")
_IMAGE: Final = re.compile(r"[a-z0-9._-]+(/[a-z0-9._-]+)+(:[\w.-]+)?|[a-z0-9._-]+:[\w.-]+")
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
    return isinstance(value, str) and (_HOST.fullmatch(value) is not None or _is_address(value))


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
    "url": _is_host,
    "ip_address": _is_address,
    "origin": lambda value: isinstance(value, str) and _ORIGIN.fullmatch(value) is not None,
}
"""Name of a plain output, of any kind -> whether a value has its form."""


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


def _is_word(name: str, value: str, id_: str) -> bool:
    """Return whether a word of the state is certainly public."""
    if account_of(id_) in value:
        return True
    return {
        "connection_type": value in {template.casefold() for template in TEMPLATES},
        "entry_id": is_unique(value),
        "image_tag": _IMAGE.fullmatch(value) is not None,
        "ssh_host": _is_host(value),
        "ssh_user": value in _USERS,
        "status": is_known_status(value) or value in BACKED_UP.target | BACKED_UP.failed,
        "version": _VERSION.fullmatch(value) is not None,
        "version_major": _VERSION.fullmatch(value) is not None,
    }.get(name, False)


def returned(
    id_: str, outs: Mapping[str, Any], stored: Mapping[str, Any], inputs: Iterable[str]
) -> dict[str, Any]:
    """
    Return the outputs of an update. A text that is as in the state, and not certainly public, becomes a secret.

    Args:
        id_: The resource's id.
        outs: The outputs.
        stored: The outputs in the state.
        inputs: The names of the inputs, whose secrets the engine knows.
    """
    own = {*inputs, *_FORMS, "stacks_kind"}

    def is_public(name: str, value: Any) -> bool:
        if name in own or value != stored.get(name) or isinstance(value, bool | int | float):
            return True
        return isinstance(value, str) and _is_word(name, value, id_)

    return {name: value if is_public(name, value) else secret(value) for name, value in outs.items()}
