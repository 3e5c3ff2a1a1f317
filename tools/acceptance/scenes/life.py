"""Restart, stop and start of the compute container."""

from __future__ import annotations

import re
from typing import Final

from tools.acceptance import reading
from tools.acceptance.run import LASTING, Run

__all__ = ["restart_stop_and_start"]

_RUNNING: Final = re.compile(r"Up .+ \(healthy\)")
_STOPPED: Final = re.compile(r"Exited \(\d+\) .+ ago")
_BUSY: Final = "A container whose status is changing refuses with 400."
_TIME: Final = "A change of the status takes time."
_RAW: Final = "Every wording of raw_docker_status"


def restart_stop_and_start(run: Run) -> None:
    """Every change of the status, and the requests that are refused during it."""
    id_ = run.main
    if id_ is None:
        return
    at_once = _restart(run, id_)
    same = run.api.call("containers.set_status", id_, body={"status": "running"})
    after = run.look(id_).means
    run.judge(
        "containers.set_status",
        "Asking for the present status",
        same.ok and after == "running",
        f"{same.describe()}, then {after}",
    )
    odd = run.api.call("containers.set_status", id_, body={"status": "paused"})
    run.refuses("containers.set_status", "A word other than", odd)
    _wording(run, id_, _RUNNING)
    _stop(run, id_, at_once=at_once)
    _wording(run, id_, _STOPPED)
    _while_stopped(run, id_)
    started = run.set_status(id_, "restart")
    if started.refused:
        run.set_status(id_, "running")
    run.same_creation("It stays the same over a stop and a start.", "start")
    run.judge(
        "containers.set_status",
        "A restart starts",
        started.ok,
        "it does" if started.ok else started.describe(),
    )


def _restart(run: Run, id_: str) -> bool:
    """Restart the container; return whether its status changed with the request."""
    run.api.make_room(4)
    asked = run.api.call("containers.set_status", id_, body={"status": "restart"})
    run.form("containers.set_status", asked)
    first = run.look(id_)
    if first.means in LASTING:
        reason = f"the container was {first.means} at the first look after the request"
        run.skip("containers.set_status", (_TIME, _BUSY), reason)
    else:
        if first.word is not None and first.means is None:
            run.words.pass_by(first.word, "restarting", "it was shown after a restart")
        run.judge("containers.set_status", _TIME, holds=True, evidence=f"{first.word} after the request")
        second = run.api.call("containers.set_status", id_, body={"status": "stopped"})
        between = run.look(id_).means
        if second.status == 400:
            run.judge("containers.set_status", _BUSY, holds=True, evidence=second.describe())
        elif between in LASTING:
            run.skip("containers.set_status", _BUSY, "the restart was over too soon")
        else:
            run.judge(
                "containers.set_status", _BUSY, holds=False, evidence=f"{second.describe()} while {between}"
            )
    if run.reach(id_, "running", "restarting") != "running":
        run.set_status(id_, "running")
    run.same_creation("It stays the same over a restart.", "restart")
    return first.means != "running"


def _stop(run: Run, id_: str, *, at_once: bool) -> None:
    """
    Stop the container, and measure how long the list, and answers without `no-cache`, are behind.

    Args:
        run: The run.
        id_: The container.
        at_once: Whether a status changes with its request, so that an older one later is one from a cache.
    """
    before = run.look(id_, fresh=False)
    run.api.call("containers.set_status", id_, body={"status": "stopped"})
    if at_once:
        _cached(run, id_, before.word)
    else:
        _, late = run.timed(
            lambda: run.look(id_).word, lambda word: word != before.word, "a status after a stop"
        )
        if late is not None:
            run.learned.seconds(
                "containers.status_lag_seconds", late, f"a status was {late:.0f} s behind a stop"
            )
    reached = run.reach(id_, "stopped", "stopping")
    if reached == "hidden":
        evidence = "a container that was stopped has no status"
        run.learned.note("containers.listed_while_stopped", run.row(id_) is not None, evidence)
        return

    def listed() -> str:
        row = run.row(id_)
        return "hidden" if row is None else str(run.means(row))

    shown, seconds = run.timed(listed, lambda word: word in {"stopped", "hidden"}, "the list to show a stop")
    if shown == "hidden":
        run.learned.note(
            "containers.listed_while_stopped",
            value=False,
            evidence="the list has no container that is stopped",
        )
    else:
        run.learned.same("containers.listed_while_stopped")
    if seconds is not None:
        run.learned.most("lists.lag_seconds", seconds, "the list showed a stop later than the status")


def _cached(run: Run, id_: str, before: str | None) -> None:
    """Note for how long requests without `no-cache` have the answer from before; one with it could renew the cache."""
    _, seconds = run.timed(
        lambda: run.look(id_, fresh=False).word,
        lambda word: word != before,
        "the end of a cached answer",
        run.pace.visible,
    )
    if seconds is not None:
        evidence = (
            f"without no-cache a status was an older one for {seconds:.0f} s; with it, it changes immediately"
        )
        run.learned.seconds("lists.cache_seconds", seconds, evidence)


def _wording(run: Run, id_: str, wanted: re.Pattern[str]) -> None:
    raw = str(reading.word(reading.field(run.row(id_), "raw_docker_status")))
    known = wanted.fullmatch(raw) is not None
    # The text comes from the API, so only digits and words are kept.
    run.judge(
        "containers.list", _RAW, known, "as the emulator" if known else re.sub(r"[^\w ()]", "", raw)[:40]
    )


def _while_stopped(run: Run, id_: str) -> None:
    trigger = run.api.call("backups.trigger", id_)
    run.refuses("backups.trigger", "A container that does not run", trigger)
    run.judge_refusal("backups.trigger", "The container must be running.", trigger)
    on = run.api.call("containers.external_access", id_, body={"enabled": True})
    run.judge(
        "containers.external_access", "It works in any status.", on.ok, f"{on.describe()} while stopped"
    )
    if on.ok:
        run.api.call("containers.external_access", id_, body={"enabled": False})
