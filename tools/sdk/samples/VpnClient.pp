# A laptop in the VPN
resource "vpn" "stacks:index:Container" {
  template = "stacks-vpn"
}

resource "laptop" "stacks:index:VpnClient" {
  container = vpn.id
}

output "wireguard" {
  value = laptop.config
}
