"""
Tools with which agents change a stack through a broker, without the account's key.

The command `stacks-pulumi mcp` uses it; `docs/agents.md` describes it. Importing this package imports no other module.

- `programs`: Which programs of an agent may the engine run?
- `running`: How does a tool call run a command?
- `tools`: What may an agent call?
- `outcomes`: What does a tool return to an agent?
- `reading`: What do the tools look up: pages of the documentation, the code of an error, a container and its passwords?
- `masking`: Which values must never be in an answer?
- `server`: How are calls received, answered and logged?
"""
