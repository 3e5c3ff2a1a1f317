"""
The default name of a container: the resource's name, formatted by a pattern.

These functions do not use Pulumi's SDK, so every host can call them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final

from stacks_pulumi._identifiers import name_of, stack_and_project
from stacks_pulumi.catalog import LONGEST_NAME
from stacks_pulumi.config import NAME_EXPRESSION
from stacks_pulumi.errors import ConfigError
from stacks_pulumi.resources import _validators

DEFAULT_NAME: Final = "default_name"
"""
The extra input of a container for which the program sets no name: a mapping that contains the `organization`, if it is
known. `check` does not return this input, so it is not stored in the state.
"""

NAME_PATTERN: Final = "name_pattern"
"""The input in which `check` stores the name pattern; a container with this input keeps its name."""

_DIGEST_LENGTH: Final = 6
_SHORTEST_PART: Final = 6
"""The minimum number of characters of `${name}` to keep, so that the name remains recognisable."""


def named(
    pattern: str | None, urn: str, olds: Mapping[str, Any], news: Mapping[str, Any]
) -> dict[str, str | None]:
    """
    Return the changes to the program's inputs that set a container's name.

    A name that the program sets is kept. An existing container keeps its name when the pattern is added, changed or
    removed, because a container cannot be renamed.

    Raises:
        ConfigError: The pattern has an expression whose value is not known.
    """
    facts, name = news.get(DEFAULT_NAME), news.get("name")
    old, noted = olds.get("name"), olds.get(NAME_PATTERN)
    if not isinstance(facts, Mapping) or not isinstance(name, str):
        return {NAME_PATTERN: None}
    if isinstance(old, str) and noted is not None:
        if not _is_shaped(old, name, noted):
            msg = (
                f"the state of {name_of(urn)!r} contains a name that was not derived from the resource's name, and "
                'may be a copied secret: set name="..." to the name of the container, which is the end of its id'
            )
            raise ConfigError(msg)
        return {"name": old, NAME_PATTERN: noted}
    if pattern is None or (isinstance(old, str) and old.lower() == name.lower()):
        return {NAME_PATTERN: None}
    stack, project = stack_and_project(urn)
    organization = facts.get("organization")
    shaped = default_container_name(
        pattern, name=name, stack=stack, project=project, organization=organization
    )
    return {"name": shaped, NAME_PATTERN: pattern}


def _is_shaped(old: str, name: str, noted: object) -> bool:
    """Return whether a name and a pattern in the state have the right form, and so cannot be copied secrets."""
    pattern = isinstance(noted, str) and "${name}" in noted
    return pattern and _is_valid(old) and _clean(name)[:_SHORTEST_PART].casefold() in old.casefold()


def default_container_name(
    pattern: str, *, name: str, stack: str | None, project: str | None, organization: str | None
) -> str:
    """
    Return the default name of a container.

    The name is valid, and the same arguments give the same name. If it would be too long, the resource's part is
    shortened, so that the stack stays visible.

    Raises:
        ConfigError: The pattern has an expression whose value is not known.
    """
    values = {"name": name, "stack": stack, "project": project, "organization": organization}
    for word in NAME_EXPRESSION.findall(pattern):
        if values[word] is None:
            msg = f"stacks:namePattern cannot be used, because the value of ${{{word}}} is not known: leave it out"
            raise ConfigError(msg)

    def expanded(name: str) -> str:
        return NAME_EXPRESSION.sub(lambda match: {**values, "name": name}[match[1]] or "", pattern)

    whole = expanded(name)
    if _is_valid(whole):
        return whole
    clean = _clean(name)
    for length in range(len(clean), _SHORTEST_PART - 1, -1):
        shorter = _clean(expanded(clean[:length]))
        if len(shorter) <= LONGEST_NAME - _DIGEST_LENGTH - 1:
            return _with_digest(shorter, whole)
    return valid_container_name(whole)


def valid_container_name(text: str) -> str:
    """
    Return a valid container name for any string; different strings get different names.

    A valid name is returned unchanged. Otherwise invalid characters are replaced, the string is cut, and part of its
    digest is added.
    """
    return text if _is_valid(text) else _with_digest(_clean(text), text)


def how_to_rename(pattern: str | None, account: str | None, *, by_default: bool) -> str:
    """Return instructions for giving a new container a different name."""
    expressions = NAME_EXPRESSION.findall(pattern or "${name}")
    lacking = [word for word in ("stack", "project") if word not in expressions]
    if not by_default or not lacking:
        return 'write a different name="..."'
    better = {"stack": f"{pattern or '${name}'}-${{stack}}", "project": f"${{project}}-{pattern}"}[lacking[0]]
    where = (
        f"run `pulumi config set stacks:namePattern '{better}'`"
        if account is None
        else f'write name_pattern="{better}" on the provider "{account}"'
    )
    return f'{where}, which changes the default names of new containers, or write name="..."'


def _with_digest(clean: str, text: str) -> str:
    digest = hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_LENGTH]
    return f"{clean[: LONGEST_NAME - _DIGEST_LENGTH - 1].strip('-')}-{digest}".lstrip("-")


def _clean(text: str) -> str:
    return re.sub(r"-+", "-", re.sub(r"[^A-Za-z0-9-]", "-", text)).strip("-")


def _is_valid(text: str) -> bool:
    try:
        return _validators.container_name(text) == text
    except ValueError:
        return False
