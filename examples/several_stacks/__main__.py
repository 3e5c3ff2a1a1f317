import pulumi

import stacks_pulumi as stacks

plan = pulumi.Config().require("plan")

# Neither container has a `name`, so `stacks:namePattern` shapes the names.
db = stacks.Container("web-db", template="postgresql", plan=plan)
web = stacks.Container("web", template="nodejs", plan=plan)
stacks.Connection("web-to-db", source=web, target=db)

pulumi.export("containers", [web.name, db.name])
pulumi.export("database_host", db.internal_host)
