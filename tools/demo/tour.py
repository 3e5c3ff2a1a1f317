"""The tour: one stack from its first preview to its destruction, with the result and cost of each step."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any, Final

from tools.demo import screen
from tools.demo.emulated import EmulatedAccount
from tools.demo.project import Project

__all__ = ["Tour", "UnexpectedError"]

_YES: Final = ("--yes", "--skip-preview")
_BUDGET: Final = {
    "monthly-budget": {"max_monthly_usd": 5},
    # The other policies of the pack need their own limits.
    **dict.fromkeys(("budget-warning", "spend-gate", "account-headroom", "cost-report"), "disabled"),
}


class UnexpectedError(Exception):
    """Raised if a step has an unexpected result; the text is the expected result."""


class Tour:
    """The steps, in order."""

    def __init__(self, project: Project, account: EmulatedAccount) -> None:
        self._project = project
        self._account = account
        self._number = 0
        self._called = account.calls()

    def until_changed(self) -> None:
        """
        Run every step except the last; at the end, the stack agrees with the program.

        Raises:
            UnexpectedError: A step has an unexpected result.
            CommandFailedError: The engine ended with an error.
        """
        calls = self._step("Preview: the new resources and their price", "preview")
        _expect(not calls, "a preview of a new stack sends no request to the API")
        self._tell("The price is in the outputs, before the first create.")

        self._heading(
            "Cost: the price of each container",
            "pulumi preview --json --show-sames | stacks-pulumi cost",
        )
        self._project.cost()

        under = self._project.policy("spend", _BUDGET)
        calls = self._step(
            "Policy: with a budget of $5 a month, the change is refused before the first create",
            "preview",
            *under,
            shown="pulumi preview --policy-pack policies/spend --policy-pack-config spend.json",
            refused=True,
        )
        _expect(
            not calls and not self._containers(), "a policy is checked before the first request to the API"
        )

        calls = self._step(
            "Up: both containers boot in parallel, and one poll reads the status of both", "up", *_YES
        )
        _expect(calls["containers.create"] == len(self._containers()) == 2, "two containers are created")
        self._tell()

        calls = self._step("Up again: nothing changed, so no request is sent", "up", *_YES)
        _expect(not calls, "an unchanged program sends no request to the API")
        self._tell()

        self._heading("Drift: two changes in the dashboard, outside of the program", None)
        self._account.drift("set_external_access", container="orders", enabled=False)
        self._account.drift("disconnect", source="orders", name="primary-db")
        screen.say(
            "   External access of `orders` is now off, and its connection to the database is deleted."
        )

        self._step("Refresh: the engine finds both changes", "refresh", *_YES)
        self._tell()

        calls = self._step("Up: only the two differences are fixed", "up", *_YES)
        _expect(
            calls["connections.create"] == 1 and not calls["containers.create"], "only the drift is fixed"
        )
        _expect(self._url("orders") is not None, "the app can be reached again")
        self._tell(
            "The address has changed: STACKS chooses a new address each time external access is turned on."
        )

    def end(self) -> None:
        """
        Destroy the stack.

        Raises:
            UnexpectedError: The account is not empty.
            CommandFailedError: The engine ended with an error.
        """
        self._step("Destroy: no billed container is left", "destroy", *_YES, "--remove")
        held = self._account.snapshot()
        _expect(not held["containers"] and not held["connections"], "the account is empty at the end")
        self._tell()

    def price(self) -> str:
        """Return the monthly cost of the account."""
        return f"${self._account.snapshot()['monthly_usd']:.2f}"

    # --- one step ---

    def _step(
        self, title: str, *command: str, shown: str | None = None, refused: bool = False
    ) -> Counter[str]:
        """Run the engine and print its time and calls; return the calls."""
        self._heading(title, shown or f"pulumi {' '.join(command)}")
        began = time.monotonic()
        self._project.run(*command, refused=refused)
        seconds = time.monotonic() - began
        called = self._account.calls()
        calls, self._called = called - self._called, called
        screen.say()
        screen.result(
            f"{seconds:.1f} s and {_counted(calls.total(), 'call')} to the API",
            [f"{times} {name}" for name, times in calls.most_common()],
        )
        return calls

    def _heading(self, title: str, command: str | None) -> None:
        self._number += 1
        screen.heading(self._number, title, command)

    def _tell(self, note: str = "") -> None:
        """Return the current content of the account."""
        rows = [
            (found["name"], found["template"], found["status"], f"${found['price']:.2f}", found["url"] or "")
            for found in self._containers()
        ]
        screen.result(f"the account holds {_counted(len(rows), 'container')}, {self.price()} a month")
        if rows:
            screen.table(rows)
        if note:
            screen.say(f"   {note}")

    def _containers(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._account.snapshot()["containers"]
        return found

    def _url(self, name: str) -> str | None:
        return next((found["url"] for found in self._containers() if found["name"] == name), None)


def _counted(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"


def _expect(condition: bool, otherwise: str) -> None:
    if not condition:
        raise UnexpectedError(otherwise)
