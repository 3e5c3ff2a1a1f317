"""The account that is judged is the gate's, and what may cost more than it seems counts."""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
import responses

from stacks_pulumi import catalog
from stacks_pulumi.api.models import Container, Listing
from stacks_pulumi.cost.build import Pricer
from stacks_pulumi.errors import ConfigError, ForbiddenError, InvalidApiKeyError
from stacks_pulumi.gate import spending
from stacks_pulumi.gate.change import Change, Operation, changes_of, pricer_of
from stacks_pulumi.gate.machine import Begun
from stacks_pulumi.gate.settings import Free, Gate, GateFile
from tests.support.saved_plans import HIDDEN, ROOT, UNKNOWN, Saved, web
from tests.unit.gate.conftest import MakeGate

NOW = datetime.datetime(2026, 11, 27, 12, 0, tzinfo=datetime.timezone.utc)
URL = "https://stacks.example/api/v1"


def gate(**settings: Any) -> Gate:
    return Gate(Path(), "", GateFile(**settings), (), (), Path(), None, None)


def configured(**values: Any) -> dict[str, Any]:
    return {f"stacks:{name}": {"value": value} for name, value in values.items()}


@pytest.fixture(autouse=True)
def _no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STACKS_BASE_URL", raising=False)


@pytest.mark.parametrize(
    ("settings", "values"),
    [
        ({}, {"baseUrl": URL}),
        ({}, {"baseUrl": ["a list"]}),
        ({}, {"baseUrl": ""}),
        ({"base_url": URL}, {"baseUrl": "https://other.example/api/v1"}),
        # The key would go to the default address, and the gate would judge another account.
        ({"base_url": URL}, {}),
    ],
)
def test_another_address_than_the_gates_is_refused(settings: dict[str, Any], values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="address"):
        spending.check_address(gate(**settings), configured(**values))


