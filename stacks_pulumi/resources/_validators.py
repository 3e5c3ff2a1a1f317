"""
The validators of the inputs.

A validator returns the value in its normal form, or raises a ValueError that states the problem and the fix. The engine
passes every number as a float (`5` as `5.0`); the normal form of a whole number is `int`.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Collection
from typing import Any, Final

from stacks_pulumi import catalog
from stacks_pulumi._identifiers import canonical_network, did_you_mean
from stacks_pulumi.pricing.money import count

_NAME_FAULTS: Final = {
    "characters": "only letters, digits and hyphens are allowed",
    "ends": "it must start and end with a letter or a digit",
    "hyphens": "two hyphens in a row are not allowed",
}


def text(value: Any) -> str:
    if not isinstance(value, str):
        raise _of_wrong_kind(value, "text")
    if not value.strip():
        msg = "it is empty"
        raise ValueError(msg)
    return value


def segment(value: Any) -> str:
    """Return a string that can be one segment of an API path; `.` and `..` would lead to a different endpoint."""
    name = text(value)
    if name in {".", ".."}:
        msg = f"{name!r} is not a valid name in the API: choose a different name"
        raise ValueError(msg)
    return name


def boolean(value: Any) -> bool:
    """Return true or false."""
    if not isinstance(value, bool):
        raise _of_wrong_kind(value, "true or false")
    return value


def strings(value: Any) -> list[str]:
    """Return the values as a list of strings. Values of any type are accepted, because triggers are only compared."""
    if not isinstance(value, list):
        raise _of_wrong_kind(value, "a list")
    return [item if isinstance(item, str) else _whole(_ordered(item)) for item in value]


def one_of(choices: Collection[str]) -> Callable[[Any], str]:
    """Return a validator that accepts only these words."""

    def parse(value: Any) -> str:
        if not isinstance(value, str):
            raise _of_wrong_kind(value, f"one of {', '.join(choices)}")
        if value not in choices:
            msg = f"{value!r} is not one of {', '.join(choices)}{did_you_mean(value, choices)}"
            raise ValueError(msg)
        return value

    return parse


def container_name(value: Any) -> str:
    """
    Return a valid container name: 3 to 32 letters, digits and hyphens, with a letter or digit at both ends and no two
    hyphens in a row (guide, "Create Container").
    """
    name = text(value)
    faults = catalog.name_faults(name)
    if faults:
        length = f"it has {count(len(name), 'character')}, but must have 3 to 32"
        texts = {"too short": length, "too long": length, **_NAME_FAULTS}
        proposal = (
            re.sub(r"-+", "-", re.sub(r"[^A-Za-z0-9-]", "-", name))
            .strip("-")[: catalog.LONGEST_NAME]
            .strip("-")
        )
        hint = "" if catalog.name_faults(proposal) else f'; a valid name: name="{proposal}"'
        msg = f"{name!r}: {' and '.join(texts[fault] for fault in faults)}{hint}"
        raise ValueError(msg)
    return name


def storage_tier(value: Any) -> int:
    """Return an additional storage tier (guide, "Additional Storage")."""
    known = ", ".join(
        f"{t.tier} ({t.storage_mb // 1024} GB, ${t.usd}/month)" for t in catalog.STORAGE_TIERS.values()
    )
    if isinstance(value, bool) or not isinstance(value, int | float) or not float(value).is_integer():
        raise _of_wrong_kind(value, f"a whole number: {known}")
    if int(value) not in catalog.STORAGE_TIERS:
        msg = f"there is no tier {int(value)}: {known}"
        raise ValueError(msg)
    return int(value)


def ip_network(value: Any) -> str:
    """
    Return an IPv4 or IPv6 address or network in canonical form: without /32 or /128, and with IPv6 compressed and in
    lower case.

    A network with host bits set is refused: `10.0.0.7/24` may mean one address or the entire network, and a guess
    could give access to too many clients.
    """
    given = text(value).strip()
    network = canonical_network(given)
    if network is None:
        msg = f"{given!r} is neither an IPv4 or IPv6 address nor a network such as 198.51.100.0/24"
        raise ValueError(msg)
    address = str(ipaddress.ip_interface(given).ip)
    if address != network.partition("/")[0]:
        msg = f"{given!r} has host bits set: write {network} for the network, or {address} for the address alone"
        raise ValueError(msg)
    return network


def backup_number(value: Any) -> int | str:
    """
    Return a backup's number, or its id if the platform uses strings as ids. The value may also be the id of a
    PinnedBackup.
    """
    number = value.rpartition("/")[2] if isinstance(value, str) else value
    if isinstance(number, str) and re.search(r"\d", number) and not re.fullmatch(r"-?[\d.]+", number):
        return number
    try:
        parsed = float(number)
    except (TypeError, ValueError):
        parsed = -1.0
    if isinstance(value, bool) or not parsed.is_integer() or parsed < 1:
        msg = f"it is {value!r}, but must be a backup's number, for instance 178, or the id of a PinnedBackup"
        raise ValueError(msg)
    return int(parsed)


def unknown_word(word: str, known: Collection[str], what: str) -> str:
    """
    Return the warning for a name that is not in the catalogue. The name is accepted: the platform may have added it.
    """
    hint = did_you_mean(word, known)
    return f"the catalogue does not know the {what} {word!r}{hint}; it is sent unchanged, and its price is unknown"


def _of_wrong_kind(value: Any, wanted: str) -> ValueError:
    names = {
        bool: "true or false",
        float: "a number",
        int: "a number",
        str: "text",
        list: "a list",
        dict: "a mapping",
    }
    kind = names.get(type(value), type(value).__name__)
    return ValueError(f"it is {kind}, but must be {wanted}")


def _ordered(value: Any) -> Any:
    """Return the value with sorted mappings: their order differs between calls, but that is not a change."""
    if isinstance(value, dict):
        return {name: _ordered(value[name]) for name in sorted(value)}
    return [_ordered(item) for item in value] if isinstance(value, list) else value


def _whole(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
