"""Messages for changes that are possible with an API key only by replacing the container."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["no_going_back", "of_unknown", "refusal"]


def of_unknown(name: str, old: Any, inputs: Mapping[str, Any]) -> str:
    """Return the warning for a new value that is unknown at preview, so that only `pulumi up` can check it."""
    then = (
        "the container is replaced and its data destroyed"
        if inputs.get("replace_on_change") is True
        else "`pulumi up` refuses the change after its other steps were done"
    )
    return f"{name} is not known before `pulumi up`: if it is not {_shown(old)} then, {then}. Use a constant value"


def refusal(name: str, old: Any, new: Any) -> str:
    """Return the message for a change in the program that would destroy the container."""
    what = (
        f"{name} would change from {_shown(old)} to {_shown(new)}"
        if new is not None
        else f"{name} {_shown(old)} would be taken away"
    )
    keeping = {
        "name": f"No container can be renamed: to keep it, write name={_shown(old)} here. ",
        "template": "",
    }.get(
        name,
        "To resize and keep the data, do it in the STACKS dashboard, run `pulumi refresh`, and write the new "
        f"{name} here. ",
    )
    return (
        f"{what}, which an API key can only do by replacing: that destroys the container, its volumes and its backups. "
        f"{keeping}To replace it anyway, set replace_on_change=True"
    )


def no_going_back(name: str, old: Any, new: Any) -> str:
    """Return the message for a change outside of the program that only a replacement could undo."""
    return (
        f"{name} was changed to {_shown(old)} outside of this program, which still says {_shown(new)}: "
        "going back would destroy the container, its volumes and its backups, and replace_on_change is for changes of "
        f"the program. Write {name}={_shown(old)} here"
    )


def _shown(value: Any) -> str:
    """Return the value as a program writes it; the engine turns every number into a float."""
    return repr(int(value) if isinstance(value, float) and value.is_integer() else value)
