"""
The facts about a platform that the API guide does not state, and the file that contains them.

The guide leaves much open: the words for a status, the seconds until a new container is visible.
The client tolerates all of that within its defaults. A platform file (`stacks:platform`, `STACKS_PLATFORM`) replaces a
default with an observed fact. The acceptance run writes such a file, and the emulator plays the platform that one
describes.

    version: 1
    containers:
      statuses: {active: running}
      visible_seconds: 45
    lists:
      lag_seconds: 20

Each setting that is missing is not known. The client then uses its tolerant default, and the emulator does what the
guide says.
"""

from __future__ import annotations

import difflib
import functools
import json
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from stacks_pulumi.config import text_of, why_unreadable, without_keys
from stacks_pulumi.errors import ConfigError

VERSION: Final = 1
"""The version of the format."""

Seconds = Annotated[float, msgspec.Meta(ge=0, le=86400)]
Words = dict[str, str]
"""The platform's words, each with the word that is used here. They are compared without case."""

ContainerStatus = Literal[
    "pending", "starting", "running", "stopping", "stopped", "restarting", "error", "deleting", "deleted"
]
BackupStatus = Literal["in_progress", "completed", "failed"]
BackupType = Literal["scheduled", "manual"]

Operation = Literal["start", "restart", "connect", "external_access", "restore"]
Shape = Literal["guide", "bare", "wrapped", "text", "strings", "terse", "empty"]


