"""
What has happened, and what is reserved? The ledger is the only state of a broker, in one SQLite file.

Rows are only added; their states may change. A transaction takes the write lock first, so two requests or processes
never use the same count. The transaction is on the disk before the request is sent. The ledger contains no secret.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from stacks_pulumi._clock import Clock
from stacks_pulumi._identifiers import compare_instants
from stacks_pulumi._structs import convert, decode
from stacks_pulumi.broker.change import CREATE, EFFECTS, Kind, Known, Permit, Secret, canonical
from stacks_pulumi.config import GRANT
from stacks_pulumi.errors import StacksError

FILE: Final = "ledger.sqlite"
PARENTS: Final = ("container_id", "source_id", "vpn_container_id")
"""The path variables that name the container of an object."""
DAY: Final = 86400.0
UNDER_WAY: Final = 30.0
"""Seconds for which the platform may still carry out a request after the broker was killed."""
LOST: Final = "(state in ('sent', 'unknown') or status in (0, 408) or status >= 500)"
"""The condition for a use without an answer: its request may have been carried out, or may be carried out later."""

T = TypeVar("T")

_VERSION: Final = 4
"""The version of the tables. A ledger with a different version is refused."""
_SCHEMA: Final = f"""
create table meta(name text primary key, value text not null);
create table grants(id text primary key, kind text not null, holder text not null, stack text not null default '',
  policy text not null default '', spec text not null, token text not null unique, nonce text unique, statement text,
  approvals text not null default '[]', at real not null, until real not null, used real not null default 0,
  revoked real);
create table permits(id integer primary key, grant_id text not null, n integer not null, spec text not null,
  unique(grant_id, n));
create table uses(id integer primary key, grant_id text not null, stack text not null, policy text not null default '',
  permit integer, endpoint text not null, ids text not null default '{{}}', body text not null, state text not null,
  at real not null, ended real not null, attempts integer not null default 1, settled integer not null default 0,
  before text not null default '{{}}', binds text, usd text, status integer, answer text, object text, created_at text,
  claimed real);
create index uses_of_grant on uses(grant_id, endpoint);
create index uses_of_state on uses(state, endpoint, at);
create index uses_of_object on uses(object, endpoint);
create index uses_of_path on uses(ids, endpoint);
create index uses_of_settled on uses(settled);
create index uses_of_endpoint on uses(endpoint, settled);
create index uses_of_end on uses(ended);
create table requests(id text primary key, grant_id text not null, permit text not null, why text not null,
  at real not null, until real not null, state text not null default 'open', approvals text not null default '[]');
create table signatures(statement text not null, name text not null, signature text not null, ends real not null,
  primary key(statement, name));
create table journal(id integer primary key, at real not null, grant_id text not null, holder text not null,
  method text not null, path text not null, body text not null, decision text not null, status integer not null,
  ms real not null, chain text not null);
