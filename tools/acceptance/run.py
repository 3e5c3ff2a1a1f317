"""An acceptance run: its prefix, its containers, its budget, and the functions that scenes use."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from stacks_pulumi import catalog
from tools.acceptance.api import Answer, Api, OutOfTimeError
from tools.acceptance.budget import Budget
from tools.acceptance.contract import contract
from tools.acceptance.findings import Findings

__all__ = ["BETWEEN", "COMPUTE", "MANAGED", "Run"]

COMPUTE: Final = "ubuntu-micro"
MANAGED: Final = "redis-micro"
"""The cheapest templates of each kind: a dollar a month."""

LASTING: Final = frozenset({"running", "stopped", "error"})
BETWEEN: Final = frozenset({"starting", "stopping", "restarting", "deleting"})
_FORM: Final = "The form of the answer"
_GUIDE_FORM: Final = "The answer has the form of the guide."


@dataclass
class Run:
    """
    One run against one account.

    Attributes:
        api: The API.
        prefix: The beginning of the name of every container of the run.
        budget: The limit on its cost.
        patience: Seconds to wait for a change of status or a backup.
        interval: Seconds between two looks.
        findings: The observations.
        problems: Failures that prevented observations.
        main: The id of the compute container; none before it exists.
        second: The id of the managed service.
        created_at: The creation time of the compute container, as the first list showed it.
        statuses: Every observed status.
        unsettled: Whether a creation has an unknown outcome, or is on the waitlist, so that its container may appear
            after the sweep.
    """

    api: Api
    prefix: str
    budget: Budget
    patience: float = 300.0
    interval: float = 2.0
    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], float] = time.monotonic
    findings: Findings = field(default_factory=Findings)
    problems: list[str] = field(default_factory=list)
    main: str | None = None
    second: str | None = None
    created_at: str | None = None
    statuses: set[str] = field(default_factory=set)
    unsettled: bool = False

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
            self.skip(operation, text, f"the request was refused: {answer.describe()}")
            return
        problem = contract().differs(operation, answer.status, answer.body)
        self.judge(operation, text, problem is None, problem or f"{answer.status}, as the contract has it")

    def guide_form(self, operation: str, answer: Answer) -> None:
        """Judge the form of an answer that the guide shows."""
        self.form(operation, answer, _GUIDE_FORM)

    def refuses(self, subject: str, text: str, answer: Answer, *, field_name: str | None = None) -> bool:
        """Judge that a request is a 400, on a field if one is named."""
        right = answer.status == 400 and (field_name is None or answer.field == field_name)
        return self.judge(subject, text, right, answer.describe())

    # --- containers ---

    def price(self, template: str, plan: str | None, tier: int | None = None) -> Decimal:
        """Return the monthly price of a container; the highest possible price, if it is not known."""
        dearest = max(it.usd for it in catalog.PLANS.values()) + max(
            it.usd for it in catalog.STORAGE_TIERS.values()
        )
        return catalog.monthly_price(template, plan, tier) or dearest

    def create(self, label: str, price: Decimal, **fields: Any) -> Answer | None:
        """
        Request a container; return `None` without a request if its price is over the limit.

        Args:
            label: The text after the prefix in its name; it does not begin with a letter or a digit, see `left_over`.
            price: Its highest possible price if it is accepted.
            fields: The other fields of the request.

        Raises:
            LookupError: The outcome of this creation, or of an earlier one, is unknown.
        """
        if self.unsettled:
            msg = "nothing more is created: the outcome of an earlier creation is unknown"
            raise LookupError(msg)
        if not self.budget.take(price):
            return None
        # The outcome is unknown until the answer arrives.
        self.unsettled = True
        answer = self.api.call("containers.create", body={"name": f"{self.prefix}{label}", **fields})
        if answer.status >= 500:
            msg = f"a creation ended with {answer.describe()}: its container may appear later"
            raise LookupError(msg)
        self.unsettled = False
        if not answer.ok:
            self.budget.give_back(price)
        if answer.status == 402:
            told = isinstance(answer.body, Mapping) and {"spending_cap", "amount_spent"} <= set(answer.body)
            self.judge("spending cap", "A creation over", told, "402")
        return answer

    def over_budget(self, price: Decimal) -> str:
        """Return why a request was not sent."""
        return f"it may cost ${price:.2f}: needs --max-usd {self.budget.spent + price:.2f} or more"

    def try_creation(
        self, subject: str, text: str, label: str, price: Decimal, field_name: str | None, **fields: Any
    ) -> None:
        """Judge that a creation is refused; if it is accepted, the container is deleted again."""
        answer = self.create(label, price, **fields)
        if answer is None:
            self.skip(subject, text, self.over_budget(price))
            return
        self.refuses(subject, text, answer, field_name=field_name)
        if answer.ok:
            self.discard(id_of(answer))

    def discard(self, id_: str) -> None:
        """Delete a container, and wait until the deletion ends."""
        self.wait(id_, LASTING)
        self.api.call("containers.delete", id_)
        self.wait(id_, frozenset({"gone"}))

    def status(self, id_: str) -> str:
        """Return the status of a container; `gone` for a 404."""
        answer = self.api.call("containers.status", id_)
        if answer.status == 404:
            return "gone"
        word = answer.data.get("status") if isinstance(answer.data, Mapping) else None
        if not isinstance(word, str):
            msg = f"the status of a container is no text ({answer.describe()})"
            raise LookupError(msg)  # noqa: TRY004  (the argument is valid; the answer is unusable)
        self.statuses.add(word)
        return word

    def wait(self, id_: str, wanted: frozenset[str]) -> str:
        """
        Wait until a container has one of these statuses, and return it.

        Raises:
            OutOfTimeError: It took too long.
        """
        return str(self.until(lambda: self.status(id_), lambda status: status in wanted, "a status"))

    def until(self, look: Callable[[], Any], fits: Callable[[Any], bool], what: str) -> Any:
        """
        Repeat a look until its result fits, and return the result.

        Raises:
            OutOfTimeError: It took too long.
        """
        end = self.now() + self.patience
        while not fits(seen := look()):
            if self.now() >= end:
                msg = f"waited {self.patience:.0f} s for {what}"
                raise OutOfTimeError(msg)
            self.sleep(self.interval)
        return seen

    def rows(self) -> list[dict[str, Any]]:
        """Return the list of containers."""
        data = self.api.call("containers.list").data
        return [row for row in data if isinstance(row, dict)] if isinstance(data, list) else []

    def row(self, id_: str) -> dict[str, Any] | None:
        """Return a container in the list."""
        return next((row for row in self.rows() if row.get("id") == id_), None)

    def set_status(self, id_: str, word: str) -> Answer:
        """Start, stop or restart, and wait."""
        answer = self.api.call("containers.set_status", id_, body={"status": word})
        if answer.ok:
            self.wait(id_, frozenset({"stopped" if word == "stopped" else "running"}))
        return answer

    def same_creation(self, text: str) -> None:
        """Judge that the creation time of the compute container has not changed."""
        if self.main is None or self.created_at is None:
            return
        now = (self.row(self.main) or {}).get("created_at")
        evidence = "unchanged" if now == self.created_at else f"from {self.created_at} to {now}"
        self.judge("created_at", text, now == self.created_at, evidence)


def id_of(answer: Answer) -> str:
    """Return the id in the answer to a creation."""
    return str(answer.data["id"])
