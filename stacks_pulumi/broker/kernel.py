"""
What happens to one request: is it refused, answered from the ledger, or sent once? What did it change?

    judged -> reserved (`sent`, on the disk) -> done | void | unknown;  done -> undone | gone

A request is judged by its grant, the platform's lists and the ledger. The transaction that admits it also reserves it.
The kernel keeps no other state. A request with an unknown outcome keeps its reservation until a list shows the outcome.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import msgspec

from stacks_pulumi import catalog
from stacks_pulumi._identifiers import compare_instants, may_be_of, same_name
from stacks_pulumi.api._call import Answer
from stacks_pulumi.api.containers import is_older
from stacks_pulumi.api.models import Container
from stacks_pulumi.api.once import BETWEEN, PAUSES, is_within
from stacks_pulumi.broker import journal
from stacks_pulumi.broker.change import (
    CONTAINERS,
    EFFECTS,
    SECRETS,
    Change,
    Constraint,
    Kind,
    Permit,
    dollars,
)
from stacks_pulumi.broker.ledger import (
    DAY,
    LOST,
    PARENTS,
    Grant,
    Ledger,
    LedgerError,
    Use,
    insert,
    text_of,
    update,
)
from stacks_pulumi.broker.limits import (
    LISTED,
    Bill,
    Budget,
    Limit,
    bills,
    identity,
    left_today,
    limits_of,
    limits_of_policy,
    policy_of,
    price_of,
    spent,
    why_over,
)
from stacks_pulumi.broker.permits import (
    TWICE,
    Ask,
    GoneError,
    Holdings,
    fits,
    fits_secret,
    is_about_own,
    is_container,
    is_made,
    made_at,
    meet,
    own_backup,
    same,
)
from stacks_pulumi.broker.reply import Reply, RequestRefusedError, busy, limited, refused
from stacks_pulumi.broker.settings import GateFile, Policy
from stacks_pulumi.broker.upstream import (
    FRESH,
    RECENT,
    Look,
    NotLookedError,
    Upstream,
    WaitedError,
    made_by,
    path_of,
)
from stacks_pulumi.broker.words import in_words
from stacks_pulumi.endpoints import ENDPOINTS
from stacks_pulumi.pricing.money import usd as as_dollars

_CREATE: Final = "containers.create"
UNDONE: Final = 5
"""The highest number of times that an object may be created again after its removal, under one permit."""
GRACE: Final = 900.0
"""Seconds after the end of a grant, or after its last change, in which the grant may remove what it created."""
_LASTING: Final = 600.0
"""Seconds for which a repeated create or deletion receives the earlier answer."""
_BRIEF: Final = 120.0
"""Seconds for which any other repeated change receives the earlier answer."""
_WAITLIST: Final = 60.0
"""Seconds after a 503 before the broker may send a repeated create to the platform again."""
_UNDER_WAY: Final = 30.0
"""Seconds for which the platform may still carry out a request after the broker was killed."""
_UNSETTLED: Final = _UNDER_WAY + 10.0
"""Seconds after an unanswered request in which its effect may still be missing in a list, because lists lag behind."""
_NOT_SENT: Final = 1
"""
The status in the ledger of a request that did not reach the platform. The status is 0 if it is unknown whether the
request reached it.
"""
_OVER_CAP: Final = 402
_NOT_FOUND: Final = 404
_TIMED_OUT: Final = 408
_TOO_MANY: Final = 429
_NO_CAPACITY: Final = 503
_OF_CONTAINERS: Final = frozenset({"containers.list", "connections.targets"})
"""The reads that list containers, including containers of other stacks."""
_NOT_OWN: Final = "the container does not belong to this grant"
_NOT_KEPT: Final = frozenset({"vpn_clients.add", "containers.regenerate_certificate"})
"""Endpoints whose answers may contain a secret."""
_ACTIONS: Final[Mapping[tuple[str, Any], str]] = {
    ("containers.set_status", "running"): "start",
    ("containers.set_status", "restart"): "restart",
    ("connections.create", None): "connect-own",
    ("backups.trigger", None): "backup",
    ("backups.pin", None): "pin-own",
}
"""Endpoint and requested status -> the action's name in a policy."""


class ApprovalNeededError(Exception):
    """Raised if a budget does not allow a request. A person may approve it as `permit`."""

    def __init__(self, why: str, permit: Permit) -> None:
        super().__init__(why)
        self.why, self.permit = why, permit


@dataclass(frozen=True)
class Visit:
    """
    One request of a client.

    Attributes:
        grant: Its grant.
        ask: The parsed request.
        due: The time at which its answer is due.
    """

    grant: Grant
    ask: Ask
    due: float


