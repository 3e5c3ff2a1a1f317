"""
The subcommands of `stacks-pulumi`. Each file without an underscore defines a table `COMMANDS` with the subcommands that
it implements.

- `_broker_demo`: How does a demo of a few seconds show a broker?
- `_files`: How does a command write new files, and overwrite none?
- `_package`: How does a repository install this package?
- `_lock`: Which packages, with which hashes, does a repository install together with this package?
- `_shared`: What is a command, and what do the commands share?
- `account`: Which options does `account` have, and what are its exit codes?
- `broker`: Which actions does `broker` have, and what are their exit codes?
- `completion`: Which script completes commands and the names of containers in a shell?
- `container`: Which backups, credentials, logs and VPN configurations does one container have?
- `cost`: Which options does `cost` have, and what are its exit codes?
- `doctor`: Which options does `doctor` have, and what are its exit codes?
- `emulator`: How does the emulator start?
- `gate`: Which actions does `gate` have, and what are their exit codes?
- `mcp`: How does an agent reach one stack through a broker?
- `policies`: Which options do `policy` and `policies` have, and what are their exit codes?
- `scaffold`: Which options does `scaffold` have, which files does it write, and how does a repository install this
  package?
"""
