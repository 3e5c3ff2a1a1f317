"""
The boundary between the engine and our resources.

Every call of the engine comes in here and leaves here: unknowns are sorted out, the field table turns into
check and diff, an operation with a deadline is opened, and an error becomes one clean line. A noun's provider
implements the `on_*` methods and knows nothing of all that.
"""

from __future__ import annotations

import contextlib
import functools
import traceback
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, NoReturn, TypeVar

from pulumi.dynamic import (
    CheckFailure,
    CheckResult,
    ConfigureRequest,
    CreateResult,
    DiffResult,
    ReadResult,
    ResourceProvider,
    UpdateResult,
)

from stacks_pulumi import config
from stacks_pulumi.api import in_doubt
from stacks_pulumi.config import Settings
from stacks_pulumi.errors import ConfigError, StacksError
from stacks_pulumi.pricing.tokens import MARKER
from stacks_pulumi.resources import _host
from stacks_pulumi.resources._account import (
    ORIGIN,
    birth_of,
    new_origin,
    refuse_other_account,
    renewed_origin,
)
from stacks_pulumi.resources._claims import CLAIMS
from stacks_pulumi.resources._fields import Change, Field, changed, checked
from stacks_pulumi.resources._lookup import is_lookup
from stacks_pulumi.resources._operation import Operation
from stacks_pulumi.resources._session import Session, session_for

__all__ = ["HalfDone", "Provider"]

_T = TypeVar("_T")


class HalfDone(StacksError):  # noqa: N818  (it says what there is, not what went wrong)
    """
    The object exists, but is not what was asked for.

    Attributes:
        id: The object's id.
        outs: What is known of it.
    """

    id: str
    outs: Mapping[str, Any]


