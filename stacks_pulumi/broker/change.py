"""
Which data does a `change.json` contain, and is it well formed?

A change is a list of permits. A permit allows one changing request, with constraints and a count; all other requests
are refused. The document is shown, signed and stored. It is strict JSON: duplicate fields, unknown fields and fractions
are refused.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Final, Literal, NamedTuple, NoReturn, TypeAlias

import msgspec

from stacks_pulumi._identifiers import canonical_network, seconds_of
from stacks_pulumi._structs import convert
from stacks_pulumi.endpoints import ENDPOINTS, Endpoint
from stacks_pulumi.errors import StacksError

LONGEST: Final = 4 * 1024 * 1024
"""The maximum size in bytes of a change with its signatures."""

_MOST: Final = 2000
"""The maximum number of permits in a change."""
_DEEPEST: Final = 12
_LONGEST_TTL: Final = 24 * 3600
_VARIABLE: Final = re.compile(r"\{(\w+)\}")
STACK: Final = re.compile(r"[\w.-]{1,100}/[\w.-]{1,100}", re.ASCII)
"""The stack names that the engine accepts. In ASCII, no two names look alike, and no name is written right to left."""
REQUEST: Final = re.compile(r"r-[0-9a-f]{1,20}")
"""The pattern of the id of an access request."""

Kind: TypeAlias = Literal["Container", "Connection", "AllowedIp", "VpnClient", "Backup", "Pin", ""]


class Effect(NamedTuple):
    """
    The effect of a changing request.

    Attributes:
        makes: The kind of object that it creates.
        removes: The kind of object that it removes.
        object: The path variable that names the removed object.
        fields: The fields that its body may contain.
        opens: Whether it opens access, unless its body has `"enabled": false`.
        doubt: The state of a request with an unknown outcome. `void`: a repetition has the same effect, so the request
            is treated as not done. `done`: it is treated as done. `unknown`: the broker looks for the object that it
            may have created.
        again: Whether the broker may send it again if the object is not found.
    """

    makes: Kind = ""
    removes: Kind = ""
    object: str = ""
    fields: tuple[str, ...] = ()
    doubt: Literal["void", "done", "unknown"] = "void"
    again: bool = False
    opens: bool = False


CREATE: Final = "containers.create"
CONTAINER: Final = ("name", "template", "plan", "additional_storage_tier", "discount_code")
EFFECTS: Final[Mapping[str, Effect]] = {
    CREATE: Effect("Container", fields=CONTAINER, doubt="unknown", again=True),
    "containers.set_status": Effect(fields=("status",)),
    "containers.delete": Effect(removes="Container", object="container_id"),
    "containers.regenerate_certificate": Effect(doubt="done", opens=True),
    "containers.external_access": Effect(fields=("enabled",), opens=True),
    "allowed_ips.add": Effect(
        "AllowedIp",
        fields=("ip_address", "description", "service_type"),
        doubt="unknown",
        again=True,
        opens=True,
    ),
    "allowed_ips.remove": Effect(removes="AllowedIp", object="ip_id"),
    "connections.create": Effect("Connection", fields=("connectionName",), doubt="unknown", again=True),
    "connections.delete": Effect(removes="Connection", object="connection_id"),
    "backups.trigger": Effect("Backup", doubt="unknown"),
    "backups.restore": Effect(doubt="done"),
    "backups.pin": Effect("Pin"),
    "backups.unpin": Effect(removes="Pin", object="backup_id"),
    "backups.delete": Effect(removes="Backup", object="backup_id"),
    "vpn_clients.add": Effect("VpnClient", fields=("name",), doubt="unknown", again=True, opens=True),
    "vpn_clients.remove": Effect(removes="VpnClient", object="client_name"),
}
"""All changing endpoints. A test compares them with `endpoints`."""
REMOVALS: Final[Mapping[Kind, str]] = {
    effect.removes: name for name, effect in EFFECTS.items() if effect.removes
}
"""Kind -> the endpoint that removes an object of this kind. Each kind has one."""

CONFIG: Final = "vpn_clients.config"
"""A read of a VPN client's configuration. Its ids contain the client's name, although its path does not."""

SECRETS: Final[Mapping[str, str]] = {
    "containers.logs": "logs",
    "containers.credentials": "credentials",
    "containers.certificate": "certificate",
    CONFIG: "vpn-config",
}
"""
The endpoints that read secrets, each with its class of secret. All other reads are `inventory`, which every grant may
read.
"""

CONTAINERS: Final = frozenset({"container_id", "source_id", "target_id", "vpn_container_id"})
"""The path variables that name a container."""

_FORMS: Final[Mapping[str, tuple[str, ...]]] = {
    "ip_id": ("is", "of", "address", "caller"),
    "backup_id": ("is", "of", "new_backup_of"),
    "client_name": ("is",),
}
"""Path variable -> the forms of constraint that it may have; by default `is` and `of`."""
_CLEARS_UP: Final = frozenset({"AllowedIp", "Pin"})
"""The kinds whose permits may have no count. Rules and people count the objects of all other kinds."""

ANY: Final = {"any": True}
"""The placeholder in a permit's body for a value that was unknown at the approval and was accepted as unknown."""

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]
Dollars = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,9}(\.[0-9]{1,2})?\Z")]
Value: TypeAlias = str | int | bool | dict[str, bool]


