"""
What a program states about the Container object that it hands to a child resource.

A child's inputs hold only the container's id, which is unknown at the preview of a new stack. The program knows more:
the template, whether external access is on. It travels to `check` in one extra input, which `check` does not return,
so that it is in no state.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import pulumi

from stacks_pulumi.resources._property_values import is_unknown, plain

__all__ = ["PARENT_IN_PROGRAM", "ParentInProgram", "stated"]

PARENT_IN_PROGRAM: Final = "container_in_program"


def stated(container: Any, **more: Any) -> dict[str, pulumi.Input[Any]]:
    """Return the extra input for a child of this container; empty if the program handed in an id alone."""
    # An Output would look up the attribute in its value, and fail the program.
    facts = getattr(container, "in_program", None) if isinstance(container, pulumi.Resource) else None
    return {PARENT_IN_PROGRAM: {**facts, **more}} if isinstance(facts, Mapping) else {}


@dataclass(frozen=True)
class ParentInProgram:
    """
    A child's container, as its program declares it.

    Attributes:
        facts: The arguments of the Container by name, as far as they are known; an unset argument is missing.
        is_new: Whether the container does not exist before this operation.
    """

    facts: Mapping[str, Any]
    is_new: bool

    @classmethod
    def of(cls, news: Mapping[str, Any]) -> ParentInProgram | None:
        """Read the extra input; `None` if it is missing, or part of it is unknown."""
        facts = plain(news.get(PARENT_IN_PROGRAM))
        if not isinstance(facts, Mapping) or is_unknown(dict(facts)):
            return None
        container = news.get("source", news.get("container"))
        return cls({name: value for name, value in facts.items() if value is not None}, is_unknown(container))

    @property
    def template(self) -> str:
        """The container's template; empty for one that was looked up without success."""
        return str(self.facts.get("template", ""))

    @property
    def is_stopped(self) -> bool:
        """Whether the program keeps the container stopped."""
        return self.facts.get("desired_status") == "stopped"

    @property
    def is_closed(self) -> bool:
        """Whether external access is certainly off: by the program, or because the container is a new one."""
        wanted = self.facts.get("external_access")
        adopted = self.facts.get("adopt") == "if_matching"
        return wanted is False or (wanted is None and self.is_new and not adopted)
