"""
What happens to one request: is it refused, answered from the ledger, or sent once?

    judged -> reserved (`sent`, on the disk) -> its outcome is recorded

A request is judged by its grant, the platform's lists and the ledger. The transaction that admits it also reserves it.
The kernel keeps no other state. A request with an unknown outcome keeps its reservation until a list shows the outcome.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from stacks_pulumi.api._call import Answer
from stacks_pulumi.api.once import BETWEEN, PAUSES
from stacks_pulumi.broker.change import CREATE, EFFECTS, SECRETS
from stacks_pulumi.broker.judge import ApprovalNeededError, Judge
from stacks_pulumi.broker.ledger import DAY, Grant, Ledger, LedgerError, Use, insert, update
from stacks_pulumi.broker.limits import Budget
from stacks_pulumi.broker.outcome import Outcomes
from stacks_pulumi.broker.permits import TWICE, Ask, is_expected
from stacks_pulumi.broker.reply import Reply, RequestRefusedError, busy, refused
from stacks_pulumi.broker.settings import GateFile
from stacks_pulumi.broker.upstream import (
    FRESH,
    RECENT,
    Look,
    NotLookedError,
    Upstream,
    WaitedError,
    made_by,
)

_WAITLIST: Final = 60.0
"""Seconds after a 503 before the broker may send a repeated create to the platform again."""
_SETTLED: Final = 60.0
"""
Seconds after which a list shows whether a request was carried out, so that a request that is not repeated is refused.
"""
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
        self._ledger, self._upstream = ledger, upstream
        self.outcomes = Outcomes(ledger, upstream)
        self.judge = Judge(ledger, upstream, self.outcomes, settings, budgets)

    def read(self, visit: Visit) -> Reply:
        """Answer a read of the inventory, or of a secret that the grant includes."""
        grant, ask = visit.grant, visit.ask
        self.judge.check_end(grant, "ask for a new grant")
        if ask.endpoint in SECRETS:
            # The client may have found the object of a lost request, and does not repeat the request.
            self.outcomes.find_lost(grant.id, visit.due)
        secret, seen = SECRETS.get(ask.endpoint), self.judge.seen(grant)
        is_limited = self.judge.check_read(grant, ask, seen, Look(self._upstream, visit.due))
        got = self._upstream.read(ask.endpoint, ask.ids, ask.query, visit.due)
        own: list[str] | None = None
        if is_limited:
            # While the read waited, the id may have been given to another container, so the request is judged again.
            # For a secret, the list has to be newer than the answer. For a list of containers, it has to be newer than
            # the grant's own creates.
            is_list, most = ask.endpoint in _OF_CONTAINERS, FRESH if secret is None else 0.0
            look = Look(self._upstream, visit.due, newest=is_list, most=most)
            self.judge.check_read(grant, ask, seen, look)
            own = _listed(seen, look) if is_list and seen is not None else None
        self.judge.current(grant.id)
        return self._upstream.reply(got, "read", secret=secret is not None, only=own)

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
        self.judge.check_end(grant, "submit the change again, or ask for a new grant")
        self.outcomes.find_lost(grant.id, visit.due)
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
        look = Look(self._upstream, visit.due, most=RECENT if visit.ask.endpoint == CREATE else FRESH)
        while True:
            try:
                with self._ledger.writing() as db:
                    if self._upstream.is_late(visit.due):
                        raise busy("the account could not be read in time, so nothing was sent")
                    look.close()
                    found = self._reserved(db, visit, look, lost)
                    if isinstance(found, Use):
                        self.outcomes.active.add(found.id)
                    return found
            except NotLookedError as missing:
                # A transaction sends no requests. The missing data is read first, then the request is judged again.
                missing.ask()

    def _reserved(self, db: sqlite3.Connection, visit: Visit, look: Look, lost: Use | None) -> Reply | Use:
        if lost is not None:
            if not self._ledger.uses("id = ? and state = 'unknown'", lost.id):
                raise busy("another request has already found the result of this one")
            self.judge.check_removed(lost)
            # The request is judged as if the lost request did not exist.
            update(db, "uses", lost.id, state="void")
        self.judge.check_look(visit.grant, visit.ask, look)
        found = self.judge.judged(self.judge.current(visit.grant.id), visit.ask, look)
        if not isinstance(found, dict):
            if lost is None:
                return found
            raise busy("another request may already have done the same")
        if lost is None:
            id_ = insert(db, "uses", **found)
        else:
            id_, spans = lost.id, [*lost.before["spans"], *found["before"]["spans"]]
            again = {"state": "sent", "attempts": lost.attempts + 1, "ended": found["ended"]}
            update(db, "uses", id_, **again, usd=found["usd"], before={**lost.before, "spans": spans})
        return self._ledger.uses("id = ?", id_)[0]

    def _carried_out(self, visit: Visit, use: Use) -> Reply:
        """Send a reserved request. While the request's outcome is unknown, look for its effect, then send it again."""
        try:
            while True:
                if use.state == "unknown":
                    reply = self.outcomes.found(use, visit.due)
                    if reply is None:
                        self._upstream.sleep(self._pause(visit, use))
                        reply = self.outcomes.found(use, visit.due)
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
            self.outcomes.active.discard(use.id)

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
        may_repeat = effect.again and not is_refused
        if may_repeat and now <= visit.grant.until and use.attempts <= len(PAUSES):
            pause = max(PAUSES[use.attempts - 1], BETWEEN if effect.makes in TWICE else 0.0)
            is_due = True
            if _is_on_waitlist(use, use.status):
                # The create may happen later. It is sent again once, if the client asks for it later.
                pause, is_due = 0.0, use.attempts == 1 and now - use.ended >= _WAITLIST
            if is_due and not self._upstream.is_late(visit.due - pause):
                return pause
        if now - use.at > (DAY if may_repeat else _SETTLED):
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
            self.judge.current(visit.grant.id)
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
            self.outcomes.record(use, "not sent", visit.due, **known)
            raise
        status = got.status if isinstance(got, Answer) else 0 if got.sent else _NOT_SENT
        reply = self._upstream.reply(got, "forwarded")
        if status == _OVER_CAP and self.judge.seen(visit.grant) is not None:
            # The platform's answer contains the spending of the whole account.
            reply = RequestRefusedError(402, "the key's spending cap is reached", kind="grant-limit").reply()
        is_waiting, was_waiting = _is_on_waitlist(use, status), _is_on_waitlist(use, use.status)
        if not _is_refusal(status):
            # A create on the waitlist may happen much later.
            spans.append((began, began + DAY if is_waiting else self._upstream.now()))
        before = {**use.before, "spans": spans}
        is_gone = status == _NOT_FOUND and self.outcomes.was_lost(use)
        made = made_by(effect.makes, use.ids, use.body, got)
        if is_gone or (200 <= status < 300 and (made is not None or not effect.makes)):
            use = self.outcomes.done(use, made, reply, visit.due, before=before)
            # Without an object in `use`, the object has already been assigned to another request.
            if again and use.object is not None:
                self.outcomes.remove_twins(use, visit.due)
            return reply, use
        state: str = effect.doubt
        if _is_refusal(status):
            state = "unknown" if again else "void"
        use = self.outcomes.record(use, state, visit.due, state=state, status=status, before=before)
        # After the waitlist, a refusal such as "name taken" is about a container that may be a person's.
        is_final = state != "unknown" or (was_waiting if again else is_waiting)
        return (reply if is_final else None), use


def _listed(seen: Sequence[Use], look: Look) -> list[str]:
    """Return the ids of the listed containers that a grant sees. An id that now means another container is left out."""
    ids = {row.id for row in look.containers}
    return [one.object or "" for one in seen if one.object in ids and is_expected(one.container, look)]


def _is_on_waitlist(use: Use, status: int | None) -> bool:
    return status == _NO_CAPACITY and use.endpoint == CREATE


def _is_refusal(status: int | None) -> bool:
    """Return whether a status means that the request was not carried out."""
    return status == _NOT_SENT or (status is not None and 400 <= status < 500 and status != _TIMED_OUT)
