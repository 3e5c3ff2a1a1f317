"""May a change be applied: limits, budgets of the account after the change, rules, and what is free."""

from __future__ import annotations

import dataclasses
from decimal import Decimal
from typing import Any

import pytest

from stacks_pulumi._pulumi_cli import InputError
from stacks_pulumi.account.backend import Managed, Unread
from stacks_pulumi.account.reconcile import ContainerRecord, Reconciliation, StackTotal
from stacks_pulumi.api.models import Container
from stacks_pulumi.cost.report import Item
from stacks_pulumi.gate.change import changes_of, pricer_of
from stacks_pulumi.gate.settings import Gate
from stacks_pulumi.gate.signatures import Subject
from stacks_pulumi.gate.verdict import Verdict, judge
from stacks_pulumi.pricing.money import FREE as FREE_OF_CHARGE
from stacks_pulumi.pricing.money import Price
from stacks_pulumi.reports import PolicyViolation
from tests.support.saved_plans import (
    ADDRESS,
    BACKUP,
    CONTAINER,
    HIDDEN,
    PROVIDER,
    RANDOM,
    RESTORE,
    UNKNOWN,
    Saved,
    inputs,
    urn,
    web,
)
from tests.unit.gate.conftest import MakeGate

FREE = "free: {increase_per_day: 5}"
REPLACED = ("delete-replaced", "replace", "create-replacement")


def judged(gate: Gate, saved: Saved, spent: Decimal | None = Decimal(0), **more: Any) -> Verdict:
    changes = changes_of(
        *saved.files, pricer_of(gate, **({"monthly": more.pop("monthly")} if "monthly" in more else {}))
    )
    return judge(gate, changes, spent=spent, **more)


def why(verdict: Verdict) -> list[str]:
    return [str(reason) for reason in verdict.reasons]


def one_new(plan: str = "basic", **given: Any) -> Saved:
    saved = Saved()
    saved.plan("web", web(plan, **given), "create")
    return saved


def test_a_change_without_a_step_needs_nothing(make_gate: MakeGate) -> None:
    saved = Saved()
    saved.same("web", web("premium"))
    verdict = judged(make_gate(), saved, None)
    assert (verdict.result, verdict.reasons, verdict.approvals_needed) == ("nothing", (), 0)
    assert verdict.price_after == Price(Decimal(10), Decimal(10))


def test_without_free_every_change_needs_an_approval(make_gate: MakeGate) -> None:
    verdict = judged(make_gate(), one_new())
    assert (verdict.result, verdict.approvals_needed) == ("needs_approval", 1)
    assert why(verdict) == ["free: the gate has no `free`, so every change needs an approval"]
    assert verdict.rules == frozenset()
    assert verdict.increase == 4
    assert (verdict.price_before, verdict.price_after) == (FREE_OF_CHARGE, Price(Decimal(4), Decimal(4)))


@pytest.mark.parametrize(
    ("spent", "result"),
    [
        (Decimal(0), "free"),
        (Decimal(1), "free"),
        (Decimal("1.01"), "needs_approval"),
        (None, "needs_approval"),
    ],
)
def test_free_is_for_what_a_day_adds(make_gate: MakeGate, spent: Decimal | None, result: str) -> None:
    assert judged(make_gate(FREE), one_new(), spent).result == result


def test_a_fall_of_the_price_gives_nothing_back(make_gate: MakeGate) -> None:
    saved = Saved()
    saved.old("web", web(restart_triggers=["1"]))
    saved.plan("web", web("micro", restart_triggers=["1"]), "update")
    verdict = judged(make_gate(FREE), saved, Decimal("5.01"))
    # It keeps the size that the state shows, so its price does not fall for certain.
    assert verdict.increase == 0
    assert verdict.result == "needs_approval"
    assert judged(make_gate(FREE), saved, Decimal(5)).result == "free"


