from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from stacks_pulumi.policy import StacksGuard
from stacks_pulumi.policy.testing import UNKNOWN, PackTester, Resource, container
from stacks_pulumi.pricing.money import price
from tests.support.policy_cases import account


def broken(_timeout_s: float) -> list[Any]:
    raise ConnectionError("sk_stacks_secret at 10.0.0.1")


def headroom(reader: Any, **config: Any) -> PackTester:
    guard = StacksGuard("test", ["account-headroom"], account=reader)
    return PackTester(guard, {"account-headroom": {"enforcementLevel": "mandatory", "cap_usd": 10, **config}})


def test_an_account_that_cannot_be_read_is_a_violation() -> None:
    outcome = headroom(broken).preview(container("web"))

    outcome.assert_blocked_by("account-headroom", "could not be read (ConnectionError)", "STACKS_API_KEY")
    assert "sk_stacks" not in str(outcome)


def test_an_account_that_cannot_be_read_can_be_a_warning(capfd: pytest.CaptureFixture[str]) -> None:
    headroom(broken, on_error="warn").preview(container("web")).assert_passes()

    assert "account-headroom: the account could not be read" in capfd.readouterr().err


def test_a_container_of_the_stack_is_not_counted_twice() -> None:
    headroom(account, cap_usd=4).preview(container("elsewhere")).assert_passes()


def test_a_container_of_the_stack_is_matched_by_its_id() -> None:
    ours = container("elsewhere", name="another-name", internal_host="usr-1-elsewhere")
    namesake = container("elsewhere", internal_host="usr-2-elsewhere")

    headroom(account, cap_usd=4).preview(ours).assert_passes()
    # A container in another account, which the stack manages with a different provider.
    headroom(account, cap_usd=7).preview(namesake).assert_blocked_by(
        "account-headroom", "would cost $8.00", "this stack $4.00, 1 other container $4.00"
    )


def test_the_higher_of_the_declared_and_the_listed_price_counts() -> None:
    def listed(plan: str) -> Any:
        return lambda _timeout_s: [
            SimpleNamespace(id="usr-1-web", name="web", price=price("nodejs", plan, None))
        ]

    ours = container("web", plan="standard", internal_host="usr-1-web")
    # It was enlarged in the dashboard.
    headroom(listed("premium"), cap_usd=9).preview(ours).assert_blocked_by(
        "account-headroom", "this stack $10.00 (the program declares $5.00, but the account lists more)"
    )
    headroom(listed("premium"), cap_usd=10).preview(ours).assert_passes()
    headroom(listed("micro"), cap_usd=4).preview(ours).assert_blocked_by(
        "account-headroom", "this stack $5.00,"
    )
    headroom(listed("micro"), cap_usd=5).preview(ours).assert_passes()


def test_a_size_that_the_state_shows_counts() -> None:
    grown = container("web", internal_host="usr-9-web", storage_mb=138 * 1024)

    headroom(account, cap_usd=12).preview(grown).assert_blocked_by("account-headroom", "this stack $9.00")
    PackTester(StacksGuard(max_monthly_usd=8)).preview(grown).assert_blocked_by("monthly-budget", "$9.00")


@pytest.mark.parametrize(
    ("resources", "cost"),
    [
        # One of the two is in a different account, but it is unknown which one.
        ([container("a", name="elsewhere"), container("b", name="elsewhere")], "$8.00"),
        ([container("elsewhere", plan="premium")], "$14.00"),
        ([container("elsewhere", plan=UNKNOWN)], "an unknown sum, at least $5.00"),
        ([container("web", name=UNKNOWN)], "$8.00"),
    ],
    ids=["twice", "another price", "unknown price", "unknown name"],
)
def test_an_ambiguous_container_is_counted_twice(resources: list[Resource], cost: str) -> None:
    headroom(account, cap_usd=1).preview(*resources).assert_blocked_by(
        "account-headroom", f"would cost {cost} a month"
    )


def test_as_many_are_dropped_as_exist() -> None:
    def twins(seconds: float) -> list[Any]:
        return account(seconds) * 2

    headroom(twins, cap_usd=7).preview(container("elsewhere")).assert_blocked_by(
        "account-headroom", "1 other container $4.00"
    )


def test_the_reader_has_a_timeout() -> None:
    seen: list[float] = []

    def reader(seconds: float) -> list[Any]:
        seen.append(seconds)
        return []

    headroom(reader, timeout_s=3).preview(container("web")).assert_passes()

    assert seen == [3.0]


def test_a_pack_without_an_account_reports_it() -> None:
    assert "without an account" in headroom(None).preview(container("web")).not_applicable["account-headroom"]


def test_without_a_cap_no_request_is_sent() -> None:
    guard = StacksGuard("test", ["account-headroom"], account=broken)

    PackTester(guard, {"account-headroom": "mandatory"}).preview(container("web")).assert_passes()
