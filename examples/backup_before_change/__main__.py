import pulumi

import stacks_pulumi as stacks

config = pulumi.Config()
release = config.require("release")

database = stacks.Container("ledger-db", template="postgresql")

# A new release makes a new backup. The app waits for it. The old backup is unpinned last.
backup = stacks.PinnedBackup("before-release", container=database, triggers=[release])
app = stacks.Container(
    "ledger",
    template="nodejs",
    restart_triggers=[release],
    opts=pulumi.ResourceOptions(depends_on=[backup]),
)

if config.require_bool("restore"):
    stacks.BackupRestore("undo", backup_id=backup.backup_id, triggers=[release])

pulumi.export("backup", backup.backup_id)
pulumi.export("pinned", backup.pinned)