def test_what_falls_in_the_same_change_gives_nothing_back(make_gate: MakeGate) -> None:
    saved = Saved()
    saved.old("old", web("premium", name="old"), outputs={})
    saved.plan("old", web("micro", name="old"), "update")
    saved.plan("new", web("premium", name="new"), "create")
    verdict = judged(make_gate(FREE), saved)
    # The update may end after the one and before the other.
    assert (verdict.increase, verdict.increase_during) == (Decimal(1), Decimal(10))
    assert "the increase of $10.00 a month" in why(verdict)[0]


def never_free() -> dict[str, Saved]:
    """Return a change of each kind that `free` never covers."""
    cases: dict[str, Saved] = {}

    def case(name: str) -> Saved:
        return cases.setdefault(name, Saved())

    case("delete").old("web", web())
    case("delete").plan("web", None, "delete")
    case("replace").old("web", web())
    case("replace").plan("web", web(restart_triggers=["1"]), *REPLACED)
    case("stop").old("web", web())
    case("stop").plan("web", web(desired_status="stopped"), "update")
    case("stop, again").old("web", web(desired_status="stopped"))
    case("stop, again").plan("web", web(desired_status="stopped", restart_triggers=["1"]), "update")
    case("close").old("web", web(external_access=True))
    case("close").plan("web", web(external_access=False), "update")
    case("close, opened elsewhere").old("web", web(), outputs={"url": "web-ab1c2d.stackshosting.cloud"})
    case("close, opened elsewhere").plan("web", web(external_access=False), "update")
    case("stop, hidden").old("web", web())
    case("stop, hidden").plan("web", web(desired_status=HIDDEN), "update")
    case("an own creation that is not complete").old("web", web(), outputs={"unfinished": True})
    case("an own creation that is not complete").plan("web", web(restart_triggers=["1"]), "update")
    case("restore").plan("back", inputs("BackupRestore", backup_id="1"), "create", kind=RESTORE)
    case("adopt").plan("web", web(adopt="if_matching"), "create")
    case("adopt, hidden").plan("web", web(adopt=HIDDEN), "create")
    case("import").plan("web", {}, "same", base={}, id="usr-1-web")
    case("open").plan(
        "me", inputs("AllowedIp", container="w", ip_address="198.51.100.7"), "create", kind=ADDRESS
    )
    case("unknown").plan("web", web(discount_code=UNKNOWN), "create")
    case("unprotect").old("web", web(), protect=True)
    case("unprotect").plan("web", web(), "same", protect=False)
    case("retained").old("web", web(), retainOnDelete=True)
    case("retained").plan("web", None, "delete")
    case("provider").plan("mine", {"baseUrl": "https://elsewhere.example"}, "create", kind=PROVIDER)
    case("provider, named as a default one").plan("default_x", {"apiKey": HIDDEN}, "create", kind=PROVIDER)
    case("a default provider with other settings").config = {"stacks:baseUrl": "https://here"}
    case("a default provider with other settings").plan(
        "default", {"baseUrl": "https://there"}, "create", kind=PROVIDER, parent=""
    )
    case("a default provider whose plugin has an address").plan(
        "default_0_3_0_https___there_example", {"version": "0.3.0"}, "create", kind=PROVIDER, parent=""
    )
    case("a default provider that only the state has").old(
        "default_9", {"kubeconfig": "x"}, PROVIDER, parent=""
    )
    case("a default provider that only the state has").plan("default_9", None, "delete", kind=PROVIDER)
    case("settings of the default provider").old("default", {"version": "1"}, PROVIDER, parent="")
    case("settings of the default provider").plan(
        "default", {"version": "1", "apiKey": HIDDEN}, "update", kind=PROVIDER, parent=""
    )
    case("adopt by default").same("default", {"stacks:adopt": "if_matching"}, PROVIDER, parent="")
    case("adopt by default").plan("web", web(), "create")
    case("foreign").plan("it", {"length": 3}, "create", kind=RANDOM)
    case("unrecognised").plan("it", {}, "create", kind=CONTAINER.replace("Container", "New"))
    case("a backup of another stack's container").same("web", web())
    case("a backup of another stack's container").plan(
        "it", inputs("PinnedBackup", container="usr-1-prod-db"), "create", kind=BACKUP
    )
    case("interrupted").plan("web", web(), "create")
    case("interrupted").pending.append(
        {
            "type": "creating",
            "resource": {"urn": urn("w"), "custom": True, "type": CONTAINER, "inputs": web("micro")},
        }
    )
    return cases


