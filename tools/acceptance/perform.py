"""Perform a run: every scene, and in the end the sweep, even after an error."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Sequence

import requests

from tools.acceptance.run import Run
from tools.acceptance.scenes import SCENES
from tools.acceptance.sweep import left_over, sweep

__all__ = ["perform"]

Say = Callable[[str], None]


def perform(run: Run, say: Say, scenes: Sequence[Callable[[Run], None]] = SCENES) -> list[str]:
    """
    Run the scenes, and delete every container of the run.

    A scene that fails is recorded as a problem, and the next one begins.

    Returns:
        The names of containers that could not be deleted.
    """
    try:
        for scene in scenes:
            say(scene.__name__.replace("_", " "))
            _play(run, scene)
    finally:
        left = _sweep(run, say)
    return left


def _play(run: Run, scene: Callable[[Run], None]) -> None:
    try:
        scene(run)
    except Exception as error:  # noqa: BLE001  (the account may answer anything; the other scenes still give results)
        run.problems.append(f"{scene.__name__}: {type(error).__name__}: {error}")
        if run.main is not None:
            # The next scenes need a running container.
            with contextlib.suppress(Exception):
                run.set_status(run.main, "running")


def _sweep(run: Run, say: Say) -> list[str]:
    say("sweep")
    clean = functools.partial(sweep, run.api, [run.prefix], sleep=run.sleep, interval=run.interval)
    try:
        return clean()
    except (requests.RequestException, LookupError) as error:
        run.problems.append(f"sweep: {type(error).__name__}: {error}")
    with contextlib.suppress(requests.RequestException, LookupError):
        return [str(row["name"]) for row in left_over(run.api, [run.prefix])]
    return [f"perhaps {run.prefix}..., as the list could not be read"]
