from stacks_pulumi.policy import EXPOSURE, StacksGuard

StacksGuard("stacks-exposure", EXPOSURE).run()
