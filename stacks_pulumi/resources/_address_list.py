"""
Finds, adds, changes and removes one address in a container's list of allowed addresses.

A client must keep its access between two steps of a change. Two rules of the API complicate this. First, the API does
not remove the last entry while external access is on. Second, when external access is turned on, the API adds the
caller's own address, which the program did not request; that entry may appear several seconds later.

An entry is identified by its address. A change of the entry's description or service type also changes the entry's id,
because the API can only add a new entry. If the list contains an address twice, both entries are treated as one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from stacks_pulumi import _identifiers
from stacks_pulumi._clock import shielded
from stacks_pulumi._identifiers import compare_instants, is_before, is_unique
from stacks_pulumi.api import models
from stacks_pulumi.api.allowed_ips import AUTO_ADDED, canonical, label_of
from stacks_pulumi.errors import (
    ApiError,
    BadRequestError,
    ConflictError,
    NotFoundError,
    StacksError,
    UnreadableAnswerError,
    WaitCancelledError,
)
from stacks_pulumi.resources._children import Ask, ContainerGoneError, find_child, same_content, same_time
from stacks_pulumi.resources._creation import InitFailedError
from stacks_pulumi.resources._fields import found_changed
from stacks_pulumi.resources._identity import CONTAINER_CREATED_AT, find_container
from stacks_pulumi.resources._operation import Operation
from stacks_pulumi.resources._owners import OWNERS
from stacks_pulumi.resources._resource import child_id, own_name
from stacks_pulumi.resources._running import creation_time, patiently
from stacks_pulumi.resources._session import MAX_AGE, Session
from stacks_pulumi.resources._stored import shown_time
from stacks_pulumi.resources._values import without_none

PLACEHOLDER: Final = {
    # An address reserved for documentation (RFC 5737), which no client has.
    "ip_address": "192.0.2.1",
    "description": _identifiers.PLACEHOLDER,
    "service_type": "http",
}
_REFUSED: Final = (BadRequestError, ConflictError)
AWAITED: Final = "awaited_address"
"""
The output that contains the caller's own address if the API has not added it yet; a later update removes it from the
list.
"""
OTHERS_LEFT: Final = "others_left"
"""
The output that marks an address for which this provider may have added a second entry. A deletion then reads the list
first.
"""
_SLACK: Final = 60.0
"""An entry's time in the create response and its time in the list differ by at most this many seconds."""


class PutBackError(StacksError):
    """
    An entry could not be changed, and the old entry was added back.

    Attributes:
        entry: The entry that was added back.
    """

    entry: models.AllowedIp


