"""
The subcommands of `stacks-pulumi`, a module each.

A module has `HELP` (one line), `add_arguments(parser)` and `run(arguments) -> int` (the exit code). What belongs to
an extra is imported inside `run`, so that one command works without the packages of another.
"""
