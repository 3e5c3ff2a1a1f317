"""Stacks whose state differs from the account: the effects and the output of an update."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from stacks_pulumi._identifiers import camel_case, snake_case
from stacks_pulumi.emulator import Emulator
from stacks_pulumi.hosts.plugin.wire import parsed
from stacks_pulumi.pricing.recognition import NATIVE, SIGNATURE
from tests.support import beyond_a_grant
from tests.support.stack import Result, Stack

Resource = dict[str, Any]

OPEN = 'stacks.Container("web", template="nodejs", external_access=True, restart_triggers=["{}"])\n'
KEPT = 'stacks.Container("web", template="nodejs", desired_status="running")\n'
TOKEN = 'pulumi.export("token", pulumi.Output.secret("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dozjgNryP4J3"))\n'
PAIR = """
app = stacks.Container("app", template="nodejs", external_access=True)
db = stacks.Container("orders-db", template="postgresql")
stacks.Connection("link", source=app, target=db)
stacks.AllowedIp("office", container=app, ip_address="198.51.100.0/24")
"""


BOTH = pytest.mark.parametrize("host", [pytest.param("dynamic", marks=pytest.mark.extra), "native"])
"""For values that a host itself writes into the state. The resources, which both hosts call, decide the rest."""


@pytest.fixture
def host() -> str:
    """Return the host of the stack's resources."""
    return "native"


def edit(stack: Stack, name: str, change: Callable[[Resource], None]) -> None:
    """Change a resource in the state, as a user with write access to the state can."""
    state = json.loads(stack.export())
    for resource in state["deployment"]["resources"]:
        if resource["urn"].endswith(f"::{name}"):
            change(resource)
    file = stack.folder / "edited.json"
    file.write_text(json.dumps(state), encoding="utf-8")
    stack.cli("stack", "import", "--file", str(file))


def sealed_key(stack: Stack) -> Any:
    """Return the encrypted API key from the state."""
    resources = json.loads(stack.export())["deployment"]["resources"]
    values = [value for one in resources for value in one.get("inputs", {}).values()]
    return next(value for value in values if isinstance(value, dict) and SIGNATURE in value)


def sealed_token(stack: Stack) -> Any:
    """Return the program's encrypted token from the state."""
    resources = json.loads(stack.export())["deployment"]["resources"]
    return next(one["outputs"]["token"] for one in resources if "token" in one.get("outputs", {}))


def assert_hidden(stack: Stack, said: Result) -> None:
    """Check that neither a run's output and events nor the state contain the token in plain text."""
    assert "eyJhbGci" not in said.text + json.dumps(said.events) + stack.export()
    assert "eyJhbGci" in stack.cli("stack", "export", "--show-secrets")


def fail(resource: Resource) -> None:
    """Make the engine update the resource although nothing has changed."""
    resource["initErrors"] = ["it was not complete"]


def named(host: str, name: str) -> str:
    """Return the name of an output in the state of this host."""
    return camel_case(name) if host == "native" else name


@beyond_a_grant.KEY
def test_a_secret_under_a_plain_output_is_refused_by_name(
    stack: Stack, emulator: Emulator, host: str
) -> None:
    stack.program(OPEN.format(1), host=host)
    stack.up(quiet_afterwards=False)
    key = sealed_key(stack)
    edit(stack, "web", lambda web: web["outputs"].update({named(host, "created_at"): key}))
    stack.program(OPEN.format(2), host=host)
    changes = emulator.calls("containers.set_status")

    for said in (stack.preview_fails(), stack.up_fails()):
        assert f"contains an invalid value for {named(host, 'created_at')}" in said.text
        assert emulator.key not in said.text
    assert emulator.key not in stack.export()
    assert emulator.calls("containers.set_status") == changes


@BOTH
def test_a_secret_stays_one_under_every_name_that_an_update_gives_it(
    stack: Stack, emulator: Emulator, host: str
) -> None:
    words = ("internal_host", "ssh_user", "ssh_host", "vpc_network")
    shown = "".join(f"pulumi.export('{word}', web.{word})\n" for word in words)
    first = f'web = stacks.Container("web", template="nodejs")\n{shown}{TOKEN}'
    stack.program(first, host=host)
    stack.up(quiet_afterwards=False)
    token = sealed_token(stack)
    edit(
        stack,
        "web",
        # Without external access in the program, an update returns the state's access as `open_unmanaged`.
        lambda web: web["outputs"].update({named(host, word): token for word in (*words, "external_access")}),
    )

    for said in (stack.preview(), stack.up(quiet_afterwards=False)):
        assert_hidden(stack, said)


