"""Checks of the stack's settings: what the provider would read, and where it would read it from."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Final

from stacks_pulumi import config
from stacks_pulumi.account.doctor.diagnosis import Diagnosis, ok, problem, unknown, warning
from stacks_pulumi.account.doctor.facts import Facts
from stacks_pulumi.account.doctor.pulumi_cli import PulumiError, StackConfiguration
from stacks_pulumi.config import NAMESPACE
from stacks_pulumi.errors import ConfigError

__all__ = ["KEYS_PAGE", "SET_KEY", "adopt", "autonaming", "base_url", "key", "settings", "stack"]

KEYS_PAGE: Final = "the STACKS dashboard, Account Settings, API Keys"
SET_KEY: Final = "pulumi config set stacks:apiKey --secret"

_AUTONAMING: Final = "pulumi:autonaming"
_OURS: Final = f"{NAMESPACE}:"
_SET_BY_PROGRAMS: Final = "account"
"""What only an explicit provider sets, about itself."""


def stack(facts: Facts) -> Iterator[Diagnosis]:
    """Check that there is a project with a stack, and that its configuration can be read."""
    if facts.project_file is None:
        yield unknown(
            "stack",
            f"there is no Pulumi.yaml in {facts.folder} or above it, so only the environment was checked",
            "run this in the project's folder, or name it with -C",
        )
        return
    found = facts.configuration
    if facts.pulumi.path() is None:
        yield unknown("stack", "its configuration was not read: the command `pulumi` is missing")
    elif isinstance(found, PulumiError):
        yield problem("stack", f"its configuration cannot be read: {found}", _to_read_stack(str(found)))
    elif found.error:
        yield problem("stack", f"its secrets cannot be decrypted: {found.error}", _to_read_stack(found.error))
    else:
        count = sum(name.startswith(_OURS) for name in found.values)
        named = facts.stack or "the selected stack"
        yield ok("stack", f"{named} of {facts.project_file.parent}, {count} settings of stacks-pulumi")


def _to_read_stack(error: str) -> str:
    if "passphrase" in error:
        return "set PULUMI_CONFIG_PASSPHRASE, or PULUMI_CONFIG_PASSPHRASE_FILE, to the stack's passphrase"
    if "no stack selected" in error:
        return "`pulumi stack select NAME`, or name it with --stack"
    if "no stack named" in error:
        return "`pulumi stack ls` lists the stacks"
    if "PULUMI_ACCESS_TOKEN" in error or "login" in error:
        return "`pulumi login`, or set PULUMI_ACCESS_TOKEN or PULUMI_BACKEND_URL"
    return "correct what the message names; `pulumi config` shows it again"


def settings(facts: Facts) -> Iterator[Diagnosis]:
    """Check that each of our settings is spelt right and has a valid value."""
    if not isinstance(facts.configuration, StackConfiguration):
        yield unknown("settings", "the stack's configuration was not read")
        return
    wrong = False
    for name, value in sorted(facts.configured.values.items()):
        if not name.startswith(_OURS):
            continue
        for finding in _setting(name.removeprefix(_OURS), value):
            wrong = True
            yield finding
    if not wrong:
        yield ok("settings", "every setting of the stack is known and valid")


def _setting(name: str, value: str | None) -> Iterator[Diagnosis]:
    full = f"{_OURS}{name}"
    if name not in config.KEYS or name == _SET_BY_PROGRAMS:
        yield _misspelt(name)
    elif name not in {"apiKey", "baseUrl"}:
        try:
            config.load({full: value}, {})
        except ConfigError as error:
            yield problem("settings", str(error), f"pulumi config rm {full}, which brings back the default")


def _misspelt(name: str) -> Diagnosis:
    full = f"{_OURS}{name}"
    by_lower = {key.lower(): key for key in config.KEYS if key != _SET_BY_PROGRAMS}
    close = difflib.get_close_matches(name.lower().replace("_", "").replace("-", ""), by_lower, 1, 0.6)
    if not close:
        return warning("settings", f"unknown setting {full}: it has no effect", f"pulumi config rm {full}")
    meant = f"{_OURS}{by_lower[close[0]]}"
    secret = " --secret" if meant.endswith("apiKey") else ""
    text = f"unknown setting {full}: it has no effect; the setting is {meant}"
    fix = f"pulumi config rm {full}, and then: pulumi config set {meant}{secret} ..."
    try:
        config.refuse_misspelt(lambda key: "" if key == full else None)
    except ConfigError:
        # The spellings that the provider itself refuses.
        return problem("settings", text, fix)
    return warning("settings", text, fix)


def key(facts: Facts) -> Iterator[Diagnosis]:
    """Check that there is an API key of the right form, and that it is not stored in plain text."""
    value, source = facts.given("apiKey")
    in_stack = source == f"{_OURS}apiKey"
    if value is None:
        if facts.is_locked:
            yield unknown(
                "key", "stacks:apiKey is set, and it cannot be decrypted: see the line about the stack"
            )
        elif isinstance(facts.configuration, PulumiError) and facts.project_file is not None:
            yield unknown("key", "the stack's configuration was not read, and STACKS_API_KEY is not set")
        else:
            yield problem("key", "no API key is configured", f"{SET_KEY} (make a key in {KEYS_PAGE})")
        return
    try:
        config.check_api_key(value)
    except ConfigError as error:
        # The part after it is about how to set a key.
        text = str(error).partition("; ")[0]
        yield problem("key", text, SET_KEY if in_stack else f"correct the variable {source}")
    else:
        also = (
            ", which takes precedence over STACKS_API_KEY"
            if in_stack and "STACKS_API_KEY" in facts.environ
            else ""
        )
        yield ok(
            "key", f"from {f'the configuration ({source})' if in_stack else f'the variable {source}'}{also}"
        )
    if in_stack and source not in facts.configured.secrets:
        yield warning(
            "key-storage",
            "the API key stands in plain text in the stack's configuration file",
            f"{SET_KEY}; if the file was committed or shared, first revoke the key and make another ({KEYS_PAGE})",
        )
    elif in_stack:
        yield ok("key-storage", "the API key is encrypted in the stack's configuration file")


def base_url(facts: Facts) -> Iterator[Diagnosis]:
    """Check that the base URL is one that a key may be sent to."""
    value, source = facts.given("baseUrl")
    in_stack = source.startswith(_OURS)
    if value is None:
        yield ok("base-url", f"{config.DEFAULT_BASE_URL} (the default)")
        return
    try:
        url = config.check_base_url(value, allow_http=_allows_http(facts))
    except ConfigError as error:
        text, _, advice = str(error).partition(": ")
        command = (
            "pulumi config set stacks:baseUrl https://..." if in_stack else f"correct the variable {source}"
        )
        yield problem("base-url", text, f"{advice} ({command})")
        return
    yield ok("base-url", f"{url} (from {source})")


def _allows_http(facts: Facts) -> bool:
    try:
        return config.flag("allowHttp", facts.given("allowHttp")[0])
    except ConfigError:
        return False


def adopt(facts: Facts) -> Iterator[Diagnosis]:
    """Check that the stack does not adopt every object that exists already."""
    value = (facts.configured.values.get(f"{_OURS}adopt") or "never").strip()
    if value == "if_matching":
        yield warning(
            "adopt",
            "stacks:adopt is if_matching: each container with the right name, template and plan is taken over, "
            "even if another stack owns it",
            "pulumi config rm stacks:adopt, once the stack has adopted what it should",
        )
    elif isinstance(facts.configuration, StackConfiguration):
        yield ok(
            "adopt",
            'stacks:adopt is never: an existing object is adopted only by a resource with adopt="if_matching"',
        )
    else:
        yield unknown("adopt", "the stack's configuration was not read")


def autonaming(facts: Facts) -> Iterator[Diagnosis]:
    """Check that Pulumi's own naming of resources is not configured, which does not name containers."""
    if not isinstance(facts.configuration, StackConfiguration):
        yield unknown("autonaming", "the stack's configuration was not read")
    elif _AUTONAMING in facts.configured.values:
        yield warning(
            "autonaming",
            "pulumi:autonaming does not name containers in Python programs, and a pattern without a random part makes "
            "the engine delete each resource before it creates the replacement",
            f"pulumi config rm {_AUTONAMING}, and set stacks:namePattern, or give containers their `name`",
        )
    else:
        pattern, _ = facts.given("namePattern")
        shaped = "" if pattern is None else f", shaped by stacks:namePattern ({pattern})"
        yield ok(
            "autonaming",
            f"pulumi:autonaming is not set: a container's default name is its resource's name{shaped}",
        )
