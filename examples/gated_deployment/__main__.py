import pulumi

import stacks_pulumi as stacks

config = pulumi.Config()
plan = config.get("plan") or "basic"
workers = config.get_int("workers") or 1
office = config.get("office") or "198.51.100.0/24"

db = stacks.Container(
    "shop-db", template="postgresql", opts=pulumi.ResourceOptions(protect=config.get_bool("protect"))
)
app = stacks.Container("shop", template="nodejs", plan=plan, external_access=True)
stacks.Connection("shop-to-db", source=app, target=db)
stacks.AllowedIp("office", container=app, ip_address=office, service_type="http", revoke_auto_added=True)
for number in range(workers):
    stacks.Container(f"shop-worker-{number}", template="ubuntu-micro")

pulumi.export("url", app.url)
