"""
A small engine: it applies a program to a state through the real host, in milliseconds.

It copies what matters for previews and faults in the real engine: the order of operations, the state after a failed
operation, the update of a resource whose creation failed partway, the deletions at the end, the old half of a
replacement that could not be deleted yet, `deleted_with`, `retain_on_delete`, aliases, components, `--replace` and
`--target`. The engine tests repeat a sample of it on the real engine.

With an alias, Check, Diff, Update and Create get the new URN; the Delete of a replacement's old half gets the old one.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pulumi.runtime.proto import provider_pb2

from stacks_pulumi.resources._fields import OnChange
from stacks_pulumi.resources._values import UNKNOWN
from stacks_pulumi.resources.handlers import HANDLERS
from tests.chaos.account import claims
from tests.support.host import CallFailedError, Host, HostedResource

__all__ = ["Declared", "Foreseen", "MiniStack", "Outcome", "Ref"]

SECONDS = 280.0
"""The longest time for one call to the host: a deletion without any answer takes five read timeouts."""


@dataclass(frozen=True)
class Ref:
    """The id of another resource of the program, or an output, as an input or in a list of one."""

    name: str
    output: str = "id"


@dataclass(frozen=True)
class Declared:
    """
    One resource that a program declares.

    Attributes:
        kind: The resource's class.
        name: Its name in the program.
        inputs: Its inputs; a `Ref` stands for the id of a resource that was declared before.
        parent: The resource whose deletion also deletes this one (`deleted_with`).
        component: Type of the component that it is in.
        alias: The name and the component that it had before, if they changed.
        retain: Whether it stays in the account when it leaves the state (`retain_on_delete`).
        delete_first: Whether every replacement deletes before it creates (`delete_before_replace`).
    """

    kind: str
    name: str
    inputs: Mapping[str, Any]
    parent: str | None = None
    component: str = ""
    alias: tuple[str, str] | None = None
    retain: bool = False
    delete_first: bool = False

    @property
    def needs(self) -> frozenset[str]:
        """Return the names of the resources that its inputs refer to."""
        return frozenset(ref.name for value in self.inputs.values() for ref in _refs(value))

    @property
    def replaced_with(self) -> frozenset[str]:
        """Return the names of the resources whose replacement also replaces this one."""
        causes = {field.name for field in HANDLERS[self.kind].fields if field.on_change is OnChange.REPLACE}
        return frozenset(ref.name for name in causes for ref in _refs(self.inputs.get(name)))


def _refs(value: Any) -> list[Ref]:
    """Return the references in the value of an input."""
    return [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, Ref)]


@dataclass
class Outcome:
    """
    The result of a run.

    Attributes:
        steps: The operations that ran, as pairs of operation and name.
        errors: The error of each resource that failed, by name.
        undeleted: The message of each deletion that failed, by the id of the resource.
    """

    steps: list[tuple[str, str]] = field(default_factory=list)
    errors: dict[str, CallFailedError] = field(default_factory=dict)
    undeleted: dict[str, str] = field(default_factory=dict)

    @property
    def messages(self) -> list[str]:
        """Return the messages that a user would read."""
        return [error.message for error in self.errors.values()]


@dataclass
class MiniStack:
    """
    A stack: the last program that was applied, and the state.

    Attributes:
        host: Where the providers run.
        resources: The state by name, in order of creation.
        unfinished: Names of the resources whose creation or update failed partway.
        condemned: Old halves of replacements that are still to be deleted.
        forgotten: Ids of resources that left the state with their parent, without a call.
        retained: Ids of resources that left the state but stay in the account, as the program asks.
        timeout: Seconds for each operation (`custom_timeouts`); 0 for the provider's default.
    """

    host: Host
    resources: dict[str, HostedResource] = field(default_factory=dict)
    unfinished: set[str] = field(default_factory=set)
    condemned: list[HostedResource] = field(default_factory=list)
    forgotten: set[str] = field(default_factory=set)
    retained: set[str] = field(default_factory=set)
    timeout: float = 0
    _declared: dict[str, Declared] = field(default_factory=dict)
    _made_of: type[HostedResource] = field(default_factory=lambda: Patient)

    def foreseen(self) -> MiniStack:
        """Return a copy of the stack in which every operation is a preview, which changes nothing in the account."""
        resources = {name: Foreseen(**vars(resource)) for name, resource in self.resources.items()}
        condemned = [Foreseen(**vars(resource)) for resource in self.condemned]
        return replace(
            self,
            resources=dict[str, HostedResource](resources),
            unfinished=set(self.unfinished),
            condemned=list[HostedResource](condemned),
            forgotten=set(),
            retained=set(),
            _declared=dict(self._declared),
            _made_of=Foreseen,
        )

    def on(self, host: Host) -> MiniStack:
        """Return the same stack for the next operation, which runs on another host."""
        self.host = host
        for resource in self.in_state():
            resource.host = host
        return self

    def up(
        self,
        program: Sequence[Declared],
        *,
        force: Collection[str] = (),
        target: Collection[str] | None = None,
    ) -> Outcome:
        """
        Apply the program. If a resource fails, the resources that need it are skipped, and so are all deletions.

        Args:
            program: The resources, each after those that it needs.
            force: Names of resources that are replaced without a diff (`--replace`).
            target: Names of the only resources to apply; all if not given (`--target`).
        """
        outcome = Outcome()
        for declared in program:
            if target is not None and declared.name not in target:
                continue
            if declared.needs & outcome.errors.keys() or not declared.needs <= self.resources.keys():
                continue
            try:
                self._apply(declared, outcome, forced=declared.name in force)
            except CallFailedError as error:
                outcome.errors[declared.name] = error
            if declared.name in self.resources:
                self._declared[declared.name] = declared
        if not outcome.errors:
            wanted = {declared.name for declared in program}
            # If the state still has a resource under an old name that was not applied, it is not deleted. An alias
            # has no effect if the state has the new name already.
            wanted |= {
                declared.alias[0]
                for declared in program
                if declared.alias is not None and declared.name not in self.resources
            }
            going = [name for name in self.resources if name not in wanted]
            self._delete([name for name in going if target is None or name in target], outcome, target)
        return outcome

    def destroy(self) -> Outcome:
        """Delete everything."""
        outcome = Outcome()
        self._delete(list(self.resources), outcome)
        return outcome

    def refresh(self) -> Outcome:
        """Read every resource; those that no longer exist leave the state."""
        outcome = Outcome()
        for name, resource in list(self.resources.items()):
            try:
                if not resource.read():
                    self._forget(name)
                    outcome.steps.append(("gone", name))
            except CallFailedError as error:
                outcome.errors[name] = error
        return outcome

    def in_state(self) -> Iterator[HostedResource]:
        """Return every resource in the state, with the old halves of replacements."""
        yield from self.resources.values()
        yield from self.condemned

    # --- one resource ---

    def _apply(self, declared: Declared, outcome: Outcome, *, forced: bool) -> None:
        inputs = {name: self._value(value) for name, value in declared.inputs.items()}
        if declared.name not in self.resources and declared.alias is not None:
            self._rename(declared.alias[0], declared.name)
        resource = self.resources.get(declared.name)
        if resource is None:
            self._create(declared, inputs, outcome)
            return
        before = copy.copy(resource)
        resource.name, resource.component = declared.name, declared.component
        try:
            self._change(declared, resource, before, inputs, outcome, forced=forced)
        except CallFailedError:
            if self.resources.get(declared.name) is resource:
                # A resource that failed stays in the state unchanged, under its old URN.
                resource.name, resource.component = before.name, before.component
                self._rename(declared.name, before.name)
            raise

    def _rename(self, old: str, new: str) -> None:
        if old == new or old not in self.resources:
            return
        self.resources = {new if name == old else name: found for name, found in self.resources.items()}
        self.unfinished = {new if name == old else name for name in self.unfinished}
        self._declared = {
            new if name == old else name: replace(
                found,
                inputs={key: Ref(new) if value == Ref(old) else value for key, value in found.inputs.items()},
                parent=new if found.parent == old else found.parent,
            )
            for name, found in self._declared.items()
        }

    def _change(
        self,
        declared: Declared,
        resource: HostedResource,
        before: HostedResource,
        inputs: Mapping[str, Any],
        outcome: Outcome,
        *,
        forced: bool,
    ) -> None:
        checked = self._checked(resource, inputs)
        if forced:
            self._replace(declared, before, inputs, outcome, delete_first=declared.delete_first)
            return
        diff = resource.diff(checked)
        if diff.replaces:
            delete_first = diff.deleteBeforeReplace or declared.delete_first
            self._replace(declared, before, inputs, outcome, delete_first=delete_first)
        elif diff.changes == provider_pb2.DiffResponse.DIFF_SOME or declared.name in self.unfinished:
            outcome.steps.append(("update", declared.name))
            resource.update(checked)
            self.unfinished.discard(declared.name)
        else:
            resource.inputs = checked

    def _create(self, declared: Declared, inputs: Mapping[str, Any], outcome: Outcome) -> None:
        resource = self._made_of(
            self.host, declared.kind, declared.name, component=declared.component, timeout=self.timeout
        )
        checked = self._checked(resource, inputs)
        outcome.steps.append(("create", declared.name))
        try:
            resource.create(checked)
        except CallFailedError:
            if resource.id:
                self.unfinished.add(declared.name)
            raise
        finally:
            if resource.id:
                self.resources[declared.name] = resource

    def _replace(
        self,
        declared: Declared,
        old: HostedResource,
        inputs: Mapping[str, Any],
        outcome: Outcome,
        *,
        delete_first: bool,
    ) -> None:
        if delete_first:
            for name in reversed(list(self.resources)):
                if declared.name in self._declared[name].replaced_with:
                    self._delete_one(name, outcome)
            self.resources[declared.name] = old
            self._delete_one(declared.name, outcome)
            self._create(declared, inputs, outcome)
            return
        standing, retained = self.resources[declared.name], self._declared[declared.name].retain
        try:
            self._create(declared, inputs, outcome)
        finally:
            if self.resources[declared.name] is not standing and retained:
                self.retained |= claims([old])
            elif self.resources[declared.name] is not standing:
                self.condemned.append(old)

    def _checked(self, resource: HostedResource, inputs: Mapping[str, Any]) -> dict[str, Any]:
        found, failures = resource._check(inputs)
        if failures:
            raise _RefusedError("; ".join(failures.values()))
        return found

    def _value(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._value(one) for one in value]
        if not isinstance(value, Ref):
            return value
        resource = self.resources[value.name]
        # At preview, an SDK treats a property that is missing as unknown.
        missing = UNKNOWN if isinstance(resource, Foreseen) else None
        return resource.id if value.output == "id" else resource.outs.get(value.output, missing)

    # --- deletions ---

    def _delete(self, names: Sequence[str], outcome: Outcome, target: Collection[str] | None = None) -> None:
        going = set(names)
        for old in list(self.condemned):
            if target is not None and old.name not in target:
                continue  # the engine leaves these halves too to an `up` that is about them
            try:
                self._delete_at_host(old, outcome)
                self.condemned.remove(old)
            except CallFailedError as error:
                outcome.errors[old.name] = error
        for name in reversed(names):
            if any(name in self._needs(other) for other in self.resources):
                continue
            parent = self._declared[name].parent
            if parent is not None and parent in going and not self._declared[parent].retain:
                self.forgotten |= claims([self.resources[name]])
                self._forget(name)
                continue
            try:
                self._delete_one(name, outcome)
            except CallFailedError as error:
                outcome.errors[name] = error

    def _needs(self, name: str) -> frozenset[str]:
        return self._declared[name].needs if name in self._declared else frozenset()

    def _delete_one(self, name: str, outcome: Outcome) -> None:
        resource = self.resources[name]
        if self._declared[name].retain:
            outcome.steps.append(("retain", resource.name))
            self.retained |= claims([resource])
        else:
            self._delete_at_host(resource, outcome)
        self._forget(name)

    def _delete_at_host(self, resource: HostedResource, outcome: Outcome) -> None:
        outcome.steps.append(("delete", resource.name))
        try:
            resource.delete()
        except CallFailedError as error:
            outcome.undeleted[resource.id] = error.message
            raise

    def _forget(self, name: str) -> None:
        del self.resources[name]
        self.unfinished.discard(name)


class _RefusedError(CallFailedError):
    """`check` refused the inputs."""

    def __init__(self, message: str) -> None:
        Exception.__init__(self, message)
        self.message, self.kept_id, self.kept = message, None, {}


class Patient(HostedResource):
    """A resource whose operations may take long."""

    def _call(self, method: str, request: Any, timeout: float = SECONDS) -> Any:
        return super()._call(method, request, max(timeout, SECONDS))


class Foreseen(HostedResource):
    """A resource at preview: a host that supports previews returns the outputs, otherwise they are the inputs."""

    def create(self, checked: Mapping[str, Any]) -> None:
        request = provider_pb2.CreateRequest(urn=self.urn, properties=self._struct(checked), preview=True)
        self._foresee("Create", request, UNKNOWN, checked)

    def update(self, checked: Mapping[str, Any]) -> None:
        request = provider_pb2.UpdateRequest(
            id=self.id,
            urn=self.urn,
            olds=self._struct(self.outs),
            news=self._struct(checked),
            preview=True,
        )
        self._foresee("Update", request, self.id, checked)

    def delete(self) -> None:
        self.id, self.outs = "", {}

    def _foresee(self, method: str, request: Any, id_: str, checked: Mapping[str, Any]) -> None:
        raw = dict(checked)
        if self.host.supports_preview:
            raw = self.host.to_dict(self._call(method, request).properties)
        self._keep(id_, checked, raw)
