"""Container on the real engine, from its first preview to its destruction."""

from __future__ import annotations

import json
from collections.abc import Callable

from stacks_pulumi.emulator import Emulator
from tests.support.stack import Stack

ONE = """
web = stacks.Container("web", template="nodejs", external_access=True)
pulumi.export("url", web.url)
pulumi.export("price", web.monthly_price_usd)
"""


def names(emulator: Emulator) -> set[str]:
    """Return the names of the containers in the account."""
    emulator.advance(1)
    return {container.name for container in emulator.state.containers.values()}


def test_the_life_of_a_container(stack: Stack, emulator: Emulator) -> None:
    stack.program(ONE)

    preview = stack.preview()
    assert emulator.calls() == 0
    assert "monthly_price_usd: 4" in preview.text

    result = stack.up(quiet_afterwards=False)
    calls = emulator.calls()
    again = stack.up(quiet_afterwards=False)

    assert result.steps("web") == ["create"]
    assert any("a month" in line for line in result.status_lines())
    assert again.changes == {}
    assert emulator.calls() == calls
    assert stack.outputs()["price"] == 4
    assert stack.outputs()["url"].endswith(".stackshosting.cloud")

    # The state is small, and the key in it is encrypted.
    web = stack.resources()["web"]
    assert web["type"] == "pulumi-python:dynamic/stacks:Container"
    assert web["outputs"]["__provider"] == web["inputs"]["__provider"]
    assert len(web["outputs"]["__provider"]) < 100
    resources = json.loads(stack.export())["deployment"]["resources"]
    provider = next(item for item in resources if item["type"] == "pulumi:providers:pulumi-python")
    assert "ciphertext" in json.dumps(provider["inputs"]["stacks:apiKey"])
    assert emulator.key not in stack.export()

    stack.refresh()
    stack.destroy()
    assert names(emulator) == set()


def test_drift_is_corrected_and_a_deleted_container_recreated(stack: Stack, emulator: Emulator) -> None:
    stack.program(
        'web = stacks.Container("web", template="nodejs", external_access=True, desired_status="running")'
    )
    stack.up(quiet_afterwards=False)
    emulator.drift.stop("web")
    emulator.drift.set_external_access("web", enabled=False)

    found = stack.refresh(drift=True)
    mended = stack.up()

    assert found.changes == {"update": 1}
    assert mended.steps("web") == ["update"]
    assert emulator.state.container("web").status == "running"
    assert stack.resources()["web"]["outputs"]["url"].startswith("web-")

    emulator.drift.delete("web")
    assert stack.refresh(drift=True).changes == {"delete": 1}
    assert stack.up(quiet_afterwards=False).steps("web") == ["create"]


def test_a_replacement_needs_consent_and_deletes_first(stack: Stack, emulator: Emulator) -> None:
    stack.program('web = stacks.Container("web", template="nodejs")')
    stack.up(quiet_afterwards=False)
    stack.program('web = stacks.Container("web", template="python")')
    stack.up_fails()
    assert emulator.state.container("web").template == "nodejs"

    stack.program('web = stacks.Container("web", template="python", replace_on_change=True)')
    replaced = stack.up()

    assert replaced.order() == [("delete-replaced", "web"), ("replace", "web"), ("create-replacement", "web")]
    assert emulator.state.container("web").template == "python"


def test_the_next_up_completes_a_failed_create(stack: Stack, emulator: Emulator) -> None:
    emulator.fail_boot("web", 1)
    stack.program(ONE)

    stack.up_fails()
    assert stack.resources()["web"]["id"] == f"{emulator.account}-web"
    finished = stack.up()

    assert finished.steps("web") == ["update"]
    assert stack.outputs()["url"].endswith(".stackshosting.cloud")
    assert emulator.calls("containers.create") == 1


def test_a_looked_up_container_is_never_changed(emulator: Emulator, make_stack: Callable[..., Stack]) -> None:
    owner, reader = make_stack(emulator), make_stack(emulator)
    owner.program('web = stacks.Container("web", template="nodejs")')
    owner.up(quiet_afterwards=False)
    reader.program(f"""
    web = stacks.Container.get("theirs", "{emulator.account}-web")
    pulumi.export("status", web.status)
    pulumi.export("plan", web.plan)
    pulumi.export("name", web.name)
    """)

    reader.up(quiet_afterwards=False)
    again = reader.up(quiet_afterwards=False)

    assert again.changes == {}
    assert reader.outputs() == {"name": "web", "plan": "basic", "status": "running"}
    reader.destroy()
    assert names(emulator) == {"web"}

    reader.program('web = stacks.Container.get("theirs", "usr-00000000-nothing")')
    missing = reader.up_fails()
    assert "usr-00000000-nothing" in missing.text


def test_many_containers_are_created_concurrently(stack: Stack, emulator: Emulator) -> None:
    stack.program("""
    for number in range(12):
        stacks.Container(f"web-{number}", template="nginx-micro")
    """)

    stack.up("--parallel", "64", quiet_afterwards=False)

    assert emulator.calls("containers.create") == 12
    assert emulator.calls("containers.status") == 0
    assert emulator.calls() <= 12 + 8
    before = emulator.calls()
    stack.refresh("--parallel", "64")
    assert emulator.calls() <= before + 2
    stack.destroy("--parallel", "64")
    assert names(emulator) == set()
