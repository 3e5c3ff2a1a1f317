"""The interface between resources and the engine: a call, which a host implements, and its results."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from stacks_pulumi._urn import name_of

__all__ = ["Checked", "Difference", "EngineCall", "Found"]


class EngineCall(ABC):
    """
    One call from the engine for one resource.

    Attributes:
        urn: The resource's URN; empty if it is not known.
        timeout: Seconds from `CustomTimeouts`, or `None` if the program set none.
        engine: The engine's address, which is the same for all processes of one operation; empty if it is not known.
    """

    urn: str = ""
    timeout: float | None = None
    engine: str = ""

    @property
    def name(self) -> str:
        """The resource's name in the program; empty if it is not known."""
        return name_of(self.urn)

    @abstractmethod
    def is_active(self) -> bool:
        """Return whether the engine still waits for the answer; true if that is not known."""

    @abstractmethod
    def fail(self, message: str) -> NoReturn:
        """End the call with an error; the user sees only this message, without a traceback."""

    @abstractmethod
    def fail_keeping_id(self, id_: str, outs: Mapping[str, Any], reasons: Sequence[str]) -> NoReturn:
        """
        End a create or an update that failed part-way, and keep the resource and its id in the state.

        The engine shows the reasons. The next `up` calls `update` even if nothing differs; `destroy` deletes the
        resource.
        """

    @abstractmethod
    def status(self, message: str) -> None:
        """Show a line beside the resource while its operation runs; the line disappears afterwards."""

    @abstractmethod
    def info(self, message: str) -> None:
        """Show a line that stays in the output of the operation."""

    @abstractmethod
    def warn(self, message: str) -> None:
        """Show a warning that stays in the output of the operation."""

    @abstractmethod
    def error(self, message: str) -> None:
        """Show an error beside the resource; it does not end the operation."""

    @abstractmethod
    def debug(self, message: str) -> None:
        """Show a line that the user sees only with `--debug`."""


@dataclass(frozen=True)
class Checked:
    """
    The result of `check`.

    Attributes:
        inputs: The valid inputs in their normal form.
        failures: The problems, by property.
    """

    inputs: dict[str, Any]
    failures: dict[str, str]


@dataclass(frozen=True)
class Difference:
    """
    The result of `diff`.

    Attributes:
        changes: Whether an update or a replacement is needed.
        fields: The inputs that differ.
        replaces: The inputs among them whose change replaces the object.
        delete_before_replace: Whether a replacement deletes the old object first.
    """

    changes: bool
    fields: list[str]
    replaces: list[str]
    delete_before_replace: bool


@dataclass(frozen=True)
class Found:
    """
    The result of `read`.

    Attributes:
        outs: The outputs.
        inputs: The inputs with the API's values, so that the next preview shows drift.
    """

    outs: dict[str, Any]
    inputs: dict[str, Any]
