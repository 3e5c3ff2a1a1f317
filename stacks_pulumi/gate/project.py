"""
Which files does a project have, and which of its settings are refused?

The change is not trusted. A project that names a backend, a plugin or an option is refused unless the gate allows it,
and so is one with two project files, because the engine may read the other one.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from stacks_pulumi._pulumi_cli import InputError, find_project
from stacks_pulumi._settings_file import text_of, why_unreadable
from stacks_pulumi.config import NAMESPACE, OF_A_STACK
from stacks_pulumi.pricing.recognition import SIGNATURE

REFUSED: Final = ("backend", "plugins", "packages", "options", "main", "stackConfigDir")
"""The settings of a project that can run other code or move the stack."""

_FACTS: Final = re.compile(r"(\./)?(?!pulumi|main\.)\w[\w. -]*(/\w[\w. -]*)*\.yml", re.IGNORECASE)
"""A setting that names a file of the project with facts about the platform, which nothing runs."""
_TAGS: Final = "pulumi:tags"
_ESCAPED: Final = re.compile(r"\\u([0-9A-Fa-f]{4})")
"""A character in JSON."""

_OF_STACK: Final = ("config", "environment", "secretsprovider", "encryptionsalt", "encryptedkey")
"""What a stack's settings have."""


def found_in(folder: Path) -> Path:
    """
    Return the project file in a folder, or in the nearest parent that has one.

    Raises:
        InputError: No folder has one, or the folder has several.
    """
    file = find_project(folder)
    if file is None:
        raise InputError(
            f"{folder} has no Pulumi.yaml: name the project's folder with -C", code="file-access"
        )
    only(file.parent, "Pulumi")
    return file


def only(folder: Path, stem: str) -> Path | None:
    """
    Return the file of this name in YAML or JSON; `None` without one.

    Raises:
        InputError: There are several, and the engine and the gate may read different ones.
    """
    names = {f"{stem}.{ending}".casefold() for ending in ("yaml", "yml", "json")}
    found = sorted(one for one in folder.iterdir() if one.name.casefold() in names)
    if len(found) > 1:
        listed = ", ".join(one.name for one in found)
        raise InputError(
            f"{folder} has {listed}: keep one, because the engine and the gate may read different ones"
        )
    return found[0] if found else None


def check(file: Path, project: Mapping[str, Any], allowed: frozenset[str]) -> None:
    """
    Refuse a project with a setting that can run other code or move the stack.

    Args:
        file: The project's file.
        project: Its content.
        allowed: The settings that the gate allows.

    Raises:
        InputError: It has one, or cannot be read.
    """
    why = why_refused(file, project, allowed)
    if why:
        raise InputError(why)


def why_refused(file: Path, project: Mapping[str, Any], allowed: frozenset[str] = frozenset()) -> str:
    """Return why `check` refuses a project; empty if it does not."""
    if not project:
        return f"{file} cannot be read as a project"
    written = project.get("runtime")
    parts = (*project, *((*written, written.get("name")) if isinstance(written, dict) else (written,)))
    if not all(isinstance(part, str | None) for part in parts):
        # With the tag `!!binary`, the engine reads another name than the gate.
        return f"{file} has a name that is no plain text: write it without a tag"
    spellings = {name.casefold(): name for name in REFUSED}
    found = [
        name
        for key in project
        if (name := spellings.get(str(key).casefold())) is not None and name not in allowed
    ]
    is_text = any(
        str(key).casefold() == "config" and not isinstance(value, dict | None)
        for key, value in project.items()
    )
    if is_text and "stackConfigDir" not in allowed:
        # The engine takes such a text for the folder of the stacks' settings.
        found.append("stackConfigDir")
    runtime, options = runtime_of(project)
    if runtime == "yaml" and options and "options" not in allowed:
        # The option `compiler` is a command.
        found.append("options")
    if not found:
        return ""
    also = " (the engine finds a plugin on PATH too)" if found[0] == "plugins" else ""
    return (
        f"{file} sets `{found[0]}`, which can run other code or move the stack: remove it{also}, or allow it in the "
        f"gate (`project_settings: [{found[0]}]` in gate.yaml)"
    )


def check_stack(settings: Mapping[str, Any], allowed: frozenset[str]) -> None:
    """
    Refuse settings of a stack with environments of Pulumi ESC: they set variables, and are no part of what is compared.

    Args:
        settings: The stack's settings.
        allowed: The settings that the gate allows.

    Raises:
        InputError: They have one.
    """
    other = next((name for name in settings if name not in _OF_STACK), None)
    if other is not None:
        raise InputError(
            f"the stack's settings have {other!r}, which is no setting of a stack: remove it (the language host for "
            "YAML takes such a file for a declaration of a package, and runs the plugin that it names)"
        )
    twice = _twice(settings.get("config") or {})
    if twice is not None:
        raise InputError(
            f"the key {twice!r} of the stack's configuration is ambiguous: write it as PACKAGE:NAME"
        )
    if "environment" in settings and "environment" not in allowed:
        raise InputError(
            "the stack's settings have `environment`, whose variables and values can change after the approval: remove "
            "it, or allow it in the gate (`project_settings: [environment]` in gate.yaml)"
        )


