"""The emulator's contract, parsed once. The C parser takes 0.1 s, the Python parser 1 s."""

from __future__ import annotations

import functools
from importlib import resources
from typing import Any

import yaml

__all__ = ["contract"]

# Without libyaml, PyYAML has only the Python parser.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@functools.cache
def contract() -> dict[str, Any]:
    """Return the contract. All tests share it, so no test may change it."""
    text = resources.files("stacks_pulumi.emulator").joinpath("openapi.yaml").read_text(encoding="utf-8")
    found: dict[str, Any] = yaml.load(text, _Loader)
    return found
