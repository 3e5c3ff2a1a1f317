"""
The configuration of a rule: its options, their types and values, and the file that sets them.

The engine checks a pack's configuration against the schemas, but it ignores misspelt names without a message. If a pack
runs without the engine, these checks may be missing. So this module checks the entire configuration again, and an error
in it is a violation. Otherwise, a limit with a misspelt name would have no effect, and every stack would seem to be
within the limit.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from stacks_pulumi._identifiers import did_you_mean
from stacks_pulumi.errors import with_code
from stacks_pulumi.pricing.money import usd

Schema: TypeAlias = dict[str, Any]


class OptionError(Exception):
    """Raised if a value is invalid for its option. The text continues a sentence that begins with the option's name."""


@dataclass(frozen=True)
class Option:
    """
    One option of a rule.

    Attributes:
        name: Its key in the configuration.
        schema: The JSON schema, for the engine and for the documentation. It contains the default if there is one.
        parse: Converts the raw value to a typed value. Raises `OptionError`.
        shared: Whether several policies of a pack have this limit. If so, it must be set for all of them.
        catalogue: The names that the option accepts in addition to those in `new_names`; empty if it accepts any name.
    """

    name: str
    schema: Schema
    parse: Callable[[Any], Any]
    shared: bool = False
    catalogue: tuple[str, ...] = ()

    @property
    def default(self) -> Any:
        """The raw default; `None` if the option has none."""
        return self.schema.get("default")

    @property
    def help(self) -> str:
        """Its effect, in one line."""
        return str(self.schema["description"])


def money(name: str, help: str, default: Decimal | None = None) -> Option:
    """Return an option for an amount in US dollars a month."""

    def parse(raw: Any) -> Decimal:
        if isinstance(raw, bool) or not isinstance(raw, int | float) or not Decimal(str(raw)).is_finite():
            raise OptionError("is not an amount in US dollars, such as 12.50")
        # Convert the number through its text, so that 19.99 stays 19.99.
        amount = Decimal(str(raw))
        if amount < 0:
            raise OptionError(f"is less than {usd(Decimal(0))}")
        return amount

    return Option(name, _schema("number", help, default and float(default), minimum=0.0), parse)


def whole(name: str, help: str, default: int | None = None, most: int = 1_000_000, least: int = 0) -> Option:
    """Return an option for a whole number from `least` to `most`."""

    def parse(raw: Any) -> int:
        if isinstance(raw, bool) or not isinstance(raw, int | float) or raw != raw // 1:
            raise OptionError("is not a whole number")
        if not least <= raw <= most:
            raise OptionError(f"is not between {least} and {most}")
        return int(raw)

    return Option(name, _schema("integer", help, default, minimum=least, maximum=most), parse)


def percent(name: str, help: str, default: int) -> Option:
    """Return an option for a whole percentage, 1 to 100."""
    return whole(name, help, default, most=100, least=1)


def choice(name: str, help: str, *words: str) -> Option:
    """Return an option for one of several words; the first is the default."""

    def parse(raw: Any) -> str:
        if raw not in words:
            raise OptionError(f"is not one of {', '.join(words)}")
        return str(raw)

    return Option(name, _schema("string", help, words[0], enum=list(words)), parse)


def names(
    name: str, help: str, default: tuple[str, ...] | None = None, *, catalogue: Iterable[str]
) -> Option:
    """Return an option for a list of names from the catalogue."""
    default_list = None if default is None else list(default)
    schema = _schema("array", help, default_list, items={"type": "string"})
    return Option(name, schema, _names, catalogue=tuple(catalogue))


NEW_NAMES: Final = "new_names"


def new_names() -> Option:
    """Return the option for names that exist on the platform, but not in this version's catalogue."""
    help = "names to accept in the lists above, although they are not in this version's catalogue"
    return Option(NEW_NAMES, _schema("array", help, [], items={"type": "string"}), _names)


