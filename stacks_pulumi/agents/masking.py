"""
Which values must never be in an answer?

First, values that are known to be secret: from the environment, from the stack's configuration and state, and from a
container's credentials. Second, text that looks like a secret: API keys, private keys, and passwords in addresses.
"""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, unquote

from stacks_pulumi._pulumi_cli import readable
from stacks_pulumi.errors import without_keys
from stacks_pulumi.pricing.recognition import SIGNATURE

HIDDEN: Final = "[secret]"

_SHORTEST: Final = 6
"""The minimum length of a masked secret: a shorter text could occur by chance."""

_MOST_READ: Final = 400_000
"""
The maximum number of characters of a log that are masked. The shown end is far shorter, so it contains no secret that
is cut off here.
"""
_SPACE: Final = re.compile(r"\s")

_OPEN: Final = re.compile(
    r"(?:host|hostname|port|user|username|db|database|name|type|template|plan|id)$", re.IGNORECASE
)
"""Names of the public values in a secret object. If these values were masked, no log would be readable."""

_OF_ENVIRONMENT: Final = re.compile(r"KEY|TOKEN|SECRET|PASS|CREDENTIAL", re.IGNORECASE)
_KIND: Final = r"[A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----"
_PRIVATE_KEY: Final = re.compile(rf"-----BEGIN {_KIND}.*?(?:-----END {_KIND}|\Z)", re.DOTALL)
_END_OF_KEY: Final = re.compile(rf"\A(?:(?!-----BEGIN ).)*?-----END {_KIND}", re.DOTALL)
_WORD: Final = re.compile(r"\S+")
_USER: Final = re.compile(r":(?:\\{0,3}/){2}[^\s/:]*:")
"""In JSON, a slash may have a backslash before it."""
_WIREGUARD: Final = re.compile(r"(?:PrivateKey|PresharedKey)\s*=\s*(?P<secret>\S+)", re.IGNORECASE)
_NAMES: Final = (
    r"(?:pass(?:w(?:or)?d|phrase|(?![a-z]))|pwd|secret|token|(?:api|access|private)[_-]?key|credential"
    r"|authorization)"
)
_ASSIGNED: Final = re.compile(
    # JSON text may be a string in other JSON; backslashes then precede its quotes.
    rf"(?:(?<![\w-])--[\w-]{{0,30}}{_NAMES}\ |{_NAMES}\w{{0,20}}\\{{0,3}}[\"']?\s{{0,9}}(?:=>|:=|[:=])\s{{0,9}})"
    r"(?:(?:Bearer|Basic|Digest)\ )?"
    r"(?P<secret>\"(?:\\.|[^\"\\\n])*\"|'[^'\n]*'|\\{1,3}\"[^\"\n]*\"|[^\s,;&]+)",
    re.IGNORECASE,
)


