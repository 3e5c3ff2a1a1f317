"""Errors of the command `stacks-pulumi`."""

from __future__ import annotations

from stacks_pulumi.agents.programs import ProgramError, check
from stacks_pulumi.emulator import Emulator
from tests.engine.scenarios.scenario import Act, Scenario, command
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
        "An argument of a command is wrong",
        "Nothing was sent.",
        "`stacks-pulumi COMMAND --help` lists the arguments.",
        ("argument -n/--lines", "'many' is not a number from 1 to"),
        program="",
        act=command("logs", "web", "--lines", "many"),
    ),
    Scenario(
        "invalid-file",
        "A file does not have the needed content",
        "The message says what the file has to be: an output of Pulumi, a budget file, or a snapshot.",
        "Give the right file. `stacks-pulumi COMMAND --help` shows how to make it.",
        ("this is neither JSON nor JSON lines that Pulumi writes",),
        program="",
        files={"plan.json": "Previewing update (dev)\n"},
        act=command("cost", "plan.json"),
    ),
    Scenario(
        "file-access",
        "A file or a folder cannot be read or written",
        "It does not exist, it exists and is not overwritten, or its permissions do not allow it.",
        "Correct the path or the permissions.",
        ("missing.json cannot be read: No such file or directory",),
        program="",
        act=command("cost", "missing.json"),
    ),
    Scenario(
        "pulumi-failed",
        "The command `pulumi` failed",
        "Some commands run `pulumi`, to read a stack's settings or its state. It is not installed, did not end in "
        "time, or reported an error, which the message has.",
        "Correct what it says. Run the command in the project's folder, or name the folder with `-C DIR`. Outside of "
        "it, set `STACKS_API_KEY`.",
        ("no stack named 'prod'",),
        program="",
        act=command("logs", "web", "--stack", "prod"),
    ),
    Scenario(
        "comment-failed",
        "The comment with the costs was not posted",
        "The token is missing or has too few permissions, or the run is not for a pull request.",
        "Do what the message says; [cost](cost.md) has a workflow that works.",
        ("set GITHUB_",),
        program="",
        files={"comment.md": "<!-- stacks-pulumi cost: default -->\n"},
        act=command("cost", "comment", "github", "comment.md"),
    ),
    Scenario(
        "missing-extra",
        "A package of an extra is not installed",
        "The provider needs few packages; the commands, the policies and the emulator need more.",
        "Run the command in the message.",
        ("werkzeug is not installed. It comes with the extra 'emulator': pip install",),
        program="",
        act=command("emulator", without="werkzeug"),
    ),
    Scenario(
        "emulator-start",
        "The emulator cannot start, or cannot use its file",
        "The port is in use; the state file is damaged, of another version, or in use by another emulator; "
        "the seed file is refused.",
        "Do what the message says: another `--port`, another `--state`.",
        ("the state file notes.json is not an emulator's",),
        program="",
        files={"notes.json": "buy milk\n"},
        act=command("emulator", "--state", "notes.json", "--port", "0"),
    ),
    Scenario(
        "gate-refused",
        "The gate refuses a change, or its record or approval is void",
        "A rule, a limit, a budget or a policy forbids the change. Or the program, the configuration, the gate, the "
        "state, a version or a price is not the one that was approved. Nothing was changed.",
        "Do what the message says. What is void has to be planned and approved again: [gate](gate.md).",
        ("record is not a record: `stacks-pulumi gate plan` writes one",),
        program="",
        files={"gate/gate.yaml": "version: 1\n", "gate/allowed_signers": ""},
        act=command("gate", "apply", "record", "--gate", "gate"),
    ),
    Scenario(
        "program-refused",
        "A program of an agent has something that is not allowed",
        "An agent's program runs where the account's key is, so it may have only what is in a list. Nothing was run.",
        "Write the program again without what the message names; [for agents](for-agents.md) has what is allowed.",
        ("resources.web.options.import", "adopt is not allowed", "is neither a resource nor a variable"),
        program="",
        files={
            "program.yaml": "resources:\n  web:\n    type: stacks:index:Container\n"
            "    properties: {template: nodejs, adopt: if_matching}\n    options: {import: usr-abc12345-web}\n"
            "outputs:\n  key: ${apiKey}\n"
        },
        act=Act("plan(program.yaml)", _plan),
    ),
)
