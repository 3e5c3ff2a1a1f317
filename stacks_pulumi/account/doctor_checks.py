"""
Which checks does `stacks-pulumi doctor` run, and what do they find in the stack's settings and in its preview?

Each check is a function that receives the `Facts` and yields findings. No check changes anything on this machine or in
the account. `doctor_api` contains the checks that send requests to the API.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import yaml

from stacks_pulumi import config
from stacks_pulumi._identifiers import name_of, nearest
from stacks_pulumi._pulumi_cli import PulumiError, PulumiTimeoutError
from stacks_pulumi._settings_file import text_of
from stacks_pulumi.account import doctor_api
from stacks_pulumi.account.doctor_facts import (
    KEYS_PAGE,
    LONGEST_PREVIEW,
    Facts,
    Finding,
    Level,
    doctor_command,
    ok,
    problem,
    pulumi_command,
    set_command,
    set_key_command,
    unknown,
    unset_command,
    warning,
)
from stacks_pulumi.api._bodies import scrub
from stacks_pulumi.config import NAMESPACE
from stacks_pulumi.errors import ConfigError, without_keys
from stacks_pulumi.pricing.money import count

_AUTONAMING: Final = "pulumi:autonaming"
_OURS: Final = f"{NAMESPACE}:"

_NEEDS_A_NEWER_ENGINE: Final = (
    "update your version of the Pulumi CLI",
    "is not supported by this version of the Pulumi CLI",
    "does not satisfy the version range",
)
"""Messages of an engine that is too old for a state, a backend, a program or a project."""

_NO_PACKAGE: Final = re.compile(r"No module named (?:'(?:stacks_)?pulumi'|(?:stacks_)?pulumi(?![\w.']))")
"""Python's message in an environment without this package."""

_LONGEST: Final = 400
"""
The maximum number of characters of the engine's message that the report shows: a policy's message of two sentences
fits, and the line stays readable.
"""


def stack(facts: Facts) -> Iterator[Finding]:
    """Check that there is a project with a stack, and that the stack's configuration can be read."""
    if facts.project_file is None:
        yield problem(
            f"there is no Pulumi.yaml in {facts.folder} or above it, so no `pulumi` command works here, and only the "
            "environment was checked",
            "run this command in the project's folder, or pass that folder with -C",
        )
        return
    if facts.project and facts.runtime is None:
        yield problem(
            f"{facts.project_file} sets no runtime, so no program is run", "write `runtime: python` into it"
        )
    configuration = facts.configuration
    if isinstance(configuration, PulumiError):
        yield from _unreadable(facts, f"the stack's configuration cannot be read: {configuration.message}")
    elif configuration.error:
        yield from _unreadable(facts, f"the stack's secrets cannot be decrypted: {configuration.error}")
    else:
        ours = sum(name.startswith(_OURS) for name in configuration.values)
        named = facts.stack or "the selected stack"
        yield ok(f"{named} of {facts.project_file.parent} has {count(ours, 'setting')} of stacks-pulumi")


def _unreadable(facts: Facts, text: str) -> Iterator[Finding]:
    broken = list(_broken_files(facts))
    for file, error in broken:
        yield problem(f"{file} is not valid YAML: {error}", f"correct {file}")
    if not broken:
        yield problem(text, _to_read_stack(facts, text))


def _broken_files(facts: Facts) -> Iterator[tuple[Path, str]]:
    """Return the files of the project and its stacks that cannot be parsed: the engine's error does not name them."""
    folder = facts.folder if facts.project_file is None else facts.project_file.parent
    for file in sorted(folder.glob("Pulumi*.yaml")):
        try:
            yaml.safe_load(text_of(file))
        except RecursionError:
            yield file, "it is nested too deeply"
        except OSError:
            # The engine's error names a file that cannot be read; this file may be a different one.
            continue
        except (ValueError, yaml.YAMLError) as error:
            yield file, " ".join(str(error).split())


