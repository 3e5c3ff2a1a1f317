"""The tests' own changes of a stack's files equal those of the engine's commands."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from stacks_pulumi.emulator import Emulator
from tests.support import beyond_a_grant
from tests.support.stack import Stack

# A change of the package does not affect this test.
pytestmark = [pytest.mark.passphrase, pytest.mark.extra]

OUTPUTS = """
web = stacks.Container("web", template="nodejs")
stacks.SshCertificate("key", container=web)
pulumi.export("price", web.monthly_price_usd)
pulumi.export("secret", pulumi.Output.secret({"text": "hidden"}))
pulumi.export("deep", {"list": [1.5, None, True, pulumi.Output.secret("hidden")], "text": "<ä> & \\n"})
pulumi.export("none", None)
"""


def files(stack: Stack) -> dict[str, Any]:
    """Return the parsed files of a stack, with placeholders for folder, time, hashes and encrypted values."""
    found = {}
    for file in stack.folder.rglob("*"):
        name = file.relative_to(stack.folder).as_posix()
        if file.is_file() and not name.startswith("home/logs/"):
            text = file.read_text(encoding="utf-8").replace(str(stack.folder), "FOLDER")
            text = re.sub(r'"(time|md5)":"[^"]+"', r'"\1":"DIFFERS"', text)
            text = re.sub(r"v1:[\w+/=:]+", "v1:ENCRYPTED", text)
            # JSON is also YAML. The name of the selection file contains the hash of the project's folder.
            found[re.sub(r"[0-9a-f]{40}", "HASH", name)] = yaml.safe_load(text)
    return found


@beyond_a_grant.KEY
def test_a_copied_stack_is_what_the_commands_make(
    make_stack: Callable[..., Stack], emulator: Emulator
) -> None:
    made, _, copied = (make_stack(emulator) for _ in range(3))
    for name in ("home", "state"):
        shutil.rmtree(made.folder / name)
    (made.folder / "Pulumi.dev.yaml").unlink()
    (made.folder / "state").mkdir()
    made.cli("stack", "init", "dev")
    made.cli("config", "set", "stacks:apiKey", emulator.key, "--secret")

    for key, value in (("stacks:baseUrl", emulator.url), ("workers", "8"), ("stacks:adopt", "never")):
        made.cli("config", "set", key, value)
    copied.set("workers", "8")
    copied.set("stacks:adopt", "never")

    assert files(copied) == files(made)
    # Two stacks from one template are separate stacks. Each is selected in its own folder, and its secret can be read.
    assert copied.cli("config", "get", "stacks:apiKey").strip() == emulator.key

    for stack in (made, copied):
        stack.cli("stack", "init", "prod")
    made.cli("config", "set", "workers", "9")
    copied.set("workers", "9")

    assert files(copied) == files(made)
    assert copied.cli("config", "get", "workers").strip() == "9"


def test_state_and_outputs_are_those_of_the_commands(stack: Stack) -> None:
    def both() -> list[tuple[Any, Any]]:
        return [
            (json.loads(stack.export()), json.loads(stack.cli("stack", "export"))),
            (stack.outputs(), json.loads(stack.cli("stack", "output", "--json"))),
        ]

    for own, engines in both():
        assert own == engines
    stack.program(OUTPUTS)
    stack.up(quiet_afterwards=False)

    for own, engines in both():
        assert own == engines
    assert stack.outputs()["deep"]["list"][-1] == "[secret]"
    assert stack.outputs(secrets=True)["secret"] == {"text": "hidden"}
    assert "ciphertext" in stack.resources()["key"]["outputs"]["private_key"]

    # Each stack of the project has its own file.
    stack.cli("stack", "init", "prod")
    for own, engines in both():
        assert own == engines
    assert stack.outputs() == {}
