"""
The creation of a resource: the same steps for every kind.

- Look: check whether the object exists already; if so, adopt it or fail.
- Send: send the request once; if its outcome is unknown, look again before repeating it (`api/once.py`).
- Record: store the id and the token of this creation.
- Finish: wait, pin, restart, download ...; if that fails, the state keeps the id.
- Or roll back, if the engine has ended: then no state would contain the id, so the new object is deleted.

Each kind of resource implements the steps. This module runs them in order, and implements cancellation and messages.
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar

import msgspec

from stacks_pulumi._clock import shielded, sleep_with_pulse
from stacks_pulumi.config import AccountSettings
from stacks_pulumi.errors import (
    ErrorCode,
    ExistsError,
    NotFoundError,
    StacksError,
    UnexpectedStateError,
    VanishedError,
    WaitCancelledError,
)
from stacks_pulumi.resources._identity import ORIGIN, new_origin, token_of
from stacks_pulumi.resources._operation import Operation, record_adoption
from stacks_pulumi.resources._owners import OWNERS, Owner
from stacks_pulumi.resources._session import Session

T = TypeVar("T")


class InitFailedError(StacksError):
    """
    The object exists, but a later step of its creation failed. The state keeps its id.

    Attributes:
        id: The object's id.
        outs: Its known outputs.
    """

    id: str
    outs: Mapping[str, Any]


class Creation(ABC, Generic[T]):
    """
    The creation of one object.

    Attributes:
        kind: The resource's kind, for instance `Connection`.
        leaves_nothing: Errors of `finish` after which the object does not exist.
        can_be_taken_over: Whether another resource may take over the object of a resource that is being replaced.
    """

    kind: ClassVar[str]
    can_be_taken_over: ClassVar[bool] = False
    leaves_nothing: ClassVar[tuple[type[StacksError], ...]] = (VanishedError,)

    def __init__(self, session: Session, op: Operation, inputs: dict[str, Any]) -> None:
        self.session = session
        self.op = op
        self.inputs = inputs
        self.adopted = False
        """Whether the object already existed before this operation. An adopted object is never rolled back."""

    # --- implemented by each kind ---

    @abstractmethod
    def create(self) -> T:
        """
        Check whether the object exists, and send the request once.

        Raises:
            ExistsError: The object exists already; `existing` is its model.
            StacksError: Nothing was created.
        """

    @abstractmethod
    def id_of(self, thing: T) -> str:
        """Return the resource's id."""

    def existing(self) -> T | None:
        """Return the object as a list shows it now. `None` does not prove that the object does not exist."""
        return None

    def finish(self, thing: T) -> dict[str, Any]:
        """Complete the creation after the request, and return the outputs."""
        return self.known(thing, None)

    @abstractmethod
    def known(self, thing: T, error: Exception | None) -> dict[str, Any]:
        """Return the known outputs; `error` is the error of `finish`, if that failed."""

    def describe_failure(self, thing: T, error: StacksError) -> str:
        """Return the message for a failed `finish`: what exists, what failed and what to do."""
        return (
            f"{self.id_of(thing)} was created, but is not complete: {error.message}. `pulumi up` tries again"
        )

    def roll_back(self, thing: T) -> None:
        """Delete the new object."""

    def describe(self, thing: T) -> str:
        """Return a description of the object for messages."""
        return f"the {self.kind} {self.id_of(thing)}"

    def differences(self, thing: T) -> Sequence[str]:
        """Return the differences between an existing object and the program."""
        return ()

    def is_leftover(self, thing: T) -> bool:
        """
        Return whether an existing object that is in no state may have been created by an earlier run of this stack.
        """
        return False

    def under_way(self) -> contextlib.AbstractContextManager[None]:
        """Return the context manager that encloses the creation, from the first check to the end."""
        return contextlib.nullcontext()

    def what_to_do(self) -> str:
        """Return the possible owners of an existing object, and instructions for adopting it."""
        return (
            "It may be from an interrupted `up` of this stack, from another stack, or created by hand. To adopt it, "
            f"write {self.adopting()}: then this stack changes and deletes it."
        )

    def adopting(self) -> str:
        """Return the line to add to the program to adopt an existing object."""
        label = self.op.label or self.inputs.get("name") or "..."
        return f'stacks.{self.kind}("{label}", ..., adopt="if_matching")'

    # --- the protocol ---

    def run(self) -> tuple[str, dict[str, Any]]:
        """
        Create the object.

        Returns:
            Its id and its outputs.

        Raises:
            InitFailedError: The object exists, but a later step failed.
            StacksError: Nothing was created, or the new object has been deleted.
        """
        with self.under_way():
            return self._run()

    def _run(self) -> tuple[str, dict[str, Any]]:
        origin = new_origin(self.session)
        try:
            thing = self._obtain()
        except StacksError as error:
            if error.code == "outcome-unknown" and self.op.cancelled():
                self.op.report(error.message, error.code)
            raise
        id_ = self.id_of(thing)
        owner = Owner(self.op.call.urn, token_of(origin), created=not self.adopted)
        OWNERS.claim(self.kind, id_, owner)
        if self.adopted:
            record_adoption(self.op.call.engine, self.kind, id_, token_of(origin))
        try:
            outs = self._finish(thing, id_, origin)
            self.op.check_active()
        except WaitCancelledError:
            if not self.adopted:
                self._roll_back(thing)
            raise
        except self.leaves_nothing:
            OWNERS.release(self.kind, id_, token_of(origin))
            raise
        # Afterwards, children are created only in this container, not in a later one with the same id.
        id_ = self.id_of(thing)  # `finish` may have found a different container
        OWNERS.claim(self.kind, id_, msgspec.structs.replace(owner, created_at=outs.get("created_at")))
        return id_, {**outs, ORIGIN: origin}

    def _finish(self, thing: T, id_: str, origin: str) -> dict[str, Any]:
        cause: Exception
        code: ErrorCode
        try:
            return self.finish(thing)
        except StacksError as error:
            if isinstance(error, (WaitCancelledError, *self.leaves_nothing)):
                raise
            cause, code, message = error, error.code, self.describe_failure(thing, error)
        except Exception as error:  # noqa: BLE001  (the state must keep the id, even after a bug of ours)
            cause, code = error, "internal-error"
            message = (
                f"{self.describe(thing)} was created and is in the state; then stacks-pulumi had an internal error "
                f"({type(error).__name__}: {error}). Run `pulumi up` again, and please report the error with the "
                "traceback that `--debug` shows"
            )
        outs = {**self.known(thing, cause), ORIGIN: origin}
        # If the engine has ended, no state keeps the id. Check again: `known` may have waited for the rate limit.
        self.op.check_active()
        raise InitFailedError(message, code=code, id=self.id_of(thing), outs=outs) from cause

    def _obtain(self) -> T:
        try:
            return self.create()
        except UnexpectedStateError as error:
            # An existing object needs no running container, so it can still be adopted.
            at_rest = self.existing() if adopts(self.session.settings, self.inputs) else None
            if at_rest is None:
                raise
            found = ExistsError(error.message, existing=at_rest)
        except ExistsError as error:
            found = error
        thing: T = found.existing
        id_ = self.id_of(thing)
        is_free = not adopts(self.session.settings, self.inputs) and OWNERS.owner(self.kind, id_) is None
        clock, pause = self.session.clock, self.session.client.platform.pause
        left = self.session.begun + pause - clock.now()
        if is_free and left > 0 and self.is_leftover(thing):
            # A list that lags behind may show an object that an earlier run of the engine has deleted.
            sleep_with_pulse(left, clock, self.op.second_look(id_, "exists already"))
            try:
                return self.create()
            except ExistsError as error:
                found = error
        self.adopted = True
        return self._adopt(found)

    def _adopt(self, error: ExistsError) -> T:
        thing: T = error.existing
        id_, what = self.id_of(thing), self.describe(thing)
        owner = OWNERS.owner(self.kind, id_)
        if owner is not None and not self._is_left_by(owner, thing):
            raise self._owned(what, owner, thing) from None
        differences = self.differences(thing)
        if differences:
            adopt = "" if adopts(self.session.settings, self.inputs) else f" and write {self.adopting()}"
            msg = (
                f"{what} exists already and differs from the program: {'; '.join(differences)}. Give this "
                "resource a different name, or change the program to match the existing object"
                f"{adopt}. `stacks-pulumi account` shows which stack owns it"
            )
            raise ExistsError(msg, code="exists-but-differs", existing=thing) from None
        if adopts(self.session.settings, self.inputs):
            # The text is short, because the engine shows it twice for each resource.
            self.op.inform(
                f"adopted {id_}: from now on this stack changes and deletes it, even if another stack owns it"
            )
        elif self.is_leftover(thing):
            self.op.inform(f"recovered {what}: it is identical, and it belongs to a container of this stack")
        else:
            raise ExistsError(
                f"{what} exists already. {self.what_to_do()} If this program created it under a different resource "
                "name, add that name as an alias instead (opts=pulumi.ResourceOptions(aliases=[...])); to replace this "
                "resource itself, set delete_before_replace=True",
                existing=thing,
            ) from None
        return thing

    def _is_left_by(self, owner: Owner, thing: T) -> bool:
        """Return whether the current owner of the object gives it up in favour of this resource."""
        if owner.urn != self.op.call.urn:
            return self.can_be_taken_over and owner.replacing and self.is_leftover(thing)
        # In a replacement, the engine marks two kinds of objects as deleted: those that `retain_on_delete` keeps, and
        # (from 3.260) those that `deleted_with` leaves to the container. If the replacement fails and the program then
        # undoes the change, the engine asks for a new object, although nothing replaces the old one.
        settings = self.session.settings
        if owner.unchanged and adopts(settings, self.inputs):
            return True
        may = settings.delete_children_with_container or adopts(settings, self.inputs)
        return may and not owner.replacing and self.is_leftover(thing)

    def _owned(self, what: str, owner: Owner, thing: T) -> ExistsError:
        if owner.urn == self.op.call.urn:
            msg = (
                f"{what} is replaced by this resource, and the new one cannot be created while the old one has its "
                "name. To keep it and its data, undo the change in the program that causes the replacement, and write "
                f"{self.adopting()}. To destroy it and its data, set "
                "opts=pulumi.ResourceOptions(delete_before_replace=True), and remove retain_on_delete: with that "
                "option the old one stays and is billed. If this error appears again, keep the old one first"
            )
            return ExistsError(msg, code="delete-before-replace", existing=thing)
        msg = (
            f"{what} belongs to {owner.name!r} in this program: two resources cannot manage one object. Remove one "
            "of them, or give one of them a different name"
        )
        return ExistsError(msg, code="declared-twice", existing=thing)

    def _roll_back(self, thing: T) -> None:
        """Delete the new object, even though the engine no longer waits for it."""
        # Requests that wait for the rate limit are shielded as well.
        with shielded():
            try:
                self.roll_back(thing)
            except NotFoundError:
                return
            except StacksError as error:
                self.op.report(
                    f"{self.describe(thing)} was created, but then the engine ended, and the attempt to delete it "
                    f"failed: {error.message}. No state contains it: delete it in the dashboard, or adopt it with the "
                    "next `pulumi up`"
                )


def adopts(settings: AccountSettings, inputs: Mapping[str, Any]) -> bool:
    """Return whether to adopt a matching object: the resource's `adopt` overrides the provider's `adopt`."""
    return (inputs.get("adopt") or settings.adopt) == "if_matching"
