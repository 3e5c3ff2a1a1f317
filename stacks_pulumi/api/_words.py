"""
The words that the guide uses for statuses, plans, templates, types and services, and what they mean.

Case is ignored. An unknown word is kept unchanged, so that an error can show it, and has no effect.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from stacks_pulumi import catalog

STATUSES: Final = frozenset(
    {
        "pending",
        "starting",
        "running",
        "stopping",
        "stopped",
        "restarting",
        "error",
        "deleting",
        "deleted",
    }
)
"""The statuses of a container. The guide mentions four of them, but has no complete list."""

BACKUP_STATUSES: Final = frozenset({"in_progress", "completed", "failed"})
BACKUP_TYPES: Final = frozenset({"scheduled", "manual"})
SERVICES: Final = frozenset({"http", "tcp", "both"})
PLANS: Final = frozenset({*catalog.PLANS, catalog.VPN_PLAN.name})
TEMPLATES: Final = frozenset(catalog.TEMPLATES)

SETTLED_STATUSES: Final = frozenset({"running", "stopped", "error"})
"""The statuses that a container keeps until a request changes them. The guide does not list the temporary statuses."""

DELETED_STATUS: Final = "deleted"
"""The status of a deleted container that a list still contains."""

ENDING_STATUSES: Final = frozenset({"deleting", DELETED_STATUS})
"""The statuses of a container that is being deleted or is deleted."""

_KNOWN: Final[Mapping[str, frozenset[str]]] = {"container": STATUSES, "backup": BACKUP_STATUSES}


def guides_word(word: str, known: Collection[str]) -> str:
    """Return the word in the guide's spelling; if it is not one of the known words, return it unchanged."""
    lower = word.strip().lower()
    return lower if lower in known else word


def is_known_status(word: str | None, noun: str = "container") -> bool:
    """Return whether the meaning of a status is known; true for `None`."""
    return word is None or word in _KNOWN[noun]
