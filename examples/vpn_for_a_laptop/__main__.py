import pulumi

import stacks_pulumi as stacks

vpn = stacks.Container("office-vpn", template="stacks-vpn")

# The configuration with its private key is in the state, encrypted, and comes out as a secret output.
laptop = stacks.VpnClient("laptop", container=vpn, rotate_triggers=[pulumi.Config().require("rotation")])

# This one's is not in the state: `stacks-pulumi vpn-config` downloads it.
phone = stacks.VpnClient("phone", container=vpn, store_config=False)

pulumi.export("wireguard", laptop.config)
pulumi.export("vpn", vpn.id)
pulumi.export("phone", phone.name)
