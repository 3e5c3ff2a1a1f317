"""The command `pulumi-resource-stacks`."""

from __future__ import annotations

import gc


def main() -> None:
    """Serve until the engine ends."""
    # All objects of an import stay. A search for garbage among them takes a seventh of the start.
    gc.disable()
    from stacks_pulumi.hosts.plugin import servicer  # noqa: PLC0415  (imported without these searches)

    gc.freeze()
    gc.enable()
    servicer.main()


if __name__ == "__main__":
    main()
