"""
Agents change a stack through a broker, without the key of the account.

The command `stacks-pulumi mcp` uses it; `docs/agents.md` describes it. Importing this package imports no other module.

- `programs`: Which programs of an agent may the engine run?
- `running`: How does a command run for a call?
- `tools`: What may an agent call?
- `outcomes`: What does an agent get?
- `reading`: What do the tools look up: pages of the documentation, the code of an error, a container and its passwords?
- `masking`: What must never be in an answer?
- `server`: How are calls received, answered and written down?
"""
