# An app and its database
resource "db" "stacks:index:Container" {
  __logicalName = "orders-db"
  template      = "postgresql"
}

resource "app" "stacks:index:Container" {
  __logicalName = "orders"
  template      = "nodejs"
}

resource "link" "stacks:index:Connection" {
  __logicalName = "orders-to-db"
  source        = app.id
  target        = db.id
  name          = "primary-db"
}
