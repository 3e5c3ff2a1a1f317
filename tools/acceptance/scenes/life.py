"""Restart, stop and start of the compute container."""

from __future__ import annotations

import re
from typing import Final

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
    _restart(run, id_)
    same = run.api.call("containers.set_status", id_, body={"status": "running"})
    after = run.status(id_)
    run.judge(
        "containers.set_status",
        "Asking for the present status",
        same.ok and after == "running",
        f"{same.describe()}, then {after}",
    )
    odd = run.api.call("containers.set_status", id_, body={"status": "paused"})
    run.refuses("containers.set_status", "A word other than", odd)
    _wording(run, id_, _RUNNING)
    run.set_status(id_, "stopped")
    _wording(run, id_, _STOPPED)
    _while_stopped(run, id_)
    started = run.set_status(id_, "restart")
    run.judge(
        "containers.set_status",
        "A restart starts",
        started.ok,
        "it does" if started.ok else started.describe(),
    )
    if not started.ok:
        run.set_status(id_, "running")
    run.same_creation("It stays the same over a stop and a start.")


def _restart(run: Run, id_: str) -> None:
    run.api.make_room(4)
    asked = run.api.call("containers.set_status", id_, body={"status": "restart"})
    run.form("containers.set_status", asked)
    first = run.status(id_)
    if first in LASTING:
        reason = f"the container was {first} at the first look after the request"
        run.skip("containers.set_status", (_TIME, _BUSY), reason)
    else:
        run.judge("containers.set_status", _TIME, holds=True, evidence=f"{first} after the request")
        second = run.api.call("containers.set_status", id_, body={"status": "stopped"})
        between = run.status(id_)
        if second.status == 400:
            run.judge("containers.set_status", _BUSY, holds=True, evidence=second.describe())
        elif between in LASTING:
            run.skip("containers.set_status", _BUSY, "the restart was over too soon")
        else:
            run.judge(
                "containers.set_status", _BUSY, holds=False, evidence=f"{second.describe()} while {between}"
            )
    if run.wait(id_, LASTING) != "running":
        run.set_status(id_, "running")
    run.same_creation("It stays the same over a restart.")


def _wording(run: Run, id_: str, wanted: re.Pattern[str]) -> None:
    raw = str((run.row(id_) or {}).get("raw_docker_status"))
    known = wanted.fullmatch(raw) is not None
    # The text comes from the API, so only digits and words are kept.
    run.judge(
        "containers.list", _RAW, known, "as the emulator" if known else re.sub(r"[^\w ()]", "", raw)[:40]
    )


def _while_stopped(run: Run, id_: str) -> None:
    trigger = run.api.call("backups.trigger", id_)
    run.refuses("backups.trigger", "A container that does not run", trigger)
    run.judge("backups.trigger", "The container must be running.", not trigger.ok, trigger.describe())
    on = run.api.call("containers.external_access", id_, body={"enabled": True})
    run.judge(
        "containers.external_access", "It works in any status.", on.ok, f"{on.describe()} while stopped"
    )
    if on.ok:
        run.api.call("containers.external_access", id_, body={"enabled": False})
