"""
Which resources are ours, and which of their values are known? The resources come from a preview, a state file or a
policy request.

The type alone does not show the kind: a program can give a STACKS resource any type, and a policy cannot see which
dynamic provider creates it. So the provider's `check` writes the kind into the inputs (`MARKER`). If the marker is
missing, as in states and programs of 0.1 and 0.2, the type shows the kind, or the pickled provider does if it can be
read. If neither shows the kind, the inputs decide whether the resource may be ours.

A value is `UNKNOWN` in three cases: it is an output that does not exist yet, a secret that the engine hides, or a value
of the wrong type. `UNKNOWN` is neither `None` (absent) nor a value, so that an unknown property is never mistaken for a
free, small or allowed one.

Type tokens and the marker are part of the state format and never change.
"""

from __future__ import annotations

import base64
import binascii
import enum
import pickletools
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from stacks_pulumi import _identifiers, catalog

KINDS: Final = (
    "AllowedIp",
    "BackupRestore",
    "Connection",
    "Container",
    "PinnedBackup",
    "SshCertificate",
    "VpnClient",
)
"""The names of the STACKS resources."""

MARKER: Final = "stacks_kind"
"""The input in which `check` stores the kind of a resource, because a program can give it any type."""

ADOPTS: Final = "adopts"
"""The input in which `check` stores the id of an existing container that a creation will adopt."""

UNFINISHED: Final = "unfinished"
"""The output of a container whose creation failed after its request; the next update finishes the creation."""

DYNAMIC: Final = "pulumi-python:dynamic/stacks:"
"""The type prefix of the dynamic STACKS resources."""

_ANY_DYNAMIC: Final = ("pulumi-python:dynamic", "pulumi-nodejs:dynamic")

PACKAGE: Final = "stacks:"
"""The type prefix of the native plugin's package."""

NATIVE: Final = f"{PACKAGE}index:"
"""The type prefix of the native plugin's resources."""

ALLOWED_IP: Final = f"{DYNAMIC}AllowedIp"
BACKUP_RESTORE: Final = f"{DYNAMIC}BackupRestore"
CONNECTION: Final = f"{DYNAMIC}Connection"
CONTAINER: Final = f"{DYNAMIC}Container"
PINNED_BACKUP: Final = f"{DYNAMIC}PinnedBackup"
SSH_CERTIFICATE: Final = f"{DYNAMIC}SshCertificate"
VPN_CLIENT: Final = f"{DYNAMIC}VpnClient"

STACK: Final = "pulumi:pulumi:Stack"
"""The type of the root resource of every stack, which is the first resource that a policy sees."""


class Unknown(enum.Enum):
    """The type of `UNKNOWN`; an enumeration, so that type checkers distinguish it from every real value."""

    UNKNOWN = "unknown"

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = Unknown.UNKNOWN
"""A value that is not known yet, or that is hidden."""

_BLINDED: Final = "[secret]"

NOT_KNOWN: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""The engine's constant for a string that does not exist yet."""

# The engine's constants for an output that does not exist yet, one for each type (Pulumi's resource protocol).
_SENTINELS: Final = frozenset(
    {
        NOT_KNOWN,
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
        "030794c1-ac77-496b-92df-f27374a8bd58",
        "e48ece36-62e2-4504-bad9-02848725956a",
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
    }
)

SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
"""The key that marks an object as a secret (encrypted or not) or an asset (same protocol)."""


def is_unknown(value: Any) -> bool:
    """Return whether a value, or a part of it, does not exist yet."""
    if isinstance(value, str):
        return value in _SENTINELS
    if isinstance(value, Mapping):
        return any(is_unknown(item) for item in value.values())
    if isinstance(value, list | tuple):
        return any(is_unknown(item) for item in value)
    return value is UNKNOWN


def is_hidden(value: Any) -> bool:
    """Return whether the engine hides a value because the value is a secret or an asset."""
    return value == _BLINDED or (isinstance(value, Mapping) and SIGNATURE in value)


def known(value: Any) -> Any:
    """Return the value, or `UNKNOWN` if the value or a part of it does not exist yet or is hidden."""
    return UNKNOWN if is_unknown(value) or is_hidden(value) else value


def text(properties: Mapping[str, Any], name: str) -> str | Unknown | None:
    """Return a property that is a string; `None` if it is absent."""
    value = properties.get(name)
    if value is None:
        return None
    return value if isinstance(known(value), str) else UNKNOWN


def whole(properties: Mapping[str, Any], name: str) -> int | Unknown | None:
    """Return a property that is a whole number, which the engine stores as a float; `None` if it is absent."""
    value = properties.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
        return UNKNOWN
    return int(value)


def boolean(properties: Mapping[str, Any], name: str) -> bool | Unknown | None:
    """Return a property that is true or false; `None` if it is absent."""
    value = properties.get(name)
    return value if value is None or isinstance(value, bool) else UNKNOWN


