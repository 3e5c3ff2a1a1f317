"""
What does the API show about the key: is it accepted, and what are its account, its scopes and its limits?

The checks list the containers once with each key, and with `--probe-scopes` send up to three requests that are always
refused.
"""

from __future__ import annotations

import json
import math
import urllib.request
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from stacks_pulumi import config
from stacks_pulumi._identifiers import account_of, is_of_key
from stacks_pulumi._pulumi_cli import PulumiError
from stacks_pulumi.account.doctor_facts import (
    KEYS_PAGE,
    Facts,
    Finding,
    doctor_command,
    ok,
    origin_of,
    problem,
    pulumi_command,
    set_command,
    set_key_command,
    unknown,
    unset_command,
    warning,
)
from stacks_pulumi.api._words import is_known_status
from stacks_pulumi.api.probe import Look, look
from stacks_pulumi.config import DEFAULT_BASE_URL, AccountSettings
from stacks_pulumi.endpoints import SCOPES
from stacks_pulumi.errors import (
    ApiError,
    ConfigError,
    ConnectionFailedError,
    InvalidApiKeyError,
    MissingScopeError,
    PaymentRequiredError,
    RateLimitedError,
    ServerError,
    StacksError,
    UnreadableAnswerError,
)

if TYPE_CHECKING:
    from stacks_pulumi.api.models import Container, Listing


_ANOTHER_GRANT: Final = "ask the broker's administrator for a new grant, or submit the change again"
_MOST_PERMITS: Final = 20
_NOT_ASKED: Final = "no request was sent: see the lines about the stack and its settings"
_PATH: Final = "/api/v1"
_PROXIES: Final = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
_CLOCK_SECONDS: Final = 120.0
"""The difference between the clocks, in seconds, up to which nothing is reported."""

_READ, _CREATE, _MANAGE, _DELETE = SCOPES
_USES: Final = {
    _READ: "every operation",
    _CREATE: "new containers",
    _MANAGE: "external access, rules, connections, backups, VPN clients, start and stop",
    _DELETE: "`pulumi destroy` and replacements",
}


def api(facts: Facts) -> Iterator[Finding]:
    """Check that the API answers at the base URL, and that it accepts the key."""
    seen, settings = facts.look, facts.settings
    if seen is None or settings is None:
        yield unknown(_NOT_ASKED)
        return
    error = seen.error
    if error is None or isinstance(error, MissingScopeError):
        listed = seen.containers
        count = "" if listed is None else f"; {len(listed)} containers"
        yield ok(f"{settings.base_url} accepts the key{count}")
    elif isinstance(error, InvalidApiKeyError):
        _, source = facts.given("apiKey")
        if settings.is_grant:
            text = f"{settings.base_url} does not know this grant (401), or it was revoked"
            yield problem(text, _ANOTHER_GRANT)
            return
        yield problem(
            f"{settings.base_url} does not accept the key (401): it is wrong, or it was revoked. Create a new key in "
            f"{KEYS_PAGE}",
            set_key_command(facts, source),
        )
    elif isinstance(error, RateLimitedError):
        yield ok(f"{settings.base_url} answers (429)")
    elif isinstance(error, ConnectionFailedError):
        yield problem(
            f"no answer from {settings.base_url}{_through(facts, settings)} ({_reason(error)})",
            _to_connect(facts, settings, error),
        )
    elif isinstance(error, ServerError):
        yield problem(error.message, "try again later; https://status.stackshosting.cloud")
    elif isinstance(error, PaymentRequiredError):
        yield problem(error.message, "add a payment method in the STACKS dashboard")
    elif isinstance(error, ApiError) and error.status not in {404, 405}:
        # The API always sends a JSON body; without one, the answer comes from a proxy or a firewall.
        fix = "correct what the message names" if error.body else _to_find(facts, settings.base_url)
        yield problem(error.message, fix)
    elif isinstance(error, UnreadableAnswerError) and seen.fields is not None:
        # The answer is JSON, so it comes from an API, but its form is unexpected.
        fields = ", ".join(seen.fields) or "none, because it is a list"
        yield problem(
            f"{settings.base_url} answers in JSON, but the answer contains no list of containers ({_reason(error)}); "
            f"its fields: {fields}",
            "the API's response does not have the documented form and cannot be parsed: please report "
            "this line",
        )
    else:
        # The answer comes from a different server or path: a 404, a redirect or a web page.
        wrong, reason = f"the API is not at {settings.base_url}", _reason(error)
        text = reason if reason.startswith(wrong) else f"{wrong}{_through(facts, settings)}: {reason}"
        yield problem(text, _to_find(facts, settings.base_url))