class Secrets:
    """The known secrets; the tools add each secret that they read."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        self.add(
            value
            for name, value in os.environ.items()
            if _OF_ENVIRONMENT.search(name) and not _is_path(value)
        )
        file = os.environ.get("PULUMI_CONFIG_PASSPHRASE_FILE")
        if file and Path(file).is_file():
            self.add([Path(file).read_text(encoding="utf-8", errors="replace").strip()])

    def __repr__(self) -> str:
        """Return the number of secrets, but no secret, for debugging."""
        return f"Secrets({len(self._known)})"

    def add(self, values: Iterable[Any]) -> None:
        """Add every string in the values, except public values such as a host, and the passwords in their addresses."""
        found = {form for text in _texts(list(values)) for form in _forms(text) if len(form) >= _SHORTEST}
        # Several calls run at the same time. A secret that one call has read must be hidden in the answers of the other
        # calls.
        with self._lock:
            if not found <= self._known:
                self._known |= found
                longest_first = sorted(self._known, key=len, reverse=True)
                self._pattern = re.compile("|".join(map(re.escape, longest_first)))

    def add_settings(self, settings: Mapping[str, Any]) -> None:
        """Add the secret settings of a stack's configuration, as the engine prints it."""
        self.add(
            # The output contains an object twice: as a string and as an object.
            (entry.get("value"), entry.get("objectValue"))
            for entry in settings.values()
            if isinstance(entry, Mapping) and entry.get("secret")
        )

    def add_export(self, export: bytes) -> None:
        """
        Add the secrets from an export of the stack that contains them in plain text.

        Raises:
            InputError: The export, or a secret in it, is nested too deeply.
        """
        self.add(_decrypted(json.loads(readable(export))))

    def masked(self, text: str) -> str:
        """Return a text without secrets."""
        return self._hidden(text, _PRIVATE_KEY, _WIREGUARD)

    def masked_log(self, text: str) -> str:
        """
        Return a log without secrets; this also removes values assigned to names such as `password`, and the end of a
        private key whose beginning is missing.

        Only the end of a very long log is read, because a container could print megabytes to keep the server busy.
        """
        if len(text) > _MOST_READ:
            text = _SPACE.split(text[-_MOST_READ:], maxsplit=1)[-1]
        return self._hidden(text, _PRIVATE_KEY, _WIREGUARD, _END_OF_KEY, _ASSIGNED)

    def _hidden(self, text: str, *rules: re.Pattern[str]) -> str:
        """
        Return a text without known secrets and without the matches of the rules.

        Each rule reads the original text. If another rule replaced the first line of a private key, the rule for
        private keys would not find the rest.
        """
        spans = [*_passwords(text)]
        for rule in (*rules, *([] if self._pattern is None else [self._pattern])):
            spans += (found.span(found.lastgroup or 0) for found in rule.finditer(text))
        shown: list[str] = []
        end = 0
        for start, stop in sorted(spans):
            if start > end or not shown:
                shown += (text[end:start], HIDDEN)
            end = max(end, stop)
        return without_keys("".join((*shown, text[end:])))

    def masked_in(self, value: Any) -> Any:
        """Return a JSON value without secrets."""
        if isinstance(value, str):
            return self.masked(value)
        if isinstance(value, Mapping):
            return {self.masked(str(key)): self.masked_in(one) for key, one in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.masked_in(one) for one in value]
        return value


def _passwords(text: str) -> Iterator[tuple[int, int]]:
    """
    Yield the start and the end of each password in the addresses of a text.

    A password may contain any character but spaces. A word may contain several addresses, for example in JSON without
    spaces. In that case, everything between the first user and the last host is masked as one password.
    """
    for word in _WORD.finditer(text):
        end = text.rfind("@", *word.span())
        user = None if end < 0 else _USER.search(text, word.start(), end)
        if user is not None and user.end() < end:
            yield user.end(), end


def _is_path(value: str) -> bool:
    return value.startswith(("/", "~")) and Path(value).expanduser().exists()


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, Mapping):
        for name, one in value.items():
            if isinstance(one, (Mapping, list, tuple)) or not _OPEN.search(str(name)):
                yield from _texts(one)
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from _texts(one)
    elif isinstance(value, (str, int)):
        yield str(value)


def _forms(text: str) -> Iterable[str]:
    """Return the forms in which a secret may be written."""
    passwords = (text[begin:end] for begin, end in _passwords(text))
    for one in (text, *passwords, *(line.strip() for line in text.splitlines())):
        yield one
        yield unquote(one)
        yield quote(one, safe="")
        quoted = json.dumps(one)[1:-1]
        # Some languages escape a slash, and JSON text may be a string in other JSON.
        for form in (quoted, quoted.replace("/", "\\/")):
            yield form
            yield json.dumps(form)[1:-1]


def _decrypted(value: Any) -> Iterable[Any]:
    """Return the values that an export marks as secrets."""
    if isinstance(value, Mapping):
        if SIGNATURE in value:
            plain = value.get("plaintext")
            if isinstance(plain, str):
                try:
                    # The export contains the secret as JSON text, so the check of the export's depth did not cover it.
                    yield json.loads(readable(plain.encode()))
                except ValueError:
                    yield plain
            return
        for one in value.values():
            yield from _decrypted(one)
    elif isinstance(value, list):
        for one in value:
            yield from _decrypted(one)
