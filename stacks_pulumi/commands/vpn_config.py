"""`stacks-pulumi vpn-config`: write the WireGuard configuration of a VPN client."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from stacks_pulumi.commands._shared import add_container, add_stack, as_json, carry_out, container_of
from stacks_pulumi.errors import NotFoundError, StacksError

if TYPE_CHECKING:
    from stacks_pulumi.api import StacksClient

__all__ = ["HELP", "add_arguments", "run"]

HELP: Final = "write a VPN client's WireGuard configuration"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.description = (
        "Write the WireGuard configuration of a VPN client. It contains a private key, so it is written to a file that "
        "only you can read, or printed if --show-secrets is given."
    )
    add_container(parser, "VPN_CONTAINER")
    add_stack(parser)
    parser.add_argument("--client", default="default", metavar="NAME", help="which client (default: default)")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("-o", "--out", metavar="FILE", help="write it to this file, which must not exist")
    where.add_argument("--show-secrets", action="store_true", help="print it")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Write the configuration."""

    def work(client: StacksClient) -> int:
        found = container_of(client, arguments.container)
        text = _config(client, found.id, arguments.client)
        said = {"container": found.id, "client": arguments.client}
        if arguments.out is not None:
            _write(Path(arguments.out), text)
            said["file"] = arguments.out
            told = f"wrote {arguments.out}\n"
        else:
            said["config"] = text
            told = text if text.endswith("\n") else f"{text}\n"
        sys.stdout.write(as_json(said) if arguments.json else told)
        return 0

    return carry_out("vpn-config", arguments, work)


def _config(client: StacksClient, container_id: str, name: str) -> str:
    try:
        return client.vpn_clients.config(container_id, name)
    except NotFoundError as error:
        names = [one.name for one in client.vpn_clients.list(container_id)]
        if name in names:
            raise
        msg = f"{container_id} has no VPN client {name!r}; it has: {', '.join(names) or 'none'}"
        raise StacksError(msg, code="not-found") from error


def _write(file: Path, text: str) -> None:
    try:
        # The file is created with read permission only for its owner, and never replaces another file.
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        msg = f"{file} already exists and is not overwritten: name another file"
        raise StacksError(msg, code="file-access") from None
    except OSError as error:
        raise StacksError(f"{file} cannot be written: {error.strerror}", code="file-access") from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        out.write(text if text.endswith("\n") else f"{text}\n")
