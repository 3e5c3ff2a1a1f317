"""
Finding out which backup a request has started: the API does not return its id.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stacks_pulumi.api._lenient import snake, unwrap
from stacks_pulumi.api._watch import Watch
from stacks_pulumi.api.models import Backup, Listing

__all__ = ["Appears", "id_if_any"]


class Appears(Watch[Backup]):
    """Waits for the first manual backup that is newer than all before."""

    newer_than = 0

    def is_it(self, backup: Backup) -> bool:
        """Whether this one is newer, and manual as far as the answer says."""
        return backup.id > self.newer_than and backup.backup_type in {"manual", None}

    def judge(self, things: Listing[Backup]) -> bool:
        """Whether it has appeared."""
        self.trouble = None
        self.found = min(filter(self.is_it, things), key=lambda backup: backup.id, default=None)
        # A row that could be read only in part may be a scheduled backup: the next list may tell.
        return self.found is not None and self.found.id not in things.damaged


def id_if_any(body: Any) -> int | None:
    """The id of the new backup, if the answer to its start names it."""
    value, _path = unwrap(body, "backup")
    given = {snake(name): entry for name, entry in value.items()} if isinstance(value, Mapping) else {}
    found = given.get("backup_id", given.get("id"))
    return found if isinstance(found, int) and not isinstance(found, bool) else None
