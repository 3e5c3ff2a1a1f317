"""
Which requests does a change of resources need?

The table of each kind lists the requests that its provider sends. If a permit is missing, the broker refuses the
request. An unnecessary permit is one more line for an approver to read. A symbol is the name of a container's resource.
It represents the id of a container that this change creates.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import msgspec

from stacks_pulumi import _identifiers, catalog
from stacks_pulumi._identifiers import PLACEHOLDER, compare_instants, same_name, seconds_between
from stacks_pulumi._pulumi_cli import InputError
from stacks_pulumi.api.models import Container, VpnClient
from stacks_pulumi.api.vpn_clients import SLACK
from stacks_pulumi.broker.change import ANY, Constraint, Known, Permit, Secret, Value
from stacks_pulumi.errors import NotFoundError
from stacks_pulumi.gate.change import Change
from stacks_pulumi.pricing.recognition import (
    ADOPTS,
    UNKNOWN,
    UNRECOGNISED,
    is_hidden,
    is_open,
    is_unknown,
    known,
    snake_case,
    text,
)

_MAKES: Final = frozenset({"create", "replace"})
_ENDS: Final = frozenset({"delete", "replace"})
_QUIET: Final = frozenset({"same", "read", "discard", "keep", "import"})
"""Operations that send no changing request."""
READS: Final = {"credentials": "containers.credentials", "certificate": "containers.certificate"}
"""Class of a container's secret -> the endpoint from which a program's function reads it."""
_ENTRY: Final = ("ip_address", "description", "service_type")
_PLACEHOLDER: Final = {"ip_address": "192.0.2.1", "description": PLACEHOLDER, "service_type": "http"}


class Needed(NamedTuple):
    """
    The permits and secrets that a change needs.

    Attributes:
        permits: The requests that change something.
        known: The containers that exist, by their symbols.
        secrets: The secrets that are read.
    """

    permits: tuple[Permit, ...]
    known: dict[str, Known]
    secrets: tuple[Secret, ...]


def needed(
    changes: Sequence[Change],
    containers: Iterable[Container],
    reads: Iterable[tuple[str, str]] = (),
    clients: Callable[[str], Iterable[VpnClient]] = lambda _container: (),
) -> Needed:
    """
    Return the permits and secrets that a change needs.

    Args:
        changes: What happens to each object of a stack.
        containers: The containers of the account, as they are listed now.
        reads: The secrets that the program's functions read: pairs of a container's resource name and a class of
            secret. No preview shows them.
        clients: Returns the clients of a VPN container, as they are listed now.

    Raises:
        InputError: A resource cannot be changed with permits: its kind or its container is not known.
    """
    table = _Table(tuple(map(_normal, changes)), {row.id: row for row in containers}, clients)
    for change in table.changes:
        if change.operation in _QUIET or not change.custom or change.kind is None:
            continue
        if change.operation == "unclear" or change.kind == UNRECOGNISED:
            raise InputError(
                f"{change.name!r}: the preview does not show what happens to it ({change.type}, "
                f"{', '.join(change.steps)}), so no permit can cover it"
            )
        if "import-replacement" in change.steps:
            raise InputError(
                f"{change.name!r}: it imports an object in place of the current one, and no permit covers that: import "
                "the object as a new resource, and remove the current one in a later change"
            )
        _OF_KIND[change.kind](table, change)
    for name, class_ in reads:
        if name not in {*table.known, *table.made}:
            raise InputError(f"--reads: the stack has no container {name!r}", code="invalid-argument")
        of = {"container_id": Constraint(of=(name,))}
        table.secrets.append(Secret(endpoint=READS[class_], ids=of))
    return table.needed


def _normal(change: Change) -> Change:
    """
    Return a change with property names in snake case. A replacement becomes a create if it deletes no old object,
    because that object was deleted earlier or is kept.
    """
    return dataclasses.replace(
        change,
        operation="create" if change.operation == "replace" and not change.id else change.operation,
        before=snake_case(change.before),
        after=snake_case(change.after),
        outputs=snake_case(change.outputs),
        made_from={_identifiers.snake_case(name): urns for name, urns in change.made_from.items()},
    )


@dataclass
class _Table:
    """
    The permits, containers and secrets that were found so far.

    Attributes:
        changes: All changes.
        rows: The containers of the account, by their ids.
        clients: Returns the clients of a VPN container.
        permits: The permits.
        known: The containers that exist, by their symbols.
        secrets: The secrets that are read.
        symbols: URN of a container's resource -> its symbol.
        made: The symbols of the containers that are created.
        uncertain: The symbols in `made` of containers that may be adopted or updated instead, because a value is not
            known yet.
        first: The containers that are deleted before their replacement is created.
        replaced: Container -> the symbol of its replacement.
        kept: URN -> the inputs of a container that leaves the stack, for example one that its replacement retains.
    """

    changes: Sequence[Change]
    rows: Mapping[str, Container]
    clients: Callable[[str], Iterable[VpnClient]]
    permits: list[Permit] = field(default_factory=list)
    known: dict[str, Known] = field(default_factory=dict)
    secrets: list[Secret] = field(default_factory=list)
    symbols: dict[str, str] = field(default_factory=dict)
    made: set[str] = field(default_factory=set)
    uncertain: set[str] = field(default_factory=set)
    first: set[Constraint] = field(default_factory=set)
    replaced: dict[Constraint, str] = field(default_factory=dict)
    kept: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        own = [one for one in self.changes if one.kind == "Container" and one.operation != "discard"]
        named = Counter(one.name for one in own)
        for one in own:
            if one.operation == "keep":
                self.kept.setdefault(one.urn, one.before)
            symbol = self.symbols[one.urn] = one.name if named[one.name] == 1 else one.urn
            adopted = text(one.after, ADOPTS)
            # A replacement that finds its own old container under its name adopts nothing: it deletes that container
            # first.
            is_adopted = isinstance(adopted, str) and one.operation in _MAKES and adopted != one.id
            if one.operation in _MAKES and not is_adopted:
                self.made.add(symbol)
            id_ = str(adopted) if is_adopted else one.id
            # The limits do not count a container that is gone and that no step changes.
            if id_ and (id_ in self.rows or one.operation != "same"):
                self.known[symbol] = self.container(id_, {} if is_adopted else one.outputs)
            exists = self._of_its_name(one) if symbol in self.made else None
            if exists is not None:
                self.uncertain.add(symbol)
                # This overwrites the entry of the old container: its name is different, so the create cannot adopt it.
                self.known[symbol] = self.container(exists, {})

    def _of_its_name(self, change: Change) -> str | None:
        """
        Return the id of the container that a create may adopt, depending on the create's unknown values; `None` if
        there is none.
        """
        name = text(change.after, "name")
        if text(change.after, "adopt") != "if_matching" or not isinstance(name, str):
            return None
        ids = (id_ for id_, row in self.rows.items() if same_name(row.name, name) and id_ != change.id)
        return next(ids, None)

    @property
    def needed(self) -> Needed:
        """The result with numbered permits. Containers that are not deleted first are deleted after all creates."""
        numbered = [
            msgspec.structs.replace(permit, n=number) for number, permit in enumerate(self.permits, start=1)
        ]
        makes = [one for one in numbered if one.endpoint == "containers.create"]

        def after(old: Constraint) -> tuple[int, ...]:
            # If a deletion waited for a create that does not happen, the deletion would never be permitted.
            own = self.replaced.get(old)
            return tuple(one.n for one in makes if one.binds == own or one.binds not in self.uncertain)

        ordered = [
            msgspec.structs.replace(one, after=after(one.ids["container_id"]))
            if one.endpoint == "containers.delete" and one.ids["container_id"] not in self.first
            else one
            for one in numbered
        ]
        return Needed(tuple(ordered), self.known, tuple(self.secrets))

    def container(self, id_: str, outputs: Mapping[str, Any]) -> Known:
        """
        Return a container that exists. If the creation times in the state and in the account differ, the time in the
        state is used.
        """
        row, stored = self.rows.get(id_), text(outputs, "created_at")
        created = stored if isinstance(stored, str) else None
        if row is None:
            return Known(id=id_, created_at=created)
        is_same = created is None or compare_instants(created, row.created_at)
        return Known(
            id=id_, created_at=row.created_at if is_same else created, template=row.template, plan=row.plan
        )

    def add(
        self,
        endpoint: str,
        ids: Mapping[str, Constraint],
        body: Mapping[str, Value] | None = None,
        times: int | None = 1,
        **more: Any,
    ) -> None:
        """Add a permit, or increase the count of an equal permit; the objects of both then share one symbol."""
        permit = Permit(n=0, endpoint=endpoint, ids=dict(ids), body=dict(body or {}), times=times, **more)
        for number, other in enumerate(self.permits):
            # The cheap comparison comes first, because a change may have thousands of permits.
            is_near = (other.endpoint, other.binds, other.ids) == (endpoint, permit.binds, permit.ids)
            if is_near and msgspec.structs.replace(other, times=times, why=permit.why) == permit:
                total = None if times is None or other.times is None else other.times + times
                self.permits[number] = msgspec.structs.replace(other, times=total)
                return
        self.permits.append(permit)

    def status(self, at: Constraint, status: str, why: str, times: int = 1) -> None:
        """Add a permit to start, stop or restart a container."""
        self.add("containers.set_status", {"container_id": at}, {"status": status}, times, why=why)

    def at(self, change: Change, name: str = "container") -> Constraint:
        """
        Return the constraint for the container that an input of a resource names.

        Raises:
            InputError: The container is unknown, so it could be any container.
        """
        value = known(text(change.after, name))
        if isinstance(value, str):
            return self.existing(value)
        urns = change.made_from.get(name, ())
        symbols = sorted(
            {self.symbols[urn] for urn in urns if urn in self.symbols} & {*self.known, *self.made}
        )
        if not symbols:
            raise InputError(
                f"{change.name!r}: its {name} is unknown until the change is applied, and does not come from a "
                "container of this stack. Write the id of the container, or make the change in two steps"
            )
        return Constraint(of=tuple(symbols))

    def existing(self, id_: str) -> Constraint:
        symbol = next((symbol for symbol, one in self.known.items() if one.id == id_), None)
        if symbol is None:
            symbol = id_
            self.known[symbol] = self.container(id_, {})
        return Constraint(of=(symbol,))

    def client(self, id_: str, outputs: Mapping[str, Any]) -> Constraint:
        """
        Return the constraint for a VPN client that exists. Its name may be used again, so its time counts. If the time
        in the state is that of an earlier client, it is used.
        """
        container, _, name = id_.partition("/")
        rows: Iterable[VpnClient] = ()
        with contextlib.suppress(NotFoundError):
            rows = self.clients(container)
        listed = next((row.created_at for row in rows if row.name == name), None)
        stored = text(outputs, "client_created_at")
        apart = seconds_between(stored, listed) if isinstance(stored, str) else None
        is_earlier = apart is not None and abs(apart) > SLACK
        return Constraint(is_=name, created_at=str(stored) if is_earlier else listed)

    def old(self, change: Change) -> Constraint:
        """Return the constraint for a child's container; the child's id in the state begins with the container's id."""
        return self.existing(change.id.partition("/")[0])