@pytest.mark.parametrize("case", never_free())
def test_free_never_covers_it(make_gate: MakeGate, case: str) -> None:
    lenient = make_gate(
        "free: {increase_per_day: 1000}\nrules: {unpriced: approve, keeps-billed: approve}\nprices: prices.yaml",
        prices_yaml="prices: [{type: '*', price: free}]",
    )
    verdict = judged(lenient, never_free()[case])
    assert verdict.result == "needs_approval"
    assert verdict.reasons


def test_free_covers_what_is_ordinary(make_gate: MakeGate) -> None:
    saved = Saved()
    saved.config = {"stacks:apiKey": {"secure": "v1:x"}, "stacks:baseUrl": "https://here"}
    settings = {"apiKey": HIDDEN, "baseUrl": "https://here", "version": "0.3.0"}
    saved.plan("default_0_3_0", settings, "create", kind=PROVIDER, parent="")
    saved.old("default_0_2_0", {**settings, "version": "0.2.0"}, PROVIDER, parent="")
    saved.plan("default_0_2_0", None, "delete", kind=PROVIDER)
    saved.old("web", web())
    saved.plan("web", web(desired_status="running", restart_triggers=["1"]), "update")
    saved.plan("new", web(), "create")
    saved.plan("safe", inputs("PinnedBackup", container="usr-1-web"), "create", kind=BACKUP)
    saved.old("closed", web(external_access=False))
    saved.plan("closed", web(external_access=False, restart_triggers=["1"]), "update")
    assert judged(make_gate(FREE), saved).result == "free"


def test_what_is_looked_up_no_longer_is_a_step_that_may_be_free(make_gate: MakeGate) -> None:
    saved = Saved()
    saved.old("web", web(), external=True)
    saved.plan("web", None, "discard")
    assert (
        judged(make_gate("rules: {max-deletions: {limit: 0, otherwise: refuse}}\n" + FREE), saved).result
        == "free"
    )
    assert judged(make_gate(), saved).result == "needs_approval"


def test_what_an_interrupted_update_may_have_made_is_in_the_total(make_gate: MakeGate) -> None:
    gate = make_gate("limits: {max_total: 12}")
    saved = one_new("standard")
    saved.same("db", web(name="db"))
    unfinished = {"old": Decimal(4)}
    assert judged(gate, saved).result == "needs_approval"
    verdict = judged(gate, saved, may_exist=unfinished)
    assert why(verdict)[0] == (
        "max_total: the stack's price a month (with old, which an interrupted update may have made) after the change "
        f"is $13.00 at most; the limit is $12.00{RAISE}"
    )
    # What the stack has, makes or deletes is that container.
    assert judged(gate, saved, may_exist={"db": Decimal(4), "web": Decimal(5)}).result == "needs_approval"
    assert verdict.increase == 5


@pytest.mark.parametrize("operation", ["create", "pending", "same", "delete"])
def test_a_smaller_container_of_the_same_name_does_not_hide_what_may_exist(
    make_gate: MakeGate, operation: str
) -> None:
    saved = Saved()
    if operation == "pending":
        resource = {"urn": urn("web"), "custom": True, "type": CONTAINER, "inputs": web()}
        saved.pending.append({"type": "creating", "resource": resource})
    elif operation != "create":
        saved.old("web", web())
    given = None if operation == "delete" else web()
    saved.plan("web", given, "create" if operation == "pending" else operation)
    unfinished = {"web": Decimal(14), "db": Decimal(10)}
    (total,) = judged(make_gate("limits: {max_total: 12}"), saved, may_exist=unfinished).limits
    assert total.passed is (operation == "delete")
    what = "db" if operation == "delete" else "db, web"
    assert f"with {what}, which an interrupted update may have made" in total.text
    assert ("$24.00" in total.text) is (operation != "delete")


