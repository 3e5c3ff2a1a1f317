"""
How does a client get a grant or an approval, and how does it read its grant?

A signed change or approval needs no token, because its signatures authorize it. A change without an approval needs the
token of a grant that may submit such changes.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import datetime
import json
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import msgspec

from stacks_pulumi._structs import convert, decode
from stacks_pulumi.api.models import Container
from stacks_pulumi.broker.change import (
    Ceiling,
    Change,
    ChangeError,
    Permit,
    canonical,
    digest,
    instant,
    read_change,
)
from stacks_pulumi.broker.ledger import DAY, Grant, Spec, insert
from stacks_pulumi.broker.limits import (
    bills,
    left_today,
    limits_of,
    limits_of_policy,
    listed_price,
    policy_of,
    spent,
    total,
)
from stacks_pulumi.broker.permits import left
from stacks_pulumi.broker.reply import Reply, RequestRefusedError, busy, json_reply, refused
from stacks_pulumi.broker.rules import Facts, Finding, Verdict, judge, missing, not_counted
from stacks_pulumi.broker.settings import Policy
from stacks_pulumi.broker.signatures import SignatureError, signer_of
from stacks_pulumi.broker.signers import signers_of
from stacks_pulumi.broker.upstream import Look, Upstream, path_of
from stacks_pulumi.broker.words import in_words
from stacks_pulumi.endpoints import ENDPOINTS
from stacks_pulumi.pricing.money import count

if TYPE_CHECKING:
    from stacks_pulumi.broker.folder import Folder

_IN_USE: Final = 120.0
"""Seconds after the last use of a change's token during which the change cannot be submitted again."""
_SIGNATURES: Final = 10
_UNSIGNED: Final = "a change without a signature needs a valid token that may apply free changes of its stack"
_WITHOUT: Final = "get it signed, or ask for a grant with --may-apply-free and --stack"
_UNSIGNED_MOST: Final = 200
"""
The maximum number of changes without an approval that the broker stores: free changes of a stack within a day, and open
access requests of a grant. An access request counts as open for at least a day.
"""
_UNSIGNED_LONGEST: Final = 256 * 1024
"""The maximum length of a change that the broker stores before a person has signed it."""
_REQUEST_LASTS: Final = 7 * DAY
_SKEW: Final = 300.0
"""The maximum number of seconds by which the clock of a planner may be ahead."""