def _container(table: _Table, change: Change) -> None:
    after, symbol, name = change.after, table.symbols[change.urn], change.name
    me = Constraint(of=(symbol,))
    if change.operation in _ENDS:
        old = table.container(change.id, change.outputs)
        is_ = Constraint(is_=old.id, created_at=old.created_at) if old.created_at else table.existing(old.id)
        data = catalog.TEMPLATES[old.template].data if old.template in catalog.TEMPLATES else ""
        if change.deleted_first:
            table.first.add(is_)
        table.replaced[is_] = symbol
        table.add(
            "containers.delete",
            {"container_id": is_},
            destroys=", ".join([*([data] if data else []), "its volumes, its backups"]),
            why=f"delete {name}",
        )
    if change.operation == "delete":
        return
    # With retain_on_delete, a separate change keeps the replaced container.
    is_kept = change.urn in table.kept
    before = table.kept[change.urn] if is_kept else change.before
    # An unknown value may turn out unchanged: then the engine updates the resource and does not replace it.
    may_update = change.operation == "update" or (
        (change.operation == "replace" or is_kept) and any(map(is_unknown, after.values()))
    )
    if may_update and symbol in table.made:
        table.uncertain.add(symbol)
    if symbol in table.made:
        price = change.price_after
        body = {
            word: _number(after[word]) if word == "additional_storage_tier" else _value(after[word])
            for word in ("template", "plan", "additional_storage_tier", "discount_code")
            if after.get(word) is not None
        }
        table.add(
            "containers.create",
            {},
            {"name": _value(after.get("name", UNKNOWN)), **body},
            binds=symbol,
            usd=f"{price.high:.2f}" if price.exact else None,
            why=f"create {name}",
        )
    # A new container also needs this permit: the next `up` starts it if its boot has failed.
    table.status(me, "running", f"start {name}, if it has failed or is stopped", 2)
    wanted = after.get("external_access")
    is_new = symbol in table.made and symbol not in table.uncertain
    if wanted is not None and not (is_new and wanted is False):
        stays = change.operation == "update" and wanted is True and is_open(change.outputs)
        if not stays:
            shown = "on" if wanted is True else "off" if wanted is False else "not known"
            words = f"external access of {name}: {shown}"
            table.add(
                "containers.external_access", {"container_id": me}, {"enabled": _value(wanted)}, why=words
            )
    if may_update and _differs(before, after, "restart_triggers"):
        table.status(me, "restart", f"restart {name}")
    if after.get("desired_status") == "stopped":
        table.status(me, "stopped", f"stop {name}")


