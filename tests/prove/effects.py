"""
What a broker's clients may do, and what happens at the platform: each effect is compared when it happens.

It knows the grants, what was signed, the settings, and who sent which request. It does not read the ledger.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from stacks_pulumi._identifiers import seconds_of
from stacks_pulumi.broker.change import CONTAINERS, EFFECTS
from stacks_pulumi.emulator import Emulator
from tests.broker.conftest import Client

__all__ = ["PARTS", "Grantee", "Maker", "Signed", "There", "Visit", "Witness"]

Thing = tuple[str, str, float]
"""Kind and id of an object, and when it was made."""

_DAY: Final = 86400.0
_SAME: Final = 1.1
"""Creation times are compared to the second."""
_ON_THE_WAY: Final = 45.0
"""Seconds within which a request is carried out after it was judged, or after its answer was lost."""
_OLD: Final = 12.0
"""The age in seconds of the list by which a create is judged, with the time to judge it."""
_UNDO: Final = 900.0
PARTS: Final[Mapping[str, str]] = {"backup_id": "Backup", "connection_id": "Connection"}
_FREE: Final[Mapping[str, str]] = {"running": "start", "restart": "restart"}


@dataclass
class Signed:
    """A request that a person signed, and how often it took effect."""

    permit: Mapping[str, Any]
    at: float
    used: int = 0

    @property
    def width(self) -> int:
        return sum(len(one.get("of", "1")) for one in self.permit.get("ids", {}).values())

    @property
    def is_left(self) -> bool:
        times = self.permit.get("times", 1)
        return times is None or self.used < times


@dataclass
class Grantee:
    """
    Who has a grant.

    Attributes:
        client: It sends the requests.
        policy: The policy of a budget; empty for a change.
        stack: The stack.
        signed: What a person signed.
        secrets: The secrets that a person signed.
        known: The containers that a change names.
        change: The change.
        since: When the change was last handed in.
    """

    client: Client
    policy: str
    stack: str
    signed: list[Signed] = field(default_factory=list)
    secrets: list[dict[str, Any]] = field(default_factory=list)
    known: Mapping[str, Any] = field(default_factory=dict)
    change: Mapping[str, Any] = field(default_factory=dict)
    since: float = 0.0

    @property
    def owner(self) -> object:
        """Who owns what it makes: a change alone, or all grants of a policy and a stack."""
        return (self.policy, self.stack) if self.policy else id(self)


@dataclass
class Visit:
    """
    One request of a client.

    Attributes:
        by: The client.
        made: The number of objects that it made.
        is_answered: Whether the client knows that it was carried out.
        repeatable: What it did that has the same effect again; it counts if the client gets the answer.
        read: The secret that the platform sent: its endpoint and ids, and what the platform had then.
    """

    by: Grantee
    made: int = 0
    is_answered: bool = False
    repeatable: list[Signed] = field(default_factory=list)
    read: tuple[str, Mapping[str, str], There] | None = None


@dataclass(frozen=True)
class Maker:
    """
    Whose request made an object.

    Attributes:
        visit: The request.
        signed: What permitted it; `None` for a budget's own limits.
        sent: When the request was sent.
    """

    visit: Visit
    signed: Signed | None
    sent: float

    @property
    def by(self) -> Grantee:
        return self.visit.by


class There:
    """What the platform has at a moment."""

    def __init__(self, api: Emulator) -> None:
        # What is due happens before a request, and is not its effect.
        api.platform.settle()
        state = api.state
        self._containers = {id_: ("Container", id_, it.created_at) for id_, it in state.containers.items()}
        rows = [one for one in state.containers.values() if one.status != "deleting"]
        self.prices = {("Container", one.id, one.created_at): one.price for one in rows}
        self.marks = {one.id: (one.status, one.external_access, len(one.restored)) for one in rows}
        self.addresses = {entry.id: entry.ip_address for one in rows for entry in one.allowed_ips}
        self.backups = {str(one.id): one.container_id for one in state.backups.values()}
        self.places: dict[Thing, str] = {thing: thing[1] for thing in self.prices}
        for row in rows:
            self.places |= {("AllowedIp", one.id, one.added_at): row.id for one in row.allowed_ips}
            self.places |= {("VpnClient", one.name, one.created_at): row.id for one in row.vpn_clients}
        for link in state.connections.values():
            self.places["Connection", link.id, link.created_at] = link.source
        for backup in state.backups.values():
            self.places["Backup", str(backup.id), backup.created_at] = backup.container_id
            if backup.pinned:
                self.places["Pin", str(backup.id), backup.created_at] = backup.container_id

    def container(self, id_: str) -> Thing | None:
        return self._containers.get(id_)

    def part(self, kind: str, id_: str) -> tuple[Thing, str] | None:
        """Return an object in a container, and the container's id."""
        return next((one for one in self.places.items() if one[0][:2] == (kind, id_)), None)


