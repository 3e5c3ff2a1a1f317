"""The generated parts, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tools.docs import (
    accounts,
    calls,
    commands,
    control,
    endpoints,
    functions,
    install,
    platform_file,
    policies,
    resources,
    samples,
    settings,
    sizes,
    versions,
)

__all__ = ["generate", "linked"]

_PARTS: Final[dict[str, Callable[[], str]]] = {
    "configuration": settings.configuration,
    "configuration of the plugin": settings.of_the_plugin,
    "packages": samples.packages,
    "gate file": platform_file.gate_settings,
    "platform file": platform_file.settings,
    "policies": policies.policies,
    "plans": sizes.plans,
    "storage tiers": sizes.storage,
    "templates": sizes.templates,
    "data functions": functions.data_functions,
    "answers": functions.answers,
    "endpoints": endpoints.endpoints,
    "command line": commands.command_line,
    "control calls": control.control_calls,
    "control faults": control.control_faults,
    "account": accounts.table,
    "account comparison": accounts.comparison,
    "scaffold": accounts.report,
    "scaffold program": accounts.program,
    "versions": versions.versions,
}
_GUIDE: Final = "https://docs.stackshosting.cloud"

_OF_A_KIND: Final[dict[str, Callable[[str], str]]] = {
    "inputs": resources.inputs,
    "outputs": resources.outputs,
    "calls": calls.calls,
    "install": install.install,
    "wheel": install.wheel,
    "languages": samples.in_other_languages,
    "registry": samples.registry,
}


def generate(name: str) -> str:
    """
    Return the text of a part.

    Args:
        name: The name of the part. For a kind of resource, the name contains the kind, as in `inputs Container`.

    Raises:
        LookupError: There is no such part.
    """
    return linked(_text(name))


def linked(text: str) -> str:
    """Return a text from docstrings, with a link for each reference to the API guide."""
    return text.replace("(guide, ", f"([guide]({_GUIDE}), ")


def _text(name: str) -> str:
    what, _, kind = name.partition(" ")
    if what in _OF_A_KIND:
        return _OF_A_KIND[what](kind)
    if name not in _PARTS:
        raise LookupError(
            f"there is no generated part {name!r}: the parts are {', '.join((*_PARTS, *_OF_A_KIND))}"
        )
    return _PARTS[name]()
