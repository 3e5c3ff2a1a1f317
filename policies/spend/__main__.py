from stacks_pulumi.cost import live
from stacks_pulumi.policy import SPEND, StacksGuard

StacksGuard("stacks-spend", SPEND, account=live.containers).run()
