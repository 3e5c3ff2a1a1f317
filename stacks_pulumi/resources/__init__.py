"""
The resource classes and their stateless handlers.

A call from the engine passes through a host (`stacks_pulumi.hosts`) -> `_handler.py` (every call) -> `<noun>.py` (the
resource and its handler) -> `_session.py` (the client for this account) -> `stacks_pulumi.api`. A handler accesses the
engine only through `_engine_call.EngineCall`.
"""
