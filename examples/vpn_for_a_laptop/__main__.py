import pulumi

import stacks_pulumi as stacks

vpn = stacks.Container("office-vpn", template="stacks-vpn")

# The state contains the configuration with its private key, encrypted. The output is a secret.
laptop = stacks.VpnClient("laptop", container=vpn, rotate_triggers=[pulumi.Config().require("rotation")])

# The configuration of this client is not in the state: `stacks-pulumi vpn-config` downloads it.
phone = stacks.VpnClient("phone", container=vpn, store_config=False)

pulumi.export("wireguard", laptop.config)
pulumi.export("vpn", vpn.id)
pulumi.export("phone", phone.name)