class Witness:
    """
    Judges each effect.

    Args:
        api: The platform.
        settings: The settings of the broker.

    Attributes:
        made: Who made which object.
        opened: When a person opened access to a container.
        claimed: To which stack an administrator assigned a container, and when.
        problems: What must not happen, and happened.
        counts: What happened how often.
    """

    def __init__(self, api: Emulator, settings: Mapping[str, Any], lag: float) -> None:
        self._api, self._settings, self._lag = api, settings, lag
        self.made: dict[Thing, Maker] = {}
        self._created: list[tuple[Thing, Decimal]] = []
        self.opened: dict[str, float] = {}
        self.claimed: dict[Thing, tuple[str, float]] = {}
        self.problems: list[str] = []
        self.counts = Counter[str]()

    def seen(
        self, visit: Visit, sent: float, ask: tuple[str, Mapping[str, str], Any], before: There, after: There
    ) -> None:
        """Judge a request that the platform has carried out; `ask` is its endpoint, ids and body."""
        endpoint, ids, body = ask
        effect, by = EFFECTS[endpoint], visit.by
        new = [one for one in after.places if one not in before.places and one[0] == effect.makes]
        gone = [one for one in before.places if one not in after.places]
        removed = [one for one in gone if one[:2] == (effect.removes, ids.get(effect.object))]
        # A pin has the number of its backup.
        named = [one for one in gone if one[1] == ids.get(effect.object)]
        if not new and not removed and after.marks == before.marks:
            return
        self.counts[endpoint] += 1
        words = f"{endpoint} {dict(ids)} {body} of {by.policy or 'a change'} for {by.stack}"
        fitting = [
            one
            for one in by.signed
            if self._fits(one, by, ask, before) and not any(self._is_newer(it, one, by) for it in named)
        ]
        is_free = self._is_free(by, sent, ask, removed, before)
        # A change needs no permit to remove what it made, and two removals may arrive in another order.
        is_own = bool(removed) and not by.policy and is_free
        left = [] if is_own else [one for one in fitting if one.is_left]
        # Another request may need the permit that allows more.
        signed = min(left, key=lambda one: one.width, default=None)
        if signed is None and not is_free:
            self.problems.append(f"{'more often than' if fitting else 'not'} signed: {words}")

        if signed is not None and (new or removed or endpoint == "backups.restore"):
            signed.used += 1
        elif signed is not None:
            visit.repeatable.append(signed)
        for one in gone:
            maker = self.made.get(one)
            is_undone = maker is not None and maker.by is by and (signed is None or not by.policy)
            if maker is not None and maker.signed is not None and is_undone:
                maker.signed.used -= 1
        self.made |= dict.fromkeys(new, Maker(visit, signed, sent))
        visit.made += len(new)
        if visit.made > 1 and effect.makes != "Backup":
            self.problems.append(f"twice for one request: {words}")
        if new and effect.makes == "Container":
            self._created.append((new[0], after.prices[new[0]]))
            self._check_prices(by, sent, after)

    def removed_by_person(self, thing: Thing | None) -> None:
        """Take note of an object that a person removes."""
        maker = None if thing is None else self.made.get(thing)
        if maker is not None and not maker.visit.is_answered:
            # Known: a create without an answer is sent again if a person removes its object before it is found, and
            # both count once for the day.
            self._created = [one for one in self._created if one[0] != thing]
            maker.visit.made -= 1
            if maker.signed is not None:
                maker.signed.used -= 1

    def has_read(self, visit: Visit) -> None:
        """Judge a secret that a client has got."""
        assert visit.read is not None, "no request was sent for this secret"
        (endpoint, ids, there), by = visit.read, visit.by
        thing = there.container(next(iter(ids.values())))
        if by.policy:
            is_free = endpoint == "containers.credentials" and by.stack in self._stacks_of(thing)
        else:
            lines = [one["ids"] for one in by.secrets if one["endpoint"] == endpoint]
            is_free = any(
                all(self._is_meant(name, one[name], by, ids, there) for name in ids) for one in lines
            )
        if not is_free:
            self.problems.append(f"read: {endpoint} {dict(ids)} of {thing} by {by.policy or 'a change'}")

    def _stacks_of(self, thing: Thing | None) -> set[str]:
        """Return the stacks that may own a container; a moment after a claim, also the earlier one."""
        found = {maker.by.stack for maker in self._makers(thing)}
        if thing is not None and thing in self.claimed:
            stack, at = self.claimed[thing]
            found = {stack} if self._api.clock.now() - at > _ON_THE_WAY else found | {stack}
        return found

    def _is_claimed(self, thing: Thing | None, sent: float) -> bool:
        """Return whether an administrator decides about a container, and did so before a request was judged."""
        return thing is not None and sent - self.claimed.get(thing, ("", sent))[1] > _OLD

    # Who may do it

    def _fits(self, one: Signed, by: Grantee, ask: tuple[str, Mapping[str, str], Any], there: There) -> bool:
        endpoint, ids, body = ask
        permit, only = one.permit, one.permit.get("only_address")
        if (permit["endpoint"], permit.get("body", {})) != (endpoint, body):
            return False
        # Known: a list does not show yet that a person has opened access.
        is_unseen = self._api.clock.now() - self.opened.get(ids.get("container_id", ""), 0.0) < self._lag + 2
        if (
            only
            and not is_unseen
            and any(
                address != only
                for (kind, id_, _), place in there.places.items()
                if kind == "AllowedIp" and place == ids["container_id"]
                for address in [there.addresses[id_]]
            )
        ):
            return False
        return all(self._is_meant(name, permit["ids"][name], by, ids, there) for name in ids)

    def _is_meant(
        self, name: str, wanted: Mapping[str, Any], by: Grantee, ids: Mapping[str, str], there: There
    ) -> bool:
        value, thing = ids[name], there.container(ids[name])
        if "address" in wanted:
            return ipaddress.ip_network(there.addresses[value]) == ipaddress.ip_network(wanted["address"])
        if name == "client_name":
            its = [one for one in there.places if one[:2] == ("VpnClient", value)]
            if "created_at" in wanted:
                return any(_is_of(one, wanted) for one in its)
            return any(maker.by.owner == by.owner for one in its for maker in self._makers(one))
        if "new_backup_of" in wanted:
            part = there.part("Backup", value)
            makers = self._makers(part[0] if part else None)
            return any(it.by is by and _binds(it) == wanted["new_backup_of"] for it in makers)
        if name not in CONTAINERS:
            part, container = there.part(PARTS.get(name, ""), value), by.known.get(wanted.get("in", ""), {})
            is_it = part is not None and part[1] == container.get("id") and _is_of(part[0], wanted)
            is_it = is_it and _is_of(there.container(container["id"]), container)
            return wanted["is"] == value and (is_it or "in" not in wanted)
        known = [wanted] if "is" in wanted else [by.known.get(one, {}) for one in wanted["of"]]
        if any((one.get("is") or one.get("id")) == value and _is_of(thing, one) for one in known):
            return True
        return any(maker.by is by and _binds(maker) in wanted.get("of", ()) for maker in self._makers(thing))

    def _is_free(
        self,
        by: Grantee,
        sent: float,
        ask: tuple[str, Mapping[str, str], Any],
        removed: list[Thing],
        there: There,
    ) -> bool:
        """Return whether a client needs no signature: for its budget's actions, or to remove what it made."""
        endpoint, ids, body = ask
        if removed:
            return all(self._may_undo(by, sent, one) for one in removed)
        if not by.policy or endpoint == "containers.create":
            return bool(by.policy)
        free = self._settings["policies"][by.policy]["free"]
        actions = {"connections.create": "connect-own", "backups.trigger": "backup", "backups.pin": "pin-own"}
        action = actions.get(endpoint) or _FREE.get(body.get("status", ""))
        places = [there.backups[value] if name == "backup_id" else value for name, value in ids.items()]
        return action in free and all(
            any(maker.by.owner == by.owner for maker in self._makers(there.container(one)))
            and not self._is_claimed(there.container(one), sent)
            for one in places
        )

    def _may_undo(self, by: Grantee, sent: float, thing: Thing) -> bool:
        since = sent - _UNDO - _ON_THE_WAY if by.policy else by.since - _SAME
        is_free = not by.policy or "undo" in self._settings["policies"][by.policy]["free"]
        return (
            is_free
            and not self._is_claimed(thing, sent)
            and any(maker.by.owner == by.owner and maker.sent >= since for maker in self._makers(thing))
        )

    def _is_newer(self, thing: Thing, signed: Signed, by: Grantee) -> bool:
        kinds = {"AllowedIp", "Pin"}
        return thing[0] in kinds and any(
            maker.by is not by and maker.by.owner != by.owner and maker.sent > signed.at
            for maker in self._makers(thing)
        )

    def _makers(self, thing: Thing | None) -> list[Maker]:
        """Return who made an object, or one of the same second, from which nobody can tell it."""
        if thing is None:
            return []
        return [
            maker
            for (kind, id_, at), maker in self.made.items()
            if (kind, id_) == thing[:2] and abs(at - thing[2]) <= _SAME
        ]

    # What it may cost

    def _check_prices(self, by: Grantee, sent: float, there: There) -> None:
        new, now = self._created[-1][0], self._created[-1][0][2]
        # A list shows what a person made only a moment later.
        unseen = sent - _OLD - self._lag
        listed = [one for one in there.prices if one in self.made or one[2] < unseen]
        self._check("account", self._settings["account"]["max_total"], listed, there)
        # Known: an administrator has assigned a container to the stack since the create was judged.
        old = [one for one in there.prices if self.claimed.get(one, ("", 0.0))[1] < sent - _SAME]
        stack = [one for one in old if self._stacks_of(one) == {by.stack}]
        self._check(by.stack, self._settings["limits"]["max_total"], stack, there)
        if not by.policy:
            return
        policy = self._settings["policies"][by.policy]
        its = [one for one in there.prices if one in self.made and self.made[one].by.policy == by.policy]
        self._check(by.policy, policy["max_total"], its, there)
        if self.made[new].signed is None:
            day = sum(
                price
                for one, price in self._created
                if (it := self.made[one]).signed is None
                and it.by.policy == by.policy
                and it.sent > sent - _DAY + _ON_THE_WAY
            )
            if day > policy["increase_per_day"]:
                self.problems.append(f"{day} in a day under {by.policy}, at {now}")

    def _check(self, name: str, most: int, things: list[Thing], there: There) -> None:
        total = sum(there.prices[one] for one in things)
        if total > most:
            self.problems.append(f"{name} costs {total}, and its limit is {most}: {things}")


def _binds(maker: Maker) -> str:
    """Return the symbol of what a signed request made."""
    return "" if maker.signed is None else maker.signed.permit.get("binds", "")


def _is_of(thing: Thing | None, known: Mapping[str, Any]) -> bool:
    """Return whether a container is the one that a person has seen."""
    made = seconds_of(known.get("created_at"))
    return thing is not None and made is not None and abs(thing[2] - made) <= _SAME
