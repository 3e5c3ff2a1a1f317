"""The interface of one kind of resource: its inputs, its rules, and its operations at the API."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from stacks_pulumi.resources._creation import Creation
from stacks_pulumi.resources._fields import Field, OnChange
from stacks_pulumi.resources._operation import Operation
from stacks_pulumi.resources._parent import ParentInProgram
from stacks_pulumi.resources._session import Session

__all__ = ["Noun"]


class Noun:
    """
    A kind of resource. Each kind implements `creation` and the `on_*` methods, and overrides other methods if needed.

    Attributes:
        kind: The resource's name, as in `stacks_pulumi.provider_for(kind)`.
        fields: The inputs.
        create_timeout: Default time for a create or an update, in seconds; `CustomTimeouts` takes precedence.
        delete_timeout: The same for a delete.
        owns: Whether a delete removes an object at the API.
        id_form: The form of an id, for messages; empty if the API lists no such objects.
    """

    kind: ClassVar[str]
    fields: ClassVar[tuple[Field, ...]]
    create_timeout: ClassVar[float] = 600.0
    delete_timeout: ClassVar[float] = 300.0
    owns: ClassVar[bool] = True
    id_form: ClassVar[str]

    def rules(self, inputs: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
        """Return violations of rules over several inputs: pairs of property and problem. Skip unknown inputs."""
        del inputs
        return ()

    def guards(self, olds: Mapping[str, Any], inputs: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
        """Return the changes to refuse, compared with the previous inputs (empty for a new resource)."""
        del olds, inputs
        return ()

    def derived(self, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the values that `check` adds to valid inputs, for previews and policies."""
        del inputs
        return {}

    def warnings(self, olds: Mapping[str, Any], inputs: Mapping[str, Any]) -> Iterable[str]:
        """Return the warnings that the user should see before the operation."""
        del olds, inputs
        return ()

    def announcement(self, olds: Mapping[str, Any], inputs: Mapping[str, Any]) -> str | None:
        """Return a line to show beside the resource before the operation, or `None`."""
        del olds, inputs
        return None

    def replaces(self, field: Field, olds: Mapping[str, Any], news: Mapping[str, Any]) -> bool:
        """Return whether the change of this field replaces the object."""
        del olds, news
        return field.on_change in {OnChange.REPLACE, OnChange.REFUSED}

    def delete_first(self, olds: Mapping[str, Any], news: Mapping[str, Any]) -> bool:
        """Return whether a replacement must delete the old object before it creates the new one."""
        del olds, news
        return False

    def unique_names(self, inputs: Mapping[str, Any]) -> Mapping[str, str]:
        """Return the names that must be unique in an account, by the input that sets them; all inputs are known."""
        del inputs
        return {}

    def parent_rules(
        self, parent: ParentInProgram, olds: Mapping[str, Any], inputs: Mapping[str, Any]
    ) -> Iterable[tuple[str, str]]:
        """Return the violations of rules that concern the arguments of the Container object that the program passed."""
        del parent, olds, inputs
        return ()

    def needs_update(self, olds: Mapping[str, Any], news: Mapping[str, Any]) -> bool:
        """Return whether an update is needed although no input differs."""
        del olds, news
        return False

    def creation(self, session: Session, op: Operation, inputs: dict[str, Any]) -> Creation[Any]:
        """Return the steps of a creation."""
        raise NotImplementedError

    def on_read(
        self, session: Session, op: Operation, id_: str, olds: dict[str, Any]
    ) -> dict[str, Any] | None:
        """Read the object; return its outputs, or `None` if it certainly no longer exists."""
        raise NotImplementedError

    def imported(self, session: Session, id_: str) -> dict[str, Any]:
        """Return the inputs of an imported object that a read does not return."""
        del session, id_
        return {field.name: field.default for field in self.fields if field.default is not None}

    def on_update(
        self, session: Session, op: Operation, id_: str, olds: dict[str, Any], inputs: dict[str, Any]
    ) -> dict[str, Any]:
        """Update the object; return all of its outputs."""
        raise NotImplementedError

    def on_delete(self, session: Session, op: Operation, id_: str, olds: dict[str, Any]) -> None:
        """Delete the object; no error if it does not exist."""
        raise NotImplementedError
