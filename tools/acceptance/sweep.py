"""Delete the containers that a run has left: only those whose names begin with its prefix."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Final

from tools.acceptance.api import Api

__all__ = ["PREFIX", "left_over", "sweep"]

PREFIX: Final = re.compile(r"acc-[0-9a-f]{8}")
"""The prefix of a run: four random bytes."""

_NAME: Final = re.compile(rf"({PREFIX.pattern})(?![0-9a-z])")
_LOOKS: Final = 100
_LIKELY: Final = {
    401: ": STACKS_API_KEY is wrong, or it was revoked",
    403: ": the key of STACKS_API_KEY lacks the scope containers:read",
    404: ": STACKS_BASE_URL is not the API, which ends with /api/v1",
}


def left_over(api: Api, prefixes: Iterable[str]) -> list[dict[str, Any]]:
    """
    Return the containers in the list whose names begin with one of these prefixes.

    A letter or digit after the prefix makes it another prefix: no name of a run has one there.

    Raises:
        ValueError: A prefix is not that of a run.
        LookupError: The list cannot be read.
    """
    wanted = frozenset(prefixes)
    for prefix in wanted:
        if not PREFIX.fullmatch(prefix):
            msg = f"{prefix!r} is not the prefix of a run, which looks like acc-1a2b3c4d"
            raise ValueError(msg)
    answer = api.call("containers.list")
    if not answer.ok or not isinstance(answer.data, list):
        why = _LIKELY.get(answer.status, "")
        msg = f"the list of containers could not be read ({answer.describe()}){why}"
        raise LookupError(msg)
    return [row for row in answer.data if _prefix_of(str(row.get("name"))) in wanted]


def _prefix_of(name: str) -> str | None:
    found = _NAME.match(name.lower())
    return None if found is None else found[1]


def sweep(
    api: Api,
    prefixes: Iterable[str],
    *,
    sleep: Callable[[float], None],
    interval: float = 2.0,
) -> list[str]:
    """
    Delete the containers of these prefixes, and wait until the deletions end.

    A container that is still booting may refuse; the request is sent again.

    Returns:
        The names of those that are left.
    """
    wanted = tuple(prefixes)
    asked: set[str] = set()
    left: list[dict[str, Any]] = []
    for _ in range(_LOOKS):
        left = left_over(api, wanted)
        if not left:
            return []
        for row in left:
            id_ = str(row["id"])
            if id_ not in asked and api.call("containers.delete", id_).ok:
                asked.add(id_)
        sleep(interval)
    return [str(row["name"]) for row in left]
