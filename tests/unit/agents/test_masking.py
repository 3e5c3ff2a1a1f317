"""The secrets that the server hides in its answers."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable

import pytest

from stacks_pulumi._pulumi_cli import InputError
from stacks_pulumi.agents.masking import Secrets
from stacks_pulumi.pricing.recognition import SIGNATURE

PASSWORD = "k3x/9+hunter two"
KEY = "sk_stacks_" + "b" * 64


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> Secrets:
    """The secrets of an environment with a passphrase."""
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "a long passphrase")
    return Secrets()


def test_secrets_of_the_environment_the_settings_and_the_state_are_hidden(secrets: Secrets) -> None:
    hidden = {SIGNATURE: "1b47061264138c4ac30d75fd1eb44270"}
    variables = {"DB_PASSWORD": PASSWORD, "DB_HOST": "orders-db.internal", "DB_USER": "postgres"}
    export = {
        "deployment": {
            "resources": [
                {
                    "outputs": {
                        "connectionString": {
                            **hidden,
                            "plaintext": json.dumps(f"postgres://u:{PASSWORD}@h/x"),
                        }
                    }
                },
                {
                    "outputs": {
                        "environmentVariables": {**hidden, "plaintext": json.dumps(variables)},
                        "url": "https://a",
                    }
                },
            ]
        }
    }
    secrets.add_settings(
        {"shop:token": {"value": "not-for-agents", "secret": True}, "shop:size": {"value": "large-one"}}
    )
    secrets.add_export(json.dumps(export).encode())

    text = f"a long passphrase, not-for-agents, large-one, {PASSWORD}, k3x%2F9%2Bhunter%20two, "
    text += "orders-db.internal postgresql"
    assert secrets.masked(text) == (
        "[secret], [secret], large-one, [secret], [secret], orders-db.internal postgresql"
    )
    assert secrets.masked_in({"a": [PASSWORD, 1, None], KEY: True}) == {
        "a": ["[secret]", 1, None],
        "sk_stacks_...": True,
    }
    assert "hunter" not in repr(secrets)
    for text in (PASSWORD.replace("/", "\\/"), PASSWORD.replace("/", "\\\\/")):
        # Some languages escape a slash in JSON, and in JSON within JSON.
        assert secrets.masked(text) == "[secret]"
    secrets.add(['quo"ted'])
    assert secrets.masked(json.dumps(json.dumps('quo"ted'))) == r'"\"[secret]\""'
    parts = {"user": "admin-one", "password": "tops3cret"}
    secrets.add_settings(
        {"shop:db": {"value": json.dumps(parts), "objectValue": parts, "secret": True}, "shop:x": {}}
    )
    assert secrets.masked("admin-one tops3cret") == "admin-one [secret]"
    numbers = {"pin": 12345678, "port": 5432000}
    secrets.add_settings({"shop:n": {"value": json.dumps(numbers), "objectValue": numbers, "secret": True}})
    assert secrets.masked("12345678 5432000") == "[secret] 5432000"


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("listening on 0.0.0.0:3000", "listening on 0.0.0.0:3000"),
        (f"key {KEY}", "key sk_stacks_..."),
        ("redis://default:abcdef@cache:6379", "redis://default:[secret]@cache:6379"),
        ("redis://:abcdef@cache:6379", "redis://:[secret]@cache:6379"),
        ("to redis://default:a/b@c:d@cache:6379/0, ok", "to redis://default:[secret]@cache:6379/0, ok"),
        (f"https://u:{'x' * 900}@h", "https://u:[secret]@h"),
        ("GET https://a.example:8080/b and c@d", "GET https://a.example:8080/b and c@d"),
        ("DB_PASSWORD=abc123 started", "DB_PASSWORD=[secret] started"),
        ('{"password": "a b", "port": 1}', '{"password": [secret], "port": 1}'),
        ("api_key: 'xyz'", "api_key: [secret]"),
        ("PrivateKey = aGVsbG8=", "PrivateKey = [secret]"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n-----END OPENSSH PRIVATE KEY-----\nok", "[secret]\nok"),
        ("-----BEGIN PRIVATE KEY-----\nabc cut", "[secret]"),
        ("abc\n-----END RSA PRIVATE KEY-----\nok", "[secret]\nok"),
        ("-----BEGIN PGP PRIVATE KEY BLOCK-----\nabc\n-----END PGP PRIVATE KEY BLOCK-----", "[secret]"),
        ('{"password": "a\\"b c", "port": 1}', '{"password": [secret], "port": 1}'),
        ("> Authorization: Bearer abc.def", "> Authorization: Bearer [secret]"),
        ("x-api-key: abc", "x-api-key: [secret]"),
        ("start --db-password abc --port 1", "start --db-password [secret] --port 1"),
        ("DB_PASS=abc; pass := abc, passed: 3", "DB_PASS=[secret]; pass := [secret], passed: 3"),
        (
            '{"api":"https://a.example/v1","db":"postgres://u:abc123@h"}',
            '{"api":"https://a.example/v1","db":"postgres://u:[secret]@h"}',
        ),
        # Some languages escape a slash in JSON.
        (r'{"url":"redis:\/\/:abc@c"}', r'{"url":"redis:\/\/:[secret]@c"}'),
        (r"{\"url\":\"redis:\\\/\\\/:abc@c\"}", r"{\"url\":\"redis:\\\/\\\/:[secret]@c\"}"),
        ("http://a/:abc@b,redis://:abc@c", "http://a/:abc@b,redis://:[secret]@c"),
        (r'{"msg":"{\"password\":\"a, b\",\"x\":1}"}', r'{"msg":"{\"password\":[secret],\"x\":1}"}'),
    ],
)
def test_what_looks_like_a_secret_in_a_log_is_hidden(secrets: Secrets, line: str, shown: str) -> None:
    assert secrets.masked_log(line) == shown


def test_a_known_secret_does_not_hide_where_another_one_is(secrets: Secrets) -> None:
    """All keys of one kind have the same first line, and a password may be a normal word."""
    head, end = (f"-----{word} OPENSSH PRIVATE KEY-----" for word in ("BEGIN", "END"))
    secrets.add([f"{head}\nknown\n{end}\n", "password", "postgres"])

    assert secrets.masked_log(f"{head}\nunknown\n{end}\nready") == "[secret]\nready"
    assert secrets.masked_log(f"unknown\n{end}\nready") == "[secret]\nready"
    assert secrets.masked(f"1 {head}\nunknown") == "1 [secret]"
    assert secrets.masked_log("password=abc123 a") == "[secret]=[secret] a"
    assert secrets.masked("postgres://u:abc123@h") == "[secret]://u:[secret]@h"


@pytest.mark.parametrize("other", ["a long password", "another password"])
def test_a_secret_is_hidden_while_another_call_adds_secrets(
    secrets: Secrets, monkeypatch: pytest.MonkeyPatch, other: str
) -> None:
    """Calls are answered in threads, and the compilation of a pattern with many secrets takes time."""
    making, may_end = threading.Event(), threading.Event()

    def slowly(text: str, compiled: Callable[[str], re.Pattern[str]] = re.compile) -> re.Pattern[str]:
        pattern = compiled(text)
        if threading.current_thread() is not threading.main_thread():
            making.set()
            may_end.wait(0.2)
        return pattern

    monkeypatch.setattr(re, "compile", slowly)
    slow = threading.Thread(target=secrets.add, args=[["a long password"]])
    slow.start()
    assert making.wait(60)
    secrets.add([other])
    shown = secrets.masked(other)
    may_end.set()
    slow.join()

    assert (shown, secrets.masked(other)) == ("[secret]", "[secret]")


def test_only_the_end_of_a_very_long_log_is_read(secrets: Secrets) -> None:
    """A container could print megabytes, and a search for secrets in them would keep the server busy."""
    shown = secrets.masked_log("first " + "x" * 300_000 + " " + "y" * 200_000 + "\nDB_PASSWORD=abc123 last")

    assert shown == "y" * 200_000 + "\nDB_PASSWORD=[secret] last"


def test_a_secret_that_is_nested_too_deeply_is_refused_by_name(secrets: Secrets) -> None:
    """A secret is JSON text in the export, so the depth of the export does not include the depth of the secret."""
    deep = {SIGNATURE: "1b47061264138c4ac30d75fd1eb44270", "plaintext": "[" * 5_000 + "]" * 5_000}
    export = {"deployment": {"resources": [{"outputs": {"deep": deep}}]}}
    with pytest.raises(InputError, match="in the state, remove it there"):
        secrets.add_export(json.dumps(export).encode())
