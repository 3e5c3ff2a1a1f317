"""
The settings of a provider, and how they are checked.

An error contains no value. It also has no property, because the engine would print the property's value: the value of a
misspelt setting may be a key.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from google.protobuf import struct_pb2

from stacks_pulumi import config
from stacks_pulumi._identifiers import name_of, stack_and_project
from stacks_pulumi._pulumi_cli import find_project, read_project
from stacks_pulumi.errors import ConfigError, with_account, with_code, without_keys
from stacks_pulumi.hosts.plugin.wire import from_value, in_camel_case, unknown_names
from stacks_pulumi.pricing.recognition import is_unknown
from stacks_pulumi.resources._values import plain

_ENGINES_OWN: Final = frozenset({"version", "pluginDownloadURL", "pluginChecksums"})

_NOT_OF_THE_PLUGIN: Final = frozenset({"deleteChildrenWithContainer", "requireSecretKey"})

SETTINGS: Final = tuple(key for key in config.OF_A_STACK if key not in _NOT_OF_THE_PLUGIN)
"""The provider's inputs in the schema. A stack's other settings are not inputs."""


def as_text(value: Any) -> str:
    """Return a setting as a string that `config` can parse."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


_OF_THE_ENGINE: Final = re.compile(r"default(_\d+_\d+_\d+(_.*)?|_[^/]+/.*)?")
"""
The name of a default provider. It contains the version that an SDK requests, and the plugin's address if the SDK states
one.
"""


def account_of_provider(name: str) -> str | None:
    """Return the account's name, which is the name of the explicit provider; `None` for the stack's default account."""
    return None if not name or _OF_THE_ENGINE.fullmatch(name) else name


def wrong_settings(urn: str, given: Mapping[str, Any]) -> Iterator[str]:
    """Return a message for each unknown or malformed setting. No message contains a value."""
    account = account_of_provider(name_of(urn))
    unknown: dict[str, str] = {}
    if account is not None:
        unknown = unknown_names(given, SETTINGS, "setting")
    elif stack_and_project(urn)[1] != config.NAMESPACE:
        # The default provider gets every `stacks:` key of the stack's configuration, including keys for other hosts.
        # In a project named `stacks`, these include the program's own keys, so only a misspelt key of ours is a
        # mistake.
        unknown = unknown_names(given, config.OF_A_STACK, "setting", prefix=f"{config.NAMESPACE}:")
    problem: ConfigError | None
    for name in sorted(given):
        if name in unknown:
            remedy = f" `pulumi config rm {config.NAMESPACE}:{name}` removes it" if account is None else ""
            problem = ConfigError(unknown[name] + remedy, code="unknown-setting")
        else:
            problem = _error(name, given[name], given, account)
        if problem is not None:
            shown = with_code(with_account(problem.message, account), problem.code)
            yield without_keys(in_camel_case(shown))


def _error(name: str, value: Any, given: Mapping[str, Any], account: str | None) -> ConfigError | None:
    if is_unknown(value):
        return None
    alone = {name: as_text(value), **({} if account is None else {"account": account})}
    allowed = given.get("allowHttp")
    if name == "baseUrl" and allowed is not None and _error("allowHttp", allowed, {}, account) is None:
        alone["allowHttp"] = "true" if is_unknown(allowed) else as_text(allowed)
    settings = {f"{config.NAMESPACE}:{key}": text for key, text in alone.items()}
    try:
        config.check_spelling(settings.get)
        config.load(settings, {})
    except ConfigError as error:
        return error
    return None


def settings_of(struct: struct_pb2.Struct) -> dict[str, Any]:
    """
    Return the settings of a provider with their original spelling, so that a misspelt setting can be reported.

    The engine's own additions are omitted: the plugin's version and source, and names that begin with two underscores.
    """
    given = {name: plain(from_value(value)) for name, value in struct.fields.items() if name[:2] != "__"}
    return {name: value for name, value in given.items() if value is not None and name not in _ENGINES_OWN}


def is_key_secret(stack: str | None) -> bool | None:
    """
    Return whether the key in a stack's files is a secret; `None` if no file contains the key.

    The engine does not pass this information: `CheckConfig` receives no secret markers. The plugin marks the key
    itself, so that the key is encrypted in the state.
    """
    file = find_project(Path())
    if stack is None or file is None:
        return None
    project = read_project(file)
    folder = file.parent / str(project.get("stackConfigDir") or "")
    for document in (read_project(folder / f"Pulumi.{stack}{file.suffix}"), project):
        section = document.get("config")
        value = section.get(f"{config.NAMESPACE}:apiKey") if isinstance(section, dict) else None
        if value is not None:
            return isinstance(value, dict) and "secure" in value
    return None