def _connection(table: _Table, change: Change) -> None:
    if change.operation in _ENDS:
        former, _, own = change.id.partition("/")
        table.add(
            "connections.delete",
            {"connection_id": _listed(table, own, former, change.outputs)},
            why=f"remove {change.name}",
        )
    if change.operation == "delete":
        return
    source = table.at(change, "source")
    if change.operation in _MAKES and not isinstance(text(change.after, ADOPTS), str):
        table.add(
            "connections.create",
            {"source_id": source, "target_id": table.at(change, "target")},
            {"connectionName": _value(change.after.get("name", UNKNOWN))},
            why=f"connect {change.name}",
        )
    if change.after.get("restart_source") is not False:
        # The source restarts once, after its last new connection. Any new connection can be the last one.
        table.status(source, "restart", "restart the source of a new connection")


def _allowed_ip(table: _Table, change: Change) -> None:
    after, name = change.after, change.name
    places: list[Constraint] = []
    if change.operation != "delete":
        at = table.at(change)
        places.append(at)
        address, entry = after.get("ip_address"), {word: _value(after.get(word, UNKNOWN)) for word in _ENTRY}
        # If the API refuses a listed address, the provider deletes the entry and adds it again.
        times = 1 if change.operation == "create" else 2
        table.add("allowed_ips.add", {"container_id": at}, entry, times, why=f"allow {name}")
        if isinstance(known(address), str):
            table.add(
                "allowed_ips.remove",
                {"container_id": at, "ip_id": Constraint(address=str(address))},
                times=None,
                why=f"remove other entries of the address of {name}",
            )
        if change.operation == "update":
            former = {word: _value(change.before.get(word, UNKNOWN)) for word in _ENTRY}
            if former != entry:
                table.add(
                    "allowed_ips.add",
                    {"container_id": at},
                    former,
                    why=f"add the old entry of {name} again, if the change is refused",
                )
        if after.get("revoke_auto_added"):
            table.add(
                "allowed_ips.remove",
                {"container_id": at, "ip_id": Constraint(caller=True)},
                times=2,
                why="remove the address that the platform adds for the caller",
            )
    if change.operation in _ENDS:
        gone, address = table.old(change), change.id.partition("/")[2]
        places.append(gone)
        table.add(
            "allowed_ips.remove",
            {"container_id": gone, "ip_id": Constraint(address=address)},
            times=None,
            why=f"remove {name}",
        )
        # The API does not remove the last entry, so the provider switches external access off instead.
        table.add(
            "containers.external_access",
            {"container_id": gone},
            {"enabled": False},
            only_address=address,
            why=f"turn external access off, if {name} is the last address",
        )
    for place in dict.fromkeys(places):
        _placeholder(table, place, is_added=change.operation in {"update", "replace"})


