"""The command `pulumi-resource-stacks`."""

from __future__ import annotations

import gc


def main() -> None:
    """Serve until the engine ends."""
    # The objects that an import creates are never freed. Searching them for garbage would take a seventh of the start
    # time.
    gc.disable()
    from stacks_pulumi.hosts.plugin import servicer  # noqa: PLC0415  (imported without these searches)

    gc.freeze()
    gc.enable()
    servicer.main()


if __name__ == "__main__":
    main()