@dataclass(frozen=True)
class AllowedIpList:
    """
    The list of allowed addresses of one container, for one operation.

    Attributes:
        session: The account.
        op: The operation.
        container: The container's id.
    """

    session: Session
    op: Operation
    container: str

    def read(self, id_: str, olds: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the entry's outputs; `None` if the entry or the container is deleted, or external access is off."""
        address = own_name(id_)
        access = self._find(id_)
        container = find_container(self.session, self.container, shared=True)
        if access is None or container is None:
            return None
        entries = entries_of(access.allowed_ips, address)
        # A look-up has no state, so there is no entry to compare with.
        if olds.get("entry_id") is not None and (foreign := self._foreign(address, entries, olds)):
            self.op.warn(f"{foreign}: it is left alone, and {self.op.label!r} is reported as deleted")
            return None
        # A second, different entry for the same address is drift.
        entry = next((entry for entry in entries if not matches(entry, olds)), entries[0])
        # Turning external access off and on adds the caller's address again; the next update removes it.
        revoke = bool(olds.get("revoke_auto_added"))
        undone = ["revoke_auto_added"] if revoke and self.unwanted(access, address, olds) else []
        return {
            **{name: value for name, value in olds.items() if name in {"adopt", AWAITED}},
            "container": self.container,
            "ip_address": address,
            "description": olds["description"]
            if _is_label(entry, olds)
            else entry.description or "Custom IP",
            "service_type": entry.service_type or "both",
            "revoke_auto_added": revoke,
            **entry_outputs(entry, container.created_at),
            **found_changed(undone),
            **({OTHERS_LEFT: True} if len(entries) > 1 or self.unwanted(access, address, {}) else {}),
        }

    def look(self, inputs: Mapping[str, Any], olds: Mapping[str, Any]) -> dict[str, Any]:
        """
        Return the outputs of an update that changes nothing. Only a refresh records what other clients have changed.
        """
        address = inputs["ip_address"]
        rows = entries_of(self.access().allowed_ips, address)
        entry = next((row for row in rows if row.id == olds.get("entry_id")), None)
        if entry is None:
            self.op.warn(
                f"the entry of {address} in the list of {self.container} was changed or removed elsewhere, and this "
                "update does not correct it: run `pulumi refresh`, then `pulumi up`"
            )
            known = ("entry_id", "added_at", CONTAINER_CREATED_AT)
            return {**inputs, **{name: olds[name] for name in known if name in olds}}
        return {**inputs, **entry_outputs(entry, creation_time(self.session, self.container))}

    def change(self, inputs: Mapping[str, Any], olds: Mapping[str, Any]) -> dict[str, Any]:
        """
        Change the entry's description or service type by adding a new entry, because the API cannot change an entry.
        """
        address = inputs["ip_address"]
        with self.session.turn(self.container):
            created_at = creation_time(self.session, self.container)
            access = self.open_access(address)
            entries = access.allowed_ips
            foreign = self._foreign(address, entries_of(entries, address), olds)
            if foreign and inputs.get("adopt") != "if_matching":
                msg = (
                    f"{foreign}. It was not changed: run `pulumi refresh` and then `pulumi up`, or write "
                    'adopt="if_matching" to adopt that entry'
                )
                raise StacksError(msg, code="identity-unclear")
            entry: models.AllowedIp | None = None
            try:
                entry, replaced = self.put_entry(entries, inputs)
                self.take_out([*replaced, *self.unwanted(access, address, {**olds, **inputs})])
            except StacksError as error:
                added = error.entry if isinstance(error, PutBackError) else entry
                if added is None or isinstance(error, WaitCancelledError):
                    raise
                # The state gets the id and the time of the new entry, so that the next operation knows that the entry
                # is ours.
                outs = {**olds, **entry_outputs(added, created_at), OTHERS_LEFT: True}
                id_ = child_id(self.container, address)
                raise InitFailedError(error.message, code=error.code, id=id_, outs=outs) from error
        return {**inputs, **entry_outputs(entry, created_at)}

    def remove(self, id_: str, olds: Mapping[str, Any], *, replacing: bool) -> None:
        """
        Remove the address.

        If the state contains the entry's unique id, the list need not be read first. The API does not remove the last
        entry. An entry is the last one if the API refuses to remove it, or if the list contains no other entries. A
        replacement then adds a placeholder, so that external access stays on and keeps its host name. Otherwise,
        external access is turned off.
        """
        refused: ApiError | None = None
        with self.session.turn(self.container):
            if self._goes_by_id(olds):
                try:
                    self.session.client.allowed_ips.remove(self.container, olds["entry_id"])
                except NotFoundError:
                    pass  # A 404 proves nothing: the address may still be in the list.
                except ApiError as error:
                    # The guide does not state which status the API returns if the entry is missing, or is the last one.
                    refused = error
                else:
                    return
            self._remove_listed(id_, olds, refused, replacing=replacing)

    def _remove_listed(
        self, id_: str, olds: Mapping[str, Any], refused: ApiError | None, *, replacing: bool
    ) -> None:
        address = own_name(id_)
        try:
            access = self._find(id_, shared=False)
        except UnreadableAnswerError:
            # An incomplete list may lack the entry, but the entry's id is enough for our request.
            created_at = creation_time(self.session, self.container)
            same = compare_instants(olds.get(CONTAINER_CREATED_AT), created_at)
            if olds.get("entry_id") is None or not same:
                raise
            self.session.client.allowed_ips.remove(self.container, olds["entry_id"])
            return
        if access is None:
            return
        going = entries_of(access.allowed_ips, address)
        if foreign := self._foreign(address, going, olds):
            self.op.warn(f"{foreign}: it is left alone")
            return
        going += self.unwanted(access, address, olds)
        if not _only(going, access):
            if refused is not None:
                raise refused
            try:
                self.take_out(going)
            except _REFUSED:
                # The API refuses because another client has removed the other entries, or for a different reason.
                if not _only(going, self.access()):
                    raise
            else:
                return
        if replacing:
            self._put(PLACEHOLDER, access.allowed_ips)
            self.take_out([entry for entry in going if entry.description != PLACEHOLDER["description"]])
        else:
            self._close(access, address)

    # --- steps ---

    def _goes_by_id(self, olds: Mapping[str, Any]) -> bool:
        """Return whether the entry's id in the state is enough for a deletion."""
        # An interrupted change may have left an entry that no state contains. If the container stays, the entry would
        # stay too.
        stays = OWNERS.owner("Container", self.container) is not None
        looks = stays or olds.get("revoke_auto_added") or olds.get(OTHERS_LEFT)
        return not looks and is_unique(olds.get("entry_id") or "")

    def access(self) -> models.ExternalAccess:
        """Return the container's external access and its list of allowed addresses."""
        return self.session.client.allowed_ips.list(self.container)

    def _find(self, id_: str, *, shared: bool = True) -> models.ExternalAccess | None:
        """Return the container's access if its list contains the address; `None` if the entry is certainly gone."""

        def look(get: Ask) -> models.ExternalAccess | None:
            access = get("allowed_ips", self.container, ask=self.access)
            if access.enabled is False:
                # Without external access, the container has no list, so the entry is certainly gone.
                raise ContainerGoneError
            if not entries_of(access.allowed_ips, own_name(id_)):
                access.allowed_ips.require_complete()
                return None
            return access

        return find_child(self.session, self.op, id_, look, max_age=MAX_AGE if shared else 0.0)

    def _wait_until(
        self, wanted: Callable[[models.ExternalAccess], object], what: str
    ) -> models.ExternalAccess:
        """
        Return the container's external access as soon as `wanted` accepts it; at the timeout, return the last one.
        """
        seconds = self.session.client.platform.settle
        return self.op.look_until(wanted, self.access, seconds=seconds, waiting=f"waiting for {what}")

    @property
    def was_opened(self) -> bool:
        """Whether this operation has turned on external access, which may take effect later."""
        return self.session.fresh.opened_for(self.container) is not None

    def open_access(self, address: str) -> models.ExternalAccess:
        """Return the container's external access; raise an error if it is off, because then no address can be added."""
        access = self.access()
        if access.enabled is False and self.was_opened:
            access = self._wait_until(lambda seen: seen.enabled is not False, "external access")
        if access.enabled is False:
            msg = (
                f"external access of {self.container} is off, so {address} cannot be added to its list: set "
                "external_access=True on the Container (if it is set already, `pulumi up --refresh` turns external "
                "access on again), or remove this AllowedIp"
            )
            raise StacksError(msg, code="external-access-off")
        return access

    def auto_added(self, access: models.ExternalAccess, olds: Mapping[str, Any]) -> list[models.AllowedIp]:
        """
        Return the entries that the API added for the caller when external access was turned on.

        If this operation has turned external access on, the API added the entry for the caller's address, whatever that
        entry's description is. In a later operation, both the address and the description must match.
        """
        rows = [
            entry
            for entry in access.allowed_ips
            if entry.description != PLACEHOLDER["description"] and not self._is_managed(entry.ip_address)
        ]
        opened_for = self.session.fresh.opened_for(self.container)
        caller = opened_for or canonical(access.your_ip)
        own = entries_of(rows, caller) if caller else []
        if opened_for is None:
            own = [entry for entry in own if label_of(entry) in self._labels]
            awaited = olds.get(AWAITED)
            return own if awaited is None else [*own, *entries_of(rows, awaited)]
        # The caller may have two addresses, IPv4 and IPv6.
        labels = self._labels & set(map(label_of, own))
        return [entry for entry in rows if entry in own or label_of(entry) in labels]

    @property
    def _labels(self) -> set[str]:
        """The descriptions that the platform gives to the caller's own address, in lower case."""
        known = self.session.client.platform.facts.access.own_address_description
        return {AUTO_ADDED, (known or AUTO_ADDED).strip().lower()}

    def _is_managed(self, address: str | None) -> bool:
        return OWNERS.owner("AllowedIp", child_id(self.container, canonical(address))) is not None

    def unwanted(
        self, access: models.ExternalAccess, address: str, inputs: Mapping[str, Any]
    ) -> list[models.AllowedIp]:
        """
        Return the entries to remove: leftover placeholders and, if the program revokes it, the caller's own entry.
        """
        own = self.auto_added(access, inputs) if inputs.get("revoke_auto_added") else []
        return [
            entry
            for entry in access.allowed_ips
            if canonical(entry.ip_address) != canonical(address)
            and (entry in own or entry.description == PLACEHOLDER["description"])
        ]

    def revoke(self, address: str) -> dict[str, Any]:
        """
        Remove the caller's own address, which may appear in the list some time after external access was turned on.

        Returns:
            If the address did not appear in the list, an output that contains it, for the update that removes it later;
            otherwise, an empty mapping.
        """
        created = self.session.fresh
        opened_for = created.opened_for(self.container)
        mine = {"ip_address": address, "revoke_auto_added": True}
        is_managed = opened_for and (opened_for == canonical(address) or self._is_managed(opened_for))
        if opened_for is None or is_managed or created.was_revoked(self.container):
            return {}
        access = self._wait_until(lambda seen: self.unwanted(seen, address, mine), "the caller's entry")
        own = self.unwanted(access, address, mine)
        self.take_out(own)
        if own:
            return {}
        others = ", ".join(
            f"{entry.ip_address} ({entry.description})"
            for entry in access.allowed_ips
            if canonical(entry.ip_address) != canonical(address) and not self._is_managed(entry.ip_address)
        )
        who = opened_for or canonical(access.your_ip)
        self.op.warn(
            f"the address that STACKS adds for the caller{f' ({who})' if who else ''} was not seen in the list of "
            f"{self.container}, so revoke_auto_added has not removed it: run `pulumi up --refresh` later to "
            f"remove it{'' if who else ' (possible only if STACKS shows which address it is)'}. "
            f"Other addresses in the list: {others or 'none'}"
        )
        return {AWAITED: who} if who else {}

    def _put(
        self, entry: Mapping[str, Any], before: Sequence[models.AllowedIp], *, patient: bool = False
    ) -> models.AllowedIp:
        """Add an entry. If `patient` is true, retry after a refusal, because external access may not be on yet."""

        def add() -> models.AllowedIp:
            return self.session.client.allowed_ips.add(
                self.container,
                ip_address=entry["ip_address"],
                description=entry["description"],
                service_type=entry["service_type"],
                before=before,
                pulse=self.op.check_active,
            )

        if not (patient and self.was_opened):
            return add()
        # `open_access` has seen that access is on, so a refusal that outlasts the lag of lists has a different reason.
        lag = self.session.client.platform.lag
        return patiently(self.session, self.op, "external access", add, _REFUSED, seconds=lag)

    def put_entry(
        self, entries: Sequence[models.AllowedIp], inputs: Mapping[str, Any]
    ) -> tuple[models.AllowedIp, list[models.AllowedIp]]:
        """Add an entry that matches the inputs; return it and the old entries, which the caller must remove."""
        olds = entries_of(entries, inputs["ip_address"])
        right = next((entry for entry in olds if matches(entry, inputs)), None)
        if right is not None:
            return right, [entry for entry in olds if entry.id != right.id]
        self.op.progress(f"allowing {inputs['ip_address']}")
        if not olds:
            return self._put(inputs, entries, patient=isinstance(entries, models.Listing)), []
        try:
            new = self._put(inputs, entries)
        except _REFUSED:
            return self._replace_entry(entries, olds[0], inputs)
        # If the API changes the entry in place, it returns the same id.
        return new, [entry for entry in olds if entry.id != new.id]

    def _replace_entry(
        self, entries: Sequence[models.AllowedIp], old: models.AllowedIp, inputs: Mapping[str, Any]
    ) -> tuple[models.AllowedIp, list[models.AllowedIp]]:
        """Remove the old entry, then add the new one, because this API refuses a second entry for an address."""
        placeholder: list[models.AllowedIp] = []
        try:
            self.take_out([old])
        except _REFUSED:
            # This is the only entry. A reserved address is added, so that the list is never empty.
            placeholder = [self._put(PLACEHOLDER, entries)]
            self.take_out([old])
        left = models.Listing([*(entry for entry in entries if entry.id != old.id), *placeholder])
        try:
            return self._put(inputs, left), placeholder
        except StacksError as refused:
            before = {
                "description": old.description or "Custom IP",
                "service_type": old.service_type or "both",
            }
            with shielded():
                try:
                    entry = self._put({**inputs, **before}, left)
                    # If the placeholder remains, the next change removes it.
                    with contextlib.suppress(StacksError):
                        self.take_out(placeholder)
                except StacksError as error:
                    self.op.report(
                        f"{inputs['ip_address']} can no longer reach {self.container}: changing its entry failed, and "
                        f"adding the old entry back failed too ({error.reason}). `pulumi up` adds it again"
                    )
                else:
                    raise PutBackError(refused.message, code=refused.code, entry=entry) from refused
            raise

    def take_out(self, entries: Iterable[models.AllowedIp]) -> None:
        """Remove entries; ignore entries that are already gone."""
        api = self.session.client.allowed_ips
        for entry in entries:
            try:
                api.remove(self.container, entry.id)
            except NotFoundError:
                # A 404 proves nothing: the entry may still be in the list.
                if self._is_listed(entry):
                    api.remove(self.container, entry.id)

    def _is_listed(self, entry: models.AllowedIp) -> bool:
        def look(_get: Ask) -> models.AllowedIp | None:
            return self.access().allowed_ips.find(lambda row: row.id == entry.id)

        id_ = child_id(self.container, entry.ip_address or entry.id)
        return find_child(self.session, self.op, id_, look) is not None

    def _close(self, access: models.ExternalAccess, address: str) -> None:
        self.session.client.containers.external_access(self.container, enabled=False)
        text = (
            f"{address} was the last address that could reach {self.container}, and the API does not remove the last "
            f"address: external access was turned off instead, including {access.url or access.subdomain}"
        )
        if OWNERS.owner("Container", self.container) is None:
            # In a `destroy` the container is usually deleted next, so no warning is needed.
            self.op.inform(text)
        else:
            self.op.warn(
                f"{text}. If the Container sets external_access=True, remove that setting too; otherwise a later "
                "`pulumi up --refresh` turns external access on again"
            )

    def _foreign(
        self, address: str, entries: Sequence[models.AllowedIp], olds: Mapping[str, Any]
    ) -> str | None:
        """Return a description of the listed entries for an address if they are not those in the state."""
        if not entries or _is_proven(entries, olds):
            return None
        created_at = creation_time(self.session, self.container)
        if _is_ours(entries, olds, created_at):
            return None
        return (
            f"the entry of {address} in the list of {self.container} was added at {entries[0].added_at}; the time in "
            f"the state is {shown_time(olds.get('added_at'))}, and the container was created at {created_at}, so it "
            "is a different object"
        )


def entries_of(entries: Iterable[models.AllowedIp], address: str) -> list[models.AllowedIp]:
    return [entry for entry in entries if canonical(entry.ip_address) == canonical(address)]


def matches(entry: models.AllowedIp, inputs: Mapping[str, Any]) -> bool:
    """Return whether an entry's description and service type match the inputs."""
    return _is_label(entry, inputs) and (entry.service_type or "both") == inputs.get("service_type")


def _is_label(entry: models.AllowedIp, inputs: Mapping[str, Any]) -> bool:
    """Return whether an entry's description matches the input, which a platform may shorten or change in case."""
    wanted, shown = inputs.get("description"), (entry.description or "Custom IP").strip().casefold()
    return isinstance(wanted, str) and wanted.strip().casefold().startswith(shown)


def _only(entries: Iterable[models.AllowedIp], access: models.ExternalAccess) -> bool:
    """Return whether the list contains only these entries."""
    return {entry.id for entry in access.allowed_ips} <= {entry.id for entry in entries}


def _is_proven(entries: Iterable[models.AllowedIp], olds: Mapping[str, Any]) -> bool:
    """Return whether one of the entries has the unique id or the creation time in the state."""
    return any(
        (entry.id == olds.get("entry_id") and is_unique(entry.id))
        or same_time(olds.get("added_at"), entry.added_at)
        for entry in entries
    )


def _is_ours(
    entries: Sequence[models.AllowedIp], olds: Mapping[str, Any], container_created_at: str | None
) -> bool:
    """
    Return whether listed entries that are not proven to be ours are treated as those in the state.

    They may be different entries: a later container with the same id has a new list, or another client added the
    address again. The entries' times decide. If one is missing, the container's creation time decides; if that is
    missing too, an entry's id or content decides.
    """
    stored = olds.get("added_at")
    # Only unproven entries are compared here, because the container's time may be the time of a start.
    if is_before(stored, container_created_at):
        return False
    times = [
        same_time(stored, entry.added_at, slack=_SLACK if entry.id == olds.get("entry_id") else 1.0)
        for entry in entries
    ]
    if None not in times or True in times:
        return True in times
    same = compare_instants(olds.get(CONTAINER_CREATED_AT), container_created_at)
    if same is not None:
        return same
    return any(
        entry.id == olds.get("entry_id")
        or same_content(olds, {"description": entry.description, "service_type": entry.service_type})
        for entry in entries
    )


def entry_outputs(entry: models.AllowedIp, container_created_at: str | None) -> dict[str, Any]:
    """Return the entry's outputs that are not inputs."""
    return without_none(
        {"entry_id": entry.id, "added_at": entry.added_at, CONTAINER_CREATED_AT: container_created_at}
    )
