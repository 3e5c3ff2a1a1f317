# An app that is open to the public
resource "orders" "stacks:index:Container" {
  template       = "nodejs"
  externalAccess = true
}

output "url" {
  value = orders.url
}
