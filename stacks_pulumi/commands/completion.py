"""`stacks-pulumi completion`: print a script that completes commands and options in a shell."""

from __future__ import annotations

import argparse
import sys

HELP = "print a completion script for a shell"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        HELP[0].upper() + HELP[1:] + ', for instance: eval "$(stacks-pulumi completion bash)"'
    )
    parser.add_argument("shell", choices=("bash", "zsh", "tcsh"))


def run(arguments: argparse.Namespace) -> int:
    """Print the script."""
    import shtab  # noqa: PLC0415  (it comes with an extra)

    from stacks_pulumi.cli import build_parser  # noqa: PLC0415  (the parser has this command)

    sys.stdout.write(shtab.complete(build_parser()[0], arguments.shell) + "\n")
    return 0