class _Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A part of the file."""


class Lists(_Section, frozen=True):
    """
    How lists are answered.

    Attributes:
        rows: The path of the rows in the answer, for instance `items` or `result.containers`; empty if the answer is
            the rows.
        next: Where an answer names the next page: the path of a field (`meta.next`) that has an address, a cursor or a
            page number, or `Link` for the header. `none` if it names none although there are more rows.
        next_form: What that field has: an address, a cursor, a page number, a flag that there is more, the number of
            all rows, or the number of the last page.
        parameter: The query parameter that asks for the next page with a cursor, a page number or an offset.
        page_size: The most rows of one answer.
        page_code: The status code of an answer with only a part of the rows.
        count_is_rows: Whether `count` is the number of rows. If it is false, a higher `count` means nothing.
        empty: How an empty list is answered: as a list, as `null` (`nothing`), or with the code of a `missing` object.
        lag_seconds: The most seconds that a list is behind. By default, a list and a status may disagree for 10, and
            two looks are 2 apart.
        lag_in: Whether all lists are behind, or every second one, as with two servers that take turns.
        cache_seconds: The seconds for which an answer to a GET request may be an older one, unless the request has
            `Cache-Control: no-cache`.
    """

    rows: str | None = None
    next: str | None = None
    next_form: Literal["address", "cursor", "page", "flag", "total", "last_page"] | None = None
    parameter: str | None = None
    page_size: Annotated[int, msgspec.Meta(ge=1)] | None = None
    page_code: Literal[200, 206] | None = None
    count_is_rows: bool | None = None
    empty: Literal["list", "nothing", "missing"] | None = None
    lag_seconds: Seconds | None = None
    lag_in: Literal["all", "every_second"] | None = None
    cache_seconds: Seconds | None = None


class Containers(_Section, frozen=True):
    """
    How containers are described, and when they appear and disappear.

    Attributes:
        statuses: The platform's words for a status: `{active: running}`.
        status_form: Whether a status is a text, a number, or an object with a text in it.
        boot_statuses: The statuses of a container that boots, in the platform's words, before it is `running`.
        plans: The platform's words for a plan: `{Basic Plan: basic}`.
        templates: The platform's words for a template: `{node: nodejs}`.
        type_is: Whether `type` in the list is the template, or its category (`Database`).
        name_prefix: What the platform puts before a container's name.
        name_case: Whether the platform keeps the case of a name.
        name_taken: Whether a create request for a name that is taken is refused, or answered with the container that
            has the name.
        id_form: Whether an id is made of the name, or is a number or a UUID.
        create_code: The status code of the answer to a create request.
        create_id: Whose id the answer to a create request has: the container's, the request's, or none.
        visible_seconds: The most seconds until a new container is visible anywhere. The client's default is 120.
        listed_seconds: The seconds until a list shows a new container.
        found_seconds: The seconds until its status is found.
        status_lag_seconds: The seconds that a status is behind.
        listed_while_pending: Whether a list shows a container before it runs.
        listed_while_stopped: Whether a list and a status show a container that is stopped.
        tombstone: The status of a container that is deleted and still listed.
        tombstone_seconds: For how many seconds it is listed. If only `tombstone` is given, for ever.
        name_held_seconds: The seconds for which the name of a deleted container cannot be used. The client's default
            is 60.
        storage_unit: The unit of storage.
        created_at_in: Which answers have the creation time.
        created_at_changes: The operations after which the creation time is another one.
    """

    statuses: dict[str, ContainerStatus] | None = None
    status_form: Literal["text", "number", "object"] | None = None
    boot_statuses: list[str] | None = None
    plans: Words | None = None
    templates: Words | None = None
    type_is: Literal["template", "category"] | None = None
    name_prefix: str | None = None
    name_case: Literal["kept", "lower"] | None = None
    name_taken: Literal["refused", "answered"] | None = None
    id_form: Literal["name", "number", "uuid"] | None = None
    create_code: Literal[200, 201, 202] | None = None
    create_id: Literal["container", "request", "none"] | None = None
    visible_seconds: Seconds | None = None
    listed_seconds: Seconds | None = None
    found_seconds: Seconds | None = None
    status_lag_seconds: Seconds | None = None
    listed_while_pending: bool | None = None
    listed_while_stopped: bool | None = None
    tombstone: str | None = None
    tombstone_seconds: Seconds | None = None
    name_held_seconds: Seconds | None = None
    storage_unit: Literal["MB", "GB"] | None = None
    created_at_in: Literal["both", "list", "status"] | None = None
    created_at_changes: list[Operation] | None = None


class Access(_Section, frozen=True):
    """
    External access and allowed addresses.

    Attributes:
        settle_seconds: The most seconds until a change of external access, or of an address, is in effect. The
            client's default is 60.
        url_in_answer: Whether the answer that opens a container has its `url`.
        own_address_seconds: The seconds until the caller's address is in the list.
        own_address_description: The description of the caller's address.
        address_form: Whether an address is listed as it was given, or with its prefix length (`198.51.100.7/32`).
    """

    settle_seconds: Seconds | None = None
    url_in_answer: bool | None = None
    own_address_seconds: Seconds | None = None
    own_address_description: str | None = None
    address_form: Literal["given", "network"] | None = None


class Connections(_Section, frozen=True):
    """
    Connections.

    Attributes:
        listed_at: Which of the two containers lists a connection.
        listed_seconds: The seconds until a new connection is listed. The client's default is 60.
        removal_seconds: The seconds until a deleted connection is no longer listed.
        name_form: How the platform spells a connection's name: as it is given, in lower case, or with an addition that
            makes it unique.
        restarts_both: Whether a connection restarts both containers.
    """

    listed_at: Literal["both", "source", "target"] | None = None
    listed_seconds: Seconds | None = None
    removal_seconds: Seconds | None = None
    name_form: Literal["given", "lower", "unique"] | None = None
    restarts_both: bool | None = None


class Backups(_Section, frozen=True):
    """
    Backups.

    Attributes:
        statuses: The platform's words for a status: `{done: completed}`.
        types: The platform's words for a type: `{on-demand: manual}`.
        id_form: Whether an id is a number or a UUID.
        listed_seconds: The seconds until a new backup is listed. The client's default is 60.
        pinned_seconds: The seconds until a list shows a pin, or its removal. The client's default is 60.
        pinned_form: Whether `pinned` is a flag or the time of the pin.
    """

    statuses: dict[str, BackupStatus] | None = None
    types: dict[str, BackupType] | None = None
    id_form: Literal["number", "uuid"] | None = None
    listed_seconds: Seconds | None = None
    pinned_seconds: Seconds | None = None
    pinned_form: Literal["flag", "time"] | None = None


class VpnClients(_Section, frozen=True):
    """
    VPN clients.

    Attributes:
        config_in: Whether the configuration can be downloaded at any time, or once, or only the answer to the create
            request has it.
    """

    config_in: Literal["download", "once", "create"] | None = None


class Prices(_Section, frozen=True):
    """
    Prices in the list of templates.

    Attributes:
        field: The path of the price in a template, for instance `pricing.monthly`.
        unit: The unit of the number.
        per: The period of the price. A price per hour is not read.
        form: Whether it is a number, a text of digits, or a text with a currency (`$4.00`).
    """

    field: str | None = None
    unit: Literal["dollars", "cents"] | None = None
    per: Literal["month", "hour"] | None = None
    form: Literal["number", "text", "currency"] | None = None


class Errors(_Section, frozen=True):
    """
    Errors.

    Attributes:
        unavailable: What a 503 in answer to a create request means: the waitlist, or an outage.
        outage_seconds: For how many seconds an outage answers all requests with 503.
        waitlist_seconds: The seconds after which a container of the waitlist is created.
        missing_code: The status code for an object that does not exist.
        conflict_code: The status code for a name that is taken, and for an operation that the present status forbids.
        form: The form of an error: the guide's, an object in `error`, a text in `detail`, problem+json, a list in
            `errors`, plain text, or a web page.
        rate_headers: The names and the unit of the headers about the rate limit: the guide's, `RateLimit-*` with the
            seconds that are left, a time in milliseconds, or none.
    """

    unavailable: Literal["waitlist", "outage"] | None = None
    outage_seconds: Seconds | None = None
    waitlist_seconds: Seconds | None = None
    missing_code: Literal[403, 404, 410] | None = None
    conflict_code: Literal[400, 409] | None = None
    form: Literal["guide", "nested", "detail", "problem", "list", "text", "html"] | None = None
    rate_headers: Literal["guide", "draft", "milliseconds", "none"] | None = None


class Answers(_Section, frozen=True):
    """
    The form of answers, whatever they are about.

    Attributes:
        shapes: The shapes of answers that the guide does not specify: `{containers.logs: text}`, `*` for all others.
        keys: How names of fields are spelt.
        wrapped: Whether an object is as in the guide, always in `data`, or never.
        unknown_fields: Whether objects have fields that are not in the guide.
        times: The form of times: the guide's, with an offset, without a zone, in microseconds, seconds or milliseconds
            since 1970, an HTTP date, or seconds in one endpoint and the guide's in another.
        clock_ahead_seconds: How many seconds the platform's clock is ahead; negative if it is behind.
    """

    shapes: dict[str, Shape] | None = None
    keys: Literal["guide", "camel", "snake"] | None = None
    wrapped: Literal["guide", "data", "flat"] | None = None
    unknown_fields: bool | None = None
    times: Literal["guide", "offset", "zoneless", "micro", "epoch", "epoch_ms", "http", "mixed"] | None = None
    clock_ahead_seconds: Annotated[float, msgspec.Meta(ge=-86400, le=86400)] | None = None


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
        vpn_clients: VPN clients.
        prices: Prices.
        errors: Errors.
        answers: The form of answers.
    """

    version: Literal[1] = 1
    lists: Lists = Lists()
    containers: Containers = Containers()
    access: Access = Access()
    connections: Connections = Connections()
    backups: Backups = Backups()
    vpn_clients: VpnClients = VpnClients()
    prices: Prices = Prices()
    errors: Errors = Errors()
    answers: Answers = Answers()

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
    def visible(self) -> float:
        """The seconds after which a new container that was never seen counts as missing."""
        return _or(self.facts.containers.visible_seconds, 120.0)

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
        """Return where a user writes a line, for instance `containers: {statuses: {active: running}}`."""
        if self.path is None:
            return f"write it into a platform file, and name that in stacks:platform: version: 1, {line}"
        return f"write it into the platform file {self.path}: {line}"