class ChangeError(StacksError):
    """Raised if a change is not well formed."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="invalid-file")


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A part of the document."""


class Constraint(_Part, frozen=True, rename={"is_": "is", "in_": "in"}):
    """
    The ids that a path variable may have. Exactly one of the first five attributes is set.

    Attributes:
        is_: This id.
        of: An object with one of these symbols that this grant created or that `known` contains.
        address: The entry of this address in the container's list of allowed addresses.
        caller: An entry of the broker's address, whoever added it, or an entry that the platform added for a caller.
        new_backup_of: The backup that this grant triggered and that is bound to this symbol.
        created_at: The creation time of the object that `is` names. The platform must list this time when the request
            is sent. Without it, the name of a VPN client means only a client that this grant has added.
        in_: The symbol of the container in `known` that must list this object. Without it, no list is read.
    """

    is_: Text | None = None
    of: tuple[Text, ...] = ()
    address: Text | None = None
    caller: bool = False
    new_backup_of: Text | None = None
    created_at: Text | None = None
    in_: Text | None = None


class Known(_Part, frozen=True):
    """
    A container that existed before the change and has a symbol.

    Attributes:
        id: Its id.
        created_at: Its creation time; left out on a platform without creation times.
        template: Its template. On a platform without creation times, template and plan identify the container.
        plan: Its plan.
    """

    id: Text
    created_at: Text | None = None
    template: str | None = None
    plan: str | None = None


class Permit(_Part, frozen=True):
    """
    One request that may be sent and that would change something.

    Attributes:
        n: Its number.
        endpoint: The endpoint.
        ids: For each path variable, the ids that it may have.
        body: The exact body; a value `{"any": true}` was accepted as unknown.
        times: How often it may take effect; `None` for any number while the grant is valid.
        binds: The symbol (a URN) that is bound to the created object.
        after: The permits that must be used first.
        only_address: For a request that closes external access: the only address that may still be listed.
        usd: The increase in the monthly price according to the planner. The broker computes the price itself.
        destroys: The data that it destroys, according to the planner.
        why: The reason, for a human reader. If the permit is from a budget's access request, this is the id of that
            request.
    """

    n: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
    endpoint: Text
    ids: dict[str, Constraint] = {}
    body: dict[str, Value] = {}
    times: Annotated[int, msgspec.Meta(ge=1, le=1000)] | None = 1
    binds: Text | None = None
    after: tuple[int, ...] = ()
    only_address: Text | None = None
    usd: Dollars | None = None
    destroys: str = ""
    why: str = ""

    @property
    def is_loose(self) -> bool:
        """Whether its body contains an unknown value."""
        return ANY in self.body.values()


class Secret(_Part, frozen=True):
    """
    One secret that may be read.

    Attributes:
        endpoint: A read of `SECRETS`.
        ids: For each path variable, the ids that it may have; for a VPN configuration, also `client_name`.
        query: Its exact query, without the name of a VPN client.
    """

    endpoint: Text
    ids: dict[str, Constraint]
    query: dict[str, str] = {}


class Ceiling(_Part, frozen=True):
    """
    The highest monthly prices that are approved, in US dollars.

    Attributes:
        increase: The most that the completed change adds.
        at_any_moment: The most that its creates may cost before its deletions have happened.
    """

    increase: Dollars
    at_any_moment: Dollars | None = None

    @property
    def most(self) -> Decimal:
        """The most that the creates of the change may cost at any moment."""
        return Decimal(self.at_any_moment or self.increase)


class Reported(msgspec.Struct, frozen=True):
    """
    One finding of a planner's rule.

    Attributes:
        rule: Its name. It is shown before the text, so it must not look like the words of the broker.
        action: The effect: an approval is needed, or the change is refused.
        text: The finding in words.
    """

    rule: Annotated[str, msgspec.Meta(pattern=r"^[\w.<>-]{1,100}\Z")]
    action: Literal["approve", "refuse"]
    text: str


class _Preview(msgspec.Struct, frozen=True):
    """The part of the planner's report that a broker adds to its own findings."""

    findings: tuple[Reported, ...] = ()


