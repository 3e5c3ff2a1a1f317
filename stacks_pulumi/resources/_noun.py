"""What one kind of resource says of itself: its inputs, its rules, and what an operation does at the API."""

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
    A kind of resource. Each implements `creation` and the `on_*` methods, and overrides what else differs.

    Attributes:
        kind: The resource's name, as in `stacks_pulumi.provider_for(kind)`.
        fields: The inputs.
        create_timeout: Default time for a create or an update, in seconds; `CustomTimeouts` takes precedence.
        delete_timeout: The same for a delete.
        owns: Whether a delete removes an object at the API.
        id_form: What an id looks like, for messages; empty if the API lists no such objects.
    """

    kind: ClassVar[str]
    fields: ClassVar[tuple[Field, ...]]
    create_timeout: ClassVar[float] = 600.0
    delete_timeout: ClassVar[float] = 300.0
    owns: ClassVar[bool] = True
    id_form: ClassVar[str]

    def rules(self, inputs: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
        """Rules over several inputs: pairs of a property and what is wrong. Skip unknown inputs."""
        del inputs
        return ()

    def guards(self, olds: Mapping[str, Any], inputs: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
        """Changes that are refused, given the inputs of the last time (empty for a new resource)."""
        del olds, inputs
        return ()

    def derived(self, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        """What `check` adds to sound inputs, for previews and policies to see."""
        del inputs
        return {}

    def warnings(self, olds: Mapping[str, Any], inputs: Mapping[str, Any]) -> Iterable[str]:
        """What is no error, but has to be known before it happens."""
        del olds, inputs
        return ()

    def announcement(self, olds: Mapping[str, Any], inputs: Mapping[str, Any]) -> str | None:
        """What a person wants to see beside the resource before it happens."""
        del olds, inputs
        return None

    def replaces(self, field: Field, olds: Mapping[str, Any], news: Mapping[str, Any]) -> bool:
        """Whether a changed field replaces the object."""
        del olds, news
        return field.on_change in {OnChange.REPLACE, OnChange.REFUSED}

    def delete_first(self, olds: Mapping[str, Any], news: Mapping[str, Any]) -> bool:
        """Whether a replacement has to delete the old object before it makes the new one."""
        del olds, news
        return False

    def unique_names(self, inputs: Mapping[str, Any]) -> Mapping[str, str]:
        """Return what can exist only once in an account, by the input that decides it; all inputs are known."""
        del inputs
        return {}

    def parent_rules(
        self, parent: ParentInProgram, olds: Mapping[str, Any], inputs: Mapping[str, Any]
    ) -> Iterable[tuple[str, str]]:
        """Rules over what the program says of the Container object that it handed in."""
        del parent, olds, inputs
        return ()

    def needs_update(self, olds: Mapping[str, Any], news: Mapping[str, Any]) -> bool:
        """Whether there is something to do although no input differs."""
        del olds, news
        return False

    def creation(self, session: Session, op: Operation, inputs: dict[str, Any]) -> Creation[Any]:
        """Return the steps of a creation."""
        raise NotImplementedError

    def on_read(
        self, session: Session, op: Operation, id_: str, olds: dict[str, Any]
    ) -> dict[str, Any] | None:
        """Look the object up; returns its outputs, or `None` if it is certainly gone."""
        raise NotImplementedError

    def imported(self, session: Session, id_: str) -> dict[str, Any]:
        """Return the inputs of an object that is imported, as far as a read does not find them."""
        del session, id_
        return {field.name: field.default for field in self.fields if field.default is not None}

    def on_update(
        self, session: Session, op: Operation, id_: str, olds: dict[str, Any], inputs: dict[str, Any]
    ) -> dict[str, Any]:
        """Change the object; returns all of its outputs."""
        raise NotImplementedError

    def on_delete(self, session: Session, op: Operation, id_: str, olds: dict[str, Any]) -> None:
        """Remove the object; it is no error if it is gone."""
        raise NotImplementedError
