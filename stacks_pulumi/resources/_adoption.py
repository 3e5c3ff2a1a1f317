"""What to do about something that exists already and that this program did not make."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stacks_pulumi.resources._operation import Operation
from stacks_pulumi.resources._session import Session

__all__ = ["adopts", "how_to_adopt"]


def adopts(session: Session, inputs: Mapping[str, Any]) -> bool:
    """Whether the program (or, where it does not say, the configuration) wants an equal thing to be taken over."""
    return (inputs.get("adopt") or session.settings.adopt) == "if_matching"


def how_to_adopt(kind: str, op: Operation, inputs: Mapping[str, Any]) -> str:
    """The exact line to write."""
    label = op.label or inputs.get("name") or "..."
    return f'To take it over, write stacks.{kind}("{label}", ..., adopt="if_matching")'
