"""
May a grant send a request, according to its permits or its policy, the platform's lists and the ledger?

The judge only reads. Its verdict on a change is the row with which the ledger reserves the request, or an earlier
answer, or a refusal.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from stacks_pulumi import catalog
from stacks_pulumi._identifiers import canonical_network, may_be_of, same_name
from stacks_pulumi.api.containers import is_older
from stacks_pulumi.broker.change import (
    CONFIG,
    CONTAINERS,
    CREATE,
    EFFECTS,
    REMOVALS,
    SECRETS,
    Change,
    Constraint,
    Permit,
    Secret,
    containers_in,
)
from stacks_pulumi.broker.ledger import DAY, LOST, UNDER_WAY, Grant, Ledger, Use, text_of
from stacks_pulumi.broker.limits import (
    Bill,
    Budget,
    Limit,
    bills,
    left_today,
    limits_of,
    limits_of_policy,
    policy_of,
    price_of,
    spent,
    why_over,
)
from stacks_pulumi.broker.outcome import Outcomes
from stacks_pulumi.broker.permits import (
    TWICE,
    Ask,
    GoneError,
    Holdings,
    candidates,
    fits,
    fits_secret,
    identity_of,
    is_about_own,
    is_made,
    key_of,
    left,
    meet,
    own_backup,
)
from stacks_pulumi.broker.reply import Reply, RequestRefusedError, busy, limited, refused
from stacks_pulumi.broker.rules import ACTIONS
from stacks_pulumi.broker.settings import GateFile, Policy
from stacks_pulumi.broker.upstream import LATEST, RECENT, Look, NotLookedError, Upstream, path_of
from stacks_pulumi.broker.words import in_words
from stacks_pulumi.endpoints import ENDPOINTS
from stacks_pulumi.pricing.money import usd as as_dollars

GRACE: Final = 900.0
"""Seconds after the end of a grant, or after its last change, in which the grant may remove what it created."""
_LASTING: Final = 600.0
"""Seconds for which a repeated create or deletion receives the earlier answer."""
_BRIEF: Final = 120.0
"""Seconds for which any other repeated change receives the earlier answer."""
_UNSETTLED: Final = UNDER_WAY + 10.0
"""Seconds after an unanswered request in which its effect may still be missing in a list, because lists lag behind."""
_LAGS: Final = RECENT + LATEST
"""
Seconds after which the list that the broker has read certainly shows a new address or backup: a list may lag behind,
and the broker may have read it some time before it judges a request.
"""
_NOT_OWN: Final = "the container does not belong to this grant"
_CREATED_BY: Final[Mapping[str, str]] = {
    "allowed_ips.remove": "allowed_ips.add",
    "backups.delete": "backups.pin",
    "backups.unpin": "backups.pin",
    CONFIG: "vpn_clients.add",
    "vpn_clients.remove": "vpn_clients.add",
}
"""A removal or secret read of what may have no creation time in its permit -> the endpoint that creates it."""
_REVERSES: Final = frozenset(
    {
        ("allowed_ips.add", "containers.external_access"),
        ("backups.pin", "backups.unpin"),
        ("backups.unpin", "backups.pin"),
        ("containers.external_access", "allowed_ips.remove"),
        ("containers.external_access", "containers.external_access"),
        ("containers.set_status", "containers.set_status"),
        ("vpn_clients.remove", "vpn_clients.add"),
    }
)
"""A request that may be carried out late, and a later one about the same objects whose effect it could then reverse."""


class ApprovalNeededError(Exception):
    """Raised if a budget does not allow a request. A person may approve it as `permit`."""

    def __init__(self, why: str, permit: Permit) -> None:
        super().__init__(why)
        self.why, self.permit = why, permit


class Judge:
    """
    Judges the requests of grants.

    Args:
        ledger: The ledger.
        upstream: The platform.
        outcomes: The outcomes of earlier requests.
        settings: Returns the current settings.
        budgets: Returns the current budgets over several stacks.
    """

    def __init__(
        self,
        ledger: Ledger,
        upstream: Upstream,
        outcomes: Outcomes,
        settings: Callable[[], GateFile],
        budgets: Callable[[], Sequence[Budget]],
    ) -> None:
        self._ledger, self._upstream, self._outcomes = ledger, upstream, outcomes
        self._settings, self._budgets = settings, budgets

    def check_read(self, grant: Grant, ask: Ask, seen: list[Use] | None, look: Look) -> bool:
        """Refuse a read that the grant does not allow. Return whether the grant sees only certain containers."""
        secret, holdings = SECRETS.get(ask.endpoint), self._holdings(grant)
        is_named = any(
            fits_secret(line, ask, holdings, look) and not self._is_newer(grant, line, ask)
            for line in grant.spec.reads
        )
        if secret is not None and secret not in grant.spec.secrets and not is_named:
            raise refused(f"this grant may not read {secret}", "ask for a grant that may read it")
        of_stack = self._of_stack(grant) if secret is not None and grant.stack and not is_named else None
        is_limited = is_named or seen is not None or of_stack is not None
        # A moment later, a new container may get the id of a missing container.
        is_gone = is_limited and None in map(look.container, ask.containers)
        if is_gone or not _sees(seen, ask, look) or (seen is not None and ask.endpoint == "backups.stats"):
            raise RequestRefusedError(404, "Container not found")
        if not _sees(of_stack, ask, look):
            raise refused(
                f"this grant may read {secret} only from containers of the stack {grant.stack}",
                "ask a person to record the stack as the container's owner with `stacks-pulumi broker claim`",
            )
        return is_limited

    def seen(self, grant: Grant) -> list[Use] | None:
        """Return the create requests of the containers that a grant can see; `None` if it can see all containers."""
        policy = self._policy(grant)
        return None if policy is None or policy.only != "own" else self._of_stack(grant)

    def _of_stack(self, grant: Grant) -> list[Use]:
        """Return the create requests of the containers that belong to a grant's stack."""
        # A budget also sees containers of its stack that a signed change created, or that were assigned to the stack.
        its = "stack = ? and (stack <> '' or policy = ?) and created_at is not null"
        return self._ledger.made("Container", its, grant.stack, grant.policy)

    def judged(self, grant: Grant, ask: Ask, look: Look) -> Reply | Use | dict[str, Any]:
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
        twins = [use for use in uses if key_of(use) == key_of(ask)]
        if any(use.state == "sent" or use.id in self._outcomes.active for use in twins):
            raise busy("the same request is still in progress")
        # After a day, a budget may send the request again. A change may not, because a use of its permit counts
        # permanently.
        unknown = (use for use in twins if use.state == "unknown")
        doubt = next((use for use in unknown if policy is None or now - use.ended <= DAY), None)
        if doubt is not None:
            return doubt
        holdings, is_alive = self._holdings(grant), now <= grant.until
        permit, is_gone = self._fitting(grant, ask, uses, holdings, look) if is_alive else (None, False)
        if permit is not None or self._is_own(grant, ask, holdings, policy, look):
            return self._checked(grant, ask, permit, look)
        why = "" if policy is None else self._why_not_free(grant, policy, ask, holdings, look)
        is_free = is_alive and policy is not None and not why
        # A request that is still permitted is sent again. Otherwise, a repetition gets the earlier answer for a limited
        # time. A later repetition must not get it, because the answer would report a second effect.
        is_lasting = effect.makes or ENDPOINTS[ask.endpoint].method == "DELETE"
        since = now - (_LASTING if is_lasting else _BRIEF)
        done = [use for use in twins if use.state == "done" and use.answer is not None and use.ended > since]
        done = done if done and not self._is_reversed(done[-1]) else []
        if is_free and not (done and effect.makes):
            return self._checked(grant, ask, None, look)
        if done:
            headers = {"content-type": "application/json"}
            return Reply(done[-1].status or 200, str(done[-1].answer).encode(), headers, "replay")
        if not is_alive:
            raise refused(
                "this grant has ended, so it may only read, and delete the objects that it created",
                "submit the change again, or ask for a new grant",
            )
        if policy is not None:
            if not _sees(self.seen(grant), ask, look):
                # An access request would reveal when the container was created.
                raise refused(_NOT_OWN)
            raise ApprovalNeededError(why, self._as_permit(ask, look))
        if is_gone:
            raise RequestRefusedError(
                404, "Not found: the object that the approved change names no longer exists"
            )
        words = f"{ENDPOINTS[ask.endpoint].method} {path_of(ask.endpoint, ask.ids)} {json.dumps(ask.body)}"
        raise refused(f"this request was not approved: {words}")

    def _is_reversed(self, earlier: Use) -> bool:
        """
        Return whether a later request has reversed the effect of an earlier one, or may have created the removed object
        or the container again. The earlier answer would then be false.
        """
        kind, since = EFFECTS[earlier.endpoint].removes, earlier.ended
        its = f"ids = ? and ended > ? and (state = 'done' or {LOST})"
        newer = self._ledger.uses(its, text_of(earlier.ids), since)
        # An added address makes no earlier answer about external access false.
        if any(one.makes in {"", kind} and _reverses(one, earlier) for one in newer):
            return True
        made = [
            one
            for place in containers_in(earlier.ids)
            for one in self._ledger.made("Container", "object = ?", place)
        ]
        id_ = earlier.ids.get(EFFECTS[earlier.endpoint].object, "")
        if kind == "Container":
            lost = self._ledger.creates("state = 'unknown'")
            made += [one for one in lost if may_be_of(id_, str(one.body.get("name")))]
        elif kind:
            made += self._outcomes.made_in(kind, id_, earlier.ids)
        return any(one.ended > since for one in made)

    def _fitting(
        self, grant: Grant, ask: Ask, uses: Sequence[Use], holdings: Holdings, look: Look
    ) -> tuple[Permit | None, bool]:
        """Return the permit that allows a request, and whether the object of a permit that fits is gone."""
        permits, is_gone = self._ledger.permits(grant.id), False
        counted = self._counted(grant, ask, uses) if permits else []
        done = self._done(grant) if any(one.after for one in permits) else set()
        for one in permits:
            try:
                fitting = left(one, counted) != 0 and done >= {*one.after} and fits(one, ask, holdings, look)
                fitting = fitting and self._is_bound(one, grant, ask, holdings, look)
                fitting = fitting and self._is_of_stack(grant, ask, look)
                if fitting and not self._is_newer(grant, one, ask):
                    return one, False
                is_gone = is_gone or fitting
            except GoneError:
                is_gone = True
        return None, is_gone

    def _done(self, grant: Grant) -> set[int]:
        """Return the numbers of the grant's permits that were certainly used."""
        is_done = f"state = 'done' and not {LOST} and (endpoint <> '{CREATE}' or object is not null)"
        used = f"select distinct permit from uses where grant_id = ? and {is_done}"  # noqa: S608  (of this package)
        return {row["permit"] for row in self._ledger.rows(used, grant.id)}

    def current(self, grant_id: str) -> Grant:
        """Return a grant as it is now; refuse a grant that was revoked."""
        grant = self._ledger.grant(grant_id)
        if grant is None or grant.revoked is not None:
            raise RequestRefusedError(401, "Invalid API key")
        return grant

    def _counted(self, grant: Grant, ask: Ask, uses: Sequence[Use]) -> list[Use]:
        """
        Return the uses that count against a permit. A request without an answer may have been carried out, so only its
        repetition may use its permit again.
        """
        unanswered = f"grant_id = ? and endpoint = ? and state = 'void' and {LOST}"
        lost = self._ledger.uses(unanswered, grant.id, ask.endpoint)
        by_time = sorted((*uses, *lost), key=lambda use: use.id)
        last = {(use.permit, key_of(use)): use for use in by_time}
        return [*uses, *(use for (_, key), use in last.items() if use in lost and key != key_of(ask))]

    def _is_bound(self, permit: Permit, grant: Grant, ask: Ask, holdings: Holdings, look: Look) -> bool:
        """
        Return whether each backup that the grant's requests for this new backup have meant is still listed. After the
        removal of one, the next backup may be another client's.
        """
        backup = permit.ids.get("backup_id")
        if backup is None or backup.new_backup_of is None:
            return True
        its = {one.n for one in self._ledger.permits(grant.id) if one.ids.get("backup_id") == backup}
        others = f"grant_id = ? and ids <> ? and (state <> 'void' or {LOST})"
        used = self._ledger.uses(others, grant.id, text_of(ask.ids))
        places = {use.parent or "" for use in holdings.uses if use.binds == backup.new_backup_of}
        listed = {str(row.id) for place in places for row in look.rows("Backup", place)}
        return {use.ids["backup_id"] for use in used if use.permit in its} <= listed

    def _check_addresses(self, ask: Ask, look: Look) -> None:
        """
        Refuse a request that closes access if the list of addresses may still lack an added address. The platform also
        adds an address when access is opened.
        """
        recent, values = "ids = ? and ended > ?", (text_of(ask.ids), self._ledger.now() - _LAGS)
        added, access = self._ledger.made("AllowedIp", recent, *values), look.access(ask.containers[0])
        last = self._ledger.uses(f"endpoint = ? and state = 'done' and {recent}", ask.endpoint, *values)[-1:]
        is_opened = any(use.body.get("enabled") is not False for use in last)
        if is_opened or not {one.object for one in added} <= {row.id for row in access.allowed_ips}:
            raise busy("the platform's list may still lack a newly added address")

    def _is_of_stack(self, grant: Grant, ask: Ask, look: Look) -> bool:
        """
        Return whether each container of a request still belongs to the stack. This counts for a change without a
        signature, because all of its containers belonged to its stack when it was judged.
        """
        if grant.spec.free is None:
            return True
        # Without creation times, the ledger knows no owner.
        rows, owners = map(look.existing, ask.containers), {grant.stack, ""}
        return all(
            row is None or (self._ledger.owner(row.id, row.created_at) or "") in owners for row in rows
        )

    def _checked(self, grant: Grant, ask: Ask, permit: Permit | None, look: Look) -> dict[str, Any]:
        """Check every limit, and return the row for the ledger of a request that is about to be sent."""
        effect, now, began = EFFECTS[ask.endpoint], self._ledger.now(), self._upstream.now()
        self._check_rivals(grant, ask, look)
        if permit is not None and permit.only_address is not None:
            self._check_addresses(ask, look)
        if permit is not None and permit.times is not None and effect.makes == "Pin":
            # A pin without an answer is `void`, but may exist.
            its = f"grant_id = ? and permit = ? and ids = ? and state = 'void' and {LOST}"
            for lost in self._ledger.uses(its, grant.id, permit.n, text_of(ask.ids)):
                self.check_removed(lost)
        if permit is None and self._is_newer(grant, None, ask):
            raise RequestRefusedError(404, "Not found: the object that exists now was created later")
        price = self._checked_price(grant, ask, permit, look) if ask.endpoint == CREATE else None
        # Kinds that may exist twice need no earlier list: their objects have creation times and unique ids.
        is_listed = effect.doubt == "unknown" and effect.makes not in TWICE
        parent = look.container(ask.containers[0]) if ask.containers else None
        before = {
            "ids": [identity_of(row) for row in candidates(ask, look)] if is_listed else [],
            "parent_made": None if parent is None else parent.created_at,
            "is_new": self._is_new_pin(grant, ask, permit, look),
            "spans": [(began, began + UNDER_WAY)],
        }
        row: dict[str, Any] = {"grant_id": grant.id, "stack": grant.stack, "policy": grant.policy}
        row |= {"endpoint": ask.endpoint, "ids": ask.ids, "body": ask.body, "before": before}
        row |= {"state": "sent", "at": now, "ended": now, "usd": None if price is None else str(price)}
        return row if permit is None else row | {"permit": permit.n, "binds": permit.binds}

    def _is_new_pin(self, grant: Grant, ask: Ask, permit: Permit | None, look: Look) -> bool:
        """Return whether a request certainly creates a new pin."""
        if permit is not None:
            return any(one.new_backup_of for one in permit.ids.values())
        row = own_backup(ask, self._holdings(grant), look) if ask.endpoint == "backups.pin" else None
        return row is not None and row.pinned is False

    def _is_newer(self, grant: Grant, line: Permit | Secret | None, ask: Ask) -> bool:
        """
        Return whether another grant has since added the object of a removal or secret read, or its pin. If the line of
        the change states the creation time of a VPN client, the own grant's adds count too: the list may still show the
        earlier client.
        """
        endpoint, since = _CREATED_BY.get(ask.endpoint), grant.at
        if endpoint is None:
            return False
        if grant.kind == "budget":
            # For a budget, which is valid for a long time, the time of the access request counts.
            why = line.why if isinstance(line, Permit) else ""
            asked = self._ledger.rows("select at from requests where id = ?", why)
            since = asked[0]["at"] if asked else 0.0
        # The id of an added entry is in `object`, because the path of the request does not contain it. An add without
        # an answer may have added any entry that is not the grant's own.
        its = "object = ? or ids = ? and (body = ? or ? and object is null)"
        others = f"endpoint = ? and ended > ? and grant_id <> ? and ({its})"
        ids = {**ask.ids}
        entry, client = ids.pop("ip_id", None), ids.pop("client_name", None)
        body = {} if client is None else {"name": client}
        values = entry, text_of(ids), text_of(body), entry is not None and line is not None
        given = {} if line is None else line.ids
        is_dated = "client_name" in given and given["client_name"].created_at is not None
        # A pin without an answer is `void`, but may exist.
        others += f" and (state = 'done' or {LOST})"
        found = self._ledger.uses(others, endpoint, since, "" if is_dated else grant.id, *values)
        named = canonical_network(given["ip_id"].address) if "ip_id" in given else None

        def is_added(one: Use) -> bool:
            address = canonical_network(str(one.body.get("ip_address")))
            is_other_entry = one.object is None and None not in {named, address} and named != address
            is_other_client = not one.policy or (one.policy, one.stack) != (grant.policy, grant.stack)
            return (is_other_client or is_dated) and not is_other_entry

        return any(map(is_added, found))

    def _check_rivals(self, grant: Grant, ask: Ask, look: Look) -> None:
        """
        Refuse a request if another grant may be changing its container or backup at this moment.

        The platform may still carry out a request that received no answer, even after its repeat was carried out. A
        grant also waits for its own deletions, and for its own lost requests that could reverse the new one. It also
        waits before it removes an object that a repeat created: otherwise, the first request could create it again.
        Even within a grant, a create waits for requests about the container that had the name before, and they wait for
        the create: they could change or delete the new container.
        """

        def has_name(id_: str, name: str) -> bool:
            row = next((row for row in look.containers if row.id == id_), None)
            return may_be_of(id_, name) if row is None or row.name is None else same_name(row.name, name)

        def holds(use: Use) -> bool:
            is_own = use.grant_id == grant.id and (use.endpoint == CREATE) == (ask.endpoint == CREATE)
            is_deletion = use.state == "sent" and use.endpoint == "containers.delete"
            return not is_own or is_deletion or _reverses(use, ask)

        effect, since = EFFECTS[ask.endpoint], self._ledger.now() - _UNSETTLED
        repeated = f"attempts > 1 and (grant_id <> ? or endpoint <> '{CREATE}')"
        open_ = f"(state = 'sent' or ended >= ?) and ({LOST} or {repeated})"
        found = self._ledger.uses(open_, since, grant.id)
        again = "ended >= ? and attempts > 1 and object = ?"
        if any(holds(use) and meet(ask, use, has_name) for use in found) or (
            effect.removes and self._ledger.uses(again, since, ask.ids[effect.object])
        ):
            raise busy("another request may be changing the same container or backup")
        triggered = "endpoint = ? and ids = ? and ended > ?"
        values = ask.endpoint, text_of(ask.ids), self._ledger.now() - _LAGS
        if effect.makes == "Backup" and self._ledger.live(triggered, *values):
            raise busy("the platform's list may still lack an earlier backup")

    def check_removed(self, lost: Use) -> None:
        """
        Refuse to repeat a lost request if another grant, or a budget's approved request, has since removed an object
        that it may have created: the object should not exist. The platform removes the addresses when access is closed.
        The path of a removed connection contains no container.
        """
        closing = "containers.external_access" if lost.makes == "AllowedIp" else None
        of_person = "(grant_id <> ? or policy <> '' and permit is not null)"
        removed = f"endpoint in (?, ?) and ended > ? and {of_person} and (state = 'done' or {LOST})"
        for one in self._ledger.uses(removed, REMOVALS[lost.makes], closing, lost.at, lost.grant_id):
            if one.body.get("enabled") is not True and ("connection_id" in one.ids or meet(lost, one)):
                raise refused("what it may have created was removed")

    def check_look(self, grant: Grant, ask: Ask, look: Look) -> None:
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

    def _checked_price(self, grant: Grant, ask: Ask, permit: Permit | None, look: Look) -> Decimal | None:
        """Check every limit on a create, and return what the create adds to the monthly price."""
        if catalog.name_faults(str(ask.body.get("name"))):
            # The platform may store a different name. No list would then show which request created the container.
            raise refused("the platform's guide does not allow this name", "choose another name")
        look.containers.require_complete()
        added = _added(ask, look)
        found = bills(self._ledger, look.containers, look.prices)
        for limit in self._limits(grant, permit, found):
            why = why_over(limit, added)
            if why:
                raise limited(why, limit.most, limit.before or Decimal(0) if limit.is_told else None)
        return added

    def _limits(self, grant: Grant, permit: Permit | None, found: Sequence[Bill]) -> Iterator[Limit]:
        policy, most = self._policy(grant), self._settings().limits.max_increase
        if policy is None:
            before = spent(self._ledger.creates("grant_id = ?", grant.id))
            if grant.spec.ceiling is not None:
                yield Limit("the ceiling of the approval", Decimal(grant.spec.ceiling), before)
            if most is not None:
                yield Limit("limits.max_increase", most, before)
        elif permit is not None and permit.usd is not None:
            yield Limit("the approved price", Decimal(permit.usd), Decimal(0))
        yield from limits_of_policy(grant.policy, policy, found)
        yield from limits_of(
            grant.stack, grant.spec.known, found, self._settings(), self._budgets(), policy=policy
        )

    def _policy(self, grant: Grant) -> Policy | None:
        return policy_of(grant, self._settings())

    def _why_not_free(self, grant: Grant, policy: Policy, ask: Ask, holdings: Holdings, look: Look) -> str:
        """Return why a request of a budget grant needs an approval; empty if the policy allows it."""
        left = left_today(self._ledger, grant, policy)
        why = _why_not_in(policy, ask.endpoint, ask.body, _added(ask, look), left)
        if why or ask.endpoint == CREATE or is_about_own(ask, holdings, look):
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
            ids = filter(None, (*known, one.is_))
            # A new backup belongs to the container in its own permit.
            return {*one.of} <= {*made, *change.known} and all(
                is_made(name, {name: id_}, holdings.own, look) for id_ in ids
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
        rows: dict[str, Any] = {name: look.container(ask.ids[name]) for name in ask.ids if name in CONTAINERS}
        if "client_name" in ask.ids:
            clients = look.rows("VpnClient", ask.ids["vpn_container_id"])
            rows["client_name"] = clients.find(lambda row: row.name == ask.ids["client_name"])
        made = {name: row.created_at for name, row in rows.items() if row is not None}
        if any(made.get(name) is None for name in rows if name in CONTAINERS):
            raise refused(
                "nobody can approve this: the platform lists no such container, or no creation time for it",
                "plan a change",
            )
        ids = {name: Constraint(is_=value, created_at=made.get(name)) for name, value in ask.ids.items()}
        price = _added(ask, look)
        usd = None if price is None else f"{price:.2f}"
        return Permit(n=1, endpoint=ask.endpoint, ids=ids, body=dict(ask.body), usd=usd)

    def check_end(self, grant: Grant, hint: str) -> None:
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
        its, values = "grant_id = ?", [grant.id]
        if grant.kind == "budget":
            # Without a creation time, the broker cannot tell whether the id still means the same container.
            its = "policy = ? and policy <> '' and stack = ? and (endpoint <> ? or created_at is not null)"
            values = [grant.policy, grant.stack, CREATE]
        # An administrator decides about a container that was assigned to a stack.
        own = self._ledger.objects(f"claimed is null and {its}", *values)
        bound = self._ledger.live("claimed is null and grant_id = ? and binds is not null", grant.id)
        return Holdings(grant.spec.known, bound, own)

    def _is_own(self, grant: Grant, ask: Ask, holdings: Holdings, policy: Policy | None, look: Look) -> bool:
        """
        Return whether a request removes an object that the grant created: for a change, since the change was last
        submitted; for a budget, recently.
        """
        effect = EFFECTS[ask.endpoint]
        if effect.removes in {"", "Backup"} or (policy is not None and "undo" not in policy.free):
            return False
        if effect.removes == "Pin" and not is_about_own(ask, holdings, look):
            # The path of a pin contains no container, so a claim would not end the right to remove the pin.
            return False
        now = self._ledger.now()
        submitted = grant.until - grant.spec.ttl
        since = submitted if policy is None else now - policy.undo.total_seconds()
        # Other grants of a policy still create objects after the end of a grant.
        own = [one for one in holdings.own if now <= grant.until or one.grant_id == grant.id]
        # An object that was found long after its lost request is as old as the platform says.
        there = self._upstream.now() - (now - since)
        recent = [one for one in own if one.ended >= since and not is_older(one.created_at, there)]
        return is_made(effect.object, ask.ids, recent, look)


def _reverses(late: Use, other: Ask | Use) -> bool:
    """
    Return whether a request may reverse the effect of a different one about the same objects, if it is carried out
    after it.
    """
    is_different = (late.endpoint, key_of(late)) != (other.endpoint, key_of(other))
    return is_different and (late.endpoint, other.endpoint) in _REVERSES


def _sees(seen: Sequence[Use] | None, ask: Ask, look: Look) -> bool:
    """Return whether all containers in the path of a request are among those that a grant sees."""
    return seen is None or all(is_made(name, ask.ids, seen, look) for name in ask.ids if name in CONTAINERS)


def _added(one: Ask | Permit, look: Look) -> Decimal | None:
    """Return what a create adds to the monthly price; `None` if that is unknown or the request is not a create."""
    return price_of(one.body, look.prices) if one.endpoint == CREATE else None


def _why_not_in(
    policy: Policy, endpoint: str, body: Mapping[str, Any], price: Decimal | None, left: Decimal
) -> str:
    """
    Return why a policy requires an approval for a request, whatever its object is; empty if no approval is required.

    `price` is what a create adds to the monthly price, and `left` is the amount that may still be added today.
    """
    if endpoint != CREATE:
        action = ACTIONS.get((endpoint, body.get("status")))
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
