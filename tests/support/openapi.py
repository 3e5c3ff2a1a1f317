"""The emulator's contract, parsed once. The parser in C takes a tenth of a second, the one in Python a whole one."""

from __future__ import annotations

import functools
from importlib import resources
from typing import Any

import yaml

__all__ = ["contract"]

# Installations of PyYAML that were compiled without libyaml have only the other one.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@functools.cache
def contract() -> dict[str, Any]:
    """Return the contract. All tests share it, so none changes it."""
    text = resources.files("stacks_pulumi.emulator").joinpath("openapi.yaml").read_text(encoding="utf-8")
    found: dict[str, Any] = yaml.load(text, _Loader)
    return found
