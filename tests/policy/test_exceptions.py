"""Files of version 2 for `--policy-pack-config`: exceptions, which the engine applies and no pack sees."""

from __future__ import annotations

import datetime
import json
import re
from pathlib import Path
from typing import Any

import pytest

from stacks_pulumi.cli import main
from stacks_pulumi.policy import SPEND, StacksGuard
from stacks_pulumi.policy.options import read_configuration
from stacks_pulumi.policy.testing import PackTester, configuration_problems, container
from tests.support.policy_cases import SOON

STACK = "urn:pulumi:dev::test::pulumi:pulumi:Stack::test-dev"
LIMITS = {name: {"max_monthly_usd": 5} for name in ("monthly-budget", "budget-warning", "spend-gate")}
TODAY = datetime.date(2026, 1, 1)


def exception(policies: Any = ("monthly-budget",), targets: Any = (STACK,), **more: Any) -> dict[str, Any]:
    match = {"policies": policies, "targets": targets}
    return {"reason": "agreed, SHOP-12", "expires": SOON, "match": [match], **more}


def file(**exceptions: Any) -> dict[str, Any]:
    return {"version": 2, "policies": LIMITS, "exceptions": exceptions}


def problems(document: Any, pack: Path | None = None) -> str:
    text = document if isinstance(document, str) else json.dumps(document)
    return "\n".join(configuration_problems(text, pack))


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in exception().items() if name != key}


@pytest.mark.parametrize(
    "document",
    [
        {"version": 2},
        {"version": 2.0, "policies": LIMITS},
        file(),
        file(
            EXC_1=exception(), **{"a-2.b": exception(["spend-gate", "monthly-budget"], [STACK, f"{STACK}2"])}
        ),
        # The policies in the exceptions also identify the pack.
        {"version": 2, "exceptions": {"a": exception(["naming"])}},
    ],
)
def test_a_correct_file_of_version_2_has_no_problem(document: Any) -> None:
    assert problems(document) == ""


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (file(a=without("expires")), "exception 'a' needs a valid date in expires"),
        (file(a=exception(expires="2027-13-01")), "exception 'a' needs a valid date in expires"),
        (file(a=exception(expires=20271201)), "exception 'a' needs a valid date in expires"),
        (
            file(a=exception(expires="2020-01-01")),
            "exception 'a' ended on 2020-01-01, but the engine still applies it: remove the exception",
        ),
        (
            file(a=exception(expires="2099-01-01")),
            "exception 'a' ends on 2099-01-01, more than 366 days from now",
        ),
        (file(a=without("reason")), "exception 'a' has no reason"),
        (file(a=exception(reason=" ")), "exception 'a' has no reason"),
        (file(a=exception(reason=7)), "exception 'a' has no reason"),
        (file(a=without("match")), "exception 'a' has no list of policies and targets in match"),
        (file(a=exception(match=[])), "exception 'a' has no list of policies and targets in match"),
        (file(a=exception(match=["monthly-budget"])), "has an entry in match that is not an object"),
        (file(a=exception([])), "exception 'a' has no policies in an entry of match"),
        (file(a=exception("monthly-budget")), "has 'policies' in match, which is not a list of names"),
        (file(a=exception(["all"])), "exception 'a' must list its policies"),
        (file(a=exception(targets=[])), "exception 'a' has no targets in an entry of match"),
        (file(a=exception(targets=["web"])), "has the target 'web', which is not the URN of a resource"),
        (file(a="agreed"), "exception 'a' is not an object"),
        (file(**{"a b": exception()}), "exception 'a b' has an invalid id"),
        (
            file(a=exception(["monthly-bugdet"])),
            "in an exception, the configuration has an entry 'monthly-bugdet', which is not a policy of this pack (did",
        ),
        (file(a=exception(["naming"])), "no ready pack has all of"),
        ({"version": 2, "policies": [], "exceptions": []}, "'policies' is not an object"),
        ({"version": 2, "exceptions": [exception()]}, "'exceptions' is not an object"),
        ({"version": 1, "policies": LIMITS}, "1: it must be 2, or the file must have no version"),
        ({"version": 3, "policies": LIMITS}, "its version is 3"),
        ({"version": True}, "the configuration has an entry 'version', which is not a policy"),
        ({"version": 2, "monthly-budget": {}}, "'monthly-budget' is not a key of a file of version 2"),
        # Settings from a different source: they cannot be checked in the file.
        ({"version": 2, "environments": ["prod"]}, "'environments' is not a key of a file of version 2"),
        # Without a version, the engine reads it as the configuration of a policy and ignores it.
        ({"exceptions": {"a": exception()}}, "has an entry 'exceptions', which is not a policy"),
        ({"version": 2, "policies": {"monthly-bugdet": {}}}, "did you mean 'monthly-budget'?"),
        ({"version": 2, "policies": {"naming": {"patern": "a"}}}, "'patern' is not an option"),
    ],
)
def test_each_exception_needs_a_reason_and_an_end(document: Any, said: str) -> None:
    assert said in problems(document)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({**file(), "Exceptions": {"a": exception()}}, "'Exceptions' is not a key of a file of version 2"),
        (
            file(a={**without("match"), "MATCH": []}),
            "'MATCH' is not a key of an exception (did you mean 'match'?)",
        ),
        (file(a=exception(Expires="2020-01-01")), "'Expires' is not a key of an exception"),
        (
            file(a=exception(match=[{"policies": ["naming"], "targets": [STACK], "Targets": [STACK]}])),
            "'Targets' is not a key of an entry of match",
        ),
        (
            '{"version": 2, "exceptions": {"a": 1, "a": 2}}',
            "the key 'a' occurs twice in one object, and the engine uses only the last one",
        ),
    ],
)
def test_a_key_that_the_engine_takes_in_another_form_is_a_problem(document: Any, said: str) -> None:
    """The engine ignores upper and lower case here, so a reader could overlook an exception."""
    assert said in problems(document)


