"""
Parses and compares ids, names, creation times and URNs, and converts the spelling of property names.

Creation times are compared as instants, to the second, because the API writes them in more than one format. A URN is
`urn:pulumi:<stack>::<project>::<types>::<name>`. A property is called `ip_address` in Python and in the states of
dynamic resources, and `ipAddress` elsewhere.
"""

from __future__ import annotations

import datetime
import difflib
import email.utils
import functools
import ipaddress
import re
import uuid
from collections.abc import Iterable
from typing import Final

_PREFIX: Final = "urn:pulumi:"
_PARTS: Final = 4
_PROPERTIES: Final = 1024
"""The size of the cache of converted property names. Every call from the engine uses the same names."""


def name_of(urn: str) -> str:
    """Return the resource's name in its program, which may contain `::`; empty for an empty URN."""
    return urn.split("::", _PARTS - 1)[-1]


def type_of(urn: str) -> str:
    """Return the resource's type. In a URN, the types of the parent components precede it."""
    return urn.split("::", _PARTS - 1)[2].rpartition("$")[2]


def stack_and_project(urn: str) -> tuple[str | None, str | None]:
    """Return the names of the stack and of the project; `None` for a part that is missing in the URN."""
    parts = urn.removeprefix(_PREFIX).split("::")
    return (parts[0], parts[1]) if urn.startswith(_PREFIX) and len(parts) >= _PARTS else (None, None)


@functools.lru_cache(_PROPERTIES)
def camel_case(name: str) -> str:
    """Return `ipAddress` for `ip_address`."""
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)


@functools.lru_cache(_PROPERTIES)
def snake_case(name: str) -> str:
    """Return `ip_address` for `ipAddress`; a name in snake case is returned unchanged."""
    return re.sub(r"(?<=[a-z0-9])[A-Z]", lambda found: f"_{found[0].lower()}", name)


def with_article(kind: str) -> str:
    """Return `a Container`, `an AllowedIp` or `an SshCertificate`."""
    return f"an {kind}" if kind.startswith(("A", "Ssh")) else f"a {kind}"


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that a misspelt name probably means; case, hyphens and underscores are ignored."""
    by_letters = {_letters(it): it for it in known}
    close = difflib.get_close_matches(_letters(name), by_letters, n=1)
    return by_letters[close[0]] if close else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a question that suggests a known name, to append to a message; empty if no name is similar."""
    near = nearest(name, known)
    return "" if near is None else f" (did you mean {near!r}?)"


def _letters(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


PLACEHOLDER: Final = "placeholder while an entry is changed"
"""
The description of an allowed address that the provider adds temporarily. If a later operation finds the address, that
operation removes it.
"""


def canonical_network(address: str | None) -> str | None:
    """
    Return an IPv4 or IPv6 address or network as a resource's id contains it; `None` if the text is neither.

    A single address has no prefix length; an IPv6 address is compressed and in lower case. Host bits are removed,
    because an entry with host bits allows the entire network. An address with a zone (`fe80::1%eth0`) is refused,
    because a zone has a meaning only on one machine, and can be any text.
    """
    given = (address or "").strip()
    try:
        network = ipaddress.ip_network("" if "%" in given else given, strict=False)
    except ValueError:
        return None
    alone = network.prefixlen == network.max_prefixlen
    return str(network.network_address) if alone else str(network)


SLASH: Final = "\u29f8"
"""
The replacement for a slash in an object's own id, because in a resource's id a slash separates the object's id from the
container's id.
"""

_ROUNDED: Final = datetime.timedelta(seconds=1)
"""
The maximum difference between two texts for the same instant, because one of them may be truncated to whole seconds.
"""


def account_of(id_: str) -> str:
    """Return the account part of an id: `usr-abc12345` for `usr-abc12345-web/laptop`."""
    return "-".join(id_.split("/", maxsplit=1)[0].split("-")[:2])


def is_of_key(origin: str | None, fingerprint: str) -> bool:
    """
    Return whether the last change of a resource was made with the key that has this fingerprint. If so, the resource is
    in that key's account.
    """
    return origin is not None and origin.partition("-")[0] == fingerprint


def may_be_of(id_: str, name: str) -> bool:
    """
    Return whether a container with this id may have this name: the id ends with the name, or contains no name.
    """
    return id_.casefold().endswith(name.casefold()) or not id_.startswith("usr-")


def same_name(one: str | None, other: str) -> bool:
    """Return whether two names are equal, ignoring case: the API may store a name in lower case."""
    return one is not None and one.casefold() == other.casefold()


def seconds_of(text: str | None) -> float | None:
    """Return a time in seconds since the Unix epoch; `None` if it cannot be read."""
    instant = _instant(text)
    return None if instant is None else instant.timestamp()


def as_time(seconds: float) -> str:
    """Convert seconds since the Unix epoch to a time as the API writes it."""
    instant = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def compare_instants(first: str | None, second: str | None) -> bool | None:
    """
    Return whether two times are the same to the second; `None` if one of them is missing or unreadable.

    Two equal texts in an unknown format are treated as the same time.
    """
    one, other = _instant(first), _instant(second)
    if one is None and other is None and first and first == second:
        return True if sum(map(str.isdigit, first)) >= _DIGITS_OF_A_TIME else None
    return None if one is None or other is None else abs(one - other) <= _ROUNDED


def is_before(first: str | None, second: str | None) -> bool:
    """Return whether the first time is certainly earlier than the second."""
    one, other = _instant(first), _instant(second)
    return one is not None and other is not None and other - one > _ROUNDED


def seconds_between(first: str | None, second: str | None) -> float | None:
    """Return the seconds from the first time to the second; `None` if one of them is missing or unreadable."""
    one, other = _instant(first), _instant(second)
    return None if one is None or other is None else (other - one).total_seconds()


def is_unique(id_: str | int) -> bool:
    """Return whether an id is certainly never reused, because it is a random or time-based UUID."""
    try:
        return uuid.UUID(str(id_)).version in {1, 4, 6, 7}
    except ValueError:
        return False


_NUMBER: Final = re.compile(r"\d{9,19}(\.\d+)?")
_ISO: Final = re.compile(r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)(\.\d{1,6})?\d*(.*)", re.DOTALL)
_UTC: Final = datetime.timezone.utc
_DIGITS_OF_A_TIME: Final = 8


def _instant(text: str | None) -> datetime.datetime | None:
    """Parse a time in ISO 8601, an HTTP date, or a number since the Unix epoch (s, ms, us or ns)."""
    if not isinstance(text, str):
        return None
    text = text.strip()
    try:
        if _NUMBER.fullmatch(text):
            # A time in seconds has ten digits until the year 2286; each smaller unit adds three digits.
            digits = len(text.partition(".")[0])
            return datetime.datetime.fromtimestamp(float(text) / 1000 ** max((digits - 8) // 3, 0), _UTC)
        found = _ISO.fullmatch(text)
        if found is not None:
            zone = found[3].strip().replace("Z", "+00:00").replace("z", "+00:00")
            fraction = (found[2] or ".0").ljust(7, "0")  # Python 3.10 needs six digits
            parsed = datetime.datetime.fromisoformat(f"{found[1]}{fraction}{zone}")
        else:
            parsed = email.utils.parsedate_to_datetime(text)
        # The conversion to UTC fails if the result is in the year 0 or 10000.
        return (parsed if parsed.tzinfo is not None else parsed.replace(tzinfo=_UTC)).astimezone(_UTC)
    except (ValueError, TypeError, OverflowError, OSError, IndexError):
        return None
