"""The deletion of the compute container, and the observations of the whole run."""

from __future__ import annotations

from typing import Final

from tools.acceptance.api import Answer
from tools.acceptance.contract import contract
from tools.acceptance.run import BETWEEN, COMPUTE, LASTING, Run

__all__ = ["deletion", "what_was_seen"]

_KNOWN: Final = BETWEEN | LASTING | {"pending"}
_TIME: Final = "Deletion takes time."
_AGAIN: Final = "A second request meanwhile is a no-op."
_LISTED: Final = "Containers that are being deleted are listed."
_TAKEN: Final = "A deleted container's name is taken"


def deletion(run: Run) -> None:
    """Delete the compute container, and observe the deletion."""
    id_ = run.main
    if id_ is None:
        return
    run.api.make_room(7)
    deleted = run.api.call("containers.delete", id_)
    run.form("containers.delete", deleted)
    first = run.status(id_)
    if first == "gone":
        reason = "it was gone at the first look"
        run.skip("containers.delete", (_TIME, _AGAIN), reason)
        run.skip("containers.list", _LISTED, reason)
        run.skip("containers.create", _TAKEN, reason)
    elif _meanwhile(run, id_, first):
        # The sweep deletes the new container.
        run.main = None
        return
    run.wait(id_, frozenset({"gone"}))
    run.main = None


def _meanwhile(run: Run, id_: str, first: str) -> bool:
    """Observe the deletion; return whether a new container could use the name."""
    run.judge("containers.delete", _TIME, first == "deleting", f"its status is {first}")
    listed = (run.row(id_) or {}).get("status")
    again = run.api.call("containers.delete", id_)
    still = run.status(id_)
    if still == "gone":
        reason = "it was gone too soon"
        run.skip("containers.delete", _AGAIN, reason)
        run.skip("containers.list", _LISTED, reason)
        run.skip("containers.create", _TAKEN, reason)
    else:
        run.judge("containers.delete", _AGAIN, again.ok, again.describe())
        run.judge("containers.list", _LISTED, listed is not None, "they are" if listed else "they are not")
        return _name(run, id_)
    return False


def _name(run: Run, id_: str) -> bool:
    price = run.price(COMPUTE, "micro")
    answer = run.create("-Main", price, template=COMPUTE, plan="micro")
    if answer is None:
        run.skip("containers.create", _TAKEN, run.over_budget(price))
    elif answer.status == 400:
        run.judge("containers.create", _TAKEN, holds=True, evidence=answer.describe())
    else:
        # Only a status that still is "deleting" shows that the old container still existed then.
        status = run.status(id_)
        if status == "deleting":
            run.judge(
                "containers.create", _TAKEN, holds=False, evidence=f"{answer.describe()} while {status}"
            )
        else:
            run.skip("containers.create", _TAKEN, "the old container was gone too soon")
    return answer is not None and answer.ok


def what_was_seen(run: Run) -> None:
    """Judge the statuses of the whole run, and the rate limit if it was reached."""
    odd, between = run.statuses - _KNOWN, run.statuses & BETWEEN
    text = "The statuses between two lasting ones"
    words = ", ".join(sorted(odd or between)) or "none"
    if odd or between == BETWEEN:
        run.judge("containers.status", text, not odd, f"seen: {words}")
    else:
        run.skip("containers.status", text, f"not all were seen; seen: {words}")
    if run.api.limited is None:
        for subject, begin in (("rate limit", "A 429 has"), ("every RateLimited answer", "The body.")):
            run.skip(subject, begin, "the run did not meet the rate limit")
    else:
        _limited(run, run.api.limited)


def _limited(run: Run, answer: Answer) -> None:
    run.judge("rate limit", "A 429 has", "Retry-After" in answer.headers, "on the first 429 of the run")
    problem = contract().misfit({"$ref": "#/components/schemas/Error"}, answer.body)
    run.judge("every RateLimited answer", "The body.", problem is None, problem or "as the contract has it")