def advice_on(error: str) -> str | None:
    """
    Return the fix if the engine is too old for the stack, lacks a passphrase or a package, or refuses an old state.
    """
    if "Legacy DIY state" in error:
        return (
            "copy the backend's files first, then migrate them (without this variable, the engine refuses the "
            "command): PULUMI_DIY_BACKEND_IGNORE_DEPRECATION_ERROR=1 pulumi state upgrade"
        )
    if any(words in error for words in _NEEDS_A_NEWER_ENGINE):
        return (
            "the stack needs a newer engine than this one: https://www.pulumi.com/docs/iac/download-install/"
        )
    if _NO_PACKAGE.search(error):
        return (
            "activate the environment with stacks-pulumi, or set it under `runtime` in Pulumi.yaml (options: "
            "{virtualenv: .venv})"
        )
    if "PULUMI_CONFIG_PASSPHRASE" in error or "incorrect passphrase" in error:
        return "export PULUMI_CONFIG_PASSPHRASE=..."
    if "for provider stacks:" in error:
        return (
            "activate the environment with stacks-pulumi, whose folder `bin` contains the plugin, or set that folder "
            "under `plugins` in Pulumi.yaml"
        )
    return None


def _to_read_stack(facts: Facts, error: str) -> str:
    advice = advice_on(error)
    if advice is not None:
        return advice
    if "`pulumi`" in error:
        return "install Pulumi: https://www.pulumi.com/docs/iac/download-install/"
    if "no stack selected" in error:
        select = pulumi_command(facts, "stack", "select", of_stack=False)
        return f"{select}; if the project has no stack: {pulumi_command(facts, 'stack', 'init', 'dev', of_stack=False)}"
    if "no stack named" in error:
        return pulumi_command(facts, "stack", "ls", of_stack=False)
    if "dial tcp" in error:
        return "check the network, and the URL of the backend that `pulumi whoami -v` shows"
    if "PULUMI_ACCESS_TOKEN" in error or "login" in error:
        return "pulumi login"
    return f"correct the problem in the message; `{pulumi_command(facts, 'config')}` shows it again"


def settings(facts: Facts) -> Iterator[Finding]:
    """Check that each setting of stacks-pulumi is spelt correctly and has a valid value."""
    given = sorted(facts.configured.values.items())
    findings = [
        _setting(facts, name.removeprefix(_OURS), value) for name, value in given if name.startswith(_OURS)
    ]
    wrong = [finding for finding in findings if finding is not None]
    yield from wrong or [ok("every setting of the stack is known and valid")]


def _setting(facts: Facts, name: str, value: str | None) -> Finding | None:
    full = f"{_OURS}{name}"
    if name not in config.OF_A_STACK:
        return _misspelt(facts, name, value)
    if name not in {"apiKey", "baseUrl", "platform"}:
        try:
            config.load({full: value}, {})
        except ConfigError as error:
            return problem(error.message, unset_command(facts, full))
    return None


def _misspelt(facts: Facts, name: str, value: str | None) -> Finding:
    full = f"{_OURS}{name}"
    close = nearest(name, config.OF_A_STACK)
    remove = unset_command(facts, full)
    if not close:
        return warning(f"unknown setting {full}: it has no effect", remove)
    meant = f"{_OURS}{close}"
    text = f"unknown setting {full}: it has no effect; the setting is {meant}"
    # Do not show an empty value, or one that the command would read as an option.
    shown = "..." if not value or value.startswith("-") else value
    words = ["--secret"] if meant.endswith("apiKey") or full in facts.configured.secrets else [shown]
    joint = ", and then: " if facts.is_in_project_file(full) else " && "
    fix = f"{remove}{joint}{pulumi_command(facts, 'config', 'set', meant, *words)}"
    try:
        config.check_spelling(lambda key: "" if key == full else None)
    except ConfigError:
        # The provider itself refuses these spellings.
        return problem(text, fix)
    return warning(text, fix)


def key(facts: Facts) -> Iterator[Finding]:
    """Check that there is an API key of the right form."""
    value, source = facts.given("apiKey")
    yield _no_key(facts) if value is None else _key(facts, value, source)


