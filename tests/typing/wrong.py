"""A consumer's mistakes. Type checkers refuse every line that ends with `wrong`; it is never run."""

from __future__ import annotations

import stacks_pulumi as stacks

app = stacks.Container("app", template="nodejs")

stacks.Contaner("app", template="nodejs")  # wrong
stacks.get_contaner("usr-1-app")  # wrong
stacks.Container("app", template="nodejs", pln="basic")  # wrong
stacks.Container("app")  # wrong
stacks.Container("app", template=3)  # wrong
stacks.Container("app", template="nodejs", desired_status="runing")  # wrong
stacks.Container("app", template="nodejs", adopt="always")  # wrong
stacks.AllowedIp("office", container=app, ip_address="198.51.100.7", service_type="ftp")  # wrong
stacks.PinnedBackup("backup", container=app, on_delete="drop")  # wrong
stacks.Provider("team", api_key="", adopt="yes")  # wrong
print(app.staus)  # wrong
print(stacks.get_container("usr-1-app").staus)  # wrong