def names_by_tag(name: str, help: str, *, catalogue: Iterable[str]) -> Option:
    """Return an option that maps stack tags to lists of names from the catalogue: `{"env=prod": [...]}`."""

    def parse(raw: Any) -> dict[str, tuple[str, ...]]:
        if not isinstance(raw, Mapping):
            raise OptionError('is not an object such as {"env=prod": ["standard"]}')
        return {_tag(key): _names(value) for key, value in raw.items()}

    lists = {"type": "array", "items": {"type": "string"}}
    schema = _schema("object", help, None, additionalProperties=lists)
    return Option(name, schema, parse, catalogue=tuple(catalogue))


def tag(name: str, help: str) -> Option:
    """Return an option for a stack tag with its value: `env=prod`."""
    return Option(name, _schema("string", help, None, pattern="^[^=]+=.*$"), _tag)


def pattern(name: str, help: str) -> Option:
    """Return an option for a regular expression."""

    def parse(raw: Any) -> re.Pattern[str]:
        try:
            return re.compile(raw)
        except (re.error, TypeError, OverflowError, RecursionError) as error:
            raise OptionError(f"is not a regular expression ({error})") from None

    return Option(name, _schema("string", help, None), parse)


def _schema(kind: str, description: str, default: Any, **more: Any) -> Schema:
    schema = {"type": kind, "description": description, **more}
    return schema if default is None else {**schema, "default": default}


def _names(raw: Any) -> tuple[str, ...]:
    if not isinstance(raw, list | tuple) or not all(isinstance(item, str) for item in raw):
        raise OptionError("is not a list of names")
    return tuple(raw)


def _tag(raw: Any) -> str:
    if not isinstance(raw, str) or not raw.partition("=")[0] or "=" not in raw:
        raise OptionError("is not a stack tag with its value, such as env=prod")
    return raw


_NO_TAGS: Final[Mapping[str, str]] = MappingProxyType({})


class Settings:
    """
    The settings that a rule receives: its configuration, completed with the defaults, and the tags of the stack.

    Attributes:
        problems: The errors in the configuration, each as one text. If there is an error, the rule is not run.
        tags: The tags of the stack.
    """

    def __init__(
        self,
        options: tuple[Option, ...],
        raw: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] = _NO_TAGS,
    ) -> None:
        self.tags = tags
        self.problems: list[str] = []
        self._values: dict[str, Any] = {}
        raw = raw or {}
        known = [option.name for option in options]
        self.problems += [
            f"{key!r} is not an option; the options are {', '.join(known)}" for key in raw if key not in known
        ]
        for option in options:
            value = raw.get(option.name, option.default)
            if value is None and option.name in raw:
                self.problems.append(f"{option.name!r} is null: write a value, or leave the option out")
            try:
                self._values[option.name] = None if value is None else option.parse(value)
            except OptionError as error:
                self.problems.append(f"{option.name!r} {error}")
        for option in options:
            self.problems += self._not_in_catalogue(option)

    def _not_in_catalogue(self, option: Option) -> Iterator[str]:
        """
        Yield an error for each unknown name, because a misspelt name in a list of denied names would deny nothing.
        """
        value = self._values.get(option.name)
        if not option.catalogue or value is None:
            return
        given = [name for names in value.values() for name in names] if isinstance(value, dict) else value
        for name in given:
            if name not in option.catalogue and name not in (self._values.get(NEW_NAMES) or ()):
                meant = did_you_mean(name, option.catalogue)
                yield (
                    f"{option.name!r} contains {name!r}, which is not in the catalogue{meant}; if the name is new, "
                    f"add it to {NEW_NAMES} as well"
                )

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def money(self, name: str) -> Decimal | None:
        """Return the value of an option that `money` created."""
        value = self._values[name]
        return value if isinstance(value, Decimal) else None

    def names(self, name: str) -> tuple[str, ...]:
        """Return the value of an option that `names` created; empty if it is not set."""
        return self._values[name] or ()

    def tagged(self, tag: str) -> bool:
        """Return whether the stack has a tag with this value (`env=prod`)."""
        key, _, value = tag.partition("=")
        return self.tags.get(key) == value