def test_a_program_with_its_own_code_is_not_free(make_gate: MakeGate) -> None:
    code = "its runtime is python, so it is code"
    verdict = judged(make_gate(FREE), one_new(), code=code)
    assert verdict.result == "needs_approval"
    assert why(verdict) == [f"free: the program may run its own code with the key: {code}"]
    trusted = make_gate("free: {increase_per_day: 5, code: true}")
    assert judged(trusted, one_new(), code=code).result == "free"
    # Without a step no approval is needed; `apply` then does not run the program.
    saved = Saved()
    saved.same("web", web())
    assert judged(make_gate(FREE), saved, code=code).result == "nothing"


RAISE = ": make a smaller change, or raise it in gate.yaml, where the gate is read from"


def test_limits_refuse_and_name_both_sums(make_gate: MakeGate) -> None:
    saved = one_new("premium")
    saved.same("old", web("premium"))
    verdict = judged(make_gate(f"{FREE}\nlimits: {{max_increase: 9, max_total: 19}}"), saved)
    assert verdict.result == "refused"
    assert why(verdict)[:2] == [
        f"max_total: the stack's price a month after the change is $20.00 at most; the limit is $19.00{RAISE}",
        f"max_increase: the increase a month is $10.00 at most; the limit is $9.00{RAISE}",
    ]
    assert judged(make_gate("limits: {max_increase: 10, max_total: 20}"), saved).result == "needs_approval"


def swapped(new: str = "basic") -> Saved:
    """Return a change that deletes a container for $10, and makes another one."""
    saved = Saved()
    saved.old("old", web("premium", name="old"))
    saved.plan("old", None, "delete")
    saved.plan("new", web(new, name="new"), "create")
    return saved


def test_a_total_holds_until_the_last_deletion(make_gate: MakeGate) -> None:
    """The engine creates first, so a killed update may have made the new one and not yet deleted the old one."""
    verdict = judged(make_gate("limits: {max_increase: 1, max_total: 13}"), swapped())
    assert why(verdict)[0] == (
        "max_total: the stack's price a month before the last deletion is $14.00 at most; the limit is $13.00: delete "
        "first, in a separate change"
    )
    assert (verdict.price_after.high, verdict.price_during.high) == (Decimal(4), Decimal(14))
    assert (verdict.increase, verdict.increase_during) == (Decimal(-6), Decimal(4))
    assert judged(make_gate("limits: {max_increase: 1, max_total: 14}"), swapped()).result == "needs_approval"


def test_a_stack_over_its_limit_can_become_cheaper(make_gate: MakeGate) -> None:
    saved = Saved()
    saved.old("old", web("premium", name="old"))
    saved.plan("old", None, "delete")
    saved.same("web", web())
    verdict = judged(make_gate("limits: {max_total: 4}"), saved)
    assert verdict.result == "needs_approval", why(verdict)
    assert (verdict.price_before.high, verdict.price_during.high) == (Decimal(14), Decimal(4))


@pytest.mark.parametrize(
    ("steps", "during"),
    [(REPLACED, 10), (("create-replacement", "replace", "delete-replaced"), 14)],
)
def test_what_is_deleted_first_is_not_beside_the_new_one(
    make_gate: MakeGate, steps: tuple[str, ...], during: int
) -> None:
    saved = Saved()
    saved.old("web", web(name="one"))
    saved.plan("web", web("premium", name="two"), *steps)
    assert judged(make_gate(), saved).price_during.high == during


def test_an_unknown_price_exceeds_a_limit(make_gate: MakeGate) -> None:
    gate = make_gate("limits: {max_total: 9}\nrules: {unpriced: approve}")
    assert judged(gate, one_new(UNKNOWN)).result == "refused"
    verdict = judged(gate, one_new("huge"))
    assert verdict.result == "refused"
    assert "has no known upper bound; the limit is $9.00" in why(verdict)[0]
    assert verdict.increase is None