def grant(facts: Facts) -> Iterator[Finding]:
    """Report when the broker's grant ends, which requests it allows, and how often each can still be sent."""
    said = facts.grant
    if said is None:
        return
    if isinstance(said, StacksError):
        yield problem(f"the broker does not show the grant: {said.message}", _ANOTHER_GRANT)
        return
    about = f" for {said['for']}" + (f", stack {said['stack']}" if said["stack"] else "")
    text = f"{said['grant']}, a {said['kind']} grant{about}, until {said['until']}"
    if said["ended"]:
        yield problem(f"{text}: it has ended", _ANOTHER_GRANT)
        return
    yield ok(text)
    if said["secrets"]:
        yield ok(f"it may read these secrets: {', '.join(said['secrets'])}")
    policy = said["policy"]
    if policy is not None:
        free = ", ".join(policy["free"]) or "no other change"
        yield ok(
            f"allowed without an approval: creates that add at most ${said['left_today']} within 24 hours, and {free}",
        )
    left = [one for one in said["permits"] if one["left"] != 0]
    for one in left[:_MOST_PERMITS]:
        uses = "" if one["left"] is None else f" ({one['left']} left)"
        yield ok(f"it may send {one['words']}{uses}")
    if len(left) > _MOST_PERMITS:
        yield ok(f"and {len(left) - _MOST_PERMITS} more")
    if said["permits"] and not left:
        yield ok("all approved requests have been sent: no uses remain")
    for asked in said["requests"]:
        if asked["state"] == "open":
            yield warning(
                f"the access request {asked['id']} waits for a person: {asked['why']}",
                f"stacks-pulumi gate approve {asked['id']}",
            )


def platform(facts: Facts) -> Iterator[Finding]:
    """Report the settings of the platform file, and what the list of containers shows about the platform."""
    known, (path, source) = facts.platform, facts.given("platform")
    if isinstance(known, ConfigError):
        yield problem(known.message, f"correct {path}, or remove the setting {source}")
    elif path is None:
        yield ok("no platform file: answers are read as STACKS documents them")
    else:
        yield ok(f"{path} (from {source})")
        for section, settings in known.facts.as_json().items():
            if isinstance(settings, dict):
                said = ", ".join(f"{name} is {_as_yaml(value)}" for name, value in settings.items())
                yield ok(f"{section}: {said}")
    if facts.look is not None and facts.look.containers is not None:
        yield from _observed(facts.look, facts.look.containers)