def _key(facts: Facts, value: str, source: str) -> Finding:
    try:
        config.check_api_key(value)
    except ConfigError as error:
        return problem(error.reason, set_key_command(facts, source))
    if not source.startswith(_OURS):
        return ok(f"from the variable {source}")
    also = ", which takes precedence over STACKS_API_KEY" if "STACKS_API_KEY" in facts.environ else ""
    return ok(f"from the configuration ({source}){also}")


def _no_key(facts: Facts) -> Finding:
    name = f"{_OURS}apiKey"
    make = f"create a key in {KEYS_PAGE}"
    if facts.is_locked:
        return unknown("stacks:apiKey is set, but cannot be decrypted: see the line about the stack")
    if isinstance(facts.configuration, PulumiError) and facts.project_file is not None:
        return unknown("the stack's configuration was not read, and STACKS_API_KEY is not set")
    if name in facts.configured.values and facts.environ.get("STACKS_API_KEY", "").strip():
        text = "stacks:apiKey is empty, and it takes precedence over STACKS_API_KEY"
        return problem(text, unset_command(facts, name))
    if facts.elsewhere and not facts.owned:
        # No key is needed if all resources have explicit providers.
        text = (
            f"no API key is configured; the stack's {len(facts.elsewhere)} resources have explicit providers"
        )
        return warning(f"{text}; {make}", set_key_command(facts, name))
    return problem(
        f"no API key is configured, and STACKS_API_KEY is not set; {make}",
        f"{set_key_command(facts, name)}; or, to keep it out of the stack: {set_key_command(facts, 'STACKS_API_KEY')}",
    )


def key_storage(facts: Facts) -> Iterator[Finding]:
    """Check that no API key is stored in plain text."""
    name = f"{_OURS}apiKey"
    revoke = f"if the file was committed or shared, revoke the key first and create a new one ({KEYS_PAGE})"
    if facts.has_key_in_state:
        yield warning(
            "an API key is in plain text in the stack's state, and in the backend's history; revoke it, and create "
            f"a new key ({KEYS_PAGE})",
            f"{set_key_command(facts, name)} && {pulumi_command(facts, 'up')}",
        )
    if facts.in_project_file.get(name):
        yield warning(
            f"an API key is in plain text in {facts.project_file}; {revoke}",
            f"delete {name} from the section `config` of {facts.project_file}, and then: "
            f"{set_key_command(facts, name)}",
        )
    elif name in facts.configured.secrets:
        yield ok("the API key is encrypted in the stack's configuration file")
    elif facts.configured.values.get(name):
        yield (problem if _requires_secret_key(facts) else warning)(
            f"the API key is in plain text in the stack's configuration file; {revoke}",
            set_key_command(facts, name),
        )


def _requires_secret_key(facts: Facts) -> bool:
    try:
        return config.flag("requireSecretKey", facts.given("requireSecretKey")[0])
    except ConfigError:
        return True


def base_url(facts: Facts) -> Iterator[Finding]:
    """Check that the key may be sent to the base URL: both must come from the same source."""
    value, source = facts.given("baseUrl")
    if value is None:
        yield ok(f"{config.DEFAULT_BASE_URL} (the default)")
        return
    fix = _repaired(facts, value, source)
    try:
        url = config.check_base_url(value, allow_http=True, source=source)
        fix = _paired(facts, url, source)
        config.check_pair(url, facts.configured.values, facts.used_environ)
        fix = _repaired(facts, value, source)
        config.check_base_url(value, allow_http=_allows_http(facts), source=source)
    except ConfigError as error:
        yield problem(error.message, fix)
        return
    yield ok(f"{url} (from {source})")


def _repaired(facts: Facts, value: str, source: str) -> str:
    try:
        parts = urlsplit(value)
        netloc = parts.netloc.rpartition("@")[2]
        better = config.check_base_url(f"https://{netloc}{parts.path}") if netloc else None
    except (ConfigError, ValueError):
        better = None
    if better is not None:
        return set_command(facts, "baseUrl", source, better)
    return unset_command(facts, source)