def test_a_mandatory_policy_refuses_and_an_advisory_one_does_not(make_gate: MakeGate) -> None:
    violation = PolicyViolation("allowed-plans", "plans", "mandatory", "web", "not this one")
    verdict = judged(make_gate(FREE), one_new(), violations=[violation])
    assert (verdict.result, why(verdict)) == ("refused", ["allowed-plans: web: not this one"])
    advice = dataclasses.replace(violation, level="advisory")
    assert judged(make_gate(FREE), one_new(), violations=[advice]).result == "free"


def test_what_the_plan_forgets_is_refused(make_gate: MakeGate) -> None:
    saved = Saved()
    saved.old("web", web())
    verdict = judged(make_gate(FREE), saved)
    assert verdict.result == "refused"
    assert "does not say what becomes of it" in why(verdict)[0]


def test_a_rule_can_ask_for_two_people(make_gate: MakeGate) -> None:
    gate = make_gate("two_approvals: [destroys-data]")
    saved = Saved()
    saved.old("db", web(template="redis"))
    saved.plan("db", None, "delete")
    verdict = judged(gate, saved)
    assert (verdict.result, verdict.approvals_needed) == ("needs_approval", 2)
    assert verdict.rules == {"destroys-data"}
    assert verdict.needs_destroy
    assert judged(gate, one_new()).approvals_needed == 1
    assert not judged(gate, one_new()).needs_destroy


def test_an_unknown_is_told_to_the_approver(make_gate: MakeGate) -> None:
    assert judged(make_gate(), one_new(UNKNOWN)).result == "refused"
    verdict = judged(make_gate("rules: {unpriced: approve}"), one_new(UNKNOWN))
    assert verdict.unknown == (f"'web' ({CONTAINER}): plan",)
    assert verdict.result == "needs_approval"


def test_live_prices_count(make_gate: MakeGate) -> None:
    verdict = judged(make_gate("limits: {max_total: 10}"), one_new(), monthly=lambda *_: Decimal(11))
    assert verdict.result == "refused"
    assert verdict.increase == 11


ID = "usr-1-web"


def account(*plans: str, stacks: tuple[str, ...] = ("dev",), **more: Any) -> Reconciliation:
    """Return an account with a container of each plan, the first ones owned by one stack each."""
    records = []
    for number, plan in enumerate(plans):
        name = f"c{number}"
        price = Price(
            Decimal({"micro": 1, "basic": 4, "premium": 10}[plan]),
            Decimal({"micro": 1, "basic": 4, "premium": 10}[plan]),
        )
        owners: tuple[Managed, ...] = ()
        if number < len(stacks):
            owner = f"shop/{stacks[number]}"
            its = urn(name).replace(":dev:", f":{stacks[number]}:")
            owners = (Managed(owner, its, "Container", f"usr-1-{name}"),)
        item = Item(plan, price)
        container = Container(id=f"usr-1-{name}", name=name)
        records.append(ContainerRecord(container, item, owners, "owned" if owners else "orphan"))
    totals = tuple(
        StackTotal(f"shop/{stack}", "shop", stack, 0, sum_of(records, stack))
        for stack in dict.fromkeys(stacks)
    )
    return Reconciliation("https://api", "2026-05-17T12:00:00Z", tuple(records), stacks=totals, **more)


@pytest.mark.parametrize(
    ("said", "there", "increase"),
    [
        ({}, {"stacks": ()}, 0),
        # The plan says it, and the account does not show it, or shows another owner.
        ({}, None, 4),
        ({}, {"stacks": ("prod",)}, 4),
        ({}, {"stacks": (), "gap": "the list has a row that cannot be read"}, 0),
        ({"adopts": "usr-1-c1"}, {"stacks": ()}, 4),
        ({"name": "c1"}, {"stacks": ()}, 4),
        # The account shows it, and the provider did not see at the preview that it matches.
        ({"adopts": None}, {"stacks": ()}, 4),
        ({"kind": "acme:index:Thing"}, {"stacks": ()}, None),
    ],
)
def test_what_the_account_shows_of_no_stack_is_billed_already(
    said: dict[str, Any], there: dict[str, Any] | None, increase: int | None, make_gate: MakeGate
) -> None:
    saved = Saved()
    given = {"name": "c0", "adopt": "if_matching", "adopts": "usr-1-c0", **said}
    kind = {"kind": given.pop("kind")} if "kind" in given else {}
    saved.plan("web", {**web("basic"), **given, "stacks_kind": "Container"}, "create", **kind)
    gate, seen = make_gate(FREE), None if there is None else account("basic", **there)

    changes = changes_of(*saved.files, pricer_of(gate, account=seen))
    verdict = judge(gate, changes, spent=Decimal(0))

    assert verdict.increase == increase
    # It may be another's: a person approves it, unless its price is not known.
    assert verdict.result == ("refused" if increase is None else "needs_approval")


