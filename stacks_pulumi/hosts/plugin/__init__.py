"""
The native plugin: the resources as a Pulumi provider, `stacks`, for every language.

`server` is the program `pulumi-resource-stacks`, `servicer` answers the engine on Pulumi's public protocol, and `wire`
reads and writes property bags. `schema.json` describes the package; `tools/schema.py` makes it from the classes.
"""
