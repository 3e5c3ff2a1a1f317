"""Data functions against the emulator: every function, with every shape of an answer, sends one request."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import pickle
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pulumi
import pytest
from pulumi.output import Unknown
from pulumi.runtime import settings
from pulumi.runtime.mocks import MockMonitor

import stacks_pulumi as stacks
from stacks_pulumi import errors
from stacks_pulumi.emulator import SHAPES, Emulator, backups
from stacks_pulumi.resources import _session
from tests.support.accounts import running
from tests.support.clock import FakeClock

SECRET = {"get_credentials", "get_ssh_certificate", "get_vpn_config", "list_connections"}
"""Functions whose result must be secret."""

QUESTIONS: dict[str, tuple[tuple[Any, ...], Callable[[Any], bool]]] = {
    "get_container": (("app",), lambda found: (found.name, found.status) == ("app", "running")),
    "list_containers": ((), lambda found: [one.name for one in found] == ["app", "sql", "vpn"]),
    "list_templates": ((), lambda found: "nodejs" in {one.id for one in found}),
    "get_credentials": (("sql",), lambda found: found.password and found.port == 5432),
    "get_logs": (("app", 7), lambda found: "app" in found),
    "get_metrics": (("app",), lambda found: found.cpu[0].value >= 0),
    "get_ssh_certificate": (("app",), lambda found: found.startswith("-----BEGIN ")),
    "list_available_targets": (("app",), lambda found: [one.name for one in found.databases] == ["sql"]),
    "list_connections": (("app",), lambda found: [one.name for one in found.outgoing] == ["link"]),
    "list_allowed_ips": (("app",), lambda found: found.enabled and len(found.allowed_ips) == 1),
    "list_backups": (("sql", 10), lambda found: [one.status for one in found] == ["completed"]),
    "get_backup_stats": ((), lambda found: found.total_backups == 1),
    "list_vpn_clients": (("vpn",), lambda found: [one.name for one in found] == ["default"]),
    "get_vpn_config": (("vpn", "default"), lambda found: "PrivateKey" in found),
}
"""Every function: its arguments (a container by its name), and a check of its result."""


def furnished(api: Emulator) -> Emulator:
    """Create one object of each kind in the emulator."""
    for name, template in (("app", "nodejs"), ("sql", "postgresql"), ("vpn", "stacks-vpn")):
        running(api, name, template)
    api.drift.set_external_access("app", enabled=True)
    api.drift.connect("app", "sql", "link")
    backups.trigger(api.platform, api.state.container("sql"))
    api.advance(60)
    return api


@pytest.fixture
def account(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """An account with one object of each kind; the environment variables point to it."""
    with configured(furnished(emulator), monkeypatch):
        yield emulator


@contextlib.contextmanager
def configured(api: Emulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Point the environment variables to an emulator; remove every cached client at the end."""
    monkeypatch.setenv("STACKS_API_KEY", api.key)
    monkeypatch.setenv("STACKS_BASE_URL", api.url)
    _session._sessions.clear()
    yield
    for session in _session._sessions.values():
        session.client.close()
    _session._sessions.clear()


def ask(name: str, api: Emulator) -> Any:
    """Call a function."""
    return getattr(stacks, name)(*arguments(name, api))


def arguments(name: str, api: Emulator) -> list[Any]:
    """Return the arguments of a call, with ids in place of names."""
    return [
        f"{api.account}-{argument}" if argument in {"app", "sql", "vpn"} else argument
        for argument in QUESTIONS[name][0]
    ]


def later(output: pulumi.Output[Any]) -> tuple[Any, bool, bool]:
    """Return the value of an output, whether it is known, and whether it is secret."""

    async def resolve() -> tuple[Any, bool, bool]:
        return await output.future(with_unknowns=True), await output.is_known(), await output.is_secret()

    return asyncio.get_event_loop().run_until_complete(resolve())


