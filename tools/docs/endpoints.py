"""The table of the API's endpoints, with the resources and functions that call each endpoint."""

from __future__ import annotations

from stacks_pulumi.endpoints import ENDPOINTS
from tools.docs import functions
from tools.docs.calls import measured
from tools.docs.marks import table

__all__ = ["endpoints"]


def endpoints() -> str:
    """Return a row for each endpoint, from observed calls."""
    asked = {endpoint: name for name, endpoint in functions.asks().items()}
    rows = []
    for name, endpoint in ENDPOINTS.items():
        rows.append(
            (
                f"`{endpoint.method} {endpoint.path}`",
                endpoint.section,
                f"`{endpoint.scope.partition(':')[2]}`",
                ", ".join(measured().users(name)),
                f"`{asked[name]}`" if name in asked else "",
                f"`{name}`",
            )
        )
    return table(("Endpoint", "In the guide", "Scope", "Resource", "Data function", "Client"), rows)
