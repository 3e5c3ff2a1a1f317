"""The types of a handler's argument and result."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from stacks_pulumi.emulator import containers
from stacks_pulumi.emulator.answers import bad_request

if TYPE_CHECKING:
    from stacks_pulumi.emulator.platform import Platform
    from stacks_pulumi.emulator.state import ApiKey, Container

__all__ = ["Reply", "Request"]


@dataclass(frozen=True)
class Request:
    """
    A request that passed authentication, rate limit and scope.

    Attributes:
        platform: The platform; its lock is held.
        key: The key of the request.
        args: The variables in the path.
        query: The query's parameters, the first value of each.
        body: The JSON object in the body; empty if there was no body.
    """

    platform: Platform
    key: ApiKey
    args: dict[str, str]
    query: dict[str, str] = field(default_factory=dict)
    body: dict[str, Any] = field(default_factory=dict)

    def container(self, name: str = "container_id") -> Container:
        """
        Return the container in the path.

        Raises:
            Refusal: 404 if it does not exist.
        """
        return containers.find(self.platform, self.key.account, self.args[name])

    def whole_number(self, name: str, default: int, ceiling: int) -> int:
        """
        Return a parameter of the query.

        Raises:
            Refusal: 400 unless it is a whole number from 1 on, or, if the emulator is strict, above `ceiling`.
        """
        text = self.query.get(name)
        if text is None:
            return default
        # assumed: a number above the maximum is refused; if it is accepted (not strict), it is lowered to the maximum.
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
        if number < 1 or (self.platform.strict and number > ceiling):
            raise bad_request(f"The parameter {name} must be a whole number from 1 to {ceiling}", name)
        return min(number, ceiling)


@dataclass(frozen=True)
class Reply:
    """A response whose body the guide specifies; `Open` is used for the others."""

    body: dict[str, Any]
    status: int = 200
