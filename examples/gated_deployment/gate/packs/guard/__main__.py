from stacks_pulumi.policy import StacksGuard

StacksGuard().run()