class Kernel:
    """
    Carries out the requests of grants.

    Args:
        ledger: The ledger.
        upstream: The platform.
        settings: Returns the current settings.
        budgets: Returns the current budgets over several stacks.
    """

    def __init__(
        self,
        ledger: Ledger,
        upstream: Upstream,
        settings: Callable[[], GateFile],
        budgets: Callable[[], Sequence[Budget]] = tuple,
    ) -> None:
        self._ledger, self._upstream, self._settings, self._budgets = ledger, upstream, settings, budgets
        self._active: set[int] = set()
        self._ends: list[tuple[float, float]] = []
        self._admits = threading.Lock()

    def take_over(self) -> None:
        """Take over the ledger of a server that has ended: its open requests are recorded as unanswered."""
        self._leave()

    # Reads

    def read(self, visit: Visit) -> Reply:
        """Answer a read of the inventory, or of a secret that the grant includes."""
        grant, ask = visit.grant, visit.ask
        self.may_still(grant, "ask for a new grant")
        secret, seen = SECRETS.get(ask.endpoint), self._seen(grant)
        is_limited = self._check_read(visit, secret, seen, Look(self._upstream, visit.due))
        got = self._upstream.read(ask.endpoint, ask.ids, ask.query, visit.due)
        own: list[str] | None = None
        if is_limited:
            # While the read waited, the id may have been given to another container, so the request is judged again.
            # For a secret, the list has to be newer than the answer. For a list of containers, it has to be newer than
            # the grant's own creates.
            is_list, most = ask.endpoint in _OF_CONTAINERS, FRESH if secret is None else 0.0
            look = Look(self._upstream, visit.due, newest=is_list, most=most)
            self._check_read(visit, secret, seen, look)
            own = _listed(seen, look) if is_list and seen is not None else None
        self._not_revoked(grant.id)
        return self._upstream.reply(got, "read", secret=secret is not None, only=own)

    def _check_read(self, visit: Visit, secret: str | None, seen: list[Use] | None, look: Look) -> bool:
        """Refuse a read that the grant does not allow. Return whether the grant sees only certain containers."""
        grant, ask, holdings = visit.grant, visit.ask, self._holdings(visit.grant)
        is_named = any(fits_secret(line, ask, holdings, look) for line in grant.spec.reads)
        # A VPN client has only a name, which another grant may have used again.
        is_named = is_named and not self._is_newer(grant, None, ask)
        if secret is not None and secret not in grant.spec.secrets and not is_named:
            raise refused(f"this grant may not read {secret}", "ask for a grant that may read it")
        of_stack = self._of_stack(grant) if secret is not None and grant.stack else None
        is_limited = is_named or seen is not None or of_stack is not None
        # A moment later, a new container may get the id of a missing container.
        is_gone = is_limited and None in map(look.container, ask.containers)
        if is_gone or not _sees(seen, ask, look) or (seen is not None and ask.endpoint == "backups.stats"):
            raise RequestRefusedError(404, "Container not found")
        if not is_named and not _sees(of_stack, ask, look):
            raise refused(
                f"this grant may read {secret} only from containers of the stack {grant.stack}",
                "ask a person to record the stack as the container's owner with `stacks-pulumi broker claim`",
            )
        return is_limited

    def _seen(self, grant: Grant) -> list[Use] | None:
        """Return the create requests of the containers that a grant can see; `None` if it can see all containers."""
        policy = self._policy(grant)
        return None if policy is None or policy.only != "own" else self._of_stack(grant)

    def _of_stack(self, grant: Grant) -> list[Use]:
        """Return the create requests of the containers that belong to a grant's stack."""
        # A budget also sees containers of its stack that a signed change created, or that were assigned to the stack.
        its = "stack = ? and (stack <> '' or policy = ?) and created_at is not null"
        return self._ledger.made("Container", its, grant.stack, grant.policy)

    # Changes

    def change(self, visit: Visit) -> Reply:
        """
        Carry out a change and return its answer; a repetition may receive the earlier answer.

        Raises:
            RequestRefusedError: The grant does not allow it.
            ApprovalNeededError: A budget does not allow it.
        """
        grant, ask = visit.grant, visit.ask
        if grant.kind == "read":
            raise refused("this grant may only read", "ask for a grant that may make changes")
        if ask.query or ask.body.keys() - {*EFFECTS[ask.endpoint].fields}:
            known = ", ".join(EFFECTS[ask.endpoint].fields) or "none"
            text = f"{ask.endpoint} accepts no query, and only these fields in its body: {known}"
            raise refused(text, "remove all others")
        self.may_still(grant, "submit the change again, or ask for a new grant")
        self._find_lost(visit)
        while True:
            found = self._admitted(visit)
            if isinstance(found, Reply):
                return found
            try:
                return self._carried_out(visit, found)
            except WaitedError:
                # The dashboard may have changed an object of the request, so the request is judged again.
                continue

    def _admitted(self, visit: Visit, lost: Use | None = None) -> Reply | Use:
        """
        Return the reservation of a request (or of a lost request that is sent again), or an earlier request's answer.
        """
        look = Look(self._upstream, visit.due, most=RECENT if visit.ask.endpoint == _CREATE else FRESH)
        while True:
            try:
                with self._admits:
                    with self._ledger.writing() as db:
                        if self._upstream.is_late(visit.due):
                            raise busy("the account could not be read in time, so nothing was sent")
                        look.close()
                        found = self._reserved(db, visit, look, lost)
                    if isinstance(found, Use):
                        self._active.add(found.id)
                    return found
            except NotLookedError as missing:
                # A transaction sends no requests. The missing data is read first, then the request is judged again.
                missing.ask()

    def _reserved(self, db: sqlite3.Connection, visit: Visit, look: Look, lost: Use | None) -> Reply | Use:
        if lost is not None:
            if not self._ledger.uses("id = ? and state = 'unknown'", lost.id):
                raise busy("another request has already found the result of this one")
            # The request is judged as if the lost request did not exist.
            update(db, "uses", lost.id, state="void")
        self._check_look(visit.grant, visit.ask, look)
        found = self._judged(self._not_revoked(visit.grant.id), visit.ask, look)
        if lost is None:
            return (
                self._ledger.uses("id = ?", insert(db, "uses", **found))[0]
                if isinstance(found, dict)
                else found
            )
        if not isinstance(found, dict):
            raise busy("another request may already have done the same")
        before = {**lost.before, "spans": [*lost.before["spans"], *found["before"]["spans"]]}
        again = {"state": "sent", "attempts": lost.attempts + 1}
        again |= {name: found[name] for name in ("ended", "usd")}
        update(db, "uses", lost.id, **again, before=before)
        return self._ledger.uses("id = ?", lost.id)[0]

    def _judged(self, grant: Grant, ask: Ask, look: Look) -> Reply | Use | dict[str, Any]:
        """
        Return the earlier answer of a request, an equal request with an unknown outcome, or the row for the ledger.

        Raises:
            RequestRefusedError: The grant does not allow it.
        """
        effect, policy, now = EFFECTS[ask.endpoint], self._policy(grant), self._ledger.now()
        # The uses that count against a permit, and those whose answers may be repeated.
        counts = "state <> 'void' and (permit is not null or state <> 'done' or ended > ?)"
        of_grant = f"grant_id = ? and endpoint = ? and {counts}"
        uses = self._ledger.uses(of_grant, grant.id, ask.endpoint, now - _LASTING)
        twins = [use for use in uses if same([use.ids, use.body], [ask.ids, ask.body])]
        if any(use.state == "sent" or use.id in self._active for use in twins):
            raise busy("the same request is still in progress")
        # After a day, a budget may send the request again. A change may not, because a use of its permit counts
        # permanently.
        lost = (use for use in twins if use.state == "unknown")
        doubt = next((use for use in lost if policy is None or now - use.ended <= DAY), None)
        if doubt is not None:
            return doubt
        holdings, is_alive = self._holdings(grant), now <= grant.until
        counted = self._counted(grant, ask, uses)
        permit, is_gone = None, False
        for one in self._ledger.permits(grant.id) if is_alive else ():
            try:
                is_left = self._is_left(one, counted, grant)
                if is_left and fits(one, ask, holdings, look) and self._is_judged(one, grant, look):
                    permit = one
                    break
            except GoneError:
                is_gone = True
        if permit is not None or self._is_own(grant, ask, holdings, policy, look):
            return self._row(grant, ask, permit, look)
        why = "" if policy is None else self._why_not_free(grant, policy, ask, holdings, look)
        is_free = is_alive and policy is not None and not why
        # A request that is still permitted is sent again. Otherwise, a repetition gets the earlier answer for a limited
        # time. A later repetition must not get it, because the answer would report a second effect.
        is_lasting = effect.makes or ENDPOINTS[ask.endpoint].method == "DELETE"
        since = now - (_LASTING if is_lasting else _BRIEF)
        done = [use for use in twins if use.state == "done" and use.answer is not None and use.ended > since]
        if done and not (is_free and not effect.makes):
            headers = {"content-type": "application/json"}
            return Reply(done[-1].status or 200, str(done[-1].answer).encode(), headers, "replay")
        if is_free:
            return self._row(grant, ask, None, look)
        if not is_alive:
            raise refused(
                "this grant has ended, so it may only read, and delete the objects that it created",
                "submit the change again, or ask for a new grant",
            )
        if policy is not None:
            if not _sees(self._seen(grant), ask, look):
                # An access request would reveal when the container was created.
                raise refused(_NOT_OWN)
            raise ApprovalNeededError(why, self._as_permit(ask, look))
        if is_gone:
            raise RequestRefusedError(
                404, "Not found: the object is no longer in the container that the approved change names"
            )
        words = f"{ENDPOINTS[ask.endpoint].method} {path_of(ask.endpoint, ask.ids)} {json.dumps(ask.body)}"
        raise refused(f"this request was not approved: {words}")

    def _not_revoked(self, grant_id: str) -> Grant:
        grant = self._ledger.grant(grant_id)
        if grant is None or grant.revoked is not None:
            raise RequestRefusedError(401, "Invalid API key")
        return grant

    def _counted(self, grant: Grant, ask: Ask, uses: Sequence[Use]) -> list[Use]:
        """
        Return the uses that count against a permit. A request without an answer may have been carried out, so only the
        same request may use its permit again.
        """
        counted, unanswered = [*uses], f"grant_id = ? and endpoint = ? and state = 'void' and {LOST}"
        for use in self._ledger.uses(unanswered, grant.id, ask.endpoint):
            others: list[Ask | Use] = [ask, *counted]
            if not any(same([use.ids, use.body], [one.ids, one.body]) for one in others):
                counted.append(use)
        return counted

    def _is_left(self, permit: Permit, uses: Sequence[Use], grant: Grant) -> bool:
        mine = [use for use in uses if use.permit == permit.n]
        if permit.times is not None:
            undone = sum(use.state == "undone" for use in mine)
            if len(mine) - undone >= permit.times or undone > UNDONE:
                return False
        done = (
            f"grant_id = ? and state = 'done' and permit is not null and not {LOST} "
            f"and (endpoint <> '{_CREATE}' or object is not null)"
        )
        return not permit.after or {use.permit for use in self._ledger.uses(done, grant.id)} >= {
            *permit.after
        }

    def _check_addresses(self, ask: Ask, look: Look) -> None:
        """Refuse a request that closes access if the list of addresses still lacks an added address."""
        recent = "ids = ? and ended > ?"
        added = self._ledger.made("AllowedIp", recent, text_of(ask.ids), self._ledger.now() - LISTED)
        if not {one.object for one in added} <= {row.id for row in look.rows("AllowedIp", ask.containers[0])}:
            raise busy("the platform does not list a newly added address yet")

    def _is_judged(self, permit: Permit, grant: Grant, look: Look) -> bool:
        """
        Return whether the change was judged with the present owner of each container that `in_` names. A planner can
        guess the id of a later backup, and by then the container's id may belong to another stack's container.
        """
        rows = [look.existing(one.in_) for one in permit.ids.values() if one.in_ is not None]
        owners = {grant.stack, *grant.spec.owners}
        return all(
            row is None or (self._ledger.owner(row.id, row.created_at) or "") in owners for row in rows
        )

    def _row(self, grant: Grant, ask: Ask, permit: Permit | None, look: Look) -> dict[str, Any]:
        """Check every limit, and return the row for the ledger of a request that is about to be sent."""
        effect, now, began = EFFECTS[ask.endpoint], self._ledger.now(), self._upstream.now()
        self._check_free(grant, ask, look)
        if permit is not None and permit.only_address is not None:
            self._check_addresses(ask, look)
        if self._is_newer(grant, permit, ask):
            raise RequestRefusedError(
                404, "Not found: the object that exists now was created later, by another grant"
            )
        price = self._price(grant, ask, permit, look) if ask.endpoint == _CREATE else None
        # Kinds that may exist twice need no earlier list: their objects have creation times and unique ids.
        is_listed = effect.doubt == "unknown" and effect.makes not in TWICE
        parent = next(map(look.container, ask.containers[:1]), None)
        before = {
            "ids": [_identity(row) for row in self._rows(ask, look)] if is_listed else [],
            "parent_made": None if parent is None else parent.created_at,
            "is_new": self._is_new_pin(grant, ask, permit, look),
            "spans": [(began, began + _UNDER_WAY)],
        }
        row: dict[str, Any] = {"grant_id": grant.id, "stack": grant.stack, "policy": grant.policy}
        row |= {"endpoint": ask.endpoint, "ids": ask.ids, "body": ask.body, "before": before}
        row |= {"state": "sent", "at": now, "ended": now, "usd": None if price is None else str(price)}
        return row if permit is None else row | {"permit": permit.n, "binds": permit.binds}

    def _is_new_pin(self, grant: Grant, ask: Ask, permit: Permit | None, look: Look) -> bool:
        """Return whether a request certainly creates a new pin."""
        if permit is not None or ask.endpoint != "backups.pin":
            return permit is not None and any(one.new_backup_of for one in permit.ids.values())
        row = own_backup(ask, self._holdings(grant), look)
        return row is not None and row.pinned is False

    def _is_newer(self, grant: Grant, permit: Permit | None, ask: Ask) -> bool:
        """
        Return whether another grant has created the object of a removal or secret read, or its pin, since the request
        was granted.
        """
        makes = dict.fromkeys(("vpn_clients.remove", "vpn_clients.config"), "vpn_clients.add")
        makes |= dict.fromkeys(("backups.unpin", "backups.delete"), "backups.pin")
        makes |= {"allowed_ips.remove": "allowed_ips.add"}
        endpoint, since = makes.get(ask.endpoint), grant.at
        if endpoint is None:
            return False
        if grant.kind == "budget":
            # For a budget, which is valid for a long time, the time of the access request counts.
            why = "" if permit is None else permit.why
            asked = self._ledger.rows("select at from requests where id = ?", why)
            since = asked[0]["at"] if asked else 0.0
        ids = {**ask.ids}
        name = ids.pop("client_name", ask.query.get("client"))
        body = {} if name is None else {"name": name}
        # The id of an added entry is in `object`, because the path of the request does not contain it.
        others = "endpoint = ? and ended > ? and grant_id <> ? and (object = ? or ids = ? and body = ?)"
        values = ids.get("ip_id"), text_of(ids), text_of(body)
        found = self._ledger.live(others, endpoint, since, grant.id, *values)
        its = (grant.policy, grant.stack)
        return any(not one.policy or (one.policy, one.stack) != its for one in found)

    def _check_free(self, grant: Grant, ask: Ask, look: Look) -> None:
        """
        Refuse a request if another grant may be changing its container or backup at this moment.

        The platform may still carry out a request that received no answer, even after its repeat was carried out. A
        grant also waits for its own deletions. It also waits before it removes an object that a repeat created:
        otherwise, the first request could create the object again. Even within a grant, a create waits for requests
        about the container that had the name before, and they wait for the create: they could change or delete the new
        container.
        """

        def has_name(id_: str, name: str) -> bool:
            row = next((row for row in look.containers if row.id == id_), None)
            return may_be_of(id_, name) if row is None or row.name is None else same_name(row.name, name)

        # The wall clock may be set forward, so the monotonic clock must also show that the seconds have passed.
        self._ends = [one for one in self._ends if self._upstream.elapsed(one[0]) < _UNSETTLED]
        since = min([self._ledger.now() - _UNSETTLED, *(ended for _, ended in self._ends)])
        effect = EFFECTS[ask.endpoint]
        other = f"(grant_id <> ? or ? <> (endpoint = '{_CREATE}'))"
        holds = (
            f"state = 'sent' and ({other} or endpoint = 'containers.delete') "
            f"or state <> 'sent' and ended >= ? and {other} "
            f"and ({LOST} or attempts > 1 and (grant_id <> ? or endpoint <> '{_CREATE}'))"
        )
        which = grant.id, ask.endpoint == _CREATE
        found = self._ledger.uses(holds, *which, since, *which, grant.id)
        repeated = "ended >= ? and attempts > 1 and object = ?"
        if any(meet(ask, use, has_name) for use in found) or (
            effect.removes and self._ledger.uses(repeated, since, ask.ids[effect.object])
        ):
            raise busy("another request may be changing the same container or backup")

    def _check_look(self, grant: Grant, ask: Ask, look: Look) -> None:
        """
        Read the lists again if another grant's change of the same objects, or the deletion of any container, has ended
        since they were read.
        """
        if look.settled is None:
            return
        since = self._ledger.uses("settled > ?", look.settled)
        if any(
            EFFECTS[use.endpoint].removes == "Container" or (use.grant_id != grant.id and meet(ask, use))
            for use in since
        ):
            raise NotLookedError(look.renew)

    # Money

    def _price(self, grant: Grant, ask: Ask, permit: Permit | None, look: Look) -> Decimal | None:
        """Check every limit on a create, and return what the create adds to the monthly price."""
        look.containers.require_complete()
        added = _added(ask, look)
        found = bills(self._ledger, look.containers, look.prices)
        for limit in self._limits(grant, permit, found):
            why = why_over(limit, added)
            if why:
                raise limited(why, limit.most, limit.before or Decimal(0) if limit.is_told else None)
        return added

    def _limits(self, grant: Grant, permit: Permit | None, found: Sequence[Bill]) -> Iterator[Limit]:
        policy = self._policy(grant)
        if grant.spec.ceiling is not None:
            before = spent(self._ledger.creates("grant_id = ?", grant.id))
            yield Limit("the ceiling of the approval", dollars(grant.spec.ceiling), before)
        if policy is not None and permit is not None and permit.usd is not None:
            yield Limit("the approved price", dollars(permit.usd), Decimal(0))
        yield from limits_of_policy(grant.policy, policy, found)
        yield from limits_of(
            grant.stack, grant.spec.known, found, self._settings(), self._budgets(), policy=policy
        )

    # Budget grants

    def _policy(self, grant: Grant) -> Policy | None:
        return policy_of(grant, self._settings())

    def _why_not_free(self, grant: Grant, policy: Policy, ask: Ask, holdings: Holdings, look: Look) -> str:
        """Return why a request of a budget grant needs an approval; empty if the policy allows it."""
        left = left_today(self._ledger, grant, policy)
        why = _why_not_in(policy, ask.endpoint, ask.body, _added(ask, look), left)
        if why or ask.endpoint == _CREATE or is_about_own(ask, holdings, look):
            return why
        return _NOT_OWN

    def beyond(self, grant: Grant, change: Change, due: float) -> list[str]:
        """Return the reasons why a budget does not cover a full change; empty if it covers the change."""
        policy, look, holdings = (
            self._policy(grant) or Policy(),
            Look(self._upstream, due),
            self._holdings(grant),
        )
        if self._ledger.now() > grant.until:
            return ["this grant has ended"]
        if grant.stack != change.stack:
            return [f"this grant is for the stack {grant.stack}"]

        def is_owned(name: str, one: Constraint) -> bool:
            """
            Return whether each possible object of a path variable belongs to the grant or is created by the change.
            """
            known = [change.known[symbol].id for symbol in one.of if symbol in change.known]
            asked = [Ask("", {name: id_}, {}, {}) for id_ in filter(None, (*known, one.is_))]
            # A new backup belongs to the container in its own permit.
            return {*one.of} <= {*made, *change.known} and all(
                is_made(name, ask, holdings.own, look) for ask in asked
            )

        found = [f"the change reads a secret: {in_words(one)}" for one in change.secrets]
        made = {one.binds for one in change.permits if EFFECTS[one.endpoint].makes}
        left, added = left_today(self._ledger, grant, policy), Decimal(0)
        for permit in change.permits:
            price = _added(permit, look)
            if permit.is_loose:
                why = "one of its values is not known yet"
            else:
                price = None if price is None else price * (permit.times or 1)
                why = _why_not_in(policy, permit.endpoint, permit.body, price, left - added)
            added += price or 0
            if not why and not all(is_owned(name, one) for name, one in permit.ids.items()):
                why = _NOT_OWN
            if why:
                found.append(f"{in_words(permit)}: {why}")
        if added:
            look.containers.require_complete()
            listed = bills(self._ledger, look.containers, look.prices)
            limits = limits_of_policy(grant.policy, policy, listed)
            found += filter(None, (why_over(limit, added) for limit in limits))
        return found

    def _as_permit(self, ask: Ask, look: Look) -> Permit:
        """Return a permit for exactly this request, which an approver may sign."""
        rows = {name: look.container(value) for name, value in ask.ids.items() if name in CONTAINERS}
        made = {name: row.created_at for name, row in rows.items() if row is not None}
        ids = {name: Constraint(is_=value, created_at=made.get(name)) for name, value in ask.ids.items()}
        price = _added(ask, look)
        usd = None if price is None else f"{price:.2f}"
        return Permit(n=1, endpoint=ask.endpoint, ids=ids, body=dict(ask.body), usd=usd)

    # The objects of a grant

    def may_still(self, grant: Grant, hint: str) -> None:
        """Refuse a grant that ended so long ago that none of its requests can be in progress."""
        now = self._ledger.now()
        if now > grant.until + GRACE:
            settled = "select max(ended) from uses where grant_id = ? and state <> 'void'"
            last = self._ledger.rows(settled, grant.id)[0][0]
            if now > (last or 0.0) + GRACE:
                raise refused("this grant has ended", hint)

    def _holdings(self, grant: Grant) -> Holdings:
        """
        Return the objects that a grant knows, and those that it has created. A budget grant owns the objects that its
        policy created for its stack.
        """
        if grant.kind == "budget":
            # Without a creation time, the broker cannot tell whether the id still means the same container.
            of_policy = (
                "policy = ? and policy <> '' and stack = ? and (endpoint <> ? or created_at is not null)"
            )
            own = self._ledger.objects(of_policy, grant.policy, grant.stack, _CREATE)
        else:
            own = self._ledger.objects("grant_id = ?", grant.id)
        bound = self._ledger.live("grant_id = ? and binds is not null", grant.id)
        return Holdings(grant.spec.known, bound, own)

    def _is_own(self, grant: Grant, ask: Ask, holdings: Holdings, policy: Policy | None, look: Look) -> bool:
        """
        Return whether a request removes an object that the grant created: for a change, since the change was last
        submitted; for a budget, recently.
        """
        effect = EFFECTS[ask.endpoint]
        if effect.removes in {"", "Backup"} or (policy is not None and "undo" not in policy.free):
            return False
        now = self._ledger.now()
        submitted = grant.until - grant.spec.ttl
        since = submitted if policy is None else now - policy.undo.total_seconds()
        # An object that was found long after its lost request is as old as the platform says.
        there = self._upstream.now() - (now - since)
        recent = [
            one
            for one in holdings.own
            if one.ended >= since and not is_older(one.created_at, there) and not _may_be_of_person(one)
        ]
        return is_made(effect.object, ask, recent, look)

    def _rows(self, one: Ask | Use, look: Look) -> Sequence[Any]:
        """Return the rows of the list in which a created object would appear."""
        if one.endpoint == _CREATE:
            # An answer to a create contains only the container's id, and the id may also end with another container's
            # name.
            name = str(one.body.get("name"))
            named = look.containers.where(lambda row: same_name(row.name, name) or may_be_of(row.id, name))
            # A list that lags behind may still show the container that had the name before.
            return named.where(lambda row: not self._upstream.is_gone(row))
        return look.rows(
            EFFECTS[one.endpoint].makes, next(one.ids[name] for name in PARENTS if name in one.ids)
        )

    # Sending, and the outcome

    def _carried_out(self, visit: Visit, use: Use) -> Reply:
        """Send a reserved request. While the request's outcome is unknown, look for its effect, then send it again."""
        try:
            while True:
                if use.state == "unknown":
                    reply = self._found(visit, use)
                    if reply is None:
                        self._upstream.sleep(self._pause(visit, use))
                        reply = self._found(visit, use)
                    if reply is not None:
                        return reply
                    again = self._again(visit, use)
                    if isinstance(again, Reply):
                        return again
                    use = again
                reply, use = self._attempt(visit, use)
                if reply is not None:
                    return reply
        except LedgerError as error:
            # The client must not treat the request as refused.
            text = f"the request may have been carried out, and {error.message}"
            raise RequestRefusedError(502, text) from None
        finally:
            self._active.discard(use.id)

    def _again(self, visit: Visit, use: Use) -> Reply | Use:
        """Reserve a lost request again, or refuse to send it if the current facts no longer allow it."""
        try:
            return self._admitted(visit, use)
        except ApprovalNeededError as error:
            why = error.why
        except RequestRefusedError as error:
            if error.status not in {402, 403, 404}:
                raise
            why = error.text
        # The platform may still carry out the request, so the client must not treat it as refused.
        raise busy(f"the outcome of this request is unknown, and it is not sent again: {why}")

    def _pause(self, visit: Visit, use: Use) -> float:
        """
        Return how many seconds pass before a request is sent again.

        Raises:
            RequestRefusedError: The request is not sent again now, and its outcome is still unknown.
        """
        effect, now = EFFECTS[use.endpoint], self._ledger.now()
        # If a repetition was refused, the broker only looks for the effect: the first request may have used up the name
        # or the cap.
        is_refused = _is_refusal(use.status) and use.status not in {_NOT_SENT, _TOO_MANY}
        if effect.again and not is_refused and now <= visit.grant.until and use.attempts <= len(PAUSES):
            pause = max(PAUSES[use.attempts - 1], BETWEEN if effect.makes in TWICE else 0.0)
            is_due = True
            if use.status == _NO_CAPACITY and effect.makes == "Container":
                # A create on the waitlist may happen later. It is sent again once, if the client asks for it later.
                pause, is_due = 0.0, use.attempts == 1 and now - use.ended >= _WAITLIST
            if is_due and not self._upstream.is_late(visit.due - pause):
                return pause
        if now - use.at > (DAY if effect.again else _WAITLIST):
            raise refused(
                "the outcome of this request is unknown, and it is not sent again",
                "check what exists, then plan again",
            )
        raise busy("the outcome of an earlier request is not known yet")

    def _attempt(self, visit: Visit, use: Use) -> tuple[Reply | None, Use]:
        """Send a request once. If the result contains no reply, the caller looks for the effect of the request."""
        effect, again = EFFECTS[use.endpoint], use.attempts > 1
        *spans, (began, _) = use.before["spans"]

        def check(waited: float) -> None:
            self._not_revoked(visit.grant.id)
            if waited > FRESH:
                raise WaitedError

        try:
            got = self._upstream.change(use.endpoint, use.ids, use.body, visit.due, check)
        except (RequestRefusedError, WaitedError):
            # The request did not get its turn in the rate limit, or got it too late.
            before = {**use.before, "spans": spans}
            known = (
                {"state": "unknown", "status": use.status, "attempts": use.attempts - 1, "before": before}
                if again
                else {"state": "void", "status": _NOT_SENT}
            )
            self._record(visit, use, "not sent", **known)
            raise
        status = got.status if isinstance(got, Answer) else 0 if got.sent else _NOT_SENT
        reply = self._upstream.reply(got, "forwarded")
        if status == _OVER_CAP and self._seen(visit.grant) is not None:
            # The platform's answer contains the spending of the whole account.
            reply = RequestRefusedError(402, "the key's spending cap is reached", kind="grant-limit").reply()
        is_gone = not again and status == _NOT_FOUND and self._was_lost(use)
        made = made_by(effect.makes, use.ids, use.body, got)
        if is_gone or (200 <= status < 300 and (made is not None or not effect.makes)):
            use = self._done(visit, use, None if is_gone else made, reply)
            # Without an object in `use`, the object has already been assigned to another request.
            if again and use.object is not None:
                self._remove_twins(visit, use)
            return reply, use
        is_waiting = status == _NO_CAPACITY and effect.makes == "Container"
        state: str = effect.doubt
        if _is_refusal(status):
            state = "unknown" if again else "void"
        else:
            # A create on the waitlist may happen much later.
            spans.append((began, began + DAY if is_waiting else self._upstream.now()))
        use = self._record(
            visit, use, state, state=state, status=status, before={**use.before, "spans": spans}
        )
        return (None if state == "unknown" and (again or not is_waiting) else reply), use

    def _record(self, visit: Visit | None, use: Use, decision: str, **values: Any) -> Use:
        """Record the outcome of a request once, with a line in the journal."""
        now, effect = self._ledger.now(), EFFECTS[use.endpoint]
        with self._ledger.writing() as db:
            # What was found out about an earlier attempt does not apply to a later attempt.
            is_open = "id = ? and attempts = ? and state in ('sent', 'unknown')"
            if not self._ledger.uses(is_open, use.id, use.attempts):
                return use
            update(db, "uses", use.id, ended=now, settled=self._ledger.settled() + 1, **values)
            self._ends.append((self._upstream.patient(), now))
            if effect.removes and values["state"] == "done":
                self._undo(db, effect.removes, use.ids[effect.object], use)
            is_closed = use.endpoint == "containers.external_access" and use.body.get("enabled") is False
            if is_closed and values["state"] == "done":
                # The platform has cleared the list of addresses.
                for one in self._ledger.made("AllowedIp", "ids = ?", text_of(use.ids)):
                    _record_gone(db, one, use)
            if effect.makes != "Pin" and values.get("object"):
                # The platform has reused the id, so the earlier object is gone.
                self._undo(db, effect.makes, values["object"], use)
            grant = self._ledger.grant(use.grant_id)
            request = (
                ENDPOINTS[use.endpoint].method,
                path_of(use.endpoint, use.ids),
                json.dumps(dict(use.body)),
            )
            seconds, status = 0.0 if visit is None else self._upstream.elapsed(visit.due), values["status"]
            journal.write(self._ledger, db, grant, request, decision=decision, status=status, seconds=seconds)
            return self._ledger.uses("id = ?", use.id)[0]

    def _done(self, visit: Visit, use: Use, made: tuple[str, str | None] | None, reply: Reply) -> Use:
        """Record that a request was carried out, and what it created."""
        # The row of a list contains no secret.
        is_kept = (use.endpoint not in _NOT_KEPT or reply.decision == "found") and reply.status < 400
        object_, created_at = made if made is not None and self._is_new(use, *made) else (None, None)
        answer = reply.body.decode("utf-8", "replace") if is_kept else None
        values = {"state": "done", "status": reply.status, "answer": answer}
        return self._record(visit, use, reply.decision, **values, object=object_, created_at=created_at)

    def _is_new(self, use: Use, id_: str, made: str | None) -> bool:
        """Return whether a request created the object in its answer: a platform may answer with an existing object."""
        if use.makes == "Pin":
            # Another client may have pinned a backup that already existed.
            return bool(use.before["is_new"])
        if not id_:
            return True
        if use.makes == "Container":
            listed = (one.rpartition("@") for one in use.before["ids"])
            was_listed = any(id_ == old and compare_instants(made, at) is not False for old, _, at in listed)
        else:
            was_listed = id_ in use.before["ids"]

        return not was_listed and not self._is_of_another(use, id_, made)

    def _is_of_another(self, use: Use, id_: str, made: str | None) -> bool:
        """
        Return whether another request may have created an object. The list from before `use` lacked the object, so
        older requests did not create it.
        """

        def is_same(one: Use) -> bool:
            found = compare_instants(one.created_at, made)
            # This value is used if a creation time is missing. Kinds outside `TWICE` were listed before the request.
            is_late = use.makes in TWICE or one.ended > use.at - RECENT
            return one.id != use.id and (is_late if found is None else found)

        return any(map(is_same, self._made_in(use.makes, id_, use.ids)))

    def _made_in(self, kind: Kind, id_: str, ids: Mapping[str, str]) -> list[Use]:
        """Return the requests that created the object with this id in the containers of a path."""
        where = {value for name, value in ids.items() if name in CONTAINERS}
        made = self._ledger.made(kind, "object = ?", id_)
        return [one for one in made if one.parent is None or not where or one.parent in where]

    def _undo(self, db: sqlite3.Connection, kind: Kind, id_: str, by: Use) -> None:
        """Record that an object and its parts no longer exist. The price of the create still counts."""
        gone = self._made_in(kind, id_, by.ids)
        if kind == "Container":
            gone += self._ledger.objects("exists(select 1 from json_each(ids) where value = ?)", id_)
        for one in gone:
            if one.id != by.id:
                _record_gone(db, one, by)

    def _was_lost(self, use: Use) -> bool:
        """
        Whether an earlier deletion of the same object received no answer. A 404 then means that this deletion was
        carried out.
        """
        lost = f"grant_id = ? and endpoint = ? and ids = ? and state = 'void' and {LOST}"
        is_removal = ENDPOINTS[use.endpoint].method == "DELETE"
        return is_removal and bool(self._ledger.uses(lost, use.grant_id, use.endpoint, text_of(use.ids)))

    # Looking for the effect of a lost request

    def _leave(self) -> None:
        """
        Record the outcome of requests whose answer can no longer arrive: the broker was killed, or the disk was full.
        """
        for use in self._ledger.uses("state = 'sent'"):
            if use.id not in self._active:
                doubt = EFFECTS[use.endpoint].doubt
                self._record(None, use, f"left: {doubt}", state=doubt, status=use.status or 0)

    def _find_lost(self, visit: Visit) -> None:
        """Look for the objects of the grant's lost requests: the client may have found one and may now use it."""
        with self._admits:
            self._leave()
        lost = "grant_id = ? and state = 'unknown' and ended > ?"
        for use in self._ledger.uses(lost, visit.grant.id, self._ledger.now() - DAY):
            if use.id not in self._active:
                self._found(visit, use)

    def _found(self, visit: Visit, use: Use) -> Reply | None:
        """Return an answer with the object that a lost request certainly created, if a list shows it."""
        look = Look(self._upstream, visit.due, newest=True)
        row = next((row for row in self._rows(use, look) if self._is_ours(use, row, look)), None)
        if row is None:
            return None
        data = {name: value for name, value in msgspec.to_builtins(row).items() if value is not None}
        data |= {"type": data["template"]} if "template" in data else {}
        # The answer is masked, because a list may show a password.
        text = json.dumps({"success": True, "data": data})
        got = Answer(202, {"content-type": "application/json"}, text.encode())
        reply = self._upstream.reply(got, "found")
        self._done(visit, use, (_id(row), made_at(row)), reply)
        return reply

    def _is_ours(self, use: Use, row: Any, look: Look, **tolerance: float) -> bool:
        """Return whether a lost request, and no other request, certainly created a listed object."""
        if not self._may_have_made(use, row, look, **tolerance):
            return False
        if self._is_of_another(use, _id(row), made_at(row)):
            return False
        # Two requests of one stack and policy are no rivals: the first that looks gets the object.
        its = "state = 'sent' or (state = 'unknown' and (stack <> ? or policy <> ?))"
        open_ = f"endpoint = ? and grant_id <> ? and ({its})"
        rivals = self._ledger.uses(open_, use.endpoint, use.grant_id, use.stack, use.policy)
        return not any(
            one.parent == use.parent and self._may_have_made(one, row, look) is not False for one in rivals
        )

    def _may_have_made(self, use: Use, row: Any, look: Look, **tolerance: float) -> bool | None:
        """
        Return whether a listed object was absent before a request, matches it, and was created during its attempts.

        `None` if the creation time is unknown.
        """
        if _identity(row) in use.before["ids"] or not look.is_asked(use.makes, use.ids, use.body, row):
            return False
        is_in_time = is_within(made_at(row), use.before["spans"], **tolerance)
        # The platform may list no creation time for a VPN client. Its name is unique, but a person may later add a
        # client of this name.
        since = self._upstream.now() - use.before["spans"][-1][1]
        is_recent = use.makes == "VpnClient" and since < LISTED
        return True if is_in_time is None and is_recent else is_in_time

    def _remove_twins(self, visit: Visit, use: Use) -> None:
        """Remove the duplicates that earlier attempts certainly created, for kinds that may exist twice."""
        if use.makes not in TWICE:
            return
        look = Look(self._upstream, visit.due, newest=True)
        name = next(name for name, effect in EFFECTS.items() if effect.removes == use.makes)
        for row in self._rows(use, look):
            # Another client may have created an object within the usual tolerance, so the time has to match the request
            # to the second.
            if _id(row) != use.object and self._is_ours(use, row, look, before=1.0, after=1.0):
                ids = {**use.ids, EFFECTS[name].object: _id(row)}
                got = self._upstream.change(name, ids, {}, self._upstream.patient())
                request, status = ("DELETE", path_of(name, ids), ""), getattr(got, "status", 0)
                with self._ledger.writing() as db:
                    journal.write(self._ledger, db, visit.grant, request, decision="twin", status=status)