def test_the_longest_term_is_that_of_the_pack_for_exemptions(tmp_path: Path) -> None:
    def judged(days: int) -> str:
        (tmp_path / "__main__.py").write_text(
            "from stacks_pulumi.policy import StacksGuard\n"
            f"StacksGuard('own', ['naming'], longest_exemption_days={days}).run()\n",
            encoding="utf-8",
        )
        return problems({"version": 2, "exceptions": {"a": exception(["naming"])}}, tmp_path)

    assert "more than 3 days from now" in judged(3)
    assert judged(100) == ""


def test_an_exception_is_valid_on_its_last_day() -> None:
    def read(expires: str) -> tuple[int, int]:
        found = read_configuration(json.dumps(file(a=exception(expires=expires))), TODAY, 30)
        return len(found.exceptions), len(found.problems)

    assert read("2025-12-31") == (0, 1)
    assert read("2026-01-01") == (1, 0)
    assert read("2026-01-31") == (1, 0)
    assert read("2026-02-01") == (0, 1)


def test_the_reader_returns_what_the_engine_would_let_pass() -> None:
    read = read_configuration(json.dumps(file(a=exception(expires="2026-01-31"))), TODAY, 30)

    assert (read.policies, read.problems) == (LIMITS, ())
    [one] = read.exceptions
    assert (one.id, one.reason, one.expires) == ("a", "agreed, SHOP-12", datetime.date(2026, 1, 31))
    assert one.covers("monthly-budget", STACK)
    assert not one.covers("spend-gate", STACK)
    assert not one.covers("monthly-budget", f"{STACK}2")


def test_the_command_refuses_an_exception_that_has_ended(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spend = tmp_path / "spend.json"
    spend.write_text(json.dumps(file(a=exception())), encoding="utf-8")
    assert main(["policy", "check", str(spend)]) == 0

    spend.write_text(json.dumps(file(a=exception(expires="2020-01-01"))), encoding="utf-8")
    assert main(["policy", "check", str(spend)]) == 1
    assert "exception 'a' ended on 2020-01-01" in capsys.readouterr().out


class TestGuard:
    def test_its_configuration_may_have_version_2(self) -> None:
        guard = StacksGuard("test", SPEND, config={"version": 2, "policies": LIMITS})

        assert guard.initial_config() == StacksGuard("test", SPEND, config=LIMITS).initial_config()

    @pytest.mark.parametrize(
        ("config", "said"),
        [
            (file(a=exception()), "config has exceptions, which the engine applies only from the file"),
            ({"version": 2, "monthly-budget": {}}, "'monthly-budget' is not a key of a file of version 2"),
            ({"version": 3, "policies": {}}, "its version is 3"),
            ({"version": 2, "policies": {"monthly-bugdet": {}}}, "config contains 'monthly-bugdet'"),
        ],
    )
    def test_it_refuses_what_would_have_no_effect(self, config: Any, said: str) -> None:
        with pytest.raises(ValueError, match=re.escape(said)):
            StacksGuard("test", SPEND, config=config)


class TestTester:
    BIG = container("big", plan="premium")

    def pack(self, **exceptions: Any) -> PackTester:
        return PackTester(StacksGuard("test", SPEND), file(**exceptions))

    def test_an_exception_lets_a_violation_pass_and_it_is_still_reported(self) -> None:
        both = exception(["monthly-budget"], [STACK]), exception(["spend-gate"], [self.BIG.urn])

        assert self.pack().preview(self.BIG).blocked
        assert self.pack(a=both[0]).preview(self.BIG).blocked
        outcome = self.pack(a=both[0], b=both[1]).preview(self.BIG)

        assert not outcome.blocked
        assert [found.exceptions for found in outcome.of("monthly-budget")] == [("a",)]
        assert "[mandatory, exempted by b] spend-gate on big" in str(outcome)
        with pytest.raises(AssertionError, match="expected a mandatory violation"):
            outcome.assert_blocked_by("monthly-budget")

    def test_an_update_goes_on_after_an_excepted_resource(self) -> None:
        gate = exception(["spend-gate"], [self.BIG.urn])

        assert self.pack().update(self.BIG).made == ()
        assert self.pack(a=gate).update(self.BIG).made == ("big",)

    def test_an_exception_on_the_stack_waives_its_budget_whatever_it_costs(self) -> None:
        waived = exception(["monthly-budget"], [STACK])
        many = [container(f"big-{number}", plan="premium") for number in range(9)]

        outcome = PackTester(
            StacksGuard("test", ["monthly-budget"], max_monthly_usd=5),
            {"version": 2, "exceptions": {"a": waived}},
        ).update(*many)

        assert not outcome.blocked
        assert len(outcome.made) == 9

    def test_an_exception_that_has_ended_is_an_error(self) -> None:
        with pytest.raises(ValueError, match="ended on 2020-01-01"):
            self.pack(a=exception(expires="2020-01-01"))