def _paired(facts: Facts, url: str, source: str) -> str:
    if source.startswith(_OURS):
        return f"if you trust the address: {set_command(facts, 'baseUrl', 'STACKS_BASE_URL', url)}"
    return unset_command(facts, source)


def _allows_http(facts: Facts) -> bool:
    try:
        return config.allows_http(facts.configured.values, facts.used_environ)
    except ConfigError:
        return False


def adopt(facts: Facts) -> Iterator[Finding]:
    """Check that the stack does not adopt every existing object that matches."""
    value = (facts.configured.values.get(f"{_OURS}adopt") or "never").strip()
    if value == "if_matching":
        yield warning(
            "stacks:adopt is if_matching: each container with the right name, template and plan is adopted, even if "
            "another stack owns it. Remove the setting after the adoption",
            unset_command(facts, "stacks:adopt"),
        )
    else:
        yield ok(
            'stacks:adopt is never: an existing object is adopted only by a resource with adopt="if_matching"',
        )


def autonaming(facts: Facts) -> Iterator[Finding]:
    """Check that `pulumi:autonaming` is not set for a Python program, because it does not name containers there."""
    if _AUTONAMING in facts.configured.values and facts.is_native:
        yield ok("pulumi:autonaming names the containers of the native plugin")
    elif _AUTONAMING in facts.configured.values:
        yield warning(
            "pulumi:autonaming does not name containers in Python programs, and a pattern without a random part makes "
            "the engine delete each resource before it creates the replacement. Use stacks:namePattern for the names "
            "of containers",
            unset_command(facts, _AUTONAMING),
        )
    else:
        pattern, _ = facts.given("namePattern")
        shaped = "" if pattern is None else f", shaped by stacks:namePattern ({pattern})"
        yield ok(
            f"pulumi:autonaming is not set: a container's default name is its resource's name{shaped}",
        )


def lock(facts: Facts) -> Iterator[Finding]:
    """
    Check that no update is running, and that none was killed. Otherwise the stack is locked, or its state has
    unfinished creates.
    """
    held, state = facts.lock, facts.state
    if isinstance(state, PulumiError):
        yield unknown("the stack's state was not read")
        return
    if held and not isinstance(held, PulumiError):
        cancel = pulumi_command(facts, "cancel")
        yield problem(
            f"an update is running, or was killed: the stack is locked by {held}, so an `up` fails",
            f"wait until the update ends; if it was killed: {cancel}",
        )
        return
    if isinstance(held, PulumiError):
        yield unknown(f"it is not known whether the stack is locked: {held.message}")
    names = ", ".join(name_of(one.urn) for one in state.creating)
    if names:
        why = "an update was interrupted" if not held else "an update was interrupted, or is running"
        yield warning(
            f"{why}: the state has {count(len(state.creating), 'unfinished create')} ({names}). An `up` repeats each "
            "create, which fails if the object exists",
            'check with `stacks-pulumi account` which objects exist, and write adopt="if_matching" on their resources '
            "before the next `up`",
        )
    elif not held:
        yield ok("the stack is not locked, and no create is unfinished")


