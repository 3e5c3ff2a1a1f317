"""A backend's address is stored, shown and compared without its login and the options of the connection."""

from __future__ import annotations

import subprocess

import pytest

from stacks_pulumi._pulumi_cli import failure, place_of, without_logins

PASSWORD = "hunter2"


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("postgres://ann:hunter2@db.example.com:5432/state?sslmode=disable", "postgres://db.example.com:5432/state"),
        ("postgres://ann:hu@nter2@DB.example.com/state", "postgres://db.example.com/state"),
        ("postgres://db.example.com/state?user=ann&password=hunter2", "postgres://db.example.com/state"),
        ("postgres://h/state?password=hunter2&table=b&search_path=a", "postgres://h/state?search_path=a&table=b"),
        ("postgres:///state?host=h&pass%77ord=hunter2", "postgres:///state?host=h"),
        ("postgres://[::1]:5432/state?password=hunter2", "postgres://[::1]:5432/state"),
        ("s3://states/team?region=eu&endpoint=h:9000&profile=p", "s3://states/team?endpoint=h:9000"),
        ("s3://states?endpoint=http://ann:hunter2@h:9000&x=y", "s3://states?endpoint=http://h:9000"),
        ("s3://states?endpoint=http%3A%2F%2Fann%3Ahunter2%40h", "s3://states?endpoint=http://h"),
        ("azblob://states?storage_account=a&sig=hunter2", "azblob://states?storage_account=a"),
        ("https://ann:hunter2@pulumi.example.com/", "https://pulumi.example.com"),
        ("https://pulumi.example.com/#hunter2", "https://pulumi.example.com"),
        ("postgres://ann:hunter2@A:5432,b:5433,[::1]/state", "postgres://a:5432,b:5433,[::1]/state"),
        ("s3://states?endpoint=ann:hunter2@h:9000", "s3://states?endpoint=h:9000"),
        ("s3://states?endpoint=ann%3Ahunter2%40h:9000", "s3://states?endpoint=h:9000"),
        ("file:///home/ann/@states", "file:///home/ann/@states"),
        # A password that is not encoded ends the part of the address that it is in.
        ("postgres://ann:hunter2/x@h/state", "postgres://(not readable)"),
        ("postgres://ann:2#hunter2@h/state", "postgres://(not readable)"),
        ("postgres://ann:2/hunter2@h/state", "postgres://(not readable)"),
        ("postgres://ann:hunter2?@h/state", "postgres://(not readable)"),
    ],
)  # fmt: skip
def test_an_address_is_shown_without_login_and_options(address: str, place: str) -> None:
    assert place_of(address) == place
    assert place_of(place) == place


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("postgres://reader:a@h/state", "postgres://writer:b@h/state?sslmode=verify-full", True),
        ("s3://states?region=eu-1", "s3://states?profile=ci", True),
        ("postgres://ann:a@h/state", "postgres://ann:a@h/other", False),
        ("postgres://ann:a@h/state?table=a", "postgres://ann:a@h/state?table=b", False),
        ("postgres://ann:a@h/state?search_path=a", "postgres://ann:a@h/state?search_path=b", False),
        ("postgres:///state?host=a", "postgres:///state?host=b", False),
        ("s3://states?endpoint=a:9000", "s3://states?endpoint=b:9000", False),
        ("s3://states?prefix=a/", "s3://states?prefix=b/", False),
        ("postgres://ann:a@h:1,i:2/state", "postgres://bob:b@h:1,i:2/state", True),
        ("postgres://ann:a@h:1,i:2/state", "postgres://ann:a@h:1,j:2/state", False),
        ("s3://states", "gs://states", False),
    ],
)
def test_backends_are_compared_by_where_they_are(one: str, other: str, is_same: bool) -> None:
    assert (place_of(one) == place_of(other)) is is_same


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        # As engine 3.274.1 writes them.
        (
            'error: unable to open state database "postgres://h:1/state?user=ann&password=hunter2": refused',
            'unable to open state database "postgres://h:1/state": refused',
        ),
        (
            'error: open "postgres://h/state?password=a \\" hunter2": refused',
            'open "postgres://h/state": refused',
        ),
        (
            "error: 1 lock(s): postgres://****:****@h/.pulumi/locks/x.json?password=hunter2: created by ann",
            "1 lock(s): postgres://h/.pulumi/locks/x.json: created by ann",
        ),
        ("error: (postgres://ann:hunter2@h/state)", "(postgres://h/state)"),
        ('error: {"a":"x://h","b":"postgres://ann:hunter2@h/s"}', '{"a":"x://h","b":"postgres://h/s"}'),
        ("error: x://h,postgres://ann:hunter2@h/s", "x://(not readable)"),
        ("error: http://127.0.0.1:8000: refused", "http://127.0.0.1:8000: refused"),
    ],
)
def test_a_message_of_the_engine_has_no_password(said: str, shown: str) -> None:
    done = subprocess.CompletedProcess([], 255, b"", said.encode())

    assert failure(done) == shown
    assert PASSWORD not in without_logins(said)