def _record_gone(db: sqlite3.Connection, one: Use, by: Use) -> None:
    """
    Record that a created object no longer exists. Its permit may be used again only if the permit's grant removed the
    object. A removal by another grant, in the dashboard, or by a budget's approved request means that the object should
    not exist.
    """
    is_own = one.grant_id == by.grant_id and not (by.policy and by.permit)
    is_removed = EFFECTS[by.endpoint].makes == "" and (one.permit is None or is_own)
    update(db, "uses", one.id, state="undone" if is_removed else "gone", answer=None)


def _may_be_of_person(one: Use) -> bool:
    """
    Return whether a person may have created the container of a request that was on the waitlist: the container is so
    much newer than each attempt that either the waitlist or a person in the dashboard created it.
    """
    spans = one.before["spans"]
    short = [(began, min(ended, began + _UNDER_WAY)) for began, ended in spans]
    was_waiting = any(ended - began >= DAY for began, ended in spans)
    return was_waiting and is_within(one.created_at, short) is False


def _sees(seen: Sequence[Use] | None, ask: Ask, look: Look) -> bool:
    """Return whether all containers in the path of a request are among those that a grant sees."""
    return seen is None or all(is_made(name, ask, seen, look) for name in ask.ids if name in CONTAINERS)


def _listed(seen: Sequence[Use], look: Look) -> list[str]:
    """Return the ids of the listed containers that a grant sees. An id that now means another container is left out."""
    ids = {row.id for row in look.containers}
    return [one.object or "" for one in seen if one.object in ids and is_container(one.container, look)]


