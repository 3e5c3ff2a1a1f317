"""The commands that `account` prints are safe to paste, even with hostile ids and names."""

from __future__ import annotations

import shlex
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from stacks_pulumi._identifiers import SLASH, canonical_network
from stacks_pulumi.account.backend import Managed, Stacks, StackState
from stacks_pulumi.account.findings import SCAFFOLD, AccountResult, remedies
from stacks_pulumi.account.read import ask
from stacks_pulumi.account.reconcile import ThisAccount, reconcile
from stacks_pulumi.api._call import Call
from stacks_pulumi.api.models import Container
from stacks_pulumi.cost import live
from stacks_pulumi.errors import ServerError, WaitCancelledError

URL = "https://api.example/api/v1"
CREATED_AT = "2026-01-01T00:00:00Z"
HOSTILE = 'usr-1-x\'; rm -rf "$HOME" `id` ../..?a=1#b'


def commands(container: Container, *managed: Managed, ref: str = "shop/dev") -> list[str]:
    stacks = Stacks((StackState("shop/dev", "shop", ref, managed),))
    this = ThisAccount([container], URL, "f" * 16)
    account = reconcile([(container, live.item_of(container))], stacks, this, taken_at="now")
    return [remedy.command for remedy in remedies(AccountResult(account, deletions=True))]


def test_the_command_that_deletes_an_orphan_names_exactly_that_container() -> None:
    adoption, command = commands(Container(id=HOSTILE, name="x"))

    assert adoption == SCAFFOLD

    words = shlex.split(command)
    # The key is not an argument of a process: printf is built into the shell.
    assert words[:3] == ["printf", "Authorization: Bearer %s", "$STACKS_API_KEY"]
    assert words[3:-1] == ["|", "curl", "-fsS", "-X", "DELETE", "-H", "@-"]
    assert words[-1] == (
        f"{URL}/containers/usr-1-x%27%3B%20rm%20-rf%20%22%24HOME%22%20%60id%60%20..%2F..%3Fa%3D1%23b"
    )


def test_the_state_delete_command_quotes_urn_and_stack() -> None:
    urn = f"urn:pulumi:dev::shop::t::{HOSTILE}"
    owners = [Managed("shop/dev", urn, "Container", "usr-1-web", CREATED_AT) for _ in range(2)]

    [command] = commands(Container(id="usr-1-web", created_at=CREATED_AT), *owners, ref="a b;c")

    assert shlex.split(command) == [
        "pulumi",
        "state",
        "delete",
        "--target-dependents",
        "--stack",
        "a b;c",
        "--",
        urn,
    ]


def test_what_stands_for_a_urn_in_a_state_is_no_option_of_the_command() -> None:
    owners = [Managed("shop/dev", "--all", "Container", "usr-1-web", CREATED_AT) for _ in range(2)]

    [command] = commands(Container(id="usr-1-web", created_at=CREATED_AT), *owners)

    assert shlex.split(command)[-2:] == ["--", "--all"]


def test_the_command_has_the_slashes_of_an_id_as_the_platform_has_them() -> None:
    container = msgspec.convert({"id": f"usr{SLASH}1{SLASH}web", "name": "x"}, Container)

    _, command = commands(container)

    assert shlex.split(command)[-1] == f"{URL}/containers/usr%2F1%2Fweb"


@pytest.mark.parametrize(
    ("spelt", "address"),
    [
        ("198.51.100.7", "198.51.100.7"),
        ("198.51.100.7/32", "198.51.100.7"),
        ("198.51.100.7/24", "198.51.100.0/24"),
        ("2001:DB8:0::1/128", "2001:db8::1"),
        ("2001:db8::/32", "2001:db8::/32"),
        ("my house", None),
        (None, None),
    ],
)
def test_an_address_has_the_form_that_the_id_of_its_resource_has(
    spelt: str | None, address: str | None
) -> None:
    assert canonical_network(spelt) == address


def test_an_error_cancels_the_waiting_calls() -> None:
    asked: list[Call[Any]] = []

    def send(call: Call[Any]) -> Any:
        asked.append(call)
        raise ServerError("the API failed", status=500)

    client: Any = SimpleNamespace(backups=SimpleNamespace(send=send))
    containers = [Container(id=f"usr-1-{number}", template="nodejs") for number in range(500)]

    with pytest.raises(ServerError):
        ask(client, containers)

    assert len(asked) < 1500
    # A call that waits for the rate limit calls its pulse.
    assert asked[0].pulse is not None
    with pytest.raises(WaitCancelledError):
        asked[0].pulse()
