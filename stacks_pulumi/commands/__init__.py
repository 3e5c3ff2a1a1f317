"""
The subcommands of `stacks-pulumi`: one module for each.

A module has `HELP` (one line), `add_arguments(parser)`, which adds the options, and `run(arguments) -> int`, which
returns the exit code. Packages of an extra are imported inside `run`, so that each command works without the packages
of the others.

- `_shared`: What do the commands share?
- `account`: Which stack owns each object of the account?
- `backups`: Which backups does a container have?
- `completion`: Which script completes commands in a shell?
- `cost`: What will a change cost?
- `credentials`: How does one log in to a container?
- `doctor`: What prevents an `up`?
- `emulator`: How does the emulator start?
- `logs`: What has a container logged?
- `scaffold`: Which program takes over an account?
- `vpn_config`: What is the configuration of a VPN client?
"""
