# Restore the backup whose number is in the configuration
config "backupNumber" "string" {
}

resource "undo" "stacks:index:BackupRestore" {
  __logicalName = "undo-v2"
  backupId      = backupNumber
}
