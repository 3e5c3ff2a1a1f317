"""
The base class of all models.
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
An id. It is never empty and never consists of dots: in a path such an id would address another resource or a whole
collection. It has no control characters, because it is shown to people as part of a line.
"""

Amount = Annotated[float, msgspec.Meta(ge=0, le=1e12)]
"""A number. The bounds exclude `nan` and `inf`, which a state file cannot contain."""


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """
    Data from the API. `None` means that the answer did not contain the field; unknown fields are ignored.
    """

    ALIASES: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """Other spellings of a field in snake_case; the preferred one is first."""

    SYNONYMS: ClassVar[Mapping[str, Mapping[str, str]]] = {}
    """Synonyms of the values of a field, each with the value that is used here."""

    def merge(self, other: Self) -> Self:
        """Return this model with its `None` fields filled from the other one."""
        gaps = {
            name: getattr(other, name)
            for name in self.__struct_fields__
            if getattr(self, name) is None and getattr(other, name) is not None
        }
        return msgspec.structs.replace(self, **gaps) if gaps else self


@functools.cache
def prepare(kind: type[Model]) -> None:
    """
    Let msgspec build its data about a model in one thread.

    It does so at the first conversion, and two threads that do it concurrently crash the interpreter (msgspec 0.22).
    """
    with _building, contextlib.suppress(msgspec.ValidationError):
        msgspec.convert([{}], list[kind], strict=False)  # type: ignore[valid-type]  # known at run time
