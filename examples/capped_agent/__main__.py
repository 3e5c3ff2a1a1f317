import pulumi

import stacks_pulumi as stacks

config = pulumi.Config()
cap = config.require_int("cap")

workers = [
    stacks.Container(f"worker-{number}", template="python")
    for number in range(1, config.require_int("workers") + 1)
]

# Known at preview, so an agent can look before it leaps.
planned = pulumi.Output.all(*(worker.monthly_price_usd for worker in workers)).apply(sum)
pulumi.export("planned_usd", planned)
pulumi.export("left_usd", planned.apply(lambda usd: cap - usd))
