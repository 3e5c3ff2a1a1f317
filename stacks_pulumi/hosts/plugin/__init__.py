"""
The native plugin: the resources as a Pulumi provider, `stacks`, for every language.

`schema.json` describes the package; `tools/schema.py` generates it from the classes.

- `grpc_server`: How does the program `pulumi-resource-stacks` start and end?
- `servicer`: What does it answer to each call of Pulumi's provider protocol?
- `wire`: How do values, names and messages look to other languages?
"""
