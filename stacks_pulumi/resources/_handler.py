"""
The steps that every call of the engine takes, for all hosts and kinds of resources.

`check` and `diff` use the field table, each operation gets a deadline, and an error becomes one line. `ResourceKind`
declares the methods that each kind implements.
"""

from __future__ import annotations

import contextlib
import functools
import traceback
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Final, NoReturn, TypeVar

import pulumi

from stacks_pulumi import config
from stacks_pulumi._identifiers import is_of_key, name_of, with_article
from stacks_pulumi.config import AccountSettings
from stacks_pulumi.errors import (
    ConfigError,
    ErrorCode,
    InvalidApiKeyError,
    NoCapacityError,
    StacksError,
    with_account,
    with_code,
)
from stacks_pulumi.pricing.recognition import MARKER, is_unknown, unfinished
from stacks_pulumi.resources._creation import Creation, InitFailedError
from stacks_pulumi.resources._fields import (
    ANY_UPDATE,
    REPAIR,
    Field,
    OnChange,
    Output,
    changed,
    changed_outside,
    checked,
    found_changed,
)
from stacks_pulumi.resources._identity import (
    CONTAINER_CREATED_AT,
    ORIGIN,
    UnseenError,
    check_account,
    renewed_origin,
    token_of,
)
from stacks_pulumi.resources._operation import (
    Checked,
    Difference,
    EngineCall,
    Found,
    Operation,
    adopted_elsewhere,
)
from stacks_pulumi.resources._owners import NAMES, OWNERS, PARENT_TIMES, Owner, forget
from stacks_pulumi.resources._resource import ParentInProgram, parent_id
from stacks_pulumi.resources._restarts import EXPECTED
from stacks_pulumi.resources._running import rebinds
from stacks_pulumi.resources._session import Session, close_sessions, session_for
from stacks_pulumi.resources._stored import (
    check_state,
    from_state,
    is_from_state,
    known_of,
    ordinary,
    returned,
)
from stacks_pulumi.resources._values import UNKNOWN, plain


def end_operation() -> None:
    """
    Discard the data of a run of the engine that has ended, because a new run begins in this process.

    This happens in a plugin that serves several engines in turn.
    """
    close_sessions()
    forget()
    EXPECTED.clear()