def _added(one: Ask | Permit, look: Look) -> Decimal | None:
    """Return what a create adds to the monthly price; `None` if that is unknown or the request is not a create."""
    return price_of(one.body, look.prices) if one.endpoint == _CREATE else None


def _why_not_in(
    policy: Policy, endpoint: str, body: Mapping[str, Any], price: Decimal | None, left: Decimal
) -> str:
    """
    Return why a policy requires an approval for a request, whatever its object is; empty if no approval is required.

    `price` is what a create adds to the monthly price, and `left` is the amount that may still be added today.
    """
    if endpoint != _CREATE:
        action = _ACTIONS.get((endpoint, body.get("status")))
        if action is None:
            return f"{endpoint} always needs an approval"
        return "" if action in policy.free else f"the policy does not allow {action}"
    plan = body.get("plan", catalog.DEFAULT_PLAN)
    if price is None or "discount_code" in body:
        return "the price of the container is not known"
    if policy.templates is not None and body["template"] not in policy.templates:
        return f"the template {body['template']} is not in the policy"
    if policy.plans is not None and body["template"] != catalog.VPN_TEMPLATE and plan not in policy.plans:
        return f"the plan {plan} is not in the policy"
    if price > left:
        most, left = as_dollars(policy.increase_per_day), max(left, Decimal(0))
        return (
            f"the container adds {as_dollars(price)} a month, and only {as_dollars(left)} of {most} is left for "
            "today"
        )
    return ""


def _is_refusal(status: int | None) -> bool:
    """Return whether a status means that the request was not carried out."""
    return status == _NOT_SENT or (status is not None and 400 <= status < 500 and status != _TIMED_OUT)


def _identity(row: Any) -> str:
    return identity(row) if isinstance(row, Container) else _id(row)


def _id(row: Any) -> str:
    return str(getattr(row, "id", None) or row.name)