pragma user_version = {_VERSION};
"""

_MADE: Final[Mapping[Kind, str]] = {
    effect.makes: endpoint for endpoint, effect in EFFECTS.items() if effect.makes
}
"""Kind -> the endpoint that creates it. Each kind has one."""
_JSON: Final = frozenset({"spec", "ids", "body", "before", "approvals"})
"""The columns that are stored as JSON."""


class LedgerError(StacksError):
    """Raised if the ledger cannot be read or written. The broker then sends no request to the platform."""

    def __init__(self, why: object) -> None:
        super().__init__(f"the broker's ledger cannot be used: {why}", code="file-access")


class Spec(msgspec.Struct, frozen=True):
    """
    The settings of a grant, without its permits.

    Attributes:
        secrets: The classes of secrets that it may read.
        may_apply_free: Whether it may submit a change that needs no approval.
        known: For a change: for each symbol, the container that existed before the change.
        reads: For a change: the secrets that it may read.
        ceiling: For a change: the most that its creates may cost.
        free: For a change that needed no approval: the most that it may add to the monthly price.
        ttl: For a change: the seconds for which it may change something after it was submitted.
    """

    secrets: tuple[str, ...] = ()
    may_apply_free: bool = False
    known: dict[str, Known] = {}
    reads: tuple[Secret, ...] = ()
    ceiling: str | None = None
    free: str | None = None
    ttl: float = 0.0


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """
    A grant: the permission of one client until an end time.

    Attributes:
        id: Its id.
        kind: `read`, `change` or `budget`.
        holder: The name of its client.
        stack: The stack, as PROJECT/STACK; empty for none.
        policy: The policy of a budget; empty for other kinds.
        spec: Its settings, without the permits.
        approvals: The people who have signed it.
        at: The time at which it was created.
        until: The last time at which it may change something.
        used: The time at which its token was last used.
        revoked: The time at which it was revoked; `None` if it is not revoked.
    """

    id: str
    kind: str
    holder: str
    stack: str
    policy: str
    spec: Spec
    approvals: tuple[str, ...]
    at: float
    until: float
    used: float
    revoked: float | None = None


class Use(msgspec.Struct, frozen=True, kw_only=True):
    """
    One request that was sent, or may have been sent.

    Attributes:
        id: Its number.
        grant_id: The grant; `-` if an administrator has assigned a container that no grant created to a stack.
        stack: The stack of the grant, which owns the created object. An administrator may assign a container to another
            stack.
        policy: The policy of the grant.
        permit: The number of its permit; `None` if it used a budget's own limits, or removed an object that the grant
            had created.
        endpoint: The endpoint.
        ids: The variables of its path.
        body: Its body.
        state: `sent`, `done`, `void`, `unknown`; `undone` if its grant removed the created object, and `gone` if the
            object was removed otherwise.
        at: The time at which it was reserved.
        ended: The time at which its last attempt ended.
        attempts: How often it was sent.
        before: The facts that were known before it was sent, such as the ids of the listed objects.
        binds: The symbol that is bound to the created object.
        usd: What it adds to the monthly price.
        status: The status of the answer.
        answer: The answer, if it may be repeated.
        object: The id of the created object; `None` if there is none.
        created_at: The creation time of the object according to the platform.
        claimed: The time at which an administrator assigned the container, or a container of the path, to a stack;
            `None` if no administrator has done so.
    """

    id: int
    grant_id: str
    stack: str
    policy: str
    permit: int | None
    endpoint: str
    ids: Mapping[str, str]
    body: Mapping[str, Any]
    state: str
    at: float
    ended: float
    attempts: int
    before: Mapping[str, Any]
    binds: str | None
    usd: str | None
    status: int | None
    answer: str | None
    object: str | None
    created_at: str | None
    claimed: float | None

    @property
    def price(self) -> Decimal | None:
        """What it adds to the monthly price; `None` if that is unknown, or if it adds nothing."""
        return None if self.usd is None else Decimal(self.usd)

    @property
    def makes(self) -> Kind:
        """The kind of object that it creates; empty if it creates none."""
        return EFFECTS[self.endpoint].makes

    @property
    def parent(self) -> str | None:
        """The id of the container to which the created object belongs."""
        return next((self.ids[name] for name in PARENTS if name in self.ids), None)

    @property
    def container(self) -> Known:
        template, plan = self.body.get("template"), self.body.get("plan")
        return Known(id=self.object or "", created_at=self.created_at, template=template, plan=plan)

    @property
    def parent_container(self) -> Known:
        """The container to which the created object belongs."""
        return Known(id=self.parent or "", created_at=self.before["parent_made"])

    @property
    def attempts_at(self) -> list[tuple[float, float]]:
        """
        The times of its attempts, by the platform's clock. What the waitlist creates later may also be a person's, so
        it counts for the limits only.
        """
        return [(began, min(ended, began + UNDER_WAY)) for began, ended in self.before["spans"]]


class Ledger:
    """
    The ledger in a file, which is created if it is missing.

    Args:
        path: The file.
        clock: The clock.
        account: The number of the broker for a new file; by default a random number.
    """

    def __init__(self, path: Path, clock: Clock, account: str | None = None) -> None:
        self.path, self._clock = path, clock
        self._lock = threading.RLock()
        try:
            # The mode is set at creation, so that no other user can open the file first.
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
            self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=10)
            self._db.row_factory = sqlite3.Row
            self._db.execute("pragma journal_mode=wal")
            self._db.execute("pragma synchronous=full")
            with self.writing() as db:
                version = db.execute("pragma user_version").fetchone()[0]
                if not db.execute("select 1 from sqlite_master").fetchone():
                    for statement in _SCHEMA.split(";"):
                        db.execute(statement)
                    version = _VERSION
                    db.execute("insert into meta values('account', ?)", (account or secrets.token_hex(8),))
        except (OSError, sqlite3.Error) as error:
            raise LedgerError(error) from None
        if version != _VERSION:
            self.close()
            raise LedgerError(
                f"it has version {version}, and this program reads {_VERSION}: use the stacks-pulumi that wrote it, or "
                "start a new folder with `stacks-pulumi broker init`"
            )
        self.account = str(self.rows("select value from meta where name = 'account'")[0]["value"])

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def now(self) -> float:
        """Return the time, in seconds since the Unix epoch."""
        return self._clock.wall()

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """
        Run one transaction, during which no other transaction changes anything.

        Raises:
            LedgerError: The transaction cannot begin or commit; the ledger is then unchanged.
        """
        with self._lock:
            try:
                # `with` commits at the end, and rolls back after any error.
                with self._db:
                    self._db.execute("begin immediate")
                    yield self._db
            except sqlite3.Error as error:
                raise LedgerError(error) from None

    def rows(self, sql: str, *values: object) -> list[sqlite3.Row]:
        try:
            with self._lock:
                return self._db.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise LedgerError(error) from None

    def _read(self, kind: type[T], table: str, where: str, values: Sequence[object]) -> list[T]:
        """Return the rows that meet a condition, oldest first."""
        # A grant's statement may have megabytes, and is not read with each grant.
        names = ", ".join(kind.__struct_fields__)  # type: ignore[attr-defined]  # each kind is a struct
        found = self.rows(f"select {names} from {table} where {where} order by rowid", *values)  # noqa: S608  (of this package)
        return [convert(_read_row(row), kind) for row in found]

    # Grants

    def issue(
        self, kind: str, holder: str, *, seconds: float, permits: Sequence[Permit] = (), **more: object
    ) -> tuple[str, str]:
        """
        Add a grant; return its id and its token, which is stored nowhere.

        Args:
            kind: Its kind.
            holder: The name of its client.
            seconds: For how long it may change something.
            permits: Its permits.
            more: More columns of its row, such as `stack` and `spec`.
        """
        id_, token, now = f"g-{self.random()}", self._token(), self.now()
        row = {"spec": Spec(), **more, "at": now, "until": now + seconds, "token": token_digest(token)}
        with self.writing() as db:
            insert(db, "grants", id=id_, kind=kind, holder=holder, **row)
            for permit in permits:
                insert(db, "permits", grant_id=id_, n=permit.n, spec=permit)
        return id_, token

    def renew(self, db: sqlite3.Connection, grant_id: str, until: float) -> str:
        """Give a grant a new token and a new end; the old token becomes invalid."""
        token = self._token()
        update(db, "grants", grant_id, token=token_digest(token), until=until, used=0)
        return token

    def random(self) -> str:
        """Return a random string, for use in an id."""
        return secrets.token_hex(5)

    def _token(self) -> str:
        return f"{GRANT}{self.account}{secrets.token_hex(20)}"

    def grants(self, where: str = "true", *values: object) -> list[Grant]:
        """Return the grants that meet a condition, oldest first, including ended and revoked grants."""
        return self._read(Grant, "grants", where, values)

    def grant(self, id_: str) -> Grant | None:
        return next(iter(self.grants("id = ?", id_)), None)

    def grant_of(self, token: str) -> Grant | None:
        return next(iter(self.grants("token = ?", token_digest(token))), None)

    def statement(self, grant_id: str) -> str:
        """Return the statement from which a grant was created; empty if there is none."""
        return str(self.rows("select statement from grants where id = ?", grant_id)[0]["statement"] or "")

    def author(self, grant_id: str) -> str:
        """Return the author of a grant's change; empty if there is none. Only this part of the statement is read."""
        author = "select json_extract(statement, '$.author') from grants where id = ?"
        return str(self.rows(author, grant_id)[0][0] or "")

    def keep(self, statement: str, name: str, signature: str, ends: float) -> None:
        """Keep a signature until the end of its change. `statement` is the digest of the change."""
        with self.writing() as db:
            db.execute("delete from signatures where ends < ?", (self.now(),))
            db.execute(
                "insert or replace into signatures values(?, ?, ?, ?)", (statement, name, signature, ends)
            )

    def kept(self, statement: str) -> list[str]:
        """Return the signatures that are kept for a change."""
        return [
            row["signature"]
            for row in self.rows("select signature from signatures where statement = ?", statement)
        ]

    def touch(self, grant: Grant) -> None:
        """Record that a token is in use. This is written at most every 15 seconds."""
        now = self.now()
        if not 0 <= now - grant.used < 15:
            with self.writing() as db:
                update(db, "grants", grant.id, used=now)

    def revoke(self, grant_id: str) -> bool:
        """Revoke a grant; return whether it exists."""
        grant = self.grant(grant_id)
        if grant is not None and grant.revoked is None:
            with self.writing() as db:
                update(db, "grants", grant_id, revoked=self.now())
        return grant is not None

    def permits(self, grant_id: str) -> list[Permit]:
        found = self.rows("select spec from permits where grant_id = ? order by n", grant_id)
        return [decode(row["spec"], Permit) for row in found]

    # Uses and objects

    def uses(self, where: str, *values: object) -> list[Use]:
        """Return the uses that meet a condition, oldest first."""
        return self._read(Use, "uses", where, values)

    def live(self, where: str, *values: object) -> list[Use]:
        """Return the uses that took effect or may have taken effect, and that meet a condition."""
        return self.uses(f"state in ('sent', 'unknown', 'done') and {where}", *values)

    def creates(self, where: str, *values: object) -> list[Use]:
        """Return the live uses that create a container and meet a condition."""
        return self.live(f"endpoint = '{CREATE}' and {where}", *values)

    def objects(self, where: str, *values: object) -> list[Use]:
        """Return the uses that meet a condition and whose objects still exist, according to the ledger."""
        return self.uses(f"state = 'done' and object is not null and ({where})", *values)

    def made(self, kind: Kind, where: str = "true", *values: object) -> list[Use]:
        """Return those uses from `objects` that created an object of a kind."""
        return self.objects(f"endpoint = ? and {where}", _MADE[kind], *values)

    def owner(self, container: str, created_at: str | None) -> str | None:
        """Return the stack that owns a container, by its id and creation time; `None` if the ledger knows none."""
        created = self.creator(container, created_at)
        return None if created is None else created.stack

    def creator(self, container: str, created_at: str | None) -> Use | None:
        """Return the last use whose object is this container; `None` if there is none."""
        found = self.made("Container", "object = ?", container)
        same = [one for one in found if compare_instants(one.created_at, created_at)]
        return same[-1] if same else None

    def claim(
        self, stack: str, id_: str, created_at: str | None, template: str | None, plan: str | None
    ) -> None:
        """Make a stack the owner of a container. A container of a policy still counts for the policy."""
        at, body = self.now(), {"template": template, "plan": plan}
        row = {"grant_id": "-", "stack": stack, "endpoint": CREATE, "body": body, "state": "done", "at": at}
        row |= {"ended": at, "object": id_, "created_at": created_at, "claimed": at}
        with self.writing() as db:
            made = self.made("Container", "object = ?", id_)
            same = {one.id: compare_instants(one.created_at, created_at) for one in made}
            for use in (use for use, is_same in same.items() if is_same is not False):
                update(db, "uses", use, stack=stack, claimed=at)
            if True not in same.values():
                insert(db, "uses", **row)
            # What a grant has made inside of the container is no longer its own either.
            inside = "exists(select 1 from json_each(ids) where value = ?)"
            db.execute(f"update uses set claimed = ? where {inside}", (at, id_))  # noqa: S608  (of this package)

    def settled(self, endpoint: str | None = None) -> int:
        """
        Return the number of the attempt that ended last, for all endpoints or for one. Each attempt receives the next
        number when it ends.
        """
        where, values = ("", ()) if endpoint is None else (" where endpoint = ?", (endpoint,))
        return int(self.rows(f"select coalesce(max(settled), 0) from uses{where}", *values)[0][0])  # noqa: S608  (of this package)

    @property
    def is_empty(self) -> bool:
        """Whether no grant has ever created anything, and no container has an owner."""
        return not self.rows("select 1 from uses limit 1")


