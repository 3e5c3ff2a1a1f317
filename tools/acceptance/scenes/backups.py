"""Backups of the compute container: triggered, pinned, restored, deleted."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from tools.acceptance import reading
from tools.acceptance.api import Answer
from tools.acceptance.run import Run

__all__ = ["backups"]

_LISTED: Final = "A backup that is in progress is listed"
_TWO: Final = "Two backups may be in progress"
_COUNTED: Final = "Backups in progress count"
_COMPLETE: Final = "Only a completed backup"
_KNOWN: Final = frozenset({"in_progress", "completed", "failed"})


def backups(run: Run) -> None:
    """Two backups, from the request to their deletion."""
    id_ = run.main
    if id_ is None:
        return
    run.api.make_room(10)
    total = _total(run)
    _empty(run, run.api.call("backups.list", id_))
    before = _ids(_rows(run, id_))
    trigger = run.api.call("backups.trigger", id_)
    status = trigger.get("status")
    run.judge(
        "backups.trigger",
        "The answer is a 202",
        (trigger.status, status) == (202, "in_progress"),
        f"{trigger.describe()}, {reading.word(status)}",
    )
    _in_progress(run, id_, total)
    _, seconds = run.timed(
        lambda: _ids(_rows(run, id_)) - before, bool, "a new backup in the list", 2 * run.pace.visible
    )
    if seconds is None:
        msg = f"no backup is listed after a request for one was answered with {trigger.describe()}"
        raise LookupError(msg)
    run.learned.seconds(
        "backups.listed_seconds", seconds, f"a backup was listed {seconds:.0f} s after its request"
    )
    done = _completed(run, id_, before, 1)
    if len(done) < 2:
        run.api.call("backups.trigger", id_)
        done = _completed(run, id_, before, 2)
    run.same_creation("It stays the same over a backup.")
    _listing(run, id_, done)
    complete = [row for row in done if _means(run, row) == "completed"]
    if not complete:
        msg = "no backup was completed"
        raise LookupError(msg)
    number = str(_number(complete[0]))
    _pin(run, id_, number)
    _restore(run, id_, number)
    run.api.call("backups.pin", number)
    deleted = run.api.call("backups.delete", number)
    run.form("backups.delete", deleted)
    run.judge("backups.delete", "A pinned backup", deleted.ok, deleted.describe())


def _empty(run: Run, answer: Answer) -> None:
    """Note how an empty list is answered."""
    if answer.absent:
        run.learned.note("lists.empty", "missing", f"the list of no backups is a {answer.status}")
    elif answer.ok and not answer.rows():
        form = reading.form_of_empty(answer.body)
        if form is not None:
            run.learned.note("lists.empty", form, "the list of no backups")


def _in_progress(run: Run, id_: str, total: int | None) -> None:
    rows = _rows(run, id_)
    running = [row for row in rows if reading.word(reading.field(row, "status")) == "in_progress"]
    if not running:
        reason = "no backup was seen in progress"
        seen = [str(reading.word(reading.field(row, "status"))) for row in rows]
        run.skip("backups.trigger", _TWO, reason)
        run.skip("backups.list", _LISTED, f"{reason}; listed: {', '.join(seen) or 'none'}")
        run.skip("backups.stats", _COUNTED, reason)
        run.skip("backups.restore", _COMPLETE, reason)
        return
    run.judge("backups.list", _LISTED, holds=True, evidence="it is")
    now = _total(run)
    if total is not None and now is not None:
        run.judge("backups.stats", _COUNTED, now == total + 1, f"from {total} to {now}")
    number = str(_number(running[0]))
    early = run.api.call("backups.restore", number)
    still = [row for row in _rows(run, id_) if reading.word(reading.field(row, "status")) == "in_progress"]
    if early.ok and not still:
        run.skip("backups.restore", _COMPLETE, "the backup was completed too soon")
    else:
        run.refuses("backups.restore", _COMPLETE, early)
    pinned = run.api.call("backups.pin", number)
    run.judge("backups.pin", "Any backup can be pinned", pinned.ok, f"{pinned.describe()} while in progress")
    second = run.api.call("backups.trigger", id_)
    run.judge("backups.trigger", _TWO, second.ok, second.describe())
    run.api.call("backups.unpin", number)


def _completed(run: Run, id_: str, before: set[str], wanted: int) -> list[dict[str, Any]]:
    """Wait until that many new backups are done, learn the words, and return them."""
    since: dict[tuple[str, str], float] = {}

    def look() -> list[dict[str, Any]]:
        rows = [row for row in _rows(run, id_) if str(_number(row)) not in before]
        for row in rows:
            word = str(reading.word(reading.field(row, "status")))
            stayed = run.now() - since.setdefault((str(_number(row)), word), run.now())
            _learn(run, row, word, stayed)
        return rows

    def over(rows: list[dict[str, Any]]) -> bool:
        return len(rows) >= wanted and all(_means(run, row) in {"completed", "failed"} for row in rows)

    rows: list[dict[str, Any]] = run.until(look, over, "a backup")
    final = {word for row in rows if (word := reading.word(reading.field(row, "status")))}
    for _, word in since:
        if word not in final and run.learned.meaning("backups.statuses", word) is None and word not in _KNOWN:
            run.learned.word("backups.statuses", word, "in_progress", "it was shown before the end")
    return rows


def _learn(run: Run, row: dict[str, Any], word: str, stayed: float) -> None:
    """Learn an unknown word that means that a backup is completed: it has an end and no error, or it stays."""
    if _means(run, row) is not None:
        return
    ended = reading.field(row, "completed_at")
    # One look is too few: an unknown word may come with a planned end.
    if stayed >= (run.pace.steady if ended is None else run.pace.interval):
        failed = reading.field(row, "error_message")
        reason = f"it stayed for {stayed:.0f} s, completed_at {'set' if ended is not None else 'not set'}"
        run.learned.word("backups.statuses", word, "failed" if failed else "completed", reason)


def _means(run: Run, row: dict[str, Any]) -> str | None:
    word = (reading.word(reading.field(row, "status")) or "").lower()
    return word if word in _KNOWN else run.learned.meaning("backups.statuses", word)


def _listing(run: Run, id_: str, rows: list[dict[str, Any]]) -> None:
    listed = run.api.call("backups.list", id_)
    run.guide_form("backups.list", listed)
    order = [
        (reading.moment(reading.field(row, "created_at")) or 0, reading.number(_number(row)) or 0)
        for row in rows
    ]
    run.judge("backups.list", "Newest first.", order == sorted(order, reverse=True), f"{len(order)} backups")
    kinds = {str(reading.word(reading.field(row, "backup_type", "type"))) for row in rows}
    run.judge("backups.list", "The type of a backup", kinds == {"manual"}, ", ".join(sorted(kinds)))
    for kind in kinds - {"None"}:
        run.learned.word("backups.types", kind, "manual", "the type of a backup that was asked for")
    form = "number" if all(reading.number(_number(row)) is not None for row in rows) else "uuid"
    run.learned.note(
        "backups.id_form",
        form,
        f"the id of a backup has {len(str(_number(rows[0])))} characters and is no number",
    )
    for text, limit in (("A limit below 1", 0), ("A limit above the maximum", 101)):
        run.refuses("backups.list", text, run.api.call("backups.list", id_, query={"limit": limit}))
    one = run.api.call("backups.list", id_, query={"limit": 1})
    count = len(one.rows()) if one.ok else -1
    run.judge("backups.list", "The parameter limit", count == 1, f"{count} for limit=1")


def _pin(run: Run, id_: str, number: str) -> None:
    answers = [run.api.call("backups.pin", number) for _ in range(2)]
    run.form("backups.pin", answers[0])
    codes = ", ".join(answer.describe() for answer in answers)
    run.judge("backups.pin", "Any backup can be pinned", all(answer.ok for answer in answers), codes)

    def pinned() -> Any:
        rows = _rows(run, id_)
        return next((reading.field(row, "pinned") for row in rows if str(_number(row)) == number), None)

    marked, seconds = run.timed(pinned, _is_pinned, "a pin in the list", run.pace.visible)
    run.judge("backups.pin", "A pinned backup is listed", marked == 1, f"pinned is {reading.word(marked)}")
    if seconds is not None:
        run.learned.seconds(
            "backups.pinned_seconds", seconds, f"a pin was listed {seconds:.0f} s after its request"
        )
        flag = isinstance(marked, bool) or str(marked).lower() in {"1", "true", "yes"}
        run.learned.note(
            "backups.pinned_form", "flag" if flag else "time", f"pinned is {reading.word(marked)}"
        )
    run.form("backups.unpin", run.api.call("backups.unpin", number))


def _is_pinned(value: Any) -> bool:
    return str(reading.word(value)).lower() not in {"none", "0", "", "false", "no"} or value is True


def _restore(run: Run, id_: str, number: str) -> None:
    restored = run.api.call("backups.restore", number)
    run.form("backups.restore", restored)
    first = run.look(id_).means
    run.judge(
        "backups.restore",
        "It is done immediately",
        restored.ok and first == "running",
        f"{restored.describe()}, then {first}",
    )
    if run.reach(id_, "running", "restarting") != "running":
        run.set_status(id_, "running")
    run.same_creation("It stays the same over a restore.", "restore" if restored.ok else None)
    run.set_status(id_, "stopped")
    stopped = run.api.call("backups.restore", number)
    run.judge_refusal("backups.restore", "The container must be running.", stopped)
    # An accepted restore may have started it.
    run.set_status(id_, "running")
    run.created_at = run.birth(id_)


def _rows(run: Run, id_: str) -> list[dict[str, Any]]:
    return run.lists.read("backups.list", id_).rows


def _number(row: dict[str, Any]) -> Any:
    return reading.word(reading.field(row, "id", "backup_id"))


def _ids(rows: Iterable[dict[str, Any]]) -> set[str]:
    return {str(_number(row)) for row in rows}


def _total(run: Run) -> int | None:
    found = reading.number(run.api.call("backups.stats").get("total_backups"))
    return None if found is None else int(found)
