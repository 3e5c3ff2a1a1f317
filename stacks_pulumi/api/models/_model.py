"""
What all models share.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Final

import msgspec

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Amount", "Id", "Model", "prepare"]

_building: Final = threading.Lock()

Id = Annotated[str, msgspec.Meta(min_length=1, max_length=1000, pattern=r"^(?!\.{1,2}$)[^\x00-\x1f\x7f]*$")]
"""
An id. Never empty and no dots alone: such a one in a path would address something else, a whole collection even.
No control characters: it is shown to people and becomes part of a line.
"""

Amount = Annotated[float, msgspec.Meta(ge=0, le=1e12)]
"""A quantity. The bounds keep out `nan` and `inf`, which no state file can hold."""


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """
    Something that the API told. `None` means that the answer did not say; fields we do not know are left out.
    """

    ALIASES: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """Other spellings of a field, in snake_case, best first."""

    SYNONYMS: ClassVar[Mapping[str, Mapping[str, str]]] = {}
    """Other words for a value of a field, each with the one that is used here."""

    def merge(self, other: Self) -> Self:
        """This one, with what it does not say taken from the other."""
        gaps = {
            name: getattr(other, name)
            for name in self.__struct_fields__
            if getattr(self, name) is None and getattr(other, name) is not None
        }
        return msgspec.structs.replace(self, **gaps) if gaps else self


@functools.cache
def prepare(kind: type[Model]) -> None:
    """
    Let msgspec build what it knows of a model, in one thread.

    It does so at the first conversion, and two threads that come first together crash the interpreter (msgspec 0.22).
    """
    with _building, contextlib.suppress(msgspec.ValidationError):
        msgspec.convert([{}], list[kind], strict=False)  # type: ignore[valid-type]  # known at run time
