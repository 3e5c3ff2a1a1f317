"""
What becomes of one request: is it refused, answered again, or sent once, and what did it do?

    judged -> reserved (`sent`, on the disk) -> done | void | unknown;  done -> undone

A request is judged by its grant, the platform's lists and the ledger, and reserved in the transaction that admits it.
Nothing else is remembered. An unknown outcome keeps its reservation until the account proves it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, NamedTuple

import msgspec

from stacks_pulumi import catalog
from stacks_pulumi._identifiers import canonical_network, same_name, seconds_of
from stacks_pulumi.api._call import Answer
from stacks_pulumi.api.models import Container, Listing
from stacks_pulumi.api.once import BETWEEN, PAUSES, TOLERANCE
from stacks_pulumi.broker.change import EFFECTS, SECRETS, Constraint, Permit, dollars
from stacks_pulumi.broker.ledger import (
    DAY,
    Grant,
    Ledger,
    LedgerError,
    Line,
    Use,
    insert,
    text_of,
    update,
)
from stacks_pulumi.broker.limits import Bill, bills, check, left_today, of_stack, price_of, spent, total
from stacks_pulumi.broker.permits import Ask, Holdings, fits, fits_secret, is_container, same
from stacks_pulumi.broker.reply import Reply, RequestRefusedError, busy, json_reply, limited, refused
from stacks_pulumi.broker.settings import GateFile, Policy
from stacks_pulumi.broker.upstream import Look, Lost, Upstream, path_of
from stacks_pulumi.endpoints import ENDPOINTS
from stacks_pulumi.pricing.money import MonthlyPrice
from stacks_pulumi.pricing.money import usd as as_dollars

UNDONE: Final = 5
"""How often what was made and removed again may be made once more."""
GRACE: Final = 900.0
"""Seconds after the end of a grant, or after its last change, in which it may remove what it has made."""
_LASTING: Final = 600.0
"""Seconds in which the answer to a create or a deletion is given again."""
_BRIEF: Final = 120.0
"""The same for other changes."""
_WAITLIST: Final = 60.0
"""Seconds after a 503, before a create is sent again if the client asks for it."""
_UNDER_WAY: Final = 30.0
"""Seconds in which the platform carries out a request, if the broker is killed before it has an answer."""
_NOT_SENT: Final = 1
"""What the ledger has as the status of a request that did not reach the platform; 0 if that is not known."""
_NOT_FOUND: Final = 404
_TIMED_OUT: Final = 408
_TOO_MANY: Final = 429
_NO_CAPACITY: Final = 503
_REQUESTS: Final = 200
"""The most open access requests of one grant."""
_PARENTS: Final = frozenset({"container_id", "source_id", "vpn_container_id"})
_REMOVES: Final[Mapping[str, tuple[str, str]]] = {
    "AllowedIp": ("allowed_ips.remove", "ip_id"),
    "Connection": ("connections.delete", "connection_id"),
}
"""What may exist twice, and how one of it is removed. All else is there once: by its name, or by what it is of."""
_NOT_KEPT: Final = frozenset({"vpn_clients.add", "containers.regenerate_certificate"})
"""Whose answers may have a secret."""
_ACTIONS: Final[Mapping[tuple[str, Any], str]] = {
    ("containers.set_status", "running"): "start",
    ("containers.set_status", "restart"): "restart",
    ("connections.create", None): "connect-own",
    ("backups.trigger", None): "backup",
    ("backups.pin", None): "pin-own",
}
"""Endpoint and status -> what a policy calls it."""


class Seen(NamedTuple):
    """
    What the platform and the ledger show about a request, before it is judged.

    Attributes:
        fitting: The permits that it fits.
        is_own: Whether it removes what the grant has made.
        is_of_own: Whether a policy may allow it, and all that it is about is the grant's own.
        before: What has to be known to find its result, if its answer is lost.
        containers: Of a create: the containers that are listed.
        monthly: Of a create: says prices.
    """

    fitting: Sequence[Permit]
    is_own: bool
    is_of_own: bool
    before: Mapping[str, Any]
    containers: Listing[Container] | None
    monthly: MonthlyPrice | None

    def price(self, ask: Ask) -> Decimal | None:
        """Return what a create adds to the monthly price; `None` if it is not known."""
        return None if self.monthly is None else price_of(ask.body, self.monthly)


@dataclass(frozen=True)
class Budget:
    """A limit on the total of some stacks (`budgets.yaml`)."""

    name: str
    max_total: Decimal
    chooses: Callable[[str], bool]


@dataclass(frozen=True)
class Visit:
    """
    One request of a client.

    Attributes:
        grant: Its grant.
        ask: What it asks for.
        address: The address of the broker, as the client has it.
        due: When its answer is due.
    """

    grant: Grant
    ask: Ask
    address: str
    due: float

    def line(self, use: Use, decision: str, status: int, seconds: float) -> Line:
        """Return the line of the journal for a use."""
        return Line(
            grant_id=self.grant.id,
            holder=self.grant.holder,
            method=ENDPOINTS[use.endpoint].method,
            path=path_of(use.endpoint, use.ids),
            body=json.dumps(dict(use.body)),
            decision=decision,
            status=status,
            ms=round(seconds * 1000, 1),
        )


class Kernel:
    """
    Carries out the requests of grants.

    Args:
        ledger: The ledger.
        upstream: The platform.
        settings: Returns the settings as they are now.
        budgets: Returns the budgets over several stacks as they are now.
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
        with ledger.writing() as db:
            self._left(db, ledger.uses("state = 'sent'"))

    def _left(self, db: sqlite3.Connection, uses: Sequence[Use]) -> None:
        """Record that nobody waits for the answers to some requests any more: the broker was killed, or a disk full."""
        for use in uses:
            left = {
                "state": EFFECTS[use.endpoint].doubt,
                "status": use.status or 0,
                "ended": self._ledger.now(),
            }
            update(db, "uses", use.id, **left)

    # Reads

    def read(self, visit: Visit) -> Reply:
        """Answer a read: of the inventory, or of a secret that the grant names."""
        grant, ask = visit.grant, visit.ask
        self._may_still(grant, is_change=False)
        secret = SECRETS.get(ask.endpoint)
        if secret is not None and secret not in grant.spec.secrets:
            look, holdings = Look(self._upstream, visit.due), self._holdings(grant)
            if not any(fits_secret(line, ask, holdings, look) for line in grant.spec.reads):
                raise refused(f"this grant does not read {secret}", "ask for a grant that does")
        policy = self._policy(grant)
        own = self._own_ids(grant) if policy is not None and policy.only == "own" else None
        look = Look(self._upstream, visit.due)
        if own is not None and not all(self._owns(grant, id_, look) for id_ in ask.containers):
            raise RequestRefusedError(404, "Container not found")
        got = self._upstream.read(ask.endpoint, ask.ids, ask.query, visit.due)
        return self._upstream.reply(got, visit.address, "read", secret=secret is not None, only=own)

    # Changes

    def change(self, visit: Visit) -> Reply:
        """Carry out a change, or refuse it."""
        grant, ask = visit.grant, visit.ask
        effect = EFFECTS[ask.endpoint]
        if grant.kind == "read":
            raise refused("this grant only reads", "ask for a grant that may change something")
        if ask.query or ask.body.keys() - {*effect.fields}:
            raise refused(f"{ask.endpoint} has no such field or query", "leave it out")
        self._may_still(grant, is_change=True)
        self._find_lost(visit)
        found = self._judged(visit)
        if isinstance(found, Reply):
            return found
        use, is_new = found
        return self._carried_out(visit, use, is_new=is_new)

    def _judged(self, visit: Visit) -> Reply | tuple[Use, bool]:
        """Return a reservation, with whether it is new, or the answer of an earlier request."""
        while True:
            look = Look(self._upstream, visit.due, is_create=visit.ask.endpoint == "containers.create")
            seen = self._seen(visit.grant, visit.ask, look)
            asked = self._as_permit(visit.ask, look, seen) if visit.grant.kind == "budget" else None
            found: Reply | tuple[Use, bool] | RequestRefusedError | str = ""
            try:
                with self._ledger.writing() as db:
                    if self._upstream.is_late(visit.due):
                        raise busy("it took too long to look, so nothing was sent")
                    if look.is_old:
                        continue
                    found = self._admitted(db, visit, seen)
                    if isinstance(found, str):
                        # The request is kept, so the transaction has to end without an error.
                        found = self._asked_for(db, visit.grant, asked, found)
                    elif not isinstance(found, Reply):
                        self._active.add(found[0].id)
            except LedgerError:
                if isinstance(found, tuple):
                    self._active.discard(found[0].id)
                raise
            if isinstance(found, RequestRefusedError):
                raise found
            return found

    def _seen(self, grant: Grant, ask: Ask, look: Look) -> Seen:
        """Look at what a request is about, as far as that matters to this grant."""
        holdings, is_create = self._holdings(grant), ask.endpoint == "containers.create"
        fitting = [one for one in self._ledger.permits(grant.id) if fits(one, ask, holdings, look)]
        is_own = self._is_own(grant, ask, look)
        is_of_own = grant.kind == "budget" and self._is_of_own(grant, ask, look)
        containers = look.containers if is_create else None
        if containers is not None:
            containers.require_complete()
        before = self._before(ask, look) if fitting or is_own or is_of_own or is_create else {}
        return Seen(fitting, is_own, is_of_own, before, containers, look.prices() if is_create else None)

    def _admitted(self, db: sqlite3.Connection, visit: Visit, seen: Seen) -> Reply | tuple[Use, bool] | str:
        """Inside one transaction: reserve a request, find its earlier answer, or say why it needs a person."""
        ask, now = visit.ask, self._ledger.now()
        grant = self._not_revoked(visit.grant.id)
        effect, is_alive, policy = EFFECTS[ask.endpoint], now <= grant.until, self._policy(grant)
        of_grant = "grant_id = ? and endpoint = ? and state <> 'void'", grant.id, ask.endpoint
        self._left(
            db,
            [
                one
                for one in self._ledger.uses(*of_grant)
                if one.state == "sent" and one.id not in self._active
            ],
        )
        uses = self._ledger.uses(*of_grant)
        twins = [use for use in uses if same([use.ids, use.body], [ask.ids, ask.body])]
        if any(use.id in self._active for use in twins):
            raise busy("this request is under way")
        doubt = next((use for use in twins if use.state == "unknown"), None)
        if doubt is not None:
            return doubt, False
        permit = next((one for one in seen.fitting if is_alive and self._is_left(one, uses, grant)), None)
        why = "" if policy is None else self._why_not_free(grant, policy, ask, seen)
        is_free = is_alive and policy is not None and not why
        if permit is not None or seen.is_own or (is_free and not effect.makes):
            return self._reserved(db, grant, ask, seen, permit), True
        # A repetition says what happened; only for a time, because later it would say that it happened again.
        is_lasting = effect.makes or ENDPOINTS[ask.endpoint].method == "DELETE"
        since = now - (_LASTING if is_lasting else _BRIEF)
        done = [use for use in twins if use.state == "done" and use.answer is not None and use.ended > since]
        if done:
            headers = {"content-type": "application/json", "x-broker": "replay"}
            return Reply(done[-1].status or 200, str(done[-1].answer).encode(), headers, "replay")
        if is_free:
            return self._reserved(db, grant, ask, seen, None), True
        if not is_alive:
            raise refused(
                "this grant has ended, so it only reads and removes its own", "hand in the change again"
            )
        if policy is not None:
            return why
        raise refused(
            f"this change was not approved: {ENDPOINTS[ask.endpoint].method} {path_of(ask.endpoint, ask.ids)} "
            f"{json.dumps(ask.body)}"
        )

    def _not_revoked(self, grant_id: str) -> Grant:
        grant = self._ledger.grant(grant_id)
        if grant is None or grant.revoked is not None:
            raise RequestRefusedError(401, "Invalid API key")
        return grant

    def _is_left(self, permit: Permit, uses: Sequence[Use], grant: Grant) -> bool:
        mine = [use for use in uses if use.permit == permit.n]
        if permit.times is not None:
            undone = sum(use.state == "undone" for use in mine)
            if len(mine) - undone >= permit.times or undone > UNDONE:
                return False
        done = {use.permit for use in self._ledger.uses("grant_id = ? and state = 'done'", grant.id)}
        return done.issuperset(permit.after)

    def _reserved(
        self, db: sqlite3.Connection, grant: Grant, ask: Ask, seen: Seen, permit: Permit | None
    ) -> Use:
        """Write that a request is about to be sent, after a check of every limit on its price."""
        is_new = permit is None or any(one.new_backup_of for one in permit.ids.values())
        began = self._upstream.now()
        price = self._price(grant, ask, permit, seen)
        number = insert(
            db,
            "uses",
            grant_id=grant.id,
            stack=grant.stack,
            policy=grant.policy,
            permit=None if permit is None else permit.n,
            endpoint=ask.endpoint,
            ids=ask.ids,
            body=ask.body,
            state="sent",
            at=self._ledger.now(),
            ended=self._ledger.now(),
            attempts=1,
            before={**seen.before, "is_new": is_new, "spans": [(began, began + _UNDER_WAY)]},
            binds=None if permit is None else permit.binds,
            usd=None if price is None else str(price),
            makes=EFFECTS[ask.endpoint].makes,
            parent=next((value for name, value in ask.ids.items() if name in _PARENTS), None),
        )
        return self._ledger.uses("id = ?", number)[0]

    # Money

    def _price(self, grant: Grant, ask: Ask, permit: Permit | None, seen: Seen) -> Decimal | None:
        """Return what a create adds, after a check of every limit that holds it; `None` for all other requests."""
        if seen.containers is None or seen.monthly is None:
            return None
        added = seen.price(ask)
        found = bills(self._ledger, seen.containers, seen.monthly)
        for name, most, before in self._limits(grant, permit, found):
            if added is None:
                raise limited("the price of this container is not known, and there is a limit", 0, 0)
            check(name, most, before, added)
        return added

    def _limits(
        self, grant: Grant, permit: Permit | None, found: Sequence[Bill]
    ) -> Iterator[tuple[str, Decimal, Decimal]]:
        """Yield the limits on a create: name, the most, and what it is without it."""
        settings, policy = self._settings(), self._policy(grant)
        if grant.spec.ceiling is not None:
            before = spent(self._ledger.creates("grant_id = ?", grant.id))
            yield "the ceiling of the approval", dollars(grant.spec.ceiling), before
        if policy is not None and permit is not None and permit.usd is not None:
            yield "the approved price", dollars(permit.usd), Decimal(0)
        if settings.account is not None and settings.account.max_total is not None:
            yield "account.max_total", settings.account.max_total, total(found)
        if policy is not None and policy.max_total is not None:
            of_policy = (one for one in found if one.policy == grant.policy)
            yield "the policy's max_total", policy.max_total, total(of_policy)
        if grant.stack and settings.limits.max_total is not None:
            of_it = of_stack(found, grant.stack, grant.spec.known)
            yield "limits.max_total", settings.limits.max_total, total(of_it)
        for budget in self._budgets():
            if budget.chooses(grant.stack):
                chosen = [one for one in found if budget.chooses(one.stack)]
                yield f"the budget {budget.name}", budget.max_total, total(chosen)

    # Budget grants

    def _policy(self, grant: Grant) -> Policy | None:
        if grant.kind != "budget":
            return None
        # A policy that is gone allows nothing.
        return self._settings().policies.get(grant.policy, Policy())

    def _why_not_free(self, grant: Grant, policy: Policy, ask: Ask, seen: Seen) -> str:
        """Return why a request of a budget grant needs an approval; empty if it is within the policy."""
        body = ask.body
        if seen.containers is None:
            action = _ACTIONS.get((ask.endpoint, body.get("status")))
            if action is None:
                return f"{ask.endpoint} always needs an approval"
            if action not in policy.free:
                return f"the policy does not allow {action}"
            return "" if seen.is_of_own else "the container is not of this grant"
        price, plan = seen.price(ask), body.get("plan", catalog.DEFAULT_PLAN)
        if price is None or "discount_code" in body:
            return "its price is not known"
        if policy.templates is not None and body["template"] not in policy.templates:
            return f"the template {body['template']} is not in the policy"
        if policy.plans is not None and plan not in policy.plans and body["template"] != catalog.VPN_TEMPLATE:
            return f"the plan {plan} is not in the policy"
        left = left_today(self._ledger, grant, policy)
        if price > left:
            most, left = as_dollars(policy.increase_per_day), max(left, Decimal(0))
            return f"it adds {as_dollars(price)} a month, and {as_dollars(left)} of {most} a day is left"
        return ""

    def _as_permit(self, ask: Ask, look: Look, seen: Seen) -> Permit:
        """Return exactly this request, as the permit that an approver may sign."""
        rows = {name: look.container(value) for name, value in ask.ids.items() if value in ask.containers}
        ids = {
            name: Constraint(is_=value, created_at=row.created_at if (row := rows.get(name)) else None)
            for name, value in ask.ids.items()
        }
        price = seen.price(ask)
        usd = None if price is None else f"{price:.2f}"
        return Permit(n=1, endpoint=ask.endpoint, ids=ids, body=dict(ask.body), usd=usd)

    def _asked_for(
        self, db: sqlite3.Connection, grant: Grant, permit: Permit | None, why: str
    ) -> RequestRefusedError:
        """Record what a budget grant asked for and may not do yet; the same request is recorded once."""
        text = msgspec.json.encode(permit).decode()
        same_request = (
            "select id, state from requests where grant_id = ? and permit = ? order by at desc, id limit 1"
        )
        found = self._ledger.rows(same_request, grant.id, text)
        id_, state = found[0] if found else ("", "")
        if state == "denied":
            return refused(f"the access request {id_} was denied", "do something else")
        if state != "open":
            number = "select count(*) from requests where grant_id = ? and state = 'open'"
            if self._ledger.rows(number, grant.id)[0][0] >= _REQUESTS:
                return refused("this grant has too many open access requests", "wait until they are answered")
            id_ = f"r-{self._ledger.random()}"
            insert(
                db,
                "requests",
                id=id_,
                grant_id=grant.id,
                permit=text,
                why=why,
                at=self._ledger.now(),
                state="open",
                approvals=[],
            )
        return RequestRefusedError(
            403,
            f"this needs an approval: {why}",
            f"a person approves the access request {id_} (`stacks-pulumi gate approve {id_}`), then try again",
            kind="approval-needed",
            request=id_,
        )

    # What a grant has

    def _may_still(self, grant: Grant, *, is_change: bool) -> None:
        """Refuse a grant that has ended for so long that nothing of it can be under way."""
        now = self._ledger.now()
        if now <= grant.until:
            return
        last = self._ledger.rows("select max(ended) from uses where grant_id = ?", grant.id)[0][0]
        if now > max(grant.until, last or 0.0) + GRACE:
            what = "hand in the change again" if is_change else "ask for another grant"
            raise refused("this grant has ended", what)

    def _holdings(self, grant: Grant) -> Holdings:
        return Holdings(grant.spec.known, self._ledger.live("grant_id = ?", grant.id))

    def _mine(self, grant: Grant, kind: str) -> list[Use]:
        """Return the objects of a kind that are a grant's own: for a budget, those of its policy and stack."""
        if grant.kind == "budget":
            of_policy = "makes = ? and policy = ? and policy <> '' and stack = ?"
            return self._ledger.objects(of_policy, kind, grant.policy, grant.stack)
        return self._ledger.objects("makes = ? and grant_id = ?", kind, grant.id)

    def _own_ids(self, grant: Grant) -> frozenset[str]:
        return frozenset(one.object or "" for one in self._mine(grant, "Container"))

    def _owns(self, grant: Grant, container: str, look: Look) -> bool:
        """Return whether a container is a grant's own: by its id and its creation time."""
        return any(
            one.object == container and one.created_at is not None and is_container(one.container, look)
            for one in self._mine(grant, "Container")
        )

    def _is_own(self, grant: Grant, ask: Ask, look: Look) -> bool:
        """Return whether a request removes what the grant has made."""
        effect, policy = EFFECTS[ask.endpoint], self._policy(grant)
        if effect.removes in {"", "Backup"} or (policy is not None and "undo" not in policy.free):
            return False
        since = 0.0 if policy is None else self._ledger.now() - policy.undo.total_seconds()
        return any(
            is_container(one.container, look)
            if effect.removes == "Container"
            else {*ask.containers} <= {one.parent}
            and (not ask.containers or is_container(one.parent_container, look))
            for one in self._mine(grant, effect.removes)
            if one.object == ask.ids[effect.object] and one.ended >= since
        )

    def _is_of_own(self, grant: Grant, ask: Ask, look: Look) -> bool:
        """Return whether a policy may allow a request, and every container that it is about is the grant's own."""
        if (ask.endpoint, ask.body.get("status")) not in _ACTIONS:
            return False
        if ask.endpoint != "backups.pin":
            return bool(ask.containers) and all(self._owns(grant, id_, look) for id_ in ask.containers)
        mine = [id_ for id_ in self._own_ids(grant) if self._owns(grant, id_, look)]
        return any(str(row.id) == ask.ids["backup_id"] for id_ in mine for row in look.rows("Backup", id_))

    # Sending, and what became of it

    def _before(self, ask: Ask, look: Look) -> dict[str, Any]:
        """Return what has to be known to find the result of a request whose answer is lost."""
        effect = EFFECTS[ask.endpoint]
        # What may exist twice has its time, and ids that are given once.
        is_listed = effect.doubt == "unknown" and effect.makes not in _REMOVES
        made = [row.created_at for row in map(look.container, ask.containers[:1]) if row is not None]
        return {
            "ids": [_identity(row) for row in self._rows(ask, look)] if is_listed else [],
            "parent_made": made[0] if made else None,
        }

    def _rows(self, one: Ask | Use, look: Look) -> Sequence[Any]:
        """Return the rows among which what a request makes is listed."""
        if one.endpoint == "containers.create":
            return look.containers.where(lambda row: same_name(row.name, str(one.body.get("name"))))
        container = next(value for name, value in one.ids.items() if name in _PARENTS)
        return look.rows(EFFECTS[one.endpoint].makes, container)

    def _carried_out(self, visit: Visit, use: Use, *, is_new: bool) -> Reply:
        """Send a reserved request, and look for what it did and repeat it while its outcome is unknown."""
        try:
            reply = None
            if is_new:
                reply, use = self._attempt(visit, use, again=False)
            while reply is None:
                reply = self._found(visit, use)
                if reply is None:
                    self._upstream.sleep(self._pause(visit, use, is_new=is_new))
                    reply = self._found(visit, use)
                if reply is None:
                    reply, use = self._attempt(visit, use, again=True)
            return reply
        finally:
            self._active.discard(use.id)

    def _pause(self, visit: Visit, use: Use, *, is_new: bool) -> float:
        """
        Return the seconds before a request is sent again.

        Raises:
            RequestRefusedError: It is not sent again now, and its outcome is still unknown.
        """
        effect, now = EFFECTS[use.endpoint], self._ledger.now()
        # After a refusal of a repeat it is only looked for: the first request may have used up the name or the cap.
        is_refused = _is_refusal(use.status) and use.status not in {_NOT_SENT, _TOO_MANY}
        if effect.again and not is_refused and now <= visit.grant.until and use.attempts <= len(PAUSES):
            pause = max(PAUSES[use.attempts - 1], BETWEEN if effect.makes in _REMOVES else 0.0)
            is_due = True
            if use.status == _NO_CAPACITY and effect.makes == "Container":
                # From the waitlist it may be made later: it is sent again once, if a client asks for it later.
                pause, is_due = 0.0, not is_new and use.attempts == 1 and now - use.ended >= _WAITLIST
            if is_due and not self._upstream.is_late(visit.due - pause):
                return pause
        if now - use.at > (DAY if effect.again else _WAITLIST):
            raise refused(
                "the outcome of this request is unknown, and it is not sent again",
                "look at what exists, then plan anew",
            )
        raise busy("the outcome of an earlier request is not known yet")

    def _attempt(self, visit: Visit, use: Use, *, again: bool) -> tuple[Reply | None, Use]:
        """Send a request once. Return the answer if its outcome is known or is not looked for."""
        effect = EFFECTS[use.endpoint]
        use = self._opened(use) if again else use
        began = use.before["spans"][-1][0]
        got = self._upstream.change(use.endpoint, use.ids, use.body, visit.due)
        status = (0 if got.sent else _NOT_SENT) if isinstance(got, Lost) else got.status
        reply = self._upstream.reply(got, visit.address, "forwarded")
        made = _made(use, got)
        is_gone = not again and status == _NOT_FOUND and self._was_lost(use)
        if is_gone or (200 <= status < 300 and (made is not None or not effect.makes)):
            self._done(visit, use, None if is_gone else made, reply)
            if again:
                self._remove_twins(visit, use, made)
            return reply, use
        is_waiting = status == _NO_CAPACITY and effect.makes == "Container"
        if _is_refusal(status):
            state, ended = "unknown" if again else "void", None
        else:
            # From the waitlist it may be made much later.
            state, ended = effect.doubt, began + DAY if is_waiting else self._upstream.now()
        use = self._settled(visit, use, state, status, ended)
        is_answered = state != "unknown" or (is_waiting and not again)
        return (reply if is_answered else None), use

    def _opened(self, use: Use) -> Use:
        """Write that a request is about to be sent again."""
        began = self._upstream.now()
        spans = [*use.before["spans"], (began, began + _UNDER_WAY)]
        with self._ledger.writing() as db:
            self._not_revoked(use.grant_id)
            before = {**use.before, "spans": spans}
            update(db, "uses", use.id, state="sent", attempts=use.attempts + 1, before=before)
            return self._ledger.uses("id = ?", use.id)[0]

    def _was_lost(self, use: Use) -> bool:
        """Whether an earlier deletion of the same object had no answer: then a 404 says that it was carried out."""
        return ENDPOINTS[use.endpoint].method == "DELETE" and bool(
            self._ledger.uses(
                "grant_id = ? and endpoint = ? and ids = ? and state = 'void' and (status = 0 or status >= 500)",
                *(use.grant_id, use.endpoint, text_of(use.ids)),
            )
        )

    def _settled(self, visit: Visit, use: Use, state: str, status: int, ended: float | None) -> Use:
        """Record what became of an attempt, and until when it may have been carried out; `None` if it was not."""
        *spans, (began, _) = use.before["spans"]
        spans += [] if ended is None else [(began, ended)]
        before = {**use.before, "spans": spans}
        with self._ledger.writing() as db:
            update(db, "uses", use.id, state=state, status=status, ended=self._ledger.now(), before=before)
            self._ledger.write(db, visit.line(use, state, status, self._upstream.elapsed(visit.due)))
            return self._ledger.uses("id = ?", use.id)[0]

    def _done(self, visit: Visit, use: Use, made: _Made | None, reply: Reply) -> None:
        """Record that a request was carried out, what it made, and what it removed; once."""
        effect, now = EFFECTS[use.endpoint], self._ledger.now()
        is_kept = use.endpoint not in _NOT_KEPT and reply.status < 400
        with self._ledger.writing() as db:
            if not self._ledger.uses("id = ? and state in ('sent', 'unknown')", use.id):
                return
            update(
                db,
                "uses",
                use.id,
                state="done",
                status=reply.status,
                answer=reply.body.decode("utf-8", "replace") if is_kept else None,
                # Who pinned a backup that was there before may have pinned it for somebody else, too.
                object=made.id if made and (effect.makes != "Pin" or use.before["is_new"]) else None,
                created_at=made.created_at if made else None,
                ended=now,
            )
            if effect.removes:
                self._undone(db, effect.removes, use.ids[effect.object])
            line = visit.line(use, reply.decision, reply.status, self._upstream.elapsed(visit.due))
            self._ledger.write(db, line)

    def _undone(self, db: sqlite3.Connection, kind: str, id_: str) -> None:
        """Record that an object is gone, with what belonged to it. What made it is undone; its price stays spent."""
        is_it = "(makes = ? and object = ?) or (? = 'Container' and parent = ?)"
        for one in self._ledger.objects(is_it, kind, id_, kind, id_):
            update(db, "uses", one.id, state="undone", answer=None)

    # Looking for what a lost request did

    def _find_lost(self, visit: Visit) -> None:
        """Look for what the grant's lost requests have made: its client may have found it, and go on with it."""
        lost = self._ledger.uses(
            "grant_id = ? and state in ('sent', 'unknown') and ended > ?",
            visit.grant.id,
            self._ledger.now() - DAY,
        )
        for use in lost:
            if use.id not in self._active and EFFECTS[use.endpoint].doubt == "unknown":
                self._found(visit, use)

    def _found(self, visit: Visit, use: Use) -> Reply | None:
        """Return an answer with what a lost request has made, if it is listed and is certainly that."""
        look = Look(self._upstream, visit.due, newest=True)
        rows = self._rows(use, look)
        row = next((row for row in rows if _is_ours(use, row, look)), None)
        if row is None:
            return None
        data = {name: value for name, value in msgspec.to_builtins(row).items() if value is not None}
        data |= {"type": data["template"]} if "template" in data else {}
        reply = json_reply(202, {"success": True, "data": data}, {"x-broker": "found"}, "found")
        self._done(visit, use, _Made(str(_id(row)), _time(row)), reply)
        return reply

    def _remove_twins(self, visit: Visit, use: Use, made: _Made | None) -> None:
        """Remove what an earlier attempt has made beside: only what is certainly of this request, and exists twice."""
        effect = EFFECTS[use.endpoint]
        if made is None or effect.makes not in _REMOVES:
            return
        look, (name, variable) = Look(self._upstream, visit.due, newest=True), _REMOVES[effect.makes]
        for row in self._rows(use, look):
            # Another client's may be as old as the tolerance: what is removed was made while the requests ran.
            if str(row.id) != made.id and _is_ours(use, row, look, 0.0):
                self._upstream.change(name, {**use.ids, variable: str(row.id)}, {}, visit.due)


