"""
What did a request change? Which of the listed objects did a request create whose answer was lost?

    sent -> done | void | unknown;  unknown -> done;  done -> undone | gone
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from stacks_pulumi._identifiers import compare_instants, seconds_of
from stacks_pulumi.api._call import Answer
from stacks_pulumi.api.containers import is_older
from stacks_pulumi.api.once import is_within
from stacks_pulumi.broker import journal
from stacks_pulumi.broker.change import EFFECTS, REMOVALS, Kind, containers_in
from stacks_pulumi.broker.ledger import DAY, LOST, UNDER_WAY, Ledger, Use, text_of, update
from stacks_pulumi.broker.limits import LISTED
from stacks_pulumi.broker.permits import TWICE, candidates, identity_of, made_at, new_backup
from stacks_pulumi.broker.reply import Reply, RequestRefusedError
from stacks_pulumi.broker.upstream import RECENT, Look, Upstream, path_of
from stacks_pulumi.endpoints import ENDPOINTS

_NOT_KEPT: Final = frozenset({"vpn_clients.add", "containers.regenerate_certificate"})
"""Endpoints whose answers may contain a secret."""


class Outcomes:
    """
    Records what requests changed, and finds the objects of lost requests.

    Args:
        ledger: The ledger.
        upstream: The platform.

    Attributes:
        active: The numbers of the requests that this process is sending.
    """

    def __init__(self, ledger: Ledger, upstream: Upstream) -> None:
        self._ledger, self._upstream = ledger, upstream
        self.active: set[int] = set()

    def record(self, use: Use, decision: str, due: float | None = None, **values: Any) -> Use:
        """Record the outcome of a request once, with a line in the journal."""
        now, effect = self._ledger.now(), EFFECTS[use.endpoint]
        with self._ledger.writing() as db:
            # If another thread has recorded an outcome or sent the request again, this outcome is out of date.
            if not self._ledger.uses(
                "id = ? and attempts = ? and state = ?", use.id, use.attempts, use.state
            ):
                return use
            update(db, "uses", use.id, ended=now, settled=self._ledger.settled() + 1, **values)
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
            grant, path = self._ledger.grant(use.grant_id), path_of(use.endpoint, use.ids)
            request = ENDPOINTS[use.endpoint].method, path, json.dumps(dict(use.body))
            seconds, status = 0.0 if due is None else self._upstream.elapsed(due), values["status"]
            journal.write(self._ledger, db, grant, request, decision=decision, status=status, seconds=seconds)
            return self._ledger.uses("id = ?", use.id)[0]

    def done(
        self, use: Use, made: tuple[str, str | None] | None, reply: Reply, due: float, **more: Any
    ) -> Use:
        """Record that a request was carried out, and what it created."""
        # The row of a list contains no secret.
        is_kept = use.endpoint not in _NOT_KEPT or reply.decision == "found"
        if made == ("", None):
            # The answer to a trigger contains no id. If the list already shows the backup, no later one is meant.
            with contextlib.suppress(RequestRefusedError):
                made = new_backup(use, Look(self._upstream, due, newest=True)) or "", None
        object_, created_at = made if made is not None and self._is_new(use, *made) else (None, None)
        answer = reply.body.decode("utf-8", "replace") if is_kept else None
        values = {"state": "done", "status": reply.status, "answer": answer, **more}
        return self.record(use, reply.decision, due, **values, object=object_, created_at=created_at)

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
            # The list may have lacked what a person had just created.
            was_listed = was_listed or is_older(made, use.before["spans"][0][0])
        else:
            was_listed = id_ in use.before["ids"]
        return not was_listed and not self._has_other_maker(use, id_, made)

    def _has_other_maker(self, use: Use, id_: str, made: str | None) -> bool:
        """
        Return whether another request may have created an object. The list from before `use` lacked the object, so
        older requests did not create it.
        """

        def is_same(one: Use) -> bool:
            found = compare_instants(one.created_at, made)
            # This value is used if a creation time is missing. Kinds outside `TWICE` were listed before the request.
            is_late = use.makes in TWICE or one.ended > use.at - RECENT
            return one.id != use.id and (is_late if found is None else found)

        return any(map(is_same, self.made_in(use.makes, id_, use.ids)))

    def made_in(self, kind: Kind, id_: str, ids: Mapping[str, str]) -> list[Use]:
        """Return the requests that created the object with this id in the containers of a path."""
        where = containers_in(ids)
        made = self._ledger.made(kind, "object = ?", id_)
        return [one for one in made if one.parent is None or not where or one.parent in where]

    def _undo(self, db: sqlite3.Connection, kind: Kind, id_: str, by: Use) -> None:
        """Record that an object and its parts no longer exist. The price of the create still counts."""
        gone = self.made_in(kind, id_, by.ids)
        if kind == "Container":
            gone += self._ledger.objects("exists(select 1 from json_each(ids) where value = ?)", id_)
        for one in gone:
            if one.id != by.id:
                _record_gone(db, one, by)

    def was_lost(self, use: Use) -> bool:
        """
        Whether the last deletion of the same object received no answer. A 404 then means that this deletion was carried
        out. After another deletion, the object may be a later one of this id.
        """
        its = f"grant_id = ? and endpoint = ? and ids = ? and (state = 'done' or state = 'void' and {LOST})"
        found = self._ledger.uses(its, use.grant_id, use.endpoint, text_of(use.ids))
        is_removal = ENDPOINTS[use.endpoint].method == "DELETE"
        return is_removal and [one.state for one in found[-1:]] == ["void"]

    def leave(self) -> None:
        """
        Record the outcome of requests whose answer can no longer arrive: the broker was killed, or the disk was full.
        """
        for use in self._ledger.uses("state = 'sent'"):
            if use.id not in self.active:
                doubt = EFFECTS[use.endpoint].doubt
                self.record(use, f"left: {doubt}", state=doubt, status=use.status or 0)

    def find_lost(self, grant_id: str, due: float) -> None:
        """Look for the objects of the grant's lost requests: the client may have found one and may now use it."""
        self.leave()
        look = Look(self._upstream, due, newest=True)
        lost = "grant_id = ? and state = 'unknown' and ended > ?"
        for use in self._ledger.uses(lost, grant_id, self._ledger.now() - DAY):
            if use.id not in self.active:
                self.found(use, due, look)

    def found(self, use: Use, due: float, look: Look | None = None) -> Reply | None:
        """Return an answer with the object that a lost request certainly created, if a list (in `look`) shows it."""
        look = look or Look(self._upstream, due, newest=True)
        # After a kill, a person may have triggered a later backup before the broker looks.
        rows = sorted(candidates(use, look), key=lambda row: seconds_of(made_at(row)) or 0.0)
        row = next((row for row in rows if self._is_ours(use, row, look)), None)
        if row is None:
            return None
        data = {name: value for name, value in msgspec.to_builtins(row).items() if value is not None}
        data |= {"type": data["template"]} if "template" in data else {}
        # The answer is masked, because a list may show a password.
        text = json.dumps({"success": True, "data": data})
        got = Answer(202, {"content-type": "application/json"}, text.encode())
        reply = self._upstream.reply(got, "found")
        self.done(use, (str(row.id), made_at(row)), reply, due)
        return reply

    def _is_ours(self, use: Use, row: Any, look: Look, **tolerance: float) -> bool:
        """Return whether a lost request, and no other request, certainly created a listed object."""
        if not self._may_have_made(use, row, look, use.attempts_at, **tolerance):
            return False
        if self._has_other_maker(use, str(row.id), made_at(row)):
            return False
        # Two equal requests of one stack and policy are no rivals: the first that looks gets the object. No list shows
        # with which storage a container was requested.
        its = "state = 'sent' or (state = 'unknown' and (stack <> ? or policy <> ? or body <> ?))"
        open_ = f"endpoint = ? and id <> ? and ({its})"
        rivals = self._ledger.uses(open_, use.endpoint, use.id, use.stack, use.policy, text_of(use.body))
        # The platform may have carried out a rival after the broker stopped waiting for its answer.
        return not any(
            one.parent == use.parent
            and self._may_have_made(one, row, look, one.before["spans"], after=UNDER_WAY) is not False
            for one in rivals
        )

    def _may_have_made(
        self, use: Use, row: Any, look: Look, spans: Sequence[tuple[float, float]], **tolerance: float
    ) -> bool | None:
        """
        Return whether a listed object was absent before a request, matches it, and was created in one of some spans of
        time; `None` if the creation time is unknown.
        """
        if identity_of(row) in use.before["ids"] or not look.is_asked(use.makes, use.ids, use.body, row):
            return False
        is_in_time = is_within(made_at(row), spans, **tolerance)
        # The platform may list no creation time for a VPN client. Its name is unique, but a person may later add a
        # client of this name.
        since = self._upstream.now() - use.before["spans"][-1][1]
        is_recent = use.makes == "VpnClient" and since < LISTED
        return True if is_in_time is None and is_recent else is_in_time

    def remove_twins(self, use: Use, due: float) -> None:
        """Remove the duplicates that earlier attempts certainly created, for kinds that may exist twice."""
        if use.makes not in TWICE:
            return
        look = Look(self._upstream, due, newest=True)
        name = REMOVALS[use.makes]
        for row in candidates(use, look):
            # Another client may have created an object within the usual tolerance, so the time has to match the request
            # to the second.
            if str(row.id) != use.object and self._is_ours(use, row, look, before=1.0, after=1.0):
                ids = {**use.ids, EFFECTS[name].object: str(row.id)}
                got = self._upstream.change(name, ids, {}, self._upstream.patient())
                request, status = ("DELETE", path_of(name, ids), ""), getattr(got, "status", 0)
                grant = self._ledger.grant(use.grant_id)
                with self._ledger.writing() as db:
                    journal.write(self._ledger, db, grant, request, decision="twin", status=status)


def _record_gone(db: sqlite3.Connection, one: Use, by: Use) -> None:
    """
    Record that a created object no longer exists. Its permit may be used again only if the permit's grant removed the
    object. A removal by another grant, in the dashboard, or by a budget's approved request means that the object should
    not exist.
    """
    if one.ended > by.at:
        # The answer to the removal was slow, and the object may have been created since.
        return
    is_own = one.grant_id == by.grant_id and not (by.policy and by.permit)
    is_undone = is_own and not EFFECTS[by.endpoint].makes
    update(db, "uses", one.id, state="undone" if is_undone else "gone", answer=None)
