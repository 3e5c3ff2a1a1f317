"""The deletion of the compute container, and the observations of the whole run."""

from __future__ import annotations

from typing import Final

from tools.acceptance.api import Answer
from tools.acceptance.arrival import arrive
from tools.acceptance.contract import contract
from tools.acceptance.departure import Departure, discard
from tools.acceptance.run import BETWEEN, COMPUTE, Created, Run, Seen
from tools.acceptance.words import KNOWN

__all__ = ["deletion", "what_was_seen"]

_TIME: Final = "Deletion takes time."
_AGAIN: Final = "A second request meanwhile is a no-op."
_LISTED: Final = "Containers that are being deleted are listed."
_TAKEN: Final = "A deleted container's name is taken"


def deletion(run: Run) -> None:
    """Delete the compute container, observe the deletion, and use its name again."""
    id_ = run.main
    if id_ is None:
        return
    run.api.make_room(7)
    before = run.leave(id_)
    deleted = run.api.call("containers.delete", id_)
    run.form("containers.delete", deleted)
    name = _Name(run)
    departure = Departure(run, id_, before, name.try_again)
    first = run.look(id_)
    _meanwhile(run, id_, name, first)
    departure.wait()
    if first.means == "deleting":
        then = "a 404" if departure.end is None else departure.end
        run.judge(
            "containers.delete", _TIME, departure.end is None, f"its status is {first.word}, then {then}"
        )
    run.main = None
    name.note()


class _Name:
    """The name of the deleted container, which is asked for until it can be used."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._price = run.price(COMPUTE, "micro")
        self._began: float | None = None
        self._refused = 0
        self._created: Created | None = None
        self._over_budget = False

    def ask(self) -> Answer | None:
        """Ask for a container of this name; `None` if one may exist by now, or the price is over the limit."""
        if self._created is not None or self._over_budget:
            return None
        run = self._run
        created = run.create(run.label, self._price, template=COMPUTE, plan="micro")
        if created is None:
            self._over_budget = True
            return None
        if created.answer.ok and any(run.look(it).means == "deleting" for it in created.answer.ids):
            # The answer is about the older container.
            run.budget.give_back(self._price)
            run.record.close(created.asked, "answered with the older container")
            run.learned.note(
                "containers.name_taken", "answered", "so it was for a container that was being deleted"
            )
        elif not created.answer.refused:
            self._created = created
        return created.answer

    def try_again(self) -> bool:
        """Ask once more, after the container is gone; return whether the name is used again."""
        run = self._run
        if self._began is None:
            self._began = run.now()
        if run.now() - self._began <= run.pace.visible:
            answer = self.ask()
            if answer is not None and answer.refused:
                self._refused += 1
        return self._created is not None

    def note(self) -> None:
        """Note for how long the name was held, and delete the new container."""
        run = self._run
        if self._began is not None and not self._over_budget:
            # The container may be gone before its name is free.
            run.timed(self.try_again, bool, "a name that is held", run.pace.visible)
        if self._created is None or self._began is None:
            return
        if self._created.answer.ok:
            held = self._created.at - self._began if self._refused else 0.0
            evidence = f"the name of a deleted container was refused {self._refused} times"
            run.learned.most("containers.name_held_seconds", held, evidence)
        discard(run, arrive(run, self._created))


def _meanwhile(run: Run, id_: str, name: _Name, first: Seen) -> None:
    """Observe the deletion while it is in progress, after a first look."""
    if first.means in {"gone", "deleted"}:
        reason = "it was gone at the first look"
        run.skip("containers.delete", (_TIME, _AGAIN), reason)
        run.skip("containers.list", _LISTED, reason)
        run.skip("containers.create", _TAKEN, reason)
        return
    if first.means != "deleting":
        run.judge("containers.delete", _TIME, holds=False, evidence=f"its status is {first.word}")
    listed = run.row(id_)
    again = run.api.call("containers.delete", id_)
    if run.look(id_).means in {"gone", "deleted"}:
        reason = "it was gone too soon"
        run.skip("containers.delete", _AGAIN, reason)
        run.skip("containers.list", _LISTED, reason)
        run.skip("containers.create", _TAKEN, reason)
        return
    run.judge("containers.delete", _AGAIN, again.ok, again.describe())
    run.judge("containers.list", _LISTED, listed is not None, "they are" if listed else "they are not")
    answer = name.ask()
    if answer is None:
        run.skip("containers.create", _TAKEN, run.over_budget(run.price(COMPUTE, "micro")))
    elif answer.status == 400:
        run.judge("containers.create", _TAKEN, holds=True, evidence=answer.describe())
    else:
        # Only a status that still is "deleting" shows that the old container still existed then.
        status = run.look(id_).means
        if status == "deleting":
            run.judge(
                "containers.create", _TAKEN, holds=False, evidence=f"{answer.describe()} while {status}"
            )
        else:
            run.skip("containers.create", _TAKEN, "the old container was gone too soon")


def what_was_seen(run: Run) -> None:
    """Judge the statuses of the whole run, and the rate limit if it was reached."""
    seen = {word.lower() for word in run.words.seen}
    odd, between = seen - KNOWN, seen & BETWEEN
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