@beyond_a_grant.KEY
def test_a_refresh_shows_no_secret_that_was_copied_in_the_state(
    stack: Stack, emulator: Emulator, host: str
) -> None:
    """To an input that the program does not set, to a list that the refresh changes, and to a name of no output."""
    made = (
        'for name in ("code", "list", "other"): stacks.Container(name, template="nodejs", plan="standard")\n'
    )
    stack.program(made + TOKEN, host=host)
    stack.up(quiet_afterwards=False)
    key, token = sealed_key(stack), sealed_token(stack)
    changed = {named(host, "changed_outside"): [token], "plan": "basic"}
    edit(stack, "code", lambda one: one["outputs"].update({named(host, "discount_code"): key}))
    edit(stack, "list", lambda one: one["outputs"].update(changed))
    edit(stack, "other", lambda one: one["outputs"].update(no_output=token))

    said = stack.refresh(drift=True)

    assert emulator.key not in said.text + stack.export()
    assert "plan" in stack.export()
    assert_hidden(stack, said)
    destroyed = stack.destroy()
    assert "eyJhbGci" not in destroyed.text + json.dumps(destroyed.events)


@pytest.mark.parametrize("url", ["a secret in the form of a host name", None])
def test_an_update_opens_nothing_that_its_change_does_not_say_and_keeps_no_address(
    stack: Stack, emulator: Emulator, host: str, url: str | None
) -> None:
    stack.program(OPEN.format(1) + TOKEN, host=host)
    stack.up(quiet_afterwards=False)
    token = sealed_token(stack)
    emulator.drift.set_external_access("web", enabled=False)
    edit(stack, "web", lambda web: web["outputs"].update(url=url and token))
    stack.program(OPEN.format(2) + TOKEN, host=host)

    said = stack.up(quiet_afterwards=False)

    assert any("was switched off elsewhere, and this update leaves it off" in line for line in said.warnings)
    assert not emulator.state.container("web").external_access
    assert_hidden(stack, said)


def test_an_update_that_the_engine_forces_corrects_no_drift(
    stack: Stack, emulator: Emulator, host: str
) -> None:
    """It does not start what was stopped, and does not allow an address again."""
    stack.program(KEPT + PAIR, host=host)
    stack.up(quiet_afterwards=False)
    emulator.drift.stop("web")
    emulator.drift.allow_ip("app", "203.0.113.7")
    emulator.drift.remove_ip("app", "198.51.100.0/24")
    for name in ("web", "office", "link"):
        edit(stack, name, fail)
    starts = emulator.calls("containers.set_status")

    said = stack.up(quiet_afterwards=False)

    assert said.changes == {"update": 3}
    assert any("was stopped elsewhere, and this update leaves it as it is" in line for line in said.warnings)
    assert any("removed elsewhere, and this update does not correct it" in line for line in said.warnings)
    assert emulator.state.container("web").status == "stopped"
    addresses = {row.ip_address for row in emulator.state.container("app").allowed_ips}
    assert "198.51.100.0/24" not in addresses
    assert emulator.calls("containers.set_status") == starts


def test_an_update_completes_its_own_creation_and_the_preview_says_so(
    stack: Stack, emulator: Emulator, host: str
) -> None:
    stack.program(OPEN.format(1), host=host)
    emulator.faults.add("containers.external_access", 400)
    stack.up_fails()
    assert not emulator.state.container("web").external_access

    said = stack.preview()

    assert any("completes its creation" in line for line in said.status_lines())
    stack.up()
    assert emulator.state.container("web").external_access


SECRETS = {"word": "hunter2-tiger", "host": "hunter2.tiger.example", "time": "4815162342", "number": 48151623}
"""A secret in the form of each plain output."""
SHOWN_SECRETS = "".join(
    f"pulumi.export('{kind}', pulumi.Output.secret({it!r}))\n" for kind, it in SECRETS.items()
)
OUTPUTS = {
    "Container": {
        **dict.fromkeys(
            ("cpu", "memory_mb", "monthly_price_usd", "port", "ssh_port", "storage_mb"), "number"
        ),
        **dict.fromkeys(("has_ssh_access", "has_web_ui"), "number"),
        **dict.fromkeys(
            ("image_tag", "internal_host", "ssh_user", "status", "subdomain", "vpc_network"), "word"
        ),
        **dict.fromkeys(("version", "version_major"), "time"),
        "created_at": "time",
        **dict.fromkeys(("ssh_host", "url"), "host"),
    },
    "AllowedIp": {"added_at": "time", "container_created_at": "time", "entry_id": "word"},
    "Connection": {"connection_type": "word", "container_created_at": "time", "created_at": "time"},
    "PinnedBackup": {
        **dict.fromkeys(("completed_at", "container_created_at", "created_at"), "time"),
        "size_bytes": "number",
        "status": "word",
    },
    "SshCertificate": {"container_created_at": "time"},
    "VpnClient": {"container_created_at": "time"},
}
"""Each plain output of each kind, with the form of a secret that an update accepts."""
CERTAIN = {"ip_address", "origin", "pinned"}
"""The outputs that cannot have the form of a secret: an address, a fingerprint, and booleans."""
ENDS = """
app = stacks.Container("app", template="nodejs", external_access=True)
vpn = stacks.Container("vpn", template="stacks-vpn")
"""