@dataclass(frozen=True)
class PolicyException:
    """
    An exception in a file of version 2. The engine (3.272 or newer) reports the violations that the exception covers,
    but allows them.

    The engine ignores `expires`, and never passes exceptions to a pack. So `expires` has an effect only where
    `read_configuration` reads the file.

    Attributes:
        id: Its key in the file.
        reason: The reason, which the engine requires too.
        expires: The last day on which it is valid, in UTC.
        matches: Pairs of policies and URNs. A pair covers the violations of each of its policies on each of its
            resources.
    """

    id: str
    reason: str
    expires: datetime.date
    matches: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]

    def covers(self, policy: str, urn: str) -> bool:
        """Return whether the engine allows a violation of this policy on this resource."""
        return any(policy in policies and urn in urns for policies, urns in self.matches)


@dataclass(frozen=True)
class Configuration:
    """
    The content of a file for `--policy-pack-config`.

    Attributes:
        policies: Policy (or `all`) -> a level or an object, unchanged from the file.
        exceptions: The valid exceptions; empty if the file has no version.
        problems: The problems in the file. The names of policies and options are not checked, because only the pack
            knows them.
    """

    policies: Mapping[str, Any]
    exceptions: tuple[PolicyException, ...] = ()
    problems: tuple[str, ...] = ()


_KEYS_OF_FILE: Final = ("version", "policies", "exceptions")
_KEYS_OF_EXCEPTION: Final = ("reason", "expires", "match")
_KEYS_OF_MATCH: Final = ("policies", "targets")
_ID: Final = re.compile(r"[A-Za-z0-9_.-]+", re.ASCII)
_URN: Final = re.compile(r"urn:pulumi:[^:]+::[^:]+::.+::.+", re.DOTALL)


def read_configuration(text: str, today: datetime.date, longest: int) -> Configuration:
    """
    Return the content of a file for `--policy-pack-config`, of version 2 or without a version.

    The engine is less strict: it uses the last of several equal keys, ignores unknown keys, accepts known keys in any
    letter case, and applies exceptions permanently. This function reports each of these cases as a problem.

    Args:
        text: The file's content.
        today: The current day in UTC, which is compared with the end dates of exceptions.
        longest: The maximum number of days from today for which an exception may be valid.
    """
    problems: list[str] = []

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        problems.extend(
            f"the key {key!r} occurs twice in one object, and the engine uses only the last one"
            for key in dict.fromkeys(key for key in keys if keys.count(key) > 1)
        )
        return dict(pairs)

    def refuse(word: str) -> None:
        raise OptionError(f"{word} is not a valid number in JSON")

    try:
        document = json.loads(text, object_pairs_hook=once, parse_constant=refuse)
    except (ValueError, RecursionError, OptionError) as error:
        empty = "it is empty, which the engine treats as no configuration"
        return _no_configuration(f"not JSON: {error}" if text.strip() else empty)
    if not isinstance(document, dict):
        return _no_configuration("it is not an object with an entry for each policy")
    found = configuration_of(document, today, longest)
    coded = (with_code(problem, "policy-settings") for problem in (*problems, *found.problems))
    return Configuration(found.policies, found.exceptions, tuple(coded))


def _no_configuration(why: str) -> Configuration:
    return Configuration({}, (), (with_code(why, "invalid-file"),))


