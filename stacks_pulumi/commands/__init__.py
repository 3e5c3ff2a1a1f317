"""
The subcommands of `stacks-pulumi`. Each file without an underscore has a table `COMMANDS` of those that it carries out.

- `_broker_demo`: What does a broker do, shown in seconds?
- `_lock`: Which packages, with which hashes, does a repository install with this package?
- `_shared`: What is a command, and what do the commands share?
- `account`: Which options has `account`, and with which code does it end?
- `broker`: Which actions has `broker`, and with which codes do they end?
- `container`: Which backups, credentials, logs and VPN configurations does one container have?
- `cost`: Which options has `cost`, and with which code does it end?
- `doctor`: Which options have `doctor`, `policy` and `policies`, and with which codes do they end?
- `emulator`: How does the emulator start?
- `gate`: Which actions has `gate`, and with which codes do they end?
- `mcp`: How does an agent reach one stack through a gate?
- `scaffold`: Which options has `scaffold`, which files does it write, and what installs this package in a repository?
"""