_PLAIN: Final = re.compile(r"\w(?:[\w ./+-]*\w)?", re.ASCII)


def as_yaml(word: str) -> str:
    """Return a word of the API as it is written in a platform file: quoted, where YAML would read something else."""
    return word if _PLAIN.fullmatch(word) else in_json(word)


def in_json(value: Any) -> str:
    """Return a value as JSON that is YAML too: YAML has one escape for a character, and JSON two for an emoji."""
    text = json.dumps(value, ensure_ascii=False)
    return "".join(char if char.isprintable() else f"\\U{ord(char):08X}" for char in text)


def _or(known: float | None, default: float) -> float:
    return default if known is None else known


UNKNOWN: Final = PlatformFile()
"""A platform without a file: the defaults apply."""

_MOST_VALUES: Final = 10_000
"""A file needs hundreds. Aliases of aliases in a few lines could say billions."""
_MOST_BYTES: Final = 200_000
"""Such a file is read in seconds. Each process reads it, and one of 10 MB would take minutes."""

_converting: Final = threading.Lock()
_UNKNOWN_FIELD: Final = re.compile(r"unknown field `(.*?)`")


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

    Args:
        text: YAML.
        path: The name of the file, for messages.

    Raises:
        ConfigError: It says something that is not in the format. The message has the line.
    """
    document, lines = positioned(text, lambda line, problem: _wrong(path, line, problem))
    if not isinstance(document, dict):
        raise _wrong(path, 1, f"settings are needed: begin with `version: {VERSION}`")
    if "version" not in document:
        raise _wrong(path, 1, f"its version is missing: write `version: {VERSION}`")
    # A part without settings is empty, and not a text.
    document = {name: value for name, value in document.items() if value != ""}
    try:
        # Two threads that convert to a type for the first time at the same moment crash the interpreter (msgspec 0.22).
        with _converting:
            return msgspec.convert(document, PlatformFacts, strict=False)
    except msgspec.ValidationError as error:
        try:
            where, problem = _explained(str(error), document)
        except (LookupError, AttributeError):
            # The message has texts of the file, and one of them looks like a part of the message.
            where, problem = "", "it is not in the format"
        raise _wrong(path, lines.get(where) or lines.get(where.split("[")[0], 1), problem) from None


def positioned(text: str, wrong: Callable[[int, str], ConfigError]) -> tuple[Any, dict[str, int]]:
    """
    Return the content of a YAML text, with every scalar as text, and the line of each value by its path (`.a.b`).

    Args:
        text: YAML.
        wrong: Returns the error for a line and what is wrong there.

    Raises:
        ConfigError: It is not YAML, has a name twice, or is too large.
    """
    import yaml  # noqa: PLC0415  (only such a file needs it)

    lines: dict[str, int] = {"": 1}
    left = _MOST_VALUES

    def plain(node: yaml.Node, where: str) -> Any:
        """Return the node's value, with every scalar as text: a word of the platform may be `on` or `3`."""
        nonlocal left
        left -= 1
        if left < 0:
            raise wrong(node.start_mark.line + 1, f"it has more than {_MOST_VALUES} values")
        lines.setdefault(where, node.start_mark.line + 1)
        if isinstance(node, yaml.SequenceNode):
            return [plain(entry, f"{where}[{index}]") for index, entry in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode):
            values: dict[str, Any] = {}
            names: set[str] = set()
            for key, value in node.value:
                name, line = str(key.value), key.start_mark.line + 1
                if not isinstance(key, yaml.ScalarNode):
                    raise wrong(line, "a name is needed before the colon")
                # Words are compared without case, so two spellings of one would say two things.
                if name.casefold() in names:
                    raise wrong(line, f"{name} is there twice")
                names.add(name.casefold())
                lines[f"{where}.{name}"] = line
                values[name] = plain(value, f"{where}.{name}")
            return values
        return node.value

    try:
        node = yaml.compose(text, yaml.BaseLoader)
        return ({} if node is None else plain(node, "")), lines
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise wrong(1 if mark is None else mark.line + 1, "it is not YAML") from None
    except RecursionError:
        raise wrong(1, "it is nested too deeply") from None