def _placeholder(table: _Table, at: Constraint, *, is_added: bool) -> None:
    """Add the permits for the placeholder, because the list must not be empty while its only entry changes."""
    if is_added:
        table.add(
            "allowed_ips.add",
            {"container_id": at},
            _PLACEHOLDER,
            why="add a placeholder address, which no machine has (RFC 5737)",
        )
    table.add(
        "allowed_ips.remove",
        {"container_id": at, "ip_id": Constraint(address=_PLACEHOLDER["ip_address"])},
        times=None,
        why="remove the placeholder address",
    )


def _pinned_backup(table: _Table, change: Change) -> None:
    outs, name = change.outputs, change.name
    if change.operation in _ENDS:
        ending = text(outs, "on_delete") or text(change.before, "on_delete") or "unpin"
        endpoint = {"unpin": "backups.unpin", "delete": "backups.delete"}.get(str(ending))
        number = outs.get("backup_id")
        if endpoint is not None and number is not None:
            table.add(
                endpoint,
                {"backup_id": _listed(table, _words(number), change.id.partition("/")[0], outs)},
                why=f"{ending} {name}",
            )
    if change.operation == "delete":
        return
    named = change.after.get("backup_id")
    if change.operation in _MAKES and named is None:
        at, symbol = table.at(change), _symbol_of_backup(table, change)
        new = {"backup_id": Constraint(new_backup_of=symbol)}
        table.add("backups.trigger", {"container_id": at}, binds=symbol, why=f"make the backup {name}")
        table.add("backups.pin", new, times=None, why=f"pin {name}")
        table.add("backups.unpin", new, times=None, why=f"unpin {name}, if it is not kept")
        return
    number = outs.get("backup_id") if named is None else named
    if number is not None:
        row = outs if change.operation == "update" else {}
        table.add(
            "backups.pin", {"backup_id": _backup(table, change, number, row)}, times=None, why=f"pin {name}"
        )


