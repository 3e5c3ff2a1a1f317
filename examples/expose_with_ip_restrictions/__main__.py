import pulumi

import stacks_pulumi as stacks

site = stacks.Container("intranet", template="nginx", external_access=True)

# Turning external access on allows the caller's address: in CI, the runner's address. Each rule removes it again.
office = stacks.AllowedIp(
    "office",
    container=site,
    ip_address=pulumi.Config().require("office"),
    description="The office",
    service_type="http",
    revoke_auto_added=True,
)
branch = stacks.AllowedIp(
    "branch",
    container=site,
    ip_address="2001:db8:1::/48",
    description="The branch",
    service_type="http",
    revoke_auto_added=True,
)

pulumi.export("url", site.url)
pulumi.export("allowed", [office.ip_address, branch.ip_address])
