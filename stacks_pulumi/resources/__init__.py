"""
The Pulumi side: resource classes and the stateless providers behind them.

A call of the engine goes through a host (`stacks_pulumi.hosts`) -> `_base.py` (every call) -> `<noun>.py` (the resource
and its provider) -> `_session.py` (the client for this account) -> `stacks_pulumi.api`. What a provider knows of the
engine is `_call.EngineCall`.
"""
