# The key of an app, renewed by its trigger
resource "app" "stacks:index:Container" {
  __logicalName = "orders"
  template      = "nodejs"
}

resource "key" "stacks:index:SshCertificate" {
  __logicalName  = "orders-key"
  container      = app.id
  rotateTriggers = ["2026-11"]
}

output "privateKey" {
  value = key.privateKey
}
