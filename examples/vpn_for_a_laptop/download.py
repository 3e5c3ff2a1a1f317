"""
Print the WireGuard configuration of a VPN client. It passes through no state and no file.

    python download.py "$(pulumi stack output vpn)" phone
"""

import sys

from stacks_pulumi import config
from stacks_pulumi.api import StacksClient
from stacks_pulumi.errors import StacksError


def main(container_id: str, client: str) -> None:
    """Print it."""
    settings = config.load()
    with StacksClient(settings.require_key(), base_url=settings.base_url) as stacks:
        sys.stdout.write(stacks.vpn_clients.config(container_id, client))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit('usage: python download.py "$(pulumi stack output vpn)" CLIENT')
    try:
        main(*sys.argv[1:])
    except StacksError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("Interrupted.")
