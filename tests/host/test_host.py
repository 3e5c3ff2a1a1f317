"""The boundary to the host: errors, progress, timeouts, secrets, and the number of concurrent operations."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from stacks_pulumi.emulator import Emulator
from stacks_pulumi.pricing.recognition import NATIVE
from stacks_pulumi.resources.handlers import HANDLERS
from tests.support.accounts import running
from tests.support.clock import fast_clock
from tests.support.host import CallFailedError, Host, in_parallel, while_frozen
from tests.support.waiting import never, until
from tools.engine import pins

pytestmark = pytest.mark.hosts("dynamic", "native")


def answered(emulator: Emulator, operation: str) -> bool:
    """Return whether the API answered a request for an operation."""
    return any(record.operation == operation for record in emulator.requests)


def waits_for_the_limit(host: Host) -> bool:
    """Return whether the host shows that it waits for the rate limit."""
    return any(line.text.startswith("rate limit: ") for line in host.engine.lines)


def test_an_error_is_one_line_that_names_the_request(host: Host, emulator: Emulator) -> None:
    emulator.faults.add("containers.create", 503)

    with pytest.raises(CallFailedError) as failure:
        host.resource("Container", "web").up(name="web", template="nodejs")

    assert failure.value.message.startswith('create container "web": no capacity')
    assert "\n" not in failure.value.message
    assert "Traceback" not in failure.value.message


def test_an_internal_error_is_one_line_and_its_traceback_is_logged(host: Host, emulator: Emulator) -> None:
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

    with pytest.raises(CallFailedError, match=r"plain text.* \[invalid-setting\]$"):
        web.check(name="web", template="nodejs")


def test_an_error_names_the_account_if_there_are_several(
    emulator: Emulator, make_host: Callable[..., Host]
) -> None:
    config = {"stacks:apiKey": emulator.key, "stacks:baseUrl": emulator.url, "stacks:account": "team-b"}
    emulator.faults.add("containers.create", 503)

    with pytest.raises(CallFailedError, match=r"\(account team-b\) \[no-capacity\]$"):
        make_host(config).resource("Container", "web").up(name="web", template="nodejs")


def test_custom_timeouts_limit_a_create(host: Host, emulator: Emulator) -> None:
    emulator.freeze()
    web = host.resource("Container", "web")
    web.timeout = 20

    with pytest.raises(CallFailedError, match=r'still "pending" after \d+ s') as failure:
        web.up(name="web", template="nodejs")

    assert failure.value.kept_id == f"{emulator.account}-web"
    # The next `up` continues to wait, as an update.
    with pytest.raises(CallFailedError, match=r"update.{1,3}30m"):
        web.update(web.checked(name="web", template="nodejs"))


def test_progress_is_shown_only_during_the_operation(host: Host, emulator: Emulator) -> None:
    web = host.resource("Container", "web")

    raised = while_frozen(
        emulator,
        lambda: until(lambda: "pending, 10 to 30 s" in web.lines()),
        lambda: web.up(name="web", template="nodejs"),
    )

    assert raised == [None, None]
    lines = [line for line in host.engine.lines if line.urn == web.urn]
    assert all(line.ephemeral and line.severity == "INFO" for line in lines)


def test_more_operations_run_than_the_host_has_threads(host: Host, emulator: Emulator) -> None:
    webs = [host.resource("Container", f"web-{number}") for number in range(16)]

    raised = while_frozen(
        emulator,
        # With the host's own four threads, at most four operations would be in progress.
        lambda: until(lambda: emulator.calls("containers.create") == 16),
        *(lambda web=web: web.up(name=web.name, template="nodejs") for web in webs),
    )

    assert raised == [None] * 17


def test_the_number_of_concurrent_operations_can_be_limited(
    emulator: Emulator, make_host: Callable[..., Host]
) -> None:
    config = {"stacks:apiKey": emulator.key, "stacks:baseUrl": emulator.url, "stacks:maxConcurrency": "6"}
    host = make_host(config)
    webs = [host.resource("Container", f"web-{number}") for number in range(12)]

    def six_are_under_way() -> None:
        until(lambda: emulator.calls("containers.create") == 6)
        never(lambda: emulator.calls("containers.create") > 6, seconds=0.5)

    raised = while_frozen(
        emulator,
        six_are_under_way,
        *(lambda web=web: web.up(name=web.name, template="nodejs") for web in webs),
    )

    assert raised == [None] * 13
    assert emulator.calls("containers.create") == 12


def test_waiting_for_the_rate_limit_is_shown(emulator: Emulator, make_host: Callable[..., Host]) -> None:
    with Emulator(rate_limit=6, rate_window=40, clock=fast_clock()) as api:
        host = make_host(
            {"stacks:apiKey": api.key, "stacks:baseUrl": api.url, "stacks:requestsPerMinute": "6"}
        )
        webs = [host.resource("Container", f"web-{number}") for number in range(8)]

        raised = in_parallel(*(lambda web=web: web.up(name=web.name, template="nodejs") for web in webs))

        assert raised == [None] * 8
        shown = [line.text for line in host.engine.lines if line.text.startswith("rate limit: ")]
        assert any("queued" in text for text in shown)
        # Without a terminal, each new text stays as a line: a countdown would print one line a second for each
        # resource.
        assert [text for text in shown if not re.match(r"rate limit: [1-9]0 s\b", text)] == []


def test_rollback_waits_for_the_rate_limit(
    make_host: Callable[..., Host],
) -> None:
    with Emulator(rate_limit=3, rate_window=60, boot_seconds=3600, clock=fast_clock()) as api:
        host = make_host(
            {"stacks:apiKey": api.key, "stacks:baseUrl": api.url, "stacks:requestsPerMinute": "3"}
        )
        web = host.resource("Container", "web")

        web.abandon_create(
            web.checked(name="web", template="nodejs"), lambda: api.calls() == 3 and waits_for_the_limit(host)
        )

        assert api.calls("containers.delete") == 0, "the limit was not reached, so this shows nothing"
        until(lambda: api.calls("containers.delete") and api.state.containers == {})


def test_the_timeout_includes_the_wait_for_the_rate_limit(make_host: Callable[..., Host]) -> None:
    with Emulator(rate_limit=1, rate_window=60, clock=fast_clock()) as api:
        host = make_host(
            {"stacks:apiKey": api.key, "stacks:baseUrl": api.url, "stacks:requestsPerMinute": "1"}
        )
        web = host.resource("Container", "web")
        web.timeout = 20

        with pytest.raises(CallFailedError, match=r"timed out after .* while it waited for the rate limit"):
            web.up(name="web", template="nodejs")

        assert api.calls("containers.create") == 0


def test_an_adopted_container_is_kept_when_the_engine_is_gone(host: Host, emulator: Emulator) -> None:
    running(emulator, "web")
    emulator.drift.stop("web")
    emulator.platform.pace = emulator.platform.pace.__class__(action_seconds=600)
    web = host.resource("Container", "web")
    inputs = {"name": "web", "template": "nodejs", "adopt": "if_matching", "desired_status": "running"}

    web.abandon_create(web.checked(**inputs), lambda: answered(emulator, "containers.set_status"))

    never(lambda: emulator.calls("containers.delete"), seconds=1.5)
    assert len(emulator.state.containers) == 1


def test_every_kind_reports_all_missing_inputs_together(host: Host) -> None:
    for kind, handler in HANDLERS.items():
        required = {field.name for field in handler.fields if field.required}
        if host.type_prefix == NATIVE:
            # The plugin adds a default name; in a Python program, the class adds it.
            required.discard("name")

        failures = host.resource(kind, "web").check()

        missing = {name: host.worded(f"{name} is missing: set it [missing-input]") for name in required}
        assert failures == missing, kind


@pytest.mark.parametrize("version", [pins.OLDEST, "3.258.0", None])
def test_an_engine_that_is_too_old_gets_one_warning(
    make_host: Callable[..., Host], emulator: Emulator, version: str | None
) -> None:
    config = {"stacks:apiKey": emulator.key, "stacks:baseUrl": emulator.url}
    host = make_host(config, version=version)

    for name in ("web", "app"):
        host.resource("Container", name).up(name=name, template="nodejs")

    warnings = [line.text for line in host.engine.lines if line.severity == "WARNING"]
    needed = f"stacks-pulumi needs Pulumi's engine {pins.line(pins.OLDEST)} or newer"
    assert [text.partition(",")[0] for text in warnings] == ([] if version == pins.OLDEST else [needed])
