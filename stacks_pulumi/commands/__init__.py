"""
The subcommands of `stacks-pulumi`: one module for each.

A module has `HELP` (one line), `add_arguments(parser)` and `run(arguments) -> int` (the exit code). Packages of an
extra are imported inside `run`, so that each command works without the packages of the others.
"""