def configuration_of(document: Mapping[str, Any], today: datetime.date, longest: int) -> Configuration:
    """Return the configuration from a file's decoded content. The problems that it reports have no error codes."""
    version = document.get("version")
    # The engine treats any other value of `version` as the entry of a policy with this name.
    if not isinstance(version, int | float) or isinstance(version, bool):
        return Configuration(document)
    problems: list[str] = []
    if version != 2:
        problems.append(f"its version is {version}: it must be 2, or the file must have no version")
    problems += _unknown_keys(document, _KEYS_OF_FILE, "a file of version 2")
    policies = document.get("policies", {})
    if not isinstance(policies, Mapping):
        problems.append("'policies' is not an object with an entry for each policy")
        policies = {}
    given = document.get("exceptions", {})
    if not isinstance(given, Mapping):
        problems.append("'exceptions' is not an object with an exception for each id")
        given = {}
    exceptions = []
    for id_, raw in given.items():
        try:
            exceptions.append(_exception(id_, raw, today, longest))
        except OptionError as error:
            problems.append(f"exception {id_!r} {error}")
    return Configuration(policies, tuple(exceptions), tuple(problems))


def _exception(id_: str, raw: Any, today: datetime.date, longest: int) -> PolicyException:
    if not _ID.fullmatch(id_):
        raise OptionError("has an invalid id: only letters, digits, '-', '.' and '_' are allowed")
    if not isinstance(raw, Mapping):
        raise OptionError(f"is not an object ({', '.join(_KEYS_OF_EXCEPTION)})")
    for problem in _unknown_keys(raw, _KEYS_OF_EXCEPTION, "an exception"):
        raise OptionError(f"is wrong: {problem}")
    reason, expires = reason_and_end(raw)
    if expires < today:
        raise OptionError(f"ended on {expires}, but the engine still applies it: remove the exception")
    if late := too_late(expires, today, longest):
        raise OptionError(late)
    match = raw.get("match")
    if not isinstance(match, list) or not match:
        raise OptionError("has no list of policies and targets in match")
    return PolicyException(id_, reason, expires, tuple(_match(one) for one in match))


def _match(raw: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if not isinstance(raw, Mapping):
        raise OptionError(f"has an entry in match that is not an object ({', '.join(_KEYS_OF_MATCH)})")
    for problem in _unknown_keys(raw, _KEYS_OF_MATCH, "an entry of match"):
        raise OptionError(f"is wrong: {problem}")
    found = []
    for key in _KEYS_OF_MATCH:
        try:
            found.append(_names(raw.get(key)))
        except OptionError as error:
            raise OptionError(f"has {key!r} in match, which {error}") from None
        if not found[-1]:
            raise OptionError(f"has no {key} in an entry of match")
    policies, targets = found
    if "all" in policies or "" in policies:
        raise OptionError("must list its policies by name, not 'all' and not ''")
    wrong = [target for target in targets if not _URN.fullmatch(target)]
    if wrong:
        raise OptionError(f"has the target {wrong[0]!r}, which is not the URN of a resource")
    return policies, targets


def _unknown_keys(raw: Mapping[str, Any], known: tuple[str, ...], what: str) -> Iterator[str]:
    """Yield a text for each unknown key. The engine ignores such a key, or accepts it if only its case differs."""
    for key in raw:
        if key not in known:
            meant = did_you_mean(str(key), known)
            yield f"{key!r} is not a key of {what}{meant}; the keys are {', '.join(known)}"


def reason_and_end(raw: Mapping[str, Any]) -> tuple[str, datetime.date]:
    """
    Return the reason for an exemption or exception, and the last day on which it is valid (UTC).

    Raises:
        OptionError: The reason or the end date is missing or invalid.
    """
    reason, expires = raw.get("reason", ""), raw.get("expires", "")
    if not isinstance(reason, str) or not reason.strip():
        raise OptionError("has no reason")
    try:
        return reason.strip(), datetime.date.fromisoformat(expires)
    except (TypeError, ValueError):
        raise OptionError("needs a valid date in expires, such as 2030-12-31") from None


def too_late(expires: datetime.date, today: datetime.date, longest: int) -> str:
    """Return the error for an end date that is too far in the future; otherwise an empty string."""
    latest = today + datetime.timedelta(longest)
    if expires <= latest:
        return ""
    return f"ends on {expires}, more than {longest} days from now: the latest possible date is {latest}"
