"""How is a change of one resource represented?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from stacks_pulumi._identifiers import name_of
from stacks_pulumi.broker.change import Reported
from stacks_pulumi.pricing.money import FREE, Price

Operation: TypeAlias = Literal[
    "same", "create", "update", "replace", "delete", "import", "read", "discard", "keep", "unclear"
]
"""
What happens to an object. `keep`: it leaves the stack and is not deleted. `read`: after the change, the program only
looks it up. `discard`: the program looked it up and no longer does; nothing happens to the object. `unclear`: the
preview does not show what happens to it.
"""

_PROVIDERS: Final = "pulumi:providers:"


@dataclass(frozen=True)
class Change:
    """
    One object before and after a change.

    Attributes:
        urn: Its URN.
        type: Its type token.
        kind: One of the kinds of STACKS, `unrecognised`, or `None` for a resource of another provider.
        operation: What happens to it.
        before: Its inputs now; empty if it does not exist. Secrets are hidden.
        after: Its inputs after the change; empty if it will not exist. A placeholder represents an unknown value.
        price_before: Its monthly price now.
        price_after: Its monthly price after the change.
        dependants: The URNs of the resources that depend on it, now or after the change.
        unknown: The inputs whose values are unknown until the change is applied; for our resources, this includes
            secret inputs.
        changed: The names of the inputs that change.
        outputs: Its outputs in the state.
        id: Its id now; empty if it does not exist.
        custom: Whether it has a provider. A component has no provider.
        protected_before: Whether the state protects it from deletion.
        protected_after: Whether it will be protected.
        made_from: Input -> the URNs that its value depends on.
        steps: The engine's names of its steps, in order.
        note: A remark for a reader.
        former_type: Its type token now, if an alias changes it.
    """

    urn: str
    type: str
    kind: str | None
    operation: Operation
    before: Mapping[str, Any] = field(default_factory=dict)
    after: Mapping[str, Any] = field(default_factory=dict)
    price_before: Price = FREE
    price_after: Price = FREE
    dependants: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    outputs: Mapping[str, Any] = field(default_factory=dict)
    id: str = ""
    custom: bool = True
    protected_before: bool = False
    protected_after: bool = False
    made_from: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    steps: tuple[str, ...] = ()
    note: str = ""
    former_type: str = ""

    @property
    def name(self) -> str:
        return name_of(self.urn)

    @property
    def foreign(self) -> bool:
        """Whether it is an object of another provider."""
        return self.custom and self.kind is None and not self.type.startswith(_PROVIDERS)

    @property
    def unprotected(self) -> bool:
        """Whether it loses its protection."""
        return self.protected_before and not self.protected_after and self.operation != "create"

    @property
    def deleted_first(self) -> bool:
        """Whether the old object of a replacement is deleted before the new one is created."""
        return self.steps[:1] == ("delete-replaced",)

    @property
    def acts(self) -> bool:
        """Whether the object or its protection changes."""
        return self.operation != "same" or self.unprotected

    def approve(self, text: str) -> Reported:
        """Return a finding for a gate's own rule: this change needs an approval."""
        return Reported("", "approve", text)

    def refuse(self, text: str) -> Reported:
        """Return a finding for a gate's own rule: this change is refused."""
        return Reported("", "refuse", text)
