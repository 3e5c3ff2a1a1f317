"""
How does an agent reach one stack through a broker?

The command serves until its client closes standard input.
"""

from __future__ import annotations

import argparse

from stacks_pulumi.commands._shared import OF_STACK, Command, folder_of, tell

_HELP = "let an agent plan and apply changes of one stack, within a grant and without the key"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Serve the Model Context Protocol on standard input and output, for one stack whose program is in YAML. The "
        "agent gets neither a token nor the passphrase. The agent sends complete programs, which are checked, priced "
        "and judged. STACKS_BASE_URL must be the address of a broker, and STACKS_API_KEY the token of a grant; a key "
        "of the account is refused."
    )
    parser.add_argument(
        "--allow",
        choices=("apply",),
        help="let the agent apply changes that the budget of the grant covers or a person has approved",
    )
    parser.add_argument(
        "--strict", action="store_true", help="refuse if the broker runs as this user, who could read its key"
    )


def run(options: argparse.Namespace) -> int:
    from stacks_pulumi.agents import server, tools  # noqa: PLC0415  (the SDK takes a second to import)

    desk, exposed = tools.opened(
        folder_of(options), options.stack, may_apply=options.allow == "apply", strict=options.strict
    )
    audit = server.Audit(desk.folder / "audit.jsonl")
    if exposed:
        tell("mcp", exposed)
    tell("mcp", f"serving {desk.stack}; records and the audit log are in {desk.folder}")
    try:
        server.server_of(desk, audit).run()
    finally:
        audit.close()
    return 0


_CODES = {0: "the client has ended the connection"}

COMMANDS = {"mcp": Command(_HELP, add_arguments, run, codes=_CODES, stack=OF_STACK)}
