from __future__ import annotations

import threading
from typing import Any

import pytest

from stacks_pulumi.policy import ContainerView, Settings, StacksGuard, Violation
from stacks_pulumi.policy.guard import rules
from stacks_pulumi.policy.spend import SpendGate
from stacks_pulumi.policy.testing import UNKNOWN, Outcome, PackTester, Resource, container, resource
from stacks_pulumi.pricing.recognition import UNKNOWN as UNKNOWN_VALUE
from tests.support.policy_cases import SOON


def preview(policy: str, *resources: Resource, **config: Any) -> Outcome:
    return PackTester(StacksGuard("test", [policy]), {policy: config}).preview(*resources)


def test_a_budget_with_one_unknown_plan_does_not_pass_by_default() -> None:
    outcome = preview(
        "monthly-budget", container("a", plan="premium"), container("b", plan=UNKNOWN), max_monthly_usd=19
    )

    outcome.assert_blocked_by(
        "monthly-budget",
        "at least $11.00",
        "limit is $19.00",
        "'b' $1.00 or more",
        "Write the plan as a plain value.",
    )


def test_a_size_that_does_not_exist_yet_is_what_is_declared_and_one_that_is_hidden_is_not_known() -> None:
    """In a preview, the native plugin returns the outputs of a new container as unknown values."""
    preview("monthly-budget", container("a", storage_mb=UNKNOWN), max_monthly_usd=4).assert_passes()
    hidden = {"template": "nodejs", "plan": "basic", "storage_mb": "[secret]"}
    assert ContainerView.of("urn", "a", hidden).price.high is None


def test_an_unknown_plan_is_refused_where_a_plan_that_the_catalogue_lacks_is() -> None:
    for plan in (UNKNOWN, "colossal"):
        preview("monthly-budget", container("b", plan=plan), max_monthly_usd=1000).assert_blocked_by(
            "monthly-budget", "an unknown sum"
        )


def test_a_price_without_an_upper_bound_is_not_said_to_fit_a_higher_limit() -> None:
    mystery = resource("stacks:index:Mystery", "what")
    for one, fix in (
        (container("b", plan=UNKNOWN), "Write the plan as a plain value."),
        (container("b", plan="colossal"), "Choose a template, a plan and storage from the catalogue."),
        (mystery, "Upgrade stacks-pulumi where the policies run."),
    ):
        outcome = preview("monthly-budget", one, max_monthly_usd=5)
        [found] = [found.message for found in outcome.of("monthly-budget") if found.level == "mandatory"]
        assert found.endswith(fix)
        assert "raise max_monthly_usd" not in found
        assert ("'what' has no known price (its kind is not known)" in found) is (one is mystery)


def test_the_gate_leaves_an_unknown_plan_to_the_update_and_refuses_a_new_one() -> None:
    preview("spend-gate", container("b", plan=UNKNOWN), max_monthly_usd=1).assert_warned_by(
        "spend-gate", "the plan of 'b' is not known yet"
    )
    preview("spend-gate", container("b", plan="colossal"), max_monthly_usd=1000).assert_blocked_by(
        "spend-gate"
    )


def test_unknown_prices_can_be_denied_outright() -> None:
    preview(
        "monthly-budget", container("b", plan=UNKNOWN), max_monthly_usd=100, unknown="deny"
    ).assert_blocked_by(
        "monthly-budget", "the price of 1 container is not known, and this policy denies unknown prices"
    )


def test_unknown_prices_can_be_ignored_and_known_ones_still_count() -> None:
    config: dict[str, Any] = {"max_monthly_usd": 9, "unknown": "ignore"}

    preview("monthly-budget", container("b", plan=UNKNOWN), **config).assert_passes()
    assert preview("monthly-budget", container("a", plan="premium"), **config).blocked


@pytest.mark.parametrize(
    ("policy", "limit"),
    [
        ("monthly-budget", "max_monthly_usd"),
        ("spend-gate", "max_monthly_usd"),
        ("resource-price-cap", "max_usd"),
    ],
)
def test_a_template_without_a_price_exceeds_every_limit(policy: str, limit: str) -> None:
    """The provider adds a default plan, which does not determine the price of such a template."""
    preview(policy, container("a", "stacks-gpu"), **{limit: 100_000}).assert_blocked_by(
        policy, "an unknown sum"
    )


def test_a_budget_is_exact_to_the_cent() -> None:
    containers = [container(f"c{number}", plan="micro") for number in range(3)]

    preview("monthly-budget", *containers, max_monthly_usd=3).assert_passes()
    assert preview("monthly-budget", *containers, max_monthly_usd=2.99).blocked


def test_a_long_bill_names_the_most_expensive() -> None:
    outcome = preview(
        "monthly-budget",
        *(container(f"c{n}", plan="micro") for n in range(9)),
        container("big", plan="premium"),
        max_monthly_usd=1,
    )

    outcome.assert_blocked_by("monthly-budget", ": 'big' $10.00", "and 5 more")


def test_a_warning_comes_before_the_limit() -> None:
    preview("budget-warning", container("a"), max_monthly_usd=5).assert_passes()
    preview("budget-warning", container("a"), max_monthly_usd=4.99).assert_warned_by("budget-warning", "80 %")
    preview("budget-warning", container("a"), max_monthly_usd=0).assert_warned_by(
        "budget-warning", "all of its limit"
    )
    preview("budget-warning", container("a", plan="colossal"), max_monthly_usd=9).assert_warned_by(
        "budget-warning", "more than 100 % of its limit"
    )


