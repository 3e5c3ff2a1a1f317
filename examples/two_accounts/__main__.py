import pulumi

import stacks_pulumi as stacks

config = pulumi.Config()

# Without a `customerUrl` the provider uses the API's own address.
customer = stacks.Provider(
    "customer", api_key=config.require_secret("customerKey"), base_url=config.get("customerUrl")
)
theirs = pulumi.ResourceOptions(provider=customer)

# This container is in the account of the stack's own key.
reports = stacks.Container("reports", template="python")

# These two containers are in the customer's account. By default, a connection uses the provider of its source.
site = stacks.Container("site", template="ghost", external_access=config.require_bool("exposed"), opts=theirs)
database = stacks.Container("site-db", template="mysql", opts=theirs)
stacks.Connection("site-to-db", source=site, target=database)

pulumi.export("reports", reports.id)
pulumi.export("site", site.id)
pulumi.export("url", site.url)