@pytest.fixture
def program() -> Iterator[None]:
    """The event loop of a program."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
    asyncio.set_event_loop(None)


def test_every_function_is_tested() -> None:
    names = {name for name in stacks.__all__ if name.startswith(("get_", "list_"))}

    assert names == {*QUESTIONS, *(f"{name}_output" for name in QUESTIONS)}


def test_every_function_sends_one_request(account: Emulator) -> None:
    for name, (_, is_right) in QUESTIONS.items():
        calls = account.calls()
        assert is_right(ask(name, account)), name
        assert ask(name, account) == ask(name, account), name
        assert account.calls() == calls + 1, name


def test_a_running_program_sees_changes(account: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()
    monkeypatch.setattr(_session, "SYSTEM_CLOCK", clock)
    before = len(stacks.list_containers())

    running(account, "web")
    clock.sleep(5.0)

    assert len(stacks.list_containers()) == before + 1


@pytest.mark.usefixtures("program")
def test_every_output_form_returns_the_same_and_marks_secrets(account: Emulator) -> None:
    for name, (_, is_right) in QUESTIONS.items():
        asked = [pulumi.Output.from_input(argument) for argument in arguments(name, account)]
        value, known, secret = later(getattr(stacks, f"{name}_output")(*asked))
        assert is_right(value), name
        assert (known, secret) == (True, name in SECRET), name
        assert ask(name, account) == value, name


@pytest.mark.usefixtures("program")
def test_an_unknown_argument_is_an_error(account: Emulator) -> None:
    for name, (given, _) in QUESTIONS.items():
        if not given:
            continue
        unknown: pulumi.Output[Any] = pulumi.Output.from_input(Unknown())  # type: ignore[no-untyped-call]  # the SDK leaves it untyped
        _, known, secret = later(getattr(stacks, f"{name}_output")(unknown))
        assert (known, secret) == (False, name in SECRET), name

    assert account.calls() == 0


@pytest.mark.parametrize("shape", SHAPES)
def test_every_function_reads_every_shape(shape: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Emulator(shapes=shape) as api, configured(furnished(api), monkeypatch):
        for name, (_, is_right) in QUESTIONS.items():
            assert is_right(ask(name, api)), name


class Answers(pulumi.runtime.Mocks):
    """Mocks that return results from a table, by token."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers = answers
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def call(self, args: pulumi.runtime.MockCallArgs) -> Any:
        self.asked.append((args.token, args.args))
        return self.answers.get(args.token, {})

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        return args.name, args.inputs


@pytest.fixture
def mocked(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, Any]], Answers]:
    """Set Pulumi's mocks, which return results from a table, for one test."""
    monkeypatch.setattr(settings.SETTINGS, "monitor", None)

    def set_mocks(answers: dict[str, Any]) -> Answers:
        mocks = Answers(answers)
        monkeypatch.setattr(settings.SETTINGS, "monitor", MockMonitor(mocks))
        return mocks

    return set_mocks


Mocked = Callable[[dict[str, Any]], Answers]


def test_under_mocks_no_function_calls_the_api(account: Emulator, mocked: Mocked) -> None:
    mocks = mocked({})

    for name in QUESTIONS:
        with pytest.raises(errors.StacksError, match=f"{name}: the mocks have no answer") as failure:
            ask(name, account)
        assert isinstance(failure.value, pulumi.RunError)

    assert account.calls() == 0
    assert [token for token, _ in mocks.asked] == [f"stacks:index:{name}" for name in QUESTIONS]


@pytest.mark.usefixtures("program")
def test_mocks_work_for_both_forms_of_a_function(account: Emulator, mocked: Mocked) -> None:
    mocks = mocked(
        {
            "stacks:index:get_container": {"id": "usr-1-web", "status": "running"},
            "stacks:index:list_containers": [{"id": "usr-1-web"}, {"id": "usr-1-db", "name": "db"}],
            "stacks:index:list_connections": ({"outgoing": [{"id": "1", "name": "link"}]}, None),
            "stacks:index:list_backups": {"result": []},
            "stacks:index:get_logs": "up",
        }
    )

    assert stacks.get_container("usr-1-web").status == "running"
    assert stacks.list_containers()[1].name == "db"
    assert stacks.list_connections("usr-1-web").outgoing[0].name == "link"
    assert stacks.list_backups("usr-1-web") == []
    assert stacks.get_logs("usr-1-web", 3) == "up"
    assert later(stacks.get_container_output("usr-1-web").internal_host) == ("usr-1-web", True, False)
    assert mocks.asked[4] == ("stacks:index:get_logs", {"container_id": "usr-1-web", "lines": 3})
    assert account.calls() == 0


@pytest.mark.parametrize("answer", [{"status": "running"}, {"id": "usr-1-web", "port": "http"}, ["web"], 7])
def test_an_invalid_mock_result_names_the_field(mocked: Mocked, answer: Any) -> None:
    mocked({"stacks:index:get_container": answer})

    with pytest.raises(errors.StacksError, match=r"get_container: the answer of the mocks .* has the wrong"):
        stacks.get_container("usr-1-web")


def test_a_result_is_a_copy_and_its_repr_hides_secrets(account: Emulator) -> None:
    found = ask("get_credentials", account)

    assert found["password"] == found.password
    assert found.password not in repr(found)
    assert found.username not in repr(found)
    found.port = 1
    assert ask("get_credentials", account).port == 5432


def test_other_arguments_send_another_request(account: Emulator) -> None:
    app, sql = (f"{account.account}-{name}" for name in ("app", "sql"))

    assert stacks.get_container(app).name != stacks.get_container(sql).name
    assert stacks.get_logs(app, 1) != stacks.get_logs(app, 2)
    assert account.calls() == 4


def test_an_error_keeps_its_class_and_ends_a_program_in_one_line(account: Emulator) -> None:
    with pytest.raises(
        errors.NotFoundError, match=r"read the status of container usr-1-web: .*404"
    ) as failure:
        stacks.get_container("usr-1-web")

    assert isinstance(failure.value, pulumi.RunError)
    assert "\n" not in str(failure.value)
    assert failure.value.status == 404