class Change(_Part, frozen=True):
    """
    A change: the document that approvers sign.

    Attributes:
        version: The version of the format.
        stack: The stack that the requester states, as PROJECT/STACK.
        account: The number of the broker that the change is for.
        until: The last instant at which it can be submitted.
        nonce: A string that no other change contains.
        ttl: For how many seconds its grant may send changing requests.
        ceiling: The highest approved prices. Without it, any price is approved.
        known: The existing containers, by symbol.
        permits: The requests that may be sent.
        secrets: The secrets that may be read, in addition to the inventory.
        author: The author of the change, as `Name <address>`.
        request: The id of the access request that the change answers.
        preview: The planner's report. The broker reads only its findings.
    """

    version: Literal[1]
    stack: Text
    account: Text
    until: Text
    nonce: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{16,100}\Z")]
    permits: tuple[Permit, ...]
    ttl: Annotated[int, msgspec.Meta(ge=60, le=_LONGEST_TTL)] = 3600
    ceiling: Ceiling | None = None
    known: dict[Text, Known] = {}
    secrets: tuple[Secret, ...] = ()
    author: str = ""
    request: Annotated[str, msgspec.Meta(pattern=rf"^{REQUEST.pattern}\Z")] | None = None
    preview: Any = None

    @property
    def ends(self) -> float:
        """The last instant at which the change can be submitted (seconds since the Unix epoch)."""
        return seconds_of(self.until) or 0.0

    @property
    def bytes(self) -> bytes:
        """The document in canonical form, which a planner writes and an approver signs."""
        return canonical(msgspec.to_builtins(self))

    @property
    def is_loose(self) -> bool:
        """Whether one of its requests contains an unknown value."""
        return any(one.is_loose for one in self.permits)

    @property
    def reported(self) -> tuple[Reported, ...]:
        """The planner's findings about steps that send no request to STACKS."""
        return _reported_in(self.preview)

    @property
    def constraints(self) -> list[tuple[str, Constraint]]:
        """All constraints on ids, each with its path variable."""
        parts: tuple[Permit | Secret, ...] = (*self.permits, *self.secrets)
        return [one for part in parts for one in part.ids.items()]

    @property
    def literal_ids(self) -> frozenset[str]:
        """The ids of the existing containers that the change names: in `known`, in its permits and in its secrets."""
        named = {constraint.is_ for name, constraint in self.constraints if name in CONTAINERS}
        return frozenset(filter(None, named)) | {known.id for known in self.known.values()}