class Provider(ResourceProvider):
    """
    What all our providers have in common.

    A provider has no state but its settings, which `configure` brings; pickled it is a reference to
    `stacks_pulumi.provider_for`, so that no key and no byte code gets into a stack's state, and a class may move.

    Attributes:
        kind: The resource's name, as in `stacks_pulumi.provider_for(kind)`.
        fields: The inputs.
        create_timeout: Default time for a create or an update, in seconds; `CustomTimeouts` goes first.
        delete_timeout: The same for a delete.
        owns: Whether a delete takes something away at the API.
        stays_with_it: What to say of the things that go with the object, where it was not deleted after all.
        marks: What a read leaves in the inputs, beside the program's own, for the next check to see.
    """

    kind: ClassVar[str]
    fields: ClassVar[tuple[Field, ...]]
    create_timeout: ClassVar[float] = 600.0
    delete_timeout: ClassVar[float] = 300.0
    owns: ClassVar[bool] = True
    stays_with_it: ClassVar[str] = ""
    marks: ClassVar[tuple[str, ...]] = ()

    # Nothing of the provider is secret (see __reduce__), and encrypting it costs time for every resource.
    serialize_as_secret_always = False

    _settings: Settings | ConfigError = Settings()

    def __reduce__(self) -> tuple[Callable[[str], ResourceProvider], tuple[str]]:
        # Imported here: the package's own module imports this one.
        from stacks_pulumi import provider_for  # noqa: PLC0415

        return provider_for, (self.kind,)

    # --- what the engine calls ---

    def configure(self, req: ConfigureRequest) -> None:
        """Take the settings. A malformed one is reported by the first operation that needs the API."""
        names = [f"{config.NAMESPACE}:{key}" for key in config.KEYS]
        given = {name: req.config.get(name) for name in names}
        texts = {key: str(value) for key, value in given.items() if isinstance(value, str | int | float)}
        try:
            config.refuse_misspelt(req.config.get)
            self._settings = config.load(texts)
            _host.widen_worker_pool(self._settings.max_concurrency)
        except ConfigError as error:
            account = texts.get(f"{config.NAMESPACE}:account")
            self._settings = error if account is None else ConfigError(f"{error} (account {account})")

    def check(self, olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        """Validate the inputs, offline; everything that is wrong at once, each on its property."""
        call = _host.current_call()

        def work() -> CheckResult:
            CLAIMS.declare(call.urn)
            inputs, failures = checked(self.fields, news)
            for name, reason in (*self.rules(inputs), *self.guards(_host.plain(olds), inputs)):
                failures.setdefault(name, reason)
            if not failures:
                inputs.update(self._added(inputs))
                self.announce(_host.plain(olds), inputs)
            return CheckResult(inputs, [CheckFailure(name, reason) for name, reason in failures.items()])

        return self._guarded(work, call)

    def diff(self, id_: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Compare field by field; always says whether anything changes."""
        call = _host.current_call()

        def work() -> DiffResult:
            if self.owns:
                CLAIMS.keep(self.kind, id_, call.urn)
            differing = changed(self.fields, olds, news)
            replaces = [field.name for field in differing if self.replaces(field, olds, news)]
            return DiffResult(
                changes=bool(differing) or self.needs_update(olds, news),
                replaces=replaces,
                delete_before_replace=bool(replaces) and self.delete_first(olds, news),
            )

        return self._guarded(work, call)

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Make the object."""
        return self._operate(
            self.create_timeout,
            lambda session, op: self._make(session, op, self._inputs(props)),
            changes=True,
        )

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Look the object up: outputs and inputs; an empty id if it is certainly gone."""

        def work(session: Session, op: Operation) -> ReadResult:
            stored = self._stored(props)
            outs = self.on_read(session, op, id_, stored)
            if outs is None and is_lookup(self.fields, props):
                # For a look-up the engine takes an empty id for success, and the program would go on with nothing.
                msg = f"there is no {self.kind} {id_} in this account: look the id up in the dashboard"
                raise StacksError(msg)
            if outs is None:
                refuse_other_account(session, id_, stored.get(ORIGIN))
                return ReadResult("", {})
            outs = {**outs, **{name: stored[name] for name in (ORIGIN, MARKER) if name in stored}}
            seen = _host.plain(outs)
            return ReadResult(
                id_, outs, {**self._inputs(seen), **{name: seen[name] for name in self.marks if name in seen}}
            )

        return self._operate(self.delete_timeout, work)

    def update(self, id_: str, olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Bring the object to what the inputs say."""
        return self._operate(
            self.create_timeout,
            lambda session, op: self._change(session, op, id_, self._stored(olds), self._inputs(news)),
            changes=True,
        )

    def delete(self, id_: str, props: dict[str, Any]) -> None:
        """Remove the object."""
        self._operate(
            self.delete_timeout,
            lambda session, op: self._remove(session, op, id_, self._stored(props)),
            changes=True,
        )

    # --- what a noun adds ---

    def rules(self, inputs: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
        """Rules over several inputs: pairs of a property and what is wrong. Unknown inputs are to be skipped."""
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

    def announce(self, olds: Mapping[str, Any], inputs: Mapping[str, Any]) -> None:
        """Show what a person wants to know before it happens."""
        del olds, inputs

    def replaces(self, field: Field, olds: Mapping[str, Any], news: Mapping[str, Any]) -> bool:
        """Whether a changed field replaces the object."""
        del olds, news
        return field.on_change in {Change.REPLACE, Change.REFUSED}

    def delete_first(self, olds: Mapping[str, Any], news: Mapping[str, Any]) -> bool:
        """Whether a replacement has to delete the old object before it makes the new one."""
        del olds, news
        return False

    def names(self, inputs: Mapping[str, Any]) -> Iterable[str]:
        """What is unique about the object that these inputs make: of each there can be one in an account."""
        del inputs
        return ()

    def needs_update(self, olds: Mapping[str, Any], news: Mapping[str, Any]) -> bool:
        """Whether there is something to do although no input differs."""
        del olds, news
        return False

    def on_create(
        self, session: Session, op: Operation, inputs: dict[str, Any]
    ) -> tuple[str, dict[str, Any]]:
        """Make the object; returns its id and outputs. Raises `HalfDone` once there is something to keep."""
        raise NotImplementedError

    def on_read(
        self, session: Session, op: Operation, id_: str, olds: dict[str, Any]
    ) -> dict[str, Any] | None:
        """Look the object up; returns its outputs, or `None` if it is certainly gone."""
        raise NotImplementedError

    def on_update(
        self, session: Session, op: Operation, id_: str, olds: dict[str, Any], inputs: dict[str, Any]
    ) -> dict[str, Any]:
        """Change the object; returns all of its outputs."""
        raise NotImplementedError

    def on_delete(self, session: Session, op: Operation, id_: str, olds: dict[str, Any]) -> None:
        """Remove the object; it is no error if it is gone."""
        raise NotImplementedError

    # --- how calls are carried out ---

    def _operate(
        self, timeout: float, work: Callable[[Session, Operation], _T], *, changes: bool = False
    ) -> _T:
        call = _host.current_call()

        def operate() -> _T:
            if isinstance(self._settings, ConfigError):
                raise self._settings
            session = session_for(self._settings)
            now = session.clock.now()
            op = Operation(call, session.clock, now, now + (call.timeout or timeout))
            with op.running(), session.reads.changing() if changes else contextlib.nullcontext():
                return work(session, op)

        with _host.serving(call):
            return self._guarded(operate, call)

    def _make(self, session: Session, op: Operation, inputs: dict[str, Any]) -> CreateResult:
        origin = new_origin(session)
        birth = birth_of(origin)
        with CLAIMS.making(f"{session.fingerprint} {self.kind}", self.names(inputs), op.call.urn):
            try:
                id_, outs = self.on_create(session, op, inputs)
            except HalfDone as error:
                CLAIMS.claim(self.kind, error.id, op.call.urn, birth)
                raise HalfDone(str(error), id=error.id, outs={**error.outs, ORIGIN: origin}) from None
            CLAIMS.claim(self.kind, id_, op.call.urn, birth)
        return CreateResult(id_, {**outs, ORIGIN: origin})

    def _change(
        self, session: Session, op: Operation, id_: str, stored: dict[str, Any], inputs: dict[str, Any]
    ) -> UpdateResult:
        if self.owns:
            refuse_other_account(session, id_, stored.get(ORIGIN))
        outs = self.on_update(session, op, id_, stored, inputs)
        return UpdateResult({**outs, ORIGIN: renewed_origin(session, stored.get(ORIGIN))})

    def _remove(self, session: Session, op: Operation, id_: str, stored: dict[str, Any]) -> None:
        if self.owns:
            owner = CLAIMS.owner(self.kind, id_, op.call.urn)
            if owner is not None:
                op.warn(f"{id_} was not deleted: it belongs to {owner!r} in this program{self.stays_with_it}")
                return
            if CLAIMS.born_again(self.kind, id_, birth_of(stored.get(ORIGIN))):
                op.warn(
                    f"{id_} was not deleted: what was to replace it is the same thing. To have it made anew, set "
                    "opts=pulumi.ResourceOptions(delete_before_replace=True)"
                )
                return
            refuse_other_account(session, id_, stored.get(ORIGIN))
        try:
            with session.reads.changing():
                self.on_delete(session, op, id_, stored)
        except StacksError as error:
            # Nobody knows what became of it, so look: a state that holds what is gone would be a lie.
            if not (in_doubt(error) and self._is_gone(session, op, id_, stored)):
                raise
        CLAIMS.release(self.kind, id_, op.call.urn)

    def _is_gone(self, session: Session, op: Operation, id_: str, stored: dict[str, Any]) -> bool:
        try:
            return self.on_read(session, op, id_, stored) is None
        except StacksError:
            # What went wrong first is what the user has to read.
            return False

    def _guarded(self, work: Callable[[], _T], call: _host.Call | None = None) -> _T:
        call = call or _host.current_call()
        end: Callable[[], NoReturn]
        try:
            return work()
        except HalfDone as error:
            end = functools.partial(call.fail_keeping_id, error.id, error.outs, [self._scrubbed(str(error))])
        except StacksError as error:
            end = functools.partial(call.fail, self._scrubbed(str(error)))
        except Exception as error:  # noqa: BLE001  (the last line of defence: whatever it is, no traceback at the user)
            _host.engine().debug(call.urn, self._scrubbed(traceback.format_exc()))
            message = (
                f"internal error in stacks-pulumi ({type(error).__name__}: {error}); run `pulumi refresh` to see what "
                "there is, then try again; please report it with what `--debug` shows"
            )
            end = functools.partial(call.fail, self._scrubbed(message))
        # Outside of the `except` block, or the SDK's traceback would show our error a second time, as its context.
        return end()

    def _scrubbed(self, text: str) -> str:
        """The text without the key, and with the account where the program has several."""
        if isinstance(self._settings, ConfigError):
            return text
        if self._settings.api_key:
            text = text.replace(self._settings.api_key, "sk_stacks_[hidden]")
        return f"{text} (account {self._settings.account})" if self._settings.account else text

    def _inputs(self, props: Mapping[str, Any]) -> dict[str, Any]:
        """The inputs among the properties, in their normal form."""
        names = {field.name for field in self.fields}
        inputs, _ = checked(self.fields, {name: value for name, value in props.items() if name in names})
        return {**inputs, **self._added(inputs)}

    def _added(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """What is derived from the inputs, and the kind: policies and prices recognise the resource by it."""
        return {**self.derived(inputs), MARKER: self.kind}

    def _stored(self, props: Mapping[str, Any]) -> dict[str, Any]:
        """The outputs of the last time, without what belongs to the SDK."""
        stored: dict[str, Any] = _host.plain(dict(props))
        stored.pop(_host.PROVIDER_KEY, None)
        return stored
