"""
Print the WireGuard configuration of a VPN client. It passes through no state and no file.

    python download.py "$(pulumi stack output vpn)" phone
"""

import sys

from stacks_pulumi import config
from stacks_pulumi.api import StacksClient

settings = config.load()
with StacksClient(settings.require_key(), base_url=settings.base_url) as stacks:
    sys.stdout.write(stacks.vpn_clients.config(sys.argv[1], sys.argv[2]))
