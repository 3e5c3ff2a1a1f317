"""A consumer's program. Type checkers accept every line; it is never run."""

from __future__ import annotations

from typing import assert_type

import pulumi

import stacks_pulumi as stacks

config = pulumi.Config()

db = stacks.Container("db", template="postgresql", plan="basic", opts=pulumi.ResourceOptions(protect=True))
# The platform grows: text that is only known at run time is accepted, and so are outputs.
app = stacks.Container("app", template=config.require("template"), plan=config.get("plan"))
stacks.Container("new", template=db.template, plan=app.plan.apply(lambda plan: plan or "basic"))
stacks.Container(
    "all",
    template="nodejs",
    additional_storage_tier=config.get_int("tier"),
    desired_status=pulumi.Output.from_input(config.require("status")),
    adopt="if_matching",
)
stacks.AllowedIp("office", container=app, ip_address="198.51.100.0/24", service_type="http")
stacks.PinnedBackup("before-v2", container=db.id, on_delete="keep", triggers=["v2", app.id])
stacks.Provider("team", api_key=config.require_secret("key"), adopt="never")

assert_type(app.url, pulumi.Output[str | None])
assert_type(stacks.get_container("usr-1-app").status, str | None)
assert_type(stacks.get_container_output(app.id).status, pulumi.Output[str | None])
assert_type(stacks.get_credentials_output(db.id).password, pulumi.Output[str | None])
assert_type(stacks.list_allowed_ips_output(app.id).url, pulumi.Output[str | None])
assert_type(stacks.list_containers()[0].id, str)

pulumi.export("whole", stacks.get_credentials_output(db.id))
pulumi.export("indexed", stacks.list_backups_output(db.id)[0]["id"])
stacks.Connection("app-to-db", source=app, target=stacks.get_container_output("usr-1-db").id)
