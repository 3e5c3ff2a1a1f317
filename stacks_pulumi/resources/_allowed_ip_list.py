"""
A container's list of allowed addresses, and the two rules that make it delicate.

It is never empty while external access is on: the API does not remove the last entry, and in between nobody should be
locked out. And turning external access on puts the caller's own address in, which nobody asked for.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from stacks_pulumi.api import models
from stacks_pulumi.errors import BadRequestError, ConflictError, ExistsError, NotFoundError, StacksError
from stacks_pulumi.resources import _checks
from stacks_pulumi.resources._adoption import adopts, how_to_adopt
from stacks_pulumi.resources._operation import Operation
from stacks_pulumi.resources._session import Session

__all__ = ["AllowedIpList"]

_AUTO_ADDED: Final = "auto-added"
"""What the API's own description of the caller's entry says (guide, "List Allowed IPs")."""

_PLACEHOLDER: Final = {
    # An address reserved for documentation (RFC 5737): no packet ever comes from it.
    "ip_address": "192.0.2.1",
    "description": "placeholder while an entry is changed",
    "service_type": "http",
}


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
        Put an address in.

        Raises:
            ExistsError: It is in already, and the program does not take it over.
            StacksError: External access is off.
        """
        with self.session.turn(self.container):
            access = self._access()
            if not access.enabled:
                msg = (
                    f"external access of {self.container} is off, so there is no list to put {inputs['ip_address']} "
                    "into: set external_access=True on the Container, or take this AllowedIp away"
                )
                raise StacksError(msg)
            found = _find(access.allowed_ips, inputs["ip_address"])
            if found is None:
                entry = self._put(inputs)
            elif _is_auto_added(found) or adopts(self.session, inputs):
                # The caller's own entry is nobody's: whoever allows that address means it.
                entry = self._exchange(found, inputs)
            else:
                msg = (
                    f"{inputs['ip_address']} is in the list of {self.container} already ({found.id}, "
                    f"{found.service_type}, {found.description!r}). {how_to_adopt('AllowedIp', self.op, inputs)}"
                )
                raise ExistsError(msg, existing=found)
            self._revoke(inputs)
        return entry

    def read(self, address: str, olds: Mapping[str, Any]) -> dict[str, Any] | None:
        """The entry's outputs, or `None` if it, the container or the whole access is gone."""
        try:
            access = self.session.reads.get("allowed_ips", self.container, ask=self._access)
        except NotFoundError:
            return None
        found = next((entry for entry in access.allowed_ips if entry.id == olds.get("entry_id")), None)
        found = found or _find(access.allowed_ips, address)
        if found is None:
            return None
        revoke = olds.get("revoke_auto_added", False)
        others = [entry for entry in access.allowed_ips if _is_auto_added(entry) and entry.id != found.id]
        return {
            **{name: value for name, value in olds.items() if name == "adopt"},
            "container": self.container,
            "ip_address": address,
            "description": found.description or "Custom IP",
            "service_type": found.service_type or "both",
            # The caller's address is back (access was turned off and on): shown as drift, so that it goes again.
            "revoke_auto_added": revoke and not others,
            **_described(found),
        }

    def change(self, olds: Mapping[str, Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Give the entry another description or service type, which the API can only do as another entry."""
        with self.session.turn(self.container):
            found = self._own(inputs["ip_address"], olds, self._access().allowed_ips)
            entry = self._put(inputs) if found is None else self._exchange(found, inputs)
            self._revoke(inputs)
        return entry

    def remove(self, address: str, olds: Mapping[str, Any]) -> None:
        """Take the address out. The last one cannot go, so then external access is turned off."""
        with self.session.turn(self.container):
            try:
                access = self._access()
                found = self._own(address, olds, access.allowed_ips)
                if not access.enabled or found is None:
                    return
                if len(access.allowed_ips) > 1 and self._take_out(found):
                    return
                self._close(access, address)
            except NotFoundError:
                return

    # --- steps ---

    def _access(self) -> models.ExternalAccess:
        return self.session.client.allowed_ips.list(self.container)

    def _put(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        self.op.progress(f"allowing {inputs['ip_address']}")
        return _described(
            self.session.client.allowed_ips.add(
                self.container,
                ip_address=inputs["ip_address"],
                description=inputs["description"],
                service_type=inputs["service_type"],
            )
        )

    def _exchange(self, old: models.AllowedIp, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """The new entry first, then the old one goes; the other way round where the API refuses the double."""
        if (old.description, old.service_type) == (inputs["description"], inputs["service_type"]):
            return _described(old)
        try:
            new = self._put(inputs)
        except (BadRequestError, ConflictError, ExistsError):
            return self._exchange_old_first(old, inputs)
        self._take_out(old)
        return new

    def _exchange_old_first(self, old: models.AllowedIp, inputs: Mapping[str, Any]) -> dict[str, Any]:
        placeholder = None
        if not self._take_out(old):
            # It is the only one. An address that nobody has keeps the list from being empty meanwhile.
            placeholder = self._put({**inputs, **_PLACEHOLDER})["entry_id"]
            self._take_out(old)
        try:
            return self._put(inputs)
        except StacksError:
            before = {
                "description": old.description or "Custom IP",
                "service_type": old.service_type or "both",
            }
            with contextlib.suppress(StacksError):
                self._put({**inputs, **before})
            raise
        finally:
            if placeholder is not None:
                self._take_out_id(placeholder)

    def _take_out(self, entry: models.AllowedIp) -> bool:
        """Whether it is out now; False if the API keeps it because it is the last one."""
        return self._take_out_id(entry.id)

    def _take_out_id(self, entry_id: str) -> bool:
        try:
            self.session.client.allowed_ips.remove(self.container, entry_id)
        except NotFoundError:
            return True
        except (BadRequestError, ConflictError):
            return False
        return True

    def _revoke(self, inputs: Mapping[str, Any]) -> None:
        if not inputs["revoke_auto_added"]:
            return
        for entry in self._access().allowed_ips:
            if _is_auto_added(entry) and _canonical(entry.ip_address) != inputs["ip_address"]:
                self.op.progress(f"removing the caller's address {entry.ip_address}")
                if not self._take_out(entry):
                    self.op.warn(
                        f"the API keeps {entry.ip_address} in the list of {self.container}; it can connect"
                    )

    def _close(self, access: models.ExternalAccess, address: str) -> None:
        self.session.client.containers.external_access(self.container, enabled=False)
        self.op.warn(
            f"{address} was the last address that could reach {self.container}, and the API keeps the last one in its "
            f"list: external access was turned off instead, and with it goes {access.url or access.subdomain}"
        )

    def _own(
        self, address: str, olds: Mapping[str, Any], entries: Sequence[models.AllowedIp]
    ) -> models.AllowedIp | None:
        by_id = next((entry for entry in entries if entry.id == olds.get("entry_id")), None)
        return by_id or _find(entries, address)


def _find(entries: Sequence[models.AllowedIp], address: str) -> models.AllowedIp | None:
    return next((entry for entry in entries if _canonical(entry.ip_address) == address), None)


def _canonical(address: str | None) -> str:
    try:
        return _checks.ip_network(address)
    except ValueError:
        # The API wrote it in a way of its own, or not at all: no address of ours equals it.
        return address or ""


def _is_auto_added(entry: models.AllowedIp) -> bool:
    return _AUTO_ADDED in (entry.description or "").lower()


def _described(entry: models.AllowedIp) -> dict[str, Any]:
    said = {"entry_id": entry.id, "added_at": entry.added_at}
    return {name: value for name, value in said.items() if value is not None}
