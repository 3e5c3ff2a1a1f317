"""
Drift that no value of an input shows.

Most drift shows by itself, because a read returns the inputs as the API has them. But the API may have undone what an
input did (`revoke_auto_added`: the address is back), or the value does not show who changed it (`plan`: the guard
against a replacement has to know). A read then lists those inputs under `CHANGED_OUTSIDE`,
in its outputs and in its inputs. `diff` offers an update as long as the state has the list; an update removes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

__all__ = ["CHANGED_OUTSIDE", "changed_outside", "found_changed"]

CHANGED_OUTSIDE: Final = "changed_outside"
"""The property: names of inputs. A container that was resized in the dashboard has `["plan"]`."""


def found_changed(names: Iterable[str]) -> dict[str, list[str]]:
    """Return what a read adds to its outputs if it found these inputs changed; else an empty mapping."""
    listed = sorted(set(names))
    return {CHANGED_OUTSIDE: listed} if listed else {}


def changed_outside(state: Mapping[str, Any]) -> list[str]:
    """Return the inputs that the last read found changed."""
    return list(state.get(CHANGED_OUTSIDE) or ())
