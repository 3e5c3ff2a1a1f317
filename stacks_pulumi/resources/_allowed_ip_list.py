"""
A container's list of allowed addresses, and the two rules that make it delicate.

It is never empty while external access is on: the API does not remove the last entry, and in between nobody should be
locked out. And turning external access on puts the caller's own address in, which nobody asked for.

An entry is known by its address. Its id changes with its description and service type, because the API can only make
another entry; and where it lets an address be in the list twice, what belongs to the address belongs together.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from stacks_pulumi.api import models
from stacks_pulumi.api.allowed_ips import canonical
from stacks_pulumi.errors import (
    BadRequestError,
    ConflictError,
    ExistsError,
    NotFoundError,
    StacksError,
    WaitCancelledError,
)
from stacks_pulumi.resources._adoption import adopts, how_to_adopt, refuse_if_owned
from stacks_pulumi.resources._base import HalfDone
from stacks_pulumi.resources._operation import Operation
from stacks_pulumi.resources._references import child_id
from stacks_pulumi.resources._session import Session

__all__ = ["AllowedIpList"]

_AUTO_ADDED: Final = "your ip (auto-added)"
"""The API's own description of the caller's entry, in lower case (guide, "List Allowed IPs")."""

_PLACEHOLDER: Final = {
    # An address reserved for documentation (RFC 5737): no packet ever comes from it.
    "ip_address": "192.0.2.1",
    "description": "placeholder while an entry is changed",
    "service_type": "http",
}
_REFUSED: Final = (BadRequestError, ConflictError)


@dataclass(frozen=True)
class AllowedIpList:
    """
    The list of one container, for one operation of the engine.

    Attributes:
        session: The account.
        op: The operation.
        container: The container's id.
    """

    session: Session
    op: Operation
    container: str

    def add(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """
        Put an address in; returns what the API says of the entry.

        Raises:
            ExistsError: It is in already, and the program does not take it over.
            HalfDone: It is in, and something that should be out is not.
            StacksError: External access is off.
        """
        address = inputs["ip_address"]
        with self.session.turn(self.container):
            access = self._open_access(address)
            # The caller's own entry is nobody's: whoever allows that address means it.
            taken = [entry for entry in _of(access.allowed_ips, address) if not _is_auto_added(entry)]
            if taken:
                refuse_if_owned(self.op, "AllowedIp", child_id(self.container, address))
            if taken and not adopts(self.session, inputs):
                msg = (
                    f"{address} is in the list of {self.container} already ({taken[0].id}, "
                    f"{taken[0].service_type}, {taken[0].description!r}). "
                    f"{how_to_adopt('AllowedIp', self.op, inputs)}"
                )
                raise ExistsError(msg, existing=taken[0])
            entry, replaced = self._bring(access.allowed_ips, inputs)
            try:
                self._take_out([*replaced, *_unwanted(access.allowed_ips, address, inputs)])
                self.op.check_active()
            except WaitCancelledError:
                # Nobody is left to tell of it, and a door that no state knows must not stay open. One that was open
                # before stays.
                if not replaced and entry.id not in {before.id for before in access.allowed_ips}:
                    with self.op.undoing():
                        self._take_out([entry])
                raise
            except StacksError as error:
                msg = (
                    f"{address} may reach {self.container} now, but something that may not is still in the list: "
                    f"{error}. `pulumi up` tries again"
                )
                outs = {**inputs, **_described(entry)}
                raise HalfDone(msg, id=child_id(self.container, address), outs=outs) from None
        return _described(entry)

    def read(self, address: str, olds: Mapping[str, Any]) -> dict[str, Any] | None:
        """The entry's outputs, or `None` if it, the container or the whole access is gone."""
        try:
            access = self.session.reads.get("allowed_ips", self.container, ask=self._access)
        except NotFoundError:
            return None
        entries = _of(access.allowed_ips, address)
        if not entries:
            access.allowed_ips.require_complete()
            return None
        # A second entry for the address that says something else is drift.
        found = next((entry for entry in entries if not _says(entry, olds)), entries[0])
        revoke = bool(olds.get("revoke_auto_added"))
        return {
            **{name: value for name, value in olds.items() if name == "adopt"},
            "container": self.container,
            "ip_address": address,
            "description": found.description or "Custom IP",
            "service_type": found.service_type or "both",
            # The caller's address is back (access was turned off and on): shown as drift, so that it goes again.
            "revoke_auto_added": revoke and not _unwanted(access.allowed_ips, address, olds),
            **_described(found),
        }

    def change(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Give the entry another description or service type, which the API can only do as another entry."""
        with self.session.turn(self.container):
            entries = self._open_access(inputs["ip_address"]).allowed_ips
            entry, replaced = self._bring(entries, inputs)
            self._take_out([*replaced, *_unwanted(entries, inputs["ip_address"], inputs)])
        return _described(entry)

    def remove(self, address: str, olds: Mapping[str, Any]) -> None:
        """Take the address out. The last one cannot go, so then external access is turned off."""
        with self.session.turn(self.container), contextlib.suppress(NotFoundError):
            access = self._access()
            going = _of(access.allowed_ips, address)
            if access.enabled is False:
                return
            if not going:
                access.allowed_ips.require_complete()
                return
            going += _unwanted(access.allowed_ips, address, olds)
            if _only(going, access):
                self._close(access, address)
                return
            try:
                self._take_out(going)
            except _REFUSED:
                # Somebody else took the others out meanwhile, or the API has another reason.
                if not _only(going, self._access()):
                    raise
                self._close(access, address)

    # --- steps ---

    def _access(self) -> models.ExternalAccess:
        return self.session.client.allowed_ips.list(self.container)

    def _open_access(self, address: str) -> models.ExternalAccess:
        access = self._access()
        if access.enabled is False:
            msg = (
                f"external access of {self.container} is off, so there is no list to put {address} into: set "
                "external_access=True on the Container (if the program says that already, `pulumi up --refresh` turns "
                "it on again), or take this AllowedIp away"
            )
            raise StacksError(msg)
        return access

    def _put(self, entry: Mapping[str, Any], before: Sequence[models.AllowedIp]) -> models.AllowedIp:
        return self.session.client.allowed_ips.add(
            self.container,
            ip_address=entry["ip_address"],
            description=entry["description"],
            service_type=entry["service_type"],
            before=before,
        )

    def _bring(
        self, entries: Sequence[models.AllowedIp], inputs: Mapping[str, Any]
    ) -> tuple[models.AllowedIp, list[models.AllowedIp]]:
        """An entry that is as the inputs say, and those that it replaces, which are still in the list."""
        olds = _of(entries, inputs["ip_address"])
        right = next((entry for entry in olds if _says(entry, inputs)), None)
        if right is not None:
            return right, [entry for entry in olds if entry.id != right.id]
        self.op.progress(f"allowing {inputs['ip_address']}")
        if not olds:
            return self._put(inputs, entries), []
        try:
            new = self._put(inputs, entries)
        except _REFUSED:
            return self._bring_old_first(entries, olds[0], inputs)
        # An API that changes the entry in place tells its id again.
        return new, [entry for entry in olds if entry.id != new.id]

    def _bring_old_first(
        self, entries: Sequence[models.AllowedIp], old: models.AllowedIp, inputs: Mapping[str, Any]
    ) -> tuple[models.AllowedIp, list[models.AllowedIp]]:
        """The same where the API refuses an address that is in the list: the old entry goes, then the new one comes."""
        placeholder: list[models.AllowedIp] = []
        try:
            self._take_out([old])
        except _REFUSED:
            # It is the only one. An address that nobody has keeps the list from being empty meanwhile.
            placeholder = [self._put(_PLACEHOLDER, entries)]
            self._take_out([old])
        left = [*(entry for entry in entries if entry.id != old.id), *placeholder]
        try:
            return self._put(inputs, left), placeholder
        except StacksError:
            before = {
                "description": old.description or "Custom IP",
                "service_type": old.service_type or "both",
            }
            with self.op.undoing():
                self._put({**inputs, **before}, left)
                self._take_out(placeholder)
            raise

    def _take_out(self, entries: Iterable[models.AllowedIp]) -> None:
        for entry in entries:
            self.op.progress(f"removing {entry.ip_address}")
            with contextlib.suppress(NotFoundError):
                self.session.client.allowed_ips.remove(self.container, entry.id)

    def _close(self, access: models.ExternalAccess, address: str) -> None:
        self.session.client.containers.external_access(self.container, enabled=False)
        self.op.warn(
            f"{address} was the last address that could reach {self.container}, and the API keeps the last one in its "
            f"list: external access was turned off instead, and with it goes {access.url or access.subdomain}. If the "
            "Container says external_access=True, take that out too, or a later `pulumi up --refresh` turns it on again"
        )


def _of(entries: Iterable[models.AllowedIp], address: str) -> list[models.AllowedIp]:
    return [entry for entry in entries if canonical(entry.ip_address) == canonical(address)]


def _says(entry: models.AllowedIp, inputs: Mapping[str, Any]) -> bool:
    wanted = (inputs.get("description"), inputs.get("service_type"))
    return (entry.description or "Custom IP", entry.service_type or "both") == wanted


def _unwanted(
    entries: Iterable[models.AllowedIp], address: str, inputs: Mapping[str, Any]
) -> list[models.AllowedIp]:
    """What nobody asked for: the caller's address, if that is to go, and what an interrupted change left behind."""
    revoke = bool(inputs.get("revoke_auto_added"))
    return [
        entry
        for entry in entries
        if canonical(entry.ip_address) != canonical(address)
        and ((revoke and _is_auto_added(entry)) or entry.description == _PLACEHOLDER["description"])
    ]


def _only(entries: Iterable[models.AllowedIp], access: models.ExternalAccess) -> bool:
    """Whether nothing else is in the list."""
    return {entry.id for entry in access.allowed_ips} <= {entry.id for entry in entries}


def _is_auto_added(entry: models.AllowedIp) -> bool:
    return (entry.description or "").strip().lower() == _AUTO_ADDED


def _described(entry: models.AllowedIp) -> dict[str, Any]:
    said = {"entry_id": entry.id, "added_at": entry.added_at}
    return {name: value for name, value in said.items() if value is not None}
