"""The table of the API's operations, and the resources and functions that call each of them."""

from __future__ import annotations

from stacks_pulumi.emulator import OPERATIONS
from tools.docs import functions
from tools.docs.calls import measured
from tools.docs.marks import table

__all__ = ["endpoints"]


def endpoints() -> str:
    """Return a row for each operation, from observed calls."""
    asked = {operation: name for name, operation in functions.asks().items()}
    rows = []
    for operation in OPERATIONS.values():
        kinds = "; ".join(
            f"{kind} ({', '.join(dict.fromkeys(what.partition(':')[0].partition(',')[0] for what in doing))})"
            for kind, doing in measured().users(operation.name)
        )
        rows.append(
            (
                f"`{operation.method} {operation.path.replace('<', '{').replace('>', '}')}`",
                f"`{operation.scope.partition(':')[2]}`",
                kinds,
                f"`{asked[operation.name]}`" if operation.name in asked else "",
                f"`{operation.name}`",
            )
        )
    return table(("Endpoint", "Scope", "Resource", "Data function", "Client"), rows)
