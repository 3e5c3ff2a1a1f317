import pulumi

import stacks_pulumi as stacks

config = pulumi.Config()

# Without a `customerUrl` it is the API itself.
customer = stacks.Provider(
    "customer", api_key=config.require_secret("customerKey"), base_url=config.get("customerUrl")
)
theirs = pulumi.ResourceOptions(provider=customer)

# In the account of the stack's own key.
reports = stacks.Container("reports", template="python")

# In the customer's account. A connection uses the provider of its source by default.
site = stacks.Container("site", template="ghost", external_access=config.require_bool("exposed"), opts=theirs)
database = stacks.Container("site-db", template="mysql", opts=theirs)
stacks.Connection("site-to-db", source=site, target=database)

pulumi.export("reports", reports.id)
pulumi.export("site", site.id)
pulumi.export("url", site.url)
