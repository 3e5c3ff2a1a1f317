"""Settings: their sources, and their errors."""

from __future__ import annotations

import pickle

import pytest

from stacks_pulumi.config import (
    DEFAULT_BASE_URL,
    AccountSettings,
    check_api_key,
    check_base_url,
    check_spelling,
    load,
)
from stacks_pulumi.errors import ConfigError

KEY = "sk_stacks_" + "0123456789abcdef" * 4


def test_the_default_is_the_public_api_without_a_key() -> None:
    assert load({}, {}) == AccountSettings(base_url=DEFAULT_BASE_URL)


def test_the_configuration_overrides_the_environment() -> None:
    environ = {"STACKS_API_KEY": "sk_stacks_" + "f" * 64, "STACKS_BASE_URL": "https://other.example/v1"}

    settings = load({"stacks:apiKey": KEY, "stacks:baseUrl": "https://api.example/v1/"}, environ)

    assert (KEY, "https://api.example/v1") == (settings.api_key, settings.base_url)
    assert load({}, environ).base_url == "https://other.example/v1"


ELSEWHERE = "https://stacks.example/api/v1"
PROJECTS_KEY, PROJECTS_ADDRESS = {"stacks:apiKey": KEY}, {"stacks:baseUrl": ELSEWHERE}
KEY_IN_SHELL, ADDRESS_IN_SHELL = {"STACKS_API_KEY": KEY}, {"STACKS_BASE_URL": ELSEWHERE}
TRUST = {"STACKS_TRUST_PROJECT": "1"}


@pytest.mark.parametrize(
    ("project", "shell", "remedies"),
    [
        (
            PROJECTS_ADDRESS,
            KEY_IN_SHELL,
            ("the project sets", f"export STACKS_BASE_URL={ELSEWHERE}", "config set stacks:apiKey --secret"),
        ),
        (
            PROJECTS_KEY,
            ADDRESS_IN_SHELL,
            ("the environment sets", "unset STACKS_BASE_URL", f"config set stacks:baseUrl {ELSEWHERE}"),
        ),
        # An explicit provider's key comes from the program.
        (
            {**PROJECTS_KEY, "stacks:account": "team-b"},
            {**KEY_IN_SHELL, **ADDRESS_IN_SHELL},
            ("the environment sets", "unset STACKS_BASE_URL"),
        ),
        # The settings in a cloned project of an attacker.
        (
            {"stacks:baseUrl": "http://collector.example/x", "stacks:allowHttp": "true"},
            KEY_IN_SHELL,
            ("the project sets", "export STACKS_BASE_URL=http://collector.example/x"),
        ),
        (
            {"stacks:baseUrl": "https://x.example/$(id)"},
            KEY_IN_SHELL,
            ("STACKS_BASE_URL='https://x.example/$(id)'",),
        ),
        # The name is not resolved and does not mean this machine.
        ({"stacks:baseUrl": "https://localhost.example/v1"}, KEY_IN_SHELL, ("the project sets",)),
        (PROJECTS_ADDRESS, {**KEY_IN_SHELL, "STACKS_TRUST_PROJECT": "no"}, ("the project sets",)),
        # Each source sets its own address, and that of the project would be used.
        (
            {"stacks:baseUrl": "https://collector.example/x"},
            {**KEY_IN_SHELL, **ADDRESS_IN_SHELL},
            ("the project sets",),
        ),
    ],
)
def test_a_key_is_not_sent_to_an_address_from_another_source(
    project: dict[str, str], shell: dict[str, str], remedies: tuple[str, ...]
) -> None:
    with pytest.raises(ConfigError, match="STACKS_TRUST_PROJECT=1 allows") as refused:
        load(project, shell)

    assert all(remedy in str(refused.value) for remedy in remedies), refused.value
    assert KEY not in str(refused.value)


