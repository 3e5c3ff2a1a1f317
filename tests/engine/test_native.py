"""The native plugin on the real engine: the life of its resources, import, and moves between the two hosts."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from stacks_pulumi.emulator import Emulator
from tests.support import beyond_a_grant
from tests.support.contents import contents, writes
from tests.support.stack import Stack
from tools.engine.ensure import ensure
from tools.engine.search import numbers

NATIVE = '''
def native(kind, resource_name, opts=None, **props):
    """A resource of the native type, as a generated SDK registers it."""
    outputs = dict.fromkeys(("url", "config", "connectionString", "monthlyPriceUsd", "ipAddress"))
    return pulumi.CustomResource(f"stacks:index:{kind}", resource_name, {**outputs, **props}, opts)
'''

FAMILY_NATIVE = f"""{NATIVE}
app = native("Container", "app", template="nodejs", externalAccess=True)
db = native("Container", "sql", template="postgresql")
vpn = native("Container", "vpn", template="stacks-vpn")
native("Connection", "orders", source=app.id, target=db.id)
native("AllowedIp", "office", container=app.id, ipAddress="198.51.100.0/24", serviceType="http")
laptop = native("VpnClient", "laptop", container=vpn.id)
native("PinnedBackup", "before", container=db.id, triggers=["v1"])
pulumi.export("url", app.url)
pulumi.export("wireguard", laptop.config)
"""


@pytest.fixture
def native(stack: Stack) -> Stack:
    """A stack whose programs use the native types."""
    stack.native()
    return stack


def test_drift_is_shown_by_property_and_corrected(native: Stack, emulator: Emulator) -> None:
    native.program(f'{NATIVE}\nnative("Container", "web", template="nodejs", externalAccess=True)')
    native.up(quiet_afterwards=False)
    emulator.drift.set_external_access("web", enabled=False)

    found = native.refresh(drift=True)
    preview = native.preview()
    mended = native.up()

    assert found.changes == {"update": 1}
    assert "~ externalAccess: false => true" in preview.text
    assert mended.steps("web") == ["update"]


def test_a_change_that_would_delete_data_is_refused_on_its_property(
    native: Stack, emulator: Emulator
) -> None:
    native.program(f'{NATIVE}\nnative("Container", "sql", template="postgresql")')
    native.up(quiet_afterwards=False)
    before = emulator.calls()

    native.program(f'{NATIVE}\nnative("Container", "sql", template="postgresql", plan="premium")')
    refused = native.preview_fails()

    assert "plan would change from 'basic' to 'premium'" in refused.text
    assert "[replacement-refused]" in refused.text
    assert emulator.calls() == before


def test_a_create_that_fails_partway_keeps_its_id_and_is_resumed(native: Stack, emulator: Emulator) -> None:
    emulator.fail_boot("web")
    native.program(f'{NATIVE}\nnative("Container", "web", template="nodejs")')

    failed = native.up_fails()

    assert "is not ready" in failed.text
    assert native.resources()["web"]["id"] == f"{emulator.account}-web"
    assert native.up().steps("web") == ["update"]


def test_all_invalid_inputs_are_reported_on_their_properties(native: Stack, emulator: Emulator) -> None:
    native.program(
        f'{NATIVE}\nnative("Container", "web", template="nodejs", name="a", desiredStatus="off", externalAccess="x")'
    )

    failed = native.preview_fails()

    for name in ("name", "desiredStatus", "externalAccess"):
        assert f"property {name}" in failed.text
    assert emulator.calls() == 0


@beyond_a_grant.LOGS
def test_data_functions_return_results_and_secrets_are_secret(native: Stack, emulator: Emulator) -> None:
    native.program(
        f"""{NATIVE}
