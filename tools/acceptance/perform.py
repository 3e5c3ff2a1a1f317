"""Perform a run: every scene, and in the end the sweep, even after an error."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

from tools.acceptance.budget import OutOfTimeError
from tools.acceptance.run import Run
from tools.acceptance.scenes import SCENES
from tools.acceptance.sweep import Sweep

__all__ = ["perform"]

Say = Callable[[str], None]


def perform(run: Run, say: Say, scenes: Sequence[Callable[[Run], None]] = SCENES) -> list[str]:
    """
    Run the scenes, and delete every container of the run.

    A scene that fails is recorded as a problem, and the next one begins. Without time, the sweep is next.

    Returns:
        The names of containers that could not be deleted, or may be there.
    """
    try:
        for scene in scenes:
            if run.deadline.left <= 0:
                run.problems.append(f"{scene.__name__}: the time of the run was over, see --max-minutes")
                continue
            say(scene.__name__.replace("_", " "))
            _play(run, scene)
    finally:
        run.conclude()
        left = sweep(run, say)
    return left


def _play(run: Run, scene: Callable[[Run], None]) -> None:
    try:
        scene(run)
    except Exception as error:  # noqa: BLE001  (the account may answer anything; the other scenes still give results)
        run.problems.append(f"{scene.__name__}: {type(error).__name__}: {error}")
        if run.main is not None:
            # The next scenes need a running container.
            with contextlib.suppress(OutOfTimeError):
                run.set_status(run.main, "running")


def sweep(run: Run, say: Say) -> list[str]:
    """Delete every container of a run, with the time that is reserved for it, and return the names of the rest."""
    say("sweep")
    run.deadline.release()
    clean = Sweep(run.api, [run.record], run.sleep, run.now, run.pace, run.lists)
    left = clean.clean()
    run.problems += [f"sweep: {note}" for note in clean.notes]
    run.unsettled = bool(clean.later)
    return left
