"""What to do about something that exists already and that no resource of this name made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stacks_pulumi.errors import ExistsError
from stacks_pulumi.resources._claims import CLAIMS
from stacks_pulumi.resources._operation import Operation
from stacks_pulumi.resources._session import Session

__all__ = ["adopts", "how_to_adopt", "refuse_if_owned"]


def adopts(session: Session, inputs: Mapping[str, Any]) -> bool:
    """Whether the program (or, where it does not say, the configuration) wants an equal thing to be taken over."""
    return (inputs.get("adopt") or session.settings.adopt) == "if_matching"


def how_to_adopt(kind: str, op: Operation, inputs: Mapping[str, Any]) -> str:
    """The exact line to write; and what to write instead where the program only calls it by another name now."""
    label = op.label or inputs.get("name") or "..."
    return (
        f'To take it over, write stacks.{kind}("{label}", ..., adopt="if_matching"); if this program made it under '
        "another name, give the resource that name as an alias instead (opts=pulumi.ResourceOptions(aliases=[...])); "
        "if this very resource is to be replaced, set delete_before_replace=True"
    )


def refuse_if_owned(op: Operation, kind: str, id_: str) -> None:
    """
    Take nothing over that another resource of this program has.

    Raises:
        ExistsError: Another one has it.
    """
    owner = CLAIMS.owner(kind, id_, op.call.urn)
    if owner is not None:
        msg = f"{id_} belongs to {owner!r} in this program; a second resource would delete it under the first one"
        raise ExistsError(msg)
