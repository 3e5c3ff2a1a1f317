"""
The subcommands of `stacks-pulumi`. Each file has a table `COMMANDS` of those that it carries out.

- `_shared`: What is a command, and what do the commands share?
- `account`: Which stack owns each object of the account?
- `container`: Which backups, credentials, logs and VPN configurations does one container have?
- `cost`: What will a change cost?
- `doctor`: What prevents an `up`?
- `emulator`: How does the emulator start?
- `scaffold`: Which program takes over an account?
"""