def token_digest(token: str) -> str:
    """Return the digest of a token, which the ledger stores instead of the token."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def text_of(values: Mapping[str, Any]) -> str:
    """Return ids or a body as canonical JSON, in which 1 differs from true."""
    return canonical(values).decode()


def insert(db: sqlite3.Connection, table: str, **values: object) -> int:
    """Add a row to a table, and return its number. A structured value is stored as JSON."""
    marks = ", ".join("?" * len(values))
    sql = f"insert into {table}({', '.join(values)}) values({marks})"
    return db.execute(sql, [*map(_kept, values.values())]).lastrowid or 0


def update(db: sqlite3.Connection, table: str, id_: object, **values: object) -> None:
    columns = ", ".join(f"{name} = ?" for name in values)
    sql = f"update {table} set {columns} where id = ?"  # noqa: S608  (names of this package)
    db.execute(sql, [*map(_kept, values.values()), id_])


def _kept(value: object) -> object:
    if isinstance(value, (str, int, float, type(None))):
        return value
    return canonical(msgspec.to_builtins(value)).decode()


def _read_row(row: sqlite3.Row) -> dict[str, Any]:
    return {name: msgspec.json.decode(row[name]) if name in _JSON else row[name] for name in row.keys()}  # noqa: SIM118  (a row has no other way to its names)
