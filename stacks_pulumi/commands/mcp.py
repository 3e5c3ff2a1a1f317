"""
How does an agent reach one stack through a gate?

The command serves until its client closes standard input.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from stacks_pulumi.commands._shared import OF_STACK, Command, folder_of, tell

_HELP = "let an agent plan and apply changes of one stack, behind a gate and without the key"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Serve the Model Context Protocol on standard input and output, for one stack whose program is in YAML. The "
        "agent gets neither the key nor the passphrase. It plans whole programs, which are checked, priced and judged "
        "by the gate."
    )
    parser.add_argument(
        "--gate", required=True, type=Path, metavar="DIR", help="the gate's folder, outside of the project"
    )
    parser.add_argument(
        "--gate-ref", metavar="REF", help="read the gate's folder from this branch, tag or commit"
    )
    parser.add_argument(
        "--allow",
        choices=("apply",),
        help="let the agent apply what the gate's `free` covers, and what a person has approved",
    )


def run(options: argparse.Namespace) -> int:
    from stacks_pulumi.agents import server, tools  # noqa: PLC0415  (the SDK takes a second to import)

    desk = tools.opened(
        options.gate,
        options.gate_ref,
        folder_of(options),
        options.stack,
        may_apply=options.allow == "apply",
    )
    audit = server.Audit(desk.folder / "audit.jsonl")
    tell("mcp", f"serving {desk.engine.stack}; records and the audit log are in {desk.folder}")
    try:
        server.server_of(desk, audit).run()
    finally:
        audit.close()
    return 0


_CODES = {0: "the client has ended the connection"}

COMMANDS = {"mcp": Command(_HELP, add_arguments, run, codes=_CODES, stack=OF_STACK)}