db = native("Container", "sql", template="postgresql")
ask = lambda token, **args: db.id.apply(
    lambda id: pulumi.runtime.invoke_output(f"stacks:index:{{token}}", dict(args, containerId=id))
)
pulumi.export("credentials", ask("getCredentials"))
pulumi.export("logs", ask("getLogs", lines=3).apply(lambda it: len(it["result"].splitlines())))
"""
    )
    native.up(quiet_afterwards=False)

    assert native.outputs()["credentials"] == "[secret]"
    assert native.outputs(secrets=True)["credentials"]["internalHost"] == f"{emulator.account}-sql"
    assert native.outputs()["logs"] == 3


def test_an_import_works_with_the_dynamic_class(stack: Stack, emulator: Emulator) -> None:
    stack.native()
    emulator.load([{"name": "web", "template": "nodejs"}])
    before = writes(emulator)

    stack.cli(
        "import", "stacks:index:Container", "web", f"{emulator.account}-web", "--yes", "--generate-code=false"
    )
    stack.program('stacks.Container("web", template="nodejs", opts=pulumi.ResourceOptions(protect=True))')
    result = stack.up(quiet_afterwards=False)

    assert result.steps("web") == ["update"]
    assert writes(emulator) == before
    assert json.loads(stack.export())["deployment"]["resources"][-1]["protect"] is True
    stack.refresh()


def test_every_kind_is_imported_without_a_change(
    native: Stack, make_stack: Callable[..., Stack], emulator: Emulator
) -> None:
    native.program(FAMILY_NATIVE)
    native.up(quiet_afterwards=False)
    other = make_stack(emulator)
    other.native()
    before = writes(emulator)

    rows = [{"type": one["type"], "name": name, "id": one["id"]} for name, one in native.resources().items()]
    file = other.folder / "import.json"
    file.write_text(json.dumps({"resources": rows}), encoding="utf-8")
    other.cli("import", "--file", str(file), "--yes", "--generate-code=false", "--protect=false")
    # The triggers of a backup exist only in the program; the API does not store them.
    other.program(FAMILY_NATIVE.replace(', triggers=["v1"]', ""))

    assert other.up(quiet_afterwards=False).changes == {}
    other.refresh()
    assert other.outputs()["wireguard"] == "[secret]"
    assert other.outputs(secrets=True) == native.outputs(secrets=True)
    assert emulator.key not in native.export() + native.said()
    assert writes(emulator) == before
    native.destroy()
    assert contents(emulator)["containers"] == []


@pytest.mark.skipif(numbers(ensure().version) < (3, 273), reason="this engine does not ask")
def test_a_program_asks_whether_something_exists(native: Stack, emulator: Emulator) -> None:
    emulator.load([{"name": "web", "template": "nodejs"}])
    native.program(
        f"""
        def exists(name):
            options, id_ = pulumi.ResourceOptions(), f"{emulator.account}-{{name}}"
            return pulumi.runtime.exists_resource(None, "stacks:index:Container", id_, {{}}, options)

        pulumi.export("web", exists("web"))
        pulumi.export("shop", exists("shop"))
        """
    )

    assert native.up().warnings == []
    assert native.outputs() == {"web": True, "shop": False}
    assert native.resources() == {}


def test_what_an_account_has_is_listed_and_read_without_a_program(native: Stack, emulator: Emulator) -> None:
    web = f"{emulator.account}-web"
    emulator.load([{"name": "web", "template": "nodejs", "allowed_ips": ["198.51.100.0/24"]}])
    native.env |= {"STACKS_API_KEY": emulator.key, "STACKS_BASE_URL": emulator.url}
    plugin = str(Path(sys.prefix) / "bin" / "pulumi-resource-stacks")

    def do(*words: str) -> str:
        done = native._run("do", "--package", plugin, *words)
        return done.stdout + done.stderr

    assert web in do("stacks:index:Container", "list")
    assert f"{web}/198.51.100.0/24" in do("stacks:index:AllowedIp", "list", "--container", web)
    assert "nodejs" in do("stacks:index:Container", "read", web)
    assert writes(emulator) == []