def canonical(value: Any) -> bytes:
    """Return JSON in canonical form: UTF-8, with sorted keys, without spaces, and with a final newline."""
    return (json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n").encode()


def digest(data: bytes) -> str:
    """Return the SHA-256 of some bytes, in hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def strict_json(data: bytes, longest: int) -> Any:
    """
    Return the content of a JSON text; refuse a text that two parsers could read differently.

    Raises:
        ChangeError: The text is too long, is not JSON in UTF-8, has a duplicate field or a fraction, or is nested too
            deeply.
    """
    if len(data) > longest:
        raise ChangeError(f"it has more than {longest} bytes")
    try:
        value = json.loads(
            data.decode("utf-8"), object_pairs_hook=_once, parse_constant=_refuse, parse_float=_refuse
        )
        _check_depth(value)
        # A lone surrogate cannot be encoded in UTF-8.
        canonical(value)
    except RecursionError:
        raise ChangeError("it is nested too deeply") from None
    except ValueError as error:
        raise ChangeError(f"it is not strict JSON: {error}") from None
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a field occurs twice")
    return made


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"{text[:20]} is not a whole number")


def _check_depth(value: Any, left: int = _DEEPEST) -> None:
    if left < 0:
        raise RecursionError
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for one in inner:
        _check_depth(one, left - 1)


def read_change(data: bytes) -> Change:
    """
    Return the change that the bytes of a `change.json` contain.

    Raises:
        ChangeError: The change is not well formed; the message names the place.
    """
    value = strict_json(data, LONGEST)
    try:
        change = convert(value, Change)
    except msgspec.ValidationError as error:
        raise ChangeError(str(error)) from None
    _check(change)
    return change


def _reported_in(preview: Any) -> tuple[Reported, ...]:
    try:
        return () if preview is None else convert(preview, _Preview).findings
    except msgspec.ValidationError as error:
        raise ChangeError(f"its `preview` cannot be read: {error}") from None


def _check(change: Change) -> None:
    _reported_in(change.preview)
    if not STACK.fullmatch(change.stack):
        raise ChangeError(f"its stack {change.stack!r} is not PROJECT/STACK")
    if seconds_of(change.until) is None:
        raise ChangeError("its `until` is not a valid time")
    numbers = [permit.n for permit in change.permits]
    bound = [permit.binds for permit in change.permits if permit.binds is not None]
    if len(set(numbers)) != len(numbers) or len(numbers) > _MOST:
        raise ChangeError(f"its permits need unique numbers, and at most {_MOST} permits are allowed")
    if len(set(bound)) != len(bound):
        raise ChangeError("two of its permits bind the same symbol")
    symbols = {*bound, *change.known}
    for permit in change.permits:
        problem = _problem(permit, symbols, change.known, numbers)
        if not problem and permit.endpoint == CREATE and permit.is_loose and change.ceiling is None:
            problem = "its price has no upper bound, so it needs a ceiling"
        if problem:
            raise ChangeError(f"its permit {permit.n} ({permit.endpoint}): {problem}")
    for secret in change.secrets:
        problem = (
            "it does not read a secret"
            if secret.endpoint not in SECRETS
            else _wrong_ids(ENDPOINTS[secret.endpoint], secret.ids, symbols, change.known)
        )
        if problem:
            raise ChangeError(f"its secret {secret.endpoint}: {problem}")


def _problem(permit: Permit, symbols: set[str], known: Mapping[str, Known], numbers: list[int]) -> str:
    effect = EFFECTS.get(permit.endpoint)
    if effect is None:
        return "there is no changing endpoint with this name"
    if permit.body.keys() - {*effect.fields}:
        return f"its body may have only these fields: {', '.join(effect.fields) or 'none'}"
    if any(isinstance(value, dict) and value != ANY for value in permit.body.values()):
        return 'each value of its body must be a plain value or {"any": true}'
    if permit.times is None and not _CLEARS_UP & {effect.makes, effect.removes}:
        return "it needs `times`: only permits for allowed addresses and pins may leave the count out"
    if permit.binds is not None and not effect.makes:
        return "it has `binds`, but it creates no object"
    is_closing = permit.endpoint == "containers.external_access" and permit.body.get("enabled") is False
    if permit.only_address is not None and not (is_closing and canonical_network(permit.only_address)):
        return "`only_address` must be an address, and is allowed only for closing external access"
    if any(n not in numbers or n == permit.n for n in permit.after):
        return "its `after` names a permit that does not exist"
    return _wrong_ids(ENDPOINTS[permit.endpoint], permit.ids, symbols, known)


def _wrong_ids(
    endpoint: Endpoint, ids: Mapping[str, Constraint], symbols: set[str], known: Mapping[str, Known]
) -> str:
    if {*ids} != {*variables(endpoint)}:
        return f"its ids must be {', '.join(variables(endpoint)) or 'none'}"
    for name, one in ids.items():
        given, forms = {*msgspec.to_builtins(one)} - {"created_at", "in"}, _FORMS.get(name, ("is", "of"))
        if len(given) != 1 or not given <= {*forms}:
            return f"{name} needs exactly one of: {', '.join(forms)}"
        if (one.created_at or one.in_) and one.is_ is None:
            return f"{name}: `created_at` and `in` are allowed only with `is`"
        if one.is_ and name in CONTAINERS and one.created_at is None:
            return (
                f"{name}: a container needs its `created_at`; on a platform without creation times, list it in "
                "`known`"
            )
        if one.in_ and name not in {"backup_id", "connection_id"}:
            return f"{name}: `in` is allowed only for objects whose container is not in the path"
        if one.in_ and one.in_ not in known:
            return f"{name}: `in` must be the symbol of a container in `known`"
        if one.created_at and name not in {*CONTAINERS, "client_name"} and one.in_ is None:
            return f"{name}: `in` must name the container that lists the object"
        if one.address and canonical_network(one.address) is None:
            return f"{name}: {one.address!r} is not an address"
        if {*one.of, *filter(None, [one.new_backup_of])} - symbols:
            return f"{name} has a symbol that no permit binds and that is not in `known`"
    return ""


def containers_in(ids: Mapping[str, str]) -> tuple[str, ...]:
    """Return the ids of the containers in a path."""
    return tuple(id_ for name, id_ in ids.items() if name in CONTAINERS)


def variables(endpoint: Endpoint) -> tuple[str, ...]:
    """Return the variables of an endpoint's path, in order; for a VPN configuration, also the client's name."""
    return (*_VARIABLE.findall(endpoint.path), *(["client_name"] if endpoint.name == CONFIG else []))


def instant(seconds: float) -> str:
    """Return a time (seconds since the Unix epoch) in the format that a change uses, in whole seconds."""
    moment = datetime.datetime.fromtimestamp(int(seconds), datetime.timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