def of_each_output(changed: int) -> str:
    """Return a program with one resource for each output; a different number causes updates in place."""
    lines = [ENDS, *(f'db{it} = stacks.Container("db{it}", template="postgresql")' for it in range(3))]
    for kind, outputs in OUTPUTS.items():
        for number, output in enumerate(outputs):
            name = f"{kind.lower()}-{output.replace('_', '-')}"
            lines.append(
                {
                    "Container": f'stacks.Container("{name[-30:]}", template="nodejs", restart_triggers=["{changed}"])',
                    "AllowedIp": f'stacks.AllowedIp("{name}", container=app, ip_address="198.51.{number}.0/24", '
                    f'description="{changed}")',
                    "Connection": f'stacks.Connection("{name}", source=app, target=db{number}, '
                    f"restart_source={changed > 1})",
                    "PinnedBackup": f'stacks.PinnedBackup("{name}", container=db0, '
                    f'on_delete="{"keep" if changed > 1 else "unpin"}")',
                    "SshCertificate": f'stacks.SshCertificate("{name}", container=app, rotate_triggers=["{changed}"])',
                    "VpnClient": f'stacks.VpnClient("{name}", container=vpn, store_config={changed == 1})',
                }[kind]
            )
    return "\n".join([*lines, SHOWN_SECRETS])


def copy_secrets(stack: Stack, host: str) -> None:
    """Copy a ciphertext into each output, one for each resource."""
    state = json.loads(stack.export())
    resources = state["deployment"]["resources"]
    sealed = next(one["outputs"] for one in resources if SIGNATURE in str(one.get("outputs", {}).get("word")))
    kinds = {one["urn"].rpartition("::")[2]: one for one in resources}
    copied = 0
    for kind, outputs in OUTPUTS.items():
        for output, form in outputs.items():
            name = f"{kind.lower()}-{output.replace('_', '-')}"
            resource = kinds[name[-30:] if kind == "Container" else name]
            resource["outputs"][named(host, output)] = sealed[form]
            copied += 1
    assert copied == sum(map(len, OUTPUTS.values()))
    file = stack.folder / "edited.json"
    file.write_text(json.dumps(state), encoding="utf-8")
    stack.cli("stack", "import", "--file", str(file))


def test_the_table_has_every_plain_output() -> None:
    for kind, outputs in OUTPUTS.items():
        resource = parsed()["resources"][f"{NATIVE}{kind}"]
        plain = {name for name, it in resource["properties"].items() if not it.get("secret")}
        described = {snake_case(name) for name in plain - resource["inputProperties"].keys()}
        assert described - CERTAIN == outputs.keys(), kind


@BOTH
def test_a_secret_under_any_output_of_any_kind_is_never_shown(
    stack: Stack, emulator: Emulator, host: str
) -> None:
    stack.program(of_each_output(1), host=host)
    stack.up(quiet_afterwards=False)
    copy_secrets(stack, host)
    before = stack.export()
    stack.program(of_each_output(2), host=host)

    said = [
        stack.engine("preview", "--diff"),
        stack.engine("up", "--yes", "--skip-preview", "--continue-on-error"),
    ]
    states = [stack.export()]
    file = stack.folder / "edited.json"
    file.write_text(before, encoding="utf-8")
    stack.cli("stack", "import", "--file", str(file))
    said.append(stack.engine("refresh", "--yes", "--skip-preview"))
    states.append(stack.export())

    assert said[0].changes["update"] > len(OUTPUTS["Container"]), said[0].text
    for value in map(str, SECRETS.values()):
        assert [
            one for one in (*(it.text + json.dumps(it.events) for it in said), *states) if value in one
        ] == []


@BOTH
def test_a_secret_under_the_name_is_not_shown(stack: Stack, emulator: Emulator, host: str) -> None:
    program = f'stacks.Container("web", template="nodejs", {{}})\n{SHOWN_SECRETS}'
    stack.program(program.format(""), host=host)
    stack.up(quiet_afterwards=False)
    resources = json.loads(stack.export())["deployment"]["resources"]
    word = next(one["outputs"]["word"] for one in resources if "word" in one.get("outputs", {}))
    edit(stack, "web", lambda web: web["inputs"].update(name=word))
    edit(stack, "web", lambda web: web["outputs"].update(name=word))

    said = []
    # The second resource shows its new price.
    for change in ("", 'plan="standard", replace_on_change=True'):
        stack.program(program.format(change), host=host)
        said += [stack.engine("preview", "--diff"), stack.engine("up", "--yes", "--skip-preview")]

    shown = "".join(it.text + json.dumps(it.events) for it in said) + stack.export()
    assert [shown[max(at.start() - 200, 0) : at.end() + 100] for at in re.finditer("hunter2", shown)] == []
