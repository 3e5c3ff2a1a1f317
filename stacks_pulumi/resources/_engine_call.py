"""What a resource knows of the engine: calls, which a host implements (`stacks_pulumi.hosts`), and their answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

__all__ = ["Checked", "Difference", "EngineCall", "Found"]


class EngineCall(ABC):
    """
    One call of the engine on one resource.

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
        return self.urn.rpartition("::")[2]

    @abstractmethod
    def is_active(self) -> bool:
        """Return whether the engine still waits for the answer; true if that is not known."""

    @abstractmethod
    def fail(self, message: str) -> NoReturn:
        """End the call; the user sees the message and nothing around it."""

    @abstractmethod
    def fail_keeping_id(self, id_: str, outs: Mapping[str, Any], reasons: Sequence[str]) -> NoReturn:
        """
        End a create or an update that is partially completed: the resource stays in the state, with its id.

        The engine shows the reasons, calls `update` in the next `up` even where nothing differs, and `destroy`
        deletes the resource.
        """

    @abstractmethod
    def status(self, message: str) -> None:
        """Show a line beside the resource while its operation runs; it leaves nothing behind."""

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
        """Show what only `--debug` shows."""


@dataclass(frozen=True)
class Checked:
    """
    The answer to `check`.

    Attributes:
        inputs: The sound inputs in their normal form.
        failures: What is wrong, by property.
    """

    inputs: dict[str, Any]
    failures: dict[str, str]


@dataclass(frozen=True)
class Difference:
    """
    The answer to `diff`.

    Attributes:
        changes: Whether there is anything to do.
        fields: The inputs that differ.
        replaces: Those of them that replace the object.
        delete_before_replace: Whether a replacement deletes first.
    """

    changes: bool
    fields: list[str]
    replaces: list[str]
    delete_before_replace: bool


@dataclass(frozen=True)
class Found:
    """
    The answer to `read`.

    Attributes:
        outs: The outputs.
        inputs: The inputs that give them, so that drift shows in the next preview.
    """

    outs: dict[str, Any]
    inputs: dict[str, Any]