@pytest.mark.parametrize(
    ("project", "shell"),
    [
        ({**PROJECTS_KEY, **PROJECTS_ADDRESS}, {}),
        ({}, {**KEY_IN_SHELL, **ADDRESS_IN_SHELL}),
        # Both sources name the address, so both are listed.
        (PROJECTS_ADDRESS, {**KEY_IN_SHELL, "STACKS_BASE_URL": f"{ELSEWHERE}/"}),
        (PROJECTS_ADDRESS, {**KEY_IN_SHELL, **TRUST}),
        (PROJECTS_KEY, {**ADDRESS_IN_SHELL, **TRUST}),
        # Without a key, no key can be sent.
        (PROJECTS_ADDRESS, {}),
        ({"stacks:baseUrl": DEFAULT_BASE_URL}, KEY_IN_SHELL),
        (PROJECTS_KEY, {"STACKS_BASE_URL": f"{DEFAULT_BASE_URL}/"}),
        ({"stacks:baseUrl": "http://127.3.4.5:7822/api/v1"}, KEY_IN_SHELL),
        (PROJECTS_KEY, {"STACKS_BASE_URL": "http://localhost:7822/api/v1"}),
        ({"stacks:baseUrl": "http://[::1]:7822/api/v1"}, KEY_IN_SHELL),
    ],
)
def test_a_key_is_sent_to_an_address_of_its_own_source_to_the_default_and_to_this_machine(
    project: dict[str, str], shell: dict[str, str]
) -> None:
    assert load(project, shell).base_url == (project | shell).get(
        "stacks:baseUrl", shell.get("STACKS_BASE_URL", "")
    ).rstrip("/")


def test_plain_http_is_allowed_only_by_the_source_of_the_key() -> None:
    url = "http://emulator:7822/api/v1"
    stack, shell = {**PROJECTS_KEY, "stacks:baseUrl": url}, {**KEY_IN_SHELL, "STACKS_BASE_URL": url}
    for config, environ in (
        (stack, {"STACKS_ALLOW_HTTP": "true"}),
        ({"stacks:baseUrl": url, "stacks:allowHttp": "true"}, shell),
        ({"stacks:baseUrl": url}, {"STACKS_ALLOW_HTTP": "true"}),
    ):
        with pytest.raises(ConfigError, match="in plain text"):
            load(config, environ)

    assert load({**stack, "stacks:allowHttp": "true"}, {}).allow_http
    assert load({"stacks:baseUrl": url}, {**shell, "STACKS_ALLOW_HTTP": "true"}).allow_http
    assert load(stack, {"STACKS_ALLOW_HTTP": "true", **TRUST}).allow_http


def test_space_around_a_pasted_key_does_not_matter() -> None:
    assert load({"stacks:apiKey": f" {KEY}\n"}, {}).api_key == KEY


def test_an_empty_variable_is_ignored() -> None:
    assert load({}, {"STACKS_API_KEY": ""}).api_key is None


def test_an_explicit_provider_does_not_get_the_environments_key() -> None:
    settings = load({"stacks:account": "team-b"}, {"STACKS_API_KEY": KEY})

    assert settings.api_key is None


def test_the_key_is_in_no_repr() -> None:
    assert KEY not in repr(load({"stacks:apiKey": KEY}, {}))


def test_a_missing_key_says_how_to_give_one() -> None:
    with pytest.raises(ConfigError, match="pulumi config set stacks:apiKey --secret"):
        AccountSettings().require_key()


def test_the_key_of_an_explicit_provider_is_not_set_in_the_configuration() -> None:
    for raised in (
        lambda: load({"stacks:account": "team-b"}, {}).require_key(),
        lambda: load({"stacks:account": "team-b", "stacks:apiKey": "sk_stacks_1"}, {}),
    ):
        with pytest.raises(
            ConfigError, match='the program must pass a valid api_key to the provider "team-b"'
        ) as told:
            raised()
        assert "config set" not in str(told.value)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("apikey", "apiKey"),
        ("api_key", "apiKey"),
        ("APIKey", "apiKey"),
        ("baseURL", "baseUrl"),
        ("base-url", "baseUrl"),
        ("requestsperminute", "requestsPerMinute"),
    ],
)
def test_a_misspelt_setting_is_reported(written: str, meant: str) -> None:
    with pytest.raises(ConfigError, match=f"stacks:{written}; did you mean stacks:{meant}") as error:
        check_spelling({f"stacks:{written}": "x", "stacks:apiKey": KEY}.get)
    assert error.value.code == "unknown-setting"


def test_known_and_foreign_settings_are_accepted() -> None:
    check_spelling({"stacks:apiKey": KEY, "aws:apikey": "x", "stacks:adopt": "never"}.get)


@pytest.mark.parametrize(
    "key", ["sk_live_1", "sk_stacks_12", "sk_stacks_" + "g" * 64, KEY + "0", "Bearer " + KEY]
)
def test_a_malformed_key_is_described_and_not_repeated(key: str) -> None:
    with pytest.raises(ConfigError, match="malformed") as error:
        check_api_key(key)

    assert key not in str(error.value)
    assert error.value.code == "malformed-api-key"


