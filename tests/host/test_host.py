"""The boundary to the host: errors, progress, time-outs, secrets, and how many operations run at once."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from stacks_pulumi.emulator import Emulator
from stacks_pulumi.pricing.tokens import NATIVE
from stacks_pulumi.resources.handlers import HANDLERS
from tests.support.accounts import running
from tests.support.host import CallFailedError, Host, in_parallel


def test_an_error_is_one_line_that_names_what_was_asked(host: Host, emulator: Emulator) -> None:
    emulator.faults.add("containers.create", 503)

    with pytest.raises(CallFailedError) as failure:
        host.resource("Container", "web").up(name="web", template="nodejs")

    assert failure.value.message.startswith('create container "web": no capacity')
    assert "\n" not in failure.value.message
    assert "Traceback" not in failure.value.message


def test_a_defect_of_ours_is_one_line_too_and_its_traceback_is_for_debugging(
    host: Host, emulator: Emulator
) -> None:
    web = host.resource("Container", "web")
    web.up(name="web", template="nodejs")
    web.outs["additional_storage_tier"] = "not a number"

    with pytest.raises(CallFailedError, match="internal error in stacks-pulumi") as failure:
        web.read()

    assert "Traceback" not in failure.value.message
    debugging = [line.text for line in host.engine.lines if line.severity == "DEBUG"]
    assert any("Traceback" in text for text in debugging)


def test_a_malformed_setting_is_reported_at_preview(make_host: Callable[..., Host]) -> None:
    web = make_host({"stacks:baseUrl": "http://api.example"}).resource("Container", "web")

    with pytest.raises(CallFailedError, match="clear text"):
        web.check(name="web", template="nodejs")


def test_a_missing_key_is_no_error_at_preview(make_host: Callable[..., Host]) -> None:
    assert make_host({}).resource("Container", "web").check(name="web", template="nodejs") == {}


def test_the_account_is_named_where_the_program_has_several(
    emulator: Emulator, make_host: Callable[..., Host]
) -> None:
    config = {"stacks:apiKey": emulator.key, "stacks:baseUrl": emulator.url, "stacks:account": "team-b"}
    emulator.faults.add("containers.create", 503)

    with pytest.raises(CallFailedError, match=r"\(account team-b\)$"):
        make_host(config).resource("Container", "web").up(name="web", template="nodejs")


def test_custom_timeouts_bound_a_create(host: Host, emulator: Emulator) -> None:
    emulator.platform.pace = emulator.platform.pace.__class__(boot_seconds=60)
    web = host.resource("Container", "web")
    web.timeout = 1.5
    started = time.monotonic()

    with pytest.raises(CallFailedError, match=r'still "pending" after [12] s') as failure:
        web.up(name="web", template="nodejs")

    assert failure.value.kept_id == f"{emulator.account}-web"
    assert time.monotonic() - started < 20


def test_progress_is_shown_beside_the_resource_and_leaves_nothing_behind(
    host: Host, emulator: Emulator
) -> None:
    emulator.platform.pace = emulator.platform.pace.__class__(boot_seconds=2.5)
    web = host.resource("Container", "web")

    web.up(name="web", template="nodejs")

    lines = [line for line in host.engine.lines if line.urn == web.urn]
    assert any(line.text == "pending, 10 to 30 s" for line in lines)
    assert all(line.ephemeral and line.severity == "INFO" for line in lines)


def test_more_operations_run_at_once_than_the_host_has_threads_for(host: Host, emulator: Emulator) -> None:
    emulator.platform.pace = emulator.platform.pace.__class__(boot_seconds=2)
    webs = [host.resource("Container", f"web-{number}") for number in range(16)]
    under_way = []

    def count() -> None:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and emulator.calls("containers.create") < 16:
            time.sleep(0.02)
        booting = [box for box in emulator.state.containers.values() if box.status == "pending"]
        under_way.append(len(booting))

    raised = in_parallel(count, *(lambda web=web: web.up(name=web.name, template="nodejs") for web in webs))

    assert raised == [None] * 17
    # With the host's own four threads, at most four are pending at any moment.
    assert under_way[0] > 4


def test_the_number_of_operations_at_once_can_be_bounded(
    emulator: Emulator, make_host: Callable[..., Host]
) -> None:
    config = {"stacks:apiKey": emulator.key, "stacks:baseUrl": emulator.url, "stacks:maxConcurrency": "6"}
    emulator.platform.pace = emulator.platform.pace.__class__(boot_seconds=1.5)
    host = make_host(config)
    webs = [host.resource("Container", f"web-{number}") for number in range(12)]
    most = [0]

    def watch() -> None:
        while emulator.calls("containers.create") < 12:
            booting = [box for box in emulator.state.containers.values() if box.status == "pending"]
            most[0] = max(most[0], len(booting))
            time.sleep(0.02)

    raised = in_parallel(watch, *(lambda web=web: web.up(name=web.name, template="nodejs") for web in webs))

    assert raised == [None] * 13
    assert 0 < most[0] <= 6


def test_waiting_for_the_rate_limit_is_shown(emulator: Emulator, make_host: Callable[..., Host]) -> None:
    with Emulator(rate_limit=6, rate_window=4) as api:
        host = make_host(
            {"stacks:apiKey": api.key, "stacks:baseUrl": api.url, "stacks:requestsPerMinute": "6"}
        )
        webs = [host.resource("Container", f"web-{number}") for number in range(8)]

        raised = in_parallel(*(lambda web=web: web.up(name=web.name, template="nodejs") for web in webs))

        assert raised == [None] * 8
        shown = [line.text for line in host.engine.lines]
        assert any(text.startswith("rate limit: ") and "queued" in text for text in shown)


def test_a_boot_of_which_the_rate_limit_hides_the_end_is_not_shown_as_a_slow_one(
    make_host: Callable[..., Host],
) -> None:
    with Emulator(rate_limit=4, rate_window=8, boot_seconds=2) as api:
        host = make_host(
            {"stacks:apiKey": api.key, "stacks:baseUrl": api.url, "stacks:requestsPerMinute": "4"}
        )
        webs = [host.resource("Container", f"web-{number}") for number in range(2)]

        raised = in_parallel(*(lambda web=web: web.up(name=web.name, template="nodejs") for web in webs))

        assert raised == [None] * 2
        assert any(line.text.startswith("rate limit: ") for line in host.engine.lines)


def test_what_was_just_made_is_taken_back_when_the_engine_is_gone(host: Host, emulator: Emulator) -> None:
    emulator.platform.pace = emulator.platform.pace.__class__(boot_seconds=60)
    web = host.resource("Container", "web")

    with pytest.raises(CallFailedError):
        web.create(web.checked(name="web", template="nodejs"), cancel_after=1.5)

    deadline = time.monotonic() + 10
    while not emulator.calls("containers.delete") and time.monotonic() < deadline:
        time.sleep(0.05)
    emulator.advance(1)
    assert emulator.state.containers == {}


def test_what_was_just_made_is_taken_back_also_if_that_is_refused_while_it_boots(
    host: Host, emulator: Emulator
) -> None:
    emulator.platform.pace = emulator.platform.pace.__class__(boot_seconds=60)
    refused = emulator.faults.add("containers.delete", "status", 2, code=409)
    web = host.resource("Container", "web")

    with pytest.raises(CallFailedError):
        web.create(web.checked(name="web", template="nodejs"), cancel_after=1.5)

    deadline = time.monotonic() + 20
    while emulator.calls("containers.delete") < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    emulator.advance(1)
    assert refused.fired == 2
    assert emulator.state.containers == {}


def test_what_was_just_made_is_taken_back_also_when_the_rate_limit_is_reached(
    make_host: Callable[..., Host],
) -> None:
    with Emulator(rate_limit=3, rate_window=5, boot_seconds=60) as api:
        host = make_host(
            {"stacks:apiKey": api.key, "stacks:baseUrl": api.url, "stacks:requestsPerMinute": "3"}
        )
        web = host.resource("Container", "web")

        with pytest.raises(CallFailedError):
            web.create(web.checked(name="web", template="nodejs"), cancel_after=3.5)

        assert api.calls("containers.delete") == 0, "the limit was not reached, so this shows nothing"
        deadline = time.monotonic() + 20
        while not api.calls("containers.delete") and time.monotonic() < deadline:
            time.sleep(0.05)
        api.advance(1)
        assert api.state.containers == {}


def test_what_may_have_been_made_is_looked_for_and_taken_back(make_host: Callable[..., Host]) -> None:
    with Emulator(rate_limit=2, rate_window=6, boot_seconds=60) as api:
        api.faults.add("containers.create", "drop_after")
        host = make_host(
            {"stacks:apiKey": api.key, "stacks:baseUrl": api.url, "stacks:requestsPerMinute": "2"}
        )
        web = host.resource("Container", "web")

        # The answer is lost, the look that follows waits for the rate limit, and meanwhile the engine goes away.
        with pytest.raises(CallFailedError):
            web.create(web.checked(name="web", template="nodejs"), cancel_after=2.5)

        assert (1, 1) == (api.calls("containers.create"), api.calls("containers.list"))
        deadline = time.monotonic() + 30
        while not api.calls("containers.delete") and time.monotonic() < deadline:
            time.sleep(0.05)
        api.advance(1)
        assert api.state.containers == {}


def test_the_time_that_there_is_holds_for_the_rate_limit_as_well(make_host: Callable[..., Host]) -> None:
    with Emulator(rate_limit=1, rate_window=30) as api:
        host = make_host(
            {"stacks:apiKey": api.key, "stacks:baseUrl": api.url, "stacks:requestsPerMinute": "1"}
        )
        web = host.resource("Container", "web")
        web.timeout = 2
        started = time.monotonic()

        with pytest.raises(CallFailedError, match=r"timed out after .* while it waited for the rate limit"):
            web.up(name="web", template="nodejs")

        assert time.monotonic() - started < 15
        assert api.calls("containers.create") == 0


def test_what_was_taken_over_is_left_alone_when_the_engine_is_gone(host: Host, emulator: Emulator) -> None:
    running(emulator, "web")
    emulator.drift.stop("web")
    emulator.platform.pace = emulator.platform.pace.__class__(action_seconds=60)
    web = host.resource("Container", "web")
    inputs = {"name": "web", "template": "nodejs", "adopt": "if_matching", "desired_status": "running"}

    with pytest.raises(CallFailedError):
        web.create(web.checked(**inputs), cancel_after=1.5)

    time.sleep(1.5)
    assert len(emulator.state.containers) == 1
    assert emulator.calls("containers.delete") == 0


@pytest.mark.parametrize("kind", sorted(HANDLERS))
def test_every_kind_says_all_that_is_missing_at_once(host: Host, kind: str) -> None:
    required = {field.name for field in HANDLERS[kind].fields if field.required}
    if host.type_prefix == NATIVE:
        # The plugin gives a name to what has none; for a program in Python its class does.
        required.discard("name")

    failures = host.resource(kind, "web").check()

    assert failures == {name: f"{name} is missing" for name in required}