def _backup_restore(table: _Table, change: Change) -> None:
    if change.operation == "delete":
        return
    number = change.after.get("backup_id")
    table.add(
        "backups.restore",
        {"backup_id": _backup(table, change, number, {})},
        destroys="all data of the backup's container",
        why=f"restore {change.name}",
    )


def _backup(table: _Table, change: Change, number: Any, outputs: Mapping[str, Any]) -> Constraint:
    """
    Return the constraint for the backup that an input names: a listed backup, or the backup that this change creates.
    """
    if not is_unknown(number) and not is_hidden(number):
        pins = [one for one in table.changes if one.kind == "PinnedBackup" and one.id]
        of = next((one for one in pins if _words(one.outputs.get("backup_id")) == _words(number)), None)
        if of is not None:
            return _listed(table, _words(number), of.id.partition("/")[0], outputs or of.outputs)
        container = text(change.after, "container")
        if isinstance(container, str) and isinstance(known(container), str):
            return _listed(table, _words(number), str(known(container)), {})
        return Constraint(is_=_words(number))
    urns = change.made_from.get("backup_id", ())
    pins = [one for one in table.changes if one.urn in urns and one.kind == "PinnedBackup"]
    if len(pins) != 1:
        raise InputError(
            f"{change.name!r}: its backup is unknown until the change is applied. Make the change in two steps"
        )
    if pins[0].operation not in _MAKES:
        # An update of a pin keeps the pin's backup, although the preview shows the outputs as unknown.
        outs = pins[0].outputs
        return _listed(table, _words(outs["backup_id"]), pins[0].id.partition("/")[0], outs)
    return Constraint(new_backup_of=_symbol_of_backup(table, pins[0]))


