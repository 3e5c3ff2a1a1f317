"""
The order of the handlers, in one place.

    retry       each attempt goes through all that is below, and pays for it
    decode      an attempt ends as a value or a typed error, which is what retry judges by
    limit       an attempt waits for its turn; reads the rate headers of every answer, errors included
    transport   an attempt goes out
"""

from __future__ import annotations

from stacks_pulumi._clock import Clock
from stacks_pulumi.api._call import Handler, Sender
from stacks_pulumi.api._decode import Decode
from stacks_pulumi.api._limiter import Limit, Limiter
from stacks_pulumi.api._retry import Retry
from stacks_pulumi.config import DEFAULT_BASE_URL

__all__ = ["assemble"]


def assemble(transport: Sender, limiter: Limiter, clock: Clock, base_url: str = DEFAULT_BASE_URL) -> Handler:
    """The whole chain: a call in, the value that it asks for out."""
    return Retry(Decode(Limit(transport, limiter), base_url), clock)
