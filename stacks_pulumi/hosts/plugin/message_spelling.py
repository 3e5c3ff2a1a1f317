"""
Messages with the names that programs in other languages use.

The checks write the names of inputs and options as in Python. Every message of the plugin is converted here.
"""

from __future__ import annotations

import functools
import re
from typing import Final

from stacks_pulumi.functions.questions import QUESTIONS
from stacks_pulumi.hosts.plugin.schema import parsed
from stacks_pulumi.hosts.spelling import camel_case, snake_case

__all__ = ["in_camel_case"]

_VALUE: Final = r"""True|False|"[^"]*"|'[^']*'|\[\.\.\.\]|[\d.]*\d"""
_RESOURCE: Final = re.compile(rf"""stacks\.(\w+)\(("[^"]*"), \.\.\., (\w+=(?:{_VALUE}))\)""")
_OPTIONS: Final = re.compile(r"(?:opts=)?pulumi\.ResourceOptions\((.*?)\)")
_TIMEOUTS: Final = re.compile(r"custom_timeouts=pulumi\.CustomTimeouts\((.*?)\)")
_OF_PULUMI: Final = frozenset({"aliases", "custom_timeouts", "delete_before_replace", "protect"})
_OF_TIMEOUTS: Final = frozenset({"create", "update", "delete"})


def in_camel_case(message: str) -> str:
    """Return the message with inputs, options and functions as other languages write them: `replaceOnChange: true`."""
    message = _RESOURCE.sub(r"\3 on the \1 \2", message)
    message = _OPTIONS.sub(r"the option \1", message)
    message = _TIMEOUTS.sub(r"custom_timeouts: {\1}", message)
    message = _assignments().sub(_assigned, message)
    return _names().sub(lambda found: camel_case(found[0]), message)


def _assigned(found: re.Match[str]) -> str:
    name, value = found.groups()
    return f"{name}: {value.lower() if value in {'True', 'False'} else value}"


@functools.cache
def _known() -> frozenset[str]:
    package = parsed()
    described = [package["provider"], *package["resources"].values()]
    properties = {name for it in described for name in (*it.get("properties", ()), *it["inputProperties"])}
    return frozenset({*map(snake_case, properties), *QUESTIONS, *_OF_PULUMI, *_OF_TIMEOUTS})


@functools.cache
def _assignments() -> re.Pattern[str]:
    return re.compile(rf"\b({'|'.join(sorted(_known()))})=({_VALUE})")


@functools.cache
def _names() -> re.Pattern[str]:
    return re.compile(rf"\b({'|'.join(sorted(name for name in _known() if '_' in name))})\b")
