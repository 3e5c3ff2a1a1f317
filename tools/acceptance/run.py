"""An acceptance run: its prefix, its containers, its limits, and the functions that scenes use."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from stacks_pulumi import catalog
from tools.acceptance import reading
from tools.acceptance.api import Answer, Api
from tools.acceptance.budget import Budget, Deadline, OutOfTimeError
from tools.acceptance.contract import contract
from tools.acceptance.findings import Findings
from tools.acceptance.forms import note_error, note_shape
from tools.acceptance.learned import Learned
from tools.acceptance.lists import Lists
from tools.acceptance.record import Asked, Record
from tools.acceptance.sweep import Pace, container_id, is_of
from tools.acceptance.words import Trail, Words

__all__ = ["BETWEEN", "COMPUTE", "LASTING", "MANAGED", "Created", "Run", "Seen"]

COMPUTE: Final = "ubuntu-micro"
MANAGED: Final = "redis-micro"
"""The cheapest templates of each kind: a dollar a month."""

LASTING: Final = frozenset({"running", "stopped", "error"})
BETWEEN: Final = frozenset({"starting", "stopping", "restarting", "deleting"})
_FORM: Final = "The form of the answer"
_GUIDE_FORM: Final = "The answer has the form of the guide."
_LISTED_LATE: Final = (
    "containers.listed_seconds",
    "access.settle_seconds",
    "access.own_address_seconds",
    "connections.listed_seconds",
    "connections.removal_seconds",
    "backups.listed_seconds",
    "backups.pinned_seconds",
)
_RESERVE: Final = 240.0


@dataclass(frozen=True)
class Seen:
    """
    What one look at the status of a container has shown.

    Attributes:
        answer: The answer.
        word: The platform's word, if there is one.
        means: The status that it means; `gone` for a 404 or 410, `None` if it is not known.
        raw: The container's own state, as the platform shows it.
    """

    answer: Answer
    word: str | None
    means: str | None
    raw: str


@dataclass(frozen=True)
class Created:
    """
    The answer to a creation, and what is recorded of it.

    Attributes:
        answer: The answer.
        asked: The record.
        at: When the answer arrived.
        fields: The fields of the request, without the name.
    """

    answer: Answer
    asked: Asked
    at: float
    fields: Mapping[str, Any]


@dataclass
class Run:
    """
    One run against one account.

    Attributes:
        api: The API.
        prefix: The beginning of the name of every container of the run.
        budget: The limit on its cost.
        record: The names and ids of its containers.
        minutes: The limit on its time, the sweep included.
        patience: Seconds to wait for a change of status or a backup.
        interval: Seconds between two looks.
        findings: The observations.
        learned: What differs from the guide.
        problems: Failures that prevented observations.
        main: The id of the compute container; none before it exists.
        label: The text after the prefix in its name.
        second: The id of the managed service.
        created_at: The creation time of the compute container, as it was first shown.
        departed: The creation times of the containers that were deleted, by id.
        unsettled: Whether the container of a creation may appear after the sweep.
    """

    api: Api
    prefix: str
    budget: Budget
    record: Record
    minutes: float = 15.0
    patience: float = 300.0
    interval: float = 2.0
    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], float] = time.time
    findings: Findings = field(default_factory=Findings)
    learned: Learned = field(default_factory=Learned)
    problems: list[str] = field(default_factory=list)
    main: str | None = None
    label: str = "-Main"
    second: str | None = None
    created_at: Any = None
    departed: dict[str | None, set[str]] = field(default_factory=dict)
    unsettled: bool = False

    def __post_init__(self) -> None:
        self.pace = Pace(self.interval)
        self.lists = Lists(self.api)
        self.words = Words(self.learned)
        seconds = self.minutes * 60
        self.deadline = Deadline(seconds, min(_RESERVE, seconds / 2), self.now)
        self.api.deadline = self.deadline
        self._failed: set[str] = set()
        self.tombstone_measured = False

    # --- findings ---

    def judge(self, subject: str, text: str, holds: object, evidence: str) -> bool:
        """Record whether a statement holds."""
        return self.findings.judge(subject, text, holds, evidence)

    def skip(self, subject: str, texts: str | Iterable[str], reason: str) -> None:
        """Record why statements could not be observed."""
        for text in [texts] if isinstance(texts, str) else texts:
            self.findings.skip(subject, text, reason)

    def form(self, operation: str, answer: Answer, text: str = _FORM) -> None:
        """Judge the form of an answer, if the request was accepted."""
        if not answer.ok:
            self.skip(operation, text, f"the request was not accepted: {answer.describe()}")
            return
        if text != _GUIDE_FORM:
            note_shape(self.learned, operation, answer)
        problem = contract().differs(operation, answer.status, answer.body)
        self.judge(operation, text, problem is None, problem or f"{answer.status}, as the contract has it")

    def guide_form(self, operation: str, answer: Answer) -> None:
        """Judge the form of an answer that the guide shows."""
        self.form(operation, answer, _GUIDE_FORM)

    def refuses(self, subject: str, text: str, answer: Answer, *, field_name: str | None = None) -> bool:
        """Judge that a request is a 400, on a field if one is named."""
        if not answer.ok and not answer.refused:
            self.skip(subject, text, f"there was no decision: {answer.describe()}")
            return False
        if answer.status == 409:
            self.learned.note("errors.conflict_code", 409, f"{subject} was refused with it")
        right = answer.status == 400 and (field_name is None or answer.field == field_name)
        return self.judge(subject, text, right, answer.describe())

    def judge_refusal(self, subject: str, text: str, answer: Answer) -> None:
        """Judge that a request is refused, with any code."""
        if answer.ok or answer.refused:
            self.judge(subject, text, answer.refused, answer.describe())
        else:
            self.skip(subject, text, f"there was no decision: {answer.describe()}")

    # --- containers ---

    def price(self, template: str, plan: str | None, tier: int | None = None) -> Decimal:
        """Return the monthly price of a container; the highest possible price, if it is not known."""
        dearest = max(it.usd for it in catalog.PLANS.values()) + max(
            it.usd for it in catalog.STORAGE_TIERS.values()
        )
        return catalog.monthly_price(template, plan, tier) or dearest

    def over_budget(self, price: Decimal) -> str:
        """Return why a request was not sent."""
        return f"it may cost ${price:.2f}: needs --max-usd {self.budget.spent + price:.2f} or more"

    def create(self, label: str, price: Decimal, **fields: Any) -> Created | None:
        """
        Request a container; return `None` without a request if its price is over the limit.

        The name is recorded before the request, and every id as soon as the answer is there.

        Args:
            label: The text after the prefix in its name; it does not begin with a letter or a digit, see `is_of`.
            price: Its highest possible price if it is accepted.
            fields: The other fields of the request.
        """
        if not self.budget.take(price):
            return None
        name = f"{self.prefix}{label}"
        asked = self.record.ask(name, self.now())
        answer = self.api.call("containers.create", body={"name": name, **fields})
        self.record.add_ids(asked, answer.ids)
        if answer.refused:
            self.budget.give_back(price)
            self.record.close(asked, f"refused: {answer.describe()}")
            note_error(self.learned, answer)
        elif not answer.ok:
            self.record.doubt(asked, answer.describe())
            self._doubt(answer, asked)
        if answer.status == 402:
            told = isinstance(answer.body, Mapping) and {"spending_cap", "amount_spent"} <= set(answer.body)
            self.judge("spending cap", "A creation over", told, "402")
        return Created(answer, asked, self.now(), fields)

    def _doubt(self, answer: Answer, asked: Asked) -> None:
        """Note what an answer without a decision means; the container of the request may appear."""
        if answer.status != 503:
            self.problems.append(
                f"the creation of {asked.name} had {answer.describe()}: the container may appear"
            )
            return
        began = self.now()
        look = self.api.call("containers.list")
        outage = look.status == 503
        meaning = "503 (an outage)" if outage else "503 (the waitlist)"
        self.problems.append(f"the creation of {asked.name} had {meaning}: its container may appear later")
        evidence = f"a creation had a 503, and the list after it {look.describe()}"
        self.learned.note("errors.unavailable", "outage" if outage else "waitlist", evidence)
        if outage:
            listed = lambda: self.api.call("containers.list").ok  # noqa: E731  (a look of one line)
            _, seconds = self.timed(listed, bool, "the end of an outage")
            if seconds is not None:
                seconds = self.now() - began
                self.learned.seconds(
                    "errors.outage_seconds", seconds, f"the list had a 503 for {seconds:.0f} s"
                )

    def leave(self, id_: str) -> Seen:
        """Look at a container that will be deleted, and keep its creation time, by which it is known later."""
        seen = self.look(id_)
        self.departed[id_] = self.births(id_, self.row(id_))
        return seen

    def is_over(self, id_: str) -> None:
        """Record that a container is deleted, and was seen to be gone."""
        for asked in self.record.asked:
            if id_ in asked.ids:
                self.record.close(asked, "deleted")

    # --- looks ---

    def look(self, id_: str, *, fresh: bool = True) -> Seen:
        """Look at the status of a container."""
        return self.seen(self.api.call("containers.status", id_, fresh=fresh))

    def seen(self, answer: Answer) -> Seen:
        """Return what the answer for a container's status shows."""
        if answer.absent:
            return Seen(answer, None, "gone", "")
        value = answer.get("status", "state") if answer.ok else None
        word = reading.word(value)
        if word is not None:
            self.words.form(value)
        raw = reading.word(answer.get("rawStatus", "raw_docker_status")) if answer.ok else None
        return Seen(answer, word, self.words.means(word), raw or "")

    def means(self, row: Mapping[str, Any]) -> str | None:
        """Return the status of a container in the list."""
        return self.words.means(reading.word(reading.field(row, "status", "state")))

    def rows(self, *, fresh: bool = True) -> list[dict[str, Any]]:
        """Return the list of containers, with all of its pages."""
        return self.lists.read("containers.list", fresh=fresh).rows

    def row(self, id_: str) -> dict[str, Any] | None:
        """Return a container in the list."""
        return next((row for row in self.rows() if container_id(row) == id_), None)

    def named(self, rows: Iterable[dict[str, Any]], asked: Asked) -> dict[str, Any] | None:
        """Return the row of a request: by its name, however the platform spells it, or by an id of its answer."""
        known = {container_id(row): row for row in rows}
        for id_, row in known.items():
            name = reading.field(row, "name")
            if is_of(name, self.prefix) and str(name).lower().endswith(asked.name.lower()):
                # A list that is behind may still have an older container of this name, perhaps with the same id.
                stale = id_ in self.departed and self.births(str(id_), row) <= self.departed[id_]
                if not stale and self.means(row) not in {"deleted", "deleting"}:
                    return row
        return next((known[id_] for id_ in asked.ids if id_ in known), None)

    # --- waits ---

    def until(
        self, look: Callable[[], Any], fits: Callable[[Any], bool], what: str, patience: float | None = None
    ) -> Any:
        """
        Repeat a look until its result fits, and return the result.

        A wait for something that did not come once is short: a few looks.

        Args:
            look: The look.
            fits: Whether its result ends the wait.
            what: What is awaited.
            patience: Seconds; those of the run by default.

        Raises:
            OutOfTimeError: It took too long.
        """
        patience = self.patience if patience is None else min(patience, self.patience)
        if what in self._failed:
            patience = min(patience, self.pace.lag)
        end = self.now() + min(patience, self.deadline.left)
        while not fits(seen := look()):
            if self.now() >= end:
                self._failed.add(what)
                msg = f"waited {patience:.0f} s for {what}"
                raise OutOfTimeError(msg)
            self.sleep(self.interval)
        return seen

    def timed(
        self, look: Callable[[], Any], fits: Callable[[Any], bool], what: str, patience: float | None = None
    ) -> tuple[Any, float | None]:
        """
        Repeat a look until its result fits; return the last result, and the seconds, `None` if it never fitted.

        What the first look shows took no time: the seconds are those until the request of the look that fitted.
        """
        began = at = self.now()
        last: Any = None

        def remembered() -> Any:
            nonlocal at, last
            at = self.now()
            last = look()
            return last

        try:
            self.until(remembered, fits, what, patience)
        except OutOfTimeError:
            if self.deadline.left <= 0:
                raise
            return last, None
        return last, 0.0 if at - began < self.pace.interval / 2 else at - began

    def reach(self, id_: str, goal: str, passing: str) -> str:
        """
        Wait until a container has a status, learn the words on the way, and return the status that it has.

        Args:
            id_: The container.
            goal: The status that it should have: `running` or `stopped`.
            passing: What an unknown word on the way means: `starting`, `stopping`, `restarting`.

        Raises:
            OutOfTimeError: It took too long.
        """
        trail = Trail(self.words, goal, self.pace)

        def look() -> str | None:
            seen = self.look(id_)
            return trail.see(seen.word, seen.means, seen.raw, self.now())

        reached = str(self.until(look, lambda status: status is not None, f"the status {goal}"))
        trail.close(passing)
        return reached

    def settle(self, id_: str) -> str:
        """Return the status of a container when it lasts."""
        return str(self.until(lambda: self.look(id_).means, LASTING.__contains__, "a status that lasts"))

    def set_status(self, id_: str, word: str) -> Answer:
        """Start, stop or restart, and wait."""
        answer = self.api.call("containers.set_status", id_, body={"status": word})
        if answer.ok:
            stops = word == "stopped"
            self.reach(id_, "stopped" if stops else "running", "stopping" if stops else "starting")
        return answer

    # --- identity ---

    def births(self, id_: str, row: Mapping[str, Any] | None) -> set[str]:
        """Return the creation times of a container, as its row in a list and its status show them."""
        shown = (reading.field(row, "created_at"), self.look(id_).answer.get("created_at"))
        return {str(it) for it in shown if it is not None}

    def birth(self, id_: str) -> Any:
        """Return the creation time of a container, as the status shows it; if it has none, the list."""
        found = self.look(id_).answer.get("created_at")
        return found if found is not None else reading.field(self.row(id_), "created_at")

    def same_creation(self, text: str, operation: str | None = None) -> None:
        """
        Judge that the creation time of the compute container has not changed.

        Args:
            text: The statement.
            operation: What may have changed it, for the platform file.
        """
        if self.main is None or self.created_at is None:
            return
        now = self.birth(self.main)
        if now is None:
            self.skip("created_at", text, "no answer has it")
            return
        before, after = reading.moment(self.created_at), reading.moment(now)
        same = now == self.created_at or (
            before is not None and after is not None and abs(before - after) < 1
        )
        evidence = "unchanged" if same else f"from {self.created_at} to {now}"
        self.judge("created_at", text, same, evidence)
        if operation is not None:
            if same:
                self.learned.same("containers.created_at_changes")
            else:
                self.learned.entry("containers.created_at_changes", operation, f"{operation}: {evidence}")
        self.created_at = now

    def conclude(self) -> None:
        """Note the words and pages that were met, and remove what a list that is behind explains."""
        self.words.close()
        lists, learned = self.lists, self.learned
        if lists.page_size is not None:
            evidence = f"a list had {lists.page_size} rows, and {lists.next} for more"
            for name, value in (
                ("next", lists.next),
                ("next_form", lists.form),
                ("parameter", lists.parameter),
                ("page_size", lists.page_size),
                ("page_code", lists.page_code),
            ):
                learned.note(f"lists.{name}", value, evidence)
        lag = learned.get("lists.lag_seconds") or 0
        if learned.get("lists.lag_in") == "every_second":
            # Servers take turns, and a look may have met only the one that is not behind.
            longest = max(_LISTED_LATE, key=lambda name: learned.get(name) or 0)
            if (seconds := learned.get(longest) or 0) > lag:
                lag = seconds
                learned.note("lists.lag_seconds", lag, f"{longest}, which a list that is behind explains")
        for name in _LISTED_LATE:
            if (learned.get(name) or lag + 1) <= lag:
                learned.forget(name)
        if learned.get("lists.rows") is not None:
            for operation in ("containers.templates", "vpn_clients.list"):
                learned.forget_word("answers.shapes", operation)
