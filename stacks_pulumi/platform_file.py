"""
The facts about a platform that the API guide does not state, and the file that contains them.

The client reads what the guide shows, and has a default for what the guide leaves open: how far a list is behind, for
how long a name is held. A platform file (`stacks:platform`, `STACKS_PLATFORM`) replaces a default with an observed
fact. The acceptance run writes such a file.

    version: 1
    lists:
      lag_seconds: 20
    prices:
      field: monthly_usd

Each setting that is missing is not known: the client then uses its default.
"""

from __future__ import annotations

import functools
import threading
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
    Lists.

    Attributes:
        lag_seconds: The most seconds that a list is behind. By default, a list and a status may disagree for 10, and
            two looks are 2 apart.
    """

    lag_seconds: Seconds | None = None


class Containers(_Section, frozen=True):
    """
    Containers.

    Attributes:
        name_held_seconds: The seconds for which the name of a deleted container cannot be used. The default is 60.
        created_at_changes: Whether a start, a connection or a restore changes the creation time. By default none does.
    """

    name_held_seconds: Seconds | None = None
    created_at_changes: bool | None = None


class Access(_Section, frozen=True):
    """
    External access and allowed addresses.

    Attributes:
        settle_seconds: The most seconds until a change of external access, or of an address, is in effect. The
            default is 60.
        own_address_description: The description of the caller's address, which the platform adds. The default is that
            of the guide.
    """

    settle_seconds: Seconds | None = None
    own_address_description: str | None = None


class Connections(_Section, frozen=True):
    """
    Connections.

    Attributes:
        listed_seconds: The seconds until a new connection is listed. The default is 60.
    """

    listed_seconds: Seconds | None = None


class Backups(_Section, frozen=True):
    """
    Backups.

    Attributes:
        listed_seconds: The seconds until a new backup is listed. The default is 60.
        pinned_seconds: The seconds until a list shows a pin, or its removal. The default is 60.
    """

    listed_seconds: Seconds | None = None
    pinned_seconds: Seconds | None = None


class Prices(_Section, frozen=True):
    """
    Prices in the list of templates.

    Attributes:
        field: The path of the price in a template, for instance `pricing.monthly`. By default the only one is taken.
        unit: The unit of the number. By default dollars, if the catalogue shows that.
    """

    field: str | None = None
    unit: Literal["dollars", "cents"] | None = None


class PlatformFacts(_Section, frozen=True):
    """
    The facts about a platform: the content of a platform file.

    Attributes:
        version: The version of the format.
        lists: Lists.
        containers: Containers.
        access: External access.
        connections: Connections.
        backups: Backups.
        prices: Prices.
    """

    version: Literal[1] = 1
    lists: Lists = Lists()
    containers: Containers = Containers()
    access: Access = Access()
    connections: Connections = Connections()
    backups: Backups = Backups()
    prices: Prices = Prices()

    def as_json(self) -> dict[str, Any]:
        """Return the settings that the file has."""
        known = msgspec.to_builtins(self)
        return {"version": VERSION, **{name: value for name, value in known.items() if value}}


class PlatformFile(msgspec.Struct, frozen=True):
    """
    The facts about the platform that a client talks to, and their file.

    Attributes:
        facts: The facts.
        path: The file that says it, as it was given; `None` without a file.
    """

    facts: PlatformFacts = msgspec.field(default_factory=PlatformFacts)
    path: str | None = None

    @property
    def lag(self) -> float:
        """The seconds for which two answers of the platform may disagree."""
        return _or(self.facts.lists.lag_seconds, 10.0)

    @property
    def pause(self) -> float:
        """The seconds between two looks: 2, or longer where the platform file says that lists are further behind."""
        return max(2.0, _or(self.facts.lists.lag_seconds, 0.0))

    @property
    def name_held(self) -> float:
        """The seconds for which the name of a container that was deleted is tried again."""
        return _or(self.facts.containers.name_held_seconds, 60.0)

    @property
    def settle(self) -> float:
        """The seconds in which a change of external access or of an address comes into effect."""
        return self._listed(self.facts.access.settle_seconds)

    @property
    def connection_listed(self) -> float:
        """The seconds in which a new connection is listed, and a deleted one is not."""
        return self._listed(self.facts.connections.listed_seconds)

    @property
    def backup_listed(self) -> float:
        """The seconds in which a new backup is listed."""
        return self._listed(self.facts.backups.listed_seconds)

    @property
    def backup_pinned(self) -> float:
        """The seconds in which a list shows a pin, or its removal."""
        return self._listed(self.facts.backups.pinned_seconds)

    def _listed(self, known: float | None) -> float:
        """Return the seconds until lists show something that takes so long: lists may be behind, too."""
        return _or(known, 60.0) + _or(self.facts.lists.lag_seconds, 0.0)

    def advice(self, line: str) -> str:
        """Return where a user writes a line, for instance `backups: {listed_seconds: 600}`."""
        if self.path is None:
            return f"write it into a platform file, and name that in stacks:platform: version: 1, {line}"
        return f"write it into the platform file {self.path}: {line}"


def _or(known: float | None, default: float) -> float:
    return default if known is None else known


UNKNOWN: Final = PlatformFile()
"""A platform without a file: the defaults apply."""

_MOST_BYTES: Final = 200_000
"""Such a file is read in seconds. Each process reads it, and one of 10 MB would take minutes."""
_GONE: Final = (
    ". An older version had more settings: remove the line, because the client now reads what the guide shows, and "
    "refuses the rest by name"
)

_converting: Final = threading.Lock()


def read(path: str | Path) -> PlatformFile:
    """
    Return what a platform file says.

    Raises:
        ConfigError: The file cannot be read, or says something that is not in the format. The message has the line.
    """
    try:
        text = text_of(Path(path), longest=_MOST_BYTES)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"the platform file {path} cannot be read: {why_unreadable(error)}", code="invalid-file"
        ) from None
    return PlatformFile(parse(text, str(path)), str(path))


# The native provider reads the file once for each kind of resource, and a file takes 15 ms.
@functools.lru_cache(maxsize=8)
def parse(text: str, path: str) -> PlatformFacts:
    """
    Return what the text of a platform file says.

    Raises:
        ConfigError: It says something that is not in the format. The message has the line.
    """
    document, reader = Reader.of(text, f"the platform file {path}", unknown=_GONE)
    if not isinstance(document, dict):
        raise reader.error("", f"settings are needed: begin with `version: {VERSION}`")
    if "version" not in document:
        raise reader.error("", f"its version is missing: write `version: {VERSION}`")
    # A part without settings is empty, and no mistake.
    document = {name: value for name, value in document.items() if value not in ("", {})}
    # Two threads that convert to a type for the first time at the same moment crash the interpreter (msgspec 0.22).
    with _converting:
        facts: PlatformFacts = reader.read(document, PlatformFacts, "")
    return facts


def schema() -> dict[str, Any]:
    """Return the JSON schema of a platform file, for completion in editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(PlatformFacts)}
