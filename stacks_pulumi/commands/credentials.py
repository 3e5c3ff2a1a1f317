"""`stacks-pulumi credentials`: show how to log in to a container."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any, Final

from stacks_pulumi.commands._shared import (
    HIDDEN,
    add_container,
    add_stack,
    as_json,
    carry_out,
    container_of,
)

if TYPE_CHECKING:
    from stacks_pulumi.api import StacksClient

__all__ = ["HELP", "add_arguments", "run"]

HELP: Final = "show how to log in to a container"

_FIELDS: Final = ("username", "password", "host", "port", "internal_host", "type")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.description = (
        "Show how to log in to a container. Passwords are hidden unless --show-secrets is given."
    )
    add_container(parser)
    add_stack(parser)
    parser.add_argument(
        "--show-secrets", action="store_true", help="show passwords; with --json, the API's whole answer"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Print the credentials."""

    def work(client: StacksClient) -> int:
        found = container_of(client, arguments.container)
        said = client.containers.credentials(found.id)
        shown: dict[str, Any] = {"container": found.id, **{name: getattr(said, name) for name in _FIELDS}}
        if shown["password"] is not None and not arguments.show_secrets:
            shown["password"] = HIDDEN
        if arguments.json:
            # The answer differs from template to template, and any part of it may be a secret.
            sys.stdout.write(as_json({**shown, "raw": said.raw} if arguments.show_secrets else shown))
        else:
            from stacks_pulumi.cost.document import clean  # noqa: PLC0415  (as JSON nothing needs it)

            rows = [(name, clean(str(value))) for name, value in shown.items() if value is not None]
            sys.stdout.write("".join(f"{name:<14} {value}\n" for name, value in rows))
        return 0

    return carry_out("credentials", arguments, work)
