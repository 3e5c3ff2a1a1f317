import pulumi
import pulumi_cloudflare as cloudflare

import stacks_pulumi as stacks

config = pulumi.Config()

site = stacks.Container("www", template="nginx", external_access=True)
record = cloudflare.DnsRecord(
    "www",
    zone_id=config.require("zone"),
    name=config.require("name"),
    type="CNAME",
    # STACKS chooses the address. When the address changes, the record changes in the same `up`.
    content=site.url,
    ttl=300,
)

pulumi.export("url", site.url)
pulumi.export("record", record.name)
