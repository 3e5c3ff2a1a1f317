# A backup before a release
resource "db" "stacks:index:Container" {
  __logicalName = "orders-db"
  template      = "postgresql"
}

resource "backup" "stacks:index:PinnedBackup" {
  __logicalName = "before-release"
  container     = db.id
  triggers      = ["v2"]
}

output "backupNumber" {
  value = backup.backupId
}
