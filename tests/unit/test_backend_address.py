"""An address in a message, such as that of a backend, contains no login and no options."""

from __future__ import annotations

import pytest

from stacks_pulumi._pulumi_cli import _reason, without_logins

PASSWORD = "hunter2"


@pytest.mark.parametrize(
    "address",
    [
        "postgres://ann:hunter2@db.example.com:5432/state?sslmode=disable",
        "postgres://db.example.com/state?user=ann&password=hunter2",
        "postgres:///state?host=h&pass%77ord=hunter2",
        "s3://states?endpoint=http%3A%2F%2Fann%3Ahunter2%40h",
        "https://pulumi.example.com/#hunter2",
        # An unencoded password ends the part of the address that contains it.
        "postgres://ann:hunter2/x@h/state",
        "postgres://ann:2#hunter2@h/state",
    ],
)
def test_an_address_that_may_have_a_login_is_not_shown(address: str) -> None:
    assert (
        without_logins(f"open {address}: refused")
        == f"open {address.partition(':')[0]}://(not shown): refused"
    )


@pytest.mark.parametrize(
    "address", ["file:///home/ann/@states", "s3://states/team", "https://[::1]:5432/state"]
)
def test_another_address_is_shown(address: str) -> None:
    assert without_logins(f"open {address}") == f"open {address}"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        # The form in which engine 3.274.1 writes them.
        (
            'error: unable to open state database "postgres://h:1/state?user=ann&password=hunter2": refused',
            'unable to open state database "postgres://(not shown)": refused',
        ),
        (
            'error: open "postgres://h/state?password=a \\" hunter2": refused',
            'open "postgres://(not shown)": refused',
        ),
        (
            "error: 1 lock(s): postgres://****:****@h/.pulumi/locks/x.json?password=hunter2: created by ann",
            "1 lock(s): postgres://(not shown): created by ann",
        ),
        ("error: (postgres://ann:hunter2@h/state)", "(postgres://(not shown))"),
        (
            'error: {"a":"x://h","b":"postgres://ann:hunter2@h/s"}',
            '{"a":"x://h","b":"postgres://(not shown)"}',
        ),
        ("error: x://h,postgres://ann:hunter2@h/s", "x://(not shown)"),
        ("error: http://127.0.0.1:8000: refused", "http://127.0.0.1:8000: refused"),
    ],
)
def test_a_message_of_the_engine_has_no_password(said: str, shown: str) -> None:
    assert _reason(said) == shown
    assert PASSWORD not in without_logins(said)
