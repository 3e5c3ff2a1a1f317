"""
Drift that the values of the inputs do not show.

The engine finds most drift by itself, because a read returns the inputs with the API's values. Two cases need more. The
API may have undone the effect of an input (`revoke_auto_added`: the address is in the list again). Or the value does
not show who changed it (`plan`: the guard against a replacement needs that). A read then lists those inputs under
`CHANGED_OUTSIDE`, in its outputs and in its inputs. `diff` reports an update as long as the state has the list; an
update removes the list.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

__all__ = ["CHANGED_OUTSIDE", "changed_outside", "found_changed"]

CHANGED_OUTSIDE: Final = "changed_outside"
"""The property with the names of those inputs. For a container that was resized in the dashboard: `["plan"]`."""


def found_changed(names: Iterable[str]) -> dict[str, list[str]]:
    """Return the output that lists these inputs as changed; an empty mapping if the list is empty."""
    listed = sorted(set(names))
    return {CHANGED_OUTSIDE: listed} if listed else {}


def changed_outside(state: Mapping[str, Any]) -> list[str]:
    """Return the inputs that the last read found changed."""
    return list(state.get(CHANGED_OUTSIDE) or ())
