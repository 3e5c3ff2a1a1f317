"""
A list from the API that knows whether it is complete.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from stacks_pulumi.errors import UnreadableAnswerError

__all__ = ["Listing"]

T = TypeVar("T")


class Listing(tuple[T, ...]):  # noqa: SLOT001  (a tuple has room for attributes only in a dictionary)
    """
    The rows of a list.

    A row whose id cannot be read is left out. The list is then incomplete: a resource that it does not contain may
    exist. In a row that has an id, any other field that cannot be read is `None`.

    Attributes:
        gap: Why the list is incomplete; `None` if it is complete.
        damaged: The ids of rows in which a field could not be read.
    """

    gap: str | None
    damaged: frozenset[Any]

    def __new__(
        cls, rows: Iterable[T] = (), *, gap: str | None = None, damaged: Iterable[Any] = ()
    ) -> Listing[T]:
        """Create a list; by default it is complete and undamaged. A list that is made of a `Listing` has its gap."""
        made = super().__new__(cls, rows)
        made.gap = rows.gap if isinstance(rows, Listing) else gap
        made.damaged = frozenset(damaged)
        return made

    def find(self, wanted: Callable[[T], bool]) -> T | None:
        """
        Return the first row for which `wanted` is true, or `None` if a complete list has no such row.

        Raises:
            UnreadableAnswerError: `wanted` is true for no row, and the list is incomplete.
        """
        found = next(filter(wanted, self), None)
        if found is None:
            self.require_complete()
        return found

    def require_complete(self) -> None:
        """
        Check that the list is complete.

        Raises:
            UnreadableAnswerError: It is incomplete, so a resource that it does not contain may exist.
        """
        if self.gap is not None:
            msg = (
                f"the API's list is incomplete ({self.gap}), so it does not show what exists: try again later"
            )
            raise UnreadableAnswerError(msg, status=200)
