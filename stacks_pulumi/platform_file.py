"""
The facts about a platform that the API guide does not state, and the file that contains them.

The client accepts the forms that the guide shows. If the guide states no value, the client uses a default: for
instance, for the lag of lists, and for the time during which the name of a deleted container is reserved. A platform
file (`stacks:platform`, `STACKS_PLATFORM`) replaces a default with an observed fact. The acceptance run writes such a
file.

    version: 1
    lists:
      lag_seconds: 20
    prices:
      field: monthly_usd

For each missing setting, the client uses its default.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec

from stacks_pulumi._settings_file import Reader, text_of, why_unreadable
from stacks_pulumi.errors import ConfigError

VERSION: Final = 1
"""The version of the format."""

Seconds = Annotated[float, msgspec.Meta(ge=0, le=86400)]


class _Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A part of the file."""


class Lists(_Section, frozen=True):
    """
    Facts about lists.

    Attributes:
        lag_seconds: The maximum lag of a list in seconds (default 10), and the time between two checks (default 2).
    """

    lag_seconds: Seconds | None = None


class Containers(_Section, frozen=True):
    """
    Facts about containers.

    Attributes:
        name_held_seconds: The seconds for which the name of a deleted container cannot be used (default 60).
        created_at_changes: Whether a start, a connection or a restore changes the creation time (default no).
    """

    name_held_seconds: Seconds | None = None
    created_at_changes: bool | None = None


class Access(_Section, frozen=True):
    """
    Facts about external access and allowed addresses.

    Attributes:
        settle_seconds: The seconds until a change of external access or of an address takes effect (default 60).
        own_address_description: The description of the entry for the caller's address (default: the description in the
            guide).
    """

    settle_seconds: Seconds | None = None
    own_address_description: str | None = None


class Connections(_Section, frozen=True):
    """
    Facts about connections.

    Attributes:
        listed_seconds: The seconds until a new connection is listed (default 60).
    """

    listed_seconds: Seconds | None = None


class Backups(_Section, frozen=True):
    """
    Facts about backups.

    Attributes:
        listed_seconds: The seconds until a new backup is listed (default 60).
        pinned_seconds: The seconds until a list shows a pin, or its removal (default 60).
    """

    listed_seconds: Seconds | None = None
    pinned_seconds: Seconds | None = None


class Prices(_Section, frozen=True):
    """
    Facts about prices in the list of templates.

    Attributes:
        field: The path of the price in a template, such as `pricing.monthly` (default: the only field with a price).
        unit: The unit of the price (default: dollars, if the prices in dollars match the catalogue).
    """

    field: str | None = None
    unit: Literal["dollars", "cents"] | None = None


class PlatformFacts(_Section, frozen=True):
    """
    The facts about a platform: the content of a platform file.

    Attributes:
        version: The version of the format.
        lists: Facts about lists.
        containers: Facts about containers.
        access: Facts about external access and allowed addresses.
        connections: Facts about connections.
        backups: Facts about backups.
        prices: Facts about prices in the list of templates.
    """

    version: Literal[1] = 1
    lists: Lists = Lists()
    containers: Containers = Containers()
    access: Access = Access()
    connections: Connections = Connections()
    backups: Backups = Backups()
    prices: Prices = Prices()

    def as_json(self) -> dict[str, Any]:
        """Return the settings that the file contains."""
        known = msgspec.to_builtins(self)
        return {"version": VERSION, **{name: value for name, value in known.items() if value}}


class PlatformFile(msgspec.Struct, frozen=True):
    """
    The facts about the platform that a client uses, and the file that contains them.

    Attributes:
        facts: The facts.
        path: The file's path as the user specified it; `None` without a file.
    """

    facts: PlatformFacts = msgspec.field(default_factory=PlatformFacts)
    path: str | None = None

    @property
    def lag(self) -> float:
        """The seconds for which two responses of the platform may disagree."""
        return _or(self.facts.lists.lag_seconds, 10.0)

    @property
    def pause(self) -> float:
        """The seconds between two checks: 2, or more if the platform file sets a longer lag of lists."""
        return max(2.0, _or(self.facts.lists.lag_seconds, 0.0))

    @property
    def name_held(self) -> float:
        """The seconds for which a create is repeated while the platform reserves the name of a deleted container."""
        return _or(self.facts.containers.name_held_seconds, 60.0)

    @property
    def settle(self) -> float:
        """The seconds until a change of external access or of an address takes effect."""
        return self._listed(self.facts.access.settle_seconds)

    @property
    def connection_listed(self) -> float:
        """The seconds until lists show a new connection, or no longer show a deleted one."""
        return self._listed(self.facts.connections.listed_seconds)

    @property
    def backup_listed(self) -> float:
        """The seconds until a list shows a new backup."""
        return self._listed(self.facts.backups.listed_seconds)

    @property
    def backup_pinned(self) -> float:
        """The seconds until a list shows a pin, or its removal."""
        return self._listed(self.facts.backups.pinned_seconds)

    def _listed(self, known: float | None) -> float:
        """Return the seconds until lists show a change: the known seconds, plus the lag of lists."""
        return _or(known, 60.0) + _or(self.facts.lists.lag_seconds, 0.0)

    def advice(self, line: str) -> str:
        """Return how to add a setting to the file. `line` is for instance `backups: {listed_seconds: 600}`."""
        if self.path is None:
            return f"write it into a platform file, and set stacks:platform to the file's path: version: 1, {line}"
        return f"write it into the platform file {self.path}: {line}"


def _or(known: float | None, default: float) -> float:
    return default if known is None else known


UNKNOWN: Final = PlatformFile()
"""A platform without a file: the defaults apply."""

_MOST_BYTES: Final = 200_000
"""
The maximum size of the file. A file of this size is parsed in seconds, but a file of 10 MB would take minutes in each
process.
"""


def read(path: str | Path) -> PlatformFile:
    """
    Return the content of a platform file.

    Raises:
        ConfigError: The file cannot be read, or its content does not have the expected format. The message contains the
            line number.
    """
    try:
        text = text_of(Path(path), longest=_MOST_BYTES)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"the platform file {path} cannot be read: {why_unreadable(error)}", code="invalid-file"
        ) from None
    return PlatformFile(parse(text, str(path)), str(path))


# The native provider asks for the file once for each kind of resource, and each read would take 15 ms.
@functools.lru_cache(maxsize=8)
def parse(text: str, path: str) -> PlatformFacts:
    """
    Return the content of a platform file's text.

    Raises:
        ConfigError: The content does not have the expected format. The message contains the line number.
    """
    document, reader = Reader.of(text, f"the platform file {path}")
    if not isinstance(document, dict):
        raise reader.error("", f"the file needs settings: begin with `version: {VERSION}`")
    if "version" not in document:
        raise reader.error("", f"the version is missing: write `version: {VERSION}`")
    # A part without settings is allowed.
    document = {name: value for name, value in document.items() if value not in ("", {})}
    facts: PlatformFacts = reader.read(document, PlatformFacts, "")
    return facts


def schema() -> dict[str, Any]:
    """Return the JSON schema of a platform file, for completion in editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(PlatformFacts)}