@pytest.mark.parametrize(
    "url",
    [
        "https://api.example/v1",
        "https://api.example:8443",
        "http://127.0.0.1:8080/api/v1",
        "http://localhost:1/x",
        "http://[::1]:80/x",
    ],
)
def test_addresses_that_a_key_may_go_to(url: str) -> None:
    assert check_base_url(url) == url


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "not a valid API URL"),
        ("api.example", "not a valid API URL"),
        ("ftp://api.example", "not a valid API URL"),
        ("https://", "not a valid API URL"),
        ("https://api.example:port", "not a valid API URL"),
        ("https://[::1", "not a valid API URL"),
        # One parser reads this machine's name, another parser reads evil.example.
        ("http://evil.example[::1]:80", "not a valid API URL"),
        ("http://[::1].evil.example", "not a valid API URL"),
        ("https://localhost\\.evil.example", "not a valid API URL"),
        ("http://local\thost", "not a valid API URL"),
        ("http://localhost/\r\nX: 1", "not a valid API URL"),
        ("http://localhost/ /x", "not a valid API URL"),
        ("http://localhost?", "a query or a fragment"),
        ("http://localhost#", "a query or a fragment"),
        ("http://api.example/v1", "plain text"),
        ("http://127.0.0.1.example/v1", "plain text"),
        ("http://10.0.0.1/v1", "plain text"),
        ("https://user:hunter2@api.example/v1", "credentials"),
        ("https://hunter2@api.example/v1", "credentials"),
        ("https://api.example/v1?key=1", "a query or a fragment"),
        ("https://api.example/v1#x", "a query or a fragment"),
    ],
)
def test_addresses_that_no_key_may_go_to(url: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as error:
        check_base_url(url)

    assert "hunter2" not in str(error.value)


def test_plain_http_to_another_machine_needs_an_opt_in() -> None:
    url = "http://emulator:7822/api/v1"
    with pytest.raises(ConfigError, match="STACKS_ALLOW_HTTP to true"):
        load({"stacks:baseUrl": url}, {})

    assert load({"stacks:baseUrl": url, "stacks:allowHttp": "true"}, {}).base_url == url
    assert load({}, {"STACKS_BASE_URL": url, "STACKS_ALLOW_HTTP": "true"}).base_url == url
    # The stack takes precedence over the environment.
    with pytest.raises(ConfigError, match="plain text"):
        load({"stacks:baseUrl": url, "stacks:allowHttp": "false"}, {"STACKS_ALLOW_HTTP": "true"})
    with pytest.raises(ConfigError, match="stacks:allowHttp must be true or false"):
        load({"stacks:allowHttp": "yes"}, {})


@pytest.mark.parametrize(("text", "number"), [("1", 1), ("600", 600), ("60.0", 60)])
def test_whole_numbers(text: str, number: int) -> None:
    assert load({"stacks:requestsPerMinute": text}, {}).requests_per_minute == number


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "many", "inf", "nan", "\u0661"])
def test_an_invalid_number_names_its_key(text: str) -> None:
    with pytest.raises(ConfigError, match="stacks:maxConcurrency"):
        load({"stacks:maxConcurrency": text}, {})


def test_an_unknown_way_to_adopt_names_the_choices() -> None:
    with pytest.raises(ConfigError, match="never, if_matching"):
        load({"stacks:adopt": "always"}, {})


def test_errors_survive_pickling() -> None:
    with pytest.raises(ConfigError) as caught:
        check_base_url("ftp://x")

    again = pickle.loads(pickle.dumps(caught.value))

    assert (type(caught.value), str(caught.value)) == (type(again), str(again))


def test_a_wrong_address_of_the_environment_is_named_by_its_variable() -> None:
    for url in ("127.0.0.1:7822/api/v1", "http://api.example/api/v1", "https://api.example/api/v1?x=1"):
        with pytest.raises(ConfigError, match=r"^STACKS_BASE_URL "):
            load({}, {"STACKS_API_KEY": KEY, "STACKS_BASE_URL": url})


@pytest.mark.parametrize("url", [f"https://{KEY}.example/api", f"https://api.example/{KEY}"])
@pytest.mark.parametrize("of_stack", [True, False], ids=["stack", "environment"])
def test_an_address_with_a_key_is_refused_and_not_shown(url: str, of_stack: bool) -> None:
    project: dict[str, str | None] = {"stacks:baseUrl": url, **({"stacks:apiKey": KEY} if of_stack else {})}

    with pytest.raises(ConfigError, match="stacks:baseUrl contains an API key") as refused:
        load(project, {"STACKS_API_KEY": KEY})

    assert KEY not in str(refused.value)
