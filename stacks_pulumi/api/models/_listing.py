"""
A list that the API answered with, and whether it may leave something out.
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

    A row whose id cannot be read is left out, and then the list is incomplete: what it does not show may exist all the
    same. In a row that has an id, any other field that cannot be read is `None`.

    Attributes:
        gap: Why the list is incomplete; `None` if it is complete.
        damaged: The ids of rows in which a field could not be read.
    """

    gap: str | None
    damaged: frozenset[Any]

    def __new__(
        cls, rows: Iterable[T] = (), *, gap: str | None = None, damaged: Iterable[Any] = ()
    ) -> Listing[T]:
        """Make a list: complete and undamaged unless said otherwise. A list made of a list has its gap."""
        made = super().__new__(cls, rows)
        made.gap = rows.gap if isinstance(rows, Listing) else gap
        made.damaged = frozenset(damaged)
        return made

    def find(self, wanted: Callable[[T], bool]) -> T | None:
        """
        Return the first row that is wanted, or `None` if there certainly is none.

        Raises:
            UnreadableAnswerError: No row is wanted, and the list is incomplete.
        """
        found = next(filter(wanted, self), None)
        if found is None:
            self.require_complete()
        return found

    def require_complete(self) -> None:
        """
        Return if the list leaves nothing out.

        Raises:
            UnreadableAnswerError: It is incomplete, so an absence from it means nothing.
        """
        if self.gap is not None:
            msg = (
                f"the API's list is incomplete ({self.gap}), so it does not show what exists: try again later"
            )
            raise UnreadableAnswerError(msg, status=200)
