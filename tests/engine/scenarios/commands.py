"""Errors of the command `stacks-pulumi`."""

from __future__ import annotations

from stacks_pulumi.agents.programs import ProgramError, check
from stacks_pulumi.emulator import Emulator
from tests.engine.scenarios.scenario import Scenario, command
from tests.support.stack import Result, Stack

__all__ = ["COMMANDS"]


def _plan(_emulator: Emulator, stack: Stack) -> Result:
    """Check a program as the tool `plan` does before everything else."""
    try:
        check((stack.folder / "program.yaml").read_text(encoding="utf-8"))
    except ProgramError as error:
        return Result(1, f"{error}\n", [])
    raise AssertionError("the program is allowed")


COMMANDS = (
    Scenario(
        "invalid-argument",
        ("argument -n/--lines", "'many' is not a number from 1 to"),
        program="",
        act=command("logs", "web", "--lines", "many"),
    ),
    Scenario(
        "invalid-file",
        ("this is neither JSON nor JSON lines that Pulumi writes",),
        program="",
        files={"plan.json": "Previewing update (dev)\n"},
        act=command("cost", "plan.json"),
    ),
    Scenario(
        "file-access",
        ("missing.json cannot be read: No such file or directory",),
        program="",
        act=command("cost", "missing.json"),
    ),
    Scenario(
        "pulumi-failed",
        ("no stack named 'prod'",),
        program="",
        act=command("logs", "web", "--stack", "prod"),
    ),
    Scenario(
        "comment-failed",
        ("set GITHUB_",),
        program="",
        files={"comment.md": "<!-- stacks-pulumi cost: default -->\n"},
        act=command("cost", "comment", "github", "comment.md"),
    ),
    Scenario(
        "missing-extra",
        ("werkzeug is not installed. It comes with the extra 'emulator': pip install",),
        program="",
        act=command("emulator", without="werkzeug"),
    ),
    Scenario(
        "emulator-start",
        ("the state file notes.json is not an emulator's",),
        program="",
        files={"notes.json": "buy milk\n"},
        act=command("emulator", "--state", "notes.json", "--port", "0"),
    ),
    Scenario(
        "gate-refused",
        ("record is not a record: `stacks-pulumi gate plan` writes one",),
        program="",
        files={"gate/gate.yaml": "version: 1\n", "gate/allowed_signers": ""},
        act=command("gate", "apply", "record", "--gate", "gate"),
    ),
    Scenario(
        "program-refused",
        ("resources.web.options.import", "adopt is not allowed", "is neither a resource nor a variable"),
        program="",
        files={
            "program.yaml": "resources:\n  web:\n    type: stacks:index:Container\n"
            "    properties: {template: nodejs, adopt: if_matching}\n    options: {import: usr-abc12345-web}\n"
            "outputs:\n  key: ${apiKey}\n"
        },
        act=_plan,
    ),
)