def test_another_key_than_that_of_the_environment_is_refused_where_the_account_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The budgets would be over the account of the author, and a program could use the key of the environment."""
    reads = gate(free=Free(Decimal(5)))
    spending.check_address(reads, configured(apiKey="mine"))
    monkeypatch.setenv("STACKS_API_KEY", "ours\n")
    for values in ({}, {"apiKey": "ours"}, {"apiKey": ""}):
        spending.check_address(reads, configured(**values))
    spending.check_address(gate(), configured(apiKey="mine"))
    with pytest.raises(ConfigError, match="has another key than the environment"):
        spending.check_address(reads, configured(apiKey="mine"))


@pytest.mark.parametrize("kind", ["pulumi:providers:stacks", "pulumi:providers:pulumi-python"])
@pytest.mark.parametrize("where", ["inputs", "outputs"])
@pytest.mark.parametrize("given", ["https://other.example/api/v1", ["a list"], HIDDEN])
def test_a_provider_in_the_state_for_another_address_is_refused(kind: str, where: str, given: Any) -> None:
    """What it deletes, it would delete there, with the key."""
    name = "baseUrl" if kind.endswith("stacks") else "stacks:baseUrl"
    for urls, is_refused in (({name: URL}, False), ({}, False), ({name: given}, True)):
        saved = Saved()
        bags = {"inputs": {}, "outputs": {}, where: urls}
        saved.old("mine", bags["inputs"], kind, outputs=bags["outputs"])
        if is_refused:
            with pytest.raises(ConfigError, match="'mine' in the state has another address"):
                spending.check_providers(gate(base_url=URL), saved.files[1])
        else:
            spending.check_providers(gate(base_url=URL), saved.files[1])


def test_the_address_of_the_gate_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    spending.check_address(gate(), {})
    spending.check_address(gate(base_url=URL), configured(baseUrl=f"{URL}/"))
    monkeypatch.setenv("STACKS_BASE_URL", URL)
    spending.check_address(gate(base_url=URL), {})
    with pytest.raises(ConfigError, match="STACKS_BASE_URL"):
        spending.check_address(gate(), {})


def test_a_gate_that_needs_no_account_reads_none() -> None:
    assert spending.read(gate(), {}, NOW) == spending.AccountNow()


def container(
    created_at: str | None, storage_mb: int | None = catalog.PLANS["basic"].storage_mb
) -> Container:
    return Container(
        id=f"usr-1-{created_at}",
        name="web",
        template="nodejs",
        plan="basic",
        storage_mb=storage_mb,
        created_at=created_at,
    )


@pytest.mark.parametrize(
    ("containers", "added"),
    [
        ([], {}),
        ([container("2026-11-26T11:59:00Z")], {}),
        ([container("2026-11-26T12:01:00Z"), container("2026-11-27T11:00:00Z")], {"web": Decimal(8)}),
        # A clock that is ahead, and an unknown time.
        ([container("2026-11-28T12:00:00Z")], {"web": Decimal(4)}),
        ([container(None)], {"web": Decimal(4)}),
        # Its size is not known, and so its price has no bound.
        ([container("2026-11-27T11:00:00Z", None)], None),
    ],
)
def test_what_is_not_known_to_be_older_than_a_day_was_added(
    containers: list[Container], added: dict[str, Decimal] | None
) -> None:
    assert spending._added(Listing(containers), catalog.monthly_price, NOW) == added


def test_what_was_added_to_an_incomplete_account_is_not_known() -> None:
    assert spending._added(Listing([], gap="a page is missing"), catalog.monthly_price, NOW) is None


@pytest.mark.parametrize("ahead", [-30, 0, 30])
@responses.activate
def test_a_clock_that_is_ahead_makes_no_container_old(ahead: int) -> None:
    made = NOW - datetime.timedelta(hours=1)
    row: dict[str, Any] = {
        "id": "usr-web",
        "name": "web",
        "type": "nodejs",
        "plan": "basic",
        "status": "running",
    }
    row |= {"cpu_allocated": 1, "memory_allocated": 1024, "storage_allocated": 10240}
    responses.get(
        f"{URL}/containers",
        json={"success": True, "count": 1, "data": [{**row, "created_at": made.isoformat()}]},
        headers={"Date": format_datetime(NOW, usegmt=True)},
    )
    values = configured(baseUrl=URL, apiKey="sk_stacks_" + "a" * 64)

    read = spending.read(
        gate(base_url=URL, free=Free(Decimal(5))), values, NOW + datetime.timedelta(hours=ahead)
    )

    assert read.added == {"web": Decimal(4)}


def test_an_interrupted_create_counts_in_full() -> None:
    def operation(type_: str, kind: str, **inputs: Any) -> dict[str, Any]:
        resource = {
            "urn": f"urn:pulumi:prod::shop::stacks:index:{kind}::x",
            "type": f"stacks:index:{kind}",
            "custom": True,
            "inputs": {"stacks_kind": kind, **inputs},
        }
        return {"resource": resource, "type": type_}

    operations = [
        operation("creating", "Container", template="nodejs", plan="basic", name="web"),
        operation("creating", "Container", template="nodejs", plan="basic", name=UNKNOWN),
        operation("deleting", "Container", template="nodejs", plan="basic"),
        operation("creating", "AllowedIp"),
    ]
    state = json.dumps({"deployment": {"pending_operations": operations}}).encode()

    assert spending.interrupted(state, Pricer()) == [("web", Decimal(4)), ("", Decimal(4))]


def begun(record: str = "r", increase: int | None = 4, stack: str = "", **creates: int) -> Begun:
    prices = {name: Decimal(price) for name, price in creates.items()}
    return Begun(record, stack, NOW, None if increase is None else Decimal(increase), creates=prices)


WEB = ("web", Decimal(4))


@pytest.mark.parametrize(
    ("said", "begun_", "pending", "added", "total"),
    [
        ([], [], [], {}, 0),
        # Whichever is higher, the history or the account. A decrease gives nothing back.
        ([4, 3], [], [], {"web": 5}, 7),
        ([4], [], [], {"web": 9}, 9),
        ([4, -4], [], [], {}, 4),
        # One container, wherever it is seen: in the mark of the update, in the state and in the account.
        ([], [begun(web=4)], [], {}, 4),
        ([], [], [WEB], {}, 4),
        ([], [begun(web=4)], [WEB], {"web": 4}, 4),
        ([], [begun(web=4)], [WEB], {}, 4),
        # One that the account does not show comes on top of the others that it shows, and of those of the history.
        ([], [begun(web=4)], [WEB], {"db": 5}, 9),
        ([], [], [WEB], {"db": 5}, 9),
        ([5], [begun(web=4)], [WEB], {}, 9),
        # The account may have a smaller one than the update was to make.
        ([], [begun(increase=10, web=10)], [], {"web": 4}, 10),
        # A larger plan of what exists already, and one whose name is not known, can be any of the account's.
        ([], [begun(increase=6)], [], {"web": 4}, 10),
        ([], [], [("", Decimal(4))], {"web": 4}, 8),
        ([], [begun(increase=10, web=4)], [], {"web": 4}, 10),
        # Two updates that were killed, of one container or of two.
        ([], [begun("1", web=4), begun("2", web=4)], [WEB], {"web": 4}, 8),
        ([], [begun("1", web=4), begun("2", db=4)], [], {"web": 4}, 8),
        # An update that failed without a known result has an entry and a mark.
        ([("r", 4)], [begun(web=4)], [], {}, 4),
        ([("r", 4)], [begun(increase=6, web=6)], [], {}, 6),
        # What is not known is unknown.
        ([None], [], [], {}, None),
        ([], [begun(increase=None)], [], {}, None),
        ([], [], [("web", None)], {}, None),
        ([], [], [], None, None),
    ],
)
def test_what_was_spent_is_the_worst_case_and_counts_a_container_once(
    said: list[Any],
    begun_: list[Begun],
    pending: list[tuple[str, Decimal | None]],
    added: dict[str, int] | None,
    total: int | None,
) -> None:
    told = [one if isinstance(one, tuple) else (f"entry {number}", one) for number, one in enumerate(said)]
    of_history = [(record, None if usd is None else Decimal(usd)) for record, usd in told]
    of_account = None if added is None else {name: Decimal(usd) for name, usd in added.items()}

    assert spending.spent(of_history, begun_, pending, of_account) == total


def test_what_a_change_makes_is_known_by_name_and_price(make_gate: MakeGate) -> None:
    saved = Saved()
    saved.plan("web", web(name="shop-web"), "create")
    saved.old("db", web("premium", name="db"))
    saved.plan("db", web("standard", name="db"), "delete-replaced", "replace", "create-replacement")
    saved.plan("later", web(name=UNKNOWN), "create")
    saved.plan("odd", web("new-plan", name="odd"), "create")
    saved.same("there", web())
    changes = changes_of(*saved.files, pricer_of(make_gate()))
    assert spending.creates(changes) == {"shop-web": Decimal(4), "db": Decimal(5)}
    for first, second in (("basic", "standard"), ("standard", "basic")):
        saved = Saved()
        saved.plan("one", web(first, name="web"), "create")
        saved.plan("two", web(second, name="web"), "create")
        assert spending.creates(changes_of(*saved.files, pricer_of(make_gate()))) == {"web": Decimal(5)}


def test_what_an_update_without_an_end_may_have_made_is_what_the_account_may_have() -> None:
    marks = [begun("1", web=4), begun("2", web=10, db=5)]
    later = NOW + datetime.timedelta(hours=1)
    with_db = spending.AccountNow(names=frozenset({"db"}))
    assert spending.may_exist(marks, spending.AccountNow(), later) == {"web": 10, "db": 5}
    assert spending.may_exist(marks, with_db, later) == {"db": 5}
    # The account may show it late.
    assert spending.may_exist(marks, with_db, NOW) == {"web": 10, "db": 5}
    # A platform may change its case, or put a prefix before it.
    spelled = spending.AccountNow(names=frozenset({"a1-web"}))
    assert spending.may_exist([begun("1", Web=4)], spelled, later) == {"Web": 4}


OPERATIONS: tuple[Operation, ...] = ("discard", "keep")
KEY: dict[str, Any] = {"stacks:apiKey": HIDDEN}


def made(
    make_gate: MakeGate, kind: str, name: str, given: dict[str, Any] = KEY, *, uses: bool = True, **goal: Any
) -> Sequence[Change]:
    """Return the changes of an update that makes a provider, and a container, perhaps with it."""
    saved = Saved()
    its = saved.plan(name, given, "create", kind=kind, **goal)
    saved.plan("web", web(), "create", provider=f"{its}::unknown" if uses else "")
    return changes_of(*saved.files, pricer_of(make_gate()))


@pytest.mark.parametrize("configuration", [{}, configured(apiKey="")])
def test_an_update_without_a_key_does_not_use_up_its_approval(
    monkeypatch: pytest.MonkeyPatch, make_gate: MakeGate, configuration: dict[str, Any]
) -> None:
    monkeypatch.delenv("STACKS_API_KEY", raising=False)
    engines = made(make_gate, "pulumi:providers:pulumi-python", "default_0_3_0", parent="")

    with pytest.raises(ConfigError, match="there is no API key"):
        spending.check_key(gate(), configuration, engines)
    # A provider of the program may have its own, for the resources that it manages.
    spending.check_key(gate(), configuration, made(make_gate, "pulumi:providers:pulumi-python", "mine"))
    for kind in ("pulumi:providers:pulumi-python", "pulumi:providers:aws"):
        with pytest.raises(ConfigError, match="there is no API key"):
            spending.check_key(gate(), configuration, made(make_gate, kind, "mine", uses=False))
    # One without a key uses that of the stack.
    with pytest.raises(ConfigError, match="there is no API key"):
        spending.check_key(
            gate(), configuration, made(make_gate, "pulumi:providers:pulumi-python", "mine", {})
        )


@pytest.mark.parametrize("to", ["default_0_3_0", "mine"])
def test_a_container_that_changes_its_provider_needs_the_key_of_the_stack(
    monkeypatch: pytest.MonkeyPatch, make_gate: MakeGate, to: str
) -> None:
    """One half of the change is made with it."""
    monkeypatch.delenv("STACKS_API_KEY", raising=False)
    saved, kind = Saved(), "pulumi:providers:pulumi-python"
    default = saved.same("default_0_3_0", {}, kind)
    mine = saved.same("mine", KEY, kind, parent=ROOT)
    references = {"default_0_3_0": f"{default}::1", "mine": f"{mine}::2"}
    old = references["mine" if to == "default_0_3_0" else "default_0_3_0"]
    saved.old("web", web(), provider=old)
    saved.plan(
        "web", web(name="other"), "create-replacement", "replace", "delete-replaced", provider=references[to]
    )

    with pytest.raises(ConfigError, match="there is no API key"):
        spending.check_key(gate(), {}, changes_of(*saved.files, pricer_of(make_gate())))


@pytest.mark.parametrize("operation", OPERATIONS)
def test_what_only_leaves_the_stack_needs_no_key(
    monkeypatch: pytest.MonkeyPatch, make_gate: MakeGate, operation: Operation
) -> None:
    monkeypatch.delenv("STACKS_API_KEY", raising=False)
    [change] = [
        one for one in made(make_gate, "pulumi:providers:pulumi-python", "mine", {}) if one.kind is not None
    ]

    spending.check_key(gate(), {}, [replace(change, operation=operation)])


@pytest.mark.parametrize("source", ["configuration", "environment"])
@responses.activate
def test_an_update_whose_key_is_not_accepted_does_not_use_up_its_approval(
    monkeypatch: pytest.MonkeyPatch, make_gate: MakeGate, source: str
) -> None:
    key = f"sk_stacks_{'0' * 64}"
    monkeypatch.setenv("STACKS_BASE_URL", URL)
    monkeypatch.setenv("STACKS_API_KEY", key if source == "environment" else "")
    configuration = configured(apiKey=key, baseUrl=URL) if source == "configuration" else {}
    answers = responses.get(f"{URL}/containers", status=401, json={"error": "Invalid API key"})
    engines = made(make_gate, "pulumi:providers:pulumi-python", "default_0_3_0", parent="")

    with pytest.raises(InvalidApiKeyError):
        spending.check_key(gate(), configuration, engines)

    assert answers.call_count == 1
    # A gate that reads the account has asked already.
    spending.check_key(gate(free=Free(Decimal(5))), configuration, engines)
    assert answers.call_count == 1


@responses.activate
def test_an_update_whose_key_may_not_read_does_not_use_up_its_approval(
    monkeypatch: pytest.MonkeyPatch, make_gate: MakeGate, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every resource is looked for before it is changed, so the update would fail."""
    monkeypatch.setenv("STACKS_BASE_URL", URL)
    monkeypatch.setenv("STACKS_API_KEY", f"sk_stacks_{'0' * 64}")
    said = {"error": "Forbidden", "message": "API key does not have required scope: containers:read"}
    answers = responses.get(f"{URL}/containers", status=403, json=said)
    engines = made(make_gate, "pulumi:providers:pulumi-python", "default_0_3_0", parent="")

    with pytest.raises(ForbiddenError, match="the operation needs the scope containers:read"):
        spending.check_key(gate(), {}, engines)

    assert answers.call_count == 1
    assert capsys.readouterr().err == "stacks-pulumi gate: asking the API whether it accepts the key\n"


def test_a_change_of_other_providers_needs_no_key(
    monkeypatch: pytest.MonkeyPatch, make_gate: MakeGate
) -> None:
    monkeypatch.delenv("STACKS_API_KEY", raising=False)
    saved = Saved()
    saved.plan("id", {}, "create", kind="random:index:RandomId")

    spending.check_key(gate(), {}, changes_of(*saved.files, pricer_of(make_gate())))