@dataclass(frozen=True)
class _Made:
    """What a request has made: its id, and when the platform says that it was made."""

    id: str
    created_at: str | None


def _made(use: Use, got: Answer | Lost) -> _Made | None:
    """Return what an answer says was made; `None` if it says no id where one is needed."""
    makes = EFFECTS[use.endpoint].makes
    if isinstance(got, Lost) or not makes:
        return None
    if makes == "Pin":
        return _Made(use.ids["backup_id"], None)
    if makes == "VpnClient":
        return _Made(str(use.body.get("name")), None)
    try:
        body = json.loads(got.body)
    except (ValueError, RecursionError):
        return None
    data = body.get("data", body) if isinstance(body, dict) else None
    id_ = data.get("id") if isinstance(data, dict) else None
    if not isinstance(data, dict) or not isinstance(id_, str) or not id_:
        # The answer to a backup has no id: it is found in the list, when it is asked for.
        return _Made("", None) if makes == "Backup" else None
    created = data.get("createdAt") or data.get("created_at") or data.get("added_at")
    return _Made(id_, created if isinstance(created, str) else None)


def _is_ours(use: Use, row: Any, look: Look, tolerance: float = TOLERANCE) -> bool:
    """Return whether a listed object is what a lost request has made: absent before, equal, and made meanwhile."""
    makes, body, made = EFFECTS[use.endpoint].makes, use.body, seconds_of(_time(row))
    if _identity(row) in use.before["ids"]:
        return False
    if makes == "VpnClient":
        # It has no time, and its name is its key.
        return bool(row.name == body.get("name"))
    if made is None or not any(
        began - tolerance <= made <= ended + tolerance for began, ended in use.before["spans"]
    ):
        # Made at another time, or at an unknown one: it may be another client's.
        return False
    if makes == "Container":
        plan = body.get("plan", catalog.DEFAULT_PLAN)
        is_vpn = body.get("template") == catalog.VPN_TEMPLATE
        size = catalog.VPN_PLAN if is_vpn else catalog.PLANS.get(str(plan))
        tier = catalog.added_tier(size, row.storage_mb)
        is_size = is_vpn or row.plan in {None, plan}
        is_tier = tier in {None, body.get("additional_storage_tier") or 0}
        return bool(is_size and is_tier and row.is_from(str(body.get("template"))))
    if makes == "Connection":
        target = look.container(use.ids["target_id"])
        is_there = row.target_id == use.ids["target_id"] or (
            target is not None and same_name(row.target_name, target.name or "")
        )
        return bool(is_there and row.name == body.get("connectionName", row.name))
    if makes == "AllowedIp":
        return bool(
            canonical_network(row.ip_address) == canonical_network(str(body.get("ip_address")))
            and row.description == body.get("description", row.description)
            and row.service_type == body.get("service_type", row.service_type)
        )
    return bool(row.backup_type != "scheduled")


def _is_refusal(status: int | None) -> bool:
    """Return whether a status says that the request was not carried out."""
    return status == _NOT_SENT or (status is not None and 400 <= status < 500 and status != _TIMED_OUT)


def _identity(row: Any) -> str:
    """Return what tells a listed object from another one: a container's id may be used again."""
    return f"{row.id}@{row.created_at}" if isinstance(row, Container) else str(_id(row))


def _id(row: Any) -> Any:
    return getattr(row, "id", None) or row.name


def _time(row: Any) -> str | None:
    made: str | None = getattr(row, "added_at", None) or getattr(row, "created_at", None)
    return made
