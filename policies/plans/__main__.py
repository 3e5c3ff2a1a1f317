from stacks_pulumi.policy import PLANS, StacksGuard

StacksGuard("stacks-plans", PLANS).run()