def check_configuration(values: Mapping[str, Any]) -> None:
    """
    Refuse what only the engine reads of the configuration.

    `stacks:name` and `stacks:pluginDownloadURL` name a plugin that it downloads and runs with the key, instead of ours.
    With `pulumi:tags`, each operation sets the stack's tags, and these choose its budgets and what its policies allow.
    A value with a name of its protocol is an object of its own, also in a program that is data.

    Args:
        values: The stack's configuration, as the engine prints it.

    Raises:
        InputError: A key in the namespace of this package is not one of its settings, it sets tags, or a value has an
            object of the engine.
    """
    for name, entry in values.items():
        written = entry.get("value") if isinstance(entry, Mapping) else None
        # Of a value that is no text it is the JSON; and a text that is JSON, the language host for YAML reads as such.
        if SIGNATURE in _ESCAPED.sub(lambda found: chr(int(found[1], 16)), str(written)):
            raise InputError(
                f"the setting {name!r} has {SIGNATURE!r}, with which the engine takes a value for a file or an address "
                "that it reads: remove it"
            )
    names = [*values]
    if _TAGS in names:
        raise InputError(
            f"the configuration has {_TAGS!r}, with which the author of a change would choose the stack's budgets and "
            f"policies: remove it (`pulumi config rm {_TAGS}`), and set tags with `pulumi stack tag set`"
        )
    known = {f"{NAMESPACE}:{name}" for name in OF_A_STACK}
    other = next((name for name in names if name.startswith(f"{NAMESPACE}:") and name not in known), None)
    if other is not None:
        raise InputError(
            f"the stack's configuration has {other!r}, which this package does not have, and with which the engine "
            f"may run another plugin: remove it (`pulumi config rm {other}`)"
        )


def runtime_of(project: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """Return the name of a project's or a pack's runtime, and its options; empty if it has none."""
    runtime = project.get("runtime")
    if isinstance(runtime, dict):
        options = runtime.get("options")
        return str(runtime.get("name", "")), options if isinstance(options, dict) else {}
    return str(runtime or ""), {}


def settings_in(file: Path | None) -> dict[str, Any]:
    """
    Return a stack's settings; each value is the text that is written.

    Raises:
        InputError: They cannot be read, or the engine may read something else.
    """
    try:
        written = "" if file is None else text_of(file)
        _check_plain(file, written)
        # A loader that makes only texts, lists and mappings.
        document = yaml.load(written, yaml.BaseLoader) or {}  # noqa: S506
    except (OSError, ValueError) as error:
        raise InputError(f"{file} cannot be read: {why_unreadable(error)}") from None
    except (RecursionError, yaml.YAMLError):
        raise InputError(f"{file} cannot be read: it is not YAML, or is nested too deeply") from None
    if not isinstance(document, dict) or not isinstance(document.get("config") or {}, dict):
        raise InputError(f"{file} has no settings of a stack")
    return document


def facts_in(folder: Path, settings: Mapping[str, Any]) -> list[Path]:
    """Return the files of a project with facts about the platform that a stack's settings may name."""
    given = (settings.get("config") or {}).values()
    named = [folder / one for one in given if isinstance(one, str) and _FACTS.fullmatch(one)]
    return [one for one in named if one.exists()]


def _check_plain(file: Path | None, text: str) -> None:
    """Refuse what the engine resolves and this loader does not: with it, an address could be written unseen."""
    documents = 0
    for event in yaml.parse(text, yaml.BaseLoader):
        documents += isinstance(event, yaml.DocumentStartEvent)
        is_marked = getattr(event, "anchor", None) is not None or getattr(event, "tag", None) is not None
        if is_marked or documents > 1 or getattr(event, "value", None) == "<<":
            line = event.start_mark.line + 1 if event.start_mark else 1
            raise InputError(
                f"{file}, line {line}: the gate reads no anchor, alias, tag, `<<` or second document: write "
                "plain values"
            )


def _twice(names: Collection[str]) -> str | None:
    """Return a key of the configuration that the engine can read as two keys; `None` if there is none."""
    return next(
        (
            one
            for one in names
            if one.count(":") > 1 or (":" not in one and any(x.endswith(f":{one}") for x in names))
        ),
        None,
    )
