"""
The hosts: they receive Pulumi's calls and pass them to the resources.

`resources` implements each kind of resource and answers calls of the type `EngineCall`. A host translates the engine's
requests into such calls.

- `dynamic`: How does the SDK's process for dynamic providers run our resources, and which private parts of the SDK are
  used?
- `_grpc_call`: How does a gRPC call end or fail, and how does it show lines next to a resource?
- `plugin`: How does the native plugin run our resources, for every language?
"""
