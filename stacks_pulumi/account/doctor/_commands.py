"""The commands that fix the findings: each can be pasted into the shell in which `doctor` ran."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Final

from stacks_pulumi._pulumi_cli import find_project
from stacks_pulumi.account.doctor.facts import Facts
from stacks_pulumi.config import DEFAULT_BASE_URL, NAMESPACE, AccountSettings

__all__ = ["doctor", "give_setting", "pulumi", "set_key", "unset"]

_DEFAULTS: Final = {
    "adopt": AccountSettings.adopt,
    "allowHttp": "false",
    "baseUrl": DEFAULT_BASE_URL,
    "deleteChildrenWithContainer": "false",
    "maxConcurrency": str(AccountSettings.max_concurrency),
    "namePattern": "${name}-${stack}",
    "requestsPerMinute": str(AccountSettings.requests_per_minute),
}
"""Values that are always valid: the defaults, and the pattern in the documentation."""


def pulumi(facts: Facts, *words: str, of_stack: bool = True) -> str:
    """Return a `pulumi` command for the checked stack, which need not be the selected one of this folder."""
    return shlex.join(["pulumi", *words, *_options(facts, of_stack=of_stack)])


def doctor(facts: Facts, *words: str) -> str:
    """Return the command that runs the same checks again."""
    return shlex.join(["stacks-pulumi", "doctor", *words, *_options(facts, of_stack=True)])


def set_key(facts: Facts, source: str) -> str:
    """Return the command that replaces the API key where it is set; `pulumi config set` prompts for the key."""
    if source.startswith(f"{NAMESPACE}:"):
        return pulumi(facts, "config", "set", f"{NAMESPACE}:apiKey", "--secret")
    return f"export {source}=sk_stacks_..."


def give_setting(facts: Facts, key: str, source: str, value: str) -> str:
    """Return the command that gives a setting another value where it is set."""
    if source.startswith(f"{NAMESPACE}:"):
        return pulumi(facts, "config", "set", f"{NAMESPACE}:{key}", value)
    return f"export {source}={shlex.quote(value)}"


def unset(facts: Facts, name: str) -> str:
    """
    Return how to remove a setting of the configuration or a variable of the environment.

    `pulumi config rm` removes only settings of the stack's file. A setting of Pulumi.yaml gets its default in the
    stack's file; one without a default has to be deleted from Pulumi.yaml.
    """
    if ":" not in name:
        return f"unset {name}"
    if not facts.is_in_project_file(name):
        return pulumi(facts, "config", "rm", name)
    default = _DEFAULTS.get(name.removeprefix(f"{NAMESPACE}:"))
    if default is None:
        return f"delete {name} from the section `config` of {facts.project_file}"
    return pulumi(facts, "config", "set", name, default)


def _options(facts: Facts, *, of_stack: bool) -> list[str]:
    options = []
    if of_stack and facts.stack is not None:
        options += ["--stack", facts.stack]
    if facts.project_file is not None and find_project(Path.cwd()) != facts.project_file:
        options += ["--cwd", str(facts.project_file.parent)]
    return options
