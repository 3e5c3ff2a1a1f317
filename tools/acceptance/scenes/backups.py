"""Backups of the compute container: triggered, pinned, restored, deleted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tools.acceptance.run import LASTING, Run

__all__ = ["backups"]

_LISTED: Final = "A backup that is in progress is listed"
_TWO: Final = "Two backups may be in progress"
_COUNTED: Final = "Backups in progress count"
_COMPLETE: Final = "Only a completed backup"


def backups(run: Run) -> None:
    """Two backups, from the request to their deletion."""
    id_ = run.main
    if id_ is None:
        return
    run.api.make_room(10)
    total = _total(run)
    trigger = run.api.call("backups.trigger", id_)
    status = trigger.data.get("status") if isinstance(trigger.data, Mapping) else None
    run.judge(
        "backups.trigger",
        "The answer is a 202",
        (trigger.status, status) == (202, "in_progress"),
        f"{trigger.describe()}, {status}",
    )
    _in_progress(run, id_, total)
    done = run.until(
        lambda: _rows(run, id_),
        lambda rows: bool(rows) and all(row.get("status") != "in_progress" for row in rows),
        "a backup",
    )
    if len(done) < 2:
        run.api.call("backups.trigger", id_)
        done = run.until(
            lambda: _rows(run, id_),
            lambda rows: len(rows) > 1 and all(row.get("status") != "in_progress" for row in rows),
            "a second backup",
        )
    run.same_creation("It stays the same over a backup.")
    _listing(run, id_, done)
    complete = [row for row in done if row.get("status") == "completed"]
    if not complete:
        msg = "no backup was completed"
        raise LookupError(msg)
    number = str(complete[0]["id"])
    _pin(run, id_, number)
    _restore(run, id_, number)
    run.api.call("backups.pin", number)
    deleted = run.api.call("backups.delete", number)
    run.form("backups.delete", deleted)
    run.judge("backups.delete", "A pinned backup", deleted.ok, deleted.describe())


def _in_progress(run: Run, id_: str, total: int | None) -> None:
    running = [row for row in _rows(run, id_) if row.get("status") == "in_progress"]
    if not running:
        reason = "no backup was seen in progress"
        seen = [str(row.get("status")) for row in _rows(run, id_)]
        run.skip("backups.trigger", _TWO, reason)
        run.skip("backups.list", _LISTED, f"{reason}; listed: {', '.join(seen) or 'none'}")
        run.skip("backups.stats", _COUNTED, reason)
        run.skip("backups.restore", _COMPLETE, reason)
        return
    run.judge("backups.list", _LISTED, holds=True, evidence="it is")
    now = _total(run)
    if total is not None and now is not None:
        run.judge("backups.stats", _COUNTED, now == total + 1, f"from {total} to {now}")
    number = str(running[0]["id"])
    early = run.api.call("backups.restore", number)
    if early.ok and _rows(run, id_)[0].get("status") != "in_progress":
        run.skip("backups.restore", _COMPLETE, "the backup was completed too soon")
    else:
        run.refuses("backups.restore", _COMPLETE, early)
    pinned = run.api.call("backups.pin", number)
    run.judge("backups.pin", "Any backup can be pinned", pinned.ok, f"{pinned.describe()} while in progress")
    second = run.api.call("backups.trigger", id_)
    run.judge("backups.trigger", _TWO, second.ok, second.describe())
    run.api.call("backups.unpin", number)


def _listing(run: Run, id_: str, rows: list[dict[str, Any]]) -> None:
    listed = run.api.call("backups.list", id_)
    run.guide_form("backups.list", listed)
    order = [int(row["id"]) for row in rows]
    run.judge("backups.list", "Newest first.", order == sorted(order, reverse=True), f"{len(order)} backups")
    kinds = {str(row.get("backup_type")) for row in rows}
    run.judge("backups.list", "The type of a backup", kinds == {"manual"}, ", ".join(sorted(kinds)))
    for text, limit in (("A limit below 1", 0), ("A limit above the maximum", 101)):
        run.refuses("backups.list", text, run.api.call("backups.list", id_, query={"limit": limit}))
    one = run.api.call("backups.list", id_, query={"limit": 1})
    count = len(one.data) if one.ok and isinstance(one.data, list) else -1
    run.judge("backups.list", "The parameter limit", count == 1, f"{count} for limit=1")


def _pin(run: Run, id_: str, number: str) -> None:
    answers = [run.api.call("backups.pin", number) for _ in range(2)]
    run.form("backups.pin", answers[0])
    codes = ", ".join(answer.describe() for answer in answers)
    run.judge("backups.pin", "Any backup can be pinned", all(answer.ok for answer in answers), codes)
    marked = next((row.get("pinned") for row in _rows(run, id_) if str(row.get("id")) == number), None)
    run.judge("backups.pin", "A pinned backup is listed", marked == 1, f"pinned is {marked}")
    run.form("backups.unpin", run.api.call("backups.unpin", number))


def _restore(run: Run, id_: str, number: str) -> None:
    restored = run.api.call("backups.restore", number)
    run.form("backups.restore", restored)
    first = run.status(id_)
    run.judge(
        "backups.restore",
        "It is done immediately",
        restored.ok and first == "running",
        f"{restored.describe()}, then {first}",
    )
    if run.wait(id_, LASTING) != "running":
        run.set_status(id_, "running")
    run.same_creation("It stays the same over a restore.")
    run.set_status(id_, "stopped")
    stopped = run.api.call("backups.restore", number)
    run.judge("backups.restore", "The container must be running.", not stopped.ok, stopped.describe())
    if run.wait(id_, LASTING) != "running":
        run.set_status(id_, "running")


def _rows(run: Run, id_: str) -> list[dict[str, Any]]:
    data = run.api.call("backups.list", id_).data
    return [row for row in data if isinstance(row, dict)] if isinstance(data, list) else []


def _total(run: Run) -> int | None:
    data = run.api.call("backups.stats").data
    total = data.get("total_backups") if isinstance(data, Mapping) else None
    return int(total) if total is not None and str(total).isdigit() else None
