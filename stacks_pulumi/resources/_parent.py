"""
The arguments of the Container object that a program passes to a child resource.

A child's inputs contain only the container's id, which is unknown at the preview of a new stack. The program knows
more: the template, and whether external access is on. One extra input passes that to `check`. `check` does not return
it, so it is not stored in the state.
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
    """Return the extra input for a child of this container; empty if the program passed only an id."""
    # An Output would read the attribute from its value, which fails in the program.
    facts = getattr(container, "in_program", None) if isinstance(container, pulumi.Resource) else None
    return {PARENT_IN_PROGRAM: {**facts, **more}} if isinstance(facts, Mapping) else {}


@dataclass(frozen=True)
class ParentInProgram:
    """
    A child's container, as its program declares it.

    Attributes:
        facts: The known arguments of the Container by name; an unset argument is missing.
        is_new: Whether this operation creates the container.
    """

    facts: Mapping[str, Any]
    is_new: bool

    @classmethod
    def of(cls, news: Mapping[str, Any]) -> ParentInProgram | None:
        """Read the extra input; return `None` if it is missing, or part of it is unknown."""
        facts = plain(news.get(PARENT_IN_PROGRAM))
        if not isinstance(facts, Mapping) or is_unknown(dict(facts)):
            return None
        container = news.get("source", news.get("container"))
        return cls({name: value for name, value in facts.items() if value is not None}, is_unknown(container))

    @property
    def template(self) -> str:
        """The container's template; empty if a look-up did not find the container."""
        return str(self.facts.get("template", ""))

    @property
    def is_stopped(self) -> bool:
        """Whether the program keeps the container stopped."""
        return self.facts.get("desired_status") == "stopped"

    @property
    def is_closed(self) -> bool:
        """Whether external access is certainly off: the program sets that, or the container is new."""
        wanted = self.facts.get("external_access")
        adopted = self.facts.get("adopt") == "if_matching"
        return wanted is False or (wanted is None and self.is_new and not adopted)
