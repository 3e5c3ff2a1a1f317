"""
The native plugin: the resources as a Pulumi provider, `stacks`, for every language.

`grpc_server` is the program `pulumi-resource-stacks`. `servicer` implements Pulumi's public provider protocol. `wire`
reads and writes property bags. `schema.json` describes the package; `tools/schema.py` generates it from the classes.
"""
