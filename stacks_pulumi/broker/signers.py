"""
Which people does the file of signers list, and when are their keys valid?

The file is in the format of ssh-keygen's `allowed_signers`. A line names one person and one key. Patterns, lists and
certificate authorities are refused, because they would accept signatures under any name.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from stacks_pulumi._settings_file import text_of, why_unreadable
from stacks_pulumi.errors import ConfigError, clean

NAMESPACE: Final = "stacks-pulumi-gate"
"""The namespace of approvals. A git commit's signature has a different namespace, so it is not an approval."""

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}", re.ASCII)
_KEY_TYPE: Final = re.compile(r"(ssh|ecdsa|sk)-[a-z0-9@.-]+", re.ASCII)
_OPTIONS: Final = re.compile(r'[a-z-]+(="[^"\\]*")?(,[a-z-]+(="[^"\\]*")?)*', re.ASCII | re.IGNORECASE)
_DATE: Final = re.compile(r'"[0-9]{8}(?:[0-9]{4}(?:[0-9]{2})?)?Z?"', re.ASCII)
_DATES: Final = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
_KNOWN_OPTIONS: Final = ("namespaces", "valid-after", "valid-before")


@dataclass(frozen=True)
class Signer:
    """
    A line in a file of signers.

    Attributes:
        line: Its number.
        name: The person.
        key: Their public key.
        after: The key is valid from this time on, in UTC; `None` if there is no limit.
        before: The key is valid until this time, in UTC; `None` if there is no limit.
    """

    line: int
    name: str
    key: bytes
    after: datetime.datetime | None = None
    before: datetime.datetime | None = None

    def holds(self, now: datetime.datetime) -> bool:
        """Return whether the key is valid now."""
        return (self.after is None or self.after <= now) and (self.before is None or now <= self.before)


def names_of(signers: Path) -> frozenset[str]:
    """
    Return the names in a file of signers.

    Raises:
        ConfigError: A line does not name exactly one person and one key.
    """
    return frozenset(one.name for one in signers_of(signers))


def signers_of(signers: Path) -> tuple[Signer, ...]:
    """
    Return the lines of a file of signers.

    Raises:
        ConfigError: See `names_of`.
    """
    try:
        text = text_of(signers)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{signers} cannot be read: {why_unreadable(error)}", code="invalid-file") from None
    return signers_in(text, str(signers))


def signers_in(text: str, path: str) -> tuple[Signer, ...]:
    """
    Return the lines in the text of a file of signers. `path` is for messages.

    Raises:
        ConfigError: See `names_of`.
    """
    found: list[Signer] = []
    for position, line in enumerate(text.split("\n"), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            signer = _signer(position, line)
            problem = _twice(signer, found)
        except ValueError as error:
            problem = str(error)
        if problem:
            raise ConfigError(f"{path}, line {position}: {problem}", code="invalid-file")
        found.append(signer)
    return tuple(found)


def _twice(signer: Signer, found: Sequence[Signer]) -> str:
    """Return why one person would count as two people; empty if no person would."""
    others = [one for one in found if one.name != signer.name]
    owner = next((one.name for one in others if one.key == signer.key), None)
    if owner is not None:
        return f"{signer.name} and {owner} have the same key"
    twin = next((one.name for one in others if one.name.casefold() == signer.name.casefold()), None)
    return "" if twin is None else f"{signer.name} and {twin} are two spellings of one name"


def _signer(position: int, line: str) -> Signer:
    words = line.split()
    name, rest = words[0], words[1:]
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{clean(name)} is not the name of one person: patterns and lists are refused, because they accept any name"
        )
    times = _times(rest.pop(0)) if rest and not _KEY_TYPE.fullmatch(rest[0]) else {}
    if len(rest) < 2 or not _KEY_TYPE.fullmatch(rest[0]):
        raise ValueError(f'write a line as: NAME namespaces="{NAMESPACE}" KEYTYPE KEY')
    try:
        key = base64.b64decode(rest[1], validate=True)
    except binascii.Error:
        raise ValueError(f"the key of {name} is damaged") from None
    return Signer(position, name, key, times.get("valid-after"), times.get("valid-before"))


def _times(text: str) -> dict[str, datetime.datetime]:
    """Check the options of a line and return their times."""
    found: dict[str, datetime.datetime] = {}
    if not _OPTIONS.fullmatch(text):
        raise ValueError("its options cannot be read: write them without spaces")
    for option in (
        text.split(",") if '"' not in text else re.findall(r'[a-z-]+(?:="[^"]*")?', text, re.IGNORECASE)
    ):
        name, _, value = option.partition("=")
        if name.lower() not in _KNOWN_OPTIONS:
            # With `cert-authority`, the holder of one key could create certificates for any name.
            raise ValueError(
                f"the option {name} is not supported: the options are {', '.join(_KNOWN_OPTIONS)}"
            )
        if name.lower() == "namespaces" and value.strip('"') != NAMESPACE:
            raise ValueError(f'its namespaces must be "{NAMESPACE}"')
        if name.lower() != "namespaces":
            try:
                found[name.lower()] = _instant(value)
            except ValueError:
                # ssh-keygen would treat the key as never valid, without a message.
                raise ValueError(
                    f'{clean(option)} is not a valid time: write it as {name}="20271231" or "202712312359Z"'
                ) from None
    return found


def _instant(value: str) -> datetime.datetime:
    """Parse a time in ssh-keygen's form, in UTC: `_run` sets this time zone, and ssh-keygen reads local times."""
    if not _DATE.fullmatch(value):
        raise ValueError(value)
    digits = value.strip('"Z')
    return datetime.datetime.strptime(f"{digits} +0000", f"{_DATES[len(digits)]} %z")