def test_the_gate_does_not_know_what_the_program_declares_later() -> None:
    """A limit of policies (see docs/policies.md): without a preview, a new container that comes first is created."""
    pack = StacksGuard("test", ["spend-gate", "monthly-budget"], max_monthly_usd=8)
    new_first = container("new"), container("a"), container("b")

    PackTester(pack).preview(*new_first).assert_blocked_by("monthly-budget", "costs $12.00 a month")
    outcome = PackTester(pack).update(*new_first)
    outcome.assert_blocked_by("spend-gate", "container 'b'", "declared before it (perhaps already created)")
    assert outcome.made == ("new", "a")


def test_the_gate_stops_the_container_above_the_limit() -> None:
    gate = PackTester(StacksGuard("test", ["spend-gate"], max_monthly_usd=8))

    outcome = gate.update(container("a"), container("b"), container("c"), container("d"))

    outcome.assert_blocked_by("spend-gate", "container 'c'", "with $8.00 declared before it")
    assert outcome.made == ("a", "b")


def test_the_gate_names_what_has_no_known_price_and_not_a_sum_below_the_limit() -> None:
    outcome = preview(
        "spend-gate", container("strange", template="cobol"), container("web"), max_monthly_usd=40
    )

    [found] = [one.message for one in outcome.of("spend-gate") if "'web'" in one.message.split(";")[0]]
    assert found.splitlines()[1] == (
        "container 'web' (nodejs, basic) costs $4.00 a month; together with an unknown sum declared before it (perhaps "
        "already created), this has no upper bound, because of 'strange', and exceeds the limit of $40.00 for the "
        "stack. Choose a template, a plan and storage from the catalogue."
    )


def test_the_gate_counts_each_container_once() -> None:
    gate, settings = SpendGate(), Settings(rules()["spend-gate"].all_options, {"max_monthly_usd": 5})
    view = ContainerView("urn:a", "a", template="nodejs", plan="basic")

    assert [list(gate(view, settings)) for _ in range(3)] == [[], [], []]


def test_the_gate_leaves_an_exempt_container_out_of_its_sum() -> None:
    exempt = [{"name": "a", "reason": "paid by another team", "expires": SOON}]
    guard = StacksGuard("test", ["spend-gate"], max_monthly_usd=4, config={"spend-gate": {"exempt": exempt}})

    assert PackTester(guard).update(container("a", plan="premium"), container("b")).made == ("a", "b")


def test_every_operation_starts_with_an_empty_sum() -> None:
    gate = PackTester(StacksGuard("test", ["spend-gate"], max_monthly_usd=5))

    assert gate.update(container("a")).made == ("a",)
    assert gate.update(container("b")).made == ("b",)


def test_concurrent_threads_do_not_pass_the_gate() -> None:
    gate, settings = SpendGate(), Settings(rules()["spend-gate"].all_options, {"max_monthly_usd": 40})
    passed: list[str] = []
    start = threading.Barrier(20)

    def ask(name: str) -> None:
        start.wait()
        if not list(gate(ContainerView(f"urn:{name}", name, template="nodejs", plan="basic"), settings)):
            passed.append(name)

    threads = [threading.Thread(target=ask, args=(f"c{number}",)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(passed) == 10


@pytest.mark.parametrize(("plan", "findings"), [("premium", 1), ("basic", 0), (UNKNOWN_VALUE, 1)])
def test_a_rule_is_a_plain_function_on_a_view(plan: Any, findings: int) -> None:
    from stacks_pulumi.policy.spend import resource_price_cap

    settings = Settings(rules()["resource-price-cap"].all_options, {"max_usd": 5})
    found = list(resource_price_cap(ContainerView("urn", "web", template="nodejs", plan=plan), settings))

    assert len(found) == findings
    assert all(isinstance(finding, Violation) for finding in found)


def test_limits_by_number_are_of_one_kind_each() -> None:
    outcome = preview(
        "max-resources", container("a"), container("b"), containers=2, vpn_clients=0, pinned_backups=0
    )

    outcome.assert_passes()


def report(capfd: pytest.CaptureFixture[str], *resources: Resource, **options: Any) -> list[str]:
    """Return the lines that cost-report has printed below its name."""
    pack = PackTester(StacksGuard("test", ["cost-report"], all="mandatory"), {"cost-report": options})
    pack.preview(*resources).assert_passes()
    _, name, lines = capfd.readouterr().err.partition("cost-report:\n")
    assert name
    return lines.rstrip().splitlines()


def test_cost_report_is_a_table_of_every_container_and_the_sum(capfd: pytest.CaptureFixture[str]) -> None:
    assert report(capfd, container("web", plan="premium"), container("new-one", plan=UNKNOWN)) == [
        "web      nodejs, premium               $10.00",
        "new-one  nodejs, plan unknown   $1.00 or more",
        "total                          $11.00 or more",
    ]


def test_exempt_container_is_not_in_the_cost_report(capfd: pytest.CaptureFixture[str]) -> None:
    exempt = [{"name": "web", "reason": "agreed", "expires": SOON}]

    assert report(capfd, container("web"), container("two"), exempt=exempt) == [
        "two    nodejs, basic  $4.00",
        "total                 $4.00",
    ]


def test_cost_report_can_be_markdown(capfd: pytest.CaptureFixture[str]) -> None:
    assert report(capfd, container("web"), format="markdown")[2:] == [
        "| web | nodejs, basic | $4.00 |",
        "| total |  | $4.00 |",
    ]


def test_cost_report_has_no_markup_of_a_name(capfd: pytest.CaptureFixture[str]) -> None:
    [row, _] = report(capfd, container("a|b @all <img> `x` [l](//y)"), format="markdown")[2:]

    assert row.count("|") - row.count("\\|") == 4
    assert not any(part in row for part in ("@all", "<img>", "`x`", "](//"))
