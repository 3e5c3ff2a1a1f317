"""What a handler gets and gives."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from stacks_pulumi.emulator import containers
from stacks_pulumi.emulator.refusals import bad_request

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
        key: Who asks.
        args: What the path names.
        query: The query's parameters, the first value of each.
        body: The JSON object that was sent; empty if none was.
    """

    platform: Platform
    key: ApiKey
    args: dict[str, str]
    query: dict[str, str] = field(default_factory=dict)
    body: dict[str, Any] = field(default_factory=dict)

    def container(self, name: str = "container_id") -> Container:
        """
        The container that the path names.

        Raises:
            Refusal: 404.
        """
        return containers.find(self.platform, self.key.account, self.args[name])

    def whole_number(self, name: str, default: int, ceiling: int) -> int:
        """
        A parameter of the query.

        Raises:
            Refusal: 400 unless it is a whole number from 1 on, or, if the emulator is strict, above `ceiling`.
        """
        text = self.query.get(name)
        if text is None:
            return default
        # assumed: what is above the maximum is refused; where it is accepted (not strict), it is cut.
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
        if number < 1 or (self.platform.strict and number > ceiling):
            raise bad_request(f"The parameter {name} must be a whole number from 1 to {ceiling}", name)
        return min(number, ceiling)


@dataclass(frozen=True)
class Reply:
    """An answer whose body the guide states. `Open` is the other kind."""

    body: dict[str, Any]
    status: int = 200