def sum_of(records: list[ContainerRecord], stack: str) -> Price:
    amount = sum((one.item.price.low for one in records if f"shop/{stack}" in one.stacks), Decimal(0))
    return Price(amount, amount)


def untagged(name: str, value: str) -> frozenset[str]:
    raise InputError(f"no tags here: {name}={value}")


def with_budgets(make_gate: MakeGate, budgets: str, more: str = FREE) -> Gate:
    return make_gate(f"{more}\nbudgets: budgets.yaml", budgets_yaml=budgets)


def test_a_budget_is_judged_after_the_change(make_gate: MakeGate) -> None:
    now = account("premium", "premium", stacks=("dev", "prod"))
    for most, result in ((24, "free"), ("23.99", "refused")):
        gate = with_budgets(make_gate, f"budgets: [{{name: all, owner: ann, max_total: {most}}}]")
        verdict = judged(gate, new_beside_c0(), account=now, tagged=untagged)
        assert verdict.result == result, why(verdict)
    assert why(verdict)[0].startswith("budget all (owner: ann): the total is $24.00 at most, over the limit")


def test_a_budget_holds_until_the_last_deletion(make_gate: MakeGate) -> None:
    saved = Saved()
    saved.old("c0", web("premium", name="c0"))
    saved.plan("c0", None, "delete")
    saved.plan("new", web("premium", name="new"), "create")
    now = account("premium", "premium", stacks=("dev", "prod"))
    for most, result in ((30, "needs_approval"), ("29.99", "refused")):
        gate = with_budgets(make_gate, f"budgets: [{{name: all, max_total: {most}}}]")
        verdict = judged(gate, saved, account=now, tagged=untagged)
        assert verdict.result == result, why(verdict)
    assert "before the last deletion, the total is $30.00 at most, over the limit" in why(verdict)[0]


def new_beside_c0() -> Saved:
    saved = one_new(name="new")
    saved.same("c0", web("premium", name="c0"))
    return saved


def test_a_budget_is_over_the_account_alone(make_gate: MakeGate) -> None:
    saved = new_beside_c0()
    saved.same("it", {"size": "large"}, RANDOM)
    gate = make_gate(
        f"{FREE}\nbudgets: budgets.yaml\nprices: prices.yaml",
        budgets_yaml="budgets: [{name: all, max_total: 14}]",
        prices_yaml="prices: [{type: 'random:*', price: 100}]",
    )
    verdict = judged(gate, saved, account=account("premium"), tagged=untagged)
    assert verdict.result == "free", why(verdict)
    assert verdict.price_after.high == 114


def test_an_import_has_no_upper_bound_and_needs_an_approval(make_gate: MakeGate) -> None:
    saved = Saved()
    saved.plan("c0", {}, "same", base={}, id="usr-1-c0")
    verdict = judged(make_gate(f"{FREE}\nrules: {{unpriced: approve}}"), saved)
    assert verdict.result == "needs_approval"
    assert [reason.rule for reason in verdict.reasons] == ["opens-access", "unpriced", "free", "free"]
    assert verdict.increase is None
    assert judged(make_gate(), saved).result == "refused"


