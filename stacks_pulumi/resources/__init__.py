"""
The Pulumi side: resource classes and the stateless handlers behind them.

A call of the engine goes through a host (`stacks_pulumi.hosts`) -> `_handler.py` (every call) -> `<noun>.py` (the
resource and its handler) -> `_session.py` (the client for this account) -> `stacks_pulumi.api`. What a handler knows
of the engine is `_engine_call.EngineCall`.
"""
