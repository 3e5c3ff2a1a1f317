"""
How to answer where the guide leaves the body open.

Of some operations the guide gives no answer at all, or only says what is in it. Whoever reads such an answer must
not depend on one form of it; so each can be had in several, for all operations or for one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["OPEN", "SHAPES", "Open", "PlainText", "Shapes", "render"]

SHAPES = ("guide", "bare", "wrapped", "text", "strings", "terse", "empty")
"""
`guide`: `success`, perhaps `message`, and `data`, as the guide's other answers have. The default.
`bare`: the list or the object alone.
`wrapped`: one level deeper, under the noun.
`text`: plain text where a file, lines or a message can be had, else as `guide`.
`strings`: a list of names in place of a list of objects, a JSON string in place of a file, else as `guide`.
`terse`: `success` alone for what changes something (so an id is not told), else as `guide`.
`empty`: no body at all, 204, for what changes something, else as `guide`.
"""

OPEN = frozenset(
    {
        "containers.logs",
        "containers.metrics",
        "containers.set_status",
        "containers.delete",
        "containers.certificate",
        "containers.regenerate_certificate",
        "containers.templates",
        "containers.external_access",
        "allowed_ips.add",
        "allowed_ips.remove",
        "connections.delete",
        "backups.restore",
        "backups.pin",
        "backups.unpin",
        "backups.delete",
        "vpn_clients.list",
        "vpn_clients.add",
        "vpn_clients.config",
        "vpn_clients.remove",
    }
)
"""Operations whose answer the guide leaves open; of `external_access` only the answer to disabling."""


@dataclass(frozen=True)
class Open:
    """
    What an open answer is to say, before it has a shape.

    Attributes:
        noun: What to call it when it is wrapped.
        value: A list or an object; `None` if there is nothing to tell but that it was done.
        message: One sentence, for what changes something.
        text: The whole as text, for a file or lines.
        names: A list's entries by name alone.
    """

    noun: str
    value: Any = None
    message: str | None = None
    text: str | None = None
    names: list[str] | None = None


class Shapes:
    """
    Which shape each operation answers in.

    Args:
        shapes: One of `SHAPES` for all, or operation -> shape with `*` for the others.

    Raises:
        ValueError: A shape or an operation that does not exist.
    """

    def __init__(self, shapes: str | dict[str, str] = "guide") -> None:
        self._default = "guide"
        self._by_operation: dict[str, str] = {}
        self.set_all(shapes)

    def set_all(self, shapes: str | dict[str, str]) -> None:
        """Forget what was set, and set these."""
        self._default = "guide"
        self._by_operation.clear()
        for operation, shape in {"*": shapes}.items() if isinstance(shapes, str) else shapes.items():
            self.set(operation, shape)

    def set(self, operation: str, shape: str) -> None:
        """Set the shape of one operation, or with `*` that of all others."""
        if shape not in SHAPES:
            raise ValueError(f"no such shape: {shape}; there are {', '.join(SHAPES)}")
        if operation == "*":
            self._default = shape
        elif operation in OPEN:
            self._by_operation[operation] = shape
        else:
            raise ValueError(f"the answer of {operation} is not open; open are {', '.join(sorted(OPEN))}")

    def of(self, operation: str) -> str:
        """The shape of an operation."""
        return self._by_operation.get(operation, self._default)


def render(answer: Open, shape: str) -> Any:
    """
    The body of an open answer.

    Returns:
        What goes into JSON; `PlainText` for what does not; `None` for no body.
    """
    changes = answer.message is not None
    if shape == "bare":
        return answer.value if answer.value is not None else {"message": answer.message}
    if shape == "wrapped":
        inner = answer.value if answer.value is not None else answer.message
        return {"success": True, "data": {answer.noun: inner}}
    if shape == "text" and (answer.text is not None or (changes and answer.value is None)):
        return PlainText(answer.text if answer.text is not None else str(answer.message))
    if shape == "strings" and answer.names is not None:
        return {"success": True, "data": answer.names}
    if shape == "strings" and answer.text is not None:
        return answer.text
    if shape == "terse" and changes:
        return {"success": True}
    if shape == "empty" and changes:
        return None
    body: dict[str, Any] = {"success": True}
    if changes:
        body["message"] = answer.message
    if isinstance(answer.value, list):
        body["count"] = len(answer.value)
    if answer.value is not None:
        body["data"] = answer.value
    return body


class PlainText(str):
    """A body that goes out as it is and not as JSON."""

    __slots__ = ()