def test_a_budget_can_warn(make_gate: MakeGate) -> None:
    gate = with_budgets(make_gate, "budgets: [{name: all, warn_total: 1, max_total: 99}]")
    verdict = judged(gate, new_beside_c0(), account=account("premium"), tagged=untagged)
    assert verdict.result == "free"
    assert [one.passed for one in verdict.limits] == [True, False]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"unread": (Unread("shop/prod", "locked"),)}, "shop/prod (locked)"),
        ({"gaps": ("a page is missing",), "gap": "a page is missing"}, "a page is missing"),
    ],
)
def test_a_budget_over_what_was_not_read_refuses(
    make_gate: MakeGate, more: dict[str, Any], words: str
) -> None:
    gate = with_budgets(make_gate, "budgets: [{name: all, max_total: 1000}]")
    verdict = judged(gate, new_beside_c0(), account=account("premium", **more), tagged=untagged)
    assert verdict.result == "refused"
    assert any("not read completely" in text and words in text for text in why(verdict))


def test_a_budget_needs_the_account(make_gate: MakeGate) -> None:
    gate = with_budgets(make_gate, "budgets: [{name: all, max_total: 1000}]")
    refused = judged(gate, new_beside_c0())
    assert refused.result == "refused"
    assert "STACKS_API_KEY" in why(refused)[0]
    asked = judged(gate, new_beside_c0(), None, without_account=True)
    assert asked.result == "needs_approval"
    assert "`apply` reads and judges it" in asked.limits[0].text


@pytest.mark.parametrize("stacks", ["shop/dev", "shop/prod"])
def test_what_apply_asks_of_the_account_was_accepted_without_it(make_gate: MakeGate, stacks: str) -> None:
    """An approver has no key. A stack that no budget covers has nothing to exceed."""
    gate = with_budgets(make_gate, f"budgets: [{{stacks: {stacks}, max_total: 100}}]", "")
    now = account("premium", "premium", stacks=("dev", "prod"))
    shown = judged(gate, new_beside_c0(), without_account=True)
    applied = judged(gate, new_beside_c0(), account=now, tagged=untagged)

    accepts = [Subject("0" * 64, "organization/shop/dev", "", one).accepts for one in (shown, applied)]
    assert (shown.result, applied.result, accepts) == ("needs_approval", "needs_approval", [frozenset()] * 2)


@pytest.mark.parametrize(
    ("budgets", "result"),
    [
        ("covers: all\nbudgets: [{stacks: shop/prod, max_total: 100}]", "refused"),
        ("budgets: [{stacks: shop/prod, max_total: 100}]", "needs_approval"),
        ("budgets: [{stacks: shop/dev, max_total: 100}]", "free"),
        ("budgets: [{name: all, max_total: 100}]", "free"),
        ("budgets: [{name: all, warn_total: 100}]", "needs_approval"),
        ("budgets: [{stacks: shop/none, max_total: 100}]", "refused"),
        ("budgets: [{tags: {team: web}, max_total: 100}]", "refused"),
    ],
)
def test_a_stack_without_a_budget_is_not_free(make_gate: MakeGate, budgets: str, result: str) -> None:
    now = account("premium", "premium", stacks=("dev", "prod"))
    verdict = judged(with_budgets(make_gate, budgets), new_beside_c0(), account=now, tagged=untagged)
    assert verdict.result == result, why(verdict)


def test_where_the_account_lists_a_higher_price_that_counts(make_gate: MakeGate) -> None:
    """It was resized in the dashboard, and the state does not know it."""
    saved = Saved()
    saved.same("c0", web("micro", name="c0"))
    saved.plan("new", web(name="new"), "create")
    gate = make_gate(f"{FREE}\nlimits: {{max_total: 13}}")
    assert judged(gate, saved).result == "free"
    verdict = judged(gate, saved, account=account("premium"), tagged=untagged)
    assert verdict.result == "refused"
    assert verdict.price_after.high == 14


def test_an_account_with_two_stacks_of_one_name_is_refused(make_gate: MakeGate) -> None:
    now = account("premium")
    twice = dataclasses.replace(
        now, stacks=(*now.stacks, dataclasses.replace(now.stacks[0], name="org/shop/dev", ref="org/shop/dev"))
    )
    verdict = judged(make_gate(FREE), new_beside_c0(), account=twice, tagged=untagged)
    assert verdict.result == "refused"
    assert "that may be each of" in why(verdict)[0]
