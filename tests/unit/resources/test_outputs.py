"""An output of a resource is created when the program reads it, and then it is like the SDK's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.support.sdk import oldest_sdk

PROGRAM = """
import asyncio
import json
import sys

import pulumi
from pulumi.runtime import rpc
from pulumi.runtime.stack import massage

import stacks_pulumi as stacks
from stacks_pulumi.resources import _outputs

if "eager" in sys.argv:
    # As in an SDK without this function.
    _outputs._CREATES_OUTPUTS = None


class Mocks(pulumi.runtime.Mocks):
    def new_resource(self, args):
        if args.name == "broken":
            raise ValueError("the engine refuses it")
        return f"usr-1-{args.name}", {**args.inputs, "port": 8000.0, "private_key": "secret text"}

    def call(self, args):
        return {}


shown = {}


async def plain(output):
    if not isinstance(output, pulumi.Output):
        return output
    value, known, secret = await output.future(), await output.is_known(), await output.is_secret()
    return [value, known, secret, sorted(one.pulumi_resource_name for one in await output.resources())]


async def program():
    web = stacks.Container("web", template="nodejs")
    key = stacks.SshCertificate("key", container=web)
    shown["unread"] = not {"port", "template"} & set(dict.keys(vars(web)))
    early = {"port": web.port, "plan": web.plan, "private_key": key.private_key}
    assert web.port is early["port"]
    await web.urn.future()
    await key.urn.future()
    late = {"template": web.template, "status": web.status, "unset": web.external_access, "container": key.container}
    exported = {name: value for name, value in massage(web, []).items() if "in_program" not in name}
    for outputs in (early, late, exported):
        for name, output in outputs.items():
            shown[name] = await plain(output)
    for name in ("discount_code", "_no_such_name", "__iter__"):
        assert not hasattr(web, name), name
    if "broken" in sys.argv:
        broken = stacks.Container("broken", template="nodejs")
        early = broken.port
        for name, read in {"refused early": lambda: early, "refused late": lambda: broken.status}.items():
            try:
                await read().future()
            except Exception as error:
                shown[name] = str(error)


loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
pulumi.runtime.set_mocks(Mocks(), preview="preview" in sys.argv)
loop.run_until_complete(program())
print(json.dumps(shown, sort_keys=True, default=str))
"""


def run(*arguments: str, sdk: str = "") -> dict[str, Any]:
    """Return what the program saw, with the installed SDK or another one."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, [sdk, os.environ.get("PYTHONPATH")])),
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    shown: dict[str, Any] = json.loads(done.stdout)
    return shown


@pytest.mark.parametrize("oldest", [False, True], ids=["newest", "oldest"])
@pytest.mark.parametrize("arguments", [(), ("preview",), ("broken",)], ids=lambda it: " ".join(it) or "up")
def test_outputs_that_are_read_equal_those_that_the_sdk_creates_at_once(
    arguments: tuple[str, ...], oldest: bool
) -> None:
    sdk = str(oldest_sdk()) if oldest else ""

    later, at_once = run(*arguments, sdk=sdk), run(*arguments, "eager", sdk=sdk)

    assert (later.pop("unread"), at_once.pop("unread")) == (True, False)
    assert later == at_once
    assert later["port"] == [8000, True, False, ["web"]]
    assert later["private_key"] == ["secret text", True, True, ["key"]]
    assert [name for name, value in later.items() if "the engine refuses it" in str(value)] == (
        ["refused early", "refused late"] if "broken" in arguments else []
    )