def preview(facts: Facts) -> Iterator[Finding]:
    """
    Check with a preview whether an `up` can start, because only a preview runs the program with everything that an `up`
    needs.
    """
    if facts.project_file is None:
        yield unknown("there is no project whose program could be run")
        return
    if isinstance(facts.configuration, PulumiError) or facts.configuration.error:
        yield unknown("the program was not run: see the line about the stack")
        return
    address, source = facts.given("baseUrl")
    # The program may use the token of a grant: a grant is made for programs, and the token is useless at a different
    # address.
    is_grant = source == "STACKS_BASE_URL" and facts.grant is not None
    if source == "STACKS_BASE_URL" and address is not None and not is_grant:
        yield unknown(
            "the program was not run: its API is set only in STACKS_BASE_URL, and without that variable the stack's "
            "key would be sent to the default address",
            set_command(facts, "baseUrl", "stacks:", address),
        )
        return
    packs = [word for pack in facts.packs for word in ("--policy-pack", str(pack))]
    by_hand = pulumi_command(facts, "preview", *packs)
    ours = {name: value for name, value in facts.environ.items() if name.startswith("STACKS_")}
    kept, removed = (ours, []) if is_grant else ({}, sorted(ours))
    without = f", without {', '.join(removed)}" if removed else ""
    try:
        facts.pulumi.preview(facts.packs, facts.preview_seconds, kept)
    except PulumiTimeoutError:
        longer = min(facts.preview_seconds * 5, LONGEST_PREVIEW)
        more = doctor_command(facts, "--timeout", f"{longer:.0f}", *packs)
        wait = f"allow more time: {more}; " if longer > facts.preview_seconds else ""
        yield unknown(
            f"`pulumi preview` runs the program{without}, and did not end within {facts.preview_seconds:g} s",
            f"{wait}check the reason in a terminal: {by_hand}",
        )
    except PulumiError as error:
        in_stack = (
            f"; if the program needs one of {', '.join(removed)}, set its value in the stack's configuration"
            if removed
            else ""
        )
        # If the preview failed only because a variable was removed here, an `up` in the user's shell may succeed.
        missed = "[missing-api-key]" in error.message or any(name in error.message for name in removed)
        yield (warning if removed and missed else problem)(
            f"`pulumi preview` runs the program{without}, and fails: {scrub(error.message, _LONGEST)}",
            advice_on(error.message)
            or f"correct the problem in the message; `{by_hand}` shows the full message{in_stack}",
        )
    else:
        started = f", and starts {count(len(facts.packs), 'policy pack')}" if facts.packs else ""
        yield ok(f"`pulumi preview` runs the program{without}{started}, and succeeds")


Check = Callable[[Facts], Iterator[Finding]]

CHECKS: Final[dict[str, Check]] = {
    "stack": stack,
    "settings": settings,
    "key": key,
    "key-storage": key_storage,
    "base-url": base_url,
    "adopt": adopt,
    "autonaming": autonaming,
    "api": doctor_api.api,
    "platform": doctor_api.platform,
    "account": doctor_api.account,
    "state-keys": doctor_api.state_keys,
    "grant": doctor_api.grant,
    "scopes": doctor_api.scopes,
    "cap": doctor_api.cap,
    "rate-limit": doctor_api.rate_limit,
    "clock": doctor_api.clock,
    "lock": lock,
    "preview": preview,
}
"""
All checks in the order of the report. A check follows the checks that it depends on, and the slowest check comes last.
"""

_OF_CONFIGURATION: Final = frozenset({"settings", "adopt", "autonaming"})
"""The checks that use only the stack's configuration."""


@dataclasses.dataclass(frozen=True)
class Diagnosis:
    """
    One line of the report: a finding, and the check that made it.

    Attributes:
        check: The name of the check, in one word.
        level: The severity.
        text: The result in one sentence.
        fix: The command or the step that fixes the problem; empty if there is nothing to fix.
    """

    check: str
    level: Level
    text: str
    fix: str


def diagnose(facts: Facts) -> Iterator[Diagnosis]:
    """Run every check. If a check itself fails, the level of its line is `unknown`. No line shows a key."""
    for name, check in CHECKS.items():
        try:
            if name in _OF_CONFIGURATION and isinstance(facts.configuration, PulumiError):
                yield Diagnosis(name, "unknown", "the stack's configuration was not read", "")
                continue
            for level, text, fix in check(facts):
                yield Diagnosis(name, level, without_keys(text), without_keys(fix))
        except Exception as error:  # noqa: BLE001  (a fault in one check must not hide the findings of the others)
            text = f"the check failed ({type(error).__name__}: {error}): please report it"
            yield Diagnosis(name, "unknown", without_keys(text), "")