def _as_yaml(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _observed(seen: Look, listed: Listing[Container]) -> Iterator[Finding]:
    if listed.gap is not None:
        yield warning(
            f"the list of containers is incomplete: {listed.gap}",
            "a container may be missing from the list: further pages are read only from an address in `next` or "
            "`Link`",
        )
    elif seen.fields is not None and "count" not in {name.rpartition(".")[2] for name in seen.fields}:
        yield ok("the list of containers has no count, so it does not show whether it is complete")
    words = dict.fromkeys(one.status for one in listed if one.status is not None)
    for word in words:
        if not is_known_status(word):
            yield warning(
                f"a container has the unknown status {word}",
                "check it in the STACKS dashboard: a wait for such a container ends only with its timeout",
            )
    if "deleted" in words:
        yield ok("the list of containers includes deleted containers, which are ignored")


def _set_again(facts: Facts) -> str:
    return set_key_command(facts, facts.given("apiKey")[1])


def _reason(error: StacksError) -> str:
    """Return the reason from a message of the form `list containers: REASON; nothing was sent; check ...`."""
    return error.reason.partition(": ")[2]


def _proxy(facts: Facts, settings: AccountSettings) -> str | None:
    """Return the name of the variable that sets the provider's proxy; `None` if no proxy is used."""
    parts = urlsplit(settings.base_url)
    # `http://` is only for an emulator, for which proxies are ignored.
    if parts.scheme != "https" or urllib.request.proxy_bypass(parts.hostname or ""):
        return None
    return next((name for name in _PROXIES if facts.environ.get(name, "").strip()), None)


def _through(facts: Facts, settings: AccountSettings) -> str:
    name = _proxy(facts, settings)
    return "" if name is None else f" through the proxy in {name}"


def _to_connect(facts: Facts, settings: AccountSettings, error: ConnectionFailedError) -> str:
    if error.untrusted:
        return "if a proxy has its own certificates, set REQUESTS_CA_BUNDLE to their file; else correct the base URL"
    proxy = _proxy(facts, settings)
    if proxy is not None:
        return f"correct the variable {proxy}, or remove the proxy: unset {proxy}"
    url = settings.base_url
    if url == DEFAULT_BASE_URL:
        return "check the network of this machine; https://status.stackshosting.cloud"
    parts = urlsplit(url)
    if parts.scheme == "http" and config.is_loopback(parts.hostname or ""):
        return f"stacks-pulumi emulator --port {parts.port or 80}"
    return f"check the network; if the base URL is wrong: {_to_find(facts, url)}"


def _to_find(facts: Facts, url: str) -> str:
    value, source = facts.given("baseUrl")
    if value is None:
        proxy = next((name for name in _PROXIES if facts.environ.get(name, "").strip()), None)
        return (
            "check the network of this machine: a different server answers there"
            if proxy is None
            else f"unset {proxy}"
        )
    better = _with_version(url)
    if better is None:
        return unset_command(facts, source)
    return set_command(facts, "baseUrl", source, better)


def _with_version(url: str) -> str | None:
    """Return the base URL with the API's path; `None` if the URL already ends with that path."""
    if url.endswith(_PATH):
        return None
    before, path, _ = url.partition(f"{_PATH}/")
    return f"{before}{_PATH}" if path else f"{url.removesuffix('/api')}{_PATH}"


def account(facts: Facts) -> Iterator[Finding]:
    """Check that the key belongs to the account that contains the stack's resources."""
    seen, settings, owned, state = facts.look, facts.settings, facts.owned, facts.state
    if isinstance(state, PulumiError):
        yield unknown(f"the stack's state was not read: {state.message}")
        return
    if not owned:
        yield ok(
            "the stack has no resources in the account of its key, so the key may belong to any account",
        )
        return
    if seen is None or seen.containers is None or settings is None:
        yield unknown("the containers of the key's account were not listed: see the lines above")
        return
    theirs, ours = {account_of(one.id) for one in owned}, {account_of(one.id) for one in seen.containers}
    if theirs & ours or any(is_of_key(origin_of(one), settings.fingerprint) for one in owned):
        yield ok(f"the key belongs to the account of the stack's {len(owned)} resources")
    elif ours:
        yield problem(
            f"the stack's resources are in the account {min(theirs)}, but the key belongs to {min(ours)}: set a key "
            f"of the account {min(theirs)}",
            _set_again(facts),
        )
    elif any(origin_of(one) is not None for one in owned):
        yield problem(
            f"the stack has {len(owned)} resources, created with a different key, but the account of this key is "
            f"empty: set a key of the account {min(theirs)}; if all of the resources were deleted, remove them from "
            "the state with `pulumi state delete`",
            _set_again(facts),
        )
    else:
        yield unknown("the account of the key has no containers, so it cannot be compared with the state")


def state_keys(facts: Facts) -> Iterator[Finding]:
    """Check the keys in the stack's state. Commands that do not run the program use these keys."""
    others = facts.other_keys
    if isinstance(others, PulumiError):
        yield unknown(f"the keys in the stack's state were not read: {others.message}")
        return
    without = "`pulumi refresh` and `pulumi destroy`, which do not run the program, use"
    for name, settings in others.items():
        if settings.api_key is None:
            yield unknown(f"the key of the provider {name!r} in the state cannot be decrypted")
            continue
        error = look(settings).error
        if isinstance(error, InvalidApiKeyError):
            yield problem(
                f"{without} the key of the provider {name!r} in the state, and {settings.base_url} does not accept it "
                "(401): it was revoked",
                f"{_renew(name)}`{pulumi_command(facts, 'up')}`, which stores the key; or add --run-program to "
                "those commands",
            )
        elif error is not None and not isinstance(error, (MissingScopeError, RateLimitedError)):
            yield unknown(
                f"it is not known whether the key of the provider {name!r} in the state is accepted: {error.message}",
            )
        else:
            yield ok(f"{settings.base_url} accepts the key of the provider {name!r} in the state")
    if not others:
        yield ok("the state has no key that differs from the settings")


def _renew(provider: str) -> str:
    own = "" if provider.startswith("default") else "give the provider a new key in the program, then "
    return f"{own}run "


def scopes(facts: Facts) -> Iterator[Finding]:
    """
    Check that the key has the scopes that the stack needs, as far as the key's scopes are known. A grant has no scopes.
    """
    if facts.grant is not None:
        return
    if facts.look is None:
        yield unknown(_NOT_ASKED)
        return
    known, needed = facts.scopes, _needed(facts)
    another = f"create a new key in {KEYS_PAGE}, and then: {_set_again(facts)}"
    for scope in (one for one in _USES if one in known.lacking):
        # Without the scope to delete, an `up` can still create and update resources.
        report = problem if scope in needed and scope != _DELETE else warning
        why = needed.get(scope, _USES[scope])
        yield report(f"the key lacks {scope}, which is needed for {why}", another)
    unsure = [scope for scope in _USES if scope not in known.held | known.lacking]
    if unsure and facts.look.error is not None:
        yield unknown(f"the containers could not be listed, so these scopes are unknown: {', '.join(unsure)}")
    elif unsure:
        yield unknown(
            f"{_listed(known.held)}; read requests do not show whether it has {', '.join(unsure)}. "
            "--probe-scopes checks these scopes with requests that are always refused and change nothing",
            doctor_command(facts, "--probe-scopes"),
        )
    elif not known.lacking:
        yield ok(_listed(known.held))


def _listed(held: frozenset[str]) -> str:
    return f"the key has {', '.join(scope for scope in _USES if scope in held) or 'no known scope'}"


def _needed(facts: Facts) -> dict[str, str]:
    """Return each scope that the stack needs, with the reason."""
    needed = {_READ: _USES[_READ], _CREATE: _USES[_CREATE]}
    opened = {"external_access", "externalAccess"}
    managed = [one for one in facts.owned if one.kind != "Container" or opened & (one.inputs or {}).keys()]
    if managed:
        kinds = sorted({str(one.kind) for one in managed})
        needed[_MANAGE] = f"the stack's {', '.join(kinds)} resources"
    if facts.owned:
        needed[_DELETE] = _USES[_DELETE]
    return needed


def cap(facts: Facts) -> Iterator[Finding]:
    """Report the key's spending cap, if a refused request has shown it."""
    settings = facts.settings
    if facts.grant is not None:
        return
    if settings is None or settings.api_key is None:
        yield unknown(_NOT_ASKED)
        return
    told = facts.scopes.cap
    if told is None:
        yield unknown("the API shows a key's cap only when it refuses a create")
    else:
        yield problem(
            f"the key's spending cap is reached: {_money(told.spending_cap, told.amount_spent)}",
            f"raise the key's cap in {KEYS_PAGE}, choose cheaper plans, or wait for the first of the month (UTC)",
        )


def _money(limit: float | None, spent: float | None) -> str:
    if limit is None or spent is None:
        return "the API does not show how high it is"
    return f"${spent:.2f} of ${limit:.2f} a month are spent"


def rate_limit(facts: Facts) -> Iterator[Finding]:
    """Report the key's rate limit, and whether it is used up."""
    seen = facts.look
    if seen is None:
        yield unknown(_NOT_ASKED)
        return
    limit, left = seen.rates.limit, seen.rates.remaining
    if isinstance(seen.error, RateLimitedError) or left == 0:
        wait = getattr(seen.error, "retry_after", None) or seen.rates.left or math.nan
        when = "" if math.isnan(wait) else f"; it is reset in {wait:.0f} s"
        yield warning(
            f"the key's rate limit{'' if limit is None else f' of {limit} requests a minute'} is used up{when}",
            f"use a different key for other programs ({KEYS_PAGE}); until the limit is reset, `pulumi up` waits",
        )
    elif limit is None or left is None:
        yield unknown("the answer has no X-RateLimit headers")
    else:
        yield ok(f"{limit} requests a minute, {left} left in this minute")


def clock(facts: Facts) -> Iterator[Finding]:
    """Compare this machine's clock with the API's clock."""
    seen = facts.look
    if seen is None:
        yield unknown(_NOT_ASKED)
    elif seen.clock_ahead is None:
        yield unknown("no answer of the API shows the API's time")
    elif abs(seen.clock_ahead) > _CLOCK_SECONDS:
        side = "ahead of" if seen.clock_ahead > 0 else "behind"
        yield warning(
            f"this machine's clock is {_duration(abs(seen.clock_ahead))} {side} the API's",
            "synchronise it: `sudo timedatectl set-ntp true` (Linux), System Settings, Date & Time (macOS)",
        )
    else:
        yield ok("this machine's clock and the API's agree")


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