class Desk:
    """
    Accepts changes and approvals, and shows grants.

    Args:
        folder: The broker's folder.
        upstream: The platform; `None` to show only grants and requests.
        embedded: Whether it serves one run. Its ledger may be new in each run, so an empty ledger proves nothing.
    """

    def __init__(self, folder: Folder, upstream: Upstream | None = None, *, embedded: bool = False) -> None:
        self._folder, self._ledger, self._given = folder, folder.ledger, upstream
        self._settings, self._budgets = folder.settings, folder.budgets
        self._embedded = embedded
        # One change at a time, so that two free changes cannot use the same amount.
        self._one = threading.Lock()

    @property
    def _upstream(self) -> Upstream:
        if self._given is None:
            raise busy("only the server of the broker can answer this")
        return self._given

    # Changes

    def hand_in(self, statement: str, signatures: Sequence[str], grant: Grant | None, due: float) -> Reply:
        """
        Create the grant for a change. `grant` is the grant to which the request's token belongs; `None` if there is no
        token.

        Raises:
            RequestRefusedError: The change is not approved or not well formed.
        """
        change, signed = self._read(statement, signatures, grant)
        names = sorted({*signed.values()})
        if change.request is not None:
            raise refused("this change is the approval of an access request", "post it to /_broker/approvals")
        if not names and not self._may_apply_free(grant, change.stack):
            raise refused(_UNSIGNED, _WITHOUT)
        with self._one:
            before = self._before(change, statement)
            if before is not None:
                if before.spec.free is not None and not self._may_apply_free(grant, change.stack):
                    raise refused(_UNSIGNED, _WITHOUT)
                return self._again(before, change, names)
            verdict = self.verdict(change, due)
            requester = "" if grant is None else grant.holder
            self._check(change, verdict, names, requester)
            # A signature of a person who may not approve the change does not make it approved or free.
            why = self._not_approved(change, verdict, names, requester)
            if why and not self._may_apply_free(grant, change.stack):
                raise RequestRefusedError(403, why, _WITHOUT, kind="approval-needed")
            if why:
                self._check_number(change.stack)
                _check_length(statement)
            free = str(verdict.at_any_moment) if why else None
            stated = None if change.ceiling is None else f"{change.ceiling.most:f}"
            spec = Spec(
                known=change.known,
                reads=change.secrets,
                # No person has signed a price above the free amount.
                ceiling=free or stated,
                free=free,
                ttl=change.ttl,
            )
            holder = ", ".join(names) or (grant.holder if grant is not None else "")
            id_, token = self._ledger.issue(
                "change",
                holder,
                seconds=change.ttl,
                stack=change.stack,
                spec=spec,
                permits=change.permits,
                nonce=change.nonce,
                statement=statement,
                approvals=names,
            )
        return self._issued(id_, token)

    def _not_approved(
        self, change: Change, verdict: Verdict, names: Sequence[str], requester: str = ""
    ) -> str:
        """Return which approvals a change lacks; a free change is treated as if it needed an approval."""
        is_refused = verdict.result == "refused"
        asked = verdict if is_refused else dataclasses.replace(verdict, result="needs_approval")
        return missing(change, asked, self._settings(), names, requester)

    def _check_number(self, stack: str) -> None:
        """
        Refuse a change without an approval if the broker has stored too many such changes of the stack within a day.
        """
        free = "select count(*) from grants where stack = ? and at > ? and json_extract(spec, '$.free') is not null"
        if self._ledger.rows(free, stack, self._ledger.now() - DAY)[0][0] >= _UNSIGNED_MOST:
            raise refused(
                f"{_UNSIGNED_MOST} changes of {stack} were applied without an approval within 24 hours",
                "get this change signed, or wait",
            )

    def _may_apply_free(self, grant: Grant | None, stack: str) -> bool:
        # Each stack has its own daily amount, and the requester names the stack. So a token is for one stack. Only a
        # user who can write to the folder can create a token for any stack.
        return (
            grant is not None
            and grant.spec.may_apply_free
            and grant.stack in {"", stack}
            and self._ledger.now() <= grant.until
        )

    def _before(self, change: Change, statement: str) -> Grant | None:
        """Return the existing grant of a change; `None` if the change was not submitted before."""
        grant = next(iter(self._ledger.grants("nonce = ?", change.nonce)), None)
        if grant is not None and self._ledger.statement(grant.id) != statement:
            raise refused("another change has already used the nonce of this change", "plan the change again")
        return grant

    def _again(self, grant: Grant, change: Change, names: Sequence[str]) -> Reply:
        """
        Give the existing grant of a change a new token and a new end, so that an interrupted run can use the remaining
        permits.
        """
        if grant.revoked is not None:
            raise refused("the grant of this change was revoked", "plan the change again")
        if grant.spec.free is not None and grant.until <= self._ledger.now() - DAY:
            # The daily amount no longer includes this change.
            raise refused("a free change must be applied within a day", "plan the change again")
        if not {*names}.issuperset(grant.approvals):
            raise refused(
                "the change lacks a signature that it had when it was first submitted",
                "submit it with that signature",
            )
        if 0 <= self._ledger.now() - grant.used < _IN_USE:
            raise busy(f"the grant {grant.id} of this change was used less than {_IN_USE:.0f} s ago")
        with self._ledger.writing() as db:
            token = self._ledger.renew(db, grant.id, self._ledger.now() + change.ttl)
        return self._issued(grant.id, token)

    def _issued(self, id_: str, token: str) -> Reply:
        grant = self._ledger.grant(id_)
        said = {} if grant is None else {"approvals": [*grant.approvals], **self.describe(grant)}
        return json_reply(201, {"success": True, "token": token, **said}, decision=f"granted {id_}")

    def _read(
        self, statement: str, signatures: Sequence[str], grant: Grant | None
    ) -> tuple[Change, dict[str, str]]:
        """Return a change that may be submitted now, and the signer of each of its signatures."""
        data, now = statement.encode(), self._ledger.now()
        at = datetime.datetime.fromtimestamp(now, datetime.timezone.utc)
        if len(signatures) > _SIGNATURES:
            raise RequestRefusedError(400, f"the change has more than {_SIGNATURES} signatures")
        try:
            signed = {one: signer_of(data, one.encode(), self._folder.signers, at) for one in signatures}
        except SignatureError as error:
            raise refused(error.message, "sign it with the key of an approver") from None
        for one in self._ledger.kept(digest(data)):
            # A key that is no longer valid approves nothing.
            with contextlib.suppress(SignatureError):
                signed[one] = signer_of(data, one.encode(), self._folder.signers, at)
        if not signed and grant is None:
            # Reading a change takes seconds and much memory, so the broker does not read changes of unknown clients.
            raise refused(_UNSIGNED, _WITHOUT)
        try:
            change = read_change(data)
        except ChangeError as error:
            raise RequestRefusedError(
                400, f"this is not a change: {error.message}", kind="grant-refused"
            ) from None
        if change.account != self._ledger.account:
            raise refused("the change is for a different broker", "plan it with this broker")
        if now > change.ends:
            raise refused(f"the change expired at {instant(change.ends)}", "plan the change again")
        longest = self._settings().record_expires.total_seconds()
        if change.request is None and change.ends > now + longest + _SKEW:
            raise refused(
                f"the change expires at {instant(change.ends)}, later than `record_expires` in gate.yaml allows",
                "plan it again without --expires, or raise `record_expires`",
            )
        return change, signed

    def _check(self, change: Change, verdict: Verdict, names: Sequence[str], requester: str) -> None:
        settings = self._settings()
        if not settings.serves(change.stack):
            raise refused(f"this broker is not for the stack {change.stack}", "ask its administrator")
        why = missing(change, verdict, settings, names, requester)
        if why:
            code = "grant-refused" if verdict.result == "refused" else "approval-needed"
            raise RequestRefusedError(
                403,
                why,
                "`stacks-pulumi gate show` prints the reasons",
                kind=code,
                more={"verdict": describe(verdict)},
            )

    def verdict(self, change: Change, due: float) -> Verdict:
        """Judge a change by the current data of the platform and the ledger."""
        return self._judge(change, self._facts(change, due))

    def _judge(self, change: Change, facts: Facts) -> Verdict:
        settings = self._settings()
        is_new = self._embedded and self._ledger.is_empty
        verdict = judge(change, msgspec.structs.replace(settings, free=None) if is_new else settings, facts)
        if settings.budgets is None:
            return verdict
        if is_new and verdict.prices and facts.containers.keys() - {one.id for one in change.known.values()}:
            text = (
                "the ledger is empty, so no budget knows the owners of the account's containers: set "
                "them with `stacks-pulumi broker claim`, and keep the ledger"
            )
            finding = Finding("budgets", "refuse", 0, text)
            return dataclasses.replace(verdict, result="refused", findings=(*verdict.findings, finding))
        if verdict.result == "free" and not any(one.chooses(change.stack) for one in self._budgets()):
            finding = Finding(
                "budgets", "approve", 0, f"no budget with a limit covers the stack {change.stack}"
            )
            return dataclasses.replace(verdict, result="needs_approval", findings=(finding,))
        return verdict

    def judged(
        self,
        statement: str,
        signatures: Sequence[str],
        grant: Grant,
        due: float,
        beyond: Callable[[Grant, Change, float], list[str]],
    ) -> Reply:
        """
        Return the verdict on a change, and a description of its containers. All data is from the platform and the
        ledger.

        `beyond` returns the reasons why a budget does not cover a change.

        Raises:
            RequestRefusedError: The change is not well formed, a signature is invalid, or the grant may not see its
                containers.
        """
        change, signed = self._read(statement, signatures, grant)
        if change.request is not None:
            self._asked(change)
        before = self._before(change, statement)
        names = sorted({*signed.values()})
        policy = policy_of(grant, self._settings())
        facts = self._facts(change, due, policy)
        rows = {id_: facts.containers.get(id_) for id_ in sorted(change.literal_ids)}
        if policy is not None and policy.only == "own":
            if change.stack != grant.stack:
                raise refused(f"this grant is for the stack {grant.stack}", "plan a change of that stack")
            makers = (
                None if row is None else self._ledger.creator(row.id, row.created_at) for row in rows.values()
            )
            if any(one is None or one.stack != grant.stack for one in makers):
                raise RequestRefusedError(404, "Container not found")

        def described(row: Container) -> dict[str, Any]:
            price = listed_price(row, facts.monthly).high
            return {
                "name": row.name,
                "template": row.template,
                "plan": row.plan,
                "created_at": row.created_at,
                "owner": facts.owner(row),
                "usd": None if price is None else f"{price:.2f}",
            }

        verdict = self._judge(change, facts)
        return json_reply(
            200,
            {
                "success": True,
                "verdict": describe(verdict),
                "approvals": names,
                "missing": missing(change, verdict, self._settings(), names),
                "not_counted": not_counted(change, verdict, self._settings(), names),
                "handed_in": None if before is None else instant(before.at),
                "beyond": beyond(grant, change, due) if grant.kind == "budget" else None,
                "containers": {id_: None if row is None else described(row) for id_, row in rows.items()},
            },
        )

    def _facts(self, change: Change, due: float, policy: Policy | None = None) -> Facts:
        look, now = Look(self._upstream, due, newest=True), self._ledger.now()
        rows = look.containers
        rows.require_complete()
        monthly = look.prices
        found = bills(self._ledger, rows, monthly)
        settings, budgets = self._settings(), self._budgets()
        limits = limits_of(change.stack, change.known, found, settings, budgets, policy=policy)
        spent = sum(
            (
                Decimal(one.spec.free)
                for one in self._ledger.grants("stack = ? and until > ?", change.stack, now - DAY)
                if one.spec.free is not None
            ),
            Decimal(0),
        )
        return Facts(
            {row.id: row for row in rows},
            lambda row: self._ledger.owner(row.id, row.created_at),
            monthly,
            tuple(limits),
            spent,
            {one.id for one in found if not one.stack} <= {"", *(one.id for one in change.known.values())},
        )

    def end(self, grant: Grant) -> Reply:
        """
        Make the token of a change invalid at once, because its run has ended. The change can be submitted again.

        Raises:
            RequestRefusedError: The grant is not the grant of a change.
        """
        if grant.kind != "change":
            raise refused(
                "a client can end only the grant of a change",
                "ask the broker's administrator to revoke this grant",
            )
        with self._ledger.writing() as db:
            self._ledger.renew(db, grant.id, grant.until)
        return json_reply(200, {"success": True}, decision="ended")

    # Access requests

    def ask(self, grant: Grant, permit: Permit, why: str) -> RequestRefusedError:
        """Record a request that a budget grant may not send without an approval; an equal request is recorded once."""
        text = canonical(msgspec.to_builtins(permit)).decode()
        with self._ledger.writing() as db:
            same = "select * from requests where grant_id = ? and permit = ? order by at desc, id limit 1"
            found = self._ledger.rows(same, grant.id, text)
            id_, state = (found[0]["id"], found[0]["state"]) if found else ("", "")
            if state == "open" and self._is_over(found[0], grant):
                state = "expired"
            if state == "denied":
                return refused(f"the access request {id_} was denied", "remove this step from the program")
            if state != "open":
                until = min(grant.until, self._ledger.now() + _REQUEST_LASTS)
                id_ = self._recorded(db, grant, text, why, until)
        return RequestRefusedError(
            403,
            f"this needs an approval: {why}",
            f"a person approves the access request {id_} (`stacks-pulumi gate approve {id_}`), then try again",
            kind="approval-needed",
            more={"request": id_},
        )

    def ask_for(self, statement: str, grant: Grant) -> Reply:
        """
        Record a change as an access request, so that a person can find it by its id.

        Raises:
            RequestRefusedError: The change is not well formed or belongs to a different stack.
        """
        change, _ = self._read(statement, (), grant)
        if grant.kind == "change" or change.request is not None or grant.stack not in {"", change.stack}:
            raise refused("this grant may not ask for this change", "plan a change of the grant's stack")
        _check_length(statement)
        with self._ledger.writing() as db:
            why = f"a change with {count(len(change.permits), 'permit')}"
            id_ = self._recorded(db, grant, statement, why, change.ends)
        return json_reply(201, {"success": True, "request": id_}, decision=f"asked {id_}")

    def _recorded(self, db: sqlite3.Connection, grant: Grant, text: str, why: str, until: float) -> str:
        """
        Record an access request for a permit or a change, and return its id; the access request expires at `until`.
        """
        at = self._ledger.now()
        open_ = (
            "select count(*) from requests where grant_id = ? and state = 'open' and (until > ? or at > ?)"
        )
        if self._ledger.rows(open_, grant.id, at, at - DAY)[0][0] >= _UNSIGNED_MOST:
            raise refused("this grant has too many open access requests", "wait until they are answered")
        id_ = f"r-{self._ledger.random()}"
        insert(db, "requests", id=id_, grant_id=grant.id, permit=text, why=why, at=at, until=until)
        return id_

    def approve(self, statement: str, signatures: Sequence[str], due: float) -> Reply:
        """
        Keep the signatures of a change. If the change approves an access request, allow exactly the stored request,
        once.

        Raises:
            RequestRefusedError: The change is not approved, or differs from the stored request.
        """
        change, signed = self._read(statement, signatures, None)
        names = sorted({*signed.values()})
        for one in signatures:
            self._ledger.keep(digest(statement.encode()), signed[one], one, change.ends)
        if change.request is None:
            self._approved_whole(change, statement, names, due)
            return json_reply(
                201,
                {"success": True, "approvals": names},
                decision=f"approved by {', '.join(names)}",
            )
        with self._one:
            row, grant = self._asked(change)
            if row["state"] != "open" or self._is_over(row, grant):
                state = "expired" if row["state"] == "open" else row["state"]
                raise refused(
                    f"the access request {row['id']} is {state}",
                    "send the request again for a new access request",
                )
            verdict = self.verdict(change, due)
            why = self._not_approved(change, verdict, names)
            if why:
                raise RequestRefusedError(
                    403, why, kind="approval-needed", more={"verdict": describe(verdict)}
                )
            with self._ledger.writing() as db:
                found = db.execute(
                    "update requests set state = 'approved', approvals = ? where id = ? and state = 'open'",
                    (json.dumps(names), row["id"]),
                )
                if found.rowcount != 1:
                    raise refused("the access request is no longer open")
                last = db.execute(
                    "select coalesce(max(n), 0) from permits where grant_id = ?", (grant.id,)
                ).fetchone()[0]
                permit = msgspec.structs.replace(change.permits[0], n=last + 1, why=row["id"])
                insert(db, "permits", grant_id=grant.id, n=permit.n, spec=permit)
        return json_reply(
            201,
            {"success": True, "request": row["id"], "state": "approved"},
            decision=f"approved {row['id']}",
        )

    def _approved_whole(self, change: Change, statement: str, names: Sequence[str], due: float) -> None:
        """Mark the access request for a change as approved if enough people have signed the change."""
        asked = "select id from requests where permit = ? and state = 'open'"
        if not self._ledger.rows(asked, statement):
            return
        if not self._not_approved(change, self.verdict(change, due), names):
            with self._ledger.writing() as db:
                db.execute(
                    "update requests set state = 'approved', approvals = ? where permit = ? and state = 'open'",
                    (json.dumps(names), statement),
                )

    def deny(self, id_: str) -> None:
        """
        Deny an access request; an equal request is refused from now on.

        Raises:
            RequestRefusedError: There is no such open request.
        """
        self._request(id_)
        with self._ledger.writing() as db:
            found = db.execute("update requests set state = 'denied' where id = ? and state = 'open'", (id_,))
            if found.rowcount != 1:
                raise refused(f"the access request {id_} is not open")

    def request(self, id_: str) -> dict[str, Any]:
        """
        Return an access request, with the change that an approver signs.

        Raises:
            RequestRefusedError: There is no such request.
        """
        row, grant = self._request(id_)
        change = row["permit"] if _whole(row) else self._as_change(row, grant).bytes.decode()
        return {**self._in_list(row, grant), "change": change}

    def requests(self, grant: Grant | None = None) -> list[dict[str, Any]]:
        """Return the access requests of one grant or of all grants, oldest first, without their changes."""
        # A client chooses the number and the length of its changes, so this list does not read the changes.
        columns = "id, grant_id, why, at, until, state, approvals"
        rows = self._ledger.rows(f"select {columns} from requests order by at, id")  # noqa: S608  (names of this package)
        grants = {one.id: one for one in (self._ledger.grants() if grant is None else [grant])}
        return [self._in_list(row, grants[row["grant_id"]]) for row in rows if row["grant_id"] in grants]

    def _in_list(self, row: sqlite3.Row, grant: Grant) -> dict[str, Any]:
        is_over = row["state"] == "open" and self._is_over(row, grant)
        return {
            "id": row["id"],
            "grant": grant.id,
            "for": grant.holder,
            "stack": grant.stack,
            "why": row["why"],
            "at": instant(row["at"]),
            "state": "expired" if is_over else row["state"],
            "approvals": json.loads(row["approvals"]),
        }

    def _request(self, id_: str) -> tuple[sqlite3.Row, Grant]:
        found = self._ledger.rows("select * from requests where id = ?", id_)
        grant = self._ledger.grant(found[0]["grant_id"]) if found else None
        if grant is None:
            raise RequestRefusedError(
                404, f"this broker has no access request {id_}", "check its id and --gate"
            )
        return found[0], grant

    def _asked(self, change: Change) -> tuple[sqlite3.Row, Grant]:
        """Return the access request that a change approves; refuse a change that differs from it."""
        row, grant = self._request(change.request or "")
        if change != self._as_change(row, grant):
            raise refused(
                "the change differs from the access request", "approve the change that the broker shows"
            )
        return row, grant

    def _is_over(self, row: sqlite3.Row, grant: Grant) -> bool:
        return self._ledger.now() > row["until"] or grant.revoked is not None

    def _as_change(self, row: sqlite3.Row, grant: Grant) -> Change:
        whole = _whole(row)
        if whole is not None:
            return whole
        permit = decode(row["permit"], Permit)
        return Change(
            version=1,
            stack=grant.stack,
            account=self._ledger.account,
            until=instant(row["until"]),
            nonce=f"request-{row['id']}",
            permits=(permit,),
            ceiling=None if permit.usd is None else Ceiling(increase=permit.usd),
            author=grant.holder,
            request=row["id"],
        )

    # Answers for a client

    def describe(self, grant: Grant) -> dict[str, Any]:
        """Return what a grant may do, its end, its remaining permits, and what it has created."""
        # A permit counts as used even if another grant or a person has removed its object.
        uses = self._ledger.uses("grant_id = ? and state <> 'void'", grant.id)
        used = Counter(use.permit for use in uses if use.state != "undone")

        def shown(permit: Permit) -> dict[str, Any]:
            said: dict[str, Any] = msgspec.to_builtins(permit)
            return {**said, "words": in_words(permit), "used": used[permit.n], "left": left(permit, uses)}

        policy = policy_of(grant, self._settings())
        return {
            "grant": grant.id,
            "kind": grant.kind,
            "for": grant.holder,
            "stack": grant.stack,
            "until": instant(grant.until),
            "ended": self._ledger.now() > grant.until,
            "account": self._ledger.account,
            "secrets": list(grant.spec.secrets),
            "may_apply_free": grant.spec.may_apply_free,
            "permits": [*map(shown, self._ledger.permits(grant.id))],
            "policy": None if policy is None else _plain(policy),
            "left_today": None if policy is None else f"{left_today(self._ledger, grant, policy):.2f}",
            "made": [
                {"kind": one.makes, "id": one.object, "in": one.parent, "created_at": one.created_at}
                for one in self._ledger.objects("grant_id = ?", grant.id)
            ],
            "unknown": [
                {"endpoint": use.endpoint, "ids": dict(use.ids), "body": dict(use.body)}
                for use in uses
                if use.state == "unknown"
            ],
            "requests": self.requests(grant) if grant.kind == "budget" else [],
        }

    def history(self) -> list[dict[str, Any]]:
        """Return the requests of each grant that has changed something, the newest grant first."""
        found = []
        for grant in reversed(self._ledger.grants("kind <> 'read'")):
            happened = "grant_id = ? and state in ('done', 'undone', 'gone', 'unknown')"
            uses = self._ledger.uses(happened, grant.id)
            exist = [use for use in uses if use.state not in {"undone", "gone"}]
            found.append(
                {
                    "grant": grant.id,
                    "kind": grant.kind,
                    "for": grant.holder,
                    "stack": grant.stack,
                    "at": instant(grant.at),
                    "until": instant(grant.until),
                    "ended": self._ledger.now() > grant.until,
                    "approvals": [*grant.approvals],
                    "author": self._ledger.author(grant.id),
                    "revoked": grant.revoked is not None,
                    "usd": f"{spent(exist):.2f}",
                    "done": [
                        {
                            "at": instant(use.at),
                            "state": use.state,
                            "method": ENDPOINTS[use.endpoint].method,
                            "path": path_of(use.endpoint, use.ids),
                            "body": dict(use.body),
                        }
                        for use in uses
                    ],
                }
            )
        return found

    def limits(self, grant: Grant, due: float) -> list[dict[str, str | None]]:
        """Return the limits that a grant may see, each with the current monthly price; null if the price is unknown."""
        look, settings = Look(self._upstream, due), self._settings()
        policy, rows = policy_of(grant, settings), look.containers
        found = bills(self._ledger, rows, look.prices)
        said: dict[str, tuple[Decimal | None, Decimal | None]] = {}
        if policy is None or policy.only is None:
            said["the account"] = (
                None if settings.account is None else settings.account.max_total,
                total(found),
            )
        for stack in [grant.stack] if grant.stack else sorted({one.stack for one in found} - {""}):
            names = {"account.max_total": "the account", "limits.max_total": f"the stack {stack}"}
            known, budgets = grant.spec.known, self._budgets()
            for one in limits_of(stack, known, found, settings, budgets, policy=policy):
                if one.is_told:
                    said[names.get(one.name, one.name)] = one.most, one.before
        all_ = settings.policies if grant.kind == "read" else {}
        policies = all_ if policy is None else {grant.policy: policy}
        for name, its in policies.items():
            said |= {f"the policy {name}": one[1:3] for one in limits_of_policy(name, its, found)}
        return [
            {
                "name": name,
                "most": None if most is None else f"{most:.2f}",
                "now": None if now is None or rows.gap is not None else f"{now:.2f}",
            }
            for name, (most, now) in said.items()
        ]

    def settings(self) -> dict[str, Any]:
        """Return the rules, limits and approvers, without the location of the key."""
        said = _plain(self._settings())
        for name in ("key", "keys"):
            said.pop(name, None)
        return {
            "account": self._ledger.account,
            "base_url": self._upstream.base_url,
            "settings": said,
            "approvers": sorted({one.name for one in signers_of(self._folder.signers)}),
        }

    def rules(self) -> dict[str, str]:
        """Return the files that a client needs for a plan: name -> content in base 64."""
        return {name: base64.b64encode(data).decode() for name, data in self._folder.rule_files().items()}


def _check_length(statement: str) -> None:
    if len(statement) > _UNSIGNED_LONGEST:
        raise RequestRefusedError(
            413, "the change is too long to be submitted without an approval: let a person sign its file"
        )


def _whole(row: sqlite3.Row) -> Change | None:
    """Return the change that an access request contains; `None` if it contains a single permit."""
    value = json.loads(row["permit"])
    return convert(value, Change) if "permits" in value else None


def describe(verdict: Verdict) -> dict[str, Any]:
    return {
        "result": verdict.result,
        "findings": [one._asdict() for one in verdict.findings],
        "increase": None if verdict.increase is None else f"{verdict.increase:.2f}",
        "at_any_moment": None if verdict.at_any_moment is None else f"{verdict.at_any_moment:.2f}",
        "owners": sorted(verdict.owners),
        "prices": {str(n): None if usd is None else f"{usd:.2f}" for n, usd in verdict.prices.items()},
    }


def _plain(value: Any) -> dict[str, Any]:
    said: dict[str, Any] = msgspec.to_builtins(value, str_keys=True)
    return said