def is_open(outputs: Mapping[str, Any]) -> bool:
    """
    Return whether a container's state shows that external access is already on.

    The provider and the gate both use this function, so that the gate judges every change that opens access. If the
    value is hidden from the gate, the result is `False`.
    """
    outs = snake_case(outputs)
    if outs.get(UNFINISHED) is not None:
        return False
    # Version 0.3 did not write `unfinished`. After a failed creation, its state has a different status and no URL.
    ran = text(outs, "status") in _RAN or isinstance(outs.get("url"), str)
    return boolean(outs, "external_access") is True and ran


_RAN: Final = frozenset({"running", "stopped"})
"""The statuses of a container whose creation was completed."""


def is_unfinished(outputs: Mapping[str, Any]) -> bool:
    """Return whether a container's state shows that its creation, or its start, was not completed."""
    outs = snake_case(outputs)
    return outs.get(UNFINISHED) is not None or text(outs, "status") not in {None, *_RAN}


def unfinished(kind: str | None, outputs: Mapping[str, Any]) -> str:
    """Return the action that an update must still complete, even if no input changed; empty if there is none."""
    outs = snake_case(outputs)
    if kind == "Container" and is_unfinished(outs):
        return "completes its creation: sets status and external access to the program's values"
    if kind == "Connection" and outs.get("restart_pending") is not None:
        return "restarts the source of the connection"
    if kind == "PinnedBackup" and (outs.get("pinned") is not None and outs["pinned"] is not True):
        return "pins the backup"
    if kind == "AllowedIp" and any(outs.get(name) is not None for name in ("others_left", "awaited_address")):
        return "removes old entries that its last change has left in the list"
    return ""


UNRECOGNISED: Final = "unrecognised"
"""
The kind of a resource that has the type, marker or inputs of a STACKS resource, but no kind that this version knows.
"""

PROVIDER: Final = "__provider"
"""The property of a dynamic resource that contains its pickled provider."""

_REFERENCE: Final = ("stacks_pulumi", "provider_for")


def kind_of(type_: str, properties: Mapping[str, Any], *, custom: bool = True) -> str | None:
    """Return a resource's kind: one of `KINDS`, `UNRECOGNISED`, or `None` if it is not a STACKS resource."""
    kind = _told_kind(type_, properties, custom=custom)
    # Only a container has both of these properties, whatever the type and the marker show.
    is_container = custom and snake_case(properties).keys() >= _MADE_OF
    return UNRECOGNISED if is_container and kind in KINDS and kind != "Container" else kind


_MADE_OF: Final = frozenset({"name", "template"})


def _told_kind(type_: str, properties: Mapping[str, Any], *, custom: bool) -> str | None:
    named = _by_type(type_)
    marker = snake_case(properties).get(MARKER)
    if marker is None or known(marker) is UNKNOWN:
        if named in KINDS:
            return named
        if marker is None and not custom and not type_.startswith((DYNAMIC, NATIVE)):
            return None
        unmarked = None if marker is None and not _looks_like_ours(type_, properties) else UNRECOGNISED
        return _by_provider(properties.get(PROVIDER)) or named or unmarked
    # The marker and the type contradict each other, so neither can be trusted.
    return marker if marker in KINDS and named in (None, UNRECOGNISED, marker) else UNRECOGNISED


def snake_case(properties: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the properties in snake_case. A property that has different values in both spellings is `UNKNOWN`."""
    names = {name: _identifiers.snake_case(name) for name in properties}
    result = {name: value for name, value in properties.items() if names[name] == name}
    if len(result) == len(properties):
        return properties
    for name, value in properties.items():
        if names[name] != name:
            result[names[name]] = value if result.get(names[name], value) == value else UNKNOWN
    return result


def _by_type(type_: str) -> str | None:
    for prefix in (DYNAMIC, NATIVE, PACKAGE):
        if type_.startswith(prefix):
            name = type_.removeprefix(prefix)
            return name if name in KINDS else UNRECOGNISED
    return None


def _looks_like_ours(type_: str, properties: Mapping[str, Any]) -> bool:
    """
    Return whether a dynamic resource has the inputs of one of our containers or allowed addresses.

    Version 0.2 wrote no marker, and policies do not see the provider of a dynamic resource with a different type.
    """
    if not type_.startswith(_ANY_DYNAMIC):
        return False
    given = snake_case(properties)
    if {"container", "ip_address"} <= given.keys():
        return True
    template = known(given.get("template"))
    ours = template is UNKNOWN or (isinstance(template, str) and template in catalog.TEMPLATES)
    return given.keys() >= _MADE_OF and (ours or "monthly_price_usd" in given)


@lru_cache(maxsize=256)
def _by_pickle(text: str) -> str | None:
    try:
        codes = pickletools.genops(base64.b64decode(text, validate=True))
        # The pickle is only parsed, never loaded: loading a pickle runs code in it.
        words = [argument for _, argument, _ in codes if isinstance(argument, str)]
    except (ValueError, binascii.Error, UnicodeDecodeError, IndexError):
        return None
    if not all(any(part in word for word in words) for part in _REFERENCE):
        return None
    return next((word for word in words if word in KINDS), UNRECOGNISED)


def _by_provider(provider: Any) -> str | None:
    return _by_pickle(provider) if isinstance(provider, str) else None
