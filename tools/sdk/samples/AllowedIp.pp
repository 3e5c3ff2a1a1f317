# A site for one office
resource "site" "stacks:index:Container" {
  __logicalName  = "intranet"
  template       = "nginx"
  externalAccess = true
}

resource "office" "stacks:index:AllowedIp" {
  container   = site.id
  ipAddress   = "198.51.100.0/24"
  serviceType = "http"
}
