import pulumi

import stacks_pulumi as stacks

# Pulumi neither deletes nor replaces a protected resource. Run `pulumi config set protect true` once the data matters.
protect = pulumi.Config().get_bool("protect") or False

db = stacks.Container("orders-db", template="postgresql", opts=pulumi.ResourceOptions(protect=protect))
app = stacks.Container("orders", template="nodejs", external_access=True)
stacks.Connection("orders-to-db", source=app, target=db, name="primary-db")

pulumi.export("url", app.url)
pulumi.export("monthly_price_usd", pulumi.Output.all(db.monthly_price_usd, app.monthly_price_usd).apply(sum))
