"""
Who sent which request, what was its outcome, and was a line changed afterwards?

Each line contains the digest of the previous line. Another machine may store the digest of the last line as an anchor.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Sequence

from stacks_pulumi.broker.ledger import Grant, Ledger, insert


def write(
    ledger: Ledger,
    db: sqlite3.Connection,
    grant: Grant | None,
    request: tuple[str, str, str],
    *,
    decision: str,
    status: int,
    seconds: float = 0.0,
) -> None:
    """
    Add a line within a transaction of the ledger. `request` is the method, the path and the body.

    `grant` is `None` for a client without a token.
    """
    who = ("-", "-") if grant is None else (grant.id, grant.holder)
    names = ("at", "grant_id", "holder", "method", "path", "body", "decision", "status", "ms")
    # SQLite stores -0.0 as 0.0, which has a different digest.
    values = (ledger.now(), *who, *request, decision, status, abs(round(seconds * 1000, 1)))
    before = db.execute("select chain from journal order by id desc limit 1").fetchone()
    chain = _chain("" if before is None else before["chain"], values)
    insert(db, "journal", **dict(zip(names, values, strict=True)), chain=chain)


def broken(ledger: Ledger, anchor: tuple[int, str] | None = None) -> str:
    """
    Describe the first line of the journal that was changed afterwards; empty if no line was changed.

    `anchor` is the number and the digest of a line that another machine has stored.
    """
    chain, number = "", 0
    for number, row in enumerate(ledger.rows("select * from journal order by id"), start=1):
        chain = _chain(chain, list(row)[1:-1])
        if row["id"] != number or row["chain"] != chain:
            return f"line {number} was changed, removed or moved"
        if anchor is not None and anchor[0] == number and anchor[1] != chain:
            return f"line {number} differs from the anchor"
    return "the last lines were removed" if anchor is not None and anchor[0] > number else ""


def last(ledger: Ledger) -> tuple[int, str]:
    """Return the number and the digest of the last line."""
    found = ledger.rows("select id, chain from journal order by id desc limit 1")
    return (int(found[0]["id"]), str(found[0]["chain"])) if found else (0, "")


def _chain(before: str, values: Sequence[object]) -> str:
    return hashlib.sha256(json.dumps([before, *values]).encode()).hexdigest()