class ResourceKind:
    """
    A kind of resource. Each kind sets `creation`, implements the `on_*` methods, and overrides other methods if needed.

    Attributes:
        kind: The kind's name, as in `stacks_pulumi.provider_for(kind)`.
        creation: The steps of a creation.
        fields: The inputs.
        outputs: The outputs that are not inputs, each with the inputs whose update may change it.
        unique: The inputs that together identify an object in its account; empty if a program may declare an object
            twice.
        create_timeout: Default time for a create or an update, in seconds; `CustomTimeouts` takes precedence.
        delete_timeout: Default time for a delete, in seconds.
        owns: Whether a delete removes an object from the platform.
        id_form: The form of an id, for messages; empty if the API does not list objects of this kind.
    """

    kind: ClassVar[str]
    creation: ClassVar[type[Creation[Any]]]
    fields: ClassVar[tuple[Field, ...]]
    outputs: ClassVar[tuple[Output, ...]] = ()
    unique: ClassVar[tuple[str, ...]] = ()
    create_timeout: ClassVar[float] = 600.0
    delete_timeout: ClassVar[float] = 300.0
    owns: ClassVar[bool] = True
    id_form: ClassVar[str]

    def rules(
        self, olds: Mapping[str, Any], inputs: Mapping[str, Any], parent: ParentInProgram
    ) -> Iterable[tuple[str, str]]:
        """
        Return the violations of rules about several inputs or about the container in the program. Each violation is a
        pair of property and problem. Unknown inputs are skipped. `olds` is empty for a new resource.
        """
        return ()

    def guards(self, olds: Mapping[str, Any], inputs: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
        """
        Return a pair of property and problem for each change that must be refused. `olds` contains the previous inputs;
        it is empty for a new resource.
        """
        return ()

    def complete(
        self, settings: AccountSettings, call: EngineCall, olds: Mapping[str, Any], inputs: dict[str, Any]
    ) -> None:
        """Add values from the account to valid inputs, and show a line next to the resource before the operation."""

    def derived(self, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the values that `check` adds to valid inputs, for previews and policies."""
        return {}

    def warnings(self, olds: Mapping[str, Any], inputs: Mapping[str, Any]) -> Iterable[str]:
        """Return the warnings that the user should see before the operation."""
        return ()

    def replaces(self, field: Field, olds: Mapping[str, Any], news: Mapping[str, Any]) -> bool:
        """Return whether the change of this field replaces the object."""
        return field.on_change in {OnChange.REPLACE, OnChange.REFUSED}

    def delete_first(self, olds: Mapping[str, Any], news: Mapping[str, Any]) -> bool:
        """Return whether a replacement must delete the old object before it creates the new one."""
        return False

    def needs_update(self, olds: Mapping[str, Any], news: Mapping[str, Any]) -> bool:
        """Return whether an update is needed although no input differs."""
        return False

    def on_read(
        self, session: Session, op: Operation, id_: str, olds: dict[str, Any]
    ) -> dict[str, Any] | None:
        """Read the object; return its outputs, or `None` if it certainly no longer exists."""
        raise NotImplementedError

    def distinct_id(self, id_: str) -> str:
        """
        Return the id that the native plugin stores. It must differ from the ids of other resources, because generated
        import code refers to resources by their ids.
        """
        return id_

    def plain_id(self, id_: str) -> str:
        """Return the id that a handler uses: the inverse of `distinct_id`."""
        return id_

    def imported(self, session: Session, id_: str) -> dict[str, Any]:
        """Return the inputs of an imported object that are missing in the result of a read."""
        return {field.name: field.default for field in self.fields if field.default is not None}

    def on_update(
        self, session: Session, op: Operation, id_: str, olds: dict[str, Any], inputs: dict[str, Any]
    ) -> dict[str, Any]:
        """Update the object; return all of its outputs."""
        raise NotImplementedError

    def on_delete(self, session: Session, op: Operation, id_: str, olds: dict[str, Any]) -> None:
        """Delete the object; raise no error if it does not exist."""
        raise NotImplementedError


LOOKED_UP: Final = ""
"""The placeholder for required inputs in a look-up, which has only an id. No managed resource contains this value."""


def lookup_options(id_: pulumi.Input[str], opts: pulumi.ResourceOptions | None) -> pulumi.ResourceOptions:
    """Return the caller's options plus the id to read."""
    return pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(id=id_))


def is_lookup(fields: Iterable[Field], props: Mapping[str, Any]) -> bool:
    """Return whether properties belong to a look-up and not to a managed resource."""
    return any(props.get(field.name) == LOOKED_UP for field in fields if field.required)


def check_id_form(kind: str, form: str, id_: str) -> None:
    """
    Check the form of an id that the user gave for a look-up or an import.

    Raises:
        StacksError: The id is malformed.
    """
    if not form:
        what = with_article(kind)
        msg = f"{what} cannot be imported or looked up, because the API does not list them: declare a new one"
        raise StacksError(msg, code="no-import")
    if ("/" in id_) != ("/" in form):
        msg = f"{id_!r} is not the id of {with_article(kind)}, which has the form {form}"
        raise StacksError(msg, code="invalid-id")


_T = TypeVar("_T")

_KEY_IN_STATE: Final = (
    "With a key in stacks:apiKey, `pulumi refresh` and `pulumi destroy` use the key of the last `pulumi up`: run "
    "`pulumi up` with the new key once, or add `--run-program`"
)


class ResourceHandler(ResourceKind):
    """
    The base class of all handlers.

    A handler's only state is its settings, which `configure` sets.
    """

    _settings: AccountSettings | ConfigError = AccountSettings()
    """The settings, or the error that explains why they are malformed."""

    # --- called by the engine ---

    def configure(self, setting: Callable[[str], Any]) -> int | None:
        """
        Store the settings. Return the number of operations to run concurrently, or `None` if a setting is malformed.

        The next call that needs the settings reports the malformed setting.
        """
        names = [f"{config.NAMESPACE}:{key}" for key in config.KEYS]
        given = {name: setting(name) for name in names}
        texts = {key: str(value) for key, value in given.items() if isinstance(value, str | int | float)}
        try:
            config.check_spelling(setting)
            self._settings = config.load(texts)
        except ConfigError as error:
            account = texts.get(f"{config.NAMESPACE}:account")
            self._settings = error.but(message=with_account(error.message, account))
            return None
        return self._settings.max_concurrency

    def check(self, call: EngineCall, olds: dict[str, Any], news: dict[str, Any]) -> Checked:
        """Validate the inputs; report all failures together, each with its property."""

        def work() -> Checked:
            settings = self._sound_settings()
            stored = from_state(plain(olds), {name_of(call.urn)})
            inputs, failures = checked(self.fields, news)
            for warning in self.warnings(stored, inputs):
                call.warn(warning)
            parent = ParentInProgram.of(news, settings.adopt)
            problems: tuple[tuple[ErrorCode, Iterable[tuple[str, str]]], ...] = (
                ("invalid-input", self.rules(stored, inputs, parent)),
                ("replacement-refused", self.guards(stored, inputs)),
                ("declared-twice", self._name_is_taken(settings, call.urn, inputs)),
            )
            for code, violations in problems:
                for name, reason in violations:
                    failures.setdefault(name, with_code(reason, code))
            if not failures:
                inputs.update(self._added(inputs))
                self.complete(settings, call, stored, inputs)
            return Checked(inputs, failures)

        return self._guarded(work, call)

    def diff(self, call: EngineCall, id_: str, olds: dict[str, Any], news: dict[str, Any]) -> Difference:
        """Compare the inputs with the state field by field. The result always states whether anything changes."""

        def work() -> Difference:
            differing = changed(self.fields, olds, news)
            # A new container with the name of an earlier one has the same id, but the earlier container's children
            # are deleted.
            gone = [
                field
                for field in self.fields
                if field.on_change is OnChange.REPLACE
                and olds.get(field.name) == news.get(field.name)
                and OWNERS.has_created("Container", news.get(field.name))
                and not OWNERS.has_created(self.kind, id_)
            ]
            differing += [field for field in gone if field not in differing]
            replaces = [field.name for field in differing if self.replaces(field, olds, news)]
            changes = (
                rebinds(call, id_, olds, news)
                or bool(differing or changed_outside(olds))
                or self.needs_update(olds, news)
            )
            if self.owns:
                origin = plain(olds.get(ORIGIN))
                self._check_account(call, id_, origin)
                owner = Owner(
                    call.urn,
                    token_of(origin),
                    olds.get("created_at"),
                    replacing=bool(replaces),
                    unchanged=not changes,
                )
                OWNERS.keep(self.kind, id_, owner)
                made = olds.get(CONTAINER_CREATED_AT)
                if made is not None and news.get("adopt") != "if_matching":
                    # If the engine replaces the container, the new id is unknown, and another process may create the
                    # container.
                    known = None if is_unknown(news.get("container")) else str(plain(made))
                    PARENT_TIMES.add(parent_id(id_), known)
            if changes:
                check_state(f"{self.kind} {id_}", self._outputs_of(olds))
            if changes and not replaces and (more := unfinished(self.kind, plain(olds))):
                call.status(f"the update also {more}")
            return Difference(
                changes=changes,
                fields=[field.name for field in differing],
                replaces=replaces,
                delete_before_replace=bool(replaces) and (bool(gone) or self.delete_first(olds, news)),
            )

        return self._guarded(work, call)

    def create(self, call: EngineCall, props: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Create the object; return its id and its outputs."""
        return self._operate(
            call,
            self.create_timeout,
            lambda session, op: self.creation(session, op, self._inputs(props)).run(),
            changes=True,
        )

    def read(self, call: EngineCall, id_: str, props: dict[str, Any]) -> Found | None:
        """Read the object; return `None` if it certainly no longer exists. An import has only an id, no properties."""

        def work(session: Session, op: Operation) -> Found | None:
            # If the engine asks only whether the id exists, the program may have added any other property.
            stored: dict[str, Any] = {} if call.asks_existence else from_state(plain(props), known_of(id_))
            asked = not stored or is_lookup(self.fields, stored)
            if asked:
                check_id_form(self.kind, self.id_form, self.distinct_id(id_))
            try:
                outs = self.on_read(session, op, id_, stored or self.imported(session, id_))
            except UnseenError as error:
                if asked:
                    raise
                op.warn(f"{error.message}. {id_} stays in the state unchanged")
                outs = stored
            if outs is None and call.asks_existence:
                return None
            if outs is None and asked:
                # In a look-up, the engine treats an empty id as success, and the program would continue without
                # values.
                msg = f"{self.kind} {id_} does not exist in this account: check the id in the dashboard"
                raise StacksError(msg, code="not-found")
            if outs is None:
                check_account(session, id_, stored.get(ORIGIN))
                return None
            outs = {**outs, **({ORIGIN: stored[ORIGIN]} if ORIGIN in stored else {})}
            outs = {**outs, **({MARKER: self.kind} if MARKER in stored else {})}
            seen = plain(outs)
            found = {**self._inputs(seen), **found_changed(changed_outside(seen))}
            inputs = self._known_inputs(call, stored, found)
            return Found(returned(outs, stored), ordinary(inputs))

        return self._operate(call, self.delete_timeout, work)

    def _known_inputs(
        self, call: EngineCall, stored: Mapping[str, Any], inputs: Mapping[str, Any]
    ) -> dict[str, Any]:
        """
        Return the inputs that a read has found, except values that the state contains only in an output.

        The engine marks a returned input as secret only if the input was secret before. A value that only an output
        contains may be a secret, but would not be marked.
        """
        before = call.stored_inputs()
        if before is None:
            return dict(inputs)
        return {
            name: value
            for name, value in inputs.items()
            if plain(before.get(name)) == value
            or not (is_from_state(value) or (name in stored and value == stored[name]))
        }

    def _outputs_of(self, stored: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values of a state that are not inputs, without their secret markers."""
        inputs = {field.name for field in self.fields}
        return {name: plain(value) for name, value in stored.items() if name not in inputs}

    def update(
        self, call: EngineCall, id_: str, olds: dict[str, Any], news: dict[str, Any]
    ) -> dict[str, Any]:
        """Update the object to match the inputs; return its outputs."""
        return self._operate(
            call,
            self.create_timeout,
            lambda session, op: self._change(
                session, op, id_, from_state(plain(olds), known_of(id_)), self._inputs(news)
            ),
            changes=True,
        )

    def at_create(self, props: Mapping[str, Any]) -> dict[str, Any]:
        """
        Return the outputs that a preview shows for a creation. Unset inputs are omitted, and not shown as unknown.
        """
        later = {output.name: output.marked(UNKNOWN) for output in (*self.outputs, Output(ORIGIN))}
        return {**later, **self._inputs(props)}

    def at_update(self, olds: Mapping[str, Any], news: Mapping[str, Any], id_: str = "") -> dict[str, Any]:
        """
        Return the outputs that a preview shows for an update: those that the update may change are unknown, all others
        are known.
        """
        stored, inputs = from_state(plain(olds), known_of(id_)), self._inputs(news)
        origin, settings = stored.get(ORIGIN), self._settings
        same_key = isinstance(settings, AccountSettings) and is_of_key(origin, settings.fingerprint)
        known = {**self._kept(stored, inputs), **inputs}
        kept = {**({ORIGIN: origin} if same_key else {}), **known}
        return {**self.at_create(inputs), **returned(kept, inputs)}

    def _kept(self, stored: Mapping[str, Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the outputs that an update does not change."""
        reasons = {ANY_UPDATE, *(field.name for field in changed(self.fields, stored, inputs))}
        # An update also completes a creation.
        if (
            self.needs_update(stored, inputs)
            or unfinished(self.kind, stored)
            or inputs.get("adopt") == "if_matching"
        ):
            reasons.add(REPAIR)
        return {
            output.name: output.marked(stored[output.name])
            for output in self.outputs
            if output.name in stored and reasons.isdisjoint(output.changes_with)
        }

    def delete(self, call: EngineCall, id_: str, props: dict[str, Any]) -> None:
        self._operate(
            call,
            self.delete_timeout,
            lambda session, op: self._remove(session, op, id_, plain(props)),
            changes=True,
        )

    # --- how calls are carried out ---

    def _operate(
        self,
        call: EngineCall,
        timeout: float,
        work: Callable[[Session, Operation], _T],
        *,
        changes: bool = False,
    ) -> _T:
        def operate() -> _T:
            session = session_for(self._sound_settings())
            now = session.clock.now()
            op = Operation(call, session.clock, now, now + (call.timeout or timeout))
            with op.running(), session.reads.changing() if changes else contextlib.nullcontext():
                return work(session, op)

        return self._guarded(operate, call)

    def _change(
        self, session: Session, op: Operation, id_: str, stored: dict[str, Any], inputs: dict[str, Any]
    ) -> dict[str, Any]:
        check_state(f"{self.kind} {id_}", self._outputs_of(stored))
        if self.owns:
            check_account(session, id_, stored.get(ORIGIN))
        try:
            outs = self.on_update(session, op, id_, stored, inputs)
        except InitFailedError as error:
            raise error.but(outs=returned(error.outs, inputs)) from error.__cause__
        # A value that the update returned is public, even if the state contains the same value.
        kept = {name: value for name, value in self._kept(stored, inputs).items() if outs.get(name) != value}
        outs = returned({**outs, **kept}, inputs)
        origin = renewed_origin(session, stored.get(ORIGIN))
        if self.owns:
            # An update may have adopted a container with a different creation time; then the children belong to that
            # container.
            OWNERS.keep(self.kind, id_, Owner(op.call.urn, token_of(origin), outs.get("created_at")))
        return {**outs, ORIGIN: origin}

    def _remove(self, session: Session, op: Operation, id_: str, stored: dict[str, Any]) -> None:
        token = token_of(stored.get(ORIGIN))
        if self.owns:
            owner = OWNERS.taken_from(self.kind, id_, token)
            if owner is not None:
                op.warn(f"{id_} was not deleted: {owner.why_it_keeps(op.call.urn)}")
                return
            if adopted_elsewhere(op.call.engine, self.kind, id_, token):
                op.warn(f"{id_} was not deleted: a resource of a different provider has adopted it")
                return
            former = self.kind != "Container" and not OWNERS.has_created(self.kind, id_)
            if former and OWNERS.has_created("Container", parent_id(id_)):
                op.inform(f"{id_} no longer exists: it belonged to a former container of the same name")
                return
            check_account(session, id_, stored.get(ORIGIN))
        self.on_delete(session, op, id_, stored)
        OWNERS.release(self.kind, id_, token)

    def _sound_settings(self) -> AccountSettings:
        if isinstance(self._settings, ConfigError):
            raise self._settings.but()
        return self._settings

    def _name_is_taken(
        self, settings: AccountSettings, urn: str, inputs: Mapping[str, Any]
    ) -> Iterable[tuple[str, str]]:
        """Refuse two resources for the same object: the second would adopt or delete the object of the first."""
        if any(is_unknown(value) for value in inputs.values()) or any(
            field.required and field.name not in inputs for field in self.fields
        ):
            return
        OWNERS.declare(urn)
        if not self.unique or not inputs.keys() >= set(self.unique):
            return
        unique = "/".join([str(inputs[name]) for name in self.unique])
        other = NAMES.declare(urn, f"{settings.fingerprint} {self.kind}", unique)
        if other is not None:
            both = f"{other!r} and {urn.rpartition('::')[2]!r}"
            text = (
                f"two resources declare the same {self.kind} ({unique}): {both}. Change or remove one of them"
            )
            yield self.unique[-1], text

    def _check_account(self, call: EngineCall, id_: str, origin: str | None) -> None:
        """Refuse a resource that was moved to another account's provider, because the preview would show no change."""
        settings = self._settings
        if isinstance(settings, ConfigError) or settings.api_key is None or origin is None:
            return
        if is_of_key(origin, settings.fingerprint):
            # Open no session: an operation that changes nothing does not need one.
            return
        try:
            check_account(session_for(settings), id_, origin)
        except ConfigError:
            raise
        except StacksError as error:
            call.warn(f"it is not known whether {id_} is in the account of this key: {error.message}")

    def _guarded(self, work: Callable[[], _T], call: EngineCall) -> _T:
        end: Callable[[], NoReturn]
        try:
            return work()
        except InitFailedError as error:
            if not isinstance(error.__cause__, StacksError | None):
                call.debug("".join(traceback.format_exception(error)))
            end = functools.partial(
                call.fail_keeping_id, error.id, error.outs, [self._shown(error.message, error.code)]
            )
        except StacksError as error:
            hint = f". {_KEY_IN_STATE}" if isinstance(error, InvalidApiKeyError) else ""
            fail = call.fail_waiting if isinstance(error, NoCapacityError) else call.fail
            end = functools.partial(fail, self._shown(f"{error.message}{hint}", error.code))
        except Exception as error:  # noqa: BLE001  (the user must see a message and no traceback)
            call.debug(traceback.format_exc())
            message = (
                f"internal error in stacks-pulumi ({type(error).__name__}: {error}); run `pulumi refresh` to see the "
                "current state, then try again; please report it with the traceback that `--debug` shows"
            )
            end = functools.partial(call.fail, self._shown(message, "internal-error"))
        # This is outside of the `except` block, because inside it the SDK's traceback would show our error twice.
        return end()

    def _shown(self, message: str, code: ErrorCode) -> str:
        """Return an error's message, with the account's name (of an explicit provider) and the error's code."""
        # The error about malformed settings already contains the account.
        account = self._settings.account if isinstance(self._settings, AccountSettings) else None
        return with_code(with_account(message, account), code)

    def _inputs(self, props: Mapping[str, Any]) -> dict[str, Any]:
        """Return the properties that are inputs, in their normal form."""
        names = {field.name for field in self.fields}
        inputs, _ = checked(self.fields, {name: value for name, value in props.items() if name in names})
        return {**inputs, **self._added(inputs)}

    def _added(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the derived values, and the kind marker by which policies and price reports recognise the resource."""
        return {**self.derived(inputs), MARKER: self.kind}