def schema() -> dict[str, Any]:
    """Return the JSON schema of a platform file, for completion in editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(PlatformFacts)}


def _wrong(path: str, line: int, problem: str) -> ConfigError:
    return ConfigError(f"the platform file {path}, line {line}: {problem}", code="invalid-file")


def _explained(message: str, document: Mapping[str, Any]) -> tuple[str, str]:
    """Return where in the document msgspec found an error, and what is wrong there in words of the file."""
    where = message.partition(" - at `$")[2].removesuffix("`")
    steps = where.split("[")[0].split(".")[1:]
    unknown = _UNKNOWN_FIELD.search(message)
    if unknown:
        names = _section(steps).__struct_fields__
        near = difflib.get_close_matches(unknown[1], names, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"
        return f"{where}.{unknown[1]}", f"there is no setting {unknown[1]}; {hint}"
    value: Any = document
    for step in steps:
        value = value[step]
    shown = f" is {without_keys(value)!r}, and" if isinstance(value, str) else ""
    wanted = _in_words(get_type_hints(_section(steps[:-1]), include_extras=True)[steps[-1]])
    return where, f"{steps[-1]}{shown} must be {wanted}"


def _section(steps: Sequence[str]) -> type[_Section]:
    kind: type[_Section] = PlatformFacts
    for step in steps:
        kind = get_type_hints(kind)[step]
    return kind


def _in_words(kind: Any) -> str:
    """Return what a setting of this type must be."""
    choices = [part for part in get_args(kind) if part is not type(None)]
    origin = get_origin(kind)
    if origin in {Union, UnionType}:
        return _in_words(choices[0])
    if origin is Literal:
        return f"one of {', '.join(map(str, choices))}" if len(choices) > 1 else str(choices[0])
    if origin is list:
        return f"a list; each entry is {_in_words(choices[0])}"
    if origin is dict:
        return f"words of the platform, each with what it means: {_in_words(choices[1])}"
    if origin is Annotated:
        return "a number of seconds, 86400 at most" if choices[0] is float else "a whole number, 1 or more"
    return {bool: "true or false", str: "a text"}.get(kind, "a group of settings")
