"""
The Pulumi side: resource classes and the stateless providers behind them.

A request goes `<noun>.py` (the resource and its provider) -> `_base.py` (the boundary to the engine) ->
`_session.py` (the client for this account) -> `stacks_pulumi.api`. What the dynamic-provider host hides is in
`_host.py` alone.
"""