def test_an_error_survives_pickling_with_the_same_class(account: Emulator) -> None:
    raised = []
    for _ in range(2):
        with pytest.raises(errors.NotFoundError) as failure:
            stacks.get_container("usr-1-web")
        raised.append(failure.value)

    again = pickle.loads(pickle.dumps(raised[0]))

    assert type(raised[0]) is type(raised[1]) is type(again)
    assert (str(again), again.status, again.operation) == (str(raised[0]), 404, "containers.status")
    assert isinstance(copy.copy(again), pulumi.RunError)


@pytest.mark.parametrize(
    ("key", "words"), [("", "no STACKS API key is configured"), ("sk_live_1", "is malformed")]
)
def test_without_a_valid_key_no_request_is_sent(
    account: Emulator, monkeypatch: pytest.MonkeyPatch, key: str, words: str
) -> None:
    monkeypatch.setenv("STACKS_API_KEY", key)

    with pytest.raises(errors.ConfigError, match=words) as failure:
        stacks.list_containers()

    assert isinstance(failure.value, pulumi.RunError)
    assert account.calls() == 0


def test_the_environments_key_is_not_sent_to_an_address_of_the_project(
    account: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULUMI_CONFIG", '{"stacks:baseUrl": "https://collector.test/api/v1"}')

    with pytest.raises(errors.ConfigError, match="the key in STACKS_API_KEY is not sent") as failure:
        stacks.list_containers()

    assert isinstance(failure.value, pulumi.RunError)
    assert account.calls() == 0


def test_an_unknown_key_of_a_provider_is_an_error_with_a_fix() -> None:
    provider: Any = SimpleNamespace(settings=None)

    with pytest.raises(errors.ConfigError, match="call the function's `_output` form") as failure:
        stacks.list_containers(provider=provider)

    assert isinstance(failure.value, pulumi.RunError)
    assert failure.value.code == "value-not-known"


@pytest.mark.usefixtures("program")
def test_every_output_form_uses_its_provider(account: Emulator) -> None:
    provider: Any = SimpleNamespace(settings=None, ready=pulumi.Output.from_input(None))

    for name in QUESTIONS:
        asked = getattr(stacks, f"{name}_output")(*arguments(name, account), provider=provider)
        with pytest.raises(errors.ConfigError, match="call the function's `_output` form"):
            later(asked)


def test_an_output_argument_is_an_error_that_names_the_output_form(account: Emulator) -> None:
    async def ask() -> None:
        output: Any = pulumi.Output.from_input("usr-1-web")
        stacks.get_container(output)

    with pytest.raises(errors.StacksError, match="call get_container_output, which waits for it") as failure:
        asyncio.run(ask())

    assert failure.value.code == "value-not-known"
    assert account.requests == []


UNREADABLE: dict[str, tuple[str, Any]] = {
    "list_containers": ("containers.list", [{"id": ".."}]),
    "list_templates": ("containers.templates", [{"id": ".."}]),
    "list_available_targets": ("connections.targets", {"databases": [{"id": ".."}]}),
    "list_connections": ("connections.list", {"outgoing": [], "incoming": [{"id": ".."}]}),
    "list_allowed_ips": ("allowed_ips.list", {"allowed_ips": [{"id": ".."}]}),
    "list_backups": ("backups.list", [{"id": {}}]),
    "list_vpn_clients": ("vpn_clients.list", [{"name": ".."}]),
}
"""Every function that returns a list: its endpoint, and an answer with a row that cannot be read."""


@pytest.mark.parametrize("name", UNREADABLE)
def test_an_incomplete_list_is_an_error(name: str, account: Emulator) -> None:
    endpoint, data = UNREADABLE[name]
    account.faults.add(endpoint, "answer", body={"success": True, "data": data})

    with pytest.raises(errors.UnreadableAnswerError, match=f"^{name}: the API's list is incomplete"):
        ask(name, account)


def test_the_newest_backups_that_were_asked_for_are_complete(account: Emulator) -> None:
    rows = [{"id": number, "status": "completed"} for number in range(10)]
    account.faults.add("backups.list", "answer", body={"success": True, "count": 30, "data": rows})

    assert len(ask("list_backups", account)) == 10


def test_a_deleted_container_that_is_still_listed_is_left_out(account: Emulator) -> None:
    rows = [{"id": "usr-1-app", "name": "app"}, {"id": "usr-1-old", "name": "old", "status": "Deleted"}]
    account.faults.add("containers.list", "answer", body={"success": True, "data": rows})

    assert [one.name for one in ask("list_containers", account)] == ["app"]


@pytest.mark.parametrize(("price", "known"), [(4, 4.0), ("$4.50", 4.5), (400, None), ("4,00 EUR", None)])
def test_a_price_that_is_not_clear_is_left_out(price: Any, known: float | None, account: Emulator) -> None:
    rows = [{"id": "nodejs", "plan": "basic", "price": price}]
    account.faults.add("containers.templates", "answer", body={"success": True, "data": rows})

    [template] = ask("list_templates", account)
    assert (template.monthly_usd, template.raw["price"]) == (known, price)
