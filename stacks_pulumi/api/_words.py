"""
The words of the guide: which statuses, plans, templates, types and services are there, and what does a word show?

A word is read without case. Any other word stays as it came, so that an error can show it, and nothing is concluded
from it.
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
"""The statuses of a container. The guide has four of them, and does not list all."""

BACKUP_STATUSES: Final = frozenset({"in_progress", "completed", "failed"})
BACKUP_TYPES: Final = frozenset({"scheduled", "manual"})
SERVICES: Final = frozenset({"http", "tcp", "both"})
PLANS: Final = frozenset({*catalog.PLANS, catalog.VPN_PLAN.name})
TEMPLATES: Final = frozenset(catalog.TEMPLATES)

SETTLED_STATUSES: Final = frozenset({"running", "stopped", "error"})
"""A container keeps such a status until a request changes it. The guide does not list the statuses in between."""

DELETED_STATUS: Final = "deleted"
"""The status of a container that is deleted and still listed."""

ENDING_STATUSES: Final = frozenset({"deleting", DELETED_STATUS})
"""The status of a container that is being deleted or is deleted."""

_KNOWN: Final[Mapping[str, frozenset[str]]] = {"container": STATUSES, "backup": BACKUP_STATUSES}


def guides_word(word: str, known: Collection[str]) -> str:
    """Return a word as the guide spells it; unchanged if it is not one of these words of the guide."""
    lower = word.strip().lower()
    return lower if lower in known else word


def is_known_status(word: str | None, noun: str = "container") -> bool:
    """Whether a status means something here; true for `None`."""
    return word is None or word in _KNOWN[noun]
