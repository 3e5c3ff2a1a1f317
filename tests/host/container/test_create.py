"""Create of a Container on the real host: waits, failures, the spending cap, the waitlist."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest

from stacks_pulumi import catalog
from stacks_pulumi.emulator import Emulator
from tests.support.host import CallFailedError, Host, HostedResource, in_parallel
from tests.support.waiting import until


@pytest.mark.hosts("dynamic", "native")
def test_create_waits_until_the_container_runs(web: HostedResource, emulator: Emulator) -> None:
    assert web.up(name="web", template="nodejs") == ["create"]

    assert web.id == f"{emulator.account}-web"
    assert web.outs["status"] == "running"
    assert web.outs["internal_host"] == web.id
    assert web.outs["ssh_user"] == emulator.account
    assert "url" not in web.outs
    assert "$4.00 a month" in web.lines()


@pytest.mark.hosts("dynamic", "native")
def test_numbers_and_lists_keep_their_values(web: HostedResource) -> None:
    inputs = {
        "name": "web",
        "template": "nodejs",
        "additional_storage_tier": 3,
        "restart_triggers": ["v1", 2],
    }
    web.up(**inputs)

    assert web.up(**inputs) == []
    assert web.outs["storage_mb"] == (10 + 64) * 1024


def test_desired_status_stopped_stops_after_the_boot(web: HostedResource) -> None:
    web.up(name="web", template="nodejs", desired_status="stopped", external_access=True)

    assert web.outs["status"] == "stopped"
    assert web.outs["url"].endswith(".stackshosting.cloud")


@pytest.mark.hosts("dynamic", "native")
def test_a_failed_boot_keeps_the_id_and_is_retried(web: HostedResource, emulator: Emulator) -> None:
    emulator.fail_boot("web", 1)

    with pytest.raises(CallFailedError, match='its status is "error"') as failure:
        web.up(name="web", template="nodejs", external_access=True)

    assert failure.value.kept_id == f"{emulator.account}-web" == web.id
    assert web.outs["status"] == "error"
    # The next step of the engine for a resource whose creation failed partway.
    web.update(web.checked(name="web", template="nodejs", external_access=True))
    assert web.outs["status"] == "running"
    assert web.outs["url"].endswith(".stackshosting.cloud")
    web.delete()
    assert emulator.state.names() == []


def test_log_lines_of_a_failed_boot_can_be_left_out(
    make_host: Callable[..., Host], emulator: Emulator
) -> None:
    settings = {"stacks:apiKey": emulator.key, "stacks:baseUrl": emulator.url}
    messages = []
    for name, more in (("shown", {}), ("hidden", {"stacks:hideLogs": "true"})):
        emulator.fail_boot(name, 1)
        with pytest.raises(CallFailedError) as failure:
            make_host({**settings, **more}).resource("Container", name).up(name=name, template="nodejs")
        messages.append(failure.value.message)

    assert ["Its last log lines:" in message for message in messages] == [True, False]
    assert emulator.calls("containers.logs") == 1


def test_a_failure_after_the_boot_keeps_the_id(web: HostedResource, emulator: Emulator) -> None:
    emulator.faults.add("containers.external_access", "status", code=400)

    with pytest.raises(CallFailedError, match="was created but is not ready") as failure:
        web.up(name="web", template="nodejs", external_access=True)

    assert failure.value.kept_id == web.id != ""


def test_a_container_deleted_during_its_boot_is_an_error(host: Host, emulator: Emulator) -> None:
    emulator.freeze()
    web = host.resource("Container", "web")

    def vanish() -> None:
        # A container that was never listed may not be visible yet.
        until(lambda: emulator.calls("containers.list") > 1)
        emulator.drift.delete("web")

    raised = in_parallel(lambda: web.up(name="web", template="nodejs"), vanish)

    assert isinstance(raised[0], CallFailedError), raised
    assert "web" in raised[0].message
    assert raised[0].kept_id is None
    assert emulator.state.names() == []


def test_a_create_above_the_cap_is_not_retried(emulator: Emulator, make_host: type[Host]) -> None:
    key = emulator.new_key(spending_cap=Decimal(6))
    host = make_host({"stacks:apiKey": key, "stacks:baseUrl": emulator.url})
    host.resource("Container", "one").up(name="one", template="nodejs")
    for name in ("two", "three"):
        explained = rf'^create container "{name}": .*\$4\.00 is spent; it costs \$5\.00.* \[spending-cap\]$'
        with pytest.raises(CallFailedError, match=explained) as failure:
            host.resource("Container", name).up(name=name, template="nodejs", plan="standard")

    assert "no request was sent" in failure.value.message
    assert emulator.calls("containers.create") == 2
    # A container that fits under the cap is still created.
    host.resource("Container", "small").up(name="small", template="nginx-micro")
    assert set(emulator.state.names()) == {"one", "small"}


def test_a_promotional_code_is_tried_above_the_cap(
    emulator: Emulator, make_host: Callable[..., Host]
) -> None:
    key = emulator.new_key(spending_cap=Decimal(6))
    host = make_host({"stacks:apiKey": key, "stacks:baseUrl": emulator.url})
    host.resource("Container", "one").up(name="one", template="nodejs")
    for code in (None, "HALF"):
        with pytest.raises(CallFailedError):
            host.resource("Container", "two").up(name="two", template="nodejs", discount_code=code)

    assert emulator.calls("containers.create") == 3


def test_every_plan_can_be_created(host: Host, emulator: Emulator) -> None:
    for plan in catalog.PLANS.values():
        web = host.resource("Container", f"web-{plan.name}")
        template = "ubuntu-micro" if plan.name == "micro" else "ubuntu"
        web.up(name=web.name, template=template, plan=plan.name)
        assert (plan.memory_mb, plan.storage_mb) == (web.outs["memory_mb"], web.outs["storage_mb"])


@pytest.mark.hosts("dynamic", "native")
# The first engine that supports it, and the last engine that does not.
@pytest.mark.parametrize(("version", "waits"), [("3.272.0", True), ("3.271.0", False)])
def test_the_waitlist_is_a_wait_for_an_engine_that_knows_it(
    web: HostedResource, emulator: Emulator, version: str, waits: bool
) -> None:
    web.host.engine.version = version
    emulator.faults.add("containers.create", 503)

    with pytest.raises(CallFailedError, match="the account is on the waitlist now") as failure:
        web.up(name="web", template="nodejs")

    assert (failure.value.waiting, failure.value.kept_id) == (waits, None)
    # An engine that waits does not show the message.
    warnings = [line.text for line in web.host.engine.lines if line.severity == "WARNING"]
    assert warnings == ([failure.value.message] if waits else [])
    assert emulator.calls("containers.create") == 1


def test_a_repeated_create_does_not_join_the_waitlist_again(web: HostedResource, emulator: Emulator) -> None:
    """The `on_error` hook of a program can repeat a create."""
    emulator.faults.add("containers.create", 503)

    for _ in range(2):
        with pytest.raises(CallFailedError, match="the account is on the waitlist now") as failure:
            web.up(name="web", template="nodejs")
        assert failure.value.waiting

    assert emulator.calls("containers.create") == 1