def _symbol_of_backup(table: _Table, change: Change) -> str:
    """Return the symbol that all new backups of a container share: a request for a backup does not name a resource."""
    return f"{' or '.join(table.at(change).of)} (backup)"


def _ssh_certificate(table: _Table, change: Change) -> None:
    if change.operation == "delete":
        return
    at = {"container_id": table.at(change)}
    table.secrets.append(Secret(endpoint="containers.certificate", ids=at))
    if change.operation == "update" and _differs(change.before, change.after, "rotate_triggers"):
        # The request may be repeated, because an answer may be lost.
        table.add(
            "containers.regenerate_certificate", at, times=3, why=f"create a new SSH key for {change.name}"
        )


def _vpn_client(table: _Table, change: Change) -> None:
    after = change.after
    if change.operation in _ENDS:
        ids = {"vpn_container_id": table.old(change), "client_name": table.client(change.id, change.outputs)}
        table.add("vpn_clients.remove", ids, why=f"remove {change.name}")
    if change.operation == "delete":
        return
    at = table.at(change)
    if change.operation in _MAKES and not isinstance(text(after, ADOPTS), str):
        table.add(
            "vpn_clients.add",
            {"vpn_container_id": at},
            {"name": _value(after.get("name", UNKNOWN))},
            why=f"add {change.name}",
        )
    name, adopted = known(after.get("name")), text(after, ADOPTS)
    if after.get("store_config") is False or not isinstance(name, str):
        return
    if isinstance(adopted, str):
        clients = [table.client(adopted, {})]
    elif change.operation not in _MAKES:
        clients = [table.client(change.id, change.outputs)]
    else:
        clients = [Constraint(is_=name)]
        exists = [table.known[symbol].id for symbol in at.of if symbol in table.known]
        if change.operation == "create" and exists:
            # A client that an interrupted `up` has added is adopted.
            left = table.client(f"{exists[0]}/{name}", {})
            clients += [left] if left.created_at else []
    for client in clients:
        table.secrets.append(
            Secret(endpoint="vpn_clients.config", ids={"vpn_container_id": at, "client_name": client})
        )


_OF_KIND: Final[Mapping[str, Callable[[_Table, Change], None]]] = {
    "AllowedIp": _allowed_ip,
    "BackupRestore": _backup_restore,
    "Connection": _connection,
    "Container": _container,
    "PinnedBackup": _pinned_backup,
    "SshCertificate": _ssh_certificate,
    "VpnClient": _vpn_client,
}


def _listed(table: _Table, id_: str, container: str, outputs: Mapping[str, Any]) -> Constraint:
    """Return the constraint for an object in a container's list, with the creation time from the state."""
    created = known(outputs.get("created_at"))
    (symbol,) = table.existing(container).of
    return Constraint(is_=id_, in_=symbol, created_at=created if isinstance(created, str) else None)


def _value(value: Any) -> Value:
    """Return an input as it appears in a request's body; an unknown value becomes `ANY`."""
    seen = known(value)
    return ANY if seen is UNKNOWN or not isinstance(seen, str | int | bool) else seen


def _number(value: Any) -> Value:
    """Return a number as an integer if it is whole: the engine may write integers as floats."""
    return int(value) if isinstance(value, float) and value.is_integer() else _value(value)


def _words(value: Any) -> str:
    return str(_number(value)) if isinstance(value, int | float) else str(value)


def _differs(before: Mapping[str, Any], after: Mapping[str, Any], name: str) -> bool:
    """Return whether an input changes or may change: a secret may, because a preview hides it."""
    return (
        before.get(name) != after.get(name)
        or "[secret]" in str(after.get(name))
        or is_hidden(after.get(name))
    )
