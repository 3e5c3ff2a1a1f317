import pulumi

import stacks_pulumi as stacks

app = stacks.Container("crm", template="python")
database = stacks.Container("crm-db", template="postgresql")
cache = stacks.Container("crm-cache", template="redis-micro")

to_database = stacks.Connection(
    "crm-to-db", source=app, target=database, name=pulumi.Config().require("connection")
)
to_cache = stacks.Connection("crm-to-cache", source=app, target=cache, name="cache")

# The API masks the password of a connection. The target's credentials contain it.
credentials = stacks.get_credentials_output(database.id)

pulumi.export("environment", to_database.environment_variables)
pulumi.export("database_user", credentials.apply(lambda found: found.username))
pulumi.export("database_password", credentials.apply(lambda found: found.password))
pulumi.export("database_host", database.internal_host)
