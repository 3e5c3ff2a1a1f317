"""The support for a broker in this package's client: refusals, the account of a token, and grants."""

from __future__ import annotations

import json

import pytest

from stacks_pulumi import cli, errors
from stacks_pulumi.api import StacksClient
from stacks_pulumi.config import AccountSettings
from stacks_pulumi.resources._session import close_sessions, session_for
from tests.broker.conftest import Bench, Benches, create, literal, permit
from tests.broker.test_budgets import AGENTS


@pytest.fixture
def bench(benches: Benches) -> Bench:
    return benches(policies={"agents": AGENTS})


def settings(bench: Bench, token: str) -> AccountSettings:
    return AccountSettings(api_key=token, base_url=bench.url)


def test_a_refusal_has_its_hint_and_its_request_and_is_not_waited_for(bench: Bench) -> None:
    other = bench.made("other")
    client = StacksClient.of(settings(bench, bench.agent().token))

    with pytest.raises(errors.GrantRefusedError) as caught:
        client.containers.set_status(other["id"], "stopped")

    asked = caught.value.request
    assert caught.value.hint.startswith(f"a person approves the access request {asked} ")
    assert f"gate approve {asked}" in caught.value.message
    assert len(bench.journal("refused")) == 1
    # A limit is a 402 in the platform's form, but not the key's spending cap.
    bench.configure({"account": {"max_total": 5}, "policies": {"agents": AGENTS}})
    with pytest.raises(errors.GrantRefusedError, match=r"account.max_total is \$5.00"):
        client.containers.create(name="big", template="nodejs", plan="basic")


def test_a_list_of_its_own_is_complete_and_does_not_say_how_many_others_there_are(bench: Bench) -> None:
    bench.configure({"policies": {"agents": {**AGENTS, "only": "own"}}})
    bench.made("other")
    agent = bench.agent()
    agent.create("web")

    rows = StacksClient.of(settings(bench, agent.token)).containers.list()
    rows.require_complete()
    assert [row.name for row in rows] == ["web"]
    assert "count" not in agent("GET", "/containers").json()


def test_a_new_token_is_no_new_account_and_no_other_grants_session(bench: Bench) -> None:
    one, other = (settings(bench, bench.agent().token) for _ in range(2))

    assert one.fingerprint == other.fingerprint == bench.ledger.account
    assert session_for(one).client is session_for(one).client
    assert session_for(one).client is not session_for(other).client
    close_sessions()


def doctor(
    bench: Bench, token: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> list[tuple[str, str]]:
    """Return the lines about the grant: level and text."""
    monkeypatch.setenv("STACKS_API_KEY", token)
    monkeypatch.setenv("STACKS_BASE_URL", bench.url)
    cli.main(["doctor", "--json", "-C", str(bench.path), "--probe-scopes"])
    checks = json.loads(capsys.readouterr().out)["checks"]
    assert not [line for line in checks if line["check"] in {"scopes", "cap"}]
    return [(line["level"], line["text"]) for line in checks if line["check"] == "grant"]


def test_the_doctor_shows_the_grant(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    web = bench.made("web")
    stop = permit("containers.set_status", {"status": "stopped"}, ids={"container_id": literal(web)}, times=2)
    grant = bench.granted(permit("containers.create", create("data")), stop)
    grant.create("data")
    agent = bench.agent()
    agent.create("one")
    asked = agent("DELETE", f"/containers/{web['id']}").json()["request"]

    lines = doctor(bench, grant.token, monkeypatch, capsys)
    assert "a change grant for ann, stack shop/prod, until" in lines[0][1]
    assert lines[1:] == [
        ("ok", f'it may send PUT /containers/{web["id"]}/status {{"status": "stopped"}}, 2 times (2 left)')
    ]
    lines = doctor(bench, agent.token, monkeypatch, capsys)
    free = "creates that add at most $5.00 within 24 hours, and start, restart, connect-own, backup, pin-own, undo"
    assert ("ok", f"allowed without an approval: {free}") in lines
    assert (
        "warning",
        f"the access request {asked} waits for a person: containers.delete always needs an approval",
    ) in lines
    bench.clock.advance(7200)
    assert [level for level, _ in doctor(bench, grant.token, monkeypatch, capsys)] == ["problem"]
    bench.ledger.revoke(bench.ledger.grants()[0].id)
    assert "does not show the grant" in doctor(bench, grant.token, monkeypatch, capsys)[0][1]
