"""Which web pages of other origins may call the emulator. Default: no page."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from stacks_pulumi.emulator.http_responses import Response

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

__all__ = ["CrossOrigin"]


class CrossOrigin:
    """
    The CORS headers.

    The key of a new emulator is the same on every machine, so without this check any web page could use it.

    Args:
        origins: The origins to allow; `*` for all.
    """

    def __init__(self, origins: Collection[str] = ()) -> None:
        self._origins = frozenset(origins)

    def allows(self, origin: str | None) -> bool:
        """Return whether pages of this origin may send requests."""
        return origin is not None and not self._origins.isdisjoint({"*", origin})

    def preflight(self, method: str, headers: Mapping[str, str]) -> Response | None:
        """Return the response to a browser's preflight request; `None` for another request."""
        asked = headers.get("Access-Control-Request-Method")
        if method != "OPTIONS" or asked is None or not self.allows(headers.get("Origin")):
            return None
        allowed = {
            "Access-Control-Allow-Methods": "GET, POST, PUT, DELETE",
            "Access-Control-Allow-Headers": "Authorization, Content-Type",
            "Access-Control-Max-Age": "600",
        }
        return self.opened(Response(204, b"", allowed), headers)

    def opened(self, response: Response, headers: Mapping[str, str]) -> Response:
        """Return the response with the headers that let an allowed page read it."""
        origin = headers.get("Origin")
        if origin is None or not self.allows(origin):
            return response
        exposed = "Retry-After, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset"
        opening = {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Expose-Headers": exposed,
            "Vary": "Origin",
        }
        return replace(response, headers={**response.headers, **opening})
